// The world in two unions: what a machine asks of it (IoEffect) and what it answers (IoEvent). io/drive carries both
// to the kernel; a simulation carries them to its own wires. TCP only so far; datagrams and frames join these unions.
// Who mints ids: a machine names the connections it dials, io names accepted ones. An event for an id that a machine
// does not know is stale and ignored.

import type { Ip } from './address.ts';
import type { Secret } from './secret.ts';

/** Unique within a process and never used twice. Dialled: `<peer>#<n>`; accepted: `<local address>:<port><#n>`. */
export type ConnectionId = string;

export interface SocketAddress {
  readonly address: Ip;
  readonly port: number;
}

/** What is set on a TCP socket before connect, or on a listener for one remote address. */
export interface TcpOptions {
  /** Local address to bind before connect. */
  readonly source?: Ip;
  /** SO_BINDTODEVICE: a VRF device or a link. */
  readonly device?: string;
  /** TCP_MD5SIG key, at most 80 octets (RFC 2385). */
  readonly md5?: Secret;
  /** IP TTL or hop limit of what we send: 255 everywhere, so that a peer's GTSM is met. */
  readonly ttl: number;
  /** Packets that arrive with less are dropped by the kernel (RFC 5082): 255 - hops + 1. */
  readonly minTtl?: number;
}

/**
 * The interface a connection runs over, with what it offers as next hops: never a link-local one, and a loopback one
 * only for a session within this machine.
 */
export interface Link {
  readonly name: string;
  readonly ipv4: readonly Ip[];
  readonly ipv6: readonly Ip[];
  readonly linkLocal?: Ip;
}

export type IoEffect =
  /** Accept TCP on these addresses, from these remotes alone; the whole wanted set, replacing the one before. */
  | { readonly do: 'tcp-listen'; readonly on: readonly SocketAddress[]; readonly accept: readonly AcceptRule[] }
  | {
      readonly do: 'tcp-connect';
      readonly connection: ConnectionId;
      readonly to: SocketAddress;
      readonly options: TcpOptions;
    }
  /** Answered by `tcp-drained` once the kernel has taken all that was sent so far. */
  | { readonly do: 'tcp-send'; readonly connection: ConnectionId; readonly bytes: Uint8Array }
  /** `fin`: what was sent is delivered, then FIN, input is read and discarded until the peer's FIN or 2 s. `rst`: at once. */
  | { readonly do: 'tcp-close'; readonly connection: ConnectionId; readonly how: 'fin' | 'rst' };

export interface AcceptRule {
  /** `any`: whoever no other rule names; for a collector. */
  readonly from: Ip | 'any';
  /** The link that a link-local `from` is on. */
  readonly link?: string;
  readonly options: TcpOptions;
}

export type IoEvent =
  | {
      readonly on: 'tcp-opened' | 'tcp-accepted';
      readonly connection: ConnectionId;
      readonly local: SocketAddress;
      readonly remote: SocketAddress;
      readonly link?: Link;
      /** Of an accepted one: the device of the rule that it was accepted by. */
      readonly device?: string;
    }
  | { readonly on: 'tcp-data'; readonly connection: ConnectionId; readonly bytes: Uint8Array }
  /** The kernel has taken `bytes` more octets; `left` are still waiting in this process. */
  | { readonly on: 'tcp-drained'; readonly connection: ConnectionId; readonly bytes: number; readonly left: number }
  /** The connection is gone, or never was: after this nothing more comes for its id. */
  | { readonly on: 'tcp-closed'; readonly connection: ConnectionId; readonly why: TcpClosed }
  /** Listening on this address works, or does not and why. */
  | { readonly on: 'tcp-listening'; readonly at: SocketAddress; readonly error?: SystemError };

/** `fin`: the peer closed in order; `failed`: the kernel says no, or the connection was reset or timed out. */
export type TcpClosed = { readonly because: 'fin' } | { readonly because: 'failed'; readonly error: SystemError };

/** A system call that failed: errno's name, and the call or socket option it belongs to. */
export interface SystemError {
  readonly code: string;
  readonly call: string;
  readonly text: string;
}
