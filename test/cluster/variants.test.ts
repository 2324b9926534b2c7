// What is not manifests/fairway.yaml, on a real API server: the overlays and the Helm chart are taken to the letter; both take over
// workloads that MetalLB made, whose selectors can never be changed; what an overlay forbids is refused.

import { expect, it } from 'vitest';
import type { ApiObject } from '../../src/config/resource.ts';
import type { Manifest } from '../interop/manifests.ts';
import { until } from '../interop/process.ts';
import { chart, kustomized } from '../manifests/objects.ts';
import { compare, type Definition } from '../manifests/readers.ts';
import { find } from '../manifests/tools.ts';
import { collectionPath } from './api.ts';
import { CRDS, fairway, SYSTEM } from './cluster.ts';
import { clusterStories, useCluster } from './stories.ts';

/** Kinds of the Prometheus operator are not served here. */
const isServed = ({ apiVersion }: ApiObject): boolean => !apiVersion.startsWith('monitoring.coreos.com/');

const labelled = (kind: 'Deployment' | 'DaemonSet', name: string, namespace: string, labels: object): Manifest => ({
  apiVersion: 'apps/v1',
  kind,
  metadata: { name, namespace },
  spec: {
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      // on no node: nothing runs in this story
      spec: { nodeSelector: { never: 'here' }, containers: [{ name: name.replace('metallb-', ''), image: 'metallb' }] },
    },
    ...(kind === 'Deployment' && { replicas: 0 }),
  },
});

const chartLabels = (component: string): object => ({
  'app.kubernetes.io/name': 'metallb',
  'app.kubernetes.io/instance': 'metallb',
  'app.kubernetes.io/component': component,
});

const lacks = (['helm', 'kustomize'] as const).filter((tool) => find(tool) === undefined).map((tool) => `no ${tool}`);
const title = 'overlays and the chart on a real API server';

clusterStories(lacks.length === 0 ? title : `${title} (skipped: ${lacks.join(', ')})`, [], () => {
  const cluster = useCluster(1, async ({ api }) => {
    for (const name of [SYSTEM, 'lb']) await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  });

  /** What the server would say to `kubectl apply`: its warnings, or its refusal. */
  const wouldSay = async (objects: readonly ApiObject[]): Promise<readonly string[]> => {
    const query = '?fieldManager=kubectl&force=true&fieldValidation=Strict&dryRun=All';
    const said: string[] = [];
    for (const object of objects.filter(isServed)) {
      const { apiVersion, kind, metadata } = object;
      const path = `${collectionPath({ apiVersion, kind, namespace: metadata.namespace })}/${metadata.name}${query}`;
      const { warnings } = await cluster.api.call('PATCH', path, object, 'application/apply-patch+yaml');
      said.push(...warnings);
    }
    return said;
  };
  const skipWithout = (tool: 'helm' | 'kustomize') => it.skipIf(find(tool) === undefined);

  it('the server serves the fields that are read, and no others', async () => {
    await cluster.installCrds();
    for (const { metadata } of CRDS) {
      const reference = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata };
      for (const { version, unread, undefined: missing } of compare(await cluster.api.read<Definition>(reference)))
        expect({ metadata, version, unread, missing }).toEqual({ metadata, version, unread: [], missing: [] });
    }
  });

  skipWithout('kustomize').each(['bgp-listen', 'bgp-only', 'layer2-only', 'networkpolicies', 'prometheus'])(
    'the overlay %s is taken without a warning',
    async (name) => {
      const objects = kustomized(`overlays/${name}`);
      expect(objects.filter(isServed).length).toBeGreaterThan(25);
      expect(await wouldSay(objects)).toEqual([]);
    },
  );

  const network = ['networkpolicies.enabled=true', 'networkpolicies.defaultDeny=true', 'controller.replicas=1'];
  const metrics = [
    ...['prometheus.scrapeAnnotations=true', 'prometheus.podMonitor.enabled=true', 'prometheus.serviceAccount=p'],
    ...['prometheus.namespace=m', 'tls.controllerMetricsTLSSecret=a', 'tls.speakerMetricsTLSSecret=b'],
  ];
  const frr = ['frrk8s.enabled=false', 'speaker.frr.enabled=true', 'speaker.memberlist.enabled=false'];
  skipWithout('helm').each([
    { of: 'its own values', values: [] },
    { of: 'frr mode', values: frr },
    { of: 'network policies', values: network },
    { of: 'metrics', values: metrics },
  ])('the chart is taken without a warning, with $of', async ({ values }) => {
    const objects = chart('metallb', ...values);
    expect(objects.length).toBeGreaterThan(20);
    expect(await wouldSay(objects)).toEqual([]);
  });

  it('the plain manifests take over the workloads of MetalLB’s', async () => {
    const labels = (component: string): object => ({ app: 'metallb', component });
    await cluster.api.apply(
      labelled('Deployment', 'controller', SYSTEM, labels('controller')),
      labelled('DaemonSet', 'speaker', SYSTEM, labels('speaker')),
    );
    const workloads = fairway().filter(({ kind }) => kind === 'Deployment' || kind === 'DaemonSet');
    expect(await wouldSay(workloads as readonly ApiObject[])).toEqual([]);
  });

  skipWithout('helm')('the chart takes over the workloads of MetalLB’s chart', async () => {
    await cluster.api.apply(
      labelled('Deployment', 'metallb-controller', 'lb', chartLabels('controller')),
      labelled('DaemonSet', 'metallb-speaker', 'lb', chartLabels('speaker')),
    );
    const workloads = chart('metallb').filter(({ kind }) => kind === 'Deployment' || kind === 'DaemonSet');
    expect(await wouldSay(workloads)).toEqual([]);
    // the server does refuse other selectors
    const others = chart('metallb', 'nameOverride=other', 'fullnameOverride=metallb').filter(
      ({ kind }) => kind === 'Deployment',
    );
    await expect(wouldSay(others)).rejects.toThrow('field is immutable');
  });

  skipWithout('kustomize').each([
    ['layer2-only', 'this cluster announces by layer 2 alone', 'BGPAdvertisement', 'L2Advertisement'],
    ['bgp-only', 'this cluster announces by BGP alone', 'L2Advertisement', 'BGPAdvertisement'],
  ])('the overlay %s refuses: %s', async (name, text, refused, allowed) => {
    await cluster.installCrds();
    const policies = kustomized(`overlays/${name}`).filter(({ kind }) => kind.startsWith('ValidatingAdmissionPolicy'));
    await cluster.api.apply(...(policies as readonly Manifest[]));
    const answerTo = (kind: string): Promise<string> => {
      const path = `${collectionPath({ apiVersion: 'metallb.io/v1beta1', kind, namespace: SYSTEM })}?dryRun=All`;
      const object = { apiVersion: 'metallb.io/v1beta1', kind, metadata: { name: 'a' }, spec: {} };
      return cluster.api.call('POST', path, object).then(
        () => 'taken',
        (refusal: Error) => refusal.message,
      );
    };
    await until('the policy is in force', async () => (await answerTo(refused)).includes(text), 20_000);
    expect(await answerTo(allowed)).toBe('taken');
    await cluster.api.remove(...(policies as readonly Manifest[]));
  });
});
