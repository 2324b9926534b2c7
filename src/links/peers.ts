// BFD for BGP peers: the sessions that main asks for, each on its path while there is one, made again when an end of the path
// changes, told AdminDown when it is no longer wanted (RFC 5880 §6.8.16), held when it flaps. Called by `links`.

import { demultiplex } from '../bfd/demultiplex.ts';
import type { DropReason } from '../bfd/packet.ts';
import type { SessionEvent, SessionReport } from '../bfd/session.ts';
import { isSilent } from '../bfd/variables.ts';
import type { Ip } from '../net/address.ts';
import type { Tick } from '../net/machine.ts';
import { OFF, redraw } from '../net/machine.ts';
import type { LinkState, PacketEvent } from '../net/packet-io.ts';
import { failed, isHeld, released, UNDAMPED } from './damping.ts';
import { followEcho, onEchoDatagram, onEchoFrame } from './echo.ts';
import type { Route } from './path.ts';
import { routeOf } from './path.ts';
import type { Peer, PeerSession, Peers } from './peer-session.ts';
import { drivePeerSession, endPeerSession, startPeerSession } from './peer-session.ts';
import type { Effects } from './report.ts';
import type { Sockets } from './socket.ts';
import type { BfdWanted } from './wanted.ts';

type Datagram = PacketEvent & { readonly on: 'datagram' };

export function createPeers(): Peers {
  return {
    ...{ byName: new Map(), listeners: new Map(), echoing: new Map(), retired: new Set(), taken: new Set() },
    ...{ drops: {}, dueAt: OFF },
  };
}

/** What is wanted, on the links that there are: to be called when either changed. */
export function followPeers(
  peers: Peers,
  wanted: ReadonlyMap<string, BfdWanted>,
  links: readonly LinkState[],
  vips: ReadonlySet<Ip>,
  tick: Tick,
  sockets: Sockets,
  effects: Effects,
): void {
  let { random } = tick;
  for (const [name, each] of wanted) {
    random = redraw(random);
    const peer = peers.byName.get(name) ?? createPeer(name);
    peers.byName.set(name, peer);
    peer.wanted = each;
    followPeer(peers, peer, each, routeOf(each, links, vips), { ...tick, random }, sockets, effects);
  }
  for (const peer of peers.byName.values()) {
    if (wanted.has(peer.name) || peer.wanted === undefined) continue;
    peer.wanted = undefined;
    peer.waiting = undefined;
    if (peer.running === undefined) peers.byName.delete(peer.name);
    else {
      give(peers, peer.running, { on: 'disable' }, tick, effects);
      endIfTold(peers, peer.running, sockets, effects);
    }
  }
}

function createPeer(name: string): Peer {
  return { name, wanted: undefined, running: undefined, waiting: undefined, damping: UNDAMPED };
}

function followPeer(
  peers: Peers,
  peer: Peer,
  wanted: BfdWanted,
  route: ReturnType<typeof routeOf>,
  tick: Tick,
  sockets: Sockets,
  effects: Effects,
): void {
  const waiting = 'waiting' in route ? route.waiting : undefined;
  if (waiting !== peer.waiting) {
    peer.waiting = waiting;
    effects.push({ report: 'bfd-waiting', session: peer.name, ...(waiting !== undefined && { for: waiting }) });
  }
  // a session whose link has gone runs on, and fails as any other does
  if (!('waiting' in route)) {
    const { running } = peer;
    if (running !== undefined && !runsOn(running, route)) retire(peers, running, tick, sockets, effects);
    if (peer.running === undefined) {
      const started = startPeerSession(peers, peer, wanted, route, tick, sockets, effects);
      if (isHeld(peer.damping)) drivePeerSession(peers, started, { on: 'hold' }, tick, effects);
    }
  }
  const { running } = peer;
  if (running === undefined) return;
  give(peers, running, { on: 'configure', parameters: wanted.parameters }, tick, effects);
  if (!('waiting' in route)) running.mac = route.mac;
  followEcho(peers, running, sockets, effects);
  give(peers, running, { on: wanted.adminDown ? 'disable' : 'enable' }, tick, effects);
}

function runsOn({ path, device }: PeerSession, route: Route): boolean {
  const { hops, remote, local, link } = route.path;
  return (
    device === route.device &&
    path.hops === hops &&
    path.remote === remote &&
    path.local === local &&
    path.link === link
  );
}

/** It is no longer its peer's session; the other end of its path is told for as long as it takes. */
function retire(peers: Peers, running: PeerSession, tick: Tick, sockets: Sockets, effects: Effects): void {
  const { peer, session } = running;
  effects.push({ report: 'bfd-moved', session: peer.name, wasUp: session.state === 'Up' });
  peer.running = undefined;
  peers.retired.add(running);
  drivePeerSession(peers, running, { on: 'disable' }, tick, effects);
  endIfTold(peers, running, sockets, effects);
}

/** Ends a session that nobody wants once its peer has been told. */
function endIfTold(peers: Peers, running: PeerSession, sockets: Sockets, effects: Effects): void {
  const { peer, session } = running;
  if (!isSilent(session) || !(peer.wanted === undefined || peers.retired.has(running))) return;
  endPeerSession(peers, running, sockets, effects);
  if (peer.running === undefined && peer.wanted === undefined) peers.byName.delete(peer.name);
}

/** Gives a session an event, and tells what came of it. */
function give(peers: Peers, running: PeerSession, event: SessionEvent, tick: Tick, effects: Effects): void {
  const reports = drivePeerSession(peers, running, event, tick, effects);
  for (const report of reports) if (running.peer.running === running) tell(peers, running, report, tick, effects);
}

function tell(peers: Peers, running: PeerSession, report: SessionReport, tick: Tick, effects: Effects): void {
  const { peer } = running;
  if (report.failure) peer.damping = failed(peer.damping, tick.now);
  const others = [...peers.byName.values()].some((each) => each !== peer && each.running?.session.state === 'Up');
  if (isHeld(peer.damping) && !others) peer.damping = released(peer.damping);
  const heldMs = report.failure && isHeld(peer.damping) ? { heldMs: peer.damping.heldUntil - tick.now } : {};
  effects.push({ ...report, ...heldMs });
  if ('heldMs' in heldMs) {
    drivePeerSession(peers, running, { on: 'hold' }, tick, effects);
    peers.dueAt = Math.min(peers.dueAt, peer.damping.heldUntil);
  }
  // none is Up any more: whichever comes up first is welcome
  if (report.from === 'Up' && !others) for (const each of peers.byName.values()) release(peers, each, tick, effects);
}

function release(peers: Peers, peer: Peer, tick: Tick, effects: Effects): void {
  if (!isHeld(peer.damping)) return;
  peer.damping = released(peer.damping);
  if (peer.running !== undefined) drivePeerSession(peers, peer.running, { on: 'release' }, tick, effects);
}

/** A datagram on one of the sockets of these sessions. False: it is none of them. */
export function onPeerDatagram(peers: Peers, datagram: Datagram, tick: Tick, effects: Effects): boolean {
  const listener = peers.listeners.get(datagram.socket);
  if (listener !== undefined) {
    const { from, to, link, ttl, bytes } = datagram;
    const { hops, sessions, vrf } = listener;
    const over = link === vrf ? linkOf(sessions, from.address) : link;
    const found = demultiplex({ hops, from: from.address, to, link: over ?? link, ttl, bytes }, sessions);
    if ('drop' in found) count(peers, found.drop);
    else give(peers, found.to, { on: 'packet', packet: found.packet, bytes, ttl }, tick, effects);
    return true;
  }
  const echoing = peers.echoing.get(datagram.socket);
  if (echoing !== undefined && !onEchoDatagram(echoing, datagram, effects)) count(peers, 'echo');
  return echoing !== undefined;
}

/** Of what came by a link of a VRF, the kernel may name the VRF alone. */
function linkOf(sessions: ReadonlyMap<number, PeerSession>, remote: Ip): string | undefined {
  for (const { path } of sessions.values()) if (path.remote === remote) return path.link;
  return undefined;
}

/** A frame of IPv4: about echoes, or of no use. */
export function onPeerFrame(peers: Peers, link: string, bytes: Uint8Array, tick: Tick, effects: Effects): void {
  const returned = onEchoFrame(peers, link, bytes, effects);
  if (returned !== undefined) give(peers, returned.to, { on: 'echo', bytes: returned.bytes }, tick, effects);
}

function count(peers: Peers, reason: DropReason): void {
  peers.drops = { ...peers.drops, [reason]: (peers.drops[reason] ?? 0) + 1 };
}

/** Lets the timers of all sessions expire that are due. */
export function tickPeers(peers: Peers, tick: Tick, sockets: Sockets, effects: Effects): void {
  if (tick.now < peers.dueAt) return;
  let { random } = tick;
  peers.dueAt = OFF;
  for (const { sessions } of peers.listeners.values()) {
    for (const running of sessions.values()) {
      if (running.dueAt <= tick.now) {
        random = redraw(random);
        give(peers, running, { on: 'tick' }, { ...tick, random }, effects);
        endIfTold(peers, running, sockets, effects);
      }
      peers.dueAt = Math.min(peers.dueAt, running.dueAt);
    }
  }
  for (const peer of peers.byName.values()) {
    if (peer.damping.heldUntil <= tick.now) release(peers, peer, tick, effects);
    peers.dueAt = Math.min(peers.dueAt, peer.damping.heldUntil);
  }
}

/** Takes all sessions down on purpose. */
export function leavePeers(peers: Peers, tick: Tick, effects: Effects): void {
  for (const { running } of peers.byName.values()) {
    if (running !== undefined) give(peers, running, { on: 'disable' }, tick, effects);
  }
}

/** Every peer has been told. */
export function haveLeft(peers: Peers): boolean {
  for (const { sessions } of peers.listeners.values()) {
    for (const { session } of sessions.values()) if (!isSilent(session)) return false;
  }
  return true;
}
