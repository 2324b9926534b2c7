// One hour of a LAN on which things break, one after the other and at times two at once; what must hold meanwhile, reckoned
// from the last fault, and in the end. Everything follows from the seed. Called by l2-hours.test.ts and l2-run.

import { decode, encode } from '../../src/l2/claim.ts';
import type { Statement } from '../../src/l2/statement.ts';
import type { Ip } from '../../src/net/address.ts';
import { type Chance, createChance } from './chance.ts';
import { FAULTS } from './l2-faults.ts';
import { Watch } from './l2-watch.ts';
import { LanWorld, type Report } from './l2-world.ts';
import { Violation } from './world.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** From here on nothing breaks any more, and all that is broken has been mended. */
const QUIET_FROM_MS = HOUR_MS - 5 * MINUTE_MS;
const CHECK_EVERY_MS = 250;

/** Nobody answers although somebody could, since the last fault: one of the nodes died while another was taking over. */
const GAP_MS = 1_650;
const OVERLAP_MS = 1_500;
/** Where a pair does not hear each other but is heard by a third. */
const MEDIATED_MS = 2_300;
/** A take-over this long after the last fault has no cause. */
const CAUSE_MS = 6_000;
const MOST_MOVES = 3;
const MOVES_WITHIN_MS = 180_000;

export interface Hour {
  readonly seed: number;
  readonly world: LanWorld;
  readonly watch: Watch;
  readonly chance: Chance;
  readonly told: string[];
  /** Faults that last: nothing is reckoned while one of them does. */
  lasting: number;
  candidates: (ip: Ip) => readonly string[];
  readonly voluntary: Map<Ip, number[]>;
  /** Whether the hand-over that was offered last is one that need not be. */
  readonly offers: Map<Ip, boolean>;
}

const KEY = new Uint8Array(32).fill(9);

/** As it goes over the wire. */
function throughOctets(statement: Statement): readonly Statement[] {
  return encode(statement, KEY).map((bytes) => {
    const result = decode(bytes, [KEY]);
    if ('drop' in result) throw new Violation(`a speaker told what is dropped: ${result.drop}`);
    return result.statement;
  });
}

/** Tells the hour of a seed; a broken promise is thrown with the seed and what led to it. */
export function tellHour(seed: number, canary?: (world: LanWorld) => void): Hour {
  const chance = createChance(seed * 2_654_435_761);
  const world = new LanWorld(chance, chance.pick([3, 3, 3, 3, 4, 4, 5, 6, 9]), chance.between(1, 3));
  world.loss = chance.pick([0, 0, 0, 0.02]);
  world.gateway = chance.pick(['none', 'none', 'none', 'up'] as const);
  world.suppressArp = chance.happens(0.2);
  world.proxy = world.gateway === 'up' && chance.happens(0.3);
  world.slowLearningMs = chance.pick([0, 0, 300]);
  world.otherPath = chance.happens(0.3);
  world.hasStatus = chance.happens(0.3);
  world.settings = {
    failbackMs: chance.pick([120_000, 120_000, 0, 10_000]),
    conflict: chance.pick(['refuse', 'warn']),
  };
  if (chance.happens(0.3)) world.scores.set('node-b', 50);
  if (seed % 10 === 0) world.carry = throughOctets;
  const all = world.nodes.map(({ name }) => name);
  const watch = new Watch(world);
  const hour: Hour = {
    ...{
      seed,
      world,
      watch,
      chance,
      told: [],
      lasting: 0,
      candidates: () => all,
      voluntary: new Map(),
      offers: new Map(),
    },
  };
  // whom the API does not reach goes by what it knew
  watch.candidate = (node, ip) => !node.apiCut && hour.candidates(ip).includes(node.name);
  world.onReport = (report) => checkReport(hour, report);
  canary?.(world);
  try {
    run(hour);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    const reports = world.reports
      .slice(-20)
      .map(({ at, node, report }) => `${at.toFixed(1)} ${node} ${JSON.stringify(report)}`);
    const last = [...hour.told.slice(-12), ...reports].join('\n  ');
    throw new Violation(`seed ${seed}, ${world.now.toFixed(1)} ms: ${error.message}\n  ${last}`);
  }
  return hour;
}

/** So many hours, from a seed on. */
export function tellHours(from: number, hours: number): { readonly steps: number; readonly moves: number } {
  let [steps, moves] = [0, 0];
  for (let seed = from; seed < from + hours; seed++) {
    const { world, watch } = tellHour(seed);
    steps += world.steps;
    moves += watch.moves.length;
  }
  return { steps, moves };
}

function run(hour: Hour): void {
  const { world, chance } = hour;
  for (const node of world.nodes) world.after(chance.next() * 2_000, () => world.start(node));
  const faults = (): void => {
    if (world.now > QUIET_FROM_MS - 2 * MINUTE_MS) return;
    const [what, happens] = chance.pick(FAULTS);
    hour.told.push(`${world.now.toFixed(1)} ${what}`);
    happens(hour, chance);
    world.after(chance.happens(0.2) ? chance.next() * 2_000 : 5_000 + chance.next() * 2 * MINUTE_MS, faults);
  };
  const checks = (): void => {
    check(hour);
    world.after(CHECK_EVERY_MS, checks);
  };
  world.after(6_000, faults);
  world.after(CHECK_EVERY_MS, checks);
  world.runUntil(HOUR_MS);
  for (const ip of world.vips) {
    const answerers = world.answerers(ip, 0).map(({ name }) => name);
    if (answerers.length !== 1) throw new Violation(`in the end ${ip} is answered by [${answerers.join()}]`);
  }
}

function check(hour: Hour): void {
  const { world, watch, lasting } = hour;
  const { now, lastFaultAt } = world;
  world.reports.splice(0, Math.max(0, world.reports.length - 400));
  hour.told.splice(0, Math.max(0, hour.told.length - 40));
  if (world.agenda.size > 2_000) throw new Violation(`${world.agenda.size} things on the agenda`);
  for (const { segment } of world.nodes) {
    if (segment.members.size >= world.nodes.length) throw new Violation(`${segment.members.size} members`);
  }
  if (lasting > 0) return;
  const metallb = world.nodes.some((node) => node.metallb);
  for (const { ip, side, from } of watch.now('none')) {
    const ms = now - Math.max(from, lastFaultAt);
    // where MetalLB may answer it is left to MetalLB
    if (ms > GAP_MS && !metallb && watch.isServable(ip, side))
      throw new Violation(`nobody answers for ${ip} for ${ms} ms`);
  }
  // two that do not hear each other cannot know, unless a third is there
  const connected = (side: number) =>
    world.cuts.size === 0 || world.nodes.filter((node) => world.isOpen(node) && node.side === side).length >= 3;
  const blocked = world.nodes.some(({ firewalled }) => firewalled);
  for (const { ip, side, from, answerers } of watch.now('two')) {
    const ms = now - Math.max(from, lastFaultAt);
    const most = world.cuts.size > 0 ? MEDIATED_MS : OVERLAP_MS;
    if (ms > most && connected(side) && !blocked)
      throw new Violation(`${answerers.join(' and ')} answer for ${ip}, ${ms} ms`);
  }
}

/** No take-over without a cause, no voluntary move beyond the rules. */
function checkReport({ world, voluntary, offers, lasting, candidates }: Hour, { at, node, report }: Report): void {
  if (report.report === 'l2-handover') {
    const free = report.because === 'fail-back' || (report.because === 'unfit' && candidates(report.ip).includes(node));
    offers.set(report.ip, free);
  }
  if (report.report !== 'l2-claimed') return;
  // with frames lost, the giver may not hear in time that its address was taken
  // a pair that is cut rests on its witnesses, and a witness whose frames get lost is none for a moment
  const caused = report.because !== 'vacant' || (world.cuts.size > 0 && world.loss > 0);
  if (!caused && lasting === 0 && at - world.lastFaultAt > CAUSE_MS) {
    throw new Violation(`${node} took ${report.ip} (${report.because}) without a cause`);
  }
  if (report.because !== 'handed-over' || offers.get(report.ip) !== true) return;
  const moves = [...(voluntary.get(report.ip) ?? []), at].filter((each) => at - each < MOVES_WITHIN_MS - 1_000);
  voluntary.set(report.ip, moves);
  if (moves.length > MOST_MOVES) throw new Violation(`${report.ip} moved ${moves.length} times in 180 s of free will`);
}
