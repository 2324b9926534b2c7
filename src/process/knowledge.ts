// How old what a speaker knows of the cluster is, what it waits for, and whether it is a node of it: while the API server is
// away it goes on with what it knows, and says so; a name that no Node has announces nothing. Owned by speaker-process.

import type { Log } from '../io/log.ts';
import type { Clock } from '../k8s/clock.ts';
import { ageOf } from '../k8s/reflector.ts';
import type { SpeakerCaches } from './speaker-caches.ts';

const SAY_STALE_MS = 60_000;

export interface KnowledgeOptions {
  /** Its own. */
  readonly node: string;
  readonly caches: Pick<SpeakerCaches, 'decisive' | 'synced' | 'nodes'>;
  /** There was a plan. */
  readonly isReady: () => boolean;
  readonly log: Log;
  readonly clock: Clock;
}

export class Knowledge {
  readonly #options: KnowledgeOptions;
  #staleSaidAt: number | undefined;
  #nodeIsThere = true;

  constructor(options: KnowledgeOptions) {
    this.#options = options;
  }

  /**
   * All was read, and the Node is there; without one nobody is dialled. Once there was a plan the end of the Node is no reason
   * to make none: what was announced is to be withdrawn. Told when it changes.
   */
  mayPlan(): boolean {
    const { node, caches, isReady, log } = this.#options;
    if (!caches.synced) return false;
    const isThere = caches.nodes.store.get(node) !== undefined;
    if (isThere !== this.#nodeIsThere) {
      const fields = { event: isThere ? 'nodeFound' : 'nodeMissing', node };
      if (isThere) log.info(fields, 'the Node is there');
      else log.warn(fields, `${this.#noSuchNode}: nothing is announced`);
    }
    this.#nodeIsThere = isThere;
    return isThere || isReady();
  }

  get #noSuchNode(): string {
    return `the cluster has no Node "${this.#options.node}" (--node-name, METALLB_NODE_NAME)`;
  }

  /** Kinds that cannot be read, with the reason, once all was read. */
  get problems(): readonly string[] {
    const { caches, isReady } = this.#options;
    if (!isReady()) return [];
    return caches.decisive.flatMap(({ plural, state }) =>
      state?.problem === undefined || state.is === 'absent' ? [] : `${plural}: ${state.problem}`,
    );
  }

  /** Of the oldest of all that announcements depend on, ms; 0 while all of it is watched; undefined before there was a plan. */
  get ageMs(): number | undefined {
    const { caches, isReady, clock } = this.#options;
    if (!isReady()) return undefined;
    const now = clock.now();
    const known = caches.decisive.flatMap(({ state }) => (state === undefined || state.is === 'absent' ? [] : state));
    return Math.max(0, ...known.map((state) => ageOf(state, now) ?? 0));
  }

  /** What was not read yet, one a line. */
  get waiting(): string {
    const { caches } = this.#options;
    if (caches.synced) return `nodes: ${this.#noSuchNode}`;
    const waiting = caches.decisive.filter(({ synced }) => !synced);
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
