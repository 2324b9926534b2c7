// The whole configuration as one unit: made by `parseConfig` from the custom resources, or refused with the reason.
// Node and namespace selectors are resolved here, against the Nodes and Namespaces of the moment.

import type { AuthenticationType } from '../bfd/auth.ts';
import type { Ip, Prefix } from '../net/address.ts';
import type { Secret } from '../net/secret.ts';
import type { PrefixLimit } from './resource.ts';
import type { Selector } from './selector.ts';

export interface Config {
  /** Sorted by name. */
  readonly pools: readonly Pool[];
  /** Sorted by name. */
  readonly peers: readonly Peer[];
  readonly bfdProfiles: readonly BfdProfile[];
  /** Rules that were broken but do not refuse the configuration in this mode. */
  readonly warnings: readonly string[];
}

export interface Pool {
  readonly name: string;
  /** In the order listed; each entry is one CIDR, or the minimal CIDRs of a range, ascending. */
  readonly addresses: readonly { readonly entry: string; readonly cidrs: readonly Prefix[] }[];
  readonly autoAssign: boolean;
  readonly avoidBuggyIPs: boolean;
  readonly serviceAllocation?: ServiceAllocation;
  readonly bgpAdvertisements: readonly BgpAdvertisement[];
  readonly l2Advertisements: readonly L2Advertisement[];
}

export interface ServiceAllocation {
  /** 0 = after all others. */
  readonly priority: number;
  /** Names and resolved selectors, united; undefined: neither was given. An empty set matches no namespace. */
  readonly namespaces?: ReadonlySet<string>;
  /** OR-ed; empty: not asked. */
  readonly serviceSelectors: readonly Selector[];
}

export interface BgpAdvertisement {
  readonly name: string;
  readonly aggregationLength: number;
  readonly aggregationLengthV6: number;
  /** 0 = unset. */
  readonly localPref: number;
  readonly communities: readonly Community[];
  /** Names of the nodes that announce. */
  readonly nodes: ReadonlySet<string>;
  /** Names of BGPPeers; empty: all. */
  readonly peers: readonly string[];
  /** OR-ed; empty: every Service. */
  readonly serviceSelectors: readonly Selector[];
}

export interface L2Advertisement {
  readonly name: string;
  readonly nodes: ReadonlySet<string>;
  /** Empty: all interfaces. */
  readonly interfaces: readonly string[];
  readonly serviceSelectors: readonly Selector[];
  /** Preference score of each eligible node that has one. */
  readonly scores: ReadonlyMap<string, number>;
}

export type Community =
  | { readonly is: 'standard'; readonly value: number }
  | { readonly is: 'large'; readonly value: readonly [number, number, number] };

/** A BGPPeer of any node; which nodes run it is `nodes`. */
export interface Peer {
  readonly name: string;
  readonly myAsn: number;
  readonly localAsn?: number;
  readonly remote: number | 'internal' | 'external';
  /** Exactly one of address and interface. */
  readonly address?: Ip;
  readonly interface?: string;
  readonly port: number;
  readonly source?: Ip;
  /** Whole seconds; both times or neither: undefined when neither was given. */
  readonly holdTimeMs?: number;
  readonly keepaliveTimeMs?: number;
  readonly connectTimeMs?: number;
  readonly routerId?: Ip;
  /** OR-ed; empty: every node, also one without a Node object. */
  readonly nodeSelectors: readonly Selector[];
  readonly password?: Secret;
  readonly bfdProfile?: string;
  readonly gracefulRestart: boolean;
  readonly ebgpMultiHop: boolean;
  readonly ttlSecurity?: number;
  readonly prefixLimit?: PrefixLimit;
  readonly vrf?: string;
  readonly dualStack: boolean;
}

export interface BfdProfile {
  readonly name: string;
  readonly receiveIntervalMs: number;
  readonly transmitIntervalMs: number;
  readonly detectMultiplier: number;
  readonly echoIntervalMs: number;
  readonly echoMode: boolean;
  readonly passiveMode: boolean;
  readonly minimumTtl: number;
  /** RFC 5880 §6.7. */
  readonly authentication?: {
    readonly type: AuthenticationType;
    readonly keyId: number;
    readonly secret: Secret;
  };
}
