// The second half of a thousand simulated hours; in a file of its own, so that both processors have something to do.

import { describe, expect, it } from 'vitest';
import { tellHours } from './l2-hour.ts';

const BLOCK = 50;

describe('ownership on a bad LAN', () => {
  for (let from = 501; from <= 1_000; from += BLOCK) {
    it(`holds what it promises in hours ${from} to ${from + BLOCK - 1}`, () => {
      const { steps, moves } = tellHours(from, BLOCK);
      // an hour of three speakers is never quiet, and what breaks moves addresses
      expect(steps).toBeGreaterThan(BLOCK * 20_000);
      expect(moves).toBeGreaterThan(BLOCK);
    });
  }
});
