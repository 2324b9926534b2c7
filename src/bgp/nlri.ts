// Address families and prefixes as octets: AFI and SAFI (RFC 4760), and <length, prefix> (RFC 4271 §4.3) out of canonical
// text and back. Called by capability, message, update and pack. Prefixes are written by the ten thousand, so that text
// is read here by hand; it is canonical by its type and is not checked again.

import { bitsOf, type Family, type Ip, ipFromBytes, type Prefix } from '../net/address.ts';

export const AFI: Readonly<Record<Family, number>> = { ipv4: 1, ipv6: 2 };
export const SAFI_UNICAST = 1;

/** The family of an AFI and SAFI; undefined for all but IPv4 and IPv6 unicast. */
export function familyOfCodes(afi: number, safi: number): Family | undefined {
  if (safi !== SAFI_UNICAST) return undefined;
  return afi === 1 ? 'ipv4' : afi === 2 ? 'ipv6' : undefined;
}

/** `ipv4-unicast`: how logs, metrics and state call a family. */
export function familyName(family: Family): string {
  return `${family}-unicast`;
}

/** Octets of the longest NLRI of a family, without a path identifier: 5 or 17. */
export function longestNlri(family: Family): number {
  return 1 + bitsOf(family) / 8;
}

/** Writes `<length, prefix>` at an offset where `longestNlri` octets are free; answers the offset behind it. */
export function writeNlri(into: Uint8Array, at: number, prefix: Prefix): number {
  const slash = prefix.lastIndexOf('/');
  let length = 0;
  for (let i = slash + 1; i < prefix.length; i++) length = length * 10 + prefix.charCodeAt(i) - 48;
  into[at] = length;
  const end = at + 1 + ((length + 7) >> 3);
  if (prefix.includes(':')) writeIpv6(into, at + 1, prefix, slash);
  else writeIpv4(into, at + 1, prefix, slash);
  return end;
}

/** Writes the 4 or 16 octets of an address; answers the offset behind them. */
export function writeIp(into: Uint8Array, at: number, ip: Ip): number {
  return ip.includes(':') ? writeIpv6(into, at, ip, ip.length) : writeIpv4(into, at, ip, ip.length);
}

function writeIpv4(into: Uint8Array, at: number, text: string, end: number): number {
  let octet = 0;
  let next = at;
  for (let i = 0; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c === 46) {
      into[next++] = octet;
      octet = 0;
    } else octet = octet * 10 + c - 48;
  }
  into[next] = octet;
  return next + 1;
}

// RFC 5952 text: groups of hexadecimal digits, `::` at most once
function writeIpv6(into: Uint8Array, at: number, text: string, end: number): number {
  const last = at + 16;
  let next = at;
  let group = 0;
  let digits = 0;
  let gap = -1;
  for (let i = 0; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c === 58) {
      if (digits > 0) {
        into[next++] = group >> 8;
        into[next++] = group & 0xff;
      } else if (i > 0) gap = next;
      group = 0;
      digits = 0;
    } else {
      group = (group << 4) | (c < 58 ? c - 48 : c - 87);
      digits++;
    }
  }
  if (digits > 0) {
    into[next++] = group >> 8;
    into[next++] = group & 0xff;
  }
  if (gap >= 0) {
    into.copyWithin(last - (next - gap), gap, next);
    into.fill(0, gap, last - (next - gap));
  }
  return last;
}

/** A route as octets name it. */
export interface Nlri {
  readonly prefix: Prefix;
  /** RFC 7911, where it was negotiated. */
  readonly pathId?: number;
}

export const TOO_LONG = -1;
export const OVERRUN = -2;

/** How many NLRI a field holds; TOO_LONG when one is longer than `bits`, OVERRUN when the last one passes the end. */
export function countNlri(bytes: Uint8Array, from: number, end: number, bits: number, pathIds: boolean): number {
  let count = 0;
  let at = from;
  while (at < end) {
    if (pathIds) {
      at += 4;
      if (at >= end) return OVERRUN;
    }
    const length = bytes[at] as number;
    if (length > bits) return TOO_LONG;
    at += 1 + ((length + 7) >> 3);
    count++;
  }
  return at === end ? count : OVERRUN;
}

/** The routes of a field that `countNlri` has found good. */
export function readNlri(
  bytes: Uint8Array,
  from: number,
  end: number,
  family: Family,
  pathIds: boolean,
): readonly Nlri[] {
  const routes: Nlri[] = [];
  const address = new Uint8Array(bitsOf(family) / 8);
  let at = from;
  while (at < end) {
    const identifier = at;
    if (pathIds) at += 4;
    const length = bytes[at] as number;
    const octets = (length + 7) >> 3;
    address.fill(0);
    for (let i = 0; i < octets; i++) address[i] = bytes[at + 1 + i] as number;
    // RFC 4271 §4.3: bits behind the length are of no matter
    const spare = octets * 8 - length;
    if (spare > 0) address[octets - 1] = (address[octets - 1] as number) & (0xff << spare);
    const prefix = `${ipFromBytes(address)}/${length}` as Prefix;
    routes.push(pathIds ? { prefix, pathId: readU32(bytes, identifier) } : { prefix });
    at += 1 + octets;
  }
  return routes;
}

function readU32(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(at, at + 4);
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}
