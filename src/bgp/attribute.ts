// Path attributes: one row an attribute (code, flags, what a malformed one costs by RFC 7606, decode, encode), and the
// Path they make up.

import type { Ip } from '../net/address.ts';

export type Origin = 'igp' | 'egp' | 'incomplete';

export interface AsPathSegment {
  readonly is: 'sequence' | 'set' | 'confed-sequence' | 'confed-set';
  readonly as: readonly number[];
}

/** RFC 8092: three unsigned 32-bit numbers. */
export type LargeCommunity = readonly [global: number, local1: number, local2: number];
/** RFC 4360: 16 lower-case hexadecimal digits. */
export type ExtendedCommunity = string & { readonly __extendedCommunity: never };

/** What an UPDATE says of its prefixes. Communities of each kind are sorted and unique. */
export interface Path {
  readonly origin: Origin;
  readonly asPath: readonly AsPathSegment[];
  /** Absent only in a received UPDATE that announces nothing. */
  readonly nextHop?: Ip;
  /** Second address of a 32-octet next hop (RFC 2545 §3). */
  readonly linkLocalNextHop?: Ip;
  readonly med?: number;
  readonly localPref?: number;
  readonly atomicAggregate?: true;
  readonly aggregator?: { readonly as: number; readonly address: Ip };
  /** RFC 1997: unsigned 32-bit. */
  readonly communities: readonly number[];
  readonly extendedCommunities: readonly ExtendedCommunity[];
  readonly largeCommunities: readonly LargeCommunity[];
  readonly originatorId?: Ip;
  readonly clusterList?: readonly Ip[];
  /** Optional attributes that we do not interpret. */
  readonly others?: readonly { readonly code: number; readonly flags: number; readonly value: Uint8Array }[];
}
