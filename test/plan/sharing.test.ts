// Addresses that several Services hold, addresses that confuse old devices, and the numbers of pools: MetalLB's
// allocator tests, said in clusters.

import { describe, expect, it } from 'vitest';
import type { Pool } from '../../src/config/config.ts';
import { type Allocations, allocate } from '../../src/plan/allocate.ts';
import type { Service } from '../../src/plan/snapshot.ts';
import { labelled, pool, service, snapshot } from './cluster.ts';

const answers = ({ services }: Allocations): Readonly<Record<string, string>> =>
  Object.fromEntries(
    [...services].map(([key, { ips, refusal }]) => [key, ips.length > 0 ? ips.join(',') : (refusal?.message ?? '')]),
  );
const run = (pools: readonly Pool[], ...services: readonly Service[]): Readonly<Record<string, string>> =>
  answers(allocate(snapshot(pools, services)));
const port = (number: number, protocol = 'TCP'): Pick<Service, 'ports'> => ({ ports: [{ protocol, port: number }] });

/** Everything twice, once for each family. */
const families = [
  { family: 'ipv4', first: '1.2.3.4', second: '1.2.3.5', base: { clusterFamilies: ['ipv4'] } },
  { family: 'ipv6', first: '1000::4', second: '1000::5', base: { clusterFamilies: ['ipv6'] } },
] as const;

describe.each(families)('sharing an $family address', ({ first, second, base }) => {
  const pools = [pool('test', ['1.2.3.4/31', '1000::4/127'])];
  const svc = (name: string, fields: Partial<Service> = {}): Service => service(`a/${name}`, { ...base, ...fields });
  const at = (name: string, ip: string, fields: Partial<Service> = {}): Service =>
    svc(name, { wantedIps: ip, ...fields });
  const share = { sharingKey: 'share' };

  it('is refused without keys', () => {
    expect(run(pools, at('s1', first), at('s2', first))).toEqual({
      'a/s1': first,
      'a/s2': `can't change sharing key for "a/s2", address also in use by a/s1`,
    });
  });

  it('works with equal keys and other ports, TCP and UDP apart', () => {
    const dns = [
      { protocol: 'TCP', port: 53 },
      { protocol: 'UDP', port: 53 },
    ].map((each) => ({ ports: [each] }));
    expect(run(pools, at('s1', first, { ...share, ...dns[0] }), at('s2', first, { ...share, ...dns[1] }))).toEqual({
      'a/s1': first,
      'a/s2': first,
    });
  });

  it('is refused for a port in use', () => {
    expect(run(pools, at('s1', first, { ...share, ...port(80) }), at('s2', first, { ...share, ...port(80) }))).toEqual({
      'a/s1': first,
      'a/s2': `port TCP/80 is already in use on "${first}"`,
    });
  });

  it.each([
    ['other keys', { sharingKey: 'other', ...port(81) }],
    ['no key', { ...port(81) }],
    ['an empty key', { sharingKey: '', ...port(81) }],
  ])('is refused for %s', (_, fields) => {
    expect(run(pools, at('s1', first, share), at('s2', first, fields))['a/s2']).toBe(
      `can't change sharing key for "a/s2", address also in use by a/s1`,
    );
  });

  it.each([
    ['Cluster and Cluster, whatever the selectors', 'Cluster', { app: 'x' }, 'Cluster', { app: 'y' }, true],
    ['Local and Local, same selector', 'Local', { a: '1', b: '2' }, 'Local', { b: '2', a: '1' }, true],
    ['Local and Local, other selector', 'Local', { app: 'x' }, 'Local', { app: 'y' }, false],
    ['Local and Cluster', 'Local', { app: 'x' }, 'Cluster', { app: 'x' }, false],
    ['Local without selector and Cluster', 'Local', {}, 'Cluster', { app: 'x' }, true],
  ] as const)('%s', (_, policy1, selector1, policy2, selector2, shared) => {
    const result = run(
      pools,
      at('s1', first, { ...share, trafficPolicy: policy1, selector: selector1 }),
      at('s2', first, { ...share, trafficPolicy: policy2, selector: selector2, ...port(81) }),
    );
    expect(result['a/s2'] === first).toBe(shared);
  });

  it('comes of itself, at the lowest address that suits, a free one or a shared one', () => {
    // .4 has another key; so .5 is taken, and then shared
    expect(
      run(
        pools,
        svc('s1'),
        svc('s2', share),
        svc('s3', { ...share, ...port(81) }),
        svc('s4', { ...share, ...port(82) }),
      ),
    ).toEqual({ 'a/s1': first, 'a/s2': second, 'a/s3': second, 'a/s4': second });
    // an address held with the key is no better than a lower free one
    expect(run(pools, at('s1', second, share), svc('s2', { ...share, ...port(81) }))).toEqual({
      'a/s1': second,
      'a/s2': first,
    });
  });

  it('serves sharers when the pool has no free address', () => {
    expect(run(pools, svc('s1', share), svc('s2'), svc('s3'), svc('s4', { ...share, ...port(81) }))).toEqual({
      'a/s1': first,
      'a/s2': second,
      'a/s3': 'no available IPs',
      'a/s4': first,
    });
  });

  it('serves one that waits as soon as another with its key has got an address', () => {
    // s1 comes first in order and finds nothing; s2 wants what is free by name
    const blocked = [
      at('b1', first),
      svc('s1', { ...share, wantedIps: second }),
      at('s2', second, { ...share, ...port(81) }),
    ];
    expect(run(pools, ...blocked, at('b2', second))['a/b2']).toMatch(/^can't change/);
    const waits = [at('b1', first), at('b2', second), svc('s1', share)];
    const before = allocate(snapshot(pools, waits));
    expect(answers(before)['a/s1']).toBe('no available IPs');
    const freed = [waits[0], waits[2], at('s2', second, { ...share, ...port(81) })].flatMap((each) => each ?? []);
    expect(answers(allocate(snapshot(pools, freed), before))).toEqual({
      'a/b1': first,
      'a/s1': second,
      'a/s2': second,
    });
    const [b1, b2, s1] = waits;
    const changed = [b1, { ...(b2 ?? svc('x')), ...share, ...port(81) }, s1].flatMap((each) => each ?? []);
    expect(answers(allocate(snapshot(pools, changed), before))['a/s1']).toBe(second);
  });

  it('a sole owner changes its key in place', () => {
    const before = allocate(snapshot(pools, [svc('s0'), at('s1', second, share)]));
    const after = allocate(snapshot(pools, [svc('s0'), at('s1', second, { sharingKey: 'new' })]), before);
    expect(answers(after)).toEqual({ 'a/s0': first, 'a/s1': second });
  });

  it.each([
    ['its sharing key', { sharingKey: 'new' }],
    ['its backend key', { trafficPolicy: 'Local', selector: { app: 'x' } }],
    ['its ports to those of the other', port(81)],
  ] as const)('of two, the one that changes %s moves', (_, change) => {
    const s1 = svc('s1', { ...share, ...port(80) });
    const s2 = svc('s2', { ...share, ...port(81) });
    const before = allocate(snapshot(pools, [s1, s2]));
    expect(answers(before)).toEqual({ 'a/s1': first, 'a/s2': first });
    const after = allocate(snapshot(pools, [{ ...s1, ...change }, s2]), before);
    expect(answers(after)).toEqual({ 'a/s1': second, 'a/s2': first });
    expect(after.services.get('a/s1')?.events.map(({ reason }) => reason)).toEqual(['ClearAssignment', 'IPAllocated']);
    // also when something harmless of the other changed at the same time
    const both = allocate(
      snapshot(pools, [
        { ...s1, ...change },
        { ...s2, labels: { x: 'y' } },
      ]),
      allocate(snapshot(pools, [s1, s2])),
    );
    expect(answers(both)).toEqual({ 'a/s1': second, 'a/s2': first });
  });

  it('follows the traffic policy to and fro', () => {
    const app = { selector: { app: 'x' } };
    const s1 = at('s1', first, { ...share, ...app });
    const s2 = at('s2', first, { ...share, ...app, ...port(81) });
    const local = { trafficPolicy: 'Local' } as const;
    const steps: readonly (readonly [Service, Service, boolean, boolean])[] = [
      [s1, s2, true, true],
      [s1, { ...s2, ...local }, true, false],
      [{ ...s1, ...local }, { ...s2, ...local }, true, true],
      [{ ...s1, ...local, selector: { app: 'y' } }, { ...s2, ...local }, false, true],
      [{ ...s1, ...local, selector: { app: 'y' } }, { ...s2, ...local, selector: { app: 'y' } }, true, true],
    ];
    let before: Allocations | undefined;
    for (const [a, b, hasA, hasB] of steps) {
      before = allocate(snapshot(pools, [a, b]), before);
      const now = answers(before);
      expect([now['a/s1'] === first, now['a/s2'] === first]).toEqual([hasA, hasB]);
    }
  });

  it('frees a port with the Service that used it', () => {
    const s1 = svc('s1', { ...share, ...port(80) });
    const s2 = svc('s2', { ...share, ...port(81) });
    const s3 = at('s3', first, { ...share, ...port(80) });
    const before = allocate(snapshot(pools, [s1, s2, s3]));
    expect(answers(before)['a/s3']).toBe(`port TCP/80 is already in use on "${first}"`);
    expect(answers(allocate(snapshot(pools, [s2, s3]), before))).toEqual({ 'a/s2': first, 'a/s3': first });
  });
});

describe('sharing, dual-stack', () => {
  it('is asked for each address', () => {
    const pools = [pool('test', ['1.2.3.4/31', '1000::4/127'])];
    const both: Partial<Service> = {
      clusterFamilies: ['ipv4', 'ipv6'],
      familyPolicy: 'RequireDualStack',
      sharingKey: 'k',
    };
    const six = service('a/six', { clusterFamilies: ['ipv6'], ...port(81) });
    expect(run(pools, six, service('a/s1', both), service('a/s2', { ...both, ...port(81) }))).toEqual({
      'a/six': '1000::4',
      'a/s1': '1.2.3.4,1000::5',
      'a/s2': '1.2.3.4,1000::5',
    });
  });

  it('addresses of two pools are refused', () => {
    const pools = [pool('a', ['1.2.3.4/31', '1000::4/127']), pool('b', ['1.2.4.0/24', '2000::/64'])];
    const both: Partial<Service> = { clusterFamilies: ['ipv4', 'ipv6'], familyPolicy: 'RequireDualStack' };
    expect(run(pools, service('a/s', { ...both, wantedIps: '1.2.3.4,2000::' }))).toEqual({
      'a/s': '["1.2.3.4" "2000::"] is not allowed in config',
    });
  });
});

describe('avoidBuggyIPs', () => {
  const odd = [
    pool('test1', ['1.2.3.0/31']),
    pool('test2', ['1.2.3.254/31']),
    pool('test3', ['1.2.4.0/31'], { avoidBuggyIPs: true }),
    pool('test4', ['1.2.4.254/31'], { avoidBuggyIPs: true }),
  ];

  it('gives 6 of 8 addresses', () => {
    const seven = Array.from({ length: 7 }, (_, at) => service(`a/s${at}`));
    expect(Object.values(run(odd, ...seven))).toEqual([
      ...['1.2.3.0', '1.2.3.1', '1.2.3.254', '1.2.3.255', '1.2.4.1', '1.2.4.254'],
      'no available IPs',
    ]);
  });

  it('refuses them when asked for, and takes them from those who have them', () => {
    const refused = (ip: string): string => `["${ip}"] is not allowed in config`;
    expect(run(odd, service('a/s', { wantedIps: '1.2.4.0' }), service('a/t', { wantedIps: '1.2.4.255' }))).toEqual({
      'a/s': refused('1.2.4.0'),
      'a/t': refused('1.2.4.255'),
    });
    const one = service('a/s');
    const before = allocate(snapshot([pool('p', ['1.2.4.0/30'])], [one]));
    const after = allocate(snapshot([pool('p', ['1.2.4.0/30'], { avoidBuggyIPs: true })], [one]), before);
    expect([answers(before), answers(after)]).toEqual([{ 'a/s': '1.2.4.0' }, { 'a/s': '1.2.4.1' }]);
  });

  it('leaves IPv6 alone, and skips within and between CIDRs', () => {
    const pools = [pool('p', ['10.0.0.254/31', '10.0.1.0/32', '9.0.0.0/23', '1000::/127'], { avoidBuggyIPs: true })];
    const six = service('a/six', { clusterFamilies: ['ipv6'] });
    const many = Array.from({ length: 510 }, (_, at) => service(`a/s${at}`));
    const got = Object.values(run(pools, six, ...many));
    expect(got.slice(0, 4)).toEqual(['1000::', '10.0.0.254', '9.0.0.1', '9.0.0.2']);
    expect(got.slice(254, 258)).toEqual(['9.0.0.253', '9.0.0.254', '9.0.1.1', '9.0.1.2']);
    expect(got.slice(509)).toEqual(['9.0.1.254', 'no available IPs']);
  });
});

describe('choice of pools', () => {
  it('autoAssign false is only for those who ask', () => {
    const pools = [pool('a', ['1.2.3.0/31', '1::/127'], { autoAssign: false }), pool('b', ['2.2.2.0/32', '2::/128'])];
    const both: Partial<Service> = { clusterFamilies: ['ipv4', 'ipv6'], familyPolicy: 'RequireDualStack' };
    expect(
      run(
        pools,
        service('a/1'),
        service('a/2'),
        service('a/3', { clusterFamilies: ['ipv6'] }),
        service('a/4', both),
        service('a/5', { wantedPool: 'a' }),
        service('a/6', { wantedIps: '1.2.3.1' }),
      ),
    ).toEqual({
      'a/1': '2.2.2.0',
      'a/2': 'no available IPs',
      'a/3': '2::',
      'a/4': 'no available IPs',
      'a/5': '1.2.3.0',
      'a/6': '1.2.3.1',
    });
  });

  it('autoAssign switched off leaves what was given', () => {
    const one = service('a/s');
    const before = allocate(snapshot([pool('a', ['1.2.3.0/31'])], [one]));
    expect(answers(allocate(snapshot([pool('a', ['1.2.3.0/31'], { autoAssign: false })], [one]), before))).toEqual({
      'a/s': '1.2.3.0',
    });
  });

  it('pinned pools by priority, 0 last, then those open to all', () => {
    const pinned = (priority: number) => ({
      serviceAllocation: { priority, namespaces: new Set(['ns']), serviceSelectors: [] },
    });
    const pools = [
      pool('a-open', ['1.0.0.1/32']),
      pool('b-zero', ['2.0.0.1/32'], pinned(0)),
      pool('c-twenty', ['3.0.0.1/32'], pinned(20)),
      pool('d-ten', ['4.0.0.1/32'], pinned(10)),
      pool('e-ten', ['5.0.0.1/32'], pinned(10)),
      pool('f-manual', ['6.0.0.1/32'], { ...pinned(1), autoAssign: false }),
    ];
    const six = Array.from({ length: 6 }, (_, at) => service(`ns/s${at}`));
    expect(Object.values(run(pools, ...six))).toEqual([
      ...['4.0.0.1', '5.0.0.1', '3.0.0.1', '2.0.0.1', '1.0.0.1'],
      'no available IPs',
    ]);
    expect(run(pools, service('other/s'))).toEqual({ 'other/s': '1.0.0.1' });
  });

  it('a namespace set that is empty is open to nobody', () => {
    const nobody = { serviceAllocation: { priority: 0, namespaces: new Set<string>(), serviceSelectors: [] } };
    const pools = [pool('p', ['1.0.0.1/32'], nobody)];
    expect(run(pools, service('a/s'), service('a/t', { wantedPool: 'p' }))).toEqual({
      'a/s': 'no available IPs',
      'a/t': 'pool p not compatible for ip assignment',
    });
  });

  it('only a priority: every Service', () => {
    const pools = [
      pool('a', ['1.0.0.1/32'], { serviceAllocation: { priority: 20, serviceSelectors: [{ terms: [] }] } }),
      pool('b', ['2.0.0.1/32'], { serviceAllocation: { priority: 10, serviceSelectors: [{ terms: [] }] } }),
    ];
    expect(Object.values(run(pools, service('a/s'), service('a/t')))).toEqual(['2.0.0.1', '1.0.0.1']);
  });

  it('namespace and label must both fit where both are given', () => {
    const serviceAllocation = {
      priority: 20,
      namespaces: new Set(['ns1']),
      serviceSelectors: [labelled({ team: 'x' })],
    };
    const pools = [pool('p', ['1.0.0.0/24'], { serviceAllocation })];
    const wanted = { wantedIps: '1.0.0.7' };
    const refusal = 'pool p not compatible for ip assignment';
    expect(run(pools, service('ns1/a', { ...wanted, labels: { team: 'x' } }))['ns1/a']).toBe('1.0.0.7');
    expect(run(pools, service('ns1/b', wanted))['ns1/b']).toBe(refusal);
    expect(run(pools, service('ns2/c', { ...wanted, labels: { team: 'x' } }))['ns2/c']).toBe(refusal);
  });

  it('moves on when labels of Service or namespace no longer fit', () => {
    const pinned = (namespaces: readonly string[]) => ({
      serviceAllocation: { priority: 1, namespaces: new Set(namespaces), serviceSelectors: [] },
    });
    const one = service('ns/s');
    const pools = (namespaces: readonly string[]) => [
      pool('a', ['1.0.0.0/24'], pinned(namespaces)),
      pool('b', ['2.0.0.0/24']),
    ];
    const before = allocate(snapshot(pools(['ns']), [one]));
    expect(answers(before)).toEqual({ 'ns/s': '1.0.0.0' });
    expect(answers(allocate(snapshot(pools(['other']), [one]), before))).toEqual({ 'ns/s': '2.0.0.0' });
  });

  it('follows a renamed, split, grown or shrunk pool', () => {
    const list = [service('a/a'), service('a/b')];
    const pools = [pool('old', ['1.2.3.0/30'])];
    const move = (...next: readonly Pool[]): readonly (readonly [string, string | undefined])[] =>
      [...allocate(snapshot(next, list), allocate(snapshot(pools, list))).services.values()].map(
        ({ ips, pool: name }) => [ips.join(), name] as const,
      );
    expect(move(pool('new', ['1.2.3.0/30']))).toEqual([
      ['1.2.3.0', 'new'],
      ['1.2.3.1', 'new'],
    ]);
    expect(move(pool('one', ['1.2.3.0/32']), pool('two', ['1.2.3.1/32']))).toEqual([
      ['1.2.3.0', 'one'],
      ['1.2.3.1', 'two'],
    ]);
    expect(move(pool('old', ['1.2.0.0/16']))).toEqual([
      ['1.2.3.0', 'old'],
      ['1.2.3.1', 'old'],
    ]);
    expect(move(pool('old', ['1.2.3.1/32']))).toEqual([
      ['', undefined],
      ['1.2.3.1', 'old'],
    ]);
  });
});

describe('numbers of a pool', () => {
  const MAX = (1n << 63n) - 1n;
  const count = (cidrs: readonly string[], more: Partial<Pool> = {}) =>
    allocate(snapshot([pool('p', cidrs, more)], [])).pools.get('p')?.total;

  it.each([
    [['1.2.3.0/24'], {}, 256n, 0n, 256n],
    [['1.2.3.0/24', '2.3.4.128/25'], {}, 384n, 0n, 384n],
    [['1.2.3.0/24', '2.3.4.128/25'], { avoidBuggyIPs: true }, 381n, 0n, 381n],
    [['1.2.3.0/24', '2.3.4.128/25', '1000::/64'], { avoidBuggyIPs: true }, 381n, MAX, MAX],
    [['1.2.3.0/31', '1000::/127'], { avoidBuggyIPs: true }, 1n, 2n, 3n],
    [['10.0.0.0/8'], { avoidBuggyIPs: true }, 65536n * 254n, 0n, 65536n * 254n],
    [['1.2.3.0/32'], { avoidBuggyIPs: true }, 0n, 0n, 0n],
    [['::/0', '0.0.0.0/0'], {}, 1n << 32n, MAX, MAX],
    [['1000::/66'], {}, 0n, MAX, MAX],
    [['1000::/67'], {}, 0n, 1n << 61n, 1n << 61n],
    [['1000::/64', '1001::/120'], {}, 0n, MAX, MAX],
  ] as const)('%j %j', (cidrs, more, ipv4, ipv6, both) => {
    expect(count(cidrs, more)).toEqual({ ipv4, ipv6, both });
  });

  it('counts what is in use, a shared address once', () => {
    const pools = [pool('p', ['1.2.3.4/30', '1000::4/126'])];
    const dual: Partial<Service> = { clusterFamilies: ['ipv4', 'ipv6'], familyPolicy: 'RequireDualStack' };
    const s1 = service('a/1', dual);
    const sharers = [1, 2, 3].map((each) => service(`a/k${each}`, { sharingKey: 'k', ...port(each) }));
    let last = allocate(snapshot(pools, [s1, ...sharers]));
    const numbers = () => {
      const { assigned, available } = last.pools.get('p') ?? expect.fail('no pool');
      return [assigned.ipv4, assigned.ipv6, available.ipv4, available.ipv6];
    };
    expect(numbers()).toEqual([2n, 1n, 2n, 3n]);
    last = allocate(snapshot(pools, sharers), last);
    expect(numbers()).toEqual([1n, 0n, 3n, 4n]);
    last = allocate(snapshot(pools, sharers.slice(2)), last);
    expect(numbers()).toEqual([1n, 0n, 3n, 4n]);
    last = allocate(snapshot(pools, []), last);
    expect(numbers()).toEqual([0n, 0n, 4n, 4n]);
    expect(allocate(snapshot([], []), last).pools.size).toBe(0);
  });
});
