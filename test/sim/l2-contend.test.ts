// Speakers that never heard each other, for UDP 7946 was blocked from the start, and an address that appears on all of them at
// once: simultaneous probes (RFC 5227 §2.1.1, RFC 4862 §5.4.3). Also who probes without end, and a proxy where pools are full.

import { describe, expect, it } from 'vitest';
import type { OwnerEvent } from '../../src/l2/event.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { othersOf, ownerOf, runFor, settle, type Telling } from './l2-stories.ts';
import { GATEWAY, type LanWorld, type Sabotage } from './l2-world.ts';

const SEEDS = 40;
const FAMILIES: readonly [family: string, ip: Ip][] = [
  ['IPv4', '198.51.100.99' as Ip],
  ['IPv6', '2001:db8::99' as Ip],
];
const LOWEST = '00:00:00:00:00:01' as Mac;
const HIGHEST = '66:66:66:00:00:01' as Mac;

const firewalled = ({ world }: Telling) => {
  for (const node of world.nodes) node.firewalled = true;
};

const reportsOf = ({ world }: Telling, name: string) =>
  world.reports.filter(({ report }) => report.report === name).map(({ report, node }) => ({ ...report, node }));

/** All nodes hear of new addresses within so long; none of them is in any status. */
function assign({ world, chance }: Telling, ips: readonly Ip[], withinMs = 0): void {
  world.vips.push(...ips);
  const addresses = world.wantedOf().map((wanted) => ({ ...wanted, established: !ips.includes(wanted.ip) }));
  for (const node of world.nodes) {
    world.after(chance.next() * withinMs, () => world.give(node, { on: 'wanted', addresses }));
  }
}

/** The longest time that two answered, over many seeds; throws where not one answers in the end. */
function worstOverlap(ip: Ip, arrange: (world: LanWorld) => void, withinMs = 300): number {
  let overlapMs = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const telling = settle(seed, 2 + (seed % 4), 0, firewalled);
    arrange(telling.world);
    assign(telling, [ip], telling.chance.next() * withinMs);
    runFor(telling, 5_000);
    telling.watch.look();
    if (telling.world.answerers(ip, 0).length === 0) throw new Error(`seed ${seed}: nobody answers`);
    overlapMs = Math.max(overlapMs, telling.watch.worst('two'));
  }
  return overlapMs;
}

describe.each(FAMILIES)(
  'an address of %s that appears where the port of the speakers was blocked from the start',
  (_, ip) => {
    it('is taken by one, the one with the lowest MAC where all begin at once', () => {
      expect(worstOverlap(ip, () => {})).toBe(0);
      const telling = settle(1, 3, 0, firewalled);
      assign(telling, [ip]);
      runFor(telling, 500);
      expect(telling.world.answerers(ip, 0).map(({ name }) => name)).toEqual(['node-a']);
      runFor(telling, 60_000);
      expect(telling.watch.worst('two')).toBe(0);
      // the others know whose it is
      expect(reportsOf(telling, 'l2-unheard-owner')).toMatchObject([
        { ip, mac: '02:00:00:00:00:10', claimed: false },
        { ip, mac: '02:00:00:00:00:10', claimed: false },
      ]);
    });

    it.each<[string, (world: LanWorld) => void]>([
      [
        'frames are lost, 2 of 100',
        (world) => {
          world.loss = 0.02;
        },
      ],
      [
        'frames are late by up to 50 ms',
        (world) => {
          world.extraDelayMs = 50;
        },
      ],
    ])('is taken by one though %s', (_name, arrange) => {
      expect(worstOverlap(ip, arrange)).toBeLessThan(150);
    });

    it('has two owners for ever if the probes of others count for nothing', () => {
      const deaf: Sabotage = (_node, event) => {
        if (event.on !== 'frame') return [event];
        const { probed: _probed, ...rest } = event;
        return [rest];
      };
      const arrange = (world: LanWorld) => {
        world.sabotage = deaf;
      };
      expect(worstOverlap(ip, arrange)).toBeGreaterThan(4_000);
    });
  },
);

describe('many addresses that appear at once there', () => {
  it('have one owner each', () => {
    const telling = settle(3, 3, 0, firewalled);
    const ips = Array.from({ length: 300 }, (_, i) => `10.2.${i >> 8}.${i & 255}` as Ip);
    assign(telling, ips, 100);
    runFor(telling, 15_000);
    for (const ip of ips) expect(telling.world.answerers(ip, 0).length, ip).toBe(1);
    expect(telling.watch.worst('two')).toBe(0);
  });
});

describe('who probes for a new address without end', () => {
  const ip = '198.51.100.99' as Ip;

  /** How long until it is answered. */
  function msUntilTaken(telling: Telling, macOf: (i: number) => Mac): number {
    const { world } = telling;
    assign(telling, [ip]);
    const began = world.now;
    for (let i = 0; world.answerers(ip, 0).length === 0 && i < 1_000; i++) {
      const probe: OwnerEvent = { on: 'frame', mac: macOf(i), kind: 'probe', probed: ip };
      for (const node of world.nodes) world.give(node, probe);
      runFor(telling, 20);
    }
    return world.now - began;
  }

  it('delays it by 4.5 s at most', () => {
    const took = msUntilTaken(settle(1, 3, 1, undefined), () => LOWEST);
    expect(took).toBeGreaterThan(1_000);
    expect(took).toBeLessThanOrEqual(4_500);
    const always = (i: number) => `00:00:00:00:${((i >> 8) & 255).toString(16).padStart(2, '0')}:01` as Mac;
    expect(msUntilTaken(settle(2, 3, 1, undefined), always)).toBeLessThanOrEqual(4_500);
  });

  it('with a higher MAC delays nothing, and costs a few frames', () => {
    const telling = settle(1, 3, 1, undefined);
    const before = telling.world.frames;
    expect(msUntilTaken(telling, () => HIGHEST)).toBeLessThanOrEqual(520);
    // of three nodes: three probes each at most, as many words to the other, an announcement
    expect(telling.world.frames - before).toBeLessThanOrEqual(3 * (3 + 5) + 1);
  });

  it('never takes one that is claimed', () => {
    const telling = settle(1, 3, 1, undefined);
    const { world } = telling;
    const owner = ownerOf(telling);
    const [vip] = world.vips;
    if (vip === undefined) throw new Error('nothing to own');
    const before = world.frames;
    for (let i = 0; i < 500; i++) {
      for (const node of world.nodes) world.give(node, { on: 'frame', mac: LOWEST, kind: 'probe', probed: vip });
      runFor(telling, 20);
    }
    expect(ownerOf(telling)).toBe(owner);
    expect(world.frames - before).toBe(0);
    expect(reportsOf(telling, 'l2-stranger')).toEqual([]);
  });
});

describe('two owners that do not hear each other', () => {
  it('tell of each other, defend the address once in ten seconds, and neither gives way to what may be forged', () => {
    const telling = settle(1, 2, 0, (each) => {
      firewalled(each);
      for (const [at, node] of each.world.nodes.entries()) node.side = at;
    });
    const { world } = telling;
    const ip = '198.51.100.99' as Ip;
    assign(telling, [ip]);
    runFor(telling, 1_000);
    expect([world.answerers(ip, 0).length, world.answerers(ip, 1).length]).toEqual([1, 1]);
    for (const node of world.nodes) node.side = 0;
    world.fault();
    const before = world.announcements;
    const [a] = world.nodes;
    const [b] = othersOf(telling, a ?? ownerOf(telling));
    if (a === undefined || b === undefined) throw new Error('nobody');
    for (let i = 0; i < 30; i++) {
      for (const { mac } of [a, b]) {
        for (const node of [a, b])
          if (node.mac !== mac) world.give(node, { on: 'frame', ip, mac, kind: 'announcement' });
      }
      runFor(telling, 1_000);
    }
    expect(reportsOf(telling, 'l2-unheard-owner')).toMatchObject([
      { node: expect.any(String), ip, claimed: true },
      { node: expect.any(String), ip, claimed: true },
    ]);
    expect(new Set(reportsOf(telling, 'l2-unheard-owner').map(({ node }) => node)).size).toBe(2);
    expect(world.announcements - before).toBeGreaterThanOrEqual(4);
    expect(world.announcements - before).toBeLessThanOrEqual(8);
    expect(world.answerers(ip, 0).length).toBe(2);
    // the port is opened: their statements settle it
    for (const node of world.nodes) node.firewalled = false;
    world.fault();
    runFor(telling, 3_000);
    expect(world.answerers(ip, 0).length).toBe(1);
  });
});

describe('a gateway that is a proxy, where pools are full', () => {
  const ip = '198.51.100.99' as Ip;
  const NOBODYS: readonly Ip[] = ['203.0.113.253' as Ip, '192.0.2.253' as Ip];

  function taken(controls: readonly Ip[], unrouted: readonly Ip[], conflict: 'refuse' | 'warn' = 'refuse') {
    const telling = settle(4, 3, 1, ({ world }) => {
      world.gateway = 'up';
      world.proxy = true;
      world.controls = controls;
      world.unrouted = new Set(unrouted);
      world.settings = { failbackMs: 120_000, conflict };
    });
    assign(telling, [ip]);
    runFor(telling, 2_000);
    const strangers = reportsOf(telling, 'l2-stranger').filter((report) => 'ip' in report && report.ip === ip);
    return { owners: telling.world.answerers(ip, 0).length, strangers };
  }

  it('is told from a stranger by addresses for documentation, which nobody has', () => {
    expect(taken(NOBODYS, [])).toEqual({ owners: 1, strangers: [] });
  });

  it('is taken for a stranger without them, or where it has no route to them, and is said to be the gateway', () => {
    for (const [controls, unrouted] of [
      [[], []],
      [NOBODYS, NOBODYS],
      [NOBODYS, NOBODYS.slice(1)],
    ] as const) {
      const { owners, strangers } = taken(controls, unrouted);
      expect(owners).toBe(0);
      expect(strangers[0]).toMatchObject({ mac: '02:00:00:00:00:fe', claimed: false, gateway: true });
    }
    expect(taken(NOBODYS, NOBODYS, 'warn').owners).toBe(1);
  });
});

describe('while the port of the speakers is blocked, the owner alone answers', () => {
  const HOURS = 4;
  const owners = ({ world }: Telling, ip: Ip) => world.answerers(ip, 0).length;

  /** Two owners were seen in that time, which is looked at every half minute. */
  function isDoubled(telling: Telling, ip: Ip, hours: number): boolean {
    for (let look = 0; look < hours * 120; look++) {
      runFor(telling, 30_000);
      if (owners(telling, ip) !== 1) return true;
    }
    return false;
  }

  const known = (seed: number): readonly [Telling, Ip] => {
    const telling = settle(seed, 3, 1, undefined);
    firewalled(telling);
    telling.world.fault();
    return [telling, telling.world.vips[0] as Ip];
  };
  const neverHeard = (seed: number): readonly [Telling, Ip] => {
    const ip = '198.51.100.99' as Ip;
    const telling = settle(seed, 3, 0, firewalled);
    assign(telling, [ip]);
    runFor(telling, 5_000);
    return [telling, ip];
  };

  it.each([
    ['whom the others knew', known],
    ['whom they never heard', neverHeard],
  ] as const)(
    '%s, through hours in which one frame of fifty is lost, and when it stands still for half a second',
    (_, begin) => {
      for (const seed of [1, 2, 3]) {
        const [telling, ip] = begin(seed);
        telling.world.loss = 0.02;
        expect(isDoubled(telling, ip, HOURS)).toBe(false);
      }
      for (let seed = 1; seed <= 20; seed++) {
        const [telling, ip] = begin(seed);
        runFor(telling, 5_000 + telling.chance.next() * 1_000);
        telling.world.pause(ownerOf(telling, ip), 500);
        runFor(telling, 30_000);
        expect(owners(telling, ip)).toBe(1);
      }
    },
  );
});

it('a pool that contains the address of the gateway does not take it from the gateway, proxy or not', () => {
  for (const proxy of [false, true]) {
    const telling = settle(4, 3, 1, ({ world }) => {
      world.gateway = 'up';
      world.proxy = proxy;
    });
    assign(telling, [GATEWAY]);
    runFor(telling, 20_000);
    expect(telling.world.answerers(GATEWAY, 0)).toEqual([]);
    expect(reportsOf(telling, 'l2-stranger')).toContainEqual(expect.objectContaining({ ip: GATEWAY, claimed: false }));
  }
});
