// What two OPENs agree on, as far as octets and behaviour depend on it. Called by peer once both OPENs are known.

import type { Family } from '../net/address.ts';
import type { GracefulRestart } from './capability.ts';
import { MAX_EXTENDED_MESSAGE, MAX_MESSAGE } from './frame.ts';
import type { Open } from './open.ts';

/** What was negotiated on a session. */
export interface Negotiated {
  /** Announced by both; a side that names no family at all means IPv4 unicast (RFC 4760 §8). */
  readonly families: readonly Family[];
  readonly internal: boolean;
  readonly fourOctetAs: boolean;
  /** The peer sends path identifiers (RFC 7911). */
  readonly addPathReceive: Readonly<Record<Family, boolean>>;
  /** Largest message we may send, and may receive: 4096 or 65535 (RFC 8654). */
  readonly maxSend: number;
  readonly maxReceive: number;
  /** RFC 8950 in force: IPv4 NLRI may have an IPv6 next hop. */
  readonly extendedNextHop: boolean;
  /** RFC 2918 and 7313, announced by both. */
  readonly routeRefresh: boolean;
  readonly enhancedRouteRefresh: boolean;
  /** No session before BFD is up, announced by both. */
  readonly bfdStrict: boolean;
  /**
   * What the peer said of its restart, where both announced RFC 4724: `families` are those of this session, and
   * `notification` is true only when both set the N bit (RFC 8538).
   */
  readonly gracefulRestart?: GracefulRestart;
}

/** For the time until both OPENs are known: no UPDATE is legal yet, and no message may be longer than 4096 octets. */
export const BEFORE_OPEN: Negotiated = {
  families: [],
  internal: false,
  fourOctetAs: false,
  addPathReceive: { ipv4: false, ipv6: false },
  maxSend: MAX_MESSAGE,
  maxReceive: MAX_MESSAGE,
  extendedNextHop: false,
  routeRefresh: false,
  enhancedRouteRefresh: false,
  bfdStrict: false,
};

const IPV4_ALONE: readonly Family[] = ['ipv4'];

/** `internal`: the peer's AS is ours. */
export function negotiate(local: Open, remote: Open, internal: boolean): Negotiated {
  const ours = local.capabilities;
  const theirs = remote.capabilities;
  const offered = theirs.families ?? IPV4_ALONE;
  const families = (ours.families ?? IPV4_ALONE).filter((family) => offered.includes(family));
  const addPath = (family: Family): boolean =>
    families.includes(family) &&
    (ours.addPath[family] === 'receive' || ours.addPath[family] === 'both') &&
    (theirs.addPath[family] === 'send' || theirs.addPath[family] === 'both');
  const restart = theirs.gracefulRestart;
  return {
    families,
    internal,
    fourOctetAs: ours.fourOctetAs !== undefined && theirs.fourOctetAs !== undefined,
    addPathReceive: { ipv4: addPath('ipv4'), ipv6: addPath('ipv6') },
    // RFC 8654 §4: what may be sent depends on the peer's capability, what may arrive on ours
    maxSend: theirs.extendedMessage ? MAX_EXTENDED_MESSAGE : MAX_MESSAGE,
    maxReceive: ours.extendedMessage ? MAX_EXTENDED_MESSAGE : MAX_MESSAGE,
    extendedNextHop: ours.extendedNextHop && theirs.extendedNextHop,
    routeRefresh: ours.routeRefresh && theirs.routeRefresh,
    enhancedRouteRefresh: ours.enhancedRouteRefresh && theirs.enhancedRouteRefresh,
    bfdStrict: ours.bfdStrict && theirs.bfdStrict,
    ...(ours.gracefulRestart === undefined || restart === undefined
      ? {}
      : {
          gracefulRestart: {
            ...restart,
            notification: restart.notification && ours.gracefulRestart.notification,
            families: restart.families.filter(({ family }) => families.includes(family)),
          },
        }),
  };
}
