// The finite state machine of one TCP connection: RFC 4271 §8.2.2 whole, with the Send Hold Timer of RFC 9687, the
// subcodes of RFC 6608 and ROUTE-REFRESH (RFC 2918). Pure words: it neither knows sockets nor octets. `peer` holds one
// for each connection, feeds it the events of §8.1 under their own names, carries out its effects, and decides what one
// connection cannot know: collisions (§6.8), back-off, restart. Every cell is held by test/fsm/matrix.test.ts.

import { earliest, jittered, OFF, type Step, type Tick, type Timers, unreachable } from '../net/machine.ts';
import type { FsmEffect, FsmEvent, FsmOptions, RunningEvent, SessionTimes, StartEvent } from './event.ts';
import { TYPE } from './frame.ts';
import { CEASE, CODE, FSM_ERROR, type Notification, notification } from './notification.ts';

/** A connection's state: each carries the timers that can run in it. */
export type Fsm = Idle | Connecting | OpenSent | Session;

interface Counted {
  /** ConnectRetryCounter of §8.1.1: failures since the last start or stop. */
  readonly connectRetryCounter: number;
}

interface Idle extends Counted {
  readonly is: 'Idle';
  /** In IdleHold; DampPeerOscillations is always on. */
  readonly damped: boolean;
}

interface Connecting extends Counted {
  readonly is: 'Connect' | 'Active';
  /** TCP is up exactly while delayOpen runs. */
  readonly timers: Timers<'connectRetry' | 'delayOpen'>;
}

interface OpenSent extends Counted {
  readonly is: 'OpenSent';
  readonly timers: Timers<'hold'>;
}

interface Session extends Counted, SessionTimes {
  readonly is: 'OpenConfirm' | 'Established';
  readonly timers: Timers<'hold' | 'keepalive'>;
}

// Deviation: §8.2.2 suggests 4 minutes; a socket that never sends its OPEN must not hold a peer's place for so long
export const OPEN_HOLD_MS = 60_000;
/** A dial is given this long even where the wait between two dials is shorter. */
export const DIAL_LIMIT_MS = 5_000;
export const IDLE: Fsm = { is: 'Idle', connectRetryCounter: 0, damped: false };

type Out = Step<Fsm, FsmEffect>;

/** One event of one connection. */
export function stepFsm(fsm: Fsm, event: FsmEvent, options: FsmOptions, tick: Tick): Out {
  if (fsm.is === 'Idle') return idle(fsm, event, options, tick);
  if (isStart(event)) return [fsm, []];
  switch (fsm.is) {
    case 'Connect':
    case 'Active':
      return connecting(fsm, event, options, tick);
    case 'OpenSent':
      return openSent(fsm, event, options, tick);
    case 'OpenConfirm':
      return openConfirm(fsm, event, tick);
    case 'Established':
      return established(fsm, event, tick);
    default:
      return unreachable(fsm);
  }
}

function isStart(event: FsmEvent): event is StartEvent {
  return event.on.includes('Start');
}

const EXPIRY: Readonly<Record<string, FsmEvent>> = {
  connectRetry: { on: 'ConnectRetryTimer_Expires' },
  delayOpen: { on: 'DelayOpenTimer_Expires' },
  hold: { on: 'HoldTimer_Expires' },
  keepalive: { on: 'KeepaliveTimer_Expires' },
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

function idle(fsm: Idle, event: FsmEvent, options: FsmOptions, tick: Tick): Out {
  switch (event.on) {
    case 'ManualStart':
    case 'AutomaticStart':
      return start(options, tick);
    case 'ManualStart_with_PassiveTcpEstablishment':
    case 'AutomaticStart_with_PassiveTcpEstablishment':
      return startPassive(options, tick);
    case 'AutomaticStart_with_DampPeerOscillations':
      return fsm.damped ? [fsm, []] : start(options, tick, fsm.connectRetryCounter);
    case 'AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment':
      return fsm.damped ? [fsm, []] : startPassive(options, tick, fsm.connectRetryCounter);
    case 'IdleHoldTimer_Expires':
      // RFC 4271 §8.1.1: the damped peer starts again by itself; the counter goes on, for it measures oscillation
      if (options.passive) return startPassive(options, tick, fsm.connectRetryCounter);
      return start(options, tick, fsm.connectRetryCounter);
    case 'ManualStop':
    case 'AutomaticStop':
    case 'ConnectRetryTimer_Expires':
    case 'HoldTimer_Expires':
    case 'KeepaliveTimer_Expires':
    case 'DelayOpenTimer_Expires':
    case 'Tcp_CR_Invalid':
    case 'TcpConnectionFails':
    case 'BGPOpen':
    case 'BGPOpen_with_DelayOpenTimer_running':
    case 'BGPHeaderErr':
    case 'BGPOpenMsgErr':
    case 'OpenCollisionDump':
    case 'NotifMsgVerErr':
    case 'NotifMsg':
    case 'KeepAliveMsg':
    case 'UpdateMsg':
    case 'UpdateMsgErr':
    case 'RouteRefreshMsg':
    case 'SendHoldTimer_Expires':
      return [fsm, []];
    case 'TcpConnection_Valid':
    case 'Tcp_CR_Acked':
    case 'TcpConnectionConfirmed':
      // RFC 4271 §8.2.2: Idle refuses connections
      return [fsm, [{ do: 'drop' }]];
    default:
      return unreachable(event);
  }
}

/** Connect and Active: they differ in what ConnectRetryTimer, a lost connection and a stop mean. */
function connecting(fsm: Connecting, event: RunningEvent, options: FsmOptions, tick: Tick): Out {
  const delaying = fsm.timers.delayOpen !== OFF;
  switch (event.on) {
    case 'TcpConnection_Valid':
    case 'Tcp_CR_Invalid':
    case 'SendHoldTimer_Expires':
      return [fsm, []];
    case 'ManualStop':
      return stop(fsm.is === 'Active' && delaying ? event.cease : undefined);
    case 'ConnectRetryTimer_Expires': {
      const [dialling, effects] = start(options, tick, fsm.connectRetryCounter);
      return [dialling, fsm.is === 'Connect' ? [{ do: 'drop' }, ...effects] : effects];
    }
    case 'DelayOpenTimer_Expires':
      return [openIsSent(fsm, tick), [{ do: 'send', message: 'OPEN' }]];
    case 'Tcp_CR_Acked':
    case 'TcpConnectionConfirmed':
      if (options.delayOpenMs === 0) return [openIsSent(fsm, tick), [{ do: 'send', message: 'OPEN' }]];
      return [{ ...fsm, timers: { connectRetry: OFF, delayOpen: tick.now + options.delayOpenMs } }, []];
    case 'TcpConnectionFails':
      if (fsm.is === 'Active') return fail(fsm);
      // Deviation: without DelayOpen the letter says Idle and leaves the restart to whoever started. As with DelayOpen
      // we wait in Active for ConnectRetryTimer, where a connection of the peer is welcome.
      return [waiting(fsm, options, tick), []];
    case 'BGPOpen_with_DelayOpenTimer_running':
      return [
        confirming(fsm, event.times, tick),
        [
          { do: 'send', message: 'OPEN' },
          { do: 'send', message: 'KEEPALIVE' },
        ],
      ];
    case 'BGPHeaderErr':
    case 'BGPOpenMsgErr':
      // RFC 4271 §8.1.1, SendNOTIFICATIONwithoutOPEN is on: the peer learns what was wrong
      return fail(fsm, delaying ? event.notification : undefined);
    case 'NotifMsgVerErr':
      return delaying ? quiet(fsm) : fail(fsm);
    case 'AutomaticStop':
    case 'HoldTimer_Expires':
    case 'KeepaliveTimer_Expires':
    case 'IdleHoldTimer_Expires':
    case 'BGPOpen':
    case 'OpenCollisionDump':
    case 'NotifMsg':
    case 'KeepAliveMsg':
    case 'UpdateMsg':
    case 'UpdateMsgErr':
    case 'RouteRefreshMsg':
      return fail(fsm);
    default:
      return unreachable(event);
  }
}

function openSent(fsm: OpenSent, event: RunningEvent, options: FsmOptions, tick: Tick): Out {
  switch (event.on) {
    // a second connection has a machine of its own; `peer` tracks both
    case 'TcpConnection_Valid':
    case 'Tcp_CR_Invalid':
    case 'Tcp_CR_Acked':
    case 'TcpConnectionConfirmed':
    case 'SendHoldTimer_Expires':
      return [fsm, []];
    case 'ManualStop':
      return stop(event.cease);
    case 'AutomaticStop':
      return fail(fsm, event.cease);
    case 'HoldTimer_Expires':
      return fail(fsm, HOLD_TIMER_EXPIRED);
    case 'TcpConnectionFails':
      return [waiting(fsm, options, tick), []];
    case 'BGPOpen':
      return [confirming(fsm, event.times, tick), [{ do: 'send', message: 'KEEPALIVE' }]];
    case 'BGPHeaderErr':
    case 'BGPOpenMsgErr':
      return fail(fsm, event.notification);
    case 'OpenCollisionDump':
      return fail(fsm, COLLISION);
    case 'NotifMsgVerErr':
      return quiet(fsm);
    case 'NotifMsg':
      // Deviation: the letter answers with an FSM error; a NOTIFICATION is never answered (RFC 4271 §6.4)
      return fail(fsm);
    case 'KeepAliveMsg':
      return fail(fsm, fsmError(FSM_ERROR.inOpenSent, TYPE.keepalive));
    case 'UpdateMsg':
    case 'UpdateMsgErr':
      return fail(fsm, fsmError(FSM_ERROR.inOpenSent, TYPE.update));
    case 'RouteRefreshMsg':
      return fail(fsm, fsmError(FSM_ERROR.inOpenSent, TYPE.routeRefresh));
    case 'ConnectRetryTimer_Expires':
    case 'KeepaliveTimer_Expires':
    case 'DelayOpenTimer_Expires':
    case 'IdleHoldTimer_Expires':
    case 'BGPOpen_with_DelayOpenTimer_running':
      return fail(fsm, fsmError(FSM_ERROR.unspecific));
    default:
      return unreachable(event);
  }
}

function openConfirm(fsm: Session, event: RunningEvent, tick: Tick): Out {
  switch (event.on) {
    case 'TcpConnection_Valid':
    case 'Tcp_CR_Invalid':
    case 'Tcp_CR_Acked':
    case 'TcpConnectionConfirmed':
    case 'SendHoldTimer_Expires':
      return [fsm, []];
    case 'ManualStop':
      return stop(event.cease);
    case 'AutomaticStop':
      return fail(fsm, event.cease);
    case 'HoldTimer_Expires':
      return fail(fsm, HOLD_TIMER_EXPIRED);
    case 'KeepaliveTimer_Expires':
      return [keptAlive(fsm, tick), [{ do: 'send', message: 'KEEPALIVE' }]];
    case 'TcpConnectionFails':
    case 'NotifMsg':
      return fail(fsm);
    case 'BGPOpen':
      // RFC 6608 §3: a second OPEN on this very connection
      return fail(fsm, fsmError(FSM_ERROR.inOpenConfirm, TYPE.open));
    case 'BGPHeaderErr':
    case 'BGPOpenMsgErr':
      return fail(fsm, event.notification);
    case 'OpenCollisionDump':
      return fail(fsm, COLLISION);
    case 'NotifMsgVerErr':
      return quiet(fsm);
    case 'KeepAliveMsg':
      return [heard({ ...fsm, is: 'Established' }, tick), []];
    case 'UpdateMsg':
    case 'UpdateMsgErr':
      return fail(fsm, fsmError(FSM_ERROR.inOpenConfirm, TYPE.update));
    case 'RouteRefreshMsg':
      return fail(fsm, fsmError(FSM_ERROR.inOpenConfirm, TYPE.routeRefresh));
    case 'ConnectRetryTimer_Expires':
    case 'DelayOpenTimer_Expires':
    case 'IdleHoldTimer_Expires':
    case 'BGPOpen_with_DelayOpenTimer_running':
      return fail(fsm, fsmError(FSM_ERROR.unspecific));
    default:
      return unreachable(event);
  }
}

function established(fsm: Session, event: RunningEvent, tick: Tick): Out {
  switch (event.on) {
    case 'TcpConnection_Valid':
    case 'Tcp_CR_Invalid':
    case 'Tcp_CR_Acked':
    case 'TcpConnectionConfirmed':
    // CollisionDetectEstablishedState is off (RFC 4271 §6.8): a session is never given up for a newer connection
    case 'OpenCollisionDump':
      return [fsm, []];
    case 'ManualStop':
      return stop(event.cease);
    case 'AutomaticStop':
      return fail(fsm, event.cease);
    case 'HoldTimer_Expires':
      return fail(fsm, HOLD_TIMER_EXPIRED);
    case 'KeepaliveTimer_Expires':
      return [keptAlive(fsm, tick), [{ do: 'send', message: 'KEEPALIVE' }]];
    case 'SendHoldTimer_Expires':
      // RFC 9687 §3.2: the peer does not read, so it would not read a NOTIFICATION either
      return fail(fsm);
    case 'TcpConnectionFails':
    case 'NotifMsgVerErr':
    case 'NotifMsg':
      return fail(fsm);
    case 'BGPOpen':
    case 'BGPOpenMsgErr':
      return fail(fsm, fsmError(FSM_ERROR.inEstablished, TYPE.open));
    case 'BGPHeaderErr':
      // Deviation: the letter of §8.2.2 says FSM error, §6.1 demands the header's own
      return fail(fsm, event.notification);
    case 'KeepAliveMsg':
      return [heard(fsm, tick), []];
    case 'UpdateMsg':
    case 'RouteRefreshMsg':
      return [heard(fsm, tick), [{ do: 'process' }]];
    case 'UpdateMsgErr':
      return fail(fsm, event.notification);
    case 'ConnectRetryTimer_Expires':
    case 'DelayOpenTimer_Expires':
    case 'IdleHoldTimer_Expires':
    case 'BGPOpen_with_DelayOpenTimer_running':
      return fail(fsm, fsmError(FSM_ERROR.unspecific));
    default:
      return unreachable(event);
  }
}

function start(options: FsmOptions, tick: Tick, connectRetryCounter = 0): Out {
  const limit = jittered(Math.max(options.connectRetryMs, DIAL_LIMIT_MS / 0.75), tick.random);
  const timers = { connectRetry: tick.now + limit, delayOpen: OFF };
  return [{ is: 'Connect', connectRetryCounter, timers }, [{ do: 'dial' }]];
}

function startPassive(options: FsmOptions, tick: Tick, connectRetryCounter = 0): Out {
  // Deviation: the letter starts ConnectRetryTimer here too, and would dial when it expires
  if (options.passive)
    return [{ is: 'Active', connectRetryCounter, timers: { connectRetry: OFF, delayOpen: OFF } }, []];
  return [waiting({ connectRetryCounter }, options, tick), []];
}

/** Active, until ConnectRetryTimer expires or the peer connects. */
function waiting({ connectRetryCounter }: Pick<Fsm, 'connectRetryCounter'>, options: FsmOptions, tick: Tick): Fsm {
  const connectRetry = options.passive ? OFF : tick.now + jittered(options.connectRetryMs, tick.random);
  return { is: 'Active', connectRetryCounter, timers: { connectRetry, delayOpen: OFF } };
}

function openIsSent({ connectRetryCounter }: Fsm, tick: Tick): Fsm {
  return { is: 'OpenSent', connectRetryCounter, timers: { hold: tick.now + OPEN_HOLD_MS } };
}

function confirming({ connectRetryCounter }: Fsm, times: SessionTimes, tick: Tick): Fsm {
  const timers = { hold: OFF, keepalive: OFF };
  return heard(keptAlive({ is: 'OpenConfirm', connectRetryCounter, ...times, timers }, tick), tick);
}

/** HoldTimer restarted: a complete, valid message came. */
function heard(fsm: Session, tick: Tick): Session {
  const hold = fsm.holdTimeMs === 0 ? OFF : tick.now + fsm.holdTimeMs;
  return { ...fsm, timers: { ...fsm.timers, hold } };
}

/** KeepaliveTimer restarted, with the jitter of RFC 4271 §10. */
function keptAlive(fsm: Session, tick: Tick): Session {
  const keepalive = fsm.holdTimeMs === 0 ? OFF : tick.now + jittered(fsm.keepaliveTimeMs, tick.random);
  return { ...fsm, timers: { ...fsm.timers, keepalive } };
}

function last(told: Notification | undefined): readonly FsmEffect[] {
  const drop: FsmEffect = { do: 'drop' };
  return told === undefined ? [drop] : [{ do: 'send', message: 'NOTIFICATION', notification: told }, drop];
}

/** To Idle and IdleHold, with one more failure counted. */
function fail(fsm: Fsm, told?: Notification): Out {
  return [{ is: 'Idle', connectRetryCounter: fsm.connectRetryCounter + 1, damped: true }, last(told)];
}

/** To Idle without counting: the peer speaks another version (§8.2.2, event 24). */
function quiet(fsm: Fsm): Out {
  return [{ is: 'Idle', connectRetryCounter: fsm.connectRetryCounter, damped: false }, last(undefined)];
}

function stop(told: Notification | undefined): Out {
  return [IDLE, last(told)];
}

const HOLD_TIMER_EXPIRED = notification(CODE.holdTimerExpired);
const COLLISION = notification(CODE.cease, CEASE.connectionCollision);

/** RFC 6608 §3 and §4: the subcode names the state, the data octet the type of the message that was not expected. */
function fsmError(subcode: number, messageType?: number): Notification {
  return notification(CODE.fsm, subcode, Uint8Array.of(...(messageType === undefined ? [] : [messageType])));
}
