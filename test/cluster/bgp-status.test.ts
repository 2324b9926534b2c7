// ServiceBGPStatus: what users read about who announces their Services to which peers, beside what the router says.

import { expect, it } from 'vitest';
import { ROUTER } from '../interop/lab.ts';
import { throughout, until } from '../interop/process.ts';
import type { KubeObject } from './api.ts';
import { APP, type Cluster, SYSTEM } from './cluster.ts';
import { bgpAdvertisement, speakerOn } from './fairway.ts';
import { onNode, tor, web } from './routing.ts';
import { clusterStories, useFairway, useRouter } from './stories.ts';
import { loadBalancer } from './workload.ts';

interface BgpStatus extends KubeObject {
  readonly status?: {
    readonly node: string;
    readonly serviceName: string;
    readonly serviceNamespace: string;
    readonly peers?: readonly string[];
  };
}

/** `n1: a b` for each ServiceBGPStatus of `app/web`. */
async function statusesOf(cluster: Cluster): Promise<string> {
  const labels = `metallb.io/service-name=web,metallb.io/service-namespace=${APP}`;
  const kind = { apiVersion: 'metallb.io/v1beta1', kind: 'ServiceBGPStatus', namespace: SYSTEM, labels };
  const found = await cluster.api.list<BgpStatus>(kind);
  return found
    .map(({ status }) => `${status?.node}: ${status?.peers?.join(' ')}`)
    .sort()
    .join(', ');
}

async function untilStatuses(cluster: Cluster, wanted: string): Promise<void> {
  const are = async (): Promise<boolean> => {
    const seen = await statusesOf(cluster);
    if (seen !== wanted) throw new Error(`they are: ${seen}`);
    return true;
  };
  await until(`the statuses are: ${wanted}`, are, 20_000);
}

clusterStories('ServiceBGPStatus', ['FRR'], () => {
  const cluster = useFairway(2);
  const router = useRouter(cluster);

  it('tells which peers each node announces a Service to', async () => {
    await router.start();
    const two = [tor({}, 'a'), tor({ peerAddress: ROUTER.ipv6 }, 'b')];
    await cluster.api.apply(router.pool, bgpAdvertisement('main'), ...two, ...web('web'));
    await untilStatuses(cluster, 'n1: a b, n2: a b');
    await cluster.api.apply(bgpAdvertisement('main', { peers: ['a', 'b', 'nobody'] }));
    await throughout(
      'a name of nobody changes nothing',
      1_500,
      async () => (await statusesOf(cluster)) === 'n1: a b, n2: a b',
    );
    await cluster.api.remove(tor({}, 'a'));
    await untilStatuses(cluster, 'n1: b, n2: b');
    await cluster.api.apply(bgpAdvertisement('main', onNode('n2')));
    await untilStatuses(cluster, 'n2: b');
    await cluster.api.remove(tor({}, 'b'));
    await untilStatuses(cluster, '');
    await cluster.api.apply(bgpAdvertisement('main'), ...two);
    await untilStatuses(cluster, 'n1: a b, n2: a b');
    await cluster.api.remove(loadBalancer('web'));
    await untilStatuses(cluster, '');
  });

  it('is mended when somebody deletes or edits it', async () => {
    await router.start();
    await cluster.api.apply(...router.basics(), ...web('web'));
    await untilStatuses(cluster, 'n1: tor, n2: tor');
    const kind = { apiVersion: 'metallb.io/v1beta1', kind: 'ServiceBGPStatus', namespace: SYSTEM };
    const [first] = await cluster.api.list<BgpStatus>(kind);
    if (first === undefined) throw new Error('a status');
    await cluster.api.patchStatus({ ...kind, metadata: first.metadata }, { peers: ['somebody'] });
    await untilStatuses(cluster, 'n1: tor, n2: tor');
    await cluster.api.remove({ ...kind, metadata: first.metadata });
    await untilStatuses(cluster, 'n1: tor, n2: tor');
    const [one] = await cluster.api.list<BgpStatus>(kind);
    expect(one?.metadata).toMatchObject({
      labels: { 'metallb.io/service-name': 'web', 'metallb.io/service-namespace': APP },
      ownerReferences: [{ kind: 'Pod', name: (await speakerOn(cluster, one?.status?.node ?? '')).metadata.name }],
    });
    expect(one?.metadata.name).toMatch(/^bgp-/);
  });
});
