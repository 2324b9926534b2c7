// The swap of the speaker's image in an installation of MetalLB's in frr-k8s mode, one node: under the rights that MetalLB's manifests give,
// beside what MetalLB's own speaker left behind. Nothing is announced twice, and what it wrote is taken over.

import { expect, it } from 'vitest';
import { node } from '../interop/lab.ts';
import type { Manifest } from '../interop/manifests.ts';
import { throughout, until } from '../interop/process.ts';
import type { KubeObject } from './api.ts';
import { SYSTEM } from './cluster.ts';
import { bgpType, eventsOf, restart, speakerOn } from './fairway.ts';
import { from } from './routing.ts';
import { clusterStories, useFairway, useRouter } from './stories.ts';
import { loadBalancer, serve } from './workload.ts';

const ALL = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];
const READ = ['get', 'list', 'watch'];
const rule = (group: string, resources: readonly string[], verbs: readonly string[]): object => ({
  ...{ apiGroups: [group], resources, verbs },
});
const withStatus = (...plurals: readonly string[]) => plurals.flatMap((plural) => [plural, `${plural}/status`]);

/** What MetalLB's manifests for frr-k8s grant to its speaker, by kind and name of the role; the controller keeps ours. */
const RIGHTS: Readonly<Record<string, readonly object[]>> = {
  'ClusterRole metallb-system:speaker': [
    rule('metallb.io', withStatus('servicel2statuses', 'configurationstates'), ALL),
    rule('', ['services', 'endpoints', 'nodes', 'namespaces'], READ),
    rule('discovery.k8s.io', ['endpointslices'], READ),
    rule('', ['events'], ['create', 'patch']),
    rule('authentication.k8s.io', ['tokenreviews'], ['create']),
    rule('authorization.k8s.io', ['subjectaccessreviews'], ['create']),
    rule('frrk8s.metallb.io', ['frrconfigurations'], [...READ, 'create', 'update', 'delete']),
  ],
  'Role speaker': [],
  'Role pod-lister': [
    rule('', ['pods'], ['list', 'get']),
    rule('', ['secrets', 'configmaps'], READ),
    rule('metallb.io', ['bfdprofiles', 'bgppeers', 'bgpadvertisements'], READ),
    rule('metallb.io', ['communities', 'ipaddresspools', 'l2advertisements'], READ),
    rule('metallb.io', withStatus('servicebgpstatuses'), ALL),
    // of both processes: the controller's part
    rule('metallb.io', withStatus('configurationstates'), ALL),
  ],
};

function asInstalledByMetalLB(object: Manifest): Manifest {
  const rules = RIGHTS[`${object.kind} ${object.metadata.name}`];
  return bgpType('frr-k8s')(rules === undefined ? object : { ...object, rules });
}

/** frr-k8s's, as far as its objects can be there. */
const DEFINITION: Manifest = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'frrconfigurations.frrk8s.metallb.io' },
  spec: {
    group: 'frrk8s.metallb.io',
    scope: 'Namespaced',
    names: { kind: 'FRRConfiguration', plural: 'frrconfigurations', singular: 'frrconfiguration' },
    versions: [
      {
        ...{ name: 'v1beta1', served: true, storage: true },
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
};
const FRR_CONFIGURATION: Manifest = {
  apiVersion: 'frrk8s.metallb.io/v1beta1',
  kind: 'FRRConfiguration',
  metadata: { name: 'metallb-n1', namespace: SYSTEM },
  spec: {},
};

interface BgpStatus extends KubeObject {
  readonly status?: { readonly peers?: readonly string[] };
}
const STATUSES = { apiVersion: 'metallb.io/v1beta1', kind: 'ServiceBGPStatus', namespace: SYSTEM };

clusterStories('our speaker in place of MetalLB’s', ['FRR'], () => {
  const cluster = useFairway(1, {
    edit: asInstalledByMetalLB,
    prepare: async ({ api }) => {
      await api.apply(DEFINITION, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: SYSTEM } });
      await until('FRRConfigurations are served', async () => (await api.apply(FRR_CONFIGURATION)).length === 1);
    },
  });
  const router = useRouter(cluster);
  const speakerLog = async (): Promise<string> => {
    const { metadata } = await speakerOn(cluster, 'n1');
    return cluster.kubelet.daemon(metadata.name).log();
  };

  it('dials nobody while frr-k8s announces from the node, says how to hand over, and then takes over what was written', async () => {
    const frr = await router.start();
    const web = loadBalancer('web');
    // as MetalLB's speaker left it: with a name of the server's choice, and an owner that is gone
    const status = { node: 'n1', serviceName: 'web', serviceNamespace: web.metadata.namespace, peers: ['tor'] };
    const labels = {
      'metallb.io/node': 'n1',
      'metallb.io/service-name': 'web',
      'metallb.io/service-namespace': web.metadata.namespace,
    };
    const metadata = { generateName: 'bgp-', namespace: SYSTEM, labels };
    const { object } = await cluster.api.create({ ...STATUSES, metadata });
    await cluster.api.patchStatus({ ...STATUSES, metadata: object.metadata }, status);

    await cluster.api.apply(...router.basics(), web, serve('web-1', 'n1'));
    const command = `kubectl delete frrconfiguration metallb-n1 -n ${SYSTEM}`;
    await until('the way to hand over is told', async () => (await speakerLog()).includes(command));
    await throughout('no session', 3_000, async () => (await frr.state(node(1).ipv4)) !== 'Established');

    await cluster.api.remove(FRR_CONFIGURATION);
    const isThere = async (): Promise<boolean> => from(await frr.paths(router.route)).join() === node(1).ipv4;
    await until('the router has the route', isThere, 20_000);
    const kept = async (): Promise<boolean> => {
      const found = await cluster.api.list<BgpStatus>(STATUSES);
      const [one] = found;
      const owned = (one?.metadata['ownerReferences'] as readonly object[] | undefined)?.length === 1;
      return found.length === 1 && one?.metadata.uid === object.metadata.uid && owned;
    };
    await until('the status is ours now, and the same one', kept);

    await restart(cluster, 'speaker', 'SIGTERM');
    await until('the route is back', isThere, 20_000);
    expect(await kept()).toBe(true);
    const about = (await eventsOf(cluster, web)).filter(({ reason }) => reason === 'nodeAssigned');
    expect(about.map(({ count = 1 }) => count)).toEqual([]);
  });

  it('needs no right that MetalLB’s does not have', async () => {
    expect(await speakerLog()).not.toMatch(/has no right|forbidden/);
  });
});
