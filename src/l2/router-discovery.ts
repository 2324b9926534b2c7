// Router Solicitations and Advertisements (RFC 4861 §4.1, §4.2) as the ICMPv6 messages that a raw socket has: the kernel does
// the IPv6 header and the checksum (RFC 3542 §3.1). We advertise no router, only ourselves: Router Lifetime 0, and whoever
// advertises is a neighbor. Called by links/neighbors. The checks are §6.1.1 and §6.1.2, each with its name.

import type { Ip, Mac } from '../net/address.ts';
import { isLinkLocal, macToBytes } from '../net/address.ts';

const SOLICITATION = 133;
const ADVERTISEMENT = 134;
const SOLICITATION_OCTETS = 8;
const ADVERTISEMENT_OCTETS = 16;
const SOURCE_LINK = 1;
const UNSPECIFIED = '::';

export const ALL_ROUTERS = 'ff02::2' as Ip;

export type RouterMessage = 'solicitation' | 'advertisement';
export type RouterDrop = 'hopLimit' | 'length' | 'messageType' | 'code' | 'source' | 'option' | 'unspecifiedSource';

/** One message as it arrived. */
export interface Arrived {
  readonly from: Ip;
  readonly hopLimit: number;
  /** From the ICMPv6 type on; its checksum is right. */
  readonly bytes: Uint8Array;
}

/** What it is, or the first rule of RFC 4861 §6.1 that it breaks. */
export function decode({
  from,
  hopLimit,
  bytes,
}: Arrived): { readonly is: RouterMessage } | { readonly drop: RouterDrop } {
  const [type, code] = bytes;
  if (type !== SOLICITATION && type !== ADVERTISEMENT) return { drop: 'messageType' };
  if (hopLimit !== 255) return { drop: 'hopLimit' };
  const octets = type === SOLICITATION ? SOLICITATION_OCTETS : ADVERTISEMENT_OCTETS;
  if (bytes.length < octets) return { drop: 'length' };
  if (code !== 0) return { drop: 'code' };
  const options = optionsIn(bytes.subarray(octets));
  if (options === undefined) return { drop: 'option' };
  if (type === ADVERTISEMENT) return isLinkLocal(from) ? { is: 'advertisement' } : { drop: 'source' };
  // RFC 4861 §6.1.1: who has no address yet names no link-layer address
  if (from === UNSPECIFIED && options.includes(SOURCE_LINK)) return { drop: 'unspecifiedSource' };
  return { is: 'solicitation' };
}

/** Their types; undefined: one has length 0 or goes beyond the end (RFC 4861 §4.6). */
function optionsIn(bytes: Uint8Array): readonly number[] | undefined {
  const types: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [type = 0, units = 0] = bytes.subarray(at, at + 2);
    if (units === 0 || at + units * 8 > bytes.length) return undefined;
    types.push(type);
    at += units * 8;
  }
  return types;
}

/** All fields 0, unspecified, and so is the lifetime: no host takes us for a default router (RFC 4861 §4.2). */
export function advertisement(mac: Mac | undefined): Uint8Array {
  return compose(ADVERTISEMENT, ADVERTISEMENT_OCTETS, mac);
}

export function solicitation(mac: Mac | undefined): Uint8Array {
  return compose(SOLICITATION, SOLICITATION_OCTETS, mac);
}

/** With a source link-layer address option where there is such an address; the kernel fills the checksum in. */
function compose(type: number, octets: number, mac: Mac | undefined): Uint8Array {
  const bytes = new Uint8Array(octets + (mac === undefined ? 0 : 8));
  bytes[0] = type;
  if (mac !== undefined) bytes.set([SOURCE_LINK, 1, ...macToBytes(mac)], octets);
  return bytes;
}
