// Keeps a store equal to what an API server has of one kind: a list (streamed where the server can, else in pages), then a
// watch from there on, for ever. Whatever ends it is survived: the server's own limit, resets, silence, 410, 429, 5xx,
// garbage, a missing right, a kind that is not served (yet, or any more). It never gives up and never throws; how it
// fares is in `state`. One a kind; run by controller and speaker.

import type { Api, Selection } from './api.ts';
import { ApiError, GarbledWatch, isExpired } from './api-error.ts';
import { Breather, backoffMs, type Clock, systemClock } from './clock.ts';
import type { Tell } from './report.ts';
import type { Relist, Store } from './store.ts';
import type { WatchEvent } from './watch-event.ts';

/** Bookmarks come about once a minute. */
const SILENCE_MS = 90_000;
/** The server ends each watch after a time between this and its double, in seconds: as client-go asks for, not all at once. */
const WATCH_S = 300;
const PAGE = 500;
/** Pages that would be larger get fewer objects: one is parsed in one go. */
const PAGE_OCTETS = 1 << 20;
const [BASE_MS, MOST_MS] = [500, 30_000];
/** A watch that lived this long was a good one. */
const GOOD_LIFE_MS = 10_000;
/** A definition that comes is to be seen soon. */
const [ABSENT_BASE_MS, ABSENT_MOST_MS] = [1_000, 10_000];
/** A list that is not believed: when it is made again, and when it is believed all the same. */
const [DOUBT_MS, LONGEST_DOUBT_MS] = [5_000, 10_000];

/** A store, whatever it holds. */
type Sink = Pick<Store<object>, 'put' | 'remove' | 'relist' | 'settle' | 'doubtful' | 'size'>;

export interface ReflectorOptions {
  readonly api: Api;
  readonly selection: Selection;
  readonly store: Sink;
  readonly tell: Tell;
  readonly clock?: Clock;
  /** A watch that says nothing for so long is taken for dead. */
  readonly silenceMs?: number;
}

export interface ReflectorState {
  /** All was read once: the store is what the server had, then or since. */
  readonly synced: boolean;
  /** `absent`: the kind is not served. */
  readonly is: 'listing' | 'watching' | 'waiting' | 'absent';
  /** When the server last said something (ms of the clock); undefined: never. */
  readonly heardAt: number | undefined;
  /**
   * Since when the store may be behind: the watch that kept it ended, or said nothing any more (ms of the clock). Undefined:
   * a watch keeps it, however quiet; or nothing was read yet.
   */
  readonly lostAt: number | undefined;
  /** Watches that began after the first one. */
  readonly reconnects: number;
  /** Lists after the first one. */
  readonly relists: number;
  readonly garbled: number;
  /** The right to read it is missing. */
  readonly denied: boolean;
  /** Why it is not watching; undefined while it is, or is about to be. */
  readonly problem: string | undefined;
}

/** How old what the store holds is, ms: 0 while a watch keeps it, for it would say what changes. Undefined: not read yet. */
export function ageOf({ synced, lostAt }: ReflectorState, now: number): number | undefined {
  if (!synced) return undefined;
  return lostAt === undefined ? 0 : Math.max(0, now - lostAt);
}

export class Reflector {
  readonly selection: Selection;
  readonly #api: Api;
  readonly #store: Sink;
  readonly #tell: Tell;
  readonly #clock: Clock;
  readonly #silenceMs: number;
  #state = {
    synced: false,
    is: 'listing' as ReflectorState['is'],
    heardAt: undefined as number | undefined,
    lostAt: undefined as number | undefined,
    reconnects: -1,
    relists: -1,
    garbled: 0,
    denied: false,
    problem: undefined as string | undefined,
  };
  /** Where the next watch begins; empty: with a list. */
  #version = '';
  #streams = true;
  /** Of the watch that runs. */
  #aliveSince: number | undefined;
  #failures = 0;
  #listedAt = Number.NEGATIVE_INFINITY;
  /** Watches in a row that ended because nothing was said in them. */
  #silent = 0;
  /** What was told last: the status, or a word. */
  #told: string | undefined;
  #watch: AbortController | undefined;
  /** The list that is not believed yet. */
  #doubted: Relist | undefined;

  constructor({ api, selection, store, tell, clock = systemClock, silenceMs = SILENCE_MS }: ReflectorOptions) {
    this.#api = api;
    this.selection = selection;
    this.#store = store;
    this.#tell = tell;
    this.#clock = clock;
    this.#silenceMs = silenceMs;
  }

  get state(): ReflectorState {
    const { reconnects, relists, ...rest } = this.#state;
    return { ...rest, reconnects: Math.max(reconnects, 0), relists: Math.max(relists, 0) };
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let waitMs: number;
      try {
        this.#aliveSince = undefined;
        if (await this.#once(signal)) continue;
        this.#forgive();
        waitMs = this.#waitMs(undefined);
      } catch (fault) {
        if (signal.aborted) return;
        // anything else is a fault of ours, and not one to be tried again
        if (!(fault instanceof ApiError || fault instanceof GarbledWatch)) throw fault;
        this.#forgive();
        waitMs = this.#failed(fault);
      }
      if (waitMs > 0) {
        if (this.#state.is !== 'absent') this.#state.is = 'waiting';
        await this.#clock.sleep(waitMs, signal);
      }
    }
  }

  /** A list, or a watch, to its end; a streamed list is both. True: the next thing follows at once. */
  async #once(signal: AbortSignal): Promise<boolean> {
    if (this.#version === '') return this.#streams ? this.#listStreamed(signal) : this.#listPages(signal);
    this.#state.reconnects++;
    await this.#follow({ resourceVersion: this.#version }, signal, (event) => this.#apply(event));
    return false;
  }

  async #listStreamed(signal: AbortSignal): Promise<boolean> {
    const relist = this.#store.relist();
    let listed = false;
    const query = { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' };
    try {
      await this.#follow(query, signal, (event) => {
        if (listed) this.#apply(event);
        else if (event.type === 'BOOKMARK' && event.initialEventsEnd) {
          listed = true;
          this.#state.reconnects++;
          this.#commit(relist, event.resourceVersion, signal);
        } else collect(relist, event, this.selection);
      });
    } catch (fault) {
      // a server that knows of no streamed lists refuses the parameters
      const refused = fault instanceof ApiError && (fault.status === 400 || fault.status === 422);
      if (refused) this.#streams = false;
      if (refused) return true;
      throw fault;
    } finally {
      // it was answered, and the end of the list never came: pages have an end
      if (!listed && this.#aliveSince !== undefined) this.#streams = false;
    }
    return false;
  }

  async #listPages(signal: AbortSignal): Promise<boolean> {
    const relist = this.#store.relist();
    const breather = new Breather();
    let [limit, next, version] = [PAGE, '', ''];
    do {
      const page = await this.#api.list(this.selection, { limit, continue: next }, { signal });
      this.#heard();
      // a list belongs to one version, that of its first page
      if (version === '') version = page.resourceVersion;
      if (version === '') throw new ApiError({ verb: 'list', ...this.selection }, 0, 'the list has no resourceVersion');
      breather.begin();
      for (const item of page.items) {
        relist.put(item);
        await breather.breathe();
      }
      next = page.continue;
      const each = page.size / Math.max(page.items.length, 1);
      limit = Math.min(PAGE, Math.max(10, Math.floor(PAGE_OCTETS / each)));
    } while (next !== '' && !signal.aborted);
    if (!signal.aborted) this.#commit(relist, version, signal);
    return true;
  }

  #commit(relist: Relist, version: string, signal: AbortSignal): void {
    const { kind } = this.selection;
    const wasDoubting = this.#doubted !== undefined;
    const verdict = relist.commit(wasDoubting);
    this.#version = version;
    this.#listedAt = this.#clock.now();
    this.#state.is = 'watching';
    this.#state.lostAt = undefined;
    this.#state.relists++;
    if (!this.#state.synced) {
      this.#state.synced = true;
      this.#tell({ is: 'synced', kind });
    }
    if (wasDoubting) {
      this.#doubted = undefined;
      this.#tell({ is: 'relist-settled', kind, gone: verdict.vanished, by: 'relist' });
    }
    if (verdict.guarded) {
      this.#tell({ is: 'relist-doubted', kind, known: verdict.known, vanished: verdict.vanished });
      void this.#doubt(relist, signal);
    }
  }

  /** A restored etcd, or a server that has not read it all yet, may have shown an empty list. */
  async #doubt(relist: Relist, signal: AbortSignal): Promise<void> {
    const isSettled = () => this.#doubted !== relist || signal.aborted;
    this.#doubted = relist;
    await this.#clock.sleep(DOUBT_MS, signal);
    if (isSettled()) return;
    this.#version = '';
    this.#watch?.abort();
    await this.#clock.sleep(LONGEST_DOUBT_MS - DOUBT_MS, signal);
    if (isSettled()) return;
    this.#doubted = undefined;
    const gone = this.#store.doubtful;
    this.#store.settle();
    this.#tell({ is: 'relist-settled', kind: this.selection.kind, gone, by: 'time' });
  }

  /** Hands over each event of one watch until it ends, in turns that leave room for others. */
  async #follow(
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
    handle: (event: WatchEvent) => void,
  ): Promise<void> {
    const seconds = Math.round(WATCH_S * (1 + this.#clock.random()));
    const watch = new AbortController();
    this.#watch = watch;
    const abort = () => watch.abort();
    signal.addEventListener('abort', abort, { once: true });
    const silence = { at: this.#clock.now(), fell: false };
    void this.#listen(silence, watch);
    const heard = () => {
      silence.at = this.#clock.now();
      this.#heard();
    };
    try {
      const all = { ...query, allowWatchBookmarks: 'true', timeoutSeconds: String(seconds) };
      const breather = new Breather();
      for await (const events of this.#api.watch(this.selection, all, watch.signal, heard)) {
        breather.begin();
        for (const event of events) {
          if (watch.signal.aborted) break;
          this.#silent = 0;
          handle(event);
          await breather.breathe();
        }
      }
    } catch (fault) {
      // we ended it ourselves: to list again, or because nobody spoke
      if (!watch.signal.aborted || signal.aborted || (fault instanceof ApiError && fault.status !== 0)) throw fault;
      // what follows from a version that the server has not come to (a restored etcd) is silence, every time
      if (silence.fell && this.#silent++ > 0) this.#version = '';
      if (silence.fell)
        throw new ApiError({ verb: 'watch', ...this.selection }, 0, `silent for ${this.#silenceMs / 1_000} s`);
    } finally {
      const knewLast = silence.fell || this.#aliveSince === undefined ? this.#state.heardAt : this.#clock.now();
      if (this.#state.synced) this.#state.lostAt ??= knewLast;
      signal.removeEventListener('abort', abort);
      watch.abort();
    }
  }

  async #listen(silence: { at: number; fell: boolean }, watch: AbortController): Promise<void> {
    while (!watch.signal.aborted) {
      const left = silence.at + this.#silenceMs - this.#clock.now();
      if (left <= 0) {
        silence.fell = true;
        return watch.abort();
      }
      await this.#clock.sleep(left, watch.signal);
    }
  }

  #apply(event: WatchEvent): void {
    switch (event.type) {
      case 'BOOKMARK':
        this.#version = event.resourceVersion || this.#version;
        return;
      case 'ERROR':
        throw errorOf(event, this.selection);
      case 'DELETED':
        this.#store.remove(event.object);
        break;
      default:
        this.#store.put(event.object);
    }
    const { resourceVersion } = (event.object['metadata'] ?? {}) as { resourceVersion?: unknown };
    if (typeof resourceVersion === 'string') this.#version = resourceVersion;
  }

  #heard(): void {
    const now = this.#clock.now();
    this.#state.heardAt = now;
    this.#aliveSince ??= now;
    if (this.#version !== '') this.#state.lostAt = undefined;
    this.#state.is = this.#version === '' ? 'listing' : 'watching';
    this.#state.problem = undefined;
    this.#state.denied = false;
    if (this.#told === undefined) return;
    this.#told = undefined;
    this.#tell({ is: 'reading-again', kind: this.selection.kind });
  }

  /** Failures from before a good watch count no more. */
  #forgive(): void {
    if (this.#aliveSince !== undefined && this.#clock.now() - this.#aliveSince >= GOOD_LIFE_MS) this.#failures = 0;
  }

  /** What went wrong is said once; how long to wait before the next try. */
  #failed(fault: ApiError | GarbledWatch): number {
    const { kind } = this.selection;
    if (isExpired(fault)) {
      // that is no failure, unless lists grow old as soon as, or before, they are made
      const atOnce = this.#version !== '' && this.#clock.now() - this.#listedAt >= GOOD_LIFE_MS;
      this.#version = '';
      return atOnce ? 0 : this.#waitMs(undefined);
    }
    this.#state.problem = fault.message;
    this.#state.denied = fault instanceof ApiError && fault.status === 403;
    if (fault instanceof GarbledWatch) {
      this.#state.garbled++;
      this.#tell({ is: 'garbled', kind, text: fault.message });
      return this.#waitMs(undefined);
    }
    if (fault.status === 404) {
      this.#version = '';
      this.#state.is = 'absent';
      this.#state.problem = `${kind.plural} are not served: the CustomResourceDefinition is not installed`;
      if (this.#told !== '404') this.#tell({ is: 'not-served', kind, kept: this.#store.size });
      this.#told = '404';
      return backoffMs(this.#clock, this.#failures++, ABSENT_BASE_MS, ABSENT_MOST_MS);
    }
    // the first reconnect is made without a word: a server that restarts cuts every watch
    const passing = fault.status === 0 && this.#failures === 0 && this.#state.synced;
    if (!passing && this.#told !== String(fault.status)) {
      this.#told = String(fault.status);
      this.#tell({ is: 'reading-failed', kind, status: fault.status, text: fault.message });
    }
    if (fault.status === 403) return backoffMs(this.#clock, this.#failures++, BASE_MS, MOST_MS);
    return this.#waitMs(fault);
  }

  /** At once the first time, then longer and longer, until one lived. */
  #waitMs(fault: ApiError | undefined): number {
    const attempt = this.#failures++;
    const own = attempt === 0 ? 0 : backoffMs(this.#clock, attempt - 1, BASE_MS, MOST_MS);
    return Math.max(own, fault?.retryAfterMs ?? 0);
  }
}

function collect(relist: Relist, event: WatchEvent, selection: Selection): void {
  if (event.type === 'ERROR') throw errorOf(event, selection);
  if (event.type === 'ADDED' || event.type === 'MODIFIED') relist.put(event.object);
  if (event.type === 'DELETED') relist.remove(event.object);
}

function errorOf({ code, reason, message }: Extract<WatchEvent, { type: 'ERROR' }>, selection: Selection): ApiError {
  return new ApiError({ verb: 'watch', ...selection }, code, message, { reason });
}
