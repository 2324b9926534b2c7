// HTTPS that others call: webhooks (POST, asked by the API server) and metrics. Bounded in time, size and connections; the
// certificate is changed under open connections. Who may ask is for the handler to judge; whatever is asked, the process
// lives on.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { createServer } from 'node:https';
import type { Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContextOptions } from 'node:tls';
import { Connections } from './connections.ts';
import { type Answer, text } from './http.ts';
import { systemError } from './syscall.ts';
import type { TlsOptions } from './tls-options.ts';

/** PEM. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

export interface HttpsRequest {
  readonly method: string;
  /** Without a query. */
  readonly path: string;
  /** The header of that name; empty where there is none. */
  readonly authorization: string;
  readonly body: string;
}

export interface HttpsOptions {
  /** Undefined: all addresses of both families. */
  readonly host?: string;
  readonly port: number;
  readonly tls: TlsOptions;
  readonly identity: TlsIdentity;
  /** HTTP/2 too. */
  readonly http2?: boolean;
  /** Octets. */
  readonly longestBody?: number;
  readonly handle: (request: HttpsRequest) => Promise<Answer>;
  /** `handle` could not: it was answered with 500. */
  readonly unanswered: (fault: unknown, path: string) => void;
}

export interface HttpsDoor {
  /** The real one where 0 was asked for. */
  readonly port: number;
  /** For connections from now on. */
  identify(identity: TlsIdentity): void;
  /** Takes no more connections; done when those there are were answered, or after a while. */
  drain(): Promise<void>;
  close(): void;
}

const MOST_CONNECTIONS = 256;
const PATIENCE_MS = 10_000;
const HANDSHAKE_MS = 3_000;
const DRAIN_MS = 2_000;
/** etcd takes no larger object; an AdmissionReview may hold two. */
const LONGEST_BODY = 8 << 20;

type Ask = IncomingMessage | Http2ServerRequest;
type Reply = ServerResponse | Http2ServerResponse;

/** Rejects with a sentence when the address cannot be had or the key and certificate are of no use. */
export async function serveHttps(options: HttpsOptions): Promise<HttpsDoor> {
  const { host, port, tls, identity, http2 = false } = options;
  const context = (given: TlsIdentity): SecureContextOptions => ({ ...tls, cert: given.cert, key: given.key });
  const connections = new Connections(MOST_CONNECTIONS);
  const listener = (request: Ask, response: Reply) => void answer(request, response, connections, options);
  const limits = { headersTimeout: PATIENCE_MS, requestTimeout: 3 * PATIENCE_MS, handshakeTimeout: HANDSHAKE_MS };
  const server = http2
    ? createSecureServer({ ...context(identity), ...limits, allowHTTP1: true }, listener)
    : createServer({ ...context(identity), ...limits, maxHeaderSize: 16_384 }, listener);
  // what does not speak TLS, or not ours, is no reason to end
  server.on('tlsClientError', (_, socket) => socket.destroy());
  server.on('clientError', (_, socket) => socket.destroy());
  server.on('connection', (socket: Socket) => connections.take(socket));
  server.on('secureConnection', (socket) => connections.shaken(socket));
  const close = () => {
    server.close();
    connections.close();
  };
  await listen(server, host, port);
  const bound = server.address();
  return {
    port: bound !== null && typeof bound === 'object' ? bound.port : port,
    identify: (given) => server.setSecureContext(context(given)),
    drain: async () => {
      const answered = new Promise<void>((resolve) => server.close(() => resolve()));
      await Promise.race([answered, sleep(DRAIN_MS, undefined, { ref: false })]);
      close();
    },
    close,
  };
}

function listen(server: Server, host: string | undefined, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (fault: NodeJS.ErrnoException) => {
      const at = host === undefined ? `port ${port}` : `${host}:${port}`;
      const error = systemError('bind', fault.code ?? 'UNKNOWN', -(fault.errno ?? 0), at);
      reject(new Error(`cannot serve HTTPS on ${error.text}`));
    });
    server.listen({ port, ...(host !== undefined && { host }) }, resolve);
  });
}

async function answer(
  request: Ask,
  response: Reply,
  connections: Connections,
  { longestBody = LONGEST_BODY, handle, unanswered }: HttpsOptions,
): Promise<void> {
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  const { remoteAddress, remotePort } = request.socket;
  const body = await bodyOf(request, longestBody);
  if (body === undefined) return reply(response, text(413, `a request holds ${longestBody} octets at most\n`));
  const { method = 'GET', url = '/', headers } = request;
  const path = url.replace(/[?#].*$/, '');
  const answered = connections.answering({ remoteAddress, remotePort });
  try {
    reply(response, await handle({ method, path, authorization: headers.authorization ?? '', body }));
  } catch (fault) {
    unanswered(fault, path);
    reply(response, text(500, 'cannot be answered\n'));
  }
  answered();
}

/** Undefined: too long; the rest is let go. One that breaks off is as far as it came, and nobody hears the answer. */
function bodyOf(request: Ask, longest: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  return new Promise((resolve) => {
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= longest) chunks.push(chunk);
      else resolve(undefined);
    });
    request.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    request.on('close', () => resolve(undefined));
  });
}

function reply(response: Reply, { status, type, body }: Answer): void {
  if (response.writableEnded || response.destroyed) return;
  response.statusCode = status;
  response.setHeader('content-type', type);
  response.setHeader('content-length', Buffer.byteLength(body));
  response.setHeader('cache-control', 'no-store');
  response.setHeader('x-content-type-options', 'nosniff');
  // who keeps a connection goes on asking a server that hangs, though others are ready to answer
  if (response.req.httpVersionMajor === 1) response.setHeader('connection', 'close');
  (response as ServerResponse).end(body);
}
