// The BGP half of a Service on one node: may it be announced, and as which prefixes by which advertisements. To whom is
// `route`'s. Called by plan; the checks come in MetalLB's order and have its words.

import { disagree } from '../config/bgp-advertisement.ts';
import type { BgpAdvertisement, Pool } from '../config/config.ts';
import { matchesAny } from '../config/selector.ts';
import { familyOf, hostPrefix, type Ip, type Prefix, prefixOf } from '../net/address.ts';
import type { AnnouncementReason, Refusal } from './explain.ts';
import type { Endpoint, Node, Service, Settings } from './snapshot.ts';

/** One advertisement gives one prefix for a Service. */
export interface Grant {
  readonly prefix: Prefix;
  readonly advertisement: BgpAdvertisement;
}

/** What all Services of one pool have in common on one node. */
export interface BgpPool {
  readonly pool: Pool;
  readonly node: Node;
  readonly settings: Settings;
  /** Those that include the node. */
  readonly here: readonly BgpAdvertisement[];
  /** By the advertisements that match: a conflict among them, looked for once. */
  readonly conflicts: Map<string, Refusal | undefined>;
}

export function bgpPool(pool: Pool, node: Node, settings: Settings): BgpPool {
  const here = pool.bgpAdvertisements.filter(({ nodes }) => nodes.has(node.name));
  return { pool, node, settings, here, conflicts: new Map() };
}

export function grantsFor(
  { pool, node, settings, here, conflicts }: BgpPool,
  service: Service,
  ips: readonly Ip[],
  endpoints: readonly Endpoint[],
): readonly Grant[] | Refusal {
  if (here.length === 0) return no('notOwner', `no BGPAdvertisement of pool ${pool.name} includes node ${node.name}`);
  const selects = ({ serviceSelectors }: BgpAdvertisement): boolean => matchesAny(serviceSelectors, service.labels);
  const matching = here.every(selects) ? here : here.filter(selects);
  if (matching.length === 0)
    return no(
      'noMatchingAdvertisement',
      `no BGPAdvertisement of pool ${pool.name} on node ${node.name} selects the Service`,
    );
  const key = matching.length === here.length ? '' : matching.map(({ name }) => name).join();
  if (!conflicts.has(key)) conflicts.set(key, conflictAmong(matching, pool));
  return (
    conflicts.get(key) ??
    refuseNode(node, settings) ??
    refuseEndpoints(service, node, endpoints) ??
    grantsOf(ips, matching)
  );
}

function grantsOf(ips: readonly Ip[], matching: readonly BgpAdvertisement[]): readonly Grant[] {
  const grants: Grant[] = [];
  for (const ip of ips)
    for (const advertisement of matching) grants.push({ prefix: aggregate(ip, advertisement), advertisement });
  return grants;
}

function conflictAmong(matching: readonly BgpAdvertisement[], pool: Pool): Refusal | undefined {
  for (const [at, one] of matching.entries()) {
    const other = matching.slice(at + 1).find((each) => disagree(one, each, pool));
    if (other === undefined) continue;
    const preferences = `localPref ${one.localPref} and ${other.localPref}`;
    return no('conflictingAdvertisements', `${one.name} and ${other.name} have ${preferences} for the same prefix`);
  }
  return undefined;
}

function refuseNode({ name, networkUnavailable, excluded }: Node, settings: Settings): Refusal | undefined {
  if (networkUnavailable) return no('nodeNetworkUnavailable', `node ${name} has the condition NetworkUnavailable`);
  if (!excluded || settings.ignoreExcludeLabel) return undefined;
  return no('nodeLabeledExcludeBalancers', `node ${name} is labelled to be excluded from external load balancers`);
}

function refuseEndpoints(service: Service, node: Node, endpoints: readonly Endpoint[]): Refusal | undefined {
  const serves = ({ canServe, addresses }: Endpoint): boolean => canServe && addresses.length > 0;
  if (service.trafficPolicy === 'Local' && !endpoints.some((each) => each.node === node.name && serves(each)))
    return no('noLocalEndpoints', `no endpoint on node ${node.name} can serve`);
  return endpoints.some(serves) ? undefined : no('noEndpoints', 'no endpoint can serve');
}

function aggregate(ip: Ip, { aggregationLength, aggregationLengthV6 }: BgpAdvertisement): Prefix {
  if (familyOf(ip) === 'ipv4') return aggregationLength === 32 ? hostPrefix(ip) : prefixOf(ip, aggregationLength);
  return aggregationLengthV6 === 128 ? hostPrefix(ip) : prefixOf(ip, aggregationLengthV6);
}

function no(reason: AnnouncementReason, message: string): Refusal {
  return { reason, message };
}
