// One story: speakers and routers, an hour of plans that change and of things that break, and what must hold meanwhile
// and in the end. Everything in it follows from the seed. What a route must look like at a router is worked out here from
// the plan by RFC 4271 §5.1, not asked of the code under test.

import type { PeerConfig } from '../../src/bgp/peer.ts';
import type { RouteAttributes } from '../../src/bgp/rib.ts';
import type { Ip, Prefix } from '../../src/net/address.ts';
import type { SpeakerEffect } from '../../src/speaker.ts';
import { type Chance, createChance } from './chance.ts';
import { checkAlways, checkNothingStale, checkTables, checkUp, type Expectations } from './invariants.ts';
import { type Process, Violation, World } from './world.ts';

export const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** The last fault comes before this: what follows is time to recover. */
const QUIET_FROM_MS = 45 * MINUTE_MS;
/** The longest fault (a cut of 200 s), the longest IdleHold (120 s) and a dial later, all must be up again. */
const RECOVERED_MS = QUIET_FROM_MS + (200 + 120 + 40) * 1_000;
/** The last change comes before this: it must have arrived in the end. */
const CALM_FROM_MS = HOUR_MS - 10_000;
const CHECK_EVERY_MS = 5_000;

export interface Node {
  readonly process: Process;
  readonly listens: boolean;
  configs: readonly PeerConfig[];
  routes: Map<Prefix, RouteAttributes>;
  /** When a prefix was last wanted, for those that are no longer. */
  readonly gone: Map<Prefix, number>;
}

export interface Story {
  readonly seed: number;
  readonly world: World;
  readonly nodes: readonly Node[];
  readonly routers: readonly Node[];
  readonly expectations: Expectations;
  /** What happened lately, for whoever has to find out why. */
  readonly told: (readonly [at: number, who: string, what: unknown])[];
}

const NODE_AS = 64_513;
const ROUTER_AS = 64_512;
/** Short ones cost a hundred thousand steps an hour. */
const HOLD_TIMES_MS = [3_000, 9_000, 9_000, 30_000, 30_000, ...new Array<number>(9).fill(90_000)];

/** Tells the story of a seed to its end; a broken promise is thrown with the seed and what led to it. */
export function tell(
  seed: number,
  sabotage?: (process: Process, effect: SpeakerEffect) => readonly SpeakerEffect[],
): Story {
  const story = setUp(seed, createChance(seed));
  if (sabotage !== undefined) story.world.sabotage = sabotage;
  try {
    run(story);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    const last = story.told.slice(-25).map(([at, who, what]) => `${at.toFixed(1)} ${who} ${JSON.stringify(what)}`);
    const steps = last.join('\n  ');
    throw new Violation(`seed ${seed}, ${story.world.now.toFixed(1)} ms: ${error.message}\n  ${steps}`);
  }
  return story;
}

function setUp(seed: number, chance: Chance): Story {
  const world = new World(chance);
  const holdTimeMs = chance.pick(HOLD_TIMES_MS);
  const internal = chance.happens(0.2);
  const gracefulRestart = chance.happens(0.4);
  const bothDial = chance.happens(0.4);
  const nodes = [1, 2].map((i) => addNode(world, `node${i}`, `10.0.0.${i}`, `2001:db8::${i}`, bothDial));
  const routers = [1, 2].map((i) => addNode(world, `router${i}`, `10.0.1.${i}`, `2001:db8::1:${i}`, true));
  const shared = {
    port: 179,
    holdTimeMs,
    connectRetryMs: 120_000,
    families: ['ipv4', 'ipv6'],
    ebgpMultiHop: false,
    gracefulRestart,
    warnings: [],
    fallbackRouterId: '192.0.2.1' as Ip,
  } as const;
  for (const node of nodes) {
    node.configs = routers.map(({ process }) => {
      const remoteAs = internal ? 'internal' : ROUTER_AS;
      const { name, address } = process;
      return { ...shared, name, address, localAs: NODE_AS, remoteAs, passive: false, keep: false };
    });
    for (let i = chance.between(0, 25); i > 0; i--) wantOne(node, chance);
    if (chance.happens(0.05)) for (let i = 0; i < 4_000; i++) wantOne(node, chance);
  }
  for (const router of routers) {
    router.configs = nodes.map(({ process: { name, address } }) => {
      const localAs = internal ? NODE_AS : ROUTER_AS;
      const remoteAs = internal ? 'internal' : 'external';
      return { ...shared, name, address, localAs, remoteAs, passive: !bothDial, keep: true };
    });
  }
  const story = { seed, world, nodes, routers, expectations: { holdTimeMs, internal, nodeAs: NODE_AS }, told: [] };
  world.onReport = (process, report) => note(story, process, report);
  for (const router of routers) plan(story, router);
  for (const node of nodes) world.after(chance.between(0, 3_000), () => plan(story, node));
  return story;
}

function addNode(world: World, name: string, ipv4: string, ipv6: string, listens: boolean): Node {
  const link = { name: 'eth0', ipv4: [ipv4 as Ip], ipv6: [ipv6 as Ip] };
  const process = world.addProcess(name, ipv4 as Ip, link);
  return { process, listens, configs: [], routes: new Map(), gone: new Map() };
}

function note({ world, told }: Story, process: Process, report: object): void {
  if ('report' in report && report.report === 'peer-message') return;
  told.push([world.now, process.name, report]);
  if (told.length > 400) told.splice(0, 200);
}

/** Gives a process its plan, as it is now. */
export function plan({ world, nodes }: Story, node: Node): void {
  const isNode = nodes.includes(node);
  const routes = new Map(node.configs.map(({ name }) => [name, isNode ? new Map(node.routes) : new Map()]));
  const listen = node.listens ? [{ address: node.process.address, port: 179 }] : [];
  world.tell(node.process, { on: 'plan', plan: { peers: node.configs, routes }, listen });
}

const COMMUNITIES = [0xfc000001, 0xfc000002, 0xffffff01];

function wantOne(node: Node, chance: Chance): void {
  const host = chance.between(1, 65_000);
  const prefix = (
    chance.happens(0.6) ? `198.18.${host >> 8}.${host & 0xff}/32` : `2001:db8:1::${host.toString(16)}/128`
  ) as Prefix;
  const communities = COMMUNITIES.filter(() => chance.happens(0.3)).sort((a, b) => a - b);
  const localPref = chance.happens(0.3) ? chance.between(1, 200) : undefined;
  const key = JSON.stringify([communities, localPref]);
  node.routes.set(prefix, {
    key,
    ...(localPref === undefined ? {} : { localPref }),
    communities,
    extendedCommunities: [],
    largeCommunities: [],
  });
  node.gone.delete(prefix);
}

function unwantOne(node: Node, chance: Chance, now: number): void {
  if (node.routes.size === 0) return;
  const prefix = chance.pick([...node.routes.keys()]);
  node.routes.delete(prefix);
  node.gone.set(prefix, now);
}

function run(story: Story): void {
  const { world } = story;
  const { chance } = world;
  const faults = (): void => {
    if (world.now > QUIET_FROM_MS) return;
    const [what, happens] = chance.pick(FAULTS);
    story.told.push([world.now, 'fault', what]);
    happens(story, chance);
    world.after(chance.between(1_000, 4 * MINUTE_MS), faults);
  };
  const changes = (): void => {
    if (world.now > CALM_FROM_MS) return;
    const node = chance.pick(story.nodes);
    for (let i = chance.between(1, 4); i > 0; i--) {
      if (chance.happens(0.5)) wantOne(node, chance);
      else unwantOne(node, chance, world.now);
    }
    if (node.process.up) plan(story, node);
    // bursts as well as calm: some changes come within the window in which they are gathered
    world.after(chance.happens(0.3) ? chance.between(0, 12) : chance.between(500, 2 * MINUTE_MS), changes);
  };
  const checks = (): void => {
    checkAlways(story);
    checkNothingStale(story);
    world.after(CHECK_EVERY_MS, checks);
  };
  world.after(chance.between(5_000, MINUTE_MS), faults);
  world.after(chance.between(0, MINUTE_MS), changes);
  world.after(CHECK_EVERY_MS, checks);
  world.runUntil(RECOVERED_MS);
  checkUp(story);
  world.runUntil(HOUR_MS);
  checkUp(story);
  checkTables(story);
}

type Fault = readonly [what: string, happens: (story: Story, chance: Chance) => void];

const anyPair = ({ nodes, routers }: Story, chance: Chance) =>
  [chance.pick(nodes).process, chance.pick(routers).process] as const;
const anyone = ({ nodes, routers }: Story, chance: Chance): Node => chance.pick([...nodes, ...routers]);

const FAULTS: readonly Fault[] = [
  [
    'a cable is cut',
    (story, chance) => {
      const cable = story.world.cable(...anyPair(story, chance));
      cable.cutUntil = Math.max(cable.cutUntil, story.world.now + chance.pick([200, 2_000, 20_000, 200_000]));
    },
  ],
  ['connections are reset', (story, chance) => story.world.resetAll(story.world.cable(...anyPair(story, chance)))],
  ['a process is killed and comes back', (story, chance) => restart(story, anyone(story, chance), 'process', chance)],
  ['a host loses power and comes back', (story, chance) => restart(story, anyone(story, chance), 'power', chance)],
  [
    'a process leaves in order and comes back',
    (story, chance) => {
      const node = anyone(story, chance);
      if (!node.process.up) return;
      story.world.tell(node.process, { on: 'leave' });
      story.world.after(5_000, () => restart(story, node, 'process', chance));
    },
  ],
  [
    'a process does not read',
    (story, chance) => {
      const { process } = anyone(story, chance);
      process.deafUntil = story.world.now + chance.pick([500, 5_000, 40_000]);
    },
  ],
  [
    'a process stands still',
    (story, chance) => {
      const { process } = anyone(story, chance);
      process.frozenUntil = story.world.now + chance.pick([50, 1_000, 10_000]);
    },
  ],
  [
    'a router gets another identifier: hard',
    (story, chance) => {
      const router = chance.pick(story.routers);
      const routerId = `10.9.9.${chance.between(1, 250)}` as Ip;
      router.configs = router.configs.map((config) => ({ ...config, routerId }));
      if (router.process.up) plan(story, router);
    },
  ],
  [
    'a node has other times: soft',
    (story, chance) => {
      const node = chance.pick(story.nodes);
      const keepaliveTimeMs = chance.pick([1_000, 10_000, 30_000]);
      node.configs = node.configs.map((config) => ({ ...config, keepaliveTimeMs }));
      if (node.process.up) plan(story, node);
    },
  ],
  [
    'a peer is removed and comes back',
    (story, chance) => {
      const node = chance.pick(story.nodes);
      const all = node.configs;
      if (all.length < 2 || !node.process.up) return;
      const removed = chance.pick(all);
      node.configs = all.filter((config) => config !== removed);
      plan(story, node);
      story.world.after(chance.between(0, 30_000), () => {
        node.configs = [...node.configs, removed];
        if (node.process.up) plan(story, node);
      });
    },
  ],
];

function restart(story: Story, node: Node, how: 'process' | 'power', chance: Chance): void {
  const { world } = story;
  if (!node.process.up) return;
  world.kill(node.process, how);
  world.after(chance.pick([10, 1_000, 20_000, 120_000]), () => {
    if (node.process.up) return;
    world.start(node.process);
    plan(story, node);
  });
}
