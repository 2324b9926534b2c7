// Durations against what Go's `time.ParseDuration` and `Duration.String` are documented and known to give.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, parseDuration } from '../../src/config/duration.ts';

describe('parseDuration', () => {
  it.each([
    ['0', 0],
    ['0s', 0],
    ['5s', 5_000],
    ['-5s', -5_000],
    ['+5s', 5_000],
    ['5.s', 5_000],
    ['.5s', 500],
    ['1.004s', 1_004],
    ['90s', 90_000],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['10.5s4m', 250_500],
    ['-2m3.4s', -123_400],
    ['13ms', 13],
    ['11us', 0.011],
    ['12µs', 0.012],
    ['12μs', 0.012],
    ['10ns', 0.00001],
    ['39h9m14.425s', 140_954_425],
    ['1h2m3s4ms5us6ns', 3_723_004.005006],
  ])('%s', (text, ms) => {
    expect(parseDuration(text)).toEqual({ ms });
  });

  it.each([
    ['', 'time: invalid duration ""'],
    ['3', 'time: missing unit in duration "3"'],
    ['-', 'time: invalid duration "-"'],
    ['s', 'time: invalid duration "s"'],
    ['.', 'time: invalid duration "."'],
    ['.s', 'time: invalid duration ".s"'],
    ['1d', 'time: unknown unit "d" in duration "1d"'],
    ['90 s', 'time: unknown unit " s" in duration "90 s"'],
    ['1m30', 'time: missing unit in duration "1m30"'],
    ['forever', 'time: invalid duration "forever"'],
    ['9223372036854775808ns', 'time: invalid duration "9223372036854775808ns"'],
    ['3000000h', 'time: invalid duration "3000000h"'],
  ])('refuses %j', (text, error) => {
    expect(parseDuration(text)).toEqual({ error });
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0s'],
    [0.000001, '1ns'],
    [0.0011, '1.1µs'],
    [2.2, '2.2ms'],
    [3_300, '3.3s'],
    [245_000, '4m5s'],
    [245_001, '4m5.001s'],
    [18_367_001, '5h6m7.001s'],
    [480_000.000001, '8m0.000000001s'],
    [90_000, '1m30s'],
    [3_600_000, '1h0m0s'],
    [-1_500, '-1.5s'],
  ])('%s ms', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it('is read back as it was', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e12, max: 1e12 }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toEqual({ ms });
      }),
      { seed: 4271, numRuns: 500 },
    );
  });
});
