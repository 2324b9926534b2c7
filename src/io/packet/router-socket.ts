// Router Solicitations and Advertisements of one link, in and out: a raw ICMPv6 socket with a filter in the kernel, which checks
// and fills in checksums by itself (RFC 3542 §3). Owned by packet/sockets. It works where there is no Ethernet, and whether
// the kernel takes Router Advertisements for itself or not. Failures are thrown as SystemCallError.

import { type Ip, ipToBytes } from '../../net/address.ts';
import { ALL_ROUTERS } from '../../net/neighbor.ts';
import { deviceName } from '../listen-socket.ts';
import { closeSocket, openSocket, setOption } from '../syscall.ts';
import type { Datagrams, Received } from './datagram.ts';

/** One bit a type, set: not passed (linux/icmpv6.h). Types 133 and 134 are. */
const FILTER_OCTETS = 32;
const PASSED = [133, 134];
const HOP_LIMIT = 255;
const MOST_IN_A_TURN = 64;

export class RouterSocket {
  readonly link: string;
  readonly index: number;
  readonly fd: number;
  #isOpen = true;

  constructor(link: string, index: number) {
    this.link = link;
    this.index = index;
    this.fd = openSocket('ipv6', 'icmp');
    try {
      setOption(this.fd, 'ipv6', 'ICMP6_FILTER', filter(), link);
      setOption(this.fd, 'ipv6', 'SO_BINDTODEVICE', deviceName(link), link);
      setOption(this.fd, 'ipv6', 'RECVTTL', 1);
      setOption(this.fd, 'ipv6', 'PKTINFO', 1);
      setOption(this.fd, 'ipv6', 'IPV6_MULTICAST_LOOP', 0);
      setOption(this.fd, 'ipv6', 'IPV6_JOIN_GROUP', group(ALL_ROUTERS, index), link);
    } catch (fault) {
      closeSocket(this.fd);
      throw fault;
    }
  }

  /** What waits, within bounds; what comes of it may close the socket. */
  drain(datagrams: Datagrams, take: (received: Received) => void): void {
    for (let count = 0; count < MOST_IN_A_TURN && this.#isOpen; ) {
      const received = datagrams.receive(this.fd, this.link);
      if (received.length === 0) return;
      count += received.length;
      for (const each of received) if (this.#isOpen) take(each);
    }
  }

  send(datagrams: Datagrams, to: Ip, source: Ip, bytes: Uint8Array): void {
    const about = `router discovery to ${to}`;
    datagrams.send(this.fd, { to: { address: to, port: 0 }, source, index: this.index, ttl: HOP_LIMIT, bytes }, about);
  }

  close(): void {
    this.#isOpen = false;
    closeSocket(this.fd);
  }
}

/** struct icmp6_filter. */
function filter(): Uint8Array {
  const words = new Uint32Array(FILTER_OCTETS / 4).fill(0xffff_ffff);
  for (const type of PASSED) words[type >> 5] = (words[type >> 5] ?? 0) & ~(1 << (type & 31));
  return new Uint8Array(words.buffer);
}

/** struct ipv6_mreq. */
function group(address: Ip, index: number): Uint8Array {
  const bytes = Buffer.alloc(20);
  bytes.set(ipToBytes(address));
  bytes.writeInt32LE(index, 16);
  return bytes;
}
