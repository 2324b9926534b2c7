// `GET /api/v1/state` and the lines of `listen -o json`: what the process knows, as JSON. Fields are added, never renamed;
// times are RFC 3339, durations ms, what is not there is null, secrets never get here.

import { asPathText } from '../bgp/as-path.ts';
import type { Path } from '../bgp/attribute.ts';
import { communityText, extendedCommunityText, largeCommunityText } from '../bgp/community.ts';
import { familyName } from '../bgp/nlri.ts';
import type { PeerView } from '../bgp/view.ts';
import type { Config } from '../config/config.ts';
import { ageOf, type ReflectorState } from '../k8s/reflector.ts';
import type { Family, Prefix } from '../net/address.ts';
import type { Allocations } from '../plan/allocate.ts';
import type { Plan } from '../plan/plan.ts';
import { serviceViews } from '../plan/status.ts';

/** An instant of the monotonic clock as a date; the same instant is always the same date. */
export type Dates = (instantMs: number) => string;

export function datesFrom(originMs: number): Dates {
  return (instantMs) => new Date(originMs + instantMs).toISOString();
}

const MESSAGES = ['OPEN', 'UPDATE', 'NOTIFICATION', 'KEEPALIVE', 'ROUTE-REFRESH'] as const;

/** A peer as the state has it; one that keeps what it hears shows `routes` in place of `announced`. */
export function peerJson(peer: PeerView, dates: Dates, bfd: object | null = null) {
  const { name, address, port, state, lastError, local, remote, counters } = peer;
  const routes = peer.routes;
  return {
    name,
    address: address ?? '',
    ...(peer.interface !== undefined && { interface: peer.interface }),
    port,
    state,
    since: dates(peer.since),
    lastError: lastError === undefined ? null : { code: lastError.code, text: lastError.text, at: dates(lastError.at) },
    local: local === undefined ? null : { ...local, routerId: local.routerId ?? null },
    remote: remote ?? null,
    holdTimeMs: peer.holdTimeMs,
    families: peer.families.map(familyName),
    warnings: peer.warnings,
    // a speaker shows what it told, a collector what it heard; what is undefined is not printed
    announced: routes === undefined ? peer.announced.map(({ prefix, path }) => routeJson(prefix, path)) : undefined,
    unadvertisable: routes === undefined ? peer.unadvertisable : undefined,
    routes: routes?.map(({ prefix, path, pathId }) => ({ ...routeJson(prefix, path), pathId })),
    counters: {
      sent: messages(counters.sent),
      received: messages(counters.received),
      learned: byFamily(counters.learned),
      faults: counters.faults,
    },
    bfd,
  };
}

function messages(counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(MESSAGES.map((type) => [type.toLowerCase(), counts[type] ?? 0]));
}

function byFamily(counts: Readonly<Record<Family, number>>): Readonly<Record<string, number>> {
  return { [familyName('ipv4')]: counts.ipv4, [familyName('ipv6')]: counts.ipv6 };
}

/** How one kind is read from the API server. `now` is of the clock that `lostAt` is told by, ms. */
export function kindJson(kind: string, state: ReflectorState | undefined, now: number) {
  if (state === undefined) return { kind, synced: false, is: 'waiting', ageMs: null, problem: '' };
  const { heardAt: _, lostAt: __, denied: ___, problem = '', ...rest } = state;
  const age = ageOf(state, now);
  return { kind, ...rest, ageMs: age === undefined ? null : Math.round(age), problem };
}

/** A prefix with its path attributes, communities of all kinds in one list, as `plan` prints them. */
export function routeJson(prefix: Prefix, path: Path) {
  return {
    prefix,
    nextHop: path.nextHop ?? null,
    ...(path.linkLocalNextHop !== undefined && { linkLocalNextHop: path.linkLocalNextHop }),
    origin: path.origin,
    asPath: asPathText(path.asPath),
    communities: [
      ...path.communities.map(communityText),
      ...path.largeCommunities.map(largeCommunityText),
      ...path.extendedCommunities.map(extendedCommunityText),
    ],
    localPref: path.localPref ?? null,
    med: path.med ?? null,
    ...(path.atomicAggregate && { atomicAggregate: true }),
    ...(path.aggregator !== undefined && { aggregator: path.aggregator }),
    ...(path.originatorId !== undefined && { originatorId: path.originatorId }),
    ...(path.clusterList !== undefined && { clusterList: path.clusterList }),
  };
}

/** Peers of this node that cannot be served yet: in the list of peers, so that nobody misses them. */
export function unservedJson({ peer, because, text }: Plan['notServed'][number], since: string) {
  return {
    ...{ name: peer, address: '', port: 0, state: 'Idle', since },
    lastError: { code: because, text, at: since },
    ...{ local: null, remote: null, holdTimeMs: 0, families: [], warnings: [text], announced: [], unadvertisable: [] },
    counters: { sent: messages({}), received: messages({}), learned: byFamily({ ipv4: 0, ipv6: 0 }), faults: {} },
    bfd: null,
  };
}

/** Prefixes that are held back because they flap. */
export function heldJson(held: ReadonlyMap<Prefix, number>, dates: Dates) {
  return [...held].map(([prefix, until]) => ({ prefix, until: dates(until) }));
}

/**
 * Every Service that is ours: its addresses, why it has none, who announces it, and why somebody does not. `layer2`: the
 * configuration, where layer 2 is served; a word about it only where there is an L2Advertisement.
 */
export function servicesJson(allocations: Allocations | undefined, plan: Plan | undefined, layer2?: Config) {
  const isOnLan = layer2?.pools.some(({ l2Advertisements }) => l2Advertisements.length > 0);
  return serviceViews(allocations?.services, plan === undefined ? [] : [plan], isOnLan ? ['bgp', 'layer2'] : ['bgp']);
}
