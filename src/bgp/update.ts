// UPDATE: walking one that arrived by the procedure of RFC 7606, and packing what is to be sent.

import type { Family, Prefix } from '../net/address.ts';
import type { Path } from './attribute.ts';
import type { Notification } from './notification.ts';

/** What was negotiated on a session, as far as octets depend on it. */
export interface Negotiated {
  readonly fourOctetAs: boolean;
  /** The peer sends path identifiers (RFC 7911). */
  readonly addPathReceive: Readonly<Record<Family, boolean>>;
  /** Largest message we may send, and may receive: 4096 or 65535 (RFC 8654). */
  readonly maxSend: number;
  readonly maxReceive: number;
  readonly internal: boolean;
  /** RFC 8950 in force: IPv4 NLRI may have an IPv6 next hop. */
  readonly extendedNextHop: boolean;
  readonly families: readonly Family[];
}

export interface Nlri {
  readonly prefix: Prefix;
  readonly pathId?: number;
}

/** What a fault in an UPDATE costs, weakest first (RFC 7606 §2). */
export type Verdict = 'attribute-discard' | 'treat-as-withdraw' | 'afi-safi-disable' | 'session-reset';

export interface UpdateFault {
  readonly verdict: Verdict;
  /** Short and stable, for a metric label: `origin`, `as-path-set`, `nlri-overrun` … */
  readonly rule: string;
  readonly text: string;
  /** For `afi-safi-disable`. */
  readonly family?: Family;
  /** For `session-reset`: what the peer is told. */
  readonly notification?: Notification;
}

/** What an UPDATE said. Objects for routes and path are made only when they are to be kept. */
export interface ReceivedUpdate {
  readonly announced: Readonly<Record<Family, number>>;
  readonly withdrawn: Readonly<Record<Family, number>>;
  readonly endOfRib?: Family;
  /** Empty for a good UPDATE; the verdict is the worst of them. */
  readonly faults: readonly UpdateFault[];
  readonly routes?: {
    readonly announced: readonly Nlri[];
    readonly withdrawn: readonly Nlri[];
    readonly path?: Path;
    /** Path of the prefixes of the MP_REACH_NLRI where its next hop differs from the classic one. */
    readonly mpPath?: Path;
  };
}
