// For how long nobody answers for an address, and for how long two do, as clients on the LAN see it who ask every 20 ms while
// something breaks: the faults of the stories of layer 2, again and again, each called by its name with `--only`. The nodes
// are the packet half of a speaker, told once what a cluster wants: no fault has an API server to ask, as if it had stopped
// at that moment. What the machine adds is told beside it: at a node which nothing happens to. Called by layer2.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../test/interop/lab.ts';
import { lacking } from '../test/interop/lacking.ts';
import { CONTROL, Layer2Lab, NODES, type NodeName, type Sampler, VIP4, VIP6 } from '../test/interop/layer2-lab.ts';
import { ASKED_EVERY_MS, lanOfThousand, loseThousand } from '../test/interop/layer2-thousand.ts';
import { until } from '../test/interop/process.ts';
import { printSpreads, type Spread } from './figures.ts';
import { isAsked, type Settings } from './settings.ts';

const REPETITIONS = 5;
const REPETITIONS_OF_THOUSAND = 3;
const THOUSAND = 'the speaker of 1,000 addresses is killed';
const BOTH = [VIP4, VIP6];

/** Seconds: without an answer at a death, with two answers after a heal, and one question at a hand-over: 40 ms and some jitter. */
const [DEATH, HEAL, HANDOVER] = [1.2, 1.5, 0.05];

interface Fault {
  readonly what: string;
  /** Seconds, at most: the longest without an answer, and those with two. */
  readonly none: number;
  readonly two: number;
  /** How often an address may change its owner. */
  readonly moves?: number;
  /** Measured with kube-proxy and three nodes as namespaces. */
  readonly metallb?: { readonly none: number; readonly two?: number };
  /** Breaks something and mends it; answers when the speakers agree again. */
  readonly once: (lan: Layer2Lab, clients: readonly [near: Sampler, far: Sampler], owner: NodeName) => Promise<void>;
}

const FAULTS: readonly Fault[] = [
  {
    ...{ what: 'the speaker of the owner is killed', none: DEATH, two: HANDOVER, metallb: { none: 5.1 } },
    once: async (lan, [client], owner) => {
      await lan.daemon(owner).stop('SIGKILL');
      await untilMoved(client, owner);
      await restart(lan, owner);
    },
  },
  {
    what: 'the node of the owner is cut off, and comes back',
    ...{ none: DEATH, two: HEAL, metallb: { none: 6, two: 21 } },
    once: async (lan, [client], owner) => {
      lan.cut(owner);
      await untilMoved(client, owner);
      await sleep(1_000);
      lan.join(owner);
      await sleep(3_000);
    },
  },
  {
    ...{ what: 'the owner leaves (SIGTERM)', none: HANDOVER, two: HANDOVER, metallb: { none: 0.018, two: 0.2 } },
    once: async (lan, [client], owner) => {
      await lan.daemon(owner).stop('SIGTERM');
      await untilMoved(client, owner);
      await restart(lan, owner);
    },
  },
  {
    ...{ what: 'the owner stands still for 2 s (SIGSTOP)', none: DEATH, two: 0 },
    once: async (lan, _clients, owner) => {
      await lan.pause(owner, 2_000);
      await sleep(2_500);
    },
  },
  {
    ...{ what: 'the LAN is split 2|1, and healed', none: DEATH, two: HEAL },
    once: async (lan) => {
      lan.cut('trunk1');
      await sleep(3_000);
      lan.join('trunk1');
      await sleep(3_000);
    },
  },
  {
    ...{ what: 'the link of the owner flaps five times', none: DEATH, two: HEAL },
    once: async (lan, _clients, owner) => {
      await lan.flap(owner);
      await sleep(2_500);
    },
  },
  {
    ...{ what: 'a rolling restart', none: HANDOVER, two: HANDOVER, moves: NODES.length },
    once: (lan) => lan.rollOut(),
  },
];

async function restart(lan: Layer2Lab, name: NodeName): Promise<void> {
  lan.start(name);
  await lan.hears(name, 3);
  // a node that has just come is no candidate yet
  await sleep(2_000);
}

async function untilMoved(client: Sampler, owner: NodeName): Promise<void> {
  await until('another owner', async () => (await client.settled(VIP4, undefined)) !== owner, 20_000);
}

/** What one repetition gave, in seconds; the worst of both addresses and both clients. */
interface Outage {
  readonly longest: number;
  readonly none: number;
  readonly two: number;
  readonly moves: number;
  /** The longest without an answer of a node which nothing happens to. */
  readonly machine: number;
}

async function measure(lan: Layer2Lab, clients: readonly [Sampler, Sampler], { once }: Fault): Promise<Outage> {
  const owner = await clients[0].settled(VIP4, undefined, 400, 20_000);
  for (const client of clients) await client.settled(VIP6, undefined, 400, 20_000);
  for (const client of clients) client.again();
  await sleep(300);
  const from = performance.now();
  await once(lan, clients, owner as NodeName);
  // all agree again, whoever is asked
  for (const vip of BOTH) {
    const next = await clients[0].settled(vip, undefined, 400, 20_000);
    await clients[1].settled(vip, next, 400, 20_000);
  }
  const seen = (
    await Promise.all(clients.map((client) => Promise.all(BOTH.map((vip) => client.seen(vip, from)))))
  ).flat();
  const most = (of: (each: (typeof seen)[number]) => number): number => Math.max(...seen.map(of));
  return {
    longest: most(({ longestMs }) => longestMs) / 1_000,
    none: most(({ none }) => none),
    two: most(({ two }) => two),
    moves: most(({ owners }) => owners.length - 1),
    machine: (await clients[0].seen(CONTROL, from)).longestMs / 1_000,
  };
}

async function repeat(lab: Lab, fault: Fault, repetitions: number): Promise<boolean> {
  const { what, metallb } = fault;
  const lan = new Layer2Lab(lab, { [VIP4]: NODES, [VIP6]: NODES });
  const outages: Outage[] = [];
  try {
    const clients = [await lan.settle(BOTH), await lan.sampler('n5', BOTH)] as const;
    for (let turn = 1; turn <= repetitions; turn++) {
      const outage = await measure(lan, clients, fault);
      outages.push(outage);
      console.log(
        `  ${what}, ${turn} of ${repetitions}: none ${outage.none.toFixed(2)} s, two ${outage.two.toFixed(2)} s`,
      );
    }
  } finally {
    await lan.stop();
  }
  const rival = (value: number | undefined) => (value === undefined ? undefined : { who: 'MetalLB', value });
  const of = (what: string, key: keyof Outage, most?: number, other?: number): Spread => ({
    ...{ what, values: outages.map((outage) => outage[key]), most, rival: rival(other) },
  });
  return printSpreads(`${what}, ${repetitions} times, seconds`, [
    of('the longest without an answer', 'longest', fault.none, metallb?.none),
    of('without an answer in all', 'none'),
    of('with two answers', 'two', fault.two, metallb?.two),
    // where two answer at the same time, who came last says nothing
    ...(fault.moves === undefined ? [] : [of('moves of an address (a number)', 'moves', fault.moves)]),
    of('machine: longest of a node at rest', 'machine'),
  ]);
}

async function thousand(lab: Lab, repetitions: number): Promise<boolean> {
  const [outages, last, questions]: [number[], number[], number[]] = [[], [], []];
  for (let turn = 1; turn <= repetitions; turn++) {
    const lan = lanOfThousand(lab);
    try {
      const lost = await loseThousand(lab, lan);
      const seconds = lost.outagesMs.map((ms) => ms / 1_000);
      outages.push(...seconds);
      last.push(Math.max(...seconds));
      questions.push(lost.questions);
      console.log(`  ${THOUSAND}, ${turn} of ${repetitions}: the last is answered after ${last.at(-1)?.toFixed(2)} s`);
    } finally {
      await lan.stop();
    }
  }
  const late = ASKED_EVERY_MS / 1_000;
  return printSpreads(
    `${THOUSAND}, ${repetitions} times, seconds; each is asked for every ${late} s, and seen so much late`,
    [
      { what: 'an address without an answer', values: outages },
      { what: 'the last one without an answer', values: last, most: 2 + late },
      { what: 'frames besides announcements', values: questions, most: 1_500 },
    ],
  );
}

/** True when every goal was met. */
export async function outages(lab: Lab, settings: Settings): Promise<boolean> {
  const met: boolean[] = [];
  for (const fault of FAULTS)
    if (isAsked(settings, fault.what)) met.push(await repeat(lab, fault, settings.repetitions ?? REPETITIONS));
  if (!isAsked(settings, THOUSAND)) return met.every(Boolean);
  const reasons = lacking('tcpdump');
  if (reasons.length > 0) console.log(`\n${THOUSAND}: not measured, ${reasons.join(', ')}`);
  else met.push(await thousand(lab, settings.repetitions ?? REPETITIONS_OF_THOUSAND));
  return met.every(Boolean);
}
