// What a peer is to be told (wanted) and what it was told (said): the difference becomes withdrawals and buckets of
// prefixes that share a path.

import type { Prefix } from '../net/address.ts';
import type { ExtendedCommunity, LargeCommunity } from './attribute.ts';

/**
 * What the plan says of a route, whatever the session: AS_PATH, NEXT_HOP and the default of LOCAL_PREF are the peer's.
 * Two are equal exactly when their keys are; whoever makes many interns them, so that equal ones are one object.
 */
export interface RouteAttributes {
  readonly key: string;
  readonly localPref?: number;
  readonly med?: number;
  readonly communities: readonly number[];
  readonly extendedCommunities: readonly ExtendedCommunity[];
  readonly largeCommunities: readonly LargeCommunity[];
}

/** All that a peer is to be told. A new map for a new intent: it is compared with the one before, never changed. */
export type Wanted = ReadonlyMap<Prefix, RouteAttributes>;
