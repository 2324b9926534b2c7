// What state, metrics and log tell of the packet thread itself: how old its words are, and what the kernel refused it.

import { describe, expect, it } from 'vitest';
import { packetsJson } from '../../src/observe/packet-state.ts';
import { datesFrom } from '../../src/observe/state.ts';

const dates = datesFrom(Date.UTC(2026, 0, 1));

describe('the state of the packet thread', () => {
  it('says how old it is, and that it is too old', () => {
    expect(packetsJson(undefined, 9_000, dates)).toBeNull();
    expect(packetsJson(8_900, 9_000, dates)).toEqual({ asOf: '2026-01-01T00:00:08.900Z', ageMs: 100, problem: '' });
    expect(packetsJson(3_000, 9_000, dates)).toMatchObject({ ageMs: 6_000, problem: expect.stringMatching(/6000 ms/) });
  });
});
