// One term of a controller, between the tiny API and a queue that only keeps what it is handed: each write once, the
// counters in their pace, and a second look after a conflict.

import { beforeEach, describe, expect, it } from 'vitest';
import type { ApiObject } from '../../src/config/resource.ts';
import { createConfiguration } from '../../src/controller.ts';
import type { Target } from '../../src/k8s/api.ts';
import type { Happening } from '../../src/k8s/event.ts';
import type { Write } from '../../src/k8s/write.ts';
import { Session } from '../../src/process/session.ts';
import { StateObject } from '../../src/process/state-object.ts';
import { OPTIONS, pool, service, TinyApi } from '../controller/api.ts';
import { HandClock } from '../k8s/hand-clock.ts';

let api: TinyApi;
let clock: HandClock;
let handed: Write[];
let taken: Target[];
let told: Happening[];
let waits: number[];
let session: Session;

beforeEach(() => {
  api = new TinyApi().put(pool('p', ['192.0.2.0/30']), service('default/web'));
  clock = new HandClock();
  [handed, taken, told, waits] = [[], [], [], []];
  const queue = { want: (write: Write) => handed.push(write), unwant: (target: Target) => taken.push(target) };
  session = new Session({
    ...{ controller: OPTIONS, configuration: createConfiguration(OPTIONS) },
    queue,
    events: { emit: (happening) => told.push(happening) },
    services: { resourceVersion: () => '7' },
    state: new StateObject({
      ...{ queue, clock, isKnown: () => true },
      states: { get: () => undefined, resourceVersion: () => undefined },
      object: { name: 'controller', namespace: 'metallb-system', labels: {}, conditionType: 'poolReconcilerValid' },
    }),
    later: (ms) => waits.push(ms),
    clock,
  });
});

/** Carries out what was handed over last for a Service. */
const write = (key: string) => {
  const change = handed.findLast(({ target: { namespace, name } }) => `${namespace}/${name}` === key)?.change;
  if (change?.do === 'patch') api.edit(`Service ${key}`, change.patch);
};
const targets = () => handed.splice(0).map(({ target: { kind, name }, rank }) => `${kind.kind}/${name} ${rank}`);

describe('a session', () => {
  it('hands over each write once, addresses first, with the version that it saw', () => {
    session.round(api.seen());
    const [first] = handed;
    expect(first?.change).toMatchObject({ do: 'patch', onto: '7', patch: { status: { loadBalancer: {} } } });
    expect(targets()).toEqual(['Service/web first', 'IPAddressPool/p inform', 'ConfigurationState/controller inform']);
    session.round(api.seen());
    expect(targets()).toEqual([]);
  });

  it('tells of an address once it is in the status, and once', () => {
    expect(session.round(api.seen()).events).toEqual([]);
    expect(session.round(api.seen()).events).toEqual([]);
    expect(told).toEqual([]);
    write('default/web');
    expect(session.round(api.seen()).events).toMatchObject([
      { reason: 'IPAllocated', service: { key: 'default/web' } },
    ]);
    session.round(api.seen());
    expect(told).toEqual([
      {
        regarding: { apiVersion: 'v1', kind: 'Service', namespace: 'default', name: 'web', uid: 'uid of default/web' },
        ...{ type: 'Normal', reason: 'IPAllocated', message: 'Assigned IP ["192.0.2.0"]' },
      },
    ]);
  });

  it('tells of no address that was never written: neither of a Service that is gone, nor of one that changed', () => {
    api.put(service('default/gone'));
    session.round(api.seen());
    api.remove('Service', 'default/gone');
    api.edit('Service default/web', { metadata: { annotations: { 'metallb.io/address-pool': 'nope' } } });
    session.round(api.seen());
    write('default/web');
    session.round(api.seen());
    expect(told.map(({ reason, regarding }) => `${reason} ${regarding.name}`)).toEqual(['AllocationFailed web']);
  });

  it('takes back what is not missing any more', () => {
    session.round(api.seen());
    api.remove('Service', 'default/web');
    session.round(api.seen());
    expect(taken.map(({ name, subresource }) => `${name}/${subresource}`)).toEqual(['web/status']);
  });

  it('writes counters at most once in five seconds, and looks again after that', async () => {
    session.round(api.seen());
    expect(waits).toEqual([5_000]);
    targets();
    await clock.advance(4_400);
    api.put(service('default/other'));
    session.round(api.seen());
    expect(targets()).toEqual(['Service/other first']);
    expect(waits.at(-1)).toBe(600);
    await clock.advance(600);
    session.round(api.seen());
    expect(targets()).toEqual(['IPAddressPool/p inform']);
  });

  it('decides again on the object as it is after a conflict', () => {
    session.round(api.seen());
    const change = handed[0]?.change;
    if (change?.do !== 'patch') throw new Error('no patch');
    const live = api.objects.get('Service default/web') as ApiObject;
    expect(change.again(live)).toEqual(change.patch);
    const theirs = { type: 'example.com/Seen', status: 'True', reason: 'Seen', message: '' };
    const beside = change.again({ ...live, status: { conditions: [theirs] } });
    expect(beside).toMatchObject({
      status: { conditions: [theirs, { type: 'metallb.io/AddressAllocated', status: 'True' }] },
    });
    // another Service by now: what it gets is the next round's to say
    expect(change.again(service('default/web', { ports: [{ port: 81, protocol: 'TCP' }] }))).toBeUndefined();
    expect(change.again({ ...live, metadata: { ...live.metadata, uid: 'another' } })).toBeUndefined();
    expect(change.again(service('default/web', { ports: 'none' }))).toBeUndefined();
  });
});
