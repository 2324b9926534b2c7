// Timers of a BFD session, each rule of RFC 5880 §6.5, §6.6, §6.8.1-§6.8.4, §6.8.7, §6.8.12, §6.8.16 in ms that were reckoned
// by hand. The peer of `bfd-driven` offers 100 ms × 5 and takes a packet every 50 ms; this side 300 ms × 3, takes 200 ms.

import { describe, expect, it } from 'vitest';
import { detectionTimeMs } from '../../src/bfd/pace.ts';
import { dueAt } from '../../src/bfd/session.ts';
import { isSilent } from '../../src/bfd/variables.ts';
import { viewSession } from '../../src/bfd/view.ts';
import { OFF } from '../../src/net/machine.ts';
import { Driven, MINE, PEER } from './bfd-driven.ts';

const up = (parameters: ConstructorParameters<typeof Driven>[0] = {}): Driven =>
  new Driven(parameters).pass(0).toUp().clear();
/** Keeps the peer alive: a packet every 100 ms. */
function alive(driven: Driven, ms: number, changes: Parameters<Driven['hear']>[0] = {}): Driven {
  for (let passed = 0; passed < ms; passed += 100) driven.pass(100).hear({ state: 'Up', ...changes });
  return driven;
}

describe('before anything was heard', () => {
  it('sends at once, then one packet a second at most, and never stops (6.8.3)', () => {
    const driven = new Driven().pass(10_000);
    expect(driven.sent[0]?.at).toBe(1000);
    expect(new Set(driven.gaps)).toEqual(new Set([875]));
    expect(driven.last).toMatchObject({ state: 'Down', desiredMinTxMs: 1000, requiredMinRxMs: 200, poll: false });
    expect(driven.last).toMatchObject({ myDiscriminator: MINE, yourDiscriminator: 0, demand: false, diagnostic: 0 });
  });

  it('keeps a slower wish than a second, and a faster one between ends that agreed on it', () => {
    expect(new Driven({ desiredMinTxMs: 4000 }).pass(0).last.desiredMinTxMs).toBe(4000);
    const fast = new Driven({ slowTxMs: 300 }).pass(3000);
    expect(fast.last.desiredMinTxMs).toBe(300);
    expect(new Set(fast.gaps)).toEqual(new Set([262.5]));
  });

  it('a passive end is silent, answers the first packet at once, and is silent again after the peer (6.1, 6.8.7)', () => {
    const driven = new Driven({ passive: true }).pass(60_000);
    expect(driven.sent).toEqual([]);
    expect(dueAt(driven.session)).toBe(OFF);
    driven.hear({ state: 'Down', yourDiscriminator: 0 });
    expect(driven.last).toMatchObject({ state: 'Init', yourDiscriminator: PEER });
    driven.hear({ state: 'Up' }).clear().pass(60_000);
    // 5 × max(200, 100) ms of silence; what left before that left on schedule, after it nothing
    expect(driven.reports).toMatchObject([{ to: 'Down', because: 'detection-expired', failure: true }]);
    expect(driven.sent.every(({ at, packet }) => at < 62_000 && packet.state === 'Up')).toBe(true);
    expect(dueAt(driven.session)).toBe(OFF);
  });
});

describe('pace (6.8.2, 6.8.7)', () => {
  it.each([
    [0, 225],
    [0.5, 262.5],
    [0.999999, 299.999925],
  ])('jitter: with %d of chance 300 ms become %d', (random, gap) => {
    const driven = up();
    driven.random = random;
    driven.pass(300).clear();
    alive(driven, 900);
    for (const found of driven.gaps) expect(found).toBeCloseTo(gap, 6);
    expect(driven.gaps.length).toBeGreaterThan(1);
  });

  it.each([
    [0, 225],
    [0.999999, 269.999955],
  ])('with a multiplier of 1 and %d of chance they become %d', (random, gap) => {
    const driven = up({ detectMult: 1 });
    driven.random = random;
    driven.pass(300).clear();
    alive(driven, 900);
    for (const found of driven.gaps) expect(found).toBeCloseTo(gap, 6);
    expect(driven.gaps.length).toBeGreaterThan(1);
  });

  it('the slower of our wish and what the peer takes', () => {
    const driven = up().hear({ state: 'Up', requiredMinRxMs: 800 });
    expect(driven.session.transmitIntervalMs).toBe(800);
    expect(driven.hear({ state: 'Up', requiredMinRxMs: 20 }).session.transmitIntervalMs).toBe(300);
  });

  it('a peer that takes more is served at once, from the packet before (6.8.3)', () => {
    const driven = up().hear({ state: 'Up', requiredMinRxMs: 10_000 }).pass(0);
    alive(driven, 400, { requiredMinRxMs: 10_000 });
    expect(driven.sent).toEqual([]);
    driven.hear({ state: 'Up', requiredMinRxMs: 50 });
    // the last packet left 400 ms ago: the next one is overdue
    expect(driven.pass(0).sent.length).toBe(1);
  });

  it('the very next packet after Up is a fast one', () => {
    const driven = new Driven().pass(0).hear({ state: 'Down' }).hear({ state: 'Init' }).clear();
    alive(driven, 300);
    expect(driven.sent[0]?.at).toBe(1262.5);
  });

  it('a peer that takes nothing gets nothing but Finals and changes of state', () => {
    const driven = up();
    alive(driven, 2000, { requiredMinRxMs: 0 });
    expect(driven.sent).toEqual([]);
    driven.hear({ state: 'Up', requiredMinRxMs: 0, poll: true });
    expect(driven.last).toMatchObject({ state: 'Up', final: true });
    driven.hear({ state: 'Down', requiredMinRxMs: 0 });
    expect(driven.last).toMatchObject({ state: 'Down', diagnostic: 3 });
    driven.clear().pass(999);
    expect(driven.sent).toEqual([]);
  });

  it('after it went away we speak again', () => {
    const driven = up().hear({ state: 'Up', requiredMinRxMs: 0 }).pass(3000);
    expect(driven.sent.map(({ packet }) => packet.state)).toEqual(['Down', 'Down', 'Down']);
  });

  it('10 ms works like any other interval', () => {
    const driven = up({ desiredMinTxMs: 10, requiredMinRxMs: 10 });
    driven.hear({ state: 'Up', final: true, desiredMinTxMs: 10, requiredMinRxMs: 10, detectMult: 3 });
    expect(detectionTimeMs(driven.session)).toBe(30);
    driven.hear({ state: 'Up', desiredMinTxMs: 10, requiredMinRxMs: 10, detectMult: 3 }).clear().pass(29.9);
    expect(driven.reports).toEqual([]);
    expect(new Set(driven.gaps.map((gap) => gap.toFixed(3)))).toEqual(new Set(['8.750']));
    expect(driven.pass(0.2).session.state).toBe('Down');
  });
});

describe('Detection Time (6.8.4)', () => {
  it('is the peer’s multiplier times the slower of its wish and what we take, from the last packet that was believed', () => {
    const driven = up();
    expect(detectionTimeMs(driven.session)).toBe(5 * 200);
    driven.pass(900).hear({ state: 'AdminDown' }, { ttl: 254 }).pass(99.9);
    expect(driven.session.state).toBe('Up');
    expect(driven.pass(0.1).reports).toMatchObject([{ to: 'Down', because: 'detection-expired', diagnostic: 1 }]);
    expect(driven.session.since).toBe(2000);
  });

  it.each([
    [{ desiredMinTxMs: 700, detectMult: 3 }, 2100],
    [{ desiredMinTxMs: 100, detectMult: 255 }, 51_000],
    [{ desiredMinTxMs: 0, detectMult: 1 }, 200],
    [{ desiredMinTxMs: 4_294_967.295, detectMult: 1 }, 4_294_967.295],
  ])('of a peer that told %j: %d', (told, time) => {
    expect(detectionTimeMs(up().hear({ state: 'Up', ...told }).session)).toBeCloseTo(time, 6);
  });

  it('is over only when a tick says so: a packet that was waiting is heard first', () => {
    const driven = up();
    driven.now += 5000;
    expect(driven.hear({ state: 'Up' }).do({ on: 'tick' }).session.state).toBe('Up');
    expect(driven.reports).toEqual([]);
  });

  it('forgets the peer’s discriminator with it, and says so in the packet that says Down (6.8.1)', () => {
    const driven = up().pass(1000);
    expect(driven.last).toMatchObject({ state: 'Down', diagnostic: 1, yourDiscriminator: 0, poll: false });
    expect(driven.session.remote.discriminator).toBe(0);
  });

  it('and shows nothing of a peer that is not heard any more, as before it was heard', () => {
    expect(viewSession(new Driven().session)).not.toHaveProperty('remote');
    const driven = up();
    expect(viewSession(driven.session).remote).toMatchObject({ state: 'Up' });
    expect(viewSession(driven.pass(1000).session)).not.toHaveProperty('remote');
    expect(viewSession(driven.hear({ state: 'Down' }).session).remote).toMatchObject({ state: 'Down' });
  });

  it('and with it a Poll that nobody is there to answer', () => {
    const driven = up().retune({ desiredMinTxMs: 900 }).pass(900);
    expect(driven.last).toMatchObject({ state: 'Up', poll: true });
    driven.pass(5000);
    expect(driven.last).toMatchObject({ state: 'Down', poll: false, desiredMinTxMs: 1000 });
  });

  it('forgets it also in Down and in AdminDown', () => {
    const down = new Driven().hear({ state: 'Up' }).pass(999);
    expect(down.session).toMatchObject({ state: 'Down', remote: { discriminator: PEER } });
    expect(down.pass(1).session.remote.discriminator).toBe(0);
    const admin = new Driven().do({ on: 'disable' }).hear({ state: 'Up' }).pass(999);
    expect(admin.session.remote.discriminator).toBe(PEER);
    expect(admin.pass(1).session.remote.discriminator).toBe(0);
  });

  it('sends slowly from then on, the first packet a slow gap after Down', () => {
    const driven = up().pass(1000).clear().pass(5000);
    expect(driven.sent[0]?.at).toBe(2875);
    expect(new Set(driven.gaps)).toEqual(new Set([875]));
    expect(driven.last.desiredMinTxMs).toBe(1000);
  });
});

describe('changes while Up (6.8.3)', () => {
  it('the first packet that says Up carries Poll and the fast interval; Final ends it, no extra packets', () => {
    const driven = new Driven().pass(0).hear({ state: 'Down' }).hear({ state: 'Init' });
    expect(driven.last).toMatchObject({ state: 'Up', poll: true, desiredMinTxMs: 300 });
    driven.clear();
    alive(driven, 600);
    expect(driven.sent.map(({ packet }) => packet.poll)).toEqual([true, true]);
    driven.hear({ state: 'Up', final: true }).clear();
    alive(driven, 600);
    expect(driven.sent.map(({ packet }) => packet.poll)).toEqual([false, false]);
  });

  it('a slower wish is polled for first; the pace changes with the Final', () => {
    const driven = up().retune({ desiredMinTxMs: 900 });
    expect(driven.sent).toEqual([]);
    alive(driven, 600);
    expect(driven.sent.map(({ packet }) => [packet.poll, packet.desiredMinTxMs])).toEqual([
      [true, 900],
      [true, 900],
    ]);
    expect(driven.gaps).toEqual([262.5]);
    expect(driven.hear({ state: 'Up', final: true }).session.transmitIntervalMs).toBe(900);
  });

  it('a faster wish is at once, and polled for', () => {
    const driven = up().retune({ desiredMinTxMs: 100 });
    expect(driven.session.transmitIntervalMs).toBe(100);
    expect(driven.pass(100).sent.map(({ at, packet }) => [at, packet.poll])).toEqual([[1087.5, true]]);
  });

  it('a shorter Detection Time waits for the Final', () => {
    const driven = up().retune({ requiredMinRxMs: 100 });
    expect(detectionTimeMs(driven.session)).toBe(1000);
    alive(driven, 300);
    expect(driven.last).toMatchObject({ poll: true, requiredMinRxMs: 100 });
    expect(detectionTimeMs(driven.session)).toBe(1000);
    expect(detectionTimeMs(driven.hear({ state: 'Up', final: true }).session)).toBe(500);
  });

  it('a longer one is at once, counted from the last packet', () => {
    const driven = up().pass(500).retune({ requiredMinRxMs: 400 });
    expect(driven.session.timers.detect).toBe(1000 + 2000);
    expect(driven.session.poll).toBe('polling');
  });

  it('a multiplier needs no Poll and is in the next packet (6.8.12)', () => {
    const driven = up().retune({ detectMult: 7 }).pass(300);
    expect(driven.last).toMatchObject({ detectMult: 7, poll: false });
  });

  it('nothing of this is a flap', () => {
    const driven = up();
    driven.retune({ desiredMinTxMs: 900, requiredMinRxMs: 50, detectMult: 9, minTtl: 250, passive: true });
    alive(driven, 2000);
    driven.hear({ state: 'Up', final: true });
    alive(driven, 2000);
    expect(driven.reports).toEqual([]);
    expect(driven.session.state).toBe('Up');
  });

  it('one sequence at a time: what changes meanwhile waits for the Final and a packet without it', () => {
    const driven = up().retune({ desiredMinTxMs: 900 }).retune({ desiredMinTxMs: 600, requiredMinRxMs: 100 });
    alive(driven, 300);
    expect(driven.last).toMatchObject({ poll: true, desiredMinTxMs: 900, requiredMinRxMs: 200 });
    driven.hear({ state: 'Up', final: true });
    expect(driven.session).toMatchObject({ poll: 'settling', inForce: { txMs: 900, rxMs: 200 } });
    driven.hear({ state: 'Up', final: true });
    expect(driven.session.poll).toBe('settling');
    driven.hear({ state: 'Up' });
    expect(driven.session).toMatchObject({ poll: 'polling', inForce: { txMs: 600, rxMs: 200 } });
    alive(driven, 600);
    expect(driven.last).toMatchObject({ poll: true, desiredMinTxMs: 600, requiredMinRxMs: 100 });
    driven.hear({ state: 'Up', final: true }).hear({ state: 'Up' });
    expect(driven.session).toMatchObject({ poll: 'idle', inForce: { txMs: 600, rxMs: 100 } });
  });

  it('going Down amid a sequence is slow at once', () => {
    const driven = up().retune({ desiredMinTxMs: 400 }).hear({ state: 'Down' });
    expect(driven.last).toMatchObject({ state: 'Down', desiredMinTxMs: 1000 });
    expect(driven.session.inForce).toEqual({ txMs: 1000, rxMs: 200 });
  });

  it('and at a pace that is slow anyway, what waited for a Final is in force', () => {
    const driven = up({ desiredMinTxMs: 2000 }).retune({ requiredMinRxMs: 100 }).hear({ state: 'Down' });
    expect(driven.session.inForce).toEqual({ txMs: 2000, rxMs: 100 });
  });

  it('while Down and unheard a change needs no Poll', () => {
    const driven = new Driven().pass(0).retune({ requiredMinRxMs: 50, desiredMinTxMs: 1500 }).pass(2000);
    expect(driven.last).toMatchObject({ poll: false, requiredMinRxMs: 50, desiredMinTxMs: 1500 });
  });
});

describe('Poll and Final (6.5)', () => {
  it('a Poll is answered at once and the schedule stays', () => {
    const driven = up().pass(100);
    const due = dueAt(driven.session);
    driven.hear({ state: 'Up', poll: true });
    expect(driven.sent.map(({ at, packet }) => [at, packet.final, packet.poll])).toEqual([[1100, true, false]]);
    expect(driven.session.timers.transmit).toBe(due);
  });

  it('crossed Polls: the answer has no Poll, the next packet has', () => {
    const driven = up().retune({ desiredMinTxMs: 900 }).hear({ state: 'Up', poll: true }).pass(300);
    expect(driven.sent.map(({ packet }) => [packet.poll, packet.final])).toEqual([
      [false, true],
      [true, false],
    ]);
  });

  it('a Final nobody asked for changes nothing', () => {
    const driven = up().hear({ state: 'Up', final: true });
    expect(driven.session.poll).toBe('idle');
    expect(driven.sent).toEqual([]);
  });
});

describe('a peer in Demand mode (6.6)', () => {
  const demanded = () => up().hear({ state: 'Up', demand: true });

  it('gets no periodic packets, and its Polls answered', () => {
    const driven = demanded();
    alive(driven, 2000, { demand: true });
    expect(driven.sent).toEqual([]);
    expect(driven.hear({ state: 'Up', demand: true, poll: true }).last.final).toBe(true);
  });

  it('is told a change by a Poll Sequence', () => {
    const driven = demanded().retune({ detectMult: 8 });
    alive(driven, 400, { demand: true });
    expect(driven.last).toMatchObject({ poll: true, detectMult: 8 });
    driven.hear({ state: 'Up', demand: true, final: true }).clear();
    alive(driven, 2000, { demand: true });
    expect(driven.sent).toEqual([]);
  });

  it('gets them again when it leaves Demand mode or Up', () => {
    const driven = demanded().pass(300).hear({ state: 'Up' }).pass(0);
    expect(driven.sent.length).toBe(1);
    const init = demanded().pass(300).hear({ state: 'Init', demand: true }).pass(0);
    expect(init.sent.length).toBe(1);
  });

  it('still has to be heard', () => {
    expect(demanded().pass(1000).reports).toMatchObject([{ because: 'detection-expired' }]);
  });
});

describe('AdminDown (6.8.16)', () => {
  it('is told at once and for as long as the peer needs to notice silence, then there is silence', () => {
    const driven = up().do({ on: 'disable' });
    expect(isSilent(driven.session)).toBe(false);
    driven.pass(2999);
    expect(driven.sent.map(({ at, packet }) => [at, packet.state, packet.diagnostic])).toEqual([
      [1000, 'AdminDown', 7],
      [1875, 'AdminDown', 7],
      [2750, 'AdminDown', 7],
      [3625, 'AdminDown', 7],
    ]);
    driven.clear().pass(1);
    expect(isSilent(driven.session)).toBe(true);
    driven.pass(60_000).hear({ state: 'Up', poll: true }).pass(60_000);
    expect(driven.sent).toEqual([]);
  });

  it('lasts longer towards a peer that takes fewer packets', () => {
    const driven = up().hear({ state: 'Up', requiredMinRxMs: 5000 }).do({ on: 'disable' }).pass(14_999);
    expect(isSilent(driven.session)).toBe(false);
    expect(isSilent(driven.pass(1).session)).toBe(true);
  });

  it('ends in Down, with a packet at once, and comes up again', () => {
    const driven = up().do({ on: 'disable' }).pass(60_000).clear().do({ on: 'enable' });
    expect(driven.last).toMatchObject({ state: 'Down', diagnostic: 0 });
    driven.pass(5000);
    expect(driven.sent.length).toBeGreaterThan(4);
    expect(driven.hear({ state: 'Down' }).hear({ state: 'Up' }).session.state).toBe('Up');
  });

  it('of either side is no failure', () => {
    expect(up().do({ on: 'disable' }).reports).toMatchObject([{ because: 'disabled', failure: false }]);
    const theirs = up().hear({ state: 'AdminDown', diagnostic: 7 });
    expect(theirs.reports).toMatchObject([{ because: 'peer-admin-down', failure: false, remoteDiagnostic: 7 }]);
  });
});

describe('the view', () => {
  it('shows what the peer told, and is plain JSON', () => {
    const before = viewSession(new Driven().session);
    expect(before.remote).toBeUndefined();
    expect(before.detectionTimeMs).toBeUndefined();
    const driven = up().hear({ state: 'Up', diagnostic: 3, demand: true, controlPlaneIndependent: true });
    const view = viewSession(driven.session);
    expect(view).toMatchObject({ state: 'Up', detectionTimeMs: 1000, desiredMinTxMs: 300, requiredMinRxMs: 200 });
    expect(view.remote).toMatchObject({ diagnostic: 'Neighbor Signaled Session Down', detectMult: 5, demand: true });
    expect(view.transmitIntervalMs).toBeUndefined();
    expect(JSON.parse(JSON.stringify(view))).toEqual(structuredClone(view));
  });

  it('shows no key', () => {
    const secret = Uint8Array.from(Buffer.from('fairway-key'));
    const driven = new Driven({ keys: [{ type: 'keyed-sha1', id: 7, secret }] }).pass(0);
    const view = JSON.stringify(viewSession(driven.session));
    expect(view).toContain('"authentication":"keyed-sha1"');
    expect(view).not.toContain(JSON.stringify(secret).slice(1, -1));
  });
});
