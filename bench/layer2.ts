// `npm run bench layer2`: how soon ARP and Neighbor Solicitation are answered, beside the kernel's own answers (part
// `answers`); what a standalone speaker with 1,000 addresses holds (`memory`); and for how long nobody answers for an address,
// or two do, while something breaks (`outages`, see there). About nine minutes; each part by itself with `--only`.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ip } from '../src/net/address.ts';
import { favour } from '../test/interop/favour.ts';
import { Lab, node, type Place } from '../test/interop/lab.ts';
import { Layer2Lab, type Sampler, VIP4, VIP6 } from '../test/interop/layer2-lab.ts';
import { endpoints, type Manifest, pool, service } from '../test/interop/manifests.ts';
import { until } from '../test/interop/process.ts';
import { IMAGE_FLAGS, Speaker } from '../test/interop/speaker.ts';
import { Measurements, median, percentile, print, residentMiB } from './figures.ts';
import { outages } from './layer2-outages.ts';
import { isAsked, type Settings } from './settings.ts';

const REPETITIONS = 3;
/** One question in two milliseconds, for so long. */
const ASK_EVERY_MS = 2;
const ASKED_MS = 5_000;
/** Questions that may wait when the last answer is counted. */
const UNDER_WAY = 500;
const CHANGES_PER_SECOND = 200;
const VIPS = 1_000;
/** A thread of Node's holds 13 by itself. */
const MOST_MORE_MIB = 25;
const BUNDLE = join(import.meta.dirname, '../dist/fairway.js');
const BOTH = [VIP4, VIP6];
const advertisement: Manifest = {
  ...{ apiVersion: 'metallb.io/v1beta1', kind: 'L2Advertisement', spec: {} },
  metadata: { name: 'main', namespace: 'metallb-system' },
};

/** Services with an address of each family for the first, of IPv4 for the others. */
function manifests(count: number): Manifest[] {
  const others = Array.from({ length: count - 1 }, (_, i) => [changing(i, 0), endpoints(['n1'], `web-${i}`)]);
  const config = [pool(['198.18.0.0/15', `${VIP4}/32`, `${VIP6}/128`]), advertisement];
  return [...config, service('web', BOTH), endpoints(['n1']), ...others.flat()];
}

function changing(i: number, turn: number): Manifest {
  return service(`web-${i}`, [`198.18.${i >> 8}.${i & 255}`], {
    ports: [{ port: 80 + (turn % 100), protocol: 'TCP' }],
  });
}

function startOurs(lab: Lab, count: number, place: Place = 'n1', flags = ['--layer2', 'eth0']): Speaker {
  const speaker = new Speaker(lab, place, manifests(count), [...flags, '--log-level', 'warn']);
  speaker.start(BUNDLE, IMAGE_FLAGS);
  return speaker;
}

/** Changes so many Services a second until it is told to stop. */
function churn(speaker: Speaker): () => void {
  let turn = 0;
  const timer = setInterval(() => {
    for (let i = 0; i < CHANGES_PER_SECOND / 20; i++, turn++) speaker.apply(changing(turn % 100, turn));
  }, 50);
  return () => clearInterval(timer);
}

/** How soon each question was answered, in µs: answers come in the order of the questions, and none is lost on a veth. */
async function latencies(client: Sampler, ip: Ip): Promise<number[]> {
  const from = performance.now();
  await sleep(ASKED_MS);
  const { asked, answered } = await client.samples();
  const questions = asked.get(ip) ?? [];
  const answers = answered.get(ip) ?? [];
  const unanswered = questions.length - answers.length;
  if (unanswered < 0 || unanswered > UNDER_WAY)
    throw new Error(`${ip}: ${unanswered} of ${questions.length} unanswered`);
  const waits = answers.map(([at], i) => ({ asks: questions[i] ?? at, ms: at - (questions[i] ?? at) }));
  return waits.filter(({ asks }) => asks >= from).map(({ ms }) => ms * 1_000);
}

const PAIRS = [
  { what: 'ARP', vip: VIP4, own: node(1).ipv4 as Ip },
  { what: 'Neighbor Solicitation', vip: VIP6, own: node(1).ipv6 as Ip },
] as const;

async function answers(lab: Lab, repetitions: number): Promise<boolean> {
  const measured = new Measurements();
  const speaker = startOurs(lab, 100);
  await until('it is ready', async () => (await speaker.state()).process.ready, 20_000);
  const lan = new Layer2Lab(lab, {});
  try {
    for (let repetition = 0; repetition < repetitions; repetition++) {
      console.log(`answers, ${repetition + 1} of ${repetitions}`);
      for (const { what, vip, own } of PAIRS) {
        for (const [who, ip] of [
          ['ours', vip],
          ['kernel', own],
        ] as const) {
          const client = await lan.sampler('r', [ip], 1, ASK_EVERY_MS);
          const idle = await latencies(client, ip);
          const stop = churn(speaker);
          const busy = await latencies(client, ip);
          stop();
          await client.end();
          for (const [state, waits] of Object.entries({ idle, busy })) {
            measured.add(`${what} ${state} p50`, who, median(waits));
            measured.add(`${what} ${state} p99`, who, percentile(waits, 0.99));
          }
        }
      }
    }
  } finally {
    await lan.stop();
    await lab.stopAll();
  }
  return latencyRows(measured);
}

/** The client's own time is in both figures: what counts is the difference. MetalLB's: 22 and 78 µs idle. */
function latencyRows(measured: Measurements): boolean {
  const goals = { 'idle p50': 24, 'idle p99': 80, 'busy p50': 90, 'busy p99': 1_000 };
  let met = true;
  for (const { what } of PAIRS) {
    for (const [state, most] of Object.entries(goals)) {
      const load = state.startsWith('busy') ? `${CHANGES_PER_SECOND} Service changes a second` : 'idle';
      met =
        print({
          ...{
            what: `${what} answered, ${load}, ${state.slice(5)}`,
            unit: 'µs',
            figures: measured.of(`${what} ${state}`),
          },
          goal: {
            text: `<= ${most} µs more than the kernel`,
            met: (mine, rivals) => mine - (rivals.get('kernel') ?? 0) <= most,
          },
        }) && met;
    }
  }
  return met;
}

/** Beside a speaker of the same Services that announces nothing: what the packet thread and its addresses hold. */
async function memory(lab: Lab): Promise<boolean> {
  console.log('memory');
  const held: number[] = [];
  for (const place of ['n1', 'n2'] as const) {
    const speaker = startOurs(lab, VIPS, place, place === 'n1' ? ['--layer2', 'eth0'] : []);
    await until('it is ready', async () => (await speaker.state()).process.ready, 30_000);
    await sleep(10_000);
    held.push(residentMiB(readFileSync(`/proc/${speaker.daemon.pid}/status`, 'utf8')));
    await lab.stopAll();
  }
  const [ours = 0, without = 0] = held;
  return print({
    ...{ what: `memory of a standalone speaker with ${VIPS} Services`, unit: 'MiB resident' },
    figures: [
      { who: 'with layer 2', values: [ours] },
      { who: 'without', values: [without] },
    ],
    goal: { text: `<= ${MOST_MORE_MIB} MiB more`, met: (mine) => mine - without <= MOST_MORE_MIB },
  });
}

export async function layer2(settings: Settings): Promise<boolean> {
  if (!existsSync(BUNDLE)) throw new Error('cannot be measured: no bundle: npm run build');
  favour();
  const lab = new Lab(5);
  lab.up();
  Layer2Lab.wire(lab);
  try {
    const met: boolean[] = [];
    if (isAsked(settings, 'answers')) met.push(await answers(lab, settings.repetitions ?? REPETITIONS));
    if (isAsked(settings, 'memory')) met.push(await memory(lab));
    met.push(await outages(lab, settings));
    return met.every(Boolean);
  } catch (fault) {
    console.error(lab.logs());
    throw fault;
  } finally {
    await lab.stopAll();
    lab.down();
  }
}
