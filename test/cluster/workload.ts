// What users run: Services, Pods and Deployments of a small server that answers every connection with the name of its
// Pod, and a client behind the router that asks.

import { join } from 'node:path';
import type { Manifest } from '../interop/manifests.ts';
import type { KubeObject } from './api.ts';
import { APP, type Cluster } from './cluster.ts';

const INSIDE = join(import.meta.dirname, '../interop/inside.ts');

export interface Service extends KubeObject {
  readonly spec: { readonly clusterIPs?: readonly string[]; readonly loadBalancerClass?: string };
  readonly status: {
    readonly loadBalancer: { readonly ingress?: readonly { readonly ip?: string }[] };
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
      readonly message: string;
    }[];
  };
}

/** A Service `app/NAME` of type LoadBalancer over the Pods labelled `app=NAME`. */
export function loadBalancer(name: string, spec: object = {}, metadata: object = {}): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: APP, ...metadata },
    spec: {
      type: 'LoadBalancer',
      selector: { app: name },
      ports: [{ name: 'tcp-80', port: 80, targetPort: 8080, protocol: 'TCP' }],
      ...spec,
    },
  };
}

/** A Pod on a node; `web-2` belongs to `web`. It ends within a second of being told to. */
export function serve(name: string, nodeName: string, app = name.replace(/-\d+$/, '')): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: APP, labels: { app } },
    spec: { ...POD, nodeName },
  };
}

export function deployment(app: string, replicas: number): Manifest {
  const labels = { app };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: app, namespace: APP },
    spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: POD } },
  };
}

const POD = { terminationGracePeriodSeconds: 1, containers: [{ name: 'serve', image: 'serve' }] };

interface EndpointSlice extends KubeObject {
  readonly endpoints?: readonly {
    readonly addresses: readonly string[];
    readonly conditions: { readonly ready?: boolean };
  }[];
}

/** Addresses of the endpoints of `app/NAME` that are ready. */
export async function endpointsOf(cluster: Cluster, name: string): Promise<string[]> {
  const slices = await cluster.api.list<EndpointSlice>({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    namespace: APP,
    labels: `kubernetes.io/service-name=${name}`,
  });
  return slices
    .flatMap(({ endpoints = [] }) => endpoints)
    .filter(({ conditions }) => conditions.ready === true)
    .flatMap(({ addresses }) => addresses);
}

/** How often each answer came to the client behind the router: names of Pods, or errors. */
export function fetchFrom(cluster: Cluster, address: string, count = 1, port = 80): Record<string, number> {
  return JSON.parse(cluster.lab.run('c', [process.execPath, INSIDE, 'fetch', address, `${port}`, `${count}`]));
}
