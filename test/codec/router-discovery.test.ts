// Router Solicitations and Advertisements: what FRR and the Linux kernel sent, as tcpdump printed it; the figures of RFC 4861
// §4.1 and §4.2 written down as octets; the rules of §6.1, each alone; and whatever else may arrive.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { advertisement, decode, solicitation } from '../../src/l2/router-discovery.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { hex, toHex } from './octets.ts';

const SEED = { seed: 4861, numRuns: 2_000 };
const ROUTER = 'fe80::5eff:fe10:1' as Ip;
const HOST = 'fe80::5eff:fe10:2' as Ip;
const MAC = '02:00:5e:10:00:02' as Mac;
/** FRR 8.4 (zebra), hop limit 64, lifetime 30 s, source link-layer address. */
const FRR = '86007de64000001e00000000000000000101 02005e100001';
/** Linux 6, as an interface comes up. */
const LINUX = '8500bf09000000000101 02005e100002';

const arrived = (octets: string, from = ROUTER, hopLimit = 255) => ({ from, hopLimit, bytes: hex(octets) });
/** The kernel fills the checksum in: octets 2 and 3. */
const withoutChecksum = (octets: string) => toHex(hex(octets)).replace(/^(....)..../, '$10000');

describe('of others', () => {
  it('are what they are', () => {
    expect(decode(arrived(FRR))).toEqual({ is: 'advertisement' });
    expect(decode(arrived(LINUX, HOST))).toEqual({ is: 'solicitation' });
    // who has no address yet
    expect(decode(arrived('8500000000000000', '::' as Ip))).toEqual({ is: 'solicitation' });
  });

  it.each<[rule: string, message: ReturnType<typeof arrived>, drop: string]>([
    ['came over a router', arrived(FRR, ROUTER, 254), 'hopLimit'],
    ['came over a router, a solicitation', arrived(LINUX, HOST, 64), 'hopLimit'],
    ['an advertisement below 16 octets', arrived('86007de64000001e00000000000000'), 'length'],
    ['a solicitation below 8', arrived('85000000000000', HOST), 'length'],
    ['another code', arrived('86017de64000001e0000000000000000'), 'code'],
    ['from an address of more than the link', arrived(FRR, '2001:db8::1' as Ip), 'source'],
    ['from nobody', arrived(FRR, '::' as Ip), 'source'],
    ['an option of no length', arrived('86007de64000001e00000000000000000100'), 'option'],
    ['an option beyond the end', arrived('86007de64000001e00000000000000000102 02005e100001'), 'option'],
    ['an option cut to its type', arrived('86007de64000001e000000000000000001'), 'option'],
    ['a link-layer address of nobody', arrived(LINUX, '::' as Ip), 'unspecifiedSource'],
    ['Neighbor Discovery of another kind', arrived('8700000000000000'), 'messageType'],
    ['nothing', arrived(''), 'messageType'],
  ])('are dropped: %s', (_, message, drop) => {
    expect(decode(message)).toEqual({ drop });
  });

  it('never throw, whatever they are, and are advertisements only by all the rules', () => {
    const octet = fc.constantFrom(0, 1, 2, 133, 134, 135, 255);
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.array(octet, { maxLength: 40 }).map((octets) => Uint8Array.from(octets)),
    );
    const from = fc.constantFrom(ROUTER, '::' as Ip, '2001:db8::1' as Ip, '192.0.2.1' as Ip);
    let good = 0;
    fc.assert(
      fc.property(bytes, from, fc.constantFrom(255, 254, 0), (octets, who, hopLimit) => {
        const read = decode({ from: who, hopLimit, bytes: octets });
        if ('drop' in read || read.is === 'solicitation') return;
        good++;
        expect([hopLimit, who, octets[0], octets[1]]).toEqual([255, ROUTER, 134, 0]);
        expect(octets.length).toBeGreaterThanOrEqual(16);
      }),
      SEED,
    );
    // octets of a router, with one changed or cut, are still read or dropped
    const whole = hex(FRR);
    fc.assert(
      fc.property(fc.nat(whole.length), fc.nat(255), fc.nat(whole.length), (at, value, length) => {
        const changed = Uint8Array.from(whole);
        changed[at] = value;
        const read = decode({ from: ROUTER, hopLimit: 255, bytes: changed.subarray(0, length) });
        if ('is' in read) good++;
      }),
      SEED,
    );
    expect(good).toBeGreaterThan(20);
  });
});

describe('of ours', () => {
  it('a solicitation is the one of the Linux kernel', () => {
    expect(toHex(solicitation(MAC))).toBe(withoutChecksum(LINUX));
  });

  it('an advertisement says nothing of any router: lifetime 0, and all else unspecified', () => {
    expect(toHex(advertisement(MAC))).toBe(`86${'00'.repeat(15)}010102005e100002`);
    expect(toHex(advertisement(undefined))).toBe(`86${'00'.repeat(15)}`);
  });

  it('are read by ourselves', () => {
    expect(decode({ from: HOST, hopLimit: 255, bytes: advertisement(MAC) })).toEqual({ is: 'advertisement' });
    expect(decode({ from: HOST, hopLimit: 255, bytes: solicitation(undefined) })).toEqual({ is: 'solicitation' });
  });
});
