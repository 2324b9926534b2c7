// Who else has the address? Before it is taken for the first time it is probed (RFC 5227 §2.1, RFC 4862 §5.4), and whoever
// is seen with it later is looked into: a node of ours, a proxy that answers for everything, or a stranger. Strangers are told
// of and defended against (RFC 5227 §2.4 (c)); an address is never given up to one. Called by `owner`.

import type { Ip, Mac } from '../net/address.ts';
import { OFF } from '../net/machine.ts';
import type { Effects, FrameKind } from './event.ts';
import type { Address, Probe, Segment, Suspect } from './segment.ts';
import { isHeard, memberWith, recall } from './segment.ts';

// RFC 5227 §1.1 has 1 s before, 1-2 s between and 2 s after its probes: with these a Service would wait six seconds.
const PROBES = 3;
const PROBE_EVERY_MS = 100;
const PROBE_WAIT_MS = 200;
/** Of all addresses together: switches shut ports on ARP floods. */
const PROBE_GAP_MS = 2.5;
/** From one round of questions about suspects to the next, and to the verdict. */
const CHECK_MS = 300;
/** Of a round, unless one suspect alone needs more: who forges frames must not make us flood the LAN. */
const MOST_ASKED = 32;
const AGAIN_MS = 10_000;
/** An unheard node that answers is asked again so soon, for its answer holds the address. */
const NODE_AGAIN_MS = 1_000;
/** So often without an answer, so far apart, frees the address: a busy node or a bad wire must not make a second owner. */
const UNANSWERED = 5;
const RETRY_MS = 200;
/** RFC 5227 §1.1 DEFEND_INTERVAL. */
const DEFEND_INTERVAL_MS = 10_000;
const VERDICT_MS = 60_000;
const MOST_SUSPECTS = 256;

/** Whether the address may be taken as far as the LAN shows; goes on with asking. */
export function isFree(segment: Segment, address: Address, now: number, effects: Effects): boolean {
  // the owner was known: that one has been asked
  if (address.ownerKnown) return true;
  if (address.probe?.is === 'taken' && now >= address.probe.againAt) askAgain(address, address.probe, now, effects);
  const { probe, ip } = address;
  if (probe?.is === 'free') return true;
  if (probe?.is === 'taken') {
    recall(address, probe.againAt);
    return false;
  }
  if (probe !== undefined && now < probe.nextAt) {
    recall(address, probe.nextAt);
    return false;
  }
  // what was served before this process came is asked about once: it is served without long delay
  const probes = isEstablished(address) ? 1 : PROBES;
  const asked = probe?.asked ?? 0;
  if (asked === probes) {
    if (isUnderCheck(segment, ip)) recall(address, now + CHECK_MS);
    else address.probe = { is: 'free' };
    return address.probe?.is === 'free';
  }
  const place = probe?.reserved === true ? now : Math.max(now, segment.probeAt);
  if (probe?.reserved !== true) segment.probeAt = place + PROBE_GAP_MS;
  const { contestedSince = OFF, retortAt = -OFF } = probe ?? {};
  const contest = { contestedSince, retortAt };
  if (place > now) address.probe = { is: 'asking', asked, nextAt: place, reserved: true, ...contest };
  else {
    const waitMs = asked + 1 === probes ? PROBE_WAIT_MS : PROBE_EVERY_MS;
    address.probe = { is: 'asking', asked: asked + 1, nextAt: now + waitMs, reserved: false, ...contest };
    effects.push({ do: 'ask', ip });
  }
  recall(address, address.probe.nextAt);
  return false;
}

/**
 * A stranger is looked for anew. A node that is not heard is asked by unicast, for a switch that answers for it would hold the
 * address for ever: some rounds without an answer free it.
 */
function askAgain(address: Address, probe: Probe & { is: 'taken' }, now: number, effects: Effects): void {
  const { mac, by, unanswered } = probe;
  if (by === 'stranger') address.probe = undefined;
  else if (unanswered >= UNANSWERED) address.probe = { is: 'free' };
  else {
    effects.push({ do: 'ask', ip: address.ip, mac });
    address.probe = { ...probe, unanswered: unanswered + 1, againAt: now + RETRY_MS };
  }
}

/** It was served before this process came: by its Service's status, or by the epochs that others tell. */
function isEstablished({ wanted, highest }: Address): boolean {
  return wanted.established || highest > 0;
}

/** Somebody was seen with it, and the verdict is still to come. */
function isUnderCheck(segment: Segment, ip: Ip): boolean {
  for (const { ips } of segment.suspects.values()) if (ips.has(ip)) return true;
  return false;
}

/** A frame of a MAC that is not ours, with an address that we want served. */
export function onSeen(
  segment: Segment,
  address: Address,
  mac: Mac,
  kind: FrameKind,
  now: number,
  effects: Effects,
): void {
  const { probe } = address;
  // whoever had it as a node of ours and answers goes on to have it: to look into it again may fail for a lost answer
  if (probe?.is === 'taken' && probe.by === 'node' && probe.mac === mac && kind === 'answer')
    address.probe = { ...probe, unanswered: 0, againAt: now + NODE_AGAIN_MS };
  const member = memberWith(segment, mac);
  if (member !== undefined) {
    // the kernel of a node may answer as well (IPVS); one that is not heard may own the address without our knowing
    if (!isHeard(member, now)) takenByNode(segment, address, mac, kind, now, effects);
    return;
  }
  const known = segment.suspects.get(mac);
  if (known !== undefined && (known.is === 'checked' || now - known.since < VERDICT_MS)) {
    if (known.is === 'checked') known.ips.add(address.ip);
    else conclude(segment, address, mac, kind, known.is, now, effects);
    return;
  }
  if (known === undefined && segment.suspects.size >= MOST_SUSPECTS && !dropExpired(segment, now)) {
    // ever new MACs: no more are asked about, but the address is defended against them all the same
    conclude(segment, address, mac, kind, 'stranger', now, effects);
    return;
  }
  const { controls } = address.wanted;
  segment.suspects.set(mac, { is: 'checked', since: OFF, ips: new Set([address.ip]), controls, answered: new Set() });
}

/** Makes room. False: every verdict holds still, or is to come. */
function dropExpired({ suspects }: Segment, now: number): boolean {
  for (const [mac, { is, since }] of suspects) {
    if (is === 'checked' || now - since < VERDICT_MS) continue;
    suspects.delete(mac);
    return true;
  }
  return false;
}

/** What tells a proxy and a node of ours from a stranger: who has the controls, and who the addresses of the candidates? */
function questionsAbout(segment: Segment, { controls, ips }: Suspect): Set<Ip> {
  const questions = new Set(controls);
  for (const { wanted } of [...ips].flatMap((ip) => segment.addresses.get(ip) ?? [])) {
    for (const { node } of wanted.candidates) {
      const ip = segment.facts.nodes.get(node);
      if (ip !== undefined && node !== segment.node) questions.add(ip);
    }
  }
  return questions;
}

/** Asks to all, once for all suspects, what is to be known of those that wait. Returns when to be called again. */
function askAboutSuspects(segment: Segment, now: number, effects: Effects): number {
  const waiting = [...segment.suspects.values()].filter(({ is, since }) => is === 'checked' && since === OFF);
  if (waiting.length === 0) return OFF;
  if (now < segment.checkAt) return segment.checkAt;
  segment.checkAt = now + CHECK_MS;
  let asked: ReadonlySet<Ip> = new Set();
  for (const suspect of waiting) {
    const all = new Set([...asked, ...questionsAbout(segment, suspect)]);
    if (asked.size > 0 && all.size > Math.max(asked.size, MOST_ASKED)) continue;
    asked = all;
    suspect.since = now;
  }
  for (const ip of asked) effects.push({ do: 'ask', ip });
  return segment.checkAt;
}

/** A frame with an address that is none of those we want served: the answer to a check, perhaps. */
export function onOther(segment: Segment, ip: Ip, mac: Mac): void {
  const suspect = segment.suspects.get(mac);
  if (suspect?.is !== 'checked') return;
  if (suspect.controls.includes(ip)) suspect.answered.add(ip);
  for (const host of segment.facts.nodes.values()) if (host === ip) suspect.is = 'node';
}

/** Ends the checks that have waited long enough, and begins others. Returns when to be called again. */
export function judgeSuspects(segment: Segment, now: number, effects: Effects): number {
  let due = OFF;
  for (const [mac, suspect] of segment.suspects) {
    const open = suspect.is === 'checked' || (suspect.is === 'node' && suspect.ips.size > 0);
    if (!open || (suspect.is === 'checked' && suspect.since === OFF)) continue;
    // a node of ours may be known before the LAN was asked
    if (suspect.since !== OFF && now < suspect.since + CHECK_MS) {
      due = Math.min(due, suspect.since + CHECK_MS);
      continue;
    }
    if (suspect.is === 'checked') {
      const proxy = suspect.controls.length >= 2 && suspect.controls.every((ip) => suspect.answered.has(ip));
      suspect.is = proxy ? 'proxy' : 'stranger';
      if (proxy) effects.push({ report: 'l2-proxy', mac });
    }
    suspect.since = now;
    for (const ip of suspect.ips) {
      const address = segment.addresses.get(ip);
      if (address !== undefined) conclude(segment, address, mac, 'announcement', suspect.is, now, effects);
    }
    suspect.ips.clear();
  }
  return Math.min(due, askAboutSuspects(segment, now, effects));
}

function conclude(
  segment: Segment,
  address: Address,
  mac: Mac,
  kind: FrameKind,
  is: Suspect['is'],
  now: number,
  effects: Effects,
): void {
  const { ip } = address;
  segment.dirty.add(ip);
  if (is === 'node') takenByNode(segment, address, mac, kind, now, effects);
  // a gateway that is a proxy has its own address all the same
  if (is !== 'stranger' && !(is === 'proxy' && segment.facts.gateways.includes(ip))) return;
  const gateway = isGateway(segment, mac);
  if (address.claim !== undefined) {
    if (!mayDefend(address, now)) return;
    effects.push({ report: 'l2-stranger', ip, mac, claimed: true, gateway }, { do: 'announce', ip });
  } else if (address.probe?.is === 'asking') {
    const claimed = segment.settings.conflict === 'warn' || isEstablished(address);
    if (address.toldOf !== mac) effects.push({ report: 'l2-stranger', ip, mac, claimed, gateway });
    address.toldOf = mac;
    address.probe = claimed
      ? { is: 'free' }
      : { is: 'taken', mac, by: 'stranger', unanswered: 0, againAt: now + AGAIN_MS };
  }
}

/** RFC 5227 §2.4 (c): one announcement an interval, and never give way. */
function mayDefend(address: Address, now: number): boolean {
  if (now - address.defendedAt < DEFEND_INTERVAL_MS) return false;
  address.defendedAt = now;
  return true;
}

/** Then it may be a proxy that the controls did not show. */
function isGateway({ gateways }: Segment, mac: Mac): boolean {
  return gateways.some((gateway) => gateway.mac === mac);
}

function takenByNode(
  segment: Segment,
  address: Address,
  mac: Mac,
  kind: FrameKind,
  now: number,
  effects: Effects,
): void {
  const { probe, ip } = address;
  if (address.claim !== undefined) {
    // two owners that do not hear each other. Frames can be forged and kernels answer too (IPVS): no reason to give way
    if (kind === 'request' || !mayDefend(address, now)) return;
    if (address.toldOf !== mac) effects.push({ report: 'l2-unheard-owner', ip, mac, claimed: true });
    address.toldOf = mac;
    effects.push({ do: 'announce', ip });
    return;
  }
  if (probe?.is !== 'asking') return;
  address.probe = { is: 'taken', mac, by: 'node', unanswered: 0, againAt: now + PROBE_EVERY_MS };
  segment.dirty.add(ip);
  if (address.toldOf !== mac) effects.push({ report: 'l2-unheard-owner', ip, mac, claimed: false });
  address.toldOf = mac;
}
