// Calls of the Kubernetes API on raw JSON: what we cache is read by our own readers, and what we write are patches, so
// that no field that we do not know is lost. Single calls are asked again where that may help: network errors, 408, 429
// and 5xx, with jitter and as the server wishes (Retry-After). Lists and watches are asked once: the reflector knows when
// to ask again. Called by reflector, write, lease, event, and by who needs one object.

import { text as textOf } from 'node:stream/consumers';
import { setTimeout as timeout } from 'node:timers';
import type { ApiObject } from '../config/resource.ts';
import { ApiError, type Asked, GarbledWatch, isTransient } from './api-error.ts';
import { backoffMs, type Clock, systemClock } from './clock.ts';
import type { Cluster, HttpAnswer, HttpRequest } from './cluster.ts';
import type { Kind } from './kind.ts';
import { type WatchEvent, watchEvents } from './watch-event.ts';

/** One object, or one place to create it in. */
export interface Target {
  readonly kind: Kind;
  readonly namespace?: string;
  readonly name: string;
  readonly subresource?: 'status';
}

/** A collection, or a part of it. */
export interface Selection {
  readonly kind: Kind;
  /** Undefined: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface Page {
  readonly items: readonly unknown[];
  readonly resourceVersion: string;
  /** Empty: this was the last one. */
  readonly continue: string;
  /** Octets of the page. */
  readonly size: number;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** How often a call is asked again. */
  readonly retries?: number;
  /** For the whole of one try. */
  readonly timeoutMs?: number;
}

const RETRIES = 4;
const TIMEOUT_MS = 30_000;
const [BASE_MS, MOST_MS] = [100, 5_000];
/** A server that asks for more is asked again all the same: it may have been wrong. */
const LONGEST_RETRY_AFTER_MS = 60_000;

const JSON_BODY = 'application/json';
const MERGE_PATCH = 'application/merge-patch+json';
/** JSON is YAML. */
const APPLY_PATCH = 'application/apply-patch+yaml';

export class Api {
  readonly #cluster: Cluster;
  readonly #clock: Clock;

  constructor(cluster: Cluster, clock: Clock = systemClock) {
    this.#cluster = cluster;
    this.#clock = clock;
  }

  get(target: Target, options?: CallOptions): Promise<ApiObject> {
    return this.#call({ verb: 'get', ...target }, 'GET', pathOf(target), {}, options);
  }

  /** Asked again only where the first attempt cannot have reached the server's store. */
  create(target: Omit<Target, 'name' | 'subresource'>, object: object, options?: CallOptions): Promise<ApiObject> {
    return this.#call(
      { verb: 'create', ...target },
      'POST',
      collectionOf(target),
      { type: JSON_BODY, body: object },
      options,
    );
  }

  /** RFC 7386. With `metadata.resourceVersion` in it, only onto that version (else 409). */
  mergePatch(target: Target, patch: object, options?: CallOptions): Promise<ApiObject> {
    const asked: Asked = { verb: 'patch', ...target };
    return this.#call(asked, 'PATCH', pathOf(target), { type: MERGE_PATCH, body: patch }, options);
  }

  /** Server-side apply; conflicts are ours (force). */
  apply(target: Target, object: object, fieldManager: string, options?: CallOptions): Promise<ApiObject> {
    const path = `${pathOf(target)}?${new URLSearchParams({ fieldManager, force: 'true' })}`;
    return this.#call({ verb: 'patch', ...target }, 'PATCH', path, { type: APPLY_PATCH, body: object }, options);
  }

  /** `object` whole, with the resourceVersion that it was read at. */
  put(target: Target, object: object, options?: CallOptions): Promise<ApiObject> {
    return this.#call({ verb: 'update', ...target }, 'PUT', pathOf(target), { type: JSON_BODY, body: object }, options);
  }

  /** `uid`: only that one, not a namesake that came after it. */
  delete(target: Target, uid?: string, options?: CallOptions): Promise<ApiObject> {
    const body = uid === undefined ? {} : { type: JSON_BODY, body: { preconditions: { uid } } };
    return this.#call({ verb: 'delete', ...target }, 'DELETE', pathOf(target), body, options);
  }

  /** One page of at most `limit` objects; the rest by `continue`. Not asked again. */
  async list(
    selection: Selection,
    page: { limit: number; continue: string },
    options: CallOptions = {},
  ): Promise<Page> {
    const asked: Asked = { verb: 'list', ...selection };
    const query = queryOf(selection, { limit: String(page.limit), continue: page.continue });
    const { text, value } = await this.#json(asked, 'GET', `${collectionOf(selection)}?${query}`, {}, options);
    const { items, metadata } = value as { items?: unknown; metadata?: Record<string, unknown> };
    const list = items === null ? [] : items;
    if (!Array.isArray(list)) throw new ApiError(asked, 0, 'the answer is no list');
    const word = (name: string) => {
      const given = metadata?.[name];
      return typeof given === 'string' ? given : '';
    };
    return { items: list, resourceVersion: word('resourceVersion'), continue: word('continue'), size: text.length };
  }

  /**
   * What happens from `query` on, as it arrives: some events at a time. Ends when the server ends it; throws ApiError when
   * it was refused or broke off, GarbledWatch when it made no sense.
   */
  async *watch(
    selection: Selection,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
    heard: () => void = () => undefined,
  ): AsyncGenerator<readonly WatchEvent[], void> {
    const asked: Asked = { verb: 'watch', ...selection };
    const path = `${collectionOf(selection)}?${queryOf(selection, { watch: '1', ...query })}`;
    // a watch has no limit of its own: who watches listens for silence
    const answer = await this.#send(asked, { method: 'GET', path, signal });
    heard();
    try {
      yield* watchEvents(answer.body, heard);
    } catch (fault) {
      throw fault instanceof GarbledWatch ? fault : new ApiError(asked, 0, reasonOf(fault));
    } finally {
      answer.body.on('error', () => undefined);
      answer.body.destroy();
    }
  }

  async #call(
    asked: Asked,
    method: HttpRequest['method'],
    path: string,
    content: Content,
    options: CallOptions = {},
  ): Promise<ApiObject> {
    const { signal, retries = RETRIES } = options;
    for (let attempt = 0; ; attempt++) {
      try {
        return (await this.#json(asked, method, path, content, options)).value as ApiObject;
      } catch (fault) {
        if (attempt >= retries || signal?.aborted || !(fault instanceof ApiError) || !mayAskAgain(fault)) throw fault;
        const wish = Math.min(fault.retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS);
        await this.#clock.sleep(wish + backoffMs(this.#clock, attempt, BASE_MS, MOST_MS), signal);
        if (signal?.aborted) throw fault;
      }
    }
  }

  async #json(
    asked: Asked,
    method: HttpRequest['method'],
    path: string,
    { type, body }: Content,
    { signal, timeoutMs = TIMEOUT_MS }: CallOptions,
  ): Promise<{ readonly text: string; readonly value: object }> {
    // from here to the last octet: a server that trickles must end too
    const limit = new AbortController();
    const timer = timeout(() => limit.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    timer.unref();
    try {
      const answer = await this.#send(asked, {
        method,
        path,
        signal: signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]),
        ...(body !== undefined && { body: serialize(body) }),
        ...(type !== undefined && { headers: { 'content-type': type } }),
      });
      const text = await textOf(answer.body).catch((fault: unknown) => {
        throw new ApiError(asked, 0, reasonOf(fault));
      });
      return { text, value: parseObject(asked, text) };
    } finally {
      clearTimeout(timer);
    }
  }

  /** The answer of a request that went well. */
  async #send(asked: Asked, request: HttpRequest): Promise<HttpAnswer> {
    let answer: HttpAnswer;
    try {
      answer = await this.#cluster.request(request);
    } catch (fault) {
      throw new ApiError(asked, 0, reasonOf(fault), { reason: codeOf(fault) });
    }
    if (answer.statusCode >= 200 && answer.statusCode < 300) return answer;
    const text = await textOf(answer.body).catch(() => '');
    throw statusError(asked, answer, text);
  }
}

interface Content {
  readonly type?: string;
  readonly body?: object;
}

/** A POST that may have been carried out would be carried out twice. */
function mayAskAgain(fault: ApiError): boolean {
  if (!isTransient(fault)) return false;
  if (fault.asked.verb !== 'create') return true;
  const refusedByTheKernel =
    fault.status === 0 && /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH)$/.test(fault.reason);
  return fault.status === 429 || refusedByTheKernel || (fault.status === 503 && fault.retryAfterMs !== undefined);
}

function statusError(asked: Asked, { statusCode, headers }: HttpAnswer, text: string): ApiError {
  let [message, reason] = [text.trim().slice(0, 500), ''];
  try {
    const status = JSON.parse(text) as { message?: unknown; reason?: unknown };
    if (typeof status.message === 'string') message = status.message;
    if (typeof status.reason === 'string') reason = status.reason;
  } catch {
    // a proxy's page, or a text: said as it is
  }
  const retryAfterMs = retryAfter(headers['retry-after']);
  return new ApiError(asked, statusCode, message, { reason, ...(retryAfterMs !== undefined && { retryAfterMs }) });
}

/** API servers say seconds. */
function retryAfter(header: string | string[] | undefined): number | undefined {
  const seconds = Number(Array.isArray(header) ? header[0] : header);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined;
}

/** A bigint is written digit by digit: counters of pools exceed what a number holds exactly. */
function serialize(body: object): string {
  const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => unknown };
  return JSON.stringify(body, (_, value: unknown) => (typeof value === 'bigint' ? rawJSON(String(value)) : value));
}

function parseObject(asked: Asked, text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // said below
  }
  throw new ApiError(asked, 0, `the answer is no JSON object: ${JSON.stringify(text.slice(0, 80))}`);
}

function collectionOf({ kind, namespace }: { readonly kind: Kind; readonly namespace?: string }): string {
  const where = kind.namespaced && namespace !== undefined ? `namespaces/${encodeURIComponent(namespace)}/` : '';
  return `/${kind.path}/${where}${kind.plural}`;
}

function pathOf(target: Target): string {
  const { name, subresource } = target;
  return `${collectionOf(target)}/${encodeURIComponent(name)}${subresource === undefined ? '' : `/${subresource}`}`;
}

function queryOf({ labelSelector, fieldSelector }: Selection, more: Readonly<Record<string, string>>): URLSearchParams {
  const all = { labelSelector: labelSelector ?? '', fieldSelector: fieldSelector ?? '', ...more };
  return new URLSearchParams(Object.entries(all).filter(([, value]) => value !== ''));
}

function codeOf(fault: unknown): string {
  const { code, cause } = (fault ?? {}) as { code?: unknown; cause?: unknown };
  if (typeof code === 'string') return code;
  return cause === undefined ? '' : codeOf(cause);
}

/** An error of several tries (IPv6, then IPv4) has no text of its own, and one of ours that ended a request is its cause. */
function reasonOf(fault: unknown): string {
  if (fault instanceof Error && fault.name === 'AbortError' && fault.cause instanceof Error)
    return reasonOf(fault.cause);
  if (fault instanceof AggregateError) return fault.errors.map(reasonOf).join('; ');
  return fault instanceof Error ? fault.message || codeOf(fault) : String(fault);
}
