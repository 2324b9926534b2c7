// Two hosts on a LAN that want a BFD session with each other. Called by the tests of BFD.

import type { SessionState } from '../../src/bfd/packet.ts';
import type { SessionParameters } from '../../src/bfd/variables.ts';
import type { BfdWanted, LinksWanted } from '../../src/links/wanted.ts';
import type { LinksReport, LinksView } from '../../src/links.ts';
import { viewLinks } from '../../src/links.ts';
import type { PacketEffect } from '../../src/net/packet-io.ts';
import type { Host } from './world.ts';
import { ip, port, World } from './world.ts';

export const PARAMETERS: SessionParameters = {
  ...{ detectMult: 3, desiredMinTxMs: 50, requiredMinRxMs: 50, slowTxMs: 1000 },
  ...{ passive: false, minTtl: 255, keys: [] },
};
export const A = ip('192.0.2.1');
export const B = ip('192.0.2.2');

export const to = (remote: string, changes: Partial<BfdWanted> = {}): BfdWanted => ({
  ...{ hops: 'single', remote: ip(remote), parameters: PARAMETERS, adminDown: false },
  ...changes,
});

export const sessions = (all: Record<string, BfdWanted>): LinksWanted => ({ sessions: new Map(Object.entries(all)) });

/** `forA`: other than usual of what `a` wants. */
export function pair(seed = 1, forA: Partial<BfdWanted> = {}, forB: Partial<BfdWanted> = {}) {
  const world = new World(seed);
  const a = world.host('a', port('eth0', 'lan', 1, '192.0.2.1/24', 'fe80::1/64', '2001:db8::1/64'));
  const b = world.host('b', port('eth0', 'lan', 2, '192.0.2.2/24', 'fe80::2/64', '2001:db8::2/64'));
  world.start(a, sessions({ b: to('192.0.2.2', forA) }));
  world.start(b, sessions({ a: to('192.0.2.1', forB) }));
  return { world, a, b };
}

export function view(world: World, host: Host): LinksView {
  if (host.machine === undefined) throw new Error(`${host.name} does not run`);
  return viewLinks(host.machine, world.now);
}

export const stateOf = (world: World, host: Host, name: string): SessionState | undefined =>
  view(world, host).sessions.find((each) => each.name === name)?.session?.state;

export const told = (host: Host, report: LinksReport['report']) =>
  host.reports.filter((each) => each.report === report);

export const datagrams = (host: Host): (PacketEffect & { readonly do: 'udp-send' })[] =>
  host.sent.flatMap(({ effect }) => (effect.do === 'udp-send' ? [effect] : []));
