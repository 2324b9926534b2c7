// Time and chance of this room: whatever waits, backs off or expires asks a Clock, so that a test moves time by hand.
// `systemClock` is the real one. Used by everything here that talks to an API server.

export interface Clock {
  /** Milliseconds on a monotonic clock. */
  now(): number;
  /** What calendars say: for the times that objects carry, never for measuring. */
  date(): Date;
  /** [0,1) */
  random(): number;
  /** Ends after `ms`, or as soon as the signal aborts; never throws. Keeps no process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** setTimeout takes no more. */
const LONGEST_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  random: () => Math.random(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, Math.min(Math.max(ms, 0), LONGEST_MS));
      timer.unref();
      signal?.addEventListener('abort', done, { once: true });
    }),
};

/** The n-th wait (from 0) of an exponential back-off: between half of and the whole of base · 2ⁿ, at most `mostMs`. */
export function backoffMs(clock: Clock, attempt: number, baseMs: number, mostMs: number): number {
  return Math.min(mostMs, baseMs * 2 ** Math.min(attempt, 30)) * (0.5 + clock.random() / 2);
}

/** A turn of the event loop that took this long lets others have theirs. */
const TURN_MS = 8;

/** Long work in pieces: `breathe` between them lets sockets and timers have a turn once this one got long. */
export class Breather {
  #since = performance.now();

  /** Undefined: go on at once. */
  breathe(): Promise<void> | undefined {
    if (performance.now() - this.#since < TURN_MS) return undefined;
    return new Promise((resolve) =>
      setImmediate(() => {
        this.#since = performance.now();
        resolve();
      }),
    );
  }

  /** A new turn begins here: what was awaited before was not our work. */
  begin(): void {
    this.#since = performance.now();
  }
}
