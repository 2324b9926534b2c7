// The gateways of a segment: does the first one answer us (a node that lost it is worse than one that did not), and has the
// one of an address's family taken in that the address moved to us? All are asked by unicast once their MACs are known.
// Called by `owner`. A gateway that never answered says nothing: many networks let nobody ask.

import type { Mac } from '../net/address.ts';
import { familyOf } from '../net/address.ts';
import { OFF } from '../net/machine.ts';
import type { Effects } from './event.ts';
import type { Address, Gateway, LinkFacts, Segment } from './segment.ts';
import { isConnected, recall } from './segment.ts';

const ASK_EVERY_MS = 500;
/** One that is asked for its MAC alone. */
const ASK_SELDOM_MS = 5_000;
const BAD_MS = 2_000;
/** Good again after so long even where fail-back is at once or never. */
const GOOD_AGAIN_MS = 120_000;
const CONFIRM_MS = 1_000;
/** A gateway that holds another MAC is asked again after 1, 2, 4 s and so on, up to this pause. */
const MOST_PAUSE_MS = 600_000;
/** After so many without an answer nothing can be learned from it: it is not asked about the others. */
const FUTILE = 8;

/** Those that are known already stay what they are; another first one has been asked too seldom to be judged by what it said. */
export function followGateways(segment: Segment, gateways: LinkFacts['gateways'], now: number): void {
  const before = segment.gateways;
  segment.gateways = gateways.map((ip) => before.find((each) => each.ip === ip) ?? gatewayAt(ip, now));
  const [first] = segment.gateways;
  if (first === undefined || first === before[0]) return;
  first.askAt = now;
  if (first.answeredAt !== -OFF) first.answeredAt = now;
}

function gatewayAt(ip: Gateway['ip'], now: number): Gateway {
  return { ip, mac: undefined, askAt: now, answeredAt: -OFF, goodSince: OFF, ok: true, okSince: now, futile: 0 };
}

/** Asks them when it is time to, and judges the first. Returns when to be called again. */
export function watchGateways(segment: Segment, now: number, effects: Effects): number {
  if (!isConnected(segment.facts)) return OFF;
  const [first, ...more] = segment.gateways;
  let due = OFF;
  for (const gateway of more) due = Math.min(due, askForIt(gateway, ASK_SELDOM_MS, now, effects));
  if (first === undefined) return due;
  due = Math.min(due, askForIt(first, ASK_EVERY_MS, now, effects));
  return Math.min(due, judge(segment, first, now, effects));
}

function askForIt(gateway: Gateway, everyMs: number, now: number, effects: Effects): number {
  if (now < gateway.askAt) return gateway.askAt;
  gateway.askAt = now + everyMs;
  effects.push({ do: 'ask', ip: gateway.ip, ...(gateway.mac !== undefined && { mac: gateway.mac }) });
  // it may have got another MAC
  if (now > gateway.answeredAt + everyMs + BAD_MS) gateway.mac = undefined;
  return gateway.askAt;
}

function judge(segment: Segment, gateway: Gateway, now: number, effects: Effects): number {
  const { settings } = segment;
  const lost = gateway.answeredAt !== -OFF && now >= gateway.answeredAt + BAD_MS;
  if (lost) gateway.goodSince = OFF;
  const patience = settings.failbackMs === OFF || settings.failbackMs === 0 ? GOOD_AGAIN_MS : settings.failbackMs;
  const ok = gateway.ok ? !lost : now >= gateway.goodSince + patience;
  if (ok !== gateway.ok) {
    gateway.ok = ok;
    gateway.okSince = now;
    segment.changed = true;
    for (const ip of segment.addresses.keys()) segment.dirty.add(ip);
    effects.push({ report: 'l2-gateway', ip: gateway.ip, ok });
  }
  return gateway.answeredAt === -OFF || lost ? OFF : gateway.answeredAt + BAD_MS;
}

export function gatewayAnswered(segment: Segment, gateway: Gateway, mac: Mac, now: number): void {
  if (gateway.answeredAt === -OFF) askAboutAll(segment, gateway);
  // another router, or one that was away
  if (gateway.mac !== mac) gateway.futile = 0;
  gateway.mac = mac;
  gateway.answeredAt = now;
  if (gateway.goodSince === OFF) gateway.goodSince = now;
}

/** It was not there when they were taken: a router that starts later, or a route that came late. */
function askAboutAll(segment: Segment, gateway: Gateway): void {
  for (const address of segment.addresses.values()) {
    if (address.confirmation !== 'unconfirmed' || familyOf(address.ip) !== familyOf(gateway.ip)) continue;
    address.confirmation = undefined;
    segment.dirty.add(address.ip);
  }
}

/**
 * Asks the gateway from the address that was just taken: whoever answers to us has learned where it is (RFC 826). Refuted, it
 * is asked again ever more seldom.
 */
export function confirm(segment: Segment, address: Address, now: number, effects: Effects): void {
  const gateway = segment.gateways.find(({ ip }) => familyOf(ip) === familyOf(address.ip));
  if (address.confirmation === undefined) {
    if (!askGateway(gateway, address, effects)) {
      conclude(address, 'unconfirmed', effects);
      return;
    }
    address.confirmation = 'asking';
    address.confirmPauseMs = CONFIRM_MS;
    address.confirmAt = now + CONFIRM_MS;
  } else if (address.confirmation === 'asking' && now >= address.confirmAt) {
    if (gateway !== undefined) gateway.futile++;
    conclude(address, 'unconfirmed', effects);
  } else if (address.confirmation === 'refuted' && now >= address.confirmAt) {
    askGateway(gateway, address, effects);
    address.confirmPauseMs = Math.min(address.confirmPauseMs * 2, MOST_PAUSE_MS);
    address.confirmAt = now + address.confirmPauseMs;
  }
  if (address.confirmation === 'asking' || address.confirmation === 'refuted') recall(address, address.confirmAt);
}

/** False: there is none of this family whose MAC is known, or that ever says anything. */
function askGateway(gateway: Gateway | undefined, { ip }: Address, effects: Effects): boolean {
  if (gateway?.mac === undefined || gateway.futile >= FUTILE) return false;
  effects.push({ do: 'ask', ip: gateway.ip, mac: gateway.mac, as: ip });
  return true;
}

/**
 * The gateway was seen to hold this MAC for the address. What it confirmed stands until the next take-over; another MAC is
 * told of and announced against once: a proxy, or one that fails to learn, would make it go on for ever. Only ARP's answers
 * name another MAC (RFC 826); an advertisement goes to the MAC that is held (RFC 4861 §7.2.4), and we see it where that is ours.
 */
export function gatewayHolds(
  segment: Segment,
  gateway: Gateway,
  address: Address,
  ours: boolean,
  effects: Effects,
): void {
  const { ip, confirmation } = address;
  if (confirmation === undefined) return;
  gateway.futile = -OFF;
  if (confirmation === 'confirmed' || (confirmation === 'refuted' && !ours)) return;
  conclude(address, ours ? 'confirmed' : 'refuted', effects);
  if (ours) return;
  effects.push({ do: 'announce', ip });
  segment.dirty.add(ip);
}

function conclude(address: Address, verdict: 'confirmed' | 'unconfirmed' | 'refuted', effects: Effects): void {
  address.confirmation = verdict;
  effects.push({ report: 'l2-confirmation', ip: address.ip, verdict });
}
