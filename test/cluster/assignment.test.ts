// Which address a Service gets, keeps and loses, as a user of a real cluster sees it: in its status, its annotation,
// its condition, its events, and in the counters of the pools.

import { expect, it } from 'vitest';
import type { Manifest } from '../interop/manifests.ts';
import { throughout, until } from '../interop/process.ts';
import type { KubeObject } from './api.ts';
import { APP, type Cluster } from './cluster.ts';
import { addressesOf, eventsOf, ipPool, restart, untilAddresses } from './fairway.ts';
import { clusterStories, useFairway } from './stories.ts';
import { loadBalancer, type Service } from './workload.ts';

const [FIRST, SECOND] = ['203.0.113.1', '203.0.113.2'] as const;
const DUAL = { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv4', 'IPv6'] } as const;
const PREFER = { ipFamilyPolicy: 'PreferDualStack', ipFamilies: ['IPv4', 'IPv6'] } as const;

const POOL_OF = 'metallb.io/ip-allocated-from-pool';

const namespace = (name: string, labels: object = {}): Manifest => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: { story: 'assignment', ...labels } },
});

/** A Service of type LoadBalancer in another namespace, or with labels. */
const inside = (place: string, name: string, labels: object = {}): Manifest =>
  loadBalancer(name, {}, { namespace: place, labels });

async function poolOf(cluster: Cluster, service: Manifest): Promise<string | undefined> {
  return (await cluster.api.read<Service>(service)).metadata.annotations?.[POOL_OF];
}

clusterStories('addresses of Services', [], () => {
  const cluster = useFairway(1, {
    speakers: false,
    prepare: async ({ api }) => {
      await api.apply(namespace('first', { team: 'blue' }), namespace('second'));
    },
  });

  it('are given within a moment, with the name of the pool, a condition and an event', async () => {
    const web = loadBalancer('web');
    await cluster.api.apply(ipPool('main', ['203.0.113.0/24']), web);
    await untilAddresses(cluster, web, '203.0.113.0');
    expect(await poolOf(cluster, web)).toBe('main');
    expect((await cluster.api.read<Service>(web)).status.conditions).toMatchObject([
      { type: 'metallb.io/AddressAllocated', status: 'True' },
    ]);
    const isTold = async (): Promise<boolean> => {
      const events = await eventsOf(cluster, web);
      return events.some(
        ({ reason, message }) => reason === 'IPAllocated' && message === 'Assigned IP ["203.0.113.0"]',
      );
    };
    await until('the event is there', isTold);
    const [event] = await eventsOf(cluster, web);
    expect(event).toMatchObject({ type: 'Normal', source: { component: 'metallb-controller' } });
  });

  it('wait, with a reason, while there is no pool, and come with it', async () => {
    const web = loadBalancer('web');
    await cluster.api.apply(web);
    await untilAddresses(cluster, web);
    await cluster.api.apply(ipPool('main', [`${FIRST}/32`]));
    await untilAddresses(cluster, web, FIRST);
  });

  it('wait, with a warning, while the pool is full', async () => {
    const [a, b] = [loadBalancer('a'), loadBalancer('b')];
    await cluster.api.apply(ipPool('main', [`${FIRST}/32`]), a);
    await untilAddresses(cluster, a, FIRST);
    await cluster.api.apply(b);
    const isTold = async (): Promise<boolean> => {
      const events = await eventsOf(cluster, b);
      return events.some(
        ({ reason, type, message }) => reason === 'AllocationFailed' && type === 'Warning' && message.includes('app/b'),
      );
    };
    await until('the warning is there', isTold);
    await untilAddresses(cluster, b);
  });

  it('go to who waits, when a Service becomes a ClusterIP', async () => {
    const [a, b] = [loadBalancer('a'), loadBalancer('b')];
    await cluster.api.apply(ipPool('main', [`${FIRST}/32`]), a);
    await untilAddresses(cluster, a, FIRST);
    await cluster.api.apply(b);
    await untilAddresses(cluster, b);
    await cluster.api.patch(a, { spec: { type: 'ClusterIP' } });
    await untilAddresses(cluster, b, FIRST);
    expect(await addressesOf(cluster, a)).toEqual([]);
    await until('the pool is not named any more', async () => (await poolOf(cluster, a)) === undefined);
    const conditions = async () => (await cluster.api.read<Service>(a)).status.conditions ?? [];
    await until('the condition is gone', async () => (await conditions()).length === 0);
  });

  it('go to who waits, when a Service is deleted', async () => {
    const [a, b] = [loadBalancer('a'), loadBalancer('b')];
    await cluster.api.apply(ipPool('main', [`${FIRST}/32`]), a);
    await untilAddresses(cluster, a, FIRST);
    await cluster.api.apply(b);
    await untilAddresses(cluster, b);
    await cluster.api.remove(a);
    await untilAddresses(cluster, b, FIRST);
  });

  it('stay where they are over five restarts of the controllers, whoever else waits', async () => {
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => loadBalancer(name));
    if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error('four Services');
    await cluster.api.apply(ipPool('main', ['203.0.113.2/31']));
    // b first: the order of names would have it the other way round
    await cluster.api.apply(b);
    await untilAddresses(cluster, b, '203.0.113.2');
    await cluster.api.apply(a);
    await untilAddresses(cluster, a, '203.0.113.3');
    await cluster.api.apply(c, d);
    await untilAddresses(cluster, c);
    for (let round = 0; round < 5; round++) {
      await restart(cluster, 'controller', 'SIGTERM');
      expect(await addressesOf(cluster, a)).toEqual(['203.0.113.3']);
      expect(await addressesOf(cluster, b)).toEqual(['203.0.113.2']);
      expect(await addressesOf(cluster, c)).toEqual([]);
      expect(await addressesOf(cluster, d)).toEqual([]);
    }
  }, 240_000);

  it('are shared, and reconsidered when what allows it changes', async () => {
    const shared = (name: string, port: number, spec: object = {}): Manifest => {
      const annotations = { 'metallb.io/allow-shared-ip': 'key', 'metallb.io/loadBalancerIPs': FIRST };
      const ports = [{ name: 'main', port, protocol: 'TCP' }];
      return loadBalancer(name, { selector: { app: 'web' }, ports, ...spec }, { annotations });
    };
    const local = { externalTrafficPolicy: 'Local' };
    const [a, b] = [shared('a', 80), shared('b', 443)];
    await cluster.api.apply(ipPool('main', ['203.0.113.0/30']), a);
    await untilAddresses(cluster, a, FIRST);
    await cluster.api.apply(b);
    await untilAddresses(cluster, b, FIRST);

    await cluster.api.apply(shared('b', 443, local));
    await untilAddresses(cluster, b);
    await throughout('the first one keeps it', 1_000, async () => (await addressesOf(cluster, a)).join() === FIRST);
    await cluster.api.apply(shared('a', 80, local));
    await untilAddresses(cluster, b, FIRST);
    await untilAddresses(cluster, a, FIRST);
    await cluster.api.apply(shared('a', 80, { ...local, selector: { app: 'other' } }));
    await untilAddresses(cluster, a);
    await untilAddresses(cluster, b, FIRST);
    await cluster.api.apply(shared('b', 443, { ...local, selector: { app: 'other' } }));
    await untilAddresses(cluster, a, FIRST);
    await untilAddresses(cluster, b, FIRST);
  });

  it('are taken away with the last pool', async () => {
    const web = loadBalancer('web');
    const main = ipPool('main', [`${FIRST}/32`]);
    await cluster.api.apply(main, web);
    await untilAddresses(cluster, web, FIRST);
    await cluster.api.remove(main);
    await untilAddresses(cluster, web);
    expect(await poolOf(cluster, web)).toBeUndefined();
  });

  it('come from another pool when theirs is deleted, with an event that says why', async () => {
    const web = loadBalancer('web');
    const own = ipPool('own', [`${FIRST}/32`], { serviceAllocation: { priority: 20, namespaces: [APP] } });
    await cluster.api.apply(own, ipPool('rest', [`${SECOND}/32`]), web);
    await untilAddresses(cluster, web, FIRST);
    await cluster.api.remove(own);
    await untilAddresses(cluster, web, SECOND);
    expect(await poolOf(cluster, web)).toBe('rest');
    const isTold = async (): Promise<boolean> =>
      (await eventsOf(cluster, web)).some(({ reason }) => reason === 'ClearAssignment');
    await until('the event is there', isTold);
  });

  it('are those that a Service asks for, by annotation, by spec, or by pool', async () => {
    const asking = (name: string, annotations: object, spec: object = {}): Manifest =>
      loadBalancer(name, spec, { annotations });
    const wants = asking('wants', { 'metallb.io/loadBalancerIPs': '203.0.113.77' });
    const legacy = asking('legacy', { 'metallb.universe.tf/loadBalancerIPs': '203.0.113.78' });
    const old = asking('old', {}, { loadBalancerIP: '203.0.113.79' });
    const byPool = asking('by-pool', { 'metallb.io/address-pool': 'manual' });
    const both = asking('both', { 'metallb.io/loadBalancerIPs': '203.0.113.80' }, { loadBalancerIP: '203.0.113.81' });
    const pools = [ipPool('main', ['203.0.113.0/24']), ipPool('manual', ['198.18.0.1/32'], { autoAssign: false })];
    await cluster.api.apply(...pools, wants, legacy, old, byPool, both);
    await untilAddresses(cluster, wants, '203.0.113.77');
    await untilAddresses(cluster, legacy, '203.0.113.78');
    await untilAddresses(cluster, old, '203.0.113.79');
    await untilAddresses(cluster, byPool, '198.18.0.1');
    const reasonsFor = async (service: Manifest) => (await eventsOf(cluster, service)).map(({ reason }) => reason);
    await until('both ways at once are refused', async () => (await reasonsFor(both)).includes('AllocationFailed'));
    await until('the old prefix is told of', async () => (await reasonsFor(legacy)).includes('deprecatedAnnotation'));
    expect(await addressesOf(cluster, both)).toEqual([]);
    // one that has an address keeps it, and is told
    await cluster.api.patch(wants, { spec: { loadBalancerIP: '203.0.113.81' } });
    await until('it is told', async () => (await reasonsFor(wants)).includes('LoadBalancerFailed'));
    expect(await addressesOf(cluster, wants)).toEqual(['203.0.113.77']);
  });

  it('are not given to a Service of another class', async () => {
    const [other, web] = [loadBalancer('other', { loadBalancerClass: 'example.com/lb' }), loadBalancer('web')];
    await cluster.api.apply(ipPool('main', ['203.0.113.0/24']), other, web);
    await untilAddresses(cluster, web, '203.0.113.0');
    const { status } = await cluster.api.read<Service>(other);
    expect(status).toEqual({ loadBalancer: {} });
  });

  it.each([
    ['namespace', { namespaces: ['first'] }],
    ['labels of the namespace', { namespaceSelectors: [{ matchLabels: { team: 'blue' } }] }],
    ['both', { namespaces: ['second', 'first'], namespaceSelectors: [{ matchLabels: { team: 'blue' } }] }],
  ])('come from the pools of their %s by priority, then from those of all', async (_, allocation) => {
    const own = (name: string, address: string, priority: number) =>
      ipPool(name, [`${address}/32`], { serviceAllocation: { priority, ...allocation } });
    const pools = [own('b', '203.0.113.20', 20), own('a', '203.0.113.10', 10), ipPool('rest', ['203.0.113.30/32'])];
    await cluster.api.apply(...pools);
    const services = ['x', 'y', 'z', 'late'].map((name) => inside('first', name));
    const wanted = [['203.0.113.10'], ['203.0.113.20'], ['203.0.113.30'], []];
    for (const [at, service] of services.entries()) {
      await cluster.api.apply(service);
      await untilAddresses(cluster, service, ...(wanted[at] ?? []));
    }
  });

  it.each([
    ['labels', { serviceSelectors: [{ matchLabels: { tier: 'gold' } }] }, 'first'],
    [
      'labels and namespace',
      { serviceSelectors: [{ matchLabels: { tier: 'gold' } }], namespaces: ['second'] },
      'second',
    ],
  ])('come from the pools of their own %s, which serve nobody else', async (_, allocation, place) => {
    const own = ipPool('gold', ['203.0.113.10/32'], { serviceAllocation: { priority: 1, ...allocation } });
    await cluster.api.apply(own);
    const [plain, gold] = [inside(place, 'plain'), inside(place, 'gold', { tier: 'gold' })];
    await cluster.api.apply(plain);
    await untilAddresses(cluster, plain);
    await cluster.api.apply(gold);
    await untilAddresses(cluster, gold, '203.0.113.10');
  });

  it('of both families come from one pool that has both', async () => {
    const web = loadBalancer('web', PREFER);
    const pools = [ipPool('a4', ['203.0.113.1/32']), ipPool('b6', ['2001:db8:f::1/128'])];
    await cluster.api.apply(...pools, ipPool('c', ['203.0.113.9/32', '2001:db8:f::9/128']), web);
    await untilAddresses(cluster, web, '203.0.113.9', '2001:db8:f::9');
  });

  it.each([
    ['IPv4 unless told otherwise', ['IPv4', 'IPv6'], '203.0.113.1'],
    ['IPv6 when it is named first', ['IPv6', 'IPv4'], '2001:db8:f::1'],
  ])('are of one family where no pool has both: %s', async (_, ipFamilies, wanted) => {
    const web = loadBalancer('web', { ...PREFER, ipFamilies });
    await cluster.api.apply(ipPool('a4', ['203.0.113.1/32']), ipPool('b6', ['2001:db8:f::1/128']), web);
    await untilAddresses(cluster, web, wanted);
  });

  it('gain the second family when their own pool does, not when another has it', async () => {
    const web = loadBalancer('web', PREFER);
    await cluster.api.apply(ipPool('main', ['203.0.113.1/32']), web);
    await untilAddresses(cluster, web, FIRST);
    await cluster.api.apply(ipPool('other', ['203.0.113.9/32', '2001:db8:f::9/128']));
    await throughout('it does not move', 1_000, async () => (await addressesOf(cluster, web)).join() === FIRST);
    await cluster.api.apply(ipPool('main', ['203.0.113.1/32', '2001:db8:f::1/128']));
    await untilAddresses(cluster, web, FIRST, '2001:db8:f::1');
  });

  it('move to another pool of both families when theirs loses one', async () => {
    const web = loadBalancer('web', PREFER);
    await cluster.api.apply(ipPool('main', ['203.0.113.1/32', '2001:db8:f::1/128']), web);
    await untilAddresses(cluster, web, FIRST, '2001:db8:f::1');
    await cluster.api.apply(ipPool('other', ['203.0.113.9/32', '2001:db8:f::9/128']));
    await cluster.api.apply(ipPool('main', ['203.0.113.1/32']));
    await untilAddresses(cluster, web, '203.0.113.9', '2001:db8:f::9');
  });

  it('go when a Service demands both families and its pool has one, and come back', async () => {
    const web = loadBalancer('web', PREFER);
    await cluster.api.apply(ipPool('main', ['203.0.113.1/32']), web);
    await untilAddresses(cluster, web, FIRST);
    await cluster.api.apply(loadBalancer('web', DUAL));
    await untilAddresses(cluster, web);
    await cluster.api.apply(loadBalancer('web', PREFER));
    await untilAddresses(cluster, web, FIRST);
  });

  it('are counted in the status of their pool, whatever somebody writes there', async () => {
    const web = loadBalancer('web', DUAL);
    const pool = ipPool('main', ['203.0.113.0/30', '2001:db8:f::/126']);
    const counts = (free4: number, free6: number, used: number) => ({
      ...{ assignedIPv4: used, assignedIPv6: used, availableIPv4: free4, availableIPv6: free6 },
    });
    const untilCounts = async (wanted: ReturnType<typeof counts>): Promise<void> => {
      const isRight = async (): Promise<boolean> => {
        const { status } = await cluster.api.read<KubeObject & { status?: object }>(pool);
        if (!sameFields(status ?? {}, wanted)) throw new Error(JSON.stringify(status));
        return true;
      };
      await until(`the pool counts ${JSON.stringify(wanted)}`, isRight, 30_000);
    };
    await cluster.api.apply(pool);
    await untilCounts(counts(4, 4, 0));
    await cluster.api.apply(web);
    await untilCounts(counts(3, 3, 1));
    await cluster.api.patchStatus(pool, counts(77, 78, 79));
    await untilCounts(counts(3, 3, 1));
    await cluster.api.apply(ipPool('main', ['203.0.113.0/29', '2001:db8:f::/125']));
    await untilCounts(counts(7, 7, 1));
    await cluster.api.remove(web);
    await untilCounts(counts(8, 8, 0));
  }, 180_000);
});

function sameFields(a: object, b: object): boolean {
  const sorted = (of: object): string => JSON.stringify(Object.entries(of).sort());
  return sorted(a) === sorted(b);
}
