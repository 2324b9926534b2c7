// Objects in our words: what keeps its identity, which event counts, what one unreadable object costs, and how the
// endpoints of a Service are gathered over its slices.

import { describe, expect, it } from 'vitest';
import { groupSlices } from '../../src/k8s/grouped.ts';
import { type EndpointSlice, readEndpointSlice, readService } from '../../src/k8s/resource.ts';
import { type Reader, Store, type Unreadable } from '../../src/k8s/store.ts';
import type { Service } from '../../src/plan/snapshot.ts';
import type { Json } from './fake-api.ts';

interface Kept<T extends object> {
  readonly store: Store<T>;
  readonly told: [string, Unreadable | undefined][];
  changes: number;
}

function keep<T extends object>(kind: string, read: Reader<T>, vital?: string): Kept<T> {
  const told: Kept<T>['told'] = [];
  const kept: Kept<T> = {
    told,
    changes: 0,
    store: new Store<T>({
      kind,
      apiVersion: 'v1',
      read,
      ...(vital !== undefined && { vital }),
      changed: () => kept.changes++,
      unreadable: (name, what) => told.push([name, what]),
    }),
  };
  return kept;
}

const raw = (name: string, version: number, more: Json = {}, uid = `uid of ${name}`): Json => ({
  metadata: { name, namespace: 'app', uid, resourceVersion: String(version), managedFields: [{ version }] },
  spec: { type: 'LoadBalancer', ...more },
});

const services = () => keep<Service>('Service', readService);

describe('a store', () => {
  it('keeps the identity of what did not change for us, and of the whole', () => {
    const kept = services();
    kept.store.put(raw('a', 1));
    kept.store.put(raw('b', 2));
    const [map, a] = [kept.store.map(), kept.store.get('app/a')];
    kept.store.put(raw('a', 3));
    expect(kept.store.map()).toBe(map);
    expect(kept.store.resourceVersion('app/a')).toBe('3');
    expect(kept.changes).toBe(2);
    kept.store.put(raw('b', 4, { type: 'ClusterIP' }));
    expect(kept.changes).toBe(3);
    expect(kept.store.map()).not.toBe(map);
    expect(kept.store.map().get('app/a')).toBe(a);
    expect(kept.store.map().get('app/b')?.type).toBe('ClusterIP');
    expect(map.get('app/b')?.type).toBe('LoadBalancer');
  });

  it('does not go back to an older version, however long its number', () => {
    const { store } = services();
    store.put(raw('a', 100, { type: 'ClusterIP' }));
    store.put(raw('a', 99));
    expect(store.get('app/a')?.type).toBe('ClusterIP');
    store.put({
      ...raw('a', 0),
      metadata: { ...(raw('a', 0)['metadata'] as Json), resourceVersion: '1000000000000000000000' },
    });
    expect(store.get('app/a')?.type).toBe('LoadBalancer');
    store.put(raw('a', 9_999, { type: 'ClusterIP' }));
    expect(store.get('app/a')?.type).toBe('LoadBalancer');
  });

  it('takes a namesake for another object, and ignores that the first one went', () => {
    const { store } = services();
    store.put(raw('a', 10, {}, 'first'));
    const first = store.get('app/a');
    store.put(raw('a', 12, {}, 'second'));
    expect(store.get('app/a')).not.toBe(first);
    store.remove(raw('a', 11, {}, 'first'));
    expect(store.get('app/a')?.uid).toBe('second');
    store.remove(raw('a', 13, {}, 'second'));
    expect(store.map().size).toBe(0);
  });

  it('is not brought back to a removed object by the late answer to a write, but by a new version of it', () => {
    const kept = services();
    kept.store.put(raw('a', 1));
    kept.store.remove(raw('a', 5));
    kept.store.put(raw('a', 4));
    kept.store.put(raw('a', 5));
    expect(kept.store.size).toBe(0);
    // it left what we select and came into it again: the same object, later
    kept.store.put(raw('a', 6));
    expect(kept.store.resourceVersion('app/a')).toBe('6');
    // one that we had never seen
    kept.store.remove(raw('b', 9));
    kept.store.put(raw('b', 8));
    expect(kept.store.get('app/b')).toBeUndefined();
    // a namesake is another object
    kept.store.put(raw('b', 3, {}, 'uid of the next'));
    expect(kept.store.resourceVersion('app/b')).toBe('3');
  });

  it('tells followers in order, and of all that is there when they come', () => {
    const { store } = services();
    store.put(raw('a', 1));
    const seen: string[] = [];
    store.follow((key, before, after) => seen.push(`${key} ${before?.type ?? '-'} ${after?.type ?? '-'}`));
    store.put(raw('a', 2, { type: 'ClusterIP' }));
    store.put(raw('b', 3));
    store.remove(raw('a', 4));
    expect(seen).toEqual([
      'app/a - LoadBalancer',
      'app/a LoadBalancer ClusterIP',
      'app/b - LoadBalancer',
      'app/a ClusterIP -',
    ]);
  });

  it('does not believe a relist without the object on which everything depends', () => {
    const { store } = keep<Service>('Service', readService, 'app/vital');
    for (const name of ['a', 'b', 'vital']) store.put(raw(name, 1));
    const relist = (...names: readonly string[]) => {
      const list = store.relist();
      for (const name of names) list.put(raw(name, 1));
      return list.commit(false);
    };
    expect(relist('a', 'vital').guarded).toBe(false);
    expect(relist('a').guarded).toBe(true);
    expect([...store.map().keys()].sort()).toEqual(['app/a', 'app/vital']);
    store.settle();
    expect([...store.map().keys()]).toEqual(['app/a']);
    store.put(raw('vital', 2));
    store.remove(raw('vital', 3));
    expect(store.get('app/vital')).toBeUndefined();
  });

  it('reports what it cannot read by name, once, and goes on with all else', () => {
    const kept = services();
    kept.store.put(raw('good', 1));
    kept.store.put(raw('bad', 2, { type: 7 }));
    kept.store.put(raw('bad', 3, { type: 7 }));
    expect(kept.told).toMatchObject([
      ['app/bad', { kind: 'Service', namespace: 'app', name: 'bad', invalid: { field: 'spec.type' } }],
    ]);
    expect([...kept.store.map().keys()]).toEqual(['app/good']);
    expect([kept.store.size, kept.store.unreadable.length]).toEqual([2, 1]);
    kept.store.put(raw('bad', 4));
    expect(kept.told.at(-1)).toEqual(['app/bad', undefined]);
    expect(kept.store.map().size).toBe(2);
    kept.store.put(raw('bad', 5, { ports: [{}] }));
    expect(kept.store.map().size).toBe(1);
    kept.store.remove(raw('bad', 6));
    expect(kept.told.at(-1)).toEqual(['app/bad', undefined]);
    expect(kept.store.unreadable).toEqual([]);
  });

  it.each([undefined, 7, 'x', {}, { metadata: {} }, { metadata: { name: 3 } }, []])('passes over %j', (nonsense) => {
    const { store } = services();
    store.put(nonsense);
    store.remove(nonsense);
    const relist = store.relist();
    relist.put(nonsense);
    expect(relist.commit(false)).toEqual({ guarded: false, known: 0, vanished: 0 });
  });

  it('is another when what cannot be read comes, changes and goes', () => {
    const kept = keep<Service>('Service', () => ({ invalid: { rule: 'schema', message: 'no' } }));
    kept.store.put(raw('a', 1));
    expect(kept.changes).toBe(1);
    kept.store.put(raw('a', 2));
    expect(kept.changes).toBe(1);
    kept.store.remove(raw('a', 3));
    expect(kept.changes).toBe(2);
    expect(kept.store.unreadable).toEqual([]);
  });

  it('survives a reader with a bug, and says where it is', () => {
    const kept = keep<{ name: string }>('Service', () => {
      throw new RangeError('oops');
    });
    kept.store.put(raw('a', 1));
    expect(kept.told[0]?.[1]?.invalid.message).toMatch(/a bug in its reader: RangeError: oops/);
  });

  it('takes a whole list at once: what is in it and not before, what changed, what is gone', () => {
    const kept = services();
    for (const name of ['a', 'b', 'c']) kept.store.put(raw(name, 1));
    const a = kept.store.get('app/a');
    const relist = kept.store.relist();
    relist.put(raw('a', 1));
    relist.put(raw('b', 7, { type: 'ClusterIP' }));
    relist.put(raw('d', 8));
    relist.put(raw('e', 9));
    relist.remove(raw('e', 10));
    expect([...kept.store.map().keys()]).toEqual(['app/a', 'app/b', 'app/c']);
    expect(relist.commit(false)).toEqual({ guarded: false, known: 3, vanished: 1 });
    expect([...kept.store.map().keys()].sort()).toEqual(['app/a', 'app/b', 'app/d']);
    expect(kept.store.get('app/a')).toBe(a);
    expect(kept.store.get('app/b')?.type).toBe('ClusterIP');
  });

  it.each([
    [20, 10, false],
    [20, 11, true],
    [9, 9, false],
    [10, 10, true],
    [19, 10, true],
    [1_000, 500, false],
  ])('of %i objects without %i is doubted: %s', (known, missing, guarded) => {
    const { store } = services();
    for (let i = 0; i < known; i++) store.put(raw(`s${i}`, 1));
    const list = () => {
      const relist = store.relist();
      for (let i = missing; i < known; i++) relist.put(raw(`s${i}`, 1));
      return relist;
    };
    expect(list().commit(false).guarded).toBe(guarded);
    expect(store.map().size).toBe(guarded ? known : known - missing);
    expect(store.doubtful).toBe(guarded ? missing : 0);
    if (!guarded) return;
    store.put(raw('s0', 2));
    expect(store.doubtful).toBe(missing - 1);
    expect(list().commit(true).guarded).toBe(false);
    expect(store.map().size).toBe(known - missing);
  });
});

describe('endpoints over slices', () => {
  const slice = (name: string, of: string, address: string, version = 1): Json => ({
    metadata: {
      name,
      namespace: 'app',
      uid: name,
      resourceVersion: String(version),
      labels: { 'kubernetes.io/service-name': of },
    },
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
  });
  const addresses = (group: ReturnType<typeof groupSlices>, key: string) =>
    group
      .map()
      .get(key)
      ?.flatMap((endpoint) => endpoint.addresses);

  it('are merged by Service, in the order of the slices, and remade only where one changed', () => {
    const { store } = keep<EndpointSlice>('EndpointSlice', readEndpointSlice);
    store.put(slice('z', 'web', '10.0.0.9'));
    const group = groupSlices(store);
    store.put(slice('a', 'web', '10.0.0.1'));
    store.put(slice('c', 'other', '10.0.1.1'));
    expect(addresses(group, 'app/web')).toEqual(['10.0.0.1', '10.0.0.9']);
    const [all, web] = [group.map(), group.map().get('app/web')];
    store.put(slice('a', 'web', '10.0.0.1', 2));
    expect(group.map()).toBe(all);
    store.put(slice('c', 'other', '10.0.1.2', 2));
    expect(group.map()).not.toBe(all);
    expect(group.map().get('app/web')).toBe(web);
    store.put(slice('a', 'other', '10.0.0.1', 3));
    expect(addresses(group, 'app/web')).toEqual(['10.0.0.9']);
    expect(addresses(group, 'app/other')).toEqual(['10.0.0.1', '10.0.1.2']);
    store.remove(slice('z', 'web', '', 4));
    expect(group.map().has('app/web')).toBe(false);
  });
});
