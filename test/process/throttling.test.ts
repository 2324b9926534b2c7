// A container whose processor time is cut, by what the kernel counts.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { throttledMs } from '../../src/io/throttling.ts';
import { Throttling } from '../../src/process/throttling.ts';

/** As Linux 6.12 prints it. */
const stat = (micros: number) =>
  `usage_usec 812345\nuser_usec 500000\nsystem_usec 312345\nnr_periods 40\nnr_throttled 12\nthrottled_usec ${micros}\nnr_bursts 0\nburst_usec 0\n`;

describe('processor time that is cut', () => {
  it('is read from the cgroup, where there is one with a limit', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fairway-cgroup-'));
    try {
      const file = join(folder, 'cpu.stat');
      expect(throttledMs(file)).toBeUndefined();
      writeFileSync(file, 'usage_usec 812345\nuser_usec 500000\nsystem_usec 312345\n');
      expect(throttledMs(file)).toBeUndefined();
      writeFileSync(file, stat(2_500_000));
      expect(throttledMs(file)).toBe(2_500);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('is said once a minute at most, with how much it was; not what was before the process', () => {
    let total: number | undefined = 700;
    const said: unknown[] = [];
    const none = () => {};
    const warn = (fields: object) => void said.push(fields);
    const throttling = new Throttling({ debug: none, info: none, warn, error: none, fatal: none }, () => total);
    throttling.look(0);
    expect(said).toEqual([]);
    total = 900;
    throttling.look(5_000);
    total = 1_000;
    throttling.look(10_000);
    throttling.look(64_999);
    expect(said).toMatchObject([{ event: 'throttled', throttledMs: 200 }]);
    throttling.look(65_000);
    expect(said).toMatchObject([{}, { throttledMs: 100 }]);
    total = undefined;
    throttling.look(200_000);
    expect([said.length, throttling.totalMs]).toEqual([2, undefined]);
  });
});
