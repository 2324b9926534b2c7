// The sessions that BGPPeers of a real cluster make, as the router at their other end sees them: on which nodes, as
// whom, with which password, and through a restart of a speaker.

import { expect, it } from 'vitest';
import { gateways, node } from '../interop/lab.ts';
import type { Manifest } from '../interop/manifests.ts';
import { throughout, until } from '../interop/process.ts';
import { untilPaths } from '../interop/router.ts';
import { SYSTEM } from './cluster.ts';
import { bgpAdvertisement, ipPool, speakerOn } from './fairway.ts';
import { ALL, onNode, SPEAKER_AS, tor, untilGateways, untilSessions, web } from './routing.ts';
import { clusterStories, useFairway, useRouter } from './stories.ts';

clusterStories('sessions of a cluster', ['FRR'], () => {
  const cluster = useFairway(2);
  const router = useRouter(cluster);

  it('carry the router ID that was configured', async () => {
    const seen = await router.start();
    await cluster.api.apply(
      tor({ ...onNode('n1'), routerID: '10.10.10.1' }, 'one'),
      tor({ ...onNode('n2'), routerID: '10.10.10.2' }, 'two'),
    );
    await untilSessions(seen, 2);
    for (const i of [1, 2]) {
      const shown = JSON.parse(await seen.vty(`show bgp neighbors ${node(i).ipv4} json`));
      expect(shown[node(i).ipv4].remoteRouterId).toBe(`10.10.10.${i}`);
    }
  });

  it('come over sessions with a password from a Secret', async () => {
    const peers = [1, 2].map((i) => ({
      ...{ address: node(i).ipv4, as: SPEAKER_AS, families: ['ipv4'] as const, password: 'correct-horse' },
    }));
    const seen = await router.start({ peers });
    const secret: Manifest = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'tor', namespace: SYSTEM, labels: { story: 'bgp' } },
      type: 'kubernetes.io/basic-auth',
      stringData: { username: '', password: 'correct-horse' },
    };
    await cluster.api.apply(
      secret,
      router.pool,
      bgpAdvertisement('main'),
      tor({ passwordSecret: { name: 'tor' } }),
      ...web('web'),
    );
    await untilSessions(seen, 2);
    await untilGateways(cluster, router.vip, ...ALL);
  });

  it.each([
    ['external', { dynamicASN: 'external' }, true],
    ['internal, which it is not', { dynamicASN: 'internal' }, false],
  ])('come over a session whose AS number is not told: %s', async (_, spec, comes) => {
    const seen = await router.start();
    await cluster.api.apply(...router.basics().filter(({ kind }) => kind !== 'BGPPeer'), ...web('web'));
    await cluster.api.apply(tor({ ...spec, peerASN: undefined }));
    if (comes) await untilSessions(seen, 2);
    else await throughout('no session', 3_000, async () => (await seen.state(node(1).ipv4)) !== 'Established');
  });

  it('show localASN in place of our own', async () => {
    const peers = [1, 2].map((i) => ({ address: node(i).ipv4, as: 65_000, families: ['ipv4'] as const }));
    const seen = await router.start({ peers });
    await cluster.api.apply(router.pool, bgpAdvertisement('main'), tor({ localASN: 65_000 }), ...web('web'));
    const paths = await untilPaths(seen, router.route, (found) => found.length === 2, 20_000);
    expect(paths.map(({ asPath }) => asPath)).toEqual(['65000', '65000']);
  });

  it('come from nodes with AS numbers of their own', async () => {
    const peers = [1, 2].map((i) => ({ address: node(i).ipv4, as: 65_000 + i, families: ['ipv4'] as const }));
    const seen = await router.start({ peers });
    const each = [1, 2].map((i) => tor({ ...onNode(`n${i}`), myASN: 65_000 + i }, `tor-${i}`));
    await cluster.api.apply(router.pool, bgpAdvertisement('main'), ...each, ...web('web'));
    const paths = await untilPaths(seen, router.route, (found) => found.length === 2, 20_000);
    expect(paths.map(({ asPath }) => asPath).sort()).toEqual(['65001', '65002']);
  });

  it('sessions exist only on nodes that the peer selects', async () => {
    const seen = await router.start();
    await cluster.api.apply(router.pool, bgpAdvertisement('main'), tor(onNode('n2')), ...web('web'));
    await untilGateways(cluster, router.vip, node(2).ipv4);
    expect(await seen.state(node(1).ipv4)).not.toBe('Established');
    await cluster.api.apply(tor(onNode('n1')));
    await untilGateways(cluster, router.vip, node(1).ipv4);
    await until('the session of the other is over', async () => (await seen.state(node(2).ipv4)) !== 'Established');
  });

  it('earlier ones stay while pools, peers and Services are added one by one', async () => {
    await router.start();
    await cluster.api.apply(bgpAdvertisement('main'));
    for (const i of [1, 2]) await cluster.api.apply(tor(onNode(`n${i}`), `tor-${i}`));
    for (const i of [1, 2, 3]) {
      const annotations = { 'metallb.io/address-pool': `pool-${i}` };
      await cluster.api.apply(
        ipPool(`pool-${i}`, [`203.0.113.${i}/32`]),
        ...web(`web${i}`, ['n1'], {}, { annotations }),
      );
      for (let earlier = 1; earlier <= i; earlier++) await untilGateways(cluster, `203.0.113.${earlier}`, ...ALL);
    }
  });

  it('what a router announces to us goes nowhere', async () => {
    const seen = await router.start({ announce: ['198.18.99.0/24'] });
    await cluster.api.apply(...router.basics(), ...web('web'));
    await untilGateways(cluster, router.vip, ...ALL);
    for (const place of ['n1', 'n2'] as const) expect(cluster.lab.kernelRoutes(place, '198.18.99.0/24')).toEqual([]);
    await untilSessions(seen, 2);
  });

  it('a peer that no link reaches is dialled all the same, as native MetalLB does', async () => {
    await cluster.api.apply(tor({ peerAddress: '203.0.113.200' }, 'far'));
    const state = await until('the speaker has the peer', async () => {
      const text = cluster.curl('n1', 'http://127.0.0.1:7472/api/v1/state');
      const peers: readonly { name: string; state: string }[] = JSON.parse(text).peers;
      return peers.find(({ name }) => name === 'far')?.state;
    });
    expect(['Connect', 'Active', 'Idle']).toContain(state);
  });

  it.each([
    ['with', true],
    ['without', false],
  ])('%s graceful restart: what the router does while a speaker is started again', async (_, graceful) => {
    const peers = [1, 2].map((i) => ({
      ...{ address: node(i).ipv4, as: SPEAKER_AS, families: ['ipv4', 'ipv6'] as const },
      ...(graceful && ({ gracefulRestart: true } as const)),
    }));
    const seen = await router.start({ peers });
    await cluster.api.apply(
      router.pool,
      bgpAdvertisement('main'),
      tor(graceful ? { enableGracefulRestart: true } : {}),
      ...web('web'),
    );
    await untilGateways(cluster, router.vip, ...ALL);
    const { metadata } = await speakerOn(cluster, 'n1');
    const daemon = cluster.kubelet.daemon(metadata.name);
    let lost = false;
    daemon.signal('SIGTERM');
    const isBack = async (): Promise<boolean> => {
      if (!gateways(cluster.lab, 'r', router.route).includes(node(1).ipv4)) lost = true;
      const again = cluster.kubelet.daemon(metadata.name);
      return again !== daemon && (await seen.neighbour(node(1).ipv4)).connectionsEstablished === 2;
    };
    await until('the session came up again', isBack, 30_000);
    await untilGateways(cluster, router.vip, ...ALL);
    expect(lost).toBe(!graceful);
  });
});
