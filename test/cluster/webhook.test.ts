// What `kubectl apply` says to a configuration that can't be: the API server asks our webhooks, reached at the
// controllers' Pods over TLS with the certificate that they made themselves. And BGPPeers of v1beta1, which the server
// lets us convert.

import { expect, it } from 'vitest';
import { bgpPeer, type Manifest } from '../interop/manifests.ts';
import { until } from '../interop/process.ts';
import { type KubeObject, Refused } from './api.ts';
import { APP, SYSTEM } from './cluster.ts';
import { bgpAdvertisement, bgpType, ipPool, podsOf, untilReady } from './fairway.ts';
import { clusterStories, useFairway } from './stories.ts';

const V1BETA1 = 'metallb.io/v1beta1';
const ours = (kind: string, name: string, spec: object, namespace = SYSTEM): Manifest => ({
  apiVersion: V1BETA1,
  kind,
  metadata: { name, namespace },
  spec,
});
const community = (name: string, ...values: readonly string[]): Manifest =>
  ours('Community', name, { communities: values.map((value, at) => ({ name: `${name}-${at}`, value })) });
const peer = (name: string, spec: object = {}): Manifest =>
  bgpPeer(name, { myASN: 64500, peerASN: 64501, peerAddress: '198.51.100.1', ...spec });

type Case = readonly [what: string, there: readonly Manifest[], refused: Manifest, text: string];

const REFUSED: readonly Case[] = [
  [
    'a pool that overlaps another',
    [ipPool('one', ['203.0.113.10-203.0.113.19'])],
    ipPool('two', ['203.0.113.15-203.0.113.20']),
    'overlaps with already defined CIDR',
  ],
  [
    'a pool that comes to overlap another',
    [ipPool('one', ['203.0.113.10-203.0.113.19']), ipPool('two', ['203.0.113.30/32'])],
    ipPool('two', ['203.0.113.15-203.0.113.20']),
    'overlaps with already defined CIDR',
  ],
  ['addresses that are none', [], ipPool('one', ['203.0.113.300/32']), 'invalid CIDR "203.0.113.300/32" in pool "one"'],
  [
    'an aggregation that is wider than the pool',
    [ipPool('one', ['203.0.113.0/28'])],
    bgpAdvertisement('ad', { aggregationLength: 26, ipAddressPools: ['one'] }),
    'invalid aggregation length 26: prefix 28 in this pool is more specific than the aggregation length for addresses 203.0.113.0/28',
  ],
  [
    'a selector of Services with an aggregation',
    [],
    bgpAdvertisement('ad', { aggregationLength: 24, serviceSelectors: [{ matchLabels: { app: 'web' } }] }),
    'serviceSelectors and aggregationLength are mutually exclusive',
  ],
  ['a peer whose address is none', [], peer('tor', { peerAddress: '198.51.100.1.2' }), 'invalid BGPPeer address'],
  ['a peer that becomes one', [peer('tor')], peer('tor', { peerAddress: '198.51.100.1.2' }), 'invalid BGPPeer address'],
  ['a hold time of 2 s', [], peer('tor', { holdTime: '2s' }), 'invalid hold time "2s": must be 0 or >=3s'],
  [
    'a community whose parts are too large',
    [],
    community('c', '99999999:1'),
    'invalid community value: invalid section "99999999"',
  ],
  [
    'a community that becomes one',
    [community('c', '1111:2222')],
    community('c', '99999999:1'),
    'invalid community value: invalid section',
  ],
  [
    'a large community with another marker',
    [],
    community('c', 'lar:123:9999:123'),
    'expected community to be of format large',
  ],
  [
    'a community that comes to have another marker',
    [community('c', 'large:123:9999:123')],
    community('c', 'lar:123:9999:123'),
    'expected community to be of format large',
  ],
  [
    'the name of a community twice',
    [],
    ours('Community', 'c', { communities: ['1111:2222', '1111:2223'].map((value) => ({ name: 'same', value })) }),
    'duplicate definition of community "same"',
  ],
];

const EVERY_KIND: readonly Manifest[] = [
  ours('BFDProfile', 'lost', {}, APP),
  ours('IPAddressPool', 'lost', { addresses: ['203.0.113.0/24'] }, APP),
  { ...peer('lost'), metadata: { name: 'lost', namespace: APP } },
  ours('BGPAdvertisement', 'lost', {}, APP),
  ours('L2Advertisement', 'lost', {}, APP),
  ours('Community', 'lost', { communities: [{ name: 'c', value: '1:2' }] }, APP),
];

clusterStories('webhooks', [], () => {
  const cluster = useFairway(1, { speakers: false });

  it.each(REFUSED)('refuse %s', async (_, there, refused, text) => {
    await cluster.api.apply(...there);
    await expect(cluster.api.apply(refused)).rejects.toThrow(text);
  });

  it.each(EVERY_KIND)('refuse a $kind outside of the namespace of Fairway', async (object) => {
    const text = `resource must be created in ${SYSTEM} namespace`;
    await expect(cluster.api.create(object)).rejects.toThrow(text);
  });

  it('keep a BFDProfile that a peer names', async () => {
    const profile = ours('BFDProfile', 'fast', { receiveInterval: 100 });
    await cluster.api.apply(profile, peer('tor', { bfdProfile: 'fast' }));
    await expect(cluster.api.remove(profile)).rejects.toThrow('failed to delete BFDProfile fast, used by BGPPeer tor');
    await cluster.api.remove(peer('tor'), profile);
    expect(await cluster.api.find(profile)).toBeUndefined();
  });

  it('let a peer come before its profile and its Secret, and an advertisement before its community', async () => {
    await cluster.api.apply(
      peer('tor', { bfdProfile: 'later', passwordSecret: { name: 'later' } }),
      bgpAdvertisement('ad', { communities: ['later'] }),
    );
  });

  it('let two peers share an address where no node would have both', async () => {
    const on = (node: string) => ({ nodeSelectors: [{ matchLabels: { 'kubernetes.io/hostname': node } }] });
    await cluster.api.apply(peer('one', on('n1')), peer('two', on('n2')));
  });

  it('warn of disableMP', async () => {
    const { warnings } = await cluster.api.create(peer('tor', { disableMP: true }));
    expect(warnings).toEqual(["disable mp is deprecated and has no effect since it's the default behavior now"]);
  });

  it('answer while one controller after the other is replaced', async () => {
    const faults: string[] = [];
    let asked = 0;
    let done = false;
    const asking = (async () => {
      while (!done) {
        const fault: unknown = await cluster.api.create(ipPool('one', ['none'])).catch((each: unknown) => each);
        if (!(fault instanceof Refused) || !fault.message.includes('invalid CIDR')) faults.push(String(fault));
        asked += 1;
      }
    })();
    for (const pod of await podsOf(cluster, 'controller')) {
      await cluster.api.remove(pod);
      await until('it is gone', async () => (await cluster.api.find(pod)) === undefined, 20_000);
      await untilReady(cluster);
    }
    done = true;
    await asking;
    expect(faults).toEqual([]);
    expect(asked).toBeGreaterThan(20);
  });

  it('convert BGPPeers of v1beta1 and back', async () => {
    const spec = {
      ...{ myASN: 64500, peerASN: 64501, peerAddress: '198.51.100.1', holdTime: '90s', bfdProfile: 'fast' },
      nodeSelectors: [
        { matchLabels: { rack: 'a' } },
        { matchExpressions: [{ key: 'x', operator: 'In', values: ['y'] }] },
      ],
    };
    const old = { apiVersion: V1BETA1, kind: 'BGPPeer', metadata: { name: 'old', namespace: SYSTEM }, spec };
    const { warnings, object } = await cluster.api.create<KubeObject>(old);
    expect(warnings).toEqual(['v1beta1 is deprecated, please use v1beta2']);
    expect(object).toMatchObject({ apiVersion: V1BETA1, spec });
    const stored = await cluster.api.read({ ...old, apiVersion: 'metallb.io/v1beta2' });
    // an absent duration is 0s then: MetalLB's own conversion
    expect(stored).toMatchObject({ spec: { ...spec, peerPort: 179, keepaliveTime: '0s' } });
    const newer = peer('newer', { dualStackAddressFamily: true, keepaliveTime: '30s', holdTime: '90s' });
    await cluster.api.apply(newer);
    const shown = await cluster.api.read({ ...newer, apiVersion: V1BETA1 });
    expect(shown['spec']).toMatchObject({ myASN: 64500, holdTime: '90s', keepaliveTime: '30s' });
    expect(shown['spec']).not.toHaveProperty('dualStackAddressFamily');
  });
});

clusterStories('webhooks where METALLB_BGP_TYPE is frr', [], () => {
  const cluster = useFairway(1, { speakers: false, edit: bgpType('frr') });

  it('refuse two peers of one address that a node would share', async () => {
    await cluster.api.apply(peer('one'));
    await expect(cluster.api.apply(peer('two'))).rejects.toThrow(
      "already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node",
    );
  });

  it('let them be where the nodes are others', async () => {
    const on = (node: string) => ({ nodeSelectors: [{ matchLabels: { 'kubernetes.io/hostname': node } }] });
    await cluster.api.apply(peer('one', on('n1')), peer('two', on('n2')));
  });
});

clusterStories('webhooks where METALLB_BGP_TYPE is native', [], () => {
  const cluster = useFairway(1, { speakers: false, edit: bgpType('native') });

  it.each([
    [
      'a keepalive time',
      peer('tor', { keepaliveTime: '5s' }),
      'peer 198.51.100.1 has keepalive-time set on native bgp mode',
    ],
    ['a VRF', peer('tor', { vrf: 'red' }), 'peer 198.51.100.1 has vrf set on native bgp mode'],
    ['a connect time', peer('tor', { connectTime: '5s' }), 'peer 198.51.100.1 has connect time set on native bgp mode'],
  ])('refuse %s', async (_, object, text) => {
    await expect(cluster.api.apply(object)).rejects.toThrow(text);
  });
});
