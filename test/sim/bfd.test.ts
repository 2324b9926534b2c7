// Two of our sessions over wires that lose, delay, reorder and double: no false Down below the loss that the multiplier must
// bear, Down within the bounds of RFC 5880 §6.8.4 when the wire is cut, Poll Sequences that end, the same state on both ends
// once the wire is good again. A failure is a seed.

import { describe, expect, it } from 'vitest';
import type { Key } from '../../src/bfd/auth.ts';
import { chances, PARAMETERS, type Side, type Wire, World } from './bfd-world.ts';

const SEEDS = Array.from({ length: 25 }, (_, i) => i + 1);
const MINUTE = 60_000;
const INTERVAL = PARAMETERS.desiredMinTxMs;
const MULT = PARAMETERS.detectMult;
const KEY: Key = { type: 'meticulous-keyed-sha1', id: 1, secret: Uint8Array.from(Buffer.from('fairway-key')) };

const steady: Wire = () => [1];
const cut: Wire = () => [];
/** Loses `most` packets in a row each way, lets one through, and so on: the worst that is allowed. */
function worst(most: number, delays: (chance: () => number) => readonly number[]): Wire {
  const lost: Record<Side, number> = { a: 0, b: 0 };
  return (from, _now, chance) => {
    if (lost[from] < most) {
      lost[from]++;
      return [];
    }
    lost[from] = 0;
    return delays(chance);
  };
}
const bad: Wire = (_from, _now, chance) => {
  if (chance() < 0.3) return [];
  const delay = 1 + chance() * 200;
  return chance() < 0.1 ? [delay, delay + chance() * 100] : [delay];
};

function up(seed: number, a = {}, b = {}): World {
  const world = new World(seed, a, b).run(5000);
  expect([seed, world.states]).toEqual([seed, 'Up Up']);
  world.reports.length = 0;
  return world;
}

/** Everything settled: both Up, no Poll under way, each knows and uses what the other wants. */
function settled(world: World): void {
  expect(world.states).toBe('Up Up');
  for (const [side, other] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    const mine = world.ends[side].session;
    const theirs = world.ends[other].session;
    expect(mine.poll).toBe('idle');
    expect(mine.inForce).toEqual({
      txMs: mine.parameters.desiredMinTxMs,
      rxMs: mine.parameters.requiredMinRxMs,
    });
    expect(mine.remote).toMatchObject({
      state: 'Up',
      discriminator: theirs.localDiscriminator,
      detectMult: theirs.parameters.detectMult,
      desiredMinTxMs: theirs.parameters.desiredMinTxMs,
      requiredMinRxMs: theirs.parameters.requiredMinRxMs,
    });
  }
}

describe('a good wire', () => {
  it.each(SEEDS)('seed %d: Up within two slow intervals and never Down', (seed) => {
    const world = new World(seed).run(2000);
    expect(world.states).toBe('Up Up');
    settled(world.run(5000));
    world.run(MINUTE);
    expect(world.downs()).toEqual([]);
    settled(world);
  });

  it('one end passive, either one', () => {
    for (const side of ['a', 'b'] as const) settled(up(7, { passive: side === 'a' }, { passive: side === 'b' }));
  });

  it('both passive: silence', () => {
    const world = new World(7, { passive: true }, { passive: true }).run(MINUTE);
    expect([world.states, world.sent]).toEqual(['Down Down', []]);
  });

  it('keeps to the pace: 75 to 100 % of the slower wish between packets of the schedule', () => {
    const world = up(11, {}, { requiredMinRxMs: 80 });
    const from = world.now + 1000;
    world.run(from + MINUTE);
    for (const [side, pace] of [
      ['a', 80],
      ['b', 50],
    ] as const) {
      const times = world.sent.filter((each) => each.from === side && each.at >= from).map(({ at }) => at);
      const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0));
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0.75 * pace - 1e-6);
      expect(Math.max(...gaps)).toBeLessThanOrEqual(pace + 1e-6);
      // chance is used: the mean is that of an even spread
      expect(gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length / pace).toBeCloseTo(0.875, 2);
    }
  });
});

describe('loss that the multiplier must bear', () => {
  it.each(SEEDS)('seed %d: all but one of three packets lost, steady delay: no Down', (seed) => {
    const world = up(seed);
    world.wire = worst(MULT - 1, () => [1]);
    world.run(2 * MINUTE);
    expect(world.downs()).toEqual([]);
  });

  it.each(SEEDS)(
    'seed %d: one of two lost, delays that differ by an interval, reordered and doubled: no Down',
    (seed) => {
      const world = up(seed);
      world.wire = worst(MULT - 2, (chance) => {
        const delay = 1 + chance() * (INTERVAL - 1);
        return chance() < 0.2 ? [delay, delay] : [delay];
      });
      world.run(2 * MINUTE);
      expect(world.downs()).toEqual([]);
      world.wire = steady;
      settled(world.run(world.now + 3000));
    },
  );

  it.each(SEEDS.slice(0, 10))('seed %d: signed and doubled: the copies are dropped, no Down', (seed) => {
    const world = up(seed, { keys: [KEY] }, { keys: [KEY] });
    world.wire = worst(MULT - 1, () => [1, 1]);
    world.run(MINUTE);
    expect(world.downs()).toEqual([]);
    expect(world.ends.a.session.counters.drops['auth-sequence']).toBeGreaterThan(100);
  });

  it.each(SEEDS.slice(0, 10))('seed %d: at 10 ms too', (seed) => {
    const fast = { desiredMinTxMs: 10, requiredMinRxMs: 10 };
    const world = up(seed, fast, fast);
    world.wire = worst(MULT - 1, () => [1]);
    world.run(20_000);
    expect(world.downs()).toEqual([]);
  });

  it('one packet more and it is Down: the rule above is not empty', () => {
    const world = up(1);
    world.wire = worst(MULT + 1, () => [1]);
    world.run(MINUTE);
    expect(world.downs().length).toBeGreaterThan(0);
  });

  it.each(SEEDS.slice(0, 10))('seed %d: 300 ms × 3 bears a driver that stops for 400 ms every second', (seed) => {
    const slow = { desiredMinTxMs: 300, requiredMinRxMs: 300 };
    const world = up(seed, slow, slow);
    for (let second = 6; second < 120; second++) {
      world.run(second * 1000 + world.chance() * 100);
      world.stop(world.chance() < 0.5 ? 'a' : 'b', 400);
    }
    expect(world.downs()).toEqual([]);
  });
});

describe('a cut', () => {
  it.each(SEEDS)('seed %d: both ends notice within the bounds, and come back when it is mended', (seed) => {
    const delay = 3;
    const world = up(seed);
    world.wire = () => [delay];
    world.run(world.now + 1000 + world.chance() * 100);
    const at = world.now;
    world.wire = cut;
    world.run(at + 5000);
    expect(world.states).toBe('Down Down');
    for (const side of ['a', 'b'] as const) {
      const [down] = world.downs(side);
      expect(down).toMatchObject({ because: 'detection-expired', failure: true, diagnostic: 1 });
      // the last packet left at most one interval before the cut, and arrived `delay` later
      expect(down?.at).toBeGreaterThanOrEqual(at + (MULT - 1) * INTERVAL + delay - 1e-6);
      expect(down?.at).toBeLessThanOrEqual(at + MULT * INTERVAL + delay + 1e-6);
    }
    world.wire = steady;
    settled(world.run(world.now + 4000));
  });

  it.each(SEEDS)('seed %d: one way only: the deaf end tells the other', (seed) => {
    const world = up(seed);
    const at = world.now;
    world.wire = (from) => (from === 'a' ? [] : [1]);
    world.run(at + 1000);
    expect(world.downs('b')).toMatchObject([{ because: 'detection-expired' }]);
    expect(world.downs('a')).toMatchObject([{ because: 'peer-down', diagnostic: 3, remoteDiagnostic: 1 }]);
    expect(world.downs('a')[0]?.at).toBeLessThanOrEqual((world.downs('b')[0]?.at ?? 0) + 1);
    expect(world.ends.b.session.state).toBe('Down');
    world.wire = steady;
    settled(world.run(world.now + 4000));
  });

  it.each(SEEDS)('seed %d: kill -9 of one end, signed: Up again with its new discriminator and number', (seed) => {
    const world = up(seed, { keys: [KEY] }, { keys: [KEY] });
    world.restart('b');
    world.run(world.now + 6000);
    expect(world.downs('a').length).toBe(1);
    settled(world);
  });

  it('AdminDown of one end is no failure to either, and the session comes back', () => {
    const world = up(3);
    world.do('a', { on: 'disable' });
    world.run(world.now + MINUTE);
    expect(world.states).toBe('AdminDown Down');
    expect(world.reports.map(({ failure }) => failure)).toEqual([false, false]);
    world.do('a', { on: 'enable' });
    settled(world.run(world.now + 4000));
  });
});

describe('new parameters on both ends, over any wire', () => {
  const someParameters = (chance: () => number) => ({
    desiredMinTxMs: [10, 50, 100, 300, 1000, 2000][Math.floor(chance() * 6)] ?? 50,
    requiredMinRxMs: [10, 50, 100, 300, 1000, 2000][Math.floor(chance() * 6)] ?? 50,
    detectMult: 2 + Math.floor(chance() * 4),
  });

  it.each(SEEDS)('seed %d: on a good wire nothing flaps, every Poll Sequence ends', (seed) => {
    const world = up(seed);
    const chance = chances(seed * 7919);
    for (let change = 0; change < 30; change++) {
      world.retune(chance() < 0.5 ? 'a' : 'b', someParameters(chance));
      world.run(world.now + chance() ** 3 * 6000);
    }
    settled(world.run(world.now + 20_000));
    expect(world.downs()).toEqual([]);
  });

  it.each(SEEDS)('seed %d: over a bad wire it may flap, yet ends the same on both ends', (seed) => {
    const world = up(seed);
    const chance = chances(seed * 104_729);
    world.wire = bad;
    for (let change = 0; change < 30; change++) {
      world.retune(chance() < 0.5 ? 'a' : 'b', someParameters(chance));
      if (chance() < 0.1) world.restart('a');
      world.run(world.now + chance() * 3000);
    }
    world.wire = steady;
    settled(world.run(world.now + 30_000));
    expect(world.sent.some(({ packet }) => packet.poll && packet.final)).toBe(false);
  });
});
