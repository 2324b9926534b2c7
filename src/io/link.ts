// The interfaces of this machine: which one a connection runs over, with what it offers as next hops of both families
// (asked once for each connection, by io/tcp), and the subnets that they are on (by speaker-process).

import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { type Ip, isLinkLocal, type Prefix, parseIp, parsePrefix } from '../net/address.ts';
import type { Link } from '../net/io.ts';

type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

/**
 * The interface that has the local address; undefined when none has it (any more). `device`: the one that the socket is
 * bound to, for interfaces of one MAC have one link-local address too.
 */
export function linkOf(local: Ip, interfaces: Interfaces = networkInterfaces(), device?: string): Link | undefined {
  const loopback = isLoopback(local);
  const bound = ([name]: readonly [string, unknown]) => Number(name === device);
  for (const [name, infos = []] of Object.entries(interfaces).sort((a, b) => bound(b) - bound(a))) {
    const addresses = infos.flatMap(({ address }) => parseIp(address.replace(/%.*$/, '')) ?? []);
    if (!(loopback ? infos.some((info) => info.internal) : addresses.includes(local))) continue;
    const global = addresses.filter((ip) => !isLinkLocal(ip) && !isLoopback(ip));
    const linkLocal = addresses.find((ip) => ip.includes(':') && isLinkLocal(ip));
    const ipv4 = global.filter((ip) => !ip.includes(':'));
    const ipv6 = global.filter((ip) => ip.includes(':'));
    // Both ends are on this machine: only a collector can be there, and ::1 is as good a next hop to it as any.
    if (loopback && ipv4.length === 0) ipv4.push(local.includes(':') ? ('127.0.0.1' as Ip) : local);
    if (loopback && ipv6.length === 0) ipv6.push('::1' as Ip);
    return { name, ipv4, ipv6, ...(linkLocal !== undefined && { linkLocal }) };
  }
  return undefined;
}

/** Subnets of the interfaces that are up, in order and each once. An address by itself (/32, /128) is on none. */
export function connectedSubnets(interfaces: Interfaces = networkInterfaces()): readonly Prefix[] {
  const subnets = Object.values(interfaces).flatMap((infos = []) =>
    infos.flatMap(({ cidr }) => (cidr === null || /\/(32|128)$/.test(cidr) ? [] : (parsePrefix(cidr) ?? []))),
  );
  return [...new Set(subnets)].sort();
}

function isLoopback(ip: Ip): boolean {
  return ip === '::1' || ip.startsWith('127.');
}
