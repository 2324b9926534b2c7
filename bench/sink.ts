// A BGP peer that answers OPEN and counts the IPv4 host routes that it is told, with the instant of each UPDATE: small
// enough not to be what is measured. Of no use but for that.

import { createServer, type Server, type Socket } from 'node:net';
import { NO_CAPABILITIES } from '../src/bgp/capability.ts';
import { createFramer, MAX_MESSAGE, nextFrame, push, TYPE } from '../src/bgp/frame.ts';
import { encodeKeepalive } from '../src/bgp/message.ts';
import { encodeOpen } from '../src/bgp/open.ts';
import type { Ip } from '../src/net/address.ts';

export class Sink {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Host routes that it has; UPDATEs since the last session began. */
  routes = 0;
  updates = 0;
  /** When a session came up last, and when the last UPDATE came: ms of performance.now(). */
  establishedAt = 0;
  updatedAt = 0;

  constructor(as: number) {
    this.#server = createServer((socket) => this.#accept(socket, as));
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket, as: number): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.routes = 0;
    });
    const framer = createFramer();
    socket.on('data', (bytes) => {
      push(framer, bytes);
      for (let next = nextFrame(framer, MAX_MESSAGE); next !== undefined; next = nextFrame(framer, MAX_MESSAGE)) {
        if (!(next instanceof Uint8Array)) throw new Error('the speaker sent something malformed');
        this.#take(socket, next, as);
      }
    });
  }

  #take(socket: Socket, message: Uint8Array, as: number): void {
    const type = message[18];
    if (type === TYPE.open) {
      const capabilities = { ...NO_CAPABILITIES, fourOctetAs: as, families: ['ipv4'] as const };
      socket.write(encodeOpen({ as, holdTimeSeconds: 90, routerId: '192.0.2.255' as Ip, capabilities }));
      socket.write(encodeKeepalive());
      [this.updates, this.establishedAt] = [0, performance.now()];
    } else if (type === TYPE.keepalive) socket.write(encodeKeepalive());
    else if (type === TYPE.update) this.#update(Buffer.from(message.buffer, message.byteOffset, message.length));
  }

  /** RFC 4271 §4.3; a /32 takes five octets. */
  #update(message: Buffer): void {
    const withdrawn = message.readUInt16BE(19);
    const attributes = message.readUInt16BE(21 + withdrawn);
    const announced = message.length - 23 - withdrawn - attributes;
    if (withdrawn + attributes + announced === 0) return;
    this.routes += announced / 5 - withdrawn / 5;
    this.updates++;
    this.updatedAt = performance.now();
  }
}
