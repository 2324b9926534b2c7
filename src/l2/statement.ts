// What a speaker tells the others of one segment: who it is there, whom it hears, and a row for each address it may answer
// for. Called by `claim` (octets) and by the rules in `owner` and around it. A statement replaces what its sender said
// before about the addresses between `after` and `until`; what it leaves out of that range is neither claimed nor wanted.

import { createHash } from 'node:crypto';
import type { Ip, Mac } from '../net/address.ts';

/** One interface of one node, as all speakers name it: 16 hexadecimal digits. */
export type Station = string;

/** Names of nodes and interfaces are too long to be repeated in every row. */
export function stationOf(node: string, link: string): Station {
  return createHash('sha256').update(`${node}/${link}`).digest('hex').slice(0, 16);
}

/** Why an owner gives an address away. */
export const HANDOVER_REASONS = ['leave', 'unfit', 'fail-back'] as const;
export type HandoverReason = (typeof HANDOVER_REASONS)[number];

/**
 * `prepare`: will you take it (the giver still answers); `ack`: I will; `hand`: it is yours (the giver has stopped).
 */
export const HANDOVER_PHASES = ['prepare', 'ack', 'hand'] as const;
export type HandoverPhase = (typeof HANDOVER_PHASES)[number];

export interface Handover {
  readonly phase: HandoverPhase;
  /** The other end. */
  readonly with: Station;
  /** Under which the giver owned it. */
  readonly epoch: number;
  readonly reason: HandoverReason;
}

/** All that a speaker says about one address. */
export interface Row {
  readonly ip: Ip;
  /** By its own snapshot alone. */
  readonly candidate: boolean;
  /** The epoch under which it answers for the address; absent: it does not. */
  readonly claim?: number;
  /**
   * When the address moved of free will lately, on the sender's clock in whole ms (negative: before it started), at most 255;
   * absent: it did not.
   */
  readonly moves?: readonly number[];
  /** Highest epoch it has seen, 0: none. */
  readonly highest: number;
  /** The other station that it hears claim the address. */
  readonly sees?: { readonly owner: Station; readonly epoch: number };
  readonly handover?: Handover;
}

/** What a speaker knows of another one. */
export interface Sighting {
  readonly station: Station;
  /** Of the last statement it had from it. */
  readonly incarnation: number;
  readonly sequence: number;
  /** An authenticated frame within 900 ms, on this segment. */
  readonly heard: boolean;
  /** As that one told. */
  readonly gatewayOk: boolean;
}

export interface Statement {
  readonly node: string;
  /** The sender's own name of its interface on the segment that this is about. */
  readonly link: string;
  /** False: told over another path, because this one is lost; never a proof that the sender is heard here. */
  readonly here: boolean;
  /** Grows with every start of the process; ms of its clock, below 2^48. */
  readonly incarnation: number;
  /** Grows with every statement of the incarnation, below 2^32; parts of one statement share it. */
  readonly sequence: number;
  /** What the sender's clock of ticks shows, in whole ms below 2^48: for reading its other instants. */
  readonly clock: number;
  /** Which part of the statement this is, 0-65535. */
  readonly part: number;
  /** The interface's own address: where BFD and statements for the sender go. */
  readonly address?: Ip;
  readonly macs: readonly Mac[];
  /** Able to take an address. */
  readonly ready: boolean;
  /** Its gateway answers there, or never did. */
  readonly gatewayOk: boolean;
  readonly leaving: boolean;
  /** The last word of an incarnation. */
  readonly goodbye: boolean;
  /** Everybody who hears this is asked to tell at once. */
  readonly asks: boolean;
  readonly sightings: readonly Sighting[];
  /** Exclusive lower and inclusive upper end of what the rows cover; absent: no end. */
  readonly after?: Ip;
  readonly until?: Ip;
  /** In the order of addresses. The same array while it says the same. */
  readonly rows: readonly Row[];
}

/** A later word of the same station. */
export function isLater(
  a: { readonly incarnation: number; readonly sequence: number },
  b: { readonly incarnation: number; readonly sequence: number },
): boolean {
  return a.incarnation !== b.incarnation ? a.incarnation > b.incarnation : a.sequence > b.sequence;
}

export function sameRow(a: Row, b: Row): boolean {
  return (
    a.candidate === b.candidate &&
    a.claim === b.claim &&
    a.highest === b.highest &&
    a.sees?.owner === b.sees?.owner &&
    a.sees?.epoch === b.sees?.epoch &&
    a.handover?.phase === b.handover?.phase &&
    a.handover?.with === b.handover?.with &&
    a.handover?.epoch === b.handover?.epoch &&
    a.handover?.reason === b.handover?.reason &&
    a.moves?.join() === b.moves?.join()
  );
}
