// Addresses as all rooms know them. An Ip and a Prefix are branded canonical texts (dotted quad; RFC 5952 lower case):
// they are Map keys, JSON and log text at once, survive structuredClone, and are equal exactly when they are ===.
// Parsing is strict: what `net.isIP` refuses (octal-looking, short forms) is refused here, and so are zones.

import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

export type Family = 'ipv4' | 'ipv6';
export type Ip = string & { readonly __ip: never };
/** `address/length`, host bits zero. */
export type Prefix = string & { readonly __prefix: never };
/** Lower case, colon separated. */
export type Mac = string & { readonly __mac: never };

/** Inclusive; both ends of one family. */
export interface Range {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
}

/** Canonical address, or undefined when the text is no IPv4 or IPv6 address. An IPv4-mapped one becomes IPv4. */
export function parseIp(text: string): Ip | undefined {
  const version = isIP(text);
  if (version === 4) return text as Ip;
  if (version !== 6 || text.includes('%')) return undefined;
  // the deprecated IPv4-compatible form (RFC 4291 §2.5.5.1), which ipaddr.js takes for the mapped one
  if (/^::\d+\./.test(text)) return undefined;
  const address = ipaddr.IPv6.parse(text);
  const canonical = address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
  return ipFromBytes(Uint8Array.from(canonical.toByteArray()));
}

export function familyOf(address: Ip | Prefix): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

export function bitsOf(family: Family): 32 | 128 {
  return family === 'ipv4' ? 32 : 128;
}

/** Network-order bytes: 4 or 16. */
export function ipToBytes(ip: Ip): Uint8Array {
  return familyOf(ip) === 'ipv4' ? ipv4ToBytes(ip) : ipv6ToBytes(ip);
}

/** The address in 4 or 16 bytes; RangeError for any other length. */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as Ip;
  if (bytes.length !== 16) throw new RangeError(`an address has 4 or 16 bytes, not ${bytes.length}`);
  const run = longestZeroRun(bytes);
  let text = '';
  for (let at = 0; at < 16; at += 2) {
    // RFC 5952 §4.2: the longest run of zero groups, the first of equal ones, never a single one
    if (at === run.start && run.length > 2) {
      text += '::';
      at += run.length - 2;
    } else {
      if (text !== '' && !text.endsWith(':')) text += ':';
      text += (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16);
    }
  }
  return text as Ip;
}

export function ipToNumber(ip: Ip): bigint {
  if (familyOf(ip) === 'ipv4') return BigInt(ipv4ToNumber(ip));
  const bytes = ipv6ToBytes(ip);
  const word = (at: number): bigint => {
    const [a, b, c, d] = [bytes[at] ?? 0, bytes[at + 1] ?? 0, bytes[at + 2] ?? 0, bytes[at + 3] ?? 0];
    return BigInt(((a << 24) | (b << 16) | (c << 8) | d) >>> 0);
  };
  return (word(0) << 96n) | (word(4) << 64n) | (word(8) << 32n) | word(12);
}

export function ipFromNumber(family: Family, value: bigint): Ip {
  if (family === 'ipv4') {
    const word = Number(value);
    return `${word >>> 24}.${(word >>> 16) & 0xff}.${(word >>> 8) & 0xff}.${word & 0xff}` as Ip;
  }
  const bytes = new Uint8Array(bitsOf(family) / 8);
  for (let at = bytes.length - 4, rest = value; at >= 0; at -= 4, rest >>= 32n) {
    const word = Number(rest & 0xffffffffn);
    bytes[at] = word >>> 24;
    bytes[at + 1] = word >>> 16;
    bytes[at + 2] = word >>> 8;
    bytes[at + 3] = word;
  }
  return ipFromBytes(bytes);
}

function ipv4ToBytes(text: string): Uint8Array {
  const word = ipv4ToNumber(text);
  return Uint8Array.of(word >>> 24, word >>> 16, word >>> 8, word);
}

/** For texts that `isIP` calls IPv4. */
function ipv4ToNumber(text: string): number {
  let word = 0;
  let octet = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 46) {
      word = word * 256 + octet;
      octet = 0;
    } else octet = octet * 10 + code - 48;
  }
  return word * 256 + octet;
}

/** For canonical text; ipaddr.js would take ten times as long, and this is asked for each prefix of an UPDATE. */
function ipv6ToBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  let at = 0;
  let gap = -1;
  for (let i = 0; i < text.length; ) {
    if (text.charCodeAt(i) === 58) {
      const double = text.charCodeAt(i + 1) === 58;
      if (double) gap = at;
      i += double ? 2 : 1;
      continue;
    }
    const colon = text.indexOf(':', i);
    const end = colon < 0 ? text.length : colon;
    const group = Number.parseInt(text.slice(i, end), 16);
    bytes[at++] = group >> 8;
    bytes[at++] = group;
    i = end;
  }
  if (gap >= 0) {
    bytes.copyWithin(16 - (at - gap), gap, at);
    bytes.fill(0, gap, 16 - (at - gap));
  }
  return bytes;
}

/** In octets, both ends on a group. */
function longestZeroRun(bytes: Uint8Array): { readonly start: number; readonly length: number } {
  let [start, length] = [0, 0];
  for (let at = 0; at < 16; at += 2) {
    let end = at;
    while (end < 16 && bytes[end] === 0 && bytes[end + 1] === 0) end += 2;
    if (end - at > length) [start, length] = [at, end - at];
    at = end;
  }
  return { start, length };
}

/** The prefix of this length that holds the address: host bits are cut. */
export function prefixOf(ip: Ip, length: number): Prefix {
  const bytes = ipToBytes(ip);
  for (let bit = length; bit < bytes.length * 8; bit++) {
    const at = bit >> 3;
    bytes[at] = (bytes[at] ?? 0) & ~(0x80 >> (bit & 7));
  }
  return `${ipFromBytes(bytes)}/${length}` as Prefix;
}

export function hostPrefix(ip: Ip): Prefix {
  return `${ip}/${bitsOf(familyOf(ip))}` as Prefix;
}

/** Canonical prefix with host bits cut, or undefined: no address, no length, or a length out of range. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const ip = parseIp(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (ip === undefined || !/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined;
  // an IPv4-mapped prefix has no canonical length here
  if (text.slice(0, slash).includes(':') !== ip.includes(':')) return undefined;
  const length = Number(digits);
  return length > bitsOf(familyOf(ip)) ? undefined : prefixOf(ip, length);
}

export function prefixParts(prefix: Prefix): { readonly ip: Ip; readonly length: number } {
  const slash = prefix.lastIndexOf('/');
  return { ip: prefix.slice(0, slash) as Ip, length: Number(prefix.slice(slash + 1)) };
}

export function rangeOfPrefix(prefix: Prefix): Range {
  const { ip, length } = prefixParts(prefix);
  const family = familyOf(ip);
  const first = ipToNumber(ip);
  return { family, first, last: first + (1n << BigInt(bitsOf(family) - length)) - 1n };
}

/** What is left of a range, ascending; the range itself where nothing is taken of it. */
export function without(range: Range, taken: readonly Range[]): readonly Range[] {
  const { family, first, last } = range;
  const cuts = taken.filter((each) => each.family === family && each.first <= last && each.last >= first);
  if (cuts.length === 0) return [range];
  const left: Range[] = [];
  let at = first;
  for (const cut of cuts.toSorted((a, b) => (a.first < b.first ? -1 : 1))) {
    if (cut.first > at) left.push({ family, first: at, last: cut.first - 1n });
    if (cut.last >= at) at = cut.last + 1n;
  }
  return at > last ? left : [...left, { family, first: at, last }];
}

export function inRange(ip: Ip, range: Range): boolean {
  if (familyOf(ip) !== range.family) return false;
  const value = ipToNumber(ip);
  return value >= range.first && value <= range.last;
}

/** IPv4 before IPv6, then numerically, then the shorter prefix: the order of everything that is written out. */
export function compareAddresses(a: Ip | Prefix, b: Ip | Prefix): number {
  if (a === b) return 0;
  const [fa, fb] = [familyOf(a), familyOf(b)];
  if (fa !== fb) return fa === 'ipv4' ? -1 : 1;
  const [pa, pb] = [splitLength(a), splitLength(b)];
  const [ba, bb] = [ipToBytes(pa.ip), ipToBytes(pb.ip)];
  for (let i = 0; i < ba.length; i++) {
    const difference = (ba[i] ?? 0) - (bb[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return pa.length - pb.length;
}

function splitLength(address: Ip | Prefix): { readonly ip: Ip; readonly length: number } {
  return address.includes('/') ? prefixParts(address as Prefix) : { ip: address as Ip, length: 0 };
}

/** fe80::/10. */
export function isLinkLocal(ip: Ip): boolean {
  return /^fe[89ab][0-9a-f]:/.test(ip);
}

/** Six octets as `02:00:5e:10:00:01`; RangeError for any other length. */
export function macFromBytes(bytes: Uint8Array): Mac {
  if (bytes.length !== 6) throw new RangeError(`a MAC has 6 bytes, not ${bytes.length}`);
  let text = '';
  for (const octet of bytes) text += text === '' ? HEXADECIMAL[octet] : `:${HEXADECIMAL[octet]}`;
  return text as Mac;
}

export function macToBytes(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(6);
  for (let at = 0; at < 6; at++) bytes[at] = (digitOf(mac, at * 3) << 4) | digitOf(mac, at * 3 + 1);
  return bytes;
}

/** Each octet of each frame is written and read: `toString(16)` and `split` took half of the time of an answer. */
const HEXADECIMAL = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, '0'));

function digitOf(lowerCase: string, at: number): number {
  const code = lowerCase.charCodeAt(at);
  return code < 58 ? code - 48 : code - 87;
}

/** Lower case, or undefined: not six octets in hexadecimal, separated by colons. */
export function parseMac(text: string): Mac | undefined {
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text) ? (text.toLowerCase() as Mac) : undefined;
}
