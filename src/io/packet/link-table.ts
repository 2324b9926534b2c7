// The links of this machine as netlink's messages make them, one message after another: links, their addresses, and the
// gateways of their default routes. Owned by link-watch, which fills a new one with a dump and then with notifications.

import { compareAddresses, familyOf, type Ip } from '../../net/address.ts';
import type { LinkState } from '../../net/packet-io.ts';
import type { AddressRow, GatewayRow, LinkRow, NetlinkRow } from './netlink.ts';

export class LinkTable {
  readonly #links = new Map<number, LinkRow>();
  /** By link, then by address. */
  readonly #addresses = new Map<number, Map<Ip, AddressRow>>();
  #gateways: readonly GatewayRow[] = [];
  /** Of the dump that runs. */
  #dumped: GatewayRow[] = [];
  readonly #names = new Map<string, number>();
  /** Default routes may have gone without a word: IPv4's do when their link goes down. */
  routesAreOld = false;

  /** Rows of a dump and of notifications alike. A notification about routes only says that they are to be dumped again. */
  apply(row: NetlinkRow, isDump: boolean): void {
    if (row.is === 'link') this.#applyLink(row.link, row.gone);
    else if (row.is === 'address') this.#applyAddress(row.address, row.gone);
    else if (isDump) this.#dumped.push(...row.hops);
    else this.routesAreOld = true;
  }

  /** A dump of routes begins; until it ends those from before are told. */
  beginRoutes(): void {
    this.#dumped = [];
    this.routesAreOld = false;
  }

  endRoutes(): void {
    this.#gateways = this.#dumped.sort(preferred);
  }

  indexOf(name: string): number | undefined {
    return this.#names.get(name);
  }

  nameOf(index: number): string | undefined {
    return this.#links.get(index)?.name;
  }

  /** In the order of their indices; each built anew. */
  states(): readonly LinkState[] {
    return [...this.#links.values()].sort((a, b) => a.index - b.index).map((link) => this.#state(link));
  }

  #state({ master, kind, portKind, ...link }: LinkRow): LinkState {
    const of = master === undefined ? undefined : this.#links.get(master);
    const own = this.#gateways.filter(({ index }) => index === link.index).map(({ ip }) => ip);
    return {
      ...link,
      ...(of !== undefined && { master: { name: of.name, kind: portKind ?? of.kind ?? '' } }),
      ...(kind !== undefined && { kind }),
      addresses: [...(this.#addresses.get(link.index)?.values() ?? [])].map(({ ip, prefixLength, tentative }) => ({
        ...{ ip, prefixLength, tentative },
      })),
      gateways: [...new Set(own)],
    };
  }

  #applyLink(link: LinkRow, gone: boolean): void {
    const before = this.#links.get(link.index);
    if (before !== undefined && this.#names.get(before.name) === link.index) this.#names.delete(before.name);
    if ((gone || (before?.up === true && !link.up)) && this.#hasGateway(link.index)) this.routesAreOld = true;
    if (gone) {
      this.#links.delete(link.index);
      this.#addresses.delete(link.index);
      return;
    }
    this.#links.set(link.index, link);
    this.#names.set(link.name, link.index);
  }

  #applyAddress(address: AddressRow, gone: boolean): void {
    const { index, ip } = address;
    const those = this.#addresses.get(index) ?? new Map<Ip, AddressRow>();
    if (!gone) this.#addresses.set(index, those.set(ip, address));
    else {
      those.delete(ip);
      // routes that had it as their source go with it
      if (this.#hasGateway(index)) this.routesAreOld = true;
    }
  }

  #hasGateway(of: number): boolean {
    return this.#gateways.some(({ index }) => index === of);
  }
}

/** IPv4's first; of each family those of the main table first, by metric. */
function preferred(a: GatewayRow, b: GatewayRow): number {
  const byFamily = Number(familyOf(a.ip) === 'ipv6') - Number(familyOf(b.ip) === 'ipv6');
  return byFamily || Number(b.main) - Number(a.main) || a.metric - b.metric || compareAddresses(a.ip, b.ip);
}
