// Who answers for which address on one segment, as one speaker sees it: a pure machine, one for each interface that serves
// addresses. Three kinds of evidence are never mixed: who is heard (BFD and statements, authenticated), who claims what (the
// statements), and what the LAN shows (frames, unauthenticated). Called by whoever owns the sockets, who drains them before a
// tick is given and stops answering before anything else when the machine says so.

import { compareAddresses } from '../net/address.ts';
import { OFF, type Step, type Tick, unreachable } from '../net/machine.ts';
import { claim, createAddress, release, resume } from './address.ts';
import { settleConflict } from './conflict.ts';
import { contend } from './contend.ts';
import type { Effects, OwnerEffect, OwnerEvent } from './event.ts';
import { confirm, followGateways, gatewayAnswered, gatewayHolds, watchGateways } from './gateway.ts';
import { give, handed, receive } from './handover.ts';
import { hear, heardNow } from './hear.ts';
import { answered, question } from './question.ts';
import { removeMember } from './ring.ts';
import type { Address, LinkFacts, Segment, Wanted } from './segment.ts';
import {
  HEARD_MS,
  isConnected,
  isOurs,
  isPast,
  isReady,
  markAll,
  memberWith,
  QUIET_MS,
  recall,
  START_MS,
  silenceOf,
  silentAt,
} from './segment.ts';
import { isFree, judgeSuspects, onOther, onSeen } from './stranger.ts';
import { TELL_EVERY_MS, tell, tellSoon, updateRow } from './tell.ts';
import { heldBy, turnMs } from './vacancy.ts';

/** A turn that comes later than this after it was due trusts nothing that was known before. */
const LATE_MS = 600;
const LATE_PAUSE_MS = 150;
/** To hand everything over in, when leaving, below the limit of the whole node; and for the last word to be said three times. */
const LEAVE_MS = 2_500;
const GOODBYE_MS = 80;

/** When the machine must be given a tick though nothing happened. */
export function dueAt({ dueAt: due }: Segment): number {
  return due;
}

/** The addresses that requests are to be answered for now. */
export function answers(segment: Segment): readonly Address['ip'][] {
  return [...segment.addresses.values()].filter(({ answering }) => answering).map(({ ip }) => ip);
}

export function step(segment: Segment, event: OwnerEvent, tick: Tick): Step<Segment, OwnerEffect> {
  const effects: Effects = [];
  const { now } = tick;
  if (now - segment.dueAt > LATE_MS) onLate(segment, now - segment.dueAt, now, effects);
  switch (event.on) {
    case 'wanted':
      onWanted(segment, event.addresses, now, effects);
      break;
    case 'settings':
      segment.settings = event.settings;
      markAll(segment);
      break;
    case 'link':
      onLink(segment, event.facts, now, effects);
      break;
    case 'serving':
      if (segment.serving !== event.ready) segment.changed = true;
      segment.serving = event.ready;
      markAll(segment);
      break;
    case 'told': {
      const drop = hear(segment, event.statement, tick, effects);
      if (drop !== undefined) segment.drops = { ...segment.drops, [drop]: (segment.drops[drop] ?? 0) + 1 };
      else if (event.statement.here) receives(segment, now);
      break;
    }
    case 'frame':
      onFrame(segment, event, now, effects);
      break;
    case 'tick':
      for (const [station, at] of event.heard) {
        const member = segment.members.get(station);
        if (member !== undefined && !member.gone) heardNow(segment, member, at, effects);
      }
      break;
    case 'leave':
      segment.leaving = true;
      segment.leaveBy = now + LEAVE_MS;
      segment.changed = true;
      markAll(segment);
      break;
    default:
      return unreachable(event);
  }
  settle(segment, now, effects);
  return [segment, effects];
}

/** Everything that may follow from what happened, and from time having passed. */
function settle(segment: Segment, now: number, effects: Effects): void {
  let due = OFF;
  for (const member of segment.members.values()) {
    const silence = silenceOf(member, now);
    if (member.heard && silence > HEARD_MS) {
      member.heard = false;
      member.stableSince = OFF;
      segment.changed = true;
      markAll(segment);
      effects.push({ report: 'l2-member', node: member.node, link: member.link, heard: false });
    }
    if (!member.quiet && silence > QUIET_MS) {
      member.quiet = true;
      markAll(segment);
    }
    if (!member.quiet) due = Math.min(due, silentAt(member, QUIET_MS) + 1);
    else if (member.heard) due = Math.min(due, silentAt(member, HEARD_MS) + 1);
    due = Math.min(due, question(segment, member, now, effects));
  }
  sweep(segment, now);
  due = Math.min(due, watchGateways(segment, now, effects), judgeSuspects(segment, now, effects));
  const ready = isReady(segment, now);
  if (ready !== segment.ready) {
    segment.ready = ready;
    segment.changed = true;
    markAll(segment);
  }
  if (segment.pendingAt <= now) gatherPending(segment, now);
  for (const ip of segment.dirty) {
    const address = segment.addresses.get(ip);
    if (address === undefined) continue;
    judge(segment, address, now, effects);
    segment.pendingAt = Math.min(segment.pendingAt, address.dueAt);
  }
  segment.dirty.clear();
  depart(segment, now, effects);
  tell(segment, now, effects);
  due = Math.min(due, segment.pendingAt);
  if (now < segment.readyAt) due = Math.min(due, segment.readyAt);
  segment.dueAt = Math.min(due, segment.tellAt, segment.sweepAt, segment.leaveBy);
}

/** Those that are due; and when the first of the others is. */
function gatherPending(segment: Segment, now: number): void {
  segment.pendingAt = OFF;
  for (const ip of segment.pending) {
    const due = segment.addresses.get(ip)?.dueAt ?? OFF;
    if (due <= now) segment.dirty.add(ip);
    else segment.pendingAt = Math.min(segment.pendingAt, due);
  }
}

/** The rules, for one address. */
function judge(segment: Segment, address: Address, now: number, effects: Effects): void {
  address.dueAt = OFF;
  if (address.claim !== undefined) judgeOwned(segment, address, now, effects);
  if (address.claim === undefined) {
    judgeUnowned(segment, address, now, effects);
    if (address.claim !== undefined) judgeOwned(segment, address, now, effects);
  }
  updateRow(segment, address, now);
  if (address.dueAt === OFF) segment.pending.delete(address.ip);
  else segment.pending.add(address.ip);
}

function judgeOwned(segment: Segment, address: Address, now: number, effects: Effects): void {
  if (address.wanted.foreign) {
    release(segment, address, 'foreign', undefined, effects);
    return;
  }
  const lost = settleConflict(segment, address, now, effects);
  if (lost !== undefined) {
    release(segment, address, lost.because, lost.to, effects);
    return;
  }
  if (address.answering) confirm(segment, address, now, effects);
  else if (now >= segment.readyAt) resume(address, effects);
  else recall(address, segment.readyAt);
  if (give(segment, address, now, effects)) release(segment, address, 'not-candidate', undefined, effects);
  else if (address.giving?.phase === 'hand') {
    const to = segment.members.get(address.giving.to)?.node;
    effects.push({ report: 'l2-released', ip: address.ip, because: 'handed-over', ...(to !== undefined && { to }) });
  }
}

function judgeUnowned(segment: Segment, address: Address, now: number, effects: Effects): void {
  const held = heldBy(segment, address, now);
  const { giving } = address;
  const outcome = handed(segment, address, held?.by === 'claim', now);
  if (outcome !== undefined) address.giving = undefined;
  if (outcome === 'back') {
    claim(segment, address, Math.max(address.highest + 1, (giving?.epoch ?? 0) + 2), 'taken-back', effects);
    return;
  }
  if (address.giving !== undefined) return;
  const offered = receive(segment, address, now);
  if (offered !== undefined) {
    if (offered.reason !== 'leave') address.moves = [...address.moves, now];
    claim(segment, address, Math.max(address.highest, offered.epoch) + 1, 'handed-over', effects);
    return;
  }
  if (!isReady(segment, now) || !address.candidate || address.wanted.foreign || held !== undefined) {
    address.vacantSince = OFF;
    if (address.probe?.is === 'asking') address.probe = undefined;
    if (held !== undefined) recall(address, held.until);
    return;
  }
  if (address.vacantSince === OFF) address.vacantSince = now;
  const turn = address.vacantSince + turnMs(segment, address, now);
  if (now < turn) recall(address, turn);
  else if (isFree(segment, address, now, effects)) claim(segment, address, address.highest + 1, 'vacant', effects);
}

function onWanted(segment: Segment, wanted: readonly Wanted[], now: number, effects: Effects): void {
  const before = new Map(segment.addresses);
  segment.addresses.clear();
  segment.rows = undefined;
  segment.changed = true;
  for (const each of [...wanted].sort((a, b) => compareAddresses(a.ip, b.ip))) {
    const address = before.get(each.ip) ?? createAddress(segment, each, now);
    before.delete(each.ip);
    if (each.foreign && !(address.wanted.foreign && address.wanted !== each)) {
      effects.push({ report: 'l2-foreign', ip: each.ip });
    }
    address.wanted = each;
    // what is left to MetalLB is not taken, and others must not wait for it
    address.candidate = !each.foreign && each.candidates.some(({ node }) => node === segment.node);
    segment.addresses.set(each.ip, address);
    segment.dirty.add(each.ip);
  }
  for (const address of before.values()) {
    release(segment, address, 'unwanted', undefined, effects);
    segment.pending.delete(address.ip);
  }
}

function onLink(segment: Segment, facts: LinkFacts, now: number, effects: Effects): void {
  const before = segment.facts;
  segment.facts = facts;
  segment.changed = true;
  segment.sweepAt = now;
  markAll(segment);
  followGateways(segment, facts.gateways, now);
  const connected = isConnected(facts);
  if (connected !== isConnected(before)) {
    // what was known of the LAN was known before the cable was pulled, or the socket broke
    segment.receives = false;
    segment.readyAt = OFF;
    segment.asksUntil = OFF;
    const because = facts.carrier ? 'socket-broken' : 'carrier-lost';
    for (const address of segment.addresses.values()) {
      if (connected) continue;
      release(segment, address, because, undefined, effects);
      address.taking = undefined;
    }
  } else if (facts.macs.join() !== before.macs.join()) {
    for (const { ip, answering } of segment.addresses.values()) if (answering) effects.push({ do: 'announce', ip });
  }
}

/** A frame of somebody else came in: the port is open. */
function receives(segment: Segment, now: number): void {
  if (segment.receives || !isConnected(segment.facts)) return;
  segment.receives = true;
  segment.readyAt = now + START_MS;
  segment.asksUntil = segment.readyAt;
  tellSoon(segment, now);
}

function onFrame(segment: Segment, frame: OwnerEvent & { on: 'frame' }, now: number, effects: Effects): void {
  const { ip, mac, kind, target, probed } = frame;
  // our own echo over a second interface of the node is neither a proof nor a conflict
  if (isOurs(segment, mac)) return;
  receives(segment, now);
  // RFC 5227 §2.4: a probe claims nothing
  if (probed !== undefined) contend(segment, probed, mac, now, effects);
  if (ip === undefined || kind === 'probe') return;
  if (kind === 'answer') {
    const gateway = segment.gateways.find((each) => each.ip === ip);
    if (gateway !== undefined) {
      gatewayAnswered(segment, gateway, mac, now);
      const held = target === undefined ? undefined : segment.addresses.get(target.ip);
      if (held !== undefined && target !== undefined)
        gatewayHolds(segment, gateway, held, isOurs(segment, target.mac), effects);
    }
    const member = memberWith(segment, mac);
    if (member !== undefined) answered(member, ip, now);
  }
  const address = segment.addresses.get(ip);
  if (address !== undefined) onSeen(segment, address, mac, kind, now, effects);
  else onOther(segment, ip, mac);
}

/** Fail-back comes with time alone; so does the end of all memory of a node that is no more. */
function sweep(segment: Segment, now: number): void {
  if (now < segment.sweepAt) return;
  segment.sweepAt = now + TELL_EVERY_MS;
  for (const member of [...segment.members.values()]) if (isPast(member, now)) removeMember(segment, member.station);
  for (const { ip, claim: epoch } of segment.addresses.values()) if (epoch !== undefined) segment.dirty.add(ip);
}

/** The thread was stopped or starved: stop answering first, ask, and believe nobody dead who may have spoken meanwhile. */
function onLate(segment: Segment, pausedMs: number, now: number, effects: Effects): void {
  effects.push({ report: 'l2-late', pausedMs });
  segment.readyAt = Math.max(segment.readyAt, now + LATE_PAUSE_MS);
  segment.asksUntil = Math.max(segment.asksUntil, segment.readyAt);
  segment.changed = true;
  markAll(segment);
  for (const address of segment.addresses.values()) {
    const { ip, answering, claim: epoch } = address;
    if (answering) effects.push({ do: 'silence', ip });
    if (answering && epoch !== undefined) effects.push({ report: 'l2-released', ip, because: 'late' });
    address.answering = false;
    address.vacantSince = OFF;
    address.conflictSince = OFF;
    address.giving = undefined;
    address.taking = undefined;
    if (address.probe?.is === 'asking') address.probe = undefined;
  }
  for (const member of segment.members.values()) {
    member.heardAt = Math.min(now, member.heardAt + pausedMs);
    member.toldAt = Math.min(now, member.toldAt + pausedMs);
    member.answeredAt = Math.min(now, member.answeredAt + pausedMs);
    member.asked = [];
  }
  for (const gateway of segment.gateways) gateway.answeredAt = Math.min(now, gateway.answeredAt + pausedMs);
}

/** Leaving: once nothing is left to hand over, or nobody is there to take it, the last word is said. */
function depart(segment: Segment, now: number, effects: Effects): void {
  if (!segment.leaving) return;
  if (segment.gone) {
    if (now < segment.leaveBy) return;
    segment.leaveBy = OFF;
    effects.push({ report: 'left' });
    return;
  }
  const all = [...segment.addresses.values()];
  if (now < segment.leaveBy && all.some(({ giving }) => giving !== undefined)) return;
  for (const address of all) {
    if (address.claim !== undefined) release(segment, address, 'leaving', undefined, effects);
    updateRow(segment, address, now);
  }
  segment.gone = true;
  segment.changed = true;
  segment.leaveBy = now + GOODBYE_MS;
}
