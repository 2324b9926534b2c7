// `npm run bench announce`: 1,000, 10,000 and 100,000 prefixes, from the moment at which a candidate is told to announce
// until FRR counts the last one; how many UPDATEs it took by FRR's own counter; and the most memory that it held.

import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Frr, startFrr } from '../test/interop/frr.ts';
import { Lab, node } from '../test/interop/lab.ts';
import { type Figures, Measurements, print, residentMiB } from './figures.ts';
import {
  NODE_AS,
  now,
  prefixesOf,
  ROUTER_AS,
  type StartAnnouncer,
  startBirdAnnouncer,
  startGobgpAnnouncer,
  startOurs,
} from './rivals.ts';

const CANDIDATES: readonly (readonly [who: string, start: StartAnnouncer])[] = [
  ['ours', startOurs],
  ['BIRD', startBirdAnnouncer],
  ['GoBGP', startGobgpAnnouncer],
];
const REPETITIONS = 5;
/** 810 IPv4 host routes fit into an UPDATE of 4096 octets with the attributes of an eBGP route. */
const PER_UPDATE = 810;

/** Waits until FRR counts `count` prefixes of the node; the instant in ms since the epoch. */
async function untilCounted(frr: Frr, count: number, limitMs: number): Promise<number> {
  const vty = frr.connect();
  try {
    await vty.ask('enable');
    const end = now() + limitMs;
    while (now() < end) {
      const answer = JSON.parse(await vty.ask('show bgp ipv4 unicast summary json'));
      if ((answer.peers?.[node(1).ipv4]?.pfxRcd ?? 0) >= count) return now();
      await sleep(4);
    }
    throw new Error(`FRR did not count ${count} prefixes within ${limitMs} ms`);
  } finally {
    vty.close();
  }
}

async function once(count: number, who: string, start: StartAnnouncer, into: Measurements): Promise<void> {
  const lab = new Lab(1);
  lab.up();
  try {
    const peer = { address: node(1).ipv4, as: NODE_AS, families: ['ipv4'], passive: true } as const;
    const frr = await startFrr(lab, { as: ROUTER_AS, peers: [peer] });
    const announcer = await start(lab, prefixesOf(count));
    // FRR's first look at next hops and its End-of-RIB are over
    await sleep(1_200);
    const updates = async (): Promise<number> =>
      (await frr.neighbour(node(1).ipv4)).messageStats?.['updatesRecv'] ?? Number.NaN;
    const before = await updates();
    await announcer.go();
    const counted = await untilCounted(frr, count, 120_000);
    into.add('ms', who, counted - announcer.toldAt());
    into.add('updates', who, (await updates()) - before);
    into.add('rss', who, residentMiB(readFileSync(`/proc/${announcer.pid}/status`, 'utf8'), true));
  } finally {
    await lab.stopAll();
    lab.down();
  }
}

export async function announce(): Promise<boolean> {
  let met = true;
  for (const count of [1_000, 10_000, 100_000]) {
    const into = new Measurements();
    for (let turn = 0; turn < REPETITIONS; turn++) {
      for (const [who, start] of CANDIDATES) await once(count, who, start, into);
    }
    const optimum = Math.ceil(count / PER_UPDATE);
    const rows: {
      what: string;
      unit: string;
      of: string;
      goal?: (ours: number, bird: number) => boolean;
      text: string;
    }[] = [
      { what: 'told → last prefix in FRR', unit: 'ms', of: 'ms', text: 'at most BIRD', goal: (a, b) => a <= b },
      {
        what: 'UPDATEs',
        unit: 'messages',
        of: 'updates',
        text: `at most ${optimum}, the optimum of 4096-octet messages`,
        goal: (a) => a <= optimum,
      },
      { what: 'most memory', unit: 'MiB', of: 'rss', text: '' },
    ];
    for (const { what, unit, of, goal, text } of rows) {
      const figures: Figures[] = into.of(of);
      const wanted = goal && {
        text,
        met: (ours: number, rivals: ReadonlyMap<string, number>) => goal(ours, rivals.get('BIRD') ?? 0),
      };
      const row = { what: `announce ${count}: ${what}`, unit, figures };
      met = print(wanted === undefined ? row : { ...row, goal: wanted }) && met;
    }
  }
  return met;
}
