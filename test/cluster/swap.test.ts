// The swap of two images in an installation of MetalLB's: our controller under the rights that MetalLB's manifests
// give, with one replica, and beside a controller of MetalLB's that still runs.

import { expect, it } from 'vitest';
import type { Manifest } from '../interop/manifests.ts';
import { throughout, until } from '../interop/process.ts';
import { collectionPath } from './api.ts';
import { type Cluster, fairway, SYSTEM } from './cluster.ts';
import { addressesOf, clear, eventsOf, ipPool, podsOf, untilAddresses, untilReady } from './fairway.ts';
import { clusterStories, useCluster, useFairway } from './stories.ts';
import { loadBalancer } from './workload.ts';

const ALL = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];
const READ = ['get', 'list', 'watch'];
const DEFINITIONS = [
  ...['bfdprofiles', 'bgpadvertisements', 'bgppeers', 'ipaddresspools', 'l2advertisements', 'communities'],
  'configurationstates',
].map((plural) => `${plural}.metallb.io`);
const rule = (group: string, resources: readonly string[], verbs: readonly string[], more: object = {}): object => ({
  ...{ apiGroups: [group], resources, verbs },
  ...more,
});

/** What MetalLB's manifests grant to its controller, by kind and name of the role. */
const RIGHTS: Readonly<Record<string, readonly object[]>> = {
  'ClusterRole metallb-system:controller': [
    rule('', ['services', 'namespaces'], READ),
    rule('', ['nodes'], ['list']),
    rule('', ['services/status'], ['update']),
    rule('', ['events'], ['create', 'patch']),
    rule('admissionregistration.k8s.io', ['validatingwebhookconfigurations'], ['list', 'watch']),
    rule('admissionregistration.k8s.io', ['validatingwebhookconfigurations'], ALL, {
      resourceNames: ['metallb-webhook-configuration'],
    }),
    rule('apiextensions.k8s.io', ['customresourcedefinitions'], ['list', 'watch']),
    rule('apiextensions.k8s.io', ['customresourcedefinitions'], ALL, { resourceNames: DEFINITIONS }),
    rule('metallb.io', ['configurationstates'], ALL),
    rule('metallb.io', ['configurationstates/status'], ['get', 'patch', 'update']),
  ],
  'Role pod-lister': [
    rule('', ['pods'], ['list', 'get']),
    rule('', ['secrets', 'configmaps'], READ),
    rule('metallb.io', ['bfdprofiles', 'bgppeers', 'bgpadvertisements'], READ),
    rule('metallb.io', ['communities', 'ipaddresspools', 'l2advertisements'], READ),
  ],
  'Role controller': [
    rule('', ['secrets'], ALL),
    rule('apps', ['deployments'], ['get'], { resourceNames: ['controller'] }),
    rule('metallb.io', ['bgppeers'], ['get', 'list']),
    rule('metallb.io', ['ipaddresspools/status'], ['update']),
  ],
};

function asInstalledByMetalLB(object: Manifest): Manifest {
  const rules = RIGHTS[`${object.kind} ${object.metadata.name}`];
  if (rules !== undefined) return { ...object, rules };
  if (object.kind !== 'Deployment') return object;
  return { ...object, spec: { ...(object['spec'] as object), replicas: 1 } };
}

/** A Pod that is there, and that nothing runs. */
const RIVAL = 'metallb';

const logOf = async (cluster: Cluster): Promise<string> => {
  const pods = (await podsOf(cluster, 'controller')).filter(({ metadata }) => metadata.name !== RIVAL);
  return pods.map(({ metadata }) => cluster.kubelet.daemon(metadata.name).log()).join('\n');
};

clusterStories('our controller under the rights of MetalLB', [], () => {
  const cluster = useCluster(1, async (made) => {
    const objects = fairway().filter(({ kind }) => kind !== 'DaemonSet' && kind !== 'PodDisruptionBudget');
    await made.install(objects.map(asInstalledByMetalLB));
    const ready = async (): Promise<boolean> => {
      const [pod] = await podsOf(made, 'controller');
      return pod !== undefined && (await made.readiness(pod)) === 'ready';
    };
    await until('the controller is ready', ready, 60_000);
  });

  it('leads without a lease, and says so', async () => {
    await until('it leads', async () => (await logOf(cluster)).includes('leads without a lease'), 30_000);
    expect(await logOf(cluster)).toContain('until then only one replica may run');
  });

  it('gives an address, counts it, tells of it and takes it away, by updates where patches are forbidden', async () => {
    const web = loadBalancer('web');
    const pool = ipPool('main', ['203.0.113.0/30']);
    await until('the webhooks let it', async () => (await cluster.api.apply(pool)).length === 1, 30_000);
    await cluster.api.apply(web);
    await untilAddresses(cluster, web, '203.0.113.0');
    await until('the event', async () => (await eventsOf(cluster, web)).some(({ reason }) => reason === 'IPAllocated'));
    const count = async () => {
      const { status } = await cluster.api.read<Manifest & { status?: { assignedIPv4: number } }>(pool);
      return status?.assignedIPv4;
    };
    await until('it is counted', async () => (await count()) === 1);
    await cluster.api.patch(web, { spec: { type: 'ClusterIP' } });
    await until('the address is gone', async () => (await addressesOf(cluster, web)).length === 0);
    await until('nothing is counted', async () => (await count()) === 0);
    expect(await logOf(cluster)).toContain('updates whole objects, for patching is forbidden');
    await clear(cluster);
  });

  it('refuses what is wrong, and says in its ConfigurationState that all is well', async () => {
    await expect(cluster.api.create(ipPool('bad', ['203.0.113.300/32']))).rejects.toThrow('invalid CIDR');
    const state = {
      apiVersion: 'metallb.io/v1beta1',
      kind: 'ConfigurationState',
      metadata: { name: 'controller', namespace: SYSTEM },
    };
    const { status } = await cluster.api.read<Manifest & { status?: { result: string } }>(state);
    expect(status?.result).toBe('Valid');
  });
});

clusterStories('our controllers beside one of MetalLB', [], () => {
  const cluster = useFairway(1, { speakers: false });

  it('write nothing until it is gone', async () => {
    const rival: Manifest = {
      ...{ apiVersion: 'v1', kind: 'Pod' },
      metadata: { name: RIVAL, namespace: SYSTEM, labels: { app: 'metallb', component: 'controller' } },
      spec: { nodeSelector: { no: 'node' }, containers: [{ name: 'controller', image: 'metallb' }] },
    };
    await cluster.api.apply(rival);
    const noticed = async () => (await logOf(cluster)).includes('another controller runs: nothing is written');
    await until('they notice', noticed);
    const web = loadBalancer('web');
    await cluster.api.apply(ipPool('main', ['203.0.113.0/30']), web);
    await throughout('no address', 3_000, async () => (await addressesOf(cluster, web)).length === 0);
    const pods = collectionPath({ apiVersion: 'v1', kind: 'Pod', namespace: SYSTEM });
    await cluster.api.call('DELETE', `${pods}/${RIVAL}?gracePeriodSeconds=0`);
    await untilAddresses(cluster, web, '203.0.113.0');
    await untilReady(cluster);
  });
});
