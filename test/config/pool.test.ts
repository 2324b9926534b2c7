// Addresses of pools: ranges as CIDRs against plain counting, overlaps against a comparison of every pair, and size.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attempt } from '../../src/config/invalid.ts';
import { parseAddresses, parsePools, summarize } from '../../src/config/pool.ts';
import { prefixParts, rangeOfPrefix } from '../../src/net/address.ts';

const spec = (name: string, addresses: readonly string[]) => ({
  name,
  labels: {},
  addresses,
  autoAssign: true,
  avoidBuggyIPs: false,
});

describe('parseAddresses', () => {
  it('splits a range into the fewest CIDRs, ascending', () => {
    expect(parseAddresses('3.3.3.2-3.3.3.254')).toEqual([
      '3.3.3.2/31',
      '3.3.3.4/30',
      '3.3.3.8/29',
      '3.3.3.16/28',
      '3.3.3.32/27',
      '3.3.3.64/26',
      '3.3.3.128/26',
      '3.3.3.192/27',
      '3.3.3.224/28',
      '3.3.3.240/29',
      '3.3.3.248/30',
      '3.3.3.252/31',
      '3.3.3.254/32',
    ]);
  });

  it.each([
    ['198.51.100.10/24', ['198.51.100.0/24']],
    ['2001:DB8:0::1/64', ['2001:db8::/64']],
    [' 10.0.0.1 - 10.0.0.1 ', ['10.0.0.1/32']],
    ['0.0.0.0-255.255.255.255', ['0.0.0.0/0']],
    ['::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', ['::/0']],
    ['::ffff:10.0.0.0-10.0.0.1', ['10.0.0.0/31']],
    ['fc00::1-fc00::2', ['fc00::1/128', 'fc00::2/128']],
  ])('%s', (entry, cidrs) => {
    expect(parseAddresses(entry)).toEqual(cidrs);
  });

  it('never throws anything but a refusal', () => {
    const part = fc.constantFrom('1', '.', '-', '/', ':', 'f', ' ', '0', '10.0.0.1', '::', '%', '24');
    const entry = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(entry, (text) => {
        const done = attempt(() => parseAddresses(text));
        if ('invalid' in done) expect(done.invalid.message).toMatch(/^invalid (CIDR|IP range) "/);
        else expect(done.value.length).toBeGreaterThan(0);
      }),
      { seed: 4271, numRuns: 2000 },
    );
  });
});

describe('summarize', () => {
  it('covers exactly the range, in order, and no two could be one', () => {
    const ends = fc.tuple(fc.bigInt(0n, 2000n), fc.bigInt(0n, 2000n));
    fc.assert(
      fc.property(ends, fc.constantFrom('ipv4', 'ipv6'), ([a, b], family) => {
        const [first, last] = a < b ? [a, b] : [b, a];
        const ranges = summarize({ family, first, last }).map(rangeOfPrefix);
        expect(ranges[0]?.first).toBe(first);
        expect(ranges.at(-1)?.last).toBe(last);
        for (const [i, { first: start, last: end }] of ranges.entries()) {
          const next = ranges[i + 1];
          if (next === undefined) continue;
          expect(next.first).toBe(end + 1n);
          // joined they would be no CIDR: of different size, or not aligned
          const size = end - start + 1n;
          expect(next.last - next.first + 1n !== size || start % (size * 2n) !== 0n).toBe(true);
        }
      }),
      { seed: 4271, numRuns: 500 },
    );
  });

  it('needs at most 2 × bits - 2 for the worst range', () => {
    const worst = summarize({ family: 'ipv6', first: 1n, last: (1n << 128n) - 2n });
    expect(worst).toHaveLength(254);
    expect(worst.map((cidr) => prefixParts(cidr).length).sort((a, b) => a - b)[0]).toBe(2);
  });
});

describe('overlap', () => {
  it('names the pair that a comparison of every pair finds first', () => {
    const cidr = fc
      .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 24, max: 32 }))
      .map(([host, length]) => `10.0.0.${host}/${length}`);
    let overlapping = 0;
    fc.assert(
      fc.property(fc.array(fc.array(cidr, { minLength: 1, maxLength: 2 }), { maxLength: 5 }), (lists) => {
        const pools = lists.map((addresses, i) => spec(`p${i}`, addresses));
        const flat = lists.flatMap((list, p) => list.flatMap((each) => parseAddresses(each).map((c) => ({ c, p }))));
        let expected: string | undefined;
        for (const [j, { c, p }] of flat.entries()) {
          const [at, earlier] = [rangeOfPrefix(c), flat.slice(0, j).map((each) => each.c)];
          const hit = earlier.find((m) => rangeOfPrefix(m).first <= at.last && at.first <= rangeOfPrefix(m).last);
          if (hit === undefined) continue;
          expected = `CIDR "${c}" in pool "p${p}" overlaps with already defined CIDR "${hit}"`;
          break;
        }
        const done = attempt(() => parsePools(pools, []));
        expect('invalid' in done ? done.invalid.message : undefined).toBe(expected);
        if (expected !== undefined) overlapping++;
      }),
      { seed: 4271, numRuns: 1000 },
    );
    expect(overlapping).toBeGreaterThan(100);
    expect(overlapping).toBeLessThan(900);
  });

  it('does not confuse the families', () => {
    expect(parsePools([spec('a', ['0.0.0.0/0', '::/0'])], [])).toHaveLength(1);
  });

  it('is quick for 10,000 pools of ranges', () => {
    const pools = Array.from({ length: 10_000 }, (_, i) => {
      const net = `10.${i >> 8}.${i & 255}`;
      return spec(`p${i}`, [`${net}.1-${net}.14`]);
    });
    const start = performance.now();
    expect(parsePools(pools, [])).toHaveLength(10_000);
    // a comparison of every pair of their 60,000 CIDRs takes minutes
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});
