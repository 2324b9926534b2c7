// Time that a test moves by hand, and `pass`: waiting for something real (a request over loopback) while it moves.

import type { Clock } from '../../src/k8s/clock.ts';

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

export class HandClock implements Clock {
  #now = 1_000_000;
  #sleepers: Sleeper[] = [];
  /** What `date` says beside `now`: a clock that is wrong. */
  skewMs = 0;
  chance = 0.5;

  now(): number {
    return this.#now;
  }

  date(): Date {
    return new Date(Date.UTC(2026, 10, 1) + this.#now + this.skewMs);
  }

  random(): number {
    return this.chance;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const sleeper: Sleeper = {
        at: this.#now + Math.max(ms, 0),
        wake: () => {
          this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
          signal?.removeEventListener('abort', sleeper.wake);
          resolve();
        },
      };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', sleeper.wake, { once: true });
    });
  }

  /** How long each of those who sleep still has to, shortest first. */
  get sleeping(): readonly number[] {
    return this.#sleepers.map(({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  /** Wakes who is due, in order, and lets each do its work. */
  async advance(ms: number): Promise<void> {
    // what was caused already happens before time moves
    await turn();
    const end = this.#now + ms;
    for (;;) {
      const [next] = this.#sleepers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.at);
      next.wake();
      await turn();
    }
    this.#now = end;
    await turn();
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

const LIMIT_MS = 8_000;

/** The first answer that is neither undefined nor false; time moves by `stepMs` before each question but the first. */
export async function pass<T>(
  clock: HandClock,
  what: string,
  ask: () => T | undefined | false,
  stepMs = 0,
): Promise<T> {
  const end = performance.now() + LIMIT_MS;
  for (;;) {
    const answer = ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`not within ${LIMIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
    if (stepMs > 0) await clock.advance(stepMs);
  }
}
