// Is an address without an owner, and whose turn is it to take it? Claims that are heard, words of witnesses, hand-overs under
// way and the silence of the LAN are weighed here; none of them is a timeout of an owner that may be alive. Called by `owner`.

import type { Ip } from '../net/address.ts';
import { OFF } from '../net/machine.ts';
import type { Address, Member, Segment } from './segment.ts';
import { gatewayOk, HEARD_MS, isHeard, isWitness, QUIET_MS, silentAt, wouldTake } from './segment.ts';
import type { Row, Sighting, Station } from './statement.ts';
import { isLater, stationOf } from './statement.ts';

const TURN_MS = 100;
/** A turn of one who first probes for strangers. */
const PROBING_TURN_MS = 600;

/** A speaker that claims the address too, or that somebody hears claim it. */
export interface Rival {
  readonly station: Station;
  readonly node: string | undefined;
  readonly epoch: number;
  readonly gatewayOk: boolean;
  /** Absent: known through witnesses alone. */
  readonly member?: Member;
}

export function isOwn(segment: Segment, station: Station): boolean {
  if (station === segment.station) return true;
  return segment.facts.links.some((link) => stationOf(segment.node, link) === station);
}

/** Others that are heard claiming it, then those that witnesses hear. */
export function rivalsOf(segment: Segment, ip: Ip, now: number): Rival[] {
  const rivals: Rival[] = [];
  for (const member of segment.members.values()) {
    const epoch = member.rows.get(ip)?.claim;
    if (epoch === undefined || !isHeard(member, now)) continue;
    const { station, node } = member;
    rivals.push({ station, node, epoch, gatewayOk: member.gatewayOk, member });
  }
  for (const witness of segment.members.values()) {
    const seen = validWord(segment, witness, ip, now);
    if (seen === undefined || rivals.some(({ station }) => station === seen.owner)) continue;
    const node = segment.members.get(seen.owner)?.node;
    const ok = witness.sightings.get(seen.owner)?.gatewayOk ?? true;
    rivals.push({ station: seen.owner, node, epoch: seen.epoch, gatewayOk: ok });
  }
  return rivals;
}

/** What a witness says of another owner, unless we know better. */
function validWord(segment: Segment, witness: Member, ip: Ip, now: number): NonNullable<Row['sees']> | undefined {
  const sees = witness.rows.get(ip)?.sees;
  if (sees === undefined || !isWitness(witness, now) || isOwn(segment, sees.owner)) return undefined;
  const owner = segment.members.get(sees.owner);
  if (owner === undefined) return sees;
  const sighting = witness.sightings.get(sees.owner);
  return isSuperseded(owner, ip, sighting) ? undefined : sees;
}

/** A later word of the owner itself voids what a witness heard from it. */
function isSuperseded(owner: Member, ip: Ip, sighting: Sighting | undefined): boolean {
  if (sighting === undefined || !isLater(owner, sighting)) return false;
  return owner.gone || owner.rows.get(ip)?.claim === undefined;
}

/** Why the address is not vacant; `until`: when that must be looked at again. */
export interface Held {
  readonly by: 'claim' | 'witness' | 'handover' | 'silence-unproven';
  readonly until: number;
}

export function heldBy(segment: Segment, address: Address, now: number): Held | undefined {
  const { ip } = address;
  for (const member of segment.members.values()) {
    if (member.gone || member.rows.get(ip)?.claim === undefined) continue;
    if (isHeard(member, now)) return { by: 'claim', until: silentAt(member, HEARD_MS) + 1 };
    // port 7946 may be blocked, or the speaker dead and its answers still there: only the LAN can tell
    if (!member.silent) return { by: 'silence-unproven', until: OFF };
  }
  if (address.handoverUntil > now) return { by: 'handover', until: address.handoverUntil };
  for (const witness of segment.members.values()) {
    if (validWord(segment, witness, ip, now) === undefined) continue;
    return { by: 'witness', until: silentAt(witness, QUIET_MS) + 1 };
  }
  return undefined;
}

/** The owner to tell of: of those heard the one with the highest epoch. */
export function seenOwner(segment: Segment, ip: Ip, now: number): Row['sees'] {
  let best: { readonly owner: Station; readonly epoch: number } | undefined;
  for (const member of segment.members.values()) {
    const { station, rows } = member;
    const epoch = rows.get(ip)?.claim;
    if (epoch === undefined || !isHeard(member, now)) continue;
    if (best === undefined || epoch > best.epoch || (epoch === best.epoch && station < best.owner)) {
      best = { owner: station, epoch };
    }
  }
  return best;
}

/** How long after an address fell vacant this node waits for those that come before it. */
export function turnMs(segment: Segment, { ip, wanted, probe, ownerKnown }: Address, now: number): number {
  const mine = wanted.candidates.findIndex(({ node }) => node === segment.node);
  const ok = gatewayOk(segment);
  const ahead = new Set<string>();
  for (const member of segment.members.values()) {
    if (member.node === segment.node || !wouldTake(member, ip, now)) continue;
    const order = wanted.candidates.findIndex(({ node }) => node === member.node);
    // who has lost its gateway comes after all who have theirs
    const before = member.gatewayOk === ok ? order >= 0 && order < mine : member.gatewayOk;
    if (before) ahead.add(member.node);
  }
  return ahead.size * (!ownerKnown && probe?.is !== 'free' ? PROBING_TURN_MS : TURN_MS);
}
