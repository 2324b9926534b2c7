// The writes that are wanted, one an object and subresource: a newer wish replaces an older one that was not carried out
// yet. Addresses go before what only informs, and that is paced. Before each request the fence is asked: who lost the
// lease writes nothing more and forgets what it wanted; a request is given no longer than the lease is. What the server
// refuses is asked again, ever more slowly: a policy, a right or a webhook in the way may be mended. Where two writers could meet, a patch names the version it was
// made from; at a conflict the object is read anew and the caller decides again. Run by controller and speaker.

import type { ApiObject } from '../config/resource.ts';
import type { Api, Target } from './api.ts';
import { ApiError } from './api-error.ts';
import { backoffMs, type Clock, systemClock } from './clock.ts';
import { nameOfKind } from './kind.ts';
import { applyMergePatch, type JsonObject } from './merge-patch.ts';
import type { Tell } from './report.ts';

/** A merge patch that says what is still missing in `live`; undefined: nothing is, or not any more. */
export type Decide = (live: ApiObject) => JsonObject | undefined;

export type Change =
  /** `onto`: the version that the patch was made from, where another writer could have come between. */
  | { readonly do: 'patch'; readonly patch: JsonObject; readonly onto?: string; readonly again: Decide }
  /** It exists already: decide again, or patch it unread. */
  | { readonly do: 'create'; readonly object: JsonObject; readonly again?: Decide; readonly patch?: JsonObject }
  | { readonly do: 'delete'; readonly uid?: string };

export interface Write {
  readonly target: Target;
  readonly rank: 'first' | 'inform';
  readonly change: Change;
  /** The server has it. */
  readonly done?: () => void;
  /** It was given up: the object is gone, or it was refused as often as it may be. */
  readonly failed?: (fault: ApiError) => void;
  /** How often it is asked at most where the server refuses it; absent: for as long as it is wanted. */
  readonly tries?: number;
}

export interface WriteQueueOptions {
  readonly api: Pick<Api, 'get' | 'create' | 'mergePatch' | 'put' | 'delete'>;
  readonly tell: Tell;
  /** The fence: false from the moment another may write. */
  readonly mayWrite: () => boolean;
  /** For how long from now nobody else may write, ms. */
  readonly restMs?: () => number;
  /** What the server holds after a write: for the store, so that nobody decides on less. */
  readonly written?: (target: Target, object: ApiObject) => void;
  readonly clock?: Clock;
  readonly parallel?: number;
  /** Writes that only inform: how many a second, and how many at once after a pause. */
  readonly informRate?: number;
  readonly informBurst?: number;
}

const [PARALLEL, INFORM_RATE, INFORM_BURST] = [8, 50, 50];
const TIMEOUT_MS = 10_000;
const CONFLICTS = 5;
/** The whole queue waits while the server does; one write while the server refuses that one. */
const [BASE_MS, MOST_MS] = [100, 5_000];
const [PARKED_BASE_MS, PARKED_MOST_MS] = [1_000, 30_000];
const TELL_MS = 60_000;

/** What the API server says to a create (NamespaceLifecycle). */
const NAMESPACE_GOES = 'because it is being terminated';

interface Parked {
  readonly write: Write;
  readonly tries: number;
  readonly at: number;
}

/** Ends an attempt within which the fence fell. */
class Fenced extends Error {}

type Optional = 'written' | 'restMs';

export class WriteQueue {
  readonly #options: Required<Omit<WriteQueueOptions, Optional>> & Pick<WriteQueueOptions, Optional>;
  readonly #ready = { first: new Map<string, Write>(), inform: new Map<string, Write>() };
  readonly #parked = new Map<string, Parked>();
  /** None of them is due before. */
  #unparkAt = Number.POSITIVE_INFINITY;
  readonly #running = new Set<string>();
  readonly #putInstead = new Set<string>();
  /** Of those that are parked: how often they were. */
  readonly #tries = new Map<string, number>();
  readonly #toldAt = new Map<string, number>();
  #pausedUntil = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #tokens: number;
  #tokensAt: number;
  /** Ends the sleep of `run`; undefined: it does not sleep. */
  #sleep: AbortController | undefined;
  #idle: (() => void)[] = [];
  /** Requests that changed something, for metrics. */
  written = 0;

  constructor({
    clock = systemClock,
    parallel = PARALLEL,
    informRate = INFORM_RATE,
    informBurst = INFORM_BURST,
    ...rest
  }: WriteQueueOptions) {
    this.#options = { ...rest, clock, parallel, informRate, informBurst };
    this.#tokens = informBurst;
    this.#tokensAt = clock.now();
  }

  /** Replaces what was wanted of the same object and subresource. */
  want(write: Write): void {
    const key = keyOf(write.target);
    const parked = this.#parked.get(key);
    if (parked !== undefined) this.#parked.set(key, { ...parked, write });
    else {
      const other = write.rank === 'first' ? 'inform' : 'first';
      this.#ready[other].delete(key);
      this.#ready[write.rank].set(key, write);
      this.#wake();
    }
  }

  /** What is under way is carried out all the same. */
  unwant(target: Target): void {
    const key = keyOf(target);
    this.#ready.first.delete(key);
    this.#ready.inform.delete(key);
    this.#parked.delete(key);
    this.#tries.delete(key);
  }

  /** Whoever leads again later decides again: call it when the lease is lost. */
  forget(): void {
    for (const waiting of [this.#ready.first, this.#ready.inform, this.#parked, this.#tries]) waiting.clear();
  }

  /** Not carried out yet. */
  get pending(): number {
    return this.#ready.first.size + this.#ready.inform.size + this.#parked.size + this.#running.size;
  }

  /** Ready to be carried out, by rank. */
  get waiting(): Readonly<Record<Write['rank'], number>> {
    return { first: this.#ready.first.size, inform: this.#ready.inform.size };
  }

  /** Nothing is left to do but what is refused and waits. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Until the signal aborts; what is under way then is awaited. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, parallel, mayWrite } = this.#options;
    const attempts = new Set<Promise<void>>();
    signal.addEventListener('abort', () => this.#wake(), { once: true });
    while (!signal.aborted) {
      if (!mayWrite()) this.forget();
      this.#unpark();
      const next = this.#running.size < parallel && clock.now() >= this.#pausedUntil ? this.#take() : undefined;
      if (next !== undefined) {
        const attempt = this.#attempt(next).finally(() => attempts.delete(attempt));
        attempts.add(attempt);
        continue;
      }
      if (this.#isIdle()) for (const resolve of this.#idle.splice(0)) resolve();
      this.#sleep = new AbortController();
      await clock.sleep(this.#waitMs(), this.#sleep.signal);
    }
    await Promise.all(attempts);
  }

  #wake(): void {
    // with a reason, for without one each is given an exception with a stack
    this.#sleep?.abort('woken');
    this.#sleep = undefined;
  }

  #isIdle(): boolean {
    return this.#ready.first.size + this.#ready.inform.size + this.#running.size === 0;
  }

  #take(): Write | undefined {
    const free = (key: string) => !this.#running.has(key);
    for (const rank of ['first', 'inform'] as const) {
      if (rank === 'inform' && this.#refill() < 1) return undefined;
      for (const [key, write] of this.#ready[rank]) {
        if (!free(key)) continue;
        if (rank === 'inform') this.#tokens--;
        this.#ready[rank].delete(key);
        return write;
      }
    }
    return undefined;
  }

  #refill(): number {
    const { clock, informRate, informBurst } = this.#options;
    const now = clock.now();
    this.#tokens = Math.min(informBurst, this.#tokens + ((now - this.#tokensAt) / 1_000) * informRate);
    this.#tokensAt = now;
    return this.#tokens;
  }

  #waitMs(): number {
    const { clock, parallel, informRate } = this.#options;
    const now = clock.now();
    let until = this.#unparkAt;
    if (this.#ready.first.size + this.#ready.inform.size > 0 && this.#running.size < parallel) {
      if (this.#pausedUntil > now) until = Math.min(until, this.#pausedUntil);
      else if (this.#tokens < 1) until = Math.min(until, now + Math.ceil(((1 - this.#tokens) / informRate) * 1_000));
    }
    return until - now;
  }

  #unpark(): void {
    const now = this.#options.clock.now();
    if (now < this.#unparkAt) return;
    this.#unparkAt = Number.POSITIVE_INFINITY;
    for (const [key, { write, at, tries }] of this.#parked) {
      if (at > now) {
        this.#unparkAt = Math.min(this.#unparkAt, at);
        continue;
      }
      this.#parked.delete(key);
      this.#tries.set(key, tries);
      this.#ready[write.rank].set(key, write);
    }
  }

  async #attempt(write: Write): Promise<void> {
    const key = keyOf(write.target);
    this.#running.add(key);
    try {
      const object = await this.#perform(write);
      this.#failures = 0;
      this.#tries.delete(key);
      write.done?.();
      if (object !== undefined) {
        this.written++;
        this.#options.written?.(write.target, object);
      }
    } catch (fault) {
      if (!(fault instanceof ApiError)) {
        if (!(fault instanceof Fenced)) throw fault;
      } else this.#failed(write, fault);
    } finally {
      this.#running.delete(key);
      this.#wake();
    }
  }

  #failed(write: Write, fault: ApiError): void {
    const { clock, tell } = this.#options;
    const key = keyOf(write.target);
    const now = clock.now();
    const isNewer = this.#ready.first.has(key) || this.#ready.inform.has(key);
    if ([0, 408, 429, 503, 504].includes(fault.status)) {
      if (!isNewer) this.#ready[write.rank].set(key, write);
      if (now < this.#pausedUntil) return;
      const wait = backoffMs(clock, this.#failures++, BASE_MS, MOST_MS);
      this.#pausedUntil = now + Math.max(wait, fault.retryAfterMs ?? 0);
      return;
    }
    const tries = this.#tries.get(key) ?? 0;
    // gone while we wrote to it, or its namespace is going: nothing is wrong
    const isGone = fault.status === 404 || (fault.status === 403 && fault.message.includes(NAMESPACE_GOES));
    if (!isGone && tries === 0 && !this.#isOneOfMany(write, fault, now))
      tell({ is: 'write-failed', key, status: fault.status, text: fault.message });
    if (isNewer) return;
    if (!isGone && tries + 1 < (write.tries ?? Number.POSITIVE_INFINITY)) {
      const at = now + backoffMs(clock, tries, PARKED_BASE_MS, PARKED_MOST_MS);
      this.#parked.set(key, { write, tries: tries + 1, at });
      this.#unparkAt = Math.min(this.#unparkAt, at);
      return;
    }
    this.#tries.delete(key);
    write.failed?.(fault);
  }

  /** Of those that are given up there may be a stream: one a minute is told, for each right and status. */
  #isOneOfMany({ target, tries }: Write, { status }: ApiError, now: number): boolean {
    if (tries === undefined) return false;
    const kind = `${rightOf(target)} ${status}`;
    if (now - (this.#toldAt.get(kind) ?? Number.NEGATIVE_INFINITY) < TELL_MS) return true;
    this.#toldAt.set(kind, now);
    return false;
  }

  /** What the server then holds; undefined when nothing had to be done. */
  async #perform({ target, change }: Write): Promise<ApiObject | undefined> {
    const { api } = this.#options;
    switch (change.do) {
      case 'delete':
        return this.#call((options) => api.delete(target, change.uid, options));
      case 'create': {
        const { again, object, patch } = change;
        try {
          return await this.#call((options) => api.create(target, object, options));
        } catch (fault) {
          if (!isConflict(fault)) throw fault;
          if (patch !== undefined) return this.#patch(target, patch, undefined);
          if (again === undefined) throw fault;
          return this.#decideAndPatch(target, again);
        }
      }
      case 'patch': {
        if (this.#putInstead.has(rightOf(target))) return this.#decideAndPut(target, change.again);
        try {
          return await this.#patch(target, change.patch, change.onto);
        } catch (fault) {
          if (isConflict(fault)) return this.#decideAndPatch(target, change.again);
          if (!(fault instanceof ApiError) || fault.status !== 403) throw fault;
          const object = await this.#decideAndPut(target, change.again).catch((other: unknown) => {
            // neither is allowed: the right that is missing is the one to patch
            throw other instanceof ApiError && other.status === 403 ? fault : other;
          });
          this.#putInstead.add(rightOf(target));
          this.#options.tell({ is: 'put-instead', text: fault.message });
          return object;
        }
      }
    }
  }

  async #decideAndPatch(target: Target, decide: Decide): Promise<ApiObject | undefined> {
    return this.#decideAnd(target, decide, (live, patch) =>
      this.#putInstead.has(rightOf(target))
        ? this.#put(target, live, patch)
        : this.#patch(target, patch, versionOf(live)),
    );
  }

  async #decideAndPut(target: Target, decide: Decide): Promise<ApiObject | undefined> {
    return this.#decideAnd(target, decide, (live, patch) => this.#put(target, live, patch));
  }

  /** Reads what is there now, and again as long as others write between reading and writing. */
  async #decideAnd(
    { subresource: _, ...whole }: Target,
    decide: Decide,
    write: (live: ApiObject, patch: JsonObject) => Promise<ApiObject>,
  ): Promise<ApiObject | undefined> {
    for (let attempt = 1; ; attempt++) {
      const live = await this.#call((options) => this.#options.api.get(whole, options));
      const patch = decide(live);
      if (patch === undefined) return undefined;
      try {
        return await write(live, patch);
      } catch (fault) {
        if (!isConflict(fault) || attempt >= CONFLICTS) throw fault;
      }
    }
  }

  #patch(target: Target, patch: JsonObject, onto: string | undefined): Promise<ApiObject> {
    const version = onto === undefined ? {} : { metadata: { ...(patch['metadata'] ?? {}), resourceVersion: onto } };
    return this.#call((options) => this.#options.api.mergePatch(target, { ...patch, ...version }, options));
  }

  #put(target: Target, live: ApiObject, patch: JsonObject): Promise<ApiObject> {
    const object = applyMergePatch(live, patch) as ApiObject;
    return this.#call((options) => this.#options.api.put(target, object, options));
  }

  /** Never repeated below the fence: what is asked again is asked through it. */
  #call<T>(call: (options: { readonly retries: 0; readonly timeoutMs: number }) => Promise<T>): Promise<T> {
    if (!this.#options.mayWrite()) return Promise.reject(new Fenced());
    const restMs = this.#options.restMs?.() ?? TIMEOUT_MS;
    return call({ retries: 0, timeoutMs: Math.min(TIMEOUT_MS, restMs) });
  }
}

function keyOf({ kind, namespace, name, subresource }: Target): string {
  return [nameOfKind(kind), namespace, name, subresource].filter((part) => part !== undefined).join('/');
}

/** What RBAC grants as one. */
function rightOf({ kind, subresource }: Target): string {
  return `${nameOfKind(kind)}/${subresource ?? ''}`;
}

function isConflict(fault: unknown): boolean {
  return fault instanceof ApiError && fault.status === 409;
}

function versionOf({ metadata }: ApiObject): string {
  return String(metadata['resourceVersion'] ?? '');
}
