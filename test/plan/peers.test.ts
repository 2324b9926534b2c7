// BGPPeers as sessions of a node: defaults, times, families, and what is not served yet.

import { describe, expect, it } from 'vitest';
import type { Peer } from '../../src/config/config.ts';
import { Secret } from '../../src/net/secret.ts';
import { peersOf, routerIdOfName } from '../../src/plan/peer.ts';
import { config, ip, labelled, node, peer } from './cluster.ts';

const sessionOf = (more: Partial<Peer>, address = '192.0.2.1') => {
  const [session] = peersOf(config([], [peer('tor', address, more)]), node('n1')).peers;
  return session ?? expect.fail('no session');
};

describe('a session', () => {
  it('has the defaults of every mode', () => {
    expect(sessionOf({})).toEqual({
      name: 'tor',
      address: '192.0.2.1',
      port: 179,
      localAs: 64513,
      remoteAs: 64512,
      fallbackRouterId: routerIdOfName('n1'),
      holdTimeMs: 90_000,
      keepaliveTimeMs: 30_000,
      connectRetryMs: 120_000,
      families: ['ipv4'],
      ebgpMultiHop: false,
      gracefulRestart: false,
      passive: false,
      keep: false,
      warnings: [],
    });
  });

  it.each([
    [{ holdTimeMs: 30_000 }, 30_000, 10_000],
    [{ keepaliveTimeMs: 5_000 }, 15_000, 5_000],
    [{ holdTimeMs: 180_000, keepaliveTimeMs: 60_000 }, 180_000, 60_000],
    [{ holdTimeMs: 0, keepaliveTimeMs: 0 }, 0, 0],
    [{ holdTimeMs: 0 }, 0, 0],
  ])('%j', (times, holdTimeMs, keepaliveTimeMs) => {
    expect(sessionOf(times)).toMatchObject({ holdTimeMs, keepaliveTimeMs });
  });

  it('has what the BGPPeer says', () => {
    const password = new Secret('secret');
    const said = {
      ...{ localAsn: 64999, remote: 'external' as const, port: 1790, source: ip('192.0.2.7'), connectTimeMs: 5_000 },
      ...{ routerId: ip('9.9.9.9'), password, vrf: 'red', ttlSecurity: 1, gracefulRestart: true, ebgpMultiHop: true },
    };
    expect(sessionOf(said)).toMatchObject({
      ...{
        localAs: 64513,
        shownAs: 64999,
        remoteAs: 'external',
        port: 1790,
        source: '192.0.2.7',
        connectRetryMs: 5_000,
      },
      ...{
        routerId: '9.9.9.9',
        md5: password,
        device: 'red',
        ttlSecurity: 1,
        gracefulRestart: true,
        ebgpMultiHop: true,
      },
    });
  });

  it('carries the family of its address, or both', () => {
    expect(sessionOf({}).families).toEqual(['ipv4']);
    expect(sessionOf({}, '2001:db8::1').families).toEqual(['ipv6']);
    expect(sessionOf({ dualStack: true }).families).toEqual(['ipv4', 'ipv6']);
    expect(sessionOf({ dualStack: true }, '2001:db8::1').families).toEqual(['ipv4', 'ipv6']);
  });

  it('warns of a BFD profile, which it does not run', () => {
    expect(sessionOf({ bfdProfile: 'fast' }).warnings).toEqual([
      'bfdProfile fast is read but not served yet: the session runs without BFD',
    ]);
  });
});

describe('peers of a node', () => {
  const red = { nodeSelectors: [labelled({ rack: 'a' }), labelled({ rack: 'b' })] };
  const { address: _, ...unnumbered } = peer('uplink', '192.0.2.9', { interface: 'eth9' });
  const all = config([], [peer('any', '192.0.2.1'), peer('racks', '192.0.2.2', red), unnumbered]);

  it.each([
    [{}, ['any']],
    [{ rack: 'a' }, ['any', 'racks']],
    [{ rack: 'b' }, ['any', 'racks']],
    [{ rack: 'c' }, ['any']],
  ])('with labels %j', (labels, names) => {
    const { peers, notServed } = peersOf(all, node('n1', { labels }));
    expect(peers.map(({ name }) => name)).toEqual(names);
    expect(notServed.map(({ peer: name, because }) => [name, because])).toEqual([['uplink', 'notYetSupported']]);
  });

  it('fall back on a router ID from the name of the node', () => {
    expect(routerIdOfName('kind-worker')).toBe('192.61.154.117');
    // the check value of CRC-32 (IEEE): cbf43926
    expect(routerIdOfName('123456789')).toBe('38.57.244.203');
  });
});
