// A peer as state, metrics and people see it: read from its state when asked, plain data, no secrets. Times are instants
// of the monotonic clock in ms; whoever shows them turns them into dates. Called by speaker.

import type { Family, Ip, Prefix } from '../net/address.ts';
import type { NoNeighbor } from '../net/neighbor.ts';
import type { Path } from './attribute.ts';
import type { BfdSays } from './bfd-client.ts';
import { describeCapabilities } from './capability.ts';
import { ownAs, REDUCED } from './handshake.ts';
import type { SessionState } from './peer.ts';
import { type Connection, connectionsOf, type LastError, type PeerState } from './peer-state.ts';
import { announcedRoutes, type Unadvertisable, unadvertisable } from './rib.ts';
import { remoteOf } from './unnumbered.ts';
import type { Route } from './update.ts';

export interface PeerView {
  readonly name: string;
  /** Undefined: the neighbor of its interface is not known yet. */
  readonly address: Ip | undefined;
  /** Where it is named by that. */
  readonly interface: string | undefined;
  /** Why it is not dialled: the neighbor is not known. */
  readonly waitsFor: NoNeighbor | undefined;
  readonly port: number;
  /** The VRF or link that the session is bound to. */
  readonly device: string | undefined;
  readonly state: SessionState;
  /** Of the state. */
  readonly since: number;
  readonly lastError: LastError | undefined;
  /** Undefined while there is no open connection. */
  readonly local: { readonly address: Ip; readonly as: number; readonly routerId: Ip | undefined } | undefined;
  readonly remote: { readonly as: number; readonly routerId: Ip; readonly capabilities: readonly string[] } | undefined;
  /** Negotiated on the session, else as configured. */
  readonly holdTimeMs: number;
  readonly families: readonly Family[];
  readonly warnings: readonly string[];
  /** What the peer was really told, in order. */
  readonly announced: readonly { readonly prefix: Prefix; readonly path: Path }[];
  readonly unadvertisable: readonly Unadvertisable[];
  /** Undefined: without BFD. `strict`: both sides want it to be up first; `waits`: and a connection waits for that. */
  readonly bfd: { readonly says: BfdSays['is']; readonly strict: boolean; readonly waits: boolean } | undefined;
  /** What the peer told us, where it is kept; sorted by nothing but arrival. */
  readonly routes: readonly Route[] | undefined;
  readonly counters: PeerCounters;
}

export interface PeerCounters {
  /** By message type; since this process knows the peer. */
  readonly sent: Readonly<Record<string, number>>;
  readonly received: Readonly<Record<string, number>>;
  /** Routes of the peer by family, on this session. */
  readonly learned: Readonly<Record<Family, number>>;
  /** Malformed UPDATEs by rule. */
  readonly faults: Readonly<Record<string, number>>;
  /** Prefixes that the peer was told and that wait to be told. */
  readonly announced: number;
  readonly wanted: number;
  readonly inFlight: number;
}

/** Without `tables` the lists of routes are empty: what metrics need, at the cost of a few numbers. */
export function viewPeer(peer: PeerState, tables: boolean): PeerView {
  const { config } = peer;
  const connection = connectionsOf(peer).find(({ theirs }) => theirs !== undefined) ?? connectionsOf(peer)[0];
  const session = peer.session?.session;
  const { ends, ours, theirs } = connection ?? {};
  return {
    name: config.name,
    address: remoteOf(peer),
    interface: config.interface,
    waitsFor: waitsFor(peer),
    port: config.port,
    device: config.device,
    state: peer.state,
    since: peer.since,
    lastError: peer.lastError,
    local: ends && { address: ends.local.address, as: ownAs(config), routerId: ours?.routerId },
    remote: theirs && {
      as: theirs.as,
      routerId: theirs.routerId,
      capabilities: describeCapabilities(theirs.capabilities),
    },
    holdTimeMs: session?.holdTimeMs ?? config.holdTimeMs,
    families: session?.families ?? config.families,
    warnings: [...config.warnings, ...warningsOf(peer)],
    announced: tables && session !== undefined ? announcedRoutes(session.rib) : [],
    unadvertisable: tables && session !== undefined ? unadvertisable(session.rib) : [],
    bfd: config.bfd === true ? bfdOf(peer, connection) : undefined,
    routes: config.keep ? (tables ? [...(session?.learned.table?.values() ?? [])] : []) : undefined,
    counters: countersOf(peer),
  };
}

function waitsFor(peer: PeerState): NoNeighbor | undefined {
  const { config, neighbor } = peer;
  if (config.interface === undefined || remoteOf(peer) !== undefined) return undefined;
  return neighbor?.is === 'unknown' ? neighbor.because : 'noNeighborYet';
}

function bfdOf({ bfd }: PeerState, connection: Connection | undefined): PeerView['bfd'] {
  const { fsm, negotiated } = connection ?? {};
  const waits = fsm?.is === 'OpenSent' && fsm.pending !== undefined;
  return { says: bfd.says.is, strict: negotiated?.bfdStrict ?? false, waits };
}

function warningsOf({ session, offer }: PeerState): readonly string[] {
  const reduced = REDUCED[offer];
  return [...(reduced === undefined ? [] : [reduced]), ...(session?.session?.warned.values() ?? [])];
}

function countersOf(peer: PeerState): PeerCounters {
  const session = peer.session?.session;
  return {
    sent: Object.fromEntries(peer.messages.sent),
    received: Object.fromEntries(peer.messages.received),
    learned: { ipv4: session?.learned.counts.ipv4 ?? 0, ipv6: session?.learned.counts.ipv6 ?? 0 },
    faults: Object.fromEntries(peer.faults),
    announced: session?.rib.said.size ?? 0,
    wanted: peer.wanted.size,
    inFlight: peer.session?.inFlight ?? 0,
  };
}
