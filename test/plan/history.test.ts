// Allocation over random histories, held against what can be said without knowing how it works: nobody shares who may
// not, nobody waits who could be served, nobody moves without need, and neither a restart nor the way by which a
// cluster came about changes anything. Addresses of small pools are scanned one by one for it.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Pool } from '../../src/config/config.ts';
import { matchesAny } from '../../src/config/selector.ts';
import { compareAddresses, familyOf, type Ip, ipFromNumber, rangeOfPrefix } from '../../src/net/address.ts';
import { type Allocations, allocate } from '../../src/plan/allocate.ts';
import type { Service, Snapshot } from '../../src/plan/snapshot.ts';
import { createVacancy, lowestVacant, occupy, vacate } from '../../src/plan/vacancy.ts';
import { labelled, pool, service, snapshot } from './cluster.ts';

const pinned = (priority: number, labels: Readonly<Record<string, string>>) => ({
  serviceAllocation: { priority, serviceSelectors: [labelled(labels)] },
});
/** Each a whole configuration; between them addresses change their pool, and come and go. */
const configurations: readonly (readonly Pool[])[] = [
  [pool('a', ['10.0.0.0/30', '1::/126']), pool('b', ['10.0.0.254/31', '10.0.1.0/31'], { avoidBuggyIPs: true })],
  [pool('a', ['10.0.0.0/31', '1::/127']), pool('b', ['10.0.1.0/31', '10.0.0.254/31']), pool('six', ['1::2/127'])],
  [
    pool('a', ['10.0.0.0/30'], pinned(5, { team: 'x' })),
    pool('b', ['10.0.0.254/31', '1::/126']),
    pool('c', ['10.0.1.0/31'], pinned(0, { team: 'x' })),
  ],
  [pool('a', ['10.0.0.0/30', '1::/126'], { autoAssign: false }), pool('b', ['10.0.0.254/31'])],
];

const addressesOf = ({ addresses, avoidBuggyIPs }: Pool): readonly Ip[] =>
  addresses
    .flatMap(({ cidrs }) => cidrs.map(rangeOfPrefix))
    .flatMap(({ family, first, last }) =>
      Array.from({ length: Number(last - first) + 1 }, (_, at) => ipFromNumber(family, first + BigInt(at))),
    )
    .filter((ip) => !avoidBuggyIPs || !/\.(0|255)$/.test(ip));

const compatible = ({ serviceAllocation }: Pool, { labels }: Service): boolean =>
  serviceAllocation === undefined || matchesAny(serviceAllocation.serviceSelectors, labels);

const backend = ({ trafficPolicy, selector }: Service): string =>
  trafficPolicy === 'Local' && Object.keys(selector).length > 0 ? JSON.stringify(selector) : '';

function mayShare(a: Service, b: Service): boolean {
  if (a === b) return true;
  const ports = new Set(a.ports.map(({ port }) => port));
  return (
    !!a.sharingKey &&
    a.sharingKey === b.sharingKey &&
    backend(a) === backend(b) &&
    !b.ports.some(({ port }) => ports.has(port))
  );
}

/** Every list of addresses that the Service could take now, all others staying where they are. */
function possible(pools: readonly Pool[], { services }: Allocations, one: Service): readonly (readonly Ip[])[] {
  const holders = [...services.values()].filter(({ service: other }) => other.key !== one.key);
  const free = (ip: Ip): boolean =>
    holders.every(({ ips, service: other }) => !ips.includes(ip) || mayShare(one, other));
  const wanted = one.wantedIps === undefined ? undefined : one.wantedIps.split(',');
  const open = pools
    .filter((each) => compatible(each, one))
    .filter((each) => (one.wantedPool ? each.name === one.wantedPool : wanted !== undefined || each.autoAssign));
  return open.flatMap((each) => {
    const choices = addressesOf(each).filter((ip) => free(ip) && (wanted === undefined || wanted.includes(ip)));
    const [v4, v6] = [choices.filter((ip) => familyOf(ip) === 'ipv4'), choices.filter((ip) => familyOf(ip) === 'ipv6')];
    const singles = (one.clusterFamilies[0] === 'ipv4' ? v4 : v6).map((ip) => [ip]);
    if (one.clusterFamilies.length === 1) return singles;
    const pairs = v4.flatMap((a) => v6.map((b) => [a, b]));
    return one.familyPolicy === 'PreferDualStack' && wanted === undefined
      ? [...pairs, ...choices.map((ip) => [ip])]
      : pairs;
  });
}

const kinds: fc.Arbitrary<Partial<Service>> = fc.record(
  {
    sharingKey: fc.constantFrom('k', 'l', ''),
    trafficPolicy: fc.constantFrom('Cluster', 'Local'),
    selector: fc.constantFrom({}, { app: 'x' }, { app: 'y' }),
    ports: fc
      .uniqueArray(fc.constantFrom(80, 81, 82), { minLength: 1 })
      .map((all) => all.map((port) => ({ protocol: 'TCP', port }))),
    labels: fc.constantFrom({}, { team: 'x' }),
    wantedPool: fc.constantFrom('a', 'b', 'nope'),
    wantedIps: fc.constantFrom('10.0.0.1', '10.0.1.0', '1::1'),
    createdAt: fc.constantFrom('2024-01-01T00:00:00.000Z', '2024-01-02T00:00:00.000Z'),
  },
  { requiredKeys: [] },
);
const stacks: fc.Arbitrary<Partial<Service>> = fc.constantFrom(
  { clusterFamilies: ['ipv4'] },
  { clusterFamilies: ['ipv6'] },
  { clusterFamilies: ['ipv4', 'ipv6'], familyPolicy: 'RequireDualStack' },
  { clusterFamilies: ['ipv4', 'ipv6'], familyPolicy: 'PreferDualStack' },
);

type Change =
  | { readonly put: string; readonly as: Service }
  | { readonly remove: string }
  | { readonly configure: number }
  | { readonly writeStatus: true };

const names = fc.constantFrom(...Array.from({ length: 9 }, (_, at) => `ns/s${at}`));
const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc
      .tuple(names, kinds, stacks)
      .map(([put, kind, stack]) => ({ put, as: service(put, { ...kind, ...stack }) })),
  },
  { weight: 3, arbitrary: names.map((remove) => ({ remove })) },
  { weight: 1, arbitrary: fc.nat(configurations.length - 1).map((configure) => ({ configure })) },
  { weight: 2, arbitrary: fc.constant({ writeStatus: true as const }) },
);

function apply(before: Snapshot, change: Change, last: Allocations): Snapshot {
  const services = new Map(before.services);
  if ('configure' in change) return { ...before, config: snapshot(configurations[change.configure] ?? [], []).config };
  if ('put' in change) {
    // status stays with the Service that is changed
    const ingress = services.get(change.put)?.ingress ?? [];
    services.set(change.put, { ...change.as, ingress });
  } else if ('remove' in change) services.delete(change.remove);
  else for (const [key, answer] of last.services) services.set(key, answer.service);
  return { ...before, services };
}

const ipsOf = ({ services }: Allocations) =>
  [...services].map(([key, { ips, pool: name }]) => [key, ips, name] as const);
const ingressOf = (each: Service | undefined): string => JSON.stringify(each?.ingress);

function check(now: Snapshot, answer: Allocations): void {
  const pools = now.config?.pools ?? [];
  const all = [...answer.services.values()];
  for (const { ips, pool: name, service: one, refusal } of all) {
    const holder = pools.find((each) => each.name === name);
    if (ips.length > 0) {
      expect(holder !== undefined && compatible(holder, one)).toBe(true);
      for (const ip of ips) expect(holder && addressesOf(holder)).toContain(ip);
      expect(one.clusterFamilies).toEqual(expect.arrayContaining(ips.map(familyOf)));
      if (one.familyPolicy !== 'PreferDualStack') expect(ips.length).toBe(one.clusterFamilies.length);
      if (ips.length < one.clusterFamilies.length) {
        const second = (holder ? addressesOf(holder) : []).filter((ip) => familyOf(ip) !== familyOf(ips[0] ?? ip));
        expect(second.filter((ip) => all.every((o) => !o.ips.includes(ip) || mayShare(one, o.service)))).toEqual([]);
      }
      for (const { ips: others, service: other } of all)
        for (const ip of ips) if (others.includes(ip)) expect(mayShare(one, other)).toBe(true);
    } else {
      expect(refusal).toBeDefined();
      // whoever waits could not be served
      expect([one.key, refusal?.reason, possible(pools, answer, one)]).toEqual([one.key, refusal?.reason, []]);
    }
  }
}

describe('any history', () => {
  it('keeps the rules at every step', () => {
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 40 }), (changes) => {
        let now = snapshot(configurations[0] ?? [], []);
        let last = allocate(now);
        for (const each of changes) {
          const next = apply(now, each, last);
          const spent = last;
          const answer = allocate(next, last);
          check(next, answer);
          // from the same answer, but all anew: a ledger is no history
          expect(ipsOf(allocate(next, spent))).toEqual(ipsOf(answer));
          // a restart knows status alone, and changes nothing once status is written
          const written = new Map(
            [...next.services].map(([key, one]) => [key, answer.services.get(key)?.service ?? one]),
          );
          expect(ipsOf(allocate({ ...next, services: written })).map(([key, ips]) => [key, ips])).toEqual(
            ipsOf(answer).map(([key, ips]) => [key, ips]),
          );
          if (!('configure' in each))
            for (const [key, { ips }] of spent.services) {
              // what is the same stays where it is; it may only gain a second address
              const [was, is] = [now.services.get(key), next.services.get(key)];
              if (was === is && ingressOf(was) === ingressOf(is))
                expect(answer.services.get(key)?.ips.slice(0, ips.length)).toEqual(ips);
            }
          [now, last] = [next, answer];
        }
      }),
      { seed: 2024, numRuns: 400 },
    );
  });

  it('gives a newcomer the first address that a scan finds', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 25 }), kinds, stacks, (changes, kind, stack) => {
        let now = snapshot(configurations[0] ?? [], []);
        let last = allocate(now);
        for (const each of changes.filter((each) => !('configure' in each))) {
          now = apply(now, each, last);
          last = allocate(now, last);
        }
        const newcomer = service('ns/new', { ...kind, ...stack });
        const answer = allocate({ ...now, services: new Map([...now.services, ['ns/new', newcomer]]) }, last);
        const given = answer.services.get('ns/new');
        // pools by name, CIDRs as listed, addresses ascending; two of one pool before one
        const list = possible(now.config?.pools ?? [], last, newcomer);
        const dual = list.filter(({ length }) => length === newcomer.clusterFamilies.length);
        const v4 = list.filter(([ip]) => ip !== undefined && familyOf(ip) === 'ipv4');
        const first = dual[0] ?? v4[0] ?? list[0] ?? [];
        expect([...(given?.ips ?? [])].sort(compareAddresses)).toEqual([...first].sort(compareAddresses));
      }),
      { seed: 7, numRuns: 400 },
    );
  });
});

describe('many Services with one sharing key', () => {
  it('each sits at the first address whose ports suit, whoever came and went', () => {
    const pools = [pool('p', ['10.0.0.8/30', '10.0.0.0/30'])];
    const order = addressesOf(pools[0] ?? pool('none', []));
    const ports = fc.uniqueArray(fc.integer({ min: 80, max: 83 }), { minLength: 1, maxLength: 3 });
    const key = fc.constantFrom('k', 'k', 'k', '');
    const step = fc.tuple(fc.nat(11), fc.option(ports, { nil: undefined }), key);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const services = new Map<string, Service>();
        let last: Allocations | undefined;
        for (const [at, wanted, sharingKey] of steps) {
          const key = `ns/s${at}`;
          const before = last?.services;
          const held = before?.get(key)?.ips[0];
          services.delete(key);
          if (wanted !== undefined) {
            services.set(key, service(key, { sharingKey, ports: wanted.map((port) => ({ protocol: 'TCP', port })) }));
          }
          last = allocate(snapshot(pools, [...services.values()]), last);
          if (wanted === undefined) continue;
          const self = services.get(key) ?? service(key);
          const suits = (ip: Ip): boolean =>
            [...services.values()].every((other) => !before?.get(other.key)?.ips.includes(ip) || mayShare(self, other));
          // one that may stay does, and one that waited may have been served before it
          if (held !== undefined && suits(held)) expect(last.services.get(key)?.ips).toEqual([held]);
          else if (held === undefined) expect(last.services.get(key)?.ips[0]).toBe(order.find(suits));
        }
      }),
      { seed: 99, numRuns: 1500 },
    );
  });
});

describe('the lowest vacant number', () => {
  it('is what a scan from 0 finds', () => {
    const step = fc.record({ number: fc.nat(40), take: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const vacancy = createVacancy();
        const used = new Set<number>();
        for (const { number, take } of steps) {
          if (take) used.add(number);
          else used.delete(number);
          if (take) occupy(vacancy, BigInt(number));
          else vacate(vacancy, BigInt(number));
          let lowest = 0;
          while (used.has(lowest)) lowest++;
          expect(lowestVacant(vacancy)).toBe(BigInt(lowest));
        }
        expect(vacancy.heap.length).toBeLessThanOrEqual(41);
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});
