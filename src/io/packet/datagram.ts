// Datagrams with what UDP itself does not tell: TTL, destination and link of those that arrive; TTL, source and link of
// those that leave (RFC 3542 for IPv6, ip(7) for IPv4). Up to 32 are read by one call. Called by udp-socket.

import { constants } from 'node:os';
import koffi from 'koffi';
import { type Family, familyOf, type Ip, ipFromBytes, ipToBytes } from '../../net/address.ts';
import type { SocketAddress } from '../../net/io.ts';
import { failed, libc, SystemCallError, socketAddress } from '../syscall.ts';
import { Memory } from './memory.ts';

export interface Received {
  readonly from: SocketAddress;
  readonly to: Ip;
  /** Index of the link that it came in by. */
  readonly index: number;
  readonly ttl: number;
  /** A copy; what is longer than 2,048 octets is cut there. */
  readonly bytes: Uint8Array;
}

export interface Outgoing {
  readonly to: SocketAddress;
  readonly source?: Ip;
  /** Index of the link to leave by; the destination is taken to be on it, whatever the routes say. */
  readonly index?: number;
  readonly ttl: number;
  readonly bytes: Uint8Array;
}

const recvmmsg = libc.func('int recvmmsg(int, void *, unsigned int, int, void *)');
const sendmsg = libc.func('long sendmsg(int, void *, int)');

const MSG_DONTROUTE = 0x04;
const MSG_DONTWAIT = 0x40;
const AF_INET = 2;
const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_TTL = 2;
const IP_PKTINFO = 8;
const IPV6_PKTINFO = 50;
const IPV6_HOPLIMIT = 52;

const AT_ONCE = 32;
const MMSGHDR = 64;
const IOVEC = 16;
const NAME = 32;
const CONTROL = 128;
export const LONGEST = 2_048;
/** One message's share of the memory behind the headers: name, control, payload. */
const SHARE = NAME + CONTROL + LONGEST;
const iovecAt = (of: number) => AT_ONCE * MMSGHDR + of * IOVEC;
const nameAt = (of: number) => AT_ONCE * (MMSGHDR + IOVEC) + of * SHARE;
const controlAt = (of: number) => nameAt(of) + NAME;
const payloadAt = (of: number) => controlAt(of) + CONTROL;

/** Of one thread: all its sockets use the same memory one after the other. */
export class Datagrams {
  readonly #in = new Memory(AT_ONCE * (MMSGHDR + IOVEC + SHARE));
  readonly #out = new Memory(MMSGHDR + IOVEC + SHARE);

  constructor() {
    for (let of = 0; of < AT_ONCE; of++) layOut(this.#in, of * MMSGHDR, iovecAt(of), nameAt(of));
    layOut(this.#out, 0, MMSGHDR, MMSGHDR + IOVEC);
  }

  /** Those that wait, 32 at most; none: empty. Throws SystemCallError. */
  receive(fd: number, about: string): readonly Received[] {
    const { bytes } = this.#in;
    for (let of = 0; of < AT_ONCE; of++) {
      // the kernel wrote lengths and flags of the last ones here
      bytes.writeUInt32LE(NAME, of * MMSGHDR + 8);
      bytes.writeUInt32LE(CONTROL, of * MMSGHDR + 40);
    }
    const count = recvmmsg(fd, bytes, AT_ONCE, MSG_DONTWAIT, null);
    if (count < 0) {
      const errno = koffi.errno();
      if (errno === constants.errno.EAGAIN || errno === constants.errno.EINTR) return [];
      throw failed('recvmmsg', about, errno);
    }
    const received: Received[] = [];
    for (let of = 0; of < count; of++) {
      const controlLength = bytes.readUInt32LE(of * MMSGHDR + 40);
      const length = bytes.readUInt32LE(of * MMSGHDR + 56);
      const payload = new Uint8Array(length);
      payload.set(bytes.subarray(payloadAt(of), payloadAt(of) + length));
      const facts = factsIn(bytes.subarray(controlAt(of), controlAt(of) + controlLength));
      if (facts !== undefined) received.push({ from: addressIn(bytes, nameAt(of)), ...facts, bytes: payload });
    }
    return received;
  }

  /** Throws SystemCallError. */
  send(fd: number, { to, source, index, ttl, bytes }: Outgoing, about: string): void {
    if (bytes.length > LONGEST)
      throw new SystemCallError({ code: 'EMSGSIZE', call: 'sendmsg', text: `${about}: ${bytes.length} octets` });
    const out = this.#out.bytes;
    const family = familyOf(to.address);
    const name = socketAddress(to, index);
    const nameOffset = MMSGHDR + IOVEC;
    out.set(name, nameOffset);
    out.set(bytes, nameOffset + NAME + CONTROL);
    out.writeUInt32LE(name.length, 8);
    out.writeUInt32LE(bytes.length, MMSGHDR + 8);
    out.writeUInt32LE(putControls(out, nameOffset + NAME, { family, ttl, source, index }), 40);
    const flags = MSG_DONTWAIT | (index === undefined ? 0 : MSG_DONTROUTE);
    if (Number(sendmsg(fd, out, flags)) < 0) throw failed('sendmsg', about);
  }
}

/** struct msghdr (in a struct mmsghdr) and its one struct iovec: all that never changes. */
function layOut(memory: Memory, header: number, iovec: number, name: number): void {
  const { bytes } = memory;
  memory.point(header, name);
  memory.point(header + 16, iovec);
  bytes.writeUInt32LE(1, header + 24);
  memory.point(header + 32, name + NAME);
  memory.point(iovec, name + NAME + CONTROL);
  bytes.writeUInt32LE(LONGEST, iovec + 8);
}

/** struct sockaddr_in or sockaddr_in6. */
function addressIn(bytes: Buffer, at: number): SocketAddress {
  const address = bytes.readUInt16LE(at) === AF_INET ? bytes.subarray(at + 4, at + 8) : bytes.subarray(at + 8, at + 24);
  return { address: ipFromBytes(address), port: bytes.readUInt16BE(at + 2) };
}

/** From the control messages, each a struct cmsghdr (length 8, level 4, type 4) and its data. Undefined: the options are not set. */
function factsIn(control: Buffer): { readonly to: Ip; readonly index: number; readonly ttl: number } | undefined {
  let ttl: number | undefined;
  let to: Ip | undefined;
  let index = 0;
  for (let at = 0; at + 16 <= control.length; ) {
    const length = control.readUInt32LE(at);
    if (length < 16 || at + length > control.length) break;
    const level = control.readInt32LE(at + 8);
    const type = control.readInt32LE(at + 12);
    const data = control.subarray(at + 16, at + length);
    if ((level === IPPROTO_IP && type === IP_TTL) || (level === IPPROTO_IPV6 && type === IPV6_HOPLIMIT))
      ttl = data.readInt32LE(0);
    else if (level === IPPROTO_IP && type === IP_PKTINFO) {
      // index, address of ours, destination of the header
      index = data.readInt32LE(0);
      to = ipFromBytes(data.subarray(8, 12));
    } else if (level === IPPROTO_IPV6 && type === IPV6_PKTINFO) {
      to = ipFromBytes(data.subarray(0, 16));
      index = data.readInt32LE(16);
    }
    at += (length + 7) & ~7;
  }
  return ttl === undefined || to === undefined ? undefined : { to, index, ttl };
}

interface Route {
  readonly family: Family;
  readonly ttl: number;
  readonly source: Ip | undefined;
  readonly index: number | undefined;
}

/** Control messages for TTL and, where it is asked for, source and link; their length. */
function putControls(out: Buffer, at: number, { family, ttl, source, index = 0 }: Route): number {
  const v4 = family === 'ipv4';
  const hops = Buffer.alloc(4);
  hops.writeInt32LE(ttl, 0);
  const length = putControl(out, at, v4 ? [IPPROTO_IP, IP_TTL] : [IPPROTO_IPV6, IPV6_HOPLIMIT], hops);
  if (source === undefined && index === 0) return length;
  const info = Buffer.alloc(v4 ? 12 : 20);
  info.writeInt32LE(index, v4 ? 0 : 16);
  if (source !== undefined) info.set(ipToBytes(source), v4 ? 4 : 0);
  return length + putControl(out, at + length, v4 ? [IPPROTO_IP, IP_PKTINFO] : [IPPROTO_IPV6, IPV6_PKTINFO], info);
}

function putControl(out: Buffer, at: number, [level, type]: readonly [number, number], data: Buffer): number {
  out.writeBigUInt64LE(BigInt(16 + data.length), at);
  out.writeInt32LE(level, at + 8);
  out.writeInt32LE(type, at + 12);
  out.set(data, at + 16);
  return (16 + data.length + 7) & ~7;
}
