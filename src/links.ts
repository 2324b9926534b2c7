// The packet half of a node as one machine: BFD sessions for BGP peers, and layer 2: which interface answers ARP and Neighbor
// Discovery for which address, agreed upon with the other speakers. Pure: sockets and frames are named, not held. Driven by
// io/packet-thread and by simulations, both of which hand over all that has arrived before they give a tick.

import { isClaim } from './l2/claim.ts';
import { isIpv4 } from './links/echo-frame.ts';
import { giveOwner, giveResponder, joinLater, lanDueAt, tickLan } from './links/lan.ts';
import { followKeys, followLans, forgetLans } from './links/lans.ts';
import { followMesh, heardOn, onMeshDatagram } from './links/mesh.ts';
import { followNeighbors, onRouterMessage, tickNeighbors } from './links/neighbors.ts';
import { followPeers, haveLeft, leavePeers, onPeerDatagram, onPeerFrame, tickPeers } from './links/peers.ts';
import type { Effects, LinksEffect, LinksEvent } from './links/report.ts';
import { onSocket, renew, reopen } from './links/socket.ts';
import { hearSpeaker } from './links/speakers.ts';
import type { Links } from './links/state.ts';
import type { LinksWanted } from './links/wanted.ts';
import type { Step, Tick } from './net/machine.ts';
import { OFF, redraw, unreachable } from './net/machine.ts';
import type { PacketEvent } from './net/packet-io.ts';

export type { LinksEffect, LinksEvent, LinksReport } from './links/report.ts';
export type { Links } from './links/state.ts';
export { createLinks } from './links/state.ts';
export type { LinksView } from './links/view.ts';
export { viewLinks } from './links/view.ts';

/** So long at most peers are told that this node leaves. */
const LEAVE_MS = 3_000;

/** A turn that comes so much later than it was due: who owns what may have changed meanwhile. */
const LATE_MS = 500;

/** When it must be given a tick though nothing came. */
export function dueAt({ dueAt: due }: Links): number {
  return due;
}

export function step(links: Links, event: LinksEvent, tick: Tick): Step<Links, LinksEffect> {
  const effects: Effects = [];
  if (tick.now - links.dueAt > LATE_MS) distrust(links, tick, effects);
  switch (event.on) {
    case 'wanted':
      if (links.leaving) break;
      want(links, event.wanted);
      follow(links, tick, effects);
      break;
    case 'links': {
      const replaced = event.links.filter(({ name, index }) =>
        links.links.some((before) => before.name === name && before.index !== index),
      );
      links.links = event.links;
      renew(links.sockets, new Set(replaced.map(({ name }) => name)), effects);
      reopen(links.sockets, tick, true, effects);
      follow(links, tick, effects);
      break;
    }
    case 'datagram':
      onDatagram(links, event, tick, effects);
      break;
    case 'frame': {
      if (isIpv4(event.bytes)) {
        onPeerFrame(links.peers, event.link, event.bytes, tick, effects);
        break;
      }
      const lan = links.lans.get(event.link);
      if (lan?.serving !== undefined) giveResponder(links, lan, { on: 'frame', bytes: event.bytes }, tick, effects);
      break;
    }
    case 'icmp':
      onRouterMessage(links.neighbors, event, links.links, tick, effects);
      break;
    case 'socket':
      onSocket(links.sockets, event, tick, effects);
      if (event.socket.startsWith('icmp/')) followDiscovery(links, tick, effects);
      // where no frame comes or goes nothing is answered
      if (links.lans.has(event.socket)) followLans(links, tick, effects);
      break;
    case 'failed':
      fail(links, event, tick, effects);
      break;
    case 'leave':
      leave(links, tick, effects);
      break;
    case 'tick':
      onTick(links, tick, effects);
      break;
    default:
      return unreachable(event);
  }
  depart(links, tick, effects);
  tellAnswers(links, effects);
  schedule(links);
  return [links, effects];
}

/** Before a request is answered that was asked while this thread stood still, the owner machines must know that it did. */
function distrust(links: Links, tick: Tick, effects: Effects): void {
  for (const lan of links.lans.values()) giveOwner(links, lan, { on: 'tick', heard: heardOn(lan) }, tick, effects);
}

/** What layer 2 there was ends when it has told the others. */
function want(links: Links, wanted: LinksWanted): void {
  const { layer2 } = links.wanted;
  links.layer2Ends = wanted.layer2 === undefined && links.lans.size > 0;
  links.wanted =
    links.layer2Ends && layer2 !== undefined ? { ...wanted, layer2: { ...layer2, addresses: [] } } : wanted;
  links.vips = new Set(links.wanted.layer2?.addresses.map(({ ip }) => ip));
}

/** Sessions and LANs as they are wanted, on the links that there are. */
function follow(links: Links, tick: Tick, effects: Effects): void {
  const { peers, wanted, vips, sockets, leaving } = links;
  if (!leaving) followPeers(peers, wanted.sessions, links.links, vips, tick, sockets, effects);
  followDiscovery(links, tick, effects);
  followLans(links, { ...tick, random: redraw(tick.random) }, effects);
}

function followDiscovery({ neighbors, wanted, links, sockets }: Links, tick: Tick, effects: Effects): void {
  followNeighbors(neighbors, wanted.neighbors ?? [], links, tick, sockets, effects);
}

function onDatagram(links: Links, event: PacketEvent & { on: 'datagram' }, tick: Tick, effects: Effects): void {
  if (onPeerDatagram(links.peers, event, tick, effects) || !event.socket.startsWith('speakers/')) return;
  if (!isClaim(event.bytes)) {
    const lan = links.lans.get(event.link);
    const drop = lan?.segment === undefined ? 'link' : onMeshDatagram(links, lan, event, tick, effects);
    if (drop !== undefined) count(links, `bfd-${drop}`);
    return;
  }
  const heard = hearSpeaker(links, event, tick);
  if (heard === undefined) return;
  if ('drop' in heard) {
    count(links, heard.drop);
    return;
  }
  for (const lan of heard.for) {
    if (heard.statement.asks) lan.told.wholeAt = tick.now;
    giveOwner(links, lan, { on: 'told', statement: heard.statement }, tick, effects);
    followMesh(links, lan, tick, effects);
  }
}

function count(links: Links, drop: string): void {
  links.drops = { ...links.drops, [drop]: (links.drops[drop] ?? 0) + 1 };
}

function fail(
  links: Links,
  { effect, about, error }: PacketEvent & { on: 'failed' },
  tick: Tick,
  effects: Effects,
): void {
  const name = `${effect} ${error.code}`;
  const count = (links.failures.get(name)?.count ?? 0) + 1;
  links.failures.set(name, { effect, code: error.code, count });
  if (count === 1) effects.push({ report: 'refused', effect, about, error });
  const lan = effect === 'group-join' ? links.lans.get(about) : undefined;
  if (lan !== undefined) joinLater(lan, tick);
}

function onTick(links: Links, tick: Tick, effects: Effects): void {
  const { peers, sockets, lans } = links;
  reopen(sockets, tick, false, effects);
  if (links.keys.turnAt <= tick.now) followKeys(links, [], tick, effects);
  tickPeers(peers, tick, sockets, effects);
  tickNeighbors(links.neighbors, { ...tick, random: redraw(tick.random) }, effects);
  let { random } = tick;
  for (const lan of lans.values()) {
    random = redraw(random);
    if (lanDueAt(lan) <= tick.now) tickLan(links, lan, { ...tick, random }, effects);
  }
  forgetLans(links, tick, effects);
}

function leave(links: Links, tick: Tick, effects: Effects): void {
  if (links.leaving) return;
  links.leaving = true;
  links.leaveBy = tick.now + LEAVE_MS;
  leavePeers(links.peers, tick, effects);
  for (const lan of links.lans.values()) giveOwner(links, lan, { on: 'leave' }, tick, effects);
  followLans(links, tick, effects);
}

/** Everything has been handed over, and every peer been told or given up. */
function depart(links: Links, { now }: Tick, effects: Effects): void {
  if (!links.leaving || links.leaveBy === OFF) return;
  const lansHaveLeft = [...links.lans.values()].every(({ segment, hasLeft }) => segment === undefined || hasLeft);
  if (!lansHaveLeft || !(haveLeft(links.peers) || now >= links.leaveBy)) return;
  links.leaveBy = OFF;
  effects.push({ report: 'left' });
}

function tellAnswers({ answers, changed }: Links, effects: Effects): void {
  if (changed.size === 0) return;
  const addresses = new Map([...changed].map((ip) => [ip, [...(answers.get(ip) ?? [])].sort()]));
  changed.clear();
  effects.push({ report: 'l2-answers', addresses });
}

function schedule(links: Links): void {
  let due = Math.min(links.peers.dueAt, links.neighbors.dueAt, links.sockets.dueAt, links.keys.turnAt);
  for (const lan of links.lans.values()) due = Math.min(due, lanDueAt(lan));
  links.dueAt = Math.min(due, links.leaveBy);
}
