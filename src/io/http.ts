// The local HTTP door: a handful of read-only paths, answered from memory. Bounded in time, header size and
// connections. Used by standalone (state, metrics, health).

import type { IncomingMessage, ServerResponse } from 'node:http';
import { systemError } from './syscall.ts';

// an import asks a module for all that it exports, and here one of that is a getter which loads Node's fetch: 6 MB
const { createServer } = process.getBuiltinModule('node:http');

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export type Routes = Readonly<Record<string, () => Answer | Promise<Answer>>>;

export interface HttpDoor {
  readonly host: string;
  /** The real one where 0 was asked for. */
  readonly port: number;
  close(): void;
}

const MOST_CONNECTIONS = 64;
const PATIENCE_MS = 5_000;

export function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body };
}

export function json(value: unknown): Answer {
  return { status: 200, type: 'application/json', body: `${JSON.stringify(value)}\n` };
}

/** Serves the paths; rejects with a sentence that names the address when it cannot be had. */
export function serveHttp(host: string, port: number, routes: Routes): Promise<HttpDoor> {
  const server = createServer(
    { maxHeaderSize: 8_192, headersTimeout: PATIENCE_MS, requestTimeout: PATIENCE_MS, keepAliveTimeout: PATIENCE_MS },
    (request, response) => void answer(routes, request, response),
  );
  server.maxConnections = MOST_CONNECTIONS;
  return new Promise((resolve, reject) => {
    server.once('error', (fault: NodeJS.ErrnoException) => {
      const error = systemError('bind', fault.code ?? 'UNKNOWN', -(fault.errno ?? 0), `${host}:${port}`);
      reject(new Error(`cannot serve HTTP on ${error.text}`));
    });
    server.listen(port, host, () => {
      const bound = server.address();
      resolve({
        host,
        port: bound !== null && typeof bound === 'object' ? bound.port : port,
        close: () => {
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });
}

async function answer(routes: Routes, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '/').replace(/[?#].*$/, '');
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  const { status, type, body } =
    route === undefined
      ? text(404, `no such path; there are ${Object.keys(routes).join(', ')}\n`)
      : request.method !== 'GET' && request.method !== 'HEAD'
        ? text(405, 'only GET and HEAD\n')
        : await route();
  request.resume();
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(status === 405 && { allow: 'GET, HEAD' }),
  });
  response.end(request.method === 'HEAD' ? '' : body);
}
