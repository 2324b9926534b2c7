// What goes over a session and when: attributes, aggregation, withdrawals and changes without a flap. The oracle is the
// router's table, its own counters, and the kernel's routes.

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ROUTERS } from './every-router.ts';
import { type Frr, startFrr } from './frr.ts';
import { gateways, node, ROUTER } from './lab.ts';
import { advertisement, bgpPeer, cluster, endpoints, type Manifest, pool, ROUTE, service, VIP } from './manifests.ts';
import { throughout, until } from './process.ts';
import { untilGone, untilPaths, untilUp } from './router.ts';
import { startSpeaker } from './speaker.ts';
import { stories, useLab } from './stories.ts';
import { capture } from './wire.ts';

const INSIDE = join(import.meta.dirname, 'inside.ts');
const external = { myASN: 64501, peerASN: 64512, peerAddress: ROUTER.ipv4 };
const FROM_NODE = { address: node(1).ipv4, as: 64501, families: ['ipv4', 'ipv6'] } as const;
const DUAL = bgpPeer('tor', { ...external, dualStackAddressFamily: true });

/** How often the session came up since FRR began. */
async function flaps(router: Frr, neighbour: string): Promise<number> {
  return (await router.neighbour(neighbour)).connectionsEstablished ?? 0;
}

for (const { kind, start } of ROUTERS) {
  stories(`routes in the table of ${kind}`, [kind], () => {
    const lab = useLab(1);

    it('carry standard and large communities, by value and by alias', async () => {
      const router = await start(lab, { as: 64512, peers: [FROM_NODE] });
      const alias: Manifest = {
        apiVersion: 'metallb.io/v1beta1',
        kind: 'Community',
        metadata: { name: 'named', namespace: 'metallb-system' },
        spec: { communities: [{ name: 'backbone', value: '64512:99' }] },
      };
      const communities = ['64512:1', 'backbone', 'large:4200000000:1:2', 'large:64512:7:4294967295'];
      startSpeaker(lab, 'n1', [...cluster([VIP.ipv4, VIP.ipv6]), alias, advertisement({ communities }), DUAL]);
      for (const prefix of Object.values(ROUTE)) {
        const paths = await untilPaths(router, prefix, undefined, 20_000);
        expect(paths).toMatchObject([
          { communities: ['64512:1', '64512:99'], largeCommunities: ['4200000000:1:2', '64512:7:4294967295'] },
        ]);
      }
    });

    it('carry the local preference inside one AS', async () => {
      const router = await start(lab, { as: 64512, peers: [{ ...FROM_NODE, as: 64512 }] });
      const peer = bgpPeer('tor', { ...external, myASN: 64512 });
      startSpeaker(lab, 'n1', [...cluster(), advertisement({ localPref: 250 }), peer]);
      expect(await untilPaths(router, ROUTE.ipv4, undefined, 20_000)).toMatchObject([{ localPref: 250 }]);
    });

    it('are aggregated as the advertisement says', async () => {
      const router = await start(lab, { as: 64512, peers: [FROM_NODE] });
      const spec = { aggregationLength: 24, aggregationLengthV6: 64 };
      startSpeaker(lab, 'n1', [...cluster([VIP.ipv4, VIP.ipv6]), advertisement(spec), DUAL]);
      await untilPaths(router, '203.0.113.0/24', undefined, 20_000);
      await untilPaths(router, '2001:db8:f::/64');
      // asked for the exact prefix, a router answers with nothing or with the aggregate
      for (const prefix of Object.values(ROUTE)) {
        const exact = kind === 'FRR' ? await router.paths(prefix) : [];
        expect(exact).toEqual([]);
      }
    });

    it('go when the last endpoint goes, and come back with it', async () => {
      const router = await start(lab, { as: 64512, peers: [FROM_NODE] });
      const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external)]);
      await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
      speaker.apply(endpoints([]));
      await untilGone(router, ROUTE.ipv4, 3_000);
      speaker.apply(endpoints(['n2']));
      await untilPaths(router, ROUTE.ipv4);
      // with the Local policy only this node's own endpoints count
      speaker.apply(service('web', [VIP.ipv4], { externalTrafficPolicy: 'Local' }));
      await untilGone(router, ROUTE.ipv4, 3_000);
      speaker.apply(endpoints(['n1', 'n2']));
      await untilPaths(router, ROUTE.ipv4);
      speaker.remove(service());
      await untilGone(router, ROUTE.ipv4, 3_000);
      expect((await speaker.peer('tor')).state).toBe('Established');
    });

    // GoBGP keeps what it heard and never asks
    if (kind !== 'GoBGP')
      it('are sent again when the router asks for them', async () => {
        const router = await start(lab, { as: 64512, peers: [FROM_NODE] });
        const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external)]);
        await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
        const before = (await speaker.peer('tor')).counters.sent['update'] ?? 0;
        await router.refresh(node(1).ipv4);
        await until('more UPDATEs', async () => ((await speaker.peer('tor')).counters.sent['update'] ?? 0) > before);
        expect(await untilPaths(router, ROUTE.ipv4)).toHaveLength(1);
        await throughout('the session stays', 500, async () => (await router.state(node(1).ipv4)) === 'Established');
      });
  });
}

stories('changes that FRR sees', ['FRR', 'tcpdump'], () => {
  const lab = useLab(2);

  it('a route refresh is answered on the wire, once for each', async () => {
    const router = await startFrr(lab, { as: 64512, peers: [FROM_NODE] });
    startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external)]);
    await untilPaths(router, ROUTE.ipv4);
    const stats = async () => (await router.neighbour(node(1).ipv4)).messageStats ?? {};
    const before = await stats();
    const wire = await capture(lab, 'r');
    await router.refresh(node(1).ipv4);
    await until('FRR counts it', async () => (await stats())['updatesRecv'] !== before['updatesRecv']);
    const packets = await wire.stop();
    expect(packets.filter(({ text }) => /Route Refresh Message/.test(text)).length).toBeGreaterThan(0);
    const answers = packets.filter(({ from, text }) => from.startsWith(node(1).ipv4) && /Update Message/.test(text));
    expect(answers.filter(({ text }) => text.includes(ROUTE.ipv4))).toHaveLength(1);
    expect(await flaps(router, node(1).ipv4)).toBe(1);
  });

  it('a changed community is sent again without a flap', async () => {
    const router = await startFrr(lab, { as: 64512, peers: [FROM_NODE] });
    const objects = [...cluster(), advertisement({ communities: ['64512:1'] }), bgpPeer('tor', external)];
    const speaker = startSpeaker(lab, 'n1', objects);
    await untilPaths(router, ROUTE.ipv4, ([path]) => path?.communities.join() === '64512:1');
    speaker.apply(advertisement({ communities: ['64512:2', '64512:3'] }));
    await untilPaths(router, ROUTE.ipv4, ([path]) => path?.communities.join() === '64512:2,64512:3');
    // the timers of the next session are no reason to end this one
    speaker.apply(bgpPeer('tor', { ...external, holdTime: '30s', keepaliveTime: '10s' }));
    speaker.apply(advertisement({ communities: ['64512:4'] }));
    await untilPaths(router, ROUTE.ipv4, ([path]) => path?.communities.join() === '64512:4');
    expect(await flaps(router, node(1).ipv4)).toBe(1);
  });

  it('a changed AS resets that peer and no other', async () => {
    const router = await startFrr(lab, {
      as: 64512,
      peers: [
        { address: node(1).ipv4, as: 64501, families: ['ipv4'] },
        { address: node(1).ipv6, as: 64501, families: ['ipv6'] },
      ],
    });
    const other = bgpPeer('other', { ...external, peerAddress: ROUTER.ipv6 });
    const objects = [...cluster([VIP.ipv4, VIP.ipv6]), bgpPeer('tor', external), other];
    const speaker = startSpeaker(lab, 'n1', objects);
    await untilPaths(router, ROUTE.ipv4);
    await untilPaths(router, ROUTE.ipv6);
    const wire = await capture(lab, 'r');
    speaker.apply(bgpPeer('tor', { ...external, myASN: 64777 }));
    await until('the session is reset', async () => (await router.state(node(1).ipv4)) !== 'Established');
    await router.configure('router bgp 64512', `neighbor ${node(1).ipv4} remote-as 64777`);
    await untilPaths(router, ROUTE.ipv4, ([path]) => path?.asPath === '64777', 20_000);
    expect(await flaps(router, node(1).ipv6)).toBe(1);
    expect(await router.paths(ROUTE.ipv6)).toMatchObject([{ asPath: '64501' }]);
    // RFC 4486: Other Configuration Change
    const farewell = (await wire.stop()).filter(({ text }) => /Notification Message/.test(text));
    expect(farewell[0]?.text).toMatch(/Cease \(6\), subcode Other Configuration Change \(6\)/);
  });

  it('a removed peer is told so, a new one is dialled', async () => {
    const router = await startFrr(lab, { as: 64512, peers: [FROM_NODE] });
    const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external)]);
    await untilPaths(router, ROUTE.ipv4);
    speaker.remove(bgpPeer('tor', external));
    await untilGone(router, ROUTE.ipv4);
    const { lastNotificationReason } = await router.neighbour(node(1).ipv4);
    // RFC 4486
    expect(lastNotificationReason).toBe('Cease/Peer De-configured');
    speaker.apply(bgpPeer('again', external));
    await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
  });

  it('a configuration that is wrong changes nothing', async () => {
    const router = await startFrr(lab, { as: 64512, peers: [FROM_NODE] });
    const speaker = startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', external)]);
    await untilPaths(router, ROUTE.ipv4);
    speaker.apply(pool(['203.0.113.0/24', '203.0.113.7-203.0.113.1']));
    await until('the reason is shown', async () => /203\.0\.113\.7/.test(await speaker.get('/api/v1/state')));
    await throughout('the route stays', 1_000, async () => (await router.paths(ROUTE.ipv4)).length === 1);
    expect(await flaps(router, node(1).ipv4)).toBe(1);
  });
});

stories('two speakers and one VIP, with FRR', ['FRR'], () => {
  const lab = useLab(2);

  it.each(['ipv4', 'ipv6'] as const)('share the connections of a client over %s', async (family) => {
    const router = await startFrr(lab, {
      as: 64512,
      peers: [1, 2].map((i) => ({ address: node(i)[family], as: 64500 + i, families: [family] })),
    });
    for (const i of [1, 2]) {
      lab.ip(`n${i}`, `addr add ${ROUTE[family]} dev lo`);
      lab.spawn(`http-n${i}`, `n${i}`, [process.execPath, INSIDE, 'serve', `n${i}`, '80']);
      const peer = bgpPeer('tor', { ...external, myASN: 64500 + i, peerAddress: ROUTER[family] });
      startSpeaker(lab, `n${i}`, [...cluster([VIP[family]]), peer]);
    }
    for (const i of [1, 2]) await untilUp(router, node(i)[family]);
    await until('two paths in the kernel', () => gateways(lab, 'r', ROUTE[family]).length === 2);
    const answers = JSON.parse(lab.run('c', [process.execPath, INSIDE, 'fetch', VIP[family], '80', '100']));
    expect(Object.keys(answers).sort()).toEqual(['n1', 'n2']);
    expect(answers.n1 + answers.n2).toBe(100);
    expect(Math.min(answers.n1, answers.n2)).toBeGreaterThan(10);
  });
});
