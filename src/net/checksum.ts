// The Internet checksum (RFC 1071). Called by the codecs that build whole frames.

/** Over octets of which the last one may stand alone; `more` is added first. 0 over what holds its own checksum. */
export function internetChecksum(bytes: Uint8Array, more = 0): number {
  let sum = more;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) + (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
