// Which interfaces serve addresses, and what their machines must know of them, by what the kernel tells. An interface serves
// that is up, speaks Ethernet with ARP or NDP, is no port of another and was not excluded by its name. Called by `lan`.

import type { InterfaceFacts } from '../l2/responder.ts';
import type { LinkFacts } from '../l2/segment.ts';
import type { Ip, Mac } from '../net/address.ts';
import { familyOf, isLinkLocal } from '../net/address.ts';
import type { LinkState } from '../net/packet-io.ts';

/** A statement has room for a few MACs: those of the interface itself come first. */
const MOST_MACS = 32;

/** Names that are excluded, by regular expressions that may match anywhere in them. */
export function exclusion(patterns: readonly string[]): (name: string) => boolean {
  if (patterns.length === 0) return () => false;
  const expression = new RegExp(patterns.map((each) => `(${each})`).join('|'));
  return (name) => expression.test(name);
}

export interface ServingLink {
  readonly name: string;
  readonly link: LinkState;
  readonly mac: Mac;
}

/** A port of a bridge, a bond or a VRF is left to what it is a port of. */
export function servingLinks(links: readonly LinkState[], isExcluded: (name: string) => boolean): ServingLink[] {
  const serving: ServingLink[] = [];
  for (const link of links) {
    const { name, mac, up, loopback, arp, master } = link;
    if (mac === undefined || loopback || !up || !arp || master !== undefined || isExcluded(name)) continue;
    serving.push({ name, link, mac });
  }
  return serving;
}

export function linkLocalOf({ addresses }: LinkState): Ip | undefined {
  return addresses.find(({ ip, tentative }) => isLinkLocal(ip) && !tentative)?.ip;
}

export function interfaceFacts({ link, mac }: ServingLink, links: readonly LinkState[]): InterfaceFacts {
  const linkLocal = linkLocalOf(link);
  const macs = new Set(links.flatMap((each) => (each.mac === undefined ? [] : [each.mac])));
  return { mac, macs: [...macs], arp: link.arp, ...(linkLocal !== undefined && { linkLocal }) };
}

/**
 * What the owner machine must know. `vips` are no addresses of our own, though the kernel may have them (IPVS); `nodes`: by
 * name; `frames`: its socket is open.
 */
export function linkFacts(
  { name, link, mac }: ServingLink,
  serving: readonly ServingLink[],
  links: readonly LinkState[],
  vips: ReadonlySet<Ip>,
  nodes: ReadonlyMap<string, Ip>,
  frames: boolean,
): LinkFacts {
  const address = ownAddress(link, vips);
  return {
    carrier: link.carrier,
    frames,
    links: serving.map((each) => each.name),
    macs: toldMacs(name, mac, serving, links),
    nodes,
    gateways: gatewaysOf(link),
    ...(address !== undefined && { address }),
  };
}

/** IPv4 if there is one, with a subnet rather than without, else the IPv6 link-local one. */
export function ownAddress(link: LinkState, vips: ReadonlySet<Ip>): Ip | undefined {
  const ipv4 = link.addresses.filter(({ ip, tentative }) => familyOf(ip) === 'ipv4' && !tentative && !vips.has(ip));
  return (ipv4.find(({ prefixLength }) => prefixLength < 32) ?? ipv4[0])?.ip ?? linkLocalOf(link);
}

const FAMILIES = ['ipv4', 'ipv6'] as const;

/** One of each family learns where addresses are; IPv4's first: one is enough to tell whether the segment leads anywhere. */
function gatewaysOf({ gateways }: LinkState): Ip[] {
  return FAMILIES.flatMap((family) => gateways.find((ip) => familyOf(ip) === family) ?? []);
}

/** From which frames of this node come on its LANs: serving interfaces, and ports of those that are bonds. */
function toldMacs(name: string, mac: Mac, serving: readonly ServingLink[], links: readonly LinkState[]): Mac[] {
  const bonds = serving.filter(({ link }) => link.kind === 'bond').map((each) => each.name);
  const ports = links.filter(({ master }) => master?.kind === 'bond' && bonds.includes(master.name));
  const own = ports.filter(({ master }) => master?.name === name);
  const macs = [
    mac,
    ...own.map((port) => port.mac),
    ...serving.map((each) => each.mac),
    ...ports.map((port) => port.mac),
  ];
  return [...new Set(macs.filter((each) => each !== undefined))].slice(0, MOST_MACS);
}
