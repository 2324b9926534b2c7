// All that the cluster says, in our words: frozen data that k8s reads from the API and io from a directory. Objects keep
// their identity while nothing in them changes, so that results can be kept by identity.

import type { Config } from '../config/config.ts';
import type { Ip, Prefix } from '../net/address.ts';

/** `namespace/name`. */
export type ServiceKey = string;

export type Labels = Readonly<Record<string, string>>;

export interface Service {
  readonly key: ServiceKey;
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
  /** RFC 3339, or undefined in files: orders allocation. */
  readonly createdAt?: string;
  readonly labels: Labels;
  /** `LoadBalancer`, or anything else: not ours. */
  readonly type: string;
  readonly loadBalancerClass?: string;
  /** Families of the cluster IPs, in their order; at most two, never the same twice. Empty: none yet. */
  readonly clusterFamilies: readonly ('ipv4' | 'ipv6')[];
  /** True when `clusterIPs` could not be read as one or two addresses of different families. */
  readonly clusterIpsBroken: boolean;
  readonly familyPolicy: 'SingleStack' | 'PreferDualStack' | 'RequireDualStack';
  /** `spec.ipFamilies[0]`, where given. */
  readonly primaryFamily?: 'ipv4' | 'ipv6';
  readonly trafficPolicy: 'Cluster' | 'Local';
  readonly selector: Labels;
  readonly ports: readonly { readonly protocol: string; readonly port: number }[];
  /** `spec.loadBalancerIP`, unparsed: what is wrong with it is the allocator's to say. */
  readonly loadBalancerIp?: string;
  /** Annotations as they read once the legacy prefix is resolved; unparsed. */
  readonly wantedIps?: string;
  readonly wantedPool?: string;
  readonly sharingKey?: string;
  /** `metallb.io/ip-allocated-from-pool` as it stands. */
  readonly allocatedFromPool?: string;
  /** Annotation keys with the legacy prefix, sorted. */
  readonly deprecatedAnnotations: readonly string[];
  /** `status.loadBalancer.ingress`, in order; `ip` is unparsed. */
  readonly ingress: readonly { readonly ip?: string; readonly hostname?: string }[];
}

/** The endpoints of one Service over all its slices, merged. */
export interface Endpoint {
  readonly addresses: readonly string[];
  readonly node?: string;
  /** ready is absent or true, or serving is true. */
  readonly canServe: boolean;
}

export interface Node {
  readonly name: string;
  readonly labels: Labels;
  readonly networkUnavailable: boolean;
  /** Carries `node.kubernetes.io/exclude-from-external-load-balancers`. */
  readonly excluded: boolean;
  /** The first of type InternalIP. */
  readonly address?: Ip;
}

export interface Snapshot {
  /** The configuration in force; undefined until a first one was accepted. */
  readonly config: Config | undefined;
  readonly services: ReadonlyMap<ServiceKey, Service>;
  /** What `allocate` gave, where nobody writes status: `plan` then reads these Services in place of their namesakes. */
  readonly allocated?: ReadonlyMap<ServiceKey, { readonly service: Service }>;
  /** Addresses of Services that cannot be seen at the moment: `allocate` gives those that nobody holds to nobody. */
  readonly reserved?: ReadonlyMap<ServiceKey, readonly Ip[]>;
  readonly endpoints: ReadonlyMap<ServiceKey, readonly Endpoint[]>;
  readonly nodes: ReadonlyMap<string, Node>;
  readonly settings: Settings;
  /** Of the node that plans for itself; the same object while nothing in it changes. */
  readonly surroundings?: Surroundings;
}

/** What a node knows of itself alone, as far as it decides who is dialled. */
export interface Surroundings {
  /** Its subnets, where only routers on them may be dialled without multihop (FRR modes). Undefined: not asked. */
  readonly connected?: readonly Prefix[];
  /** The command that ends what frr-k8s announces here for MetalLB; undefined: it announces nothing. */
  readonly frrK8s?: string;
}

/** What flags decide. */
export interface Settings {
  /** `--lb-class`; undefined: Services without a class. */
  readonly loadBalancerClass?: string;
  readonly ignoreExcludeLabel: boolean;
}

/** The addresses of the ingress entries that are addresses, in order. */
export type Assigned = readonly Ip[];
