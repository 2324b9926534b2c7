// The finite state machine of one TCP connection: RFC 4271 §8.2.2 whole, with the Send Hold Timer of RFC 9687, the
// subcodes of RFC 6608, ROUTE-REFRESH (RFC 2918), and BFD (RFC 5882; draft-ietf-idr-bgp-bfd-strict-mode). Pure words: it
// neither knows sockets nor octets. `peer` holds one for each connection, feeds it the events of §8.1 under their own
// names, carries out its effects, and decides what one connection cannot know: collisions (§6.8), back-off, restart, what
// BFD says. States and moves are in `fsm-state`. Every cell is held by test/fsm/matrix.test.ts.

import { OFF, type Tick, unreachable } from '../net/machine.ts';
import type { FsmEvent, FsmOptions, RunningEvent, StartEvent } from './event.ts';
import { TYPE } from './frame.ts';
import {
  awaitingBfd,
  BFD_DOWN,
  COLLISION,
  type Connecting,
  confirming,
  type Fsm,
  fail,
  fsmError,
  HOLD_TIMER_EXPIRED,
  heard,
  type Idle,
  keptAlive,
  type OpenSent,
  type Out,
  openIsSent,
  quiet,
  released,
  type Session,
  start,
  startPassive,
  stop,
  waiting,
} from './fsm-state.ts';
import { FSM_ERROR } from './notification.ts';

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
    case 'BfdUp':
    case 'BfdAdminDown':
    case 'BfdDisabled':
    case 'BfdDown':
    case 'BfdHoldTimer_Expires':
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
    // BFD runs before BGP does; what it says of the path is seen when TCP tries it
    case 'BfdUp':
    case 'BfdAdminDown':
    case 'BfdDisabled':
    case 'BfdDown':
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
      if (event.awaitsBfd) return [awaitingBfd(fsm, event.times, tick), [{ do: 'send', message: 'OPEN' }]];
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
    case 'BfdHoldTimer_Expires':
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
      // RFC 6608 §3: a second OPEN on this very connection
      if (fsm.pending !== undefined) return fail(fsm, fsmError(FSM_ERROR.inOpenSent, TYPE.open));
      if (event.awaitsBfd) return [awaitingBfd(fsm, event.times, tick), []];
      return [confirming(fsm, event.times, tick), [{ do: 'send', message: 'KEEPALIVE' }]];
    case 'BfdUp':
    case 'BfdAdminDown':
    case 'BfdDisabled':
      return released(fsm, tick);
    case 'BfdDown':
      return fsm.pending === undefined ? [fsm, []] : stop(event.cease);
    case 'BfdHoldTimer_Expires':
      return fail(fsm, BFD_DOWN);
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
      // the peer's BFD was up before ours
      if (fsm.pending !== undefined) return [{ ...fsm, pending: { ...fsm.pending, confirmed: true } }, []];
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
    case 'BfdUp':
    case 'BfdAdminDown':
    case 'BfdDisabled':
    case 'BfdHoldTimer_Expires':
      return [fsm, []];
    case 'BfdDown':
      return stop(event.cease);
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
    case 'BfdUp':
    case 'BfdAdminDown':
    case 'BfdDisabled':
    case 'BfdHoldTimer_Expires':
      return [fsm, []];
    case 'BfdDown':
      // RFC 9384
      return fail(fsm, event.cease);
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
