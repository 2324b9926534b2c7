// Messages by hand: hexadecimal text of RFC layouts, put together without any code of the codec. Called by its tests.

/** Octets of hexadecimal text; blanks are for the reader. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

const u16 = (n: number): string => n.toString(16).padStart(4, '0');
const u8 = (n: number): string => n.toString(16).padStart(2, '0');
const size = (text: string): number => text.replaceAll(/\s/g, '').length / 2;

/** RFC 4271 §4.1: marker, length, type, body. */
export function message(type: number, body: string): Uint8Array {
  return hex(`${'ff'.repeat(16)}${u16(19 + size(body))}${u8(type)}${body}`);
}

/** RFC 4271 §4.3: flags, type code, length in one octet or, with flag 0x10, in two. */
export function attribute(flags: number, code: number, value: string): string {
  const length = (flags & 0x10) === 0 ? u8(size(value)) : u16(size(value));
  return `${u8(flags)}${u8(code)}${length}${value}`;
}

export interface UpdateParts {
  readonly withdrawn?: string;
  readonly attributes?: readonly string[];
  readonly nlri?: string;
}

/** RFC 4271 §4.3: withdrawn routes, path attributes, NLRI. */
export function update({ withdrawn = '', attributes = [], nlri = '' }: UpdateParts): Uint8Array {
  const all = attributes.join('');
  return message(2, `${u16(size(withdrawn))}${withdrawn}${u16(size(all))}${all}${nlri}`);
}

export const ORIGIN = attribute(0x40, 1, '00');
/** AS_SEQUENCE of 64512 in four octets. */
export const AS_PATH = attribute(0x40, 2, '02 01 0000fc00');
/** 192.0.2.1 */
export const NEXT_HOP = attribute(0x40, 3, 'c0000201');
/** 100 */
export const LOCAL_PREF = attribute(0x40, 5, '00000064');
/** 203.0.113.7/32 */
export const NLRI = '20 cb007107';
/** IPv6 unicast, next hop 2001:db8::1, 2001:db8:f::/48 */
export const MP_REACH = attribute(0x80, 14, '0002 01 10 20010db8000000000000000000000001 00 30 20010db8000f');
/** IPv6 unicast, 2001:db8:f::/48 */
export const MP_UNREACH = attribute(0x80, 15, '0002 01 30 20010db8000f');
