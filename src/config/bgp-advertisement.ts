// BGPAdvertisement: its reader, its rules, and its attachment to pools with the two rules that look at a pool: aggregation
// must not be narrower than what the pool holds, and two advertisements must not disagree about LOCAL_PREF.

import { familyOf, prefixParts } from '../net/address.ts';
import { append, compileListed, readScope, refuseDuplicateScope, selectNodes, selectPools } from './advertisement.ts';
import { compareCommunities, parseCommunity } from './community.ts';
import type { BgpAdvertisement, Community } from './config.ts';
import type { Fields } from './fields.ts';
import { about, quoted, refuse, worded } from './invalid.ts';
import type { BarePool } from './pool.ts';
import type { BGPAdvertisementResource, IPAddressPool, Labelled } from './resource.ts';
import { refuseDuplicates } from './selector.ts';

const INT32_MAX = 0x7fffffff;

export function readBgpAdvertisement(name: string, spec: Fields): BGPAdvertisementResource {
  return {
    ...readScope(name, spec),
    aggregationLength: spec.integer('aggregationLength', { min: 1, max: INT32_MAX }, 32),
    aggregationLengthV6: spec.integer('aggregationLengthV6', { min: -0x80000000, max: INT32_MAX }, 128),
    localPref: spec.integer('localPref', { min: 0, max: INT32_MAX }) ?? 0,
    communities: spec.texts('communities'),
    peers: spec.texts('peers'),
  };
}

export interface BgpContext {
  readonly pools: readonly IPAddressPool[];
  readonly parsed: ReadonlyMap<string, BarePool>;
  readonly nodes: readonly Labelled[];
  readonly aliases: ReadonlyMap<string, Community>;
}

/** The advertisements of each pool, in the order given. */
export function attachBgp(
  resources: readonly BGPAdvertisementResource[],
  context: BgpContext,
): ReadonlyMap<string, readonly BgpAdvertisement[]> {
  refuseEqual(resources);
  const attached = new Map<string, BgpAdvertisement[]>();
  for (const resource of resources) {
    about('BGPAdvertisement', resource.name, () => {
      const advertisement = parseBgpAdvertisement(resource, context);
      for (const name of selectPools(resource, context.pools)) {
        const pool = context.parsed.get(name);
        if (pool === undefined) continue;
        refuseNarrow(advertisement, pool);
        refuseDisagreement(advertisement, attached.get(name) ?? [], pool);
        append(attached, name, advertisement);
      }
    });
  }
  return attached;
}

/** Two objects that are equal in all, the name included; their places are told from 1. */
function refuseEqual(resources: readonly BGPAdvertisementResource[]): void {
  const places = new Map<string, number[]>();
  for (const [i, resource] of resources.entries()) {
    const key = JSON.stringify(resource);
    places.set(key, [...(places.get(key) ?? []), i + 1]);
  }
  for (const [first, second] of places.values()) {
    if (first === undefined || second === undefined) continue;
    about('BGPAdvertisement', resources[second - 1]?.name ?? '', () =>
      refuse('duplicate', `duplicate definition of bgpadvertisements. advertisement ${first} and ${second} are equal`),
    );
  }
}

function parseBgpAdvertisement(resource: BGPAdvertisementResource, context: BgpContext): BgpAdvertisement {
  const { name, aggregationLength, aggregationLengthV6, localPref, communities, peers } = resource;
  refuseDuplicateScope(resource);
  refuseDuplicates(communities, 'community', 'spec.communities');
  refuseDuplicates(peers, 'peers', 'spec.peers');
  refuseLengths(resource);
  return {
    name,
    aggregationLength,
    aggregationLengthV6,
    localPref,
    communities: resolveCommunities(communities, context.aliases),
    nodes: selectNodes(resource, context.nodes),
    peers,
    serviceSelectors: compileListed(resource.serviceSelectors, 'spec.serviceSelectors'),
  };
}

function refuseLengths({ aggregationLength, aggregationLengthV6, serviceSelectors }: BGPAdvertisementResource): void {
  if (serviceSelectors.length > 0 && (aggregationLength !== 32 || aggregationLengthV6 !== 128)) {
    refuse(
      'aggregation',
      'serviceSelectors and aggregationLength are mutually exclusive, can only be used together with default aggregationLength (32) and aggregationLengthV6 (128)',
      'spec.serviceSelectors',
    );
  }
  if (aggregationLength < 0 || aggregationLength > 32) {
    refuse('aggregation', `invalid aggregation length ${aggregationLength} for IPv4`, 'spec.aggregationLength');
  }
  if (aggregationLengthV6 < 0 || aggregationLengthV6 > 128) {
    refuse('aggregation', `invalid aggregation length ${aggregationLengthV6} for IPv6`, 'spec.aggregationLengthV6');
  }
}

/** Sorted, each once: an alias and its value may both be listed. */
function resolveCommunities(texts: readonly string[], aliases: ReadonlyMap<string, Community>): readonly Community[] {
  const values = texts.map((text, i) => aliases.get(text) ?? literal(text, `spec.communities[${i}]`));
  const sorted = values.sort(compareCommunities);
  return sorted.filter((value, i) => {
    const previous = sorted[i - 1];
    return previous === undefined || compareCommunities(previous, value) !== 0;
  });
}

function literal(text: string, field: string): Community {
  return worded(
    (why) => `${why}\ninvalid community ${quoted(text)} in BGP advertisement`,
    () => parseCommunity(text, field),
  );
}

/** Of every entry of the pool its widest prefix must fit; a range may hold narrower ones beside it. */
function refuseNarrow({ aggregationLength, aggregationLengthV6 }: BgpAdvertisement, pool: BarePool): void {
  for (const { entry, cidrs } of pool.addresses) {
    const [first] = cidrs;
    if (first === undefined) continue;
    const limit = familyOf(first) === 'ipv4' ? aggregationLength : aggregationLengthV6;
    const widest = Math.min(...cidrs.map((cidr) => prefixParts(cidr).length));
    if (limit >= widest) continue;
    // MetalLB prints the IPv4 length for both families
    refuse(
      'aggregation',
      `invalid aggregation length ${aggregationLength}: prefix ${widest} in this pool is more specific than the aggregation length for addresses ${entry}`,
      familyOf(first) === 'ipv4' ? 'spec.aggregationLength' : 'spec.aggregationLengthV6',
    );
  }
}

function refuseDisagreement(wanted: BgpAdvertisement, attached: readonly BgpAdvertisement[], pool: BarePool): void {
  // those with service selectors are judged Service by Service, when they are announced
  if (wanted.serviceSelectors.length > 0) return;
  for (const other of attached) {
    if (other.serviceSelectors.length > 0 || !disagree(wanted, other, pool)) continue;
    refuse(
      'local-preference',
      `invalid local preference ${wanted.localPref}: local preferernce ${other.localPref} was already set for the same type of BGP update. Check existing BGP advertisements with common pools and aggregation lengths`,
      'spec.localPref',
    );
  }
}

/** The same update to the same peer from the same node with another LOCAL_PREF. Also asked when Services are announced. */
export function disagree(a: BgpAdvertisement, b: BgpAdvertisement, pool: BarePool): boolean {
  if (a.localPref === b.localPref || differInAggregation(a, b, pool)) return false;
  const peersMeet = a.peers.length === 0 || b.peers.length === 0 || a.peers.some((peer) => b.peers.includes(peer));
  return peersMeet && [...a.nodes].some((node) => b.nodes.has(node));
}

function differInAggregation(a: BgpAdvertisement, b: BgpAdvertisement, pool: BarePool): boolean {
  const families = new Set(pool.addresses.flatMap(({ cidrs }) => cidrs.map(familyOf)));
  const v4 = a.aggregationLength !== b.aggregationLength;
  const v6 = a.aggregationLengthV6 !== b.aggregationLengthV6;
  return (v4 || !families.has('ipv4')) && (v6 || !families.has('ipv6'));
}
