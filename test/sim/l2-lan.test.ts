// What the LAN itself can do to an address: strangers, proxies, MetalLB beside us, a thousand addresses at once, a day of
// small losses, more speakers than can all watch each other, recorded datagrams played again.

import { describe, expect, it } from 'vitest';
import { dueAt, step } from '../../src/l2/owner.ts';
import { createSegment } from '../../src/l2/segment.ts';
import type { Statement } from '../../src/l2/statement.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { orderOf, othersOf, ownerOf, runFor, settle, type Telling } from './l2-stories.ts';
import type { NodeModel } from './l2-world.ts';

const STRANGER = '66:66:66:00:00:01' as Mac;
const NEW = '198.51.100.99' as Ip;

const reportsOf = ({ world }: Telling, name: string) =>
  world.reports.filter(({ report }) => report.report === name).map(({ report, at, node }) => ({ ...report, at, node }));

/** A Service gets an address that nobody served before; nothing of it is in any status. */
function assign(telling: Telling, established = false): void {
  const { world } = telling;
  world.vips.push(NEW);
  const addresses = world.wantedOf().map((wanted) => ({ ...wanted, established: established || wanted.ip !== NEW }));
  for (const node of world.nodes) world.give(node, { on: 'wanted', addresses });
}

describe('a newly assigned address', () => {
  it('is probed three times by the one whose turn it is, then claimed', () => {
    const telling = settle(1, 4, 1, undefined);
    const { world } = telling;
    const before = world.frames;
    assign(telling);
    runFor(telling, 390);
    expect(world.answerers(NEW, 0)).toEqual([]);
    runFor(telling, 100);
    expect(world.answerers(NEW, 0).map(({ name }) => name)).toEqual([orderOf(telling, NEW)[0]?.name]);
    // three probes and one announcement; the others may have begun before they knew whose turn it is
    expect(world.frames - before).toBeLessThanOrEqual(4 + 3);
  });

  it('that a stranger has is not claimed, said once with its MAC, and claimed when the stranger has gone', () => {
    const telling = settle(2, 3, 1, undefined);
    const { world } = telling;
    world.strangers.set(NEW, STRANGER);
    assign(telling);
    runFor(telling, 35_000);
    expect(world.answerers(NEW, 0)).toEqual([]);
    const said = reportsOf(telling, 'l2-stranger');
    expect(new Set(said.map(({ node }) => node)).size).toBe(said.length);
    expect(said[0]).toMatchObject({ ip: NEW, mac: STRANGER, claimed: false });
    world.strangers.delete(NEW);
    runFor(telling, 11_000);
    expect(world.answerers(NEW, 0).length).toBe(1);
  });

  it.each([
    ['where a warning was chosen', 'warn', false],
    ['where it was in status before', 'refuse', true],
  ] as const)('that a stranger has is claimed all the same %s', (_, conflict, established) => {
    const telling = settle(3, 3, 1, ({ world }) => {
      world.settings = { failbackMs: 120_000, conflict };
    });
    telling.world.strangers.set(NEW, STRANGER);
    assign(telling, established);
    runFor(telling, 2_000);
    expect(telling.world.answerers(NEW, 0).length).toBe(1);
    expect(reportsOf(telling, 'l2-stranger')[0]).toMatchObject({ ip: NEW, mac: STRANGER, claimed: true });
  });

  it('that a proxy answers for is claimed: it answers for addresses that nobody has, which is said once', () => {
    const telling = settle(4, 3, 1, ({ world }) => {
      world.gateway = 'up';
      world.proxy = true;
    });
    assign(telling);
    runFor(telling, 2_000);
    expect(telling.world.answerers(NEW, 0).length).toBe(1);
    expect(reportsOf(telling, 'l2-stranger')).toEqual([]);
    const proxies = reportsOf(telling, 'l2-proxy');
    expect(proxies.length).toBeGreaterThan(0);
    expect(new Set(proxies.map(({ node }) => node)).size).toBe(proxies.length);
  });

  it('that the kernels of our nodes answer for (IPVS) is claimed', () => {
    const telling = settle(5, 3, 1, ({ world }) => {
      for (const node of world.nodes) node.ipvs = true;
    });
    assign(telling);
    runFor(telling, 2_000);
    expect(telling.world.answerers(NEW, 0).length).toBe(1);
    expect(reportsOf(telling, 'l2-stranger')).toEqual([]);
  });

  it('that another host only probes for is claimed', () => {
    const telling = settle(6, 3, 1, undefined);
    assign(telling);
    for (const node of telling.world.nodes) telling.world.give(node, { on: 'frame', mac: STRANGER, kind: 'probe' });
    runFor(telling, 600);
    expect(telling.world.answerers(NEW, 0).length).toBe(1);
  });
});

function forgedMac(i: number): Mac {
  const hex = (octet: number) => (octet & 255).toString(16).padStart(2, '0');
  return `66:66:66:00:${hex(i >> 8)}:${hex(i)}` as Mac;
}

/** Somebody says, as the i-th MAC, that the first address is there. */
function forge({ world }: Telling, owner: NodeModel, i: number): void {
  world.give(owner, { on: 'frame', ip: world.vips[0] as Ip, mac: forgedMac(i), kind: 'announcement' });
}

describe('a stranger with an address that we own', () => {
  it('is told of and defended against once in ten seconds, and never given way to', () => {
    const telling = settle(7, 3, 1, undefined);
    const { world } = telling;
    const owner = ownerOf(telling);
    const [vip] = world.vips;
    if (vip === undefined) throw new Error('nothing to own');
    const before = world.frames;
    for (let i = 0; i < 600; i++) {
      world.give(owner, { on: 'frame', ip: vip, mac: STRANGER, kind: 'announcement' });
      runFor(telling, 100);
    }
    const defences = reportsOf(telling, 'l2-stranger');
    expect(defences.length).toBeGreaterThanOrEqual(5);
    expect(defences.length).toBeLessThanOrEqual(7);
    expect(defences[0]).toMatchObject({ mac: STRANGER, claimed: true });
    expect(ownerOf(telling)).toBe(owner);
    // questions about control addresses and nodes once a minute, one announcement a defence
    expect(world.frames - before).toBeLessThan(30);
  });

  it('with ever new MACs costs bounded memory', () => {
    const telling = settle(8, 3, 1, undefined);
    const owner = ownerOf(telling);
    for (let i = 0; i < 5_000; i++) {
      forge(telling, owner, i);
      runFor(telling, 1);
    }
    expect(owner.segment.suspects.size).toBeLessThanOrEqual(256);
    expect(ownerOf(telling)).toBe(owner);
  });

  it('with ten thousand MACs costs a few rounds of questions, and is defended against all the same', () => {
    const telling = settle(8, 9, 1, undefined);
    const { world } = telling;
    const owner = ownerOf(telling);
    const [before, announcedBefore] = [world.frames, world.announcements];
    for (let i = 0; i < 10_000; i++) forge(telling, owner, i);
    // two controls and eight other nodes, once
    expect(world.frames - before).toBeLessThanOrEqual(10 + 1);
    for (let i = 10_000; i < 20_000; i++) {
      forge(telling, owner, i);
      runFor(telling, 1);
    }
    // a round or two before the table is full, a defence in ten seconds
    expect(world.frames - before).toBeLessThanOrEqual(3 * 10 + 2);
    expect(world.announcements - announcedBefore).toBeGreaterThan(0);
    expect(reportsOf(telling, 'l2-stranger').length).toBeGreaterThan(0);
    expect(ownerOf(telling)).toBe(owner);
    // when the verdicts have run out, a proxy is told from a stranger again
    runFor(telling, 61_000);
    const mac = '66:66:66:66:66:66' as Mac;
    const [vip] = world.vips;
    if (vip === undefined) throw new Error('nothing to own');
    world.give(owner, { on: 'frame', ip: vip, mac, kind: 'announcement' });
    for (const ip of world.wantedOf()[0]?.controls ?? []) world.give(owner, { on: 'frame', ip, mac, kind: 'answer' });
    runFor(telling, 400);
    expect(reportsOf(telling, 'l2-proxy')).toMatchObject([{ mac, node: owner.name }]);
  });

  it('that comes while others are asked about is asked about in the next round, and judged by its own answers', () => {
    const telling = settle(8, 3, 1, undefined);
    const { world } = telling;
    const owner = ownerOf(telling);
    forge(telling, owner, 1);
    runFor(telling, 250);
    const before = world.frames;
    forge(telling, owner, 2);
    runFor(telling, 40);
    expect(world.frames - before).toBe(0);
    runFor(telling, 60);
    expect(owner.segment.suspects.get(forgedMac(1))?.is).toBe('stranger');
    expect(owner.segment.suspects.get(forgedMac(2))?.is).toBe('checked');
    // two controls and two nodes; a defence
    expect(world.frames - before).toBe(4 + 1);
    for (const ip of world.wantedOf()[0]?.controls ?? []) {
      world.give(owner, { on: 'frame', ip, mac: forgedMac(2), kind: 'answer' });
    }
    runFor(telling, 300);
    expect(owner.segment.suspects.get(forgedMac(2))?.is).toBe('proxy');
  });

  it('is none when it is our second interface', () => {
    const telling = settle(9, 3, 1, undefined);
    const { world } = telling;
    const owner = ownerOf(telling);
    const second = '02:00:00:00:01:00' as Mac;
    world.give(owner, { on: 'link', facts: { ...world.facts(owner), macs: [owner.mac, second] } });
    world.give(owner, { on: 'frame', ip: world.vips[0] as Ip, mac: second, kind: 'announcement' });
    runFor(telling, 2_000);
    expect(reportsOf(telling, 'l2-stranger')).toEqual([]);
    expect(owner.segment.suspects.size).toBe(0);
  });
});

describe('beside the speakers of MetalLB', () => {
  it('replaced one by one, either way: never two of ours, never one of ours against one of theirs for long', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const telling = settle(seed, 3, 4, ({ world }) => {
        for (const node of world.nodes) node.metallb = true;
      });
      const { world, watch } = telling;
      for (const metallb of [false, true]) {
        for (const node of world.nodes) {
          world.kill(node, 'speaker');
          world.publish();
          runFor(telling, 1_500);
          node.metallb = metallb;
          world.start(node);
          world.publish();
          runFor(telling, 4_000);
          // theirs answers wherever one of them runs
          for (const ip of world.vips) {
            const theirs = world.metallbOwner(ip);
            expect(world.answerers(ip, 0).length, `seed ${seed}`).toBe(1);
            if (theirs !== undefined) expect(world.answerers(ip, 0)[0]?.name).toBe(theirs.name);
          }
        }
      }
      // until the API has told us of the first of theirs
      expect(watch.worst('two', telling.at), `seed ${seed}`).toBeLessThanOrEqual(60);
    }
  });
});

describe('a thousand addresses on a dead node', () => {
  it('cost at most 1,500 frames besides the announcements, and the last is taken within 1.2 s', () => {
    const telling = settle(11, 5, 0, undefined);
    const { world, watch } = telling;
    const victim = world.nodes[0];
    if (victim === undefined) throw new Error('nobody');
    for (let i = 0; i < 1_000; i++) world.vips.push(`10.1.${i >> 8}.${i & 255}` as Ip);
    // all of them on one node, whose candidates are all
    const owned = world.wantedOf().map((wanted) => {
      const rest = wanted.candidates.filter(({ node }) => node !== victim.name);
      return { ...wanted, established: true, candidates: [{ node: victim.name, score: 9 }, ...rest] };
    });
    for (const node of world.nodes) world.give(node, { on: 'wanted', addresses: owned });
    runFor(telling, 30_000);
    expect(victim.answering.size).toBe(1_000);
    const before = { frames: world.frames, announcements: world.announcements };
    const at = world.now;
    world.kill(victim, 'power');
    runFor(telling, 5_000);
    expect(watch.worst('none', at)).toBeLessThanOrEqual(1_200);
    expect(watch.worst('two', at)).toBeLessThanOrEqual(3);
    const announcements = world.announcements - before.announcements;
    expect(announcements).toBeGreaterThanOrEqual(1_000);
    expect(announcements).toBeLessThanOrEqual(1_010);
    expect(world.frames - before.frames - announcements).toBeLessThanOrEqual(1_500);
  });
});

describe('a day', () => {
  it.each([
    [1, 3],
    [2, 5],
  ])('with 1 in 50 frames lost and stalls of 200 ms moves nothing (seed %d, %d nodes)', (seed, nodes) => {
    const telling = settle(seed, nodes, 2, ({ world }) => {
      world.loss = 0.02;
      world.settings = { failbackMs: Number.POSITIVE_INFINITY, conflict: 'refuse' };
    });
    const { world, watch } = telling;
    for (const node of world.nodes) node.stallMs = 1;
    for (let hour = 0; hour < 24; hour++) {
      runFor(telling, 3_600_000);
      world.reports.length = 0;
    }
    expect(watch.moves).toEqual([]);
    expect([watch.worst('none', telling.at), watch.worst('two', telling.at)]).toEqual([0, 0]);
  });
});

describe('more speakers than watch each other', () => {
  it('a death is told on at once: 70 nodes, each watched by 8', () => {
    const telling = settle(12, 70, 2, undefined);
    const { world, watch } = telling;
    const at = world.now;
    const owner = ownerOf(telling);
    world.kill(owner, 'power');
    runFor(telling, 4_000);
    expect(watch.worst('none', at)).toBeLessThanOrEqual(1_600);
    for (const ip of world.vips) expect(world.answerers(ip, 0).length).toBe(1);
    // and nobody is taken for dead who is only not watched
    watch.moves = [];
    runFor(telling, 30_000);
    expect(watch.moves).toEqual([]);
    expect(watch.worst('two', at)).toBeLessThanOrEqual(3);
  });
});

describe('recorded datagrams', () => {
  /** All that a node told since the beginning. */
  function recorded(seed: number) {
    const said: Statement[] = [];
    const telling = settle(seed, 3, 1, ({ world }) => {
      world.carry = (statement) => {
        said.push(statement);
        return [statement];
      };
    });
    return { telling, said };
  }

  it('played again to one who heard them are dropped, and keep nobody alive', () => {
    const { telling, said } = recorded(1);
    const { world, watch } = telling;
    const owner = ownerOf(telling);
    const words = said.filter(({ node }) => node === owner.name);
    const [other] = othersOf(telling, owner);
    if (other === undefined) throw new Error('nobody');
    world.kill(owner, 'power');
    for (let i = 0; i < 300; i++) {
      for (const node of othersOf(telling, owner)) {
        world.give(node, { on: 'told', statement: words[i % words.length] as Statement });
      }
      runFor(telling, 10);
    }
    expect(watch.worst('none', telling.at)).toBeLessThanOrEqual(1_200);
    expect(other.segment.drops['replayed']).toBeGreaterThan(250);
  });

  it('of a former incarnation are refused, unless they prove to have heard us just now', () => {
    const { telling, said } = recorded(2);
    const { world } = telling;
    const owner = ownerOf(telling);
    const old = said.filter(({ node }) => node === owner.name).at(-1) as Statement;
    const [other] = othersOf(telling, owner);
    if (other === undefined) throw new Error('nobody');
    world.kill(owner, 'speaker');
    runFor(telling, 2_000);
    world.start(owner);
    runFor(telling, 2_000);
    const known = () => other.segment.members.get(owner.station)?.incarnation;
    const incarnation = known();
    expect(incarnation).toBeGreaterThan(old.incarnation);
    world.give(other, { on: 'told', statement: { ...old, sequence: 1e6 } });
    expect(other.segment.drops['stale-incarnation']).toBe(1);
    expect(known()).toBe(incarnation);
    // a clock that was set back: the node has heard our latest words
    const { station, sequence } = other.segment;
    const proof = { station, incarnation: other.segment.incarnation, sequence, heard: true, gatewayOk: true };
    world.give(other, { on: 'told', statement: { ...old, incarnation: 7, sightings: [proof] } });
    expect(known()).toBe(7);
  });

  it('of one that a third has heard later words of are refused at the first contact', () => {
    const { telling, said } = recorded(3);
    const { world } = telling;
    const owner = ownerOf(telling);
    const words = said.filter(({ node }) => node === owner.name);
    const [third, fresh] = othersOf(telling, owner);
    if (third === undefined || fresh === undefined) throw new Error('nobody');
    world.kill(fresh, 'speaker');
    runFor(telling, 1_000);
    // it hears the third alone
    world.cuts.add(`${owner.name}>${fresh.name}`);
    world.start(fresh);
    runFor(telling, 1_500);
    world.give(fresh, { on: 'told', statement: words[3] as Statement });
    expect(fresh.segment.drops['replayed']).toBe(1);
    expect(fresh.segment.members.has(owner.station)).toBe(false);
  });

  it('of our own, come back, are none of anybody’s', () => {
    const { telling, said } = recorded(4);
    const owner = ownerOf(telling);
    const own = said.find(({ node }) => node === owner.name) as Statement;
    telling.world.give(owner, { on: 'told', statement: own });
    expect(owner.segment.drops['own']).toBe(1);
    expect(owner.segment.members.size).toBe(2);
  });

  it('over another path count for what they say, not as being heard here', () => {
    const segment = createSegment('node-x', 'eth0', 1, { failbackMs: 120_000, conflict: 'refuse' });
    const { said } = recorded(5);
    const [statement] = said;
    if (statement === undefined) throw new Error('nothing was said');
    const [next] = step(segment, { on: 'told', statement: { ...statement, here: false } }, { now: 0, random: 0 });
    expect(next.drops['unknown-station']).toBe(1);
    expect([next.members.size, next.receives]).toEqual([0, false]);
    expect(dueAt(next)).toBe(Number.POSITIVE_INFINITY);
  });
});
