// Small clusters for the tests of the brain: each maker takes what matters to the case and fills in the rest.

import type { BgpAdvertisement, Config, L2Advertisement, Peer, Pool } from '../../src/config/config.ts';
import type { Selector } from '../../src/config/selector.ts';
import { type Ip, type Prefix, parseIp, parsePrefix } from '../../src/net/address.ts';
import type { Endpoint, Node, Service, Snapshot } from '../../src/plan/snapshot.ts';

export function ip(text: string): Ip {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

export function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(`${text} is no prefix`);
  return parsed;
}

export function labelled(labels: Readonly<Record<string, string>>): Selector {
  return { terms: Object.entries(labels).map(([key, value]) => ({ key, operator: 'In', values: [value] })) };
}

export function pool(name: string, cidrs: readonly string[], more: Partial<Pool> = {}): Pool {
  return {
    name,
    addresses: cidrs.map((entry) => ({ entry, cidrs: [prefix(entry)] })),
    autoAssign: true,
    avoidBuggyIPs: false,
    bgpAdvertisements: [],
    l2Advertisements: [],
    ...more,
  };
}

export function service(key: string, more: Partial<Service> = {}): Service {
  const [namespace = '', name = ''] = key.split('/');
  return {
    key,
    namespace,
    name,
    labels: {},
    type: 'LoadBalancer',
    clusterFamilies: ['ipv4'],
    clusterIpsBroken: false,
    familyPolicy: 'SingleStack',
    trafficPolicy: 'Cluster',
    selector: {},
    ports: [{ protocol: 'TCP', port: 80 }],
    deprecatedAnnotations: [],
    ingress: [],
    ...more,
  };
}

export function bgpAdvertisement(
  name: string,
  nodes: readonly string[],
  more: Partial<BgpAdvertisement> = {},
): BgpAdvertisement {
  return {
    name,
    aggregationLength: 32,
    aggregationLengthV6: 128,
    localPref: 0,
    communities: [],
    nodes: new Set(nodes),
    peers: [],
    serviceSelectors: [],
    ...more,
  };
}

export function l2Advertisement(
  name: string,
  nodes: readonly string[],
  more: Partial<L2Advertisement> = {},
): L2Advertisement {
  return { name, nodes: new Set(nodes), interfaces: [], serviceSelectors: [], scores: new Map(), ...more };
}

export function peer(name: string, address: string, more: Partial<Peer> = {}): Peer {
  return {
    name,
    myAsn: 64513,
    remote: 64512,
    address: ip(address),
    port: 179,
    nodeSelectors: [],
    gracefulRestart: false,
    ebgpMultiHop: false,
    dualStack: false,
    ...more,
  };
}

export function config(pools: readonly Pool[], peers: readonly Peer[] = []): Config {
  return { pools, peers, bfdProfiles: [], warnings: [] };
}

export function node(name: string, more: Partial<Node> = {}): Node {
  return { name, labels: {}, networkUnavailable: false, excluded: false, ...more };
}

/** An endpoint that can serve. */
export function endpoint(address: string, nodeName?: string, canServe = true): Endpoint {
  return { addresses: [address], canServe, ...(nodeName !== undefined && { node: nodeName }) };
}

export function snapshot(
  pools: readonly Pool[] | Config,
  services: readonly Service[],
  more: {
    readonly nodes?: readonly Node[];
    readonly endpoints?: Readonly<Record<string, readonly Endpoint[]>>;
    readonly settings?: Snapshot['settings'];
  } = {},
): Snapshot {
  return {
    config: 'pools' in pools ? pools : config(pools),
    services: new Map(services.map((each) => [each.key, each])),
    endpoints: new Map(Object.entries(more.endpoints ?? {})),
    nodes: new Map((more.nodes ?? []).map((each) => [each.name, each])),
    settings: more.settings ?? { ignoreExcludeLabel: false },
  };
}
