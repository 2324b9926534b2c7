// Which nodes announce a Service to routers behind a real cluster, and what becomes of that when nodes, pods and
// selectors change. The router is the oracle, and the events that users read.

import { expect, it } from 'vitest';
import { gateways, node } from '../interop/lab.ts';
import { throughout, until } from '../interop/process.ts';
import { untilGone, untilPaths } from '../interop/router.ts';
import { bgpAdvertisement, eventsOf, ipPool, untilAddresses } from './fairway.ts';
import {
  ALL,
  EXCLUDED,
  from,
  nodeObject,
  onNode,
  PLAIN_NODE,
  SPEAKER_AS,
  tor,
  untilGateways,
  untilSessions,
  web,
} from './routing.ts';
import { clusterStories, useFairway, useRouter } from './stories.ts';
import { loadBalancer, serve } from './workload.ts';

clusterStories('nodes that announce a Service', ['FRR'], () => {
  const cluster = useFairway(2);
  const router = useRouter(cluster);

  it.each([
    ['IPv4', { ipFamilies: ['IPv4'] }],
    ['IPv6', { ipFamilies: ['IPv6'] }],
    ['both families', { ipFamilyPolicy: 'RequireDualStack' }],
  ])('come from every node: %s', async (families, spec) => {
    const routes = [families === 'IPv6' ? [] : router.route, families === 'IPv4' ? [] : router.route6].flat();
    const seen = await router.start();
    await cluster.api.apply(...router.basics(), ...web('web', ['n1'], spec));
    for (const route of routes) {
      const paths = await untilPaths(seen, route, (found) => from(found).join() === ALL.join(), 20_000);
      expect(paths.every(({ asPath }) => asPath === `${SPEAKER_AS}`)).toBe(true);
    }
  });

  it('come with an event that names the node, once a change', async () => {
    await router.start();
    await cluster.api.apply(...router.basics(), ...web('web'));
    await untilGateways(cluster, router.vip, ...ALL);
    const [service] = web('web');
    if (service === undefined) throw new Error('a Service');
    const assigned = async () => (await eventsOf(cluster, service)).filter(({ reason }) => reason === 'nodeAssigned');
    await until('each node has told', async () => (await assigned()).length === 2);
    expect((await assigned()).map(({ message }) => message).sort()).toEqual(
      ['n1', 'n2'].map((name) => `announcing from node "${name}" with protocol "bgp"`),
    );
    expect(
      (await assigned()).every(({ source, type }) => source?.component === 'metallb-speaker' && type === 'Normal'),
    ).toBe(true);
    // an endpoint more changes nothing about who announces
    await cluster.api.apply(serve('web-3', 'n2'));
    await throughout('nobody says it twice', 1_500, async () =>
      (await assigned()).every(({ count = 1 }) => count === 1),
    );
  });

  it('leave a node whose network is unavailable, and come back', async () => {
    await router.start();
    await cluster.api.apply(...router.basics(), ...web('web'));
    await untilGateways(cluster, router.vip, ...ALL);
    await cluster.api.patchStatus(nodeObject('n2'), { conditions: [{ type: 'NetworkUnavailable', status: 'True' }] });
    await untilGateways(cluster, router.vip, node(1).ipv4);
    await cluster.api.patchStatus(nodeObject('n2'), PLAIN_NODE);
    await untilGateways(cluster, router.vip, ...ALL);
  });

  it('leave a node that is excluded from load balancing, and come back', async () => {
    await router.start();
    await cluster.api.apply(...router.basics(), ...web('web'));
    await untilGateways(cluster, router.vip, ...ALL);
    await cluster.api.patch(nodeObject('n1'), { metadata: { labels: { [EXCLUDED]: '' } } });
    await untilGateways(cluster, router.vip, node(2).ipv4);
    await cluster.api.patch(nodeObject('n1'), { metadata: { labels: { [EXCLUDED]: null } } });
    await untilGateways(cluster, router.vip, ...ALL);
  });

  it('leave a node whose Node object is deleted, excluded or not, and come back with it', async () => {
    await router.start();
    await cluster.api.apply(...router.basics(), ...web('web', ['n1']));
    await untilGateways(cluster, router.vip, ...ALL);
    const n1Alone = () => gateways(cluster.lab, 'r', router.route).join() === node(1).ipv4;
    for (const labels of [{ [EXCLUDED]: '' }, {}]) {
      await cluster.api.patch(nodeObject('n2'), { metadata: { labels } });
      if (EXCLUDED in labels) await untilGateways(cluster, router.vip, node(1).ipv4);
      await cluster.api.remove(nodeObject('n2'));
      await untilGateways(cluster, router.vip, node(1).ipv4);
      await throughout('only the other one announces', 2_000, n1Alone);
      await cluster.addNode('n2');
      await untilGateways(cluster, router.vip, ...ALL);
    }
  });

  it('stay on a node that is only cordoned', async () => {
    await router.start();
    await cluster.api.apply(...router.basics(), ...web('web'));
    await untilGateways(cluster, router.vip, ...ALL);
    await cluster.api.patch(nodeObject('n1'), { spec: { unschedulable: true } });
    await throughout('both announce', 1_500, () => gateways(cluster.lab, 'r', router.route).join() === ALL.join());
    await cluster.api.patch(nodeObject('n1'), { spec: { unschedulable: null } });
  });

  it('follow the pods where the policy is Local', async () => {
    await router.start();
    await cluster.api.apply(...router.basics(), ...web('web', ['n2'], { externalTrafficPolicy: 'Local' }));
    await untilGateways(cluster, router.vip, node(2).ipv4);
    await cluster.api.apply(serve('web-9', 'n1'));
    await untilGateways(cluster, router.vip, ...ALL);
  });

  it.each([
    ['a range', '203.0.113.40-203.0.113.42', '203.0.113.40'],
    ['a prefix', '203.0.113.40/30', '203.0.113.40'],
    ['a range of IPv6', '2001:db8:f::40-2001:db8:f::42', '2001:db8:f::40'],
  ])('lie in the pool: %s', async (_, addresses, wanted) => {
    const seen = await router.start();
    const ipFamilies = [wanted.includes(':') ? 'IPv6' : 'IPv4'];
    await cluster.api.apply(
      ipPool('own', [addresses]),
      bgpAdvertisement('main'),
      tor(),
      ...web('web', ['n1'], { ipFamilies }),
    );
    const prefix = `${wanted}/${wanted.includes(':') ? 128 : 32}`;
    await untilPaths(seen, prefix, (found) => from(found).join() === ALL.join(), 20_000);
  });

  it('of two Services come from the nodes that each advertisement selects', async () => {
    const seen = await router.start();
    await cluster.api.apply(
      ...[ipPool('one', ['203.0.113.1/32']), ipPool('two', ['203.0.113.2/32']), tor()],
      bgpAdvertisement('one', { ipAddressPools: ['one'], ...onNode('n1') }),
      bgpAdvertisement('two', { ipAddressPools: ['two'], ...onNode('n1', 'n2') }),
      ...web('a', ['n1'], {}, { annotations: { 'metallb.io/address-pool': 'one' } }),
      ...web('b', ['n1'], {}, { annotations: { 'metallb.io/address-pool': 'two' } }),
    );
    await untilGateways(cluster, '203.0.113.1', node(1).ipv4);
    await untilGateways(cluster, '203.0.113.2', ...ALL);
    await cluster.api.apply(bgpAdvertisement('one', { ipAddressPools: ['one'], ...onNode('n9') }));
    await untilGone(seen, '203.0.113.1/32');
    await untilGateways(cluster, '203.0.113.2', ...ALL);
  });

  it('begin when a node gets the label that the advertisement selects', async () => {
    const seen = await router.start();
    const racked = { nodeSelectors: [{ matchLabels: { rack: 'a' } }] };
    await cluster.api.apply(router.pool, bgpAdvertisement('main', racked), tor(), ...web('web'));
    await untilSessions(seen, 2);
    await untilAddresses(cluster, loadBalancer('web'), router.vip);
    await throughout('nobody announces', 500, async () => (await seen.paths(router.route)).length === 0);
    await cluster.api.patch(nodeObject('n2'), { metadata: { labels: { rack: 'a' } } });
    await untilGateways(cluster, router.vip, node(2).ipv4);
  });

  it('follow the selectors of Services, and labels that come to match them', async () => {
    const seen = await router.start();
    const selected = { serviceSelectors: [{ matchLabels: { tier: 'gold' } }, { matchLabels: { tier: 'silver' } }] };
    await cluster.api.apply(
      ...[router.pool, bgpAdvertisement('main', selected), tor()],
      ...web(
        'gold',
        ['n1'],
        {},
        { labels: { tier: 'gold' }, annotations: { 'metallb.io/loadBalancerIPs': router.address(1) } },
      ),
      ...web(
        'lead',
        ['n1'],
        {},
        { labels: { tier: 'lead' }, annotations: { 'metallb.io/loadBalancerIPs': router.address(2) } },
      ),
    );
    await untilPaths(seen, `${router.address(1)}/32`, undefined, 20_000);
    expect(await seen.paths(`${router.address(2)}/32`)).toEqual([]);
    await cluster.api.patch(loadBalancer('lead'), { metadata: { labels: { tier: 'silver' } } });
    await untilPaths(seen, `${router.address(2)}/32`);
    await cluster.api.apply(bgpAdvertisement('main', { serviceSelectors: [{ matchLabels: { tier: 'silver' } }] }));
    await untilGone(seen, `${router.address(1)}/32`);
  });
});
