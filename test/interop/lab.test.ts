// The lab itself, before our speaker is in it: every router is asked about one known neighbour, so that a story which
// fails later tells of our speaker and not of how a router's answer was read.

import { expect, it } from 'vitest';
import { startBird } from './bird.ts';
import { ROUTERS } from './every-router.ts';
import { gateways, node, ROUTER } from './lab.ts';
import { ROUTE } from './manifests.ts';
import { until } from './process.ts';
import { untilPaths, untilUp } from './router.ts';
import { stories, useLab } from './stories.ts';

stories('the lab', ['FRR', 'BIRD', 'GoBGP'], () => {
  const lab = useLab(1);

  it.each(ROUTERS)('reads from $kind what BIRD announces', async ({ kind, start }) => {
    const families = ['ipv4', 'ipv6'] as const;
    const router = await start(lab, {
      as: 64512,
      peers: families.map((family) => ({ address: node(1)[family], as: 64501, families: [family] })),
    });
    const marked = ['bgp_community.add((64512, 7));', 'bgp_large_community.add((64512, 1, 2));'].join(' ');
    await startBird(lab, {
      place: 'n1',
      as: 64501,
      routerId: node(1).ipv4,
      announce: Object.values(ROUTE),
      peers: families.map((family) => ({
        address: ROUTER[family],
        local: node(1)[family],
        as: 64512,
        families: [],
        extra: [
          `${family} { import none; export filter { if source != RTS_STATIC then reject; ${marked} accept; }; };`,
        ],
      })),
    });
    for (const family of families) {
      const neighbour = node(1)[family];
      await untilUp(router, neighbour);
      const paths = await untilPaths(router, ROUTE[family]);
      expect(paths).toHaveLength(1);
      expect(paths[0]).toMatchObject({
        from: neighbour,
        nextHop: neighbour,
        asPath: '64501',
        communities: ['64512:7'],
        largeCommunities: ['64512:1:2'],
        stale: false,
      });
      // GoBGP has no hand on the kernel; FRR goes by the link-local next hop where it has been given one
      if (kind !== 'GoBGP') {
        await until('the kernel has it', () => gateways(lab, 'r', ROUTE[family]).length === 1);
      }
    }
    await router.refresh(node(1).ipv4);
    await router.stop();
    await expect(router.state(node(1).ipv4)).rejects.toThrow();
  });
});
