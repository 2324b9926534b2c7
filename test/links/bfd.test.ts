// BFD for peers, end to end between whole machines: paths, ports, TTLs, restarts, retuning, removal, links that come and go,
// echoes, holding, and a counter for every datagram that is no session's.

import { describe, expect, it } from 'vitest';
import type { SessionParameters } from '../../src/bfd/variables.ts';
import type { BfdWanted } from '../../src/links/wanted.ts';
import type { LinksReport } from '../../src/links.ts';
import { viewLinks } from '../../src/links.ts';
import type { Host } from './world.ts';
import { ip, port, World } from './world.ts';

const PARAMETERS: SessionParameters = {
  ...{ detectMult: 3, desiredMinTxMs: 50, requiredMinRxMs: 50, slowTxMs: 1000 },
  ...{ passive: false, minTtl: 255, keys: [] },
};
const A = ip('192.0.2.1');
const B = ip('192.0.2.2');

const to = (remote: string, changes: Partial<BfdWanted> = {}): BfdWanted => ({
  ...{ hops: 'single', remote: ip(remote), parameters: PARAMETERS, adminDown: false },
  ...changes,
});
const sessions = (all: Record<string, BfdWanted>) => ({ sessions: new Map(Object.entries(all)) });

function pair(seed = 1, forB: Partial<BfdWanted> = {}, forA: Partial<BfdWanted> = {}) {
  const world = new World(seed);
  const a = world.host('a', port('eth0', 'lan', 1, '192.0.2.1/24', 'fe80::1/64'));
  const b = world.host('b', port('eth0', 'lan', 2, '192.0.2.2/24', 'fe80::2/64'));
  world.start(a, sessions({ b: to('192.0.2.2', forB) }));
  world.start(b, sessions({ a: to('192.0.2.1', forA) }));
  return { world, a, b };
}

const view = (world: World, host: Host) => {
  if (host.machine === undefined) throw new Error('not running');
  return viewLinks(host.machine, world.now);
};
const stateOf = (world: World, host: Host, name: string) =>
  view(world, host).sessions.find((each) => each.name === name)?.session?.state;
const told = (host: Host, report: LinksReport['report']) => host.reports.filter((each) => each.report === report);
const datagrams = (host: Host) => host.sent.flatMap(({ effect }) => (effect.do === 'udp-send' ? [effect] : []));

describe('a session over one hop', () => {
  it('comes up, from a port of its own with TTL 255 to 3784, bound to its link (RFC 5881)', () => {
    const { world, a } = pair();
    world.run(4_000);
    expect(told(a, 'bfd-state').map((each) => 'to' in each && each.to)).toEqual(
      ['Init', 'Up'].slice(-told(a, 'bfd-state').length),
    );
    expect(stateOf(world, a, 'b')).toBe('Up');
    const [session] = [...a.sockets].filter(([name]) => name.startsWith('bfd/session/'));
    expect(session?.[1].options).toEqual({ family: 'ipv4', port: 'dynamic', ttl: 255, local: A, device: 'eth0' });
    expect([...a.sockets.keys()]).toContain('bfd/3784/ipv4');
    expect(datagrams(a).every((each) => each.to.address === B && each.to.port === 3784)).toBe(true);
  });
});
