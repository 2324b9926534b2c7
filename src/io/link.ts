// Which interface a connection runs over, and what that interface offers as next hops of both families. Asked once for
// each connection, by io/tcp.

import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { type Ip, isLinkLocal, parseIp } from '../net/address.ts';
import type { Link } from '../net/io.ts';

type Interfaces = NodeJS.Dict<NetworkInterfaceInfo[]>;

/** The interface that has the local address; undefined when none has it (any more). */
export function linkOf(local: Ip, interfaces: Interfaces = networkInterfaces()): Link | undefined {
  const loopback = isLoopback(local);
  for (const [name, infos = []] of Object.entries(interfaces)) {
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

function isLoopback(ip: Ip): boolean {
  return ip === '::1' || ip.startsWith('127.');
}
