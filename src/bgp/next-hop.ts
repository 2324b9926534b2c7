// What a session adds to a route of the plan: AS_PATH, NEXT_HOP and the default of LOCAL_PREF. Called by rib, which
// knows one session. RFC 4271 §5.1, 2545 §3, 4760 §3, 8950.

import { type Family, familyOf, type Ip, ipToBytes, isLinkLocal } from '../net/address.ts';
import type { Link, SocketAddress } from '../net/io.ts';
import type { Path } from './attribute.ts';
import type { Negotiated } from './negotiate.ts';
import type { RouteAttributes } from './rib.ts';

/** Both ends of a session's TCP connection and the link it runs over. */
export interface Ends {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly link?: Link;
}

export interface NextHop {
  readonly nextHop: Ip;
  readonly linkLocalNextHop?: Ip;
}

/** RFC 4271 §5.1.5 leaves the value open; all known speakers say 100. */
const DEFAULT_LOCAL_PREF = 100;

/**
 * The address under which this node is reached for prefixes of a family; undefined: there is none, the family cannot be
 * advertised. The session's own address where it is of the family, else one of its link's.
 */
export function nextHopFor(family: Family, ends: Ends, negotiated: Negotiated): NextHop | undefined {
  const local = ends.local.address;
  if (family === 'ipv4') {
    // a router without addresses has no way to an IPv4 next hop: unnumbered, it gets the one that it has us by
    if (isLinkLocal(local) && negotiated.extendedNextHop) return nextHopFor('ipv6', ends, negotiated);
    const own = familyOf(local) === 'ipv4' ? local : ends.link?.ipv4[0];
    if (own !== undefined) return { nextHop: own };
    // RFC 8950: IPv4 routes over an IPv6 next hop, only where both said so and no IPv4 address is at hand
    return negotiated.extendedNextHop ? nextHopFor('ipv6', ends, negotiated) : undefined;
  }
  const isGlobal = familyOf(local) === 'ipv6' && !isLinkLocal(local);
  const nextHop = isGlobal ? local : ends.link?.ipv6[0];
  const linkLocal = ends.link?.linkLocal;
  if (nextHop === undefined) {
    // RFC 2545 has no word for a link without global addresses; FRR puts the link-local one in both places
    return familyOf(local) === 'ipv6' && linkLocal !== undefined && isLinkLocal(ends.remote.address)
      ? { nextHop: linkLocal, linkLocalNextHop: linkLocal }
      : undefined;
  }
  return linkLocal !== undefined && isOnLink(nextHop, ends.remote.address)
    ? { nextHop, linkLocalNextHop: linkLocal }
    : { nextHop };
}

/** RFC 2545 §3: the link-local address goes along only to a peer on the subnet of the next hop, taken to be a /64. */
function isOnLink(nextHop: Ip, remote: Ip): boolean {
  if (familyOf(remote) !== 'ipv6') return false;
  if (isLinkLocal(remote)) return true;
  const [a, b] = [ipToBytes(nextHop), ipToBytes(remote)];
  return a.subarray(0, 8).every((octet, i) => octet === b[i]);
}

/** The whole path of a route as this session tells it. `ownAs` is the AS that the peer knows us by. */
export function pathOf(attributes: RouteAttributes, hop: NextHop | undefined, ownAs: number, internal: boolean): Path {
  const { med, communities, extendedCommunities, largeCommunities } = attributes;
  return {
    origin: 'igp',
    asPath: internal ? [] : [{ is: 'sequence', as: [ownAs] }],
    ...hop,
    ...(med === undefined ? {} : { med }),
    // RFC 4271 §5.1.5: always to internal peers, never to external ones
    ...(internal ? { localPref: attributes.localPref ?? DEFAULT_LOCAL_PREF } : {}),
    communities,
    extendedCommunities,
    largeCommunities,
  };
}
