// BGPPeers as sessions of a node: defaults, times, families, and what is not served yet.

import { describe, expect, it } from 'vitest';
import type { Peer } from '../../src/config/config.ts';
import { Secret } from '../../src/net/secret.ts';
import { peersOf, routerIdOfName } from '../../src/plan/peer.ts';
import { createMemory, plan } from '../../src/plan/plan.ts';
import type { Surroundings } from '../../src/plan/snapshot.ts';
import { config, ip, labelled, node, peer, pool, prefix, snapshot } from './cluster.ts';

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

  it('knows that it has BFD beside it', () => {
    expect(sessionOf({ bfdProfile: 'fast' })).toMatchObject({ bfd: true, warnings: [] });
    expect(sessionOf({})).not.toHaveProperty('bfd');
  });
});

describe('peers of a node', () => {
  const red = { nodeSelectors: [labelled({ rack: 'a' }), labelled({ rack: 'b' })] };
  const { address: _, ...unnumbered } = peer('uplink', '192.0.2.9', { interface: 'eth9' });
  const all = config([], [peer('any', '192.0.2.1'), peer('racks', '192.0.2.2', red), unnumbered]);

  it.each([
    [{}, ['any', 'uplink']],
    [{ rack: 'a' }, ['any', 'racks', 'uplink']],
    [{ rack: 'b' }, ['any', 'racks', 'uplink']],
    [{ rack: 'c' }, ['any', 'uplink']],
  ])('with labels %j', (labels, names) => {
    const { peers, notServed } = peersOf(all, node('n1', { labels }));
    expect(peers.map(({ name }) => name)).toEqual(names);
    expect(notServed).toEqual([]);
  });

  it('that are named by an interface carry both families, and have no address yet', () => {
    const [uplink] = peersOf(config([], [unnumbered]), node('n1'), { connected: [prefix('192.0.2.0/24')] }).peers;
    expect(uplink).toMatchObject({ interface: 'eth9', families: ['ipv4', 'ipv6'] });
    expect(uplink).not.toHaveProperty('address');
  });

  it('that are named by an interface are not dialled either while frr-k8s announces', () => {
    const { notServed } = peersOf(config([], [unnumbered]), node('n1'), { frrK8s: 'kubectl delete' });
    expect(notServed.map(({ because }) => because)).toEqual(['frrK8sStillAnnounces']);
  });

  it('fall back on a router ID from the name of the node', () => {
    expect(routerIdOfName('kind-worker')).toBe('192.61.154.117');
    // the check value of CRC-32 (IEEE): cbf43926
    expect(routerIdOfName('123456789')).toBe('38.57.244.203');
  });
});

describe('a peer that is not dialled', () => {
  const CONNECTED = ['192.0.2.0/24', '10.0.0.0/8', '2001:db8::/64'].map(prefix);
  const verdict = (address: string, more: Partial<Peer>, surroundings: Surroundings) => {
    const { peers, notServed } = peersOf(config([], [peer('tor', address, more)]), node('n1'), surroundings);
    expect(peers.length + notServed.length).toBe(1);
    return notServed[0]?.because ?? 'dialled';
  };

  it.each<[what: string, address: string, more: Partial<Peer>, verdict: string]>([
    ['eBGP on a subnet of the node', '192.0.2.1', {}, 'dialled'],
    ['eBGP beyond it', '198.51.100.1', {}, 'peerNotConnected'],
    ['eBGP with any AS beyond it', '198.51.100.1', { remote: 'external' }, 'peerNotConnected'],
    ['eBGP with multihop', '198.51.100.1', { ebgpMultiHop: true }, 'dialled'],
    ['eBGP over two hops', '198.51.100.1', { ttlSecurity: 2 }, 'dialled'],
    ['eBGP over one hop', '198.51.100.1', { ttlSecurity: 1 }, 'peerNotConnected'],
    ['iBGP', '198.51.100.1', { remote: 64_513 }, 'dialled'],
    ['iBGP by name', '198.51.100.1', { remote: 'internal' }, 'dialled'],
    ['IPv6, where FRR does not ask', '2001:db8:9::1', {}, 'dialled'],
  ])('in the FRR modes: %s', (_, address, more, expected) => {
    expect(verdict(address, more, { connected: CONNECTED })).toBe(expected);
    // where nobody asks for it, all are
    expect(verdict(address, more, {})).toBe('dialled');
  });

  it('waits for frr-k8s to let go, whatever it is, and says how', () => {
    const frrK8s = 'kubectl delete frrconfiguration metallb-n1';
    const all = config([], [peer('a', '192.0.2.1'), peer('b', '2001:db8::1', { remote: 'internal' })]);
    const { peers, notServed } = peersOf(all, node('n1'), { frrK8s });
    expect(peers).toEqual([]);
    expect(notServed.map(({ peer: name, because }) => [name, because])).toEqual([
      ['a', 'frrK8sStillAnnounces'],
      ['b', 'frrK8sStillAnnounces'],
    ]);
    expect(notServed[0]?.text).toContain(frrK8s);
  });

  it('is, as soon as its surroundings allow it', () => {
    const pools = [pool('main', ['203.0.113.0/24'])];
    const asked = snapshot({ ...config(pools, [peer('tor', '192.0.2.1')]) }, [], { nodes: [node('n1')] });
    const memory = createMemory();
    const before = plan({ ...asked, surroundings: { connected: [] } }, 'n1', memory);
    expect(before.notServed.map(({ because }) => because)).toEqual(['peerNotConnected']);
    const after = plan({ ...asked, surroundings: { connected: CONNECTED } }, 'n1', memory);
    expect(after.notServed).toEqual([]);
    expect(after.peers.map(({ name }) => name)).toEqual(['tor']);
  });
});
