// The whole way, on a real cluster: a Service is created, gets an address, the address becomes a route in a router, the
// route leads a client through kube-proxy to a pod; the pod goes, and the route with it.

import { expect, it } from 'vitest';
import { type Frr, startFrr } from '../interop/frr.ts';
import { gateways, node } from '../interop/lab.ts';
import { until } from '../interop/process.ts';
import type { Cluster } from './cluster.ts';
import { addressesOf, restart, untilAddresses } from './fairway.ts';
import { basics, ROUTER_AS, SPEAKER_AS, untilGateways, untilSessions } from './routing.ts';
import { clusterStories, useFairway } from './stories.ts';
import { deployment, fetchFrom, loadBalancer, serve } from './workload.ts';

const VIP = { ipv4: '203.0.113.0', ipv6: '2001:db8:f::' } as const;
const FAMILIES = ['ipv4', 'ipv6'] as const;
const DUAL = { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv4', 'IPv6'] } as const;

let frr: Frr | undefined;

async function startRouter(cluster: Cluster): Promise<void> {
  const peers = cluster.nodes.map((_, at) => ({ address: node(at + 1).ipv4, as: SPEAKER_AS, families: FAMILIES }));
  frr = await startFrr(cluster.lab, { as: ROUTER_AS, peers });
}

clusterStories('from a Service to a pod', ['FRR'], () => {
  const cluster = useFairway(2, {
    prepare: async (made) => {
      await startRouter(made);
      await made.startProxies();
    },
  });
  const both = [node(1), node(2)];
  const hosts = (family: 'ipv4' | 'ipv6') => both.map((each) => each[family]).sort();

  it('created → address → route → answer → endpoint gone → route gone', async () => {
    const web = loadBalancer('web', DUAL);
    await cluster.api.apply(...basics(), web, serve('web-1', 'n1'), serve('web-2', 'n2'));
    await untilAddresses(cluster, web, VIP.ipv4, VIP.ipv6);
    await untilGateways(cluster, VIP.ipv4, ...hosts('ipv4'));
    // IPv6 next hops of a directly connected neighbour are link-local in FRR's kernel routes: two of them is what
    // counts
    await until(
      'both nodes are next hops of the IPv6 route',
      () => gateways(cluster.lab, 'r', `${VIP.ipv6}/128`).length === 2,
    );
    for (const family of FAMILIES) {
      await until(`${family} answers from both pods`, () => {
        const answers = fetchFrom(cluster, VIP[family], 40);
        return Object.keys(answers).sort().join() === 'web-1,web-2';
      });
    }

    await cluster.api.remove(serve('web-1', 'n1'), serve('web-2', 'n2'));
    for (const family of FAMILIES) await untilGateways(cluster, VIP[family]);
    // the address stays with the Service
    expect(await addressesOf(cluster, web)).toEqual([VIP.ipv4, VIP.ipv6]);

    await cluster.api.apply(serve('web-3', 'n1'));
    await untilGateways(cluster, VIP.ipv4, ...hosts('ipv4'));
    await until('the new pod answers', () => fetchFrom(cluster, VIP.ipv4, 10)['web-3'] === 10);
    await cluster.api.remove(web);
    for (const family of FAMILIES) await untilGateways(cluster, VIP[family]);
  });

  it('with the Local policy only nodes that have a pod are asked, and see the client', async () => {
    const web = loadBalancer('web', { externalTrafficPolicy: 'Local' });
    await cluster.api.apply(...basics(), web, serve('web-1', 'n2'));
    await untilGateways(cluster, VIP.ipv4, node(2).ipv4);
    await until('the pod answers', () => fetchFrom(cluster, VIP.ipv4, 20)['web-1'] === 20);
    await cluster.api.apply(serve('web-2', 'n1'));
    await untilGateways(cluster, VIP.ipv4, ...hosts('ipv4'));
    await cluster.api.remove(serve('web-1', 'n2'));
    await untilGateways(cluster, VIP.ipv4, node(1).ipv4);
    await until('only the other pod answers', () => fetchFrom(cluster, VIP.ipv4, 20)['web-2'] === 20);
  });

  it('two Services with one address and other ports are both reached', async () => {
    const annotations = { 'metallb.io/allow-shared-ip': 'key', 'metallb.io/loadBalancerIPs': '203.0.113.5' };
    const on = (name: string, port: number) =>
      loadBalancer(name, { ports: [{ name: 'main', port, targetPort: 8080, protocol: 'TCP' }] }, { annotations });
    await cluster.api.apply(...basics(), on('a', 80), on('b', 81), serve('a-1', 'n1'), serve('b-1', 'n2'));
    await untilGateways(cluster, '203.0.113.5', ...hosts('ipv4'));
    await until('a', () => fetchFrom(cluster, '203.0.113.5', 1, 80)['a-1'] === 1);
    await until('b', () => fetchFrom(cluster, '203.0.113.5', 1, 81)['b-1'] === 1);
    // the route stays for the one that is left
    await cluster.api.remove(on('a', 80));
    await until('only a is gone', () => !('a-1' in fetchFrom(cluster, '203.0.113.5', 1, 80)));
    await untilGateways(cluster, '203.0.113.5', ...hosts('ipv4'));
    await until('b', () => fetchFrom(cluster, '203.0.113.5', 1, 81)['b-1'] === 1);
  });

  it('traffic goes on while the controllers restart', async () => {
    const web = loadBalancer('web');
    await cluster.api.apply(...basics(), web, deployment('web', 2));
    await untilGateways(cluster, VIP.ipv4, ...hosts('ipv4'));
    await until(
      'it answers',
      // often enough that a pod of the story before would have been asked, were it still behind the Service
      () => !Object.keys(fetchFrom(cluster, VIP.ipv4, 60)).some((each) => !each.startsWith('web-')),
    );
    const answers: string[] = [];
    const restarted = restart(cluster, 'controller', 'SIGKILL');
    let done = false;
    void restarted.finally(() => {
      done = true;
    });
    while (!done) {
      answers.push(...Object.keys(fetchFrom(cluster, VIP.ipv4, 10)));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await restarted;
    expect(answers.filter((each) => !each.startsWith('web-'))).toEqual([]);
    expect(gateways(cluster.lab, 'r', `${VIP.ipv4}/32`)).toEqual(hosts('ipv4'));
  });

  it('sessions are up on every node', async () => {
    await cluster.api.apply(...basics());
    if (frr === undefined) throw new Error('no router');
    await untilSessions(frr, cluster.nodes.length);
  });
});
