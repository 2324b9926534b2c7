// Who is at the other end of a link, where a BGP peer is named by its interface alone. Found by `links` from Router
// Advertisements (RFC 4861 §6), told to the peers of `bgp` by speaker, to BFD by packet-half.

import type { Ip } from './address.ts';

/** Where Router Solicitations go (RFC 4861 §4.1). */
export const ALL_ROUTERS = 'ff02::2' as Ip;

/** Why the neighbor of a link is not known; docs/speaker.md has the same list. */
export type NoNeighbor = 'interfaceAbsent' | 'interfaceDown' | 'noLinkLocalAddress' | 'noNeighborYet';

export type Neighbor =
  /** Its link-local address there. */
  { readonly is: 'known'; readonly address: Ip } | { readonly is: 'unknown'; readonly because: NoNeighbor };

/** For people, with what to look at. */
export function noNeighborText(link: string, because: NoNeighbor): string {
  switch (because) {
    case 'interfaceAbsent':
      return `this node has no interface ${link}`;
    case 'interfaceDown':
      return `interface ${link} is down`;
    case 'noLinkLocalAddress':
      return `interface ${link} has no IPv6 link-local address yet: is IPv6 switched off there?`;
    case 'noNeighborYet':
      return `no Router Advertisement was heard on ${link} yet: the router must send them there, as FRR does for an unnumbered neighbor`;
  }
}
