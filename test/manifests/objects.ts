// Manifests as plain objects, for the tests of manifests/: files, what kustomize builds, what helm renders.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { ApiObject } from '../../src/config/resource.ts';
import { readManifest } from '../../src/k8s/manifest.ts';
import { run } from './tools.ts';

export const MANIFESTS = join(import.meta.dirname, '../../manifests');

/** All objects of a text that must have no fault. */
export function objectsOf(name: string, text: string): readonly ApiObject[] {
  const { objects, faults } = readManifest(name, text);
  expect(faults).toEqual([]);
  return objects.map(({ object }) => object);
}

export const fairway = (): readonly ApiObject[] =>
  objectsOf('fairway.yaml', readFileSync(join(MANIFESTS, 'fairway.yaml'), 'utf8'));

export const kustomized = (folder: string): readonly ApiObject[] =>
  objectsOf(folder, run('kustomize', ['build', join(MANIFESTS, folder)]));

/** What `helm template RELEASE` renders in the namespace `lb`, with `--set` of these values. */
export function chart(release: string, ...values: readonly string[]): readonly ApiObject[] {
  const sets = values.flatMap((value) => [value.startsWith('{') ? '--set-json' : '--set', value]);
  const args = ['template', release, join(MANIFESTS, 'helm/fairway'), '--namespace', 'lb', '--kube-version', '1.30.0'];
  return objectsOf('chart', run('helm', [...args, ...sets]));
}

export const keyOf = ({ kind, metadata }: ApiObject): string =>
  [kind, metadata.namespace, metadata.name].filter(Boolean).join(' ');

/** By kind, namespace and name. */
export function sorted(objects: readonly ApiObject[]): readonly ApiObject[] {
  const keys = objects.map(keyOf);
  expect(new Set(keys).size).toBe(keys.length);
  return objects.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** The object of this kind and name, of which there must be one; `Wanted` is what the test looks at. */
export function find<Wanted>(objects: readonly ApiObject[], kind: string, name: string): ApiObject & Wanted {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name === name);
  expect(found, `${kind} ${name} among ${objects.map(keyOf).join(', ')}`).toHaveLength(1);
  return found[0] as ApiObject & Wanted;
}

type Labels = Readonly<Record<string, string>>;

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: number; readonly host?: string };
}

/** What the tests look at in a Deployment or a DaemonSet. */
export interface Workload {
  readonly spec: {
    readonly replicas?: number;
    readonly selector: { readonly matchLabels: Labels };
    readonly template: {
      readonly metadata: { readonly labels: Labels; readonly annotations: Labels };
      readonly spec: {
        readonly serviceAccountName: string;
        readonly hostNetwork?: boolean;
        readonly terminationGracePeriodSeconds: number;
        readonly priorityClassName?: string;
        readonly securityContext?: Readonly<Record<string, unknown>>;
        readonly tolerations?: readonly Labels[];
        readonly volumes?: readonly Readonly<Record<string, unknown>>[];
        readonly containers: readonly {
          readonly name: string;
          readonly image: string;
          readonly args: readonly string[];
          readonly env: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[];
          readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
          readonly livenessProbe: Probe;
          readonly readinessProbe: Probe;
          readonly securityContext: {
            readonly runAsUser?: number;
            readonly runAsNonRoot?: boolean;
            readonly allowPrivilegeEscalation: boolean;
            readonly readOnlyRootFilesystem: boolean;
            readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
          };
        }[];
      };
    };
  };
}

export interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

export interface Webhooks {
  readonly webhooks: readonly {
    readonly name: string;
    readonly admissionReviewVersions: readonly string[];
    readonly failurePolicy: string;
    readonly sideEffects: string;
    readonly clientConfig: {
      readonly service: { readonly name: string; readonly namespace: string; readonly path: string };
    };
    readonly rules: readonly { readonly operations: readonly string[]; readonly resources: readonly string[] }[];
  }[];
}

export interface AlertRules {
  readonly spec: {
    readonly groups: readonly {
      readonly name: string;
      readonly rules: readonly { readonly alert: string; readonly expr: string; readonly for?: string }[];
    }[];
  };
}
