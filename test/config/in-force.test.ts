// The configuration in force: whole or not at all, the old one and the reason, and no parsing when nothing changed.

import { describe, expect, it } from 'vitest';
import { createKeeper, putInForce } from '../../src/config/in-force.ts';
import type { Resources } from '../../src/config/resource.ts';

const OPTIONS = { bgpType: 'unset', namespace: 'metallb-system', node: 'n1' } as const;

function pools(...addresses: readonly string[]): Resources {
  const named = { labels: {}, autoAssign: true, avoidBuggyIPs: false };
  return {
    pools: addresses.map((each, at) => ({ name: `p${at}`, addresses: [each], ...named })),
    ...{ peers: [], bgpAdvertisements: [], l2Advertisements: [], bfdProfiles: [], communities: [], secrets: [] },
    ...{ nodes: [], namespaces: [] },
  };
}

describe('a configuration', () => {
  it('that is refused leaves the old one in force, until one is accepted again', () => {
    const keeper = createKeeper(OPTIONS);
    const first = putInForce(keeper, pools('10.0.0.0/24'), undefined);
    expect(first.refused).toBeUndefined();
    expect(first.config?.pools).toHaveLength(1);
    const overlapping = putInForce(keeper, pools('10.0.0.0/24', '10.0.0.128/25'), undefined);
    expect(overlapping.config).toBe(first.config);
    expect(overlapping.refused).toContain('overlaps with already defined CIDR');
    const next = putInForce(keeper, pools('10.0.0.0/24', '10.0.1.0/24'), undefined);
    expect(next.refused).toBeUndefined();
    expect(next.config?.pools).toHaveLength(2);
  });

  it('with a resource that cannot be read is refused with that reason', () => {
    const keeper = createKeeper(OPTIONS);
    const problem = { rule: 'schema', message: 'spec.addresses: must be a list' };
    expect(putInForce(keeper, pools(), problem)).toEqual({ config: undefined, refused: problem.message });
    const { config } = putInForce(keeper, pools(), undefined);
    expect(config).toBeDefined();
    expect(putInForce(keeper, pools(), problem)).toEqual({ config, refused: problem.message });
  });

  it('is the same one while nothing changed', () => {
    const keeper = createKeeper(OPTIONS);
    const resources = pools('10.0.0.0/24');
    const { config } = putInForce(keeper, resources, undefined);
    expect(putInForce(keeper, resources, undefined).config).toBe(config);
  });
});
