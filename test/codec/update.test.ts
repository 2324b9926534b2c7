// UPDATEs that arrive, by the procedure of RFC 7606 and the rules of each attribute's RFC; octets by hand. Every case is
// decoded twice, counting and keeping: both must see the same.

import { describe, expect, it } from 'vitest';
import type { Path } from '../../src/bgp/attribute.ts';
import { worstFault } from '../../src/bgp/fault.ts';
import { decode } from '../../src/bgp/message.ts';
import { BEFORE_OPEN, type Negotiated } from '../../src/bgp/negotiate.ts';
import type { ReceivedUpdate } from '../../src/bgp/update.ts';
import {
  AS_PATH,
  attribute,
  hex,
  LOCAL_PREF,
  MP_REACH,
  MP_UNREACH,
  message,
  NEXT_HOP,
  NLRI,
  ORIGIN,
  toHex,
  type UpdateParts,
  update,
} from './octets.ts';

const EXTERNAL: Negotiated = { ...BEFORE_OPEN, families: ['ipv4', 'ipv6'], fourOctetAs: true };
const INTERNAL: Negotiated = { ...EXTERNAL, internal: true };
const OLD: Negotiated = { ...EXTERNAL, fourOctetAs: false };
const ADD_PATH: Negotiated = { ...EXTERNAL, addPathReceive: { ipv4: true, ipv6: true } };
const BASE = [ORIGIN, AS_PATH, NEXT_HOP];

function received(octets: Uint8Array, negotiated: Negotiated): ReceivedUpdate {
  const [counted, kept] = [decode(octets, negotiated, false), decode(octets, negotiated, true)];
  if (counted.is !== 'UPDATE' || kept.is !== 'UPDATE') throw new Error(`${counted.is}, ${kept.is}`);
  const { routes, ...rest } = kept.update;
  expect(counted.update).toEqual(rest);
  expect(routes?.announced.length ?? 0).toBe(rest.announced.ipv4 + rest.announced.ipv6);
  expect(routes?.withdrawn.length ?? 0).toBe(rest.withdrawn.ipv4 + rest.withdrawn.ipv6);
  return kept.update;
}

function take(parts: UpdateParts, negotiated = EXTERNAL): ReceivedUpdate {
  return received(update(parts), negotiated);
}

/** `verdict rule code/subcode data` of each fault. */
function faults(parts: UpdateParts, negotiated = EXTERNAL): readonly string[] {
  return take(parts, negotiated).faults.map(({ verdict, rule, notification: { code, subcode, data } }) =>
    `${verdict} ${rule} ${code}/${subcode} ${toHex(data)}`.trimEnd(),
  );
}

function path(attributes: readonly string[], negotiated = EXTERNAL): Path {
  const { routes, faults: wrong } = take({ attributes, nlri: NLRI }, negotiated);
  expect(wrong).toEqual([]);
  const [route] = routes?.announced ?? [];
  if (route === undefined) throw new Error('no route');
  return route.path;
}

const without = (octets: string): string => octets.replaceAll(' ', '');

describe('a good UPDATE', () => {
  it('announces prefixes with their path, bits behind a length cut', () => {
    const { routes, announced } = take({ attributes: BASE, nlri: '00 08 0a 0d 0a37 19 cb0071ff 20 cb007107' });
    expect(announced).toEqual({ ipv4: 5, ipv6: 0 });
    expect(routes?.announced.map(({ prefix }) => prefix)).toEqual([
      '0.0.0.0/0',
      '10.0.0.0/8',
      '10.48.0.0/13',
      '203.0.113.128/25',
      '203.0.113.7/32',
    ]);
    expect(routes?.announced[0]?.path).toEqual({
      origin: 'igp',
      asPath: [{ is: 'sequence', as: [64512] }],
      nextHop: '192.0.2.1',
      communities: [],
      extendedCommunities: [],
      largeCommunities: [],
    });
  });

  it('withdraws without attributes', () => {
    const { routes, withdrawn, faults: wrong } = take({ withdrawn: '18 cb0071 00' });
    expect(wrong).toEqual([]);
    expect(withdrawn).toEqual({ ipv4: 2, ipv6: 0 });
    expect(routes?.withdrawn).toEqual([{ prefix: '203.0.113.0/24' }, { prefix: '0.0.0.0/0' }]);
  });

  it('has path identifiers before each NLRI where they were negotiated (RFC 7911 §3)', () => {
    const parts = { withdrawn: '00000001 08 0a', attributes: BASE, nlri: '00000007 20 cb007107 ffffffff 00' };
    const { routes } = take(parts, ADD_PATH);
    expect(routes?.withdrawn).toEqual([{ prefix: '10.0.0.0/8', pathId: 1 }]);
    expect(routes?.announced.map(({ prefix, pathId }) => [prefix, pathId])).toEqual([
      ['203.0.113.7/32', 7],
      ['0.0.0.0/0', 4294967295],
    ]);
    const mp = attribute(0x80, 15, '0002 01 00000009 30 20010db8000f');
    expect(take({ attributes: [mp] }, ADD_PATH).routes?.withdrawn).toEqual([{ prefix: '2001:db8:f::/48', pathId: 9 }]);
  });

  it('carries IPv6 in MP_REACH_NLRI and MP_UNREACH_NLRI', () => {
    const { routes, announced, withdrawn } = take({ attributes: [MP_UNREACH, MP_REACH, ORIGIN, AS_PATH] });
    expect([announced, withdrawn]).toEqual([
      { ipv4: 0, ipv6: 1 },
      { ipv4: 0, ipv6: 1 },
    ]);
    expect(routes?.announced[0]).toMatchObject({ prefix: '2001:db8:f::/48', path: { nextHop: '2001:db8::1' } });
  });

  it('has two next hops in 32 octets (RFC 2545 §3), and reserved octets that nobody reads', () => {
    const hops = '20010db8000000000000000000000001 fe800000000000000000000000000001';
    const reach = attribute(0x90, 14, `0002 01 20 ${hops} ff 00`);
    expect(take({ attributes: [reach, ORIGIN, AS_PATH] }).routes?.announced[0]).toMatchObject({
      prefix: '::/0',
      path: { nextHop: '2001:db8::1', linkLocalNextHop: 'fe80::1' },
    });
  });

  it('gives classic and multiprotocol routes each their own next hop', () => {
    const { routes } = take({ attributes: [MP_REACH, ...BASE], nlri: NLRI });
    expect(routes?.announced.map((route) => route.path.nextHop)).toEqual(['2001:db8::1', '192.0.2.1']);
  });

  it('takes an IPv6 next hop for IPv4 only where it was negotiated (RFC 8950)', () => {
    const reach = attribute(0x80, 14, `0001 01 10 20010db8000000000000000000000001 00 ${NLRI}`);
    const parts = { attributes: [reach, ORIGIN, AS_PATH] };
    expect(take(parts, { ...EXTERNAL, extendedNextHop: true }).routes?.announced[0]).toMatchObject({
      prefix: '203.0.113.7/32',
      path: { nextHop: '2001:db8::1' },
    });
    expect(take(parts).faults[0]).toMatchObject({ verdict: 'afi-safi-disable', family: 'ipv4' });
    // RFC 4760 alone: an IPv4 next hop of four octets
    const plain = attribute(0x80, 14, `0001 01 04 c0000201 00 ${NLRI}`);
    expect(take({ attributes: [plain, ORIGIN, AS_PATH] }).routes?.announced[0]?.path.nextHop).toBe('192.0.2.1');
  });

  it('may use two octets of length, odd low flags and Partial everywhere', () => {
    const attributes = [attribute(0x5f, 1, '00'), attribute(0x70, 2, ''), attribute(0x4f, 3, 'c0000201')];
    expect(path(attributes).asPath).toEqual([]);
  });
});

describe('attributes are read', () => {
  const read = (octets: string, negotiated = EXTERNAL): Path => {
    const internal = negotiated.internal ? [LOCAL_PREF] : [];
    return path([...BASE, ...internal, octets], negotiated);
  };

  it('MULTI_EXIT_DISC and LOCAL_PREF are unsigned 32-bit numbers', () => {
    expect(read(attribute(0x80, 4, 'ffffffff')).med).toBe(4294967295);
    expect(path([...BASE, attribute(0x40, 5, 'fffffffe')], INTERNAL).localPref).toBe(4294967294);
  });

  it('COMMUNITIES of three kinds are sorted, each once', () => {
    expect(read(attribute(0xc0, 8, 'ffffff01 0000fc00 ffffff01')).communities).toEqual([0xfc00, 0xffffff01]);
    expect(read(attribute(0xc0, 16, '4004fc0049742400 0002fc0000000064 0002fc0000000064')).extendedCommunities).toEqual(
      ['0002fc0000000064', '4004fc0049742400'],
    );
    const large = attribute(
      0xc0,
      32,
      '0000fc00 00000002 00000001 0000fc00 00000001 ffffffff 0000fc00 00000002 00000001',
    );
    expect(read(large).largeCommunities).toEqual([
      [64512, 1, 4294967295],
      [64512, 2, 1],
    ]);
  });

  it('ATOMIC_AGGREGATE and AGGREGATOR, of six octets from an old speaker', () => {
    expect(read(attribute(0x40, 6, '')).atomicAggregate).toBe(true);
    const aggregator = { as: 64512, address: '192.0.2.9' };
    expect(read(attribute(0xc0, 7, '0000fc00 c0000209')).aggregator).toEqual(aggregator);
    const old = [ORIGIN, attribute(0x40, 2, '02 01 fc00'), NEXT_HOP, attribute(0xc0, 7, 'fc00 c0000209')];
    expect(path(old, OLD).aggregator).toEqual(aggregator);
  });

  it('ORIGINATOR_ID and CLUSTER_LIST on an internal session', () => {
    expect(read(attribute(0x80, 9, 'c0000207'), INTERNAL).originatorId).toBe('192.0.2.7');
    expect(read(attribute(0x80, 10, 'c0000207 c0000208'), INTERNAL).clusterList).toEqual(['192.0.2.7', '192.0.2.8']);
  });

  it('unknown optional ones, and IPv6 extended communities, are kept as they are', () => {
    expect(read(attribute(0xe0, 99, 'beef')).others).toEqual([{ code: 99, flags: 0xe0, value: hex('beef') }]);
    expect(read(attribute(0x80, 26, '01 000b 0000000000000064')).others).toHaveLength(1);
    expect(read(attribute(0xc0, 25, '00'.repeat(20))).others).toEqual([
      { code: 25, flags: 0xc0, value: new Uint8Array(20) },
    ]);
    expect(read(attribute(0xc0, 128, '')).others).toEqual([{ code: 128, flags: 0xc0, value: hex('') }]);
  });

  it('and nothing that is kept changes with the buffer', () => {
    const octets = update({ attributes: [...BASE, attribute(0xc0, 99, 'beef')], nlri: NLRI });
    const { routes } = received(octets, EXTERNAL);
    const before = structuredClone(routes);
    octets.fill(0xaa);
    expect(routes).toEqual(before);
  });
});

describe('End-of-RIB (RFC 4724 §2)', () => {
  it('of IPv4 is an UPDATE of nothing, of others an MP_UNREACH_NLRI of nothing', () => {
    expect(take({}).endOfRib).toBe('ipv4');
    expect(take({ attributes: [attribute(0x80, 15, '0002 01')] }).endOfRib).toBe('ipv6');
    expect(take({ attributes: [attribute(0x90, 15, '0001 01')] }).endOfRib).toBe('ipv4');
  });

  it('is nothing that says more, nor of a family that is not ours', () => {
    expect(take({ attributes: [MP_UNREACH] }).endOfRib).toBeUndefined();
    expect(take({ withdrawn: '00' }).endOfRib).toBeUndefined();
    expect(take({ attributes: [attribute(0x80, 15, '0002 01'), ORIGIN] }).endOfRib).toBeUndefined();
    expect(take({ attributes: [attribute(0x80, 15, '0002 01')], withdrawn: '00' }).endOfRib).toBeUndefined();
    expect(take({ attributes: [attribute(0x80, 15, '0019 46')] }).endOfRib).toBeUndefined();
    expect(
      take({ attributes: [attribute(0x80, 15, '0002 01')] }, { ...EXTERNAL, families: ['ipv4'] }).endOfRib,
    ).toBeUndefined();
  });
});

describe('the session is reset', () => {
  it('when lengths pass the end of the message (RFC 7606 §3 (b)): 3/1', () => {
    const reset = (body: string) => received(message(2, body), EXTERNAL).faults[0];
    expect(reset('0001 0000')).toMatchObject({ verdict: 'session-reset', rule: 'withdrawn-length' });
    expect(reset('ffff 0000')).toMatchObject({ notification: { code: 3, subcode: 1, data: hex('') } });
    expect(reset('0000 0001')).toMatchObject({ verdict: 'session-reset', rule: 'attributes-length' });
    expect(reset('0001 08 0000')).toMatchObject({ rule: 'withdrawn-overrun' });
  });

  it('when prefixes outside the attributes cannot be told apart (RFC 7606 §5.3): 3/10', () => {
    expect(faults({ withdrawn: '21 0a00000000' })).toEqual(['session-reset withdrawn-prefix-length 3/10']);
    expect(faults({ withdrawn: '18 0a00' })).toEqual(['session-reset withdrawn-overrun 3/10']);
    expect(faults({ attributes: BASE, nlri: '21 0a00000000' })).toEqual(['session-reset nlri-prefix-length 3/10']);
    expect(faults({ attributes: BASE, nlri: '20 cb007107 20 cb0071' })).toEqual(['session-reset nlri-overrun 3/10']);
    expect(faults({ attributes: BASE, nlri: '00000001' }, ADD_PATH)).toEqual(['session-reset nlri-overrun 3/10']);
  });

  it('for a second MP_REACH_NLRI or MP_UNREACH_NLRI (RFC 7606 §3 (g)): 3/1', () => {
    expect(faults({ attributes: [MP_REACH, MP_REACH, ORIGIN, AS_PATH] })).toEqual(['session-reset mp-repeated 3/1']);
    expect(faults({ attributes: [MP_UNREACH, MP_UNREACH] })).toEqual(['session-reset mp-repeated 3/1']);
  });

  it('for an attribute that claims to be well-known and is not: 3/2 with the attribute', () => {
    const unknown = attribute(0x40, 99, 'beef');
    expect(faults({ attributes: [...BASE, unknown], nlri: NLRI })).toEqual([
      'session-reset unrecognized-well-known 3/2 406302beef',
    ]);
  });

  it('for a multiprotocol attribute that names no family: 3/9 with the attribute', () => {
    expect(faults({ attributes: [attribute(0x80, 14, '0002'), ORIGIN, AS_PATH] })).toEqual([
      'session-reset mp-reach-family 3/9 800e020002',
    ]);
    expect(faults({ attributes: [attribute(0x80, 15, '')] })).toEqual(['session-reset mp-unreach-family 3/9 800f00']);
  });

  it('for what would be withdrawn when nothing is reachable (RFC 7606 §5.2)', () => {
    const origin = attribute(0x40, 1, '03');
    expect(faults({ attributes: [origin] })).toEqual(['session-reset origin-value 3/6 40010103']);
    expect(faults({ attributes: [origin], withdrawn: '00' })).toEqual(['session-reset origin-value 3/6 40010103']);
    expect(faults({ attributes: [MP_UNREACH, origin] })).toEqual(['session-reset origin-value 3/6 40010103']);
    expect(faults({ attributes: ['4001'] })).toEqual(['session-reset attribute-overrun 3/1']);
    // an MP_REACH_NLRI without NLRI reaches nothing
    const empty = attribute(0x80, 14, '0002 01 10 20010db8000000000000000000000001 00');
    expect(faults({ attributes: [empty, origin, AS_PATH] })).toEqual(['session-reset origin-value 3/6 40010103']);
    // what is only discarded resets nothing
    expect(faults({ attributes: [ORIGIN, attribute(0xc0, 7, '00')], withdrawn: '00' })).toEqual([
      'attribute-discard aggregator-length 3/5 c0070100',
    ]);
  });

  it('and then nothing of the message counts', () => {
    const parts = { withdrawn: '00', attributes: [...BASE, attribute(0x40, 99, '')], nlri: NLRI };
    expect(take(parts)).toMatchObject({ announced: { ipv4: 0, ipv6: 0 }, withdrawn: { ipv4: 0, ipv6: 0 } });
    expect(take(parts).routes).toBeUndefined();
  });
});

describe('routes are treated as withdrawn', () => {
  it('when attributes pass their end; NLRI are still found (RFC 7606 §4)', () => {
    for (const rest of ['40', '4001', '400102', '500100', '50010002', 'c008ff0000fc00']) {
      const { faults: wrong, withdrawn, announced } = take({ attributes: [...BASE, rest], nlri: NLRI });
      expect(wrong).toMatchObject([{ verdict: 'treat-as-withdraw', rule: 'attribute-overrun' }]);
      expect([announced.ipv4, withdrawn.ipv4]).toEqual([0, 1]);
    }
  });

  it('when a well-known attribute is missing: 3/3 with its type', () => {
    expect(faults({ attributes: [AS_PATH, NEXT_HOP], nlri: NLRI })).toEqual([
      'treat-as-withdraw origin-missing 3/3 01',
    ]);
    expect(faults({ attributes: [ORIGIN, NEXT_HOP], nlri: NLRI })).toEqual([
      'treat-as-withdraw as-path-missing 3/3 02',
    ]);
    expect(faults({ attributes: [ORIGIN, AS_PATH], nlri: NLRI })).toEqual([
      'treat-as-withdraw next-hop-missing 3/3 03',
    ]);
    expect(faults({ attributes: BASE, nlri: NLRI }, INTERNAL)).toEqual(['treat-as-withdraw local-pref-missing 3/3 05']);
    expect(faults({ nlri: NLRI })).toHaveLength(3);
    // MP_REACH_NLRI brings its own next hop (RFC 4760 §3)
    expect(faults({ attributes: [MP_REACH, ORIGIN, AS_PATH] })).toEqual([]);
    expect(faults({ attributes: [MP_REACH, AS_PATH] })).toEqual(['treat-as-withdraw origin-missing 3/3 01']);
  });

  it('for an AS_PATH that is malformed, or holds what it must not', () => {
    const of = (value: string, negotiated = EXTERNAL) =>
      faults({ attributes: [ORIGIN, attribute(0x40, 2, value), NEXT_HOP], nlri: NLRI }, negotiated);
    // type 0 and 5, count 0, overrun, one octet left
    for (const value of [
      '00 01 0000fc00',
      '05 01 0000fc00',
      '02 00',
      '02 02 0000fc00',
      '02 01 0000fc00 02',
      '02 01 fc00',
    ]) {
      expect(of(value)).toEqual(['treat-as-withdraw as-path-structure 3/11']);
    }
    expect(of('02 02 0000fc00 00000000')).toEqual(['treat-as-withdraw as-path-zero 3/11']);
    expect(of('02 01 0000fc00 01 02 00000001 00000002')).toEqual(['treat-as-withdraw as-path-set 3/11']);
    expect(of('04 01 0000fc00')).toEqual(['treat-as-withdraw as-path-set 3/11']);
    expect(of('03 01 0000fc00')).toEqual(['treat-as-withdraw as-path-confederation 3/11']);
    expect(of('02 02 fc00 0000', OLD)).toEqual(['treat-as-withdraw as-path-zero 3/11']);
    expect(of('02 01 fc00', OLD)).toEqual([]);
    // an AS that only begins with zeros
    expect(of('02 01 00000001')).toEqual([]);
  });

  it('of every family in the message', () => {
    const { announced, withdrawn, routes } = take({ attributes: [MP_REACH, AS_PATH, NEXT_HOP], nlri: NLRI });
    expect([announced, withdrawn]).toEqual([
      { ipv4: 0, ipv6: 0 },
      { ipv4: 1, ipv6: 1 },
    ]);
    expect(routes?.withdrawn.map(({ prefix }) => prefix)).toEqual(['2001:db8:f::/48', '203.0.113.7/32']);
  });
});

describe('an attribute is discarded', () => {
  it('when it comes again: the first counts', () => {
    const twice = [...BASE, attribute(0x80, 4, '00000001'), attribute(0x80, 4, '00000002')];
    const { faults: wrong, routes } = take({ attributes: twice, nlri: NLRI });
    expect(wrong).toMatchObject([{ verdict: 'attribute-discard', rule: 'attribute-repeated' }]);
    expect(routes?.announced[0]?.path.med).toBe(1);
    const high = [...BASE, attribute(0xc0, 200, '01'), attribute(0xc0, 200, '02')];
    expect(take({ attributes: high, nlri: NLRI }).routes?.announced[0]?.path.others).toHaveLength(1);
  });

  it('when it is only for internal sessions, whatever it holds (RFC 7606 §7.5, 7.9, 7.10)', () => {
    for (const [label, code] of [
      ['local-pref', 5],
      ['originator-id', 9],
      ['cluster-list', 10],
    ] as const) {
      for (const [flags, value] of [
        [0x40, '00000064'],
        [0x80, '00'],
        [0xc0, ''],
      ] as const) {
        expect(take({ attributes: [...BASE, attribute(flags, code, value)], nlri: NLRI })).toMatchObject({
          announced: { ipv4: 1 },
          faults: [{ verdict: 'attribute-discard', rule: `${label}-not-expected` }],
        });
      }
    }
  });

  it('when it is only for old speakers (RFC 6793 §4.1)', () => {
    const attributes = [...BASE, attribute(0xc0, 17, '02 01 00010000'), attribute(0xc0, 18, '00010000 c0000209')];
    expect(faults({ attributes, nlri: NLRI })).toEqual([
      'attribute-discard as4-path-not-expected 3/9',
      'attribute-discard as4-aggregator-not-expected 3/9',
    ]);
  });

  it('for an AGGREGATOR of AS 0 (RFC 7607)', () => {
    const aggregator = attribute(0xc0, 7, '00000000 c0000209');
    const { routes } = take({ attributes: [...BASE, aggregator], nlri: NLRI });
    expect(routes?.announced[0]?.path.aggregator).toBeUndefined();
    expect(faults({ attributes: [...BASE, aggregator], nlri: NLRI })).toEqual([
      'attribute-discard aggregator-zero 3/9 c0070800000000c0000209',
    ]);
  });

  it('with the routes of a family that was not negotiated, known or not', () => {
    const only = { ...EXTERNAL, families: ['ipv4'] } as const;
    expect(take({ attributes: [MP_REACH, ORIGIN, AS_PATH] }, only)).toMatchObject({
      announced: { ipv4: 0, ipv6: 0 },
      faults: [{ verdict: 'attribute-discard', rule: 'family-not-negotiated' }],
    });
    // EVPN, of whatever shape
    const evpn = attribute(0x80, 14, '0019 46 04 c0000201 00 0221 ff');
    expect(take({ attributes: [evpn, ORIGIN, AS_PATH] }).faults).toMatchObject([{ verdict: 'attribute-discard' }]);
    expect(take({ attributes: BASE, nlri: NLRI }, { ...EXTERNAL, families: ['ipv6'] })).toMatchObject({
      announced: { ipv4: 0, ipv6: 0 },
      faults: [{ verdict: 'attribute-discard', rule: 'family-not-negotiated' }],
    });
  });
});

describe('a family is disabled', () => {
  const broken: readonly (readonly [string, string])[] = [
    ['mp-reach-length', attribute(0x80, 14, '0002 01 10')],
    ['mp-reach-length', attribute(0x80, 14, '0002 01 10 20010db8')],
    ['mp-reach-length', attribute(0x80, 14, '0002 01')],
    ['mp-reach-next-hop', attribute(0x80, 14, '0002 01 04 c0000201 00 00')],
    ['mp-reach-next-hop', attribute(0x80, 14, '0002 01 00 00 00')],
    ['mp-reach-next-hop', attribute(0x80, 14, `0002 01 18 ${'00'.repeat(24)} 00 00`)],
    ['mp-reach-prefix-length', attribute(0x80, 14, `0002 01 10 ${'20'.repeat(16)} 00 81 ${'00'.repeat(17)}`)],
    ['mp-reach-overrun', attribute(0x80, 14, `0002 01 10 ${'20'.repeat(16)} 00 80 00`)],
    ['mp-reach-flags', MP_REACH.replace('800e', 'c00e')],
    ['mp-unreach-overrun', attribute(0x80, 15, '0002 01 30 20')],
    ['mp-unreach-prefix-length', attribute(0x80, 15, `0002 01 ff ${'00'.repeat(32)}`)],
    ['mp-unreach-flags', MP_UNREACH.replace('800f', '000f')],
  ];
  for (const [rule, octets] of broken) {
    it(`${rule}: ${without(octets).slice(0, 24)}`, () => {
      const {
        faults: wrong,
        announced,
        withdrawn,
      } = take({ attributes: [octets, ...BASE], nlri: NLRI, withdrawn: '00' });
      expect(wrong).toMatchObject([{ verdict: 'afi-safi-disable', rule, family: 'ipv6', notification: { code: 3 } }]);
      // the other family is untouched
      expect([announced, withdrawn]).toEqual([
        { ipv4: 1, ipv6: 0 },
        { ipv4: 1, ipv6: 0 },
      ]);
      expect(wrong[0]?.notification.data).toEqual(hex(octets));
    });
  }

  it('also by an MP_UNREACH_NLRI alone, which RFC 7606 §5.2 does not make a reset', () => {
    expect(take({ attributes: [attribute(0x80, 15, '0002 01 30 20')] }).faults).toMatchObject([
      { verdict: 'afi-safi-disable', rule: 'mp-unreach-overrun', family: 'ipv6' },
    ]);
  });

  it('by a path identifier without a prefix; what stands behind the field is not looked at', () => {
    const unreach = attribute(0x80, 15, '0002 01 00000001');
    expect(take({ attributes: [unreach, attribute(0xc0, 99, '')] }, ADD_PATH).faults).toMatchObject([
      { rule: 'mp-unreach-overrun' },
    ]);
  });
});

describe('a two-octet speaker (RFC 6793 §4.2.3)', () => {
  const merged = (asPath: string, ...more: readonly string[]) =>
    path([ORIGIN, attribute(0x40, 2, asPath), NEXT_HOP, ...more], OLD);

  it('gives its path through AS4_PATH, what AS_PATH has more in front', () => {
    const as4Path = attribute(0xc0, 17, '02 02 00010001 00010002');
    expect(merged('02 04 fc00 fc01 5ba0 5ba0', as4Path).asPath).toEqual([
      { is: 'sequence', as: [64512, 64513, 65537, 65538] },
    ]);
    expect(merged('02 02 5ba0 5ba0', as4Path).asPath).toEqual([{ is: 'sequence', as: [65537, 65538] }]);
    expect(merged('02 01 fc00 02 02 5ba0 5ba0', as4Path).asPath).toEqual([
      { is: 'sequence', as: [64512, 65537, 65538] },
    ]);
  });

  it('but not when AS_PATH is the shorter one, or AS4_PATH is malformed', () => {
    const longer = attribute(0xc0, 17, '02 02 00010001 00010002');
    expect(merged('02 01 5ba0', longer).asPath).toEqual([{ is: 'sequence', as: [23456] }]);
    for (const value of ['02 01 0001', '02 02 00010001', '02 00 00010001', '07 01 00010001', '']) {
      const parts = {
        attributes: [ORIGIN, attribute(0x40, 2, '02 01 5ba0'), NEXT_HOP, attribute(0xc0, 17, value)],
        nlri: NLRI,
      };
      expect(take(parts, OLD).faults).toMatchObject([{ verdict: 'attribute-discard', rule: 'as4-path-structure' }]);
      expect(take(parts, OLD).routes?.announced[0]?.path.asPath).toEqual([{ is: 'sequence', as: [23456] }]);
    }
  });

  it('may have confederation segments in AS4_PATH, which are dropped, and no AS_SET', () => {
    expect(merged('02 01 5ba0', attribute(0xc0, 17, '03 01 0000fde8 02 01 00010001')).asPath).toEqual([
      { is: 'sequence', as: [65537] },
    ]);
    const set = attribute(0xc0, 17, '01 01 00010001');
    expect(faults({ attributes: [ORIGIN, attribute(0x40, 2, '02 01 5ba0'), NEXT_HOP, set], nlri: NLRI }, OLD)).toEqual([
      'treat-as-withdraw as4-path-set 3/11',
    ]);
  });

  it('gives its aggregator through AS4_AGGREGATOR; one that fits in two octets makes both stale', () => {
    const as4 = [attribute(0xc0, 17, '02 01 00010001'), attribute(0xc0, 18, '00010009 c0000209')];
    expect(merged('02 01 5ba0', attribute(0xc0, 7, '5ba0 c0000209'), ...as4)).toMatchObject({
      aggregator: { as: 65545, address: '192.0.2.9' },
      asPath: [{ is: 'sequence', as: [65537] }],
    });
    expect(merged('02 01 5ba0', attribute(0xc0, 7, 'fc00 c0000208'), ...as4)).toMatchObject({
      aggregator: { as: 64512, address: '192.0.2.8' },
      asPath: [{ is: 'sequence', as: [23456] }],
    });
    expect(merged('02 01 5ba0', ...as4)).not.toHaveProperty('aggregator');
  });
});

describe('faults', () => {
  it('are a list, one of each rule, and the worst is the verdict', () => {
    const attributes = [
      attribute(0x40, 1, '09'),
      attribute(0x40, 2, '02 00'),
      NEXT_HOP,
      attribute(0xc0, 7, ''),
      ...Array.from({ length: 50 }, () => attribute(0x80, 4, '0000')),
    ];
    const result = take({ attributes, nlri: NLRI });
    expect(result.faults.map(({ rule }) => rule)).toEqual([
      'origin-value',
      'as-path-structure',
      'aggregator-length',
      'med-length',
      'attribute-repeated',
    ]);
    expect(worstFault(result.faults)?.rule).toBe('origin-value');
    expect(worstFault([])).toBeUndefined();
  });
});
