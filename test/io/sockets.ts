// For tests of io: a Tcp whose events are kept and can be waited for, free ports, and the kernel's own counters.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { Tcp } from '../../src/io/tcp.ts';
import type { Ip } from '../../src/net/address.ts';
import type { IoEvent, SocketAddress, TcpOptions } from '../../src/net/io.ts';

export const LIMIT_MS = 8_000;

export const at = (address: string, port: number): SocketAddress => ({ address: address as Ip, port });
export const options = (more: Partial<TcpOptions> = {}): TcpOptions => ({ ttl: 255, ...more });

/** The first answer that is not undefined; an error with what was waited for when none comes within the limit. */
export async function until<T>(what: string, ask: () => T | undefined, limitMs = LIMIT_MS): Promise<T> {
  const end = performance.now() + limitMs;
  for (;;) {
    const answer = ask();
    if (answer !== undefined) return answer;
    if (performance.now() > end) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The events that may carry this name. */
type Named<On extends IoEvent['on'], E = IoEvent> = E extends { readonly on: infer O }
  ? On extends O
    ? E
    : never
  : never;

/** A Tcp with everything it said. */
export class Recorder {
  readonly events: IoEvent[] = [];
  readonly refused: SocketAddress[] = [];
  readonly tcp = new Tcp({
    emit: (event) => this.events.push(event),
    refused: (from) => this.refused.push(from),
  });

  find<On extends IoEvent['on']>(on: On, connection?: string): Named<On> | undefined {
    return this.events.find(
      (event): event is Named<On> & IoEvent =>
        event.on === on && (connection === undefined || ('connection' in event && event.connection === connection)),
    );
  }

  wait<On extends IoEvent['on']>(on: On, connection?: string): Promise<Named<On>> {
    return until(`${on} ${connection ?? ''}`, () => this.find(on, connection)).catch((fault: Error) => {
      throw new Error(`${fault.message}; seen: ${JSON.stringify(this.events.map((event) => event.on))}`);
    });
  }

  /** All octets that arrived on a connection. */
  received(connection: string): Buffer {
    return Buffer.concat(
      this.events.flatMap((event) => (event.on === 'tcp-data' && event.connection === connection ? [event.bytes] : [])),
    );
  }
}

export async function freePort(address = '127.0.0.1', wanted = 0): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(wanted, address, resolve));
  const bound = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  return bound.port;
}

/** One that a BGPPeer may have: at most 16384. Each process begins to look elsewhere. */
export async function freePeerPort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = 10_000 + ((process.pid * 37 + peerPorts++ * 7) % 6_000);
    const free = await freePort('127.0.0.1', port).catch(() => undefined);
    if (free !== undefined) return free;
  }
  throw new Error('no free port from 10000 to 16000');
}
let peerPorts = 0;

/** One counter of /proc/net/netstat: what the kernel says it dropped. */
export function kernelCounter(name: string): number {
  const lines = readFileSync('/proc/net/netstat', 'utf8').split('\n');
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const names = (lines[i] ?? '').split(' ');
    const column = names.indexOf(name);
    if (column > 0) return Number((lines[i + 1] ?? '').split(' ')[column]);
  }
  throw new Error(`the kernel has no counter ${name}`);
}
