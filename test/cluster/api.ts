// A Kubernetes API as an administrator (or whoever's token is given) sees it, over the unix socket of a relay, because
// the server lives in a namespace where the test does not. Deliberately not Fairway's own door to the API: what it is
// held against must not share its faults.

import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, type Dispatcher, request } from 'undici';
import type { Manifest } from '../interop/manifests.ts';

/** What the server sends for any object; a story reads fields by naming the type that it expects. */
export interface KubeObject extends Manifest {
  readonly metadata: Manifest['metadata'] & {
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
}

/** Enough of an object to find it. */
export type Reference = Pick<Manifest, 'apiVersion' | 'kind' | 'metadata'>;

export interface Answer<T = KubeObject> {
  readonly object: T;
  readonly warnings: readonly string[];
}

/** An object that is not there yet; the server may be asked to choose its name. */
export interface Creatable {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name?: string; readonly generateName?: string; readonly namespace?: string };
  readonly [field: string]: unknown;
}

export interface RawAnswer {
  readonly code: number;
  readonly text: string;
  /** Texts of the Warning headers (RFC 7234 §5.5), as kubectl prints them. */
  readonly warnings: readonly string[];
}

export interface Table {
  readonly columnDefinitions: readonly { readonly name: string }[];
  readonly rows: readonly { readonly cells: readonly unknown[] }[];
}

export type WatchEvent<T> = { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T };

/** The server said no; `message` is its own text. */
export class Refused extends Error {
  readonly code: number;
  readonly reason: string;
  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

const PATCH = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

/** Path of a kind's collection, by the rules of English that Kubernetes follows. */
export function collectionPath({ apiVersion, kind, namespace }: Selection): string {
  const lower = kind.toLowerCase();
  const plural = lower.endsWith('y') ? `${lower.slice(0, -1)}ies` : lower.endsWith('s') ? `${lower}es` : `${lower}s`;
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return namespace === undefined ? `${root}/${plural}` : `${root}/namespaces/${namespace}/${plural}`;
}

export interface Selection {
  readonly apiVersion: string;
  readonly kind: string;
  /** None: of the cluster, or all namespaces. */
  readonly namespace?: string | undefined;
  readonly labels?: string;
}

function pathOf({ apiVersion, kind, metadata }: Reference): string {
  return `${collectionPath({ apiVersion, kind, namespace: metadata.namespace })}/${metadata.name}`;
}

export class Api {
  readonly origin: string;
  readonly #agent: Agent;
  readonly #token: string | undefined;

  constructor(origin: string, socketPath: string, token: string | undefined, agent?: Agent) {
    this.origin = origin;
    this.#token = token;
    this.#agent = agent ?? new Agent({ connect: { socketPath, rejectUnauthorized: false }, bodyTimeout: 0 });
  }

  /** The same server, seen with another token. */
  as(token: string): Api {
    return new Api(this.origin, '', token, this.#agent);
  }

  /** Any request and answer as they are. */
  async raw(method: string, path: string, body?: string, type: string = PATCH.merge): Promise<RawAnswer> {
    const answer = await this.#send(method, path, body, type);
    const text = await answer.body.text();
    const warnings = [answer.headers['warning'] ?? []].flat().map((header) => /"(.*)"/.exec(header)?.[1] ?? header);
    return { code: answer.statusCode, text, warnings };
  }

  /** Any request; rejects with `Refused` from 400 on. */
  async call<T = KubeObject>(
    method: string,
    path: string,
    body?: unknown,
    type = 'application/json',
  ): Promise<Answer<T>> {
    const { code, text, warnings } = await this.raw(
      method,
      path,
      body === undefined ? body : JSON.stringify(body),
      type,
    );
    if (code >= 400) {
      const { reason = '', message = text } = parse<{ reason?: string; message?: string }>(text) ?? {};
      throw new Refused(code, reason, message);
    }
    return { object: JSON.parse(text), warnings };
  }

  /** Body of a path that answers in plain text, such as /readyz. */
  async text(path: string): Promise<string> {
    return (await this.raw('GET', path)).text;
  }

  /** A collection as kubectl asks for it. */
  async table(path: string): Promise<Table> {
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    const answer = await this.#send('GET', path, undefined, undefined, undefined, accept);
    return JSON.parse(await answer.body.text());
  }

  async create<T = KubeObject>(object: Creatable): Promise<Answer<T>> {
    const { apiVersion, kind, metadata } = object;
    return this.call('POST', collectionPath({ apiVersion, kind, namespace: metadata.namespace }), object);
  }

  /** As `kubectl apply --server-side`: made, or brought to what the manifests say. */
  async apply(...objects: readonly Manifest[]): Promise<readonly Answer[]> {
    const answers: Answer[] = [];
    const query = '?fieldManager=kubectl&force=true&fieldValidation=Strict';
    for (const object of objects) answers.push(await this.call('PATCH', pathOf(object) + query, object, PATCH.apply));
    return answers;
  }

  async read<T = KubeObject>(reference: Reference): Promise<T> {
    return (await this.call<T>('GET', pathOf(reference))).object;
  }

  /** Undefined when there is no such object. */
  async find<T = KubeObject>(reference: Reference): Promise<T | undefined> {
    return this.read<T>(reference).catch(ifAbsent);
  }

  async list<T = KubeObject>(selection: Selection): Promise<readonly T[]> {
    const path = collectionPath(selection);
    const query = selection.labels === undefined ? '' : `?labelSelector=${encodeURIComponent(selection.labels)}`;
    return (await this.call<{ items: T[] }>('GET', path + query)).object.items;
  }

  async patch<T = KubeObject>(reference: Reference, patch: object, subresource = ''): Promise<T> {
    return (await this.call<T>('PATCH', pathOf(reference) + subresource, patch, PATCH.merge)).object;
  }

  async patchStatus<T = KubeObject>(reference: Reference, status: object): Promise<T> {
    return this.patch<T>(reference, { status }, '/status');
  }

  /** Operations of RFC 6902, for what a merge patch can't say. */
  async edit<T = KubeObject>(reference: Reference, ...operations: readonly object[]): Promise<T> {
    return (await this.call<T>('PATCH', pathOf(reference), operations, PATCH.json)).object;
  }

  /** Absent ones are no error. Pods go at once when no grace period is left to them. */
  async remove(...references: readonly Reference[]): Promise<void> {
    for (const reference of references) await this.call('DELETE', pathOf(reference)).catch(ifAbsent);
  }

  async removeAll(selection: Selection): Promise<void> {
    const query = selection.labels === undefined ? '' : `?labelSelector=${encodeURIComponent(selection.labels)}`;
    await this.call('DELETE', collectionPath(selection) + query);
  }

  /** All objects of a kind, then each change, until `signal`; begins again whenever the server ends it. */
  async watch<T>(selection: Selection, signal: AbortSignal, onEvent: (event: WatchEvent<T>) => void): Promise<void> {
    while (!signal.aborted) {
      try {
        const answer = await this.#send('GET', `${collectionPath(selection)}?watch=1`, undefined, undefined, signal);
        let rest = '';
        for await (const chunk of answer.body) {
          const lines = (rest + chunk).split('\n');
          rest = lines.pop() ?? '';
          for (const line of lines) onEvent(JSON.parse(line));
        }
      } catch {
        // the server is away, or the signal came
      }
      await sleep(100);
    }
  }

  /** A token of a ServiceAccount, as a kubelet gets it for a Pod (TokenRequest). */
  async token(namespace: string, account: string, spec: object = {}): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
    const { object } = await this.call<{ status: { token: string } }>('POST', path, body);
    return object.status.token;
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #send(
    method: string,
    path: string,
    body?: string,
    type = 'application/json',
    signal?: AbortSignal,
    accept = 'application/json',
  ): Promise<Dispatcher.ResponseData> {
    return request(this.origin + path, {
      dispatcher: this.#agent,
      method,
      headers: {
        accept,
        'content-type': type,
        ...(this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
      },
      ...(body !== undefined && { body }),
      ...(signal !== undefined && { signal }),
    });
  }
}

function ifAbsent(fault: unknown): undefined {
  if (!(fault instanceof Refused) || fault.code !== 404) throw fault;
}

function parse<T>(text: string): T | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
