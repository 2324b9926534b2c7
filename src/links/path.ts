// Between which ends a BFD session runs: the link and the local address of a session that was asked for, by what the kernel
// tells of its links. Single hop (RFC 5881) is bound to one link; several hops (RFC 5883) to none. Called by `peers`.

import type { Path } from '../bfd/demultiplex.ts';
import type { Ip, Mac } from '../net/address.ts';
import { familyOf, isLinkLocal, prefixOf } from '../net/address.ts';
import type { LinkState } from '../net/packet-io.ts';
import type { Waiting } from './report.ts';
import type { BfdWanted } from './wanted.ts';

/** With the device that its socket is bound to. */
export interface Route {
  readonly path: Path;
  readonly device?: string;
  /** The link's own. */
  readonly mac?: Mac;
}

type Address = LinkState['addresses'][number];

/** `vips`: addresses that are served here; a session never runs from one of them unless it is told to. */
export function routeOf(
  wanted: BfdWanted,
  links: readonly LinkState[],
  vips: ReadonlySet<Ip>,
): Route | { readonly waiting: Waiting } {
  const { hops, remote, local, vrf } = wanted;
  if (vrf !== undefined && !links.some(({ name, kind }) => name === vrf && kind === 'vrf')) return { waiting: 'vrf' };
  if (hops === 'multi') {
    if (local !== undefined && !isOn(local, links)) return { waiting: 'local-address' };
    const path: Path = { hops, remote, ...(local !== undefined && { local }) };
    return { path, ...(vrf !== undefined && { device: vrf }) };
  }
  const link = linkTo(wanted, links);
  if (link === undefined) return { waiting: 'link' };
  if (local !== undefined && !isOn(local, links)) return { waiting: 'local-address' };
  const source = local ?? sourceOn(link, remote, vips);
  if (source === undefined) return { waiting: 'local-address' };
  const path: Path = { hops, remote, local: source, link: link.name };
  return { path, device: link.name, ...(link.mac !== undefined && { mac: link.mac }) };
}

function isOn(ip: Ip, links: readonly LinkState[]): boolean {
  return links.some(({ addresses }) => addresses.some((each) => each.ip === ip && !each.tentative));
}

/** The one that was named, or the one with the narrowest subnet that the remote is on. */
function linkTo({ remote, link, vrf }: BfdWanted, links: readonly LinkState[]): LinkState | undefined {
  if (link !== undefined) return links.find(({ name }) => name === link);
  // every link has fe80::/10: it must be named
  if (isLinkLocal(remote)) return undefined;
  let best: { readonly link: LinkState; readonly length: number } | undefined;
  for (const each of links) {
    const { master, addresses } = each;
    if ((master?.kind === 'vrf' ? master.name : undefined) !== vrf) continue;
    for (const address of addresses) {
      if (!isNextTo(address, remote)) continue;
      if (best === undefined || address.prefixLength > best.length) best = { link: each, length: address.prefixLength };
    }
  }
  return best?.link;
}

function isNextTo({ ip, prefixLength }: Address, remote: Ip): boolean {
  return familyOf(ip) === familyOf(remote) && prefixOf(ip, prefixLength) === prefixOf(remote, prefixLength);
}

/** The address in the remote's own subnet, or else the first one that may be used. */
function sourceOn({ addresses }: LinkState, remote: Ip, vips: ReadonlySet<Ip>): Ip | undefined {
  const usable = addresses.filter(
    ({ ip, tentative }) =>
      familyOf(ip) === familyOf(remote) && isLinkLocal(ip) === isLinkLocal(remote) && !tentative && !vips.has(ip),
  );
  return (usable.find((address) => isNextTo(address, remote)) ?? usable[0])?.ip;
}
