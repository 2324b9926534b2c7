// What one BFD session knows: the state variables of RFC 5880 §6.8.1, by its names where it has them. Plain data, changed by
// `session` and `pace` alone; `view` is what others may see of it.

import type { Timers } from '../net/machine.ts';
import { OFF } from '../net/machine.ts';
import type { Key } from './auth.ts';
import type { ControlPacket, DropReason, SessionState } from './packet.ts';

/** Unique within a node; chosen by the owner. */
export type SessionId = string;

/** What may change while the session runs, without a flap. */
export interface SessionParameters {
  /** 1-255. */
  readonly detectMult: number;
  /** bfd.DesiredMinTxInterval while Up. */
  readonly desiredMinTxMs: number;
  /** bfd.RequiredMinRxInterval. */
  readonly requiredMinRxMs: number;
  /** The pace while not Up: RFC 5880 §6.8.3 asks for 1000 at least; less only between ends that are both ours. */
  readonly slowTxMs: number;
  /** RFC 5880 §6.1: say nothing until the other side has spoken. */
  readonly passive: boolean;
  /** Lowest TTL that is accepted: 255 over a single hop (RFC 5881 §5). */
  readonly minTtl: number;
  /** The Echo function, single hop alone: how often we send, and how often at most the peer may. Absent: neither. */
  readonly echo?: { readonly transmitMs: number; readonly receiveMs: number };
  /** The first one signs, all of them are accepted; empty: no authentication. */
  readonly keys: readonly Key[];
  /**
   * Between ends that are both ours, and sign with a key for each direction between these two processes: what is accepted
   * instead of `keys`. A sequence number that was believed is not believed again, however long the silence, and none is too
   * far ahead.
   */
  readonly theirKeys?: readonly Key[];
}

/** What outlives a session that is made anew with the same `theirKeys`. */
export type Numbers = Pick<Session, 'sentSequence' | 'receivedSequence'>;

/** What the peer's last packet told. */
export interface Remote {
  /** 0: unknown. */
  readonly discriminator: number;
  readonly state: SessionState;
  readonly diagnostic: number;
  readonly detectMult: number;
  readonly desiredMinTxMs: number;
  readonly requiredMinRxMs: number;
  readonly requiredMinEchoRxMs: number;
  readonly demand: boolean;
  readonly controlPlaneIndependent: boolean;
}

export interface Intervals {
  /** bfd.DesiredMinTxInterval. */
  readonly txMs: number;
  /** bfd.RequiredMinRxInterval. */
  readonly rxMs: number;
}

export interface SessionCounters {
  readonly sent: number;
  /** Accepted ones; the others are in `drops`. */
  readonly received: number;
  readonly echoesSent: number;
  /** Of ours, come back. */
  readonly echoesReceived: number;
  readonly upEvents: number;
  /** From Up. */
  readonly downEvents: number;
  readonly drops: Readonly<Partial<Record<DropReason, number>>>;
}

export interface Session {
  readonly id: SessionId;
  /** bfd.LocalDiscr: unique on this node, never 0. */
  readonly localDiscriminator: number;
  parameters: SessionParameters;
  state: SessionState;
  /** RFC 5880 §6.2: kept in Down whatever the peer says. */
  held: boolean;
  /** bfd.LocalDiag. */
  diagnostic: number;
  /** When the present state was entered. */
  since: number;
  remote: Remote;
  /** In the packets we send. */
  advertised: Intervals;
  /** What we reckon with: differs from `advertised` until a Poll Sequence has told the peer (RFC 5880 §6.8.3). */
  inForce: Intervals;
  /** `settling`: the Final came; a packet without it must come before the next sequence (RFC 5880 §6.8.3). */
  poll: 'idle' | 'polling' | 'settling';
  /** bfd.RcvAuthSeq where bfd.AuthSeqKnown, else undefined. */
  receivedSequence: number | undefined;
  /** The sequence number of the packet sent last. */
  sentSequence: number;
  lastSent: Uint8Array | undefined;
  lastSentAt: number;
  lastHeardAt: number;
  /** Between periodic packets, before jitter; OFF: none are sent. */
  transmitIntervalMs: number;
  /** Tokens of the echoes that are under way, oldest first; the interval is OFF while none are sent. `proven`: one came back. */
  echo: { readonly intervalMs: number; readonly outstanding: readonly number[]; readonly proven: boolean };
  /** detect: one Detection Time of silence; forget: two; silence: an AdminDown session has said so for long enough. */
  timers: Timers<'transmit' | 'detect' | 'forget' | 'silence' | 'echoTransmit' | 'echoDetect'>;
  counters: SessionCounters;
}

/** RFC 5880 §6.8.1: the values before anything was heard. The required minimum is 1 µs. */
export const UNHEARD: Remote = {
  discriminator: 0,
  state: 'Down',
  diagnostic: 0,
  detectMult: 0,
  desiredMinTxMs: 0,
  requiredMinRxMs: 0.001,
  requiredMinEchoRxMs: 0,
  demand: false,
  controlPlaneIndependent: false,
};

/** AdminDown for a Detection Time or more: the peer has been told, the session may be dropped (RFC 5880 §6.8.16). */
export function isSilent(session: Session): boolean {
  return session.state === 'AdminDown' && session.timers.silence === OFF;
}

/** A packet that was believed, as what the peer told. */
export function toldBy(packet: ControlPacket): Remote {
  return {
    discriminator: packet.myDiscriminator,
    state: packet.state,
    diagnostic: packet.diagnostic,
    detectMult: packet.detectMult,
    desiredMinTxMs: packet.desiredMinTxMs,
    requiredMinRxMs: packet.requiredMinRxMs,
    requiredMinEchoRxMs: packet.requiredMinEchoRxMs,
    demand: packet.demand,
    controlPlaneIndependent: packet.controlPlaneIndependent,
  };
}
