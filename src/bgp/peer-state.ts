// What a peer remembers: its connections, its session, what it is to be told, its back-off. Changed in place by peer,
// connection and receive; read by view.

import type { Family, Ip } from '../net/address.ts';
import type { ConnectionId } from '../net/io.ts';
import { OFF, type Tick } from '../net/machine.ts';
import type { Neighbor } from '../net/neighbor.ts';
import type { Backoff } from './backoff.ts';
import type { BfdSays } from './bfd-client.ts';
import { createFramer, type Framer } from './frame.ts';
import { type Fsm, IDLE } from './fsm-state.ts';
import type { Offer } from './handshake.ts';
import type { Learned } from './learned.ts';
import { BEFORE_OPEN, type Negotiated } from './negotiate.ts';
import type { Ends } from './next-hop.ts';
import type { Open } from './open.ts';
import type { PeerConfig, PeerEffect, SessionState } from './peer.ts';
import type { RibOut, Wanted } from './rib.ts';

export interface PeerState {
  config: PeerConfig;
  /** Of its interface, where it is named by that: as heard last, and as spoken to. */
  neighbor: Neighbor | undefined;
  adopted: Ip | undefined;
  /** Distinguishes connection ids of peers that had the same name one after the other. */
  readonly instance: number;
  /** Connections dialled so far. */
  dials: number;
  /** Ours: dialling, waiting to dial, or idle; never the one of the session. */
  outbound: Connection;
  /** The peer's, before it is established. */
  inbound: Connection | undefined;
  /** The established one, whoever dialled. */
  session: Connection | undefined;
  /** Closed by us, until the world says so. */
  readonly closing: Set<ConnectionId>;
  wanted: Wanted;
  readonly backoff: Backoff;
  bfd: BfdClient;
  /** Not dialled before this instant. */
  dialAt: number;
  /** A connection of the peer is refused before this instant, in IdleHold and while there is a session. */
  acceptAt: number;
  /** The peer has not had all our routes since this process started: the R bit (RFC 4724 §3). */
  restarted: boolean;
  offer: Offer;
  /** Connections closed for a collision since the last session: one is usual, more mean that none comes about. */
  collisions: number;
  /** Left for good: nothing is dialled or accepted any more. */
  left: boolean;
  state: SessionState;
  since: number;
  lastError: LastError | undefined;
  readonly messages: { readonly sent: Map<string, number>; readonly received: Map<string, number> };
  /** Malformed UPDATEs by rule, over all sessions. */
  readonly faults: Map<string, number>;
}

/** What a peer remembers of what BFD said. */
export interface BfdClient {
  readonly says: BfdSays;
  /** A session that has just come about is not ended before this instant: OFF, none is in doubt. */
  readonly doubtedUntil: number;
  /** Not dialled before this instant, unless the path is up again. */
  readonly waitsUntil: number;
}

export const WITHOUT_BFD: BfdClient = { says: { is: 'unknown' }, doubtedUntil: OFF, waitsUntil: -OFF };

export interface LastError {
  /** `6/2`, or errno's name. */
  readonly code: string;
  readonly text: string;
  readonly at: number;
}

/** One TCP connection, or the place for the next one. */
export interface Connection {
  readonly initiator: 'us' | 'peer';
  fsm: Fsm;
  /** Undefined: there is no TCP connection, open or dialled. */
  id: ConnectionId | undefined;
  /** Known once TCP is open. */
  ends: Ends | undefined;
  framer: Framer;
  ours: Open | undefined;
  theirs: Open | undefined;
  negotiated: Negotiated;
  /** Octets that the kernel has not taken yet, and when it must have taken some (RFC 9687). */
  inFlight: number;
  sendHoldAt: number;
  session: Session | undefined;
}

/** From Established on. */
export interface Session {
  readonly since: number;
  readonly families: readonly Family[];
  readonly holdTimeMs: number;
  readonly rib: RibOut;
  readonly learned: Learned;
  /** By rule: what was warned of, once a session. */
  readonly warned: Map<string, string>;
}

/** One step of a peer: what it changes, when, and what comes of it in order. */
export interface Turn {
  readonly peer: PeerState;
  readonly tick: Tick;
  readonly out: PeerEffect[];
}

/** A peer that does nothing yet; it dials with its first tick. */
export function createPeer(config: PeerConfig, instance: number, now: number): PeerState {
  return {
    config,
    neighbor: undefined,
    adopted: undefined,
    instance,
    dials: 0,
    outbound: createConnection('us'),
    inbound: undefined,
    session: undefined,
    closing: new Set(),
    wanted: new Map(),
    backoff: { connects: 0, sessions: 0 },
    bfd: WITHOUT_BFD,
    dialAt: now,
    acceptAt: now,
    restarted: true,
    offer: 'full',
    collisions: 0,
    left: false,
    state: 'Idle',
    since: now,
    lastError: undefined,
    messages: { sent: new Map(), received: new Map() },
    faults: new Map(),
  };
}

export function createConnection(initiator: 'us' | 'peer', fsm: Fsm = IDLE): Connection {
  return {
    initiator,
    fsm,
    id: undefined,
    ends: undefined,
    framer: createFramer(),
    ours: undefined,
    theirs: undefined,
    negotiated: BEFORE_OPEN,
    inFlight: 0,
    sendHoldAt: OFF,
    session: undefined,
  };
}

/** The TCP connection is gone, with all that belonged to it alone. */
export function forgetTcp(connection: Connection): void {
  const { initiator, fsm, session } = connection;
  Object.assign(connection, createConnection(initiator, fsm), { session });
}

/** It is dialled at once, as a peer that was never spoken to. */
export function startAnew(peer: PeerState, now: number): void {
  Object.assign(peer.backoff, { connects: 0, sessions: 0 });
  peer.offer = 'full';
  peer.dialAt = now;
}

/** All connections that are, or may be, in the world. */
export function connectionsOf({ session, inbound, outbound }: PeerState): readonly Connection[] {
  return [session, inbound, outbound].filter((connection) => connection !== undefined);
}
