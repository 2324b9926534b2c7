// The Echo function of BFD sessions over one hop, IPv4 alone (RFC 5881 §4): an echo is a packet from and to our own address
// that is handed to the peer's MAC, whose forwarding brings it back; so the peer's are passed on here, for a node need not
// forward. The peer's MAC is that of its control packets. Routers that send echoes to our address (FRR's bfdd up to 8.0)
// are sent them back. Called by `peers` and `peer-session`.

import { PORTS } from '../bfd/demultiplex.ts';
import { echoDiscriminator } from '../bfd/echo.ts';
import { familyOf } from '../net/address.ts';
import type { PacketEvent, SocketName, UdpOptions } from '../net/packet-io.ts';
import { echoSocket } from '../net/packet-io.ts';
import { decodeUdp, encodeUdp, passOn } from './echo-frame.ts';
import type { PeerSession, Peers } from './peer-session.ts';
import type { Effects } from './report.ts';
import { closeSocket, openSocket, type Sockets } from './socket.ts';

const TTL = 255;
const LOOPED_TTL = 254;

/** An echo of ours that came back. */
interface Returned {
  readonly to: PeerSession;
  readonly bytes: Uint8Array;
}

function socketOf(link: string | undefined): SocketName {
  return `bfd/${PORTS.echo}/ipv4/${link ?? ''}`;
}

/** Opens or closes the echo sockets of its link as the parameters say. RFC 5883 §4: several hops have no echo. */
export function followEcho(peers: Peers, running: PeerSession, sockets: Sockets, effects: Effects): void {
  const { path, session, device } = running;
  const { link } = path;
  if (session.parameters.echo === undefined || link === undefined || familyOf(path.remote) === 'ipv6') {
    stopEcho(peers, running, sockets, effects);
    return;
  }
  const name = socketOf(link);
  const udp: UdpOptions = { family: 'ipv4', port: PORTS.echo, ttl: TTL };
  openSocket(sockets, name, { udp: device === undefined ? udp : { ...udp, device } }, 'bfd-echo', effects);
  openSocket(sockets, echoSocket(link), { echoesOf: link }, 'bfd-echo', effects);
  const echoing = peers.echoing.get(name) ?? new Set();
  peers.echoing.set(name, echoing);
  echoing.add(running);
}

export function stopEcho(peers: Peers, running: PeerSession, sockets: Sockets, effects: Effects): void {
  const { link } = running.path;
  const name = socketOf(link);
  const echoing = peers.echoing.get(name);
  if (echoing?.delete(running) !== true || echoing.size > 0) return;
  peers.echoing.delete(name);
  closeSocket(sockets, name, effects);
  if (link !== undefined) closeSocket(sockets, echoSocket(link), effects);
}

/** Lost while it is not known where the peer is, as on any wire. */
export function sendEcho({ path, mac, peerMac }: PeerSession, bytes: Uint8Array, effects: Effects): void {
  const { link, local } = path;
  if (link === undefined || local === undefined || mac === undefined || peerMac === undefined) return;
  const ends = { sourceMac: mac, destinationMac: peerMac, source: local, destination: local };
  effects.push({ do: 'frame-send', link, bytes: encodeUdp({ ...ends, ttl: TTL, port: PORTS.echo, bytes }) });
}

/** A frame of IPv4: the peer's echo is passed on; one of ours is told. */
export function onEchoFrame(peers: Peers, link: string, frame: Uint8Array, effects: Effects): Returned | undefined {
  const udp = decodeUdp(frame);
  if (udp === undefined) return undefined;
  const { source, destination, sourceMac, ttl, port, bytes } = udp;
  for (const running of peers.echoing.get(socketOf(link)) ?? []) {
    const { remote, local } = running.path;
    if (port === PORTS.single) {
      if (source === remote && destination === local && ttl === TTL) running.peerMac = sourceMac;
    } else if (ttl === TTL) {
      // nobody but the peer of a session that is Up is sent anything back
      if (source !== remote || destination !== remote || running.session.state !== 'Up') continue;
      effects.push({ do: 'frame-send', link, bytes: passOn(frame) });
      return undefined;
    } else if (destination === local && echoDiscriminator(bytes) === running.localDiscriminator)
      return { to: running, bytes };
  }
  return undefined;
}

/** What came to our address on the echo port, from a peer that echoes in software. False: it is none's. */
export function onEchoDatagram(
  echoing: ReadonlySet<PeerSession>,
  { socket, from, to, ttl, bytes }: PacketEvent & { readonly on: 'datagram' },
  effects: Effects,
): boolean {
  for (const { path, session } of echoing) {
    if (path.remote !== from.address || ttl !== TTL || session.state !== 'Up') continue;
    const over = path.link === undefined ? {} : { link: path.link };
    const back = { to: { address: from.address, port: PORTS.echo }, source: to, ttl: LOOPED_TTL };
    effects.push({ do: 'udp-send', socket, ...back, ...over, bytes });
    return true;
  }
  return false;
}
