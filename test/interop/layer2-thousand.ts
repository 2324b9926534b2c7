// The owner of a thousand addresses dies: when each of them is answered by another, and what the LAN is asked meanwhile.
// Told by the stories of layer 2 and measured by their bench.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Ip } from '../../src/net/address.ts';
import type { Lab } from './lab.ts';
import { CONTROL, EVERY_MS, Layer2Lab, NODES, type Sampler } from './layer2-lab.ts';
import { until } from './process.ts';

/** So many addresses are asked for in each round, and so each one all 400 ms. */
const PER_ROUND = 50;
const VIPS: readonly Ip[] = Array.from({ length: 1_000 }, (_, i) => `198.18.${i >> 8}.${i & 255}` as Ip);
export const ASKED_EVERY_MS = (VIPS.length / PER_ROUND) * EVERY_MS;
const HEIRS = ['n2', 'n3'] as const;

export interface ThousandLost {
  readonly client: Sampler;
  /** The instant of the death, of performance.now(). */
  readonly from: number;
  /** Until another node was seen to answer, for each address; Infinity: never. It is seen ASKED_EVERY_MS late at most. */
  readonly outagesMs: readonly number[];
  /** ARP requests of those who inherit, besides announcements. */
  readonly questions: number;
  /** Claims by one that had not yet heard of the other's: these ask the gateway a second time. */
  readonly twice: number;
}

export function lanOfThousand(lab: Lab): Layer2Lab {
  return new Layer2Lab(lab, Object.fromEntries(VIPS.map((vip) => [vip, NODES])));
}

/** Needs tcpdump. */
export async function loseThousand(lab: Lab, lan: Layer2Lab): Promise<ThousandLost> {
  lan.start('n1', 'n4');
  const client = await lan.sampler('r', [...VIPS, CONTROL], PER_ROUND);
  await untilAllAt(lan, client, 'n1');
  lan.start(...HEIRS);
  for (const name of HEIRS) await lan.hears(name, 3);
  await sleep(2_000);
  const dumps = HEIRS.map((port) => lab.spawn(`dump-${port}`, 'sw', ['tcpdump', '-nl', '-Q', 'in', '-i', port, 'arp']));
  for (const dump of dumps) await until('tcpdump listens', () => dump.log().includes('listening'));
  client.again();
  await sleep(500);
  const from = performance.now();
  lan.daemon('n1').signal('SIGKILL');
  await untilAllAt(lan, client, ...HEIRS);
  const { answered } = await client.samples();
  const heirs = (vip: Ip) => answered.get(vip)?.find(([at, mac]) => at > from && lan.macs.get(mac) !== 'n1')?.[0];
  await Promise.all(dumps.map((dump) => dump.stop('SIGINT')));
  const requests = dumps.flatMap((dump) => dump.log().match(/Request who-has .*? tell [0-9.]+/g) ?? []);
  const claims = HEIRS.flatMap(
    (name) =>
      lan
        .daemon(name)
        .log()
        .match(/"op":"l2-claimed"/g) ?? [],
  );
  return {
    ...{ client, from, twice: claims.length - VIPS.length },
    outagesMs: VIPS.map((vip) => (heirs(vip) ?? Number.POSITIVE_INFINITY) - from),
    questions: requests.filter((line) => !/who-has (\S+) .*tell \1$/.test(line)).length,
  };
}

/** To ask for samples too often would disturb what is measured. */
async function untilAllAt(lan: Layer2Lab, client: Sampler, ...owners: readonly string[]): Promise<void> {
  await until(
    `${owners.join(' or ')} has each`,
    async () => {
      await sleep(500);
      const { answered } = await client.samples();
      return VIPS.every((vip) => owners.includes(lan.macs.get(answered.get(vip)?.at(-1)?.[1] ?? '') ?? ''));
    },
    30_000,
  );
}
