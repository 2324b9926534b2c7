// Addresses as all rooms know them. An Ip and a Prefix are branded canonical texts (dotted quad; RFC 5952 lower case):
// they are Map keys, JSON and log text at once, survive structuredClone, and are equal exactly when they are ===.
// Parsing is strict: what `net.isIP` refuses (octal-looking, short forms, zones) is refused here.

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
  const parsed = ipaddr.IPv6.parse(text);
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString() as Ip;
  return parsed.toRFC5952String() as Ip;
}

export function familyOf(address: Ip | Prefix): Family {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}

export function bitsOf(family: Family): 32 | 128 {
  return family === 'ipv4' ? 32 : 128;
}

/** Network-order bytes: 4 or 16. */
export function ipToBytes(ip: Ip): Uint8Array {
  if (familyOf(ip) === 'ipv6') return Uint8Array.from(ipaddr.IPv6.parse(ip).toByteArray());
  const bytes = new Uint8Array(4);
  let at = 0;
  let octet = 0;
  for (let i = 0; i < ip.length; i++) {
    const code = ip.charCodeAt(i);
    if (code === 46) {
      bytes[at++] = octet;
      octet = 0;
    } else octet = octet * 10 + code - 48;
  }
  bytes[at] = octet;
  return bytes;
}

/** The address in 4 or 16 bytes; RangeError for any other length. */
export function ipFromBytes(bytes: Uint8Array): Ip {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as Ip;
  if (bytes.length !== 16) throw new RangeError(`an address has 4 or 16 bytes, not ${bytes.length}`);
  return new ipaddr.IPv6(Array.from(bytes)).toRFC5952String() as Ip;
}

export function ipToNumber(ip: Ip): bigint {
  let value = 0n;
  for (const byte of ipToBytes(ip)) value = (value << 8n) | BigInt(byte);
  return value;
}

export function ipFromNumber(family: Family, value: bigint): Ip {
  const bytes = new Uint8Array(bitsOf(family) / 8);
  for (let i = bytes.length - 1, rest = value; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return ipFromBytes(bytes);
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
