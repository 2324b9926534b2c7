// The datagram that carries a statement (UDP 7946, beside BFD): octets to words and back, signed with HMAC-SHA256 over all
// that is before it. Called by whoever owns the sockets. At most 1,200 octets; a longer statement goes in parts, each of which
// says for which addresses it speaks, so that a lost part leaves the others true. Numbers are big-endian.
//
//   magic 'FWL2' · version · flags · part (2) · incarnation (6) · sequence (4) · clock (6) · node · interface · MACs · address
//   [ after ] [ until ] · stations (8 each) · sightings (12 each) · rows · HMAC (32)

import { createHmac, timingSafeEqual } from 'node:crypto';
import { SmartBuffer } from 'smart-buffer';
import type { Ip } from '../net/address.ts';
import { compareAddresses, familyOf, ipFromBytes, ipToBytes, macFromBytes, macToBytes } from '../net/address.ts';
import { Reader, Truncated } from '../net/bytes.ts';
import type { Handover, Row, Sighting, Statement, Station } from './statement.ts';
import { HANDOVER_PHASES, HANDOVER_REASONS } from './statement.ts';

/** Its first three bits are 2, which is no version of BFD (RFC 5880 §4.1). */
const MAGIC = 0x46574c32;
const VERSION = 1;
const MOST_OCTETS = 1_200;
const DIGEST_OCTETS = 32;
/** Up to and with the clock; and the counts of stations, sightings and rows. */
const HEAD_OCTETS = 24;
const COUNTS_OCTETS = 4;
const STATION_OCTETS = 8;
const SIGHTING_OCTETS = 12;

const FLAG = { here: 1, ready: 2, gatewayOk: 4, leaving: 8, goodbye: 16, asks: 32, after: 64, until: 128 } as const;
const SEEN = { heard: 1, gatewayOk: 2 } as const;
const ROW = { ipv6: 1, candidate: 2, claim: 4, sees: 8, handover: 16, highest: 32, moves: 64 } as const;

/** Why a datagram is not believed; each has a counter. */
export type ClaimDrop = 'length' | 'magic' | 'version' | 'digest' | 'malformed';

/** `HMAC-SHA256(secret, purpose)`, cut to size: one secret of the cluster, a key for each use. */
export function deriveKey(secret: Uint8Array, purpose: string, octets: number): Uint8Array {
  return new Uint8Array(createHmac('sha256', secret).update(`fairway ${purpose}`).digest().subarray(0, octets));
}

/** Whether a payload on the shared port is one of these, and not BFD. */
export function isClaim(payload: Uint8Array): boolean {
  return (payload[0] ?? 0) >> 5 === 2;
}

interface Part {
  readonly rows: Row[];
  readonly sightings: Sighting[];
  readonly stations: Map<Station, number>;
  octets: number;
}

/**
 * The statement in datagrams, none above 1,200 octets. Rows must be in order. `isNews`: parts with no such row are left out,
 * for what was told before of their ranges goes on to hold.
 */
export function encode(
  statement: Statement,
  key: Uint8Array,
  isNews: (rows: readonly Row[]) => boolean = () => true,
): Uint8Array[] {
  const parts = cutIntoParts(statement);
  const datagrams: Uint8Array[] = [];
  let after: Ip | undefined;
  parts.forEach((part, at) => {
    // the last part speaks for all that follows; one that has only sightings for nothing
    const until = at === parts.length - 1 ? undefined : (part.rows.at(-1)?.ip ?? after);
    if (isNews(part.rows)) datagrams.push(sign(encodePart(statement, part, at, after, until), key));
    after = until;
  });
  return datagrams;
}

function cutIntoParts(statement: Statement): Part[] {
  const parts: Part[] = [];
  let part = startPart(statement);
  const next = () => {
    parts.push(part);
    part = startPart(statement);
  };
  const sightings = new Map(statement.sightings.map((sighting) => [sighting.station, sighting]));
  const waiting = new Set(sightings.keys());
  const full = (octets: number) => part.octets + octets > MOST_OCTETS - DIGEST_OCTETS || part.stations.size > 250;
  for (const row of statement.rows) {
    const stations = [row.sees?.owner, row.handover?.with].filter((each) => each !== undefined);
    if (full(rowOctets(row) + stations.length * (STATION_OCTETS + SIGHTING_OCTETS))) next();
    for (const station of stations) place(part, station, sightings.get(station));
    for (const station of stations) waiting.delete(station);
    part.rows.push(row);
    part.octets += rowOctets(row);
  }
  for (const station of waiting) {
    if (full(STATION_OCTETS + SIGHTING_OCTETS)) next();
    place(part, station, sightings.get(station));
  }
  return [...parts, part];
}

/** With the octets of all that is in every part, at most. */
function startPart({ node, link, macs }: Statement): Part {
  const names = 2 + Buffer.byteLength(node) + Buffer.byteLength(link);
  const octets = HEAD_OCTETS + names + 1 + macs.length * 6 + 3 * (1 + 16) + COUNTS_OCTETS;
  return { rows: [], sightings: [], stations: new Map(), octets };
}

function place(part: Part, station: Station, sighting: Sighting | undefined): void {
  if (part.stations.has(station)) return;
  part.stations.set(station, part.stations.size);
  part.octets += STATION_OCTETS;
  if (sighting === undefined) return;
  part.sightings.push(sighting);
  part.octets += SIGHTING_OCTETS;
}

function rowOctets(row: Row): number {
  const { ip, claim, sees, handover, moves } = row;
  const optional =
    (claim === undefined ? 0 : 4) +
    (sees === undefined ? 0 : 5) +
    (handover === undefined ? 0 : 6) +
    (moves === undefined ? 0 : 1 + moves.length * 6);
  return 1 + (familyOf(ip) === 'ipv4' ? 4 : 16) + optional + (row.highest === impliedHighest(claim, sees) ? 0 : 4);
}

/** What `highest` is where it is not said. */
function impliedHighest(claim: number | undefined, sees: Row['sees']): number {
  return Math.max(claim ?? 0, sees?.epoch ?? 0);
}

function encodePart(
  statement: Statement,
  part: Part,
  at: number,
  after: Ip | undefined,
  until: Ip | undefined,
): Buffer {
  const out = SmartBuffer.fromSize(MOST_OCTETS);
  let flags = (after === undefined ? 0 : FLAG.after) | (until === undefined ? 0 : FLAG.until);
  for (const name of ['here', 'ready', 'gatewayOk', 'leaving', 'goodbye', 'asks'] as const) {
    if (statement[name]) flags |= FLAG[name];
  }
  out.writeUInt32BE(MAGIC).writeUInt8(VERSION).writeUInt8(flags).writeUInt16BE(at);
  writeU48(out, statement.incarnation).writeUInt32BE(statement.sequence);
  writeU48(out, statement.clock);
  for (const name of [statement.node, statement.link]) out.writeUInt8(name.length).writeString(name, 'latin1');
  out.writeUInt8(statement.macs.length);
  for (const mac of statement.macs) out.writeBuffer(Buffer.from(macToBytes(mac)));
  if (statement.address === undefined) out.writeUInt8(0);
  else writeAddress(out, statement.address);
  if (after !== undefined) writeAddress(out, after);
  if (until !== undefined) writeAddress(out, until);
  out.writeUInt8(part.stations.size);
  for (const station of part.stations.keys()) out.writeString(station, 'hex');
  out.writeUInt8(part.sightings.length);
  for (const { station, incarnation, sequence, heard, gatewayOk } of part.sightings) {
    out.writeUInt8(part.stations.get(station) ?? 0);
    writeU48(out, incarnation).writeUInt32BE(sequence);
    out.writeUInt8((heard ? SEEN.heard : 0) | (gatewayOk ? SEEN.gatewayOk : 0));
  }
  out.writeUInt16BE(part.rows.length);
  for (const row of part.rows) writeRow(out, row, part.stations);
  return out.toBuffer();
}

function writeU48(out: SmartBuffer, value: number): SmartBuffer {
  return out.writeUInt16BE(Math.floor(value / 2 ** 32)).writeUInt32BE(value % 2 ** 32);
}

function writeAddress(out: SmartBuffer, ip: Ip): void {
  const octets = ipToBytes(ip);
  out.writeUInt8(octets.length).writeBuffer(Buffer.from(octets));
}

function writeRow(out: SmartBuffer, row: Row, stations: ReadonlyMap<Station, number>): void {
  const { ip, candidate, claim, sees, handover, highest, moves } = row;
  const isImplied = highest === impliedHighest(claim, sees);
  out.writeUInt8(
    (familyOf(ip) === 'ipv6' ? ROW.ipv6 : 0) |
      (candidate ? ROW.candidate : 0) |
      (claim === undefined ? 0 : ROW.claim) |
      (sees === undefined ? 0 : ROW.sees) |
      (handover === undefined ? 0 : ROW.handover) |
      (isImplied ? 0 : ROW.highest) |
      (moves === undefined ? 0 : ROW.moves),
  );
  out.writeBuffer(Buffer.from(ipToBytes(ip)));
  if (claim !== undefined) out.writeUInt32BE(claim);
  if (sees !== undefined) out.writeUInt8(stations.get(sees.owner) ?? 0).writeUInt32BE(sees.epoch);
  if (handover !== undefined) {
    out.writeUInt8(HANDOVER_PHASES.indexOf(handover.phase) * 16 + HANDOVER_REASONS.indexOf(handover.reason));
    out.writeUInt8(stations.get(handover.with) ?? 0).writeUInt32BE(handover.epoch);
  }
  if (!isImplied) out.writeUInt32BE(highest);
  if (moves === undefined) return;
  out.writeUInt8(moves.length);
  // what was before the sender's start is negative on its clock
  for (const at of moves) writeU48(out, at < 0 ? at + 2 ** 48 : at);
}

function sign(body: Buffer, key: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([body, createHmac('sha256', key).update(body).digest()]));
}

/** Thrown inside this file alone. */
class Malformed extends Error {}

/** A payload as a part of a statement, or why it is dropped. Any of the keys may have signed it. */
export function decode(
  payload: Uint8Array,
  keys: readonly Uint8Array[],
): { readonly statement: Statement } | { readonly drop: ClaimDrop } {
  if (payload.length < 8 + DIGEST_OCTETS || payload.length > MOST_OCTETS) return { drop: 'length' };
  const body = payload.subarray(0, payload.length - DIGEST_OCTETS);
  const reader = new Reader(body);
  if (reader.u32() !== MAGIC) return { drop: 'magic' };
  if (reader.u8() !== VERSION) return { drop: 'version' };
  const digest = payload.subarray(payload.length - DIGEST_OCTETS);
  if (!keys.some((key) => timingSafeEqual(createHmac('sha256', key).update(body).digest(), digest))) {
    return { drop: 'digest' };
  }
  try {
    return { statement: readStatement(reader) };
  } catch (error) {
    if (error instanceof Truncated || error instanceof Malformed) return { drop: 'malformed' };
    throw error;
  }
}

function readStatement(reader: Reader): Statement {
  const flags = reader.u8();
  const has = (name: keyof typeof FLAG) => (flags & FLAG[name]) !== 0;
  const part = reader.u16();
  const incarnation = readU48(reader);
  const sequence = reader.u32();
  const clock = readU48(reader);
  const node = readText(reader, 253);
  const link = readText(reader, 15);
  const macs = Array.from({ length: reader.u8() }, () => macFromBytes(reader.take(6)));
  const address = readAddress(reader, true);
  const after = has('after') ? readAddress(reader, false) : undefined;
  const until = has('until') ? readAddress(reader, false) : undefined;
  const stations = Array.from({ length: reader.u8() }, () => Buffer.from(reader.take(8)).toString('hex'));
  const sightings = Array.from({ length: reader.u8() }, () => readSighting(reader, stations));
  const rows = Array.from({ length: reader.u16() }, () => readRow(reader, stations));
  if (reader.left > 0) throw new Malformed();
  let before = after;
  for (const { ip } of rows) {
    if (before !== undefined && compareAddresses(ip, before) <= 0) throw new Malformed();
    before = ip;
  }
  if (until !== undefined && before !== undefined && compareAddresses(before, until) > 0) throw new Malformed();
  return {
    ...{ node, link, here: has('here'), incarnation, sequence, clock, part, macs },
    ...(address !== undefined && { address }),
    ...{ ready: has('ready'), gatewayOk: has('gatewayOk'), leaving: has('leaving') },
    ...{ goodbye: has('goodbye'), asks: has('asks'), sightings, rows },
    ...(after !== undefined && { after }),
    ...(until !== undefined && { until }),
  };
}

function readU48(reader: Reader): number {
  return reader.u16() * 2 ** 32 + reader.u32();
}

/** Two's complement. */
function readI48(reader: Reader): number {
  const value = readU48(reader);
  return value < 2 ** 47 ? value : value - 2 ** 48;
}

function readText(reader: Reader, most: number): string {
  const octets = reader.take(reader.u8());
  const text = Buffer.from(octets).toString('latin1');
  // names of nodes and interfaces are printable ASCII; a slash would make two stations look like one
  if (text.length === 0 || text.length > most || !/^[!-.0-~]+$/.test(text)) throw new Malformed();
  return text;
}

function readAddress(reader: Reader, mayBeAbsent: boolean): Ip | undefined {
  const length = reader.u8();
  if (length === 0 && mayBeAbsent) return undefined;
  if (length !== 4 && length !== 16) throw new Malformed();
  return ipFromBytes(reader.take(length));
}

function readStation(reader: Reader, stations: readonly Station[]): Station {
  const station = stations[reader.u8()];
  if (station === undefined) throw new Malformed();
  return station;
}

function readSighting(reader: Reader, stations: readonly Station[]): Sighting {
  const station = readStation(reader, stations);
  const incarnation = readU48(reader);
  const sequence = reader.u32();
  const flags = reader.u8();
  if (flags > (SEEN.heard | SEEN.gatewayOk)) throw new Malformed();
  const heard = (flags & SEEN.heard) !== 0;
  return { station, incarnation, sequence, heard, gatewayOk: (flags & SEEN.gatewayOk) !== 0 };
}

function readRow(reader: Reader, stations: readonly Station[]): Row {
  const flags = reader.u8();
  if (flags > 127) throw new Malformed();
  const has = (name: keyof typeof ROW) => (flags & ROW[name]) !== 0;
  const ip = ipFromBytes(reader.take(has('ipv6') ? 16 : 4));
  const claim = has('claim') ? reader.u32() : undefined;
  const sees = has('sees') ? { owner: readStation(reader, stations), epoch: reader.u32() } : undefined;
  const handover = has('handover') ? readHandover(reader, stations) : undefined;
  const highest = has('highest') ? reader.u32() : impliedHighest(claim, sees);
  const moves = has('moves') ? Array.from({ length: reader.u8() }, () => readI48(reader)) : undefined;
  return {
    ...{ ip, candidate: has('candidate'), highest },
    ...(claim !== undefined && { claim }),
    ...(moves !== undefined && { moves }),
    ...(sees !== undefined && { sees }),
    ...(handover !== undefined && { handover }),
  };
}

function readHandover(reader: Reader, stations: readonly Station[]): Handover {
  const octet = reader.u8();
  const [phase, reason] = [HANDOVER_PHASES[octet >> 4], HANDOVER_REASONS[octet & 15]];
  if (phase === undefined || reason === undefined) throw new Malformed();
  return { phase, reason, with: readStation(reader, stations), epoch: reader.u32() };
}
