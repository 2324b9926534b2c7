// What stories of BGP on a cluster have in common: the configuration of a first session, and the questions that a
// router is asked.

import type { Frr } from '../interop/frr.ts';
import { gateways, node, ROUTER } from '../interop/lab.ts';
import { bgpPeer, type Manifest } from '../interop/manifests.ts';
import { until } from '../interop/process.ts';
import type { RouterPath } from '../interop/router.ts';
import type { Cluster } from './cluster.ts';
import { bgpAdvertisement, ipPool } from './fairway.ts';
import { loadBalancer, serve } from './workload.ts';

export const ROUTER_AS = 64_512;
export const SPEAKER_AS = 64_501;

/** A peer of every node, on the router's IPv4 address, carrying both families. */
export function tor(spec: object = {}, name = 'tor'): Manifest {
  const session = { myASN: SPEAKER_AS, peerASN: ROUTER_AS, peerAddress: ROUTER.ipv4, dualStackAddressFamily: true };
  return bgpPeer(name, { ...session, ...spec });
}

/** The first address of `basics`, which the first Service gets. */
export const VIP = '203.0.113.0';

/** A pool of both families, announced to the router by every node. */
export function basics(vip = VIP, vip6 = '2001:db8:f::'): Manifest[] {
  return [ipPool('main', [`${vip}/24`, `${vip6}/64`]), bgpAdvertisement('main'), tor()];
}

/** Addresses of two nodes, as gateways and as neighbours of the router. */
export const ALL = [node(1).ipv4, node(2).ipv4];
export const onNode = (...names: readonly string[]) => ({
  nodeSelectors: names.map((name) => ({ matchLabels: { 'kubernetes.io/hostname': name } })),
});

/** A Service with a pod on each of these nodes. */
export function web(
  name: string,
  nodes: readonly string[] = ['n1', 'n2'],
  spec: object = {},
  metadata: object = {},
): Manifest[] {
  return [loadBalancer(name, spec, metadata), ...nodes.map((each, at) => serve(`${name}-${at + 1}`, each))];
}

export const nodeObject = (name: string): Manifest => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } });
export const PLAIN_NODE = {
  conditions: [
    { type: 'Ready', status: 'True' },
    { type: 'NetworkUnavailable', status: 'False' },
  ],
};

export const EXCLUDED = 'node.kubernetes.io/exclude-from-external-load-balancers';

/** The neighbours that the router has paths from, sorted. */
export const from = (paths: readonly RouterPath[]): string[] => paths.map((path) => path.from).sort();

/** Waits until the router's kernel has a route to an address over exactly these gateways; none: no route. */
export async function untilGateways(cluster: Cluster, address: string, ...wanted: readonly string[]): Promise<void> {
  const prefix = `${address}/${address.includes(':') ? 128 : 32}`;
  const has = (): boolean => {
    const seen = gateways(cluster.lab, 'r', prefix);
    if (seen.join() !== [...wanted].sort().join()) throw new Error(`they are [${seen}]`);
    return true;
  };
  await until(`the gateways of ${prefix} are [${wanted}]`, has, 20_000);
}

/** Waits until the router is Established with the first `count` nodes. */
export async function untilSessions(router: Frr, count: number): Promise<void> {
  for (let i = 1; i <= count; i++) {
    const isUp = async (): Promise<boolean> => (await router.state(node(i).ipv4)) === 'Established';
    await until(`the router is Established with n${i}`, isUp, 20_000);
  }
}
