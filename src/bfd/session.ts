// One BFD session in asynchronous mode (RFC 5880 §6.8, RFC 5881-5883): state table, timers, Poll Sequences. A pure machine;
// whoever owns it finds out which session a datagram is for (`demultiplex`), drains its sockets before it gives a tick,
// sends what is asked for, and makes a new session when an end of the path changes.
// Demand mode is obeyed and never asked for. The C bit is 0: this process carries control plane and BFD together.

import type { Step, Tick } from '../net/machine.ts';
import { earliest, OFF, unreachable } from '../net/machine.ts';
import { authenticate, isMeticulous, sectionOctets, sign } from './auth.ts';
import { composeEcho, echoReturned, rescheduleEcho } from './echo.ts';
import { armDetection, compose, gapMs, mayTransmit, reschedule, retune, wantedIntervals } from './pace.ts';
import type { ControlPacket, DropReason, SessionState } from './packet.ts';
import { encode, MANDATORY_OCTETS } from './packet.ts';
import type { Numbers, Session, SessionId, SessionParameters } from './variables.ts';
import { toldBy, UNHEARD } from './variables.ts';

export type SessionEvent =
  /** A packet that `demultiplex` found to be ours; `bytes` is the datagram that it was decoded from. */
  | { readonly on: 'packet'; readonly packet: ControlPacket; readonly bytes: Uint8Array; readonly ttl: number }
  /** What arrived on the echo port. */
  | { readonly on: 'echo'; readonly bytes: Uint8Array }
  /** All input up to `now` has been given. Only a tick lets a timer expire. */
  | { readonly on: 'tick' }
  | { readonly on: 'configure'; readonly parameters: SessionParameters }
  /** RFC 5880 §6.8.16: out of AdminDown, and into it. */
  | { readonly on: 'enable' }
  | { readonly on: 'disable' }
  /** RFC 5880 §6.2: a session that is Down, now or next, does not advance until it is released. */
  | { readonly on: 'hold' }
  | { readonly on: 'release' };

/** Why a session changed its state. */
export type Cause =
  | 'handshake'
  | 'peer-down'
  | 'peer-admin-down'
  | 'detection-expired'
  | 'echo-failed'
  | 'enabled'
  /** By this side. */
  | 'disabled';

/** A change of state; to Up and from Up is what clients live by. */
export interface SessionReport {
  readonly report: 'bfd-state';
  readonly session: SessionId;
  readonly from: SessionState;
  readonly to: SessionState;
  readonly because: Cause;
  /** It was Up, and the path failed: clients take their sessions down. */
  readonly failure: boolean;
  /** Codes of RFC 5880 §4.1: ours, and the last one that the peer told. */
  readonly diagnostic: number;
  readonly remoteDiagnostic: number;
  /** The peer's C bit: its BFD does not share the fate of its control plane. */
  readonly independent: boolean;
}

export type SessionEffect =
  | { readonly do: 'bfd-send'; readonly session: SessionId; readonly bytes: Uint8Array }
  | { readonly do: 'bfd-echo'; readonly session: SessionId; readonly bytes: Uint8Array }
  | SessionReport;

/** The path failed (RFC 5882 §3.2, §4.2); neither side took the session down on purpose. */
const FAILURES: ReadonlySet<Cause> = new Set(['peer-down', 'detection-expired', 'echo-failed']);

const DETECTION_TIME_EXPIRED = 1;
const ECHO_FUNCTION_FAILED = 2;
const NEIGHBOR_SIGNALED_DOWN = 3;
const ADMINISTRATIVELY_DOWN = 7;

/** RFC 5880 §6.8.6: local state × state received → local state. */
const RECEPTION: Readonly<Record<Exclude<SessionState, 'AdminDown'>, Readonly<Record<SessionState, SessionState>>>> = {
  Down: { AdminDown: 'Down', Down: 'Init', Init: 'Up', Up: 'Down' },
  Init: { AdminDown: 'Down', Down: 'Init', Init: 'Up', Up: 'Up' },
  Up: { AdminDown: 'Down', Down: 'Down', Init: 'Up', Up: 'Up' },
};

/**
 * A session in Down whose first packet is due at once. `localDiscriminator`: 1 to 2^32 - 1, random, unique on this node;
 * `former`: of the session before it.
 */
export function startSession(
  id: SessionId,
  localDiscriminator: number,
  parameters: SessionParameters,
  tick: Tick,
  former: Numbers = { sentSequence: Math.floor(tick.random * 2 ** 32), receivedSequence: undefined },
): Session {
  const intervals = wantedIntervals('Down', parameters);
  const session: Session = {
    id,
    localDiscriminator,
    parameters,
    state: 'Down',
    held: false,
    diagnostic: 0,
    since: tick.now,
    remote: UNHEARD,
    advertised: intervals,
    inForce: intervals,
    poll: 'idle',
    receivedSequence: former.receivedSequence,
    sentSequence: former.sentSequence,
    lastSent: undefined,
    lastSentAt: tick.now - intervals.txMs,
    lastHeardAt: -OFF,
    transmitIntervalMs: OFF,
    echo: { intervalMs: OFF, outstanding: [], proven: false },
    timers: { transmit: OFF, detect: OFF, forget: OFF, silence: OFF, echoTransmit: OFF, echoDetect: OFF },
    counters: { sent: 0, received: 0, echoesSent: 0, echoesReceived: 0, upEvents: 0, downEvents: 0, drops: {} },
  };
  reschedule(session, tick);
  return session;
}

/** The earliest instant at which a tick will do something. */
export function dueAt(session: Session): number {
  return earliest(session.timers);
}

export function step(session: Session, event: SessionEvent, tick: Tick): Step<Session, SessionEffect> {
  const effects: SessionEffect[] = [];
  switch (event.on) {
    case 'packet':
      onPacket(session, event.packet, event.bytes, event.ttl, tick, effects);
      break;
    case 'echo':
      onEcho(session, event.bytes, tick);
      break;
    case 'tick':
      onTick(session, tick, effects);
      break;
    case 'configure':
      session.parameters = event.parameters;
      retune(session);
      if (session.timers.detect !== OFF) armDetection(session);
      break;
    case 'enable':
      if (session.state === 'AdminDown') enable(session, tick, effects);
      break;
    case 'disable':
      if (session.state !== 'AdminDown') disable(session, tick, effects);
      break;
    case 'hold':
      session.held = true;
      break;
    case 'release':
      session.held = false;
      break;
    default:
      return unreachable(event);
  }
  reschedule(session, tick);
  rescheduleEcho(session, tick);
  return [session, effects];
}

/** RFC 5880 §6.8.6, from where the session is known. */
function onPacket(
  session: Session,
  packet: ControlPacket,
  bytes: Uint8Array,
  ttl: number,
  tick: Tick,
  effects: SessionEffect[],
): void {
  const refused = refusal(session, packet, bytes, ttl);
  if (refused !== undefined) {
    count(session, refused);
    return;
  }
  session.remote = toldBy(packet);
  session.lastHeardAt = tick.now;
  if (packet.final && session.poll === 'polling') {
    session.inForce = session.advertised;
    session.poll = 'settling';
  } else if (!packet.final && session.poll === 'settling') session.poll = 'idle';
  retune(session);
  armDetection(session);
  if (session.state === 'AdminDown') {
    count(session, 'admin-down');
    return;
  }
  session.counters = { ...session.counters, received: session.counters.received + 1 };
  const held = session.held && session.state === 'Down';
  const next = held ? 'Down' : RECEPTION[session.state][packet.state];
  const changed = next !== session.state;
  if (changed) enter(session, next, packet.state, tick, effects);
  // RFC 5880 §6.8.6: a Poll is answered at once, outside the schedule; the Final tells a new state as well as any packet
  if (packet.poll) send(session, true, effects);
  else if (changed) sendNow(session, tick, effects);
}

/** Why the session does not believe a packet; undefined: it does, and the sequence number is taken over. */
function refusal(session: Session, packet: ControlPacket, bytes: Uint8Array, ttl: number): DropReason | undefined {
  const { keys, theirKeys, detectMult, minTtl } = session.parameters;
  // RFC 5881 §5, RFC 5883 §5
  if (ttl < minTtl) return 'ttl';
  // RFC 5880 §6.8.6: the A bit must be set exactly where authentication is in use
  if (keys.length === 0) return packet.authentication === undefined ? undefined : 'auth-unexpected';
  const within = theirKeys === undefined ? detectMult : OFF;
  const verdict = authenticate(bytes, packet, theirKeys ?? keys, session.receivedSequence, within);
  if ('drop' in verdict) return verdict.drop;
  session.receivedSequence = verdict.sequence;
  return undefined;
}

/** The reception table has named another state. */
function enter(session: Session, to: SessionState, told: SessionState, tick: Tick, effects: SessionEffect[]): void {
  const peerDown = told === 'AdminDown' ? 'peer-admin-down' : 'peer-down';
  if (to === 'Down') changeState(session, to, NEIGHBOR_SIGNALED_DOWN, peerDown, tick, effects);
  else changeState(session, to, session.diagnostic, 'handshake', tick, effects);
}

function onTick(session: Session, tick: Tick, effects: SessionEffect[]): void {
  const { now } = tick;
  if (session.timers.detect <= now) onDetectionTimeExpired(session, tick, effects);
  if (session.timers.forget <= now) {
    // RFC 5880 §6.8.1: a peer that restarted begins with another sequence number, or with another key
    if (session.parameters.theirKeys === undefined) session.receivedSequence = undefined;
    session.timers = { ...session.timers, forget: OFF };
  }
  if (session.timers.silence <= now) session.timers = { ...session.timers, silence: OFF };
  if (session.state === 'Up' && session.timers.echoDetect <= now) {
    // RFC 5880 §6.8.5
    changeState(session, 'Down', ECHO_FUNCTION_FAILED, 'echo-failed', tick, effects);
    sendNow(session, tick, effects);
  }
  reschedule(session, tick);
  rescheduleEcho(session, tick);
  if (session.timers.transmit <= now) sendNow(session, tick, effects);
  if (session.timers.echoTransmit <= now) sendEcho(session, tick, effects);
}

function onEcho(session: Session, bytes: Uint8Array, tick: Tick): void {
  const { counters } = session;
  if (!echoReturned(session, bytes, tick)) count(session, 'echo');
  else session.counters = { ...counters, echoesReceived: counters.echoesReceived + 1 };
}

function sendEcho(session: Session, tick: Tick, effects: SessionEffect[]): void {
  session.counters = { ...session.counters, echoesSent: session.counters.echoesSent + 1 };
  effects.push({ do: 'bfd-echo', session: session.id, bytes: composeEcho(session, tick) });
}

/** RFC 5880 §6.8.4, and §6.8.1: the peer's discriminator is unknown from here on, in whatever state. */
function onDetectionTimeExpired(session: Session, tick: Tick, effects: SessionEffect[]): void {
  session.timers = { ...session.timers, detect: OFF };
  // Not in the RFC's letter: a peer that forbade packets and went away must not keep us silent when it comes back.
  session.remote = { ...session.remote, discriminator: 0, requiredMinRxMs: UNHEARD.requiredMinRxMs };
  // Nobody is there to send a Final.
  session.poll = 'idle';
  if (session.state !== 'Init' && session.state !== 'Up') return;
  changeState(session, 'Down', DETECTION_TIME_EXPIRED, 'detection-expired', tick, effects);
  sendNow(session, tick, effects);
}

/** RFC 5880 §6.8.16: from the beginning, with no diagnostic. */
function enable(session: Session, tick: Tick, effects: SessionEffect[]): void {
  changeState(session, 'Down', 0, 'enabled', tick, effects);
  sendNow(session, tick, effects);
}

/** RFC 5880 §6.8.16: the peer is told for as long as it takes it to notice silence, then nothing more is sent. */
function disable(session: Session, tick: Tick, effects: SessionEffect[]): void {
  changeState(session, 'AdminDown', ADMINISTRATIVELY_DOWN, 'disabled', tick, effects);
  const { parameters, advertised, remote } = session;
  const peerDetectionTimeMs = parameters.detectMult * Math.max(advertised.txMs, remote.requiredMinRxMs);
  session.timers = { ...session.timers, silence: tick.now + peerDetectionTimeMs };
  sendNow(session, tick, effects);
}

function changeState(
  session: Session,
  to: SessionState,
  diagnostic: number,
  because: Cause,
  tick: Tick,
  effects: SessionEffect[],
): void {
  const { id, state: from, counters, remote } = session;
  session.state = to;
  session.diagnostic = diagnostic;
  session.since = tick.now;
  if (to === 'Up') session.counters = { ...counters, upEvents: counters.upEvents + 1 };
  if (from === 'Up') session.counters = { ...counters, downEvents: counters.downEvents + 1 };
  retune(session);
  const failure = from === 'Up' && FAILURES.has(because);
  const told = { remoteDiagnostic: remote.diagnostic, independent: remote.controlPlaneIndependent };
  effects.push({ report: 'bfd-state', session: id, from, to, because, failure, diagnostic, ...told });
}

/** A packet that counts in the schedule; the next periodic one is planned from it. */
function sendNow(session: Session, tick: Tick, effects: SessionEffect[]): void {
  if (!mayTransmit(session)) return;
  send(session, false, effects);
  session.lastSentAt = tick.now;
  session.timers = { ...session.timers, transmit: tick.now + gapMs(session, tick) };
}

function send(session: Session, final: boolean, effects: SessionEffect[]): void {
  const [key] = session.parameters.keys;
  const bytes = encode(compose(session, final), key === undefined ? 0 : sectionOctets(key));
  if (key !== undefined) {
    // RFC 5880 §6.7.3, §6.7.4: a new number for every packet (meticulous), or for one that differs from the last
    const { lastSent } = session;
    const mandatory = bytes.subarray(0, MANDATORY_OCTETS);
    const same = lastSent !== undefined && mandatory.every((octet, at) => octet === lastSent[at]);
    if (isMeticulous(key) || !same) session.sentSequence = (session.sentSequence + 1) >>> 0;
    sign(bytes, key, session.sentSequence);
  }
  session.lastSent = bytes;
  session.counters = { ...session.counters, sent: session.counters.sent + 1 };
  effects.push({ do: 'bfd-send', session: session.id, bytes });
}

function count(session: Session, reason: DropReason): void {
  const { counters } = session;
  const drops = { ...counters.drops, [reason]: (counters.drops[reason] ?? 0) + 1 };
  session.counters = { ...counters, drops };
}
