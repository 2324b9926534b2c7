// What one connection's state machine can be in, and the moves between: each sets the timers of its new state and says
// what is to be done. The table that picks a move for each state and event is `fsm`; RFC 4271 §8.2.2, 6608, 9687.

import { earliest, jittered, OFF, type Step, type Tick, type Timers } from '../net/machine.ts';
import type { FsmEffect, FsmEvent, FsmOptions, SessionTimes } from './event.ts';
import { CEASE, CODE, type Notification, notification } from './notification.ts';

/** A connection's state: each carries the timers that can run in it. */
export type Fsm = Idle | Connecting | OpenSent | Session;

interface Counted {
  /** ConnectRetryCounter of §8.1.1: failures since the last start or stop. */
  readonly connectRetryCounter: number;
}

export interface Idle extends Counted {
  readonly is: 'Idle';
  /** In IdleHold; DampPeerOscillations is always on. */
  readonly damped: boolean;
}

export interface Connecting extends Counted {
  readonly is: 'Connect' | 'Active';
  /** TCP is up exactly while delayOpen runs. */
  readonly timers: Timers<'connectRetry' | 'delayOpen'>;
}

export interface OpenSent extends Counted {
  readonly is: 'OpenSent';
  readonly timers: Timers<'hold' | 'bfdHold'>;
  /** Strict mode: the peer's OPEN is good; what it brought waits for BFD, the peer's own KEEPALIVE among it. */
  readonly pending?: { readonly times: SessionTimes; readonly confirmed: boolean };
}

export interface Session extends Counted, SessionTimes {
  readonly is: 'OpenConfirm' | 'Established';
  readonly timers: Timers<'hold' | 'keepalive'>;
}

// Deviation: §8.2.2 suggests 4 minutes; a socket that never sends its OPEN must not hold a peer's place for so long
export const OPEN_HOLD_MS = 60_000;
/** A dial is given this long even where the wait between two dials is shorter. */
export const DIAL_LIMIT_MS = 5_000;
// draft-ietf-idr-bgp-bfd-strict-mode: where no hold time bounds the wait for BFD
export const BFD_HOLD_MS = 30_000;
export const IDLE: Fsm = { is: 'Idle', connectRetryCounter: 0, damped: false };

export type Out = Step<Fsm, FsmEffect>;

const EXPIRY: Readonly<Record<string, FsmEvent>> = {
  connectRetry: { on: 'ConnectRetryTimer_Expires' },
  delayOpen: { on: 'DelayOpenTimer_Expires' },
  hold: { on: 'HoldTimer_Expires' },
  keepalive: { on: 'KeepaliveTimer_Expires' },
  bfdHold: { on: 'BfdHoldTimer_Expires' },
};

/** The event of a timer that is due at `now`, or undefined. */
export function dueEvent(fsm: Fsm, now: number): FsmEvent | undefined {
  if (fsm.is === 'Idle') return undefined;
  const due = Object.entries(fsm.timers).find(([, at]) => at <= now);
  return due === undefined ? undefined : EXPIRY[due[0]];
}

/** The instant of the next timer, `OFF` when none runs. */
export function fsmDueAt(fsm: Fsm): number {
  return fsm.is === 'Idle' ? OFF : earliest(fsm.timers);
}

export function start(options: FsmOptions, tick: Tick, connectRetryCounter = 0): Out {
  const limit = jittered(Math.max(options.connectRetryMs, DIAL_LIMIT_MS / 0.75), tick.random);
  const timers = { connectRetry: tick.now + limit, delayOpen: OFF };
  return [{ is: 'Connect', connectRetryCounter, timers }, [{ do: 'dial' }]];
}

export function startPassive(options: FsmOptions, tick: Tick, connectRetryCounter = 0): Out {
  // Deviation: the letter starts ConnectRetryTimer here too, and would dial when it expires
  if (options.passive)
    return [{ is: 'Active', connectRetryCounter, timers: { connectRetry: OFF, delayOpen: OFF } }, []];
  return [waiting({ connectRetryCounter }, options, tick), []];
}

/** Active, until ConnectRetryTimer expires or the peer connects. */
export function waiting(
  { connectRetryCounter }: Pick<Fsm, 'connectRetryCounter'>,
  options: FsmOptions,
  tick: Tick,
): Fsm {
  const connectRetry = options.passive ? OFF : tick.now + jittered(options.connectRetryMs, tick.random);
  return { is: 'Active', connectRetryCounter, timers: { connectRetry, delayOpen: OFF } };
}

export function openIsSent({ connectRetryCounter }: Fsm, tick: Tick): Fsm {
  return { is: 'OpenSent', connectRetryCounter, timers: { hold: tick.now + OPEN_HOLD_MS, bfdHold: OFF } };
}

/** OpenSent still: the peer's OPEN is good, but no KEEPALIVE leaves before BFD is up. The hold time bounds that. */
export function awaitingBfd({ connectRetryCounter }: Fsm, times: SessionTimes, { now }: Tick): Fsm {
  const { holdTimeMs } = times;
  const timers = {
    hold: holdTimeMs === 0 ? OFF : now + holdTimeMs,
    bfdHold: holdTimeMs === 0 ? now + BFD_HOLD_MS : OFF,
  };
  return { is: 'OpenSent', connectRetryCounter, timers, pending: { times, confirmed: false } };
}

/** BFD is up, or says nothing of the path: what waited for it goes on. */
export function released(fsm: OpenSent, tick: Tick): Out {
  if (fsm.pending === undefined) return [fsm, []];
  const { times, confirmed } = fsm.pending;
  const confirm = confirming(fsm, times, tick);
  return [confirmed ? { ...confirm, is: 'Established' } : confirm, [{ do: 'send', message: 'KEEPALIVE' }]];
}

export function confirming({ connectRetryCounter }: Fsm, times: SessionTimes, tick: Tick): Session {
  const timers = { hold: OFF, keepalive: OFF };
  return heard(keptAlive({ is: 'OpenConfirm', connectRetryCounter, ...times, timers }, tick), tick);
}

/** HoldTimer restarted: a complete, valid message came. */
export function heard(fsm: Session, tick: Tick): Session {
  const hold = fsm.holdTimeMs === 0 ? OFF : tick.now + fsm.holdTimeMs;
  return { ...fsm, timers: { ...fsm.timers, hold } };
}

/** KeepaliveTimer restarted, with the jitter of RFC 4271 §10. */
export function keptAlive(fsm: Session, tick: Tick): Session {
  const keepalive = fsm.holdTimeMs === 0 ? OFF : tick.now + jittered(fsm.keepaliveTimeMs, tick.random);
  return { ...fsm, timers: { ...fsm.timers, keepalive } };
}

function last(told: Notification | undefined): readonly FsmEffect[] {
  const drop: FsmEffect = { do: 'drop' };
  return told === undefined ? [drop] : [{ do: 'send', message: 'NOTIFICATION', notification: told }, drop];
}

/** To Idle and IdleHold, with one more failure counted. */
export function fail(fsm: Fsm, told?: Notification): Out {
  return [{ is: 'Idle', connectRetryCounter: fsm.connectRetryCounter + 1, damped: true }, last(told)];
}

/** To Idle without counting: the peer speaks another version (§8.2.2, event 24). */
export function quiet(fsm: Fsm): Out {
  return [{ is: 'Idle', connectRetryCounter: fsm.connectRetryCounter, damped: false }, last(undefined)];
}

export function stop(told: Notification | undefined): Out {
  return [IDLE, last(told)];
}

export const HOLD_TIMER_EXPIRED = notification(CODE.holdTimerExpired);
export const COLLISION = notification(CODE.cease, CEASE.connectionCollision);
export const BFD_DOWN = notification(CODE.cease, CEASE.bfdDown);

/** RFC 6608 §3 and §4: the subcode names the state, the data octet the type of the message that was not expected. */
export function fsmError(subcode: number, messageType?: number): Notification {
  return notification(CODE.fsm, subcode, Uint8Array.of(...(messageType === undefined ? [] : [messageType])));
}
