// The lab itself, before our speaker is in it: every router is asked about one known neighbour, so that a story which
// fails later tells of our speaker and not of how a router's answer was read.

import { expect, it } from 'vitest';
import { startBird } from './bird.ts';
import { startFrr } from './frr.ts';
import { startGobgp } from './gobgp.ts';
import { gateways, node, ROUTER, stories, useLab } from './lab.ts';
import { until } from './process.ts';
import type { StartRouter } from './router.ts';

const routers: readonly (readonly [name: string, start: StartRouter])[] = [
  ['FRR', startFrr],
  ['BIRD', startBird],
  ['GoBGP', startGobgp],
];

stories('the lab', ['FRR', 'BIRD', 'GoBGP'], () => {
  const lab = useLab(1);
  it.each(routers)('reads from %s what BIRD announces', async (kind, start) => {
    const { ipv4, ipv6 } = node(1);
    const router = await start(lab, {
      as: 64512,
      peers: [
        { address: ipv4, as: 64501, families: ['ipv4'] },
        { address: ipv6, as: 64501, families: ['ipv6'] },
      ],
    });
    const marked = ['bgp_community.add((64512, 7));', 'bgp_large_community.add((64512, 1, 2));'].join(' ');
    await startBird(lab, {
      place: 'n1',
      as: 64501,
      routerId: ipv4,
      announce: ['203.0.113.10/32', '2001:db8:f::10/128'],
      peers: (['ipv4', 'ipv6'] as const).map((family) => ({
        address: ROUTER[family],
        local: node(1)[family],
        as: 64512,
        families: [],
        extra: [
          `${family} { import none; export filter { if source != RTS_STATIC then reject; ${marked} accept; }; };`,
        ],
      })),
    });
    for (const [neighbour, prefix] of [
      [ipv4, '203.0.113.10/32'],
      [ipv6, '2001:db8:f::10/128'],
    ] as const) {
      await until(
        `${kind} is up with ${neighbour}`,
        async () => (await router.state(neighbour)) === 'Established',
        20_000,
      );
      const [path] = await until(`${kind} has ${prefix}`, async () => {
        const paths = await router.paths(prefix);
        return paths.length > 0 && paths;
      });
      expect(path).toMatchObject({
        from: neighbour,
        nextHop: neighbour,
        asPath: '64501',
        communities: ['64512:7'],
        largeCommunities: ['64512:1:2'],
        stale: false,
      });
      if (kind !== 'GoBGP') {
        // FRR goes by the link-local next hop where it has been given one
        await until('the kernel has it', () => gateways(lab, 'r', prefix).length === 1);
      }
    }
    await router.refresh(ipv4);
    await router.stop();
    await expect(router.state(ipv4)).rejects.toThrow();
  });
});
