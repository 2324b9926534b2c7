// TCP as the machines know it: carries the `tcp-*` effects to the kernel and answers with IoEvents. Sockets are made by
// io/syscall with their options set first, then given to node:net. Used by io/drive's owners (standalone, listen).
// RFC 4271 §8 (TCP connections), RFC 2385 (MD5), RFC 5082 (TTL); every failure is an event of that connection.

import { Socket } from 'node:net';
import { familyOf, type Ip, parseIp } from '../net/address.ts';
import type { AcceptRule, ConnectionId, IoEffect, IoEvent, SocketAddress, TcpClosed, TcpOptions } from '../net/io.ts';
import { linkOf } from './link.ts';
import { deviceName, ListenSocket } from './listen-socket.ts';
import {
  bindSocket,
  closeSocket,
  connectSocket,
  openSocket,
  SystemCallError,
  setMd5Key,
  setOption,
  systemError,
} from './syscall.ts';

/** After our FIN the peer has this long for its own. */
const FIN_WAIT_MS = 2_000;
/** Octets read from one connection before the others, and the timers, have their turn. */
const TURN_OCTETS = 256 * 1024;

export interface TcpPorts {
  readonly emit: (event: IoEvent) => void;
  /** A connection from an address that no rule names: it was reset. */
  readonly refused: (from: SocketAddress, at: SocketAddress) => void;
}

/** One connection: the socket, and how far it is. */
interface Connection {
  readonly id: ConnectionId;
  readonly socket: Socket;
  readonly remote: SocketAddress;
  /** That it is bound to. */
  readonly device: string | undefined;
  is: 'connecting' | 'open' | 'closing';
  /** Octets read in this turn. */
  read: number;
  /** Octets that the kernel took and that were not reported yet. */
  taken: number;
  finTimer?: NodeJS.Timeout;
}

/** All TCP of one speaker or collector. */
export class Tcp {
  readonly #ports: TcpPorts;
  readonly #connections = new Map<ConnectionId, Connection>();
  readonly #listeners = new Map<string, ListenSocket>();
  #accepted = 0;

  constructor(ports: TcpPorts) {
    this.#ports = ports;
  }

  /** Does what was asked; what comes of it is emitted, possibly before this returns. Unknown connections are ignored. */
  carry(effect: IoEffect): void {
    switch (effect.do) {
      case 'tcp-listen':
        this.#listen(effect.on, effect.accept);
        return;
      case 'tcp-connect':
        this.#connect(effect.connection, effect.to, effect.options);
        return;
      case 'tcp-send':
        this.#send(effect.connection, effect.bytes);
        return;
      case 'tcp-close':
        this.#close(effect.connection, effect.how);
        return;
    }
  }

  /** Ends listening and resets what is left: the process is about to end. */
  end(): void {
    for (const listener of this.#listeners.values()) listener.close();
    for (const { socket } of this.#connections.values()) socket.resetAndDestroy();
    this.#listeners.clear();
  }

  #listen(on: readonly SocketAddress[], rules: readonly AcceptRule[]): void {
    const devices = new Set(rules.map(({ options }) => options.device));
    if (devices.size === 0) devices.add(undefined);
    const wanted = new Map<string, readonly [SocketAddress, string | undefined]>();
    for (const at of on)
      for (const device of devices) wanted.set(`${at.address} ${at.port} ${device ?? ''}`, [at, device]);
    for (const [key, listener] of this.#listeners) {
      if (wanted.has(key)) continue;
      listener.close();
      this.#listeners.delete(key);
    }
    for (const [key, [at, device]] of wanted) {
      let listener = this.#listeners.get(key);
      if (listener === undefined) {
        listener = new ListenSocket(at, device, {
          emit: this.#ports.emit,
          refused: this.#ports.refused,
          accepted: (socket, remote, rule, link) => this.#accept(socket, remote, rule, at, link),
        });
        this.#listeners.set(key, listener);
      }
      listener.accept(rules.filter(({ options }) => options.device === device));
    }
  }

  #connect(id: ConnectionId, to: SocketAddress, options: TcpOptions): void {
    const family = familyOf(to.address);
    let fd: number | undefined;
    let socket: Socket;
    try {
      fd = openSocket(family);
      setOption(fd, family, 'TCP_NODELAY', 1);
      setOption(fd, family, 'TTL', options.ttl);
      if (options.minTtl !== undefined) setOption(fd, family, 'MINTTL', options.minTtl);
      if (options.device !== undefined)
        setOption(fd, family, 'SO_BINDTODEVICE', deviceName(options.device), options.device);
      if (options.md5 !== undefined) setMd5Key(fd, family, to.address, options.md5);
      if (options.source !== undefined) bindSocket(fd, { address: options.source, port: 0 });
      connectSocket(fd, to);
      socket = new Socket({ fd, allowHalfOpen: true });
    } catch (fault) {
      if (fd !== undefined) closeSocket(fd);
      if (!(fault instanceof SystemCallError)) throw fault;
      this.#ports.emit({ on: 'tcp-closed', connection: id, why: { because: 'failed', error: fault.error } });
      return;
    }
    const connection = this.#watch(id, socket, to, options.device, 'connecting');
    // An adopted descriptor has no 'connect' event: a write of nothing is answered once the handshake is over.
    socket.write(Buffer.alloc(0), (fault) => {
      if (!fault) this.#opened(connection);
    });
  }

  /** `scope`: the link that a link-local address is of. */
  #accept(socket: Socket, remote: Ip, { options }: AcceptRule, at: SocketAddress, scope: string | undefined): void {
    const fd = descriptorOf(socket);
    if (fd !== undefined && options.minTtl !== undefined) {
      try {
        setOption(fd, familyOf(remote), 'MINTTL', options.minTtl);
      } catch (fault) {
        if (!(fault instanceof SystemCallError)) throw fault;
        socket.resetAndDestroy();
        this.#ports.emit({ on: 'tcp-listening', at, error: fault.error });
        return;
      }
    }
    const local = { address: localAddress(socket) ?? at.address, port: socket.localPort ?? at.port };
    const id = `${local.address}:${local.port}#${++this.#accepted}`;
    const from = { address: remote, port: socket.remotePort ?? 0 };
    this.#watch(id, socket, from, options.device, 'open');
    const link = linkOf(local.address, undefined, scope ?? options.device);
    this.#ports.emit({
      on: 'tcp-accepted',
      connection: id,
      local,
      remote: from,
      ...(link !== undefined && { link }),
      ...(options.device !== undefined && { device: options.device }),
    });
  }

  #watch(
    id: ConnectionId,
    socket: Socket,
    remote: SocketAddress,
    device: string | undefined,
    is: 'connecting' | 'open',
  ): Connection {
    const connection: Connection = { id, socket, remote, device, is, read: 0, taken: 0 };
    this.#connections.set(id, connection);
    socket.on('data', (bytes: Buffer) => this.#data(connection, bytes));
    socket.on('end', () => {
      const gone = () => this.#gone(connection, { because: 'fin' });
      // both sides close at once: what we still have to say is said first, as long as finTimer lets it
      if (connection.is === 'closing' && !socket.writableFinished) socket.once('finish', gone);
      else gone();
    });
    socket.on('error', (fault: NodeJS.ErrnoException) => {
      const name = connection.is === 'connecting' ? 'connect' : (fault.syscall ?? 'read');
      const error = systemError(name, fault.code ?? 'UNKNOWN', -(fault.errno ?? 0));
      this.#gone(connection, { because: 'failed', error });
    });
    // Destroyed by ourselves, after tcp-close.
    socket.on('close', () => this.#gone(connection, { because: 'fin' }));
    return connection;
  }

  #opened(connection: Connection): void {
    const { id, socket, remote, device } = connection;
    if (connection.is !== 'connecting') return;
    const address = localAddress(socket);
    if (address === undefined) return;
    connection.is = 'open';
    const link = linkOf(address, undefined, device);
    this.#ports.emit({
      on: 'tcp-opened',
      connection: id,
      local: { address, port: socket.localPort ?? 0 },
      remote,
      ...(link !== undefined && { link }),
    });
  }

  #data(connection: Connection, bytes: Buffer): void {
    // the kernel may report what the peer sent before it reports that the handshake is over
    this.#opened(connection);
    if (connection.is !== 'open') return;
    if (connection.read === 0) setImmediate(() => this.#nextTurn(connection));
    connection.read += bytes.length;
    if (connection.read >= TURN_OCTETS) connection.socket.pause();
    this.#ports.emit({ on: 'tcp-data', connection: connection.id, bytes });
  }

  #nextTurn(connection: Connection): void {
    connection.read = 0;
    if (connection.socket.isPaused()) connection.socket.resume();
  }

  /** What one step sends goes to the kernel in one call. */
  #send(id: ConnectionId, bytes: Uint8Array): void {
    const connection = this.#connections.get(id);
    if (connection?.is !== 'open') return;
    const { socket } = connection;
    if (socket.writableCorked === 0) {
      socket.cork();
      process.nextTick(() => socket.uncork());
    }
    socket.write(bytes, (fault) => {
      if (fault) return;
      if (connection.taken === 0) process.nextTick(() => this.#drained(connection));
      connection.taken += bytes.length;
    });
  }

  #drained(connection: Connection): void {
    const { id, taken, socket } = connection;
    connection.taken = 0;
    if (connection.is !== 'open' || taken === 0) return;
    this.#ports.emit({ on: 'tcp-drained', connection: id, bytes: taken, left: socket.writableLength });
  }

  #close(id: ConnectionId, how: 'fin' | 'rst'): void {
    const connection = this.#connections.get(id);
    if (connection === undefined || connection.is === 'closing') return;
    const { socket } = connection;
    const wasOpen = connection.is === 'open';
    connection.is = 'closing';
    if (how === 'rst') socket.resetAndDestroy();
    else if (!wasOpen) socket.destroy();
    else {
      // A socket that is closed with unread input sends RST, which may overtake the NOTIFICATION: read on until the
      // peer has had its say.
      socket.resume();
      socket.end();
      connection.finTimer = setTimeout(() => socket.destroy(), FIN_WAIT_MS);
    }
  }

  /** Once for each connection, whatever comes first. */
  #gone(connection: Connection, why: TcpClosed): void {
    const { id, socket, finTimer } = connection;
    clearTimeout(finTimer);
    if (!this.#connections.delete(id)) return;
    connection.is = 'closing';
    socket.destroy();
    this.#ports.emit({ on: 'tcp-closed', connection: id, why });
  }
}

function localAddress(socket: Socket): Ip | undefined {
  return parseIp((socket.localAddress ?? '').replace(/%.*$/, ''));
}

/** node:net shows the descriptor of a socket only here. */
function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown = typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}
