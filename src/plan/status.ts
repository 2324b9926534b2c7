// Allocations and plans as they are shown: lists of plain data for the state of a process, for `fairway plan` and for
// pages, in a fixed order. Nothing is decided here.

import { communityText, largeCommunityText } from '../bgp/community.ts';
import type { RouteAttributes } from '../bgp/rib.ts';
import { compareAddresses, hostPrefix, type Ip, type Prefix } from '../net/address.ts';
import type { Allocation } from './allocate.ts';
import { REASONS, type Refusal, type RefusalReason } from './explain.ts';
import type { Plan, ServicePlan } from './plan.ts';
import type { ServiceKey } from './snapshot.ts';

export type Protocol = 'bgp' | 'layer2';

/** One Service over all nodes that are known here. `reason` is why there is no address, else empty. */
export interface ServiceView {
  readonly service: ServiceKey;
  readonly ips: readonly Ip[];
  /** Empty: none. */
  readonly pool: string;
  readonly reason: string;
  readonly message: string;
  readonly announced: readonly { readonly protocol: Protocol; readonly by: string }[];
  readonly withheld: readonly Withheld[];
}

/** Why a node does not announce a Service over a protocol; with `prefix`: not that prefix, though it does another. */
export interface Withheld {
  readonly protocol: Protocol;
  readonly by: string;
  readonly prefix?: Prefix;
  readonly reason: RefusalReason;
  readonly message: string;
}

/** What one node tells to some of its peers, or answers for on the LAN. */
export type Announcement =
  | {
      readonly node: string;
      readonly protocol: 'bgp';
      readonly prefix: Prefix;
      readonly peers: readonly string[];
      /** `64512:1`, `large:64512:1:2`; standard ones first, then by number. */
      readonly communities: readonly string[];
      /** Absent: unset. */
      readonly localPref?: number;
      /** Those that are reached by the prefix. */
      readonly services: readonly ServiceKey[];
    }
  | {
      readonly node: string;
      readonly protocol: 'layer2';
      readonly prefix: Prefix;
      readonly service: ServiceKey;
      /** Empty: all. */
      readonly interfaces: readonly string[];
    };

/**
 * The Services in their order, over the protocols that are served. A speaker has no allocations: addresses are then what
 * its plan found in status.
 */
export function serviceViews(
  allocations: ReadonlyMap<ServiceKey, Allocation> | undefined,
  plans: readonly Plan[],
  protocols: readonly Protocol[],
): readonly ServiceView[] {
  const known: ReadonlyMap<ServiceKey, Allocation | ServicePlan> = allocations ?? plans[0]?.services ?? new Map();
  return [...known].map(([service, given]) => {
    const refusal = 'events' in given ? given.refusal : addressRefusal(given);
    const of = plans.flatMap((plan) => {
      const found = plan.services.get(service);
      return found === undefined
        ? []
        : protocols.map((protocol) => ({ by: plan.node, protocol, half: found[protocol] }));
    });
    return {
      service,
      ips: given.ips,
      pool: given.pool ?? '',
      reason: refusal?.reason ?? '',
      message: refusal?.message ?? '',
      announced: of.flatMap(({ by, protocol, half }) => ('announced' in half ? { protocol, by } : [])),
      withheld: of.flatMap(({ by, protocol, half }) => withheldOf(half).map((each) => ({ protocol, by, ...each }))),
    };
  });
}

/** All that a node announces: BGP first, by prefix; then layer 2, by address and Service. */
export function announcementsOf(plan: Plan): readonly Announcement[] {
  const { node } = plan;
  const services = servicesByPrefix(plan);
  const bgp = groupsOf(plan).map(({ prefix, attributes, peers }) => ({
    node,
    protocol: 'bgp' as const,
    prefix,
    peers,
    communities: communitiesOf(attributes),
    ...(attributes.localPref !== undefined && { localPref: attributes.localPref }),
    services: services.get(prefix) ?? [],
  }));
  const layer2 = plan.layer2.map(({ ip, service, interfaces }) => ({
    node,
    protocol: 'layer2' as const,
    prefix: hostPrefix(ip),
    service,
    interfaces,
  }));
  return [
    ...bgp.sort((a, b) => compareAddresses(a.prefix, b.prefix) || compareTexts(a.peers.join(), b.peers.join())),
    ...layer2.sort((a, b) => compareAddresses(a.prefix, b.prefix) || compareTexts(a.service, b.service)),
  ];
}

/** A refusal as people read it: what, why, and what to do. */
export function whyText({ reason, message }: Refusal): string {
  const { means, remedy } = REASONS[reason];
  return `${reason}: ${message}\n  ${means}\n  What to do: ${remedy}`;
}

interface Group {
  readonly prefix: Prefix;
  readonly attributes: RouteAttributes;
  readonly peers: string[];
}

/** Peers that are told the same of a prefix are one group, in the order of the configuration. */
function groupsOf({ routes }: Plan): Group[] {
  const groups = new Map<Prefix, Group[]>();
  for (const [peer, wanted] of routes)
    for (const [prefix, attributes] of wanted) {
      const here = groups.get(prefix);
      const same = here?.find((group) => group.attributes.key === attributes.key);
      if (same !== undefined) same.peers.push(peer);
      else if (here !== undefined) here.push({ prefix, attributes, peers: [peer] });
      else groups.set(prefix, [{ prefix, attributes, peers: [peer] }]);
    }
  return [...groups.values()].flat();
}

function servicesByPrefix({ services }: Plan): ReadonlyMap<Prefix, ServiceKey[]> {
  const byPrefix = new Map<Prefix, ServiceKey[]>();
  for (const [service, { bgp }] of services) {
    if (!('announced' in bgp)) continue;
    for (const { prefix } of bgp.announced) {
      const list = byPrefix.get(prefix);
      if (list === undefined) byPrefix.set(prefix, [service]);
      else list.push(service);
    }
  }
  return byPrefix;
}

function communitiesOf({ communities, largeCommunities }: RouteAttributes): readonly string[] {
  return [...communities.map(communityText), ...largeCommunities.map(largeCommunityText)];
}

function withheldOf(half: ServicePlan[Protocol]): readonly Omit<Withheld, 'protocol' | 'by'>[] {
  if ('withheld' in half) return [half.withheld];
  return half.announced.flatMap((each) =>
    'refusal' in each && each.refusal !== undefined ? { prefix: each.prefix, ...each.refusal } : [],
  );
}

/** On a speaker: what is wrong with the addresses themselves is the same for both protocols. */
function addressRefusal({ ips, bgp }: ServicePlan): Refusal | undefined {
  return ips.length === 0 && 'withheld' in bgp ? bgp.withheld : undefined;
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
