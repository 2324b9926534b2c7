// What routes to Services of a real cluster carry, and whom they are told to, as BGPAdvertisements say. The router is
// the oracle.

import { expect, it } from 'vitest';
import { node, ROUTER } from '../interop/lab.ts';
import type { Manifest } from '../interop/manifests.ts';
import { throughout, until } from '../interop/process.ts';
import { type RouterPath, untilGone, untilPaths } from '../interop/router.ts';
import { SYSTEM } from './cluster.ts';
import { bgpAdvertisement, eventsOf, ipPool } from './fairway.ts';
import { ALL, from, ROUTER_AS, SPEAKER_AS, tor, untilGateways, web } from './routing.ts';
import { clusterStories, useFairway, useRouter } from './stories.ts';
import { loadBalancer } from './workload.ts';

clusterStories('attributes of routes to Services', ['FRR'], () => {
  const cluster = useFairway(2);
  const router = useRouter(cluster);

  it('only the pool that an advertisement names carries its communities and local preference', async () => {
    const peers = [1, 2].map((i) => ({ address: node(i).ipv4, as: ROUTER_AS, families: ['ipv4'] as const }));
    const seen = await router.start({ peers });
    const alias: Manifest = {
      apiVersion: 'metallb.io/v1beta1',
      kind: 'Community',
      metadata: { name: 'named', namespace: SYSTEM },
      spec: { communities: [{ name: 'NO_ADVERTISE', value: '65535:65282' }] },
    };
    const marked = { communities: ['NO_ADVERTISE', '1234:5678', 'large:123:456:7890'], localPref: 50 };
    await cluster.api.apply(
      ...[alias, ipPool('marked', ['198.18.0.0/24'], {}, { marked: 'yes' }), ipPool('plain', [`${router.vip}/24`])],
      bgpAdvertisement('marked', { ...marked, ipAddressPoolSelectors: [{ matchLabels: { marked: 'yes' } }] }),
      bgpAdvertisement('plain', { ipAddressPools: ['plain'] }),
      tor({ myASN: ROUTER_AS }),
      ...web('one', ['n1'], {}, { annotations: { 'metallb.io/address-pool': 'marked' } }),
      ...web('two', ['n1'], {}, { annotations: { 'metallb.io/address-pool': 'plain' } }),
    );
    const [one] = await untilPaths(seen, '198.18.0.0/32', undefined, 20_000);
    expect(one).toMatchObject({ largeCommunities: ['123:456:7890'], localPref: 50 });
    // FRR prints well-known communities by name
    expect(one?.communities).toEqual(['1234:5678', 'noAdvertise']);
    const [two] = await untilPaths(seen, router.route);
    expect(two).toMatchObject({ communities: [], largeCommunities: [], localPref: 100 });
  });

  it('two advertisements of one prefix add up their communities', async () => {
    const seen = await router.start();
    const ads = [bgpAdvertisement('one', { communities: ['1:1'] }), bgpAdvertisement('two', { communities: ['2:2'] })];
    await cluster.api.apply(router.pool, ...ads, tor(), ...web('web'));
    const both = (paths: readonly RouterPath[]): boolean =>
      paths.length === 2 && paths.every(({ communities }) => communities.join() === '1:1,2:2');
    await untilPaths(seen, router.route, both, 20_000);
    await cluster.api.remove(bgpAdvertisement('one'));
    await untilPaths(seen, router.route, (paths) => paths.every(({ communities }) => communities.join() === '2:2'));
  });

  it('change with their advertisement, without a session that falls', async () => {
    const seen = await router.start();
    await cluster.api.apply(...router.basics(), ...web('web'));
    await untilPaths(seen, router.route, (paths) => paths.length === 2, 20_000);
    const drops = async () => (await seen.neighbour(node(1).ipv4)).connectionsEstablished;
    const before = await drops();
    await cluster.api.apply(bgpAdvertisement('main', { communities: ['64512:7'] }));
    await untilPaths(seen, router.route, (paths) => paths.every(({ communities }) => communities.join() === '64512:7'));
    await cluster.api.apply(bgpAdvertisement('main', { aggregationLength: 24 }));
    const [whole] = await untilPaths(seen, `${router.vip}/24`);
    expect(whole).toMatchObject({ communities: [] });
    await untilGateways(cluster, router.vip);
    expect(await drops()).toBe(before);
  });

  it('one aggregate serves several Services, and stays until the last one goes', async () => {
    const seen = await router.start();
    await cluster.api.apply(
      router.pool,
      bgpAdvertisement('main', { aggregationLength: 28 }),
      tor(),
      ...web('a'),
      ...web('b'),
    );
    await untilPaths(seen, `${router.vip}/28`, (paths) => paths.length === 2, 20_000);
    const announcers = async () =>
      (await eventsOf(cluster, loadBalancer('b'))).filter(({ reason }) => reason === 'nodeAssigned');
    await until('both nodes announce the other one too', async () => (await announcers()).length === 2);
    await cluster.api.remove(loadBalancer('a'));
    await throughout('it stays', 1_000, async () => (await seen.paths(`${router.vip}/28`)).length === 2);
    await cluster.api.remove(loadBalancer('b'));
    await untilGone(seen, `${router.vip}/28`);
  });

  it('go to the peers that the advertisement lists, and to all without a list', async () => {
    const peers = [1, 2].flatMap((i) => [
      { address: node(i).ipv4, as: SPEAKER_AS, families: ['ipv4'] as const },
      { address: node(i).ipv6, as: SPEAKER_AS, families: ['ipv4'] as const },
    ]);
    const seen = await router.start({ peers });
    const two = [tor({}, 'four'), tor({ peerAddress: ROUTER.ipv6 }, 'six')];
    await cluster.api.apply(router.pool, bgpAdvertisement('main', { peers: ['six'] }), ...two, ...web('web'));
    const are =
      (...wanted: readonly string[]) =>
      (paths: readonly RouterPath[]) =>
        from(paths).join() === [...wanted].sort().join();
    const six = [1, 2].map((i) => node(i).ipv6);
    await untilPaths(seen, router.route, are(...six), 20_000);
    await until('the other session is up, and silent', async () => (await seen.state(node(1).ipv4)) === 'Established');
    await throughout('only one is told', 500, async () => are(...six)(await seen.paths(router.route)));
    await cluster.api.apply(bgpAdvertisement('main', {}));
    await untilPaths(seen, router.route, are(...ALL, ...six));
    const marked = (communities: readonly string[]) => (peer: string) =>
      bgpAdvertisement(peer, { peers: [peer], communities });
    await cluster.api.remove(bgpAdvertisement('main'));
    await cluster.api.apply(marked(['4:4'])('four'), marked(['6:6'])('six'));
    const separate = (paths: readonly RouterPath[]): boolean =>
      paths.length === 4 &&
      paths.every((path) => path.communities.join() === (path.from.includes(':') ? '6:6' : '4:4'));
    await untilPaths(seen, router.route, separate);
  });
});
