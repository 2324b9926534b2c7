// One node loses the API server and nothing else: what it answers for on the LAN it goes on answering for, alone, as it knew it
// last; what it missed it learns when the API is back. Who answers is sampled every 20 ms.

import { afterAll, beforeAll, expect } from 'vitest';
import type { Ip } from '../../src/net/address.ts';
import { ranking } from '../../src/plan/elect.ts';
import { favour, unfavour } from '../interop/favour.ts';
import { node } from '../interop/lab.ts';
import type { Sampler } from '../interop/layer2-lab.ts';
import { throughout, until } from '../interop/process.ts';
import {
  LAN,
  l2Advertisement,
  lanPool,
  nodeAnswering,
  sampled,
  stateOf,
  untilAnswered,
  untilL2Statuses,
  untilReason,
  untilSilent,
} from './lan.ts';
import { onNode } from './routing.ts';
import { clusterStories, layer2Story, useFairway } from './stories.ts';
import { loadBalancer, serve } from './workload.ts';

/** A story in which a speaker stood still for longer is told again. */
const STARVED_MS = 600;
const CUT_MS = 12_000;
/** A kernel answers for it. */
const CONTROL = node(1).ipv4 as Ip;

/** Exactly one node has answered since an instant, this one, and without a gap; what the machine added is known by CONTROL. */
async function expectOnly(sampler: Sampler, address: string, from: number, owner: string): Promise<void> {
  const { longestMs, two, owners } = await sampler.seen(address as Ip, from);
  expect([address, two, owners]).toEqual([address, 0, [owner]]);
  expect(longestMs).toBeLessThan(STARVED_MS + (await sampler.seen(CONTROL, from)).longestMs);
}

clusterStories('layer 2 and a node without the API', [], () => {
  beforeAll(favour);
  afterAll(unfavour);
  const cluster = useFairway(3, { prepare: async (made) => void (await made.startProxies()) });
  const first = (address: string): string =>
    ranking(
      address as Ip,
      cluster.nodes.map((name) => ({ node: name, score: 0 })),
    )[0]?.node ?? '';
  const wanting = (name: string, ...addresses: readonly string[]) => {
    const dual = addresses.length > 1 ? { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv4', 'IPv6'] } : {};
    const annotations = { 'metallb.io/loadBalancerIPs': addresses.join() };
    return loadBalancer(name, { ...dual, selector: { app: 'web' } }, { annotations });
  };

  const known = (name: string): string[] => {
    const { services } = stateOf(cluster, name);
    return services.map(({ service }) => service).sort();
  };

  layer2Story(
    cluster,
    'it keeps what it answers for, alone, and catches up: what was deleted meanwhile ends, what was taken stays',
    async () => {
      const deaf = 'n2';
      const others = cluster.nodes.filter((name) => name !== deaf);
      const pool = Array.from({ length: 16 }, (_, at) => LAN.ipv4.replace(/\d+$/, (last) => `${Number(last) + at}`));
      const [kept = '', gone = '', ...rest] = pool;
      // of this one it is the first in order
      const late = rest.find((address) => first(address) === deaf) ?? '';
      const pods = cluster.nodes.map((name, at) => serve(`web-${at + 1}`, name));
      // an owner keeps an address when more candidates come
      await cluster.api.apply(lanPool(), l2Advertisement('main', onNode(deaf)), ...pods);
      await cluster.api.apply(wanting('kept', kept, LAN.ipv6), wanting('gone', gone));
      await untilAnswered(cluster, [kept, LAN.ipv6, gone], [deaf]);
      await cluster.api.apply(l2Advertisement('main', onNode(...cluster.nodes)));
      for (const other of others)
        for (const name of ['kept', 'gone']) await untilReason(cluster, other, name, 'notOwner');
      await untilL2Statuses(cluster, 'kept', deaf);
      await untilL2Statuses(cluster, 'gone', deaf);

      const sampler = await sampled(cluster, [kept, LAN.ipv6, gone, late, CONTROL]);
      try {
        const cutAt = performance.now();
        const speak = cluster.silence(deaf);
        let taker = '';
        try {
          await cluster.api.remove(wanting('gone', gone));
          await cluster.api.apply(wanting('late', late));
          // who does not know of an address does not want it: nobody waits for the first in order
          taker = await sampler.settled(late as Ip, undefined);
          expect(others).toContain(taker);
          await untilL2Statuses(cluster, 'late', taker);
          await throughout('time passes', CUT_MS - (performance.now() - cutAt), () => true);
          expect(known(deaf)).toEqual(['app/gone', 'app/kept']);
          for (const address of [kept, LAN.ipv6, gone]) await expectOnly(sampler, address, cutAt, deaf);
        } finally {
          speak();
        }
        const backAt = performance.now();
        await until('it has heard', () => known(deaf).join() === 'app/kept,app/late', 100_000);
        await untilSilent(cluster, gone);
        await untilL2Statuses(cluster, 'gone');
        // the first in order knows of it now, and has not been stable for long enough to get it
        await throughout('nothing moves', 3_000, () => nodeAnswering(cluster, late) === taker);
        for (const address of [kept, LAN.ipv6]) await expectOnly(sampler, address, backAt, deaf);
        await expectOnly(sampler, late, backAt, taker);
        await untilL2Statuses(cluster, 'kept', deaf);
        await untilL2Statuses(cluster, 'late', taker);
      } finally {
        await sampler.end();
      }
    },
    240_000,
  );
});
