// One API server, one pool of connections: every request of the process goes through `Cluster`, whatever it asks. It
// speaks HTTP/1.1, so that a watch that stalls stalls nobody else. Credentials are read again once a minute, after a
// failure to connect, and at a 401, which is then asked once more; new TLS material means a new pool, and the connections
// of the old one end when they have been idle for a while. Node's own client: what it needs is in Node already, and a
// process is 20 MB smaller than with another. Used by `api`.

import { createHash } from 'node:crypto';
import type { Agent, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import https from 'node:https';
import { createSecureContext } from 'node:tls';
import { type Access, type AccessOptions, type Credentials, findAccess, type Tls } from './access.ts';
import { type Clock, systemClock } from './clock.ts';

// an import asks a module for all that it exports, and here one of that is a getter which loads Node's fetch: 6 MB
const http = process.getBuiltinModule('node:http');

/** As long as client-go believes a token that it read. */
const BELIEVE_MS = 60_000;
const CONNECT_MS = 10_000;
const KEEP_ALIVE_MS = 30_000;

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query, below the server's own path. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The one end that a request has, once it is connected. */
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: IncomingMessage;
}

/** The server as requests name it; `path` is the server's own. */
interface Target {
  readonly protocol: string;
  readonly host: string;
  readonly port?: string;
  readonly path: string;
}

export class Cluster {
  readonly server: string;
  readonly namespace: string | undefined;
  readonly #access: Access;
  readonly #clock: Clock;
  readonly #target: Target;
  #credentials: Promise<Credentials> | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #doubted = false;
  #agent: Agent | undefined;
  #agentFor = '';
  /** What `#agentFor` was made of. */
  #agentTls: Tls | undefined;

  constructor(access: Access, clock: Clock = systemClock) {
    this.#access = access;
    this.#clock = clock;
    const { origin, protocol, hostname, port, pathname } = new URL(access.server);
    this.server = origin;
    this.#target = {
      ...{ protocol, host: hostname.replace(/^\[|\]$/g, ''), ...(port !== '' && { port }) },
      path: pathname.replace(/\/$/, ''),
    };
    this.namespace = access.namespace;
  }

  /** The answer, whatever its status; rejects when there is none. The body must be read or destroyed. */
  async request(request: HttpRequest): Promise<HttpAnswer> {
    const answer = await this.#once(request);
    if (answer.statusCode !== 401) return answer;
    // a rotated token is refused before we know of the new one
    this.#doubted = true;
    answer.body.resume();
    return this.#once(request);
  }

  /** Ends all connections, with whatever is under way on them. */
  close(): void {
    this.#agent?.destroy();
  }

  async #once({ method, path, headers, body, signal }: HttpRequest): Promise<HttpAnswer> {
    const credentials = await this.#read();
    const length = body !== undefined && { 'content-length': String(Buffer.byteLength(body)) };
    const options = {
      ...{ ...this.#target, path: `${this.#target.path}${path}`, method },
      headers: { accept: 'application/json', 'user-agent': 'fairway', ...headers, ...length, ...credentials.headers },
      ...(signal !== undefined && { signal }),
    };
    try {
      return await send({ ...options, agent: this.#agentWith(credentials.tls) }, body);
    } catch (fault) {
      // a new CA shows as a certificate that nobody signed
      if (signal?.aborted !== true) this.#doubted = true;
      throw fault;
    }
  }

  #read(): Promise<Credentials> {
    const now = this.#clock.now();
    const anew = this.#doubted;
    if (this.#credentials !== undefined && !anew && now - this.#readAt < BELIEVE_MS) return this.#credentials;
    const before = this.#credentials;
    this.#readAt = now;
    this.#doubted = false;
    // a file that is being replaced is no reason to forget what it said
    this.#credentials = this.#access.credentials(anew).catch((fault: unknown) => {
      if (before === undefined) this.#credentials = undefined;
      return before ?? Promise.reject(fault);
    });
    return this.#credentials;
  }

  #agentWith(tls: Tls): Agent {
    // the same object between two readings of the credentials: once a minute is often enough to hash it
    if (this.#agent !== undefined && this.#agentTls === tls) return this.#agent;
    const print = fingerprint(tls);
    if (this.#agent === undefined || this.#agentFor !== print) {
      this.#agent = createAgent(this.#target.protocol, this.#access.proxy, tls);
      this.#agentFor = print;
    }
    this.#agentTls = tls;
    return this.#agent;
  }
}

/** Finds the way to the API server; see `findAccess` for where it looks and how it fails. */
export async function openCluster(options: AccessOptions, clock: Clock = systemClock): Promise<Cluster> {
  return new Cluster(await findAccess(options), clock);
}

function createAgent(protocol: string, proxy: string | undefined, tls: Tls): Agent {
  if (proxy !== undefined && !/^https?:/.test(proxy))
    throw new Error(`proxy-url ${proxy}: only http and https proxies are supported`);
  // a connection that has been idle for `timeout` ends; one in use never does because of it
  const options = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, timeout: KEEP_ALIVE_MS };
  const through = proxy !== undefined && { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } };
  if (protocol === 'http:') return new http.Agent({ ...options, ...through });
  const { ca, cert, key, ...rest } = tls;
  // made once: certificates among the options are read for each connection, and are part of its name at each request
  const secureContext = createSecureContext({
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  });
  return new https.Agent({ ...options, ...through, ...rest, secureContext });
}

function send(options: https.RequestOptions, body: string | undefined): Promise<HttpAnswer> {
  const isPlain = options.protocol === 'http:';
  return new Promise((resolve, reject) => {
    const request = (isPlain ? http : https).request(options);
    request.once('socket', (socket) => {
      if (!socket.connecting) return;
      const late = () => request.destroy(new Error(`no connection within ${CONNECT_MS} ms`));
      const timer = setTimeout(late, CONNECT_MS);
      const stop = () => clearTimeout(timer);
      socket.once(isPlain ? 'connect' : 'secureConnect', stop).once('close', stop);
    });
    request.on('error', reject);
    request.once('response', (message) =>
      resolve({ statusCode: message.statusCode ?? 0, headers: message.headers, body: message }),
    );
    request.end(body);
  });
}

function fingerprint(tls: Tls): string {
  const hash = createHash('sha256');
  for (const part of [tls.ca, tls.cert, tls.key, tls.servername, String(tls.rejectUnauthorized)])
    hash.update(`${part?.length ?? -1}:`).update(part ?? '');
  return hash.digest('hex');
}
