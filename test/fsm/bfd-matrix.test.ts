// RFC 5880 §6.8.6, §6.8.4, §6.8.16: every state × every event, transcribed from the RFC's text. A missing cell does not
// compile. What a cell says: the next state, bfd.LocalDiag, the packets that leave in this very step, and the report.

import { describe, expect, it } from 'vitest';
import type { SessionState } from '../../src/bfd/packet.ts';
import { DROP_REASONS } from '../../src/bfd/packet.ts';
import type { Cause } from '../../src/bfd/session.ts';
import { Driven } from './bfd-driven.ts';

type Happening =
  | 'hears AdminDown'
  | 'hears Down'
  | 'hears Init'
  | 'hears Up'
  | 'hears AdminDown with Poll'
  | 'hears Down with Poll'
  | 'hears Init with Poll'
  | 'hears Up with Poll'
  | 'hears with TTL 254'
  | 'an echo'
  | 'echoes stop coming back'
  | 'Detection Time passes'
  | 'transmit timer'
  | 'configure'
  | 'enable'
  | 'disable';

interface Cell {
  readonly to: SessionState;
  /** bfd.LocalDiag; before it was 0 (7 in AdminDown). */
  readonly diag: number;
  /** P: Poll, F: Final. */
  readonly sends: readonly string[];
  readonly because?: Cause;
  readonly failure?: true;
}

const NOTHING: readonly string[] = [];
const stays = (to: SessionState, ...sends: string[]): Cell => ({ to, diag: to === 'AdminDown' ? 7 : 0, sends });
const ignored = stays('AdminDown');
/** RFC 5880 §6.8.6: Init and Up by the peer's packets; LocalDiag is not named there and stays. */
const rises = (to: 'Init' | 'Up', ...sends: string[]): Cell => ({ to, diag: 0, sends, because: 'handshake' });
const falls = (because: Cause, ...sends: string[]): Cell => ({ to: 'Down', diag: 3, sends, because });
const fails = (diag: 1 | 2 | 3, because: Cause, ...sends: string[]): Cell => ({
  to: 'Down',
  diag,
  sends,
  because,
  failure: true,
});
/** 'Disabled': AdminDown, diagnostic 7, told at once (§6.8.16). */
const disabled = (...sends: string[]): Cell => ({ to: 'AdminDown', diag: 7, sends, because: 'disabled' });

/**
 * Where bfd.DesiredMinTxInterval changes with the state (Up fast, else slow: §6.8.3) and the peer is known, the new state's
 * packets carry Poll. A Final never does (§6.5), and it goes out in place of the packet that would tell the new state.
 */
const MATRIX: Readonly<Record<SessionState, Readonly<Record<Happening, Cell>>>> = {
  AdminDown: {
    'hears AdminDown': ignored,
    'hears Down': ignored,
    'hears Init': ignored,
    'hears Up': ignored,
    'hears AdminDown with Poll': ignored,
    'hears Down with Poll': ignored,
    'hears Init with Poll': ignored,
    'hears Up with Poll': ignored,
    'hears with TTL 254': ignored,
    'an echo': ignored,
    'echoes stop coming back': ignored,
    'Detection Time passes': ignored,
    'transmit timer': stays('AdminDown', 'AdminDown P'),
    configure: ignored,
    enable: { to: 'Down', diag: 0, sends: ['Down P'], because: 'enabled' },
    disable: ignored,
  },
  Down: {
    'hears AdminDown': stays('Down'),
    'hears Down': rises('Init', 'Init'),
    'hears Init': rises('Up', 'Up P'),
    'hears Up': stays('Down'),
    'hears AdminDown with Poll': stays('Down', 'Down F'),
    'hears Down with Poll': rises('Init', 'Init F'),
    'hears Init with Poll': rises('Up', 'Up F'),
    'hears Up with Poll': stays('Down', 'Down F'),
    'hears with TTL 254': stays('Down'),
    'an echo': stays('Down'),
    'echoes stop coming back': stays('Down'),
    'Detection Time passes': stays('Down'),
    'transmit timer': stays('Down', 'Down'),
    configure: stays('Down'),
    enable: stays('Down'),
    disable: disabled('AdminDown'),
  },
  Init: {
    'hears AdminDown': falls('peer-admin-down', 'Down'),
    'hears Down': stays('Init'),
    'hears Init': rises('Up', 'Up P'),
    'hears Up': rises('Up', 'Up P'),
    'hears AdminDown with Poll': falls('peer-admin-down', 'Down F'),
    'hears Down with Poll': stays('Init', 'Init F'),
    'hears Init with Poll': rises('Up', 'Up F'),
    'hears Up with Poll': rises('Up', 'Up F'),
    'hears with TTL 254': stays('Init'),
    'an echo': stays('Init'),
    'echoes stop coming back': stays('Init'),
    'Detection Time passes': { to: 'Down', diag: 1, sends: ['Down'], because: 'detection-expired' },
    'transmit timer': stays('Init', 'Init'),
    configure: stays('Init'),
    enable: stays('Init'),
    disable: disabled('AdminDown'),
  },
  Up: {
    'hears AdminDown': falls('peer-admin-down', 'Down P'),
    'hears Down': fails(3, 'peer-down', 'Down P'),
    'hears Init': stays('Up'),
    'hears Up': stays('Up'),
    'hears AdminDown with Poll': falls('peer-admin-down', 'Down F'),
    'hears Down with Poll': fails(3, 'peer-down', 'Down F'),
    'hears Init with Poll': stays('Up', 'Up F'),
    'hears Up with Poll': stays('Up', 'Up F'),
    'hears with TTL 254': stays('Up'),
    'an echo': stays('Up'),
    'echoes stop coming back': fails(2, 'echo-failed', 'Down P'),
    'Detection Time passes': fails(1, 'detection-expired', 'Down'),
    'transmit timer': stays('Up', 'Up'),
    configure: stays('Up'),
    enable: stays('Up'),
    disable: disabled('AdminDown P'),
  },
};

/** Just before its next packet is due, so that no cell is another one's timer. */
const INTO: Readonly<Record<SessionState, () => Driven>> = {
  AdminDown: () => new Driven().toUp().do({ on: 'disable' }),
  Down: () => new Driven().pass(0).hear({ state: 'AdminDown' }),
  Init: () => new Driven().pass(0).hear({ state: 'Down' }),
  Up: () => new Driven().pass(0).toUp(),
};

const DO: Readonly<Record<Happening, (driven: Driven) => Driven>> = {
  'hears AdminDown': (driven) => driven.hear({ state: 'AdminDown' }),
  'hears Down': (driven) => driven.hear({ state: 'Down' }),
  'hears Init': (driven) => driven.hear({ state: 'Init' }),
  'hears Up': (driven) => driven.hear({ state: 'Up' }),
  'hears AdminDown with Poll': (driven) => driven.hear({ state: 'AdminDown', poll: true }),
  'hears Down with Poll': (driven) => driven.hear({ state: 'Down', poll: true }),
  'hears Init with Poll': (driven) => driven.hear({ state: 'Init', poll: true }),
  'hears Up with Poll': (driven) => driven.hear({ state: 'Up', poll: true }),
  'hears with TTL 254': (driven) => driven.hear({ state: 'AdminDown', poll: true }, { ttl: 254 }),
  'an echo': (driven) => driven.do({ on: 'echo', bytes: new Uint8Array(8) }),
  'echoes stop coming back': (driven) => {
    // Both ends offer echoes; in Up the first one comes back, and what follows is lost.
    driven.retune({ echo: { transmitMs: 50, receiveMs: 50 } });
    driven.session.remote = { ...driven.session.remote, requiredMinEchoRxMs: 50 };
    driven.do({ on: 'tick' });
    for (const { bytes } of driven.echoes) driven.do({ on: 'echo', bytes });
    driven.now += 3 * 50;
    return driven.do({ on: 'tick' });
  },
  'Detection Time passes': (driven) => {
    const { timers } = driven.session;
    driven.now = timers.detect;
    driven.session.timers = { ...timers, transmit: Number.POSITIVE_INFINITY };
    return driven.do({ on: 'tick' });
  },
  'transmit timer': (driven) => {
    const { timers } = driven.session;
    driven.now = timers.transmit;
    driven.session.timers = { ...timers, detect: Number.POSITIVE_INFINITY };
    return driven.do({ on: 'tick' });
  },
  configure: (driven) => driven.retune({ detectMult: 4 }),
  enable: (driven) => driven.do({ on: 'enable' }),
  disable: (driven) => driven.do({ on: 'disable' }),
};

describe.each(Object.keys(MATRIX) as SessionState[])('%s', (state) => {
  it.each(Object.keys(MATRIX[state]) as Happening[])('%s', (happening) => {
    const cell = MATRIX[state][happening];
    const driven = INTO[state]();
    expect(driven.session.state).toBe(state);
    DO[happening](driven.clear());
    const { session, sent, reports } = driven;
    const said = sent.map(({ packet }) => `${packet.state}${packet.poll ? ' P' : ''}${packet.final ? ' F' : ''}`);
    expect({ to: session.state, diag: session.diagnostic, sends: said }).toEqual({
      to: cell.to,
      diag: cell.diag,
      sends: cell.sends,
    });
    expect(sent.every(({ packet }) => packet.diagnostic === cell.diag)).toBe(true);
    const { because, failure = false } = cell;
    const report = {
      report: 'bfd-state',
      session: 's',
      from: state,
      to: cell.to,
      because,
      failure,
      diagnostic: cell.diag,
      remoteDiagnostic: 0,
      independent: false,
    };
    expect(reports).toEqual(because === undefined ? NOTHING : [report]);
  });
});

describe('around the matrix', () => {
  it('every drop that a session makes has a counter of its name, and changes nothing else', () => {
    const driven = new Driven().pass(0).toUp();
    const before = structuredClone(driven.clear().session);
    driven.hear({ state: 'Down', poll: true, detectMult: 9, myDiscriminator: 5 }, { ttl: 254 });
    const { counters, ...rest } = driven.session;
    expect(rest).toEqual((({ counters: _, ...others }) => others)(before));
    expect(counters).toEqual({ ...before.counters, drops: { ttl: 1 } });
    expect(driven.sent).toEqual([]);
    expect(Object.keys(counters.drops).every((name) => (DROP_REASONS as readonly string[]).includes(name))).toBe(true);
  });

  it('several hops are a matter of the lowest TTL', () => {
    const driven = new Driven({ minTtl: 250 }).hear({ state: 'Down' }, { ttl: 249 });
    expect(driven.session.state).toBe('Down');
    expect(driven.hear({ state: 'Down' }, { ttl: 250 }).session.state).toBe('Init');
    expect(driven.session.counters.drops).toEqual({ ttl: 1 });
  });

  it('an AdminDown session learns what the peer tells, and counts the packet as dropped', () => {
    const driven = INTO.AdminDown().hear({ state: 'Init', myDiscriminator: 99, requiredMinRxMs: 4000 });
    expect(driven.session.remote).toMatchObject({ discriminator: 99, state: 'Init', requiredMinRxMs: 4000 });
    expect(driven.session.counters.drops).toEqual({ 'admin-down': 1 });
  });

  it('the first bring-up is never a failure, however it stumbles', () => {
    const driven = new Driven().pass(0);
    driven.hear({ state: 'Down' }).hear({ state: 'AdminDown' }).hear({ state: 'Down' });
    driven.pass(10_000).hear({ state: 'Down' }).hear({ state: 'Up' });
    expect(driven.reports.map(({ from, to, failure }) => [from, to, failure])).toEqual([
      ['Down', 'Init', false],
      ['Init', 'Down', false],
      ['Down', 'Init', false],
      ['Init', 'Down', false],
      ['Down', 'Init', false],
      ['Init', 'Up', false],
    ]);
    expect(driven.hear({ state: 'Down' }).reports.at(-1)).toMatchObject({ from: 'Up', failure: true });
    expect(driven.session.counters).toMatchObject({ upEvents: 1, downEvents: 1 });
  });

  it('a peer that was restarted is Down to us by its first packet, and Up again under its new discriminator', () => {
    const driven = new Driven().pass(0).toUp().clear();
    driven.hear({ state: 'Down', yourDiscriminator: 0, myDiscriminator: 0x33333333 });
    expect(driven.last).toMatchObject({ state: 'Down', diagnostic: 3, yourDiscriminator: 0x33333333 });
    driven.hear({ state: 'Down', myDiscriminator: 0x33333333 }).hear({ state: 'Init', myDiscriminator: 0x33333333 });
    expect(driven.last).toMatchObject({ state: 'Up', yourDiscriminator: 0x33333333 });
  });
});
