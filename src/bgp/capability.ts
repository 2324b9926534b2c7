// What an OPEN says of its sender's abilities (RFC 5492), one row a capability: code, name, decode, encode.

import type { Family } from '../net/address.ts';

export interface Capabilities {
  /** The families of the multiprotocol capabilities that we know (RFC 4760); undefined when none was sent at all. */
  readonly families?: readonly Family[];
  readonly routeRefresh: boolean;
  readonly enhancedRouteRefresh: boolean;
  readonly extendedMessage: boolean;
  /** IPv4 unicast NLRI with an IPv6 next hop (RFC 8950). */
  readonly extendedNextHop: boolean;
  /** RFC 6793: the AS number in four octets. */
  readonly fourOctetAs?: number;
  /** RFC 7911, what the sender of the OPEN is able to do. */
  readonly addPath: Readonly<Partial<Record<Family, 'receive' | 'send' | 'both'>>>;
  readonly gracefulRestart?: GracefulRestart;
  /** Codes that we do not know or do not use, for display. */
  readonly others: readonly { readonly code: number; readonly value: Uint8Array }[];
}

/** RFC 4724 §3 with the N bit of RFC 8538. */
export interface GracefulRestart {
  readonly restarted: boolean;
  readonly notification: boolean;
  readonly restartTimeSeconds: number;
  readonly families: readonly { readonly family: Family; readonly forwardingPreserved: boolean }[];
}
