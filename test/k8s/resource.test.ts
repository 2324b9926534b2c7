// Services, EndpointSlices and Nodes: what is read from them, and what is refused with its path.

import { describe, expect, it } from 'vitest';
import type { ApiObject, Invalid } from '../../src/config/resource.ts';
import { createIndexer, index } from '../../src/k8s/indexer.ts';
import { type ReadOptions, readEndpointSlice, readNode, readService } from '../../src/k8s/resource.ts';
import type { Service } from '../../src/plan/snapshot.ts';

type Json = Readonly<Record<string, unknown>>;
const object = (kind: string, apiVersion: string, rest: Json, metadata: Json = {}): ApiObject => ({
  ...{ apiVersion, kind, metadata: { name: 'web', ...metadata } },
  ...rest,
});
const serviceWith = (spec: Json, metadata: Json = {}, status?: Json, options: ReadOptions = {}) =>
  readService(object('Service', 'v1', { spec, ...(status && { status }) }, metadata), options);

function good<T extends object>(result: T | { readonly invalid: Invalid }): T {
  return 'invalid' in result ? expect.fail(JSON.stringify(result.invalid)) : result;
}

function fault(result: object | { readonly invalid: Invalid }): string {
  return 'invalid' in result ? `${result.invalid.field}: ${result.invalid.message}` : expect.fail('it was read');
}

describe('a Service', () => {
  it('is read whole', () => {
    const read = serviceWith(
      {
        ...{
          type: 'LoadBalancer',
          loadBalancerClass: 'x.example/y',
          loadBalancerIP: '192.0.2.1',
          clusterIP: '10.0.0.1',
        },
        ...{ clusterIPs: ['10.0.0.1', 'fd00::1'], ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'PreferDualStack' },
        ...{ externalTrafficPolicy: 'Local', selector: { app: 'web' } },
        ports: [
          { name: 'http', port: 80, nodePort: 30080 },
          { port: 53, protocol: 'UDP' },
        ],
      },
      {
        ...{ namespace: 'app', uid: 'u-1', creationTimestamp: '2024-01-01T01:00:00+01:00', labels: { team: 'x' } },
        annotations: {
          'metallb.io/loadBalancerIPs': '192.0.2.1,2001:db8::1',
          'metallb.io/address-pool': 'main',
          'metallb.io/allow-shared-ip': 'k',
          'metallb.io/ip-allocated-from-pool': 'main',
        },
      },
      { loadBalancer: { ingress: [{ ip: '192.0.2.1', ipMode: 'VIP' }, { hostname: 'x.example' }, {}] } },
    );
    expect(good(read)).toEqual({
      ...{ key: 'app/web', namespace: 'app', name: 'web', uid: 'u-1', createdAt: '2024-01-01T00:00:00.000Z' },
      ...{ labels: { team: 'x' }, type: 'LoadBalancer', loadBalancerClass: 'x.example/y', loadBalancerIp: '192.0.2.1' },
      ...{
        clusterFamilies: ['ipv4', 'ipv6'],
        clusterIpsBroken: false,
        familyPolicy: 'PreferDualStack',
        primaryFamily: 'ipv4',
      },
      ...{ trafficPolicy: 'Local', selector: { app: 'web' } },
      ports: [
        { protocol: 'TCP', port: 80 },
        { protocol: 'UDP', port: 53 },
      ],
      ...{ wantedIps: '192.0.2.1,2001:db8::1', wantedPool: 'main', sharingKey: 'k', allocatedFromPool: 'main' },
      deprecatedAnnotations: [],
      ingress: [{ ip: '192.0.2.1' }, { hostname: 'x.example' }, {}],
    });
  });

  it('is read from next to nothing', () => {
    const bare = good(readService(object('Service', 'v1', {})));
    expect(bare).toMatchObject({ key: 'default/web', type: 'ClusterIP', clusterFamilies: [], ports: [], ingress: [] });
    expect(bare).toMatchObject({ familyPolicy: 'SingleStack', trafficPolicy: 'Cluster', labels: {}, selector: {} });
    expect(good(serviceWith({}, { namespace: '' }))).toMatchObject({ key: 'default/web' });
  });

  it.each([
    [{ 'metallb.universe.tf/address-pool': 'old' }, 'old', ['metallb.universe.tf/address-pool']],
    [
      { 'metallb.universe.tf/address-pool': 'old', 'metallb.io/address-pool': 'new' },
      'new',
      ['metallb.universe.tf/address-pool'],
    ],
    [
      { 'metallb.universe.tf/address-pool': 'old', 'metallb.io/address-pool': '' },
      '',
      ['metallb.universe.tf/address-pool'],
    ],
    [
      { 'metallb.universe.tf/ip-allocated-from-pool': 'old' },
      undefined,
      ['metallb.universe.tf/ip-allocated-from-pool'],
    ],
  ])('%j: pool %s', (annotations, wantedPool, deprecated) => {
    const read = good(serviceWith({}, { annotations }));
    expect([read.wantedPool, read.deprecatedAnnotations, read.allocatedFromPool]).toEqual([
      wantedPool,
      deprecated,
      undefined,
    ]);
  });

  it.each([
    [{ clusterIPs: ['10.0.0.1'] }, ['ipv4'], false],
    [{ clusterIP: 'fd00::1' }, ['ipv6'], false],
    [{ clusterIPs: ['fd00::1'], clusterIP: '10.0.0.1' }, ['ipv6'], false],
    [{ clusterIPs: [], clusterIP: '10.0.0.1' }, ['ipv4'], false],
    [{ clusterIPs: ['fd00::1', '10.0.0.1'] }, ['ipv6', 'ipv4'], false],
    [{ clusterIPs: ['10.0.0.1', '10.0.0.2'] }, [], true],
    [{ clusterIPs: ['10.0.0.1', 'fd00::1', 'fd00::2'] }, [], true],
    [{ clusterIPs: ['None'], clusterIP: 'None' }, [], true],
    [{ clusterIPs: ['10.0.0.01'] }, [], true],
    [{}, [], false],
  ])('%j: families %j, broken %s', (spec, clusterFamilies, clusterIpsBroken) => {
    expect(good(serviceWith(spec))).toMatchObject({ clusterFamilies, clusterIpsBroken });
  });

  it.each<[Json, Service['clusterFamilies'], string]>([
    [{}, ['ipv4'], 'SingleStack'],
    [{ ipFamilies: ['IPv6'] }, ['ipv6'], 'SingleStack'],
    [{ ipFamilies: ['IPv6', 'IPv4'] }, ['ipv6', 'ipv4'], 'RequireDualStack'],
    [{ ipFamilyPolicy: 'PreferDualStack' }, ['ipv4', 'ipv6'], 'PreferDualStack'],
    [{ ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv6'] }, ['ipv6', 'ipv4'], 'RequireDualStack'],
    [{ clusterIPs: ['fd00::1'], ipFamilies: ['IPv4'] }, ['ipv6'], 'SingleStack'],
  ])('%j where nobody fills in cluster IPs: %j, %s', (spec, clusterFamilies, familyPolicy) => {
    expect(good(serviceWith(spec, {}, undefined, { assumeClusterIps: true }))).toMatchObject({
      clusterFamilies,
      familyPolicy,
    });
  });

  it.each<[Json, string]>([
    [
      { ports: [{ port: '80' }] },
      'spec.ports[0].port: spec.ports[0].port: must be an integer from 1 to 65535, not a string',
    ],
    [
      { ports: [{ port: 70000 }] },
      'spec.ports[0].port: spec.ports[0].port: must be an integer from 1 to 65535, not 70000',
    ],
    [{ ports: [{}] }, 'spec.ports[0].port: spec.ports[0].port: Required value'],
    [{ ports: [{ port: null }] }, 'spec.ports[0].port: spec.ports[0].port: Required value'],
    [{ ports: [null] }, 'spec.ports[0]: spec.ports[0]: must be an object, not null'],
    [{ type: 7 }, 'spec.type: spec.type: must be a string, not a number'],
    [{ selector: { app: 1 } }, 'spec.selector.app: spec.selector.app: must be a string, not a number'],
    [
      { externalTrafficPolicy: 'local' },
      'spec.externalTrafficPolicy: spec.externalTrafficPolicy: must be one of Cluster, Local, not "local"',
    ],
    [{ ipFamilies: ['IPv5'] }, 'spec.ipFamilies[0]: spec.ipFamilies[0]: must be IPv4 or IPv6, not "IPv5"'],
    [{ clusterIPs: '10.0.0.1' }, 'spec.clusterIPs: spec.clusterIPs: must be a list, not a string'],
  ])('%j is refused', (spec, text) => {
    expect(fault(serviceWith(spec))).toBe(text);
  });

  it('is refused for metadata and status of wrong types', () => {
    expect(fault(serviceWith({}, { annotations: { 'metallb.io/address-pool': 5 } }))).toContain(
      'metadata.annotations.metallb.io/address-pool',
    );
    expect(fault(serviceWith({}, { creationTimestamp: 'yesterday' }))).toContain('must be a time');
    expect(fault(serviceWith({}, {}, { loadBalancer: { ingress: [{ ip: 7 }] } }))).toContain(
      'status.loadBalancer.ingress[0].ip',
    );
    expect(fault(readService(object('Service', 'v1', { spec: 'x' })))).toContain('spec: must be an object');
  });

  it('takes null for absent, as the API server does', () => {
    const read = serviceWith(
      { selector: null, ports: null, clusterIPs: null },
      { annotations: null, creationTimestamp: null },
      { loadBalancer: null },
    );
    expect(good(read)).toMatchObject({ selector: {}, ports: [], clusterFamilies: [], ingress: [] });
    const within = serviceWith({ selector: { app: null, tier: 'web' }, ports: [{ port: 80, protocol: null }] });
    expect(good(within)).toMatchObject({ selector: { tier: 'web' }, ports: [{ port: 80, protocol: 'TCP' }] });
  });
});

describe('an EndpointSlice', () => {
  const slice = (endpoints: unknown, labels: Json = { 'kubernetes.io/service-name': 'web' }) =>
    readEndpointSlice(object('EndpointSlice', 'discovery.k8s.io/v1', { endpoints }, { namespace: 'app', labels }));

  it.each([
    [{}, true],
    [{ ready: true }, true],
    [{ ready: false }, false],
    [{ serving: false }, true],
    [{ ready: false, serving: true }, true],
    [{ ready: false, serving: false }, false],
    [{ ready: null, serving: null }, true],
    [{ ready: false, serving: true, terminating: true }, true],
  ])('with conditions %j serves: %s', (conditions, canServe) => {
    expect(good(slice([{ addresses: ['10.1.0.1'], nodeName: 'n1', conditions }]))).toEqual({
      service: 'app/web',
      endpoints: [{ addresses: ['10.1.0.1'], node: 'n1', canServe }],
    });
  });

  it('may lack nearly everything, but not the name of its Service', () => {
    expect(good(slice(null)).endpoints).toEqual([]);
    expect(good(slice([{ addresses: [] }])).endpoints).toEqual([{ addresses: [], canServe: true }]);
    expect(fault(slice([], {}))).toContain('kubernetes.io/service-name');
    expect(fault(slice([{ addresses: '10.1.0.1' }]))).toContain('endpoints[0].addresses');
  });
});

describe('a Node', () => {
  it.each([
    [{}, {}, false, false],
    [{ 'node.kubernetes.io/exclude-from-external-load-balancers': '' }, {}, false, true],
    [
      {},
      {
        conditions: [
          { type: 'Ready', status: 'True' },
          { type: 'NetworkUnavailable', status: 'True' },
        ],
      },
      true,
      false,
    ],
    [{}, { conditions: [{ type: 'NetworkUnavailable', status: 'False' }] }, false, false],
  ])('%j %j', (labels, status, networkUnavailable, excluded) => {
    expect(good(readNode(object('Node', 'v1', { status }, { labels })))).toEqual({
      ...{ name: 'web', labels, networkUnavailable, excluded },
    });
  });
});

describe('an index', () => {
  const slice = (name: string, address: string): ApiObject =>
    object(
      ...(['EndpointSlice', 'discovery.k8s.io/v1'] as const),
      { endpoints: [{ addresses: [address] }] },
      { name, namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
    );
  const web = object('Service', 'v1', { spec: { type: 'LoadBalancer' } });
  const pool = object('IPAddressPool', 'metallb.io/v1beta1', { spec: { addresses: ['10.0.0.0/24'] } });
  const node = object('Node', 'v1', {});
  const indexed = (...objects: readonly ApiObject[]) => index(createIndexer({ namespace: 'metallb-system' }), objects);

  it('sorts objects by what they are', () => {
    const elsewhere = object('IPAddressPool', 'metallb.io/v1beta1', { spec: { addresses: [] } }, { namespace: 'app' });
    const bad = object('Service', 'v1', { spec: { ports: [{}] } }, { name: 'bad' });
    const unknown = object('BFDProfile', 'metallb.io/v1beta1', { spec: { surprise: 1 } });
    const other = object('Deployment', 'apps/v1', {});
    const secret = object('Secret', 'v1', {}, { namespace: 'app' });
    const got = indexed(
      web,
      slice('a', '1.1.1.1'),
      slice('b', '2.2.2.2'),
      pool,
      node,
      elsewhere,
      bad,
      unknown,
      other,
      secret,
    );
    expect([...got.services.keys()]).toEqual(['default/web']);
    expect(got.endpoints.get('default/web')?.flatMap(({ addresses }) => addresses)).toEqual(['1.1.1.1', '2.2.2.2']);
    expect([...got.nodes.keys()]).toEqual(['web']);
    expect([got.resources.pools.length, got.resources.nodes.length, got.resources.secrets.length]).toEqual([1, 1, 0]);
    expect(got.problems.map(({ object: { kind }, invalid: { rule } }) => [kind, rule])).toEqual([
      ['IPAddressPool', 'namespace'],
      ['Service', 'schema'],
    ]);
    expect(got.unknownFields.map(({ paths }) => paths)).toEqual([['spec.surprise']]);
    expect(got.ignored).toEqual([other, secret]);
  });

  it('keeps what did not change', () => {
    const indexer = createIndexer({ namespace: 'metallb-system' });
    const [a, b] = [slice('a', '1.1.1.1'), slice('b', '2.2.2.2')];
    const first = index(indexer, [web, a, b, pool, node]);
    const second = index(indexer, [web, a, b, pool, node, object('Service', 'v1', {}, { name: 'new' })]);
    expect(second.services.get('default/web')).toBe(first.services.get('default/web'));
    expect(second.endpoints.get('default/web')).toBe(first.endpoints.get('default/web'));
    expect(second.nodes.get('web')).toBe(first.nodes.get('web'));
    expect(second.resources).toBe(first.resources);
    const third = index(indexer, [web, a, slice('b', '3.3.3.3'), { ...pool }, node]);
    expect(third.endpoints.get('default/web')?.map(({ addresses }) => addresses)).toEqual([['1.1.1.1'], ['3.3.3.3']]);
    expect(third.resources).not.toBe(first.resources);
  });
});
