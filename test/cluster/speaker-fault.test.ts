// What a cluster does to its speakers: the API goes away, a connection to it goes silent, a speaker starts while nobody
// answers, older clients have left objects that make no sense. Routes stay as long as nobody said that they should go.

import { expect, it } from 'vitest';
import type { Frr } from '../interop/frr.ts';
import { gateways, node } from '../interop/lab.ts';
import { throughout, until } from '../interop/process.ts';
import type { KubeObject } from './api.ts';
import { type Cluster, CRDS, placeOf, SYSTEM } from './cluster.ts';
import { bgpAdvertisement, ipPool, speakerOn, untilAddresses } from './fairway.ts';
import { ALL, tor, untilGateways, untilSessions, web } from './routing.ts';
import { clusterStories, useFairway, useRouter } from './stories.ts';
import { loadBalancer, serve } from './workload.ts';

interface Knowledge {
  readonly process: { readonly ready: boolean };
  readonly knowledge: { readonly ageMs: number };
}

/** What the speaker of a node says of itself on loopback. */
function stateOn(cluster: Cluster, name: string): Knowledge {
  return JSON.parse(cluster.curl(placeOf(name), 'http://127.0.0.1:7472/api/v1/state'));
}

/** In the order in which they are named: one at a time. */
const ODD = [
  { kind: 'L2Advertisement', spec: { ipAddressPools: { a: 1 }, nodeSelectors: [7] } },
  { kind: 'Community', spec: { communities: 'none' } },
].map(({ kind, spec }) => ({
  ...{ apiVersion: 'metallb.io/v1beta1', kind, metadata: { name: 'odd', namespace: SYSTEM }, spec },
}));

/** Stores what no schema would take: before Fairway and its webhooks come, and while the CRDs allow anything. */
async function storeOdd(cluster: Cluster): Promise<void> {
  const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  const versions = [{ name: 'v1beta1', served: true, storage: true, schema: { openAPIV3Schema: anything } }];
  const lax = CRDS.filter(({ spec }) => ODD.some(({ kind }) => (spec as CrdSpec).names.kind === kind));
  await cluster.installCrds(lax.map((crd) => ({ ...crd, spec: { ...(crd['spec'] as CrdSpec), versions } })));
  await cluster.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: SYSTEM } }, ...ODD);
}

interface CrdSpec {
  readonly names: { readonly kind: string };
}

clusterStories('speakers in trouble', ['FRR'], () => {
  const cluster = useFairway(2, { prepare: storeOdd });
  const router = useRouter(cluster);

  const ups = async (frr: Frr): Promise<number[]> => {
    const each = [1, 2].map(async (i) => (await frr.neighbour(node(i).ipv4)).connectionsEstablished ?? 0);
    return Promise.all(each);
  };

  it('objects that an older client left, with fields of wrong types, are named; all is well when they are gone', async () => {
    await router.start();
    await cluster.api.apply(...router.basics(), ...web('web'));
    // the configuration is one unit: with a part that can't be read there is none, and each speaker says which part
    const said = async (name: string): Promise<string> => {
      const state = {
        apiVersion: 'metallb.io/v1beta1',
        kind: 'ConfigurationState',
        metadata: { name, namespace: SYSTEM },
      };
      const { status } = await cluster.api.read<KubeObject & { status?: { errorSummary?: string } }>(state);
      return status?.errorSummary ?? '';
    };
    for (const { kind, ...reference } of ODD) {
      for (const name of ['speaker-n1', 'speaker-n2']) {
        await until(`${name} names the ${kind}`, async () => (await said(name)).includes(`${kind} odd: spec.`));
      }
      await cluster.api.remove({ kind, ...reference });
    }
    await untilGateways(cluster, router.vip, ...ALL);
  }, 60_000);

  it('the API server is away: sessions and routes stay, and the speaker says how old its knowledge is', async () => {
    const frr = await router.start();
    await cluster.api.apply(...router.basics(), ...web('web'));
    await untilGateways(cluster, router.vip, ...ALL);
    const before = await ups(frr);
    const stoppedAt = performance.now();
    await cluster.control.stopApiServer('SIGKILL');
    try {
      await throughout('both announce', 6_000, () => gateways(cluster.lab, 'r', router.route).join() === ALL.join());
      expect(stateOn(cluster, 'n1').knowledge.ageMs).toBeGreaterThan(4_000);
    } finally {
      cluster.control.startApiServer();
      await cluster.control.untilReady();
    }
    // nothing was missed, and what comes next is heard
    await cluster.api.apply(serve('web-9', 'n1'));
    await cluster.api.remove(loadBalancer('web'));
    await untilGateways(cluster, router.vip);
    expect(await ups(frr)).toEqual(before);
    const isNew = (): boolean => stateOn(cluster, 'n1').knowledge.ageMs < performance.now() - stoppedAt - 6_000;
    await until('it has heard of everything since', isNew, 60_000);
  }, 120_000);

  it('a connection to the API goes silent on one node: its routes stay, and it catches up afterwards', async () => {
    const frr = await router.start();
    const wants = (at: number) => ({ annotations: { 'metallb.io/loadBalancerIPs': router.address(at) } });
    await cluster.api.apply(...router.basics(), ...web('gone', ['n1', 'n2'], {}, wants(1)));
    await untilGateways(cluster, router.address(1), ...ALL);
    const before = await ups(frr);
    const speak = cluster.silence('n1');
    try {
      await cluster.api.remove(loadBalancer('gone'));
      await cluster.api.apply(...web('new', ['n1', 'n2'], {}, wants(2)));
      // the other node has heard of both
      await untilGateways(cluster, router.address(1), node(1).ipv4);
      await untilGateways(cluster, router.address(2), node(2).ipv4);
      await throughout('the deaf one keeps what it knew', 3_000, () => {
        return gateways(cluster.lab, 'r', `${router.address(1)}/32`).join() === node(1).ipv4;
      });
    } finally {
      speak();
    }
    await until(
      'it catches up',
      () => gateways(cluster.lab, 'r', `${router.address(2)}/32`).join() === ALL.join(),
      100_000,
    );
    await untilGateways(cluster, router.address(1));
    expect(await ups(frr)).toEqual(before);
  }, 180_000);

  it('a speaker that starts while nobody answers waits, and opens no session', async () => {
    const frr = await router.start();
    await cluster.api.apply(...router.basics(), ...web('web'));
    await untilSessions(frr, 2);
    await untilGateways(cluster, router.vip, ...ALL);
    const { metadata } = await speakerOn(cluster, 'n1');
    const speak = cluster.silence('n1');
    try {
      const old = cluster.kubelet.daemon(metadata.name);
      old.signal('SIGKILL');
      await until('it was started again', () => cluster.kubelet.daemon(metadata.name) !== old);
      await throughout('it dials nobody', 4_000, async () => (await frr.state(node(1).ipv4)) !== 'Established');
      expect(gateways(cluster.lab, 'r', router.route)).toEqual([node(2).ipv4]);
    } finally {
      speak();
    }
    await untilSessions(frr, 2);
    await untilGateways(cluster, router.vip, ...ALL);
  }, 120_000);

  it('a router that refuses and comes back: nothing is lost', async () => {
    const frr = await router.start();
    await cluster.api.apply(ipPool('main', [`${router.vip}/24`]), bgpAdvertisement('main'), tor(), ...web('web'));
    await untilAddresses(cluster, loadBalancer('web'), router.vip);
    await untilGateways(cluster, router.vip, ...ALL);
    await frr.stop('SIGKILL');
    await router.start();
    await untilGateways(cluster, router.vip, ...ALL);
  });
});
