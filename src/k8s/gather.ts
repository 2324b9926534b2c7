// Many marks, one run: the first change goes at once, what follows within 5 ms (20 at most) goes as one. `run` is called
// on its own turn, never within whoever marked, and what it throws is not caught: a fault in it is one of ours.
// Used between what is known of the cluster and the work that follows from it.

/** What follows a run within this time goes with the next one … */
const QUIET_MS = 5;
/** … which waits this long at most. */
const MOST_MS = 20;

/** Where `run` is called from; real timers unless a test brings its own. */
export interface Timer {
  now(): number;
  /** Calls back after `ms`; 0: on the next turn of the loop. The answer takes the call back. */
  call(ms: number, back: () => void): () => void;
}

const realTimer: Timer = {
  now: () => performance.now(),
  call: (ms, back) => {
    if (ms <= 0) {
      const handle = setImmediate(back);
      return () => clearImmediate(handle);
    }
    const handle = setTimeout(back, ms);
    return () => clearTimeout(handle);
  },
};

export class Gather {
  readonly #run: () => void;
  readonly #timer: Timer;
  #quietAt = Number.NEGATIVE_INFINITY;
  #latestAt = 0;
  #cancel: (() => void) | undefined;
  #ended = false;

  constructor(run: () => void, timer: Timer = realTimer) {
    this.#run = run;
    this.#timer = timer;
  }

  /** Something changed. */
  mark(): void {
    if (this.#ended) return;
    const now = this.#timer.now();
    if (this.#cancel === undefined) {
      if (now >= this.#quietAt) {
        this.#latestAt = now;
        this.#in(0);
        return;
      }
      this.#latestAt = now + MOST_MS;
    } else if (this.#latestAt <= now) return;
    this.#in(Math.min(this.#latestAt - now, QUIET_MS));
  }

  end(): void {
    this.#ended = true;
    this.#cancel?.();
  }

  #in(ms: number): void {
    this.#cancel?.();
    this.#cancel = this.#timer.call(ms, () => {
      this.#cancel = undefined;
      this.#quietAt = this.#timer.now() + QUIET_MS;
      this.#run();
    });
  }
}
