// Layer 2 as somebody on the LAN and a user of the cluster see it: which node's MAC answers for an address, what its
// ServiceL2Status, Events, state and metrics say. The one who asks is the router, for whom nodes are neighbours.

import type { Ip, Mac } from '../../src/net/address.ts';
import { type Place, ROUTER } from '../interop/lab.ts';
import { EVERY_MS, Sampler } from '../interop/layer2-lab.ts';
import type { Manifest } from '../interop/manifests.ts';
import { until } from '../interop/process.ts';
import type { KubeObject } from './api.ts';
import { APP, type Cluster, placeOf, SYSTEM } from './cluster.ts';
import { ipPool } from './fairway.ts';

/** On the segment, where nodes are from .11 and ::11 on. */
export const LAN = { ipv4: '198.51.100.64', ipv6: '2001:db8:1::64' } as const;

export const lanPool = (): Manifest => ipPool('lan', [`${LAN.ipv4}/28`, `${LAN.ipv6}/126`]);

export function l2Advertisement(name: string, spec: object = {}): Manifest {
  const metadata = { name, namespace: SYSTEM };
  return { apiVersion: 'metallb.io/v1beta1', kind: 'L2Advertisement', metadata, spec };
}

interface L2Status extends KubeObject {
  readonly status?: {
    readonly node: string;
    readonly serviceName: string;
    readonly serviceNamespace: string;
    readonly interfaces?: readonly { readonly name: string }[];
  };
}

/** The ServiceL2Statuses of `app/NAME`. */
export function l2Statuses(cluster: Cluster, name: string): Promise<readonly L2Status[]> {
  const labels = `metallb.io/service-name=${name},metallb.io/service-namespace=${APP}`;
  const kind = { apiVersion: 'metallb.io/v1beta1', kind: 'ServiceL2Status', namespace: SYSTEM, labels };
  return cluster.api.list<L2Status>(kind);
}

/** Waits until the statuses of `app/NAME` name exactly these nodes. */
export async function untilL2Statuses(cluster: Cluster, name: string, ...nodes: readonly string[]): Promise<void> {
  const are = async (): Promise<boolean> => {
    const seen = (await l2Statuses(cluster, name)).map(({ status }) => `${status?.node}`);
    if (seen.sort().join() !== nodes.join()) throw new Error(`they name [${seen}]`);
    return true;
  };
  await until(`the statuses name [${nodes}]`, are, 20_000);
}

/** Whose MAC the router learns for an address, when it has to ask now; undefined: nobody's of a node. */
export function nodeAnswering(cluster: Cluster, address: string): string | undefined {
  return macsOf(cluster).get(macAnswering(cluster, address) ?? '');
}

export function macAnswering(cluster: Cluster, address: string): string | undefined {
  const { lab } = cluster;
  const family = address.includes(':') ? '-6' : '-4';
  try {
    lab.run('r', ['ip', family, 'neigh', 'del', address, 'dev', 'eth0']);
  } catch {
    // it was not known
  }
  // a datagram to nobody: what counts is that the kernel asks for the neighbour
  lab.run('r', ['bash', '-c', `echo > /dev/udp/${address}/9; sleep 0.3`]);
  const [known] = JSON.parse(lab.run('r', ['ip', '-j', family, 'neigh', 'show', 'to', address, 'dev', 'eth0']) || '[]');
  return known?.lladdr;
}

const macs = new WeakMap<Cluster, ReadonlyMap<string, string>>();

/** The nodes by their MACs on the segment. */
function macsOf(cluster: Cluster): ReadonlyMap<string, string> {
  let known = macs.get(cluster);
  if (known === undefined) {
    known = new Map(cluster.nodes.map((name) => [macOf(cluster, placeOf(name)), name]));
    macs.set(cluster, known);
  }
  return known;
}

function macOf({ lab }: Cluster, place: Place): string {
  return String(JSON.parse(lab.run(place, ['ip', '-j', 'link', 'show', 'dev', 'eth0']))[0]?.address);
}

/** The router asks for these addresses every 20 ms, until the sampler is ended. */
export async function sampled(cluster: Cluster, addresses: readonly string[]): Promise<Sampler> {
  const sampler = new Sampler(cluster.lab.namespace('r'), macsOf(cluster));
  const vips = addresses.map((address) => address as Ip);
  await sampler.begin({
    ...{ link: 'eth0', mac: macOf(cluster, 'r') as Mac, vips, everyMs: EVERY_MS, perRound: vips.length },
    from: { ipv4: ROUTER.ipv4 as Ip, ipv6: ROUTER.ipv6 as Ip },
  });
  return sampler;
}

/** Waits until a node of these, or any, answers for all addresses, and says which. */
export async function untilAnswered(
  cluster: Cluster,
  addresses: readonly string[],
  among: readonly string[] = cluster.nodes,
): Promise<string> {
  let found = '';
  const answers = (): boolean => {
    const nodes = addresses.map((address) => nodeAnswering(cluster, address));
    found = nodes[0] ?? '';
    if (!among.includes(found) || nodes.some((each) => each !== found))
      throw new Error(`they are answered by ${nodes}`);
    return true;
  };
  await until(`${addresses.join(' and ')} are answered by one of ${among}`, answers, 20_000);
  return found;
}

export async function untilSilent(cluster: Cluster, ...addresses: readonly string[]): Promise<void> {
  const silent = (): boolean => addresses.every((address) => macAnswering(cluster, address) === undefined);
  await until(`nobody answers for ${addresses.join(' and ')}`, silent, 20_000);
}

interface State {
  readonly services: readonly {
    readonly service: string;
    readonly announced: readonly { readonly protocol: string; readonly by: string }[];
    readonly withheld: readonly { readonly protocol: string; readonly reason: string }[];
  }[];
  readonly layer2: {
    readonly segments: readonly {
      readonly interface: string;
      readonly speakers: readonly { readonly heard: boolean }[];
    }[];
    readonly claims: readonly { readonly ip: string; readonly state: string; readonly interface: string }[];
  };
}

/** `GET /api/v1/state` of a node's speaker. */
export function stateOf(cluster: Cluster, name: string): State {
  return JSON.parse(cluster.curl(placeOf(name), 'http://127.0.0.1:7472/api/v1/state'));
}

/** Why a node's speaker does not answer for `app/NAME`; empty: it does. */
export function layer2Reason(cluster: Cluster, node: string, name: string): string {
  const service = stateOf(cluster, node).services.find((each) => each.service === `${APP}/${name}`);
  return service?.withheld.find(({ protocol }) => protocol === 'layer2')?.reason ?? '';
}

/** Waits until a node's speaker gives this reason. */
export async function untilReason(cluster: Cluster, node: string, name: string, reason: string): Promise<void> {
  const says = (): boolean => {
    const seen = layer2Reason(cluster, node, name);
    if (seen !== reason) throw new Error(`it says "${seen}"`);
    return true;
  };
  await until(`${node} says ${reason}`, says, 20_000);
}

/** Value of a series in a node's metrics, by `name{labels}`. */
export function metricOf(cluster: Cluster, node: string, series: string): number | undefined {
  const lines = cluster.curl(placeOf(node), 'http://127.0.0.1:7472/metrics').split('\n');
  const line = lines.find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

/** How often the packet thread of each node stood still since its process started. */
export function lateTurns(cluster: Cluster): readonly number[] {
  return cluster.nodes.map((name) => metricOf(cluster, name, 'fairway_layer2_late_turns_total') ?? 0);
}
