// Addresses: canonical text by RFC 5952, strictness, and arithmetic against plain reference arithmetic.

import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import {
  compareAddresses,
  familyOf,
  hostPrefix,
  type Ip,
  inRange,
  ipFromBytes,
  ipFromNumber,
  ipToBytes,
  ipToNumber,
  isLinkLocal,
  macFromBytes,
  macToBytes,
  parseIp,
  parseMac,
  parsePrefix,
  prefixOf,
  type Range,
  rangeOfPrefix,
  without,
} from '../../src/net/address.ts';

const ip = (text: string): Ip => parseIp(text) ?? expect.fail(`${text} is an address`);
const octets4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
const octets16 = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .filter((bytes) => !(bytes.slice(0, 10).every((b) => b === 0) && bytes[10] === 255 && bytes[11] === 255));
const seeded = { seed: 4271, numRuns: 300 };

describe('parseIp', () => {
  // RFC 5952 §4 and its examples
  it.each([
    ['2001:0db8::0001', '2001:db8::1'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::ABCD', '2001:db8::abcd'],
    ['::', '::'],
    ['::1', '::1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['192.0.2.1', '192.0.2.1'],
  ])('%s is %s', (text, canonical) => {
    expect(parseIp(text)).toBe(canonical);
  });

  it.each([
    '010.0.0.1',
    '10.1',
    '0x0a000001',
    '1.2.3.256',
    '1.2.3.4 ',
    '',
    '1.2.3.4/32',
    'fe80::1%eth0',
    '1:2:3',
    ':::',
    '::192.0.2.1',
    '1.2.3.4.5',
  ])('%j is none', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });
});

describe('parsePrefix', () => {
  it.each([
    ['198.51.100.10/24', '198.51.100.0/24'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['2001:db8::ffff/112', '2001:db8::/112'],
    ['2001:DB8::1/128', '2001:db8::1/128'],
  ])('%s is %s', (text, canonical) => {
    expect(parsePrefix(text)).toBe(canonical);
  });

  it.each([
    '1.2.3.4',
    '1.2.3.4/',
    '1.2.3.4/33',
    '1.2.3.4/-1',
    '1.2.3.4/08',
    '::/129',
    '010.0.0.0/8',
    '1.2.3.4/2 4',
    '::ffff:1.2.3.4/96',
  ])('%j is none', (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  });
});

describe('IPv6 texts, held against ipaddr.js', () => {
  // many zeros, so that every place of `::` comes up
  const group = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 0xffff }));
  const groups = fc.array(group, { minLength: 8, maxLength: 8 });

  it('reads what it writes, and every other spelling', () => {
    fc.assert(
      fc.property(groups, fc.boolean(), (parts, dotted) => {
        const theirs = new ipaddr.IPv6(parts);
        fc.pre(!theirs.isIPv4MappedAddress());
        const tail = parts.slice(6).flatMap((part) => [part >> 8, part & 255]);
        const head = theirs.toNormalizedString().split(':').slice(0, 6).join(':').toUpperCase();
        const spellings = [
          theirs.toRFC5952String(),
          parts.map((part) => part.toString(16).padStart(4, '0')).join(':'),
          dotted ? `${head}:${tail.join('.')}` : theirs.toNormalizedString(),
        ];
        for (const text of spellings) expect(parseIp(text)).toBe(theirs.toRFC5952String());
        expect(Array.from(ipToBytes(ip(theirs.toRFC5952String())))).toEqual(theirs.toByteArray());
        expect(ipFromBytes(Uint8Array.from(theirs.toByteArray()))).toBe(theirs.toRFC5952String());
      }),
      { seed: 5952, numRuns: 2000 },
    );
  });

  it.each([
    ['1::2:192.0.2.1', '1::2:c000:201'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('%s is %s', (text, canonical) => {
    expect(parseIp(text)).toBe(canonical);
  });
});

describe('arithmetic', () => {
  it('octets and numbers go there and back', () => {
    fc.assert(
      fc.property(fc.oneof(octets4, octets16), (bytes) => {
        const address = ipFromBytes(bytes);
        expect(parseIp(address)).toBe(address);
        expect(ipToBytes(address)).toEqual(bytes);
        expect(ipFromNumber(familyOf(address), ipToNumber(address))).toBe(address);
      }),
      seeded,
    );
  });

  it('a prefix holds exactly the addresses between its ends', () => {
    fc.assert(
      fc.property(octets16, fc.integer({ min: 0, max: 128 }), (bytes, length) => {
        const address = ipFromBytes(bytes);
        const range = rangeOfPrefix(prefixOf(address, length));
        expect(inRange(address, range)).toBe(true);
        expect(range.last - range.first + 1n).toBe(1n << BigInt(128 - length));
        expect(range.first % (1n << BigInt(128 - length))).toBe(0n);
      }),
      seeded,
    );
  });

  it('orders by family, then number, then length', () => {
    fc.assert(
      fc.property(octets4, octets4, (a, b) => {
        const [x, y] = [ipFromBytes(a), ipFromBytes(b)];
        expect(Math.sign(compareAddresses(x, y))).toBe(
          Number(ipToNumber(x) > ipToNumber(y)) - Number(ipToNumber(x) < ipToNumber(y)),
        );
      }),
      seeded,
    );
    expect(compareAddresses(ip('255.255.255.255'), ip('::'))).toBeLessThan(0);
    expect(compareAddresses(prefixOf(ip('10.0.0.0'), 8), prefixOf(ip('10.0.0.0'), 16))).toBeLessThan(0);
  });

  it('takes ranges out of a range: what is left and what was taken is the whole', () => {
    const octet = fc.integer({ min: 0, max: 40 });
    const range = (a: number, b: number): Range => {
      return { family: 'ipv4', first: BigInt(Math.min(a, b)), last: BigInt(Math.max(a, b)) };
    };
    const numbers = (ranges: readonly Range[]) =>
      ranges.flatMap(({ first, last }) =>
        Array.from({ length: Number(last - first) + 1 }, (_, i) => Number(first) + i),
      );
    fc.assert(
      fc.property(fc.tuple(octet, octet), fc.array(fc.tuple(octet, octet), { maxLength: 4 }), (whole, parts) => {
        const from = range(...whole);
        const taken = parts.map((part) => range(...part));
        const cut = new Set(numbers(taken));
        expect(numbers(without(from, taken))).toEqual(numbers([from]).filter((each) => !cut.has(each)));
      }),
      seeded,
    );
    const six: Range = { family: 'ipv6', first: 0n, last: 9n };
    expect(without(six, [range(0, 9)])).toEqual([six]);
  });

  it('names host prefixes and link-local addresses', () => {
    expect([hostPrefix(ip('192.0.2.1')), hostPrefix(ip('2001:db8::1'))]).toEqual(['192.0.2.1/32', '2001:db8::1/128']);
    expect(['fe80::1', 'febf::1', 'fec0::1', 'fe7f::1'].map((text) => isLinkLocal(ip(text)))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});

describe('MACs', () => {
  it('are six octets and back, as Buffer writes them', () => {
    const octets6 = fc.uint8Array({ minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(octets6, (bytes) => {
        const text = Buffer.from(bytes)
          .toString('hex')
          .replace(/..(?=.)/g, '$&:');
        expect(macFromBytes(bytes)).toBe(text);
        expect([...macToBytes(parseMac(text.toUpperCase()) ?? expect.fail(text))]).toEqual([...bytes]);
      }),
      seeded,
    );
    expect(() => macFromBytes(new Uint8Array(8))).toThrow('a MAC has 6 bytes, not 8');
    expect(['02:00:00:00:00', '02:00:00:00:00:0g', '0200.0000.0001'].map(parseMac)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});
