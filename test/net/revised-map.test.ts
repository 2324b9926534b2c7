// A revised map reads as the plain map that has the same entries, in the same order.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differences, revise } from '../../src/net/revised-map.ts';

interface Value {
  readonly n: number;
}

describe('a revised map', () => {
  it('is as a plain one through any revisions', () => {
    const revision = fc.array(fc.tuple(fc.nat(29), fc.nat(99)), { maxLength: 4 });
    fc.assert(
      fc.property(fc.array(revision, { maxLength: 12 }), (rounds) => {
        const plain = new Map<number, Value>(Array.from({ length: 30 }, (_, n) => [n, { n }]));
        let revised: ReadonlyMap<number, Value> = new Map(plain);
        for (const round of rounds) {
          const changes = new Map(round.map(([key, n]) => [key, { n }]));
          const before = revised;
          const wasBefore = [...before];
          for (const [key, value] of changes) plain.set(key, value);
          revised = revise(before, changes);
          expect([...before]).toEqual(wasBefore);
          expect([...revised]).toEqual([...plain]);
          expect([...revised.keys()]).toEqual([...plain.keys()]);
          expect([...revised.values()]).toEqual([...plain.values()]);
          const seen: unknown[] = [];
          revised.forEach((value, key) => seen.push([key, value]));
          expect(seen).toEqual([...plain]);
          expect([revised.size, revised.has(7), revised.has(30), revised.get(7), revised.get(30)]).toEqual([
            ...[30, true, false, plain.get(7), undefined],
          ]);
          const changed = [...plain.keys()].filter((key) => before.get(key) !== revised.get(key));
          const found = differences(before, revised);
          if (found !== undefined) expect([...found]).toEqual(expect.arrayContaining(changed));
        }
      }),
      { seed: 12, numRuns: 200 },
    );
  });

  it('knows the differences of maps of one descent, and says when it does not', () => {
    const base = new Map(Array.from({ length: 100 }, (_, n) => [n, { n }]));
    const one = revise(base, new Map([[1, { n: -1 }]]));
    const two = revise(one, new Map([[2, { n: -2 }]]));
    expect(revise(two, new Map())).toBe(two);
    expect([...(differences(base, base) ?? ['?'])]).toEqual([]);
    expect([...(differences(base, one) ?? [])]).toEqual([1]);
    expect([...(differences(one, two) ?? [])].sort()).toEqual([1, 2]);
    expect(differences(one, new Map(base))).toBeUndefined();
    const many = revise(two, new Map(Array.from({ length: 20 }, (_, n) => [n, { n: -n }])));
    expect(differences(two, many)).toBeUndefined();
    expect(() => revise(base, new Map([[100, { n: 0 }]]))).toThrow(RangeError);
  });
});
