// One peer on a stage: what the world and the router on the other side say is written by hand, and what the peer does is
// read back as short lines. Messages are made and read by the codec, which has vectors of its own.

import { NO_CAPABILITIES } from '../../src/bgp/capability.ts';
import { decode, encodeKeepalive, encodeNotification } from '../../src/bgp/message.ts';
import type { Negotiated } from '../../src/bgp/negotiate.ts';
import { BEFORE_OPEN } from '../../src/bgp/negotiate.ts';
import type { Notification } from '../../src/bgp/notification.ts';
import { encodeOpen, type Open } from '../../src/bgp/open.ts';
import { type PeerConfig, type PeerEffect, type PeerEvent, stepPeer } from '../../src/bgp/peer.ts';
import { createPeer, type PeerState } from '../../src/bgp/peer-state.ts';
import type { RouteAttributes, Wanted } from '../../src/bgp/rib.ts';
import type { Ip, Prefix } from '../../src/net/address.ts';
import type { IoEvent, Link } from '../../src/net/io.ts';

export const CONFIG: PeerConfig = {
  name: 'tor',
  address: '192.0.2.1' as Ip,
  port: 179,
  localAs: 64_513,
  remoteAs: 64_512,
  fallbackRouterId: '192.0.2.99' as Ip,
  holdTimeMs: 90_000,
  connectRetryMs: 120_000,
  families: ['ipv4', 'ipv6'],
  ebgpMultiHop: false,
  gracefulRestart: false,
  passive: false,
  keep: false,
  warnings: [],
};

/** What the router says of itself unless a test says otherwise; its identifier is below ours. */
export const THEIR_OPEN: Open = {
  as: 64_512,
  holdTimeSeconds: 90,
  routerId: '192.0.2.1' as Ip,
  capabilities: {
    ...NO_CAPABILITIES,
    families: ['ipv4', 'ipv6'],
    fourOctetAs: 64_512,
    routeRefresh: true,
    enhancedRouteRefresh: true,
  },
};

export const LINK: Link = { name: 'eth0', ipv4: ['192.0.2.10' as Ip], ipv6: ['2001:db8::10' as Ip] };
const LOCAL = { address: '192.0.2.10' as Ip, port: 40_000 };
const REMOTE = { address: '192.0.2.1' as Ip, port: 179 };

/** For reading UPDATEs back: four-octet AS, both families. */
const READABLE: Negotiated = { ...BEFORE_OPEN, fourOctetAs: true, families: ['ipv4', 'ipv6'] };

export class Stage {
  readonly peer: PeerState;
  now = 0;
  /** What chance says in each step. */
  random = 0.5;
  /** The id of the last connection that was dialled. */
  dialled = '';
  /** Octets sent and not yet taken, by connection, when `drains` is off. */
  drains = true;
  effects: PeerEffect[] = [];
  link: Link | undefined = LINK;

  constructor(config: Partial<PeerConfig> = {}, wanted: Wanted = new Map()) {
    this.peer = createPeer({ ...CONFIG, ...config }, 1, 0);
    this.peer.wanted = wanted;
  }

  /** One event; answers what came of it, reports of messages left out. */
  on(event: PeerEvent): readonly string[] {
    const [, effects] = stepPeer(this.peer, event, { now: this.now, random: this.random });
    const lines: string[] = [];
    for (const effect of effects) {
      this.effects.push(effect);
      if ('do' in effect && effect.do === 'tcp-connect') this.dialled = effect.connection;
      lines.push(...linesOf(effect));
    }
    if (this.drains) for (const line of this.#drain(effects)) lines.push(line);
    return lines;
  }

  #drain(effects: readonly PeerEffect[]): readonly string[] {
    return effects.flatMap((effect) => {
      if (!('do' in effect) || effect.do !== 'tcp-send') return [];
      return this.on({ on: 'tcp-drained', connection: effect.connection, bytes: effect.bytes.length, left: 0 });
    });
  }

  /** Time passes, then the timer that is due. */
  tick(ms = 0): readonly string[] {
    this.now += ms;
    return this.on({ on: 'tick' });
  }

  opened(connection = this.dialled): readonly string[] {
    const link = this.link === undefined ? {} : { link: this.link };
    return this.on({ on: 'tcp-opened', connection, local: LOCAL, remote: REMOTE, ...link });
  }

  accepted(connection: string): readonly string[] {
    const local = { address: LOCAL.address, port: 179 };
    const remote = { address: REMOTE.address, port: 51_000 };
    return this.on({ on: 'tcp-accepted', connection, local, remote, link: LINK });
  }

  data(bytes: Uint8Array, connection = this.dialled): readonly string[] {
    return this.on({ on: 'tcp-data', connection, bytes });
  }

  open(open: Partial<Open> = {}, connection = this.dialled): readonly string[] {
    return this.data(encodeOpen({ ...THEIR_OPEN, ...open }), connection);
  }

  keepalive(connection = this.dialled): readonly string[] {
    return this.data(encodeKeepalive(), connection);
  }

  notification(notification: Notification, connection = this.dialled): readonly string[] {
    return this.data(encodeNotification(notification, 4096), connection);
  }

  closed(connection = this.dialled, code?: string): readonly string[] {
    const why: Extract<IoEvent, { on: 'tcp-closed' }>['why'] =
      code === undefined ? { because: 'fin' } : { because: 'failed', error: { code, call: 'connect', text: code } };
    return this.on({ on: 'tcp-closed', connection, why });
  }

  /** Dials and comes to Established; answers what the last step brought. */
  establish(open: Partial<Open> = {}): readonly string[] {
    this.tick();
    this.opened();
    this.open(open);
    return this.keepalive();
  }
}

/** `connect`, `close fin`, `OPEN`, `UPDATE +prefix`, `NOTIFICATION 6/7`, `report peer-up` … */
function linesOf(effect: PeerEffect): readonly string[] {
  if ('report' in effect) {
    if (effect.report === 'peer-message' || effect.report === 'peer-state') return [];
    return [effect.report === 'peer-warning' ? `warning ${effect.rule}` : effect.report];
  }
  if (effect.do === 'tcp-connect') return ['connect'];
  if (effect.do === 'tcp-close') return [`close ${effect.how} ${effect.connection}`];
  return effect.do === 'tcp-send' ? messagesOf(effect.bytes) : [];
}

/** The messages in a piece of a stream, each as one line. */
export function messagesOf(bytes: Uint8Array): readonly string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = ((bytes[at + 16] ?? 0) << 8) | (bytes[at + 17] ?? 0);
    lines.push(lineOf(bytes.subarray(at, at + length)));
    at += length;
  }
  return lines;
}

function lineOf(frame: Uint8Array): string {
  const message = decode(frame, { ...READABLE, enhancedRouteRefresh: true }, true);
  switch (message.is) {
    case 'malformed':
      throw new Error(`we sent something malformed: ${message.text}`);
    case 'NOTIFICATION': {
      const { code, subcode, data } = message.notification;
      return `NOTIFICATION ${code}/${subcode} ${Buffer.from(data).toString('hex')}`.trimEnd();
    }
    case 'ROUTE-REFRESH':
      return `ROUTE-REFRESH ${message.refresh?.subtype} ${message.refresh?.family}`;
    case 'UPDATE': {
      const { update } = message;
      if (update.endOfRib !== undefined) return `End-of-RIB ${update.endOfRib}`;
      const withdrawn = update.routes?.withdrawn.map(({ prefix }) => `-${prefix}`) ?? [];
      const announced = update.routes?.announced.map(({ prefix }) => `+${prefix}`) ?? [];
      return ['UPDATE', ...withdrawn, ...announced].join(' ');
    }
    default:
      return message.is;
  }
}

export function attributes(key = 'plain', more: Partial<RouteAttributes> = {}): RouteAttributes {
  return { key, communities: [], extendedCommunities: [], largeCommunities: [], ...more };
}

/** Routes with one set of attributes. */
export function routes(prefixes: readonly string[], of: RouteAttributes = attributes()): Wanted {
  return new Map(prefixes.map((prefix) => [prefix as Prefix, of]));
}
