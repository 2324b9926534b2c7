// How long a controller rests between two rounds: its own writes come back as changes, and a stream of such echoes must
// leave time for the writes that cause it. Used by controller-process.

/** So many times as long as a round took. */
const REST = 4;
/** While many wait to be written a round does little but look at echoes, and what it finds would wait behind them. */
const [BUSY_REST, MANY_WRITES] = [20, 100];

export class Rest {
  #until = Number.NEGATIVE_INFINITY;

  /** From now to the end of the rest, ms; 0 or less: it is over. */
  leftMs(now: number): number {
    return this.#until - now;
  }

  /** A round took this time (ms) until `now`; `waiting`: writes of addresses that are not carried out yet. */
  begin(tookMs: number, now: number, waiting: number): void {
    this.#until = now + tookMs * (waiting > MANY_WRITES ? BUSY_REST : REST);
  }
}
