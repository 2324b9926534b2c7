// An API server over real HTTP on loopback, as far as the door to the API needs one: versions, pages with continue tokens,
// watches with bookmarks, streamed lists, single objects with preconditions; and everything that goes wrong with one, on
// demand. It knows nothing of our code. Its behaviour is held against a real kube-apiserver by test/cluster.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export type Json = Record<string, unknown>;

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
}

/** What a request is answered with instead. */
export type Fault =
  | { readonly status: number; readonly body?: string | Json; readonly headers?: Record<string, string> }
  | 'reset'
  | 'hang';

interface Happening {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly collection: string;
  readonly object: Json;
}

interface Watcher {
  readonly collection: string;
  readonly selects: (object: Json) => boolean;
  readonly response: ServerResponse;
}

interface Path {
  readonly collection: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
}

export class FakeApi {
  readonly seen: Seen[] = [];
  readonly #objects = new Map<string, Map<string, Json>>();
  readonly #served: Set<string>;
  #history: Happening[] = [];
  #version = 100;
  #compactedTo = 0;
  #watchers: Watcher[] = [];
  #faults: { readonly when: (seen: Seen) => boolean; times: number; readonly fault: Fault }[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #uid = 0;
  connections = 0;
  /** As of Kubernetes 1.27 to 1.31: not there. */
  streamsLists = true;
  /** Watches stay open and get nothing more. */
  silent = false;

  /** `served`: collections such as `api/v1/services`. */
  constructor(...served: readonly string[]) {
    this.#served = new Set(served);
    this.#server = createServer((request, response) => void this.#handle(request, response));
    this.#server.on('connection', (socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The server ends and cuts everybody off; it can listen again. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#watchers = [];
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  serve(collection: string): void {
    this.#served.add(collection);
  }

  withdraw(collection: string): void {
    this.#served.delete(collection);
    this.cut('end');
  }

  /** Creates or replaces; without metadata but name and namespace. */
  put(collection: string, object: Json): Json {
    const metadata = object['metadata'] as Json;
    const key = keyOf(metadata);
    const all = this.#collection(collection);
    const before = all.get(key)?.['metadata'] as Json | undefined;
    const version = ++this.#version;
    const uid = metadata['uid'] ?? before?.['uid'] ?? `uid-${++this.#uid}`;
    const stored = { ...object, metadata: { ...metadata, uid, resourceVersion: String(version) } };
    all.set(key, stored);
    this.#happen({ version, type: before === undefined ? 'ADDED' : 'MODIFIED', collection, object: stored });
    return stored;
  }

  get(collection: string, key: string): Json | undefined {
    return this.#collection(collection).get(key);
  }

  remove(collection: string, key: string, told = true): void {
    const object = this.#collection(collection).get(key);
    if (object === undefined) return;
    this.#collection(collection).delete(key);
    const version = ++this.#version;
    const metadata = { ...(object['metadata'] as Json), resourceVersion: String(version) };
    const happening = { version, type: 'DELETED', collection, object: { ...object, metadata } } as const;
    if (told) this.#happen(happening);
  }

  /** etcd forgets what happened so far: older versions are 410. */
  compact(): void {
    this.#compactedTo = ++this.#version;
    this.#history = [];
  }

  /** The next `times` requests for which `when` holds get `fault`. */
  fail(when: (seen: Seen) => boolean, fault: Fault, times = 1): void {
    this.#faults.push({ when, times, fault });
  }

  mend(): void {
    this.#faults = [];
  }

  watching(collection: string): number {
    return this.#watchers.filter((watcher) => watcher.collection === collection).length;
  }

  bookmark(): void {
    for (const { response } of this.#watchers) if (!this.silent) response.write(bookmark(this.#version, false));
  }

  /** Octets, as they are, into all watches. */
  say(bytes: string | Buffer): void {
    for (const { response } of this.#watchers) response.write(bytes);
  }

  cut(how: 'end' | 'reset'): void {
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const { response } of watchers)
      if (how === 'end') response.end();
      else response.destroy();
  }

  #collection(name: string): Map<string, Json> {
    let all = this.#objects.get(name);
    if (all === undefined) {
      all = new Map();
      this.#objects.set(name, all);
    }
    return all;
  }

  #happen(happening: Happening): void {
    this.#history.push(happening);
    if (this.silent) return;
    for (const watcher of this.#watchers) if (concerns(happening, watcher)) watcher.response.write(line(happening));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    const url = new URL(request.url ?? '/', 'http://api');
    const text = Buffer.concat(chunks).toString('utf8');
    const seen: Seen = {
      method: request.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
    this.seen.push(seen);
    const planned = this.#faults.find(({ when, times }) => times > 0 && when(seen));
    if (planned !== undefined) {
      planned.times--;
      if (planned.fault === 'reset') response.destroy();
      else if (planned.fault !== 'hang') {
        const { status, body = statusOf(status, 'Planned', 'as the test wants'), headers = {} } = planned.fault;
        send(response, status, body, headers);
      }
      return;
    }
    const path = parsePath(url.pathname);
    if (path.name === undefined && seen.query.get('watch') !== null && this.#served.has(path.collection))
      this.#watch(seen.query, path, response);
    else {
      const { status, body } = this.#answer(seen, path);
      send(response, status, body);
    }
  }

  #answer(seen: Seen, path: Path): Answer {
    if (!this.#served.has(path.collection)) return { status: 404, body: '404 page not found\n' };
    if (path.name !== undefined) return this.#one(seen, path, path.name);
    return seen.method === 'POST' ? this.#create(seen, path) : this.#list(seen.query, path);
  }

  #list(query: URLSearchParams, { collection, namespace }: Path): Answer {
    const limit = Number(query.get('limit') ?? 0) || Number.POSITIVE_INFINITY;
    const token = query.get('continue');
    let [from, version] = ['', this.#version];
    if (token !== null) {
      [from, version] = JSON.parse(Buffer.from(token, 'base64url').toString()) as [string, number];
      if (version <= this.#compactedTo) return refusal(410, 'Expired', 'the token is too old');
    }
    const selects = selection(query, namespace);
    const all = [...this.#collection(collection)]
      .filter(([, object]) => selects(object))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .filter(([key]) => key > from);
    const page = all.slice(0, limit);
    const last = page.at(-1)?.[0] ?? '';
    const more = all.length > page.length ? Buffer.from(JSON.stringify([last, version])).toString('base64url') : '';
    const items = page.map(([, { kind: _kind, apiVersion: _version, ...object }]) => object);
    const metadata = { resourceVersion: String(version), continue: more };
    return { status: 200, body: { kind: 'List', metadata, items } };
  }

  #watch(query: URLSearchParams, { collection, namespace }: Path, response: ServerResponse): void {
    const streamed = query.get('sendInitialEvents') === 'true';
    if (streamed && !this.streamsLists) {
      send(response, 422, statusOf(422, 'Invalid', 'sendInitialEvents is forbidden'));
      return;
    }
    const since = Number(query.get('resourceVersion') ?? 0);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (!streamed && since < this.#compactedTo) {
      const object = statusOf(410, 'Expired', `too old resource version: ${since}`);
      response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`);
      return;
    }
    const selects = selection(query, namespace);
    const watcher = { collection, selects, response };
    response.on('close', () => {
      this.#watchers = this.#watchers.filter((other) => other !== watcher);
    });
    this.#watchers.push(watcher);
    if (this.silent) return;
    if (streamed) {
      for (const object of this.#collection(collection).values())
        if (selects(object)) response.write(`${JSON.stringify({ type: 'ADDED', object })}\n`);
      response.write(bookmark(this.#version, true));
    } else
      for (const happening of this.#history)
        if (happening.version > since && concerns(happening, watcher)) response.write(line(happening));
  }

  #create(seen: Seen, path: Path): Answer {
    const object = seen.body as Json;
    const metadata = { ...(object['metadata'] as Json), ...(path.namespace && { namespace: path.namespace }) };
    if (this.get(path.collection, keyOf(metadata)) !== undefined) return refusal(409, 'AlreadyExists', 'it exists');
    return { status: 201, body: this.put(path.collection, { ...object, metadata }) };
  }

  #one({ method, body }: Seen, { collection, namespace }: Path, name: string): Answer {
    const key = namespace === undefined ? name : `${namespace}/${name}`;
    const known = this.get(collection, key);
    if (known === undefined) return refusal(404, 'NotFound', `${collection} "${name}" not found`);
    if (method === 'GET') return { status: 200, body: known };
    const metadata = known['metadata'] as Json;
    if (method === 'DELETE') {
      const { uid } = ((body as Json | undefined)?.['preconditions'] ?? {}) as { uid?: string };
      if (uid !== undefined && uid !== metadata['uid']) return refusal(409, 'Conflict', 'the uid is another');
      this.remove(collection, key);
      return refusal(200, '', '');
    }
    const version = ((body as Json)['metadata'] as Json | undefined)?.['resourceVersion'];
    if (version !== undefined && version !== metadata['resourceVersion'])
      return refusal(409, 'Conflict', 'the object has been modified');
    const after = method === 'PUT' ? (body as Json) : (merge(known, body) as Json);
    return { status: 200, body: this.put(collection, after) };
  }
}

interface Answer {
  readonly status: number;
  readonly body: string | Json;
}

function refusal(status: number, reason: string, message: string): Answer {
  return { status, body: statusOf(status, reason, message) };
}

function parsePath(pathname: string): Path {
  const parts = pathname.split('/').filter((part) => part !== '');
  const base = parts.splice(0, parts[0] === 'api' ? 2 : 3).join('/');
  const namespace = parts[0] === 'namespaces' && parts.length > 2 ? parts.splice(0, 2)[1] : undefined;
  const [plural = '', name, subresource] = parts;
  return {
    collection: `${base}/${plural}`,
    ...(namespace !== undefined && { namespace }),
    ...(name !== undefined && { name }),
    ...(subresource !== undefined && { subresource }),
  };
}

function merge(before: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Json = typeof before === 'object' && before !== null && !Array.isArray(before) ? { ...before } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merge(result[name], value);
  }
  return result;
}

function send(response: ServerResponse, status: number, body: string | Json, headers: Record<string, string> = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const type = typeof body === 'string' ? 'text/plain' : 'application/json';
  response.writeHead(status, { 'content-type': type, ...headers });
  response.end(text);
}

export function statusOf(code: number, reason: string, message: string): Json {
  return { kind: 'Status', apiVersion: 'v1', status: code < 300 ? 'Success' : 'Failure', code, reason, message };
}

const line = ({ type, object }: Happening) => `${JSON.stringify({ type, object })}\n`;

function bookmark(version: number, end: boolean): string {
  const annotations = end ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
  const metadata = { resourceVersion: String(version), ...annotations };
  return `${JSON.stringify({ type: 'BOOKMARK', object: { kind: 'Service', apiVersion: 'v1', metadata } })}\n`;
}

const concerns = ({ collection, object }: Happening, watcher: Watcher) =>
  collection === watcher.collection && watcher.selects(object);

/** Namespace, `labelSelector` of `key=value`, and `fieldSelector` of `metadata.name`. An object that leaves a selection stays in it. */
function selection(query: URLSearchParams, namespace: string | undefined): (object: Json) => boolean {
  const terms = (name: string) => (query.get(name) ?? '').split(',').filter(Boolean);
  const wanted = terms('labelSelector').map((term) => term.split('='));
  const names = terms('fieldSelector').map((term) => term.replace('metadata.name=', ''));
  return (object) => {
    const { name, labels = {} } = object['metadata'] as { readonly name: string; readonly labels?: Json };
    if (namespace !== undefined && namespaceOf(object) !== namespace) return false;
    return names.every((each) => each === name) && wanted.every(([key = '', value]) => labels[key] === value);
  };
}

const namespaceOf = (object: Json) => (object['metadata'] as Json)['namespace'];

function keyOf({ namespace, name }: Json): string {
  return namespace === undefined ? String(name) : `${namespace}/${name}`;
}
