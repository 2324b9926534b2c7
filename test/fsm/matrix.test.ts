// RFC 4271 §8.2.2, every state × every event, transcribed from the RFC's text (with RFC 6608, 9687 and 2918), not from
// the code. A missing cell does not compile. Deviations from the letter are marked with the letter they are listed by
// in docs/RFCS.md.

import { describe, expect, it } from 'vitest';
import type { FsmEffect, FsmEvent, FsmOptions } from '../../src/bgp/event.ts';
import { stepFsm } from '../../src/bgp/fsm.ts';
import { BFD_HOLD_MS, DIAL_LIMIT_MS, dueEvent, type Fsm, fsmDueAt, OPEN_HOLD_MS } from '../../src/bgp/fsm-state.ts';
import { OFF, type Tick } from '../../src/net/machine.ts';

const NOW = 1_000_000;
const HALF: Tick = { now: NOW, random: 0.5 };
const ACTIVE: FsmOptions = { connectRetryMs: 120_000, delayOpenMs: 0, passive: false };
const TIMES = { holdTimeMs: 90_000, keepaliveTimeMs: 30_000 };
const OLD = NOW - 10_000;

/** What a cell says: the next state, the effects in wire order, what becomes of ConnectRetryCounter (5 before). */
interface Cell {
  readonly to: Fsm['is'];
  readonly effects: readonly string[];
  readonly counter: number;
  /** Of an Idle state. */
  readonly damped?: boolean;
  /** Timers that this event (re)starts, with the ms they run; all others keep what they were or are off. */
  readonly started?: Readonly<Record<string, number>>;
}

type Row = Readonly<Record<FsmEvent['on'], Cell>>;

const COUNTER = 5;
const stay = (is: Fsm['is'], ...effects: string[]): Cell => ({ to: is, effects, counter: COUNTER });
/** [N,] stop ConnectRetryTimer, release, drop TCP, ConnectRetryCounter + 1, damp, Idle. */
const FAIL = (told?: string): Cell => ({
  to: 'Idle',
  effects: told === undefined ? ['drop'] : [`NOTIFICATION ${told}`, 'drop'],
  counter: COUNTER + 1,
  damped: true,
});
/** Stop ConnectRetryTimer, release, drop TCP, Idle. */
const QUIET: Cell = { to: 'Idle', effects: ['drop'], counter: COUNTER, damped: false };
/** [N,] stop ConnectRetryTimer, release, drop TCP, ConnectRetryCounter 0, Idle. */
const STOP = (told?: string): Cell => ({
  to: 'Idle',
  effects: told === undefined ? ['drop'] : [`NOTIFICATION ${told}`, 'drop'],
  counter: 0,
  damped: false,
});
/** Jitter at the middle of 0.75-1.0. */
const CRT = 120_000 * 0.875;
const connect = (counter: number, ...before: string[]): Cell => ({
  to: 'Connect',
  effects: [...before, 'dial'],
  counter,
  started: { connectRetry: CRT },
});
const active = (counter: number): Cell => ({ to: 'Active', effects: [], counter, started: { connectRetry: CRT } });
/** Deviation f: HoldTimer 60 s where the RFC suggests 240. */
const OPEN_SENT: Cell = { to: 'OpenSent', effects: ['OPEN'], counter: COUNTER, started: { hold: 60_000 } };
const confirm = (...effects: string[]): Cell => ({
  to: 'OpenConfirm',
  effects,
  counter: COUNTER,
  started: { hold: 90_000, keepalive: 30_000 * 0.875 },
});

const IDLE_ROW: Row = {
  ManualStart: connect(0),
  ManualStop: stay('Idle'),
  AutomaticStart: connect(0),
  ManualStart_with_PassiveTcpEstablishment: active(0),
  AutomaticStart_with_PassiveTcpEstablishment: active(0),
  AutomaticStart_with_DampPeerOscillations: connect(COUNTER),
  AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment: active(COUNTER),
  AutomaticStop: stay('Idle'),
  ConnectRetryTimer_Expires: stay('Idle'),
  HoldTimer_Expires: stay('Idle'),
  KeepaliveTimer_Expires: stay('Idle'),
  DelayOpenTimer_Expires: stay('Idle'),
  IdleHoldTimer_Expires: connect(COUNTER),
  TcpConnection_Valid: stay('Idle', 'drop'),
  Tcp_CR_Invalid: stay('Idle'),
  Tcp_CR_Acked: stay('Idle', 'drop'),
  TcpConnectionConfirmed: stay('Idle', 'drop'),
  TcpConnectionFails: stay('Idle'),
  BGPOpen: stay('Idle'),
  BGPOpen_with_DelayOpenTimer_running: stay('Idle'),
  BGPHeaderErr: stay('Idle'),
  BGPOpenMsgErr: stay('Idle'),
  OpenCollisionDump: stay('Idle'),
  NotifMsgVerErr: stay('Idle'),
  NotifMsg: stay('Idle'),
  KeepAliveMsg: stay('Idle'),
  UpdateMsg: stay('Idle'),
  UpdateMsgErr: stay('Idle'),
  RouteRefreshMsg: stay('Idle'),
  SendHoldTimer_Expires: stay('Idle'),
  BfdUp: stay('Idle'),
  BfdAdminDown: stay('Idle'),
  BfdDisabled: stay('Idle'),
  BfdDown: stay('Idle'),
  BfdHoldTimer_Expires: stay('Idle'),
};

const CONNECT_ROW: Row = {
  ManualStart: stay('Connect'),
  ManualStop: STOP(),
  AutomaticStart: stay('Connect'),
  ManualStart_with_PassiveTcpEstablishment: stay('Connect'),
  AutomaticStart_with_PassiveTcpEstablishment: stay('Connect'),
  AutomaticStart_with_DampPeerOscillations: stay('Connect'),
  AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment: stay('Connect'),
  AutomaticStop: FAIL(),
  ConnectRetryTimer_Expires: connect(COUNTER, 'drop'),
  HoldTimer_Expires: FAIL(),
  KeepaliveTimer_Expires: FAIL(),
  DelayOpenTimer_Expires: OPEN_SENT,
  IdleHoldTimer_Expires: FAIL(),
  TcpConnection_Valid: stay('Connect'),
  Tcp_CR_Invalid: stay('Connect'),
  Tcp_CR_Acked: OPEN_SENT,
  TcpConnectionConfirmed: OPEN_SENT,
  // deviation c: the letter says Idle
  TcpConnectionFails: active(COUNTER),
  BGPOpen: FAIL(),
  BGPOpen_with_DelayOpenTimer_running: confirm('OPEN', 'KEEPALIVE'),
  BGPHeaderErr: FAIL(),
  BGPOpenMsgErr: FAIL(),
  OpenCollisionDump: FAIL(),
  NotifMsgVerErr: FAIL(),
  NotifMsg: FAIL(),
  KeepAliveMsg: FAIL(),
  UpdateMsg: FAIL(),
  UpdateMsgErr: FAIL(),
  RouteRefreshMsg: FAIL(),
  SendHoldTimer_Expires: stay('Connect'),
  BfdUp: stay('Connect'),
  BfdAdminDown: stay('Connect'),
  BfdDisabled: stay('Connect'),
  BfdDown: stay('Connect'),
  // deviation: a connection that waits for BFD is in OpenSent here, so the timer cannot run
  BfdHoldTimer_Expires: FAIL(),
};

const CONNECT_DELAYING_ROW: Row = {
  ...CONNECT_ROW,
  // it drops the connection, and DelayOpenTimer with it
  ConnectRetryTimer_Expires: { ...connect(COUNTER, 'drop'), started: { connectRetry: CRT, delayOpen: OFF } },
  // to the letter here
  TcpConnectionFails: active(COUNTER),
  // SendNOTIFICATIONwithoutOPEN is on
  BGPHeaderErr: FAIL('1/2 0013'),
  BGPOpenMsgErr: FAIL('2/2'),
  NotifMsgVerErr: QUIET,
};

const ACTIVE_ROW: Row = {
  ManualStart: stay('Active'),
  ManualStop: STOP(),
  AutomaticStart: stay('Active'),
  ManualStart_with_PassiveTcpEstablishment: stay('Active'),
  AutomaticStart_with_PassiveTcpEstablishment: stay('Active'),
  AutomaticStart_with_DampPeerOscillations: stay('Active'),
  AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment: stay('Active'),
  AutomaticStop: FAIL(),
  ConnectRetryTimer_Expires: connect(COUNTER),
  HoldTimer_Expires: FAIL(),
  KeepaliveTimer_Expires: FAIL(),
  DelayOpenTimer_Expires: OPEN_SENT,
  IdleHoldTimer_Expires: FAIL(),
  TcpConnection_Valid: stay('Active'),
  Tcp_CR_Invalid: stay('Active'),
  Tcp_CR_Acked: OPEN_SENT,
  TcpConnectionConfirmed: OPEN_SENT,
  TcpConnectionFails: FAIL(),
  BGPOpen: FAIL(),
  BGPOpen_with_DelayOpenTimer_running: confirm('OPEN', 'KEEPALIVE'),
  BGPHeaderErr: FAIL(),
  BGPOpenMsgErr: FAIL(),
  OpenCollisionDump: FAIL(),
  NotifMsgVerErr: FAIL(),
  NotifMsg: FAIL(),
  KeepAliveMsg: FAIL(),
  UpdateMsg: FAIL(),
  UpdateMsgErr: FAIL(),
  RouteRefreshMsg: FAIL(),
  SendHoldTimer_Expires: stay('Active'),
  BfdUp: stay('Active'),
  BfdAdminDown: stay('Active'),
  BfdDisabled: stay('Active'),
  BfdDown: stay('Active'),
  BfdHoldTimer_Expires: FAIL(),
};

const ACTIVE_DELAYING_ROW: Row = {
  ...ACTIVE_ROW,
  ManualStop: STOP('6/2'),
  BGPHeaderErr: FAIL('1/2 0013'),
  BGPOpenMsgErr: FAIL('2/2'),
  NotifMsgVerErr: QUIET,
};

const OPEN_SENT_ROW: Row = {
  ManualStart: stay('OpenSent'),
  ManualStop: STOP('6/2'),
  AutomaticStart: stay('OpenSent'),
  ManualStart_with_PassiveTcpEstablishment: stay('OpenSent'),
  AutomaticStart_with_PassiveTcpEstablishment: stay('OpenSent'),
  AutomaticStart_with_DampPeerOscillations: stay('OpenSent'),
  AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment: stay('OpenSent'),
  AutomaticStop: FAIL('6/6'),
  ConnectRetryTimer_Expires: FAIL('5/0'),
  HoldTimer_Expires: FAIL('4/0'),
  KeepaliveTimer_Expires: FAIL('5/0'),
  DelayOpenTimer_Expires: FAIL('5/0'),
  IdleHoldTimer_Expires: FAIL('5/0'),
  TcpConnection_Valid: stay('OpenSent'),
  Tcp_CR_Invalid: stay('OpenSent'),
  Tcp_CR_Acked: stay('OpenSent'),
  TcpConnectionConfirmed: stay('OpenSent'),
  TcpConnectionFails: active(COUNTER),
  BGPOpen: confirm('KEEPALIVE'),
  BGPOpen_with_DelayOpenTimer_running: FAIL('5/0'),
  BGPHeaderErr: FAIL('1/2 0013'),
  BGPOpenMsgErr: FAIL('2/2'),
  OpenCollisionDump: FAIL('6/7'),
  NotifMsgVerErr: QUIET,
  // deviation b: the letter answers with an FSM error
  NotifMsg: FAIL(),
  KeepAliveMsg: FAIL('5/1 04'),
  UpdateMsg: FAIL('5/1 02'),
  UpdateMsgErr: FAIL('5/1 02'),
  RouteRefreshMsg: FAIL('5/1 05'),
  SendHoldTimer_Expires: stay('OpenSent'),
  BfdUp: stay('OpenSent'),
  BfdAdminDown: stay('OpenSent'),
  BfdDisabled: stay('OpenSent'),
  // the peer's OPEN has not come: whether both are strict is not known
  BfdDown: stay('OpenSent'),
  BfdHoldTimer_Expires: FAIL('6/10'),
};

/** draft-ietf-idr-bgp-bfd-strict-mode: both sides are strict, the peer's OPEN was good, and BFD is not up. */
const AWAITING_ROW: Row = {
  ...OPEN_SENT_ROW,
  BGPOpen: FAIL('5/1 01'),
  // the peer's BFD was up first: remembered, and HoldTimer runs on
  KeepAliveMsg: stay('OpenSent'),
  BfdUp: confirm('KEEPALIVE'),
  // BFD has nothing against the path
  BfdAdminDown: confirm('KEEPALIVE'),
  BfdDisabled: confirm('KEEPALIVE'),
  BfdDown: STOP('6/10'),
};

const OPEN_CONFIRM_ROW: Row = {
  ManualStart: stay('OpenConfirm'),
  ManualStop: STOP('6/2'),
  AutomaticStart: stay('OpenConfirm'),
  ManualStart_with_PassiveTcpEstablishment: stay('OpenConfirm'),
  AutomaticStart_with_PassiveTcpEstablishment: stay('OpenConfirm'),
  AutomaticStart_with_DampPeerOscillations: stay('OpenConfirm'),
  AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment: stay('OpenConfirm'),
  AutomaticStop: FAIL('6/6'),
  ConnectRetryTimer_Expires: FAIL('5/0'),
  HoldTimer_Expires: FAIL('4/0'),
  KeepaliveTimer_Expires: { ...stay('OpenConfirm', 'KEEPALIVE'), started: { keepalive: 30_000 * 0.875 } },
  DelayOpenTimer_Expires: FAIL('5/0'),
  IdleHoldTimer_Expires: FAIL('5/0'),
  TcpConnection_Valid: stay('OpenConfirm'),
  Tcp_CR_Invalid: stay('OpenConfirm'),
  Tcp_CR_Acked: stay('OpenConfirm'),
  TcpConnectionConfirmed: stay('OpenConfirm'),
  TcpConnectionFails: FAIL(),
  BGPOpen: FAIL('5/2 01'),
  BGPOpen_with_DelayOpenTimer_running: FAIL('5/0'),
  BGPHeaderErr: FAIL('1/2 0013'),
  BGPOpenMsgErr: FAIL('2/2'),
  OpenCollisionDump: FAIL('6/7'),
  NotifMsgVerErr: QUIET,
  NotifMsg: FAIL(),
  KeepAliveMsg: { to: 'Established', effects: [], counter: COUNTER, started: { hold: 90_000 } },
  UpdateMsg: FAIL('5/2 02'),
  UpdateMsgErr: FAIL('5/2 02'),
  RouteRefreshMsg: FAIL('5/2 05'),
  SendHoldTimer_Expires: stay('OpenConfirm'),
  BfdUp: stay('OpenConfirm'),
  BfdAdminDown: stay('OpenConfirm'),
  BfdDisabled: stay('OpenConfirm'),
  BfdDown: STOP('6/10'),
  BfdHoldTimer_Expires: stay('OpenConfirm'),
};

const ESTABLISHED_ROW: Row = {
  ManualStart: stay('Established'),
  ManualStop: STOP('6/2'),
  AutomaticStart: stay('Established'),
  ManualStart_with_PassiveTcpEstablishment: stay('Established'),
  AutomaticStart_with_PassiveTcpEstablishment: stay('Established'),
  AutomaticStart_with_DampPeerOscillations: stay('Established'),
  AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment: stay('Established'),
  AutomaticStop: FAIL('6/6'),
  ConnectRetryTimer_Expires: FAIL('5/0'),
  // deviation d: routes go, as in all other endings (`drop` releases them), though the letter forgets it here
  HoldTimer_Expires: FAIL('4/0'),
  KeepaliveTimer_Expires: { ...stay('Established', 'KEEPALIVE'), started: { keepalive: 30_000 * 0.875 } },
  DelayOpenTimer_Expires: FAIL('5/0'),
  IdleHoldTimer_Expires: FAIL('5/0'),
  TcpConnection_Valid: stay('Established'),
  Tcp_CR_Invalid: stay('Established'),
  Tcp_CR_Acked: stay('Established'),
  TcpConnectionConfirmed: stay('Established'),
  TcpConnectionFails: FAIL(),
  BGPOpen: FAIL('5/3 01'),
  BGPOpen_with_DelayOpenTimer_running: FAIL('5/0'),
  // deviation a: the letter says FSM error, §6.1 demands the header's own
  BGPHeaderErr: FAIL('1/2 0013'),
  BGPOpenMsgErr: FAIL('5/3 01'),
  // CollisionDetectEstablishedState is off
  OpenCollisionDump: stay('Established'),
  NotifMsgVerErr: FAIL(),
  NotifMsg: FAIL(),
  KeepAliveMsg: { ...stay('Established'), started: { hold: 90_000 } },
  UpdateMsg: { ...stay('Established', 'process'), started: { hold: 90_000 } },
  // RFC 7606 has decided: only what demands a session reset raises this event
  UpdateMsgErr: FAIL('3/1'),
  RouteRefreshMsg: { ...stay('Established', 'process'), started: { hold: 90_000 } },
  // RFC 9687: the optional 8/0 is not sent, it would wait behind what the peer does not read
  SendHoldTimer_Expires: FAIL(),
  BfdUp: stay('Established'),
  BfdAdminDown: stay('Established'),
  BfdDisabled: stay('Established'),
  BfdDown: FAIL('6/10'),
  BfdHoldTimer_Expires: stay('Established'),
};

const counted = { connectRetryCounter: COUNTER };
function awaiting(confirmed: boolean): Fsm {
  const timers = { hold: OLD + 90_000, bfdHold: OFF };
  return { is: 'OpenSent', timers, pending: { times: TIMES, confirmed }, ...counted };
}
const CASES: readonly (readonly [name: string, fsm: Fsm, options: FsmOptions, row: Row])[] = [
  ['Idle', { is: 'Idle', damped: false, ...counted }, ACTIVE, IDLE_ROW],
  [
    'Idle, held by damping',
    { is: 'Idle', damped: true, ...counted },
    ACTIVE,
    {
      ...IDLE_ROW,
      AutomaticStart_with_DampPeerOscillations: { ...stay('Idle'), damped: true },
      AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment: { ...stay('Idle'), damped: true },
    },
  ],
  ['Connect', { is: 'Connect', timers: { connectRetry: NOW + 50, delayOpen: OFF }, ...counted }, ACTIVE, CONNECT_ROW],
  [
    'Connect, DelayOpenTimer running',
    { is: 'Connect', timers: { connectRetry: OFF, delayOpen: NOW + 50 }, ...counted },
    ACTIVE,
    CONNECT_DELAYING_ROW,
  ],
  ['Active', { is: 'Active', timers: { connectRetry: NOW + 50, delayOpen: OFF }, ...counted }, ACTIVE, ACTIVE_ROW],
  [
    'Active, DelayOpenTimer running',
    { is: 'Active', timers: { connectRetry: OFF, delayOpen: NOW + 50 }, ...counted },
    ACTIVE,
    ACTIVE_DELAYING_ROW,
  ],
  ['OpenSent', { is: 'OpenSent', timers: { hold: OLD + 60_000, bfdHold: OFF }, ...counted }, ACTIVE, OPEN_SENT_ROW],
  ['OpenSent, waiting for BFD', awaiting(false), ACTIVE, AWAITING_ROW],
  [
    'OpenConfirm',
    { is: 'OpenConfirm', ...TIMES, timers: { hold: OLD + 90_000, keepalive: OLD + 30_000 }, ...counted },
    ACTIVE,
    OPEN_CONFIRM_ROW,
  ],
  [
    'Established',
    { is: 'Established', ...TIMES, timers: { hold: OLD + 90_000, keepalive: OLD + 30_000 }, ...counted },
    ACTIVE,
    ESTABLISHED_ROW,
  ],
];

const none = new Uint8Array();
/** Each event as it is raised; the NOTIFICATIONs are those of the RFC's own examples of the code. */
const EVENTS: Readonly<Record<FsmEvent['on'], FsmEvent>> = {
  ManualStart: { on: 'ManualStart' },
  ManualStop: { on: 'ManualStop', cease: { code: 6, subcode: 2, data: none } },
  AutomaticStart: { on: 'AutomaticStart' },
  ManualStart_with_PassiveTcpEstablishment: { on: 'ManualStart_with_PassiveTcpEstablishment' },
  AutomaticStart_with_PassiveTcpEstablishment: { on: 'AutomaticStart_with_PassiveTcpEstablishment' },
  AutomaticStart_with_DampPeerOscillations: { on: 'AutomaticStart_with_DampPeerOscillations' },
  AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment: {
    on: 'AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment',
  },
  AutomaticStop: { on: 'AutomaticStop', cease: { code: 6, subcode: 6, data: none } },
  ConnectRetryTimer_Expires: { on: 'ConnectRetryTimer_Expires' },
  HoldTimer_Expires: { on: 'HoldTimer_Expires' },
  KeepaliveTimer_Expires: { on: 'KeepaliveTimer_Expires' },
  DelayOpenTimer_Expires: { on: 'DelayOpenTimer_Expires' },
  IdleHoldTimer_Expires: { on: 'IdleHoldTimer_Expires' },
  TcpConnection_Valid: { on: 'TcpConnection_Valid' },
  Tcp_CR_Invalid: { on: 'Tcp_CR_Invalid' },
  Tcp_CR_Acked: { on: 'Tcp_CR_Acked' },
  TcpConnectionConfirmed: { on: 'TcpConnectionConfirmed' },
  TcpConnectionFails: { on: 'TcpConnectionFails' },
  BGPOpen: { on: 'BGPOpen', times: TIMES },
  BGPOpen_with_DelayOpenTimer_running: { on: 'BGPOpen_with_DelayOpenTimer_running', times: TIMES },
  BGPHeaderErr: { on: 'BGPHeaderErr', notification: { code: 1, subcode: 2, data: Uint8Array.of(0, 0x13) } },
  BGPOpenMsgErr: { on: 'BGPOpenMsgErr', notification: { code: 2, subcode: 2, data: none } },
  OpenCollisionDump: { on: 'OpenCollisionDump' },
  NotifMsgVerErr: { on: 'NotifMsgVerErr' },
  NotifMsg: { on: 'NotifMsg' },
  KeepAliveMsg: { on: 'KeepAliveMsg' },
  UpdateMsg: { on: 'UpdateMsg' },
  UpdateMsgErr: { on: 'UpdateMsgErr', notification: { code: 3, subcode: 1, data: none } },
  RouteRefreshMsg: { on: 'RouteRefreshMsg' },
  SendHoldTimer_Expires: { on: 'SendHoldTimer_Expires' },
  BfdUp: { on: 'BfdUp' },
  BfdAdminDown: { on: 'BfdAdminDown' },
  BfdDown: { on: 'BfdDown', cease: { code: 6, subcode: 10, data: none } },
  BfdDisabled: { on: 'BfdDisabled' },
  BfdHoldTimer_Expires: { on: 'BfdHoldTimer_Expires' },
};

function text(effect: FsmEffect): string {
  if (effect.do !== 'send') return effect.do;
  if (effect.message !== 'NOTIFICATION') return effect.message;
  const { code, subcode, data } = effect.notification;
  return `NOTIFICATION ${code}/${subcode} ${Buffer.from(data).toString('hex')}`.trimEnd();
}

const timersOf = (fsm: Fsm): Readonly<Record<string, number>> => (fsm.is === 'Idle' ? {} : fsm.timers);

for (const [name, fsm, options, row] of CASES) {
  describe(name, () => {
    for (const event of Object.values(EVENTS)) {
      it(event.on, () => {
        const cell = row[event.on];
        const [next, effects] = stepFsm(fsm, event, options, HALF);
        expect(effects.map(text)).toEqual(cell.effects);
        expect(next.is).toBe(cell.to);
        expect(next.connectRetryCounter).toBe(cell.counter);
        if (next.is === 'Idle') expect(next.damped).toBe(cell.damped ?? (fsm.is === 'Idle' && fsm.damped));
        const before = fsm.is === next.is ? timersOf(fsm) : {};
        for (const [timer, at] of Object.entries(timersOf(next))) {
          const started = cell.started?.[timer];
          expect([timer, at]).toEqual([
            timer,
            started === undefined ? (before[timer] ?? keptBy(timer)) : NOW + started,
          ]);
        }
      });
    }

    /** A timer that the state before had too and the event did not touch: KeepaliveTimer on the way to Established. */
    function keptBy(timer: string): number {
      return timer in timersOf(fsm) && timer === 'keepalive' ? (timersOf(fsm)[timer] ?? OFF) : OFF;
    }
  });
}

describe('DelayOpen (RFC 4271 §8.1.1)', () => {
  const delaying: FsmOptions = { ...ACTIVE, delayOpenMs: 7_000 };
  for (const is of ['Connect', 'Active'] as const) {
    for (const on of ['Tcp_CR_Acked', 'TcpConnectionConfirmed'] as const) {
      it(`${on} in ${is} stops ConnectRetryTimer, starts DelayOpenTimer and stays`, () => {
        const fsm: Fsm = { is, timers: { connectRetry: NOW + 1, delayOpen: OFF }, connectRetryCounter: 0 };
        const expected = { ...fsm, timers: { connectRetry: OFF, delayOpen: NOW + 7_000 } };
        expect(stepFsm(fsm, { on }, delaying, HALF)).toEqual([expected, []]);
      });
    }
  }
});

describe('PassiveTcpEstablishment', () => {
  const passive: FsmOptions = { ...ACTIVE, passive: true };
  it('IdleHoldTimer brings a passive peer to Active, and no timer dials from there', () => {
    const [fsm, effects] = stepFsm(
      { is: 'Idle', damped: true, connectRetryCounter: 2 },
      { on: 'IdleHoldTimer_Expires' },
      passive,
      HALF,
    );
    expect([fsm.is, effects, fsmDueAt(fsm)]).toEqual(['Active', [], OFF]);
  });
});

describe('BFD strict mode', () => {
  const sent: Fsm = { is: 'OpenSent', timers: { hold: NOW + 1, bfdHold: OFF }, ...counted };
  const awaitsBfd = true;

  it('a good OPEN waits for BFD without a KEEPALIVE, for the hold time at most', () => {
    const [waiting, effects] = stepFsm(sent, { on: 'BGPOpen', times: TIMES, awaitsBfd }, ACTIVE, HALF);
    expect([waiting, effects]).toEqual([{ ...awaiting(false), timers: { hold: NOW + 90_000, bfdHold: OFF } }, []]);
    expect(dueEvent(waiting, NOW + 90_000)).toEqual({ on: 'HoldTimer_Expires' });
  });

  it('hold time 0: BfdHoldTimer bounds the wait', () => {
    const times = { holdTimeMs: 0, keepaliveTimeMs: 0 };
    const [waiting] = stepFsm(sent, { on: 'BGPOpen', times, awaitsBfd }, ACTIVE, HALF);
    expect([fsmDueAt(waiting), BFD_HOLD_MS]).toEqual([NOW + 30_000, 30_000]);
    expect(dueEvent(waiting, NOW + 30_000)).toEqual({ on: 'BfdHoldTimer_Expires' });
  });

  it('a KEEPALIVE that came meanwhile counts as soon as BFD is up', () => {
    const [confirmed] = stepFsm(awaiting(false), { on: 'KeepAliveMsg' }, ACTIVE, HALF);
    expect(confirmed).toEqual(awaiting(true));
    const [up, effects] = stepFsm(confirmed, { on: 'BfdUp' }, ACTIVE, HALF);
    expect([up.is, effects]).toEqual(['Established', [{ do: 'send', message: 'KEEPALIVE' }]]);
    expect(timersOf(up)).toEqual({ hold: NOW + 90_000, keepalive: NOW + 30_000 * 0.875 });
  });

  it('with DelayOpen running, our OPEN leaves and the rest waits', () => {
    for (const is of ['Connect', 'Active'] as const) {
      const delaying: Fsm = { is, timers: { connectRetry: OFF, delayOpen: NOW + 1 }, ...counted };
      const event = { on: 'BGPOpen_with_DelayOpenTimer_running', times: TIMES, awaitsBfd } as const;
      const [waiting, effects] = stepFsm(delaying, event, ACTIVE, HALF);
      expect([waiting.is, effects]).toEqual(['OpenSent', [{ do: 'send', message: 'OPEN' }]]);
      expect(fsmDueAt(waiting)).toBe(NOW + 90_000);
    }
  });
});

describe('timers', () => {
  it('hold time 0 runs neither HoldTimer nor KeepaliveTimer (RFC 4271 §4.4)', () => {
    const sent: Fsm = { is: 'OpenSent', timers: { hold: NOW + 1, bfdHold: OFF }, connectRetryCounter: 0 };
    const [confirmed] = stepFsm(sent, { on: 'BGPOpen', times: { holdTimeMs: 0, keepaliveTimeMs: 0 } }, ACTIVE, HALF);
    const [up] = stepFsm(confirmed, { on: 'KeepAliveMsg' }, ACTIVE, HALF);
    expect([up.is, fsmDueAt(confirmed), fsmDueAt(up)]).toEqual(['Established', OFF, OFF]);
  });

  it('ConnectRetryTimer and KeepaliveTimer are jittered between 0.75 and 1 (RFC 4271 §10)', () => {
    for (const [random, share] of [
      [0, 0.75],
      [0.999_999, 1],
    ] as const) {
      const [dialling] = stepFsm({ is: 'Idle', damped: false, connectRetryCounter: 0 }, { on: 'ManualStart' }, ACTIVE, {
        now: 0,
        random,
      });
      expect(fsmDueAt(dialling)).toBeCloseTo(120_000 * share, 0);
    }
  });

  it('a dial is given five seconds even where the next is due sooner', () => {
    const soon: FsmOptions = { ...ACTIVE, connectRetryMs: 1_000 };
    const [dialling] = stepFsm({ is: 'Idle', damped: false, connectRetryCounter: 0 }, { on: 'ManualStart' }, soon, {
      now: 0,
      random: 0,
    });
    expect(fsmDueAt(dialling)).toBeGreaterThanOrEqual(DIAL_LIMIT_MS);
  });

  it('a due timer is the RFC event of its name; HoldTimer goes before KeepaliveTimer', () => {
    const timers = { hold: NOW, keepalive: NOW };
    const up: Fsm = { is: 'Established', ...TIMES, timers, connectRetryCounter: 0 };
    expect(dueEvent(up, NOW - 1)).toBeUndefined();
    expect(dueEvent(up, NOW)?.on).toBe('HoldTimer_Expires');
    expect(dueEvent({ ...up, timers: { ...timers, hold: OFF } }, NOW)?.on).toBe('KeepaliveTimer_Expires');
    const waiting: Fsm = { is: 'Active', timers: { connectRetry: NOW, delayOpen: OFF }, connectRetryCounter: 0 };
    expect(dueEvent(waiting, NOW)?.on).toBe('ConnectRetryTimer_Expires');
    expect(dueEvent({ ...waiting, timers: { connectRetry: OFF, delayOpen: NOW } }, NOW)?.on).toBe(
      'DelayOpenTimer_Expires',
    );
    expect(OPEN_HOLD_MS).toBe(60_000);
  });
});
