// Seeded chance for simulations: the same seed tells the same story, on every machine.

export interface Chance {
  /** [0,1) */
  readonly next: () => number;
  /** An integer in [low, high]. */
  readonly between: (low: number, high: number) => number;
  readonly pick: <T>(of: readonly T[]) => T;
  readonly happens: (probability: number) => boolean;
}

/** mulberry32. */
export function createChance(seed: number): Chance {
  let a = seed >>> 0;
  const next = (): number => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  const between = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    between,
    pick: (of) => {
      const picked = of[between(0, of.length - 1)];
      if (picked === undefined) throw new Error('nothing to pick from');
      return picked;
    },
    happens: (probability) => next() < probability,
  };
}
