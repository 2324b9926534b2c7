// What the modes of METALLB_BGP_TYPE refuse. The names are those of MetalLB's TestValidate and TestValidateFRR.

import { describe, expect, it } from 'vitest';
import { frrCheck, nativeCheck } from '../../src/config/mode.ts';
import type { ApiObject } from '../../src/config/resource.ts';
import {
  accepted,
  bfd,
  bgp,
  community,
  hostname,
  l2,
  legacyPeer,
  node,
  peer,
  pool,
  refused,
  resources,
} from './fixture.ts';

const V6 = pool('v6', { addresses: ['10.0.0.0/24', '2001:db8::/120'] }, { family: 'six' });
const V4 = pool('v4', { addresses: ['10.1.0.0/24'] });

describe('native', () => {
  const native = (...objects: readonly ApiObject[]) => refused(objects, { bgpType: 'native' });

  it.each<readonly [name: string, spec: Readonly<Record<string, unknown>>, text: string, field: string]>([
    ['peer with bfd profile', { bfdProfile: 'foo' }, 'bfd-profile', 'bfdProfile'],
    ['keepalive time', { holdTime: '90s', keepaliveTime: '30s' }, 'keepalive-time', 'keepaliveTime'],
    ['vrf', { vrf: 'red' }, 'vrf', 'vrf'],
    ['connect time', { connectTime: '10s' }, 'connect time', 'connectTime'],
    [
      'enable BGP GracefulRestart',
      { enableGracefulRestart: true },
      'EnableGracefulRestart flag',
      'enableGracefulRestart',
    ],
    ['disable BGP MP', { disableMP: true }, 'disable MP flag', 'disableMP'],
    ['dual stack', { dualStackAddressFamily: true }, 'dualstackaddressfamily flag', 'dualStackAddressFamily'],
    ['dynamic ASN', { peerASN: 0, dynamicASN: 'internal' }, 'dynamicASN', 'dynamicASN'],
    ['localASN', { localASN: 65001 }, 'localASN', 'localASN'],
  ])('%s', (_, spec, words, field) => {
    expect(native(peer('peer1', spec))).toEqual({
      rule: 'native',
      message: `peer 1.2.3.4 has ${words} set on native bgp mode`,
      kind: 'BGPPeer',
      name: 'peer1',
      field: `spec.${field}`,
    });
  });

  it('interface', () => {
    expect(native(peer('peer1', { peerAddress: undefined, interface: 'eth0' })).message).toBe(
      'peer  has interface set on native bgp mode',
    );
  });

  it('bfd profile set', () => {
    expect(native(bfd('foo'))).toMatchObject({ message: 'bfd profiles section set', kind: 'BFDProfile', name: 'foo' });
  });

  it('v6 address', () => {
    expect(native(V6, bgp('adv'))).toEqual({
      rule: 'native',
      message: 'pool "v6" has ipv6 CIDR 2001:db8::/120, native bgp mode does not support ipv6',
      kind: 'IPAddressPool',
      name: 'v6',
      field: 'spec.addresses[1]',
    });
  });

  it('v6 address and selected (by name, by labels)', () => {
    for (const spec of [{ ipAddressPools: ['v6'] }, { ipAddressPoolSelectors: [{ matchLabels: { family: 'six' } }] }]) {
      expect(native(V6, V4, bgp('adv', spec)).name).toBe('v6');
    }
  });

  it('large BGP community inside BGP Advertisement', () => {
    expect(native(V4, bgp('adv', { communities: ['alias', '1:1', 'large:123:456:789'] })).message).toBe(
      'native BGP mode only supports legacy communities, BGP advertisement "adv" has non legacy community "large:123:456:789"',
    );
  });

  it('large BGP community inside Community CR', () => {
    expect(native(community('names', ['fine', '1:1'], ['big', 'large:123:456:789']))).toMatchObject({
      message:
        'native BGP mode only supports legacy communities, BGP community CR "names" has non legacy community {"big" "large:123:456:789"}',
      field: 'spec.communities[1].value',
    });
  });

  it('v6 address but pool not selected: passes', () => {
    const others = [bgp('adv', { ipAddressPools: ['v4'] }), l2('l2', { ipAddressPools: ['v6'] })];
    expect(accepted([V6, V4, ...others], { bgpType: 'native' }).pools).toHaveLength(2);
    expect(accepted([V6], { bgpType: 'native' }).pools).toHaveLength(1);
  });

  it('should pass, also what the FRR modes refuse', () => {
    const peers = [peer('a', { holdTime: '90s' }), peer('b', { myASN: 43, routerID: '1.1.1.1' })];
    expect(accepted(peers, { bgpType: 'native' }).peers).toHaveLength(2);
  });

  it('a v1beta1 peer: its keepalive time of 0s is not set', () => {
    const old = legacyPeer('peer1', { myASN: 1, peerASN: 2, peerAddress: '1.2.3.4' });
    expect(accepted([old], { bgpType: 'native' }).peers).toHaveLength(1);
  });

  it('tells every fault of every object in its order', () => {
    const both = resources([peer('peer1', { vrf: 'red', localASN: 1 }), bfd('foo'), V6, bgp('adv')]);
    expect(nativeCheck(both).map(({ field, kind }) => field ?? kind)).toEqual([
      'spec.vrf',
      'spec.localASN',
      'BFDProfile',
      'spec.addresses[1]',
    ]);
  });
});

const at = (...names: readonly string[]) => ({ nodeSelectors: names.map(hostname) });
const NODES = [node('n1'), node('n2'), node('n3')];

describe('frr and frr-k8s', () => {
  it.each<readonly [name: string, objects: readonly ApiObject[]]>([
    ['peer with routerid', [peer('a', { routerID: '1.1.1.1' })]],
    ['bfd profile set', [peer('a', { bfdProfile: 'p' }), bfd('p')]],
    ['myAsn set, all equals', [peer('a'), peer('b', { peerAddress: '1.2.3.5' })]],
    ['myAsn different but different vrf', [peer('a'), peer('b', { peerAddress: '1.2.3.5', myASN: 43, vrf: 'red' })]],
    ['the other form', [peer('a', { vrf: 'red' }), peer('b', { peerAddress: '1.2.3.5', myASN: 43, vrf: 'blue' })]],
    ['duplicate address, different vrfs', [peer('a', { vrf: 'red' }), peer('b', { vrf: 'blue' })]],
    [
      'two interfaces different',
      ['eth0', 'eth1'].map((link) => peer(link, { peerAddress: undefined, interface: link })),
    ],
    ['duplicate address, disjoint hostname selectors', [...NODES, peer('a', at('n1')), peer('b', at('n2'))]],
    [
      'three peers same address, all on distinct nodes',
      [...NODES, peer('a', at('n1')), peer('b', at('n2')), peer('c', at('n3'))],
    ],
    ['multiple nodeSelectors (OR), disjoint', [...NODES, peer('a', at('n1', 'n2')), peer('b', at('n3', 'n4'))]],
    [
      'different in all on distinct nodes',
      [...NODES, peer('a', at('n1')), peer('b', { myASN: 1, routerID: '1.1.1.1', ...at('n2') })],
    ],
  ])('passes: %s', (_, objects) => {
    expect(accepted(objects, { bgpType: 'frr' }).warnings).toEqual([]);
    expect(accepted(objects, { bgpType: 'frr-k8s' }).warnings).toEqual([]);
  });

  const twin = (identifier: string) =>
    `peer ${identifier} already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node`;
  const routerId = (later: string, earlier: string) =>
    `peer ${later} has RouterID different from ${earlier}, in FRR mode peers selecting the same node must all have the same RouterID`;

  it.each<readonly [name: string, objects: readonly ApiObject[], text: string, field: string]>([
    [
      'routerid one different',
      [
        peer('a', { routerID: '1.1.1.1' }),
        peer('b', { routerID: '1.1.1.1', peerAddress: '1.2.3.5' }),
        peer('c', { routerID: '2.2.2.2', peerAddress: '1.2.3.6' }),
      ],
      routerId('2.2.2.2', '1.1.1.1'),
      'routerID',
    ],
    [
      'routerid one not set',
      [peer('a', { routerID: '1.1.1.1' }), peer('b', { peerAddress: '1.2.3.5' })],
      routerId('', '1.1.1.1'),
      'routerID',
    ],
    [
      'myAsn one different',
      [peer('a'), peer('b', { peerAddress: '1.2.3.5' }), peer('c', { peerAddress: '1.2.3.6', myASN: 123 })],
      'peer 1.2.3.6 has myAsn different from 1.2.3.4, in FRR mode peers selecting the same node must have the same myAsn within the same VRF',
      'myASN',
    ],
    [
      'myAsn different in a vrf',
      [peer('a', { vrf: 'red' }), peer('b', { peerAddress: '1.2.3.6', myASN: 123, vrf: 'red' })],
      'peer 1.2.3.6-red has myAsn different from 1.2.3.4-red, in FRR mode peers selecting the same node must have the same myAsn within the same VRF',
      'myASN',
    ],
    ['duplicate bgp address', [peer('a'), peer('b')], twin('1.2.3.4'), 'peerAddress'],
    ['same vrf', [peer('a', { vrf: 'red' }), peer('b', { vrf: 'red' })], twin('1.2.3.4-red'), 'peerAddress'],
    [
      'same interface',
      ['a', 'b'].map((name) => peer(name, { peerAddress: undefined, interface: 'eth0' })),
      twin('eth0'),
      'interface',
    ],
    [
      'one address in two texts',
      [peer('a', { peerAddress: '2001:db8::1' }), peer('b', { peerAddress: '2001:DB8:0::1' })],
      twin('2001:DB8:0::1'),
      'peerAddress',
    ],
    [
      'overlapping hostname selectors',
      [...NODES, peer('a', at('n1', 'n2')), peer('b', at('n2', 'n3'))],
      twin('1.2.3.4'),
      'peerAddress',
    ],
    ['one peer without nodeSelector', [...NODES, peer('a'), peer('b', at('n2'))], twin('1.2.3.4'), 'peerAddress'],
    ['no nodes known (conservative)', [peer('a', at('n1')), peer('b', at('n2'))], twin('1.2.3.4'), 'peerAddress'],
    [
      'third overlaps with first',
      [...NODES, peer('a', at('n1')), peer('b', at('n2')), peer('c', at('n1'))],
      twin('1.2.3.4'),
      'peerAddress',
    ],
    [
      'overlap via second selector',
      [...NODES, peer('a', at('n1')), peer('b', at('n3', 'n1'))],
      twin('1.2.3.4'),
      'peerAddress',
    ],
  ])('refuses: %s', (_, objects, message, field) => {
    for (const bgpType of ['frr', 'frr-k8s'] as const) {
      const last = objects.at(-1)?.metadata.name;
      const expected = { message, kind: 'BGPPeer', name: last, field: `spec.${field}` };
      expect(refused(objects, { bgpType })).toMatchObject(expected);
    }
  });

  it('names the first of several peers that one clashes with, whichever node they meet on', () => {
    const named = (name: string, address: string, myASN: number, ...nodes: readonly string[]) =>
      peer(name, { peerAddress: address, myASN, ...at(...nodes) });
    const objects = [
      ...NODES,
      named('a', '10.0.0.1', 1, 'n3'),
      named('b', '10.0.0.2', 1, 'n1'),
      named('c', '10.0.0.3', 2, 'n1', 'n3'),
    ];
    expect(refused(objects).message).toContain('peer 10.0.0.3 has myAsn different from 10.0.0.1,');
    expect(frrCheck(resources(objects))).toHaveLength(1);
  });

  it('with no mode chosen all three only warn, and the configuration stands', () => {
    const config = accepted([peer('a'), peer('b', { myASN: 1, routerID: '1.1.1.1' })], { bgpType: 'unset' });
    expect(config.peers.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(config.warnings).toEqual([
      routerId('1.1.1.1', ''),
      twin('1.2.3.4'),
      'peer 1.2.3.4 has myAsn different from 1.2.3.4, in FRR mode peers selecting the same node must have the same myAsn within the same VRF',
    ]);
  });

  it('agrees with a comparison of every pair', () => {
    // a small world that holds every combination of three values
    const nodes = ['n1', 'n2', 'n3'].map((name) => node(name));
    let seed = 4271;
    const draw = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return Math.floor((seed / 2147483648) * below);
    };
    let clashing = 0;
    for (let round = 0; round < 300; round++) {
      const specs = Array.from({ length: 4 }, (_, i) => ({
        name: `p${i}`,
        address: `10.0.0.${draw(5)}`,
        asn: 1 + Math.floor(draw(8) / 7),
        id: draw(8) === 0 ? '9.9.9.9' : '',
        vrf: draw(2) === 0 ? '' : 'red',
        on: ['n1', 'n2', 'n3'].filter(() => draw(2) === 0),
      }));
      const objects = specs.map(({ name, address, asn, id, vrf, on }) =>
        peer(name, { peerAddress: address, myASN: asn, routerID: id, vrf, ...at(...on) }),
      );
      const first = specs.findIndex((p, j) =>
        specs.slice(0, j).some((q) => {
          const meet = p.on.length === 0 || q.on.length === 0 || p.on.some((name) => q.on.includes(name));
          const twins = p.address === q.address && p.vrf === q.vrf;
          return meet && (p.id !== q.id || twins || (p.vrf === q.vrf && p.asn !== q.asn));
        }),
      );
      const [told] = frrCheck(resources([...nodes, ...objects]));
      expect(told?.name).toBe(first < 0 ? undefined : `p${first}`);
      if (first >= 0) clashing++;
    }
    expect(clashing).toBeGreaterThan(50);
    expect(clashing).toBeLessThan(250);
  });
});
