// What one mode of METALLB_BGP_TYPE refuses beyond the rules of single objects: native knows fewer fields; in the FRR modes
// the peers of a node share one BGP instance. Called by parseConfig before anything is parsed, and by the webhooks.

import { familyOf, parseIp } from '../net/address.ts';
import { selectPools } from './advertisement.ts';
import { parseCommunity } from './community.ts';
import { attempt, quoted } from './invalid.ts';
import { parseAddresses } from './pool.ts';
import type { BGPPeerResource, BgpType, Invalid, IPAddressPool, Labelled, Resources } from './resource.ts';
import { compileSelector, matchesAny, type Selector } from './selector.ts';

/** What this mode refuses, in the order in which it is told. */
export function modeCheck(bgpType: BgpType, resources: Resources): readonly Invalid[] {
  return bgpType === 'native' ? nativeCheck(resources) : frrCheck(resources);
}

/** What native mode has no means for, in MetalLB's order. */
export function nativeCheck(resources: Resources): readonly Invalid[] {
  return [
    ...resources.peers.flatMap(nativePeer),
    ...resources.bfdProfiles
      .slice(0, 1)
      .map(({ name }) => ({ rule: 'native', message: 'bfd profiles section set', kind: 'BFDProfile', name })),
    ...nativePools(resources),
    ...nativeCommunities(resources),
  ];
}

function nativePeer(peer: BGPPeerResource): readonly Invalid[] {
  const fields: readonly (readonly [isSet: boolean, words: string, field: string])[] = [
    [peer.bfdProfile !== '', 'bfd-profile', 'bfdProfile'],
    [(peer.keepaliveTimeMs ?? 0) !== 0, 'keepalive-time', 'keepaliveTime'],
    [peer.vrf !== '', 'vrf', 'vrf'],
    [peer.connectTimeMs !== undefined, 'connect time', 'connectTime'],
    [peer.enableGracefulRestart, 'EnableGracefulRestart flag', 'enableGracefulRestart'],
    [peer.disableMP, 'disable MP flag', 'disableMP'],
    [peer.dualStackAddressFamily, 'dualstackaddressfamily flag', 'dualStackAddressFamily'],
    [peer.dynamicASN !== '', 'dynamicASN', 'dynamicASN'],
    [peer.interface !== '', 'interface', 'interface'],
    [peer.localASN !== undefined, 'localASN', 'localASN'],
  ];
  return fields
    .filter(([isSet]) => isSet)
    .map(([, words, field]) => ({
      rule: 'native',
      message: `peer ${peer.peerAddress} has ${words} set on native bgp mode`,
      kind: 'BGPPeer',
      name: peer.name,
      field: `spec.${field}`,
    }));
}

function nativePools({ pools, bgpAdvertisements }: Resources): readonly Invalid[] {
  const announced = new Set<string>();
  for (const advertisement of bgpAdvertisements) {
    const selected = attempt(() => selectPools(advertisement, pools));
    // a broken selector is the parser's to refuse
    if ('value' in selected) for (const name of selected.value) announced.add(name);
  }
  return pools.filter(({ name }) => announced.has(name)).flatMap(nativePool);
}

function nativePool({ name, addresses }: IPAddressPool): readonly Invalid[] {
  return addresses.flatMap((entry, i) => {
    const parsed = attempt(() => parseAddresses(entry));
    const at = { kind: 'IPAddressPool', name, field: `spec.addresses[${i}]` };
    if ('invalid' in parsed) {
      const { rule, message } = parsed.invalid;
      return [{ rule, message: `invalid CIDR ${quoted(entry)} in pool ${quoted(name)}: ${message}`, ...at }];
    }
    const v6 = parsed.value.find((cidr) => familyOf(cidr) === 'ipv6');
    if (v6 === undefined) return [];
    const message = `pool ${quoted(name)} has ipv6 CIDR ${v6}, native bgp mode does not support ipv6`;
    return [{ rule: 'native', message, ...at }];
  });
}

function nativeCommunities({ bgpAdvertisements, communities }: Resources): readonly Invalid[] {
  const words = 'native BGP mode only supports legacy communities,';
  return [
    ...bgpAdvertisements.flatMap((advertisement) =>
      advertisement.communities.flatMap((text, i) => {
        if (!isLarge(text)) return [];
        const message = `${words} BGP advertisement ${quoted(advertisement.name)} has non legacy community ${quoted(text)}`;
        const field = `spec.communities[${i}]`;
        return [{ rule: 'native', message, kind: 'BGPAdvertisement', name: advertisement.name, field }];
      }),
    ),
    ...communities.flatMap((resource) =>
      resource.communities.flatMap(({ name, value }, i) => {
        if (!isLarge(value)) return [];
        const alias = `{${quoted(name)} ${quoted(value)}}`;
        const message = `${words} BGP community CR ${quoted(resource.name)} has non legacy community ${alias}`;
        const field = `spec.communities[${i}].value`;
        return [{ rule: 'native', message, kind: 'Community', name: resource.name, field }];
      }),
    ),
  ];
}

/** What cannot be parsed is an alias, or the parser's to refuse. */
function isLarge(text: string): boolean {
  const parsed = attempt(() => parseCommunity(text));
  return 'value' in parsed && parsed.value.is === 'large';
}

/** The pairs of peers that may meet on a node and cannot be in one BGP instance, the later peer's faults by its place. */
export function frrCheck({ peers, nodes }: Resources): readonly Invalid[] {
  const clashes = new Map<string, Clash>();
  for (const group of groupByNode(peers, nodes)) {
    for (const clash of clashesAmong(peers, group)) {
      const key = `${clash.later} ${clash.rule}`;
      const known = clashes.get(key);
      if (known === undefined || clash.earlier < known.earlier) clashes.set(key, clash);
    }
  }
  return [...clashes.values()]
    .sort((a, b) => a.later - b.later || a.earlier - b.earlier || RULES.indexOf(a.rule) - RULES.indexOf(b.rule))
    .flatMap((clash) => clashText(peers[clash.later], peers[clash.earlier], clash.rule));
}

const RULES = ['router-id', 'duplicate-peer', 'my-asn'] as const;

interface Clash {
  /** Places in the list of peers. */
  readonly later: number;
  readonly earlier: number;
  readonly rule: (typeof RULES)[number];
}

/** For every node the places of the peers that run there; without Nodes all may meet. */
function groupByNode(peers: readonly BGPPeerResource[], nodes: readonly Labelled[]): readonly (readonly number[])[] {
  const all = peers.map((_, i) => i);
  if (nodes.length === 0) return [all];
  const selectors = peers.map(selectorsOf);
  return nodes.map(({ labels }) => all.filter((i) => matchesAny(selectors[i] ?? [], labels)));
}

/** A broken selector is the parser's to refuse: until then it may match anything. */
export function selectorsOf({ nodeSelectors }: Pick<BGPPeerResource, 'nodeSelectors'>): readonly Selector[] {
  const compiled = attempt(() => nodeSelectors.map((selector) => compileSelector(selector)));
  return 'value' in compiled ? compiled.value : [];
}

/** Each peer of one node against the first before it that it clashes with. */
function clashesAmong(peers: readonly BGPPeerResource[], group: readonly number[]): readonly Clash[] {
  const clashes: Clash[] = [];
  const byIdentity = new Map<string, number>();
  const byVrf = new Map<string, number>();
  const [first] = group;
  for (const later of group) {
    const peer = peers[later];
    const leader = first === undefined ? undefined : peers[first];
    if (peer === undefined || leader === undefined || first === undefined) continue;
    if (peer.routerID !== leader.routerID) clashes.push({ later, earlier: first, rule: 'router-id' });
    const twin = byIdentity.get(identity(peer));
    if (twin === undefined) byIdentity.set(identity(peer), later);
    else clashes.push({ later, earlier: twin, rule: 'duplicate-peer' });
    const sameVrf = byVrf.get(peer.vrf);
    if (sameVrf === undefined) byVrf.set(peer.vrf, later);
    else if (peers[sameVrf]?.myASN !== peer.myASN) clashes.push({ later, earlier: sameVrf, rule: 'my-asn' });
  }
  return clashes;
}

function clashText(
  later: BGPPeerResource | undefined,
  earlier: BGPPeerResource | undefined,
  rule: Clash['rule'],
): readonly Invalid[] {
  if (later === undefined || earlier === undefined) return [];
  const texts: Readonly<Record<Clash['rule'], readonly [message: string, field: string]>> = {
    'router-id': [
      `peer ${later.routerID} has RouterID different from ${earlier.routerID}, in FRR mode peers selecting the same node must all have the same RouterID`,
      'spec.routerID',
    ],
    'duplicate-peer': [
      `peer ${identifier(later)} already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node`,
      later.peerAddress === '' ? 'spec.interface' : 'spec.peerAddress',
    ],
    'my-asn': [
      `peer ${identifier(later)} has myAsn different from ${identifier(earlier)}, in FRR mode peers selecting the same node must have the same myAsn within the same VRF`,
      'spec.myASN',
    ],
  };
  const [message, field] = texts[rule];
  return [{ rule, message, kind: 'BGPPeer', name: later.name, field }];
}

/** Address or link, and VRF, as MetalLB prints them. */
function identifier({ peerAddress, interface: link, vrf }: BGPPeerResource): string {
  return `${peerAddress === '' ? link : peerAddress}${vrf === '' ? '' : `-${vrf}`}`;
}

/** As `identifier`, with one text for one address. */
function identity(peer: BGPPeerResource): string {
  return identifier({ ...peer, peerAddress: parseIp(peer.peerAddress) ?? peer.peerAddress });
}
