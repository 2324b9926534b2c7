// When changes become work: the first at once, what follows gathered, never later than 20 ms.

import { describe, expect, it } from 'vitest';
import { Gather, type Timer } from '../../src/k8s/gather.ts';

/** Runs what is due, in order, as the loop of a process does. */
class HandTimer implements Timer {
  at = 0;
  #calls: { readonly at: number; readonly back: () => void }[] = [];

  now(): number {
    return this.at;
  }

  call(ms: number, back: () => void): () => void {
    const call = { at: this.at + ms, back };
    this.#calls.push(call);
    return () => {
      this.#calls = this.#calls.filter((other) => other !== call);
    };
  }

  to(at: number): void {
    for (;;) {
      const [next] = this.#calls.filter((call) => call.at <= at).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#calls = this.#calls.filter((call) => call !== next);
      this.at = Math.max(this.at, next.at);
      next.back();
    }
    this.at = at;
  }
}

const story = (marks: readonly number[], until = 1_000): readonly number[] => {
  const timer = new HandTimer();
  const runs: number[] = [];
  const gather = new Gather(() => runs.push(timer.now()), timer);
  for (const at of marks) {
    timer.to(at);
    gather.mark();
  }
  timer.to(until);
  return runs;
};

describe('gathering', () => {
  it('runs the first at once, on its own turn', () => {
    const timer = new HandTimer();
    const runs: number[] = [];
    const gather = new Gather(() => runs.push(timer.now()), timer);
    gather.mark();
    gather.mark();
    expect(runs).toEqual([]);
    timer.to(0);
    expect(runs).toEqual([0]);
  });

  it('gathers what follows within 5 ms', () => {
    expect(story([0, 1, 2, 3])).toEqual([0, 8]);
    expect(story([0, 4])).toEqual([0, 9]);
    expect(story([0, 5])).toEqual([0, 5]);
    expect(story([0, 100, 200])).toEqual([0, 100, 200]);
  });

  it('waits 20 ms at most', () => {
    const marks = Array.from({ length: 50 }, (_, i) => i);
    // marked at 1, 21 and 41, after which the marks end at 49
    expect(story(marks)).toEqual([0, 21, 41, 54]);
  });

  it('does nothing once it ended', () => {
    const timer = new HandTimer();
    const runs: number[] = [];
    const gather = new Gather(() => runs.push(timer.now()), timer);
    gather.mark();
    gather.end();
    gather.mark();
    timer.to(100);
    expect(runs).toEqual([]);
  });
});
