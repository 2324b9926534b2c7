// When a thread is given up: after ten questions without an answer, however late they are, and once.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Heartbeat } from '../../src/io/heartbeat.ts';

describe('a heartbeat', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  function begin(answers: boolean) {
    const seen = { asked: 0, silent: [] as number[] };
    const heartbeat: Heartbeat = new Heartbeat(
      () => {
        seen.asked++;
        if (answers) heartbeat.heard();
      },
      (seconds) => seen.silent.push(seconds),
    );
    return { heartbeat, seen };
  }

  it('asks once a second for as long as it is answered', () => {
    const { heartbeat, seen } = begin(true);
    vi.advanceTimersByTime(3_600_000);
    expect(seen).toEqual({ asked: 3_600, silent: [] });
    heartbeat.end();
    vi.advanceTimersByTime(60_000);
    expect(seen.asked).toBe(3_600);
  });

  it('gives up ten seconds after the first question that nobody answered, and once', () => {
    const { seen } = begin(false);
    vi.advanceTimersByTime(10_999);
    expect(seen).toEqual({ asked: 10, silent: [] });
    vi.advanceTimersByTime(60_000);
    expect(seen).toEqual({ asked: 10, silent: [10] });
  });

  it('begins to count again at every word', () => {
    const { heartbeat, seen } = begin(false);
    for (let i = 0; i < 10; i++) {
      vi.advanceTimersByTime(9_000);
      heartbeat.heard();
    }
    expect(seen.silent).toEqual([]);
  });
});

describe('a heart that stopped with those that it asks', () => {
  it('blames nobody: a turn that comes late is one turn', async () => {
    let [asked, blamed] = [0, 0];
    const heartbeat = new Heartbeat(
      () => asked++,
      () => blamed++,
    );
    // as after SIGSTOP: the clock went on, nobody ran
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500);
    await new Promise((resolve) => setTimeout(resolve, 10));
    heartbeat.end();
    expect([asked, blamed]).toEqual([1, 0]);
  });
});
