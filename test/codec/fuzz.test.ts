// Octets that nobody meant: recorded messages changed by a seeded hand. The decoder and the framer must end with a message
// or a malformation, never throw, never see what lies outside their slice, and counting must agree with keeping.

import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { describeCapabilities } from '../../src/bgp/capability.ts';
import { createFramer, nextFrame, push } from '../../src/bgp/frame.ts';
import { decode, encodeNotification, type Message } from '../../src/bgp/message.ts';
import { BEFORE_OPEN, type Negotiated } from '../../src/bgp/negotiate.ts';
import { describeNotification, type Malformation, shutdownText } from '../../src/bgp/notification.ts';
import { allMessages } from './capture.ts';
import {
  AS_PATH,
  attribute,
  LOCAL_PREF,
  MP_REACH,
  MP_UNREACH,
  message,
  NEXT_HOP,
  NLRI,
  ORIGIN,
  update,
} from './octets.ts';

/** Numbers in [0, 2^32) from a seed (mulberry32). */
function numbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
}

const EVERYTHING = update({
  withdrawn: '18 cb0071',
  attributes: [
    MP_REACH,
    MP_UNREACH,
    ORIGIN,
    AS_PATH,
    NEXT_HOP,
    attribute(0x80, 4, '00000001'),
    LOCAL_PREF,
    attribute(0x40, 6, ''),
    attribute(0xc0, 7, '0000fc00 c0000209'),
    attribute(0xc0, 8, 'fc000001 ffffff01'),
    attribute(0x80, 9, 'c0000207'),
    attribute(0x80, 10, 'c0000208'),
    attribute(0xc0, 16, '0002fc0000000064'),
    attribute(0xc0, 17, '02 01 00010000'),
    attribute(0xc0, 18, '00010000 c0000209'),
    attribute(0xc0, 25, '00'.repeat(20)),
    attribute(0xc0, 32, '0000fc00 00000001 00000002'),
    attribute(0xc0, 99, 'beef'),
  ],
  nlri: NLRI,
});

// long ones change slowly and cost much: a few are enough
const CORPUS = [EVERYTHING, message(3, '0602 03 616263'), ...allMessages().filter(({ length }) => length < 600)];

const SESSIONS: readonly Negotiated[] = [
  { ...BEFORE_OPEN, families: ['ipv4', 'ipv6'], fourOctetAs: true },
  { ...BEFORE_OPEN, families: ['ipv4', 'ipv6'], fourOctetAs: true, internal: true, extendedNextHop: true },
  { ...BEFORE_OPEN, families: ['ipv4'], maxReceive: 65535, enhancedRouteRefresh: true },
  { ...BEFORE_OPEN, families: ['ipv4', 'ipv6'], fourOctetAs: true, addPathReceive: { ipv4: true, ipv6: true } },
  BEFORE_OPEN,
];

const SPECIAL = [0, 1, 2, 4, 14, 15, 16, 17, 32, 33, 64, 127, 128, 129, 192, 254, 255];

/** One to four changes: an octet, a few octets more or less, a piece of another message. */
function changed(next: () => number): Uint8Array {
  const pick = <T>(list: readonly T[]): T => list[next() % list.length] as T;
  let octets = [...pick(CORPUS)];
  for (let changes = 1 + (next() % 4); changes > 0; changes--) {
    // mostly behind the header
    const at = next() % 8 === 0 ? next() % octets.length : Math.min(19 + (next() % octets.length), octets.length - 1);
    switch (next() % 6) {
      case 0:
        octets[at] = next() & 0xff;
        break;
      case 1:
        octets[at] = pick(SPECIAL);
        break;
      case 2:
        octets[at] = ((octets[at] ?? 0) ^ (1 << (next() & 7))) & 0xff;
        break;
      case 3:
        octets.splice(at, 1 + (next() % 6));
        break;
      case 4:
        octets.splice(at, 0, ...pick(CORPUS).subarray(19, 19 + (next() % 24)));
        break;
      default:
        octets = [...octets.slice(0, at), ...pick(CORPUS).subarray(at)];
    }
  }
  // most get a length that fits: else all would end at the header
  if (octets.length >= 19 && next() % 10 !== 0) [octets[16], octets[17]] = [octets.length >> 8, octets.length & 0xff];
  return Uint8Array.from(octets);
}

/** The same octets with other octets around them. */
function within(octets: Uint8Array, around: number): Uint8Array {
  const larger = new Uint8Array(octets.length + 64).fill(around);
  larger.set(octets, 32);
  return larger.subarray(32, 32 + octets.length);
}

function counted(kept: Message | Malformation): Message | Malformation {
  if (kept.is !== 'UPDATE') return kept;
  const { routes, ...update } = kept.update;
  const sizes = [routes?.announced.length ?? 0, routes?.withdrawn.length ?? 0];
  const { announced, withdrawn } = update;
  expect(sizes).toEqual([announced.ipv4 + announced.ipv6, withdrawn.ipv4 + withdrawn.ipv6]);
  return { is: 'UPDATE', update };
}

function shown(result: Message | Malformation): void {
  if (result.is === 'malformed') expect(encodeNotification(result.notification, 4096).length).toBeLessThanOrEqual(4096);
  if (result.is === 'OPEN') describeCapabilities(result.open.capabilities);
  if (result.is === 'NOTIFICATION') [describeNotification(result.notification), shutdownText(result.notification)];
  if (result.is === 'UPDATE') {
    for (const { notification, family, verdict } of result.update.faults) {
      expect(notification.code).toBe(3);
      if (verdict === 'afi-safi-disable') expect(family).toBeDefined();
    }
  }
}

describe('changed messages', () => {
  const seeds = Array.from({ length: 8 }, (_, i) => 1000 + i);
  for (const seed of seeds) {
    it(`seed ${seed}: end, agree, and stay inside`, () => {
      const next = numbers(seed);
      const seen: Record<string, number> = {};
      for (let i = 0; i < 10_000; i++) {
        const octets = changed(next);
        const negotiated = SESSIONS[i % SESSIONS.length] ?? BEFORE_OPEN;
        const kept = decode(within(octets, 0x00), negotiated, true);
        const other = decode(within(octets, 0xff), negotiated, true);
        const counting = decode(within(octets, 0x80), negotiated, false);
        if (!isDeepStrictEqual(kept, other) || !isDeepStrictEqual(counting, counted(kept))) {
          expect.fail(`message ${i}: ${Buffer.from(octets).toString('hex')}`);
        }
        shown(kept);
        const verdict = kept.is === 'UPDATE' ? (kept.update.faults[0]?.verdict ?? 'good') : '';
        seen[`${kept.is} ${verdict}`.trim()] = (seen[`${kept.is} ${verdict}`.trim()] ?? 0) + 1;
      }
      // the hand reaches everywhere: messages of all types, and faults of all strengths
      for (const kind of ['malformed', 'OPEN', 'NOTIFICATION', 'UPDATE good', 'ROUTE-REFRESH']) {
        expect([kind, seen[kind] ?? 0]).not.toEqual([kind, 0]);
      }
      for (const verdict of ['attribute-discard', 'treat-as-withdraw', 'afi-safi-disable', 'session-reset']) {
        expect([verdict, seen[`UPDATE ${verdict}`] ?? 0]).not.toEqual([verdict, 0]);
      }
    });
  }

  it('by a single octet, each one of the message that has everything, to each special value', () => {
    for (let at = 0; at < EVERYTHING.length; at++) {
      for (const value of SPECIAL) {
        const octets = EVERYTHING.slice();
        octets[at] = value;
        for (const negotiated of SESSIONS) {
          const kept = decode(within(octets, 0xff), negotiated, true);
          expect(isDeepStrictEqual(counted(kept), decode(within(octets, 0), negotiated, false))).toBe(true);
        }
      }
    }
  });

  it('cut anywhere, with the length made to fit', () => {
    for (const octets of CORPUS) {
      for (let length = 19; length < octets.length; length++) {
        const cut = octets.slice(0, length);
        [cut[16], cut[17]] = [length >> 8, length & 0xff];
        const [kept, other] = [0x00, 0xff].map((around) =>
          decode(within(cut, around), SESSIONS[0] ?? BEFORE_OPEN, true),
        );
        expect(isDeepStrictEqual(kept, other)).toBe(true);
      }
    }
  });
});

describe('changed streams', () => {
  it('end in the framer, with memory in proportion to what came', () => {
    const next = numbers(7);
    let frames = 0;
    let faults = 0;
    for (let stream = 0; stream < 2000; stream++) {
      const octets = Buffer.concat(
        Array.from({ length: 6 }, () =>
          next() % 5 === 0 ? changed(next) : (CORPUS[next() % CORPUS.length] ?? EVERYTHING),
        ),
      );
      const framer = createFramer();
      for (let at = 0, fault = false; at < octets.length && !fault; ) {
        const chunk = 1 + (next() % 700);
        push(framer, octets.subarray(at, at + chunk));
        at += chunk;
        for (;;) {
          const frame = nextFrame(framer, 4096);
          if (frame === undefined) break;
          if (!(frame instanceof Uint8Array)) {
            faults++;
            fault = true;
            break;
          }
          frames++;
          expect(decode(frame, SESSIONS[0] ?? BEFORE_OPEN, false)).toBeDefined();
        }
      }
      expect(framer.buffer.length).toBeLessThanOrEqual(2 * 4096);
    }
    expect(frames).toBeGreaterThan(5000);
    expect(faults).toBeGreaterThan(200);
  });
});
