// Whether a thread that was begun still does anything: asked once a second, and given up after ten questions without an answer.
// Counted in turns of the asker, not by a clock: one that was itself stopped knows nothing of the others. Owned by
// packet-thread.

const APART_MS = 1_000;
/** A turn of the thread is 100 ms at most. */
const MOST_UNANSWERED = 10;

export class Heartbeat {
  readonly #timer: NodeJS.Timeout;
  #unanswered = 0;

  /** `silent` is called once, with the seconds for which nothing was heard. */
  constructor(ask: () => void, silent: (seconds: number) => void) {
    this.#timer = setInterval(() => {
      if (this.#unanswered === MOST_UNANSWERED) {
        this.end();
        silent((MOST_UNANSWERED * APART_MS) / 1_000);
        return;
      }
      this.#unanswered++;
      ask();
    }, APART_MS);
    this.#timer.unref();
  }

  /** It said something. */
  heard(): void {
    this.#unanswered = 0;
  }

  end(): void {
    clearInterval(this.#timer);
  }
}
