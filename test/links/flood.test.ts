// Somebody without the key floods the speakers' port with what looks like statements: few signatures are checked for it, those
// who are known are heard as ever, and whoever is new is found all the same.

import { expect, it } from 'vitest';
import { answerers, cluster, nodeOf, startAll, viewOf, wantedBy, watch } from './lan.ts';
import type { Host } from './world.ts';
import { ip, type World } from './world.ts';

const EVERY_MS = 5;
const AT_ONCE = 100;
const JUNK = new Uint8Array(Buffer.concat([Buffer.from('FWL2\x01\x01', 'latin1'), Buffer.alloc(194, 0x5a)]));

/** 20,000 a second to each, in the name of nobody who is known. */
function flood(world: World, nodes: readonly Host[], until: number): void {
  const source = { address: ip('192.0.2.177'), port: 7946 };
  const way = { socket: 'speakers/ipv4', from: source, link: 'eth0', ttl: 255 } as const;
  const next = (): void => {
    for (const node of nodes) {
      const to = node.ports[0]?.addresses[0]?.ip;
      if (to === undefined || node.machine === undefined) continue;
      for (let count = 0; count < AT_ONCE; count++) world.give(node, { on: 'datagram', ...way, to, bytes: JUNK });
    }
    if (world.now < until) world.after(EVERY_MS, next);
  };
  next();
}

it('20,000 junk statements a second cost a hundred checks, and nobody is lost or takes anything', () => {
  const self = cluster(1);
  startAll(self);
  self.world.run(10_000);
  const [owner] = answerers(self);
  for (const node of self.nodes) node.reports = [];
  flood(self.world, self.nodes, self.world.now + 3_000);
  const { none, two, last } = watch(self, 4_000);
  expect([none, two, last]).toEqual([0, 0, [owner]]);
  for (const node of self.nodes) {
    expect(node.reports.filter(({ report }) => report === 'l2-member')).toEqual([]);
    const { digest = 0, 'too-many-strangers': unchecked = 0 } = viewOf(self, node).speakerDrops;
    expect(digest).toBeGreaterThan(0);
    expect(digest).toBeLessThanOrEqual(400);
    expect(unchecked).toBeGreaterThan(50_000);
  }
});

it('a speaker that is started under the flood is heard, and one that dies under it is replaced', () => {
  const self = cluster(2);
  startAll(self);
  self.world.run(10_000);
  const owner = nodeOf(self, answerers(self)[0]);
  const alive = self.nodes.filter((each) => each !== owner);
  flood(self.world, self.nodes, self.world.now + 8_000);
  self.world.kill(owner, 'power');
  const { none, two, last } = watch(self, 3_000);
  expect([none <= 1_200, two, last.length]).toEqual([true, 0, 1]);
  self.world.start(owner, wantedBy(self, owner));
  self.world.run(3_000);
  for (const node of alive)
    expect(viewOf(self, node).lans[0]?.segment?.members.find((each) => each.node === owner.name)?.heard).toBe(true);
});
