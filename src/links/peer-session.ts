// One BFD session to a BGP peer with its sockets: started on its path, driven, and ended once the peer has been told
// (RFC 5880 §6.8.16). Its socket sends from a port of its own (RFC 5881 §4); what comes in arrives at the well-known port, on a
// socket that all sessions of its kind, family and VRF share. Called by `peers`.

import type { Path } from '../bfd/demultiplex.ts';
import { PORTS } from '../bfd/demultiplex.ts';
import type { DropReason } from '../bfd/packet.ts';
import type { SessionEvent, SessionReport } from '../bfd/session.ts';
import { dueAt, startSession, step } from '../bfd/session.ts';
import type { Session } from '../bfd/variables.ts';
import type { Mac } from '../net/address.ts';
import { familyOf, isLinkLocal } from '../net/address.ts';
import type { Tick } from '../net/machine.ts';
import type { SocketName, UdpOptions } from '../net/packet-io.ts';
import type { Damping } from './damping.ts';
import { mintDiscriminator } from './discriminator.ts';
import { followEcho, sendEcho, stopEcho } from './echo.ts';
import type { Route } from './path.ts';
import type { Effects, Waiting } from './report.ts';
import type { Sockets } from './socket.ts';
import { closeSocket, openSocket } from './socket.ts';
import type { BfdWanted } from './wanted.ts';

/** RFC 5881 §5: what arrives with less has come over more than one hop. */
const TTL = 255;

/** A session that was asked for by name. */
export interface Peer {
  readonly name: string;
  /** Absent: no longer; the peer is being told. */
  wanted: BfdWanted | undefined;
  running: PeerSession | undefined;
  waiting: Waiting | undefined;
  damping: Damping;
}

export interface PeerSession {
  readonly localDiscriminator: number;
  readonly peer: Peer;
  readonly path: Path;
  /** VRF device or link its sockets are bound to. */
  readonly device: string | undefined;
  readonly listener: SocketName;
  readonly socket: SocketName;
  session: Session;
  /** Of the link, and of the peer there once it is known: for echoes. */
  mac: Mac | undefined;
  peerMac: Mac | undefined;
  /** When it must be given a tick. */
  dueAt: number;
}

/** The socket of a well-known port, with the sessions that it is for. */
export interface Listener {
  readonly hops: Path['hops'];
  readonly vrf: string | undefined;
  readonly sessions: Map<number, PeerSession>;
}

export interface Peers {
  readonly byName: Map<string, Peer>;
  readonly listeners: Map<SocketName, Listener>;
  /** By the link: sessions whose echoes go over it. */
  readonly echoing: Map<SocketName, Set<PeerSession>>;
  /** Sessions on a path that was left; their peers are being told. */
  readonly retired: Set<PeerSession>;
  /** Discriminators in use, those between speakers included. */
  readonly taken: Set<number>;
  /** Of packets that are no session's. */
  drops: Readonly<Partial<Record<DropReason, number>>>;
  dueAt: number;
}

export function startPeerSession(
  peers: Peers,
  peer: Peer,
  wanted: BfdWanted,
  { path, device, mac }: Route,
  tick: Tick,
  sockets: Sockets,
  effects: Effects,
): PeerSession {
  const localDiscriminator = mintDiscriminator(peers.taken, tick.random);
  const family = familyOf(path.remote);
  const { hops } = path;
  const listener = `bfd/${PORTS[hops]}/${family}${wanted.vrf === undefined ? '' : `/${wanted.vrf}`}`;
  const socket = `bfd/session/${localDiscriminator}`;
  const bound: Pick<UdpOptions, 'device'> = device === undefined ? {} : { device };
  const any: UdpOptions = {
    family,
    port: PORTS[hops],
    ttl: TTL,
    ...(wanted.vrf !== undefined && { device: wanted.vrf }),
  };
  openSocket(sockets, listener, { udp: any }, 'bfd', effects);
  const local = path.local === undefined ? {} : { local: path.local };
  openSocket(sockets, socket, { udp: { family, port: 'dynamic', ttl: TTL, ...bound, ...local } }, 'bfd', effects);
  const session = startSession(peer.name, localDiscriminator, wanted.parameters, tick);
  const running: PeerSession = {
    localDiscriminator,
    peer,
    path,
    device,
    listener,
    socket,
    session,
    mac,
    peerMac: undefined,
    dueAt: dueAt(session),
  };
  const listening = peers.listeners.get(listener) ?? { hops, vrf: wanted.vrf, sessions: new Map() };
  peers.listeners.set(listener, listening);
  listening.sessions.set(localDiscriminator, running);
  peer.running = running;
  followEcho(peers, running, sockets, effects);
  peers.dueAt = Math.min(peers.dueAt, running.dueAt);
  return running;
}

export function endPeerSession(peers: Peers, running: PeerSession, sockets: Sockets, effects: Effects): void {
  const { localDiscriminator, listener, peer } = running;
  peers.taken.delete(localDiscriminator);
  peers.retired.delete(running);
  if (peer.running === running) peer.running = undefined;
  closeSocket(sockets, running.socket, effects);
  const listening = peers.listeners.get(listener);
  listening?.sessions.delete(localDiscriminator);
  if (listening?.sessions.size === 0) {
    peers.listeners.delete(listener);
    closeSocket(sockets, listener, effects);
  }
  stopEcho(peers, running, sockets, effects);
}

/** Hands the session an event and carries out what follows. Its reports are returned. */
export function drivePeerSession(
  peers: Peers,
  running: PeerSession,
  event: SessionEvent,
  tick: Tick,
  effects: Effects,
): readonly SessionReport[] {
  const reports: SessionReport[] = [];
  const { path, socket } = running;
  const { remote, hops } = path;
  const scope = path.link !== undefined && isLinkLocal(remote) ? { link: path.link } : {};
  const [session, asked] = step(running.session, event, tick);
  running.session = session;
  for (const each of asked) {
    if ('report' in each) reports.push(each);
    else if (each.do === 'bfd-send') {
      effects.push({ do: 'udp-send', socket, to: { address: remote, port: PORTS[hops] }, ...scope, bytes: each.bytes });
    } else sendEcho(running, each.bytes, effects);
  }
  running.dueAt = dueAt(session);
  peers.dueAt = Math.min(peers.dueAt, running.dueAt);
  return reports;
}
