// What the controller makes of one Service: MetalLB's table of mutations, row by row, and the life of Services over
// changing pools. Pool5 has ranges of its own here, for pools may not overlap.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Allocation, type Allocations, allocate, notOurs } from '../../src/plan/allocate.ts';
import type { Service } from '../../src/plan/snapshot.ts';
import { labelled, pool, service, snapshot } from './cluster.ts';

const allocation = (priority: number, namespaces: readonly string[], labels?: Readonly<Record<string, string>>) => ({
  serviceAllocation: {
    priority,
    ...(namespaces.length > 0 && { namespaces: new Set(namespaces) }),
    serviceSelectors: labels === undefined ? [] : [labelled(labels)],
  },
});
const team = { team: 'metallb' };
const pools = [
  pool('pool1', ['1.2.3.0/31']),
  pool('pool10', ['19.20.21.0/31'], allocation(8, [], team)),
  pool('pool11', ['22.23.24.0/31'], allocation(8, ['test-ns1'], team)),
  pool('pool12', ['25.26.27.0/31'], allocation(5, ['test-ns1'], team)),
  pool('pool2', ['3.4.5.6/32'], { autoAssign: false }),
  pool('pool3', ['1000::/127']),
  pool('pool4', ['2000::1/128'], { autoAssign: false }),
  pool('pool5', ['4.5.6.0/31', '1001::/127']),
  pool('pool6', ['7.8.9.0/31'], allocation(10, ['test-ns1'])),
  pool('pool7', ['10.11.12.0/31'], allocation(11, ['test-ns1'])),
  pool('pool8', ['13.14.15.0/31'], allocation(9, [], team)),
  pool('pool9', ['16.17.18.0/31'], allocation(0, ['test-ns2'])),
];

const had = (...ips: string[]): Partial<Service> => ({ ingress: ips.map((ip) => ({ ip })) });
const dual: Partial<Service> = {
  clusterFamilies: ['ipv4', 'ipv6'],
  familyPolicy: 'RequireDualStack',
  primaryFamily: 'ipv4',
};
const prefer: Partial<Service> = { ...dual, familyPolicy: 'PreferDualStack' };
const v6: Partial<Service> = { clusterFamilies: ['ipv6'] };

/** Addresses, or the refusal; then the reasons of the events. */
type Row = readonly [
  name: string,
  key: string,
  service: Partial<Service>,
  ips: readonly string[] | string,
  ...events: string[],
];

const rows: readonly Row[] = [
  ['simple LoadBalancer', 'test/svc', {}, ['1.2.3.0'], 'IPAllocated'],
  ['request specific IP', 'test/svc', { loadBalancerIp: '1.2.3.1' }, ['1.2.3.1'], 'IPAllocated'],
  ['request specific IP via custom annotation', 'test/svc', { wantedIps: '1.2.3.1' }, ['1.2.3.1'], 'IPAllocated'],
  [
    'request IP from both svc.spec.LoadBalancerIP and custom annotation',
    'test/svc',
    { loadBalancerIp: '1.2.3.1', wantedIps: '1.2.3.1' },
    'requestedIPTwice',
    'AllocationFailed',
  ],
  [
    'request invalid IP',
    'test/svc',
    { loadBalancerIp: 'please sir may I have an IP' },
    'requestedIPInvalid',
    'AllocationFailed',
  ],
  [
    'request invalid IP via custom annotation',
    'test/svc',
    { wantedIps: '1.2.3.1,no' },
    'requestedIPInvalid',
    'AllocationFailed',
  ],
  [
    'incompatible ip and address pool annotations',
    'test/svc',
    { wantedIps: '1.2.3.1', wantedPool: 'pool2' },
    'requestedIPNotInPool',
    'AllocationFailed',
  ],
  [
    'request two IPs from same ip family via custom annotation',
    'test/svc',
    { wantedIps: '1.2.3.0,1.2.3.1' },
    'requestedIPInvalid',
    'AllocationFailed',
  ],
  [
    'request infeasible IP',
    'test/svc',
    { loadBalancerIp: '1.2.3.4', ...had('1.2.3.1') },
    'requestedIPNotAllowed',
    'AllocationFailed',
  ],
  ['request IP from specific pool', 'test/svc', { wantedPool: 'pool1' }, ['1.2.3.0'], 'IPAllocated'],
  [
    'switch to a different specific pool',
    'test/svc',
    { wantedPool: 'pool2', ...had('1.2.3.0') },
    ['3.4.5.6'],
    'IPAllocated',
  ],
  [
    'unknown pool requested',
    'test/svc',
    { wantedPool: 'does-not-exist', ...had('1.2.3.0') },
    'unknownPool',
    'AllocationFailed',
  ],
  ['invalid IP assigned', 'test/svc', had('2.3.4.5'), ['1.2.3.0'], 'ClearAssignment', 'IPAllocated'],
  [
    'invalid ingress state',
    'test/svc',
    { ingress: [{ hostname: 'foo.bar.local' }, { ip: '10.10.10.10' }] },
    ['1.2.3.0'],
    'ClearAssignment',
    'IPAllocated',
  ],
  ['request layer2 service', 'test/svc', { loadBalancerIp: '3.4.5.6' }, ['3.4.5.6'], 'IPAllocated'],
  [
    'request layer2 service with local traffic policy',
    'test/svc',
    { loadBalancerIp: '3.4.5.6', trafficPolicy: 'Local', selector: { app: 'x' } },
    ['3.4.5.6'],
    'IPAllocated',
  ],
  ['No ClusterIP', 'test/svc', { clusterFamilies: [] }, 'noClusterIP'],
  [
    'request IP from wrong ip-family (ipv4)',
    'test/svc',
    { ...v6, loadBalancerIp: '1.2.3.1' },
    'requestedIPFamilyMismatch',
    'AllocationFailed',
  ],
  [
    'request IP from wrong ip-family (ipv6)',
    'test/svc',
    { loadBalancerIp: '1000::' },
    'requestedIPFamilyMismatch',
    'AllocationFailed',
  ],
  [
    'request IP from wrong ip-family (ipv4) via annotation',
    'test/svc',
    { ...v6, wantedIps: '1.2.3.1' },
    'requestedIPFamilyMismatch',
    'AllocationFailed',
  ],
  [
    'request IP from wrong ip-family (ipv6) via annotation',
    'test/svc',
    { wantedIps: '1000::' },
    'requestedIPFamilyMismatch',
    'AllocationFailed',
  ],
  ['IP from wrong ip-family (ipv6) assigned', 'test/svc', had('1000::'), ['1.2.3.0'], 'IPAllocated'],
  ['IP from wrong ip-family (ipv4) assigned', 'test/svc', { ...v6, ...had('1.2.3.0') }, ['1000::'], 'IPAllocated'],
  ['simple dual-stack LoadBalancer', 'test/svc', dual, ['4.5.6.0', '1001::'], 'IPAllocated'],
  [
    'dual-stack, request IPs from specific pool',
    'test/svc',
    { ...dual, wantedPool: 'pool5' },
    ['4.5.6.0', '1001::'],
    'IPAllocated',
  ],
  ['dual-stack LoadBalancer with PreferDualStack policy', 'test/svc', prefer, ['4.5.6.0', '1001::'], 'IPAllocated'],
  [
    'request IPs from dualstack pool with PreferDualStack policy',
    'test/svc',
    { ...prefer, wantedPool: 'pool5' },
    ['4.5.6.0', '1001::'],
    'IPAllocated',
  ],
  [
    'single-stack LoadBalancer with PreferDualStack policy',
    'test-ns1/svc',
    { familyPolicy: 'PreferDualStack' },
    ['7.8.9.0'],
    'IPAllocated',
  ],
  [
    'request IP from single-stack ipv4 pool with PreferDualStack policy',
    'test/svc',
    { ...prefer, wantedPool: 'pool1' },
    ['1.2.3.0'],
    'IPAllocated',
  ],
  [
    'request IP from single-stack ipv6 pool with PreferDualStack policy',
    'test/svc',
    { ...prefer, wantedPool: 'pool3' },
    ['1000::'],
    'IPAllocated',
  ],
  [
    'request IPs from dualstack pool with PreferDualStack policy but single stack clusterip',
    'test/svc',
    { familyPolicy: 'PreferDualStack', wantedPool: 'pool5' },
    ['4.5.6.0'],
    'IPAllocated',
  ],
  [
    'request IPs from dualstack pool with RequireDualStack policy but single stack clusterip',
    'test/svc',
    { familyPolicy: 'RequireDualStack', wantedPool: 'pool5' },
    'notEnoughClusterIPs',
    'not enough clusterips',
  ],
  [
    'request specific loadbalancer IP with dual-stack',
    'test/svc',
    { ...dual, loadBalancerIp: '1.2.3.0' },
    'requestedIPFamilyMismatch',
    'AllocationFailed',
  ],
  [
    'request specific loadbalancer IPv4 via annotation for dual-stack config',
    'test/svc',
    { ...dual, wantedIps: '1.2.3.0' },
    'requestedIPFamilyMismatch',
    'AllocationFailed',
  ],
  [
    'request dual-stack loadbalancer IPs via custom annotation',
    'test/svc',
    { ...dual, wantedIps: '4.5.6.0,1001::' },
    ['4.5.6.0', '1001::'],
    'IPAllocated',
  ],
  [
    'request dual-stack loadbalancer with invalid ingress',
    'test/svc',
    { ...dual, ...had('4.5.6.0') },
    ['4.5.6.0', '1001::'],
    'IPAllocated',
  ],
  [
    'request dual-stack loadbalancer IPs via custom annotation in a single stack cluster',
    'test/svc',
    { wantedIps: '4.5.6.0,1001::' },
    'requestedIPFamilyMismatch',
    'AllocationFailed',
  ],
  ['request IP for service from namespace specific ip pool', 'test-ns1/svc', {}, ['7.8.9.0'], 'IPAllocated'],
  ['request IP from no priority namespace specific ip pool', 'test-ns2/svc', {}, ['16.17.18.0'], 'IPAllocated'],
  ['request IP from service label specific ip pool', 'test/svc', { labels: team }, ['19.20.21.0'], 'IPAllocated'],
  [
    'request IP from both namespace and service label specific ip pool',
    'test-ns1/svc',
    { labels: team },
    ['25.26.27.0'],
    'IPAllocated',
  ],
  [
    "simple LoadBalancer, ips already assigned but can't determine family",
    'test/svc',
    had('1.2.3.0', '1.2.3.1', '1000::'),
    ['1.2.3.0'],
    'nolbIPsIPFamily',
    'IPAllocated',
  ],
  // beyond the table
  ['the address it has', 'test/svc', had('1.2.3.1'), ['1.2.3.1']],
  ['two of one family assigned', 'test/svc', had('1.2.3.0', '1.2.3.1'), ['1.2.3.0'], 'nolbIPsIPFamily', 'IPAllocated'],
  ['text for an address assigned', 'test/svc', had('nonsense'), ['1.2.3.0'], 'nolbIPsIPFamily', 'IPAllocated'],
  [
    'cluster IPs that are broken',
    'test/svc',
    { clusterIpsBroken: true },
    'clusterIPFamilyUnknown',
    'noclusterIPsIPFamily',
  ],
  [
    'an unreadable wish keeps what there is',
    'test/svc',
    { loadBalancerIp: 'x', ...had('1.2.3.1') },
    ['1.2.3.1'],
    'LoadBalancerFailed',
  ],
  [
    'an empty wish is none',
    'test/svc',
    { loadBalancerIp: '', wantedIps: '', wantedPool: '' },
    ['1.2.3.0'],
    'IPAllocated',
  ],
  [
    'blanks around wanted addresses',
    'test/svc',
    { ...dual, wantedIps: ' 1001:: , 4.5.6.1 ' },
    ['1001::', '4.5.6.1'],
    'IPAllocated',
  ],
  ['IPv4-mapped is IPv4', 'test/svc', { wantedIps: '::ffff:1.2.3.1' }, ['1.2.3.1'], 'IPAllocated'],
  [
    'what looks octal is no address',
    'test/svc',
    { loadBalancerIp: '1.2.3.01' },
    'requestedIPInvalid',
    'AllocationFailed',
  ],
  [
    'wanted of two pools',
    'test/svc',
    { ...dual, wantedIps: '1.2.3.0,1000::' },
    'requestedIPNotAllowed',
    'AllocationFailed',
  ],
  [
    'three wanted',
    'test/svc',
    { ...dual, wantedIps: '1.2.3.0,1000::,1001::' },
    'requestedIPInvalid',
    'AllocationFailed',
  ],
  [
    'wanted of a pool for another namespace',
    'test/svc',
    { wantedIps: '7.8.9.0' },
    'poolNotCompatible',
    'AllocationFailed',
  ],
  ['a pool for another namespace', 'test/svc', { wantedPool: 'pool6' }, 'poolNotCompatible', 'AllocationFailed'],
  ['a pool for other labels', 'test-ns1/svc', { wantedPool: 'pool11' }, 'poolNotCompatible', 'AllocationFailed'],
  [
    'a family that the pool does not have',
    'test/svc',
    { ...v6, wantedPool: 'pool1' },
    'poolExhausted',
    'AllocationFailed',
  ],
  ['both families of a pool of one', 'test/svc', { ...dual, wantedPool: 'pool1' }, 'poolExhausted', 'AllocationFailed'],
  [
    'a pool closed to labels that changed',
    'test/svc',
    had('19.20.21.0'),
    ['1.2.3.0'],
    'ClearAssignment',
    'IPAllocated',
  ],
  [
    'legacy annotations are told when status is written',
    'test/svc',
    { wantedPool: 'pool1', deprecatedAnnotations: ['metallb.universe.tf/address-pool'] },
    ['1.2.3.0'],
    'IPAllocated',
    'deprecatedAnnotation',
  ],
  [
    'and not when there is nothing to write',
    'test/svc',
    {
      ...{
        wantedPool: 'pool1',
        deprecatedAnnotations: ['metallb.universe.tf/address-pool'],
        allocatedFromPool: 'pool1',
      },
      ...had('1.2.3.0'),
    },
    ['1.2.3.0'],
  ],
];

function only(allocations: Allocations): Allocation {
  const [answer] = allocations.services.values();
  return answer ?? expect.fail('no answer');
}

const outcome = ({ ips, refusal }: Allocation): readonly string[] | string | undefined =>
  ips.length > 0 ? ips : refusal?.reason;

describe('one Service', () => {
  it.each(rows.map((row) => ({ name: row[0], row })))('$name', ({ row: [, key, fields, expected, ...events] }) => {
    const answer = only(allocate(snapshot(pools, [service(key, fields)])));
    expect(outcome(answer)).toEqual(expected);
    expect(answer.refusal === undefined).toBe(answer.ips.length > 0);
    expect(answer.events.map(({ reason }) => reason)).toEqual(events);
    expect(answer.service.ingress).toEqual(answer.ips.map((ip) => ({ ip })));
    expect(answer.service.allocatedFromPool).toBe(answer.pool);
  });

  it('gets the same whatever was there before: 100 shuffled orders', () => {
    const order = fc.shuffledSubarray([...rows], { minLength: rows.length });
    fc.assert(
      fc.property(order, (shuffled) => {
        let before: Allocations | undefined;
        for (const [name, key, fields, expected] of shuffled) {
          const next = allocate(snapshot(pools, [service(key, fields)]), allocate(snapshot(pools, []), before));
          expect([name, outcome(only(next))]).toEqual([name, expected]);
          before = next;
        }
      }),
      { seed: 31, numRuns: 100 },
    );
  });

  it('settles: what was answered, read as status, is answered again without a word', () => {
    for (const [name, key, fields] of rows) {
      const first = only(allocate(snapshot(pools, [service(key, fields)])));
      if (first.ips.length === 0 || name.startsWith('an unreadable wish')) continue;
      const again = only(allocate(snapshot(pools, [first.service])));
      const lacksSecond =
        fields.familyPolicy === 'PreferDualStack' && fields.clusterFamilies?.length === 2 && first.ips.length === 1;
      expect([name, again.ips]).toEqual([name, first.ips]);
      expect(again.service).toBe(first.service);
      expect(again.events.map(({ reason }) => reason)).toEqual(lacksSecond ? ['AdditionalAssignFailed'] : []);
    }
  });

  it.each([
    [{ type: 'NodePort' }, undefined, 'notLoadBalancer'],
    [{}, undefined, undefined],
    [{ loadBalancerClass: 'metallb' }, undefined, 'otherLoadBalancerClass'],
    [{ loadBalancerClass: 'metallb' }, 'metallb', undefined],
    [{ loadBalancerClass: 'other' }, 'metallb', 'otherLoadBalancerClass'],
    [{}, 'metallb', 'otherLoadBalancerClass'],
  ])('%j with --lb-class %s: %s', (fields, loadBalancerClass, reason) => {
    const settings = { ignoreExcludeLabel: false, ...(loadBalancerClass !== undefined && { loadBalancerClass }) };
    const one = service('test/svc', { ...fields, ...had('1.2.3.1') });
    expect(notOurs(one, settings)?.reason).toBe(reason);
    const { services } = allocate(snapshot(pools, [one], { settings }));
    expect(services.size).toBe(reason === undefined ? 1 : 0);
  });

  it('has the texts that MetalLB has', () => {
    const message = (key: string, fields: Partial<Service>): string | undefined =>
      only(allocate(snapshot(pools, [service(key, fields)]))).events.at(-1)?.message;
    expect(message('test/svc', dual)).toBe('Assigned IP ["4.5.6.0" "1001::"]');
    expect(message('test/svc', { wantedPool: 'nope' })).toBe(
      'Failed to allocate IP for "test/svc": unknown pool "nope"',
    );
    expect(message('test/svc', { loadBalancerIp: '9.9.9.9' })).toBe(
      'Failed to allocate IP for "test/svc": ["9.9.9.9"] is not allowed in config',
    );
    expect(message('test/svc', { wantedIps: '1000::' })).toBe(
      'Failed to allocate IP for "test/svc": requested loadBalancer IP(s) ["1000::"] does not match the ipFamily of the service',
    );
    expect(message('test/svc', { wantedIps: '1.2.3.0', wantedPool: 'pool2' })).toBe(
      'Failed to allocate IP for "test/svc": requested loadBalancer IP(s) ["1.2.3.0"] is not compatible with requested address pool pool2',
    );
    expect(message('test/svc', { wantedPool: 'pool6' })).toBe(
      'Failed to allocate IP for "test/svc": pool pool6 not compatible for ip assignment',
    );
    expect(message('test/svc', { ...v6, familyPolicy: 'RequireDualStack' })).toContain('RequireDualStack');
    expect(message('test/svc', { loadBalancerIp: 'x', ...had('1.2.3.1') })).toMatch(
      /^invalid requested loadbalancer IPs: /,
    );
    const cleared = only(allocate(snapshot(pools, [service('test/svc', had('2.3.4.5'))])));
    expect(cleared.events[0]).toEqual({
      type: 'Normal',
      reason: 'ClearAssignment',
      message:
        'current IP for "test/svc" not allowed by config, will attempt for new IP assignment: ["2.3.4.5"] is not allowed in config',
    });
  });
});

describe('Services over time', () => {
  const small = [pool('small', ['1.2.3.0/32'])];
  const ipsOf = (allocations: Allocations): Readonly<Record<string, readonly string[] | string | undefined>> =>
    Object.fromEntries([...allocations.services].map(([key, each]) => [key, outcome(each)]));

  it('get nothing before a configuration, or from no pool', () => {
    const one = service('a/a', had('1.2.3.0'));
    const nothing = allocate({ ...snapshot(pools, [one]), config: undefined });
    expect(only(nothing).refusal?.reason).toBe('noConfiguration');
    expect(only(nothing).service).toBe(one);
    const noPools = allocate(snapshot([], [one]), nothing);
    expect([only(noPools).refusal?.reason, only(noPools).service.ingress]).toEqual(['noPools', []]);
    expect(ipsOf(allocate(snapshot(small, [one]), noPools))).toEqual({ 'a/a': ['1.2.3.0'] });
  });

  it('are cleared when the last pool goes', () => {
    const [a, b] = [service('a/a'), service('a/b')];
    const first = allocate(snapshot(pools, [a, b]));
    expect(ipsOf(first)).toEqual({ 'a/a': ['1.2.3.0'], 'a/b': ['1.2.3.1'] });
    expect(ipsOf(allocate(snapshot([], [a, b]), first))).toEqual({ 'a/a': 'noPools', 'a/b': 'noPools' });
  });

  it('get an address that comes free, in the order of allocation', () => {
    const [a, b, c] = [service('a/a'), service('a/b'), service('a/c')];
    const first = allocate(snapshot(small, [a, b, c]));
    expect(ipsOf(first)).toEqual({ 'a/a': ['1.2.3.0'], 'a/b': 'noAvailableIPs', 'a/c': 'noAvailableIPs' });
    const second = allocate(snapshot(small, [b, c]), first);
    expect(ipsOf(second)).toEqual({ 'a/b': ['1.2.3.0'], 'a/c': 'noAvailableIPs' });
    expect(second.services.get('a/c')).toBe(first.services.get('a/c'));
    const third = allocate(snapshot(small, [{ ...b, type: 'ClusterIP' }, c]), second);
    expect(ipsOf(third)).toEqual({ 'a/c': ['1.2.3.0'] });
  });

  it('stay when a pool is added, move when theirs is deleted', () => {
    const a = service('a/a');
    const first = allocate(snapshot([pool('b', ['1.2.3.0/24'])], [a]));
    const added = allocate(snapshot([pool('a', ['4.5.6.0/24']), pool('b', ['1.2.3.0/24'])], [a]), first);
    expect(ipsOf(added)).toEqual({ 'a/a': ['1.2.3.0'] });
    const deleted = allocate(snapshot([pool('a', ['4.5.6.0/24'])], [a]), added);
    expect(ipsOf(deleted)).toEqual({ 'a/a': ['4.5.6.0'] });
    expect(only(deleted).events.map(({ reason }) => reason)).toEqual(['ClearAssignment', 'IPAllocated']);
  });

  it('keep theirs when the controller restarts, while others wait', () => {
    const waiting = [service('a/a'), service('a/b')];
    const holding = [service('a/c', had('1.2.3.1')), service('a/d', had('1.2.3.0'))];
    const two = [pool('two', ['1.2.3.0/31'])];
    expect(ipsOf(allocate(snapshot(two, [...waiting, ...holding])))).toEqual({
      'a/a': 'noAvailableIPs',
      'a/b': 'noAvailableIPs',
      'a/c': ['1.2.3.1'],
      'a/d': ['1.2.3.0'],
    });
  });

  it('one that must move does not take what another still holds', () => {
    // more entries come first, and the first free address is held by a Service that comes later
    const loser = service('a/a', { ...had('9.9.9.9', '9::9'), clusterFamilies: ['ipv4'] });
    const holder = service('a/b', had('1.2.3.0'));
    expect(ipsOf(allocate(snapshot(small, [loser, holder])))).toEqual({ 'a/a': 'noAvailableIPs', 'a/b': ['1.2.3.0'] });
  });

  it('come in the order: entries in status, age, place in the snapshot', () => {
    const young = { createdAt: '2024-02-01T00:00:00.000Z' };
    const old = { createdAt: '2024-01-01T00:00:00.000Z' };
    const list = [
      service('a/ageless1'),
      service('a/young', young),
      service('a/lost', { ...young, ingress: [{ hostname: 'gone.example' }] }),
      service('a/ageless2'),
      service('a/old', old),
    ];
    const five = [pool('five', ['1.2.3.0/29'])];
    expect(ipsOf(allocate(snapshot(five, list)))).toEqual({
      'a/lost': ['1.2.3.0'],
      'a/old': ['1.2.3.1'],
      'a/young': ['1.2.3.2'],
      'a/ageless1': ['1.2.3.3'],
      'a/ageless2': ['1.2.3.4'],
    });
  });

  it('an answer holds until status says something else', () => {
    const a = service('a/a');
    const four = [pool('four', ['1.2.3.0/30'])];
    const blocked = allocate(snapshot(four, [service('a/b', { loadBalancerIp: '1.2.3.0' }), a]));
    expect(ipsOf(blocked)['a/a']).toEqual(['1.2.3.1']);
    // its status is not written yet, and something else of it changes
    const busy = allocate(snapshot(four, [{ ...a, labels: { x: 'y' } }]), blocked);
    expect(ipsOf(busy)['a/a']).toEqual(['1.2.3.1']);
    // status edited by hand: taken where it can be, replaced where not
    expect(ipsOf(allocate(snapshot(four, [{ ...a, ...had('1.2.3.3') }]), busy))['a/a']).toEqual(['1.2.3.3']);
    expect(ipsOf(allocate(snapshot(four, [{ ...a, ...had('8.8.8.8') }]), busy))['a/a']).toEqual(['1.2.3.0']);
    // another Service of the same name starts anew
    const renewed = { ...a, uid: 'second' };
    expect(ipsOf(allocate(snapshot(four, [renewed]), busy))['a/a']).toEqual(['1.2.3.0']);
  });

  it('two calls may start from the same answer', () => {
    const four = [pool('four', ['1.2.3.0/30'])];
    const [a, b, c] = [service('a/a'), service('a/b'), service('a/c')];
    const before = allocate(snapshot(four, [a]));
    const one = allocate(snapshot(four, [a, b]), before);
    const other = allocate(snapshot(four, [a, c]), before);
    expect([ipsOf(one), ipsOf(other)]).toEqual([
      { 'a/a': ['1.2.3.0'], 'a/b': ['1.2.3.1'] },
      { 'a/a': ['1.2.3.0'], 'a/c': ['1.2.3.1'] },
    ]);
    expect(ipsOf(allocate(snapshot(four, [a, b, c]), one))).toEqual({
      'a/a': ['1.2.3.0'],
      'a/b': ['1.2.3.1'],
      'a/c': ['1.2.3.2'],
    });
  });
});

describe('dual-stack over time', () => {
  const ips = (allocations: Allocations): readonly string[] => only(allocations).ips;
  const one = service('a/a', prefer);

  it('gains the second address when its pool becomes dual, and not from another pool', () => {
    const single = allocate(snapshot([pool('b', ['1.2.3.0/24'])], [one]));
    expect(ips(single)).toEqual(['1.2.3.0']);
    const elsewhere = allocate(
      snapshot([pool('a', ['4.5.6.0/24', '4::/64']), pool('b', ['1.2.3.0/24'])], [one]),
      single,
    );
    expect(ips(elsewhere)).toEqual(['1.2.3.0']);
    const grown = allocate(snapshot([pool('b', ['1.2.3.0/24', '1::/64'])], [one]), elsewhere);
    expect(ips(grown)).toEqual(['1.2.3.0', '1::']);
    expect(only(grown).events.at(-1)?.message).toBe('Assigned additional IP "1::"');
  });

  it('gains it when another Service gives it back', () => {
    const pools = [pool('b', ['1.2.3.0/24', '1::1/128'])];
    const holder = service('a/holder', v6);
    const first = allocate(snapshot(pools, [holder, one]));
    expect(first.services.get('a/a')?.ips).toEqual(['1.2.3.0']);
    expect(ips(allocate(snapshot(pools, [one]), first))).toEqual(['1.2.3.0', '1::1']);
  });

  it('is allocated anew when its pool loses a family', () => {
    const both = allocate(snapshot([pool('b', ['1.2.3.0/24', '1::/64'])], [one]));
    expect(ips(both)).toEqual(['1.2.3.0', '1::']);
    const other = [pool('b', ['1.2.3.0/24']), pool('c', ['3.3.3.0/24', '3::/64'])];
    expect(ips(allocate(snapshot(other, [one]), both))).toEqual(['3.3.3.0', '3::']);
    expect(ips(allocate(snapshot([pool('b', ['1.2.3.0/24'])], [one]), both))).toEqual(['1.2.3.0']);
  });

  it('Require on a pool of one family clears, Prefer gives one back', () => {
    const pools = [pool('b', ['1.2.3.0/24'])];
    const first = allocate(snapshot(pools, [one]));
    const required = allocate(snapshot(pools, [{ ...one, familyPolicy: 'RequireDualStack' }]), first);
    expect(only(required).refusal?.reason).toBe('noAvailableIPs');
    expect(ips(allocate(snapshot(pools, [one]), required))).toEqual(['1.2.3.0']);
  });

  it('starts with the primary family', () => {
    const pools = [pool('four', ['1.2.3.0/24']), pool('six', ['1::/64'])];
    expect(ips(allocate(snapshot(pools, [one])))).toEqual(['1.2.3.0']);
    expect(ips(allocate(snapshot(pools, [{ ...one, primaryFamily: 'ipv6' }])))).toEqual(['1::']);
    expect(ips(allocate(snapshot([pool('six', ['1::/64'])], [one])))).toEqual(['1::']);
  });

  it('the second address of a status of one is appended', () => {
    const pools = [pool('b', ['1.2.3.0/24', '1::/64'])];
    expect(ips(allocate(snapshot(pools, [{ ...one, ...had('1::7') }])))).toEqual(['1::7', '1.2.3.0']);
  });

  it('a Service of one cluster IP never gets two', () => {
    const pools = [pool('b', ['1.2.3.0/24', '1::/64'])];
    const single = service('a/a', { familyPolicy: 'PreferDualStack', ...had('1.2.3.4') });
    expect(ips(allocate(snapshot(pools, [single])))).toEqual(['1.2.3.4']);
  });
});

describe('what is told of a Service that gets no address', () => {
  const pools = [pool('b', ['1.2.3.0/31'])];
  const told = (allocations: Allocations) => only(allocations).events.map(({ reason }) => reason);
  const held = service('a/a', { ...had('1.2.3.0'), allocatedFromPool: 'b' });
  const { allocatedFromPool: _, ...released } = { ...held, ingress: [] };

  it('is told once: neither its own status that comes back is news, nor a change without bearing', () => {
    const kept = allocate(snapshot(pools, [held]));
    expect(told(kept)).toEqual([]);
    const wish = { wantedPool: 'nope' };
    const refused = allocate(snapshot(pools, [{ ...held, ...wish }]), kept);
    expect(told(refused)).toEqual(['AllocationFailed']);
    const echo = allocate(snapshot(pools, [{ ...released, ...wish }]), refused);
    expect([told(echo), only(echo).refusal?.reason]).toEqual([[], 'unknownPool']);
    const labels = { labels: { a: 'b' } };
    const labelledNow = allocate(snapshot(pools, [{ ...released, ...wish, ...labels }]), echo);
    expect(told(labelledNow)).toEqual([]);
    // another reason is news, and so is the same one after there was an address
    const other = allocate(snapshot(pools, [{ ...released, wantedPool: 'none' }]), labelledNow);
    expect(told(other)).toEqual(['AllocationFailed']);
    const served = allocate(snapshot(pools, [released]), other);
    expect(told(served)).toEqual(['IPAllocated']);
    expect(told(allocate(snapshot(pools, [{ ...released, wantedPool: 'none' }]), served))).toEqual([
      'AllocationFailed',
    ]);
  });

  it('is told once of the second address, and of what forbids any', () => {
    const single = allocate(snapshot(pools, [service('a/a', prefer)]));
    const status = { ...prefer, ...had('1.2.3.0'), allocatedFromPool: 'b' };
    const echo = allocate(snapshot(pools, [service('a/a', status)]), single);
    expect([told(echo), only(echo).ips]).toEqual([['AdditionalAssignFailed'], ['1.2.3.0']]);
    expect(told(allocate(snapshot(pools, [service('a/a', { ...status, labels: { a: 'b' } })]), echo))).toEqual([]);
    const forbidden = { ...held, familyPolicy: 'RequireDualStack' } as const;
    const cleared = allocate(snapshot(pools, [forbidden]));
    expect(told(cleared)).toEqual(['not enough clusterips']);
    const back = { ...released, familyPolicy: 'RequireDualStack' } as const;
    expect(told(allocate(snapshot(pools, [back]), cleared))).toEqual([]);
  });
});
