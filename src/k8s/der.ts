// Just enough DER (X.690) to write an X.509 certificate: definite lengths, the few types of RFC 5280. Node's crypto signs
// and checks certificates but does not make any. Used by x509.

const CONSTRUCTED = 0x20;
const CONTEXT = 0x80;

/** One tag, its length, its content. Tag numbers stay below 31 here. */
function element(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Buffer.concat([Buffer.from([tag, 0x80 | octets.length, ...octets]), content]);
}

export function sequence(...items: readonly Uint8Array[]): Buffer {
  return element(0x30, Buffer.concat(items));
}

/** Of one member: DER would have to sort several. */
export function setOf(item: Uint8Array): Buffer {
  return element(0x31, item);
}

/** A number that is not negative, in network order. */
export function integer(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const value = bytes.subarray(start);
  // the highest bit is the sign
  const positive = (value[0] ?? 0) < 0x80 ? value : Buffer.concat([Buffer.from([0]), value]);
  return element(0x02, positive.length === 0 ? Buffer.from([0]) : positive);
}

export function boolean(value: boolean): Buffer {
  return element(0x01, Buffer.from([value ? 0xff : 0]));
}

export function nothing(): Buffer {
  return element(0x05, Buffer.alloc(0));
}

/** `unused`: how many bits at the end do not count. */
export function bitString(bytes: Uint8Array, unused = 0): Buffer {
  return element(0x03, Buffer.concat([Buffer.from([unused]), bytes]));
}

export function octetString(bytes: Uint8Array): Buffer {
  return element(0x04, bytes);
}

/** Letters, digits and `'()+,-./:=?` and blanks alone. */
export function printableString(text: string): Buffer {
  return element(0x13, Buffer.from(text, 'latin1'));
}

/** Dotted, such as `2.5.29.17`. */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return element(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(arc: number): number[] {
  const octets = [arc % 128];
  for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) octets.unshift(0x80 | (left % 128));
  return octets;
}

/** RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050 on; no fractions. */
export function time(at: Date): Buffer {
  const digits = at.toISOString().replace(/[-:T]|\.\d+/g, '');
  return at.getUTCFullYear() < 2050 ? element(0x17, Buffer.from(digits.slice(2))) : element(0x18, Buffer.from(digits));
}

/** `[number]`, around a whole element. */
export function explicit(number: number, item: Uint8Array): Buffer {
  return element(CONTEXT | CONSTRUCTED | number, item);
}

/** `[number]` in place of the tag of a simple type. */
export function implicit(number: number, content: Uint8Array): Buffer {
  return element(CONTEXT | number, content);
}
