// What a real API server makes of manifests/crd: it takes them, shows the columns that people know, fills in the
// defaults, and refuses what the schemas and their rules (CEL) refuse, in the words that MetalLB's users know. No
// process of ours runs here.

import { beforeAll, describe, expect, it } from 'vitest';
import { advertisement, bgpPeer, type Manifest, pool } from '../interop/manifests.ts';
import { type KubeObject, Refused } from './api.ts';
import { CRDS, SYSTEM } from './cluster.ts';
import { clusterStories, useCluster } from './stories.ts';

interface Crd extends KubeObject {
  readonly spec: { readonly versions: readonly { name: string; served: boolean; storage: boolean }[] };
  readonly status: { readonly conditions: readonly { type: string; status: string; message?: string }[] };
}

/** `v1beta1 (served)`, `v1beta2 (stored)`: the table of MetalLB 0.16. */
const VERSIONS: Readonly<Record<string, string>> = {
  'bfdprofiles.metallb.io': 'v1beta1 (stored)',
  'bgpadvertisements.metallb.io': 'v1beta1 (stored)',
  'bgppeers.metallb.io': 'v1beta1 (served), v1beta2 (stored)',
  'communities.metallb.io': 'v1beta1 (stored)',
  'configurationstates.metallb.io': 'v1beta1 (stored)',
  'ipaddresspools.metallb.io': 'v1beta1 (stored)',
  'l2advertisements.metallb.io': 'v1beta1 (stored)',
  'servicebgpstatuses.metallb.io': 'v1beta1 (stored)',
  'servicel2statuses.metallb.io': 'v1beta1 (stored)',
};

const ours = (kind: string, spec?: object): Manifest => ({
  apiVersion: 'metallb.io/v1beta1',
  kind,
  metadata: { name: 'main', namespace: SYSTEM },
  ...(spec !== undefined && { spec }),
});
const peer = (spec: object): Manifest =>
  bgpPeer('tor', { myASN: 64512, peerASN: 64513, peerAddress: '198.51.100.1', ...spec });
const chosen = { serviceSelectors: [{ matchLabels: { app: 'web' } }] };
const EXCLUSIVE =
  'serviceSelectors and aggregationLength are mutually exclusive, can only be used together with default';

const REFUSED: readonly (readonly [why: string, object: Manifest, text: string])[] = [
  ['a pool without spec', ours('IPAddressPool'), 'spec: Required value'],
  ['a pool without addresses', ours('IPAddressPool', {}), 'spec.addresses: Required value'],
  [
    'addresses that are no list',
    ours('IPAddressPool', { addresses: '203.0.113.0/24' }),
    'spec.addresses: Invalid value',
  ],
  ['a peer without an AS number of ours', bgpPeer('tor', { peerASN: 1 }), 'spec.myASN: Required value'],
  ['an AS number of five octets', peer({ peerASN: 4_294_967_296 }), 'less than or equal to 4294967295'],
  ['a negative AS number', peer({ myASN: -1 }), 'greater than or equal to 0'],
  ['localASN 0', peer({ localASN: 0 }), 'greater than or equal to 1'],
  ['a dynamicASN of another name', peer({ dynamicASN: 'any' }), 'supported values: "internal", "external"'],
  ['a port above 16384', peer({ peerPort: 16_385 }), 'less than or equal to 16384'],
  ['port 0', peer({ peerPort: 0 }), 'greater than or equal to 1'],
  [
    'a connect time below a second',
    peer({ connectTime: '100ms' }),
    'connect time should be between 1 seconds to 65535',
  ],
  [
    'a connect time above 65535 s',
    peer({ connectTime: '65536s' }),
    'connect time should be between 1 seconds to 65535',
  ],
  ['a broken second', peer({ connectTime: '1500ms' }), 'connect time should contain a whole number of seconds'],
  [
    'ttlSecurity with ebgpMultiHop',
    peer({ ttlSecurity: 1, ebgpMultiHop: true }),
    'both ttlSecurity and ebgpMultiHop specified',
  ],
  ['ttlSecurity of 255 hops', peer({ ttlSecurity: 255 }), 'less than or equal to 254'],
  ['an aggregation of nothing', advertisement({ aggregationLength: 0 }), 'greater than or equal to 1'],
  ['a selector with aggregation', advertisement({ ...chosen, aggregationLength: 24 }), EXCLUSIVE],
  ['a selector with aggregation of IPv6', advertisement({ ...chosen, aggregationLengthV6: 64 }), EXCLUSIVE],
  ['a local preference above int32', advertisement({ localPref: 2_147_483_648 }), 'spec.localPref'],
  ['an interval of BFD below 10 ms', ours('BFDProfile', { receiveInterval: 9 }), 'greater than or equal to 10'],
  [
    'an interval of BFD above a minute',
    ours('BFDProfile', { transmitInterval: 60_001 }),
    'less than or equal to 60000',
  ],
  ['a detect multiplier of 1', ours('BFDProfile', { detectMultiplier: 1 }), 'greater than or equal to 2'],
  ['a minimum TTL of 255', ours('BFDProfile', { minimumTtl: 255 }), 'less than or equal to 254'],
  [
    'a preference of weight 101',
    ours('L2Advertisement', { preferredNodeSelectors: [{ weight: 101, preference: {} }] }),
    'less than or equal to 100',
  ],
  [
    'a preference for nobody',
    ours('L2Advertisement', { preferredNodeSelectors: [{ weight: 1 }] }),
    'preferredNodeSelectors[0].preference: Required value',
  ],
  [
    'an expression without operator',
    ours('L2Advertisement', { nodeSelectors: [{ matchExpressions: [{ key: 'rack' }] }] }),
    'operator: Required value',
  ],
];

const COLUMNS: Readonly<Record<string, readonly string[]>> = {
  ipaddresspools: ['Name', 'Auto Assign', 'Avoid Buggy IPs', 'Addresses'],
  l2advertisements: ['Name', 'IPAddressPools', 'IPAddressPool Selectors', 'Interfaces', 'Node Selectors'],
  bgpadvertisements: ['Name', 'IPAddressPools', 'IPAddressPool Selectors', 'Peers', 'Node Selectors'],
  bgppeers: ['Name', 'Address', 'ASN', 'BFD Profile', 'Multi Hops'],
  bfdprofiles: ['Name', 'Passive Mode', 'Transmit Interval', 'Receive Interval', 'Multiplier'],
  communities: ['Name', 'Age'],
  configurationstates: ['Name', 'Result', 'ErrorSummary', 'Age'],
  servicel2statuses: ['Name', 'Allocated Node', 'Service Name', 'Service Namespace'],
  servicebgpstatuses: ['Name', 'Node', 'Service Name', 'Service Namespace'],
};

clusterStories('custom resources on a real API server', [], () => {
  const cluster = useCluster(0, async (made) => {
    await made.installCrds();
    await made.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: SYSTEM } });
  });

  it('are taken, with the versions of MetalLB and nothing to complain about', async () => {
    const seen: Record<string, string> = {};
    for (const { metadata } of CRDS) {
      const reference = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata };
      const { spec, status } = await cluster.api.read<Crd>(reference);
      seen[metadata.name] = spec.versions
        .map((each) => `${each.name} (${each.storage ? 'stored' : 'served'})`)
        .join(', ');
      const unhealthy = status.conditions.filter(
        ({ type, status: is }) =>
          (type === 'NonStructuralSchema' && is === 'True') || (type === 'NamesAccepted' && is !== 'True'),
      );
      expect(unhealthy, metadata.name).toEqual([]);
    }
    expect(seen).toEqual(VERSIONS);
  });

  it.each(Object.entries(COLUMNS))('show of %s what kubectl get shows', async (plural, columns) => {
    const version = plural === 'bgppeers' ? 'v1beta2' : 'v1beta1';
    const path = `/apis/metallb.io/${version}/namespaces/${SYSTEM}/${plural}`;
    const table = await cluster.api.table(path);
    expect(table.columnDefinitions.map(({ name }) => name)).toEqual(columns);
  });

  it('are given their defaults', async () => {
    await cluster.api.apply(pool(), advertisement(), peer({}));
    expect(await cluster.api.read(pool())).toMatchObject({ spec: { autoAssign: true, avoidBuggyIPs: false } });
    expect(await cluster.api.read(advertisement())).toMatchObject({
      spec: { aggregationLength: 32, aggregationLengthV6: 128 },
    });
    expect(await cluster.api.read(peer({}))).toMatchObject({
      spec: { peerPort: 179, disableMP: false, dualStackAddressFamily: false },
    });
    await cluster.api.remove(pool(), advertisement(), peer({}));
  });

  it.each(REFUSED)('refuse %s', async (_, object, text) => {
    const answer = cluster.api.create(object);
    await expect(answer).rejects.toThrow(Refused);
    await expect(answer).rejects.toThrow(text);
  });

  it.each([
    ['a connect time of a second', peer({ connectTime: '1s' })],
    ['a connect time of 65535 s', peer({ connectTime: '18h12m15s' })],
    [
      'a selector with the lengths that are the default',
      advertisement({ ...chosen, aggregationLength: 32, aggregationLengthV6: 128 }),
    ],
    ['a selector without lengths', advertisement(chosen)],
    ['a peer with ttlSecurity alone', peer({ ttlSecurity: 1 })],
    ['a peer with the largest AS numbers', peer({ myASN: 4_294_967_295, peerASN: 4_294_967_294 })],
    ['a peer of a name alone', bgpPeer('tor', { myASN: 64512, dynamicASN: 'external', interface: 'eth0' })],
  ])('take %s', async (_, object) => {
    await cluster.api.create(object);
    await cluster.api.remove(object);
  });

  describe('a field that was set for good', () => {
    beforeAll(() => cluster.api.apply(peer({ enableGracefulRestart: true })));

    it('enableGracefulRestart can not be turned', async () => {
      const turned = cluster.api.patch(peer({}), { spec: { enableGracefulRestart: false } });
      await expect(turned).rejects.toThrow('EnableGracefulRestart cannot be changed after creation');
    });

    it.each([
      ['ServiceBGPStatus', 'node'],
      ['ServiceBGPStatus', 'serviceName'],
      ['ServiceBGPStatus', 'serviceNamespace'],
      ['ServiceL2Status', 'node'],
      ['ServiceL2Status', 'serviceName'],
      ['ServiceL2Status', 'serviceNamespace'],
    ])('%s keeps its %s', async (kind, field) => {
      const object = ours(kind, {});
      await cluster.api.apply(object);
      await cluster.api.patchStatus(object, { [field]: 'first' });
      await expect(cluster.api.patchStatus(object, { [field]: 'second' })).rejects.toThrow('Value is immutable');
      await cluster.api.remove(object);
    });
  });

  it('keep counters that are larger than a double can say', async () => {
    await cluster.api.apply(pool());
    const status =
      '{"status":{"assignedIPv4":0,"assignedIPv6":1,"availableIPv4":0,"availableIPv6":9223372036854775807}}';
    const path = `/apis/metallb.io/v1beta1/namespaces/${SYSTEM}/ipaddresspools/main`;
    await cluster.api.raw('PATCH', `${path}/status`, status);
    expect(await cluster.api.text(path)).toContain('"availableIPv6":9223372036854775807');
    await cluster.api.remove(pool());
  });

  it('tell who still writes BGPPeers of v1beta1', async () => {
    const path = `/apis/metallb.io/v1beta1/namespaces/${SYSTEM}/bgppeers`;
    const old = { apiVersion: 'metallb.io/v1beta1', kind: 'BGPPeer', metadata: { name: 'old' } };
    const spec = { myASN: 64512, peerASN: 64513, peerAddress: '198.51.100.1' };
    // nobody converts it here: the server says so, and says first what it thinks of the version
    const answer = await cluster.api.raw('POST', path, JSON.stringify({ ...old, spec }), 'application/json');
    expect(answer.warnings).toEqual(['v1beta1 is deprecated, please use v1beta2']);
    expect(answer.code).toBe(500);
    expect(answer.text).toContain('conversion webhook for metallb.io/v1beta1, Kind=BGPPeer failed');
  });

  it('lose fields that nobody defined, unless the writer asks to be told', async () => {
    await cluster.api.apply(pool());
    const pruned = await cluster.api.patch(pool(), { spec: { adresses: ['203.0.113.0/24'] } });
    expect(pruned['spec']).not.toHaveProperty('adresses');
    const path = `/apis/metallb.io/v1beta1/namespaces/${SYSTEM}/ipaddresspools?fieldValidation=Strict`;
    const object = { ...ours('IPAddressPool', { addresses: [], adresses: [] }), metadata: { name: 'strict' } };
    await expect(cluster.api.call('POST', path, object)).rejects.toThrow('unknown field "spec.adresses"');
    await cluster.api.remove(pool());
  });
});
