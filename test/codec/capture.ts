// Recorded sessions of real routers (captures/*.json) and what tshark says of each message. Called by the codec's tests.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AsPathSegment } from '../../src/bgp/as-path.ts';
import type { Capabilities } from '../../src/bgp/capability.ts';

export interface Capture {
  readonly file: string;
  readonly what: string;
  readonly sessions: readonly Session[];
}

export interface Session {
  readonly ends: readonly [string, string];
  readonly messages: readonly Recorded[];
}

export type Recorded =
  | { readonly type: 'OPEN'; readonly from: string; readonly hex: string; readonly says: SaidOpen }
  | { readonly type: 'UPDATE'; readonly from: string; readonly hex: string; readonly says: SaidUpdate }
  | {
      readonly type: 'NOTIFICATION';
      readonly from: string;
      readonly hex: string;
      readonly says: { readonly code: number; readonly subcode: number; readonly shutdown?: string };
    }
  | { readonly type: 'KEEPALIVE'; readonly from: string; readonly hex: string }
  | {
      readonly type: 'ROUTE-REFRESH';
      readonly from: string;
      readonly hex: string;
      readonly says: { readonly family: string; readonly subtype: string };
    };

export interface SaidOpen {
  readonly myAs: number;
  readonly holdTimeSeconds: number;
  readonly routerId: string;
  readonly capabilities: Omit<Capabilities, 'others'> & { readonly others: readonly number[] };
}

/** Prefixes are one text, separated by blanks, a path identifier before an @. */
export interface SaidUpdate {
  readonly withdrawn: string;
  readonly nlri: string;
  readonly attributes?: {
    readonly origin?: string;
    readonly asPath?: readonly AsPathSegment[];
    readonly as4Path?: readonly AsPathSegment[];
    readonly nextHop?: string;
    readonly med?: number;
    readonly localPref?: number;
    readonly atomicAggregate?: true;
    readonly aggregator?: { readonly as: number; readonly address: string };
    readonly as4Aggregator?: { readonly as: number; readonly address: string };
    readonly communities?: readonly number[];
    readonly extendedCommunities?: readonly string[];
    readonly extendedCommunitiesText?: readonly string[];
    readonly largeCommunities?: readonly (readonly number[])[];
    readonly originatorId?: string;
    readonly clusterList?: readonly string[];
    readonly others?: readonly number[];
    readonly mpReach?: {
      readonly family: string;
      readonly nextHop: string;
      readonly linkLocalNextHop?: string;
      readonly nlri: string;
    };
    readonly mpUnreach?: { readonly family: string; readonly nlri: string };
  };
}

const folder = join(import.meta.dirname, 'captures');

export const CAPTURES: readonly Capture[] = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .sort()
  .map((file) => ({ file, ...JSON.parse(readFileSync(join(folder, file), 'utf8')) }));

/** Every distinct message of all captures. */
export function allMessages(): readonly Uint8Array[] {
  const all = CAPTURES.flatMap(({ sessions }) => sessions.flatMap(({ messages }) => messages.map(({ hex }) => hex)));
  return [...new Set(all)].map((hex) => new Uint8Array(Buffer.from(hex, 'hex')));
}
