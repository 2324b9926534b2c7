// What one node announces: a pure function of the snapshot. The same function answers for every node in `fairway plan`.

import type { PeerConfig } from '../bgp/peer.ts';
import type { Wanted } from '../bgp/rib.ts';
import type { Ip, Prefix } from '../net/address.ts';
import type { Refusal } from './explain.ts';
import type { ServiceKey } from './snapshot.ts';

export interface Plan {
  readonly node: string;
  /** The sessions that this node should hold, by name. */
  readonly peers: readonly PeerConfig[];
  /** Peers of this node that can't be served yet: an `interface` instead of an address. */
  readonly notServed: readonly { readonly peer: string; readonly because: 'notYetSupported'; readonly text: string }[];
  /** By peer name: what each session should carry. Every peer in `peers` has an entry. */
  readonly routes: ReadonlyMap<string, Wanted>;
  /** Every Service of type LoadBalancer of our class. */
  readonly services: ReadonlyMap<ServiceKey, ServicePlan>;
  readonly layer2: readonly Layer2Claim[];
}

export interface ServicePlan {
  readonly ips: readonly Ip[];
  readonly pool?: string;
  /** Prefixes announced for it and to whom, or why not. A prefix may be an aggregate shared with other Services. */
  readonly bgp: { readonly announced: readonly BgpAnnouncement[] } | { readonly withheld: Refusal };
  readonly layer2: { readonly announced: readonly Layer2Claim[] } | { readonly withheld: Refusal };
}

export interface BgpAnnouncement {
  readonly prefix: Prefix;
  readonly peers: readonly string[];
}

/** An address that this node answers for (ARP, NDP). */
export interface Layer2Claim {
  readonly service: ServiceKey;
  readonly ip: Ip;
  /** Empty: all interfaces. */
  readonly interfaces: readonly string[];
}
