// API objects as they come from YAML or JSON, and what the configuration is made of: the custom resources read strictly
// into their own shapes, with Secrets, Nodes and Namespaces beside them.

import type { AuthenticationType } from '../bfd/auth.ts';
import type { Secret } from '../net/secret.ts';
import type { LabelSelector } from './selector.ts';

/** Any Kubernetes object; nothing below metadata's names is trusted. */
export interface ApiObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly [field: string]: unknown;
  };
  readonly [field: string]: unknown;
}

/** Why something was refused. `message` is the text that MetalLB's users know, line breaks included. */
export interface Invalid {
  /** Stable and short: `schema`, `overlap`, `duplicate-pool` … */
  readonly rule: string;
  readonly message: string;
  /** The object to be mended, where one can be named. */
  readonly kind?: string;
  readonly name?: string;
  /** Path in the object: `spec.addresses[1]`. */
  readonly field?: string;
  /** Depends on objects that may come later; the webhooks never raise it, for they blank what refers to them. */
  readonly transient?: true;
}

/** `METALLB_BGP_TYPE`; `unset` has the fields of frr, and its three pairwise checks only warn. */
export type BgpType = 'unset' | 'native' | 'frr' | 'frr-k8s';

export interface Labelled {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface IPAddressPool extends Labelled {
  readonly addresses: readonly string[];
  readonly autoAssign: boolean;
  readonly avoidBuggyIPs: boolean;
  readonly serviceAllocation?: {
    readonly priority: number;
    readonly namespaces: readonly string[];
    readonly namespaceSelectors: readonly LabelSelector[];
    readonly serviceSelectors: readonly LabelSelector[];
  };
}

export interface L2AdvertisementResource {
  readonly name: string;
  readonly ipAddressPools: readonly string[];
  readonly ipAddressPoolSelectors: readonly LabelSelector[];
  readonly nodeSelectors: readonly LabelSelector[];
  readonly interfaces: readonly string[];
  readonly serviceSelectors: readonly LabelSelector[];
  readonly preferredNodeSelectors: readonly { readonly weight: number; readonly preference: LabelSelector }[];
}

export interface BGPAdvertisementResource {
  readonly name: string;
  readonly aggregationLength: number;
  readonly aggregationLengthV6: number;
  readonly localPref: number;
  readonly communities: readonly string[];
  readonly ipAddressPools: readonly string[];
  readonly ipAddressPoolSelectors: readonly LabelSelector[];
  readonly nodeSelectors: readonly LabelSelector[];
  readonly peers: readonly string[];
  readonly serviceSelectors: readonly LabelSelector[];
}

/** On the routes of one family that a peer announces. */
export interface PrefixLimit {
  readonly routes: number;
  readonly action: 'warn' | 'disable-family' | 'reset';
}

/** Both served versions, in the fields of v1beta2. */
export interface BGPPeerResource {
  readonly name: string;
  readonly namespace: string;
  readonly myASN: number;
  readonly peerASN: number;
  readonly dynamicASN: string;
  readonly localASN?: number;
  readonly peerAddress: string;
  readonly interface: string;
  readonly sourceAddress: string;
  readonly peerPort: number;
  readonly holdTimeMs?: number;
  readonly keepaliveTimeMs?: number;
  readonly connectTimeMs?: number;
  readonly routerID: string;
  readonly nodeSelectors: readonly LabelSelector[];
  readonly password?: Secret;
  /** Name of a Secret in MetalLB's namespace. */
  readonly passwordSecret: string;
  readonly bfdProfile: string;
  readonly enableGracefulRestart: boolean;
  readonly ebgpMultiHop: boolean;
  /** Ours, optional: 1-254. */
  readonly ttlSecurity?: number;
  /** Ours, optional. */
  readonly prefixLimit?: PrefixLimit;
  readonly vrf: string;
  readonly disableMP: boolean;
  readonly dualStackAddressFamily: boolean;
}

export interface BFDProfileResource {
  readonly name: string;
  readonly receiveInterval?: number;
  readonly transmitInterval?: number;
  readonly detectMultiplier?: number;
  readonly echoInterval?: number;
  readonly echoMode: boolean;
  readonly passiveMode: boolean;
  readonly minimumTtl?: number;
  /** Ours, optional; `secretRef` names a Secret in MetalLB's namespace. */
  readonly authentication?: {
    readonly type: AuthenticationType;
    readonly keyID: number;
    readonly secretRef: string;
  };
}

export interface CommunityResource {
  readonly name: string;
  readonly communities: readonly { readonly name: string; readonly value: string }[];
}

export interface SecretResource {
  readonly name: string;
  readonly type: string;
  /** Decoded from `data` or taken from `stringData`. */
  readonly data: ReadonlyMap<string, Secret>;
}

/** One object as it was read. */
export type Resource =
  | { readonly kind: 'IPAddressPool'; readonly value: IPAddressPool }
  | { readonly kind: 'BGPPeer'; readonly value: BGPPeerResource }
  | { readonly kind: 'BGPAdvertisement'; readonly value: BGPAdvertisementResource }
  | { readonly kind: 'L2Advertisement'; readonly value: L2AdvertisementResource }
  | { readonly kind: 'BFDProfile'; readonly value: BFDProfileResource }
  | { readonly kind: 'Community'; readonly value: CommunityResource }
  | { readonly kind: 'Secret'; readonly value: SecretResource }
  | { readonly kind: 'Node' | 'Namespace'; readonly value: Labelled };

/** Everything that one configuration is made of; the objects of MetalLB's namespace, all Nodes and all Namespaces. */
export interface Resources {
  readonly pools: readonly IPAddressPool[];
  readonly peers: readonly BGPPeerResource[];
  readonly bgpAdvertisements: readonly BGPAdvertisementResource[];
  readonly l2Advertisements: readonly L2AdvertisementResource[];
  readonly bfdProfiles: readonly BFDProfileResource[];
  readonly communities: readonly CommunityResource[];
  readonly secrets: readonly SecretResource[];
  readonly nodes: readonly Labelled[];
  readonly namespaces: readonly Labelled[];
}
