// Listening: the wanted set of addresses becomes sockets with the keys, TTLs and devices of those who may connect, and
// is kept so while it changes. Used by io/tcp, which gets each accepted socket with the rule it was accepted by; all
// others are reset at once (RFC 4271 §8.2.1: connections from unknown peers are refused).

import { createServer, type Server, type Socket } from 'node:net';
import { familyOf, type Ip, parseIp } from '../net/address.ts';
import type { AcceptRule, IoEvent, SocketAddress, SystemError } from '../net/io.ts';
import type { Secret } from '../net/secret.ts';
import {
  addressText,
  bindSocket,
  closeSocket,
  openSocket,
  SystemCallError,
  setMd5Key,
  setOption,
  systemError,
} from './syscall.ts';

/** Someone else may hold the port for a moment (a predecessor that is leaving): asked again after this time. */
const RETRY_MS = 3_000;
const BACKLOG = 128;

export interface ListenerPorts {
  readonly accepted: (socket: Socket, remote: Ip, rule: AcceptRule, link: string | undefined) => void;
  readonly refused: (from: SocketAddress, at: SocketAddress) => void;
  readonly emit: (event: IoEvent) => void;
}

/** By address; a link-local one with its link. */
type Rules = Map<string, AcceptRule>;

/** One socket: an address and port, in one VRF or in none. */
export class ListenSocket {
  readonly at: SocketAddress;
  readonly device: string | undefined;
  readonly #ports: ListenerPorts;
  readonly #family: 'ipv4' | 'ipv6';
  #rules: Rules = new Map();
  #anyone: AcceptRule | undefined;
  #open: { readonly fd: number; readonly server: Server } | undefined;
  #retry: NodeJS.Timeout | undefined;
  #said: string | undefined;

  constructor(at: SocketAddress, device: string | undefined, ports: ListenerPorts) {
    this.at = at;
    this.device = device;
    this.#ports = ports;
    this.#family = familyOf(at.address);
  }

  /** Opens the socket where it is not open yet, and gives it the keys and the minimum TTL of these rules. */
  accept(rules: readonly AcceptRule[]): void {
    const before = this.#rules;
    this.#anyone = rules.find(({ from }) => from === 'any');
    this.#rules = new Map();
    for (const rule of rules)
      if (rule.from !== 'any' && familyOf(rule.from) === this.#family)
        this.#rules.set(keyOf(rule.from, rule.link), rule);
    if (this.#open === undefined) this.#listen();
    else this.#setKeys(this.#open.fd, before);
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#open?.server.close();
    this.#open = undefined;
  }

  #listen(): void {
    clearTimeout(this.#retry);
    let fd: number | undefined;
    try {
      fd = openSocket(this.#family);
      setOption(fd, this.#family, 'SO_REUSEADDR', 1);
      setOption(fd, this.#family, 'IPV6_V6ONLY', 1);
      if (this.device !== undefined)
        setOption(fd, this.#family, 'SO_BINDTODEVICE', deviceName(this.device), this.device);
      setOption(fd, this.#family, 'TTL', 255);
      this.#setKeys(fd, new Map());
      bindSocket(fd, this.at);
      this.#serve(fd);
    } catch (fault) {
      if (!(fault instanceof SystemCallError)) throw fault;
      if (fd !== undefined) closeSocket(fd);
      this.#failed(fault.error);
    }
  }

  #serve(fd: number): void {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accepted(socket));
    server.on('error', (fault: NodeJS.ErrnoException) => {
      this.close();
      this.#failed(systemError(fault.syscall ?? 'listen', fault.code ?? 'UNKNOWN', -(fault.errno ?? 0), this.#name()));
    });
    server.on('listening', () => this.#report(undefined));
    this.#open = { fd, server };
    server.listen({ fd, backlog: BACKLOG });
  }

  #accepted(socket: Socket): void {
    const [text = '', link] = (socket.remoteAddress ?? '').split('%');
    const remote = parseIp(text);
    const rule =
      remote === undefined
        ? undefined
        : (this.#rules.get(keyOf(remote, link)) ?? this.#rules.get(remote) ?? this.#anyone);
    if (remote !== undefined && rule !== undefined && rule.options.device === this.device) {
      this.#ports.accepted(socket, remote, rule, link);
      return;
    }
    if (remote !== undefined) this.#ports.refused({ address: remote, port: socket.remotePort ?? 0 }, this.at);
    socket.on('error', () => socket.destroy());
    socket.resetAndDestroy();
  }

  /** A key for each rule that has one; the ones of rules that are gone are taken away. A peer whose key fails stays out. */
  #setKeys(fd: number, before: Rules): void {
    for (const [key, rule] of before)
      if (rule.options.md5 !== undefined && this.#rules.get(key)?.options.md5 === undefined)
        this.#setKey(fd, key, rule, undefined);
    for (const [key, rule] of this.#rules) {
      const { md5 } = rule.options;
      if (md5 !== undefined && before.get(key)?.options.md5?.fingerprint !== md5.fingerprint)
        this.#setKey(fd, key, rule, md5);
    }
    // RFC 5082: packets below the limit are dropped before the handshake only where all who may connect agree on it;
    // each accepted socket gets its own limit in any case.
    const all = [...this.#rules.values(), ...(this.#anyone === undefined ? [] : [this.#anyone])];
    const limits = new Set(all.map(({ options }) => options.minTtl ?? 0));
    const [only] = limits;
    setOption(fd, this.#family, 'MINTTL', limits.size === 1 ? (only ?? 0) : 0, this.#name());
  }

  #setKey(fd: number, key: string, { from }: AcceptRule, secret: Secret | undefined): void {
    if (from === 'any') return;
    try {
      setMd5Key(fd, this.#family, from, secret);
    } catch (fault) {
      if (!(fault instanceof SystemCallError)) throw fault;
      this.#rules.delete(key);
      this.#ports.emit({ on: 'tcp-listening', at: this.at, error: fault.error });
    }
  }

  #failed(error: SystemError): void {
    this.#open = undefined;
    this.#report(error);
    this.#retry = setTimeout(() => this.#listen(), RETRY_MS).unref();
  }

  /** Said once for each outcome, however often it is tried. */
  #report(error: SystemError | undefined): void {
    const outcome = error === undefined ? 'listening' : `${error.call} ${error.code} ${error.text}`;
    if (this.#said === outcome) return;
    this.#said = outcome;
    this.#ports.emit({ on: 'tcp-listening', at: this.at, ...(error !== undefined && { error }) });
  }

  #name(): string {
    return this.device === undefined ? addressText(this.at) : `${addressText(this.at)} on ${this.device}`;
  }
}

function keyOf(address: Ip, link: string | undefined): string {
  return link === undefined ? address : `${address}%${link}`;
}

/** Device names reach the kernel with their final zero. */
export function deviceName(device: string): Uint8Array {
  return Buffer.from(`${device}\0`, 'utf8');
}
