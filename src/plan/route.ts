// From grants of all Services to what each session carries: which prefixes, with which attributes. A prefix that several
// Services or advertisements give is announced once, with what they give together. Sessions that are told the same share
// one map; it is made anew only when something in it changed. Called by plan.

import type { PeerConfig } from '../bgp/peer.ts';
import type { RouteAttributes, Wanted } from '../bgp/rib.ts';
import { compareCommunities } from '../config/community.ts';
import type { BgpAdvertisement, Community } from '../config/config.ts';
import { type Family, familyOf, type Prefix } from '../net/address.ts';
import type { Grant } from './advertise.ts';

/** All sessions for which the same advertisements and families count. */
interface View {
  readonly families: readonly Family[];
  /** Name of one of the sessions. */
  readonly peer: string;
  wanted: Wanted;
}

interface Share {
  readonly advertisement: BgpAdvertisement;
  /** How many grants: Services in one aggregate, or on one address. */
  count: number;
}

export interface Routes {
  readonly peers: readonly PeerConfig[];
  readonly views: ReadonlyMap<string, View>;
  readonly shares: Map<Prefix, Share[]>;
  /** Prefixes whose shares changed since `settle`; undefined before the first: all. */
  touched: Set<Prefix> | undefined;
  /** By key: equal attributes are one object. */
  readonly attributes: Map<string, RouteAttributes>;
  /** What one advertisement alone gives, which is what most prefixes have. */
  readonly alone: Map<BgpAdvertisement, RouteAttributes>;
  /** Names of the sessions that carry prefixes of a family given by an advertisement. */
  readonly reach: Map<BgpAdvertisement, Readonly<Record<Family, readonly string[]>>>;
}

/** No routes yet for these sessions; `known` are attributes that were used before, to be used again. */
export function createRoutes(
  peers: readonly PeerConfig[],
  advertisements: readonly BgpAdvertisement[],
  known: ReadonlyMap<string, RouteAttributes>,
): Routes {
  const selective = [...new Set(advertisements)].filter((advertisement) => advertisement.peers.length > 0);
  const byKey = new Map<string, View>();
  const views = new Map(
    peers.map(({ name, families }) => {
      const key = JSON.stringify([families, selective.map((advertisement) => admits(advertisement, name))]);
      const view = byKey.get(key) ?? { families, peer: name, wanted: new Map() };
      byKey.set(key, view);
      return [name, view];
    }),
  );
  return {
    ...{ peers, views, shares: new Map(), touched: undefined },
    ...{ attributes: new Map(known), alone: new Map(), reach: new Map() },
  };
}

export function addGrant({ shares, touched }: Routes, { prefix, advertisement }: Grant): void {
  const list = shares.get(prefix);
  const share = list?.find((each) => each.advertisement === advertisement);
  if (share !== undefined) {
    share.count++;
    return;
  }
  touched?.add(prefix);
  if (list === undefined) shares.set(prefix, [{ advertisement, count: 1 }]);
  else list.push({ advertisement, count: 1 });
}

export function removeGrant({ shares, touched }: Routes, { prefix, advertisement }: Grant): void {
  const list = shares.get(prefix) ?? [];
  const at = list.findIndex((each) => each.advertisement === advertisement);
  const share = list[at];
  if (share === undefined) return;
  share.count--;
  if (share.count > 0) return;
  touched?.add(prefix);
  list.splice(at, 1);
  if (list.length === 0) shares.delete(prefix);
}

/** Brings what the sessions carry up to date with the grants. False: nothing changed for any of them. */
export function settle(routes: Routes): boolean {
  let changed = false;
  for (const view of new Set(routes.views.values())) {
    let next: Map<Prefix, RouteAttributes> | undefined;
    for (const prefix of routes.touched ?? routes.shares.keys()) {
      const attributes = attributesOn(routes, view, prefix);
      if (attributes === view.wanted.get(prefix)) continue;
      next ??= new Map(view.wanted);
      if (attributes === undefined) next.delete(prefix);
      else next.set(prefix, attributes);
    }
    if (next === undefined) continue;
    view.wanted = next;
    changed = true;
  }
  routes.touched = new Set();
  return changed;
}

/** The sessions that an advertisement reaches with a prefix of this family, in the order of the configuration. */
export function reachOf(routes: Routes, advertisement: BgpAdvertisement, family: Family): readonly string[] {
  let reach = routes.reach.get(advertisement);
  if (reach === undefined) {
    const admitted = routes.peers.filter(({ name }) => admits(advertisement, name));
    const of = (each: Family): readonly string[] =>
      admitted.filter(({ families }) => families.includes(each)).map(({ name }) => name);
    reach = { ipv4: of('ipv4'), ipv6: of('ipv6') };
    routes.reach.set(advertisement, reach);
  }
  return reach[family];
}

export function admits({ peers }: BgpAdvertisement, peer: string): boolean {
  return peers.length === 0 || peers.includes(peer);
}

/** What one prefix looks like on the sessions of a view; undefined: it is not told. */
function attributesOn(routes: Routes, view: View, prefix: Prefix): RouteAttributes | undefined {
  if (!view.families.includes(familyOf(prefix))) return undefined;
  const given: BgpAdvertisement[] = [];
  for (const { advertisement } of routes.shares.get(prefix) ?? [])
    if (admits(advertisement, view.peer)) given.push(advertisement);
  const [first, second] = given;
  if (first === undefined || second !== undefined) return first && merge(routes, given);
  const attributes = routes.alone.get(first) ?? merge(routes, given);
  routes.alone.set(first, attributes);
  return attributes;
}

/** The union of communities, and the local preference of the first by name that sets one. */
function merge(routes: Routes, given: readonly BgpAdvertisement[]): RouteAttributes {
  const byName = given.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const localPref = byName.find((advertisement) => advertisement.localPref !== 0)?.localPref;
  const communities = byName.flatMap((advertisement) => advertisement.communities).sort(compareCommunities);
  const key = JSON.stringify([localPref ?? 0, ...new Set(communities.map((each) => String(each.value)))]);
  const known = routes.attributes.get(key);
  if (known !== undefined) return known;
  const attributes = { key, ...ofKinds(communities), ...(localPref !== undefined && { localPref }) };
  routes.attributes.set(key, attributes);
  return attributes;
}

function ofKinds(sorted: readonly Community[]): Omit<RouteAttributes, 'key'> {
  const unique = sorted.filter((each, at) => {
    const before = sorted[at - 1];
    return before === undefined || compareCommunities(before, each) !== 0;
  });
  return {
    communities: unique.flatMap((each) => (each.is === 'standard' ? [each.value] : [])),
    extendedCommunities: [],
    largeCommunities: unique.flatMap((each) => (each.is === 'large' ? [each.value] : [])),
  };
}
