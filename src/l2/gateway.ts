// The segment's gateway: does it answer us (a node that lost it is worse than one that did not), and has it taken in that an
// address moved to us? Both are asked by unicast once its MAC is known. Called by `owner`. A gateway that never answered says
// nothing: many networks let nobody ask.

import type { Mac } from '../net/address.ts';
import { familyOf } from '../net/address.ts';
import { OFF } from '../net/machine.ts';
import type { Effects } from './event.ts';
import type { Address, Gateway, Segment } from './segment.ts';
import { isConnected, recall } from './segment.ts';

const ASK_EVERY_MS = 500;
const BAD_MS = 2_000;
/** Good again after so long even where fail-back is at once or never. */
const GOOD_AGAIN_MS = 120_000;
const CONFIRM_MS = 1_000;
/** A gateway that holds another MAC is asked again after 1, 2, 4 s and so on, up to this pause. */
const MOST_PAUSE_MS = 600_000;
/** After so many without an answer nothing can be learned here: the others are not asked. */
const FUTILE = 8;

export function gatewayAt(ip: Gateway['ip'], now: number): Gateway {
  return { ip, mac: undefined, askAt: now, answeredAt: -OFF, goodSince: OFF, ok: true, okSince: now };
}

/** Asks it when it is time to, and judges it. Returns when to be called again. */
export function watchGateway(segment: Segment, now: number, effects: Effects): number {
  const { gateway, facts, settings } = segment;
  if (gateway === undefined || !isConnected(facts)) return OFF;
  if (now >= gateway.askAt) {
    gateway.askAt = now + ASK_EVERY_MS;
    effects.push({ do: 'ask', ip: gateway.ip, ...(gateway.mac !== undefined && { mac: gateway.mac }) });
    // it may have got another MAC
    if (now > gateway.answeredAt + BAD_MS) gateway.mac = undefined;
  }
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
  return Math.min(gateway.askAt, gateway.answeredAt === -OFF || lost ? OFF : gateway.answeredAt + BAD_MS);
}

export function gatewayAnswered(gateway: Gateway, mac: Mac, now: number): void {
  gateway.mac = mac;
  gateway.answeredAt = now;
  if (gateway.goodSince === OFF) gateway.goodSince = now;
}

/**
 * Asks the gateway from the address that was just taken: whoever answers to us has learned where it is (RFC 826). Refuted, it
 * is asked again ever more seldom.
 */
export function confirm(segment: Segment, address: Address, now: number, effects: Effects): void {
  if (address.confirmation === undefined) {
    if (segment.unconfirmed >= FUTILE || !askGateway(segment, address, effects)) {
      conclude(address, 'unconfirmed', effects);
      return;
    }
    address.confirmation = 'asking';
    address.confirmPauseMs = CONFIRM_MS;
    address.confirmAt = now + CONFIRM_MS;
  } else if (address.confirmation === 'asking' && now >= address.confirmAt) {
    segment.unconfirmed++;
    conclude(address, 'unconfirmed', effects);
  } else if (address.confirmation === 'refuted' && now >= address.confirmAt) {
    askGateway(segment, address, effects);
    address.confirmPauseMs = Math.min(address.confirmPauseMs * 2, MOST_PAUSE_MS);
    address.confirmAt = now + address.confirmPauseMs;
  }
  if (address.confirmation === 'asking' || address.confirmation === 'refuted') recall(address, address.confirmAt);
}

/** False: there is none of this family whose MAC is known. */
function askGateway({ gateway }: Segment, { ip }: Address, effects: Effects): boolean {
  if (gateway?.mac === undefined || familyOf(gateway.ip) !== familyOf(ip)) return false;
  effects.push({ do: 'ask', ip: gateway.ip, mac: gateway.mac, as: ip });
  return true;
}

/**
 * The gateway was seen to hold this MAC for the address. What it confirmed stands until the next take-over; another MAC is
 * told of and announced against once: a proxy, or one that fails to learn, would make it go on for ever.
 */
export function gatewayHolds(segment: Segment, address: Address, ours: boolean, effects: Effects): void {
  const { ip, confirmation } = address;
  if (confirmation === undefined) return;
  segment.unconfirmed = 0;
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
