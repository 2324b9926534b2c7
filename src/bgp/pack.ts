// UPDATEs to be sent: as many prefixes of one path as a message takes, straight into one buffer a message. Each message
// holds exactly one of withdrawn routes, MP_UNREACH_NLRI, NLRI and MP_REACH_NLRI (RFC 7606 §5.1), the multiprotocol
// attribute first, the others ascending. Called by peer, one window at a time. RFC 4271 §4.3, 4760, 8950, 4724 §2.

import type { Family, Prefix } from '../net/address.ts';
import { ATTRIBUTE, FLAG, type Octets, type Path } from './attribute.ts';
import { ROWS } from './attribute-table.ts';
import { HEADER_LENGTH, TYPE, writeHeader } from './frame.ts';
import type { Negotiated } from './negotiate.ts';
import { AFI, longestNlri, SAFI_UNICAST, writeIp, writeNlri } from './nlri.ts';

/** Why not a single prefix of a path can be sent. */
export type Unpackable = 'attributes-too-long' | 'no-next-hop';

/** Where a packer stands: the first prefix that is in no message yet. One begins there, and moves it before each message. */
export interface Cursor {
  next: number;
}

const WITHDRAWN_AT = HEADER_LENGTH + 2;
const EMPTY_LENGTH = HEADER_LENGTH + 4;

/**
 * Messages that withdraw all these prefixes of one family, in their order. IPv4 ones go into MP_UNREACH_NLRI where RFC 8950
 * was negotiated, as FRR and BIRD have it: what came with MP_REACH_NLRI goes the same way.
 */
export function packWithdrawals(
  family: Family,
  prefixes: readonly Prefix[],
  negotiated: Negotiated,
  cursor: Cursor = { next: 0 },
): Generator<Uint8Array> {
  return family === 'ipv4' && !negotiated.extendedNextHop
    ? packClassicWithdrawals(prefixes, negotiated.maxSend, cursor)
    : packMultiprotocol(
        ATTRIBUTE.mpUnreachNlri,
        [0, AFI[family], SAFI_UNICAST],
        [],
        family,
        prefixes,
        negotiated.maxSend,
        cursor,
      );
}

/**
 * Messages that announce all these prefixes of one family with one path, in their order; or why it cannot be done. The next
 * hop decides the form: an IPv4 one is NEXT_HOP with classic NLRI, an IPv6 one MP_REACH_NLRI (for IPv4 prefixes only
 * where RFC 8950 was negotiated).
 */
export function packAnnouncements(
  family: Family,
  path: Path,
  prefixes: readonly Prefix[],
  negotiated: Negotiated,
  cursor: Cursor = { next: 0 },
): Generator<Uint8Array> | Unpackable {
  const { nextHop, linkLocalNextHop } = path;
  const isIpv6NextHop = nextHop?.includes(':') === true;
  const possible = family === 'ipv6' ? isIpv6NextHop : !isIpv6NextHop || negotiated.extendedNextHop;
  if (nextHop === undefined || !possible) return 'no-next-hop';
  const attributes = encodeAttributes(path, negotiated);
  if (!isIpv6NextHop) {
    if (EMPTY_LENGTH + attributes.length + longestNlri(family) > negotiated.maxSend) return 'attributes-too-long';
    return packClassicAnnouncements(attributes, prefixes, negotiated.maxSend, cursor);
  }
  const hops = linkLocalNextHop === undefined ? [nextHop] : [nextHop, linkLocalNextHop];
  const head = new Uint8Array(3 + 1 + 16 * hops.length + 1);
  head.set([0, AFI[family], SAFI_UNICAST, 16 * hops.length]);
  hops.forEach((hop, i) => writeIp(head, 4 + 16 * i, hop));
  if (EMPTY_LENGTH + 4 + head.length + longestNlri(family) + attributes.length > negotiated.maxSend)
    return 'attributes-too-long';
  return packMultiprotocol(ATTRIBUTE.mpReachNlri, head, attributes, family, prefixes, negotiated.maxSend, cursor);
}

/** RFC 4724 §2: nothing more comes of the first full table. */
export function encodeEndOfRib(family: Family): Uint8Array {
  const attribute = family === 'ipv4' ? [] : [FLAG.optional, ATTRIBUTE.mpUnreachNlri, 3, 0, AFI[family], SAFI_UNICAST];
  const message = new Uint8Array(EMPTY_LENGTH + attribute.length);
  message.set(attribute, EMPTY_LENGTH);
  writeU16(message, EMPTY_LENGTH - 2, attribute.length);
  writeHeader(message, TYPE.update, message.length);
  return message;
}

/** All attributes of a path but MP_REACH_NLRI, ascending by code. */
export function encodeAttributes(path: Path, negotiated: Negotiated): Uint8Array {
  const known = ROWS.flatMap(({ code, flags, encode }) => {
    const value = encode(path, negotiated);
    return value === undefined ? [] : [{ code, flags, value }];
  });
  const all: { code: number; flags: number; value: Octets }[] = [...known, ...(path.others ?? [])];
  return Uint8Array.from(all.sort((a, b) => a.code - b.code).flatMap(encodeAttribute));
}

function encodeAttribute({ code, flags, value }: { code: number; flags: number; value: Octets }): number[] {
  // RFC 4271 §4.3: two octets of length only for more than 255
  if (value.length <= 255) return [flags & ~FLAG.extendedLength, code, value.length, ...value];
  return [flags | FLAG.extendedLength, code, value.length >> 8, value.length & 0xff, ...value];
}

function writeU16(into: Uint8Array, at: number, value: number): void {
  into[at] = value >> 8;
  into[at + 1] = value & 0xff;
}

/** A buffer for a message that begins with `head` octets: no larger than what is left to be written may need. */
function room(head: number, left: number, longest: number, most: number): Uint8Array {
  // a prefix is written whole before it is cut to its length
  return new Uint8Array(Math.min(most, head + left * longest) + longest);
}

/** Writes prefixes from `from` on until one more might not fit before `most`; answers where it ended. */
function fill(
  into: Uint8Array,
  at: number,
  most: number,
  prefixes: readonly Prefix[],
  from: number,
): { readonly at: number; readonly next: number } {
  let end = at;
  let next = from;
  while (next < prefixes.length) {
    const after = writeNlri(into, end, prefixes[next] as Prefix);
    if (after > most) break;
    end = after;
    next++;
  }
  return { at: end, next };
}

function* packClassicWithdrawals(prefixes: readonly Prefix[], maxSend: number, cursor: Cursor): Generator<Uint8Array> {
  while (cursor.next < prefixes.length) {
    const message = room(EMPTY_LENGTH, prefixes.length - cursor.next, 5, maxSend);
    const filled = fill(message, WITHDRAWN_AT, maxSend - 2, prefixes, cursor.next);
    writeU16(message, HEADER_LENGTH, filled.at - WITHDRAWN_AT);
    writeU16(message, filled.at, 0);
    writeHeader(message, TYPE.update, filled.at + 2);
    cursor.next = filled.next;
    yield message.subarray(0, filled.at + 2);
  }
}

function* packClassicAnnouncements(
  attributes: Uint8Array,
  prefixes: readonly Prefix[],
  maxSend: number,
  cursor: Cursor,
): Generator<Uint8Array> {
  const head = EMPTY_LENGTH + attributes.length;
  while (cursor.next < prefixes.length) {
    const message = room(head, prefixes.length - cursor.next, 5, maxSend);
    writeU16(message, WITHDRAWN_AT, attributes.length);
    message.set(attributes, EMPTY_LENGTH);
    const filled = fill(message, head, maxSend, prefixes, cursor.next);
    writeHeader(message, TYPE.update, filled.at);
    cursor.next = filled.next;
    yield message.subarray(0, filled.at);
  }
}

/** MP_REACH_NLRI or MP_UNREACH_NLRI: `head` is what stands before its NLRI, `attributes` what follows it. */
function* packMultiprotocol(
  code: number,
  head: Octets,
  attributes: Octets,
  family: Family,
  prefixes: readonly Prefix[],
  maxSend: number,
  cursor: Cursor,
): Generator<Uint8Array> {
  const longest = longestNlri(family);
  const valueAt = EMPTY_LENGTH + 4;
  const most = maxSend - attributes.length;
  while (cursor.next < prefixes.length) {
    const message = room(valueAt + head.length + attributes.length, prefixes.length - cursor.next, longest, maxSend);
    message.set(head, valueAt);
    const filled = fill(message, valueAt + head.length, most, prefixes, cursor.next);
    cursor.next = filled.next;
    const length = filled.at - valueAt;
    let end = filled.at;
    if (length > 255) {
      message.set([FLAG.optional | FLAG.extendedLength, code, length >> 8, length & 0xff], EMPTY_LENGTH);
    } else {
      message.copyWithin(EMPTY_LENGTH + 3, valueAt, filled.at);
      message.set([FLAG.optional, code, length], EMPTY_LENGTH);
      end--;
    }
    message.set(attributes, end);
    end += attributes.length;
    writeU16(message, WITHDRAWN_AT, end - EMPTY_LENGTH);
    writeHeader(message, TYPE.update, end);
    yield message.subarray(0, end);
  }
}
