// A statement of another speaker comes in: is it new, and what does it change? Replays are refused by incarnation and
// sequence; a lower incarnation (a clock that was set back) must prove that it has just heard us. Called by `owner`.

import type { Ip } from '../net/address.ts';
import { compareAddresses } from '../net/address.ts';
import type { Tick } from '../net/machine.ts';
import { OFF } from '../net/machine.ts';
import type { Effects } from './event.ts';
import { HANDOVER_MS } from './handover.ts';
import { forgetQuestions } from './question.ts';
import { addMember, isFullMesh, watches } from './ring.ts';
import type { Member, RowRange, Segment } from './segment.ts';
import { markRowsOf, noteMoves, UNSETTLED_MS } from './segment.ts';
import type { Row, Statement, Station } from './statement.ts';
import { isLater, sameRow, stationOf } from './statement.ts';
import { tellSoon } from './tell.ts';

/** How far behind our last statement the one may be that a speaker proves itself with. */
const FRESH_STATEMENTS = 20;
const MOST_MEMBERS = 1_024;

/** Why a statement is not believed; each has a counter. */
export type HearingDrop = 'own' | 'replayed' | 'stale-incarnation' | 'unknown-station' | 'too-many-members';

export function hear(segment: Segment, statement: Statement, tick: Tick, effects: Effects): HearingDrop | undefined {
  const { now } = tick;
  if (statement.node === segment.node) return 'own';
  const known = memberNamed(segment, statement);
  const station = known?.station ?? stationOf(statement.node, statement.link);
  const refused = refusal(segment, statement, station, known);
  if (refused !== undefined) return refused;
  const member = known ?? createMember(statement, station);
  if (known === undefined) addMember(segment, member);
  if (known === undefined || member.incarnation !== statement.incarnation) {
    restart(segment, member, statement);
    tellSoon(segment, now);
  }
  member.sequence = statement.sequence;
  member.part = statement.part;
  member.toldAt = now;
  member.clockAhead = now - statement.clock;
  member.address = statement.address;
  member.macs = statement.macs;
  if (statement.asks) tellSoon(segment, now);
  takeFlags(segment, member, statement, now);
  for (const sighting of statement.sightings) member.sightings.set(sighting.station, sighting);
  takeRows(segment, member, statement, now);
  if (statement.here && !member.gone) heardNow(segment, member, now, effects);
  suspectByWord(segment, member, statement, now);
  return undefined;
}

/** Cheaper than to hash the names of every statement. */
function memberNamed({ members }: Segment, { node, link }: Statement): Member | undefined {
  for (const member of members.values()) if (member.node === node && member.link === link) return member;
  return undefined;
}

function refusal(
  segment: Segment,
  statement: Statement,
  station: Station,
  known: Member | undefined,
): HearingDrop | undefined {
  if (known === undefined) {
    // what comes over another path says nothing about who is on this segment
    if (!statement.here) return 'unknown-station';
    if (segment.members.size >= MOST_MEMBERS) return 'too-many-members';
    return isOlderThanTold(segment, statement, station) ? 'replayed' : undefined;
  }
  if (statement.incarnation === known.incarnation) {
    const later =
      statement.sequence > known.sequence || (statement.sequence === known.sequence && statement.part > known.part);
    return later ? undefined : 'replayed';
  }
  if (statement.incarnation > known.incarnation) return undefined;
  // what the one before it recorded is older than what we told since
  const proof = statement.sightings.find((sighting) => sighting.station === segment.station);
  const fresh =
    proof !== undefined &&
    proof.incarnation === segment.incarnation &&
    proof.sequence <= segment.sequence &&
    proof.sequence > Math.max(known.believedSince, segment.sequence - FRESH_STATEMENTS);
  return fresh ? undefined : 'stale-incarnation';
}

/** Somebody has had a later word of it: what comes now was recorded before. */
function isOlderThanTold(segment: Segment, statement: Statement, station: Station): boolean {
  for (const { sightings } of segment.members.values()) {
    const sighting = sightings.get(station);
    if (sighting?.heard && isLater(sighting, statement)) return true;
  }
  return false;
}

function createMember({ node, link, incarnation }: Statement, station: Station): Member {
  return {
    ...{
      station,
      node,
      link,
      incarnation,
      believedSince: 0,
      sequence: -1,
      part: -1,
      heardAt: -OFF,
      toldAt: -OFF,
      clockAhead: 0,
      heard: false,
      quiet: true,
      watched: true,
    },
    ...{ address: undefined, macs: [], ready: false, gatewayOk: true, gatewaySince: -OFF, leaving: false, gone: false },
    ...{ stableSince: OFF, suspectedAt: OFF, ranges: new Map(), rows: new Map(), sightings: new Map() },
    ...{ asked: [], askedAt: -OFF, answeredAt: -OFF, hostAnsweredAt: -OFF, silent: false, stillAnswers: false },
  };
}

/** A new incarnation claims nothing of what the one before did. */
function restart(segment: Segment, member: Member, { incarnation }: Statement): void {
  markRowsOf(segment, member);
  member.incarnation = incarnation;
  member.believedSince = segment.sequence;
  member.ranges.clear();
  member.rows.clear();
  member.sightings.clear();
  member.gone = false;
  member.stableSince = OFF;
  member.answeredAt = -OFF;
  forgetQuestions(member);
}

function takeFlags(segment: Segment, member: Member, statement: Statement, now: number): void {
  const { ready, gatewayOk, leaving, goodbye } = statement;
  const changed = ready !== member.ready || gatewayOk !== member.gatewayOk || leaving !== member.leaving || goodbye;
  if (gatewayOk !== member.gatewayOk || member.gatewaySince === -OFF) member.gatewaySince = now;
  member.ready = ready;
  member.gatewayOk = gatewayOk;
  member.leaving = leaving;
  if (!ready || leaving || goodbye || !gatewayOk) member.stableSince = OFF;
  if (goodbye) {
    member.gone = true;
    member.heard = false;
  }
  // whose turn it is may have changed
  if (changed) for (const ip of segment.addresses.keys()) segment.dirty.add(ip);
}

/** An authentic frame of the member, BFD or statement, over this segment. */
export function heardNow(segment: Segment, member: Member, at: number, effects: Effects): void {
  if (at <= member.heardAt) return;
  member.heardAt = at;
  member.suspectedAt = OFF;
  member.quiet = false;
  if (member.asked.length > 0 || member.silent || member.stillAnswers) forgetQuestions(member);
  if (!member.heard) {
    member.heard = true;
    for (const ip of segment.addresses.keys()) segment.dirty.add(ip);
    // both sides of a split that has healed must learn of each other's claims at once
    tellSoon(segment, at);
    segment.unsettledUntil = at + UNSETTLED_MS;
    const { node, link } = member;
    effects.push({ report: 'l2-member', node, link, heard: true });
  }
  if (member.stableSince === OFF && member.ready && !member.leaving && member.gatewayOk) member.stableSince = at;
}

/** What the rows leave out of their range is released with them. */
function takeRows(segment: Segment, member: Member, { after, until, rows, clock }: Statement, now: number): void {
  for (const { ip, handover } of rows) {
    if (handover?.phase !== 'hand' || handover.with !== segment.station) continue;
    // it was taken, and the giver has not heard of it
    if (segment.addresses.get(ip)?.claim !== undefined) segment.urgent.add(member.station);
  }
  const key = `${after ?? ''}-${until ?? ''}`;
  const before = member.ranges.get(key);
  if (before?.rows === rows) return;
  const named = new Set<Ip>();
  for (const row of rows) {
    named.add(row.ip);
    const old = member.rows.get(row.ip);
    member.rows.set(row.ip, row);
    if (old === undefined || !sameRow(old, row)) noteRow(segment, row, old, clock, now);
  }
  const covered = before?.rows.map(({ ip }) => ip) ?? [...member.rows.keys()].filter((ip) => covers(after, until, ip));
  for (const ip of covered) {
    if (named.has(ip)) continue;
    member.rows.delete(ip);
    if (segment.addresses.has(ip)) segment.dirty.add(ip);
  }
  // the sender may cut its rows elsewhere than before
  if (before === undefined) {
    for (const [old, range] of member.ranges) if (overlap(range, { after, until })) member.ranges.delete(old);
  }
  member.ranges.set(key, { after, until, rows });
}

function covers(after: Ip | undefined, until: Ip | undefined, ip: Ip): boolean {
  return (
    (after === undefined || compareAddresses(ip, after) > 0) &&
    (until === undefined || compareAddresses(ip, until) <= 0)
  );
}

function overlap(a: Omit<RowRange, 'rows'>, b: Omit<RowRange, 'rows'>): boolean {
  const before = (until: Ip | undefined, after: Ip | undefined) =>
    until !== undefined && after !== undefined && compareAddresses(until, after) <= 0;
  return !before(a.until, b.after) && !before(b.until, a.after);
}

function noteRow(segment: Segment, row: Row, old: Row | undefined, clock: number, now: number): void {
  const address = segment.addresses.get(row.ip);
  if (address === undefined) return;
  segment.dirty.add(row.ip);
  address.highest = Math.max(address.highest, row.highest, row.claim ?? 0);
  address.ownerKnown ||= row.claim !== undefined;
  if (row.moves !== undefined) {
    const ahead = now - clock;
    noteMoves(
      address,
      row.moves.map((at) => at + ahead),
      now,
    );
  }
  const { handover } = row;
  if (handover === undefined || handover.phase === 'ack') return;
  if (old?.handover?.phase === handover.phase && old.handover.epoch === handover.epoch) return;
  address.handoverUntil = now + HANDOVER_MS;
}

/** A member that is not watched by us was lost by one that watches it: the LAN is asked at once. */
function suspectByWord(segment: Segment, teller: Member, { sightings }: Statement, now: number): void {
  if (isFullMesh(segment)) return;
  for (const { station, heard, incarnation } of sightings) {
    const member = segment.members.get(station);
    if (heard || member === undefined || member.watched || member.gone || member.incarnation !== incarnation) continue;
    if (member.suspectedAt === OFF && watches(segment, teller.station, station)) member.suspectedAt = now;
  }
}
