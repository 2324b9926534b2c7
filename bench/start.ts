// `npm run bench start`: from the start of the process until FRR says Established, and what it holds with 1,000 VIPs
// announced. Ours is `fairway standalone`, as source and as the bundle; BIRD and GoBGP with the same table beside it.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startBird } from '../test/interop/bird.ts';
import { type Frr, startFrr } from '../test/interop/frr.ts';
import { startGobgp } from '../test/interop/gobgp.ts';
import { Lab, node, ROUTER } from '../test/interop/lab.ts';
import { advertisement, bgpPeer, endpoints, type Manifest, pool, service } from '../test/interop/manifests.ts';
import { until } from '../test/interop/process.ts';
import { Speaker } from '../test/interop/speaker.ts';
import { Measurements, print, residentMiB } from './figures.ts';
import { NODE_AS, now, prefixesOf, ROUTER_AS, startGobgpAnnouncer } from './rivals.ts';

const VIPS = 1_000;
const REPETITIONS = 5;
const BUNDLE = join(import.meta.dirname, '../dist/fairway.js');
const PEER = { address: ROUTER.ipv4, local: node(1).ipv4, as: ROUTER_AS, families: ['ipv4'] } as const;

function manifests(): Manifest[] {
  const peer = bgpPeer('tor', { myASN: NODE_AS, peerASN: ROUTER_AS, peerAddress: ROUTER.ipv4 });
  const services = prefixesOf(VIPS).flatMap((prefix, i) => {
    return [service(`web-${i}`, [prefix.replace('/32', '')]), endpoints(['n1'], `web-${i}`)];
  });
  return [pool(['198.18.0.0/15']), advertisement(), peer, ...services];
}

interface Candidate {
  readonly pid: number;
  readonly began: number;
  /** Gives it its routes where it does not bring them along. */
  readonly fill?: () => Promise<unknown>;
}

type Start = (lab: Lab) => Promise<Candidate>;

const ours =
  (program: string): Start =>
  async (lab) => {
    const speaker = new Speaker(lab, 'n1', manifests(), []);
    const began = now();
    speaker.start(program);
    return { pid: speaker.daemon.pid, began };
  };

const bird: Start = async (lab) => {
  const began = now();
  const options = { place: 'n1', as: NODE_AS, routerId: node(1).ipv4, announce: prefixesOf(VIPS) } as const;
  const { daemon } = await startBird(lab, { ...options, peers: [PEER], kernel: false });
  return { pid: daemon.pid, began };
};

/** Started empty: it takes its table over its own interface. */
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

async function once(who: string, begin: Start, into: Measurements): Promise<void> {
  const lab = new Lab(1);
  lab.up();
  try {
    const peer = { address: node(1).ipv4, as: NODE_AS, families: ['ipv4'], passive: true } as const;
    const frr = await startFrr(lab, { as: ROUTER_AS, peers: [peer] });
    const starting = begin(lab);
    const established = await untilEstablished(frr);
    const candidate = await starting;
    into.add('established', who, established - candidate.began);
    if (who === 'GoBGP') return;
    await counted(frr);
    into.add('memory', who, residentMiB(readFileSync(`/proc/${candidate.pid}/status`, 'utf8')));
  } finally {
    await lab.stopAll();
    lab.down();
  }
}

async function counted(frr: Frr): Promise<void> {
  await until(
    'FRR has all',
    async () => {
      const answer = JSON.parse(await frr.vty('show bgp ipv4 unicast summary json'));
      return answer.peers?.[node(1).ipv4]?.pfxRcd === VIPS;
    },
    60_000,
  );
  await sleep(2_000);
}

/** GoBGP's memory with the table that it was fed. */
async function gobgpMemory(into: Measurements): Promise<void> {
  const lab = new Lab(1);
  lab.up();
  try {
    const peer = { address: node(1).ipv4, as: NODE_AS, families: ['ipv4'], passive: true } as const;
    const frr = await startFrr(lab, { as: ROUTER_AS, peers: [peer] });
    const announcer = await startGobgpAnnouncer(lab, prefixesOf(VIPS));
    await announcer.go();
    await counted(frr);
    into.add('memory', 'GoBGP', residentMiB(readFileSync(`/proc/${announcer.pid}/status`, 'utf8')));
  } finally {
    await lab.stopAll();
    lab.down();
  }
}

export async function start(): Promise<boolean> {
  const into = new Measurements();
  const source = join(import.meta.dirname, '../src/main.ts');
  if (!existsSync(BUNDLE)) console.log('no dist/fairway.js: run `npm run build` to have the bundle measured');
  const candidates: readonly (readonly [string, Start])[] = [
    ...(existsSync(BUNDLE) ? [['ours', ours(BUNDLE)] as const] : []),
    [existsSync(BUNDLE) ? 'ours, unbundled' : 'ours', ours(source)],
    ['BIRD', bird],
    ['GoBGP', gobgp],
  ];
  for (let turn = 0; turn < REPETITIONS; turn++) {
    for (const [who, begin] of candidates) await once(who, begin, into);
    await gobgpMemory(into);
  }
  const quick = print({
    what: `start with ${VIPS} Services → Established`,
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
