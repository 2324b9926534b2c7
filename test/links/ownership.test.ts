// Who answers for an address on a LAN, with whole machines on simulated wires: BFD, statements in octets, ARP frames. The rules
// themselves are tested in test/sim; here is what lies between them and the world.

import { describe, expect, it } from 'vitest';
import type { LinksReport } from '../../src/links.ts';
import {
  answerers,
  asked,
  type Cluster,
  cluster,
  isServing,
  nodeOf,
  orderOf,
  publish,
  startAll,
  VIP,
  viewOf,
  wantedBy,
  watch,
} from './lan.ts';
import type { Host } from './world.ts';
import { ip, port } from './world.ts';

const told = (host: Host, report: LinksReport['report']) => host.reports.filter((each) => each.report === report);

/** Five seconds after the start, with the node that answers. */
function settled(seed: number, count = 3, prepare: (self: Cluster) => void = () => {}) {
  const self = cluster(seed, count);
  prepare(self);
  startAll(self);
  self.world.run(5_000);
  const [owner, ...more] = answerers(self);
  expect(more).toEqual([]);
  return { self, world: self.world, owner: nodeOf(self, owner) };
}

const othersOf = ({ nodes }: Cluster, node: Host) => nodes.filter((each) => each !== node);

describe('without liveness', () => {
  const alone = (seed = 1) => {
    const self = cluster(seed);
    self.liveness = false;
    startAll(self);
    self.world.run(10);
    return self;
  };

  it('the first candidate by the snapshot answers, and nobody says a word on the speakers’ port', () => {
    const self = alone();
    const [first] = orderOf(self);
    expect(answerers(self)).toEqual([first?.name]);
    expect(asked(self)).toEqual([first?.ports[0]?.mac]);
    self.world.run(10_000);
    expect(self.nodes.flatMap(({ sent }) => sent.filter(({ effect }) => effect.do.startsWith('udp')))).toEqual([]);
    const counted = { counters: { [VIP]: { requests: 1, responses: 1, gratuitous: 10 } }, paced: 0 };
    if (first !== undefined) expect(viewOf(self, first).lans[0]?.responder).toMatchObject(counted);
  });

  it('it follows the snapshot, leaves foreign addresses alone, and is silent when it leaves', () => {
    const self = alone();
    const [first, second] = orderOf(self);
    self.address = (each) => ({ ...each, candidates: each.candidates.slice(1) });
    publish(self);
    expect(answerers(self)).toEqual([second?.name]);
    expect(told(first ?? self.client, 'l2-answers').at(-1)).toMatchObject({ addresses: new Map([[VIP, []]]) });
    self.address = (each) => ({ ...each, foreign: true });
    publish(self);
    expect(answerers(self)).toEqual([]);
    self.address = (each) => each;
    publish(self);
    expect(answerers(self)).toEqual([first?.name]);
    if (first !== undefined) self.world.give(first, { on: 'leave' });
    expect(answerers(self)).toEqual([]);
    expect(told(first ?? self.client, 'left').length).toBe(1);
  });
});

describe('with liveness', () => {
  it('one of three answers, is heard by the others, and when it is killed another does within 1.2 s', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const { self, world, owner } = settled(seed);
      expect(asked(self)).toEqual([owner.ports[0]?.mac]);
      for (const node of self.nodes) {
        const lan = viewOf(self, node).lans[0];
        expect(lan?.segment?.members.map(({ heard }) => heard)).toEqual([true, true]);
        expect(lan?.speakers.map(({ state, authentication }) => [state, authentication])).toEqual([
          ['Up', 'meticulous-keyed-sha1'],
          ['Up', 'meticulous-keyed-sha1'],
        ]);
        expect(viewOf(self, node).speakerDrops).toEqual({});
      }
      world.kill(owner, seed % 2 === 0 ? 'power' : 'speaker');
      const { none, two, last } = watch(self, 3_000);
      expect(none, `seed ${seed}`).toBeLessThanOrEqual(1_200);
      expect([two, last.length]).toEqual([0, 1]);
      expect(asked(self).length).toBe(1);
    }
  });

  it('the one that was killed comes back, is heard at once, and takes nothing', () => {
    const { self, world, owner } = settled(1);
    world.kill(owner);
    world.run(3_000);
    const [second] = answerers(self);
    world.start(owner, wantedBy(self, owner));
    const { none, two, last } = watch(self, 5_000);
    expect([none, two, last]).toEqual([0, 0, [second]]);
    for (const node of self.nodes) {
      expect(viewOf(self, node).lans[0]?.speakers.map(({ state }) => state)).toEqual(['Up', 'Up']);
    }
  });

  it('the BFD between speakers keeps 300 ms × 3 while nobody answers it, to the address that was told', () => {
    const { self, world, owner } = settled(2);
    const [other] = othersOf(self, owner);
    if (other === undefined) throw new Error('nobody');
    world.kill(owner, 'power');
    other.sent.length = 0;
    world.run(3_000);
    const address = owner.ports[0]?.addresses[0]?.ip;
    const bfd = other.sent.filter(
      ({ effect }) => effect.do === 'udp-send' && effect.to.address === address && (effect.bytes[0] ?? 0) >> 5 === 1,
    );
    expect(bfd.length).toBeGreaterThanOrEqual(9);
    expect(bfd[0]?.effect).toMatchObject({
      to: { port: 7946 },
      link: 'eth0',
      source: other.ports[0]?.addresses[0]?.ip,
    });
  });

  it('leaving hands everything over: no hole, no double answer', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const { self, world, owner } = settled(seed);
      world.give(owner, { on: 'leave' });
      world.onReport = (host, { report }) => {
        if (report === 'left') world.kill(host);
      };
      const { none, two, last } = watch(self, 3_000);
      expect([none, two, last.length]).toEqual([expect.toSatisfy((ms: number) => ms <= 20), 0, 1]);
      expect(last).not.toEqual([owner.name]);
      expect(owner.machine).toBeUndefined();
      // to whom is told before that it is answered no more
      const end = owner.reports.filter((each) => /^l2-(released|answers)$/.test(each.report)).slice(-2);
      expect(end).toMatchObject([
        { report: 'l2-released', ip: VIP, because: 'handed-over', to: last[0] },
        { report: 'l2-answers', addresses: new Map([[VIP, []]]) },
      ]);
    }
  });

  it('a cable that is pulled is told by another way, and the address moves at once', () => {
    for (const routed of [true, false]) {
      const self = cluster(3, 3, (at) => [port('eth1', 'other', at + 33, `198.51.100.${at + 1}/24`)]);
      // by a router, or over another LAN that speakers share
      self.vips = routed ? [VIP] : [VIP, ip('198.51.100.100')];
      self.address = (each) => ({ ...each, interfaces: each.ip === VIP ? ['eth0'] : ['eth1'] });
      self.world.routed = routed;
      startAll(self);
      self.world.run(5_000);
      const owner = nodeOf(self, answerers(self)[0]);
      self.world.change(owner, 'eth0', { carrier: false });
      const { none, two, last } = watch(self, 3_000);
      expect(none).toBeLessThanOrEqual(150);
      expect([two, last.length]).toEqual([0, 1]);
      expect(last).not.toEqual([owner.name]);
    }
  });

  it('an interface that goes down, vanishes and comes back is left and served again', () => {
    const { self, world, owner } = settled(4);
    const eth0 = owner.ports[0];
    if (eth0 === undefined) throw new Error('no eth0');
    world.change(owner, 'eth0', { up: false });
    expect(told(owner, 'l2-released')).toMatchObject([{ ip: VIP, because: 'carrier-lost', segment: 'eth0' }]);
    expect(told(owner, 'l2-links').at(-1)).toMatchObject({ serving: [], known: ['eth0'] });
    expect(watch(self, 2_000).last.length).toBe(1);
    world.change(owner, 'eth0', undefined);
    world.run(11_000);
    expect(viewOf(self, owner).lans).toEqual([]);
    owner.ports = [{ ...eth0, index: 99 }];
    world.change(owner, 'eth0', {});
    world.run(3_000);
    expect(isServing(self, owner)).toBe(true);
    expect(viewOf(self, owner).lans[0]?.segment?.members.map(({ heard }) => heard)).toEqual([true, true]);
    const [now] = answerers(self);
    world.kill(nodeOf(self, now));
    expect(watch(self, 2_000).last.length).toBe(1);
  });

  it('an interface that appears later is served on its own', () => {
    const { self, world } = settled(5);
    for (const [at, node] of self.nodes.entries()) {
      node.ports = [...node.ports, port('eth1', 'second', at + 65, `203.0.113.${at + 1}/24`)];
      world.change(node, 'eth1', {});
    }
    world.run(5_000);
    expect(answerers(self, VIP, 'second').length).toBe(1);
    expect(answerers(self).length).toBe(1);
    const both = new Set([...answerers(self, VIP, 'second'), ...answerers(self)]);
    const views = self.nodes
      .filter(({ name }) => both.has(name))
      .flatMap((node) => viewOf(self, node).answers[VIP] ?? []);
    expect(views.sort()).toEqual(['eth0', 'eth1']);
  });

  it('both sides of a split serve, and healed one of them does', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const { self, world, owner } = settled(seed);
      const [b, c] = othersOf(self, owner);
      if (b === undefined || c === undefined) throw new Error('too few');
      world.side.set(b.name, 1);
      world.side.set(c.name, 1);
      world.run(2_500);
      expect(answerers(self).length).toBe(2);
      world.side.clear();
      const { none, two, last } = watch(self, 3_000);
      expect([none, last.length]).toEqual([0, 1]);
      expect(two).toBeLessThanOrEqual(450);
    }
  });

  it('loss of 2 % for three minutes moves nothing', () => {
    const { self, world } = settled(6);
    world.loss = 0.02;
    for (const node of self.nodes) node.reports = [];
    world.run(180_000);
    expect(self.nodes.flatMap((node) => [...told(node, 'l2-claimed'), ...told(node, 'l2-released')])).toEqual([]);
  });

  it('a speaker that was paused for two seconds is silent until it knows that nobody else answers', () => {
    const { self, world, owner } = settled(7);
    world.run(100);
    world.pause(owner, 2_000);
    // asked while it stands still: its kernel keeps that for it
    expect(asked(self)).toEqual([]);
    world.run(2_000);
    const macs = self.client.answered.flatMap((each) => (each.ip === VIP ? [each.mac] : []));
    expect(macs).not.toContain(owner.ports[0]?.mac);
    expect(asked(self).length).toBe(1);
    expect(answerers(self)).not.toEqual([owner.name]);
    expect(told(owner, 'l2-late').length).toBe(1);
  });

  it('a node that may not serve hands its addresses over and takes none', () => {
    const { self, owner } = settled(8);
    self.withLiveness = (wanted, host) => ({ ...wanted, serving: host !== owner });
    publish(self);
    const { none, two, last } = watch(self, 1_000);
    expect([none <= 20, two]).toEqual([true, 0]);
    expect(last).not.toEqual([owner.name]);
  });
});

describe('another secret', () => {
  it('may be the empty text: speakers understand each other, as anybody could', () => {
    const { self } = settled(11, 3, (each) => {
      each.secrets = [''];
    });
    for (const node of self.nodes) {
      expect(viewOf(self, node).lans[0]?.segment?.members.map(({ heard }) => heard)).toEqual([true, true]);
      expect(viewOf(self, node).lans[0]?.speakers.map(({ state }) => state)).toEqual(['Up', 'Up']);
    }
  });

  it('that is not there yet makes a speaker mute and deaf until it is', () => {
    const { self, world, owner } = settled(12);
    const [other] = othersOf(self, owner);
    if (other === undefined) throw new Error('nobody');
    world.kill(other);
    world.run(2_000);
    const withoutSecret = wantedBy(
      { ...self, secrets: [], withLiveness: (all) => ({ ...all, serving: false }) },
      other,
    );
    world.start(other, withoutSecret);
    other.sent.length = 0;
    world.run(3_000);
    expect(other.sent.filter(({ effect }) => effect.do === 'udp-send')).toEqual([]);
    expect(viewOf(self, other).lans[0]?.segment?.members).toEqual([]);
    world.want(other, wantedBy(self, other));
    world.run(1_500);
    expect(viewOf(self, other).lans[0]?.segment?.members.map(({ heard }) => heard)).toEqual([true, true]);
    expect(answerers(self)).toEqual([owner.name]);
  });

  it('takes over without a word lost, though the speakers hear of it one after another', () => {
    const { self, world, owner } = settled(9);
    for (const node of self.nodes) node.reports = [];
    for (const node of self.nodes) {
      world.want(node, wantedBy({ ...self, secrets: ['second', 'first'] }, node));
      world.run(4_000);
    }
    world.run(56_000);
    expect(self.nodes.flatMap((node) => told(node, 'l2-member'))).toEqual([]);
    self.secrets = ['second'];
    publish(self);
    world.run(10_000);
    expect(self.nodes.flatMap((node) => told(node, 'l2-member'))).toEqual([]);
    expect(self.nodes.map((node) => viewOf(self, node).speakerDrops)).toEqual([{}, {}, {}]);
    expect(answerers(self)).toEqual([owner.name]);
  });

  it('that a speaker alone has makes it deaf: it counts what it does not believe and takes nothing that is answered', () => {
    const { self, world, owner } = settled(10);
    const [other] = othersOf(self, owner);
    if (other === undefined) throw new Error('nobody');
    world.want(other, wantedBy({ ...self, secrets: ['wrong'] }, other));
    const { two, last } = watch(self, 10_000);
    expect([two, last]).toEqual([0, [owner.name]]);
    expect(viewOf(self, other).speakerDrops.digest).toBeGreaterThan(5);
    expect(told(other, 'l2-owner-still-answers').length).toBe(1);
  });
});
