// The layer-2 half of a Service on one node: who of all nodes answers for its addresses, and on which interfaces. The
// election is over all matching advertisements, not those of this node, so that every node comes to the same order.
// Called by plan. Who is alive on the segment is not asked here: every Node counts, and what the LAN makes of it is laid
// over the plan by `ownership`.

import type { L2Advertisement, Pool } from '../config/config.ts';
import { matchesAny } from '../config/selector.ts';
import type { Ip } from '../net/address.ts';
import { type Candidate, type Election, interned, orderOf } from './elect.ts';
import type { AnnouncementReason, Refusal } from './explain.ts';
import type { Endpoint, Service, ServiceKey } from './snapshot.ts';

/** An address that this node answers for (ARP, NDP). */
export interface Layer2Claim {
  readonly service: ServiceKey;
  readonly ip: Ip;
  /** Empty: all interfaces. Sorted. */
  readonly interfaces: readonly string[];
}

/** An address of a Service that an L2Advertisement selects on this node, and the nodes that may answer for it. */
export interface Candidacy extends Layer2Claim {
  /**
   * In the order of the election; never empty. This node need not be one of them: then it hands over what it answers for,
   * and bears witness.
   */
  readonly candidates: readonly Candidate[];
}

/** What comes of a Service here: answered for by the snapshot or not; `candidacies`: who may. */
export interface Layer2Half {
  readonly claims: readonly Layer2Claim[] | Refusal;
  readonly candidacies: readonly Candidacy[];
}

/** What all Services of one pool have in common on one node. */
export interface Layer2Pool {
  readonly pool: Pool;
  readonly node: string;
  /** No Node has its name (any more): it is told of all candidates, so that it hands over. */
  readonly isGone: boolean;
  /** Nodes that may be chosen at all. */
  readonly usable: readonly string[];
  /** By the advertisements that match. */
  readonly choices: Map<string, Choice>;
}

interface Choice {
  readonly selective: boolean;
  readonly includesNode: boolean;
  readonly interfaces: readonly string[];
  readonly candidates: readonly Candidate[];
}

export function layer2Pool(
  pool: Pool,
  usable: readonly string[],
  { name: node, isGone }: { readonly name: string; readonly isGone: boolean },
): Layer2Pool {
  return { pool, node, isGone, usable, choices: new Map() };
}

export function layer2For(
  of: Layer2Pool,
  election: Election,
  service: Service,
  ips: readonly Ip[],
  endpoints: readonly Endpoint[],
): Layer2Half {
  const { pool, node, choices } = of;
  if (!endpoints.some(({ canServe }) => canServe)) return no('notOwner', 'no node may: no endpoint can serve');
  const matches = ({ serviceSelectors }: L2Advertisement): boolean => matchesAny(serviceSelectors, service.labels);
  const matching = pool.l2Advertisements.every(matches) ? pool.l2Advertisements : pool.l2Advertisements.filter(matches);
  const key = matching === pool.l2Advertisements ? '' : matching.map(({ name }) => name).join();
  let choice = choices.get(key);
  if (choice === undefined) {
    choice = choiceAmong(matching, of, election);
    choices.set(key, choice);
  }
  if (service.sharingKey !== undefined && choice.selective)
    return no(
      'sharedIPWithServiceSelector',
      'an address that may be shared cannot be announced by L2Advertisements with serviceSelectors',
    );
  if (!choice.includesNode)
    return no(
      'noMatchingAdvertisement',
      `no L2Advertisement of pool ${pool.name} selects the Service and node ${node}`,
    );
  const candidates = elect(election, choice, service, ips, endpoints);
  const [owner] = candidates;
  if (owner === undefined) return no('notOwner', 'no node may: none is usable and has an endpoint where one is needed');
  const { interfaces } = choice;
  const candidacies = ips.map((ip) => ({ service: service.key, ip, interfaces, candidates }));
  const claims: Layer2Half['claims'] =
    owner.node === node
      ? candidacies.map(({ candidates: _, ...claim }) => claim)
      : { reason: 'notOwner', message: `node ${owner.node} answers for it` };
  return { claims, candidacies };
}

function choiceAmong(
  advertisements: readonly L2Advertisement[],
  { node, isGone, usable }: Layer2Pool,
  election: Election,
): Choice {
  const here = isGone ? advertisements : advertisements.filter(({ nodes }) => nodes.has(node));
  const candidates = usable
    .filter((name) => advertisements.some(({ nodes }) => nodes.has(name)))
    .map((name) => ({ node: name, score: scoreOf(name, advertisements) }));
  return {
    selective: advertisements.some(({ serviceSelectors }) => serviceSelectors.length > 0),
    includesNode: here.length > 0,
    interfaces: here.some(({ interfaces }) => interfaces.length === 0)
      ? []
      : [...new Set(here.flatMap(({ interfaces }) => interfaces))].sort(),
    candidates: interned(election, candidates),
  };
}

/** A node scores only where it is selected. */
function scoreOf(node: string, advertisements: readonly L2Advertisement[]): number {
  return advertisements.reduce((sum, { nodes, scores }) => sum + (nodes.has(node) ? (scores.get(node) ?? 0) : 0), 0);
}

/** All addresses of a Service follow the first one. */
function elect(
  election: Election,
  { candidates }: Choice,
  service: Service,
  [first]: readonly Ip[],
  endpoints: readonly Endpoint[],
): readonly Candidate[] {
  if (first === undefined) return [];
  if (service.trafficPolicy === 'Cluster') return orderOf(election, first, candidates);
  const local = new Set(endpoints.filter(({ canServe }) => canServe).map((endpoint) => endpoint.node));
  const withEndpoint = candidates.filter(({ node }) => local.has(node));
  return orderOf(election, first, interned(election, withEndpoint));
}

function no(reason: AnnouncementReason, message: string): Layer2Half {
  return { claims: { reason, message }, candidacies: [] };
}
