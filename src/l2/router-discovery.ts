// Router Solicitations and Advertisements (RFC 4861 §4.1, §4.2) as the ICMPv6 messages that a raw socket has: the kernel does
// the IPv6 header and the checksum (RFC 3542 §3.1). We advertise no router, only ourselves: Router Lifetime 0, and whoever
// advertises is a neighbor. Called by links/neighbors. The checks are §6.1.1 and §6.1.2, each with its name.

import type { Ip, Mac } from '../net/address.ts';
import { isLinkLocal, macToBytes } from '../net/address.ts';
import { readOptions, SOURCE_LINK, UNSPECIFIED } from './ndp.ts';

const SOLICITATION = 133;
const ADVERTISEMENT = 134;
const SOLICITATION_OCTETS = 8;
const ADVERTISEMENT_OCTETS = 16;

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
  const options = readOptions(bytes.subarray(octets));
  if (options === undefined) return { drop: 'option' };
  if (type === ADVERTISEMENT) return isLinkLocal(from) ? { is: 'advertisement' } : { drop: 'source' };
  // RFC 4861 §6.1.1: who has no address yet names no link-layer address
  if (from === UNSPECIFIED && options.some((option) => option.type === SOURCE_LINK))
    return { drop: 'unspecifiedSource' };
  return { is: 'solicitation' };
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
