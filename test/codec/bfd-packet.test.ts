// The BFD Control packet against three oracles: the figure of RFC 5880 §4.1 as bit offsets, captures of FRR and BIRD as
// tshark reads them, and the discard rules of §6.8.6 written down a second time over raw octets.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ControlPacket, decode, encode, SESSION_STATES, sameContents } from '../../src/bfd/packet.ts';
import { AUTHENTICATED, PLAIN, type Seen } from './bfd-captures.ts';

const SEED = { seed: 5880, numRuns: 2000 };
const octets = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function decoded(bytes: Uint8Array): ControlPacket {
  const result = decode(bytes);
  if ('drop' in result) throw new Error(`dropped: ${result.drop}`);
  return result.packet;
}

function asSeen(seen: Seen): ControlPacket {
  const has = (flag: Seen['flags'][number]) => seen.flags.includes(flag);
  return {
    state: seen.state,
    diagnostic: seen.diagnostic,
    poll: has('poll'),
    final: has('final'),
    controlPlaneIndependent: has('controlPlaneIndependent'),
    demand: has('demand'),
    detectMult: seen.detectMult,
    myDiscriminator: seen.my,
    yourDiscriminator: seen.your,
    desiredMinTxMs: seen.txUs / 1000,
    requiredMinRxMs: seen.rxUs / 1000,
    requiredMinEchoRxMs: seen.echoUs / 1000,
    ...(seen.auth !== undefined && { authentication: seen.auth }),
  };
}

describe('captures of other programs', () => {
  it('are there, of both, with every state and both bits of a Poll Sequence', () => {
    expect(new Set(PLAIN.map(([sender]) => sender))).toEqual(new Set(['FRR', 'BIRD']));
    expect(new Set(PLAIN.map(([, , seen]) => seen.state))).toEqual(new Set(SESSION_STATES));
    expect(new Set(PLAIN.flatMap(([, , seen]) => seen.flags))).toEqual(new Set(['poll', 'final']));
    expect(new Set(AUTHENTICATED.map(([, , seen]) => seen.auth?.type))).toEqual(new Set([2, 3, 4, 5]));
  });

  it.each([...PLAIN, ...AUTHENTICATED])('%s %s is read as tshark reads it', (_sender, capture, seen) => {
    expect(decoded(octets(capture))).toEqual(asSeen(seen));
  });

  it.each(PLAIN)('%s %s is written octet for octet', (_sender, capture, seen) => {
    expect(hex(encode(asSeen(seen)))).toBe(capture);
  });
});

/** RFC 5880 §4.1: first bit and width of each field. */
const FIGURE = {
  version: [0, 3],
  diagnostic: [3, 5],
  state: [8, 2],
  poll: [10, 1],
  final: [11, 1],
  controlPlaneIndependent: [12, 1],
  authenticated: [13, 1],
  demand: [14, 1],
  multipoint: [15, 1],
  detectMult: [16, 8],
  length: [24, 8],
  myDiscriminator: [32, 32],
  yourDiscriminator: [64, 32],
  desiredMinTx: [96, 32],
  requiredMinRx: [128, 32],
  requiredMinEchoRx: [160, 32],
} as const;
type Field = keyof typeof FIGURE;

function drawn(values: Readonly<Record<Field, number>>): Uint8Array {
  let all = 0n;
  for (const [name, [first, width]] of Object.entries(FIGURE)) {
    all |= BigInt(values[name as Field]) << BigInt(192 - first - width);
  }
  return octets(all.toString(16).padStart(48, '0'));
}

const uint = (bits: number, min = 0) => fc.integer({ min, max: 2 ** bits - 1 });
const anyFields = fc.record({
  version: fc.constant(1),
  diagnostic: uint(5),
  state: uint(2),
  poll: uint(1),
  final: uint(1),
  controlPlaneIndependent: uint(1),
  authenticated: fc.constant(0),
  demand: uint(1),
  multipoint: fc.constant(0),
  detectMult: uint(8, 1),
  length: fc.constant(24),
  myDiscriminator: uint(32, 1),
  yourDiscriminator: uint(32),
  desiredMinTx: uint(32),
  requiredMinRx: uint(32),
  requiredMinEchoRx: uint(32),
});

describe('the figure of RFC 5880 section 4.1', () => {
  it('is what is read and what is written, every field over its whole range', () => {
    fc.assert(
      fc.property(anyFields, (fields) => {
        const packet: ControlPacket = {
          diagnostic: fields.diagnostic,
          state: (['AdminDown', 'Down', 'Init', 'Up'] as const)[fields.state as 0 | 1 | 2 | 3],
          poll: fields.poll === 1,
          final: fields.final === 1,
          controlPlaneIndependent: fields.controlPlaneIndependent === 1,
          demand: fields.demand === 1,
          detectMult: fields.detectMult,
          myDiscriminator: fields.myDiscriminator,
          yourDiscriminator: fields.yourDiscriminator,
          desiredMinTxMs: fields.desiredMinTx / 1000,
          requiredMinRxMs: fields.requiredMinRx / 1000,
          requiredMinEchoRxMs: fields.requiredMinEchoRx / 1000,
        };
        const bytes = drawn(fields);
        expect(decoded(bytes)).toEqual(packet);
        expect(hex(encode(packet))).toBe(hex(bytes));
      }),
      SEED,
    );
  });

  it('says whether two packets differ in anything but Poll and Final', () => {
    const base = drawn({ ...zero, version: 1, detectMult: 3, length: 24, myDiscriminator: 1 });
    for (let bit = 0; bit < 192; bit++) {
      const other = base.slice();
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
      const only = bit === FIGURE.poll[0] || bit === FIGURE.final[0];
      expect([bit, sameContents(base, other)]).toEqual([bit, only]);
    }
  });
});

const zero = Object.fromEntries(Object.keys(FIGURE).map((name) => [name, 0])) as Record<Field, number>;
const good = { ...zero, version: 1, state: 1, detectMult: 3, length: 24, myDiscriminator: 7 };

describe('discard rules of RFC 5880 section 6.8.6', () => {
  const dropOf = (bytes: Uint8Array) => {
    const result = decode(bytes);
    return 'drop' in result ? result.drop : 'none';
  };

  it.each([
    ['an empty payload', new Uint8Array(), 'length'],
    ['version 0', drawn({ ...good, version: 0 }), 'version'],
    ['version 2', drawn({ ...good, version: 2 }), 'version'],
    ['one octet of version 1', Uint8Array.of(0x20), 'length'],
    ['23 octets', drawn(good).subarray(0, 23), 'length'],
    ['Length 23', drawn({ ...good, length: 23 }), 'length'],
    ['Length beyond the payload', drawn({ ...good, length: 25 }), 'length'],
    ['A set and Length 25', Uint8Array.of(...drawn({ ...good, authenticated: 1, length: 25 }), 2), 'length'],
    ['A set and Length 26', Uint8Array.of(...drawn({ ...good, authenticated: 1, length: 26 }), 2, 24), 'none'],
    ['octets after Length', Uint8Array.of(...drawn(good), 1, 2, 3), 'none'],
    ['Detect Mult 0', drawn({ ...good, detectMult: 0 }), 'detect-mult'],
    ['M set', drawn({ ...good, multipoint: 1 }), 'multipoint'],
    ['My Discriminator 0', drawn({ ...good, myDiscriminator: 0 }), 'my-discriminator'],
    ['the first rule wins', drawn({ ...zero, multipoint: 1 }), 'version'],
    ['mult before M', drawn({ ...good, detectMult: 0, multipoint: 1 }), 'detect-mult'],
    ['M before discriminator', drawn({ ...good, multipoint: 1, myDiscriminator: 0 }), 'multipoint'],
  ])('%s', (_name, bytes, drop) => {
    expect(dropOf(bytes)).toBe(drop);
  });

  /** The rules once more, over octets and not fields. */
  function rule(bytes: Uint8Array): string {
    const at = (i: number) => bytes[i] ?? 0;
    if (bytes.length === 0) return 'length';
    if ((at(0) & 0xe0) !== 0x20) return 'version';
    const least = (at(1) & 0x04) !== 0 ? 26 : 24;
    if (bytes.length < 24 || at(3) < least || at(3) > bytes.length) return 'length';
    if (at(2) === 0) return 'detect-mult';
    if ((at(1) & 1) !== 0) return 'multipoint';
    return (at(4) | at(5) | at(6) | at(7)) === 0 ? 'my-discriminator' : 'none';
  }

  it('hold for any octets, and nothing is thrown', () => {
    const noise = fc.uint8Array({ maxLength: 80 });
    const seen = new Set<string>();
    fc.assert(
      fc.property(noise, (bytes) => {
        expect(dropOf(bytes)).toBe(rule(bytes));
        seen.add(rule(bytes));
      }),
      SEED,
    );
    expect(seen).toContain('version');
  });

  it('hold for captures with octets changed and the end cut off', () => {
    const all = [...PLAIN, ...AUTHENTICATED].map(([, capture]) => octets(capture));
    const seen = new Set<string>();
    const changes = fc.array(fc.tuple(fc.nat({ max: 51 }), fc.constantFrom(0, 1, 4, 24, 26, 52, 255)), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(fc.constantFrom(...all), changes, fc.nat({ max: 60 }), (capture, edits, cut) => {
        const bytes = capture.slice(0, cut > 52 ? capture.length : cut);
        for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
        expect(dropOf(bytes)).toBe(rule(bytes));
        seen.add(rule(bytes));
      }),
      { ...SEED, numRuns: 5000 },
    );
    expect([...seen].sort()).toEqual(['detect-mult', 'length', 'multipoint', 'none', 'version']);
  });
});
