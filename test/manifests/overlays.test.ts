// The overlays, as kustomize builds them: what each changes in the base. Skipped without kustomize.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { fairway, find, keyOf, kustomized, MANIFESTS, sorted, type Workload } from './objects.ts';
import { find as findTool } from './tools.ts';

const speakerOf = (objects: ReturnType<typeof kustomized>) =>
  find<Workload>(objects, 'DaemonSet', 'speaker').spec.template.spec;

describe.skipIf(findTool('kustomize') === undefined)('overlays (need kustomize)', () => {
  const base = new Map(fairway().map((object) => [keyOf(object), object]));
  /** Keys of what an overlay adds, changes and takes away. */
  const difference = (name: string) => {
    const objects = new Map(sorted(kustomized(`overlays/${name}`)).map((object) => [keyOf(object), object]));
    const isSame = (key: string) => isDeepStrictEqual(base.get(key), objects.get(key));
    return {
      added: [...objects.keys()].filter((key) => !base.has(key)),
      changed: [...objects.keys()].filter((key) => base.has(key) && !isSame(key)),
      gone: [...base.keys()].filter((key) => !objects.has(key)),
    };
  };

  it('are all told of here', () => {
    const names = ['bgp-listen', 'bgp-only', 'layer2-only', 'networkpolicies', 'prometheus'];
    expect(readdirSync(join(MANIFESTS, 'overlays')).toSorted()).toEqual(names);
  });

  it('with admission policies, which older servers do not have, are said to need Kubernetes 1.30', () => {
    const guide = readFileSync(join(MANIFESTS, '../docs/install.md'), 'utf8').split('\n');
    for (const name of readdirSync(join(MANIFESTS, 'overlays'))) {
      const isPolicy = kustomized(`overlays/${name}`).some(({ kind }) => kind === 'ValidatingAdmissionPolicy');
      const row = guide.find((line) => line.startsWith(`| \`${name}\` |`));
      expect([name, row?.includes('Kubernetes 1.30')]).toEqual([name, isPolicy]);
    }
  });

  it('bgp-only: a speaker that is nobody and has no capability, and L2Advertisements refused', () => {
    expect(difference('bgp-only')).toEqual({
      added: ['ValidatingAdmissionPolicy metallb-bgp-only', 'ValidatingAdmissionPolicyBinding metallb-bgp-only'],
      changed: ['DaemonSet metallb-system speaker', 'Deployment metallb-system controller'],
      gone: ['ConfigMap metallb-system metallb-excludel2'],
    });
    const objects = kustomized('overlays/bgp-only');
    const { containers, volumes } = speakerOf(objects);
    expect(containers[0]?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      runAsUser: 65534,
      capabilities: { drop: ['ALL'] },
    });
    expect(volumes).toBe(undefined);
    expect(containers[0]?.ports).toEqual([{ name: 'metricshttps', containerPort: 9120 }]);
    const names = containers[0]?.env.map(({ name }) => name);
    expect(names).toEqual(['METALLB_NODE_NAME', 'METALLB_POD_NAME', 'METALLB_HOST']);
    const controller = find<Workload>(objects, 'Deployment', 'controller').spec.template.spec.containers[0];
    expect(controller?.env.map(({ name }) => name)).toEqual(['METALLB_POD_NAME']);
  });

  it('layer2-only: nothing of BGP can be made', () => {
    expect(difference('layer2-only')).toEqual({
      added: ['ValidatingAdmissionPolicy metallb-layer2-only', 'ValidatingAdmissionPolicyBinding metallb-layer2-only'],
      changed: [],
      gone: [],
    });
    const { spec } = find<{ readonly spec: { readonly matchConstraints: unknown } }>(
      kustomized('overlays/layer2-only'),
      'ValidatingAdmissionPolicy',
      'metallb-layer2-only',
    );
    expect(spec.matchConstraints).toEqual({
      resourceRules: [
        {
          apiGroups: ['metallb.io'],
          apiVersions: ['*'],
          operations: ['CREATE', 'UPDATE'],
          resources: ['bgppeers', 'bgpadvertisements', 'bfdprofiles'],
        },
      ],
    });
  });

  it('networkpolicies: the controller and the API server, nothing else', () => {
    const { added, changed, gone } = difference('networkpolicies');
    expect(added).toEqual(['NetworkPolicy metallb-system controller', 'NetworkPolicy metallb-system default-deny']);
    expect([changed, gone]).toEqual([[], []]);
    const policies = kustomized('overlays/networkpolicies');
    expect(find(policies, 'NetworkPolicy', 'default-deny')['spec']).toEqual({
      podSelector: {},
      policyTypes: ['Ingress', 'Egress'],
    });
    expect(find(policies, 'NetworkPolicy', 'controller')['spec']).toMatchObject({
      podSelector: { matchLabels: { component: 'controller' } },
      ingress: [{ ports: [{ port: 'metricshttps' }, { port: 'webhook-server' }] }],
      egress: [{ ports: [{ protocol: 'TCP', port: 6443 }] }],
    });
  });

  it('bgp-listen: port 179, and the capability that it needs', () => {
    expect(difference('bgp-listen')).toEqual({ added: [], changed: ['DaemonSet metallb-system speaker'], gone: [] });
    const [container] = speakerOf(kustomized('overlays/bgp-listen')).containers;
    expect(container?.args).toEqual(['--port=9120', '--log-level=info', '--bgp-listen=0.0.0.0:179,[::]:179']);
    expect(container?.securityContext.capabilities.add).toEqual(['NET_RAW', 'NET_BIND_SERVICE']);
  });

  it('prometheus: monitors with a token that may read metrics', () => {
    const { added, changed, gone } = difference('prometheus');
    expect([changed, gone]).toEqual([[], []]);
    expect(added).toEqual([
      'ClusterRole metallb-system:metrics-reader',
      'ClusterRoleBinding metallb-system:metrics-reader',
      'PodMonitor metallb-system controller-monitor',
      'PodMonitor metallb-system speaker-monitor',
      'PrometheusRule metallb-system metallb',
      'Role metallb-system prometheus-k8s',
      'RoleBinding metallb-system prometheus-k8s',
      'Secret metallb-system metrics-reader-token',
      'Service metallb-system controller-monitor-service',
      'Service metallb-system speaker-monitor-service',
      'ServiceAccount metallb-system metrics-reader',
    ]);
    const objects = kustomized('overlays/prometheus');
    expect(find(objects, 'ClusterRole', 'metallb-system:metrics-reader')['rules']).toEqual([
      { nonResourceURLs: ['/metrics'], verbs: ['get'] },
    ]);
    for (const process of ['controller', 'speaker']) {
      expect(find(objects, 'PodMonitor', `${process}-monitor`)['spec']).toMatchObject({
        selector: { matchLabels: { app: 'metallb', component: process } },
        podMetricsEndpoints: [
          {
            port: 'metricshttps',
            scheme: 'https',
            authorization: { credentials: { name: 'metrics-reader-token', key: 'token' } },
          },
        ],
      });
    }
  });
});
