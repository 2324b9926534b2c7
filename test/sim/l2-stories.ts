// The stories of the ownership rules: a LAN that has settled, something that happens to it, and what may follow at most.
// Called by l2.test.ts, which also tells them with single rules left out.

import type { Ip, Mac } from '../../src/net/address.ts';
import { type Chance, createChance } from './chance.ts';
import { Watch } from './l2-watch.ts';
import { LanWorld, type NodeModel } from './l2-world.ts';

export interface Telling {
  readonly seed: number;
  readonly world: LanWorld;
  readonly watch: Watch;
  readonly chance: Chance;
  /** When it happened. */
  at: number;
}

export interface Bounds {
  /** ms without an answer although somebody could, after the fact; and with two. */
  readonly gapMs: number;
  readonly overlapMs: number;
  /** Changes of owner, of all addresses together; absent: as many as it takes. */
  readonly moves?: number;
}

export interface Story extends Bounds {
  readonly name: string;
  readonly nodes?: number;
  readonly vips?: number;
  /** Before the speakers start. */
  readonly before?: (telling: Telling) => void;
  readonly happens: (telling: Telling) => void;
  /** Looked at when the story is over. */
  readonly after?: (telling: Telling) => void;
}

const SETTLED_MS = 4_000;

/** A LAN with its speakers, settled for a while; every address has one owner. */
export function settle(seed: number, nodes: number, vips: number, before: Story['before']): Telling {
  const chance = createChance(seed);
  const world = new LanWorld(chance, nodes, vips);
  const telling: Telling = { seed, world, watch: new Watch(world), chance, at: 0 };
  before?.(telling);
  for (const node of world.nodes) world.after(chance.next() * world.startWithinMs, () => world.start(node));
  world.runUntil(SETTLED_MS + chance.next() * 1_000);
  telling.at = world.now;
  telling.watch.moves = [];
  return telling;
}

export interface Outcome {
  readonly gapMs: number;
  readonly overlapMs: number;
  readonly moves: number;
  readonly telling: Telling;
}

export function tell(story: Story, seed: number, arrange?: (world: LanWorld) => void): Outcome {
  const nodes = story.nodes ?? 3 + (seed % 4);
  const telling = settle(seed, nodes, story.vips ?? 5, (each) => {
    story.before?.(each);
    arrange?.(each.world);
  });
  story.happens(telling);
  const { watch, at } = telling;
  watch.look();
  story.after?.(telling);
  return { gapMs: watch.worst('none', at), overlapMs: watch.worst('two', at), moves: watch.moves.length, telling };
}

/** The node that answers for the first address. */
export function ownerOf({ world }: Telling, ip: Ip = world.vips[0] as Ip): NodeModel {
  const owner = world.nodes.find((node) => node.answering.has(ip));
  if (owner === undefined) throw new Error(`nobody answers for ${ip} at ${world.now}`);
  return owner;
}

export function othersOf({ world }: Telling, node: NodeModel): readonly NodeModel[] {
  return world.nodes.filter((each) => each !== node);
}

/** Nodes in the order of the election for an address. */
export function orderOf({ world }: Telling, ip: Ip = world.vips[0] as Ip): readonly NodeModel[] {
  const wanted = world.wantedOf().find((each) => each.ip === ip);
  return (wanted?.candidates ?? []).flatMap(({ node }) => world.nodes.filter(({ name }) => name === node));
}

export function runFor({ world }: Telling, ms: number): void {
  world.runUntil(world.now + ms);
}

export function cut(world: LanWorld, from: NodeModel, to: NodeModel): void {
  world.cuts.add(`${from.name}>${to.name}`);
  world.fault();
}

function split(telling: Telling): void {
  const { world, chance } = telling;
  const owner = ownerOf(telling);
  for (const node of world.nodes) node.side = node === owner || chance.happens(0.5) ? 0 : 1;
  if (world.nodes.every(({ side }) => side === 0))
    for (const node of othersOf(telling, owner).slice(0, 1)) node.side = 1;
  world.fault();
}

/** Neither side knows of the other before the first frame. */
const HEAL_MS = 320;
/** Two claims that crossed on the wire: both saw the address fall vacant, the second before it heard of the first. */
const CROSSED_MS = 3;

const NOTHING: Bounds = { gapMs: 0, overlapMs: 0, moves: 0 };
/** What the issue of a dead owner may cost. */
export const DEATH: Bounds = { gapMs: 1_200, overlapMs: CROSSED_MS };

export const STORIES: readonly Story[] = [
  { name: 'cold start', ...NOTHING, happens: (t) => runFor(t, 1_000) },
  {
    name: 'the owner loses power',
    ...DEATH,
    happens: (t) => {
      t.world.kill(ownerOf(t), 'power');
      runFor(t, 5_000);
    },
  },
  {
    name: 'the speaker of the owner is killed',
    ...DEATH,
    happens: (t) => {
      t.world.kill(ownerOf(t), 'speaker');
      runFor(t, 5_000);
    },
  },
  {
    name: 'the owner loses power, 2 % of all frames are lost',
    ...DEATH,
    before: ({ world }) => {
      world.loss = 0.02;
    },
    happens: (t) => {
      t.world.kill(ownerOf(t), 'power');
      runFor(t, 5_000);
    },
  },
  {
    name: 'a second node dies during the take-over',
    gapMs: 1_600,
    overlapMs: CROSSED_MS,
    happens: (t) => {
      const owner = ownerOf(t);
      const next = orderOf(t).find((node) => node !== owner);
      t.world.kill(owner, 'power');
      runFor(t, t.chance.next() * 1_000);
      if (next !== undefined) t.world.kill(next, 'power');
      runFor(t, 5_000);
    },
  },
  {
    name: 'the API is gone when the owner dies',
    ...DEATH,
    happens: (t) => {
      for (const node of t.world.nodes) node.apiCut = true;
      t.world.kill(ownerOf(t), 'power');
      t.world.publish();
      runFor(t, 5_000);
    },
  },
  {
    name: 'the LAN splits and heals',
    gapMs: 1_200,
    overlapMs: HEAL_MS,
    happens: (t) => {
      split(t);
      runFor(t, 5_000 + t.chance.next() * 2_000);
      for (const node of t.world.nodes) node.side = 0;
      t.world.fault();
      runFor(t, 5_000);
    },
  },
  {
    name: 'the owner pauses for 400 ms',
    gapMs: 401,
    overlapMs: 0,
    moves: 0,
    happens: (t) => {
      t.world.pause(ownerOf(t), 400);
      runFor(t, 5_000);
    },
  },
  {
    name: 'the owner pauses for 2 s',
    gapMs: 1_200,
    overlapMs: 0,
    happens: (t) => {
      t.world.pause(ownerOf(t), 2_000);
      runFor(t, 6_000);
    },
  },
  {
    name: 'the owner pauses for 700 to 1,300 ms',
    gapMs: 1_350,
    overlapMs: 0,
    happens: (t) => {
      t.world.pause(ownerOf(t), 700 + t.chance.next() * 600);
      runFor(t, 6_000);
    },
  },
  {
    name: 'one direction is lost: one other no longer hears the owner',
    ...NOTHING,
    happens: (t) => {
      const owner = ownerOf(t);
      cut(t.world, owner, t.chance.pick(othersOf(t, owner)));
      runFor(t, 30_000);
    },
  },
  {
    name: 'one direction is lost: the owner no longer hears one other',
    ...NOTHING,
    happens: (t) => {
      const owner = ownerOf(t);
      cut(t.world, t.chance.pick(othersOf(t, owner)), owner);
      runFor(t, 30_000);
    },
  },
  {
    name: 'a pair is cut',
    ...NOTHING,
    happens: (t) => {
      const owner = ownerOf(t);
      const other = t.chance.pick(othersOf(t, owner));
      cut(t.world, owner, other);
      cut(t.world, other, owner);
      runFor(t, 30_000);
    },
  },
  {
    name: 'port 7946 is blocked at the owner, for ever',
    ...NOTHING,
    happens: (t) => {
      ownerOf(t).firewalled = true;
      t.world.fault();
      runFor(t, 60_000);
    },
    after: ({ world }) => {
      const said = world.reports.filter(({ report }) => report.report === 'l2-owner-still-answers');
      if (said.length === 0) throw new Error('nobody said that the owner still answers');
    },
  },
  {
    name: 'port 7946 is blocked at the owner, which then dies',
    ...DEATH,
    happens: (t) => {
      const owner = ownerOf(t);
      owner.firewalled = true;
      t.world.fault();
      runFor(t, 5_000);
      t.world.kill(owner, t.chance.pick(['speaker', 'power'] as const));
      runFor(t, 5_000);
    },
  },
  {
    name: 'another speaker restarts while port 7946 is blocked at the owner',
    ...NOTHING,
    happens: (t) => {
      const owner = ownerOf(t);
      owner.firewalled = true;
      t.world.fault();
      runFor(t, 3_000);
      const other = t.chance.pick(othersOf(t, owner).filter(({ answering }) => answering.size === 0));
      if (other === undefined) return;
      t.world.kill(other, 'speaker');
      runFor(t, 500);
      t.world.start(other);
      runFor(t, 20_000);
    },
    vips: 1,
  },
  {
    name: 'the cable of the owner is pulled, it can still tell',
    gapMs: 130,
    overlapMs: 0,
    before: ({ world }) => {
      world.otherPath = true;
    },
    happens: (t) => {
      t.world.setCarrier(ownerOf(t), false);
      runFor(t, 5_000);
    },
  },
  {
    name: 'the cable of the owner is pulled and plugged in again',
    gapMs: 1_200,
    overlapMs: 0,
    happens: (t) => {
      const owner = ownerOf(t);
      t.world.slowLearningMs = 500;
      t.world.setCarrier(owner, false);
      runFor(t, t.chance.next() * 4_000);
      t.world.setCarrier(owner, true);
      runFor(t, 8_000);
    },
  },
  {
    name: 'the link of the owner flaps',
    gapMs: 1_200,
    overlapMs: 0,
    happens: (t) => {
      const owner = ownerOf(t);
      for (let i = 0; i < 10; i++) {
        t.world.setCarrier(owner, i % 2 === 1);
        runFor(t, 50 + t.chance.next() * 400);
      }
      runFor(t, 5_000);
    },
  },
  {
    name: 'the gateway no longer answers the owner alone',
    gapMs: 20,
    overlapMs: 0,
    before: ({ world }) => {
      world.gateway = 'up';
    },
    happens: (t) => {
      const owner = ownerOf(t);
      t.world.gatewayCut.add(owner.name);
      runFor(t, 10_000);
      if (owner.answering.size > 0) throw new Error('the owner kept what it cannot serve');
      t.world.gatewayCut.clear();
      runFor(t, 10_000);
    },
  },
  {
    name: 'the gateway restarts: nobody is better off',
    ...NOTHING,
    before: ({ world }) => {
      world.gateway = 'up';
    },
    happens: (t) => {
      t.world.gateway = 'down';
      runFor(t, 30_000);
      t.world.gateway = 'up';
      runFor(t, 150_000);
    },
  },
  {
    name: 'the owner leaves',
    gapMs: 20,
    overlapMs: 0,
    happens: (t) => {
      t.world.give(ownerOf(t), { on: 'leave' });
      runFor(t, 6_000);
    },
    after: ({ world }) => {
      if (world.nodes.filter(({ running }) => !running).length !== 1) throw new Error('it did not leave');
    },
  },
  {
    name: 'rolling restart of all',
    gapMs: 20,
    overlapMs: 0,
    happens: (t) => {
      for (const node of t.world.nodes) {
        t.world.give(node, { on: 'leave' });
        runFor(t, 1_000 + t.chance.next() * 2_000);
        t.world.start(node);
        runFor(t, 4_000);
      }
    },
  },
  {
    name: 'the owner leaves, its successor has just died',
    ...DEATH,
    happens: (t) => {
      const owner = ownerOf(t);
      const next = orderOf(t).find((node) => node !== owner);
      if (next !== undefined) t.world.kill(next, 'power');
      runFor(t, t.chance.next() * 700);
      t.world.give(owner, { on: 'leave' });
      runFor(t, 6_000);
    },
  },
  {
    name: 'the owner is alive and cannot serve',
    gapMs: 20,
    overlapMs: 0,
    happens: (t) => {
      const owner = ownerOf(t);
      owner.serving = false;
      t.world.give(owner, { on: 'serving', ready: false });
      t.world.fault();
      runFor(t, 5_000);
      if (owner.answering.size > 0) throw new Error('it still answers');
      owner.serving = true;
      t.world.give(owner, { on: 'serving', ready: true });
      runFor(t, 20_000);
    },
  },
  {
    name: 'a speaker is killed and back at once',
    gapMs: 1_300,
    overlapMs: 0,
    happens: (t) => {
      const owner = ownerOf(t);
      t.world.kill(owner, 'speaker');
      runFor(t, 100 + t.chance.next() * 600);
      t.world.start(owner);
      runFor(t, 6_000);
    },
  },
  {
    name: 'a speaker restarts on a port that is blocked for 30 s',
    ...NOTHING,
    vips: 1,
    happens: (t) => {
      const owner = ownerOf(t);
      const other = t.chance.pick(othersOf(t, owner));
      t.world.kill(other, 'power');
      runFor(t, 5_000);
      other.portBlockedUntil = t.world.now + 30_000;
      t.world.start(other);
      runFor(t, 30_000);
      t.world.fault();
      runFor(t, 10_000);
    },
  },
  {
    name: 'a switch that answers ARP from its cache',
    ...DEATH,
    before: ({ world }) => {
      world.suppressArp = true;
    },
    happens: (t) => {
      t.world.kill(ownerOf(t), 'power');
      runFor(t, 5_000);
    },
  },
  {
    name: 'a switch that answers ARP from its cache, at a split',
    gapMs: 1_200,
    overlapMs: HEAL_MS,
    before: ({ world }) => {
      world.suppressArp = true;
    },
    happens: (t) => {
      split(t);
      runFor(t, 5_000);
      for (const node of t.world.nodes) node.side = 0;
      t.world.fault();
      runFor(t, 5_000);
    },
  },
  {
    name: 'a gateway that is a proxy',
    ...DEATH,
    before: ({ world }) => {
      world.gateway = 'up';
      world.proxy = true;
    },
    happens: (t) => {
      t.world.kill(ownerOf(t), 'power');
      runFor(t, 5_000);
    },
  },
  {
    name: 'nodes whose kernel answers for every VIP',
    // the dead owner's kernel answers: the speakers leave the address there
    gapMs: Number.POSITIVE_INFINITY,
    overlapMs: 0,
    moves: 0,
    before: ({ world }) => {
      for (const node of world.nodes) node.ipvs = true;
    },
    happens: (t) => {
      t.world.kill(ownerOf(t), 'speaker');
      runFor(t, 5_000);
    },
  },
  {
    name: 'forged announcements',
    ...NOTHING,
    happens: (t) => {
      const { world, chance } = t;
      for (let i = 0; i < 200; i++) {
        const mac = `66:66:66:00:00:0${chance.between(0, 9)}` as Mac;
        const event = {
          on: 'frame',
          ip: chance.pick(world.vips),
          mac,
          kind: chance.pick(['announcement', 'answer', 'request', 'probe'] as const),
        } as const;
        world.give(chance.pick(world.nodes), event);
        runFor(t, 100);
      }
    },
  },
  {
    name: '20 % of all frames are lost',
    ...NOTHING,
    before: ({ world }) => {
      world.loss = 0.2;
    },
    happens: (t) => runFor(t, 60_000),
  },
  {
    name: 'all are slow: 200 ms stalls',
    ...NOTHING,
    before: ({ world }) => {
      for (const node of world.nodes) node.stallMs = 1;
    },
    // fail-back is not due yet
    happens: (t) => runFor(t, 100_000),
  },
  {
    name: 'frames are late by up to 200 ms and out of order',
    ...NOTHING,
    before: ({ world }) => {
      world.extraDelayMs = 200;
    },
    happens: (t) => runFor(t, 100_000),
  },
  {
    name: 'two nodes, the owner dies and comes back',
    ...DEATH,
    nodes: 2,
    happens: (t) => {
      const owner = ownerOf(t);
      t.world.kill(owner, 'power');
      runFor(t, 5_000);
      t.world.start(owner);
      runFor(t, 10_000);
    },
  },
  {
    name: 'two nodes, one direction lost either way',
    gapMs: 0,
    overlapMs: 20,
    nodes: 2,
    happens: (t) => {
      const owner = ownerOf(t);
      const [other] = othersOf(t, owner);
      if (other === undefined) return;
      if (t.chance.happens(0.5)) cut(t.world, owner, other);
      else cut(t.world, other, owner);
      runFor(t, 20_000);
    },
    // the owner's answer to the question cannot arrive either: it may lose the address, to the one that hears it not
    after: ({ watch }) => {
      if (new Set(watch.moves.map(({ ip, to }) => `${ip} ${to}`)).size < watch.moves.length) {
        throw new Error('it moved to and fro');
      }
    },
  },
  {
    name: 'nine nodes, three die one after the other',
    gapMs: 1_200,
    overlapMs: 0,
    nodes: 9,
    happens: (t) => {
      for (let i = 0; i < 3; i++) {
        t.world.kill(ownerOf(t), 'power');
        runFor(t, 4_000);
      }
    },
  },
];
