// What breaks on a LAN in an hour of `l2-hour`, and how it is mended: each fault with its name, told when a promise breaks.

import type { Mac } from '../../src/net/address.ts';
import type { Chance } from './chance.ts';
import type { Hour } from './l2-hour.ts';
import type { NodeModel } from './l2-world.ts';

type Fault = readonly [what: string, happens: (hour: Hour, chance: Chance) => void];

/** A fault that lasts: from its beginning until a while after its end nothing but its end is waited for. */
function lasts(hour: Hour, ms: number, begin: () => void, end: () => void, reckoned = false): void {
  const { world } = hour;
  begin();
  world.fault();
  if (!reckoned) hour.lasting++;
  world.after(ms, () => {
    end();
    if (!reckoned) hour.lasting--;
    world.fault();
  });
}

const awake = ({ world }: Hour): NodeModel[] => world.nodes.filter((node) => world.isAwake(node) && !node.metallb);
const some = (hour: Hour, chance: Chance): NodeModel | undefined => {
  const nodes = awake(hour);
  return nodes.length < 2 ? undefined : chance.pick(nodes);
};

function restart(hour: Hour, node: NodeModel, ms: number): void {
  const { world, chance } = hour;
  world.after(ms, () => {
    if (node.running) return;
    // a clock that was set back: its incarnation may be lower than the one before
    if (chance.happens(0.2)) node.incarnations = Math.max(0, node.incarnations - 3);
    world.start(node, world.wantedOf());
  });
}

export const FAULTS: readonly Fault[] = [
  [
    'a node loses power and comes back',
    (hour, chance) => {
      const node = some(hour, chance);
      if (node === undefined) return;
      hour.world.kill(node, 'power');
      restart(hour, node, chance.pick([200, 2_000, 20_000, 100_000]));
    },
  ],
  [
    'a speaker is killed and comes back',
    (hour, chance) => {
      const node = some(hour, chance);
      if (node === undefined) return;
      hour.world.kill(node, 'speaker');
      restart(hour, node, chance.pick([100, 800, 3_000, 60_000]));
    },
  ],
  [
    'a speaker leaves and comes back',
    (hour, chance) => {
      const node = some(hour, chance);
      if (node === undefined) return;
      hour.world.give(node, { on: 'leave' });
      hour.world.fault();
      restart(hour, node, chance.pick([7_000, 20_000]));
    },
  ],
  [
    'a speaker pauses',
    (hour, chance) => {
      const node = some(hour, chance);
      if (node !== undefined) hour.world.pause(node, chance.pick([50, 400, 700, 1_000, 2_000, 20_000]));
    },
  ],
  [
    'a cable is pulled and plugged in',
    (hour, chance) => {
      const node = some(hour, chance);
      if (node?.carrier !== true) return;
      hour.world.setCarrier(node, false);
      hour.world.after(chance.pick([50, 500, 3_000, 30_000]), () => hour.world.setCarrier(node, true));
    },
  ],
  [
    'the LAN splits and heals',
    ({ world, voluntary }, chance) => {
      for (const node of world.nodes) node.side = chance.between(0, 1);
      world.fault();
      // each side moves what it has by its own account
      voluntary.clear();
      world.after(chance.pick([300, 2_000, 30_000]), () => {
        for (const node of world.nodes) node.side = 0;
        world.fault();
        voluntary.clear();
      });
    },
  ],
  [
    'one direction of a pair is lost',
    ({ world }, chance) => {
      const [a, b] = [chance.pick(world.nodes), chance.pick(world.nodes)];
      if (a === b || world.cuts.size > 0) return;
      world.cuts.add(`${a.name}>${b.name}`);
      if (chance.happens(0.5)) world.cuts.add(`${b.name}>${a.name}`);
      world.fault();
      world.after(chance.pick([500, 5_000, 60_000]), () => {
        world.cuts.clear();
        world.fault();
      });
    },
  ],
  [
    'port 7946 of a node is blocked for a while',
    (hour, chance) => {
      const node = chance.pick(hour.world.nodes);
      lasts(
        hour,
        chance.pick([500, 5_000, 60_000]),
        () => {
          node.firewalled = true;
        },
        () => {
          node.firewalled = false;
        },
      );
    },
  ],
  [
    'a node is alive and cannot serve for a while',
    (hour, chance) => {
      const node = some(hour, chance);
      if (node === undefined) return;
      const tell = (serving: boolean) => {
        node.serving = serving;
        hour.world.fault();
        hour.world.give(node, { on: 'serving', ready: serving });
      };
      tell(false);
      hour.world.after(chance.pick([1_000, 20_000]), () => tell(true));
    },
  ],
  [
    'frames are late, many are lost',
    (hour, chance) => {
      const { world } = hour;
      const { loss } = world;
      if (loss > 0.05) return;
      lasts(
        hour,
        chance.pick([2_000, 20_000]),
        () => {
          world.loss = chance.pick([0.1, 0.3]);
          world.extraDelayMs = chance.pick([0, 100, 200]);
        },
        () => {
          world.loss = loss;
          world.extraDelayMs = 0;
        },
      );
    },
  ],
  [
    'other candidates',
    (hour, chance) => {
      const names = hour.world.nodes.map(({ name }) => name);
      const few = names.filter(() => chance.happens(0.6));
      hour.candidates = () => (few.length === 0 ? names : few);
      hour.world.fault();
      hour.world.publish(hour.candidates);
      hour.world.after(20_000, () => {
        hour.candidates = () => names;
        hour.world.fault();
        hour.world.publish(hour.candidates);
      });
    },
  ],
  [
    'the API is cut from a node for a while',
    (hour, chance) => {
      const node = chance.pick(hour.world.nodes);
      node.apiCut = true;
      hour.world.after(chance.pick([5_000, 60_000]), () => {
        node.apiCut = false;
        hour.world.publish(hour.candidates);
        hour.world.fault();
      });
    },
  ],
  [
    'forged announcements',
    ({ world }, chance) => {
      for (let i = 0; i < 20; i++) {
        world.after(chance.next() * 10_000, () => {
          const mac = `66:66:66:00:00:0${chance.between(0, 9)}` as Mac;
          const kind = chance.pick(['announcement', 'answer', 'request'] as const);
          const node = chance.pick(world.nodes);
          if (!node.carrier || node.portBlockedUntil > world.now) return;
          world.give(node, { on: 'frame', ip: chance.pick(world.vips), mac, kind });
        });
      }
    },
  ],
  [
    'the gateway no longer answers one',
    (hour, chance) => {
      const { world } = hour;
      const node = chance.pick(world.nodes);
      world.gatewayCut.add(node.name);
      world.after(chance.pick([1_000, 30_000]), () => world.gatewayCut.delete(node.name));
    },
  ],
  [
    'a speaker starts on a port that is blocked for a while',
    (hour, chance) => {
      const node = some(hour, chance);
      if (node === undefined) return;
      hour.world.kill(node, 'power');
      hour.world.after(3_000, () => {
        if (node.running) return;
        node.portBlockedUntil = hour.world.now + 15_000;
        hour.world.start(node, hour.world.wantedOf());
        hour.world.after(15_001, () => hour.world.fault());
      });
    },
  ],
  [
    'a node runs MetalLB for a while',
    (hour, chance) => {
      const { world } = hour;
      const node = some(hour, chance);
      if (node === undefined || world.nodes.some(({ apiCut, metallb }) => apiCut || metallb)) return;
      const change = (metallb: boolean) => {
        world.kill(node, 'speaker');
        node.metallb = metallb;
        world.start(node, world.wantedOf());
        world.publish(hour.candidates);
      };
      change(true);
      world.after(20_000, () => change(false));
    },
  ],
];
