// Who watches whom with BFD: all speakers each other, up to 64 on a segment. Above, the stations stand in a ring, in the order
// of their names, and each is watched by its four neighbours on either side; who is not watched is known by its statements
// and by the word of those who watch it. Called by `hear`, and by whoever holds the BFD sessions.

import type { Member, Segment } from './segment.ts';
import type { Station } from './statement.ts';

/** This node included. */
const FULL_MESH = 64;
const EACH_SIDE = 4;

export function isFullMesh({ members }: Segment): boolean {
  return members.size < FULL_MESH;
}

export function addMember(segment: Segment, member: Member): void {
  segment.members.set(member.station, member);
  closeRing(segment);
}

/** Somebody who was not heard for so long that nobody waits for him any more. */
export function removeMember(segment: Segment, station: Station): void {
  segment.members.delete(station);
  closeRing(segment);
}

function closeRing(segment: Segment): void {
  const ring = [segment.station, ...segment.members.keys()].sort();
  segment.ring = new Map(ring.map((station, at) => [station, at]));
  for (const each of segment.members.values()) each.watched = watches(segment, segment.station, each.station);
}

/** Whether these two run BFD with each other. */
export function watches(segment: Segment, a: Station, b: Station): boolean {
  if (isFullMesh(segment)) return true;
  const [atA, atB] = [segment.ring.get(a), segment.ring.get(b)];
  if (atA === undefined || atB === undefined) return false;
  const apart = Math.abs(atA - atB);
  return Math.min(apart, segment.ring.size - apart) <= EACH_SIDE;
}
