// The sockets that the parts of `links` need: opened when the first of them asks, opened again when one broke. Called by
// `peers`, `neighbors`, `lan` and `speakers`. What is sent to a socket that is not open is lost, as on any wire.

import type { SystemError } from '../net/io.ts';
import type { Tick } from '../net/machine.ts';
import { OFF } from '../net/machine.ts';
import type { PacketEvent, SocketName, UdpOptions } from '../net/packet-io.ts';
import type { Effects, SocketUse } from './report.ts';

const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

/** A UDP socket, or the ARP and NDP frames of a link, or those of BFD's echoes there, or what routers say there. */
export type SocketKind =
  | { readonly udp: UdpOptions }
  | { readonly framesOf: string }
  | { readonly echoesOf: string }
  | { readonly routersOf: string };

export interface Socket {
  readonly name: SocketName;
  readonly kind: SocketKind;
  readonly use: SocketUse;
  is: 'opening' | 'open' | 'broken';
  retryMs: number;
  retryAt: number;
  /** The error said last; undefined: it works, or has not been heard of. */
  said: SystemError | undefined;
}

export interface Sockets {
  readonly all: Map<SocketName, Socket>;
  /** When the next broken one is tried again. */
  dueAt: number;
}

export function createSockets(): Sockets {
  return { all: new Map(), dueAt: OFF };
}

/** The same options for the same name, always. */
export function openSocket(
  sockets: Sockets,
  name: SocketName,
  kind: SocketKind,
  use: SocketUse,
  effects: Effects,
): void {
  if (sockets.all.has(name)) return;
  const socket: Socket = { name, kind, use, is: 'opening', retryMs: RETRY_MS, retryAt: OFF, said: undefined };
  sockets.all.set(name, socket);
  ask(socket, effects);
}

export function isOpen({ all }: Sockets, name: SocketName): boolean {
  return all.get(name)?.is === 'open';
}

/** It did not work when it was tried last. */
export function isBroken({ all }: Sockets, name: SocketName): boolean {
  return all.get(name)?.said !== undefined;
}

export function closeSocket(sockets: Sockets, name: SocketName, effects: Effects): void {
  const socket = sockets.all.get(name);
  if (socket === undefined) return;
  sockets.all.delete(name);
  if (socket.is === 'broken') return;
  const { kind } = socket;
  if ('udp' in kind) effects.push({ do: 'udp-close', socket: name });
  else if ('framesOf' in kind) effects.push({ do: 'frames-close', link: kind.framesOf });
  else if ('echoesOf' in kind) effects.push({ do: 'echo-close', link: kind.echoesOf });
  else effects.push({ do: 'icmp-close', link: kind.routersOf });
}

export function onSocket(
  sockets: Sockets,
  event: PacketEvent & { on: 'socket' },
  { now }: Tick,
  effects: Effects,
): void {
  const socket = sockets.all.get(event.socket);
  if (socket === undefined) return;
  const { name, use } = socket;
  const { error } = event;
  if (error === undefined) {
    socket.is = 'open';
    socket.retryMs = RETRY_MS;
    socket.retryAt = OFF;
    if (socket.said !== undefined) effects.push({ report: 'socket', socket: name, use });
    socket.said = undefined;
    return;
  }
  socket.is = 'broken';
  socket.retryAt = now + socket.retryMs;
  sockets.dueAt = Math.min(sockets.dueAt, socket.retryAt);
  socket.retryMs = Math.min(socket.retryMs * 2, LONGEST_RETRY_MS);
  // a right that this process lacks is lacking for all: one line, not one for each interface
  const isKnown =
    error.code === 'EPERM' && [...sockets.all.values()].some((each) => each.use === use && each.said?.code === 'EPERM');
  if (socket.said?.code !== error.code && !isKnown) effects.push({ report: 'socket', socket: name, use, error });
  socket.said = error;
}

/** Opens again what is due; `all`: whatever is broken, for the links have changed. */
export function reopen(sockets: Sockets, { now }: Tick, all: boolean, effects: Effects): void {
  if (!all && now < sockets.dueAt) return;
  sockets.dueAt = OFF;
  for (const socket of sockets.all.values()) {
    if (socket.is !== 'broken') continue;
    if (!all && socket.retryAt > now) {
      sockets.dueAt = Math.min(sockets.dueAt, socket.retryAt);
      continue;
    }
    socket.is = 'opening';
    socket.retryAt = OFF;
    ask(socket, effects);
  }
}

/** Opens again, at once, what was bound to a link of which there is another one now. */
export function renew(sockets: Sockets, links: ReadonlySet<string>, effects: Effects): void {
  for (const socket of sockets.all.values()) {
    const { kind, name } = socket;
    if (!('udp' in kind) || kind.udp.device === undefined || !links.has(kind.udp.device)) continue;
    if (socket.is !== 'broken') effects.push({ do: 'udp-close', socket: name });
    socket.is = 'opening';
    socket.retryAt = OFF;
    ask(socket, effects);
  }
}

function ask({ name, kind }: Socket, effects: Effects): void {
  if ('udp' in kind) effects.push({ do: 'udp-open', socket: name, options: kind.udp });
  else if ('framesOf' in kind) effects.push({ do: 'frames-open', link: kind.framesOf });
  else if ('echoesOf' in kind) effects.push({ do: 'echo-open', link: kind.echoesOf });
  else effects.push({ do: 'icmp-open', link: kind.routersOf });
}
