// What Fairway asks of an API server, counted in its audit log: writes for a burst of Services, and for processes that
// start again and find all as it should be. Counts, not times: they are the same on every machine.

import { expect, it } from 'vitest';
import { startFrr } from '../interop/frr.ts';
import { node } from '../interop/lab.ts';
import { throughout, until } from '../interop/process.ts';
import { Audit, tally } from './audit.ts';
import { APP } from './cluster.ts';
import { restart } from './fairway.ts';
import { basics, ROUTER_AS, SPEAKER_AS } from './routing.ts';
import { clusterStories, useFairway } from './stories.ts';
import { loadBalancer, type Service, serve } from './workload.ts';

const SERVICES = 200;
const NODES = 3;
/**
 * Addresses; an event each; per Service and node an event and a ServiceBGPStatus, which is made and then told: 2,200.
 * The rest is for counters.
 */
const MOST_WRITES = 2_250;

clusterStories('what Fairway asks of an API server', ['FRR'], () => {
  const cluster = useFairway(NODES, {
    prepare: async ({ lab }) => {
      const peers = Array.from({ length: NODES }, (_, i) => ({
        ...{ address: node(i + 1).ipv4, as: SPEAKER_AS, families: ['ipv4'] as const },
      }));
      frr = await startFrr(lab, { as: ROUTER_AS, peers });
    },
  });
  let frr: Awaited<ReturnType<typeof startFrr>> | undefined;

  const prefixes = async (): Promise<number> => {
    const answer = JSON.parse((await frr?.vty('show bgp ipv4 unicast statistics json')) ?? '{}');
    return answer.ipv4Unicast?.[0]?.totalPrefixes ?? 0;
  };

  /** Waits until nothing has been written for two seconds. */
  const untilQuiet = async (audit: Audit): Promise<void> => {
    const isQuiet = async (): Promise<boolean> => {
      const before = audit.writes().length;
      await throughout('two seconds pass', 2_000, () => true);
      return audit.writes().length === before;
    };
    await until('all is written', isQuiet, 120_000);
  };

  it('a burst of 200 Services costs what it must, and nothing when the processes start again', async () => {
    await cluster.api.apply(...basics(), serve('web-1', 'n1'));
    const audit = new Audit(cluster);
    await untilQuiet(audit);
    audit.restart();
    const spec = { selector: { app: 'web' }, allocateLoadBalancerNodePorts: false };
    const services = Array.from({ length: SERVICES }, (_, at) => loadBalancer(`s${at}`, spec));
    await Promise.all(services.map((each) => cluster.api.create(each)));
    await until('the router has all of them', async () => (await prefixes()) === SERVICES, 30_000);
    await untilQuiet(audit);
    const writes = audit.writes();
    expect(
      writes.filter(({ code }) => code >= 400),
      tally(writes),
    ).toEqual([]);
    expect(writes.length, tally(writes)).toBeLessThanOrEqual(MOST_WRITES);
    const statuses = { apiVersion: 'metallb.io/v1beta1', kind: 'ServiceBGPStatus', namespace: 'metallb-system' };
    expect(await cluster.api.list(statuses)).toHaveLength(SERVICES * NODES);

    for (const component of ['controller', 'speaker']) {
      audit.restart();
      await restart(cluster, component, 'SIGKILL');
      await until('the router has all of them', async () => (await prefixes()) === SERVICES, 30_000);
      await untilQuiet(audit);
      expect(tally(audit.writes()), component).toBe('');
    }
    const found = await cluster.api.list<Service>({ apiVersion: 'v1', kind: 'Service', namespace: APP });
    expect(found.filter(({ status }) => status.loadBalancer.ingress?.length === 1)).toHaveLength(SERVICES);
  }, 300_000);
});
