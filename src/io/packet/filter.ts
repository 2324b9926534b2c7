// Classic BPF: what the kernel drops before a socket of ours hears of it, so that other traffic costs nothing. Attached
// by the sockets beside this file. The language is that of linux/filter.h and of the original paper (McCanne, Jacobson).

import type { Family } from '../../net/address.ts';
import { setOption } from '../syscall.ts';
import { Memory } from './memory.ts';

/** Code, jump if true, jump if false, constant; jumps count from the next instruction. */
type Instruction = readonly [code: number, jt: number, jf: number, k: number];

const LOAD_BYTE = 0x30;
const LOAD_HALF = 0x28;
const LOAD_WORD = 0x20;
const LOAD_LENGTH = 0x80;
const AND = 0x54;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER = 0x25;
const JUMP_NOT_BELOW = 0x35;
const JUMP_SET = 0x45;
const RETURN = 0x06;
const WHOLE = 0xffff;
/** SKF_AD_OFF + SKF_AD_PKTTYPE. */
const PACKET_TYPE = 0xfffff000 + 4;
/** SKF_NET_OFF: from there on octets count from the IP header. */
const NETWORK = 0xfff00000;
/** PACKET_HOST, _BROADCAST and _MULTICAST are up to it; above are other hosts' and our own outgoing ones. */
const PACKET_MULTICAST = 2;

/** Every frame that is for us. One with the tag of a VLAN that this machine has no link for counts as another host's. */
export const FOR_US: readonly Instruction[] = [
  [LOAD_BYTE, 0, 0, PACKET_TYPE],
  [JUMP_GREATER, 0, 1, PACKET_MULTICAST],
  [RETURN, 0, 0, 0],
  [RETURN, 0, 0, WHOLE],
];

/** Of IPv6 frames for us: Neighbor Solicitation and Advertisement (RFC 4861 §4.3, §4.4). */
export const NEIGHBOR_DISCOVERY: readonly Instruction[] = [
  [LOAD_BYTE, 0, 0, PACKET_TYPE],
  [JUMP_GREATER, 5, 0, PACKET_MULTICAST],
  // Next Header, behind 14 octets of Ethernet
  [LOAD_BYTE, 0, 0, 14 + 6],
  [JUMP_EQUAL, 0, 3, 58],
  [LOAD_BYTE, 0, 0, 14 + 40],
  [JUMP_EQUAL, 2, 0, 135],
  [JUMP_EQUAL, 1, 0, 136],
  [RETURN, 0, 0, 0],
  [RETURN, 0, 0, WHOLE],
];

/** Of IPv4 packets for us: UDP without IP options to the ports of BFD over one hop (RFC 5881 §4), no later fragment. */
export const BFD_OVER_IPV4: readonly Instruction[] = [
  [LOAD_BYTE, 0, 0, PACKET_TYPE],
  [JUMP_GREATER, 9, 0, PACKET_MULTICAST],
  // version and header length, behind 14 octets of Ethernet
  [LOAD_BYTE, 0, 0, 14],
  [JUMP_EQUAL, 0, 7, 0x45],
  [LOAD_BYTE, 0, 0, 14 + 9],
  [JUMP_EQUAL, 0, 5, 17],
  [LOAD_HALF, 0, 0, 14 + 6],
  [JUMP_SET, 3, 0, 0x1fff],
  [LOAD_HALF, 0, 0, 14 + 20 + 2],
  [JUMP_EQUAL, 2, 0, 3784],
  [JUMP_EQUAL, 1, 0, 3785],
  [RETURN, 0, 0, 0],
  [RETURN, 0, 0, WHOLE],
];

const UDP_HEADER = 8;

/**
 * Of datagrams on the speakers' port: BFD as they sign it (RFC 5880 §4.1, §4.4: version 1, A, not M, 24 octets and 28 of
 * SHA1) and statements (magic, version, 66 to 1,200 octets), both with a TTL that no router has lessened (RFC 5881 §5) but
 * for statements that tell by their flags that they came another way. A load beyond the end drops.
 */
export function speakersAlone(family: Family): readonly Instruction[] {
  return [
    [LOAD_WORD, 0, 0, UDP_HEADER],
    [JUMP_EQUAL, 6, 0, 0x46574c32],
    [AND, 0, 0, 0xe00500ff],
    [JUMP_EQUAL, 0, 13, 0x20040034],
    [LOAD_HALF, 0, 0, UDP_HEADER + 24],
    [JUMP_EQUAL, 0, 11, 0x051c],
    [LOAD_LENGTH, 0, 0, 0],
    [JUMP_EQUAL, 7, 9, UDP_HEADER + 52],
    // a statement: version, length, whether it claims to be from this link
    [LOAD_BYTE, 0, 0, UDP_HEADER + 4],
    [JUMP_EQUAL, 0, 7, 1],
    [LOAD_LENGTH, 0, 0, 0],
    [JUMP_NOT_BELOW, 0, 5, UDP_HEADER + 66],
    [JUMP_GREATER, 4, 0, UDP_HEADER + 1_200],
    [LOAD_BYTE, 0, 0, UDP_HEADER + 5],
    [JUMP_SET, 0, 3, 1],
    [LOAD_BYTE, 0, 0, NETWORK + (family === 'ipv4' ? 8 : 7)],
    [JUMP_EQUAL, 1, 0, 255],
    [RETURN, 0, 0, 0],
    [RETURN, 0, 0, WHOLE],
  ];
}

/** Of a socket that only sends. */
export const NOTHING: readonly Instruction[] = [[RETURN, 0, 0, 0]];

/**
 * Of netlink's notifications: no routes but default ones, for a router may change thousands a second. A dump is passed
 * whole. Integers are in the machine's order, which is little endian on x64 and arm64.
 */
export const DEFAULT_ROUTES: readonly Instruction[] = [
  // nlmsg_type: RTM_NEWROUTE, RTM_DELROUTE
  [LOAD_BYTE, 0, 0, 4],
  [JUMP_EQUAL, 1, 0, 24],
  [JUMP_EQUAL, 0, 5, 25],
  // nlmsg_flags: NLM_F_MULTI
  [LOAD_BYTE, 0, 0, 6],
  [JUMP_SET, 3, 0, 2],
  // rtm_dst_len
  [LOAD_BYTE, 0, 0, 16 + 1],
  [JUMP_EQUAL, 1, 0, 0],
  [RETURN, 0, 0, 0],
  [RETURN, 0, 0, WHOLE],
];

const MOST_INSTRUCTIONS = 64;
const PROGRAM_AT = 16;
let memory: Memory | undefined;

/** Throws SystemCallError. The kernel keeps a copy of the program. */
export function attachFilter(fd: number, program: readonly Instruction[], about = ''): void {
  memory ??= new Memory(PROGRAM_AT + MOST_INSTRUCTIONS * 8);
  const { bytes } = memory;
  program.forEach(([code, jt, jf, k], at) => {
    const offset = PROGRAM_AT + at * 8;
    bytes.writeUInt16LE(code, offset);
    bytes[offset + 2] = jt;
    bytes[offset + 3] = jf;
    bytes.writeUInt32LE(k, offset + 4);
  });
  // struct sock_fprog
  bytes.writeUInt16LE(program.length, 0);
  memory.point(8, PROGRAM_AT);
  setOption(fd, 'ipv4', 'SO_ATTACH_FILTER', bytes.subarray(0, 16), about);
}
