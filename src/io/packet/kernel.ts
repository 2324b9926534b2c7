// The system calls of the packet thread that carry no structure with pointers: sockets of frames and of netlink, octets
// in and out, waiting, and the descriptor that wakes the thread. Called by the files beside it and, for the latter, by
// io/packet-thread. The rules of ../syscall.ts hold. Constants are Linux's (if_packet.h, if_ether.h, netlink.h).

import { constants } from 'node:os';
import koffi from 'koffi';
import { failed, libc, SystemCallError, setOption } from '../syscall.ts';

const AF_NETLINK = 16;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const NONBLOCK_CLOEXEC = 0o2004000;
const MSG_DONTWAIT = 0x40;
const POLLIN = 1;
const POLLFD_SIZE = 8;
const RCVBUF = 1 << 20;

const call = {
  socket: libc.func('int socket(int, int, int)'),
  bind: libc.func('int bind(int, void *, uint32_t)'),
  recv: libc.func('long recv(int, void *, size_t, int)'),
  send: libc.func('long send(int, void *, size_t, int)'),
  ppoll: libc.func('int ppoll(void *, unsigned long, void *, void *)'),
  eventfd: libc.func('int eventfd(uint32_t, int)'),
  read: libc.func('long read(int, void *, size_t)'),
  write: libc.func('long write(int, void *, size_t)'),
  exit: libc.func('void _exit(int)'),
};

export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_IPV6 = 0x86dd;

/** Bound to nothing: no frame arrives before `bindFrames`. Throws SystemCallError. */
export function openFrames(about: string): number {
  const fd = call.socket(AF_PACKET, SOCK_RAW | NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw failed('socket(AF_PACKET)', about);
  return fd;
}

/** Frames of one EtherType that one link receives: what it sends is not among them. Throws SystemCallError. */
export function bindFrames(fd: number, etherType: number, index: number, about: string): void {
  // struct sockaddr_ll: family, protocol at 2 in network order, interface at 4
  const bytes = Buffer.alloc(20);
  bytes.writeUInt16LE(AF_PACKET, 0);
  bytes.writeUInt16BE(etherType, 2);
  bytes.writeInt32LE(index, 4);
  if (call.bind(fd, bytes, bytes.length) < 0) throw failed('bind', about);
}

/** A routing socket of netlink, not subscribed to anything yet. Throws SystemCallError. */
export function openNetlink(): number {
  const fd = call.socket(AF_NETLINK, SOCK_RAW | NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw failed('socket(AF_NETLINK)');
  return fd;
}

/** `groups`: RTMGRP_ bits. Throws SystemCallError. */
export function bindNetlink(fd: number, groups: number): void {
  // struct sockaddr_nl: family, process at 4 (the kernel chooses), groups at 8
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16LE(AF_NETLINK, 0);
  bytes.writeUInt32LE(groups, 8);
  if (call.bind(fd, bytes, bytes.length) < 0) throw failed('bind(AF_NETLINK)');
}

/** Room for what comes while the thread does not run: as much as this process may have. */
export function growReceiveBuffer(fd: number, octets = RCVBUF): void {
  try {
    setOption(fd, 'ipv4', 'SO_RCVBUFFORCE', octets);
  } catch (fault) {
    if (!(fault instanceof SystemCallError)) throw fault;
    // without CAP_NET_ADMIN net.core.rmem_max is the limit
    setOption(fd, 'ipv4', 'SO_RCVBUF', octets);
  }
}

/** Octets received into `buffer`; undefined when nothing waits. Throws SystemCallError. */
export function receive(fd: number, buffer: Buffer, about: string): number | undefined {
  const length = Number(call.recv(fd, buffer, buffer.length, MSG_DONTWAIT));
  if (length >= 0) return length;
  const errno = koffi.errno();
  if (errno === constants.errno.EAGAIN || errno === constants.errno.EINTR) return undefined;
  throw failed('recv', about, errno);
}

/** Throws SystemCallError. */
export function send(fd: number, bytes: Uint8Array, about: string): void {
  if (Number(call.send(fd, bytes, bytes.length, MSG_DONTWAIT)) < 0) throw failed('send', about);
}

/** Descriptors to wait for; answers which of them can be read, or have an error to tell. */
export class PollSet {
  #bytes = Buffer.alloc(0);
  readonly #timeout = Buffer.alloc(16);

  watch(descriptors: readonly number[]): void {
    this.#bytes = Buffer.alloc(descriptors.length * POLLFD_SIZE);
    descriptors.forEach((fd, at) => {
      this.#bytes.writeInt32LE(fd, at * POLLFD_SIZE);
      this.#bytes.writeInt16LE(POLLIN, at * POLLFD_SIZE + 4);
    });
  }

  /** Waits so long, or until one is ready of those from this place on. */
  rest(forMs: number, from: number): void {
    this.#timeout.writeBigInt64LE(BigInt(Math.round(forMs * 1e6)), 8);
    const these = this.#bytes.subarray(from * POLLFD_SIZE);
    call.ppoll(these, these.length / POLLFD_SIZE, this.#timeout, null);
  }

  /** Waits `forMs` at most; places of those that are ready in the list that is watched. Throws SystemCallError. */
  wait(forMs: number): readonly number[] {
    // struct timespec; forMs is below a second
    this.#timeout.writeBigInt64LE(BigInt(Math.round(forMs * 1e6)), 8);
    const count = this.#bytes.length / POLLFD_SIZE;
    const ready: number[] = [];
    const found = call.ppoll(this.#bytes, count, this.#timeout, null);
    if (found < 0) {
      const errno = koffi.errno();
      if (errno !== constants.errno.EINTR) throw failed('ppoll', '', errno);
      return ready;
    }
    for (let at = 0; at < count && ready.length < found; at++)
      if (this.#bytes.readInt16LE(at * POLLFD_SIZE + 6) !== 0) ready.push(at);
    return ready;
  }
}

/** A descriptor that wakes whoever polls it. Throws SystemCallError. */
export function openWake(): number {
  const fd = call.eventfd(0, NONBLOCK_CLOEXEC);
  if (fd < 0) throw failed('eventfd');
  return fd;
}

export function wake(fd: number): void {
  const one = Buffer.alloc(8);
  one[0] = 1;
  call.write(fd, one, 8);
}

/** What was woken sleeps again. */
export function clearWake(fd: number): void {
  call.read(fd, Buffer.alloc(8), 8);
}

/** The process ends, whatever its threads are doing. */
export function endAtOnce(code: number): void {
  call.exit(code);
}
