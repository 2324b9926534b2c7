// BGPPeers of the configuration as sessions of one node: which of them it holds, with which defaults, and why not the
// others. Called by plan.

import type { PeerConfig } from '../bgp/peer.ts';
import type { Config, Peer } from '../config/config.ts';
import { matchesAny } from '../config/selector.ts';
import { type Family, familyOf, type Ip, inRange, ipFromBytes, rangeOfPrefix } from '../net/address.ts';
import type { Node, Surroundings } from './snapshot.ts';

const HOLD_TIME_MS = 90_000;
const KEEPALIVE_TIME_MS = 30_000;
/** RFC 4271 §10. */
const CONNECT_RETRY_MS = 120_000;

/** A peer of this node with which no session is held. */
export interface NotServed {
  readonly peer: string;
  readonly because: /** eBGP without multihop to an address that is on no subnet of the node, where FRR would not dial either. */
    | 'peerNotConnected'
    /** What MetalLB told frr-k8s still stands: two speakers would announce the same from one node. */
    | 'frrK8sStillAnnounces';
  readonly text: string;
}

/** The sessions that the node should hold, and the peers that it doesn't serve, each in the order of the configuration. */
export function peersOf(
  config: Config,
  node: Node,
  surroundings: Surroundings = {},
): { readonly peers: readonly PeerConfig[]; readonly notServed: readonly NotServed[] } {
  const mine = config.peers.filter(({ nodeSelectors }) => matchesAny(nodeSelectors, node.labels));
  const fallbackRouterId = routerIdOfName(node.name);
  const peers: PeerConfig[] = [];
  const notServed: NotServed[] = [];
  for (const peer of mine) {
    const refusal = refuse(peer, surroundings);
    if (refusal !== undefined) notServed.push({ peer: peer.name, ...refusal });
    else peers.push(sessionOf(peer, fallbackRouterId));
  }
  return { peers, notServed };
}

function refuse(peer: Peer, { connected, frrK8s }: Surroundings): Omit<NotServed, 'peer'> | undefined {
  const { address } = peer;
  if (frrK8s !== undefined) {
    const text = `frr-k8s still announces for MetalLB from this node; to hand over: ${frrK8s}`;
    return { because: 'frrK8sStillAnnounces', text };
  }
  if (connected === undefined || address === undefined || !mustBeConnected(peer, address)) return undefined;
  if (connected.some((subnet) => inRange(address, rangeOfPrefix(subnet)))) return undefined;
  const text = `${address} is on no subnet of this node: an eBGP session to it needs ebgpMultiHop`;
  return { because: 'peerNotConnected', text };
}

/** FRR's rule: eBGP over one hop, and IPv4, for MetalLB has the check disabled with IPv6. More hops are as good as multihop. */
function mustBeConnected({ remote, myAsn, ebgpMultiHop, ttlSecurity }: Peer, address: Ip): boolean {
  const external = remote !== 'internal' && remote !== myAsn;
  return external && !ebgpMultiHop && (ttlSecurity ?? 1) === 1 && familyOf(address) === 'ipv4';
}

/** CRC-32 (IEEE) of the name, written little-endian: what MetalLB falls back to where no IPv4 address is known. */
export function routerIdOfName(name: string): Ip {
  const crc = crc32(Buffer.from(name));
  return ipFromBytes(Uint8Array.of(crc, crc >>> 8, crc >>> 16, crc >>> 24));
}

function sessionOf(peer: Peer, fallbackRouterId: Ip): PeerConfig {
  const {
    address,
    interface: link,
    bfdProfile,
    routerId,
    source,
    vrf,
    password,
    ttlSecurity,
    prefixLimit,
    localAsn,
  } = peer;
  const families: readonly Family[] = address === undefined || peer.dualStack ? ['ipv4', 'ipv6'] : [familyOf(address)];
  return {
    name: peer.name,
    ...(address !== undefined && { address }),
    ...(link !== undefined && { interface: link }),
    port: peer.port,
    localAs: peer.myAsn,
    remoteAs: peer.remote,
    fallbackRouterId,
    ...timesOf(peer),
    connectRetryMs: peer.connectTimeMs ?? CONNECT_RETRY_MS,
    families,
    ebgpMultiHop: peer.ebgpMultiHop,
    gracefulRestart: peer.gracefulRestart,
    passive: false,
    keep: false,
    warnings: [],
    ...(bfdProfile !== undefined && { bfd: true }),
    ...(localAsn !== undefined && { shownAs: localAsn }),
    ...(routerId !== undefined && { routerId }),
    ...(source !== undefined && { source }),
    ...(vrf !== undefined && { device: vrf }),
    ...(password !== undefined && { md5: password }),
    ...(ttlSecurity !== undefined && { ttlSecurity }),
    ...(prefixLimit !== undefined && { prefixLimit }),
  };
}

/** Neither given: the defaults of every mode. One given: the other follows as a third of it or three times it. */
function timesOf({ holdTimeMs: hold, keepaliveTimeMs: keepalive }: Peer): {
  readonly holdTimeMs: number;
  readonly keepaliveTimeMs: number;
} {
  if (hold === undefined && keepalive === undefined)
    return { holdTimeMs: HOLD_TIME_MS, keepaliveTimeMs: KEEPALIVE_TIME_MS };
  const holdTimeMs = hold ?? (keepalive ?? 0) * 3;
  return { holdTimeMs, keepaliveTimeMs: keepalive ?? holdTimeMs / 3 };
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}
