// What is sent without being asked: the burst after an address was taken, the refresh, and unicast announcements to those who
// asked for it lately. Paced for the whole interface, for switches shut ports on ARP floods: the first frame of every
// address goes before any second, and of one address one frame of each form waits at most: what comes in faster than it may leave
// is not piled up. Called by `responder`.

import type { Ip, Mac } from '../net/address.ts';
import { familyOf } from '../net/address.ts';
import { OFF, redraw, type Tick } from '../net/machine.ts';
import * as arp from './arp.ts';
import * as ndp from './ndp.ts';
import type { AddressCounters, Claim, Responder, ResponderEffect } from './responder.ts';

/** As MetalLB: every 1.1 s for 5 s. */
const BURST_EVERY_MS = 1_100;
const BURST_ANNOUNCEMENTS = 5;
/** How many frames may leave at once after a pause, in ms of the pace. */
const SLACK_MS = 10;
const MOST_ASKERS = 1_024;
const ASKED_LATELY_MS = 600_000;
/** All refreshes together leave a fifth of the pace free: with more addresses than that each is refreshed less often. */
const REFRESH_SHARE = 0.8;
/** Of one announcement. */
const MOST_FRAMES = 2;
/** A burst whose last announcement has not left goes on when it has; looked at so often. */
const PENDING_AGAIN_MS = 100;

/** One frame to be sent for a claim; what it says is worked out when it leaves. */
export interface Item {
  readonly claim: Claim;
  readonly round: number;
  readonly form: 'request' | 'reply' | 'advertisement' | 'unicast';
  readonly to?: { readonly ip: Ip; readonly mac: Mac };
}

/** First in, first out, by rounds: the lowest round that is not empty comes first. */
export interface Queue {
  readonly rounds: Set<Item>[];
  length: number;
}

/** Somebody who asked for an address of the segment, whoever answered. */
export interface Asker {
  readonly ip: Ip;
  readonly asker: Ip;
  readonly mac: Mac;
  readonly at: number;
}

/** Rounds of a burst: two frames an announcement; those who asked come after the first of all. */
const UNICAST_ROUND = 1;
const REFRESH_ROUND = 12;

/** One that waits for an earlier round already stays there; one that waits for a later round is replaced. */
function put(responder: Responder, item: Item): void {
  const { queue } = responder;
  const { pending } = item.claim;
  const key = item.to?.ip ?? item.form;
  const before = pending.get(key);
  if (before !== undefined && before.round <= item.round) return;
  if (before !== undefined) remove(responder, key, before);
  while (queue.rounds.length <= item.round) queue.rounds.push(new Set());
  queue.rounds[item.round]?.add(item);
  queue.length++;
  pending.set(key, item);
}

function remove({ queue }: Responder, key: string, item: Item): void {
  item.claim.pending.delete(key);
  if (queue.rounds[item.round]?.delete(item)) queue.length--;
}

function take(responder: Responder): Item | undefined {
  for (const round of responder.queue.rounds) {
    for (const item of round) {
      remove(responder, item.to?.ip ?? item.form, item);
      return item;
    }
  }
  return undefined;
}

/** The claim has ended: nothing more is said of it. */
export function dropPending(responder: Responder, { pending }: Claim): void {
  for (const [key, item] of pending) remove(responder, key, item);
  responder.waiting = Math.min(responder.waiting, responder.queue.length);
}

/** Starts a burst, or another: the first announcement at once. */
export function startBurst(responder: Responder, claim: Claim, { now, random }: Tick): void {
  claim.announced = 1;
  enqueue(responder, claim, 0);
  claim.nextAt = now + BURST_EVERY_MS;
  claim.refreshAt = refreshAfter(responder, now, random);
  responder.scanAt = Math.min(responder.scanAt, claim.nextAt, claim.refreshAt);
}

/** Tells everybody who asked for the address lately: radio bridges and hypervisors drop what is sent to all. */
export function tellAskers(responder: Responder, claim: Claim, { now }: Tick): void {
  for (const key of responder.askersOf.get(claim.ip) ?? []) {
    const known = responder.askers.get(key);
    if (known === undefined || now - known.at > ASKED_LATELY_MS) continue;
    const to = { ip: known.asker, mac: known.mac };
    put(responder, { claim, round: UNICAST_ROUND, form: 'unicast', to });
  }
}

/** Remembers one who asked; the one that has been silent for longest is forgotten for it. */
export function rememberAsker(responder: Responder, asker: Asker): void {
  const { askers, askersOf } = responder;
  const key = `${asker.ip} ${asker.asker}`;
  askers.delete(key);
  askers.set(key, asker);
  const keys = askersOf.get(asker.ip);
  if (keys === undefined) askersOf.set(asker.ip, new Set([key]));
  else keys.add(key);
  if (askers.size <= MOST_ASKERS) return;
  for (const [oldest, { ip }] of askers) {
    askers.delete(oldest);
    const left = askersOf.get(ip);
    left?.delete(oldest);
    if (left?.size === 0) askersOf.delete(ip);
    return;
  }
}

function enqueue(responder: Responder, claim: Claim, round: number): void {
  if (familyOf(claim.ip) === 'ipv6') {
    put(responder, { claim, round, form: 'advertisement' });
    return;
  }
  // some hosts believe requests alone, others replies alone
  put(responder, { claim, round, form: 'request' });
  put(responder, { claim, round: round + 1, form: 'reply' });
}

/** Its last announcement has not left yet. */
function isPending({ pending }: Claim): boolean {
  return pending.has('request') || pending.has('reply') || pending.has('advertisement');
}

/** When an address is next refreshed; nodes that took theirs at one time drift apart. */
export function refreshAfter({ settings, claims }: Responder, now: number, random: number): number {
  const leastMs = (claims.size * MOST_FRAMES * 1_000) / (settings.framesPerSecond * REFRESH_SHARE);
  return now + Math.max(settings.refreshMs, leastMs) * (0.9 + 0.2 * random);
}

/** Of an address that is neither served nor answered for any more nothing is kept. */
export function forgetCounters({ counters, served, claims }: Responder): void {
  for (const ip of counters.keys()) if (!served.has(ip) && !claims.has(ip)) counters.delete(ip);
}

export function countersOf({ counters }: Responder, ip: Ip): AddressCounters {
  const known = counters.get(ip);
  if (known !== undefined) return known;
  const fresh = { requests: 0, responses: 0, gratuitous: 0 };
  counters.set(ip, fresh);
  return fresh;
}

/** The next announcement of a burst. */
function goOn(responder: Responder, claim: Claim, now: number): void {
  if (isPending(claim)) {
    claim.nextAt = now + PENDING_AGAIN_MS;
    return;
  }
  enqueue(responder, claim, claim.announced * MOST_FRAMES);
  claim.announced++;
  claim.nextAt = claim.announced === BURST_ANNOUNCEMENTS ? OFF : claim.nextAt + BURST_EVERY_MS;
}

/** Queues what has come due, and sends what the pace allows. */
export function announceDue(responder: Responder, tick: Tick, effects: ResponderEffect[]): void {
  const { now } = tick;
  if (now >= responder.scanAt) {
    responder.scanAt = OFF;
    let { random } = tick;
    for (const claim of responder.claims.values()) {
      random = redraw(random);
      if (claim.refreshAt <= now) {
        // a burst says the same
        if (claim.nextAt === OFF) enqueue(responder, claim, REFRESH_ROUND);
        claim.refreshAt = refreshAfter(responder, now, random);
      }
      if (claim.nextAt <= now) goOn(responder, claim, now);
      responder.scanAt = Math.min(responder.scanAt, claim.nextAt, claim.refreshAt);
    }
  }
  const gapMs = 1_000 / responder.settings.framesPerSecond;
  let { waiting } = responder;
  while (responder.queue.length > 0 && responder.frameAt <= now) {
    const item = take(responder);
    const hasWaited = waiting-- > 0;
    const bytes = item === undefined ? undefined : compose(responder, item);
    if (item === undefined || bytes === undefined) continue;
    effects.push({ do: 'frame-send', bytes });
    countersOf(responder, item.claim.ip).gratuitous++;
    if (hasWaited) responder.paced++;
    responder.frameAt = Math.max(responder.frameAt, now - SLACK_MS) + gapMs;
  }
  responder.waiting = responder.queue.length;
}

/** The frame, or undefined: this interface does not speak the protocol. */
function compose({ facts }: Responder, { claim: { ip }, form, to }: Item): Uint8Array | undefined {
  const { mac, linkLocal } = facts;
  if (familyOf(ip) === 'ipv4') {
    if (!facts.arp) return undefined;
    if (to !== undefined) return arp.reply(mac, ip, to);
    return arp.announcement(mac, ip, form === 'request' ? 'request' : 'reply');
  }
  if (linkLocal === undefined) return undefined;
  if (to !== undefined) return ndp.advertise(mac, ip, linkLocal, to, false);
  return ndp.announcement(mac, ip, linkLocal);
}
