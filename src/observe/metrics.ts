// Every metric of configuration, BGP and allocation in tables: name, labels, and how it is read from what the process holds at the moment of a scrape.
// Names and labels are MetalLB's where MetalLB has them; ours begin with `fairway_`. io/metrics serves the table.

import type { PeerView } from '../bgp/view.ts';
import type { LinksView } from '../links/view.ts';
import type { Allocation, Allocations } from '../plan/allocate.ts';
import type { Plan } from '../plan/plan.ts';
import { BFD_METRICS } from './bfd-metrics.ts';
import { LAYER2_METRICS, type Layer2Observed } from './layer2-metrics.ts';
import { peerLabel } from './log.ts';
import { PACKET_METRICS } from './packet-metrics.ts';

/** What every process that follows a configuration has. */
export interface ConfigurationObserved {
  /** Undefined: none is followed. */
  readonly configuration: { readonly loaded: boolean; readonly stale: boolean } | undefined;
  /** What only a history can tell. */
  readonly counts: { readonly updates: number; readonly updateErrors: number };
}

export interface AllocatorObserved {
  readonly allocations: Allocations | undefined;
}

/** A node that announces. */
export interface Observed extends ConfigurationObserved {
  readonly node: string;
  readonly peers: readonly PeerView[];
  readonly plan: Plan | undefined;
  /** By address and port: why no connection can be accepted there, or nothing. */
  readonly listening: ReadonlyMap<string, string>;
  /** Prefixes that are held back because they flap. */
  readonly held: number;
  /** Of the packet thread; undefined while there is none. */
  readonly links: LinksView | undefined;
  /** The plan's Services with what layer 2 made of them; absent: layer 2 is not served. */
  readonly served?: Plan['services'] | undefined;
  /** `default`: the label vrf of a peer without one, as MetalLB's frr mode has it; undefined: no label. */
  readonly vrf?: 'default';
  readonly counts: ConfigurationObserved['counts'] & { readonly connectionsRefused: number };
}

export interface StandaloneObserved extends Observed, AllocatorObserved, Layer2Observed {
  readonly manifestFaults: number;
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Row<World> {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly labels: readonly string[];
  readonly help: string;
  readonly read: (seen: World) => readonly Sample[];
}

const one = (value: number): readonly Sample[] => [{ labels: {}, value }];

type Kind = Row<unknown>['type'];

function labelsOf(peer: PeerView, { vrf: otherwise }: Observed): Sample['labels'] {
  const vrf = peer.device ?? otherwise;
  return { peer: peerLabel(peer), ...(vrf !== undefined && { vrf }) };
}

function ofPeers(name: string, type: Kind, help: string, value: (peer: PeerView) => number): Row<Observed> {
  const read = (seen: Observed) => seen.peers.map((peer) => ({ labels: labelsOf(peer, seen), value: value(peer) }));
  return { name: `metallb_bgp_${name}`, type, labels: ['peer', 'vrf'], help, read };
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

type PoolCount = Allocations['pools'] extends ReadonlyMap<string, infer P> ? P : never;

function ofPools(name: string, help: string, value: (pool: PoolCount) => bigint): Row<AllocatorObserved> {
  const read = ({ allocations }: AllocatorObserved) =>
    [...(allocations?.pools ?? [])].map(([pool, counters]) => ({ labels: { pool }, value: Number(value(counters)) }));
  return { name: `metallb_allocator_${name}`, type: 'gauge', labels: ['pool'], help, read };
}

export const BGP_METRICS: readonly Row<Observed>[] = [
  ofPeers('session_up', 'gauge', 'BGP session state (1 is up, 0 is down)', ({ state }) =>
    Number(state === 'Established'),
  ),
  ofPeers('announced_prefixes_total', 'gauge', 'Prefixes that the peer was told', ({ counters }) => counters.announced),
  ofPeers(
    'pending_prefixes_total',
    'gauge',
    'Prefixes that the peer should be told',
    ({ counters }) => counters.wanted,
  ),
  ofPeers('received_prefixes_total', 'gauge', 'Prefixes that the peer announces', ({ counters }) =>
    sum(counters.learned),
  ),
  ofPeers('updates_total', 'counter', 'UPDATE messages sent', ({ counters }) => counters.sent['UPDATE'] ?? 0),
  ofPeers(
    'updates_total_received',
    'counter',
    'UPDATE messages received',
    ({ counters }) => counters.received['UPDATE'] ?? 0,
  ),
  ofPeers('opens_sent', 'counter', 'OPEN messages sent', ({ counters }) => counters.sent['OPEN'] ?? 0),
  ofPeers('opens_received', 'counter', 'OPEN messages received', ({ counters }) => counters.received['OPEN'] ?? 0),
  ofPeers(
    'notifications_sent',
    'counter',
    'NOTIFICATION messages sent',
    ({ counters }) => counters.sent['NOTIFICATION'] ?? 0,
  ),
  ofPeers('keepalives_sent', 'counter', 'KEEPALIVE messages sent', ({ counters }) => counters.sent['KEEPALIVE'] ?? 0),
  ofPeers(
    'keepalives_received',
    'counter',
    'KEEPALIVE messages received',
    ({ counters }) => counters.received['KEEPALIVE'] ?? 0,
  ),
  ofPeers(
    'route_refresh_sent',
    'counter',
    'ROUTE-REFRESH messages sent',
    ({ counters }) => counters.sent['ROUTE-REFRESH'] ?? 0,
  ),
  ofPeers('total_sent', 'counter', 'BGP messages sent', ({ counters }) => sum(counters.sent)),
  ofPeers('total_received', 'counter', 'BGP messages received', ({ counters }) => sum(counters.received)),
  {
    name: 'metallb_speaker_announced',
    type: 'gauge',
    labels: ['service', 'protocol', 'node', 'ip'],
    help: 'Addresses that this node announces',
    read: ({ plan, served, node }) =>
      [...(served ?? plan?.services ?? [])].flatMap(([service, { ips, bgp, layer2 }]) => [
        ...('announced' in bgp ? ips.map((ip) => announcedBy({ service, protocol: 'bgp', node, ip })) : []),
        ...(served !== undefined && 'announced' in layer2
          ? layer2.announced.map(({ ip }) => announcedBy({ service, protocol: 'layer2', node, ip }))
          : []),
      ]),
  },
  {
    name: 'fairway_bgp_malformed_updates_total',
    type: 'counter',
    labels: ['peer', 'vrf', 'rule'],
    help: 'UPDATE messages that broke a rule (RFC 7606)',
    read: (seen) =>
      seen.peers.flatMap((peer) =>
        Object.entries(peer.counters.faults).map(([rule, value]) => ({
          labels: { ...labelsOf(peer, seen), rule },
          value,
        })),
      ),
  },
  {
    name: 'fairway_bgp_last_error',
    type: 'gauge',
    labels: ['peer', 'vrf', 'code'],
    help: '1 for the latest error of a peer without session: code/subcode of a NOTIFICATION or the name of a system error',
    read: (seen) =>
      seen.peers.flatMap((peer) =>
        peer.lastError === undefined || peer.state === 'Established'
          ? []
          : [{ labels: { ...labelsOf(peer, seen), code: peer.lastError.code }, value: 1 }],
      ),
  },
  {
    name: 'fairway_bgp_peer_warnings',
    type: 'gauge',
    labels: ['peer', 'vrf'],
    help: 'Fields of a peer that have no effect yet, and rules that it broke on this session',
    read: (seen) => seen.peers.map((peer) => ({ labels: labelsOf(peer, seen), value: peer.warnings.length })),
  },
  {
    name: 'fairway_bgp_unserved_peers',
    type: 'gauge',
    labels: ['reason'],
    help: 'Peers of this node that are not served',
    read: ({ plan, peers }) => {
      const waiting = peers.flatMap(({ waitsFor }) => (waitsFor === undefined ? [] : [{ because: waitsFor }]));
      return countBy([...(plan?.notServed ?? []), ...waiting], ({ because }) => because, 'reason');
    },
  },
  {
    name: 'fairway_bgp_listening',
    type: 'gauge',
    labels: ['address'],
    help: '1 where BGP connections are accepted, 0 where that fails',
    read: ({ listening }) =>
      [...listening].map(([address, error]) => ({ labels: { address }, value: Number(error === '') })),
  },
  {
    name: 'fairway_connections_refused_total',
    type: 'counter',
    labels: [],
    help: 'BGP connections from addresses that are no peer',
    read: ({ counts }) => one(counts.connectionsRefused),
  },
  {
    name: 'fairway_bgp_held_prefixes',
    type: 'gauge',
    labels: [],
    help: 'Prefixes that are held back because they flap',
    read: ({ held }) => one(held),
  },
];

export const CONFIGURATION_METRICS: readonly Row<ConfigurationObserved>[] = [
  {
    name: 'metallb_k8s_client_updates_total',
    type: 'counter',
    labels: [],
    help: 'Changes that were processed',
    read: ({ counts }) => one(counts.updates),
  },
  {
    name: 'metallb_k8s_client_update_errors_total',
    type: 'counter',
    labels: [],
    help: 'Changes whose configuration was refused',
    read: ({ counts }) => one(counts.updateErrors),
  },
  {
    name: 'metallb_k8s_client_config_loaded_bool',
    type: 'gauge',
    labels: [],
    help: '1 once a configuration was accepted',
    read: ({ configuration }) => (configuration ? one(Number(configuration.loaded)) : []),
  },
  {
    name: 'metallb_k8s_client_config_stale_bool',
    type: 'gauge',
    labels: [],
    help: '1 while the latest configuration is refused',
    read: ({ configuration }) => (configuration ? one(Number(configuration.stale)) : []),
  },
];

export const ALLOCATOR_METRICS: readonly Row<AllocatorObserved>[] = [
  ofPools('addresses_total', 'Usable addresses', ({ total }) => total.both),
  ofPools('ipv4_addresses_total', 'Usable IPv4 addresses', ({ total }) => total.ipv4),
  ofPools('ipv6_addresses_total', 'Usable IPv6 addresses', ({ total }) => total.ipv6),
  ofPools('addresses_in_use_total', 'Addresses in use', ({ assigned }) => assigned.ipv4 + assigned.ipv6),
  ofPools('ipv4_addresses_in_use_total', 'IPv4 addresses in use', ({ assigned }) => assigned.ipv4),
  ofPools('ipv6_addresses_in_use_total', 'IPv6 addresses in use', ({ assigned }) => assigned.ipv6),
  {
    name: 'fairway_services_without_address',
    type: 'gauge',
    labels: ['reason'],
    help: 'Services that should have an address and have none',
    read: ({ allocations }) =>
      countBy([...(allocations?.services.values() ?? [])].filter(isRefused), ({ refusal }) => refusal.reason, 'reason'),
  },
];

/** All of a process that is the whole cluster. */
export const STANDALONE_METRICS: readonly Row<StandaloneObserved>[] = [
  ...BGP_METRICS,
  ...BFD_METRICS,
  ...LAYER2_METRICS,
  ...PACKET_METRICS,
  ...CONFIGURATION_METRICS,
  ...ALLOCATOR_METRICS,
  {
    name: 'fairway_manifest_faults',
    type: 'gauge',
    labels: [],
    help: 'Files and objects that cannot be read at the moment',
    read: ({ manifestFaults }) => one(manifestFaults),
  },
];

function announcedBy(labels: Sample['labels']): Sample {
  return { labels, value: 1 };
}

function isRefused(
  allocation: Allocation,
): allocation is Allocation & { readonly refusal: NonNullable<Allocation['refusal']> } {
  return allocation.refusal !== undefined;
}

function countBy<T>(things: readonly T[], key: (thing: T) => string, label: string): readonly Sample[] {
  const counts = new Map<string, number>();
  for (const thing of things) counts.set(key(thing), (counts.get(key(thing)) ?? 0) + 1);
  return [...counts].map(([name, value]) => ({ labels: { [label]: name }, value }));
}
