// Frames of one link, in and out (packet(7)): those of ARP and Neighbor Discovery, or those of BFD where it echoes. And the
// multicast groups of IPv6 that the kernel joins for us (MLD, RFC 3810), so that switches let solicitations through. Owned by
// packet/sockets. A socket for each EtherType: where nothing echoes IPv4 traffic costs nothing at all, and frames with the tag
// of a VLAN never look untagged. Failures are thrown as SystemCallError.

import { type Ip, ipToBytes } from '../../net/address.ts';
import { closeSocket, openSocket, setOption } from '../syscall.ts';
import { attachFilter, BFD_OVER_IPV4, FOR_US, NEIGHBOR_DISCOVERY } from './filter.ts';
import { bindFrames, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, growReceiveBuffer, openFrames, receive, send } from './kernel.ts';

/** Those of one link and turn; the others have their turn then, and the timers. */
const MOST_IN_A_TURN = 256;
/** Longer than any frame that we have a use for. */
const buffer = Buffer.alloc(2_048);

const FILTERS = { [ETH_P_ARP]: FOR_US, [ETH_P_IPV6]: NEIGHBOR_DISCOVERY, [ETH_P_IP]: BFD_OVER_IPV4 } as const;
type EtherType = keyof typeof FILTERS;

export const LAYER2: readonly EtherType[] = [ETH_P_ARP, ETH_P_IPV6];
export const ECHO: readonly EtherType[] = [ETH_P_IP];

export class FrameSocket {
  readonly link: string;
  readonly index: number;
  readonly #types: readonly number[];
  readonly #fds: number[] = [];
  #isOpen = true;

  constructor(link: string, index: number, types: readonly EtherType[]) {
    this.link = link;
    this.index = index;
    this.#types = types;
    try {
      for (const type of types) this.#fds.push(open(link, index, type));
    } catch (fault) {
      this.close();
      throw fault;
    }
  }

  /** One for each EtherType. */
  get fds(): readonly number[] {
    return this.#fds;
  }

  /** What waits at one of `fds`, within bounds; each frame a copy. What comes of it may close the socket. */
  drain(fd: number, take: (frame: Uint8Array) => void): void {
    for (let count = 0; count < MOST_IN_A_TURN && this.#isOpen; count++) {
      const length = receive(fd, buffer, this.link);
      if (length === undefined) return;
      take(new Uint8Array(buffer.subarray(0, length)));
    }
  }

  /** Whether one of its sockets is bound to the frame's EtherType. */
  isFor(bytes: Uint8Array): boolean {
    return this.#types.includes(etherTypeOf(bytes));
  }

  /** A whole Ethernet frame. */
  send(bytes: Uint8Array): void {
    // any of them can send it, but the kernel takes its EtherType from the socket: bridges and classifiers look at that
    const fd = this.#fds[Math.max(0, this.#types.indexOf(etherTypeOf(bytes)))];
    if (fd !== undefined) send(fd, bytes, this.link);
  }

  close(): void {
    this.#isOpen = false;
    for (const fd of this.#fds.splice(0)) closeSocket(fd);
  }
}

function etherTypeOf(bytes: Uint8Array): number {
  return ((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0);
}

function open(link: string, index: number, etherType: EtherType): number {
  const fd = openFrames(link);
  try {
    attachFilter(fd, FILTERS[etherType], link);
    growReceiveBuffer(fd);
    bindFrames(fd, etherType, index, link);
    return fd;
  } catch (fault) {
    closeSocket(fd);
    throw fault;
  }
}

/** Older kernels allow one socket some 300 groups (net.core.optmem_max). */
const MOST_GROUPS = 128;

/** Groups of one link. They end with it, or with `close`. */
export class LinkGroups {
  readonly index: number;
  readonly #sockets: { readonly fd: number; readonly groups: Set<Ip> }[] = [];

  constructor(index: number) {
    this.index = index;
  }

  join(group: Ip, link: string): void {
    if (this.#sockets.some(({ groups }) => groups.has(group))) return;
    let socket = this.#sockets.find(({ groups }) => groups.size < MOST_GROUPS);
    if (socket === undefined) {
      socket = { fd: openSocket('ipv6', 'udp'), groups: new Set() };
      this.#sockets.push(socket);
    }
    setOption(socket.fd, 'ipv6', 'IPV6_JOIN_GROUP', this.#request(group), `${link} ${group}`);
    socket.groups.add(group);
  }

  leave(group: Ip, link: string): void {
    const at = this.#sockets.findIndex(({ groups }) => groups.has(group));
    const socket = this.#sockets[at];
    if (socket === undefined) return;
    socket.groups.delete(group);
    if (socket.groups.size > 0)
      setOption(socket.fd, 'ipv6', 'IPV6_LEAVE_GROUP', this.#request(group), `${link} ${group}`);
    else {
      closeSocket(socket.fd);
      this.#sockets.splice(at, 1);
    }
  }

  close(): void {
    for (const { fd } of this.#sockets.splice(0)) closeSocket(fd);
  }

  /** struct ipv6_mreq: group, index of the link. */
  #request(group: Ip): Uint8Array {
    const bytes = Buffer.alloc(20);
    bytes.set(ipToBytes(group));
    bytes.writeInt32LE(this.index, 16);
    return bytes;
  }
}
