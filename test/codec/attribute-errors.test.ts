// The table of RFC 7606 §7: each attribute with all flags and all short lengths, against what its RFC says in one line.

import { describe, expect, it } from 'vitest';
import { worstFault } from '../../src/bgp/fault.ts';
import { decode } from '../../src/bgp/message.ts';
import { BEFORE_OPEN } from '../../src/bgp/negotiate.ts';
import { AS_PATH, attribute, LOCAL_PREF, NEXT_HOP, NLRI, ORIGIN, update } from './octets.ts';

type Verdict = 'good' | 'attribute-discard' | 'treat-as-withdraw';

interface Rule {
  readonly code: number;
  readonly flags: number;
  /** Is a value of this many octets, 00 00 00 01 again and again, a good one? */
  readonly good: (length: number) => boolean;
  readonly bad: Verdict;
  readonly external?: Verdict;
}

const times = (size: number) => (length: number) => length > 0 && length % size === 0;
const exactly = (size: number) => (length: number) => length === size;

/** RFC 4271, 1997, 4360, 4456, 5701, 7606 §7, 8092. */
const RULES: readonly Rule[] = [
  { code: 1, flags: 0x40, good: exactly(1), bad: 'treat-as-withdraw' },
  { code: 3, flags: 0x40, good: exactly(4), bad: 'treat-as-withdraw' },
  { code: 4, flags: 0x80, good: exactly(4), bad: 'treat-as-withdraw' },
  { code: 5, flags: 0x40, good: exactly(4), bad: 'treat-as-withdraw', external: 'attribute-discard' },
  { code: 6, flags: 0x40, good: exactly(0), bad: 'attribute-discard' },
  { code: 7, flags: 0xc0, good: exactly(8), bad: 'attribute-discard' },
  { code: 8, flags: 0xc0, good: times(4), bad: 'treat-as-withdraw' },
  { code: 9, flags: 0x80, good: exactly(4), bad: 'treat-as-withdraw', external: 'attribute-discard' },
  { code: 10, flags: 0x80, good: times(4), bad: 'treat-as-withdraw', external: 'attribute-discard' },
  { code: 16, flags: 0xc0, good: times(8), bad: 'treat-as-withdraw' },
  { code: 25, flags: 0xc0, good: times(20), bad: 'treat-as-withdraw' },
  { code: 32, flags: 0xc0, good: times(12), bad: 'treat-as-withdraw' },
];

function verdict(rule: Rule, flags: number, length: number, internal: boolean): string {
  const value = '00000001'.repeat(20).slice(0, length * 2);
  const base = [ORIGIN, AS_PATH, NEXT_HOP, ...(internal ? [LOCAL_PREF] : [])];
  const codes = [1, 2, 3, 5];
  const attributes = [...base.filter((_, i) => codes[i] !== rule.code), attribute(flags, rule.code, value)];
  const octets = update({ attributes, nlri: NLRI });
  const negotiated = { ...BEFORE_OPEN, families: ['ipv4'], fourOctetAs: true, internal } as const;
  const decoded = [false, true].map((keep) => decode(octets, negotiated, keep));
  const worst = decoded.map((one) =>
    one.is === 'UPDATE' ? (worstFault(one.update.faults)?.verdict ?? 'good') : one.is,
  );
  expect(worst[0]).toBe(worst[1]);
  return worst[0] ?? '';
}

describe('every attribute, every flag, every length', () => {
  for (const rule of RULES) {
    it(`attribute ${rule.code}`, () => {
      for (const internal of [false, true]) {
        for (let high = 0; high <= 0xf0; high += 0x10) {
          for (const low of [0, 0x0f]) {
            for (let length = 0; length <= 40; length++) {
              const flags = high | low;
              // RFC 7606 §3 (c): only the Optional and Transitive bits are compared
              const flagsFit = (flags & 0xc0) === rule.flags;
              const wanted =
                !internal && rule.external !== undefined
                  ? rule.external
                  : !flagsFit
                    ? 'treat-as-withdraw'
                    : rule.good(length)
                      ? 'good'
                      : rule.bad;
              expect([flags, length, verdict(rule, flags, length, internal)]).toEqual([flags, length, wanted]);
            }
          }
        }
      }
    });
  }
});
