// A cluster: the lab's switch with router and client, nodes, and one machine more for the control plane, all network
// namespaces; a real API server, real controllers, a kubelet of ours, Fairway's own manifests. Made for the stories of one file (`useCluster` in stories.ts), and by the demo.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { Lab, node, type Place } from '../interop/lab.ts';
import type { Manifest } from '../interop/manifests.ts';
import { type Daemon, until } from '../interop/process.ts';
import type { Api, KubeObject, Reference } from './api.ts';
import { findBinary } from './binaries.ts';
import { ControlPlane } from './control-plane.ts';
import { Kubelet } from './kubelet.ts';
import { POD_CIDR } from './pod-network.ts';

export const MANIFESTS = join(import.meta.dirname, '../../manifests');
export const SYSTEM = 'metallb-system';
/** Where stories keep Services and Pods. */
export const APP = 'app';

/** The objects of a file, or of all YAML files of a folder. */
export function readManifests(path: string): Manifest[] {
  if (statSync(path).isDirectory()) {
    const files = readdirSync(path).filter((name) => name.endsWith('.yaml'));
    return files.sort().flatMap((name) => readManifests(join(path, name)));
  }
  return parseAllDocuments(readFileSync(path, 'utf8')).flatMap((document) => {
    if (document.errors[0] !== undefined) throw new Error(`${path}: ${document.errors[0].message}`);
    // anchors of ours are many: the limit is against strangers
    const object = document.toJS({ maxAliasCount: -1 });
    return object === null ? [] : [object];
  });
}

const isDefinition = ({ kind }: Manifest): boolean => kind === 'CustomResourceDefinition';
export const CRDS = readManifests(join(MANIFESTS, 'crd'));
/** What `kubectl apply -f manifests/fairway.yaml` applies. */
export const fairway = (): Manifest[] => readManifests(join(MANIFESTS, 'fairway.yaml'));

export class Cluster {
  readonly lab: Lab;
  readonly nodes: readonly string[];
  #control: ControlPlane | undefined;
  #kubelet: Kubelet | undefined;

  /** `hosts`: machines more on the segment, which no cluster knows; they come after the control plane's. */
  constructor(nodes: number, hosts = 0) {
    // the machine after the last node is the control plane's: nobody schedules to it
    this.lab = new Lab(nodes + 1 + hosts);
    this.nodes = Array.from({ length: nodes }, (_, i) => `n${i + 1}`);
  }

  get control(): ControlPlane {
    return started(this.#control);
  }

  get kubelet(): Kubelet {
    return started(this.#kubelet);
  }

  get api(): Api {
    return this.control.api;
  }

  async up(): Promise<void> {
    const count = this.nodes.length;
    this.lab.up();
    this.#control = new ControlPlane(this.lab, `n${count + 1}`, node(count + 1).ipv4);
    await this.control.start();
    this.#kubelet = new Kubelet(this.lab, this.control, count, count + 1);
    for (const name of this.nodes) await this.addNode(name);
    await this.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: APP } });
    this.kubelet.start();
  }

  /** Pods of users are refused until a controller has made their ServiceAccount. */
  async untilPodsAreTaken(): Promise<void> {
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: APP } };
    await until('the namespace has its ServiceAccount', () => this.api.find(account));
  }

  async addNode(name: string): Promise<void> {
    const { ipv4, ipv6 } = node(Number(name.slice(1)));
    const labels = { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' };
    const object = { apiVersion: 'v1', kind: 'Node', metadata: { name, labels } };
    await this.api.apply(object);
    await this.api.patchStatus(object, {
      addresses: [ipv4, ipv6].map((address) => ({ type: 'InternalIP', address })),
      conditions: [{ type: 'Ready', status: 'True' }],
    });
    // admission taints a new node until somebody has seen it ready
    await this.api.patch(object, { spec: { taints: [] } });
  }

  /** Our CRDs, and waits until the server serves them. */
  async installCrds(crds: readonly Manifest[] = CRDS): Promise<void> {
    await this.api.apply(...crds);
    for (const { metadata } of crds) {
      const [plural] = metadata.name.split('.');
      const answers = async (): Promise<boolean> =>
        (await this.api.raw('GET', `/apis/metallb.io/v1beta1/${plural}`)).code === 200;
      await until(`${plural} are served`, answers);
    }
  }

  /**
   * All of Fairway, as `kubectl apply` does; its Pods are started by Deployment, DaemonSet and kubelet in their own
   * time.
   */
  async install(objects: readonly Manifest[] = fairway()): Promise<void> {
    const [early, late] = [objects.filter(isDefinition), objects.filter((each) => !isDefinition(each))];
    await this.installCrds(early);
    await this.api.apply(...late);
  }

  /** The data plane of Services on every node. */
  async startProxies(): Promise<readonly Daemon[]> {
    const proxies = this.nodes.map((name) => this.startProxy(name));
    const tables = (at: number): string => this.lab.run(placeOf(this.nodes[at]), ['nft', 'list', 'tables']);
    await until(
      'every kube-proxy has its table',
      () => proxies.every((_, at) => tables(at).includes('kube-proxy')),
      20_000,
    );
    return proxies;
  }

  startProxy(name: string): Daemon {
    return this.lab.spawn(`kube-proxy-${name}`, placeOf(name), [
      findBinary('kube-proxy') ?? 'kube-proxy',
      ...['--kubeconfig', this.control.kubeconfig, '--hostname-override', name, '--proxy-mode', 'nftables'],
      ...['--cluster-cidr', POD_CIDR, '--conntrack-max-per-core', '0', '--nodeport-addresses', 'primary'],
      ...['--healthz-bind-address', '127.0.0.1:10256', '--metrics-bind-address', '127.0.0.1:10249'],
    ]);
  }

  /** Nothing passes between a node and the API server, and nobody says so; undone by the returned function. */
  silence(name: string): () => void {
    const { address, port } = this.control;
    const nft = (...commands: readonly string[]): void => {
      this.lab.run(placeOf(name), ['nft', commands.join('; ')]);
    };
    nft(
      'add table ip silence',
      'add chain ip silence out { type filter hook output priority 0 ; }',
      `add rule ip silence out ip daddr ${address} tcp dport ${port} drop`,
      'add chain ip silence in { type filter hook input priority 0 ; }',
      `add rule ip silence in ip saddr ${address} tcp sport ${port} drop`,
    );
    return () => nft('delete table ip silence');
  }

  /** Whether a Pod is `ready`, `running`, or something else. */
  async readiness(pod: Reference): Promise<string> {
    const { status } = await this.api.read<PodStatus>(pod);
    if (status.phase !== 'Running') return status.phase;
    return status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ? 'ready' : 'running';
  }

  /** Standard output of curl in a place; throws when it fails. */
  curl(place: Place, ...args: readonly string[]): string {
    return this.lab.run(place, ['curl', '-sS', '--max-time', '5', ...args]);
  }

  async down(): Promise<void> {
    await this.#kubelet?.stop();
    await this.#control?.kill();
    await this.lab.stopAll();
    await this.#control?.api.close();
    this.lab.down();
  }
}

interface PodStatus extends KubeObject {
  readonly status: { readonly phase: string; readonly conditions?: readonly { type: string; status: string }[] };
}

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('the cluster is not up');
  return part;
}

export function placeOf(name: string | undefined): Place {
  if (name === undefined || !/^n\d+$/.test(name)) throw new Error(`no such node: ${name}`);
  return `n${Number(name.slice(1))}`;
}
