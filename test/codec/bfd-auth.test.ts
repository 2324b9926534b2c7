// Authentication of BFD packets (RFC 5880 §6.7.3, §6.7.4): what BIRD signed is believed and signed again octet for octet;
// the digest is also reckoned here straight from the RFC's words; the sequence window at every edge.

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AuthenticationType, Key } from '../../src/bfd/auth.ts';
import { authenticate, keyFault, sectionOctets, sign } from '../../src/bfd/auth.ts';
import { type ControlPacket, decode, encode } from '../../src/bfd/packet.ts';
import { AUTHENTICATED, PLAIN } from './bfd-captures.ts';

const octets = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const secret = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

const BY_CODE: Readonly<Record<number, AuthenticationType>> = {
  2: 'keyed-md5',
  3: 'meticulous-keyed-md5',
  4: 'keyed-sha1',
  5: 'meticulous-keyed-sha1',
};
const TYPES = Object.values(BY_CODE);
const key = (type: AuthenticationType, text = 'fairway-key', id = 7): Key => ({ type, id, secret: secret(text) });

function packetOf(bytes: Uint8Array): ControlPacket {
  const result = decode(bytes);
  if ('drop' in result) throw new Error(result.drop);
  return result.packet;
}

function verdict(bytes: Uint8Array, keys: readonly Key[], known?: number, detectMult = 3) {
  return authenticate(bytes, packetOf(bytes), keys, known, detectMult);
}

function signed(by: Key, sequence: number): Uint8Array {
  const [, plain] = PLAIN[0] ?? ['', ''];
  const bytes = encode(packetOf(octets(plain)), sectionOctets(by));
  sign(bytes, by, sequence);
  return bytes;
}

describe('packets that BIRD signed', () => {
  it.each(AUTHENTICATED)('%s %s', (_sender, capture, { auth }) => {
    const bytes = octets(capture);
    const by = key(BY_CODE[auth?.type ?? 0] ?? 'keyed-md5');
    expect(verdict(bytes, [by])).toEqual({ sequence: auth?.sequence });
    const again = encode(packetOf(bytes), sectionOctets(by));
    sign(again, by, auth?.sequence ?? 0);
    expect(Buffer.from(again).toString('hex')).toBe(capture);
  });
});

describe('the digest', () => {
  it.each([
    ['keyed-md5', 'md5', 16],
    ['meticulous-keyed-md5', 'md5', 16],
    ['keyed-sha1', 'sha1', 20],
    ['meticulous-keyed-sha1', 'sha1', 20],
  ] as const)('%s is over the packet with the zero-padded key in its place', (type, hash, length) => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: length }), fc.nat({ max: 255 }), (text, id) => {
        const by: Key = { type, id, secret: text };
        const bytes = signed(by, 0xfffffffe);
        const whole = bytes.slice();
        whole.fill(0, 32);
        whole.set(text, 32);
        const expected = createHash(hash).update(whole).digest('hex');
        expect(bytes.length).toBe(32 + length);
        expect(Buffer.from(bytes.subarray(32)).toString('hex')).toBe(expected);
        expect(verdict(bytes, [by])).toEqual({ sequence: 0xfffffffe });
      }),
      { seed: 5880, numRuns: 200 },
    );
  });

  it.each(TYPES)('%s covers every bit of the packet and of the section', (type) => {
    const by = key(type);
    const bytes = signed(by, 1000);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const forged = bytes.slice();
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
      const result = decode(forged);
      const accepted = 'packet' in result && 'sequence' in authenticate(forged, result.packet, [by], undefined, 3);
      expect([bit, accepted]).toEqual([bit, false]);
    }
  });

  it('ignores what follows Length in the datagram', () => {
    const by = key('keyed-sha1');
    expect(verdict(Uint8Array.of(...signed(by, 5), 9, 9, 9), [by])).toEqual({ sequence: 5 });
  });
});

describe('what is not believed', () => {
  const by = key('meticulous-keyed-sha1');

  it.each([
    ['no section', octets(PLAIN[0]?.[1] ?? ''), [by], 'auth-missing'],
    ['another type', signed(key('keyed-sha1'), 1), [by], 'auth-type'],
    ['another key id', signed(key('meticulous-keyed-sha1', 'fairway-key', 8), 1), [by], 'auth-key'],
    ['another key', signed(key('meticulous-keyed-sha1', 'fairway-kez'), 1), [by], 'auth-digest'],
  ] as const)('%s', (_name, bytes, keys, drop) => {
    expect(verdict(bytes, keys)).toEqual({ drop });
  });

  it('a section or packet of another length than its type has, even when the digest is right for it', () => {
    for (const [at, value] of [
      [25, 24],
      [25, 29],
      [25, 0],
    ] as const) {
      const bytes = signed(by, 1);
      bytes[at] = value;
      expect(verdict(bytes, [by])).toEqual({ drop: 'auth-length' });
    }
    const short = signed(by, 1).slice(0, 30);
    short[3] = 30;
    expect(verdict(short, [by])).toEqual({ drop: 'auth-length' });
    const coherent = signed(by, 1).slice(0, 48);
    coherent[3] = 48;
    coherent[25] = 24;
    expect(verdict(coherent, [by])).toEqual({ drop: 'auth-length' });
    const longer = Uint8Array.of(...signed(by, 1), 0);
    longer[3] = 53;
    expect(verdict(longer, [by])).toEqual({ drop: 'auth-length' });
  });

  it('a simple password or a type nobody knows, whatever its length', () => {
    for (const type of [0, 1, 6, 255]) {
      const bytes = signed(by, 1);
      bytes[24] = type;
      expect(verdict(bytes, [by])).toEqual({ drop: 'auth-type' });
      const shortest = bytes.slice(0, 26);
      shortest[3] = 26;
      expect(verdict(shortest, [by])).toEqual({ drop: 'auth-type' });
    }
  });

  it('finds the key by type and id among several', () => {
    const old = key('meticulous-keyed-sha1', 'yesterday', 6);
    const other = key('keyed-md5', 'tomorrow', 7);
    expect(verdict(signed(old, 3), [by, old, other])).toEqual({ sequence: 3 });
    expect(verdict(signed(other, 4), [by, old, other])).toEqual({ sequence: 4 });
  });

  it('a wrong digest never gets as far as the sequence number', () => {
    const forged = signed(key('meticulous-keyed-sha1', 'guess'), 77);
    expect(verdict(forged, [by], 1)).toEqual({ drop: 'auth-digest' });
  });
});

describe('the window of sequence numbers', () => {
  // RFC 5880 §6.7.3, §6.7.4: known (meticulous: known + 1) to known + 3 × DetectMult, modulo 2^32; of the two ends'
  // multipliers the greater one, and the packets here say 3
  const edges = (known: number, detectMult: number, meticulous: boolean) => {
    const first = known + (meticulous ? 1 : 0);
    const last = known + 3 * Math.max(3, detectMult);
    return [
      [first - 1, 'auth-sequence'],
      [first, undefined],
      [last, undefined],
      [last + 1, 'auth-sequence'],
      [known + 2 ** 31, 'auth-sequence'],
    ] as const;
  };

  it.each(TYPES)('%s, also across zero and for other multipliers', (type) => {
    const by = key(type);
    for (const known of [0, 1000, 0xffffffff, 0xfffffff8, 0x7fffffff]) {
      for (const detectMult of [1, 3, 255]) {
        for (const [sequence, drop] of edges(known, detectMult, type.startsWith('meticulous'))) {
          const wrapped = ((sequence % 2 ** 32) + 2 ** 32) % 2 ** 32;
          const expected = drop === undefined ? { sequence: wrapped } : { drop };
          expect([known, detectMult, verdict(signed(by, wrapped), [by], known, detectMult)]).toEqual([
            known,
            detectMult,
            expected,
          ]);
        }
      }
    }
  });
});

describe('keys', () => {
  it('say what is wrong with them', () => {
    expect(keyFault(key('keyed-md5', 'x'.repeat(16)))).toBeUndefined();
    expect(keyFault(key('keyed-md5', 'x'.repeat(17)))).toBe('a keyed-md5 key has at most 16 octets, not 17');
    expect(keyFault(key('meticulous-keyed-sha1', 'x'.repeat(20)))).toBeUndefined();
    expect(keyFault(key('meticulous-keyed-sha1', 'x'.repeat(21)))).toContain('at most 20 octets, not 21');
    expect(keyFault(key('keyed-sha1', ''))).toBe('the key is empty');
    expect(keyFault(key('keyed-sha1', 'x', 256))).toBe('key id 256 is not within 0-255');
    expect(keyFault(key('keyed-sha1', 'x', -1))).toContain('not within 0-255');
    expect(keyFault(key('keyed-sha1', 'x', 1.5))).toContain('not within 0-255');
  });
});
