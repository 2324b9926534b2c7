// The connections of a server that anybody may open some to: so many and no more. Whoever holds the most makes room for a
// newcomer, with what he does nothing with, so that idle connections never keep another one out. Used by https.

import type { Socket } from 'node:net';

/** What tells connections apart on either side of TLS. */
type Ends = Pick<Socket, 'remoteAddress' | 'remotePort'>;

interface Connection {
  readonly socket: Socket;
  readonly address: string;
  /** TLS is agreed on. */
  isShaken: boolean;
  /** Requests that came in whole and are being answered. */
  answering: number;
}

export class Connections {
  readonly #most: number;
  /** The oldest first. */
  readonly #open = new Map<string, Connection>();

  constructor(most: number) {
    this.#most = most;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Takes the connection in until it closes; another one, or this one where all are being answered, is closed for it. */
  take(socket: Socket): void {
    const key = keyOf(socket);
    this.#open.set(key, { socket, address: socket.remoteAddress ?? '', isShaken: false, answering: 0 });
    socket.once('close', () => this.#open.delete(key));
    if (this.#open.size > this.#most) this.#leastOfMany()?.socket.destroy();
  }

  shaken(ends: Ends): void {
    const connection = this.#open.get(keyOf(ends));
    if (connection !== undefined) connection.isShaken = true;
  }

  /** Until what it returns is called, the connection makes room for nobody. */
  answering(ends: Ends): () => void {
    const connection = this.#open.get(keyOf(ends));
    if (connection === undefined) return () => undefined;
    connection.answering++;
    return () => {
      connection.answering--;
    };
  }

  close(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }

  /** Of the address that has the most which can go: the oldest without TLS, else the oldest. */
  #leastOfMany(): Connection | undefined {
    const idle = new Map<string, Connection[]>();
    for (const connection of this.#open.values()) {
      if (connection.answering > 0) continue;
      const others = idle.get(connection.address);
      if (others === undefined) idle.set(connection.address, [connection]);
      else others.push(connection);
    }
    let most: readonly Connection[] = [];
    for (const some of idle.values()) if (some.length > most.length) most = some;
    return most.find(({ isShaken }) => !isShaken) ?? most[0];
  }
}

function keyOf({ remoteAddress, remotePort }: Ends): string {
  return `${remoteAddress} ${remotePort}`;
}
