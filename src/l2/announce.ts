// What is sent without being asked: the burst after an address was taken, the refresh, and unicast announcements to those who
// asked for it lately. Paced for the whole interface, for switches shut ports on ARP floods: the first frame of every
// address goes before any second. Called by `responder`.

import type { Ip, Mac } from '../net/address.ts';
import { familyOf } from '../net/address.ts';
import { OFF, redraw, type Tick } from '../net/machine.ts';
import * as arp from './arp.ts';
import * as ndp from './ndp.ts';
import type { AddressCounters, Claim, Responder, ResponderEffect } from './responder.ts';

/** As MetalLB: so often, for so long. */
const BURST_EVERY_MS = 1_100;
const BURST_MS = 5_000;
/** How many frames may leave at once after a pause, in ms of the pace. */
const SLACK_MS = 10;
const MOST_ASKERS = 1_024;
const ASKED_LATELY_MS = 600_000;

/** One frame to be sent; what it says is worked out when it leaves. */
export interface Item {
  readonly ip: Ip;
  /** Of the claim it was made for: one for a claim that has ended is skipped. */
  readonly generation: number;
  readonly form: 'request' | 'reply' | 'advertisement' | 'unicast';
  readonly to?: { readonly ip: Ip; readonly mac: Mac };
}

/** First in, first out, by rounds: the lowest round that is not empty comes first. */
export interface Queue {
  readonly rounds: { items: Item[]; head: number }[];
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

function put({ queue }: Responder, round: number, item: Item): void {
  while (queue.rounds.length <= round) queue.rounds.push({ items: [], head: 0 });
  queue.rounds[round]?.items.push(item);
  queue.length++;
}

function take(queue: Queue): Item | undefined {
  for (const round of queue.rounds) {
    const item = round.items[round.head];
    if (item === undefined) continue;
    round.head++;
    queue.length--;
    if (round.head === round.items.length) {
      round.items = [];
      round.head = 0;
    }
    return item;
  }
  return undefined;
}

/** Starts a burst, or another: the first announcement at once. */
export function startBurst(responder: Responder, claim: Claim, { now, random }: Tick): void {
  claim.burstUntil = now + BURST_MS;
  claim.sent = 0;
  enqueue(responder, claim, 0);
  claim.nextAt = now + BURST_EVERY_MS;
  claim.refreshAt = refreshAfter(responder, now, random);
  responder.scanAt = Math.min(responder.scanAt, claim.nextAt, claim.refreshAt);
}

/** Tells everybody who asked for the address lately: radio bridges and hypervisors drop what is sent to all. */
export function tellAskers(responder: Responder, { ip, generation }: Claim, { now }: Tick): void {
  for (const key of responder.askersOf.get(ip) ?? []) {
    const known = responder.askers.get(key);
    if (known === undefined || now - known.at > ASKED_LATELY_MS) continue;
    put(responder, UNICAST_ROUND, { ip, generation, form: 'unicast', to: { ip: known.asker, mac: known.mac } });
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

function enqueue(responder: Responder, { ip, generation }: Claim, round: number): void {
  if (familyOf(ip) === 'ipv6') {
    put(responder, round, { ip, generation, form: 'advertisement' });
    return;
  }
  // some hosts believe requests alone, others replies alone
  put(responder, round, { ip, generation, form: 'request' });
  put(responder, round + 1, { ip, generation, form: 'reply' });
}

/** When an address is next refreshed; nodes that took theirs at one time drift apart. */
export function refreshAfter({ settings }: Responder, now: number, random: number): number {
  return now + settings.refreshMs * (0.9 + 0.2 * random);
}

export function countersOf({ counters }: Responder, ip: Ip): AddressCounters {
  const known = counters.get(ip);
  if (known !== undefined) return known;
  const fresh = { requests: 0, responses: 0, gratuitous: 0 };
  counters.set(ip, fresh);
  return fresh;
}

/** Queues what has come due, and sends what the pace allows. */
export function announceDue(responder: Responder, tick: Tick, effects: ResponderEffect[]): void {
  const { now } = tick;
  if (now >= responder.scanAt) {
    responder.scanAt = OFF;
    let { random } = tick;
    for (const claim of responder.claims.values()) {
      random = redraw(random);
      if (claim.nextAt <= now) {
        claim.sent++;
        enqueue(responder, claim, claim.sent * 2);
        claim.nextAt = claim.nextAt + BURST_EVERY_MS;
        if (claim.nextAt > claim.burstUntil) claim.nextAt = OFF;
      }
      if (claim.refreshAt <= now) {
        enqueue(responder, claim, REFRESH_ROUND);
        claim.refreshAt = refreshAfter(responder, now, random);
      }
      responder.scanAt = Math.min(responder.scanAt, claim.nextAt, claim.refreshAt);
    }
  }
  const gapMs = 1_000 / responder.settings.framesPerSecond;
  let { waiting } = responder;
  while (responder.queue.length > 0 && responder.frameAt <= now) {
    const item = take(responder.queue);
    const hasWaited = waiting-- > 0;
    const bytes = item === undefined ? undefined : compose(responder, item);
    if (item === undefined || bytes === undefined) continue;
    effects.push({ do: 'frame-send', bytes });
    countersOf(responder, item.ip).gratuitous++;
    if (hasWaited) responder.paced++;
    responder.frameAt = Math.max(responder.frameAt, now - SLACK_MS) + gapMs;
  }
  responder.waiting = responder.queue.length;
}

/** The frame, or undefined: the claim has ended, or this interface does not speak the protocol. */
function compose(responder: Responder, { ip, generation, form, to }: Item): Uint8Array | undefined {
  const { claims, facts } = responder;
  if (claims.get(ip)?.generation !== generation) return undefined;
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
