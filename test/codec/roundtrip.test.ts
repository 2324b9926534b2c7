// What is written is read again as it was meant, over the whole range of what can be said. Seeded.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AsPathSegment } from '../../src/bgp/as-path.ts';
import type { Path } from '../../src/bgp/attribute.ts';
import { NO_CAPABILITIES } from '../../src/bgp/capability.ts';
import type { ExtendedCommunity, LargeCommunity } from '../../src/bgp/community.ts';
import { communityText, linkBandwidth, readLinkBandwidth } from '../../src/bgp/community.ts';
import { decode, encodeNotification, encodeRouteRefresh } from '../../src/bgp/message.ts';
import { BEFORE_OPEN, type Negotiated } from '../../src/bgp/negotiate.ts';
import { writeIp } from '../../src/bgp/nlri.ts';
import { hardReset, shutdownNotification, shutdownText, unwrapHardReset } from '../../src/bgp/notification.ts';
import { encodeOpen, type Open } from '../../src/bgp/open.ts';
import { packAnnouncements, packWithdrawals } from '../../src/bgp/pack.ts';
import { type Ip, ipFromBytes, ipToBytes, type Prefix, prefixOf } from '../../src/net/address.ts';

const SEED = { seed: 20260424, numRuns: 400 };

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const as = fc.integer({ min: 1, max: 0xffffffff });
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const ipv4: fc.Arbitrary<Ip> = bytes(4).map(ipFromBytes);
// runs of zeros, so that every shape of RFC 5952 text comes up
const ipv6: fc.Arbitrary<Ip> = fc
  .array(
    fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }) }),
    {
      minLength: 8,
      maxLength: 8,
    },
  )
  .map((groups) => ipFromBytes(Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))));
const prefix4: fc.Arbitrary<Prefix> = fc.tuple(ipv4, fc.integer({ min: 0, max: 32 })).map(([ip, n]) => prefixOf(ip, n));
const prefix6: fc.Arbitrary<Prefix> = fc
  .tuple(ipv6, fc.integer({ min: 0, max: 128 }))
  .map(([ip, n]) => prefixOf(ip, n));

const sequence: fc.Arbitrary<AsPathSegment> = fc
  .array(as, { minLength: 1, maxLength: 20 })
  .map((numbers) => ({ is: 'sequence', as: numbers }));

const extended: fc.Arbitrary<ExtendedCommunity> = bytes(8).map(
  (octets) => Buffer.from(octets).toString('hex') as ExtendedCommunity,
);
const large: fc.Arbitrary<LargeCommunity> = fc.tuple(u32, u32, u32);
const byNumbers = (a: LargeCommunity, b: LargeCommunity): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

function paths(nextHop: fc.Arbitrary<Ip>): fc.Arbitrary<Path> {
  return fc
    .record({
      origin: fc.constantFrom('igp', 'egp', 'incomplete'),
      asPath: fc.array(sequence, { maxLength: 1 }),
      nextHop,
      med: optional(u32),
      atomicAggregate: optional(fc.constant(true)),
      aggregator: optional(fc.record({ as, address: ipv4 })),
      communities: fc.uniqueArray(u32, { maxLength: 80 }).map((all) => all.sort((a, b) => a - b)),
      extendedCommunities: fc.uniqueArray(extended, { maxLength: 40 }).map((all) => all.sort()),
      largeCommunities: fc.uniqueArray(large, { maxLength: 30, selector: String }).map((all) => all.sort(byNumbers)),
      others: optional(
        fc.uniqueArray(
          fc.record({
            code: fc.integer({ min: 33, max: 255 }),
            flags: fc.constantFrom(0x80, 0xc0, 0xe0),
            value: fc.uint8Array({ maxLength: 300 }),
          }),
          { minLength: 1, maxLength: 2, selector: ({ code }) => code },
        ),
      ),
    })
    .map(
      (path) => Object.fromEntries(Object.entries(path).filter(([, value]) => value !== undefined)) as unknown as Path,
    )
    .map((path) =>
      path.others === undefined ? path : { ...path, others: [...path.others].sort((a, b) => a.code - b.code) },
    );
}

const SESSION: Negotiated = { ...BEFORE_OPEN, families: ['ipv4', 'ipv6'], fourOctetAs: true };

function received(messages: Iterable<Uint8Array> | string, negotiated: Negotiated) {
  if (typeof messages === 'string') throw new Error(messages);
  const updates = [...messages].map((octets) => {
    expect(octets.length).toBeLessThanOrEqual(negotiated.maxSend);
    const decoded = decode(octets, { ...negotiated, maxReceive: negotiated.maxSend }, true);
    if (decoded.is !== 'UPDATE') throw new Error(decoded.is);
    expect(decoded.update.faults).toEqual([]);
    return decoded.update;
  });
  return {
    announced: updates.flatMap(({ routes }) => routes?.announced ?? []),
    withdrawn: updates.flatMap(({ routes }) => routes?.withdrawn ?? []).map(({ prefix }) => prefix),
  };
}

describe('written and read again', () => {
  for (const maxSend of [4096, 65535]) {
    for (const fourOctetAs of [true, false]) {
      it(`announcements, ${maxSend} octets, AS numbers in ${fourOctetAs ? 'four' : 'two'}`, () => {
        const negotiated = { ...SESSION, maxSend, fourOctetAs };
        const v4 = fc.record({ path: paths(ipv4), prefixes: fc.array(prefix4, { maxLength: 1500, size: 'max' }) });
        const check = (family: 'ipv4' | 'ipv6', path: Path, prefixes: readonly Prefix[]): void => {
          const routes = received(packAnnouncements(family, path, prefixes, negotiated), negotiated).announced;
          expect(routes.map(({ prefix }) => prefix)).toEqual(prefixes);
          for (const route of new Set(routes.map((one) => one.path))) expect(route).toEqual(path);
        };
        fc.assert(
          fc.property(v4, ({ path, prefixes }) => check('ipv4', path, prefixes)),
          { ...SEED, numRuns: 60 },
        );
        const global = ipv6.filter((ip) => !ip.startsWith('fe8'));
        const v6 = fc.record({ path: paths(global), prefixes: fc.array(prefix6, { maxLength: 600, size: 'max' }) });
        fc.assert(
          fc.property(v6, ({ path, prefixes }) => check('ipv6', path, prefixes)),
          { ...SEED, numRuns: 60 },
        );
      });
    }
  }

  it('withdrawals', () => {
    const check = (family: 'ipv4' | 'ipv6', prefixes: readonly Prefix[], extendedNextHop: boolean): void => {
      const negotiated = { ...SESSION, extendedNextHop };
      expect(received(packWithdrawals(family, prefixes, negotiated), negotiated).withdrawn).toEqual(prefixes);
    };
    const lists4 = fc.array(prefix4, { maxLength: 2000, size: 'max' });
    const lists6 = fc.array(prefix6, { maxLength: 600, size: 'max' });
    const runs = { ...SEED, numRuns: 60 };
    fc.assert(
      fc.property(lists4, fc.boolean(), (list, extendedNextHop) => check('ipv4', list, extendedNextHop)),
      runs,
    );
    fc.assert(
      fc.property(lists6, fc.boolean(), (list, extendedNextHop) => check('ipv6', list, extendedNextHop)),
      runs,
    );
  });

  it('OPENs', () => {
    const family = fc.constantFrom('ipv4', 'ipv6');
    const opens: fc.Arbitrary<Open> = fc
      .record({
        as,
        holdTimeSeconds: fc.oneof(fc.constant(0), fc.integer({ min: 3, max: 65535 })),
        routerId: ipv4.filter((ip) => ip !== '0.0.0.0'),
        families: optional(fc.constantFrom(['ipv4'] as const, ['ipv6'] as const, ['ipv4', 'ipv6'] as const)),
        flags: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean(), fc.boolean(), fc.boolean()),
        addPath: fc.dictionary(family, fc.constantFrom('receive', 'send', 'both')),
        gracefulRestart: optional(
          fc.record({
            restarted: fc.boolean(),
            notification: fc.boolean(),
            restartTimeSeconds: fc.integer({ min: 0, max: 4095 }),
            families: fc.array(fc.record({ family, forwardingPreserved: fc.boolean() }), { maxLength: 3 }),
          }),
        ),
        others: fc.array(
          fc.record({ code: fc.integer({ min: 75, max: 255 }), value: fc.uint8Array({ maxLength: 255, size: 'max' }) }),
          { maxLength: 4 },
        ),
      })
      .map(({ as: number, holdTimeSeconds, routerId, families, flags, addPath, gracefulRestart, others }) => ({
        as: number,
        holdTimeSeconds,
        routerId,
        capabilities: {
          ...NO_CAPABILITIES,
          ...(families === undefined ? {} : { families }),
          ...(gracefulRestart === undefined ? {} : { gracefulRestart }),
          routeRefresh: flags[0],
          enhancedRouteRefresh: flags[1],
          extendedMessage: flags[2],
          extendedNextHop: flags[3],
          bfdStrict: flags[4],
          fourOctetAs: number,
          addPath: { ...addPath },
          others: [...others].sort((a, b) => a.code - b.code),
        },
      }));
    fc.assert(
      fc.property(opens, (open) => {
        expect(decode(encodeOpen(open), BEFORE_OPEN, false)).toEqual({ is: 'OPEN', open });
      }),
      SEED,
    );
  });

  it('NOTIFICATIONs, wrapped or not', () => {
    const codes = fc.integer({ min: 0, max: 255 });
    const notifications = fc.record({
      code: codes,
      subcode: codes,
      data: fc.uint8Array({ maxLength: 4000, size: 'max' }),
    });
    fc.assert(
      fc.property(notifications, (n) => {
        expect(decode(encodeNotification(n, 4096), BEFORE_OPEN, false)).toEqual({
          is: 'NOTIFICATION',
          notification: n,
        });
        expect(unwrapHardReset(hardReset(n))).toEqual(n);
      }),
      SEED,
    );
  });

  it('shutdown texts: the beginning of what was said, never half a character', () => {
    const texts = fc
      .string({ unit: 'grapheme', maxLength: 200, size: 'max' })
      .filter((text) => !/[\p{C}\p{Zl}\p{Zp}]/u.test(text));
    fc.assert(
      fc.property(texts, fc.constantFrom(128, 255), (text, most) => {
        const read = shutdownText(shutdownNotification(2, text, most)) ?? '';
        expect(text.startsWith(read)).toBe(true);
        const next = [...text].slice([...read].length, [...read].length + 1).join('');
        if (next !== '') expect(Buffer.byteLength(read + next)).toBeGreaterThan(most);
      }),
      SEED,
    );
  });

  it('route refreshes', () => {
    const negotiated = { ...BEFORE_OPEN, enhancedRouteRefresh: true };
    for (const subtype of ['request', 'begin', 'end'] as const) {
      for (const family of ['ipv4', 'ipv6'] as const) {
        const refresh = { subtype, family };
        expect(decode(encodeRouteRefresh(refresh), negotiated, false)).toEqual({ is: 'ROUTE-REFRESH', refresh });
      }
    }
  });

  it('addresses, against the general parser', () => {
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), (ip) => {
        const into = new Uint8Array(16);
        const end = writeIp(into, 0, ip);
        expect(into.subarray(0, end)).toEqual(ipToBytes(ip));
      }),
      { ...SEED, numRuns: 2000 },
    );
  });

  it('communities and link bandwidth', () => {
    fc.assert(
      fc.property(
        u32,
        fc.integer({ min: 1, max: 65535 }),
        fc.float({ min: 0, noNaN: true, noDefaultInfinity: true }),
        fc.boolean(),
        (n, number, bandwidth, transitive) => {
          const [high, low] = communityText(n).split(':').map(Number);
          expect((high ?? 0) * 65536 + (low ?? 0)).toBe(n);
          expect(readLinkBandwidth(linkBandwidth(number, bandwidth, transitive))).toEqual({
            as: number,
            bytesPerSecond: Math.abs(bandwidth),
            transitive,
          });
        },
      ),
      SEED,
    );
  });
});
