// `npm run bench start`: from the start of the process until FRR says Established, with one Service; and what it holds
// with 1,000 VIPs announced. Ours is `fairway standalone`, as the bundle and as source; BIRD and GoBGP beside it.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBird } from '../test/interop/bird.ts';
import { type Frr, startFrr } from '../test/interop/frr.ts';
import { startGobgp } from '../test/interop/gobgp.ts';
import { Lab, node, ROUTER } from '../test/interop/lab.ts';
import { advertisement, bgpPeer, endpoints, type Manifest, pool, service } from '../test/interop/manifests.ts';
import { until } from '../test/interop/process.ts';
import { IMAGE_FLAGS, Speaker } from '../test/interop/speaker.ts';
import { Measurements, print, residentMiB } from './figures.ts';
import { NODE_AS, now, prefixesOf, ROUTER_AS, startGobgpAnnouncer } from './rivals.ts';

const VIPS = 1_000;
const REPETITIONS = 5;
const BUNDLE = join(import.meta.dirname, '../dist/fairway.js');
const PEER = { address: ROUTER.ipv4, local: node(1).ipv4, as: ROUTER_AS, families: ['ipv4'] } as const;

/** As a user has them: the configuration in a few files, the Services beside. */
function manifests(count: number): Manifest[] {
  const peer = bgpPeer('tor', { myASN: NODE_AS, peerASN: ROUTER_AS, peerAddress: ROUTER.ipv4 });
  const services = prefixesOf(count).flatMap((prefix, i) => {
    return [service(`web-${i}`, [prefix.replace('/32', '')]), endpoints(['n1'], `web-${i}`)];
  });
  return [pool(['198.18.0.0/15']), advertisement(), peer, ...services];
}

interface Candidate {
  readonly pid: number;
  readonly began: number;
}

type Start = (lab: Lab, count: number) => Promise<Candidate>;

const ours =
  (program: string, nodeFlags: readonly string[] = []): Start =>
  async (lab, count) => {
    const speaker = new Speaker(lab, 'n1', manifests(count), []);
    const began = now();
    speaker.start(program, nodeFlags);
    return { pid: speaker.daemon.pid, began };
  };

const bird: Start = async (lab, count) => {
  const began = now();
  const options = { place: 'n1', as: NODE_AS, routerId: node(1).ipv4, announce: prefixesOf(count) } as const;
  const { daemon } = await startBird(lab, { ...options, peers: [PEER], kernel: false });
  return { pid: daemon.pid, began };
};

/** Started empty: it is given its table over its own interface. */
const gobgp: Start = async (lab) => {
  const began = now();
  const { daemon } = await startGobgp(lab, { place: 'n1', as: NODE_AS, routerId: node(1).ipv4, peers: [PEER] });
  return { pid: daemon.pid, began };
};

async function untilEstablished(frr: Frr): Promise<number> {
  const vty = frr.connect();
  try {
    await vty.ask('enable');
    for (const end = now() + 60_000; now() < end; await sleep(4)) {
      const answer = JSON.parse(await vty.ask('show bgp ipv4 unicast summary json'));
      if (answer.peers?.[node(1).ipv4]?.state === 'Established') return now();
    }
    throw new Error('never Established');
  } finally {
    vty.close();
  }
}

/** A router that waits to be dialled, in a lab that is gone when `measure` has ended. */
async function withRouter(measure: (lab: Lab, frr: Frr) => Promise<void>): Promise<void> {
  const lab = new Lab(1);
  lab.up();
  try {
    const peer = { address: node(1).ipv4, as: NODE_AS, families: ['ipv4'], passive: true } as const;
    const frr = await startFrr(lab, { as: ROUTER_AS, peers: [peer] });
    // it accepts nobody in its first second
    await until('FRR waits', async () => (await frr.state(node(1).ipv4)) === 'Active');
    await measure(lab, frr);
  } finally {
    await lab.stopAll();
    lab.down();
  }
}

/** Resident memory once FRR has every VIP and two seconds have passed. */
async function memoryAtRest(frr: Frr, pid: number): Promise<number> {
  const hasAll = async (): Promise<boolean> => {
    const answer = JSON.parse(await frr.vty('show bgp ipv4 unicast summary json'));
    return answer.peers?.[node(1).ipv4]?.pfxRcd === VIPS;
  };
  await until('FRR has all', hasAll, 60_000);
  await sleep(2_000);
  return residentMiB(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

async function once(who: string, begin: Start, into: Measurements): Promise<void> {
  await withRouter(async (lab, frr) => {
    const starting = begin(lab, 1);
    const established = await untilEstablished(frr);
    into.add('established', who, established - (await starting).began);
  });
  await withRouter(async (lab, frr) => {
    if (who === 'GoBGP') {
      const announcer = await startGobgpAnnouncer(lab, prefixesOf(VIPS));
      await announcer.go();
      into.add('memory', who, await memoryAtRest(frr, announcer.pid));
    } else {
      const { pid } = await begin(lab, VIPS);
      into.add('memory', who, await memoryAtRest(frr, pid));
    }
  });
}

export async function start(): Promise<boolean> {
  const into = new Measurements();
  const isBuilt = existsSync(BUNDLE);
  if (!isBuilt) console.log('no dist/fairway.js: run `npm run build` to have the bundle measured');
  const source = ours(join(import.meta.dirname, '../src/main.ts'));
  const candidates: readonly (readonly [string, Start])[] = [
    ...(isBuilt
      ? [['ours', ours(BUNDLE, IMAGE_FLAGS)] as const, ['ours, unbundled', source] as const]
      : [['ours', source] as const]),
    ['BIRD', bird],
    ['GoBGP', gobgp],
  ];
  for (let turn = 0; turn < REPETITIONS; turn++) {
    for (const [who, begin] of candidates) await once(who, begin, into);
  }
  const quick = print({
    what: 'start → Established',
    unit: 'ms',
    figures: into.of('established'),
    goal: { text: 'less than 1000', met: (ms) => ms < 1_000 },
  });
  const small = print({
    what: `memory with ${VIPS} VIPs announced`,
    unit: 'MiB',
    figures: into.of('memory'),
    goal: { text: 'at most 107, as MetalLB’s speaker', met: (mib) => mib <= 107 },
  });
  return quick && small;
}
