// The stage of the demo: a cluster of three nodes with Fairway in it, FRR as their router, two Services with a pod on each
// node, and what can be done to them. Its parts are those of test/cluster. Called by cluster.ts, script and keys.

import type { KubeObject } from '../test/cluster/api.ts';
import { Cluster, placeOf } from '../test/cluster/cluster.ts';
import { bgpAdvertisement, ipPool, untilReady } from '../test/cluster/fairway.ts';
import { l2Advertisement } from '../test/cluster/lan.ts';
import { ROUTER_AS, SPEAKER_AS, tor } from '../test/cluster/routing.ts';
import { loadBalancer } from '../test/cluster/workload.ts';
import { startFrr } from '../test/interop/frr.ts';
import { gateways, node, type Place } from '../test/interop/lab.ts';
import { bfdProfile, type Manifest } from '../test/interop/manifests.ts';
import type { Daemon } from '../test/interop/process.ts';
import { until } from '../test/interop/process.ts';

const NODES = 3;

/** An address of a Service, and who asks for it. */
export interface Vip {
  readonly name: string;
  readonly address: string;
  readonly client: Place;
  readonly who: string;
  /** By every node at once, or by the one that owns it. */
  readonly answeredBy: 'all' | 'one';
  /** The longest that it may be unanswered for after a node was killed, and why. */
  readonly killed: { readonly ms: number; readonly why: string };
}

export const VIPS: readonly Vip[] = [
  {
    name: 'BGP',
    address: '203.0.113.0',
    client: 'c',
    who: 'a client behind the router',
    answeredBy: 'all',
    killed: { ms: 1_500, why: 'BFD, 300 ms × 3' },
  },
  {
    name: 'layer 2',
    address: '198.51.100.100',
    client: `n${NODES + 2}`,
    who: 'a client on the LAN of the nodes',
    answeredBy: 'one',
    killed: { ms: 1_700, why: 'take-over in 1.2 s' },
  },
];

export type NodeIs = 'up' | 'killed' | 'drained';

/** Does a piece of work, and tells of it. */
export type Tell = <T>(what: string, work: () => Promise<T>) => Promise<T>;

export class Stage {
  readonly #cluster = new Cluster(NODES, 1);
  readonly #proxies = new Map<string, Daemon>();
  readonly #nodes = new Map<string, NodeIs>(this.#cluster.nodes.map((name) => [name, 'up']));
  #apiIsCut = false;

  get nodes(): ReadonlyMap<string, NodeIs> {
    return this.#nodes;
  }

  get apiIsCut(): boolean {
    return this.#apiIsCut;
  }

  /** Name of the namespace of a client. */
  namespace(place: Place): string {
    return this.#cluster.lab.namespace(place);
  }

  async up(tell: Tell): Promise<void> {
    const cluster = this.#cluster;
    await tell('etcd, kube-apiserver, kube-controller-manager', async () => {
      await cluster.up();
      await cluster.untilPodsAreTaken();
    });
    await tell(`kube-proxy on ${cluster.nodes.join(', ')}`, async () => {
      const proxies = await cluster.startProxies();
      proxies.forEach((proxy, at) => this.#proxies.set(`n${at + 1}`, proxy));
    });
    await tell('Fairway: kubectl apply -f manifests/fairway.yaml, until all is ready', async () => {
      await cluster.install();
      await untilReady(cluster);
    });
    await tell('FRR, the router', async () => {
      const peers = cluster.nodes.map((_, at) => ({
        ...{ address: node(at + 1).ipv4, as: SPEAKER_AS, families: ['ipv4'] as const, extra: ['bfd'] },
      }));
      await startFrr(cluster.lab, { as: ROUTER_AS, peers, bfd: [] });
    });
    await tell('Services with a pod on each node', async () => {
      await cluster.api.apply(...manifests(cluster.nodes));
      for (const name of cluster.nodes) await this.untilRouted(name);
    });
  }

  /** The power of a node goes: not a packet more comes from it. */
  async kill(name: string): Promise<void> {
    this.#nodes.set(name, 'killed');
    this.#plug(placeOf(name), false);
    await Promise.all([this.#cluster.kubelet.cutPower(numberOf(name)), this.#proxies.get(name)?.stop('SIGKILL')]);
  }

  /** A node is shut down in good order: its speaker leaves before anything else does. */
  async drain(name: string): Promise<void> {
    this.#nodes.set(name, 'drained');
    await this.#cluster.kubelet.shutDown(numberOf(name), isSpeaker);
    await this.#proxies.get(name)?.stop();
    this.#plug(placeOf(name), false);
  }

  bringBack(name: string): void {
    this.#plug(placeOf(name), true);
    this.#proxies.set(name, this.#cluster.startProxy(name));
    this.#cluster.kubelet.switchOn(numberOf(name));
    this.#nodes.set(name, 'up');
  }

  /** The cable of the control plane is pulled or plugged in. */
  cutApi(isCut: boolean): void {
    this.#plug(placeOf(`n${NODES + 1}`), !isCut);
    this.#apiIsCut = isCut;
  }

  async untilRouted(name: string): Promise<void> {
    const [vip] = VIPS;
    await until(`the router has a route over ${name}`, () => this.#hops(vip?.address).includes(name), 30_000);
  }

  /** A Service more, as somebody makes it; its address is the next one of the pool. */
  async addService(): Promise<void> {
    await this.#cluster.api.apply(service('more', 'routed'));
  }

  /** Which nodes the router sends to for that Service. */
  hopsOfService(): readonly string[] {
    return this.#hops('203.0.113.1');
  }

  #hops(address: string | undefined): readonly string[] {
    const hops = gateways(this.#cluster.lab, 'r', `${address}/32`);
    return this.#cluster.nodes.filter((name) => hops.includes(node(numberOf(name)).ipv4));
  }

  /** The end of every log, for a demo that failed. */
  logs(): string {
    return this.#cluster.lab.logs(200);
  }

  async down(): Promise<void> {
    await this.#cluster.down();
  }

  /** A machine's cable, at the switch: what the machine sends in its last moment is lost too. */
  #plug(place: Place, isIn: boolean): void {
    this.#cluster.lab.ip('sw', `link set ${place} ${isIn ? 'up' : 'down'}`);
  }
}

const numberOf = (name: string): number => Number(name.slice(1));
const isSpeaker = ({ metadata }: KubeObject): boolean => metadata.labels?.['component'] === 'speaker';

/**
 * A Service over the pods of the demo. With the policy Local a node answers with its own pod: who answers is then who was
 * asked, and a dead node's pod, which Kubernetes takes for alive for most of a minute, is asked by no other node.
 */
function service(name: string, pool: string): Manifest {
  const spec = { externalTrafficPolicy: 'Local', selector: { app: 'web' } };
  return loadBalancer(name, spec, { annotations: { 'metallb.io/address-pool': pool } });
}

function manifests(nodes: readonly string[]): Manifest[] {
  return [
    // both of 300 ms × 3 without being told, as FRR
    ...[bfdProfile('fast'), tor({ bfdProfile: 'fast', dualStackAddressFamily: false })],
    ...[ipPool('routed', ['203.0.113.0/24']), bgpAdvertisement('routed', { ipAddressPools: ['routed'] })],
    ...[ipPool('lan', ['198.51.100.100-198.51.100.109']), l2Advertisement('lan', { ipAddressPools: ['lan'] })],
    ...[service('web', 'routed'), service('web-lan', 'lan'), ...nodes.map(web)],
  ];
}

function web(name: string): Manifest {
  const readinessProbe = { httpGet: { path: '/', port: 8080 } };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `web-${name}`, namespace: 'app', labels: { app: 'web' } },
    spec: {
      ...{ nodeName: name, terminationGracePeriodSeconds: 1 },
      containers: [{ name: 'web', image: 'web', readinessProbe }],
    },
  };
}
