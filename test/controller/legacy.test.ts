// The ConfigMap of MetalLB up to v0.12 at run time: what is read of it, and when its pools count beside IPAddressPools.

import { describe, expect, it } from 'vitest';
import type { IPAddressPool } from '../../src/config/resource.ts';
import { control, createController, type PoolRecord } from '../../src/controller.ts';
import { type LegacyConfiguration, readLegacyConfigMap } from '../../src/k8s/legacy-config-map.ts';
import { faultOf } from '../../src/k8s/store.ts';
import { ControllerCaches } from '../../src/process/controller-caches.ts';
import { type LegacyGrounds, LegacyPools } from '../../src/process/legacy-pools.ts';
import { Door, service as webService } from '../k8s/door.ts';
import { service } from '../plan/cluster.ts';

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

  it('has keys as they are written', () => {
    const read = readLegacyConfigMap(configMap(`${POOLS}bgp-communities: {y: "1:1"}\nyes: {}\n`));
    expect('invalid' in read && read.invalid.message).toBe('unknown key "yes"');
  });

  it.each([undefined, 7, '# nothing', '{}'])('gives none where it holds %j', (config) => {
    expect(readLegacyConfigMap(configMap(config))).toEqual({ pools: [] });
  });

  it.each([
    ['peers: [', /^line 1: /],
    ['[]', 'the configuration must be a map: peers, address-pools, bgp-communities, bfd-profiles'],
    ['peers: [{my-asn: 1}]', 'peers[0].peer-asn: required'],
    ['address-pool: []', 'unknown key "address-pool"'],
    [
      POOLS.replace('198.51.100.0/24', '192.0.2.128/25'),
      'CIDR "192.0.2.128/25" in pool "b" overlaps with already defined CIDR "192.0.2.0/24"',
    ],
  ])('%j is refused as a whole', (config, message) => {
    const read = readLegacyConfigMap(configMap(config));
    const invalid = 'invalid' in read ? read.invalid : expect.fail('it was read');
    expect(invalid.message).toEqual(message instanceof RegExp ? expect.stringMatching(message) : message);
    // the ConfigMap is named once, by who tells it
    const told = faultOf({ kind: 'ConfigMap', namespace: 'lb', name: 'config', invalid });
    expect(told.message).toBe(`ConfigMap config: ${invalid.message}`);
  });
});

describe('its pools', () => {
  const pool = (name: string, address = ''): IPAddressPool => {
    const addresses = [address || (name === 'a' ? '192.0.2.0/24' : '198.51.100.0/24')];
    return { name, labels: {}, addresses, autoAssign: true, avoidBuggyIPs: false };
  };
  const stored = (...pools: readonly (string | IPAddressPool)[]) =>
    new Map(
      pools
        .map((each) => (typeof each === 'string' ? pool(each, '203.0.113.0/24') : each))
        .map((each): [string, PoolRecord] => [`lb/${each.name}`, { pool: each, status: undefined }]),
    );
  /** A Service with an address of each pool that is named. */
  const on = (...names: readonly string[]): LegacyGrounds['services'] =>
    new Map(
      names.map((name) => {
        const held = service(`app/on-${name}`, { ingress: [{ ip: '192.0.2.1' }], allocatedFromPool: name });
        return [held.key, { service: held, ingress: [], conditions: [] }];
      }),
    );
  const old: LegacyConfiguration = { pools: [pool('a'), pool('b')] };
  const made = () => {
    const said: unknown[] = [];
    const log = { info: (fields: object) => said.push(fields), warn: (fields: object) => said.push(fields) };
    const pools = new LegacyPools(log as never, 'lb');
    const beside = (own: ReturnType<typeof stored>, more: Partial<LegacyGrounds> = {}) =>
      pools.beside({ stored: own, isEmpty: own.size === 0, configuration: old, services: new Map(), ...more });
    const names = (...given: Parameters<typeof beside>) =>
      [...beside(...given).values()].map((record) => record.pool.name);
    return { beside, names, said };
  };

  it('count where there is no IPAddressPool, and have no status to be written', () => {
    const records = [...made().beside(stored()).values()];
    expect(records.map((record) => [record.pool.name, record.pool.autoAssign, record.isStored])).toEqual([
      ['a', true, false],
      ['b', true, false],
    ]);
  });

  it('do not count beside IPAddressPools where no Service has an address of them', () => {
    expect(made().names(stored('x'))).toEqual(['x']);
    const pending = service('app/web', { allocatedFromPool: 'b' });
    const services = new Map([[pending.key, { service: pending, ingress: [], conditions: [] }]]);
    expect(made().names(stored('x'), { services })).toEqual(['x']);
  });

  it('count while a Service has an address of them and no IPAddressPool has their name, whoever asks first', () => {
    const services = on('a', 'b');
    const { names, beside } = made();
    expect(names(stored(), { services })).toEqual(['a', 'b']);
    expect(names(stored('a'), { services })).toEqual(['a', 'b']);
    // a controller that takes over now remembers nothing
    const [, taken] = [...made().beside(stored('a'), { services }).values()];
    expect(taken).toMatchObject({ pool: { name: 'b', addresses: ['198.51.100.0/24'] }, isStored: false });
    // and it gives nothing out by itself any more
    expect(taken?.pool.autoAssign).toBe(false);
    const own = stored('a', 'b');
    expect(beside(own, { services })).toBe(own);
    expect(names(stored('a'), { services: on('a') })).toEqual(['a']);
  });

  it('leave to an IPAddressPool of another name the addresses that it has', () => {
    const services = on('a', 'b');
    const rest = (...entries: readonly string[]) => {
      const others = entries.map((entry, at) => pool(`new-${at}`, entry));
      const records = [
        ...made()
          .beside(stored(...others), { services })
          .values(),
      ];
      return records.filter(({ isStored }) => isStored === false).flatMap((record) => record.pool.addresses);
    };
    expect(rest('192.0.2.0/24')).toEqual(['198.51.100.0/24']);
    expect(rest('192.0.2.0/24', '198.51.0.0/16')).toEqual([]);
    expect(rest('192.0.2.16/28', '192.0.2.8-192.0.2.20')).toEqual([
      '192.0.2.0-192.0.2.7',
      '192.0.2.32-192.0.2.255',
      '198.51.100.0/24',
    ]);
    expect(rest('garbage')).toEqual(['192.0.2.0/24', '198.51.100.0/24']);
  });

  it('of which a Service has an address keep it through a change of leader in the middle', () => {
    const [first, second] = [pool('a'), pool('b')];
    const held = service('app/web', { ingress: [{ ip: '198.51.100.7' }], allocatedFromPool: 'b' });
    const services = new Map([[held.key, { service: held, ingress: [{ ip: '198.51.100.7' }], conditions: [] }]]);
    const round = (own: ReturnType<typeof stored>) => {
      const options = { namespace: 'lb', bgpType: 'unset', settings: { ignoreExcludeLabel: false } } as const;
      const pools = made().beside(own, { services });
      const seen = { services, pools, unreadable: new Set<string>(), others: new Map(), namespaces: new Map() };
      const { allocations, refused } = control(createController(options), { ...seen, problems: [] }, 'now');
      const { ips, pool: from } = allocations.services.get(held.key) ?? {};
      return [refused, ips?.join(), from];
    };
    expect(round(stored(first))).toEqual([undefined, '198.51.100.7', 'b']);
    expect(round(stored(first, second))).toEqual([undefined, '198.51.100.7', 'b']);
    expect(round(stored(first, { ...second, name: 'other' }))).toEqual([undefined, '198.51.100.7', 'other']);
  });

  it('do not count where there is an IPAddressPool that cannot be read', () => {
    expect([...made().beside(stored(), { isEmpty: false }).keys()]).toEqual([]);
  });

  it('go with the ConfigMap', () => {
    const { names } = made();
    expect(names(stored())).toEqual(['a', 'b']);
    expect(names(stored(), { configuration: { pools: [] } })).toEqual([]);
  });

  it('are the same map while nothing changes that concerns them, and none of their own where they do not count', () => {
    const { beside } = made();
    const none = stored();
    expect(beside(none)).toBe(beside(none));
    const own = stored('a');
    expect(beside(own, { services: on('a', 'b') })).toBe(beside(own, { services: on('b') }));
    expect(beside(own, { services: on('a') })).toBe(own);
  });

  it('are told when they begin to count, and when they end', () => {
    const { names, said } = made();
    const services = on('a', 'b');
    names(stored(), { services });
    names(stored('a'), { services });
    names(stored('a', 'b'), { services });
    expect(said).toEqual([
      { op: 'setConfig', pools: ['a', 'b'] },
      { op: 'setConfig', pools: ['b'] },
      { op: 'setConfig', pools: [] },
    ]);
  });
});

describe('a controller that starts', () => {
  const PATHS = ['services', 'namespaces', 'configmaps'].map((plural) => `api/v1/${plural}`);
  const OURS = ['ipaddresspools', 'communities', 'configurationstates'].map(
    (plural) => `apis/metallb.io/v1beta1/${plural}`,
  );
  const denied = (query: { readonly path: string }) => query.path.endsWith('/configmaps');
  const until = async (door: Door, what: string, ask: () => boolean) => door.pass(what, ask, 50);

  it.each([
    ['waits for it where a Service has an address of a pool that no IPAddressPool is', 503, 'second', false],
    ['does not where all of them are there', 503, 'first', true],
    ['does not where it may not read it', 403, 'second', true],
  ])('%s', async (_, status, from, isSynced) => {
    const door = await new Door(...PATHS, ...OURS).open();
    try {
      const metadata = { name: 'web', namespace: 'app', annotations: { 'metallb.io/ip-allocated-from-pool': from } };
      const loadBalancer = { ingress: [{ ip: '198.51.100.7' }] };
      door.fake.put('api/v1/services', { ...webService('web'), metadata, status: { loadBalancer } });
      const first = { metadata: { name: 'first', namespace: 'lb' }, spec: { addresses: ['192.0.2.0/24'] } };
      door.fake.put('apis/metallb.io/v1beta1/ipaddresspools', first);
      door.fake.fail(denied, { status }, 1_000);
      const log = { info: () => undefined, warn: () => undefined };
      const caches = new ControllerCaches({
        ...{ api: door.api, namespace: 'lb', stateName: 'controller', changed: () => undefined, clock: door.clock },
        ...{ tell: () => undefined, log: log as never },
      });
      const { services, pools, communities, namespaces, legacy } = caches;
      const kinds = [services, pools, communities, namespaces, legacy];
      for (const each of kinds) each.relist(door.signal);
      const others = [services, pools, communities, namespaces];
      await until(door, 'all else is read', () => others.every(({ synced }) => synced));
      await until(door, 'it is refused', () => legacy.state?.problem !== undefined);
      expect(caches.synced).toBe(isSynced);
      door.fake.mend();
      await until(door, 'it is read', () => legacy.synced && caches.synced);
    } finally {
      await door.close();
    }
  });
});
