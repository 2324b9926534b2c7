// Says when the processor time of this process is cut: at the first time, and then at most once a minute with how much it
// was. Owned by speaker-process, which asks it every few seconds.

import type { Log } from '../io/log.ts';
import { throttledMs } from '../io/throttling.ts';

const SAY_MS = 60_000;

export class Throttling {
  readonly #log: Log;
  readonly #read: () => number | undefined;
  #saidMs: number;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(log: Log, read: () => number | undefined = throttledMs) {
    this.#log = log;
    this.#read = read;
    this.#saidMs = read() ?? 0;
  }

  /** ms since the start of the container; undefined: nobody counts. */
  get totalMs(): number | undefined {
    return this.#read();
  }

  look(now: number): void {
    const total = this.#read();
    if (total === undefined || total <= this.#saidMs || now - this.#saidAt < SAY_MS) return;
    const forMs = Math.round(total - this.#saidMs);
    this.#saidMs = total;
    this.#saidAt = now;
    const error =
      'the container has a limit of processor time (resources.limits.cpu): BFD and layer 2 cannot keep time';
    this.#log.warn({ event: 'throttled', throttledMs: forMs, error }, 'the kernel stops us');
  }
}
