// The chart in Helm's own hands on a real API server: a release of MetalLB's chart is upgraded to ours, changed, rolled back
// and forward again. Workloads are taken over, not made anew; resources and addresses are lost at no step. MetalLB's
// chart is stood in for by one that makes objects of the same names, labels, selectors and role bindings, and runs nothing.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Manifest } from '../interop/manifests.ts';
import { find } from '../manifests/tools.ts';
import type { KubeObject } from './api.ts';
import { CRDS, MANIFESTS, placeOf } from './cluster.ts';
import { addressesOf, untilAddresses } from './fairway.ts';
import { clusterStories, useCluster } from './stories.ts';
import { loadBalancer } from './workload.ts';

const [RELEASE, NAMESPACE] = ['metallb', 'lb'];
const OURS = join(MANIFESTS, 'helm/fairway');
const VERSION: string = JSON.parse(readFileSync(join(MANIFESTS, '../package.json'), 'utf8')).version;
const RBAC = 'rbac.authorization.k8s.io';

const selectorLabels = { 'app.kubernetes.io/name': 'metallb', 'app.kubernetes.io/instance': RELEASE };
const labels = {
  ...selectorLabels,
  ...{ 'helm.sh/chart': 'metallb-0.16.1', 'app.kubernetes.io/version': 'v0.16.1' },
  'app.kubernetes.io/managed-by': 'Helm',
};
const component = (name: string) => ({ 'app.kubernetes.io/component': name });

function object(apiVersion: string, kind: string, name: string, more: object = {}): Manifest {
  const isOfCluster = kind.startsWith('Cluster') || kind.endsWith('WebhookConfiguration');
  return { apiVersion, kind, metadata: { name, labels, ...(!isOfCluster && { namespace: NAMESPACE }) }, ...more };
}

function workload(kind: 'Deployment' | 'DaemonSet', process: string): Manifest {
  const name = `${RELEASE}-${process}`;
  const mine = { ...selectorLabels, ...component(process) };
  // on no node: nothing of it runs in this story
  const containers = [{ name: process, image: 'metallb' }];
  const spec = { serviceAccountName: name, nodeSelector: { never: 'here' }, containers };
  return object('apps/v1', kind, name, {
    spec: {
      selector: { matchLabels: mine },
      template: { metadata: { labels: mine }, spec },
      ...(kind === 'Deployment' && { replicas: 0 }),
    },
  });
}

function binding(kind: 'Role' | 'ClusterRole', name: string, ...processes: readonly string[]): readonly Manifest[] {
  const subjects = processes.map((process) => ({
    ...{ kind: 'ServiceAccount', name: `${RELEASE}-${process}` },
    ...(kind === 'ClusterRole' && { namespace: NAMESPACE }),
  }));
  return [
    object(`${RBAC}/v1`, kind, name, { rules: [{ apiGroups: [''], resources: ['services'], verbs: ['get'] }] }),
    object(`${RBAC}/v1`, `${kind}Binding`, name, { roleRef: { apiGroup: RBAC, kind, name }, subjects }),
  ];
}

function metallb(): readonly Manifest[] {
  const service = { name: 'metallb-webhook-service', namespace: NAMESPACE };
  const webhook = {
    ...{ name: 'ipaddresspoolvalidationwebhook.metallb.io', admissionReviewVersions: ['v1'], sideEffects: 'None' },
    clientConfig: { service: { ...service, path: '/validate-metallb-io-v1beta1-ipaddresspool' } },
    // nobody answers here: `crds.validationFailurePolicy=Ignore`
    failurePolicy: 'Ignore',
    rules: [
      { apiGroups: ['metallb.io'], apiVersions: ['v1beta1'], operations: ['CREATE'], resources: ['ipaddresspools'] },
    ],
  };
  return [
    ...CRDS,
    ...['controller', 'speaker'].map((process) => object('v1', 'ServiceAccount', `${RELEASE}-${process}`)),
    ...['controller', 'speaker'].flatMap((process) => binding('ClusterRole', `${RELEASE}:${process}`, process)),
    ...binding('Role', `${RELEASE}-pod-lister`, 'controller', 'speaker'),
    ...binding('Role', `${RELEASE}-controller`, 'controller'),
    object('v1', 'Secret', 'metallb-webhook-cert'),
    object('v1', 'ConfigMap', 'metallb-excludel2', {
      data: { 'excludel2.yaml': 'announcedInterfacesToExclude: []\n' },
    }),
    object('v1', 'Service', service.name, {
      spec: { ports: [{ port: 443, targetPort: 9443 }], selector: { ...selectorLabels, ...component('controller') } },
    }),
    object('admissionregistration.k8s.io/v1', 'ValidatingWebhookConfiguration', 'metallb-webhook-configuration', {
      webhooks: [webhook],
    }),
    workload('Deployment', 'controller'),
    workload('DaemonSet', 'speaker'),
  ];
}

interface Running extends KubeObject {
  readonly spec: {
    readonly replicas?: number;
    readonly template: {
      readonly spec: { readonly containers: readonly { readonly image: string; args?: string[] }[] };
    };
  };
  readonly status: { readonly readyReplicas?: number; readonly numberReady?: number };
}

const title = 'the chart in the hands of Helm';
clusterStories(find('helm') === undefined ? `${title} (skipped: no helm)` : title, [], () => {
  const cluster = useCluster(1, ({ api }) =>
    api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }),
  );
  const reference = (kind: string, name: string, apiVersion = 'apps/v1') => {
    return { apiVersion, kind, metadata: { name, namespace: NAMESPACE } };
  };
  const pool: Manifest = {
    ...reference('IPAddressPool', 'main', 'metallb.io/v1beta1'),
    spec: { addresses: ['203.0.113.0/30'] },
  };
  const web = loadBalancer('web');

  /** Runs helm to its end, while the kubelet goes on; throws with what it said. */
  const helm = async (...args: readonly string[]): Promise<string> => {
    const folder = cluster.lab.makeFolder('helm');
    const env = { KUBECONFIG: cluster.control.kubeconfig, HOME: folder, HELM_CACHE_HOME: folder };
    const command = [find('helm') ?? 'helm', ...args, '--namespace', NAMESPACE];
    const run = cluster.lab.spawn('helm', placeOf('n1'), command, env);
    if ((await run.ended) !== 0) throw new Error(`helm ${args.join(' ')}: ${run.log()}`);
    return run.log();
  };
  const settled = (...args: readonly string[]) => helm(...args, '--wait', '--timeout', '90s');

  const workloads = async () => {
    const [controller, speaker] = await Promise.all([
      cluster.api.read<Running>(reference('Deployment', 'metallb-controller')),
      cluster.api.read<Running>(reference('DaemonSet', 'metallb-speaker')),
    ]);
    const images = [controller, speaker].map(({ spec }) => spec.template.spec.containers[0]?.image);
    const uids = [controller, speaker].map(({ metadata }) => metadata.uid);
    const args = controller.spec.template.spec.containers[0]?.args ?? [];
    return { images, uids, args, ready: [controller.status.readyReplicas ?? 0, speaker.status.numberReady ?? 0] };
  };
  const budget = () => cluster.api.find(reference('PodDisruptionBudget', 'metallb-controller', 'policy/v1'));
  const uidOfPool = async () => (await cluster.api.read(pool)).metadata.uid;

  it('upgrades a release of MetalLB’s chart, and rolls back to it and forward again, with nothing lost', async () => {
    const theirs = cluster.lab.makeFolder('metallb');
    mkdirSync(join(theirs, 'templates'));
    writeFileSync(join(theirs, 'Chart.yaml'), 'apiVersion: v2\nname: metallb\nversion: 0.16.1\nappVersion: v0.16.1\n');
    const objects = metallb().map((each) => JSON.stringify(each).replaceAll('metallb-system', NAMESPACE));
    writeFileSync(join(theirs, 'templates/all.yaml'), objects.join('\n---\n'));
    await settled('install', RELEASE, theirs);
    await cluster.api.apply(pool, web);
    const [before, uid] = [await workloads(), await uidOfPool()];
    expect(before).toMatchObject({ images: ['metallb', 'metallb'], ready: [0, 0] });

    await settled('upgrade', RELEASE, OURS);
    await untilAddresses(cluster, web, '203.0.113.0');
    const ours = {
      images: ['controller', 'speaker'].map((process) => `fairway/${process}:${VERSION}`),
      uids: before.uids,
      ready: [2, 1],
    };
    expect(await workloads()).toMatchObject(ours);
    expect(await budget()).toBeDefined();
    const bad = { ...pool, metadata: { name: 'bad', namespace: NAMESPACE }, spec: { addresses: ['203.0.113.300/32'] } };
    await expect(cluster.api.create(bad)).rejects.toThrow('invalid CIDR');

    await settled('upgrade', RELEASE, OURS, '--set', 'controller.logLevel=debug');
    expect((await workloads()).args).toContain('--log-level=debug');
    await settled('rollback', RELEASE, '2');
    expect(await workloads()).toMatchObject(ours);
    expect((await workloads()).args).not.toContain('--log-level=debug');

    await settled('rollback', RELEASE, '1');
    expect(await workloads()).toMatchObject(before);
    expect(await budget()).toBeUndefined();
    expect([await uidOfPool(), await addressesOf(cluster, web)]).toEqual([uid, ['203.0.113.0']]);

    await settled('rollback', RELEASE, '2');
    expect(await workloads()).toMatchObject(ours);
    expect([await uidOfPool(), await addressesOf(cluster, web)]).toEqual([uid, ['203.0.113.0']]);
    const revisions = JSON.parse(await helm('history', RELEASE, '--output', 'json')) as readonly { status: string }[];
    expect(revisions.map(({ status }) => status)).toEqual([...Array(5).fill('superseded'), 'deployed']);
  });
});
