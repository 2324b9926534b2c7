// Communities of three kinds as numbers and as text (RFC 1997, 4360, 5668, 8092), well-known names (IANA), and link
// bandwidth (RFC 10005). Called by attribute, by whoever shows a path, and by whoever weighs one.

import { AS_TRANS } from './as-path.ts';

/** RFC 8092: three unsigned 32-bit numbers. */
export type LargeCommunity = readonly [global: number, local1: number, local2: number];
/** RFC 4360: 16 lower-case hexadecimal digits. */
export type ExtendedCommunity = string & { readonly __extendedCommunity: never };

export const WELL_KNOWN = {
  gracefulShutdown: 0xffff0000,
  acceptOwn: 0xffff0001,
  llgrStale: 0xffff0006,
  noLlgr: 0xffff0007,
  blackhole: 0xffff029a,
  noExport: 0xffffff01,
  noAdvertise: 0xffffff02,
  noExportSubconfed: 0xffffff03,
  noPeer: 0xffffff04,
} as const;

const WELL_KNOWN_NAMES: ReadonlyMap<number, string> = new Map([
  [WELL_KNOWN.gracefulShutdown, 'graceful-shutdown'],
  [WELL_KNOWN.acceptOwn, 'accept-own'],
  [WELL_KNOWN.llgrStale, 'llgr-stale'],
  [WELL_KNOWN.noLlgr, 'no-llgr'],
  [WELL_KNOWN.blackhole, 'blackhole'],
  [WELL_KNOWN.noExport, 'no-export'],
  [WELL_KNOWN.noAdvertise, 'no-advertise'],
  [WELL_KNOWN.noExportSubconfed, 'no-export-subconfed'],
  [WELL_KNOWN.noPeer, 'no-peer'],
]);

/** `64512:1`: both halves of the 32 bits. */
export function communityText(community: number): string {
  return `${community >>> 16}:${community & 0xffff}`;
}

/** `no-export` and the like; undefined for a community without a registered meaning. */
export function wellKnownName(community: number): string | undefined {
  return WELL_KNOWN_NAMES.get(community);
}

/** `large:64512:1:2`. */
export function largeCommunityText(community: LargeCommunity): string {
  return `large:${community.join(':')}`;
}

/** The 8 octets of an extended community. */
export function extendedCommunityFromBytes(bytes: Uint8Array): ExtendedCommunity {
  return Buffer.from(bytes.buffer, bytes.byteOffset, 8).toString('hex') as ExtendedCommunity;
}

const TWO_OCTET_AS = 0x00;
const IPV4_ADDRESS = 0x01;
const FOUR_OCTET_AS = 0x02;
const NON_TRANSITIVE = 0x40;
const SUBTYPE_NAMES: Readonly<Record<number, string>> = { 2: 'rt', 3: 'soo' };
const LINK_BANDWIDTH = 0x04;

/** `rt:64512:1`, `soo:192.0.2.1:1`, `link-bandwidth:64512:1250000`; all others as `0x` and 16 digits. */
export function extendedCommunityText(community: ExtendedCommunity): string {
  const bandwidth = readLinkBandwidth(community);
  if (bandwidth !== undefined) {
    const suffix = bandwidth.transitive ? '' : ':non-transitive';
    return `link-bandwidth:${bandwidth.as}:${bandwidth.bytesPerSecond}${suffix}`;
  }
  const octets = Buffer.from(community, 'hex');
  const name = SUBTYPE_NAMES[octets.readUInt8(1)];
  if (name === undefined) return `0x${community}`;
  switch (octets.readUInt8(0)) {
    case TWO_OCTET_AS:
      return `${name}:${octets.readUInt16BE(2)}:${octets.readUInt32BE(4)}`;
    case IPV4_ADDRESS:
      return `${name}:${octets.subarray(2, 6).join('.')}:${octets.readUInt16BE(6)}`;
    case FOUR_OCTET_AS:
      return `${name}:${octets.readUInt32BE(2)}:${octets.readUInt16BE(6)}`;
    default:
      return `0x${community}`;
  }
}

/** RFC 10005: `as` is the sender's, AS_TRANS when it needs four octets; the bandwidth is kept as an IEEE 754 single. */
export function linkBandwidth(as: number, bytesPerSecond: number, transitive: boolean): ExtendedCommunity {
  const octets = Buffer.alloc(8);
  octets.writeUInt8(transitive ? TWO_OCTET_AS : NON_TRANSITIVE, 0);
  octets.writeUInt8(LINK_BANDWIDTH, 1);
  octets.writeUInt16BE(as > 0xffff ? AS_TRANS : as, 2);
  octets.writeFloatBE(bytesPerSecond, 4);
  return octets.toString('hex') as ExtendedCommunity;
}

/** Undefined for any other community, and for a bandwidth that is negative or no number: such a one is not to be used. */
export function readLinkBandwidth(
  community: ExtendedCommunity,
): { readonly as: number; readonly bytesPerSecond: number; readonly transitive: boolean } | undefined {
  const octets = Buffer.from(community, 'hex');
  const type = octets.readUInt8(0);
  if ((type !== TWO_OCTET_AS && type !== NON_TRANSITIVE) || octets.readUInt8(1) !== LINK_BANDWIDTH) return undefined;
  const bytesPerSecond = octets.readFloatBE(4);
  if (!(bytesPerSecond >= 0 && Number.isFinite(bytesPerSecond))) return undefined;
  return { as: octets.readUInt16BE(2), bytesPerSecond, transitive: type === TWO_OCTET_AS };
}
