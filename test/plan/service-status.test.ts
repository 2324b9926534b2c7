// ServiceBGPStatus: what should stand, and the writes until it does; adopted after a restart, repaired after a hand edit.

import { describe, expect, it } from 'vitest';
import type { ApiObject } from '../../src/config/resource.ts';
import type { Plan, ServicePlan } from '../../src/plan/plan.ts';
import {
  BGP_STATUS,
  createStatusMemory,
  readStatus,
  type SeenStatus,
  type StatusContext,
  statusObject,
  statusSelector,
  statusWrites,
} from '../../src/plan/service-status.ts';
import { ip, prefix } from './cluster.ts';

const POD = { apiVersion: 'v1', kind: 'Pod', name: 'speaker-1', uid: 'pod-1' };
const CONTEXT: StatusContext = { of: BGP_STATUS, node: 'n1', namespace: 'metallb-system', owner: POD };
const LAYER2 = { layer2: { withheld: { reason: 'notOwner', message: '' } }, candidacies: [] } as const;

function announced(...peers: readonly string[]): ServicePlan {
  const prefixes = [prefix('203.0.113.1/32'), prefix('203.0.113.2/32')];
  return {
    ips: [ip('203.0.113.1'), ip('203.0.113.2')],
    pool: 'main',
    // each prefix to all but one of them
    bgp: {
      announced: prefixes.map((each, at) => ({
        prefix: each,
        peers: peers.filter((_, i) => i !== at || peers.length < 2),
      })),
    },
    ...LAYER2,
  };
}
const WITHHELD: ServicePlan = { ips: [], bgp: { withheld: { reason: 'noEndpoints', message: '' } }, ...LAYER2 };

function seen(object: object): ReadonlyMap<string, readonly SeenStatus[]> {
  return seenAll([object]);
}

function seenAll(objects: readonly object[]): ReadonlyMap<string, readonly SeenStatus[]> {
  const read = objects.map((object) => readStatus(BGP_STATUS, object as ApiObject));
  return Map.groupBy(read, ({ service }) => service);
}

const plan = (services: Record<string, ServicePlan>): Plan['services'] => new Map(Object.entries(services));
const writesFor = (
  services: Record<string, ServicePlan>,
  stands: ReadonlyMap<string, readonly SeenStatus[]> = new Map(),
  context = CONTEXT,
) => statusWrites(createStatusMemory(), plan(services), stands, context);

/** The object as MetalLB or we left it there. */
function object(name: string, more: { status?: object | undefined; owners?: readonly object[]; labels?: object } = {}) {
  const labels = {
    'metallb.io/node': 'n1',
    'metallb.io/service-name': 'web',
    'metallb.io/service-namespace': 'app',
    ...more.labels,
  };
  const metadata = {
    name,
    namespace: 'metallb-system',
    uid: `uid-${name}`,
    labels,
    ownerReferences: more.owners ?? [POD],
  };
  const status = { node: 'n1', serviceName: 'web', serviceNamespace: 'app', peers: ['tor-a', 'tor-b'] };
  return { ...{ apiVersion: 'metallb.io/v1beta1', kind: 'ServiceBGPStatus' }, metadata, status, ...more };
}

describe('a Service that is announced', () => {
  it('gets an object of the node, and then its peers, sorted and each once', () => {
    const [create, ...others] = writesFor({ 'app/web': announced('tor-b', 'tor-a') });
    expect(others).toEqual([]);
    if (create?.do !== 'create') expect.fail('nothing is created');
    expect(create.name).toMatch(/^bgp-[0-9a-f]{16}$/);
    const made = statusObject(create, CONTEXT);
    expect(made).toEqual({
      apiVersion: 'metallb.io/v1beta1',
      kind: 'ServiceBGPStatus',
      metadata: {
        ...{ name: create.name, namespace: 'metallb-system', ownerReferences: [POD] },
        labels: { 'metallb.io/node': 'n1', 'metallb.io/service-name': 'web', 'metallb.io/service-namespace': 'app' },
      },
    });
    expect(writesFor({ 'app/web': announced('tor-b', 'tor-a') }, seen({ ...made, status: undefined }))).toEqual([
      {
        do: 'patch-status',
        name: create.name,
        patch: { status: { node: 'n1', serviceName: 'web', serviceNamespace: 'app', peers: ['tor-a', 'tor-b'] } },
      },
    ]);
  });

  it('needs nothing after a restart, whatever the object is called', () => {
    expect(writesFor({ 'app/web': announced('tor-a', 'tor-b') }, seen(object('bgp-x7k2p')))).toEqual([]);
  });

  it('has its status mended when peers change or somebody edits it', () => {
    for (const peers of [['tor-a'], [], ['tor-b', 'tor-a'], undefined]) {
      const status = { node: 'n1', serviceName: 'web', serviceNamespace: 'app', peers };
      const writes = writesFor({ 'app/web': announced('tor-a', 'tor-b') }, seen(object('bgp-1', { status })));
      expect(writes).toMatchObject([
        { do: 'patch-status', name: 'bgp-1', patch: { status: { peers: ['tor-a', 'tor-b'] } } },
      ]);
    }
  });

  it('keeps owners of others beside our Pod', () => {
    const other = { apiVersion: 'v1', kind: 'Pod', name: 'speaker-0', uid: 'pod-0' };
    const stands = seen(object('bgp-1', { owners: [other] }));
    expect(writesFor({ 'app/web': announced('tor-a', 'tor-b') }, stands)).toEqual([
      { do: 'patch', name: 'bgp-1', patch: { metadata: { ownerReferences: [other, POD] } } },
    ]);
    // outside of a Pod there is nobody to own it
    const { owner: _, ...bare } = CONTEXT;
    expect(writesFor({ 'app/web': announced('tor-a', 'tor-b') }, stands, bare)).toEqual([]);
  });

  it('has one object: the others go, and so does one whose status names another Service for ever', () => {
    const status = { node: 'n1', serviceName: 'other', serviceNamespace: 'app', peers: ['tor-a', 'tor-b'] };
    const stands = seenAll([
      object('bgp-0', { status }),
      object('bgp-1', { status: undefined }),
      object('bgp-2'),
      object('bgp-3'),
    ]);
    expect(writesFor({ 'app/web': announced('tor-a', 'tor-b') }, stands)).toEqual([
      { do: 'delete', name: 'bgp-0', uid: 'uid-bgp-0' },
      { do: 'delete', name: 'bgp-1', uid: 'uid-bgp-1' },
      { do: 'delete', name: 'bgp-3', uid: 'uid-bgp-3' },
    ]);
  });
});

describe('a Service that is not', () => {
  it.each([
    ['withheld', { 'app/web': WITHHELD }],
    ['gone', {}],
  ])('because it is %s has no object', (_, services) => {
    expect(writesFor(services)).toEqual([]);
    expect(writesFor(services, seen(object('bgp-1')))).toEqual([{ do: 'delete', name: 'bgp-1', uid: 'uid-bgp-1' }]);
  });
});

describe('round after round', () => {
  it('a missing write is the same object until it is another one', () => {
    const memory = createStatusMemory();
    const services = plan({ 'app/web': announced('tor-a', 'tor-b'), 'app/dns': announced('tor-a') });
    const nothing = new Map();
    const first = statusWrites(memory, services, nothing, CONTEXT);
    expect(first).toHaveLength(2);
    const again = statusWrites(memory, new Map(services), nothing, CONTEXT);
    expect(again[0]).toBe(first[0]);
    expect(again[1]).toBe(first[1]);
    // another plan that comes to the same
    const same = plan({ 'app/web': announced('tor-a', 'tor-b'), 'app/dns': announced('tor-a') });
    expect(statusWrites(memory, same, nothing, CONTEXT)[0]).toBe(first[0]);
    expect(statusWrites(memory, same, seen(object('bgp-1')), CONTEXT)).toEqual([first[1]]);
  });

  it('all objects of the node are selected, and what is no status is as if it were not there', () => {
    expect(statusSelector('n1')).toBe('metallb.io/node=n1');
    for (const status of [undefined, null, 'x', { node: 5 }, { node: 'n1', serviceName: 'web' }])
      expect(
        readStatus(BGP_STATUS, object('bgp-1', { status: status as object }) as unknown as ApiObject).status,
      ).toBeUndefined();
  });
});
