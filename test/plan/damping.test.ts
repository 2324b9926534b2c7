// Prefixes that flap: withdrawn at once, announced again after a pause that doubles; all others never wait.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RouteAttributes, Wanted } from '../../src/bgp/rib.ts';
import type { Prefix } from '../../src/net/address.ts';
import { OFF } from '../../src/net/machine.ts';
import { createDamping, damp } from '../../src/plan/damping.ts';
import { prefix } from './cluster.ts';

const ATTRIBUTES: RouteAttributes = { key: '', communities: [], extendedCommunities: [], largeCommunities: [] };
const [A, B] = [prefix('203.0.113.1/32'), prefix('203.0.113.2/32')];

const table = (...prefixes: readonly Prefix[]): Wanted => new Map(prefixes.map((each) => [each, ATTRIBUTES]));

/** Sessions that share one table, as a plan gives it. */
class Scene {
  readonly damping = createDamping();
  wanted: Wanted = table();

  at(now: number, ...prefixes: readonly Prefix[]) {
    this.wanted = table(...prefixes);
    return this.again(now);
  }

  again(now: number) {
    const { routes, dueAt } = damp(this.damping, new Map([['tor', this.wanted]]), now);
    return { announced: [...(routes.get('tor')?.keys() ?? [])], dueAt };
  }
}

describe('a prefix that comes back', () => {
  it('less than a second after it was withdrawn waits until a second has passed', () => {
    const scene = new Scene();
    expect(scene.at(0, A, B)).toEqual({ announced: [A, B], dueAt: OFF });
    expect(scene.at(5_000, B)).toEqual({ announced: [B], dueAt: OFF });
    expect(scene.at(5_400, A, B)).toEqual({ announced: [B], dueAt: 6_000 });
    expect(scene.again(5_999)).toEqual({ announced: [B], dueAt: 6_000 });
    expect(scene.again(6_000)).toEqual({ announced: [A, B], dueAt: OFF });
  });

  it('later than that does not wait', () => {
    const scene = new Scene();
    scene.at(0, A);
    scene.at(5_000);
    expect(scene.at(6_000, A)).toEqual({ announced: [A], dueAt: OFF });
  });

  it('again and again waits twice as long each time, ten seconds at most', () => {
    const scene = new Scene();
    scene.at(0, A);
    let now = 0;
    const pauses: number[] = [];
    for (let flap = 0; flap < 6; flap++) {
      now += 100;
      expect(scene.at(now).announced).toEqual([]);
      const withdrawnAt = now;
      const { dueAt } = scene.at(now + 1, A);
      pauses.push(dueAt - withdrawnAt);
      now = dueAt;
      expect(scene.again(now).announced).toEqual([A]);
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  });

  it('has forgotten all that after ten quiet seconds', () => {
    const scene = new Scene();
    scene.at(0, A);
    scene.at(100);
    scene.at(200, A);
    expect(scene.again(1_100).announced).toEqual([A]);
    scene.at(11_100);
    expect(scene.at(11_200, A).dueAt).toBe(12_100);
    expect(scene.damping.flaps.size).toBe(1);
    scene.again(12_100);
    scene.again(23_000);
    expect(scene.damping.flaps.size).toBe(0);
  });

  it('and goes while it waits was never announced, and its pause is not longer for it', () => {
    const scene = new Scene();
    scene.at(0, A);
    scene.at(1_000);
    expect(scene.at(1_100, A).dueAt).toBe(2_000);
    expect(scene.at(1_200)).toEqual({ announced: [], dueAt: OFF });
    expect(scene.at(1_300, A)).toEqual({ announced: [], dueAt: 2_000 });
    expect(scene.again(2_000).announced).toEqual([A]);
  });
});

describe('what does not flap', () => {
  it('keeps its very map', () => {
    const damping = createDamping();
    const routes = new Map([
      ['a', table(A)],
      ['b', table(A, B)],
    ]);
    expect(damp(damping, routes, 0).routes).toBe(routes);
    const without = new Map([
      ['a', table(A)],
      ['b', table(A)],
    ]);
    expect(damp(damping, without, 100).routes).toBe(without);
    const kept = routes.get('a') ?? table();
    const held = damp(damping, new Map([...routes, ['c', kept]]), 200).routes;
    expect(held.get('a')).toBe(kept);
    expect(held.get('c')).toBe(kept);
    expect([...(held.get('b')?.keys() ?? [])]).toEqual([A]);
    // and the reduced one is the same as long as nothing else is held back
    expect(damp(damping, new Map([...routes, ['c', kept]]), 300).routes.get('b')).toBe(held.get('b'));
  });

  it('may move from one session to another, or change its attributes', () => {
    const damping = createDamping();
    damp(damping, new Map([['a', table(A)]]), 0);
    const moved = new Map([['b', table(A)]]);
    expect(damp(damping, moved, 10).routes).toBe(moved);
    const other = new Map([['b', new Map([[A, { ...ATTRIBUTES, key: 'other' }]])]]);
    expect(damp(damping, other, 20).routes).toBe(other);
  });
});

describe('over any history', () => {
  const turns = fc.array(
    fc.record({ after: fc.integer({ min: 1, max: 3_000 }), bits: fc.integer({ min: 0, max: 7 }) }),
    {
      maxLength: 60,
    },
  );
  const ALL = [A, B, prefix('2001:db8::/64')];

  it('withdraws at once, never announces again within a second, and comes to rest at what is wanted within ten', () => {
    const property = fc.property(turns, (history) => {
      const scene = new Scene();
      const gone = new Map<Prefix, number>();
      let onWire: readonly Prefix[] = [];
      let now = 0;
      const look = ({ announced, dueAt }: ReturnType<Scene['again']>) => {
        for (const each of announced) expect(scene.wanted.has(each)).toBe(true);
        for (const each of announced)
          if (!onWire.includes(each))
            expect(now - (gone.get(each) ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(1_000);
        for (const each of onWire) if (!announced.includes(each)) gone.set(each, now);
        for (const each of scene.wanted.keys())
          if (!announced.includes(each))
            expect(now - (gone.get(each) ?? Number.NEGATIVE_INFINITY)).toBeLessThan(10_000);
        if (announced.length < scene.wanted.size) expect(dueAt).toBeGreaterThan(now);
        else expect(dueAt).toBe(OFF);
        onWire = announced;
        return dueAt;
      };
      let due = OFF;
      for (const { after, bits } of history) {
        const next = now + after;
        while (due <= next) {
          now = due;
          due = look(scene.again(now));
        }
        now = next;
        due = look(scene.at(now, ...ALL.filter((_, bit) => bits & (1 << bit))));
      }
      const end = now + 10_000;
      while (due !== OFF) {
        now = due;
        expect(now).toBeLessThanOrEqual(end);
        due = look(scene.again(now));
      }
      expect(onWire).toEqual([...scene.wanted.keys()]);
    });
    fc.assert(property, { seed: 4_271, numRuns: 500 });
  });
});
