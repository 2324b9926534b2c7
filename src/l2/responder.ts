// The answers of one interface: ARP requests and Neighbor Solicitations for the addresses that this node owns there
// (RFC 826, RFC 5227, RFC 4861 §7.2), the multicast groups that solicitations come to, and a name and a counter for all
// that is not answered. A pure machine beside `owner`, which says what to answer for; here is nothing of who owns what.
// Called by whoever owns the sockets. Answers are never paced.

import type { Ip, Mac } from '../net/address.ts';
import { familyOf } from '../net/address.ts';
import { OFF, type Step, type Tick, unreachable } from '../net/machine.ts';
import type { Asker, Item, Queue } from './announce.ts';
import {
  announceDue,
  countersOf,
  dropPending,
  forgetCounters,
  refreshAfter,
  rememberAsker,
  startBurst,
  tellAskers,
} from './announce.ts';
import * as arp from './arp.ts';
import type { FrameKind } from './event.ts';
import * as ndp from './ndp.ts';

export interface InterfaceFacts {
  readonly mac: Mac;
  /** All of this node: frames from one of them are our own, come back over a second interface. */
  readonly macs: readonly Mac[];
  /** The BROADCAST flag is set. */
  readonly arp: boolean;
  /** Absent: no NDP there. */
  readonly linkLocal?: Ip;
}

export interface ResponderSettings {
  readonly framesPerSecond: number;
  /** Between refreshes of an address, before jitter; OFF: none. */
  readonly refreshMs: number;
}

export interface Claim {
  readonly ip: Ip;
  /** What waits in the queue for it: by form, or by the one it is for. */
  readonly pending: Map<string, Item>;
  /** The next announcement of a burst; OFF: there is none. */
  nextAt: number;
  refreshAt: number;
  /** Announcements of this burst that were queued. */
  announced: number;
  /** Not announced yet: those who asked for it before are told then. */
  isNew: boolean;
}

/** Of one address, for metrics. */
export interface AddressCounters {
  requests: number;
  responses: number;
  gratuitous: number;
}

export type FrameDrop =
  | arp.ArpDrop
  | ndp.NdpDrop
  | 'etherType'
  /** Of a MAC of this node. */
  | 'own'
  | 'ethernetDestination'
  /** A group or none: the answer would go to who did not ask. */
  | 'senderMac'
  | 'arpReply'
  /** Not an address that this node owns here. */
  | 'announceIP';

export interface Responder {
  readonly link: string;
  facts: InterfaceFacts;
  settings: ResponderSettings;
  readonly claims: Map<Ip, Claim>;
  /** Addresses that some node serves here: who asks for them is remembered. */
  served: ReadonlySet<Ip>;
  /** Addresses that the owner machine wants to hear of. */
  watched: ReadonlySet<Ip>;
  readonly groups: Map<Ip, number>;
  /** Addresses of IPv6 that are probed for, until when their groups are listened to; and the first of these instants. */
  readonly probing: Map<Ip, number>;
  probingUntil: number;
  readonly askers: Map<string, Asker>;
  readonly askersOf: Map<Ip, Set<string>>;
  readonly queue: Queue;
  /** When the pace allows the next frame. */
  frameAt: number;
  /** Announcements that are waiting for it, and those that left after such a wait. */
  waiting: number;
  paced: number;
  /** When a claim has something to announce. */
  scanAt: number;
  /** Frames that nothing else is to be learned from are passed on this often, as a sign of life of the port. */
  passAt: number;
  readonly counters: Map<Ip, AddressCounters>;
  drops: Readonly<Partial<Record<FrameDrop, number>>>;
}

export type ResponderEvent =
  | { readonly on: 'interface'; readonly facts: InterfaceFacts }
  | { readonly on: 'settings'; readonly settings: ResponderSettings }
  | { readonly on: 'addresses'; readonly served: ReadonlySet<Ip>; readonly watched: ReadonlySet<Ip> }
  /** What `owner` asks for. */
  | { readonly on: 'answer' | 'announce' | 'silence'; readonly ip: Ip }
  | { readonly on: 'ask'; readonly ip: Ip; readonly mac?: Mac; readonly as?: Ip }
  /** A whole Ethernet frame, without VLAN tag. */
  | { readonly on: 'frame'; readonly bytes: Uint8Array }
  /** All input up to `now` has been given. Only a tick lets announcements go. */
  | { readonly on: 'tick' };

export type ResponderEffect =
  | { readonly do: 'frame-send'; readonly bytes: Uint8Array }
  /** Solicited-node groups (MLD): by the kernel, so that switches that snoop let solicitations through. */
  | { readonly do: 'group-join' | 'group-leave'; readonly group: Ip }
  /** For the owner machine: its event `frame`. */
  | {
      readonly do: 'seen';
      readonly ip?: Ip;
      readonly mac: Mac;
      readonly kind: FrameKind;
      readonly target?: { readonly ip: Ip; readonly mac: Mac };
      readonly probed?: Ip;
    };

const PASS_EVERY_MS = 100;
/** From the last probe on: longer than a probe waits for the next one, with fewer than 400 addresses at once. */
const PROBING_MS = 1_000;

export function createResponder(link: string, facts: InterfaceFacts, settings: ResponderSettings): Responder {
  return {
    ...{ link, facts, settings, claims: new Map(), served: new Set(), watched: new Set(), groups: new Map() },
    ...{ askers: new Map(), askersOf: new Map(), queue: { rounds: [], length: 0 } },
    ...{ probing: new Map(), probingUntil: OFF },
    ...{
      frameAt: -OFF,
      waiting: 0,
      paced: 0,
      scanAt: OFF,
      passAt: -OFF,
      counters: new Map(),
      drops: {},
    },
  };
}

export function dueAt({ queue, frameAt, scanAt, probingUntil }: Responder): number {
  return Math.min(scanAt, probingUntil, queue.length > 0 ? frameAt : OFF);
}

export function step(responder: Responder, event: ResponderEvent, tick: Tick): Step<Responder, ResponderEffect> {
  const effects: ResponderEffect[] = [];
  switch (event.on) {
    case 'interface':
      onInterface(responder, event.facts, tick, effects);
      break;
    case 'settings':
      responder.settings = event.settings;
      responder.scanAt = tick.now;
      for (const claim of responder.claims.values()) {
        claim.refreshAt = refreshAfter(responder, tick.now, tick.random);
      }
      break;
    case 'addresses':
      responder.served = event.served;
      responder.watched = event.watched;
      forgetCounters(responder);
      break;
    case 'answer':
      onAnswer(responder, event.ip, tick, effects);
      break;
    case 'announce':
      onAnnounce(responder, event.ip, tick);
      break;
    case 'silence':
      onSilence(responder, event.ip, effects);
      break;
    case 'ask':
      ask(responder, event, effects);
      if (event.mac === undefined && event.as === undefined) listen(responder, event.ip, tick, effects);
      break;
    case 'frame':
      onFrame(responder, event.bytes, tick, effects);
      break;
    case 'tick':
      // only now: of what came together, the first frames of all addresses leave before any second
      announceDue(responder, tick, effects);
      stopListening(responder, tick, effects);
      break;
    default:
      return unreachable(event);
  }
  return [responder, effects];
}

function onAnswer(responder: Responder, ip: Ip, { now, random }: Tick, effects: ResponderEffect[]): void {
  if (responder.claims.has(ip)) return;
  const refreshAt = refreshAfter(responder, now, random);
  responder.claims.set(ip, { ip, pending: new Map(), nextAt: OFF, refreshAt, announced: 0, isNew: true });
  responder.scanAt = Math.min(responder.scanAt, refreshAt);
  join(responder, ip, effects);
}

function onAnnounce(responder: Responder, ip: Ip, tick: Tick): void {
  const claim = responder.claims.get(ip);
  if (claim === undefined) return;
  if (claim.isNew) tellAskers(responder, claim, tick);
  claim.isNew = false;
  startBurst(responder, claim, tick);
}

function onSilence(responder: Responder, ip: Ip, effects: ResponderEffect[]): void {
  const claim = responder.claims.get(ip);
  if (claim === undefined) return;
  responder.claims.delete(ip);
  dropPending(responder, claim);
  if (!responder.served.has(ip)) responder.counters.delete(ip);
  leave(responder, ip, effects);
}

/** An interface that got its link-local address later joins the groups then, and tells what it could not tell before. */
function onInterface(responder: Responder, facts: InterfaceFacts, tick: Tick, effects: ResponderEffect[]): void {
  const before = responder.facts;
  responder.facts = facts;
  const ipv6IsNew = facts.linkLocal !== undefined && before.linkLocal === undefined;
  if (ipv6IsNew) for (const group of responder.groups.keys()) effects.push({ do: 'group-join', group });
  for (const claim of responder.claims.values()) {
    const family = familyOf(claim.ip);
    const isNew = family === 'ipv6' ? ipv6IsNew : facts.arp && !before.arp;
    if (isNew || facts.mac !== before.mac) startBurst(responder, claim, tick);
  }
}

/** Addresses whose last three octets are equal share a group. */
function join(responder: Responder, ip: Ip, effects: ResponderEffect[]): void {
  if (familyOf(ip) === 'ipv4') return;
  const group = ndp.solicitedNodeGroup(ip);
  const members = responder.groups.get(group) ?? 0;
  responder.groups.set(group, members + 1);
  if (members === 0 && responder.facts.linkLocal !== undefined) effects.push({ do: 'group-join', group });
}

function leave(responder: Responder, ip: Ip, effects: ResponderEffect[]): void {
  if (familyOf(ip) === 'ipv4') return;
  const group = ndp.solicitedNodeGroup(ip);
  const members = (responder.groups.get(group) ?? 1) - 1;
  if (members > 0) responder.groups.set(group, members);
  else {
    responder.groups.delete(group);
    if (responder.facts.linkLocal !== undefined) effects.push({ do: 'group-leave', group });
  }
}

/** RFC 4862 §5.4.2: to hear who else probes for it, and who takes it, its group is joined while it is probed for. */
function listen(responder: Responder, ip: Ip, { now }: Tick, effects: ResponderEffect[]): void {
  if (familyOf(ip) === 'ipv4' || !responder.served.has(ip)) return;
  if (!responder.probing.has(ip)) join(responder, ip, effects);
  responder.probing.set(ip, now + PROBING_MS);
  responder.probingUntil = Math.min(responder.probingUntil, now + PROBING_MS);
}

function stopListening(responder: Responder, { now }: Tick, effects: ResponderEffect[]): void {
  if (now < responder.probingUntil) return;
  responder.probingUntil = OFF;
  for (const [ip, until] of responder.probing) {
    if (until > now) responder.probingUntil = Math.min(responder.probingUntil, until);
    else if (responder.probing.delete(ip)) leave(responder, ip, effects);
  }
}

function ask(responder: Responder, { ip, mac, as }: ResponderEvent & { on: 'ask' }, effects: ResponderEffect[]): void {
  const { facts } = responder;
  const send = (bytes: Uint8Array) => effects.push({ do: 'frame-send', bytes });
  if (familyOf(ip) === 'ipv4') {
    if (facts.arp) send(arp.question(facts.mac, ip, mac, as));
    return;
  }
  // some answer only the one, some only the other form. RFC 4862 §5.4.3: whoever is about to take the address gives it up when
  // it is asked in the first, so that form is for addresses that are to be ours alone
  if (as === undefined && responder.served.has(ip)) send(ndp.question(facts.mac, ip, ndp.UNSPECIFIED, mac));
  const from = as ?? facts.linkLocal;
  if (from !== undefined) send(ndp.question(facts.mac, ip, from, mac));
}

function onFrame(responder: Responder, bytes: Uint8Array, tick: Tick, effects: ResponderEffect[]): void {
  if (arp.isArp(bytes)) {
    const decoded = arp.decode(bytes);
    const drop = 'drop' in decoded ? decoded.drop : onArp(responder, decoded.frame, tick, effects);
    if (drop !== undefined) count(responder, drop);
  } else if (ndp.isIpv6(bytes)) {
    const decoded = ndp.decode(bytes);
    const drop = 'drop' in decoded ? decoded.drop : onNdp(responder, decoded.message, tick, effects);
    if (drop !== undefined) count(responder, drop);
  } else count(responder, 'etherType');
}

function onArp(
  responder: Responder,
  frame: arp.ArpFrame,
  tick: Tick,
  effects: ResponderEffect[],
): FrameDrop | undefined {
  const { mac, macs } = responder.facts;
  const { destination, operation, senderMac, senderIp, targetMac, targetIp } = frame;
  if (macs.includes(senderMac)) return 'own';
  const toUs = destination === mac;
  if (!toUs && destination !== arp.BROADCAST) return 'ethernetDestination';
  // another one than the frame came from is in use (hosts that mask their source from switches) and is answered (RFC 826)
  if (operation === 'request' && !arp.isStation(senderMac)) return 'senderMac';
  const isProbe = arp.isProbe(frame);
  const toAll = operation === 'request' ? senderIp === targetIp : !toUs;
  const kind = isProbe ? 'probe' : toAll ? 'announcement' : operation === 'reply' ? 'answer' : 'request';
  const target = operation === 'reply' ? { target: { ip: targetIp, mac: targetMac } } : {};
  // one to us alone asks who has it now (RFC 1122 §2.3.2.1), and is of nobody who wants it
  const probed = isProbe && !toUs ? { probed: targetIp } : {};
  see(responder, { mac: senderMac, kind, ...(isProbe ? probed : { ip: senderIp }), ...target }, tick, effects);
  if (operation === 'reply') return 'arpReply';
  if (!isProbe && !toAll) remember(responder, targetIp, senderIp, senderMac, tick);
  if (!responder.claims.has(targetIp)) return 'announceIP';
  answerWith(responder, targetIp, arp.reply(mac, targetIp, { mac: senderMac, ip: senderIp }), effects);
  return undefined;
}

function onNdp(
  responder: Responder,
  message: ndp.NdpMessage,
  tick: Tick,
  effects: ResponderEffect[],
): FrameDrop | undefined {
  const { mac, macs, linkLocal } = responder.facts;
  const { destination, source, from, to, target } = message;
  if (macs.includes(source)) return 'own';
  if (destination !== mac && !destination.startsWith('33:33:')) return 'ethernetDestination';
  if (message.is === 'advertisement') {
    const kind = destination === mac ? 'answer' : 'announcement';
    const link = message.targetLink ?? source;
    see(responder, { ip: target, mac: link, kind, target: { ip: to, mac: destination } }, tick, effects);
    return 'messageType';
  }
  const isProbe = from === ndp.UNSPECIFIED;
  const probed = destination !== mac ? { probed: target } : {};
  const asker = isProbe ? ({ kind: 'probe', ...probed } as const) : ({ ip: from, kind: 'request' } as const);
  see(responder, { mac: source, ...asker }, tick, effects);
  // a reachability check (RFC 4861 §7.3) may leave its option out: it came from the MAC that it came from
  const link = message.sourceLink ?? source;
  if (!arp.isStation(link)) return 'senderMac';
  if (!isProbe) remember(responder, target, from, link, tick);
  if (!responder.claims.has(target) || linkLocal === undefined) return 'announceIP';
  // RFC 4861 §7.2.4: whoever has no address yet is answered to all, and unsolicited
  const answer = isProbe
    ? ndp.announcement(mac, target, linkLocal)
    : ndp.advertise(mac, target, linkLocal, { mac: link, ip: from }, true);
  answerWith(responder, target, answer, effects);
  return undefined;
}

function answerWith(responder: Responder, ip: Ip, bytes: Uint8Array, effects: ResponderEffect[]): void {
  const counters = countersOf(responder, ip);
  counters.requests++;
  counters.responses++;
  effects.push({ do: 'frame-send', bytes });
}

function remember(responder: Responder, ip: Ip, asker: Ip, mac: Mac, { now }: Tick): void {
  if (responder.served.has(ip)) rememberAsker(responder, { ip, asker, mac, at: now });
}

/** Passes on what the owner machine can learn from: what concerns its addresses, answers, and now and then a sign of life. */
function see(
  responder: Responder,
  seen: Omit<Extract<ResponderEffect, { do: 'seen' }>, 'do'>,
  { now }: Tick,
  effects: ResponderEffect[],
): void {
  const { served, watched, passAt } = responder;
  const { ip = seen.probed } = seen;
  const concerns = ip !== undefined && (served.has(ip) || watched.has(ip));
  if (!concerns && seen.kind !== 'answer' && now < passAt) return;
  responder.passAt = now + PASS_EVERY_MS;
  effects.push({ do: 'seen', ...seen });
}

function count(responder: Responder, reason: FrameDrop): void {
  responder.drops = { ...responder.drops, [reason]: (responder.drops[reason] ?? 0) + 1 };
}
