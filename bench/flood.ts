// `npm run bench flood`: 1,000,000 routes thrown at us by a neighbour that is never the slow side, once as a real table
// has them (5 prefixes to a set of attributes), once packed to the full. How fast they are taken in, how much the memory
// grows, and whether keepalives stay on time with a hold time of 3 s. BIRD and GoBGP, which keep the routes, beside us.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBird } from '../test/interop/bird.ts';
import { startGobgp } from '../test/interop/gobgp.ts';
import { Lab, node, ROUTER } from '../test/interop/lab.ts';
import { bgpPeer, cluster, ROUTE } from '../test/interop/manifests.ts';
import { type Daemon, until } from '../test/interop/process.ts';
import { IMAGE_FLAGS, Speaker } from '../test/interop/speaker.ts';
import { Measurements, print, residentMiB } from './figures.ts';
import { NODE_AS, ROUTER_AS } from './rivals.ts';

const ROUTES = 1_000_000;
const REPETITIONS = 5;
/** Prefixes to an UPDATE: as in the Internet's table, and as many as fit with these attributes. */
const REAL = 5;
const FULL = 780;
const HOLD_MS = 3_000;
const PEER = { address: ROUTER.ipv4, local: node(1).ipv4, as: ROUTER_AS, families: ['ipv4'], holdTime: 3 } as const;

interface Candidate {
  readonly pid: number;
  /** How many routes it says that it took in. */
  readonly count: () => Promise<number>;
}

async function startOurs(lab: Lab): Promise<Candidate> {
  const spec = { myASN: NODE_AS, peerASN: ROUTER_AS, peerAddress: ROUTER.ipv4, holdTime: '3s', keepaliveTime: '1s' };
  const speaker = new Speaker(lab, 'n1', [...cluster(), bgpPeer('flood', spec)], []);
  speaker.start(undefined, IMAGE_FLAGS);
  await speaker.untilEstablished('flood', 20_000);
  const count = async (): Promise<number> =>
    (await speaker.peer('flood')).counters.learned['ipv4-unicast'] ?? Number.NaN;
  return { pid: speaker.daemon.pid, count };
}

async function startOtherBird(lab: Lab): Promise<Candidate> {
  const bird = await startBird(lab, {
    place: 'n1',
    as: NODE_AS,
    routerId: node(1).ipv4,
    announce: [ROUTE.ipv4],
    peers: [PEER],
    kernel: false,
  });
  const count = async (): Promise<number> =>
    Number(/(\d+) imported/.exec(await bird.ask(`show protocols all ${bird.protocol(ROUTER.ipv4)}`))?.[1]);
  return { pid: bird.daemon.pid, count };
}

async function startOtherGobgp(lab: Lab): Promise<Candidate> {
  const options = { place: 'n1', as: NODE_AS, routerId: node(1).ipv4, announce: [ROUTE.ipv4], peers: [PEER] } as const;
  const gobgp = await startGobgp(lab, options);
  const count = async (): Promise<number> =>
    Number(/"received":\s*"?(\d+)/.exec(gobgp.ask('neighbor', ROUTER.ipv4))?.[1]);
  return { pid: gobgp.daemon.pid, count };
}

const CANDIDATES = [
  ['ours', startOurs],
  ['BIRD', startOtherBird],
  ['GoBGP', startOtherGobgp],
] as const;

const resident = (pid: number): number => residentMiB(readFileSync(`/proc/${pid}/status`, 'utf8'));

/** Highest resident memory over what it was before, while `done` is awaited. */
async function growth(pid: number, before: number, done: Promise<unknown>): Promise<number> {
  let most = before;
  let running = true;
  done.finally(() => {
    running = false;
  });
  while (running) {
    most = Math.max(most, resident(pid));
    await sleep(20);
  }
  return most - before;
}

function startFlooder(lab: Lab, perUpdate: number): Daemon {
  return lab.spawn('flooder', 'r', [
    ...[process.execPath, join(import.meta.dirname, '../test/interop/flooder.ts')],
    ...[`${ROUTER_AS}`, ROUTER.ipv4, `${ROUTES}`, `${perUpdate}`, '1'],
  ]);
}

async function once(perUpdate: number, who: string, start: (lab: Lab) => Promise<Candidate>, into: Measurements) {
  const lab = new Lab(1);
  lab.up();
  try {
    const flooder = startFlooder(lab, perUpdate);
    await until('the flooder listens', () => flooder.log().includes('ready'), 30_000);
    const candidate = await start(lab);
    await until(`${who} is up`, () => flooder.log().includes('established'), 20_000);
    await sleep(2_000);
    const before = resident(candidate.pid);
    flooder.signal('SIGUSR2');
    const through = until(`${who} took it in`, () => /^\{.*\}$/m.exec(flooder.log())?.[0], 120_000);
    into.add('growth', who, await growth(candidate.pid, before, through));
    const { ms, longestMs } = JSON.parse(await through);
    into.add('rate', who, ROUTES / ms);
    into.add('silence', who, longestMs);
    const count = await candidate.count();
    if (count !== ROUTES) throw new Error(`${who} counts ${count} routes of ${ROUTES}`);
    if (flooder.log().includes('notified')) throw new Error(`${who} ended the session`);
  } finally {
    await lab.stopAll();
    lab.down();
  }
}

export async function flood(): Promise<boolean> {
  let met = true;
  for (const perUpdate of [REAL, FULL]) {
    const into = new Measurements();
    for (let turn = 0; turn < REPETITIONS; turn++) {
      for (const [who, start] of CANDIDATES) {
        // it takes most of a minute for either shape, and keeps both the same
        if (who === 'GoBGP' && perUpdate !== REAL) continue;
        await once(perUpdate, who, start, into);
      }
    }
    const title = `flood of ${ROUTES} routes, ${perUpdate} to an UPDATE`;
    const rows = [
      {
        what: `${title}: taken in`,
        unit: 'thousand routes/s',
        figures: into.of('rate'),
        goal: { text: 'at least 400', met: (ours: number) => ours >= 400 },
      },
      {
        what: `${title}: memory grew by`,
        unit: 'MiB',
        figures: into.of('growth'),
        goal: { text: 'less than 32', met: (ours: number) => ours < 32 },
      },
      {
        what: `${title}: longest time between keepalives at a hold time of 3 s`,
        unit: 'ms',
        figures: into.of('silence'),
        goal: { text: 'a third of the hold time and 300 ms', met: (ours: number) => ours < HOLD_MS / 3 + 300 },
      },
    ];
    for (const row of rows) met = print(row) && met;
  }
  return met;
}
