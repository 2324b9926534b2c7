// Fairway in a cluster, installed from manifests/fairway.yaml: what stories ask of it, and the words in which they ask.
// A story applies what a user would, waits for what a user would see, and leaves nothing behind.

import type { Manifest } from '../interop/manifests.ts';
import { type Daemon, until } from '../interop/process.ts';
import type { KubeObject, Selection } from './api.ts';
import { APP, type Cluster, SYSTEM } from './cluster.ts';
import type { Pod } from './container.ts';
import type { Service } from './workload.ts';

const V1BETA1 = 'metallb.io/v1beta1';
/** In an order in which they may be deleted: the webhook keeps a BFDProfile that a BGPPeer names. */
const CONFIGURATION: readonly Selection[] = [
  { apiVersion: 'metallb.io/v1beta2', kind: 'BGPPeer' },
  { apiVersion: V1BETA1, kind: 'BGPAdvertisement' },
  { apiVersion: V1BETA1, kind: 'L2Advertisement' },
  { apiVersion: V1BETA1, kind: 'BFDProfile' },
  { apiVersion: V1BETA1, kind: 'Community' },
  { apiVersion: V1BETA1, kind: 'IPAddressPool' },
].map((each) => ({ ...each, namespace: SYSTEM }));

/** An edit: both workloads with METALLB_BGP_TYPE. */
export function bgpType(mode: 'native' | 'frr' | 'frr-k8s'): (object: Manifest) => Manifest {
  return (object) => {
    if (object.kind !== 'Deployment' && object.kind !== 'DaemonSet') return object;
    const text = JSON.stringify(object);
    return JSON.parse(text.replaceAll('"env":[', `"env":[{"name":"METALLB_BGP_TYPE","value":"${mode}"},`));
  };
}

/** Every Pod of ours is ready, and the webhooks answer. */
export async function untilReady(cluster: Cluster): Promise<void> {
  const daemonSet = { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name: 'speaker', namespace: SYSTEM } };
  const speakers = (await cluster.api.find(daemonSet)) === undefined ? 0 : cluster.nodes.length;
  const count = { controller: 2, speaker: speakers };
  for (const [component, wanted] of Object.entries(count)) {
    const ready = async (): Promise<boolean> => {
      const pods = await podsOf(cluster, component);
      const states = await Promise.all(pods.map((pod) => cluster.readiness(pod)));
      return states.filter((state) => state === 'ready').length === wanted;
    };
    await until(`${wanted} pods of the ${component} are ready`, ready, 60_000);
  }
  // refused by the webhook and by nobody before it
  const probe = { apiVersion: V1BETA1, kind: 'IPAddressPool', metadata: { name: 'probe', namespace: SYSTEM } };
  const answers = async (): Promise<boolean> =>
    cluster.api.create({ ...probe, spec: { addresses: ['none'] } }).then(
      () => false,
      (fault: Error) => {
        if (!fault.message.includes('denied the request')) throw fault;
        return true;
      },
    );
  await until('the webhooks answer', answers, 60_000);
}

export async function clear(cluster: Cluster): Promise<void> {
  const { api } = cluster;
  for (const name of await namespaces(cluster)) {
    await api.removeAll({ apiVersion: 'v1', kind: 'Service', namespace: name });
    await api.removeAll({ apiVersion: 'apps/v1', kind: 'Deployment', namespace: name });
    await api.removeAll({ apiVersion: 'v1', kind: 'Pod', namespace: name });
  }
  for (const each of CONFIGURATION) await api.removeAll(each);
  await api.removeAll({ apiVersion: 'v1', kind: 'Secret', namespace: SYSTEM, labels: 'story' });
}

/** The namespaces of users: `app` and those labelled `story`. */
async function namespaces(cluster: Cluster): Promise<string[]> {
  const made = await cluster.api.list({ apiVersion: 'v1', kind: 'Namespace', labels: 'story' });
  return [APP, ...made.map(({ metadata }) => metadata.name)];
}

export async function podsOf(cluster: Cluster, component: string): Promise<Pod[]> {
  const labels = `component=${component}`;
  const pods = await cluster.api.list<Pod>({ apiVersion: 'v1', kind: 'Pod', namespace: SYSTEM, labels });
  return pods
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map((pod) => ({ ...pod, apiVersion: 'v1', kind: 'Pod' }));
}

/** The Pod of the speaker on a node. */
export async function speakerOn(cluster: Cluster, node: string): Promise<Pod> {
  const found = (await podsOf(cluster, 'speaker')).find(({ spec }) => spec.nodeName === node);
  if (found === undefined) throw new Error(`no speaker on ${node}`);
  return found;
}

export async function daemonsOf(cluster: Cluster, component: string): Promise<Daemon[]> {
  return (await podsOf(cluster, component)).map(({ metadata }) => cluster.kubelet.daemon(metadata.name));
}

/** Ends every process of a component and waits until each has been started again and is ready. */
export async function restart(cluster: Cluster, component: string, signal: NodeJS.Signals): Promise<void> {
  const pods = await podsOf(cluster, component);
  const pid = ({ metadata }: Pod): number => cluster.kubelet.daemon(metadata.name).pid;
  const before = pods.map(pid);
  for (const daemon of await daemonsOf(cluster, component)) daemon.signal(signal);
  await until(`each ${component} was started again`, () => pods.every((pod, at) => pid(pod) !== before[at]), 30_000);
  await untilReady(cluster);
}

export function ipPool(name: string, addresses: readonly string[], spec: object = {}, labels: object = {}): Manifest {
  return {
    apiVersion: V1BETA1,
    kind: 'IPAddressPool',
    metadata: { name, namespace: SYSTEM, labels },
    spec: { addresses, ...spec },
  };
}

export function bgpAdvertisement(name: string, spec: object = {}): Manifest {
  return { apiVersion: V1BETA1, kind: 'BGPAdvertisement', metadata: { name, namespace: SYSTEM }, spec };
}

/** Addresses in the status of a Service, in order. */
export async function addressesOf(cluster: Cluster, service: Manifest): Promise<string[]> {
  const { status } = await cluster.api.read<Service>(service);
  return (status.loadBalancer.ingress ?? []).map(({ ip = '' }) => ip);
}

/**
 * Waits until a Service has exactly these addresses; none: that it has lost or never got one, with a reason in its
 * condition.
 */
export async function untilAddresses(cluster: Cluster, service: Manifest, ...wanted: readonly string[]): Promise<void> {
  const has = async (): Promise<boolean> => {
    const { status } = await cluster.api.read<Service>(service);
    const ips = (status.loadBalancer.ingress ?? []).map(({ ip = '' }) => ip);
    const condition = status.conditions?.find(({ type }) => type === 'metallb.io/AddressAllocated');
    if (ips.join() !== wanted.join()) throw new Error(`it has [${ips}], ${condition?.reason} ${condition?.message}`);
    return wanted.length > 0 || condition?.status === 'False';
  };
  await until(`${service.metadata.name} has [${wanted}]`, has);
}

interface KubeEvent extends KubeObject {
  readonly involvedObject: { readonly kind: string; readonly name: string; readonly namespace?: string };
  readonly reason: string;
  readonly message: string;
  readonly type: string;
  readonly count?: number;
  readonly source?: { readonly component?: string };
}

/** Events about a Service, as `kubectl describe` lists them. */
export async function eventsOf(cluster: Cluster, service: Manifest): Promise<readonly KubeEvent[]> {
  const { uid } = (await cluster.api.read(service)).metadata;
  const events = await cluster.api.list<KubeEvent & { involvedObject: { uid: string } }>({
    apiVersion: 'v1',
    kind: 'Event',
    namespace: service.metadata.namespace,
  });
  return events.filter(({ involvedObject }) => involvedObject.uid === uid);
}
