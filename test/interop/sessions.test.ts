// How a session comes up: external and internal, both families, one session for both, across a router, and AS numbers
// of every kind. What the story believes is what the router's own table says.

import { expect, it } from 'vitest';
import { startBird } from './bird.ts';
import { ROUTERS } from './every-router.ts';
import { startFrr } from './frr.ts';
import { CLIENT, gateways, node, ROUTER } from './lab.ts';
import { bgpPeer, cluster, ROUTE, VIP } from './manifests.ts';
import { until } from './process.ts';
import { untilPaths, untilUp } from './router.ts';
import { startSpeaker } from './speaker.ts';
import { stories, useLab } from './stories.ts';
import { capture } from './wire.ts';

const BOTH = ['ipv4', 'ipv6'] as const;

for (const { kind, start } of ROUTERS) {
  stories(`a session with ${kind}`, [kind], () => {
    const lab = useLab(1);

    it.each(BOTH)('is external over %s', async (family) => {
      const router = await start(lab, {
        as: 64512,
        peers: [{ address: node(1)[family], as: 64501, families: [family] }],
      });
      const peer = bgpPeer('tor', { myASN: 64501, peerASN: 64512, peerAddress: ROUTER[family] });
      const speaker = startSpeaker(lab, 'n1', [...cluster([VIP[family]]), peer]);
      await untilUp(router, node(1)[family]);
      const paths = await untilPaths(router, ROUTE[family]);
      expect(paths).toMatchObject([{ from: node(1)[family], nextHop: node(1)[family], asPath: '64501' }]);
      if (kind !== 'GoBGP') await until('the kernel has it', () => gateways(lab, 'r', ROUTE[family]).length === 1);
      const seen = await speaker.untilEstablished('tor');
      expect(seen.announced.map(({ prefix }) => prefix)).toEqual([ROUTE[family]]);
    });

    it('is internal, with an empty AS_PATH and the default local preference', async () => {
      const router = await start(lab, {
        as: 64512,
        peers: [{ address: node(1).ipv4, as: 64512, families: ['ipv4'] }],
      });
      const peer = bgpPeer('tor', { myASN: 64512, peerASN: 64512, peerAddress: ROUTER.ipv4 });
      startSpeaker(lab, 'n1', [...cluster(), peer]);
      const paths = await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
      expect(paths).toMatchObject([{ nextHop: node(1).ipv4, asPath: '', localPref: 100 }]);
    });

    it.each(BOTH)('carries both families over one %s connection', async (family) => {
      const router = await start(lab, {
        as: 64512,
        peers: [{ address: node(1)[family], as: 64501, families: BOTH }],
      });
      const spec = { myASN: 64501, peerASN: 64512, peerAddress: ROUTER[family], dualStackAddressFamily: true };
      startSpeaker(lab, 'n1', [...cluster([VIP.ipv4, VIP.ipv6]), bgpPeer('tor', spec)]);
      for (const each of BOTH) {
        const paths = await untilPaths(router, ROUTE[each], undefined, 20_000);
        expect(paths).toMatchObject([{ from: node(1)[family], nextHop: node(1)[each] }]);
      }
    });

    it('shows an AS number of four octets', async () => {
      const router = await start(lab, {
        as: 4_200_000_100,
        peers: [{ address: node(1).ipv4, as: 4_200_000_001, families: ['ipv4'] }],
      });
      const peer = bgpPeer('tor', { myASN: 4_200_000_001, peerASN: 4_200_000_100, peerAddress: ROUTER.ipv4 });
      startSpeaker(lab, 'n1', [...cluster(), peer]);
      const paths = await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
      expect(paths).toMatchObject([{ asPath: '4200000001' }]);
    });

    it('shows localASN in place of the real one, alone', async () => {
      const router = await start(lab, {
        as: 64512,
        peers: [{ address: node(1).ipv4, as: 64999, families: ['ipv4'] }],
      });
      const spec = { myASN: 64501, localASN: 64999, peerASN: 64512, peerAddress: ROUTER.ipv4 };
      startSpeaker(lab, 'n1', [...cluster(), bgpPeer('tor', spec)]);
      const paths = await untilPaths(router, ROUTE.ipv4, undefined, 20_000);
      expect(paths).toMatchObject([{ asPath: '64999' }]);
    });
  });
}

stories('a session with an old speaker', ['BIRD', 'tcpdump'], () => {
  const lab = useLab(1);

  it('uses AS_TRANS for an AS number that two octets cannot hold', async () => {
    const wire = await capture(lab, 'r');
    const router = await startBird(lab, {
      as: 64512,
      peers: [{ address: node(1).ipv4, as: 'external', families: ['ipv4'], old: true }],
    });
    const peer = bgpPeer('tor', { myASN: 4_200_000_001, peerASN: 64512, peerAddress: ROUTER.ipv4 });
    startSpeaker(lab, 'n1', [...cluster(), peer]);
    // RFC 6793 §4.2.2: 23456 in two octets on the wire, the real number in AS4_PATH, out of which BIRD restores it
    expect(await untilPaths(router, ROUTE.ipv4)).toMatchObject([{ asPath: '4200000001' }]);
    const update = (await wire.stop()).find(({ text }) => /Update Message/.test(text) && text.includes(ROUTE.ipv4));
    expect(update?.text).toMatch(/AS Path \(2\), length: 4, Flags [^:]*: 23456 /);
    expect(update?.text).toMatch(/AS4 Path \(17\), length: 6, Flags [^:]*: 4200000001 /);
  });

  it('needs nothing special for an AS number of two octets', async () => {
    const router = await startBird(lab, {
      as: 64512,
      peers: [{ address: node(1).ipv4, as: 64501, families: ['ipv4'], old: true }],
    });
    const peer = bgpPeer('tor', { myASN: 64501, peerASN: 64512, peerAddress: ROUTER.ipv4 });
    startSpeaker(lab, 'n1', [...cluster(), peer]);
    expect(await untilPaths(router, ROUTE.ipv4)).toMatchObject([{ asPath: '64501' }]);
  });
});

stories('a session whose AS is left open, with FRR', ['FRR'], () => {
  const lab = useLab(1);

  it.each([
    { dynamicASN: 'external', as: 64777, up: true },
    { dynamicASN: 'internal', as: 64501, up: true },
    { dynamicASN: 'internal', as: 64777, up: false },
    { dynamicASN: 'external', as: 64501, up: false },
  ])('dynamicASN $dynamicASN with a router of AS $as: up is $up', async ({ dynamicASN, as, up }) => {
    const router = await startFrr(lab, { as, peers: [{ address: node(1).ipv4, as: 64501, families: ['ipv4'] }] });
    const peer = bgpPeer('tor', { myASN: 64501, dynamicASN, peerAddress: ROUTER.ipv4 });
    const speaker = startSpeaker(lab, 'n1', [...cluster(), peer]);
    if (up) await untilPaths(router, ROUTE.ipv4);
    else {
      // RFC 4271 §6.2: the router is told Bad Peer AS
      const told = /received from neighbor 198\.51\.100\.11 2\/2 \(OPEN Message Error\/Bad Peer AS\)/;
      await until('the router was told', () => told.test(router.bgpd.log()));
      expect((await speaker.peer('tor')).state).not.toBe('Established');
      expect(await router.paths(ROUTE.ipv4)).toEqual([]);
    }
  });
});

stories('a session across a router, with FRR', ['FRR'], () => {
  const lab = useLab(1);

  it.each(BOTH)('comes up with ebgpMultiHop over %s', async (family) => {
    lab.ip('c', 'route replace 198.51.100.0/25 via 198.51.100.129', 'route replace 2001:db8:1::/64 via 2001:db8:2::1');
    const router = await startFrr(lab, {
      place: 'c',
      as: 64512,
      routerId: CLIENT.ipv4,
      peers: [{ address: node(1)[family], as: 64501, families: [family], multihop: 2 }],
    });
    const spec = { myASN: 64501, peerASN: 64512, peerAddress: CLIENT[family], ebgpMultiHop: true };
    startSpeaker(lab, 'n1', [...cluster([VIP[family]]), bgpPeer('tor', spec)]);
    expect(await untilPaths(router, ROUTE[family])).toMatchObject([{ nextHop: node(1)[family] }]);
    const hop = family === 'ipv4' ? '198.51.100.129' : '2001:db8:2::1';
    await until('its kernel goes by the router between', () => gateways(lab, 'c', ROUTE[family]).includes(hop));
    await untilUp(router, node(1)[family]);
  });
});
