// Configurations that are refused, each with the whole text that MetalLB's users know and the object and field to mend.
// The names are MetalLB's own cases, so that each can be found there.

import { describe, expect, it } from 'vitest';
import type { ApiObject } from '../../src/config/resource.ts';
import {
  accepted,
  bfd,
  bgp,
  bgpPeer,
  community,
  l2,
  legacyPeer,
  namespace,
  node,
  peer,
  pool,
  refused,
  secret,
} from './fixture.ts';

const POOL = pool('pool1', { addresses: ['10.20.0.0/16'] });
const term = (key: string, operator: string, ...values: string[]) => ({
  matchExpressions: [{ key, operator, values }],
});
const zone = (value: string) => ({ matchLabels: { zone: value } });

describe('peers', () => {
  const LOCAL = 'spec.peerAddress';
  it.each<readonly [name: string, spec: Readonly<Record<string, unknown>>, text: string, field: string]>([
    ['invalid peer-address', { peerAddress: '1.2.3.400' }, 'invalid BGPPeer address "1.2.3.400"', LOCAL],
    ['an address that looks octal', { peerAddress: '010.0.0.1' }, 'invalid BGPPeer address "010.0.0.1"', LOCAL],
    ['an address with a zone', { peerAddress: 'fe80::1%eth0' }, 'invalid BGPPeer address "fe80::1%eth0"', LOCAL],
    ['invalid my-asn', { myASN: 0 }, 'missing local ASN', 'spec.myASN'],
    ['peer without asn or dynamic asn', { peerASN: 0 }, 'missing peer ASN and dynamicASN', 'spec.peerASN'],
    ['peer with both', { dynamicASN: 'external' }, 'both peer ASN and dynamicASN specified', 'spec.dynamicASN'],
    ['another dynamicASN', { peerASN: 0, dynamicASN: 'any' }, 'invalid dynamicASN any', 'spec.dynamicASN'],
    [
      'invalid ebgp-multihop',
      { peerASN: 42, ebgpMultiHop: true },
      'invalid ebgp-multihop parameter set for an ibgp peer',
      'spec.ebgpMultiHop',
    ],
    [
      'ttlSecurity with ebgpMultiHop',
      { ttlSecurity: 3, ebgpMultiHop: true },
      'both ttlSecurity and ebgpMultiHop specified',
      'spec.ttlSecurity',
    ],
    [
      'unnumbered peer without address without interface',
      { peerAddress: undefined },
      'peer has no Address or Interface specified',
      LOCAL,
    ],
    [
      'peer with address with interface',
      { interface: 'eth0' },
      'peer has both Address and Interface specified',
      'spec.interface',
    ],
    [
      'invalid keepalivetime larger than holdtime',
      { holdTime: '30s', keepaliveTime: '90s' },
      'invalid BGPPeer timers: invalid keepaliveTime "1m30s", must be lower than holdTime "30s"',
      'spec.keepaliveTime',
    ],
    [
      'invalid hold time (too short)',
      { holdTime: '1s' },
      'invalid BGPPeer timers: invalid hold time "1s": must be 0 or >=3s',
      'spec.holdTime',
    ],
    [
      'a hold time that is too short when derived',
      { keepaliveTime: '900ms' },
      'invalid BGPPeer timers: invalid hold time "2.7s": must be 0 or >=3s',
      'spec.holdTime',
    ],
    [
      'a negative hold time',
      { holdTime: '-5s' },
      'invalid BGPPeer timers: invalid hold time "-5s": must be 0 or >=3s',
      'spec.holdTime',
    ],
    [
      'a negative keepalive time',
      { holdTime: '9s', keepaliveTime: '-1s' },
      'invalid BGPPeer timers: invalid keepaliveTime "-1s", must not be negative',
      'spec.keepaliveTime',
    ],
    [
      'a hold time that does not fit OPEN',
      { holdTime: '65536s' },
      'invalid BGPPeer timers: invalid hold time "18h12m16s": must be at most 65535s',
      'spec.holdTime',
    ],
    [
      'invalid RouterID',
      { routerID: 'oh god how do I BGP' },
      'invalid router ID "oh god how do I BGP"',
      'spec.routerID',
    ],
    [
      'a router ID that is no BGP Identifier',
      { routerID: '2001:db8::1' },
      'invalid router ID "2001:db8::1"',
      'spec.routerID',
    ],
    ['a router ID of zero', { routerID: '0.0.0.0' }, 'invalid router ID "0.0.0.0"', 'spec.routerID'],
    ['invalid source', { sourceAddress: '1.2' }, 'invalid source IP "1.2"', 'spec.sourceAddress'],
    [
      'invalid expression node selector (missing operator)',
      { nodeSelectors: [{ matchExpressions: [{ key: 'foo', values: ['bar'] }] }] },
      '"" is not a valid label selector operator\nfailed to convert peer peer1 node selector',
      'spec.nodeSelectors[0]',
    ],
    [
      'invalid expression node selector (invalid operator)',
      { nodeSelectors: [zone('a'), term('foo', 'surely', 'bar')] },
      '"surely" is not a valid label selector operator\nfailed to convert peer peer1 node selector',
      'spec.nodeSelectors[1]',
    ],
    [
      'duplicate values node selector match expression',
      { nodeSelectors: [term('foo', 'In', 'quux', 'bar', 'quux')] },
      'duplicate definition of match expression value in label selector "quux"',
      'spec.nodeSelectors[0]',
    ],
    [
      'duplicate match labels in node selectors',
      { nodeSelectors: [zone('a'), zone('b'), zone('a')] },
      'duplicate definition of nodeSelectors {map["zone":"a"] []}',
      'spec.nodeSelectors[2]',
    ],
    [
      'BGP Peer with both password and secret ref set',
      { password: 'nopass', passwordSecret: { name: 'nosecret' } },
      'can not have both password and secret ref set in peer config "metallb-system"/"peer1"',
      'spec.passwordSecret',
    ],
  ])('%s', (_, spec, text, field) => {
    expect(refused([peer('peer1', spec)])).toMatchObject({
      message: `parsing peer peer1 ${text}`,
      kind: 'BGPPeer',
      name: 'peer1',
      field,
    });
  });

  it('invalid expression node selector (missing key)', () => {
    const nodeSelectors = [{ matchExpressions: [{ operator: 'In', values: ['bar'] }] }];
    expect(refused([peer('peer1', { nodeSelectors })]).message).toMatch(
      /^parsing peer peer1 key: Invalid value: "": name part must be non-empty; name part must consist of .*\nfailed to convert peer peer1 node selector$/,
    );
  });

  it.each([
    ['invalid peer-asn', { peerASN: -1 }, 'spec.peerASN: must be an integer from 0 to 4294967295, not -1'],
    ['a large one', { peerASN: 4294967296 }, 'spec.peerASN: must be an integer from 0 to 4294967295, not 4294967296'],
    ['a dotted one', { peerASN: '1.10' }, 'spec.peerASN: must be an integer from 0 to 4294967295, not a string'],
    ['half a port', { peerPort: 179.5 }, 'spec.peerPort: must be an integer from 1 to 16384, not 179.5'],
    ['localASN 0', { localASN: 0 }, 'spec.localASN: must be an integer from 1 to 4294967295, not 0'],
    ['ttlSecurity 0', { ttlSecurity: 0 }, 'spec.ttlSecurity: must be an integer from 1 to 254, not 0'],
    ['prefixLimit without routes', { prefixLimit: {} }, 'spec.prefixLimit.routes: Required value'],
    [
      'an action that is none',
      { prefixLimit: { routes: 1, action: 'drop' } },
      'spec.prefixLimit.action: must be warn, disable-family or reset, not "drop"',
    ],
    ['ttlSecurity 255', { ttlSecurity: 255 }, 'spec.ttlSecurity: must be an integer from 1 to 254, not 255'],
    ['a time without unit', { holdTime: '90' }, 'spec.holdTime: time: missing unit in duration "90"'],
    ['a time as a number', { holdTime: 90 }, 'spec.holdTime: must be a duration such as "90s", not a number'],
    ['connect time 0', { connectTime: '0s' }, 'spec.connectTime: connect time should be between 1 seconds to 65535'],
    [
      'connect time of a day',
      { connectTime: '24h' },
      'spec.connectTime: connect time should be between 1 seconds to 65535',
    ],
    [
      'half a second',
      { connectTime: '1.5s' },
      'spec.connectTime: connect time should contain a whole number of seconds',
    ],
  ])('by its schema: %s', (_, spec, message) => {
    expect(refused([peer('peer1', spec)])).toMatchObject({ rule: 'schema', message, kind: 'BGPPeer', name: 'peer1' });
  });

  it('v1beta1 with a keepalive time alone: its hold time is 0s', () => {
    const spec = { myASN: 42, peerASN: 142, peerAddress: '1.2.3.4', keepaliveTime: '30s' };
    expect(refused([legacyPeer('peer1', spec)]).message).toBe(
      'parsing peer peer1 invalid BGPPeer timers: invalid keepaliveTime "30s", must be lower than holdTime "0s"',
    );
  });

  it('duplicate peers', () => {
    // the pairwise checks of the FRR modes speak first; native has none
    expect(refused([peer('peer1'), peer('peer1')], { bgpType: 'native' }).message).toBe('peer peer1 already exists');
    expect(refused([peer('peer1'), peer('peer1')], { bgpType: 'unset' }).message).toBe('peer peer1 already exists');
  });

  const REFERS = peer('peer1', { passwordSecret: { name: 'bgp-password' } });

  it('BGP Peer with invalid secret type', () => {
    expect(refused([REFERS, secret('bgp-password', 'Opaque', { password: 'nopass' })])).toMatchObject({
      message:
        'parsing peer peer1 secret type mismatch on "metallb-system"/"bgp-password", type "kubernetes.io/basic-auth" is expected \nfailed to parse peer peer1 password secret',
      field: 'spec.passwordSecret.name',
    });
  });

  it('BGP Peer without password set in the secret', () => {
    expect(refused([REFERS, secret('bgp-password', 'kubernetes.io/basic-auth', { username: 'x' })]).message).toBe(
      'parsing peer peer1 password not specified in the secret "metallb-system"/"bgp-password"\nfailed to parse peer peer1 password secret',
    );
  });

  it('BGP Peer with unavailable secret ref', () => {
    const invalid = refused([peer('bgp-secret-fail', { passwordSecret: { name: 'bgp-password' } })]);
    expect(invalid).toMatchObject({ transient: true, name: 'bgp-secret-fail' });
    expect(invalid.message).toBe(
      'parsing peer bgp-secret-fail secret ref not found for peer config "metallb-system"/"bgp-secret-fail"\nfailed to parse peer bgp-secret-fail password secret',
    );
  });

  it('Peer with non existing BFD Profile', () => {
    expect(refused([peer('peer1', { bfdProfile: 'my-bfd-profile' })])).toEqual({
      rule: 'bfd-profile',
      message: 'peer peer1 referencing non existing bfd profile my-bfd-profile',
      kind: 'BGPPeer',
      name: 'peer1',
      field: 'spec.bfdProfile',
      transient: true,
    });
  });

  it('never tells a password', () => {
    const invalid = refused([
      bgpPeer('peer1', {
        myASN: 42,
        password: 's3cret',
        passwordSecret: { name: 'x' },
        peerASN: 1,
        peerAddress: '1.1.1.1',
      }),
    ]);
    expect(JSON.stringify(invalid)).not.toContain('s3cret');
    expect(refused([peer('peer1', { password: 123456 })]).message).toBe(
      'spec.password: must be a string, not a number',
    );
  });
});

describe('BFD profiles', () => {
  it('Multiple BFD Profiles with the same name', () => {
    expect(refused([bfd('foo'), bfd('foo', { detectMultiplier: 3 })]).message).toBe(
      'found duplicate bfd profile name foo',
    );
  });

  it.each([
    ['BFD Profile with too low receive interval', { receiveInterval: 2 }, '2', '10-60000', 'receive interval'],
    ['BFD Profile with too high receive interval', { receiveInterval: 90000 }, '90000', '10-60000', 'receive interval'],
    ['too low transmit interval', { transmitInterval: 9 }, '9', '10-60000', 'transmit interval'],
    ['too low multiplier', { detectMultiplier: 1 }, '1', '2-255', 'detect multiplier'],
    ['too high multiplier', { detectMultiplier: 256 }, '256', '2-255', 'detect multiplier'],
    ['too low echo interval', { echoInterval: 0 }, '0', '10-60000', 'echo interval'],
    ['too high minimum ttl', { minimumTtl: 255 }, '255', '1-254', 'minimum ttl'],
  ])('%s', (_, spec, value, range, words) => {
    expect(refused([bfd('a'), bfd('default', spec)])).toMatchObject({
      message: `parsing bfd profile #2: invalid value ${value}, must be in ${range} range\ninvalid ${words} value`,
      kind: 'BFDProfile',
      name: 'default',
      field: `spec.${Object.keys(spec)[0]}`,
    });
  });

  it('a profile without a name', () => {
    expect(refused([bfd('')]).message).toBe('parsing bfd profile #1: missing bfd profile name');
  });

  it('Session with ipv6 and bfd echo mode', () => {
    const objects = [
      peer('peer1', { bfdProfile: 'echo' }),
      bfd('echo', { echoMode: true }),
      pool('pool1', { addresses: ['10.0.0.0/24', '2001:db8::/120'] }),
    ];
    for (const spec of [{}, { peers: ['other', 'peer1'] }]) {
      expect(refused([...objects, bgp('adv1', spec)])).toMatchObject({
        message:
          'pool pool1 has bgpadvertisement adv1 which references peer peer1 which has bfd echo enabled, which is not possible',
        kind: 'BGPPeer',
        name: 'peer1',
      });
    }
  });
});

describe('pools', () => {
  it.each<readonly [name: string, addresses: readonly string[], text: string, field: string]>([
    ['address pool with no address', [], 'pool has no prefixes defined', 'spec.addresses'],
    [
      'invalid pool CIDR',
      ['10.20.0.0/16', '100.200.300.400/24'],
      'invalid CIDR "100.200.300.400/24" in pool "pool1": invalid CIDR "100.200.300.400/24"',
      'spec.addresses[1]',
    ],
    [
      'invalid pool CIDR prefix length',
      ['3.3.3.0/33'],
      'invalid CIDR "3.3.3.0/33" in pool "pool1": invalid CIDR "3.3.3.0/33"',
      'spec.addresses[0]',
    ],
    [
      'a bare address',
      ['3.3.3.3'],
      'invalid CIDR "3.3.3.3" in pool "pool1": invalid CIDR "3.3.3.3"',
      'spec.addresses[0]',
    ],
    [
      'an address that looks octal',
      ['010.0.0.1/32'],
      'invalid CIDR "010.0.0.1/32" in pool "pool1": invalid CIDR "010.0.0.1/32"',
      'spec.addresses[0]',
    ],
    [
      'first address of the range is after the second',
      ['3.3.3.10-3.3.3.1'],
      'invalid CIDR "3.3.3.10-3.3.3.1" in pool "pool1": invalid IP range "3.3.3.10-3.3.3.1": start IP "3.3.3.10" is after the end IP "3.3.3.1"',
      'spec.addresses[0]',
    ],
    [
      'a range with a wrong start',
      ['3.3.3 - 3.3.3.1'],
      'invalid CIDR "3.3.3 - 3.3.3.1" in pool "pool1": invalid IP range "3.3.3 - 3.3.3.1": invalid start IP "3.3.3 "',
      'spec.addresses[0]',
    ],
    [
      'a range with a wrong end',
      ['3.3.3.0-3.3.3.010'],
      'invalid CIDR "3.3.3.0-3.3.3.010" in pool "pool1": invalid IP range "3.3.3.0-3.3.3.010": invalid end IP "3.3.3.010"',
      'spec.addresses[0]',
    ],
    [
      'a range of two families',
      ['3.3.3.3-::1'],
      'invalid CIDR "3.3.3.3-::1" in pool "pool1": invalid IP range "3.3.3.3-::1": start IP "3.3.3.3" and end IP "::1" are of different families',
      'spec.addresses[0]',
    ],
  ])('%s', (_, addresses, text, field) => {
    expect(refused([pool('pool1', { addresses })])).toMatchObject({
      message: `parsing address pool pool1: ${text}`,
      kind: 'IPAddressPool',
      name: 'pool1',
      field,
    });
  });

  it('no pool name', () => {
    expect(refused([pool('', { addresses: ['10.0.0.0/8'] })]).message).toBe('parsing address pool : missing pool name');
  });

  it('duplicate pool definition', () => {
    expect(refused([POOL, pool('pool1', { addresses: ['30.0.0.0/8'] })])).toMatchObject({
      message: 'duplicate definition of pool "pool1"',
      name: 'pool1',
    });
  });

  const overlap = (...pools: readonly ApiObject[]) => refused(pools);

  it('duplicate CIDRs', () => {
    expect(overlap(POOL, pool('pool2', { addresses: ['10.20.0.0/16'] }))).toEqual({
      rule: 'overlap',
      message: 'CIDR "10.20.0.0/16" in pool "pool2" overlaps with already defined CIDR "10.20.0.0/16"',
      kind: 'IPAddressPool',
      name: 'pool2',
      field: 'spec.addresses[0]',
    });
  });

  it('overlapping CIDRs, also within one pool, and host bits are cut first', () => {
    expect(overlap(POOL, pool('pool2', { addresses: ['10.0.0.0/24', '10.1.0.0/8'] })).message).toBe(
      'CIDR "10.0.0.0/8" in pool "pool2" overlaps with already defined CIDR "10.20.0.0/16"',
    );
    expect(overlap(pool('pool1', { addresses: ['10.0.0.0/24', '10.0.0.10-10.0.0.12'] })).message).toBe(
      'CIDR "10.0.0.10/31" in pool "pool1" overlaps with already defined CIDR "10.0.0.0/24"',
    );
  });

  it('tells an overlap before what is wrong in a later pool', () => {
    const objects = [POOL, pool('pool2', { addresses: ['10.20.1.0/24'] }), pool('pool3', { addresses: ['x'] })];
    expect(refused(objects).name).toBe('pool2');
    expect(refused([objects[0], objects[2]].filter((each) => each !== undefined)).name).toBe('pool3');
  });

  it.each([
    [
      'duplicate namespace selection',
      { namespaces: ['a', 'b', 'a'] },
      'duplicate definition in namespaces field',
      'namespaces',
    ],
    [
      'duplicate namespace selectors',
      { namespaceSelectors: [zone('a'), zone('a')] },
      'duplicate definition of namespaceSelectors {map["zone":"a"] []}',
      'namespaceSelectors[1]',
    ],
    [
      'duplicate service selection',
      { serviceSelectors: [zone('a'), zone('a')] },
      'duplicate definition of serviceSelectors {map["zone":"a"] []}',
      'serviceSelectors[1]',
    ],
    [
      'a namespace selector that is none',
      { namespaceSelectors: [term('a', 'Is', 'b')] },
      '"Is" is not a valid label selector operator',
      'namespaceSelectors[0]',
    ],
  ])('%s', (_, serviceAllocation, text, field) => {
    expect(refused([pool('pool1', { addresses: ['10.0.0.0/8'], serviceAllocation }), namespace('a')])).toMatchObject({
      message: `parsing address pool pool1: ${text}`,
      field: `spec.serviceAllocation.${field}`,
    });
  });
});

describe('communities', () => {
  it.each([
    ['wrong format', '1234', 'invalid community format: 1234'],
    [
      "asn part doesn't fit",
      '99999999:1',
      'invalid community value: invalid section "99999999" of community "99999999:1", err: "strconv.ParseUint: parsing \\"99999999\\": value out of range"',
    ],
    [
      "community# part doesn't fit",
      '1234:99999999',
      'invalid community value: invalid section "99999999" of community "1234:99999999", err: "strconv.ParseUint: parsing \\"99999999\\": value out of range"',
    ],
  ])('bad community literal (%s) in BGP adv and in the community CR', (_, value, text) => {
    expect(refused([POOL, bgp('adv1', { communities: ['1:1', value] })])).toMatchObject({
      message: `${text}\ninvalid community "${value}" in BGP advertisement`,
      kind: 'BGPAdvertisement',
      name: 'adv1',
      field: 'spec.communities[1]',
    });
    const invalid = refused([community('names', ['fine', '1:1'], ['flat', value])]);
    expect(invalid).toMatchObject({
      message: `parsing community "flat": ${text}`,
      kind: 'Community',
      name: 'names',
      field: 'spec.communities[1].value',
    });
    expect(invalid).not.toHaveProperty('transient');
  });

  it('bad community ref (unknown ref)', () => {
    expect(refused([POOL, bgp('adv1', { communities: ['my-valid-alias'] })])).toMatchObject({
      message: 'invalid community format: my-valid-alias\ninvalid community "my-valid-alias" in BGP advertisement',
      transient: true,
    });
  });

  it('duplicate community literal', () => {
    expect(refused([POOL, bgp('adv1', { communities: ['1:1', '1:1'] })]).message).toBe(
      'duplicate definition of community "1:1"',
    );
  });

  it('duplicate communities definition (in 2 different crs | in the same cr)', () => {
    const text = 'duplicate definition of community "flat"';
    expect(refused([community('a', ['flat', '1:1']), community('b', ['flat', '1:1'])])).toMatchObject({
      message: text,
      name: 'b',
      field: 'spec.communities[0].name',
    });
    expect(refused([community('a', ['flat', '1:1'], ['flat', 'large:1:2:3'])])).toMatchObject({
      message: text,
      name: 'a',
    });
  });
});

describe('BGP advertisements', () => {
  it.each<readonly [name: string, spec: Readonly<Record<string, unknown>>, text: string, field: string]>([
    [
      'bad aggregation length (too long)',
      { aggregationLength: 34 },
      'invalid aggregation length 34 for IPv4',
      'aggregationLength',
    ],
    [
      'the same of IPv6',
      { aggregationLengthV6: 129 },
      'invalid aggregation length 129 for IPv6',
      'aggregationLengthV6',
    ],
    ['negative for IPv6', { aggregationLengthV6: -1 }, 'invalid aggregation length -1 for IPv6', 'aggregationLengthV6'],
    [
      'bad aggregation length (incompatible with CIDR)',
      { aggregationLength: 15 },
      'invalid aggregation length 15: prefix 16 in this pool is more specific than the aggregation length for addresses 10.20.0.0/16',
      'aggregationLength',
    ],
    [
      'incompatible with an IPv6 CIDR: the IPv4 length is printed',
      { aggregationLength: 26, aggregationLengthV6: 64 },
      'invalid aggregation length 26: prefix 120 in this pool is more specific than the aggregation length for addresses 2001:db8::/120',
      'aggregationLengthV6',
    ],
    [
      'duplicate ip address pools in BGP adv',
      { ipAddressPools: ['pool1', 'pool1'] },
      'duplicate definition of ipAddressPools "pool1"',
      'ipAddressPools',
    ],
    ['duplicate peers in BGP adv', { peers: ['a', 'b', 'a'] }, 'duplicate definition of peers "a"', 'peers'],
    [
      'duplicate match labels in ip pool selectors (BGP adv)',
      { ipAddressPoolSelectors: [zone('a'), zone('a')] },
      'duplicate definition of ipAddressPoolSelectors {map["zone":"a"] []}',
      'ipAddressPoolSelectors[1]',
    ],
    [
      'duplicate match expression in ip pool selector',
      { ipAddressPoolSelectors: [term('foo', 'In', 'bar'), term('foo', 'In', 'bar')] },
      'duplicate definition of ipAddressPoolSelectors {map[] [{"foo" "In" ["bar"]}]}',
      'ipAddressPoolSelectors[1]',
    ],
    [
      'duplicate match labels in node selectors',
      { nodeSelectors: [zone('a'), zone('a')] },
      'duplicate definition of nodeSelectors {map["zone":"a"] []}',
      'nodeSelectors[1]',
    ],
    [
      'duplicate match expression values in node selector',
      { nodeSelectors: [term('foo', 'In', 'bar', 'bar')] },
      'duplicate definition of match expression value in label selector "bar"',
      'nodeSelectors[0]',
    ],
    [
      'duplicate service selectors',
      { serviceSelectors: [zone('a'), zone('a')] },
      'duplicate definition of serviceSelectors {map["zone":"a"] []}',
      'serviceSelectors[1]',
    ],
    [
      'a node selector that is none',
      { nodeSelectors: [term('foo', 'Is', 'bar')] },
      '"Is" is not a valid label selector operator\ninvalid label selector {map[] [{foo Is [bar]}]}\nfailed to parse node selector for adv1',
      'nodeSelectors[0]',
    ],
    [
      'a pool selector that is none',
      { ipAddressPoolSelectors: [term('foo', 'Is', 'bar')] },
      '"Is" is not a valid label selector operator\ninvalid label selector {map[] [{foo Is [bar]}]}',
      'ipAddressPoolSelectors[0]',
    ],
    ...(['aggregationLength', 'aggregationLengthV6'] as const).map(
      (field) =>
        [
          `service selectors with a non-default ${field}`,
          { serviceSelectors: [zone('a')], [field]: 30 },
          'serviceSelectors and aggregationLength are mutually exclusive, can only be used together with default aggregationLength (32) and aggregationLengthV6 (128)',
          'serviceSelectors',
        ] as const,
    ),
  ])('%s', (_, spec, text, field) => {
    const mixed = pool('pool1', { addresses: ['10.20.0.0/16', '2001:db8::/120'] });
    expect(refused([mixed, bgp('adv1', spec), node('a')])).toMatchObject({
      message: text,
      kind: 'BGPAdvertisement',
      name: 'adv1',
      field: `spec.${field}`,
    });
  });

  it('aggregation length by range, too wide (/24 on .2-.254)', () => {
    const range = pool('pool1', { addresses: ['3.3.3.2-3.3.3.254'] });
    expect(refused([range, bgp('adv1', { aggregationLength: 24 })]).message).toBe(
      'invalid aggregation length 24: prefix 26 in this pool is more specific than the aggregation length for addresses 3.3.3.2-3.3.3.254',
    );
  });

  const CLASH =
    'invalid local preference 200: local preferernce 100 was already set for the same type of BGP update. Check existing BGP advertisements with common pools and aggregation lengths';
  const V6 = pool('pool1', { addresses: ['2001:db8::/120'] });
  const MIXED = pool('pool1', { addresses: ['2001:db8::/120', '10.0.0.0/24'] });

  it.each([
    ['different local pref - same peers and nodes', POOL, {}, {}],
    ['one of them for all peers', POOL, { peers: ['a'] }, {}],
    ['peers that meet', POOL, { peers: ['a', 'b'] }, { peers: ['b', 'c'] }],
    ['nodes that meet', POOL, { nodeSelectors: [zone('z')] }, {}],
    ['another IPv6 length on an IPv4 pool', POOL, { aggregationLengthV6: 64 }, {}],
    ['another IPv4 length on an IPv6 pool', V6, { aggregationLength: 24 }, {}],
    ['only one length differs on a mixed pool', MIXED, { aggregationLength: 24 }, {}],
  ])('local preference: %s', (_, on, one, other) => {
    const objects = [on, node('n1', { zone: 'z' }), node('n2'), bgp('adv1', { localPref: 100, ...one })];
    expect(refused([...objects, bgp('adv2', { localPref: 200, ...other })])).toMatchObject({
      rule: 'local-preference',
      message: CLASH,
      name: 'adv2',
    });
    expect(accepted([...objects, bgp('adv2', { localPref: 100, ...other })]).pools).toHaveLength(1);
  });

  it('local preference: another length of the family that the pool has is no clash', () => {
    const objects = [V6, node('n1'), bgp('adv1', { localPref: 100 })];
    const other = bgp('adv2', { localPref: 200, aggregationLengthV6: 127 });
    expect(accepted([...objects, other]).pools[0]?.bgpAdvertisements).toHaveLength(2);
  });

  it('two identical objects', () => {
    const same = () => bgp('adv', { peers: ['a'] });
    expect(refused([bgp('a'), same(), bgp('zzz'), same()]).message).toBe(
      'duplicate definition of bgpadvertisements. advertisement 2 and 3 are equal',
    );
  });

  it.each([
    [
      'aggregationLength: 0',
      { aggregationLength: 0 },
      'spec.aggregationLength: must be an integer from 1 to 2147483647, not 0',
    ],
    ['localPref: -1', { localPref: -1 }, 'spec.localPref: must be an integer from 0 to 2147483647, not -1'],
    [
      'localPref: 2147483648',
      { localPref: 2147483648 },
      'spec.localPref: must be an integer from 0 to 2147483647, not 2147483648',
    ],
  ])('by its schema: %s', (_, spec, message) => {
    expect(refused([POOL, bgp('adv1', spec)])).toMatchObject({ rule: 'schema', message });
  });
});

describe('L2 advertisements', () => {
  it.each<readonly [name: string, spec: Readonly<Record<string, unknown>>, text: string, field: string]>([
    [
      'duplicate ip address pools in L2 adv',
      { ipAddressPools: ['pool1', 'pool1'] },
      'duplicate definition of ipAddressPools "pool1"',
      'ipAddressPools',
    ],
    [
      'duplicate ip pool selectors in L2 adv',
      { ipAddressPoolSelectors: [zone('a'), zone('a')] },
      'duplicate definition of ipAddressPoolSelectors {map["zone":"a"] []}',
      'ipAddressPoolSelectors[1]',
    ],
    [
      'duplicate match labels in node selectors',
      { nodeSelectors: [zone('a'), zone('a')] },
      'duplicate definition of nodeSelectors {map["zone":"a"] []}',
      'nodeSelectors[1]',
    ],
    [
      'duplicate service selectors',
      { serviceSelectors: [zone('a'), zone('a')] },
      'duplicate definition of serviceSelectors {map["zone":"a"] []}',
      'serviceSelectors[1]',
    ],
    [
      'a node selector that is none',
      { nodeSelectors: [term('foo', 'Is', 'bar')] },
      '"Is" is not a valid label selector operator\ninvalid label selector {map[] [{foo Is [bar]}]}\nfailed to parse node selector for adv1',
      'nodeSelectors[0]',
    ],
    [
      'a preference that is none',
      { preferredNodeSelectors: [{ weight: 1, preference: term('foo', 'Is', 'bar') }] },
      '"Is" is not a valid label selector operator\ninvalid label selector {map[] [{foo Is [bar]}]}\nfailed to parse preferred node selector for adv1',
      'preferredNodeSelectors[0]',
    ],
  ])('%s', (_, spec, text, field) => {
    expect(refused([POOL, l2('adv1', spec), node('a')])).toMatchObject({
      message: text,
      kind: 'L2Advertisement',
      name: 'adv1',
      field: `spec.${field}`,
    });
  });

  it.each([
    [
      'weight 0',
      { weight: 0, preference: {} },
      'spec.preferredNodeSelectors[0].weight: must be an integer from 1 to 100, not 0',
    ],
    [
      'weight 101',
      { weight: 101, preference: {} },
      'spec.preferredNodeSelectors[0].weight: must be an integer from 1 to 100, not 101',
    ],
    ['no weight', { preference: {} }, 'spec.preferredNodeSelectors[0].weight: Required value'],
    ['no preference', { weight: 1 }, 'spec.preferredNodeSelectors[0].preference: Required value'],
  ])('by its schema: %s', (_, preferred, message) => {
    expect(refused([l2('adv1', { preferredNodeSelectors: [preferred] })])).toMatchObject({ rule: 'schema', message });
  });
});

describe('the order of the rules', () => {
  it('tells the first: mode, BFD profiles, peers, communities, pools, L2, BGP advertisements', () => {
    const faults = [
      peer('b', { routerID: '1.1.1.1' }),
      bfd('wrong', { detectMultiplier: 1 }),
      peer('wrong', { peerAddress: '1.1.1.1', holdTime: '1s' }),
      community('wrong', ['x', 'y']),
      pool('wrong', { addresses: ['x'] }),
      l2('wrong', { ipAddressPools: ['a', 'a'] }),
      bgp('wrong', { peers: ['a', 'a'] }),
    ];
    const told = faults.map((_, i) => refused([peer('a'), ...faults.slice(i)]));
    expect(told.map(({ rule, kind }) => `${kind} ${rule}`)).toEqual([
      'BGPPeer router-id',
      'BFDProfile range',
      'BGPPeer timers',
      'Community community',
      'IPAddressPool address',
      'L2Advertisement duplicate',
      'BGPAdvertisement duplicate',
    ]);
  });
});
