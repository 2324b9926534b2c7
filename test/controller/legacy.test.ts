// The ConfigMap of MetalLB up to v0.12 at run time: what is read of it, and when its pools count beside IPAddressPools.

import { describe, expect, it } from 'vitest';
import type { IPAddressPool } from '../../src/config/resource.ts';
import type { PoolRecord } from '../../src/controller.ts';
import { type LegacyConfiguration, readLegacyConfigMap } from '../../src/k8s/legacy-config-map.ts';
import { LegacyPools } from '../../src/process/legacy-pools.ts';

const configMap = (config?: unknown) => {
  const metadata = { name: 'config', namespace: 'lb' };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: config === undefined ? {} : { config } };
};
const POOLS = `address-pools:
- {name: Main, protocol: layer2, addresses: [192.0.2.0/24]}
- {name: b, protocol: bgp, auto-assign: false, addresses: [198.51.100.0/24]}
`;

describe('the ConfigMap', () => {
  it('gives its pools as IPAddressPools', () => {
    const read = readLegacyConfigMap(configMap(POOLS));
    expect('pools' in read && read.pools).toMatchObject([
      { name: 'main', addresses: ['192.0.2.0/24'], autoAssign: true },
      { name: 'b', addresses: ['198.51.100.0/24'], autoAssign: false },
    ]);
  });

  it.each([undefined, 7, '# nothing', '{}'])('gives none where it holds %j', (config) => {
    expect(readLegacyConfigMap(configMap(config))).toEqual({ pools: [] });
  });

  it.each([
    ['peers: [', /^ConfigMap config: line 1: /],
    ['[]', 'ConfigMap config: the configuration must be a map: peers, address-pools, bgp-communities, bfd-profiles'],
    ['peers: [{my-asn: 1}]', 'ConfigMap config: peers[0].peer-asn: required'],
    ['address-pool: []', 'ConfigMap config: unknown key "address-pool"'],
  ])('%j is refused as a whole', (config, message) => {
    const read = readLegacyConfigMap(configMap(config));
    expect('invalid' in read && read.invalid.message).toEqual(
      message instanceof RegExp ? expect.stringMatching(message) : message,
    );
  });
});

describe('its pools', () => {
  const pool = (name: string): IPAddressPool => {
    return { name, labels: {}, addresses: ['192.0.2.0/24'], autoAssign: true, avoidBuggyIPs: false };
  };
  const stored = (...names: readonly string[]) =>
    new Map(names.map((name): [string, PoolRecord] => [`lb/${name}`, { pool: pool(name), status: undefined }]));
  const old: LegacyConfiguration = { pools: [pool('a'), pool('b')] };
  const made = () => {
    const said: unknown[] = [];
    const log = { info: (fields: object) => said.push(fields), warn: (fields: object) => said.push(fields) };
    const pools = new LegacyPools(log as never);
    const names = (own: ReturnType<typeof stored>, configuration: LegacyConfiguration | undefined = old) =>
      [...pools.beside(own, own.size === 0, configuration).values()].map((record) => record.pool.name);
    return { pools, names, said };
  };

  it('count where there is no IPAddressPool, and have no status to be written', () => {
    const { pools } = made();
    const records = [...pools.beside(stored(), true, old).values()];
    expect(records.map((record) => [record.pool.name, record.isStored])).toEqual([
      ['a', false],
      ['b', false],
    ]);
  });

  it('do not count where there were IPAddressPools before', () => {
    expect(made().names(stored('x'))).toEqual(['x']);
  });

  it('count until an IPAddressPool of their name is there, each for itself', () => {
    const { names } = made();
    expect(names(stored())).toEqual(['a', 'b']);
    expect(names(stored('a'))).toEqual(['a', 'b']);
    expect(names(stored('a', 'b'))).toEqual(['a', 'b']);
    // the resources are there: what is taken away of them now is gone
    expect(names(stored('a'))).toEqual(['a']);
  });

  it('do not count where there is an IPAddressPool that cannot be read', () => {
    expect([...made().pools.beside(stored(), false, old).keys()]).toEqual([]);
  });

  it('go with the ConfigMap', () => {
    const { names } = made();
    expect(names(stored())).toEqual(['a', 'b']);
    expect(names(stored(), { pools: [] })).toEqual([]);
  });

  it('are the same map while nothing changes, and none of their own where they do not count', () => {
    const { pools } = made();
    const none = stored();
    expect(pools.beside(none, true, old)).toBe(pools.beside(none, true, old));
    const own = stored('a', 'b');
    expect(pools.beside(own, false, old)).toBe(own);
  });

  it('are told when they begin to count, and when they end', () => {
    const { names, said } = made();
    names(stored());
    names(stored('a'));
    names(stored('a', 'b'));
    expect(said).toEqual([
      { op: 'setConfig', pools: ['a', 'b'] },
      { op: 'setConfig', pools: ['b'] },
      { op: 'setConfig', pools: [] },
    ]);
  });
});
