// Who is at the other end of a link, for BGP peers that are named by it: on each such link we say that we are there by Router
// Advertisements, and take the one who says so for the neighbor (RFC 4861 §6.2, §6.3.7). It stays the neighbor while it is
// heard; another one takes its place when it has been silent for three times the usual interval, or the cable was pulled.
// A neighbor that has gone silent without another is kept: whether it lives is for BGP and BFD to say. Called by `links`.

import { ALL_NODES } from '../l2/ndp.ts';
import type { RouterDrop } from '../l2/router-discovery.ts';
import { advertisement, decode, solicitation } from '../l2/router-discovery.ts';
import type { Ip, Mac } from '../net/address.ts';
import type { Tick } from '../net/machine.ts';
import { OFF } from '../net/machine.ts';
import type { Neighbor } from '../net/neighbor.ts';
import { ALL_ROUTERS } from '../net/neighbor.ts';
import type { LinkState, PacketEvent } from '../net/packet-io.ts';
import { icmpSocket } from '../net/packet-io.ts';
import type { Effects } from './report.ts';
import { linkLocalOf } from './serving.ts';
import type { Sockets } from './socket.ts';
import { closeSocket, isOpen, openSocket } from './socket.ts';

/** MaxRtrAdvInterval and MinRtrAdvInterval (RFC 4861 §6.2.1); FRR has 10 s for unnumbered peers. */
const [LEAST_APART_MS, MOST_APART_MS] = [7_500, 10_000];
/** MIN_DELAY_BETWEEN_RAS and MAX_RA_DELAY_TIME (RFC 4861 §10). */
const PAUSE_MS = 3_000;
const ANSWER_WITHIN_MS = 500;
/** MAX_INITIAL_RTR_ADVERTISEMENTS; MAX_RTR_SOLICITATIONS, RTR_SOLICITATION_INTERVAL. */
const FIRST_ADVERTISEMENTS = 3;
const SOLICITATIONS = 3;
const SOLICIT_APART_MS = 4_000;
/** A neighbor that is silent for so long gives way to another one. */
const SILENT_MS = 3 * MOST_APART_MS;
/** Who forges advertisements must not fill the log. */
const OTHER_APART_MS = 600_000;

export interface Neighbors {
  readonly byLink: Map<string, Discovery>;
  /** Of messages that were ignored, by reason. */
  drops: Readonly<Partial<Record<RouterDrop | 'ownMessage' | 'otherNeighbor', number>>>;
  dueAt: number;
}

/** One link. */
export interface Discovery {
  readonly link: string;
  /** Ours there, while we can speak. */
  local: Ip | undefined;
  mac: Mac | undefined;
  /** The socket was open when it was looked at last. */
  isOpen: boolean;
  address: Ip | undefined;
  heardAt: number;
  /** When it was last told that somebody else is there. */
  otherToldAt: number;
  /** As reported last. */
  said: Neighbor | undefined;
  /** Advertisements and solicitations sent since we can speak there, and when the next ones are due. */
  advertised: number;
  advertisedAt: number;
  advertiseAt: number;
  solicited: number;
  solicitAt: number;
}

export function createNeighbors(): Neighbors {
  return { byLink: new Map(), drops: {}, dueAt: OFF };
}

/** Those that are wanted, on the links that there are: to be called when either changed, or a socket. */
export function followNeighbors(
  neighbors: Neighbors,
  wanted: readonly string[],
  links: readonly LinkState[],
  tick: Tick,
  sockets: Sockets,
  effects: Effects,
): void {
  for (const link of neighbors.byLink.keys()) {
    if (wanted.includes(link)) continue;
    neighbors.byLink.delete(link);
    closeSocket(sockets, icmpSocket(link), effects);
  }
  for (const link of wanted) {
    const discovery = neighbors.byLink.get(link) ?? createDiscovery(link);
    neighbors.byLink.set(link, discovery);
    followLink(
      discovery,
      links.find(({ name }) => name === link),
      tick,
      sockets,
      effects,
    );
  }
  schedule(neighbors);
}

function createDiscovery(link: string): Discovery {
  return {
    ...{ link, local: undefined, mac: undefined, isOpen: false, address: undefined, heardAt: -OFF, said: undefined },
    ...{ otherToldAt: -OFF, advertised: 0, advertisedAt: -OFF, advertiseAt: OFF, solicited: 0, solicitAt: OFF },
  };
}

function followLink(
  discovery: Discovery,
  state: LinkState | undefined,
  { now }: Tick,
  sockets: Sockets,
  effects: Effects,
): void {
  const { link } = discovery;
  if (state === undefined) {
    closeSocket(sockets, icmpSocket(link), effects);
    discovery.address = undefined;
  } else openSocket(sockets, icmpSocket(link), { routersOf: link }, 'neighbors', effects);
  const isUp = state?.up === true && state.carrier;
  // another router may be at the other end of the cable when it is plugged in again
  if (!isUp) discovery.heardAt = -OFF;
  const local = isUp ? linkLocalOf(state) : undefined;
  const speaks = local !== undefined && isOpen(sockets, icmpSocket(link));
  if (!speaks) Object.assign(discovery, { advertiseAt: OFF, solicitAt: OFF });
  else if (local !== discovery.local || !discovery.isOpen) {
    Object.assign(discovery, { advertised: 0, solicited: 0, advertiseAt: now, solicitAt: now });
  }
  discovery.isOpen = speaks;
  discovery.local = local;
  discovery.mac = state?.mac;
  tell(discovery, neighborOf(discovery, state), effects);
}

/** One that was found is kept while the link is down: the session ends by itself, or goes on. */
function neighborOf({ address, local }: Discovery, state: LinkState | undefined): Neighbor {
  if (state === undefined) return { is: 'unknown', because: 'interfaceAbsent' };
  if (address !== undefined) return { is: 'known', address };
  if (!state.up || !state.carrier) return { is: 'unknown', because: 'interfaceDown' };
  return { is: 'unknown', because: local === undefined ? 'noLinkLocalAddress' : 'noNeighborYet' };
}

function tell(discovery: Discovery, neighbor: Neighbor, effects: Effects): void {
  if (JSON.stringify(neighbor) === JSON.stringify(discovery.said)) return;
  discovery.said = neighbor;
  effects.push({ report: 'neighbor', link: discovery.link, neighbor });
}

/** An ICMPv6 message of a link's socket. */
export function onRouterMessage(
  neighbors: Neighbors,
  event: PacketEvent & { on: 'icmp' },
  links: readonly LinkState[],
  tick: Tick,
  effects: Effects,
): void {
  const discovery = neighbors.byLink.get(event.link);
  if (discovery === undefined) return;
  const message = decode(event);
  const isOwn = links.some(
    ({ name, addresses }) => name === event.link && addresses.some(({ ip }) => ip === event.from),
  );
  if ('drop' in message) count(neighbors, message.drop);
  else if (isOwn) count(neighbors, 'ownMessage');
  else if (message.is === 'solicitation') answerSoon(discovery, tick);
  else if (!hear(discovery, event.from, tick, effects)) count(neighbors, 'otherNeighbor');
  schedule(neighbors);
}

/** False: there is a neighbor on this link already. */
function hear(discovery: Discovery, from: Ip, tick: Tick, effects: Effects): boolean {
  const { address, heardAt } = discovery;
  if (address !== undefined && address !== from && tick.now - heardAt < SILENT_MS) {
    if (tick.now - discovery.otherToldAt < OTHER_APART_MS) return false;
    discovery.otherToldAt = tick.now;
    effects.push({ report: 'neighbor-other', link: discovery.link, address: from });
    return false;
  }
  discovery.heardAt = tick.now;
  discovery.solicitAt = OFF;
  if (address === from) return true;
  discovery.address = from;
  // it may have come after our last one
  answerSoon(discovery, tick);
  tell(discovery, { is: 'known', address: from }, effects);
  return true;
}

/** RFC 4861 §6.2.6: after a short wait, and never two within 3 s. */
function answerSoon(discovery: Discovery, { now, random }: Tick): void {
  if (discovery.advertiseAt === OFF) return;
  const soon = Math.max(now + random * ANSWER_WITHIN_MS, discovery.advertisedAt + PAUSE_MS);
  discovery.advertiseAt = Math.min(discovery.advertiseAt, soon);
}

function count(neighbors: Neighbors, reason: keyof Neighbors['drops']): void {
  neighbors.drops = { ...neighbors.drops, [reason]: (neighbors.drops[reason] ?? 0) + 1 };
}

export function tickNeighbors(neighbors: Neighbors, tick: Tick, effects: Effects): void {
  if (tick.now < neighbors.dueAt) return;
  const { now, random } = tick;
  for (const discovery of neighbors.byLink.values()) {
    const { link, local, mac } = discovery;
    if (local === undefined) continue;
    if (discovery.advertiseAt <= now) {
      effects.push({ do: 'icmp-send', link, to: ALL_NODES, source: local, bytes: advertisement(mac) });
      discovery.advertised++;
      discovery.advertisedAt = now;
      const apart = LEAST_APART_MS + random * (MOST_APART_MS - LEAST_APART_MS);
      // RFC 4861 §6.2.4: the first ones sooner
      discovery.advertiseAt = now + (discovery.advertised < FIRST_ADVERTISEMENTS ? PAUSE_MS : apart);
    }
    if (discovery.solicitAt <= now) {
      effects.push({ do: 'icmp-send', link, to: ALL_ROUTERS, source: local, bytes: solicitation(mac) });
      discovery.solicited++;
      discovery.solicitAt = discovery.solicited < SOLICITATIONS ? now + SOLICIT_APART_MS : OFF;
    }
  }
  schedule(neighbors);
}

function schedule(neighbors: Neighbors): void {
  neighbors.dueAt = OFF;
  for (const { advertiseAt, solicitAt } of neighbors.byLink.values())
    neighbors.dueAt = Math.min(neighbors.dueAt, advertiseAt, solicitAt);
}
