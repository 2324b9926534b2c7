// Two speakers claim one address: who gives way. Settled by what both were told, never by frames of a stranger. The losing
// side releases at once; a winner that its rival cannot hear gives way after a while, for an owner that nobody hears would
// never learn that it lost. Called by `owner` for each address that this node claims.

import { createHash } from 'node:crypto';
import type { Ip } from '../net/address.ts';
import { OFF } from '../net/machine.ts';
import type { Effects, ReleaseCause } from './event.ts';
import type { Address, Segment } from './segment.ts';
import { gatewayOk, isHeard, recall } from './segment.ts';
import { type Rival, rivalsOf } from './vacancy.ts';

const UNHEARD_MS = 900;
/** Where somebody hears both, and so tells the rival of us. */
const MEDIATED_MS = 2_000;

/** Why this node must give the address up now, or undefined. */
export function settleConflict(
  segment: Segment,
  address: Address,
  now: number,
  effects: Effects,
): { readonly because: ReleaseCause; readonly to: string | undefined } | undefined {
  const rivals = rivalsOf(segment, address.ip, now);
  const [rival] = rivals;
  if (rival === undefined) {
    if (address.conflictSince !== OFF) {
      // the loser has released: whoever believed it must be told again
      if (address.answering) effects.push({ do: 'announce', ip: address.ip });
      address.conflictSince = OFF;
      address.rival = undefined;
    }
    return undefined;
  }
  if (address.rival !== rival.station) {
    address.rival = rival.station;
    effects.push({ report: 'l2-conflict', ip: address.ip, with: rival.node ?? rival.station });
  }
  const winner = rivals.find((each) => !outranks(segment, address, each));
  if (winner !== undefined) return { because: 'conflict', to: winner.node };
  if (address.conflictSince === OFF) {
    address.conflictSince = now;
    segment.changed = true;
  }
  const deaf = rivals.find((each) => each.member?.sightings.get(segment.station)?.heard !== true);
  if (deaf === undefined) return undefined;
  const until = address.conflictSince + (somebodyHearsBoth(segment, deaf, now) ? MEDIATED_MS : UNHEARD_MS);
  if (now >= until) return { because: 'not-heard-by-rival', to: deaf.node };
  recall(address, until);
  return undefined;
}

/** The gateway's answer, then the later epoch, then the lower SHA-256; two claims are never equal. */
function outranks(segment: Segment, { ip, claim }: Address, rival: Rival): boolean {
  const ok = gatewayOk(segment);
  if (ok !== rival.gatewayOk) return ok;
  if (claim !== rival.epoch) return (claim ?? 0) > rival.epoch;
  return digestOf(segment.node, ip) < digestOf(rival.node ?? rival.station, ip);
}

function digestOf(node: string, ip: Ip): string {
  return createHash('sha256').update(`${node}#${ip}`).digest('hex');
}

function somebodyHearsBoth(segment: Segment, rival: Rival, now: number): boolean {
  for (const member of segment.members.values()) {
    if (member.station === rival.station || !isHeard(member, now)) continue;
    if (member.sightings.get(segment.station)?.heard !== true) continue;
    if (member.sightings.get(rival.station)?.heard === true) return true;
  }
  return false;
}
