// L2Advertisements on pools: which count as equal, and the scores of preferred nodes. The names follow MetalLB's
// TestContainsAdvertisement, TestL2AdvertisementFromCRPreferred, TestSetL2AdvertisementsToPoolsPreferred and
// TestPreferredNodeScores.

import { describe, expect, it } from 'vitest';
import { accepted, hostname, l2, node, pool } from './fixture.ts';

const NODES = [node('a', { disk: 'ssd', rack: 'r1' }), node('b', { disk: 'ssd' }), node('c')];
const POOL = pool('pool1', { addresses: ['10.0.0.0/24'] }, { zone: 'z' });
type Spec = Readonly<Record<string, unknown>>;

const attached = (...specs: readonly Spec[]) => {
  const advertisements = specs.map((spec, i) => l2(`l2-${i}`, spec));
  return accepted([POOL, ...NODES, ...advertisements]).pools[0]?.l2Advertisements ?? expect.fail('no pool');
};
const scores = (spec: Spec) => Object.fromEntries(attached(spec)[0]?.scores ?? []);
const prefer = (weight: number, preference: unknown) => ({ weight, preference });
const SSD = { matchLabels: { disk: 'ssd' } };

describe('equal advertisements on a pool', () => {
  it.each<readonly [name: string, one: Spec, other: Spec, count: number]>([
    ['equal ones are one', {}, {}, 1],
    [
      'nodes that are the same by other selectors',
      { nodeSelectors: [SSD] },
      { nodeSelectors: [hostname('a'), hostname('b')] },
      1,
    ],
    ['different nodes', { nodeSelectors: [hostname('a')] }, { nodeSelectors: [hostname('b')] }, 2],
    ['the same interfaces in another order', { interfaces: ['eth0', 'eth1'] }, { interfaces: ['eth1', 'eth0'] }, 1],
    ['different interfaces', { interfaces: ['eth0'] }, { interfaces: ['eth1'] }, 2],
    ['all interfaces and one', {}, { interfaces: ['eth1'] }, 2],
    [
      'the same service selectors',
      { serviceSelectors: [SSD, hostname('x')] },
      { serviceSelectors: [hostname('x'), SSD] },
      1,
    ],
    ['different service selectors', { serviceSelectors: [SSD] }, {}, 2],
    ['the new one with preferences', {}, { preferredNodeSelectors: [prefer(1, SSD)] }, 2],
    ['the old one with preferences', { preferredNodeSelectors: [prefer(1, SSD)] }, {}, 2],
    [
      'both with preferences',
      { preferredNodeSelectors: [prefer(1, SSD)] },
      { preferredNodeSelectors: [prefer(1, SSD)] },
      2,
    ],
    ['preferences that no node meets are none', {}, { preferredNodeSelectors: [prefer(1, hostname('x'))] }, 1],
  ])('%s', (_, one, other, count) => {
    expect(attached(one, other)).toHaveLength(count);
  });

  it('is attached once when reached by name and by selector', () => {
    const both = { ipAddressPools: ['pool1'], ipAddressPoolSelectors: [{ matchLabels: { zone: 'z' } }] };
    expect(attached({ ...both, preferredNodeSelectors: [prefer(1, SSD)] })).toHaveLength(1);
    expect(attached(both)).toHaveLength(1);
  });

  it('keeps pools apart', () => {
    const config = accepted([POOL, pool('pool2', { addresses: ['10.1.0.0/24'] }), l2('l2-0'), l2('l2-1')]);
    expect(config.pools.map(({ l2Advertisements }) => l2Advertisements.map(({ name }) => name))).toEqual([
      ['l2-0'],
      ['l2-0'],
    ]);
  });
});

describe('scores of preferred nodes', () => {
  it('matching eligible nodes score', () => {
    expect(scores({ preferredNodeSelectors: [prefer(10, SSD)] })).toEqual({ a: 10, b: 10 });
  });

  it('weights add up', () => {
    expect(scores({ preferredNodeSelectors: [prefer(10, SSD), prefer(7, { matchLabels: { rack: 'r1' } })] })).toEqual({
      a: 17,
      b: 10,
    });
  });

  it('nodes that nodeSelectors leave out never score', () => {
    expect(
      scores({ nodeSelectors: [hostname('b'), hostname('c')], preferredNodeSelectors: [prefer(10, SSD)] }),
    ).toEqual({
      b: 10,
    });
  });

  it('an empty preference matches all eligible nodes', () => {
    expect(scores({ nodeSelectors: [SSD], preferredNodeSelectors: [prefer(3, {})] })).toEqual({ a: 3, b: 3 });
  });

  it('no match, no scores', () => {
    expect(scores({ preferredNodeSelectors: [prefer(10, hostname('x'))] })).toEqual({});
    expect(scores({})).toEqual({});
  });

  it('service selectors do not restrict scoring', () => {
    expect(scores({ serviceSelectors: [hostname('x')], preferredNodeSelectors: [prefer(5, SSD)] })).toEqual({
      a: 5,
      b: 5,
    });
  });

  it('two objects attach independently', () => {
    const spec = { preferredNodeSelectors: [prefer(5, SSD)] };
    expect(attached(spec, spec).map((each) => Object.fromEntries(each.scores))).toEqual([
      { a: 5, b: 5 },
      { a: 5, b: 5 },
    ]);
  });
});
