// A stretch of time on a network on which things break, one after the other, with whole `links` machines: kernels, sockets,
// BFD and statements in octets, frames. Everything follows from the seed. Called by hour.test.ts.

import type { Chance } from '../sim/chance.ts';
import { createChance } from '../sim/chance.ts';
import { answerers, type Cluster, cluster, publish, startAll, VIP, wantedBy } from './lan.ts';
import type { Host } from './world.ts';
import { ip, port } from './world.ts';

const FAULT_EVERY_MS = 15_000;
const CHECK_EVERY_MS = 100;
/** From the last fault on. */
const NONE_MS = 1_650;
const TWO_MS = 1_500;
/** Who has just been started must hear the LAN first. */
const START_MS = 2_500;

export interface Hour {
  readonly self: Cluster;
  readonly chance: Chance;
  /** What happened, with its time. */
  readonly told: string[];
  faultAt: number;
  /** Faults that are not over. */
  open: number;
  readonly startedAt: Map<Host, number>;
  readonly unfit: Set<Host>;
  /** Their socket for ARP on eth0 cannot be opened. */
  readonly deaf: Set<Host>;
}

type Fault = readonly [what: string, happens: (hour: Hour, node: Host) => void];

function mend(hour: Hour, ms: number, how: () => void): void {
  hour.open++;
  hour.self.world.after(ms, () => {
    hour.open--;
    hour.faultAt = hour.self.world.now;
    how();
  });
}

function restart(hour: Hour, node: Host, ms: number): void {
  mend(hour, ms, () => {
    if (node.machine !== undefined) return;
    hour.startedAt.set(node, hour.self.world.now);
    hour.self.world.start(node, wantedBy(hour.self, node));
  });
}

const FAULTS: readonly Fault[] = [
  [
    'loses power',
    (hour, node) => {
      hour.self.world.kill(node, 'power');
      restart(hour, node, hour.chance.pick([200, 3_000, 9_000]));
    },
  ],
  [
    'has its speaker killed',
    (hour, node) => {
      hour.self.world.kill(node);
      restart(hour, node, hour.chance.pick([100, 900, 5_000]));
    },
  ],
  [
    'leaves',
    (hour, node) => {
      hour.self.world.give(node, { on: 'leave' });
      restart(hour, node, 6_500);
    },
  ],
  [
    'is paused',
    (hour, node) => {
      const ms = hour.chance.pick([50, 400, 700, 2_000]);
      hour.self.world.pause(node, ms);
      mend(hour, ms, () => {});
    },
  ],
  [
    'loses its carrier',
    (hour, node) => {
      hour.self.world.change(node, 'eth0', { carrier: false });
      mend(hour, hour.chance.pick([30, 500, 6_000]), () => {
        hour.startedAt.set(node, hour.self.world.now);
        hour.self.world.change(node, 'eth0', { carrier: true });
      });
    },
  ],
  [
    'has its socket for ARP broken',
    (hour, node) => {
      hour.deaf.add(node);
      hour.self.world.break(node, 'eth0', 'ENOMEM');
      // no fault that lasts for the others: one of them answers meanwhile
      hour.self.world.after(hour.chance.pick([30, 2_500, 20_000]), () => {
        hour.faultAt = hour.self.world.now;
        hour.deaf.delete(node);
        hour.startedAt.set(node, hour.self.world.now);
        // whatever is broken is tried again
        hour.self.world.change(node, 'eth0', {});
      });
    },
  ],
  [
    'has its interface removed and made again',
    (hour, node) => {
      const [eth0] = node.ports;
      if (eth0 === undefined) return;
      hour.self.world.change(node, 'eth0', undefined);
      mend(hour, hour.chance.pick([100, 3_000, 12_000]), () => {
        hour.startedAt.set(node, hour.self.world.now);
        node.ports = [{ ...eth0, index: eth0.index + 100 }, ...node.ports];
        hour.self.world.change(node, 'eth0', {});
      });
    },
  ],
  [
    'is cut off from the others',
    (hour, node) => {
      hour.self.world.side.set(node.name, 1);
      mend(hour, hour.chance.pick([300, 2_000, 8_000]), () => hour.self.world.side.delete(node.name));
    },
  ],
  [
    'may not serve for a while',
    (hour, node) => {
      hour.unfit.add(node);
      publish(hour.self);
      mend(hour, hour.chance.pick([1_000, 8_000]), () => {
        hour.unfit.delete(node);
        hour.startedAt.set(node, hour.self.world.now);
        publish(hour.self);
      });
    },
  ],
  [
    'gets another address',
    (hour, node) => {
      const text = `192.0.2.${hour.chance.between(10, 90)}`;
      if (
        hour.self.nodes.some(({ ports }) => ports.some(({ addresses }) => addresses.some((each) => each.ip === text)))
      )
        return;
      const addresses = (node.ports[0]?.addresses ?? []).map((each, at) =>
        at === 0 ? { ...each, ip: ip(text) } : each,
      );
      hour.self.world.change(node, 'eth0', { addresses });
    },
  ],
  [
    'hears of another secret, as all do one after another',
    (hour) => {
      const [before = ''] = hour.self.secrets;
      hour.self.secrets = [`${before}+`.slice(-8), before];
      for (const each of hour.self.nodes) {
        hour.self.world.after(hour.chance.next() * 5_000, () => {
          if (each.machine !== undefined) hour.self.world.want(each, wantedBy(hour.self, each));
        });
      }
    },
  ],
  [
    'sees forged frames',
    ({ self: { world }, chance }, node) => {
      for (let i = 0; i < 20; i++) {
        const bytes = Uint8Array.from({ length: 60 }, () => chance.between(0, 255));
        bytes.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x66, 0x66, 0x66, 0, 0, chance.between(0, 9)]);
        bytes.set(
          [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, chance.between(1, 2), 0x66, 0x66, 0x66, 0, 0, 1, 192, 0, 2, 100],
          12,
        );
        world.after(chance.next() * 3_000, () => world.give(node, { on: 'frame', link: 'eth0', bytes }));
      }
    },
  ],
];

/** So many minutes with that seed; what must hold is checked all the time. */
export function tellHour(seed: number, minutes: number, canary: (self: Cluster) => void = () => {}): Hour {
  const chance = createChance(seed * 7_919);
  const self = cluster(seed, chance.pick([3, 3, 4, 5]), (at) => [
    port('eth1', 'other', at + 60, `198.51.100.${at + 1}/24`),
  ]);
  const hour: Hour = {
    ...{ self, chance, told: [], faultAt: 0, open: 0, startedAt: new Map(), unfit: new Set(), deaf: new Set() },
  };
  const { world } = self;
  world.loss = chance.pick([0, 0, 0.01]);
  world.routed = chance.happens(0.5);
  self.vips = [VIP, ip('198.51.100.100')];
  self.address = (each) => {
    return { ...each, interfaces: [each.ip === VIP ? 'eth0' : 'eth1'], established: world.now > 10_000 };
  };
  self.withLiveness = (wanted, host) => ({ ...wanted, serving: !hour.unfit.has(host), failbackMs: 30_000 });
  world.refuses = (host, name) => (name === 'eth0' && hour.deaf.has(host) ? 'ENOMEM' : undefined);
  world.onReport = (host, { report }) => {
    if (report === 'left') world.kill(host);
  };
  for (const node of self.nodes) hour.startedAt.set(node, world.now);
  startAll(self);
  canary(self);
  const until = world.now + minutes * 60_000;
  let nextAt = world.now + 6_000;
  const since = { none: world.now, two: world.now };
  while (world.now < until) {
    if (world.now >= nextAt && world.now < until - 30_000) {
      nextAt = world.now + (chance.happens(0.2) ? chance.next() * 2_000 : FAULT_EVERY_MS * (0.5 + chance.next()));
      const node = chance.pick(self.nodes);
      const [what, happens] = chance.pick(FAULTS);
      // one that is gone already cannot break again
      if (node.machine !== undefined && node.powered && node.ports[0]?.name === 'eth0' && node.ports[0].carrier) {
        hour.told.push(`${world.now.toFixed(0)} ${node.name} ${what}`);
        hour.faultAt = world.now;
        happens(hour, node);
      }
    }
    world.run(CHECK_EVERY_MS);
    check(hour, since);
  }
  const last = answerers(self);
  if (last.length !== 1) throw broken(hour, `in the end ${VIP} is answered by [${last.join()}]`);
  return hour;
}

function broken({ self, told }: Hour, what: string): Error {
  const reports = self.nodes
    .flatMap(({ name, reports: all }) => all.slice(-12).map((each) => ({ ...each, node: name })))
    .sort((a, b) => a.at - b.at)
    .map((each) => JSON.stringify(each));
  return new Error(`${self.world.now.toFixed(0)}: ${what}\n${told.slice(-6).join('\n')}\n${reports.join('\n')}`);
}

function check(hour: Hour, since: { none: number; two: number }): void {
  const { self, faultAt, open, startedAt, unfit, deaf } = hour;
  const { now } = self.world;
  const count = answerers(self).length;
  if (count !== 0 || open > 0) since.none = now;
  if (count < 2 || open > 0) since.two = now;
  const able = self.nodes.some(
    (node) =>
      node.machine !== undefined && !unfit.has(node) && !deaf.has(node) && now - (startedAt.get(node) ?? 0) > START_MS,
  );
  if (able && now - Math.max(since.none, faultAt) > NONE_MS) throw broken(hour, 'nobody answers');
  if (now - Math.max(since.two, faultAt) > TWO_MS) throw broken(hour, `${answerers(self).join(' and ')} answer`);
  for (const node of self.nodes) checkBooks(node);
}

/** Nothing is kept that belongs to nobody. */
function checkBooks({ machine, sockets, frames, reports, sent, name }: Host): void {
  if (machine === undefined) return;
  const sessions = [...machine.lans.values()].reduce((sum, { mesh }) => sum + mesh.size, 0);
  if (machine.peers.taken.size !== sessions)
    throw new Error(`${name}: ${machine.peers.taken.size} discriminators, ${sessions} sessions`);
  if (sockets.size > 2 || frames.size > 2) throw new Error(`${name}: ${[...sockets.keys(), ...frames].join()}`);
  reports.splice(0, Math.max(0, reports.length - 50));
  sent.length = 0;
}
