// UDP over IPv4 over Ethernet, as far as BFD's Echo function needs it: whole frames, for what is sent to one's own address
// leaves by no UDP socket and arrives at none (RFC 5881 §4). RFC 791, 768. Called by `echo`.

import { type Ip, ipFromBytes, ipToBytes, type Mac, macFromBytes, macToBytes } from '../net/address.ts';
import { internetChecksum } from '../net/checksum.ts';

const ETHERNET = 14;
const IPV4 = 20;
const UDP = 8;
const HEAD = ETHERNET + IPV4 + UDP;
const TTL_AT = ETHERNET + 8;
const PROTOCOL_UDP = 17;
/** RFC 4594 §3.1 network control, as BFD's control packets have it. */
const TOS = 0xc0;

export interface UdpFrame {
  readonly sourceMac: Mac;
  readonly destinationMac: Mac;
  readonly source: Ip;
  readonly destination: Ip;
  readonly ttl: number;
  /** Of the destination. */
  readonly port: number;
  readonly bytes: Uint8Array;
}

export function isIpv4(frame: Uint8Array): boolean {
  return frame[12] === 0x08 && frame[13] === 0x00;
}

/** Undefined: no whole UDP packet, or one with IP options or a wrong sum of its head. UDP's own sum is not looked at: behind
 * a virtual link it may not have been filled in. */
export function decodeUdp(frame: Uint8Array): UdpFrame | undefined {
  if (frame.length < HEAD || !isIpv4(frame)) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const ip = frame.subarray(ETHERNET, ETHERNET + IPV4);
  if (ip[0] !== 0x45 || ip[9] !== PROTOCOL_UDP || internetChecksum(ip) !== 0) return undefined;
  const length = view.getUint16(ETHERNET + IPV4 + 4);
  if (length < UDP || IPV4 + length > view.getUint16(ETHERNET + 2) || ETHERNET + IPV4 + length > frame.length)
    return undefined;
  return {
    destinationMac: macFromBytes(frame.subarray(0, 6)),
    sourceMac: macFromBytes(frame.subarray(6, 12)),
    source: ipFromBytes(ip.subarray(12, 16)),
    destination: ipFromBytes(ip.subarray(16, 20)),
    ttl: frame[TTL_AT] ?? 0,
    port: view.getUint16(ETHERNET + IPV4 + 2),
    bytes: frame.slice(HEAD, ETHERNET + IPV4 + length),
  };
}

/** From and to the same port. */
export function encodeUdp(packet: UdpFrame): Uint8Array {
  const { bytes, port } = packet;
  const frame = new Uint8Array(HEAD + bytes.length);
  const view = new DataView(frame.buffer);
  frame.set(macToBytes(packet.destinationMac), 0);
  frame.set(macToBytes(packet.sourceMac), 6);
  view.setUint16(12, 0x0800);
  frame.set([0x45, TOS], ETHERNET);
  view.setUint16(ETHERNET + 2, IPV4 + UDP + bytes.length);
  frame[TTL_AT] = packet.ttl;
  frame[ETHERNET + 9] = PROTOCOL_UDP;
  frame.set(ipToBytes(packet.source), ETHERNET + 12);
  frame.set(ipToBytes(packet.destination), ETHERNET + 16);
  view.setUint16(ETHERNET + 10, internetChecksum(frame.subarray(ETHERNET, ETHERNET + IPV4)));
  view.setUint16(ETHERNET + IPV4, port);
  view.setUint16(ETHERNET + IPV4 + 2, port);
  view.setUint16(ETHERNET + IPV4 + 4, UDP + bytes.length);
  frame.set(bytes, HEAD);
  // RFC 768: over a head of its own: both addresses, the protocol and the length
  const length = frame.subarray(ETHERNET + IPV4 + 4, ETHERNET + IPV4 + 6);
  const pseudo = Uint8Array.of(...frame.subarray(ETHERNET + 12, ETHERNET + IPV4), 0, PROTOCOL_UDP, ...length);
  const whole = internetChecksum(Uint8Array.of(...pseudo, ...frame.subarray(ETHERNET + IPV4)));
  view.setUint16(ETHERNET + IPV4 + 6, whole === 0 ? 0xffff : whole);
  return frame;
}

/** The frame as a router passes it on: back to where it came from, with one hop less to go. */
export function passOn(frame: Uint8Array): Uint8Array {
  const passed = frame.slice();
  passed.set(frame.subarray(6, 12), 0);
  passed.set(frame.subarray(0, 6), 6);
  passed[TTL_AT] = Math.max(0, (frame[TTL_AT] ?? 0) - 1);
  passed.set([0, 0], ETHERNET + 10);
  new DataView(passed.buffer).setUint16(ETHERNET + 10, internetChecksum(passed.subarray(ETHERNET, ETHERNET + IPV4)));
  return passed;
}
