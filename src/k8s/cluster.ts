// One API server, one pool of connections: every request of the process goes through `Cluster`, whatever it asks. It
// speaks HTTP/1.1, so that a watch that stalls stalls nobody else. Credentials are read again once a minute, after a
// failure to connect, and at a 401, which is then asked once more; new TLS material means a new pool, and the old one
// ends when its last answer has. Used by `api`.

import { createHash } from 'node:crypto';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import { type Access, type AccessOptions, type Credentials, findAccess, type Tls } from './access.ts';
import { type Clock, systemClock } from './clock.ts';

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
  readonly signal?: AbortSignal;
  /** To the first octet of the answer, and then between two of them; 0: for ever. */
  readonly headersMs: number;
  readonly silenceMs: number;
}

export type HttpAnswer = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'>;

export class Cluster {
  readonly server: string;
  readonly namespace: string | undefined;
  readonly #access: Access;
  readonly #clock: Clock;
  readonly #path: string;
  #credentials: Promise<Credentials> | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #doubted = false;
  #agent: Dispatcher | undefined;
  #agentFor = '';

  constructor(access: Access, clock: Clock = systemClock) {
    this.#access = access;
    this.#clock = clock;
    const { origin, pathname } = new URL(access.server);
    this.server = origin;
    this.#path = pathname.replace(/\/$/, '');
    this.namespace = access.namespace;
  }

  /** The answer, whatever its status; rejects when there is none. The body must be read or destroyed. */
  async request(request: HttpRequest): Promise<HttpAnswer> {
    const answer = await this.#once(request);
    if (answer.statusCode !== 401) return answer;
    // a rotated token is refused before we know of the new one
    this.#doubted = true;
    await answer.body.dump();
    return this.#once(request);
  }

  /** Ends all connections, with whatever is under way on them. */
  async close(): Promise<void> {
    await this.#agent?.destroy();
  }

  async #once({ method, path, headers, body, signal, headersMs, silenceMs }: HttpRequest): Promise<HttpAnswer> {
    const credentials = await this.#read();
    try {
      return await this.#agentWith(credentials.tls).request({
        origin: this.server,
        path: `${this.#path}${path}`,
        method,
        headers: { accept: 'application/json', 'user-agent': 'fairway', ...headers, ...credentials.headers },
        headersTimeout: headersMs,
        bodyTimeout: silenceMs,
        ...(body !== undefined && { body }),
        ...(signal !== undefined && { signal }),
      });
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

  #agentWith(tls: Tls): Dispatcher {
    const print = fingerprint(tls);
    if (this.#agent !== undefined && this.#agentFor === print) return this.#agent;
    void this.#agent?.close();
    this.#agentFor = print;
    this.#agent = createAgent(this.#access.proxy, tls);
    return this.#agent;
  }
}

/** Finds the way to the API server; see `findAccess` for where it looks and how it fails. */
export async function openCluster(options: AccessOptions, clock: Clock = systemClock): Promise<Cluster> {
  return new Cluster(await findAccess(options), clock);
}

function createAgent(proxy: string | undefined, tls: Tls): Dispatcher {
  const options = { allowH2: false, bodyTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS, autoSelectFamily: true };
  const connection = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS, timeout: CONNECT_MS };
  if (proxy === undefined) return new Agent({ ...options, connect: { ...connection, ...writable(tls) } });
  if (!/^https?:/.test(proxy)) throw new Error(`proxy-url ${proxy}: only http and https proxies are supported`);
  return new ProxyAgent({ ...options, uri: proxy, requestTls: { ...connection, ...writable(tls) } });
}

/** The TLS options' type wants what it takes to be its own. */
function writable({ ca, cert, key, servername, rejectUnauthorized }: Tls) {
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(servername !== undefined && { servername }),
    ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
  };
}

function fingerprint(tls: Tls): string {
  const hash = createHash('sha256');
  for (const part of [tls.ca, tls.cert, tls.key, tls.servername, String(tls.rejectUnauthorized)])
    hash.update(`${part?.length ?? -1}:`).update(part ?? '');
  return hash.digest('hex');
}
