// Neighbor Solicitations and Advertisements (RFC 4861 §4.3, §4.4, §7.1, §7.2) in whole Ethernet frames: octets to words and
// back, and the forms that a responder sends. Called by `responder`. The checks are §7.1.1 and §7.1.2, each with its name.

import { Parser } from 'binary-parser';
import type { Ip, Mac } from '../net/address.ts';
import { ipFromBytes, ipToBytes, macFromBytes, macToBytes } from '../net/address.ts';
import { internetChecksum } from '../net/checksum.ts';

const ETHERTYPE = 0x86dd;
const ETHERNET_OCTETS = 14;
const IPV6_OCTETS = 40;
const ICMP_AT = ETHERNET_OCTETS + IPV6_OCTETS;
/** ICMPv6 header, flags and target, before the options. */
const MESSAGE_OCTETS = 24;
const ICMPV6 = 58;
const SOLICITATION = 135;
const ADVERTISEMENT = 136;
export const SOURCE_LINK = 1;
const TARGET_LINK = 2;

export const UNSPECIFIED = '::' as Ip;
export const ALL_NODES = 'ff02::1' as Ip;

interface Headers {
  /** Of the Ethernet header. */
  readonly destination: Mac;
  readonly source: Mac;
  readonly from: Ip;
  readonly to: Ip;
  readonly target: Ip;
}

export interface Solicitation extends Headers {
  readonly is: 'solicitation';
  /** The source link-layer address option. */
  readonly sourceLink?: Mac;
}

export interface Advertisement extends Headers {
  readonly is: 'advertisement';
  readonly router: boolean;
  readonly solicited: boolean;
  readonly override: boolean;
  /** The target link-layer address option. */
  readonly targetLink?: Mac;
}

export type NdpMessage = Solicitation | Advertisement;
export type NdpDrop =
  | 'length'
  | 'messageType'
  | 'hopLimit'
  | 'checksum'
  | 'code'
  | 'target'
  | 'option'
  | 'unspecifiedSource'
  | 'solicitedMulticast';

const headers = new Parser()
  .endianness('big')
  .buffer('destination', { length: 6 })
  .buffer('source', { length: 6 })
  .uint16('etherType')
  .uint32('versionClassFlow')
  .uint16('payloadLength')
  .uint8('nextHeader')
  .uint8('hopLimit')
  .buffer('from', { length: 16 })
  .buffer('to', { length: 16 })
  .uint8('type')
  .uint8('code')
  .uint16('checksum')
  .uint32('flags')
  .buffer('target', { length: 16 });

interface Layout {
  readonly destination: Uint8Array;
  readonly source: Uint8Array;
  readonly versionClassFlow: number;
  readonly payloadLength: number;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly type: number;
  readonly code: number;
  readonly flags: number;
  readonly target: Uint8Array;
}

export function isIpv6(frame: Uint8Array): boolean {
  return frame.length >= ETHERNET_OCTETS && ((frame[12] ?? 0) << 8) + (frame[13] ?? 0) === ETHERTYPE;
}

/** ff02::1:ff00:0/104 with the last three octets of the address (RFC 4291 §2.7.1). */
export function solicitedNodeGroup(ip: Ip): Ip {
  return ipFromBytes(Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, ...ipToBytes(ip).subarray(13)));
}

/** 33:33 and the last four octets (RFC 2464 §7). */
export function groupMac(group: Ip): Mac {
  return macFromBytes(Uint8Array.of(0x33, 0x33, ...ipToBytes(group).subarray(12)));
}

/** An Ethernet frame that `isIpv6`, as words, or the first rule of RFC 4861 §7.1 that it breaks. */
export function decode(frame: Uint8Array): { readonly message: NdpMessage } | { readonly drop: NdpDrop } {
  if (frame.length < ICMP_AT + 1) return { drop: 'length' };
  const type = frame[ICMP_AT];
  if (frame[ETHERNET_OCTETS + 6] !== ICMPV6 || (type !== SOLICITATION && type !== ADVERTISEMENT)) {
    return { drop: 'messageType' };
  }
  if (frame.length < ICMP_AT + MESSAGE_OCTETS) return { drop: 'length' };
  const fields: Layout = headers.parse(frame.subarray(0, ICMP_AT + MESSAGE_OCTETS));
  const end = ICMP_AT + fields.payloadLength;
  if (fields.versionClassFlow >>> 28 !== 6 || fields.payloadLength < MESSAGE_OCTETS || end > frame.length) {
    return { drop: 'length' };
  }
  if (fields.hopLimit !== 255) return { drop: 'hopLimit' };
  if (checksum(frame.subarray(0, end)) !== 0) return { drop: 'checksum' };
  if (fields.code !== 0) return { drop: 'code' };
  if (fields.target[0] === 0xff) return { drop: 'target' };
  const links = readLinks(frame.subarray(ICMP_AT + MESSAGE_OCTETS, end));
  if (links === undefined) return { drop: 'option' };
  const common = {
    destination: macFromBytes(fields.destination),
    source: macFromBytes(fields.source),
    from: ipFromBytes(fields.from),
    to: ipFromBytes(fields.to),
    target: ipFromBytes(fields.target),
  };
  if (type === ADVERTISEMENT) return readAdvertisement(common, fields.flags, links.get(TARGET_LINK));
  const sourceLink = links.get(SOURCE_LINK);
  // RFC 4861 §7.1.1: who has no address yet asks the group, and names no link-layer address
  if (common.from === UNSPECIFIED && (common.to !== solicitedNodeGroup(common.target) || sourceLink !== undefined)) {
    return { drop: 'unspecifiedSource' };
  }
  return { message: { is: 'solicitation', ...common, ...(sourceLink !== undefined && { sourceLink }) } };
}

function readAdvertisement(
  common: Headers,
  flags: number,
  targetLink: Mac | undefined,
): { readonly message: NdpMessage } | { readonly drop: NdpDrop } {
  const bit = (mask: number) => (flags & mask) !== 0;
  const [router, solicited, override] = [bit(0x8000_0000), bit(0x4000_0000), bit(0x2000_0000)];
  // RFC 4861 §7.1.2
  if (solicited && common.to.startsWith('ff')) return { drop: 'solicitedMulticast' };
  const link = targetLink !== undefined && { targetLink };
  return { message: { is: 'advertisement', ...common, router, solicited, override, ...link } };
}

/** Link-layer addresses by type of option; undefined: an option of length 0 or beyond the end (RFC 4861 §4.6). */
function readLinks(bytes: Uint8Array): ReadonlyMap<number, Mac> | undefined {
  const options = readOptions(bytes);
  if (options === undefined) return undefined;
  const links = new Map<number, Mac>();
  for (const { type, value } of options) {
    const isLink = type === SOURCE_LINK || type === TARGET_LINK;
    if (isLink && value.length === 6 && !links.has(type)) links.set(type, macFromBytes(value));
  }
  return links;
}

/** Of any message of Neighbor Discovery, in their order; undefined: one has length 0 or goes beyond the end (RFC 4861 §4.6). */
export function readOptions(
  bytes: Uint8Array,
): readonly { readonly type: number; readonly value: Uint8Array }[] | undefined {
  const options: { type: number; value: Uint8Array }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [type = 0, units = 0] = bytes.subarray(at, at + 2);
    const end = at + units * 8;
    if (units === 0 || end > bytes.length) return undefined;
    options.push({ type, value: bytes.subarray(at + 2, end) });
    at = end;
  }
  return options;
}

export function encode(message: NdpMessage): Uint8Array {
  const link = message.is === 'solicitation' ? message.sourceLink : message.targetLink;
  const length = MESSAGE_OCTETS + (link === undefined ? 0 : 8);
  const bytes = new Uint8Array(ICMP_AT + length);
  const view = new DataView(bytes.buffer);
  bytes.set(macToBytes(message.destination), 0);
  bytes.set(macToBytes(message.source), 6);
  view.setUint16(12, ETHERTYPE);
  view.setUint32(14, 6 * 2 ** 28);
  view.setUint16(18, length);
  bytes.set([ICMPV6, 255], 20);
  bytes.set(ipToBytes(message.from), 22);
  bytes.set(ipToBytes(message.to), 38);
  bytes[ICMP_AT] = message.is === 'solicitation' ? SOLICITATION : ADVERTISEMENT;
  if (message.is === 'advertisement') {
    const { router, solicited, override } = message;
    bytes[ICMP_AT + 4] = (router ? 0x80 : 0) | (solicited ? 0x40 : 0) | (override ? 0x20 : 0);
  }
  bytes.set(ipToBytes(message.target), ICMP_AT + 8);
  if (link !== undefined) {
    bytes.set([message.is === 'solicitation' ? SOURCE_LINK : TARGET_LINK, 1], ICMP_AT + MESSAGE_OCTETS);
    bytes.set(macToBytes(link), ICMP_AT + MESSAGE_OCTETS + 2);
  }
  view.setUint16(ICMP_AT + 2, checksum(bytes));
  return bytes;
}

/** Of a frame cut to its IPv6 length, with the pseudo-header of RFC 8200 §8.1; 0 over a frame that bears a right one. */
function checksum(frame: Uint8Array): number {
  return internetChecksum(frame.subarray(ETHERNET_OCTETS + 8), frame.length - ICMP_AT + ICMPV6);
}

/** Unsolicited and to all (RFC 4861 §7.2.6), overriding what caches hold. `from`: a link-local address of ours. */
export function announcement(mac: Mac, ip: Ip, from: Ip): Uint8Array {
  return advertise(mac, ip, from, { mac: groupMac(ALL_NODES), ip: ALL_NODES }, false);
}

/** To one: the answer to a solicitation, or unasked what one who asked before is told after a take-over. */
export function advertise(
  mac: Mac,
  ip: Ip,
  from: Ip,
  to: { readonly mac: Mac; readonly ip: Ip },
  solicited: boolean,
): Uint8Array {
  const flags = { router: false, solicited, override: true };
  const common = { destination: to.mac, source: mac, from, to: to.ip, target: ip };
  return encode({ is: 'advertisement', ...common, ...flags, targetLink: mac });
}

/** Who has it? `from` the unspecified address it is Duplicate Address Detection (RFC 4862 §5.4.2). `to`: one MAC alone. */
export function question(mac: Mac, ip: Ip, from: Ip, to?: Mac): Uint8Array {
  const group = solicitedNodeGroup(ip);
  const common = { destination: to ?? groupMac(group), source: mac, from, to: group, target: ip };
  return encode({ is: 'solicitation', ...common, ...(from !== UNSPECIFIED && { sourceLink: mac }) });
}
