// The ConfigMap of v0.7 to v0.12 to custom resources, key by key. What is expected is written by hand from the meaning that
// each key had in MetalLB and from the names that its own converter gives.

import { describe, expect, it } from 'vitest';
import { type Conversion, convertLegacy } from '../../src/config/legacy.ts';
import { readResource } from '../../src/config/read.ts';

function convert(config: unknown): Conversion {
  const done = convertLegacy(config, 'lb');
  if ('invalid' in done) throw new Error(done.invalid.message);
  // whatever is made of it can be read, and has no field that its kind does not know
  for (const { object } of done.value.objects) expect(readResource(object)).toMatchObject({ unknown: [] });
  return done.value;
}

const summary = (config: unknown) =>
  convert(config).objects.map(({ object }) => [`${object.kind} ${object.metadata.name}`, object['spec']]);

const refusal = (config: unknown): string => {
  const done = convertLegacy(config, 'lb');
  return 'invalid' in done ? done.invalid.message : 'accepted';
};

const peer = { 'my-asn': 64512, 'peer-asn': 64513, 'peer-address': '10.0.0.1' };
const pool = { name: 'a', protocol: 'layer2', addresses: ['192.0.2.0/24'] };

describe('peers', () => {
  it('become BGPPeers v1beta2 in the namespace of the ConfigMap, numbered from 1', () => {
    const { objects } = convert({ peers: [peer, { ...peer, 'peer-address': '10.0.0.2' }] });
    expect(objects.map(({ object, from }) => [object.apiVersion, object.kind, object.metadata, from])).toEqual([
      ['metallb.io/v1beta2', 'BGPPeer', { name: 'peer1', namespace: 'lb' }, 'peers[0]'],
      ['metallb.io/v1beta2', 'BGPPeer', { name: 'peer2', namespace: 'lb' }, 'peers[1]'],
    ]);
  });

  it('had a hold time of 90 s where none was given', () => {
    expect(summary({ peers: [peer] })).toEqual([
      ['BGPPeer peer1', { myASN: 64512, peerASN: 64513, peerAddress: '10.0.0.1', holdTime: '1m30s' }],
    ]);
  });

  it('keep everything that they said', () => {
    const written = {
      ...peer,
      'source-address': '10.0.0.9',
      'peer-port': 1179,
      'hold-time': '10500ms',
      'keepalive-time': '3s',
      'router-id': '10.9.9.9',
      'node-selectors': [
        {
          'match-labels': { rack: 'a' },
          'match-expressions': [
            { key: 'zone', operator: 'In', values: ['x', 'y'] },
            { key: 'gpu', operator: 'DoesNotExist' },
          ],
        },
        { 'match-labels': { rack: 'b' } },
      ],
      password: 's3cret',
      'bfd-profile': 'fast',
      'ebgp-multihop': true,
    };
    expect(summary({ peers: [written] })).toEqual([
      [
        'BGPPeer peer1',
        {
          myASN: 64512,
          peerASN: 64513,
          peerAddress: '10.0.0.1',
          sourceAddress: '10.0.0.9',
          peerPort: 1179,
          holdTime: '10s',
          keepaliveTime: '3s',
          routerID: '10.9.9.9',
          nodeSelectors: [
            {
              matchLabels: { rack: 'a' },
              matchExpressions: [
                { key: 'zone', operator: 'In', values: ['x', 'y'] },
                { key: 'gpu', operator: 'DoesNotExist' },
              ],
            },
            { matchLabels: { rack: 'b' } },
          ],
          password: 's3cret',
          bfdProfile: 'fast',
          ebgpMultiHop: true,
        },
      ],
    ]);
  });

  it('say nothing of what has its default', () => {
    const written = {
      ...peer,
      'hold-time': '0s',
      'peer-port': 0,
      'ebgp-multihop': false,
      password: '',
      'router-id': '',
    };
    expect(summary({ peers: [written] })).toEqual([
      ['BGPPeer peer1', { myASN: 64512, peerASN: 64513, peerAddress: '10.0.0.1', holdTime: '0s' }],
    ]);
  });

  it.each([
    [{ ...peer, 'my-asn': 0 }, 'peers[0].my-asn: required'],
    [{ 'my-asn': 1, 'peer-address': '10.0.0.1' }, 'peers[0].peer-asn: required'],
    [{ 'my-asn': 1, 'peer-asn': 2 }, 'peers[0].peer-address: required'],
    [{ ...peer, 'peer-asn': 4294967296 }, 'peers[0].peer-asn: must be an integer from 0 to 4294967295, not 4294967296'],
    [{ ...peer, 'peer-port': 65536 }, 'peers[0].peer-port: must be an integer from 0 to 65535, not 65536'],
    [{ ...peer, 'hold-time': '90' }, 'peers[0].hold-time: time: missing unit in duration "90"'],
    [{ ...peer, 'keepalive-time': 30 }, 'peers[0].keepalive-time: must be a string, not a number'],
    [{ ...peer, password: 1234 }, 'peers[0].password: must be a string, not a number'],
    [
      { ...peer, 'node-selectors': [{ 'match-labels': { a: true } }] },
      'peers[0].node-selectors[0].match-labels.a: must be a string, not a boolean',
    ],
  ])('%j are refused', (written, text) => {
    expect(refusal({ peers: [written] })).toBe(text);
  });
});

describe('address pools', () => {
  it('of protocol layer2 get an L2Advertisement, numbered among their kind', () => {
    const other = { ...pool, name: 'b', 'auto-assign': false, 'avoid-buggy-ips': true };
    const routed = { name: 'c', protocol: 'bgp', addresses: ['203.0.113.1-203.0.113.9'] };
    expect(summary({ 'address-pools': [pool, routed, other] })).toEqual([
      ['IPAddressPool a', { addresses: ['192.0.2.0/24'] }],
      ['IPAddressPool c', { addresses: ['203.0.113.1-203.0.113.9'] }],
      ['IPAddressPool b', { addresses: ['192.0.2.0/24'], autoAssign: false, avoidBuggyIPs: true }],
      ['BGPAdvertisement bgpadvertisement1', { ipAddressPools: ['c'] }],
      ['L2Advertisement l2advertisement1', { ipAddressPools: ['a'] }],
      ['L2Advertisement l2advertisement2', { ipAddressPools: ['b'] }],
    ]);
  });

  it('of protocol bgp get their BGP advertisements, numbered over all pools', () => {
    const routed = (name: string, advertisements: unknown) => {
      return { name, protocol: 'bgp', addresses: ['192.0.2.0/24'], 'bgp-advertisements': advertisements };
    };
    const first = {
      'aggregation-length': 24,
      'aggregation-length-v6': 64,
      localpref: 100,
      communities: ['no-x', '1:2'],
    };
    const pools = [routed('a', [first, {}]), routed('b', []), routed('c', [{ localpref: 0 }])];
    expect(summary({ 'address-pools': pools }).slice(3)).toEqual([
      [
        'BGPAdvertisement bgpadvertisement1',
        {
          ipAddressPools: ['a'],
          aggregationLength: 24,
          aggregationLengthV6: 64,
          localPref: 100,
          communities: ['no-x', '1:2'],
        },
      ],
      ['BGPAdvertisement bgpadvertisement2', { ipAddressPools: ['a'] }],
      ['BGPAdvertisement bgpadvertisement3', { ipAddressPools: ['b'] }],
      ['BGPAdvertisement bgpadvertisement4', { ipAddressPools: ['c'], localPref: 0 }],
    ]);
  });

  it('keep auto-assign wherever it was said', () => {
    expect(summary({ 'address-pools': [{ ...pool, 'auto-assign': true, 'avoid-buggy-ips': false }] })[0]).toEqual([
      'IPAddressPool a',
      { addresses: ['192.0.2.0/24'], autoAssign: true },
    ]);
  });

  it.each([
    [{ ...pool, name: '' }, 'address-pools[0].name: required'],
    [{ ...pool, protocol: '' }, 'address-pools[0].protocol: required'],
    [{ ...pool, addresses: [] }, 'address-pools[0].addresses: required'],
    [{ ...pool, protocol: 'Layer2' }, 'address-pools[0].protocol: unknown protocol "Layer2", not layer2 or bgp'],
    [{ ...pool, protocol: 'arp' }, 'address-pools[0].protocol: unknown protocol "arp", since v0.7 it is called layer2'],
    [{ ...pool, cidr: ['10.0.0.0/8'] }, 'address-pools[0].cidr: it is called addresses since v0.7'],
    [{ ...pool, 'arp-network': '10.0.0.0/8' }, 'address-pools[0].arp-network: it has had no meaning since v0.7'],
    [
      { ...pool, 'bgp-advertisements': [{}] },
      'address-pools[0].bgp-advertisements: an address pool of protocol layer2 has none',
    ],
    [{ ...pool, 'auto-assign': 'true' }, 'address-pools[0].auto-assign: must be true or false, not a string'],
  ])('%j are refused', (written, text) => {
    expect(refusal({ 'address-pools': [written] })).toBe(text);
  });
});

describe('BFD profiles and communities', () => {
  it('say whether they echo and wait, in every profile', () => {
    const full = {
      ...{ name: 'full', 'receive-interval': 280, 'transmit-interval': 270, 'detect-multiplier': 5 },
      ...{ 'echo-interval': 60, 'echo-mode': true, 'passive-mode': true, 'minimum-ttl': 200 },
    };
    expect(summary({ 'bfd-profiles': [full, { name: 'bare' }] })).toEqual([
      [
        'BFDProfile full',
        {
          receiveInterval: 280,
          transmitInterval: 270,
          detectMultiplier: 5,
          echoInterval: 60,
          echoMode: true,
          passiveMode: true,
          minimumTtl: 200,
        },
      ],
      ['BFDProfile bare', { echoMode: false, passiveMode: false }],
    ]);
  });

  it('become one Community, sorted by alias', () => {
    expect(summary({ 'bgp-communities': { 'no-advertise': '65535:65282', 'a-first': '64512:1' } })).toEqual([
      [
        'Community communities',
        {
          communities: [
            { name: 'a-first', value: '64512:1' },
            { name: 'no-advertise', value: '65535:65282' },
          ],
        },
      ],
    ]);
  });

  it('come after peers, pools and advertisements', () => {
    const { objects } = convert({
      'bgp-communities': { a: '1:2' },
      'bfd-profiles': [{ name: 'fast' }],
      'address-pools': [pool, { ...pool, name: 'b', protocol: 'bgp' }],
      peers: [peer],
    });
    expect(objects.map(({ object }) => object.kind)).toEqual([
      'BGPPeer',
      'IPAddressPool',
      'IPAddressPool',
      'BGPAdvertisement',
      'L2Advertisement',
      'BFDProfile',
      'Community',
    ]);
  });
});

describe('names', () => {
  it.each([
    ['good-name', 'good-name'],
    ['My_Pool', 'my-pool'],
    ['192-pool', 'pool'],
    ['a', 'a'],
    ['x'.repeat(70), 'x'.repeat(63)],
    ['pool for dmz', 'pool-for-dmz'],
    ['pool.example', 'pool.example'],
    ['pool_', 'pool'],
  ])('"%s" is called %s', (was, is) => {
    const { objects, renamed } = convert({ 'address-pools': [{ ...pool, name: was }] });
    expect(objects.map(({ object }) => object.metadata.name)).toEqual([is, 'l2advertisement1']);
    expect(objects[1]?.object['spec']).toEqual({ ipAddressPools: [is] });
    expect(renamed).toEqual(was === is ? [] : [{ path: 'address-pools[0].name', was, is }]);
  });

  it('of BFD profiles change where they are used, too', () => {
    const config = { peers: [{ ...peer, 'bfd-profile': 'Fast_One' }], 'bfd-profiles': [{ name: 'Fast_One' }] };
    const { objects } = convert(config);
    expect(objects[0]?.object['spec']).toMatchObject({ bfdProfile: 'fast-one' });
    expect(objects[1]?.object.metadata.name).toBe('fast-one');
  });

  it('that hold no letter are refused, and two that would become one', () => {
    expect(refusal({ 'address-pools': [{ ...pool, name: '10-20' }] })).toBe(
      'address-pools[0].name: no resource can be called "10-20", nor anything like it',
    );
    const pools = [
      { ...pool, name: 'my_pool' },
      { ...pool, name: 'my-pool' },
    ];
    expect(refusal({ 'address-pools': pools })).toBe(
      'address-pools[1].name: "my-pool" and "my_pool" would both be called my-pool',
    );
  });
});

describe('the whole', () => {
  it('of nothing is nothing', () => {
    expect(convert({})).toEqual({ objects: [], renamed: [], unknown: [] });
  });

  it('tells the keys that no version knew', () => {
    const config = { peers: [{ ...peer, hold_time: '3s' }], 'address-pool': [], 'bfd-profiles': [{ name: 'a', x: 1 }] };
    expect(convert(config).unknown.toSorted()).toEqual(['address-pool', 'bfd-profiles[0].x', 'peers[0].hold_time']);
  });

  it.each([[[]], ['text'], [undefined], [7]])('is a map, not %j', (config) => {
    expect(refusal(config)).toContain('the configuration must be a map');
  });

  it('refuses what is no list of maps', () => {
    expect(refusal({ peers: {} })).toBe('peers: must be a list, not an object');
    expect(refusal({ peers: ['10.0.0.1'] })).toBe('peers[0]: must be an object, not a string');
  });
});
