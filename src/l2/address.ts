// The life of an address on this node: nobody's, claimed, silent for a moment, released. Each change says what follows for the
// LAN and for whoever reads reports. Called by `owner`.

import { OFF } from '../net/machine.ts';
import type { ClaimCause, Effects, ReleaseCause } from './event.ts';
import type { Address, Segment, Wanted } from './segment.ts';
import { noteMoves } from './segment.ts';

export function createAddress(segment: Segment, wanted: Wanted, now: number): Address {
  const { ip } = wanted;
  let highest = 0;
  let ownerKnown = false;
  const told: number[][] = [];
  for (const { rows, clockAhead } of segment.members.values()) {
    const row = rows.get(ip);
    highest = Math.max(highest, row?.highest ?? 0, row?.claim ?? 0);
    ownerKnown ||= row?.claim !== undefined;
    told.push((row?.moves ?? []).map((at) => at + clockAhead));
  }
  const address: Address = {
    ...{ ip, wanted, candidate: false, claim: undefined, answering: false, highest, ownerKnown, vacantSince: OFF },
    ...{ conflictSince: OFF, rival: undefined, giving: undefined, tried: [], giveAgainAt: -OFF, taking: undefined },
    ...{ handoverUntil: -OFF, moves: [], probe: undefined, toldOf: undefined, confirmation: undefined },
    ...{ confirmAt: OFF, confirmPauseMs: 0 },
    ...{ defendedAt: -OFF, row: { ip, candidate: false, highest: 0 }, dueAt: OFF },
  };
  for (const moves of told) noteMoves(address, moves, now);
  return address;
}

export function claim(segment: Segment, address: Address, epoch: number, because: ClaimCause, effects: Effects): void {
  const { ip } = address;
  address.claim = epoch;
  address.highest = epoch;
  address.ownerKnown = true;
  address.answering = true;
  address.vacantSince = OFF;
  address.conflictSince = OFF;
  address.taking = undefined;
  address.confirmation = undefined;
  if (because !== 'taken-back') address.tried = [];
  segment.changed = true;
  effects.push({ do: 'answer', ip }, { do: 'announce', ip }, { report: 'l2-claimed', ip, epoch, because });
}

export function resume(address: Address, effects: Effects): void {
  const { ip, claim: epoch = 0 } = address;
  address.answering = true;
  effects.push({ do: 'answer', ip }, { report: 'l2-claimed', ip, epoch, because: 'resumed' });
}

/** Stops answering and says so to all. */
export function release(
  segment: Segment,
  address: Address,
  because: ReleaseCause,
  to: string | undefined,
  effects: Effects,
): void {
  const { ip, claim: epoch, answering } = address;
  if (answering) effects.push({ do: 'silence', ip });
  address.answering = false;
  address.claim = undefined;
  address.giving = undefined;
  address.vacantSince = OFF;
  address.conflictSince = OFF;
  address.rival = undefined;
  address.confirmation = undefined;
  segment.changed = true;
  if (epoch !== undefined) effects.push({ report: 'l2-released', ip, because, ...(to !== undefined && { to }) });
}
