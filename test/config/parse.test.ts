// Configurations that are accepted, and what they become. The names are MetalLB's own cases (TestParse and its
// neighbours), so that each can be found there.

import { describe, expect, it } from 'vitest';
import type { Config, Pool } from '../../src/config/config.ts';
import {
  accepted,
  bfd,
  bgp,
  bgpPeer,
  community,
  hostname,
  l2,
  legacyPeer,
  namespace,
  node,
  peer,
  pool,
  secret,
} from './fixture.ts';

const only = (config: Config): Pool => {
  const [first, ...others] = config.pools;
  if (first === undefined || others.length > 0) return expect.fail(`${config.pools.length} pools`);
  return first;
};
const onePeer = (spec: Readonly<Record<string, unknown>>) => accepted([peer('peer1', spec)]).peers[0];
const POOL = pool('pool1', { addresses: ['10.20.0.0/16'] });

describe('whole configurations', () => {
  it('empty config', () => {
    expect(accepted([])).toEqual({ pools: [], peers: [], bfdProfiles: [], warnings: [] });
  });

  it('config using all features', () => {
    const config = accepted([
      bgpPeer('peer1', {
        myASN: 42,
        peerASN: 142,
        peerAddress: '1.2.3.4',
        peerPort: 1179,
        holdTime: '180s',
        routerID: '10.20.30.40',
        sourceAddress: '10.20.30.41',
        ebgpMultiHop: true,
        connectTime: '10s',
        enableGracefulRestart: true,
        vrf: 'red',
        password: 'squirrel',
        bfdProfile: 'fast',
        dualStackAddressFamily: true,
        localASN: 43,
      }),
      bgpPeer('peer2', {
        myASN: 42,
        dynamicASN: 'external',
        peerAddress: '2001:DB8::4',
        ttlSecurity: 2,
        prefixLimit: { routes: 10, action: 'reset' },
        routerID: '10.20.30.40',
        nodeSelectors: [
          hostname('a'),
          { matchExpressions: [{ key: 'rack', operator: 'NotIn', values: ['r2', 'r1'] }] },
        ],
      }),
      bfd('fast', {
        receiveInterval: 50,
        transmitInterval: 51,
        detectMultiplier: 4,
        minimumTtl: 250,
        passiveMode: true,
      }),
      pool('pool1', { addresses: ['10.20.0.0/16', '10.50.0.0/24'], avoidBuggyIPs: true, autoAssign: false }),
      bgp('adv1', {
        aggregationLength: 32,
        localPref: 100,
        communities: ['bar', '1234:2345'],
        ipAddressPools: ['pool1'],
        peers: ['peer1'],
      }),
      bgp('adv2', { aggregationLength: 24, aggregationLengthV6: 64, ipAddressPools: ['pool1'] }),
      pool('pool2', { addresses: ['30.0.0.0/8'] }),
      pool('pool3', { addresses: ['40.0.0.0-40.0.0.3', '2001:db8:1::/120'] }),
      l2('l2adv1', { ipAddressPools: ['pool3'], interfaces: ['eth0'] }),
      community('communities', ['bar', '64512:1234'], ['big', 'large:1:2:3']),
      node('a'),
    ]);
    expect(config.warnings).toEqual([]);
    expect(config.peers).toEqual([
      {
        name: 'peer1',
        myAsn: 42,
        localAsn: 43,
        remote: 142,
        address: '1.2.3.4',
        port: 1179,
        source: '10.20.30.41',
        holdTimeMs: 180_000,
        keepaliveTimeMs: 60_000,
        connectTimeMs: 10_000,
        routerId: '10.20.30.40',
        nodeSelectors: [],
        password: expect.objectContaining({ fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) }),
        bfdProfile: 'fast',
        gracefulRestart: true,
        ebgpMultiHop: true,
        vrf: 'red',
        dualStack: true,
      },
      {
        name: 'peer2',
        myAsn: 42,
        remote: 'external',
        address: '2001:db8::4',
        port: 179,
        routerId: '10.20.30.40',
        nodeSelectors: [
          { terms: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['a'] }] },
          { terms: [{ key: 'rack', operator: 'NotIn', values: ['r1', 'r2'] }] },
        ],
        gracefulRestart: false,
        ebgpMultiHop: false,
        ttlSecurity: 2,
        prefixLimit: { routes: 10, action: 'reset' },
        dualStack: false,
      },
    ]);
    expect(config.peers[0]?.password?.reveal()).toBe('squirrel');
    expect(config.bfdProfiles).toEqual([
      {
        name: 'fast',
        receiveIntervalMs: 50,
        transmitIntervalMs: 51,
        detectMultiplier: 4,
        echoIntervalMs: 50,
        echoMode: false,
        passiveMode: true,
        minimumTtl: 250,
      },
    ]);
    expect(config.pools.map(({ name }) => name)).toEqual(['pool1', 'pool2', 'pool3']);
    const [pool1, pool2, pool3] = config.pools;
    expect(pool1).toEqual({
      name: 'pool1',
      addresses: [
        { entry: '10.20.0.0/16', cidrs: ['10.20.0.0/16'] },
        { entry: '10.50.0.0/24', cidrs: ['10.50.0.0/24'] },
      ],
      autoAssign: false,
      avoidBuggyIPs: true,
      bgpAdvertisements: [
        {
          name: 'adv1',
          aggregationLength: 32,
          aggregationLengthV6: 128,
          localPref: 100,
          communities: [
            { is: 'standard', value: 0x04d20929 },
            { is: 'standard', value: 0xfc0004d2 },
          ],
          nodes: new Set(['a']),
          peers: ['peer1'],
          serviceSelectors: [],
        },
        {
          name: 'adv2',
          aggregationLength: 24,
          aggregationLengthV6: 64,
          localPref: 0,
          communities: [],
          nodes: new Set(['a']),
          peers: [],
          serviceSelectors: [],
        },
      ],
      l2Advertisements: [],
    });
    expect(pool2).toMatchObject({
      autoAssign: true,
      avoidBuggyIPs: false,
      bgpAdvertisements: [],
      l2Advertisements: [],
    });
    expect(pool3?.addresses).toEqual([
      { entry: '40.0.0.0-40.0.0.3', cidrs: ['40.0.0.0/30'] },
      { entry: '2001:db8:1::/120', cidrs: ['2001:db8:1::/120'] },
    ]);
    expect(pool3?.l2Advertisements).toEqual([
      { name: 'l2adv1', nodes: new Set(['a']), interfaces: ['eth0'], serviceSelectors: [], scores: new Map() },
    ]);
  });

  it('sorts by name, whatever the order of the objects', () => {
    const objects = [
      pool('b', { addresses: ['10.0.1.0/24'] }),
      pool('a', { addresses: ['10.0.0.0/24'] }),
      bgp('z'),
      bgp('y'),
    ];
    expect(accepted(objects)).toEqual(accepted(objects.toReversed()));
    expect(accepted(objects).pools.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(accepted(objects).pools[0]?.bgpAdvertisements.map(({ name }) => name)).toEqual(['y', 'z']);
  });
});

describe('service allocation', () => {
  const allocation = (serviceAllocation: unknown) =>
    only(
      accepted([
        pool('pool1', { addresses: ['10.20.0.0/16'], serviceAllocation }),
        namespace('ns1', { team: 'a' }),
        namespace('ns2', { team: 'b' }),
      ]),
    ).serviceAllocation;

  it('ip address pool with namespace selection', () => {
    const selected = {
      priority: 1,
      namespaces: ['other'],
      namespaceSelectors: [{ matchLabels: { team: 'a' } }, { matchLabels: { team: 'c' } }],
    };
    expect(allocation(selected)).toEqual({ priority: 1, namespaces: new Set(['other', 'ns1']), serviceSelectors: [] });
  });

  it('ip address pool with service selection', () => {
    expect(allocation({ priority: 1, serviceSelectors: [{ matchLabels: { app: 'web' } }] })).toEqual({
      priority: 1,
      serviceSelectors: [{ terms: [{ key: 'app', operator: 'In', values: ['web'] }] }],
    });
  });

  it('ip address pool with namespace and service selection', () => {
    expect(allocation({ namespaces: ['ns1'], serviceSelectors: [{ matchLabels: { app: 'web' } }] })).toEqual({
      priority: 0,
      namespaces: new Set(['ns1']),
      serviceSelectors: [{ terms: [{ key: 'app', operator: 'In', values: ['web'] }] }],
    });
  });

  it('ip address pool with only priority: every Service', () => {
    expect(allocation({ priority: 20 })).toEqual({ priority: 20, serviceSelectors: [{ terms: [] }] });
  });

  it('keeps an empty selection of namespaces empty', () => {
    expect(allocation({ namespaceSelectors: [{ matchLabels: { team: 'none' } }] })).toEqual({
      priority: 0,
      namespaces: new Set(),
      serviceSelectors: [],
    });
  });
});

describe('peers', () => {
  it('peer-only', () => {
    const config = accepted([peer('peer1')]);
    expect(config.pools).toEqual([]);
    expect(config.peers).toEqual([
      {
        name: 'peer1',
        myAsn: 42,
        remote: 142,
        address: '1.2.3.4',
        port: 179,
        nodeSelectors: [],
        gracefulRestart: false,
        ebgpMultiHop: false,
        dualStack: false,
      },
    ]);
  });

  it.each([
    ['peer with holdtime only', { holdTime: '120s' }, 120_000, 40_000],
    ['peer with keepalive only', { keepaliveTime: '40s' }, 120_000, 40_000],
    ['peer with zero hold/keepalive timers', { holdTime: '0s', keepaliveTime: '0s' }, 0, 0],
    ['peer without hold/keepalive timers', {}, undefined, undefined],
    ['both times', { holdTime: '1m30s', keepaliveTime: '10s' }, 90_000, 10_000],
    ['a hold time is whole seconds in OPEN', { holdTime: '3.9s', keepaliveTime: '1s' }, 3_000, 1_000],
    ['the same below one second', { holdTime: '900ms', keepaliveTime: '800ms' }, 0, 0],
    ['the longest hold time of RFC 4271', { holdTime: '65535s', keepaliveTime: '1s' }, 65_535_000, 1_000],
    ['no keepalives in spite of a hold time: a third', { holdTime: '90s', keepaliveTime: '0s' }, 90_000, 30_000],
  ])('%s', (_, times, hold, keepalive) => {
    expect(onePeer(times)?.holdTimeMs).toBe(hold);
    expect(onePeer(times)?.keepaliveTimeMs).toBe(keepalive);
  });

  it('v1beta1 without times: timers off, as its conversion has it', () => {
    const spec = { myASN: 42, peerASN: 142, peerAddress: '1.2.3.4' };
    expect(accepted([legacyPeer('peer1', spec)]).peers).toEqual([
      { ...accepted([peer('peer1')]).peers[0], holdTimeMs: 0, keepaliveTimeMs: 0 },
    ]);
  });

  it('v1beta1 with all its fields', () => {
    const shared = {
      myASN: 42,
      peerASN: 142,
      peerAddress: '1.2.3.4',
      sourceAddress: '1.2.3.5',
      holdTime: '30s',
      keepaliveTime: '5s',
      routerID: '1.1.1.1',
      nodeSelectors: [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] }],
      password: 'nope',
      ebgpMultiHop: true,
    };
    const { peers } = accepted([legacyPeer('peer1', { ...shared, peerPort: 0 })]);
    expect(JSON.stringify(peers)).toBe(JSON.stringify(accepted([peer('peer1', shared)]).peers));
    expect(peers[0]?.password?.reveal()).toBe('nope');
  });

  it('empty node selector (select everything)', () => {
    expect(onePeer({ nodeSelectors: [{}] })?.nodeSelectors).toEqual([{ terms: [] }]);
  });

  it('peer with dynamic asn', () => {
    expect(onePeer({ peerASN: undefined, dynamicASN: 'internal' })?.remote).toBe('internal');
    expect(onePeer({ peerASN: 0, dynamicASN: 'external' })?.remote).toBe('external');
  });

  it('unnumbered peer without address with interface', () => {
    const unnumbered = onePeer({ peerAddress: undefined, interface: 'eth1' });
    expect(unnumbered).toMatchObject({ interface: 'eth1' });
    expect(unnumbered).not.toHaveProperty('address');
  });

  it('peer with DisableMP field', () => {
    expect(onePeer({ disableMP: true })).toEqual(onePeer({}));
  });

  it('peer with localASN field', () => {
    expect(onePeer({ localASN: 4294967295 })?.localAsn).toBe(4294967295);
  });

  it('BGP Peer with a valid secret', () => {
    const { peers } = accepted([
      peer('peer1', { passwordSecret: { name: 'bgp-password', namespace: 'elsewhere' } }),
      secret('bgp-password', 'kubernetes.io/basic-auth', { password: 'nopass\n' }),
    ]);
    expect(peers[0]?.password?.reveal()).toBe('nopass\n');
  });

  it.each([
    ['Session with default BFD Profile', {}, { receiveIntervalMs: 300, transmitIntervalMs: 300, detectMultiplier: 3 }],
    ['its other defaults', {}, { echoIntervalMs: 50, echoMode: false, passiveMode: false, minimumTtl: 254 }],
    [
      'Session with nondefault BFD Profile',
      { receiveInterval: 10, transmitInterval: 60000, detectMultiplier: 255, echoInterval: 90, echoMode: true },
      { receiveIntervalMs: 10, transmitIntervalMs: 60000, detectMultiplier: 255, echoIntervalMs: 90, echoMode: true },
    ],
  ])('%s', (_, spec, expected) => {
    const config = accepted([peer('peer1', { bfdProfile: 'profile' }), bfd('profile', spec)]);
    expect(config.peers[0]?.bfdProfile).toBe('profile');
    expect(config.bfdProfiles[0]).toMatchObject({ name: 'profile', ...expected });
  });

  it('Session with ipv4 and bfd echo mode', () => {
    const config = accepted([peer('peer1', { bfdProfile: 'echo' }), bfd('echo', { echoMode: true }), POOL, bgp('adv')]);
    expect(config.bfdProfiles[0]?.echoMode).toBe(true);
  });

  it('echo mode beside IPv6 that does not reach its peer', () => {
    const v6 = pool('pool1', { addresses: ['2001:db8::/120'] });
    const objects = [peer('peer1', { bfdProfile: 'echo' }), bfd('echo', { echoMode: true }), v6];
    expect(accepted([...objects, bgp('adv', { peers: ['other'] })]).pools).toHaveLength(1);
    expect(accepted(objects).pools).toHaveLength(1);
  });
});

describe('BGP advertisements', () => {
  const attached = (...advertisements: readonly ReturnType<typeof bgp>[]) =>
    only(accepted([POOL, node('a'), node('b'), ...advertisements])).bgpAdvertisements;

  it('simple advertisement', () => {
    expect(attached(bgp('adv1', { ipAddressPools: ['pool1'] }))).toHaveLength(1);
  });

  it('advertisement with default BGP settings: every pool', () => {
    expect(attached(bgp('adv1'))).toEqual([
      {
        name: 'adv1',
        aggregationLength: 32,
        aggregationLengthV6: 128,
        localPref: 0,
        communities: [],
        nodes: new Set(['a', 'b']),
        peers: [],
        serviceSelectors: [],
      },
    ]);
  });

  it.each([
    ['different local pref - different ipv4 aggregation length', { aggregationLength: 26 }, {}],
    ['different local pref - different aggregation lengths', { aggregationLength: 26, aggregationLengthV6: 64 }, {}],
    [
      'different local pref - same peers & different nodes',
      { nodeSelectors: [hostname('a')] },
      { nodeSelectors: [hostname('b')] },
    ],
    ['different local pref - different peers & same nodes', { peers: ['x'] }, { peers: ['y', 'z'] }],
    ['different local pref - one for some Services', { serviceSelectors: [{ matchLabels: { a: 'b' } }] }, {}],
    ['different local pref - the other for some Services', {}, { serviceSelectors: [{ matchLabels: { a: 'b' } }] }],
  ])('%s', (_, one, other) => {
    expect(attached(bgp('adv1', { localPref: 100, ...one }), bgp('adv2', { localPref: 200, ...other }))).toHaveLength(
      2,
    );
  });

  it('aggregation length by range (range .2-.254 with /26)', () => {
    const range = pool('pool1', { addresses: ['3.3.3.2-3.3.3.254'] });
    const [advertisement] = only(accepted([range, bgp('adv1', { aggregationLength: 26 })])).bgpAdvertisements;
    expect(advertisement?.aggregationLength).toBe(26);
  });

  it('use ip pool selectors', () => {
    const config = accepted([
      pool('pool1', { addresses: ['10.20.0.0/16'] }, { zone: 'a' }),
      pool('pool2', { addresses: ['10.30.0.0/16'] }, { zone: 'b' }),
      bgp('adv1', { ipAddressPools: ['pool1', 'unknown'], ipAddressPoolSelectors: [{ matchLabels: { zone: 'a' } }] }),
      l2('adv2', { ipAddressPoolSelectors: [{ matchLabels: { zone: 'b' } }] }),
    ]);
    expect(config.pools.map((one) => one.bgpAdvertisements.map(({ name }) => name))).toEqual([['adv1'], []]);
    expect(config.pools.map((one) => one.l2Advertisements.map(({ name }) => name))).toEqual([[], ['adv2']]);
  });

  it('use non existent label for ip pool selectors (attaches to nothing)', () => {
    expect(attached(bgp('adv1', { ipAddressPoolSelectors: [{ matchLabels: { no: 'pool' } }] }))).toEqual([]);
  });

  it('use node selectors', () => {
    const rack = { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'NotIn', values: ['a', 'x'] }] };
    expect(attached(bgp('adv1', { nodeSelectors: [rack] }))[0]?.nodes).toEqual(new Set(['b']));
    expect(attached(bgp('adv1', { nodeSelectors: [rack, hostname('a')] }))[0]?.nodes).toEqual(new Set(['a', 'b']));
  });

  it('no nodes means all nodes', () => {
    expect(attached(bgp('adv1', { nodeSelectors: [] }))[0]?.nodes).toEqual(new Set(['a', 'b']));
  });

  it('advertisement with peer selector', () => {
    expect(attached(bgp('adv1', { peers: ['peer2', 'peer1'] }))[0]?.peers).toEqual(['peer2', 'peer1']);
  });

  it('config IPAddressPool with large communities CR', () => {
    const names = community('names', ['big', 'large:123:456:789'], ['7:8:9', '1:2'], ['again', '1:2']);
    const config = accepted([
      POOL,
      names,
      bgp('adv1', { communities: ['big', '7:8:9', 'again', 'large:1:2:3', '0:1'] }),
    ]);
    expect(only(config).bgpAdvertisements[0]?.communities).toEqual([
      { is: 'standard', value: 1 },
      { is: 'large', value: [1, 2, 3] },
      { is: 'large', value: [123, 456, 789] },
      { is: 'standard', value: 0x10002 },
    ]);
  });

  it.each([
    ['aggregationLength', { aggregationLength: 32 }],
    ['aggregationLengthV6', { aggregationLengthV6: 128 }],
    ['both', { aggregationLength: 32, aggregationLengthV6: 128 }],
  ])('service selectors with the default %s', (_, lengths) => {
    const selectors = [{ matchLabels: { app: 'a' } }, { matchLabels: { app: 'b' } }];
    expect(attached(bgp('adv1', { ...lengths, serviceSelectors: selectors }))[0]?.serviceSelectors).toEqual([
      { terms: [{ key: 'app', operator: 'In', values: ['a'] }] },
      { terms: [{ key: 'app', operator: 'In', values: ['b'] }] },
    ]);
  });
});

describe('the configuration of one node', () => {
  const objects = [
    POOL,
    node('a'),
    node('b'),
    peer('on-a', { nodeSelectors: [hostname('a')] }),
    peer('on-b', { peerAddress: '1.2.3.5', nodeSelectors: [hostname('b')], bfdProfile: 'missing' }),
    bgp('adv-a', { nodeSelectors: [hostname('a')] }),
    bgp('adv-b', { nodeSelectors: [hostname('b')], communities: ['missing'] }),
    l2('l2-b', { nodeSelectors: [hostname('b')] }),
  ];

  it('leaves out peers and BGP advertisements of others before judging, never pools and L2Advertisements', () => {
    const config = accepted(objects, { node: 'a' });
    expect(config.peers.map(({ name }) => name)).toEqual(['on-a']);
    expect(only(config).bgpAdvertisements.map(({ name }) => name)).toEqual(['adv-a']);
    expect(only(config).l2Advertisements.map(({ name }) => name)).toEqual(['l2-b']);
  });

  const anyLabel = { matchExpressions: [{ key: 'zone', operator: 'DoesNotExist' }] };
  const without = [POOL, peer('everywhere'), peer('no-zone', { peerAddress: '1.2.3.6', nodeSelectors: [anyLabel] })];

  it('takes a node without an object for a bare one outside of a cluster', () => {
    const config = accepted([...without, peer('on-a', { nodeSelectors: [hostname('a')] }), bgp('adv')], {
      node: 'nowhere',
      mayBeBare: true,
    });
    expect(config.peers.map(({ name }) => name)).toEqual(['everywhere', 'no-zone']);
    expect(only(config).bgpAdvertisements[0]?.nodes).toEqual(new Set(['nowhere']));
  });

  it('has no advertisement for a node that is none of the cluster, and no peer that asks for labels', () => {
    const config = accepted([...without, bgp('adv'), l2('l2'), node('a')], { node: 'nowhere' });
    expect(config.peers.map(({ name }) => name)).toEqual(['everywhere']);
    expect(only(config).bgpAdvertisements).toEqual([]);
    expect(only(config).l2Advertisements[0]?.nodes).toEqual(new Set(['a']));
  });
});
