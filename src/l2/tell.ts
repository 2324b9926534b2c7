// What this speaker tells and when: at once, 20 and 60 ms after a change, then every second; what was lost is repaired by
// repetition. Called by `owner` at the end of each step.

import { OFF } from '../net/machine.ts';
import type { Effects } from './event.ts';
import type { Address, Segment } from './segment.ts';
import { gatewayOk, isHeard, isReady, MOST_MOVES, movesLately } from './segment.ts';
import type { Handover, Row, Sighting, Statement } from './statement.ts';
import { sameRow } from './statement.ts';
import { seenOwner } from './vacancy.ts';

export const TELL_EVERY_MS = 1_000;
/** After a change was told for the first time. */
const REPEAT_AFTER_MS = [20, 40] as const;
/** What comes within this time of a statement goes with the next one. */
const GATHER_MS = 10;

/** Brings the row of an address up to date; a row that differs is a change. */
export function updateRow(segment: Segment, address: Address, now: number): void {
  const { ip, candidate, claim, highest, row } = address;
  const sees = seenOwner(segment, ip, now);
  const handover = handoverOf(address);
  const moves = movesLately(address, now).slice(-MOST_MOVES).map(Math.round);
  const fresh: Row = {
    ...{ ip, candidate, highest },
    ...(claim !== undefined && { claim }),
    ...(sees !== undefined && { sees }),
    ...(handover !== undefined && { handover }),
    ...(moves.length > 0 && { moves }),
  };
  if (sameRow(fresh, row)) return;
  address.row = fresh;
  segment.rows = undefined;
  segment.changed = true;
}

function handoverOf({ giving, taking }: Address): Handover | undefined {
  if (giving !== undefined) {
    const { phase, to, epoch, reason } = giving;
    return { phase, with: to, epoch, reason };
  }
  return taking?.handover;
}

/** Tells what is due. */
export function tell(segment: Segment, now: number, effects: Effects): void {
  if (segment.changed) {
    segment.changed = false;
    segment.repeats = REPEAT_AFTER_MS.length;
    segment.tellAt = Math.max(now, segment.lastToldAt + GATHER_MS);
  }
  if (now >= segment.tellAt) {
    effects.push({ do: 'tell', statement: compose(segment, now), over: segment.facts.carrier ? 'segment' : 'any' });
    const next = REPEAT_AFTER_MS[REPEAT_AFTER_MS.length - segment.repeats];
    segment.tellAt = now + (next ?? TELL_EVERY_MS);
    if (next !== undefined) segment.repeats--;
    segment.lastToldAt = now;
    segment.urgent.clear();
  }
  for (const to of segment.urgent) effects.push({ do: 'tell', statement: compose(segment, now), to, over: 'segment' });
  segment.urgent.clear();
}

/** Tells soon, because somebody asked or is new. */
export function tellSoon(segment: Segment, now: number): void {
  segment.tellAt = Math.min(segment.tellAt, Math.max(now, segment.lastToldAt + GATHER_MS));
}

function compose(segment: Segment, now: number): Statement {
  const { node, link, incarnation, facts } = segment;
  segment.sequence++;
  segment.rows ??= [...segment.addresses.values()].map(({ row }) => row);
  return {
    ...{ node, link, here: facts.carrier, incarnation, sequence: segment.sequence, clock: Math.round(now), part: 0 },
    ...(facts.address !== undefined && { address: facts.address }),
    macs: facts.macs,
    ready: isReady(segment, now),
    gatewayOk: gatewayOk(segment),
    leaving: segment.leaving,
    goodbye: segment.gone,
    asks: now < segment.asksUntil,
    sightings: sightingsOf(segment, now),
    rows: segment.rows,
  };
}

function sightingsOf(segment: Segment, now: number): Sighting[] {
  const sightings: Sighting[] = [];
  for (const member of segment.members.values()) {
    if (member.gone || member.heardAt === -OFF) continue;
    const { station, incarnation, sequence } = member;
    sightings.push({ station, incarnation, sequence, heard: isHeard(member, now), gatewayOk: member.gatewayOk });
  }
  return sightings;
}
