// BFD between speakers goes on, by BFD's own packets and not only by statements, through what changes its keys: a restart of
// either side, an address that is another, and an exchange of the secret that each node hears of at its own time.

import { expect, it } from 'vitest';
import { type Cluster, cluster, publish, startAll, wantedBy } from './lan.ts';
import { type Host, ip } from './world.ts';

const USUAL_MS = 1_000;
const SEEDS = [1, 2, 3, 4];

/** The longest time that any of them has had no authentic BFD packet of another; OFF: never had one. */
function silence({ nodes, world }: Cluster): number {
  const running = nodes.filter(({ machine }) => machine !== undefined);
  const heard = running.flatMap(({ machine }) => {
    const sessions = [...(machine?.lans.get('eth0')?.stations.values() ?? [])].map(
      ({ session }) => session.lastHeardAt,
    );
    return sessions.length < running.length - 1 ? [Number.NEGATIVE_INFINITY] : sessions;
  });
  return world.now - Math.min(...heard);
}

function worst(self: Cluster, ms: number): number {
  let longest = 0;
  for (let at = 0; at < ms; at += 10) {
    self.world.run(10);
    longest = Math.max(longest, silence(self));
  }
  return longest;
}

function settled(seed: number): { self: Cluster; first: Host } {
  const self = cluster(seed);
  startAll(self);
  self.world.run(10_000);
  expect(silence(self)).toBeLessThan(400);
  const [first] = self.nodes;
  if (first === undefined) throw new Error('no node');
  return { self, first };
}

it.each(SEEDS)('seed %i: after a restart that nobody could notice, as after one that all did', (seed) => {
  const { self, first } = settled(seed);
  for (const away of [10, 5_000]) {
    self.world.kill(first);
    self.world.run(away);
    self.world.start(first, wantedBy(self, first));
    self.world.run(USUAL_MS);
    expect(silence(self)).toBeLessThan(400);
    self.world.run(5_000);
  }
});

it.each(SEEDS)('seed %i: with another address, and with the one before again', (seed) => {
  const { self, first } = settled(seed);
  const [own, ...more] = first.ports[0]?.addresses ?? [];
  if (own === undefined) throw new Error('no address');
  for (const address of [ip('192.0.2.77'), own.ip]) {
    self.world.change(first, 'eth0', { addresses: [{ ...own, ip: address }, ...more] });
    publish(self);
    self.world.run(2 * USUAL_MS);
    expect(silence(self)).toBeLessThan(400);
  }
});

it.each(SEEDS)('seed %i: without a gap while the secret is exchanged, a node every 10 s', (seed) => {
  const { self } = settled(seed);
  const give = (...secrets: readonly string[]): number[] =>
    self.nodes.map((node) => {
      self.world.want(node, wantedBy({ ...self, secrets }, node));
      return worst(self, 10_000);
    });
  // the one before is taken away when nobody signs with it any more
  const longest = [...give('second', 'first'), worst(self, 30_000), ...give('second')];
  expect(Math.max(...longest)).toBeLessThan(700);
});

it.each(SEEDS)('seed %i: after the port was blocked for so long that one of them forgot the others', (seed) => {
  const { self } = settled(seed);
  const open = self.nodes.map((node) => [node, [...node.sockets]] as const);
  for (const [node] of open) node.sockets.clear();
  self.world.run(660_000);
  for (const [node, sockets] of open) for (const [name, socket] of sockets) node.sockets.set(name, socket);
  self.world.run(15_000);
  expect(worst(self, 10_000)).toBeLessThan(400);
});
