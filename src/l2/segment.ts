// What one speaker knows of one segment (an interface of this node and all that can be reached over it): members, addresses,
// gateway. Plain data, changed by `owner` and the rules beside it (vacancy, question, conflict, handover, stranger, gateway)
// alone. Here are the times that the rules live by, and the questions that several of them ask.

import type { Ip, Mac } from '../net/address.ts';
import { OFF } from '../net/machine.ts';
import type { Handover, HandoverReason, Row, Sighting, Station } from './statement.ts';
import { stationOf } from './statement.ts';

/** A member is heard for so long after its last authenticated frame, whatever state its BFD session has. */
export const HEARD_MS = 900;
/** Silence from which on the LAN is asked, and beyond which a member is no witness. */
export const QUIET_MS = 600;
/** A witness that does not repeat its words, though its BFD goes on, is none. */
export const STALE_MS = 3_500;
/** A member that was not heard for so long is forgotten: nodes come and go, and with new names. */
const PAST_MS = 600_000;
/** Between starting to hear frames here and taking the first address: owners repeat themselves every second. */
export const START_MS = 1_000;

/** After a member is heard for the first time or again. */
export const UNSETTLED_MS = 1_000;
/** An address moves of free will so often in so long at most. */
export const MOST_MOVES = 3;
const MOVES_WITHIN_MS = 180_000;
const SAME_MOVE_MS = 1_500;
const MOST_KEPT_MOVES = 16;

export interface Candidate {
  readonly node: string;
  readonly score: number;
}

/** An address that some node should answer for on this segment. */
export interface Wanted {
  readonly ip: Ip;
  /** The order of the election, first the one that should own it. */
  readonly candidates: readonly Candidate[];
  /** A running speaker of MetalLB may answer for it: hands off. */
  readonly foreign: boolean;
  /** It was in a Service's status before this process came: claimed even if a stranger answers. */
  readonly established: boolean;
  /** Addresses that nobody has: whoever answers for them as well is a proxy. */
  readonly controls: readonly Ip[];
}

export interface Settings {
  /** How long the first in order must have been stable before an owner gives way: 0 at once, OFF never. */
  readonly failbackMs: number;
  /** What to do about an address that a stranger answers for. */
  readonly conflict: 'refuse' | 'warn';
}

export interface LinkFacts {
  readonly carrier: boolean;
  /** ARP and NDP frames can be sent and received there: the socket for them is open. */
  readonly frames: boolean;
  /** All interfaces of this node that serve addresses: two of them may be on one segment. */
  readonly links: readonly string[];
  /** All MACs of this node: none of them is a stranger. */
  readonly macs: readonly Mac[];
  /** Of this interface: where BFD and statements for us go. */
  readonly address?: Ip;
  /** At most one of each family. Whether the segment leads anywhere is told by the first. */
  readonly gateways: readonly Ip[];
  /** Addresses of nodes by name: asked for where a MAC is not known. */
  readonly nodes: ReadonlyMap<string, Ip>;
}

/** Rows of one statement part and what they cover. */
export interface RowRange {
  readonly after: Ip | undefined;
  readonly until: Ip | undefined;
  readonly rows: readonly Row[];
}

/** Another speaker's interface on this segment. */
export interface Member {
  readonly station: Station;
  readonly node: string;
  readonly link: string;
  incarnation: number;
  /** Our own statement that was the latest when this incarnation was first believed. */
  believedSince: number;
  sequence: number;
  part: number;
  /** Its last authenticated frame here, BFD or statement; -OFF: never. */
  heardAt: number;
  /** Its last statement, and how much more our clock showed than its. */
  toldAt: number;
  clockAhead: number;
  /** As judged last; a change of it makes the rules be asked again. */
  heard: boolean;
  quiet: boolean;
  address: Ip | undefined;
  macs: readonly Mac[];
  ready: boolean;
  gatewayOk: boolean;
  gatewaySince: number;
  leaving: boolean;
  /** Said goodbye: nothing of it holds until it starts again. */
  gone: boolean;
  /** Since when it could have taken any address without a pause. */
  stableSince: number;
  /** Whether this node runs BFD with it. */
  watched: boolean;
  /** Not watched by us, and one that watches it lost it at this time; OFF: none did. */
  suspectedAt: number;
  /** The rows by range, as they came. */
  readonly ranges: Map<string, RowRange>;
  readonly rows: Map<Ip, Row>;
  readonly sightings: Map<Station, Sighting>;
  /** Questions that went unanswered since the last answer, oldest first. */
  asked: number[];
  askedAt: number;
  answeredAt: number;
  hostAnsweredAt: number;
  /** The LAN has confirmed that nobody answers at its MAC. */
  silent: boolean;
  /** It is unheard, yet its addresses are answered: said once. */
  stillAnswers: boolean;
}

/** A hand-over that this speaker makes. */
export interface Giving {
  readonly phase: 'prepare' | 'hand';
  readonly to: Station;
  readonly epoch: number;
  readonly reason: HandoverReason;
  readonly at: number;
  readonly repeats: number;
}

export type Probe =
  /**
   * `asked` so often; the next at `nextAt`, for which a place in the queue of all probes is `reserved`. Somebody else has
   * probed for it since `contestedSince` (OFF: nobody), and may be told of us at `retortAt`.
   */
  | {
      readonly is: 'asking';
      readonly asked: number;
      readonly nextAt: number;
      readonly reserved: boolean;
      readonly contestedSince: number;
      readonly retortAt: number;
    }
  | { readonly is: 'free' }
  /** By a stranger, or by a node that is not heard, which is asked again and again. */
  | {
      readonly is: 'taken';
      readonly mac: Mac;
      readonly by: 'stranger' | 'node';
      readonly unanswered: number;
      readonly againAt: number;
    };

export type Confirmation = 'asking' | 'confirmed' | 'unconfirmed' | 'refuted';

export interface Address {
  readonly ip: Ip;
  wanted: Wanted;
  candidate: boolean;
  /** Under which this speaker owns the address. */
  claim: number | undefined;
  /** False while a claim is held without a word on the LAN: after a pause, until it is known to stand. */
  answering: boolean;
  highest: number;
  /** An owner of it was heard, or was this node, since the process started: it need not be probed for others. */
  ownerKnown: boolean;
  vacantSince: number;
  conflictSince: number;
  /** The rival last said to be one. */
  rival: Station | undefined;
  giving: Giving | undefined;
  /** Who did not take it in this round. */
  tried: readonly Station[];
  giveAgainAt: number;
  /** What this speaker agreed to take, and until when it holds itself ready. */
  taking: { readonly from: Station; readonly handover: Handover; readonly until: number } | undefined;
  /** A hand-over of others is under way: not vacant before. */
  handoverUntil: number;
  /** Voluntary moves seen lately, by whomever. */
  moves: readonly number[];
  probe: Probe | undefined;
  /** The MAC last reported as one that has it. */
  toldOf: Mac | undefined;
  confirmation: Confirmation | undefined;
  /** When the gateway's answer is given up, or it is asked again; and the pause before that. */
  confirmAt: number;
  confirmPauseMs: number;
  defendedAt: number;
  row: Row;
  /** When the rules must be asked again though nothing happened. */
  dueAt: number;
}

/** A MAC that was seen with an address of ours and belongs to no speaker that is known. */
export interface Suspect {
  is: 'checked' | 'proxy' | 'stranger' | 'node';
  /** When the LAN was asked about it, OFF: not yet; then when it was judged. */
  since: number;
  /** Addresses it was seen with, until the verdict. */
  readonly ips: Set<Ip>;
  /** Addresses that nobody has, and those of them it answered for. */
  controls: readonly Ip[];
  readonly answered: Set<Ip>;
}

export interface Gateway {
  readonly ip: Ip;
  mac: Mac | undefined;
  askAt: number;
  /** -OFF: never; such a gateway is not reckoned with. */
  answeredAt: number;
  /** Since when it answers without a pause. */
  goodSince: number;
  ok: boolean;
  okSince: number;
  /** How many addresses it was asked about in vain; -OFF: it has told where one is, and is asked about each. */
  futile: number;
}

export interface Segment {
  readonly node: string;
  readonly link: string;
  readonly station: Station;
  readonly incarnation: number;
  settings: Settings;
  facts: LinkFacts;
  /** May this node take addresses at all: its own health. */
  serving: boolean;
  leaving: boolean;
  leaveBy: number;
  gone: boolean;
  /** A frame of somebody else was received since the link came up. */
  receives: boolean;
  /** From when on addresses may be taken. */
  readyAt: number;
  /** As told last. */
  ready: boolean;
  asksUntil: number;
  /** Somebody has just been heard: no address is given away of free will before both sides know of each other's claims. */
  unsettledUntil: number;
  readonly members: Map<Station, Member>;
  /** All stations of the segment, with their places. */
  ring: ReadonlyMap<Station, number>;
  readonly addresses: Map<Ip, Address>;
  /** As in the facts, and in their order. */
  gateways: readonly Gateway[];
  readonly suspects: Map<Mac, Suspect>;
  /** When the LAN may be asked about suspects again. */
  checkAt: number;
  /** The next free place for a probe. */
  probeAt: number;
  /** Addresses whose rules must be asked in this step. */
  readonly dirty: Set<Ip>;
  /** Addresses with a finite dueAt. */
  readonly pending: Set<Ip>;
  /** The first of these, or earlier. */
  pendingAt: number;
  /** All rows, in order, while nothing changed. */
  rows: readonly Row[] | undefined;
  sequence: number;
  changed: boolean;
  tellAt: number;
  /** Repetitions still to come of the change told last. */
  repeats: number;
  lastToldAt: number;
  sweepAt: number;
  /** Members that must have the next statement now. */
  readonly urgent: Set<Station>;
  dueAt: number;
  drops: Readonly<Record<string, number>>;
}

const NO_LINK: LinkFacts = { carrier: false, frames: false, links: [], macs: [], nodes: new Map(), gateways: [] };

/** A segment of which nothing is known; it starts with the first `link` event. `incarnation`: above all former ones. */
export function createSegment(node: string, link: string, incarnation: number, settings: Settings): Segment {
  return {
    ...{ node, link, station: stationOf(node, link), incarnation, settings, facts: NO_LINK, ready: false },
    ...{
      serving: true,
      leaving: false,
      leaveBy: OFF,
      gone: false,
      receives: false,
      readyAt: OFF,
      asksUntil: OFF,
      unsettledUntil: -OFF,
    },
    ...{
      members: new Map(),
      ring: new Map(),
      addresses: new Map(),
      gateways: [],
      suspects: new Map(),
      checkAt: -OFF,
      probeAt: -OFF,
    },
    ...{ dirty: new Set(), pending: new Set(), pendingAt: OFF, rows: undefined, sequence: 0, changed: false },
    ...{ tellAt: OFF, repeats: 0, lastToldAt: -OFF, sweepAt: OFF },
    ...{ urgent: new Set(), dueAt: OFF, drops: {} },
  };
}

/** What is asked of the LAN reaches it, and so do answers of ours. */
export function isConnected({ carrier, frames }: LinkFacts): boolean {
  return carrier && frames;
}

export function isReady({ facts, receives, readyAt, leaving, serving }: Segment, now: number): boolean {
  return isConnected(facts) && receives && now >= readyAt && !leaving && serving;
}

export function isOurs(segment: Segment, mac: Mac): boolean {
  return segment.facts.macs.includes(mac);
}

/** The first of its gateways answers, or never did. */
export function gatewayOk({ gateways: [first] }: Segment): boolean {
  return first?.ok ?? true;
}

/** How long ago the member was heard, in ms; of one that is not watched, as if it were: it is heard once a second. */
export function silenceOf({ heardAt, suspectedAt, watched }: Member, now: number): number {
  const silence = watched ? now - heardAt : ((now - heardAt) * HEARD_MS) / STALE_MS;
  return suspectedAt === OFF ? silence : Math.max(silence, now - suspectedAt + QUIET_MS);
}

/** When the member will have been silent for so long, if nothing is heard of it. */
export function silentAt(member: Member, ms: number): number {
  const { heardAt, suspectedAt, watched } = member;
  const at = heardAt + (watched ? ms : (ms * STALE_MS) / HEARD_MS);
  return suspectedAt === OFF ? at : Math.min(at, suspectedAt + Math.max(0, ms - QUIET_MS));
}

/** Not heard for long, and it holds nothing that its silence has yet to be proven for. */
export function isPast({ heardAt, toldAt, gone, silent, rows }: Member, now: number): boolean {
  if (now - Math.max(heardAt, toldAt) < PAST_MS) return false;
  if (gone || silent) return true;
  for (const { claim } of rows.values()) if (claim !== undefined) return false;
  return true;
}

export function isHeard(member: Member, now: number): boolean {
  return !member.gone && silenceOf(member, now) <= HEARD_MS;
}

/** Whether its words about others count. */
export function isWitness(member: Member, now: number): boolean {
  return !member.gone && !member.leaving && silenceOf(member, now) <= QUIET_MS && now - member.toldAt <= STALE_MS;
}

/** It would take this address: heard, ready, and a candidate in its own eyes. */
export function wouldTake(member: Member, ip: Ip, now: number): boolean {
  return isHeard(member, now) && member.ready && !member.leaving && member.rows.get(ip)?.candidate === true;
}

export function membersOf(segment: Segment, node: string): Member[] {
  return [...segment.members.values()].filter((member) => member.node === node);
}

export function memberWith(segment: Segment, mac: Mac): Member | undefined {
  for (const member of segment.members.values()) if (member.macs.includes(mac)) return member;
  return undefined;
}

export function markAll(segment: Segment): void {
  for (const ip of segment.addresses.keys()) segment.dirty.add(ip);
}

export function markRowsOf(segment: Segment, member: Member): void {
  for (const ip of member.rows.keys()) if (segment.addresses.has(ip)) segment.dirty.add(ip);
}

/** Asks for the rules of this address to be asked again at that time at the latest. */
export function recall(address: Address, at: number): void {
  address.dueAt = Math.min(address.dueAt, at);
}

/** Voluntary moves of the address in the last 180 s, by whomever. */
export function movesLately(address: Address, now: number): readonly number[] {
  address.moves = address.moves.filter((at) => now - at < MOVES_WITHIN_MS);
  return address.moves;
}

/** Moves that another tells of, on our clock. One of ours that lies so near is the same. */
export function noteMoves(address: Address, told: readonly number[], now: number): void {
  const unmatched = [...movesLately(address, now)];
  const fresh = told.filter((at) => {
    const same = unmatched.findIndex((each) => Math.abs(each - at) < SAME_MOVE_MS);
    if (same >= 0) unmatched.splice(same, 1);
    return same < 0 && at <= now + SAME_MOVE_MS && now - at < MOVES_WITHIN_MS;
  });
  if (fresh.length > 0) address.moves = [...address.moves, ...fresh].sort((a, b) => a - b).slice(-MOST_KEPT_MOVES);
}
