// manifests/fairway.yaml as text: what MetalLB's users and `kubectl apply` over MetalLB rely on (names, labels, selectors, the
// table of webhooks), and what a security review looks at (capabilities, rights). A real API server reads it in test/cluster.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { RENDERED, render } from '../../scripts/manifests.ts';
import { CONTROLLER_FLAGS } from '../../src/cli/controller.ts';
import { parseGoFlags } from '../../src/cli/go-flags.ts';
import { SPEAKER_FLAGS } from '../../src/cli/speaker.ts';
import { fairway, find, kustomized, MANIFESTS, type Rule, sorted, type Webhooks, type Workload } from './objects.ts';
import { find as findTool } from './tools.ts';

const objects = fairway();

describe('manifests/fairway.yaml', () => {
  it('is what npm run manifests makes', () => {
    expect(readFileSync(RENDERED, 'utf8')).toBe(render());
  });

  it.skipIf(findTool('kustomize') === undefined)('has the objects that kustomize builds (needs kustomize)', () => {
    expect(sorted(kustomized('base'))).toEqual(sorted(objects));
  });

  it('has an object of each name once, in metallb-system where it is namespaced', () => {
    sorted(objects);
    const clustered = ['Namespace', 'CustomResourceDefinition', 'ClusterRole', 'ClusterRoleBinding'];
    clustered.push('ValidatingWebhookConfiguration');
    for (const { kind, metadata } of objects) {
      expect(metadata.namespace, `${kind} ${metadata.name}`).toBe(
        clustered.includes(kind) ? undefined : 'metallb-system',
      );
    }
  });

  it('runs images of the version of package.json, from a registry of the user’s choice', () => {
    const { version } = JSON.parse(readFileSync(join(MANIFESTS, '../package.json'), 'utf8'));
    const images = ['Deployment controller', 'DaemonSet speaker'].map((workload) => {
      const [kind = '', name = ''] = workload.split(' ');
      return find<Workload>(objects, kind, name).spec.template.spec.containers.map(({ image }) => image);
    });
    expect(images).toEqual([[`fairway/controller:${version}`], [`fairway/speaker:${version}`]]);
  });

  it('allows the speaker what its pod security level must allow', () => {
    const { metadata } = find(objects, 'Namespace', 'metallb-system');
    expect(metadata['labels']).toEqual({
      'pod-security.kubernetes.io/enforce': 'privileged',
      'pod-security.kubernetes.io/audit': 'privileged',
      'pod-security.kubernetes.io/warn': 'privileged',
    });
  });
});

describe.each([
  ['Deployment', 'controller'],
  ['DaemonSet', 'speaker'],
])('the %s %s', (kind, name) => {
  const workload = find<Workload>(objects, kind, name);
  const { metadata, spec: pod } = workload.spec.template;
  const [container] = pod.containers;

  it('has the labels and the selector of MetalLB’s', () => {
    const labels = { app: 'metallb', component: name };
    expect(workload.metadata['labels']).toEqual(labels);
    expect(workload.spec.selector).toEqual({ matchLabels: labels });
    expect(metadata.labels).toEqual(labels);
  });

  it('says that its Pods are ours', () => {
    expect(metadata.annotations[`fairway/${name}`]).toBe('v1');
  });

  it('has ten seconds to leave, and an account', () => {
    expect(pod.terminationGracePeriodSeconds).toBe(10);
    find(objects, 'ServiceAccount', pod.serviceAccountName);
  });

  it('can write nothing and gain nothing', () => {
    expect(container?.securityContext).toMatchObject({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  it('is given arguments and an environment that its process knows', () => {
    const flags = name === 'controller' ? CONTROLLER_FLAGS : SPEAKER_FLAGS;
    expect(parseGoFlags(flags, container?.args ?? [], {})).toMatchObject({ port: 9120, 'log-level': 'info' });
    const known = Object.values(flags).flatMap((flag) => ('env' in flag ? [flag.env] : []));
    expect(container?.env.map((each) => each.name).filter((each) => !known.some((env) => env === each))).toEqual([]);
  });

  it('serves metrics on 9120 and is asked for its health on 17472', () => {
    expect(container?.ports.find((port) => port.name === 'metricshttps')?.containerPort).toBe(9120);
    const host = kind === 'DaemonSet' ? { host: '127.0.0.1' } : {};
    expect(container?.livenessProbe.httpGet).toEqual({ path: '/healthz', port: 17472, ...host });
    expect(container?.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 17472, ...host });
  });
});

describe('the controller', () => {
  const { spec } = find<Workload>(objects, 'Deployment', 'controller');
  const { containers, securityContext } = spec.template.spec;

  it('has two replicas, one of which stays through a drain', () => {
    expect(spec.replicas).toBe(2);
    const budget = find<{ readonly spec: object }>(objects, 'PodDisruptionBudget', 'controller');
    expect(budget.spec).toEqual({ minAvailable: 1, selector: spec.selector });
  });

  it('is nobody and has no capability', () => {
    expect(securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: 65534, fsGroup: 65534 });
    expect(containers[0]?.securityContext.capabilities).toEqual({ drop: ['ALL'] });
  });

  it('is told which Secret to make, and which Deployment owns it', () => {
    expect(containers[0]?.env).toEqual([
      { name: 'METALLB_POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'METALLB_ML_SECRET_NAME', value: 'memberlist' },
      { name: 'METALLB_DEPLOYMENT', value: 'controller' },
    ]);
  });
});

describe('the speaker', () => {
  const { template } = find<Workload>(objects, 'DaemonSet', 'speaker').spec;
  const { hostNetwork, containers, tolerations, volumes } = template.spec;
  const [container] = containers;

  it('starts without the Secret of the speakers, which a controller makes', () => {
    const secret = { secretName: 'memberlist', defaultMode: 420, optional: true };
    expect(volumes).toContainEqual({ name: 'memberlist', secret });
  });

  it('is on the host’s network, also on control planes, with raw sockets and nothing else', () => {
    expect(hostNetwork).toBe(true);
    expect(tolerations?.map(({ key }) => key)).toEqual([
      'node-role.kubernetes.io/master',
      'node-role.kubernetes.io/control-plane',
    ]);
    expect(container?.securityContext.capabilities).toEqual({ drop: ['ALL'], add: ['NET_RAW'] });
    // to another user than root the capability would be of no use
    expect(container?.securityContext.runAsUser).toBe(0);
  });

  it('has MetalLB’s environment', () => {
    const values = container?.env.map(({ name, value, valueFrom }) => {
      const { fieldRef } = (valueFrom ?? {}) as { fieldRef?: { fieldPath: string } };
      return [name, value ?? fieldRef?.fieldPath];
    });
    expect(Object.fromEntries(values ?? [])).toEqual({
      METALLB_NODE_NAME: 'spec.nodeName',
      METALLB_POD_NAME: 'metadata.name',
      METALLB_HOST: 'status.hostIP',
      METALLB_ML_BIND_ADDR: 'status.podIP',
      METALLB_ML_LABELS: 'app=metallb,component=speaker',
      METALLB_ML_SECRET_KEY_PATH: '/etc/ml_secret_key',
    });
  });
});

describe('rights', () => {
  const bindings = objects.filter(({ kind }) => kind.endsWith('RoleBinding'));
  interface Binding {
    readonly roleRef: { readonly kind: string; readonly name: string };
    readonly subjects: readonly { readonly kind: string; readonly name: string; readonly namespace: string }[];
  }

  it('have MetalLB’s names, so that an apply replaces its roles', () => {
    const names = objects.filter(({ kind }) => kind.endsWith('Role')).map(({ metadata }) => metadata.name);
    expect(names.toSorted()).toEqual(
      ['controller', 'metallb-system:controller', 'metallb-system:speaker', 'pod-lister', 'speaker'].toSorted(),
    );
  });

  it('are bound to accounts that exist', () => {
    expect(bindings).toHaveLength(5);
    for (const binding of bindings) {
      const { roleRef, subjects, kind, metadata } = binding as typeof binding & Binding;
      expect(kind).toBe(`${roleRef.kind}Binding`);
      expect(roleRef.name).toBe(metadata.name);
      find(objects, roleRef.kind, roleRef.name);
      for (const { name, namespace } of subjects) {
        expect(namespace).toBe('metallb-system');
        find(objects, 'ServiceAccount', name);
      }
    }
  });

  it('name what they are about: no wildcard, no escalation, no Secret of the cluster', () => {
    for (const role of objects.filter(({ kind }) => kind.endsWith('Role'))) {
      for (const { apiGroups, resources, verbs } of (role as typeof role & { rules: readonly Rule[] }).rules) {
        const words = [...(apiGroups ?? []), ...(resources ?? []), ...verbs];
        for (const word of ['*', 'escalate', 'bind', 'impersonate']) expect(words).not.toContain(word);
        if (role.kind === 'ClusterRole') expect(resources).not.toContain('secrets');
      }
    }
  });

  it('each have their reason above them', () => {
    for (const file of ['rbac-controller.yaml', 'rbac-speaker.yaml']) {
      const lines = readFileSync(join(MANIFESTS, 'base', file), 'utf8').split('\n');
      const rules = lines.flatMap((line, at) => (line.startsWith('- apiGroups') ? [at] : []));
      expect(rules.length).toBeGreaterThan(5);
      // two rules of one reason stand together
      const bare = rules.filter((at) => !lines[at - 1]?.startsWith('# ') && !lines[at - 1]?.startsWith('  verbs'));
      expect(bare.map((at) => `${file}:${at + 1}`)).toEqual([]);
    }
  });
});

describe('webhooks', () => {
  const { webhooks } = find<Webhooks>(objects, 'ValidatingWebhookConfiguration', 'metallb-webhook-configuration');

  it('are those of MetalLB, by name, path and operations', () => {
    const rows = webhooks.map(({ name, clientConfig, rules }) => {
      return [name, clientConfig.service.path, rules.flatMap(({ operations }) => operations).join(' ')];
    });
    expect(rows).toEqual([
      ['bgppeersvalidationwebhook.metallb.io', '/validate-metallb-io-v1beta2-bgppeer', 'CREATE UPDATE'],
      ['bfdprofilevalidationwebhook.metallb.io', '/validate-metallb-io-v1beta1-bfdprofile', 'CREATE DELETE'],
      [
        'bgpadvertisementvalidationwebhook.metallb.io',
        '/validate-metallb-io-v1beta1-bgpadvertisement',
        'CREATE UPDATE',
      ],
      ['communityvalidationwebhook.metallb.io', '/validate-metallb-io-v1beta1-community', 'CREATE UPDATE'],
      ['ipaddresspoolvalidationwebhook.metallb.io', '/validate-metallb-io-v1beta1-ipaddresspool', 'CREATE UPDATE'],
      ['l2advertisementvalidationwebhook.metallb.io', '/validate-metallb-io-v1beta1-l2advertisement', 'CREATE UPDATE'],
    ]);
    for (const { failurePolicy, sideEffects, admissionReviewVersions } of webhooks) {
      expect([failurePolicy, sideEffects, admissionReviewVersions]).toEqual(['Fail', 'None', ['v1']]);
    }
  });

  it('and the conversion of BGPPeers reach the controller', () => {
    const service = find<{ readonly spec: { readonly selector: object; readonly ports: readonly object[] } }>(
      objects,
      'Service',
      'metallb-webhook-service',
    );
    expect(service.spec).toEqual({ selector: { component: 'controller' }, ports: [{ port: 443, targetPort: 9443 }] });
    const at = { name: 'metallb-webhook-service', namespace: 'metallb-system' };
    for (const { clientConfig } of webhooks) expect(clientConfig.service).toMatchObject(at);
    const crd = find<{ readonly spec: { readonly conversion: object } }>(
      objects,
      'CustomResourceDefinition',
      'bgppeers.metallb.io',
    );
    expect(crd.spec.conversion).toMatchObject({ webhook: { clientConfig: { service: { ...at, path: '/convert' } } } });
    const { containers, volumes } = find<Workload>(objects, 'Deployment', 'controller').spec.template.spec;
    expect(containers[0]?.ports).toContainEqual({ name: 'webhook-server', containerPort: 9443 });
    expect(volumes).toContainEqual({
      name: 'webhook-cert',
      secret: { secretName: 'metallb-webhook-cert', defaultMode: 420 },
    });
    expect(find(objects, 'Secret', 'metallb-webhook-cert')['data']).toBe(undefined);
  });
});
