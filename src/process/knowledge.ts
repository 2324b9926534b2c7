// How old what a speaker knows of the cluster is, and what it waits for: while the API server is away it goes on with what
// it knows, and says so. Owned by speaker-process.

import type { Log } from '../io/log.ts';
import type { Clock } from '../k8s/clock.ts';
import type { SpeakerCaches } from './speaker-caches.ts';

const SAY_STALE_MS = 60_000;

export interface KnowledgeOptions {
  readonly caches: Pick<SpeakerCaches, 'decisive'>;
  /** All was read once. */
  readonly isReady: () => boolean;
  readonly log: Log;
  readonly clock: Clock;
}

export class Knowledge {
  readonly #options: KnowledgeOptions;
  #staleSaidAt: number | undefined;

  constructor(options: KnowledgeOptions) {
    this.#options = options;
  }

  /** Kinds that cannot be read, with the reason, once all was read. */
  get problems(): readonly string[] {
    const { caches, isReady } = this.#options;
    if (!isReady()) return [];
    return caches.decisive.flatMap(({ plural, state }) =>
      state?.problem === undefined || state.is === 'absent' ? [] : `${plural}: ${state.problem}`,
    );
  }

  /** Of the oldest of all that announcements depend on, ms; undefined before all was read once. */
  get ageMs(): number | undefined {
    const { caches, isReady, clock } = this.#options;
    if (!isReady()) return undefined;
    const now = clock.now();
    const heard = caches.decisive.flatMap(({ state }) => (state?.is === 'absent' ? [] : (state?.heardAt ?? [])));
    return Math.max(0, ...heard.map((at) => now - at));
  }

  /** What was not read yet, one a line. */
  get waiting(): string {
    const waiting = this.#options.caches.decisive.filter(({ synced }) => !synced);
    return waiting.map(({ plural, state }) => `${plural}: ${state?.problem ?? 'not read yet'}`).join('\n');
  }

  /** Logs that it is stale once a minute, and once that it is fresh again. */
  say(): void {
    const { log, clock } = this.#options;
    const now = clock.now();
    const [error] = this.problems;
    if (error === undefined) {
      if (this.#staleSaidAt !== undefined) log.info({ event: 'knowledgeFresh' }, 'knows again what the cluster says');
      this.#staleSaidAt = undefined;
      return;
    }
    if (this.#staleSaidAt !== undefined && now - this.#staleSaidAt < SAY_STALE_MS) return;
    this.#staleSaidAt = now;
    const ageMs = Math.round(this.ageMs ?? 0);
    log.warn({ event: 'knowledgeStale', ageMs, error }, 'the API server does not answer: announces what it knows');
  }
}
