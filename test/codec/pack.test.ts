// UPDATEs that leave: octets against layouts by hand, counts against arithmetic, limits against RFC 8654.

import { describe, expect, it } from 'vitest';
import type { Path } from '../../src/bgp/attribute.ts';
import { linkBandwidth, WELL_KNOWN } from '../../src/bgp/community.ts';
import { BEFORE_OPEN, type Negotiated } from '../../src/bgp/negotiate.ts';
import { encodeEndOfRib, packAnnouncements, packWithdrawals } from '../../src/bgp/pack.ts';
import { type Family, type Ip, type Prefix, parseIp, parsePrefix } from '../../src/net/address.ts';
import { AS_PATH, attribute, hex, LOCAL_PREF, message, NEXT_HOP, ORIGIN, toHex, update } from './octets.ts';

const NEGOTIATED: Negotiated = { ...BEFORE_OPEN, families: ['ipv4', 'ipv6'], fourOctetAs: true };
const LONG: Negotiated = { ...NEGOTIATED, maxSend: 65535 };

function ip(text: string): Ip {
  const address = parseIp(text);
  if (address === undefined) throw new Error(text);
  return address;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

const BASE: Path = {
  origin: 'igp',
  asPath: [{ is: 'sequence', as: [64512] }],
  nextHop: ip('192.0.2.1'),
  communities: [],
  extendedCommunities: [],
  largeCommunities: [],
};
const BASE6: Path = { ...BASE, nextHop: ip('2001:db8::1') };

const many4 = (count: number): readonly Prefix[] =>
  Array.from({ length: count }, (_, i) => prefix(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32`));
const many6 = (count: number): readonly Prefix[] =>
  Array.from({ length: count }, (_, i) => prefix(`2001:db8::${(i + 1).toString(16)}/128`));

function announced(
  family: Family,
  path: Path,
  prefixes: readonly Prefix[],
  negotiated = NEGOTIATED,
): readonly Uint8Array[] {
  const packed = packAnnouncements(family, path, prefixes, negotiated);
  if (typeof packed === 'string') throw new Error(packed);
  return [...packed];
}

const withdrawn = (family: Family, prefixes: readonly Prefix[], negotiated = NEGOTIATED): readonly Uint8Array[] => [
  ...packWithdrawals(family, prefixes, negotiated),
];

describe('an UPDATE is written', () => {
  it('with classic NLRI for IPv4: ORIGIN, AS_PATH, NEXT_HOP', () => {
    const [octets] = announced('ipv4', BASE, [prefix('203.0.113.7/32'), prefix('10.0.0.0/8'), prefix('0.0.0.0/0')]);
    const wanted = update({ attributes: [ORIGIN, AS_PATH, NEXT_HOP], nlri: '20 cb007107 08 0a 00' });
    expect(toHex(octets ?? hex(''))).toBe(toHex(wanted));
  });

  it('with MP_REACH_NLRI in front for IPv6, and no NEXT_HOP', () => {
    const [octets] = announced('ipv6', BASE6, [prefix('2001:db8:f::/48'), prefix('::/0'), prefix('2001:db8:a:b::/61')]);
    const reach = attribute(
      0x80,
      14,
      '0002 01 10 20010db8000000000000000000000001 00  30 20010db8000f 00 3d 20010db8000a0008',
    );
    expect(toHex(octets ?? hex(''))).toBe(toHex(update({ attributes: [reach, ORIGIN, AS_PATH] })));
  });

  it('with a next hop of 32 octets where there is a link-local one (RFC 2545 §3)', () => {
    const [octets] = announced('ipv6', { ...BASE6, linkLocalNextHop: ip('fe80::a') }, [prefix('2001:db8::7/128')]);
    const hops = '20010db8000000000000000000000001 fe80000000000000000000000000000a';
    const reach = attribute(0x80, 14, `0002 01 20 ${hops} 00 80 20010db8000000000000000000000007`);
    expect(toHex(octets ?? hex(''))).toBe(toHex(update({ attributes: [reach, ORIGIN, AS_PATH] })));
  });

  it('with MP_REACH_NLRI for IPv4 behind an IPv6 next hop (RFC 8950 §3), where it was negotiated', () => {
    const negotiated = { ...NEGOTIATED, extendedNextHop: true };
    const [octets] = announced('ipv4', BASE6, [prefix('203.0.113.7/32')], negotiated);
    const reach = attribute(0x80, 14, '0001 01 10 20010db8000000000000000000000001 00 20 cb007107');
    expect(toHex(octets ?? hex(''))).toBe(toHex(update({ attributes: [reach, ORIGIN, AS_PATH] })));
    const [gone] = withdrawn('ipv4', [prefix('203.0.113.7/32')], negotiated);
    const unreach = attribute(0x80, 15, '0001 01 20 cb007107');
    expect(toHex(gone ?? hex(''))).toBe(toHex(update({ attributes: [unreach] })));
    expect(packAnnouncements('ipv4', BASE6, [prefix('203.0.113.7/32')], NEGOTIATED)).toBe('no-next-hop');
  });

  it('with all attributes ascending, long ones with two octets of length', () => {
    const full: Path = {
      ...BASE,
      origin: 'incomplete',
      asPath: [{ is: 'sequence', as: [64512, 4200000000] }],
      med: 50,
      localPref: 100,
      atomicAggregate: true,
      aggregator: { as: 65536, address: ip('192.0.2.9') },
      communities: Array.from({ length: 64 }, (_, i) => 0xfc000000 + i),
      extendedCommunities: [linkBandwidth(64512, 1e6, true)],
      largeCommunities: [[64512, 1, 4294967295]],
      originatorId: ip('192.0.2.7'),
      clusterList: [ip('192.0.2.8'), ip('192.0.2.9')],
      others: [{ code: 26, flags: 0x80, value: hex('beef') }],
    };
    const [octets] = announced('ipv4', full, [prefix('203.0.113.7/32')]);
    const attributes = [
      attribute(0x40, 1, '02'),
      attribute(0x40, 2, '02 02 0000fc00 fa56ea00'),
      NEXT_HOP,
      attribute(0x80, 4, '00000032'),
      LOCAL_PREF,
      attribute(0x40, 6, ''),
      attribute(0xc0, 7, '00010000 c0000209'),
      attribute(0xd0, 8, Array.from({ length: 64 }, (_, i) => `fc0000${i.toString(16).padStart(2, '0')}`).join('')),
      attribute(0x80, 9, 'c0000207'),
      attribute(0x80, 10, 'c0000208 c0000209'),
      // IEEE 754 single: 1e6 = 0x49742400
      attribute(0xc0, 16, '0004 fc00 49742400'),
      attribute(0x80, 26, 'beef'),
      attribute(0xc0, 32, '0000fc00 00000001 ffffffff'),
    ];
    expect(toHex(octets ?? hex(''))).toBe(toHex(update({ attributes, nlri: '20 cb007107' })));
  });

  it('to an internal peer with an AS_PATH of nothing', () => {
    const [octets] = announced('ipv4', { ...BASE, asPath: [], localPref: 100 }, [prefix('203.0.113.7/32')]);
    const attributes = [ORIGIN, attribute(0x40, 2, ''), NEXT_HOP, LOCAL_PREF];
    expect(toHex(octets ?? hex(''))).toBe(toHex(update({ attributes, nlri: '20 cb007107' })));
  });

  it('to a two-octet speaker with AS_TRANS, and AS4 attributes only for what does not fit (RFC 6793 §4.2.2)', () => {
    const old = { ...NEGOTIATED, fourOctetAs: false };
    const path: Path = {
      ...BASE,
      asPath: [
        { is: 'confed-sequence', as: [65001] },
        { is: 'sequence', as: [64512, 4200000000] },
      ],
      aggregator: { as: 65536, address: ip('192.0.2.9') },
    };
    const [octets] = announced('ipv4', path, [prefix('203.0.113.7/32')], old);
    const attributes = [
      ORIGIN,
      attribute(0x40, 2, '03 01 fde9 02 02 fc00 5ba0'),
      NEXT_HOP,
      attribute(0xc0, 7, '5ba0 c0000209'),
      attribute(0xc0, 17, '02 02 0000fc00 fa56ea00'),
      attribute(0xc0, 18, '00010000 c0000209'),
    ];
    expect(toHex(octets ?? hex(''))).toBe(toHex(update({ attributes, nlri: '20 cb007107' })));
    const [plain] = announced('ipv4', BASE, [prefix('203.0.113.7/32')], old);
    const short = [ORIGIN, attribute(0x40, 2, '02 01 fc00'), NEXT_HOP];
    expect(toHex(plain ?? hex(''))).toBe(toHex(update({ attributes: short, nlri: '20 cb007107' })));
  });

  it('with more than 255 AS numbers in several segments', () => {
    const asPath = [{ is: 'sequence', as: Array.from({ length: 300 }, () => 64512) }] as const;
    const [octets] = announced('ipv4', { ...BASE, asPath }, [prefix('203.0.113.7/32')]);
    const value = `02ff${'0000fc00'.repeat(255)} 022d${'0000fc00'.repeat(45)}`;
    const attributes = [ORIGIN, attribute(0x50, 2, value), NEXT_HOP];
    expect(toHex(octets ?? hex(''))).toBe(toHex(update({ attributes, nlri: '20 cb007107' })));
  });

  it('to withdraw, without attributes, or with MP_UNREACH_NLRI alone', () => {
    const [four] = withdrawn('ipv4', [prefix('203.0.113.7/32'), prefix('10.0.0.0/9')]);
    expect(toHex(four ?? hex(''))).toBe(toHex(update({ withdrawn: '20 cb007107 09 0a00' })));
    const [six] = withdrawn('ipv6', [prefix('2001:db8:f::/48')]);
    expect(toHex(six ?? hex(''))).toBe(toHex(update({ attributes: [attribute(0x80, 15, '0002 01 30 20010db8000f')] })));
  });

  it('to end a table (RFC 4724 §2)', () => {
    expect(toHex(encodeEndOfRib('ipv4'))).toBe(toHex(message(2, '0000 0000')));
    expect(toHex(encodeEndOfRib('ipv6'))).toBe(toHex(message(2, '0000 0006 800f03 0002 01')));
  });

  it('not at all for no prefixes', () => {
    expect(announced('ipv4', BASE, [])).toEqual([]);
    expect(announced('ipv6', BASE6, [])).toEqual([]);
    expect(withdrawn('ipv4', [])).toEqual([]);
    expect(withdrawn('ipv6', [])).toEqual([]);
  });
});

describe('a message is filled to its limit', () => {
  // 4096 less header and the two length fields (23), less attributes, in NLRI of 5 and 17 octets
  const CASES = [
    ['810 IPv4 announced', () => announced('ipv4', BASE, many4(5000)), 810, 5000, 23 + 20 + 810 * 5],
    ['237 IPv6 announced', () => announced('ipv6', BASE6, many6(2000)), 237, 2000, 23 + 25 + 13 + 237 * 17],
    [
      '236 IPv6 announced with two next hops',
      () => announced('ipv6', { ...BASE6, linkLocalNextHop: ip('fe80::1') }, many6(2000)),
      236,
      2000,
      23 + 41 + 13 + 236 * 17,
    ],
    ['814 IPv4 withdrawn', () => withdrawn('ipv4', many4(5000)), 814, 5000, 23 + 814 * 5],
    ['239 IPv6 withdrawn', () => withdrawn('ipv6', many6(2000)), 239, 2000, 23 + 7 + 239 * 17],
  ] as const;
  for (const [name, pack, each, all, length] of CASES) {
    it(name, () => {
      const messages = pack();
      expect(messages).toHaveLength(Math.ceil(all / each));
      for (const octets of messages.slice(0, -1)) expect(octets).toHaveLength(length);
      expect(messages.at(-1)?.length).toBeLessThanOrEqual(4096);
    });
  }

  it('to the last octet, and one prefix more begins another', () => {
    // 4096 - 23 - 20 = 4053: 810 of five octets and one of three (/16)
    const exact = [...many4(810), prefix('10.1.0.0/16')];
    expect(announced('ipv4', BASE, exact).map(({ length }) => length)).toEqual([4096]);
    expect(announced('ipv4', BASE, [...exact, prefix('0.0.0.0/0')]).map(({ length }) => length)).toEqual([4096, 44]);
    const withdrawals = [...many4(814), prefix('10.1.0.0/16')];
    expect(withdrawn('ipv4', withdrawals).map(({ length }) => length)).toEqual([4096]);
    // 4096 - 23 - 7 = 4066: 239 of 17 octets and one of three
    const six = [...many6(239), prefix('2001::/16')];
    expect(withdrawn('ipv6', six).map(({ length }) => length)).toEqual([4096]);
    expect(withdrawn('ipv6', [...six, prefix('::/0')])).toHaveLength(2);
  });

  it('of 65535 octets where the peer takes them (RFC 8654), and never otherwise', () => {
    // 65535 - 23 - 20 = 65492 / 5
    const [first, ...rest] = announced('ipv4', BASE, many4(14000), LONG);
    expect(first).toHaveLength(23 + 20 + 13098 * 5);
    expect(rest).toHaveLength(1);
    expect(announced('ipv6', BASE6, many6(5000), LONG).every(({ length }) => length <= 65535)).toBe(true);
    for (const octets of [...announced('ipv4', BASE, many4(20000)), ...withdrawn('ipv6', many6(3000))]) {
      expect(octets.length).toBeLessThanOrEqual(4096);
    }
  });

  it('with 255 and 256 octets of MP_UNREACH_NLRI: one octet of length, then two', () => {
    // 3 + 14 × 17 + 14 = 255 and 3 + 14 × 17 + 15 = 256
    const rest = (bits: number): Prefix => prefix(`2001:db8::/${bits}`);
    const [one] = withdrawn('ipv6', [...many6(14), rest(104)]);
    expect(toHex(one ?? hex('')).slice(42, 54)).toBe('0102800fff00');
    const [two] = withdrawn('ipv6', [...many6(14), rest(112)]);
    expect(toHex(two ?? hex('')).slice(42, 56)).toBe('0104900f010000');
  });

  it('and what cannot be sent at all has a name', () => {
    const communities = (count: number): Path => ({
      ...BASE,
      communities: Array.from({ length: count }, (_, i) => i),
    });
    // 4096 - 23 - 20 - 5 = 4048 octets are left: 4 of header, 1011 communities of four
    expect(announced('ipv4', communities(1011), many4(2)).map(({ length }) => length)).toEqual([4096, 4096]);
    expect(packAnnouncements('ipv4', communities(1012), many4(1), NEGOTIATED)).toBe('attributes-too-long');
    expect(announced('ipv4', communities(1012), many4(2), LONG)).toHaveLength(1);
    // 4096 - 23 - 25 - 13 - 17 = 4018: 4 and 1003 communities
    const six = (count: number): Path => ({ ...communities(count), nextHop: ip('2001:db8::1') });
    expect(announced('ipv6', six(1003), many6(2))).toHaveLength(2);
    expect(packAnnouncements('ipv6', six(1004), many6(1), NEGOTIATED)).toBe('attributes-too-long');
    const { nextHop: _, ...without } = BASE;
    expect(packAnnouncements('ipv4', without, many4(1), NEGOTIATED)).toBe('no-next-hop');
    expect(packAnnouncements('ipv6', BASE, many6(1), NEGOTIATED)).toBe('no-next-hop');
  });

  it('is its own: what comes later does not change what was given', () => {
    const messages = announced('ipv4', BASE, many4(1700));
    const copies = messages.map(toHex);
    announced('ipv4', { ...BASE, med: 7, communities: [WELL_KNOWN.noExport] }, many4(1700));
    expect(messages.map(toHex)).toEqual(copies);
  });
});
