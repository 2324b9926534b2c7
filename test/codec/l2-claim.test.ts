// The speakers' datagram against its layout written down by hand (octets and HMAC made by Python's struct, hashlib and hmac),
// round trips over anything that can be said, and octets that nobody meant.

import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode as decodeBfd } from '../../src/bfd/packet.ts';
import { type ClaimDrop, decode, deriveKey, encode, isClaim } from '../../src/l2/claim.ts';
import { HANDOVER_PHASES, HANDOVER_REASONS, type Row, type Statement, stationOf } from '../../src/l2/statement.ts';
import { compareAddresses, type Ip, ipFromBytes, type Mac, macFromBytes } from '../../src/net/address.ts';
import { hex, toHex } from './octets.ts';

const KEY = Uint8Array.from({ length: 32 }, (_, at) => at);
const OTHER_KEY = Uint8Array.from({ length: 32 }, () => 7);
const SEED = { seed: 7946, numRuns: 500 };

const GOLDEN = hex(`
  46574c32 01 07 0000 0199a1b2c3d4 00000007 00000001e240
  06 6e6f64652d61  04 65746830
  01 020000000010  04 c0000201
  01 02470aa03b319cfe
  01 00 0199a1b2c3d5 00000009 03
  0003
  46 c6336401 00000003 02 00000001d0c8 00000001e208
  2a c6336402 00 00000004 00000006
  33 20010db8000000000000000000000001 22 00 00000009 00000009
  5b1a8b228cbd29879844a88fb45ecc087b7de61439548a15e15075cdec526da7`);

const SAID: Statement = {
  node: 'node-a',
  link: 'eth0',
  here: true,
  incarnation: 0x0199a1b2c3d4,
  sequence: 7,
  clock: 123_456,
  part: 0,
  macs: ['02:00:00:00:00:10' as Mac],
  address: '192.0.2.1' as Ip,
  ready: true,
  gatewayOk: true,
  leaving: false,
  goodbye: false,
  asks: false,
  sightings: [{ station: '02470aa03b319cfe', incarnation: 0x0199a1b2c3d5, sequence: 9, heard: true, gatewayOk: true }],
  rows: [
    { ip: '198.51.100.1' as Ip, candidate: true, highest: 3, claim: 3, moves: [118_984, 123_400] },
    { ip: '198.51.100.2' as Ip, candidate: true, highest: 6, sees: { owner: '02470aa03b319cfe', epoch: 4 } },
    {
      ip: '2001:db8::1' as Ip,
      candidate: true,
      highest: 9,
      handover: { phase: 'hand', reason: 'fail-back', with: '02470aa03b319cfe', epoch: 9 },
    },
  ],
};

function decoded(bytes: Uint8Array, keys: readonly Uint8Array[] = [KEY]): Statement {
  const result = decode(bytes, keys);
  if ('drop' in result) throw new Error(`dropped: ${result.drop}`);
  return result.statement;
}

describe('the layout', () => {
  it('is what is written and what is read', () => {
    expect(encode(SAID, KEY).map(toHex)).toEqual([toHex(GOLDEN)]);
    expect(decoded(GOLDEN)).toEqual(SAID);
  });

  it('has moves from before the start of its sender, whose clock began at 0', () => {
    const [first, ...others] = SAID.rows;
    if (first === undefined) throw new Error('a row');
    const moved: Statement = { ...SAID, clock: 800, rows: [{ ...first, moves: [-90_000, -1, 0] }, ...others] };
    const [bytes] = encode(moved, KEY);
    if (bytes === undefined) throw new Error('a datagram');
    expect(toHex(bytes)).toContain('fffffffea070ffffffffffff000000000000');
    expect(decoded(bytes)).toEqual(moved);
  });

  it('names stations by the first eight octets of SHA-256 of node/interface', () => {
    expect(stationOf('node-b', 'ens3')).toBe('02470aa03b319cfe');
    expect(stationOf('node-a', 'eth0')).toBe('e5dc48023c21e4cf');
  });

  it('derives a key for each purpose from the one secret', () => {
    const secret = Buffer.from('0123456789ABCDEFGHIJkl');
    expect(toHex(deriveKey(secret, 'claims', 32))).toBe(
      '2ff4e5060af277c8155655d0e1fdbdc5bb44d407503e49fcf360cecfb3f5b9a0',
    );
    expect(toHex(deriveKey(secret, 'bfd', 20))).toBe('c37c062fc2fa27be742cbe7f8134b1db0bc142cd');
  });

  it('is told from BFD by its first octet, both ways', () => {
    expect(isClaim(GOLDEN)).toBe(true);
    expect(decodeBfd(GOLDEN)).toEqual({ drop: 'version' });
    const bfd = hex('20c00318 00000001 00000002 000493e0 000493e0 00000000');
    expect(isClaim(bfd)).toBe(false);
    expect('packet' in decodeBfd(bfd)).toBe(true);
    expect(isClaim(new Uint8Array())).toBe(false);
  });
});

describe('keys', () => {
  it('any of those given may have signed', () => {
    expect(decoded(GOLDEN, [OTHER_KEY, KEY])).toEqual(SAID);
    expect(decode(GOLDEN, [OTHER_KEY])).toEqual({ drop: 'digest' });
    expect(decode(GOLDEN, [])).toEqual({ drop: 'digest' });
  });

  it('no bit can be changed unnoticed', () => {
    for (let bit = 0; bit < GOLDEN.length * 8; bit++) {
      const bytes = GOLDEN.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decode(bytes, [KEY])).toHaveProperty('drop');
    }
  });
});

describe('what is not believed, in this order', () => {
  const resigned = (change: (bytes: Buffer) => Buffer): Uint8Array => {
    const body = change(Buffer.from(GOLDEN.subarray(0, -32)));
    return Buffer.concat([body, createHmac('sha256', KEY).update(body).digest()]);
  };
  const at = (offset: number, value: number) => (bytes: Buffer) => {
    bytes[offset] = value;
    return bytes;
  };
  const cases: readonly (readonly [string, Uint8Array, ClaimDrop])[] = [
    ['nothing', new Uint8Array(), 'length'],
    ['39 octets', GOLDEN.slice(0, 39), 'length'],
    ['1,201 octets', new Uint8Array(1201), 'length'],
    ['another magic', resigned(at(0, 0x47)), 'magic'],
    ['version 2', resigned(at(4, 2)), 'version'],
    ['an octet too many', resigned((bytes) => Buffer.concat([bytes, Buffer.of(0)])), 'malformed'],
    ['an octet too few', resigned((bytes) => bytes.subarray(0, -1)), 'malformed'],
    ['a name without letters', resigned(at(24, 0)), 'malformed'],
    ['a name with a slash', resigned(at(25, 0x2f)), 'malformed'],
    ['a name with a control character', resigned(at(25, 0x0a)), 'malformed'],
    ['an address of 5 octets', resigned(at(43, 5)), 'malformed'],
    ['a sighting of a station that is not listed', resigned(at(58, 1)), 'malformed'],
    ['unknown flags of a sighting', resigned(at(69, 4)), 'malformed'],
    ['more rows than there are', resigned(at(71, 4)), 'malformed'],
    ['unknown flags of a row', resigned(at(72, 0x86)), 'malformed'],
    ['rows out of order', resigned(at(76, 3)), 'malformed'],
    ['two rows for one address', resigned(at(76, 2)), 'malformed'],
    ['an unknown phase of a hand-over', resigned(at(125, 0x32)), 'malformed'],
    ['an unknown reason of a hand-over', resigned(at(125, 0x23)), 'malformed'],
  ];
  it.each(cases)('%s', (_, bytes, drop) => {
    expect(decode(bytes, [KEY])).toEqual({ drop });
  });
});

const uint = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 });
const station = fc.uint8Array({ minLength: 8, maxLength: 8 }).map(toHex);
const ip = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }).map(ipFromBytes),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map(ipFromBytes),
);
const name = (maxLength: number) =>
  fc
    .array(fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789-.'), { minLength: 1, maxLength })
    .map((letters) => letters.join(''));

function statements(most: { readonly rows: number; readonly sightings: number }): fc.Arbitrary<Statement> {
  const sighting = fc.record({
    station,
    incarnation: uint(48),
    sequence: uint(32),
    heard: fc.boolean(),
    gatewayOk: fc.boolean(),
  });
  const sightings = fc.uniqueArray(sighting, {
    maxLength: most.sightings,
    size: 'max',
    selector: (each) => each.station,
  });
  return sightings.chain((seen) => {
    const known = seen.length === 0 ? station : fc.oneof(station, fc.constantFrom(...seen.map((each) => each.station)));
    const row = fc
      .record(
        {
          ip,
          candidate: fc.boolean(),
          claim: uint(32),
          moves: fc.array(
            uint(48).map((value) => value - 2 ** 47),
            { minLength: 1, maxLength: 3 },
          ),
          more: uint(8),
          sees: fc.record({ owner: known, epoch: uint(32) }),
          handover: fc.record({
            phase: fc.constantFrom(...HANDOVER_PHASES),
            reason: fc.constantFrom(...HANDOVER_REASONS),
            with: known,
            epoch: uint(32),
          }),
        },
        { requiredKeys: ['ip', 'candidate', 'more'] },
      )
      .map(({ more, ...rest }): Row => {
        const highest = Math.max(rest.claim ?? 0, rest.sees?.epoch ?? 0);
        return { ...rest, highest: Math.min(2 ** 32 - 1, highest + more) };
      });
    const rows = fc
      .uniqueArray(row, { maxLength: most.rows, size: 'max', selector: (each) => each.ip })
      .map((all) => all.sort((a, b) => compareAddresses(a.ip, b.ip)));
    return fc.record(
      {
        node: name(253),
        link: name(15),
        here: fc.boolean(),
        incarnation: uint(48),
        sequence: uint(32),
        clock: uint(48),
        part: fc.constant(0),
        address: ip,
        macs: fc.array(fc.uint8Array({ minLength: 6, maxLength: 6 }).map(macFromBytes), { maxLength: 4 }),
        ready: fc.boolean(),
        gatewayOk: fc.boolean(),
        leaving: fc.boolean(),
        goodbye: fc.boolean(),
        asks: fc.boolean(),
        sightings: fc.constant(seen),
        rows,
      },
      {
        requiredKeys: [
          ...([
            'node',
            'link',
            'here',
            'incarnation',
            'sequence',
            'clock',
            'part',
            'macs',
            'ready',
            'gatewayOk',
          ] as const),
          ...(['leaving', 'goodbye', 'asks', 'sightings', 'rows'] as const),
        ],
      },
    );
  });
}

describe('any statement', () => {
  it('comes out as it went in, in parts that each fit and together cover every address once', () => {
    let several = 0;
    fc.assert(
      fc.property(statements({ rows: 300, sightings: 70 }), (statement) => {
        const datagrams = encode(statement, KEY);
        const parts = datagrams.map((bytes) => decoded(bytes));
        if (parts.length > 1) several++;
        for (const bytes of datagrams) expect(bytes.length).toBeLessThanOrEqual(1_200);
        expect(parts.flatMap(({ rows }) => rows)).toEqual(statement.rows);
        const byStation = (a: { station: string }, b: { station: string }) => (a.station < b.station ? -1 : 1);
        const seen = new Map(parts.flatMap(({ sightings }) => sightings).map((each) => [each.station, each]));
        expect([...seen.values()].sort(byStation)).toEqual([...statement.sightings].sort(byStation));
        expect(parts[0]?.after).toBeUndefined();
        expect(parts.at(-1)?.until).toBeUndefined();
        for (const [at, { rows, sightings, part, after, until, ...head }] of parts.entries()) {
          const { rows: _, sightings: __, part: ___, ...whole } = statement;
          expect(head).toEqual(whole);
          expect(part).toBe(at);
          if (at > 0) expect(after).toBe(parts[at - 1]?.until);
          // all that a row refers to is known where the row is
          for (const row of rows) {
            const owner = row.sees?.owner;
            if (owner !== undefined && seen.has(owner)) {
              expect(sightings.some((each) => each.station === owner)).toBe(true);
            }
          }
          void until;
        }
      }),
      { ...SEED, numRuns: 200 },
    );
    expect(several).toBeGreaterThan(50);
  });

  it('a thousand addresses of one owner and 63 other speakers: some 14 datagrams', () => {
    const rows = Array.from({ length: 1_000 }, (_, i): Row => {
      const epoch = 5;
      const sees = { owner: stationOf(`node-${i % 63}`, 'eth0'), epoch };
      return { ip: `10.0.${i >> 8}.${i & 255}` as Ip, candidate: true, highest: epoch, sees };
    });
    const sightings = Array.from({ length: 63 }, (_, i) => ({
      ...{ station: stationOf(`node-${i}`, 'eth0'), incarnation: 1, sequence: 2, heard: true, gatewayOk: true },
    }));
    const datagrams = encode({ ...SAID, sightings, rows }, KEY);
    expect(datagrams.length).toBeLessThan(40);
  });
});

describe('octets that nobody meant', () => {
  it('never throw, signed or not', () => {
    const seen = new Set<string>();
    const signed = (body: Uint8Array) => Buffer.concat([body, createHmac('sha256', KEY).update(body).digest()]);
    const edits = fc.array(fc.tuple(fc.nat({ max: 200 }), uint(8)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(statements({ rows: 6, sightings: 4 }), edits, fc.nat({ max: 250 }), (statement, changes, cut) => {
        const [bytes] = encode(statement, KEY);
        if (bytes === undefined) throw new Error('nothing was written');
        const body = Buffer.from(bytes.subarray(0, cut > 200 ? -32 : Math.min(cut, bytes.length - 32)));
        for (const [at, value] of changes) if (at >= 8 && at < body.length) body[at] = value;
        const result = decode(signed(body), [KEY]);
        if ('drop' in result) seen.add(result.drop);
        else {
          seen.add('statement');
          // what was read can be written, and reads the same
          const again = encode({ ...result.statement, part: 0 }, KEY);
          expect(again.flatMap((each) => decoded(each).rows)).toEqual(result.statement.rows);
        }
        expect(decode(body, [KEY])).toHaveProperty('drop');
      }),
      { ...SEED, numRuns: 3_000 },
    );
    expect([...seen].sort()).toEqual(['length', 'malformed', 'statement']);
  });
});
