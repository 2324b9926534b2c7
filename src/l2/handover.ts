// An address goes from a living owner to another node with that node's consent, so that there is neither a hole nor a double
// answer: PREPARE while still answering, ACK, stop, HAND, and the receiver's claim. Here are both ends and the reasons to give:
// leaving, unfit, or a better candidate that has been stable (fail-back). Called by `owner` for each address.

import { OFF } from '../net/machine.ts';
import type { Effects } from './event.ts';
import type { Address, Member, Segment } from './segment.ts';
import { gatewayOk, isReady, MOST_MOVES, movesLately, recall, wouldTake } from './segment.ts';
import type { Handover, HandoverReason, Station } from './statement.ts';

const PREPARE_EVERY_MS = 40;
const PREPARES = 3;
const HAND_EVERY_MS = 15;
const HAND_MS = 60;
/** How long others leave an address alone that is being handed over. */
export const HANDOVER_MS = 200;
const AGAIN_MS: Readonly<Record<HandoverReason, number>> = { leave: 200, unfit: 1_000, 'fail-back': 10_000 };

/** A higher score waits no longer than this. */
const SCORE_FAILBACK_MS = 10_000;
/** How much longer another gateway must have been seen good than ours bad: all ask at their own pace. */
const GATEWAY_MARGIN_MS = 2_000;

interface Intent {
  readonly reason: HandoverReason;
  /** Whom to offer it, in order. */
  readonly to: readonly Station[];
  /** Stop answering if nobody takes it. */
  readonly must: boolean;
}

/** Moves on with giving an owned address away, or begins to. True: nobody wants it, and this node must not keep it. */
export function give(segment: Segment, address: Address, now: number, effects: Effects): boolean {
  if (address.giving !== undefined) {
    prepared(segment, address, now, effects);
    if (address.giving !== undefined) return false;
  }
  if (now < address.giveAgainAt) {
    recall(address, address.giveAgainAt);
    return false;
  }
  const intent = intentOf(segment, address, now);
  if (intent === undefined) return false;
  const to = intent.to.find((station) => !address.tried.includes(station));
  if (to !== undefined) {
    prepare(segment, address, to, intent.reason, now, effects);
    return false;
  }
  address.tried = [];
  address.giveAgainAt = now + AGAIN_MS[intent.reason];
  recall(address, address.giveAgainAt);
  return intent.must;
}

/** Why the address should be elsewhere, and where. */
function intentOf(segment: Segment, address: Address, now: number): Intent | undefined {
  const takers = takersOf(segment, address, now);
  const all = takers.map(({ station }) => station);
  if (segment.leaving) return { reason: 'leave', to: all, must: false };
  if (!address.candidate) return { reason: 'unfit', to: all, must: true };
  if (movesLately(address, now).length >= MOST_MOVES) return undefined;
  if (!segment.serving) return all.length === 0 ? undefined : { reason: 'unfit', to: all, must: false };
  const [gateway] = segment.gateways;
  if (gateway?.ok === false && now >= gateway.okSince + GATEWAY_MARGIN_MS) {
    const better = takers.filter((member) => member.gatewayOk && now >= member.gatewaySince + GATEWAY_MARGIN_MS);
    if (better.length > 0) return { reason: 'unfit', to: better.map(({ station }) => station), must: false };
  }
  if (now < segment.unsettledUntil) {
    recall(address, segment.unsettledUntil);
    return undefined;
  }
  const back = failbackTo(segment, address, takers, now);
  return back === undefined ? undefined : { reason: 'fail-back', to: [back], must: false };
}

/** Who would take it, in the order of the election, those with a gateway first. */
function takersOf(segment: Segment, { ip, wanted }: Address, now: number): Member[] {
  const order = new Map(wanted.candidates.map(({ node }, at) => [node, at]));
  const rank = (member: Member) => (member.gatewayOk ? 0 : 1e6) + (order.get(member.node) ?? 1e5);
  return [...segment.members.values()]
    .filter((member) => member.node !== segment.node && wouldTake(member, ip, now))
    .sort((a, b) => rank(a) - rank(b) || (a.station < b.station ? -1 : 1));
}

function failbackTo(
  segment: Segment,
  { wanted }: Address,
  takers: readonly Member[],
  now: number,
): Station | undefined {
  const { failbackMs } = segment.settings;
  const mine = wanted.candidates.findIndex(({ node }) => node === segment.node);
  for (const { node, score } of wanted.candidates.slice(0, Math.max(0, mine))) {
    const member = takers.find((each) => each.node === node && (each.gatewayOk || !gatewayOk(segment)));
    if (member === undefined) continue;
    const higher = score > (wanted.candidates[mine]?.score ?? 0);
    const patience = higher && failbackMs !== OFF ? Math.min(failbackMs, SCORE_FAILBACK_MS) : failbackMs;
    if (now >= member.stableSince + patience) return member.station;
  }
  return undefined;
}

function prepare(
  segment: Segment,
  address: Address,
  to: Station,
  reason: HandoverReason,
  now: number,
  effects: Effects,
): void {
  const epoch = address.claim ?? 0;
  address.giving = { phase: 'prepare', to, epoch, reason, at: now, repeats: 1 };
  segment.changed = true;
  recall(address, now + PREPARE_EVERY_MS);
  effects.push({ report: 'l2-handover', ip: address.ip, to: segment.members.get(to)?.node ?? to, because: reason });
}

function prepared(segment: Segment, address: Address, now: number, effects: Effects): void {
  const { giving, ip } = address;
  if (giving?.phase !== 'prepare') return;
  const reply = segment.members.get(giving.to)?.rows.get(ip)?.handover;
  if (reply?.phase === 'ack' && reply.epoch === giving.epoch && reply.with === segment.station) {
    // stop before the word goes out: never two answers
    effects.push({ do: 'silence', ip });
    address.answering = false;
    address.claim = undefined;
    address.giving = { ...giving, phase: 'hand', at: now, repeats: 1 };
    segment.changed = true;
    segment.urgent.add(giving.to);
    recall(address, now + HAND_EVERY_MS);
    return;
  }
  const next = giving.at + giving.repeats * PREPARE_EVERY_MS;
  if (now < next) {
    recall(address, next);
  } else if (giving.repeats < PREPARES) {
    address.giving = { ...giving, repeats: giving.repeats + 1 };
    segment.urgent.add(giving.to);
    recall(address, giving.at + (giving.repeats + 1) * PREPARE_EVERY_MS);
  } else {
    address.giving = undefined;
    address.tried = [...address.tried, giving.to];
    segment.changed = true;
  }
}

/**
 * An address that was handed and is not claimed yet. `done`: another answers for it; `back`: nobody took it, it is ours again;
 * undefined: wait.
 */
export function handed(segment: Segment, address: Address, claimed: boolean, now: number): 'done' | 'back' | undefined {
  const { giving } = address;
  if (giving?.phase !== 'hand') return undefined;
  if (claimed) return 'done';
  if (now >= giving.at + HAND_MS) {
    address.tried = [...address.tried, giving.to];
    if (giving.reason !== 'leave') address.moves = [...address.moves, now];
    return 'back';
  }
  const next = giving.at + giving.repeats * HAND_EVERY_MS;
  if (now >= next) {
    segment.urgent.add(giving.to);
    address.giving = { ...giving, repeats: giving.repeats + 1 };
    recall(address, next + HAND_EVERY_MS);
  } else recall(address, next);
  recall(address, giving.at + HAND_MS);
  return undefined;
}

/** What others offer this node: agrees to take it, or, once it is handed, says under which epoch it was owned. */
export function receive(segment: Segment, address: Address, now: number): Handover | undefined {
  if (address.taking !== undefined && now >= address.taking.until) {
    address.taking = undefined;
    segment.changed = true;
  }
  for (const member of segment.members.values()) {
    const offer = member.rows.get(address.ip)?.handover;
    if (offer === undefined || offer.with !== segment.station || offer.phase === 'ack' || member.gone) continue;
    const { taking } = address;
    const agreed = taking !== undefined && taking.from === member.station && taking.handover.epoch === offer.epoch;
    if (offer.phase === 'hand') {
      // an old offer that was long taken by somebody else is no offer
      if (agreed || (offer.epoch >= address.highest && consents(segment, address, member, offer, now))) return offer;
    } else if (!agreed && consents(segment, address, member, offer, now)) {
      const handover: Handover = { ...offer, phase: 'ack', with: member.station };
      address.taking = { from: member.station, handover, until: now + HANDOVER_MS };
      segment.changed = true;
      segment.urgent.add(member.station);
    }
  }
  if (address.taking !== undefined) recall(address, address.taking.until);
  return undefined;
}

/** Two nodes with different snapshots must not pass an address to and fro. */
function consents(segment: Segment, address: Address, from: Member, { reason }: Handover, now: number): boolean {
  const { candidate, wanted, claim } = address;
  if (!candidate || claim !== undefined || wanted.foreign || !isReady(segment, now)) return false;
  if (!gatewayOk(segment) && from.gatewayOk) return false;
  // it may have moved while the giver was on the other side of a split
  if (reason !== 'leave' && movesLately(address, now).length >= MOST_MOVES) return false;
  if (reason !== 'fail-back') return true;
  const order = (node: string) => wanted.candidates.findIndex((each) => each.node === node);
  return order(from.node) < 0 || order(segment.node) < order(from.node);
}
