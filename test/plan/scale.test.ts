// Ten thousand Services, in the shapes that would hurt a scan: huge pools, full pools, one sharing key for all. What is
// measured is printed, not judged; a scan would not end within the limit of a test.

import { describe, expect, it } from 'vitest';
import { type Allocations, allocate } from '../../src/plan/allocate.ts';
import { createMemory, plan } from '../../src/plan/plan.ts';
import type { Service } from '../../src/plan/snapshot.ts';
import { bgpAdvertisement, config, endpoint, node, peer, pool, service, snapshot } from './cluster.ts';

const COUNT = 10_000;
const LIMIT_MS = 10_000;
const many = (make: (at: number) => Partial<Service>): readonly Service[] =>
  Array.from({ length: COUNT }, (_, at) => service(`ns/s${at}`, make(at)));
const ips = ({ services }: Allocations): readonly string[] => [...services.values()].map((each) => each.ips.join());

function timed<T>(what: string, work: () => T): T {
  const began = performance.now();
  const result = work();
  process.stdout.write(`${what}: ${(performance.now() - began).toFixed(1)} ms\n`);
  return result;
}

describe('ten thousand Services', () => {
  it(
    'from a /8 and a /64, the last address of which is taken',
    () => {
      const pools = [pool('big', ['10.0.0.0/8', 'fd00::/64'])];
      const dual: Partial<Service> = { clusterFamilies: ['ipv4', 'ipv6'], familyPolicy: 'RequireDualStack' };
      const last = service('ns/last', { ...dual, wantedIps: '10.255.255.255,fd00::ffff:ffff:ffff:ffff' });
      const given = timed('dual-stack from nothing', () => allocate(snapshot(pools, [last, ...many(() => dual)])));
      expect(new Set(ips(given)).size).toBe(COUNT + 1);
      expect(ips(given).slice(0, 2)).toEqual(['10.255.255.255,fd00::ffff:ffff:ffff:ffff', '10.0.0.0,fd00::']);
      expect(ips(given).at(-1)).toBe('10.0.39.15,fd00::270f');
    },
    LIMIT_MS,
  );

  it(
    'that wait for one address',
    () => {
      const all = many(() => ({}));
      const pools = [pool('one', ['10.0.0.1/32'])];
      const before = timed('one served of all', () => allocate(snapshot(pools, all)));
      const after = timed('the next one', () => allocate(snapshot(pools, all.slice(1)), before));
      expect([ips(before).filter(Boolean), ips(after).indexOf('10.0.0.1')]).toEqual([['10.0.0.1'], 0]);
    },
    LIMIT_MS,
  );

  it.each([
    ['one port: an address each', () => 80, COUNT],
    ['ports of their own: one address', (at: number) => at + 1, 1],
    ['a hundred ports', (at: number) => (at % 100) + 1, COUNT / 100],
  ])(
    'with one sharing key and %s',
    (name, portOf, addresses) => {
      const sharers = many((at) => ({ sharingKey: 'k', ports: [{ protocol: 'TCP', port: portOf(at) }] }));
      const given = timed(name, () => allocate(snapshot([pool('big', ['10.0.0.0/8'])], sharers)));
      expect(new Set(ips(given)).size).toBe(addresses);
    },
    LIMIT_MS,
  );

  it(
    'announced, and one of them changed',
    () => {
      const pools = [pool('big', ['10.0.0.0/8'], { bgpAdvertisements: [bgpAdvertisement('all', ['n1'])] })];
      const all = many(() => ({}));
      const endpoints = Object.fromEntries(all.map(({ key }) => [key, [endpoint('10.9.9.9', 'n1')]]));
      const first = snapshot(config(pools, [peer('tor', '192.0.2.1')]), all, { nodes: [node('n1')], endpoints });
      const memory = createMemory();
      const [before, told] = timed('addresses and routes', () => {
        const given = allocate(first);
        return [given, plan({ ...first, allocated: given.services }, 'n1', memory)] as const;
      });
      expect(told.routes.get('tor')?.size).toBe(COUNT);
      const services = new Map(first.services).set('ns/s7', service('ns/s7', { wantedIps: '10.200.0.1' }));
      const after = timed('one change', () => {
        const given = allocate({ ...first, services }, before);
        return plan({ ...first, services, allocated: given.services }, 'n1', memory);
      });
      const [was, is] = [told, after].map(({ routes }) => new Set(routes.get('tor')?.keys()));
      expect([...(is ?? [])].filter((prefix) => !was?.has(prefix))).toEqual(['10.200.0.1/32']);
      expect([...(was ?? [])].filter((prefix) => !is?.has(prefix))).toEqual(['10.0.0.7/32']);
      expect(after.services.get('ns/s8')).toBe(told.services.get('ns/s8'));
    },
    LIMIT_MS,
  );
});
