// What a path attribute is (RFC 4271 §4.3 and §5): the Path that they make up, and the shape of the row that each has in
// attribute-table. Words for everyone who speaks of routes; no octets are touched here.

import type { Ip } from '../net/address.ts';
import type { AsPathSegment } from './as-path.ts';
import type { ExtendedCommunity, LargeCommunity } from './community.ts';
import type { Flaw, Verdict } from './fault.ts';
import type { Negotiated } from './negotiate.ts';

export type Origin = 'igp' | 'egp' | 'incomplete';

export interface Aggregator {
  readonly as: number;
  readonly address: Ip;
}

/** What an UPDATE says of its prefixes. Communities of each kind are sorted and unique. */
export interface Path {
  readonly origin: Origin;
  readonly asPath: readonly AsPathSegment[];
  readonly nextHop?: Ip;
  /** Second address of a 32-octet next hop (RFC 2545 §3). */
  readonly linkLocalNextHop?: Ip;
  readonly med?: number;
  readonly localPref?: number;
  readonly atomicAggregate?: true;
  readonly aggregator?: Aggregator;
  /** RFC 1997: unsigned 32-bit. */
  readonly communities: readonly number[];
  readonly extendedCommunities: readonly ExtendedCommunity[];
  readonly largeCommunities: readonly LargeCommunity[];
  readonly originatorId?: Ip;
  readonly clusterList?: readonly Ip[];
  /** Optional attributes that we do not interpret. */
  readonly others?: readonly UnknownAttribute[];
}

export interface UnknownAttribute {
  readonly code: number;
  readonly flags: number;
  readonly value: Uint8Array;
}

/** A Path while its attributes are read, with what a two-octet speaker sends beside them. */
export type PathDraft = { -readonly [Field in keyof Path]: Path[Field] } & {
  as4Path?: readonly AsPathSegment[];
  as4Aggregator?: Aggregator;
};

export const FLAG = { optional: 0x80, transitive: 0x40, partial: 0x20, extendedLength: 0x10 } as const;
export const ATTRIBUTE = {
  origin: 1,
  asPath: 2,
  nextHop: 3,
  localPref: 5,
  mpReachNlri: 14,
  mpUnreachNlri: 15,
} as const;

export interface Row {
  readonly code: number;
  /** As its RFC writes it. */
  readonly name: string;
  /** The same for rules and metric labels. */
  readonly label: string;
  /** Optional and Transitive as its RFC has them. */
  readonly flags: number;
  readonly malformed: Verdict;
  /** From any other speaker it is discarded, whatever it holds. */
  readonly onlyFrom?: 'internal' | 'old-speaker';
  /** What is wrong with the value, if anything: asked of every attribute that arrives, so that nothing is allocated. */
  readonly check: (bytes: Uint8Array, at: number, end: number, negotiated: Negotiated) => Flaw | undefined;
  /** Reads a value that `check` has found good; copies what it keeps. */
  readonly decode: (value: Uint8Array, into: PathDraft, negotiated: Negotiated, flags: number) => void;
  /** The value, or undefined when the path has none to be sent. */
  readonly encode: (path: Path, negotiated: Negotiated) => Octets | undefined;
}

export type Octets = readonly number[] | Uint8Array;
