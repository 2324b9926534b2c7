// What the admission webhooks say: the lists they see, what they leave to later, namespaces, and BFD profiles in use.

import { describe, expect, it } from 'vitest';
import type { ApiObject, BgpType } from '../../src/config/resource.ts';
import { blankTransient, broughtBy, type Review, WEBHOOK_KINDS, webhookCheck } from '../../src/config/webhook.ts';
import { bfd, bgp, community, hostname, l2, NAMESPACE, node, peer, pool, read, refused, resources } from './fixture.ts';

interface Asked {
  readonly operation?: Review['operation'];
  readonly namespace?: string;
  readonly bgpType?: BgpType;
}

/** The first object is the one that is created. */
function asked(
  objects: readonly [ApiObject, ...ApiObject[]],
  { operation = 'CREATE', namespace = NAMESPACE, bgpType = 'frr' }: Asked = {},
) {
  const kind = WEBHOOK_KINDS.find((each) => each === objects[0].kind) ?? expect.fail('no webhook of this kind');
  const review = { operation, kind, name: objects[0].metadata.name, namespace };
  return webhookCheck(review, resources(objects), { bgpType, namespace: NAMESPACE });
}

const denied = (...of: Parameters<typeof asked>) => {
  const answer = asked(...of);
  return 'invalid' in answer ? answer.invalid.message : expect.fail('it was allowed');
};
const ALLOWED = { warnings: [] };
const POOL = pool('pool1', { addresses: ['1.1.1.0/28'] });

describe('what an update brings', () => {
  const rack = (name: string) => ({ nodeSelectors: [{ matchLabels: { rack: name } }] });
  const nodes = [node('n1', { rack: 'a' }), node('n2', { rack: 'b' })];
  const brought = (before: ApiObject, after: ApiObject, others: readonly ApiObject[]) => {
    const kind = WEBHOOK_KINDS.find((each) => each === after.kind) ?? expect.fail('no webhook of this kind');
    const update = { kind, before: read(before), after: read(after), others: others.map(read) };
    return broughtBy(update, { bgpType: 'frr', namespace: NAMESPACE })?.message;
  };

  it('is judged on the nodes that there are, and by what is broken no less than by what is not', () => {
    const twice = [peer('a', rack('a')), peer('b', rack('a'))];
    const other = peer('c', { peerAddress: '1.2.3.9', ...rack('b') });
    const again = 'already exists';
    // on a rack of its own it meets neither
    expect(brought(other, peer('c', rack('b')), [...twice, ...nodes])).toBeUndefined();
    expect(brought(other, peer('c', rack('a')), [...twice, ...nodes])).toContain(again);
    expect(brought(other, other, [...twice, ...nodes])).toBeUndefined();
  });

  it('is nothing where what is wrong belongs to another kind', () => {
    const overlapping = [POOL, pool('pool2', { addresses: ['1.1.1.0/28'] })];
    const wide = { aggregationLength: 26, ipAddressPools: ['pool1'] };
    expect(brought(bgp('adv'), bgp('adv', { localPref: 5 }), overlapping)).toBeUndefined();
    expect(brought(bgp('adv'), bgp('adv', wide), overlapping)).toContain('invalid aggregation length 26');
  });
});

describe('webhooks', () => {
  it('Should recognize overlapping addresses in two AddressPools (create and update)', () => {
    for (const operation of ['CREATE', 'UPDATE'] as const) {
      const other = pool('pool2', { addresses: ['1.1.1.10-1.1.1.20'] });
      expect(denied([other, POOL], { operation })).toContain('overlaps with already defined CIDR');
    }
  });

  it('Should recognize invalid AggregationLength', () => {
    expect(denied([bgp('adv', { aggregationLength: 26, ipAddressPools: ['pool1'] }), POOL])).toBe(
      'invalid aggregation length 26: prefix 28 in this pool is more specific than the aggregation length for addresses 1.1.1.0/28',
    );
  });

  it('Should reject serviceSelectors with non-default aggregationLength', () => {
    const advertisement = bgp('adv', { aggregationLength: 30, serviceSelectors: [{ matchLabels: { a: 'b' } }] });
    expect(denied([advertisement])).toContain('serviceSelectors and aggregationLength are mutually exclusive');
  });

  it('Should reject invalid BGPPeer IP address', () => {
    expect(denied([peer('peer1', { peerAddress: '1.1.1.x' })])).toContain('invalid BGPPeer address');
  });

  it('FRR - Should reject two BGPPeers with the same address and overlapping nodeSelectors', () => {
    expect(denied([peer('b'), peer('a'), node('n1')])).toContain('already exists');
  });

  it('FRR - Should allow two BGPPeers with the same address when nodeSelectors are disjoint', () => {
    const [a, b] = ['n1', 'n2'].map((name) => peer(name, { nodeSelectors: [hostname(name)] }));
    if (a === undefined || b === undefined) return expect.fail();
    expect(asked([b, a, node('n1'), node('n2')])).toEqual(ALLOWED);
  });

  it.each([
    ['legacy format', '99999999:1', 'invalid community value: invalid section'],
    ['large format', 'lar:123:9999:123', 'expected community to be of format large'],
  ])('reject a new invalid Community / an update to an invalid Community [%s]', (_, value, text) => {
    for (const operation of ['CREATE', 'UPDATE'] as const) {
      expect(denied([community('names', ['a', value])], { operation })).toContain(text);
    }
  });

  it('reject Community duplications', () => {
    for (const value of ['1111:2222', 'large:1:2:3']) {
      const text = 'duplicate definition of community';
      expect(denied([community('two', ['a', value]), community('one', ['a', value])])).toContain(text);
    }
  });

  it('Should produce an error when deleting a profile used by a BGPPeer', () => {
    const used = [bfd('foo'), peer('peer1', { bfdProfile: 'foo' })] as const;
    expect(denied([...used], { operation: 'DELETE' })).toBe('failed to delete BFDProfile foo, used by BGPPeer peer1');
    expect(asked([bfd('bar'), ...used], { operation: 'DELETE' })).toEqual(ALLOWED);
  });

  it.each([bfd('x'), POOL, peer('x'), bgp('x'), l2('x'), community('x')])(
    'Webhooks namespace validation ($kind)',
    (object) => {
      expect(denied([object], { namespace: 'default' })).toBe('resource must be created in metallb-system namespace');
      expect(asked([object], { namespace: 'default', operation: 'UPDATE' })).toEqual(ALLOWED);
    },
  );

  it('warns of disableMP before all else, the namespace included', () => {
    expect(asked([peer('peer1', { disableMP: true })], { namespace: 'default' })).toEqual({
      warnings: ["disable mp is deprecated and has no effect since it's the default behavior now"],
    });
    expect(asked([peer('peer1', { disableMP: true, peerAddress: 'x' })])).toHaveProperty('warnings');
    expect(denied([peer('peer1', { disableMP: true, peerAddress: 'x' })], { operation: 'UPDATE' })).toContain(
      'address',
    );
  });

  it('judges with the rules of its mode', () => {
    const red = peer('peer1', { vrf: 'red' });
    expect(denied([red], { bgpType: 'native' })).toBe('peer 1.2.3.4 has vrf set on native bgp mode');
    expect(asked([red])).toEqual(ALLOWED);
  });

  it('sees only the lists of its kind', () => {
    // shrinking a pool below an aggregation length is found by the speakers
    expect(asked([POOL, bgp('adv', { aggregationLength: 26 })])).toEqual(ALLOWED);
    expect(asked([l2('l2'), POOL, bgp('adv', { aggregationLength: 26 })])).toEqual(ALLOWED);
    expect(asked([community('names', ['a', '1:1']), pool('broken', { addresses: ['x'] })])).toEqual(ALLOWED);
    expect(denied([l2('l2'), pool('broken', { addresses: ['x'] })])).toContain('parsing address pool broken');
  });
});

describe('what may come later', () => {
  const later: readonly (readonly [string, ApiObject])[] = [
    ['BFD profile', peer('peer1', { bfdProfile: 'later' })],
    ['secret reference', peer('peer1', { passwordSecret: { name: 'later' } })],
    ['alias communities', bgp('adv', { communities: ['later', '1:1'] })],
  ];

  it.each(later)('%s: blanked, and transient at run time', (_, object) => {
    expect(asked([object])).toEqual(ALLOWED);
    expect(refused([POOL, object])).toMatchObject({ transient: true });
  });

  it('blanks only these', () => {
    const objects = [
      peer('peer1', { bfdProfile: 'p', passwordSecret: { name: 's' }, holdTime: '9s' }),
      bgp('adv', { communities: ['later', '1:1', 'large:1:2:3'] }),
      POOL,
    ];
    const before = resources(objects);
    const after = blankTransient(before);
    expect(after.peers).toEqual([{ ...before.peers[0], bfdProfile: '', passwordSecret: '' }]);
    expect(after.bgpAdvertisements[0]?.communities).toEqual(['1:1', 'large:1:2:3']);
    expect(after.pools).toEqual(before.pools);
  });

  it('an alias with colons is refused by the webhook, for it sees no Community', () => {
    const objects = [bgp('adv', { communities: ['7:8:9'] }), community('names', ['7:8:9', '1:1'])] as const;
    expect(denied([...objects])).toBe(
      'invalid community format: 7:8:9\ninvalid community "7:8:9" in BGP advertisement',
    );
  });
});
