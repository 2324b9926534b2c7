// BFD between speakers (RFC 5880, RFC 5881, but for the port): on every segment, from the interface's own address to that of
// each speaker that `ring` has us watch. It shares its port with statements, is signed, and keeps its pace while Down, so that
// silence tells soon. Its state means nothing here: what counts is when a speaker was last heard. Called by `lan`.

import { demultiplex } from '../bfd/demultiplex.ts';
import type { SessionEvent } from '../bfd/session.ts';
import { dueAt, startSession, step } from '../bfd/session.ts';
import type { SessionParameters } from '../bfd/variables.ts';
import type { Member } from '../l2/segment.ts';
import type { Station } from '../l2/statement.ts';
import type { Ip } from '../net/address.ts';
import { familyOf } from '../net/address.ts';
import type { Tick } from '../net/machine.ts';
import { OFF, redraw } from '../net/machine.ts';
import type { PacketEvent } from '../net/packet-io.ts';
import { mintDiscriminator } from './discriminator.ts';
import type { Effects } from './report.ts';
import type { Incarnate } from './secrets.ts';
import { directedKeys } from './secrets.ts';
import { linkLocalOf } from './serving.ts';
import type { Lan, Links, MeshSession } from './state.ts';

const INTERVAL_MS = 300;
/** A speaker that nothing was heard of for so long is only looked for, like one that is not known. */
const FORGOTTEN_MS = 60_000;
export const REVIEW_MS = 1_000;
const UNWATCHED_MS = 30_000;

/** Something was heard of it lately. */
export function isCurrent({ toldAt, heardAt, gone }: Member, now: number): boolean {
  return !gone && now - Math.max(toldAt, heardAt) < FORGOTTEN_MS;
}

/** Our address on the LAN that one of that family is reached from. */
export function sourceTo(lan: Lan, to: Ip): Ip | undefined {
  if (lan.serving === undefined) return undefined;
  if (familyOf(to) === 'ipv6') return linkLocalOf(lan.serving.link);
  const own = lan.segment?.facts.address;
  return own !== undefined && familyOf(own) === 'ipv4' ? own : undefined;
}

function parametersOf({ keys }: Links, own: Incarnate, theirs: Incarnate): SessionParameters {
  return {
    ...{ detectMult: 3, desiredMinTxMs: INTERVAL_MS, requiredMinRxMs: INTERVAL_MS, slowTxMs: INTERVAL_MS },
    ...{ passive: false, minTtl: 255 },
    ...{ keys: directedKeys(keys, own, theirs), theirKeys: directedKeys(keys, theirs, own) },
  };
}

/** A session with every speaker that is to be watched, and with no other. */
export function followMesh(links: Links, lan: Lan, tick: Tick, effects: Effects): void {
  lan.reviewAt = tick.now + REVIEW_MS;
  const { segment } = lan;
  if (segment === undefined) return;
  let { random } = tick;
  for (const running of [...lan.mesh.values()]) {
    const member = segment.members.get(running.station);
    if (member?.watched === true) running.watchedAt = tick.now;
    const local = member === undefined ? undefined : localTo(lan, member, running.watchedAt, tick.now);
    const isSame =
      member?.address === running.path.remote &&
      member.incarnation === running.incarnation &&
      local === running.path.local;
    if (!isSame) endMeshSession(links, lan, running);
  }
  for (const station of lan.former.keys()) if (!segment.members.has(station)) lan.former.delete(station);
  for (const member of segment.members.values()) {
    const { address: remote, station, incarnation } = member;
    if (remote === undefined || lan.stations.has(station)) continue;
    const local = localTo(lan, member, member.watched ? tick.now : -OFF, tick.now);
    if (local === undefined) continue;
    random = redraw(random);
    const localDiscriminator = mintDiscriminator(links.peers.taken, random);
    const path = { hops: 'single', remote, local, link: lan.link } as const;
    const parameters = parametersOf(links, segment, member);
    const before = lan.former.get(station);
    const former = {
      // above all that this process has sent: the other side may remember what we have forgotten
      sentSequence: Math.floor(tick.now) >>> 0,
      receivedSequence: before?.incarnation === incarnation ? before.session.receivedSequence : undefined,
    };
    const session = startSession(`${lan.link}/${station}`, localDiscriminator, parameters, { ...tick, random }, former);
    const running: MeshSession = { localDiscriminator, path, station, incarnation, session, watchedAt: tick.now };
    lan.mesh.set(localDiscriminator, running);
    lan.stations.set(station, running);
    drive(links, lan, running, { on: 'tick' }, { ...tick, random }, effects);
  }
}

/** From where BFD runs with it; undefined: not at all. The other side may watch us for longer than we it: both must see the same ring. */
function localTo(lan: Lan, member: Member, watchedAt: number, now: number): Ip | undefined {
  if (now - watchedAt > UNWATCHED_MS || !isCurrent(member, now) || member.address === undefined) return undefined;
  return sourceTo(lan, member.address);
}

function endMeshSession({ peers }: Links, lan: Lan, running: MeshSession): void {
  const { localDiscriminator, station } = running;
  peers.taken.delete(localDiscriminator);
  lan.former.set(station, running);
  lan.mesh.delete(localDiscriminator);
  lan.stations.delete(station);
}

export function endMesh(links: Links, lan: Lan): void {
  for (const running of [...lan.mesh.values()]) endMeshSession(links, lan, running);
}

export function rekeyMesh(links: Links, lan: Lan, tick: Tick, effects: Effects): void {
  const { segment } = lan;
  if (segment === undefined) return;
  for (const running of lan.mesh.values()) {
    const event: SessionEvent = { on: 'configure', parameters: parametersOf(links, segment, running) };
    drive(links, lan, running, event, tick, effects);
  }
}

function drive(links: Links, lan: Lan, running: MeshSession, event: SessionEvent, tick: Tick, effects: Effects): void {
  const [session, asked] = step(running.session, event, tick);
  running.session = session;
  const { remote, local } = running.path;
  const port = links.wanted.layer2?.liveness?.port;
  for (const each of asked) {
    if ('report' in each || each.do !== 'bfd-send' || port === undefined) continue;
    const socket = speakersSocket(remote);
    const to = { address: remote, port };
    effects.push({ do: 'udp-send', socket, to, link: lan.link, source: local, bytes: each.bytes });
  }
  lan.meshDueAt = Math.min(lan.meshDueAt, dueAt(session));
}

/** The socket of the speakers' port for that family. */
export function speakersSocket(to: Ip): string {
  return `speakers/${familyOf(to)}`;
}

/** A BFD packet on the speakers' port. Returns why it is dropped, unless a session of ours has judged it. */
export function onMeshDatagram(
  links: Links,
  lan: Lan,
  { from, to, link, ttl, bytes }: PacketEvent & { on: 'datagram' },
  tick: Tick,
  effects: Effects,
): string | undefined {
  const found = demultiplex({ hops: 'single', from: from.address, to, link, ttl, bytes }, lan.mesh);
  if ('drop' in found) return found.drop;
  const { station } = found.to;
  drive(links, lan, found.to, { on: 'packet', packet: found.packet, bytes, ttl }, tick, effects);
  const member = lan.segment?.members.get(station);
  // one that was missing is believed to be there with its first packet
  if (member !== undefined && (!member.heard || member.quiet))
    lan.isUrgent ||= found.to.session.lastHeardAt === tick.now;
  return undefined;
}

export function tickMesh(links: Links, lan: Lan, tick: Tick, effects: Effects): void {
  if (tick.now < lan.meshDueAt) return;
  lan.meshDueAt = OFF;
  let { random } = tick;
  for (const running of lan.mesh.values()) {
    random = redraw(random);
    if (dueAt(running.session) <= tick.now) drive(links, lan, running, { on: 'tick' }, { ...tick, random }, effects);
    else lan.meshDueAt = Math.min(lan.meshDueAt, dueAt(running.session));
  }
}

/** When each speaker's last authentic packet came. */
export function heardOn({ stations }: Lan): ReadonlyMap<Station, number> {
  const heard = new Map<Station, number>();
  for (const [station, { session }] of stations)
    if (session.lastHeardAt !== -OFF) heard.set(station, session.lastHeardAt);
  return heard;
}
