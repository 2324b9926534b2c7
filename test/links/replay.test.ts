// What somebody without the key can do with datagrams of speakers that were recorded on the LAN: send them again, or back. Nobody
// is kept alive by that, and nobody believes what was not said to him, and now.

import { expect, it } from 'vitest';
import type { Ip } from '../../src/net/address.ts';
import { answerers, type Cluster, cluster, nodeOf, publish, startAll, viewOf, wantedBy, watch } from './lan.ts';
import { datagrams } from './pair.ts';
import { type Host, ip } from './world.ts';

const SEEDS = [1, 2, 3, 4, 5, 6];
const TAKEN_OVER_MS = 1_200;
const EVERY_MS = 20;

function settled(seed: number): { self: Cluster; owner: Host; others: Host[] } {
  const self = cluster(seed);
  startAll(self);
  self.world.run(30_000);
  const owner = nodeOf(self, answerers(self)[0]);
  return { self, owner, others: self.nodes.filter((each) => each !== owner) };
}

const addressOf = (host: Host): Ip => host.ports[0]?.addresses[0]?.ip ?? ip('0.0.0.0');

const isBfd = (bytes: Uint8Array): boolean => (bytes[0] ?? 0) >> 5 === 1;

/** Each of them in turn gets one after the other, again and again, as if it came from `from`. */
function play(self: Cluster, from: Host, recorded: ReadonlyMap<Host, readonly Uint8Array[]>): void {
  const source = { address: addressOf(from), port: 7946 };
  let at = 0;
  const next = (): void => {
    for (const [to, all] of recorded) {
      const bytes = all[at % all.length];
      if (bytes === undefined) throw new Error('nothing was recorded');
      const way = { socket: 'speakers/ipv4', from: source, to: addressOf(to), link: 'eth0', ttl: 255 } as const;
      self.world.give(to, { on: 'datagram', ...way, bytes });
    }
    at++;
    self.world.after(EVERY_MS, next);
  };
  next();
}

const sentBy = (host: Host, to: Host) =>
  datagrams(host).flatMap((each) => (each.to.address === addressOf(to) ? [each.bytes] : []));

/** It is taken over from within its time, and nobody hears it again. */
function isDeadTo(self: Cluster, owner: Host, others: readonly Host[]): void {
  const { none, two } = watch(self, 2_000);
  expect([none <= TAKEN_OVER_MS, two]).toEqual([true, 0]);
  const heard = (host: Host) =>
    viewOf(self, host).lans[0]?.segment?.members.find(({ node }) => node === owner.name)?.heard;
  for (let second = 0; second < 20; second++) {
    self.world.run(1_000);
    expect(others.map(heard)).toEqual([false, false]);
  }
  expect(answerers(self).length).toBe(1);
}

it.each(SEEDS)(
  'seed %i: all that a dead owner said, played again from the beginning, keeps it alive for nobody',
  (seed) => {
    const { self, owner, others } = settled(seed);
    const recorded = new Map(others.map((other) => [other, sentBy(owner, other)]));
    for (const all of recorded.values()) expect(all.filter(isBfd).length).toBeGreaterThan(90);
    self.world.kill(owner, 'power');
    play(self, owner, recorded);
    const { none, two, last } = watch(self, 20_000);
    expect([none <= TAKEN_OVER_MS, two, last.length]).toEqual([true, 0, 1]);
  },
);

it.each(SEEDS)(
  'seed %i: what the others say to a dead owner, sent back to them in its name, keeps it alive for nobody',
  (seed) => {
    const { self, owner, others } = settled(seed);
    self.world.kill(owner, 'power');
    play(self, owner, new Map(others.map((other) => [other, sentBy(other, owner)])));
    const { none, two, last } = watch(self, 20_000);
    expect([none <= TAKEN_OVER_MS, two, last.length]).toEqual([true, 0, 1]);
  },
);

it.each(SEEDS)('seed %i: nor what it said before it had another address, and before it was started again', (seed) => {
  const { self, owner, others } = settled(seed);
  const [first, ...more] = owner.ports[0]?.addresses ?? [];
  if (first === undefined) throw new Error('no address');
  // the sessions with it are made anew, by the same processes
  self.world.change(owner, 'eth0', { addresses: [{ ...first, ip: ip('192.0.2.77') }, ...more] });
  publish(self);
  self.world.run(5_000);
  self.world.change(owner, 'eth0', { addresses: [first, ...more] });
  publish(self);
  self.world.run(5_000);
  self.world.kill(owner);
  self.world.run(3_000);
  self.world.start(owner, wantedBy(self, owner));
  self.world.run(5_000);
  const recorded = new Map(others.map((other) => [other, sentBy(owner, other)]));
  self.world.kill(owner, 'power');
  play(self, owner, recorded);
  isDeadTo(self, owner, others);
});
