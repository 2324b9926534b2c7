// The plan of one node over random changes: what is kept from the plan before must never show. And what is kept, is.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { type Allocations, allocate } from '../../src/plan/allocate.ts';
import { createElection } from '../../src/plan/elect.ts';
import { createMemory, type Plan, plan } from '../../src/plan/plan.ts';
import type { Endpoint, Node, Service, Snapshot } from '../../src/plan/snapshot.ts';
import { announcementsOf, serviceViews, whyText } from '../../src/plan/status.ts';
import {
  bgpAdvertisement,
  config,
  endpoint,
  l2Advertisement,
  labelled,
  node,
  peer,
  pool,
  service,
  snapshot,
} from './cluster.ts';

const NODES = ['n1', 'n2', 'n3'];
const team = { serviceSelectors: [labelled({ team: 'x' })] };
const standard = (value: number) => ({ is: 'standard', value }) as const;

const configurations: readonly Config[] = [
  config(
    [
      pool('a', ['10.0.0.0/29', '1::/120'], {
        bgpAdvertisements: [
          bgpAdvertisement('agg', NODES, {
            aggregationLength: 30,
            aggregationLengthV6: 124,
            communities: [standard(7)],
          }),
          bgpAdvertisement('some', ['n1', 'n3'], { peers: ['tor-a'], localPref: 50, communities: [standard(9)] }),
        ],
        l2Advertisements: [
          l2Advertisement('l2', ['n1', 'n2']),
          l2Advertisement('l2-team', NODES, { ...team, interfaces: ['eth1'] }),
        ],
      }),
      pool('b', ['10.0.1.0/29'], { bgpAdvertisements: [bgpAdvertisement('team', NODES, team)] }),
    ],
    [peer('tor-a', '192.0.2.1'), peer('tor-b', '192.0.2.2', { dualStack: true })],
  ),
  config(
    [
      pool('a', ['10.0.0.0/28', '1::/120'], {
        bgpAdvertisements: [
          bgpAdvertisement('gold', NODES, { ...team, localPref: 200 }),
          bgpAdvertisement('silver', ['n1'], { localPref: 100, serviceSelectors: [labelled({ class: 's' })] }),
        ],
        l2Advertisements: [l2Advertisement('l2', NODES, { scores: new Map([['n2', 10]]) })],
      }),
    ],
    [peer('tor-a', '192.0.2.1'), peer('six', '2001:db8::1', { nodeSelectors: [labelled({ rack: 'a' })] })],
  ),
  config([], []),
];

type Change =
  | { readonly put: Partial<Service>; readonly at: number }
  | { readonly remove: number }
  | { readonly endpoints: readonly Endpoint[]; readonly at: number }
  | { readonly node: Node }
  | { readonly forget: string }
  | { readonly configure: number };

const kinds: fc.Arbitrary<Partial<Service>> = fc.record(
  {
    labels: fc.constantFrom({ team: 'x' }, { class: 's' }, { team: 'x', class: 's' }),
    trafficPolicy: fc.constantFrom('Cluster', 'Local'),
    sharingKey: fc.constant('k'),
    clusterFamilies: fc.constantFrom(['ipv4'], ['ipv6'], ['ipv4', 'ipv6']),
    ports: fc.constantFrom([{ protocol: 'TCP', port: 80 }], [{ protocol: 'TCP', port: 81 }]),
    type: fc.constantFrom('LoadBalancer', 'LoadBalancer', 'NodePort'),
  },
  { requiredKeys: [] },
);
const where = fc.array(fc.tuple(fc.constantFrom(...NODES), fc.boolean()), { maxLength: 2 });
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ put: kinds, at: fc.nat(6) }) },
  { weight: 2, arbitrary: fc.record({ remove: fc.nat(6) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      endpoints: where.map((all) => all.map(([name, canServe]) => endpoint('10.9.9.9', name, canServe))),
      at: fc.nat(6),
    }),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({
        name: fc.constantFrom(...NODES),
        networkUnavailable: fc.boolean(),
        excluded: fc.boolean(),
        rack: fc.boolean(),
      })
      .map(({ name, rack, ...more }) => ({ node: node(name, { ...more, labels: rack ? { rack: 'a' } : {} }) })),
  },
  { weight: 1, arbitrary: fc.constantFrom(...NODES).map((forget) => ({ forget })) },
  { weight: 1, arbitrary: fc.nat(configurations.length - 1).map((configure) => ({ configure })) },
);

function apply(before: Snapshot, change: Change): Snapshot {
  const [services, endpoints, nodes] = [new Map(before.services), new Map(before.endpoints), new Map(before.nodes)];
  if ('put' in change) services.set(`ns/s${change.at}`, service(`ns/s${change.at}`, change.put));
  else if ('remove' in change) services.delete(`ns/s${change.remove}`);
  else if ('endpoints' in change) endpoints.set(`ns/s${change.at}`, change.endpoints);
  else if ('node' in change) nodes.set(change.node.name, change.node);
  else if ('forget' in change) nodes.delete(change.forget);
  const next = 'configure' in change ? configurations[change.configure] : before.config;
  return { ...before, config: next, services, endpoints, nodes };
}

/** All of a plan, as plain data in one order. */
const plain = (each: Plan) => ({
  ...each,
  services: [...each.services],
  layer2: each.layer2.map((claim) => JSON.stringify(claim)).sort(),
  routes: [...each.routes].map(([name, wanted]) => [name, [...wanted].sort(([a], [b]) => (a < b ? -1 : 1))]),
});

describe('plans that follow one another', () => {
  it('are what they would be from nothing', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const memories = new Map(NODES.map((name) => [name, createMemory()]));
        const shared = createElection();
        let now = snapshot(configurations[0] ?? config([]), [], { nodes: NODES.map((name) => node(name)) });
        let allocations: Allocations | undefined;
        for (const each of changes) {
          now = apply(now, each);
          allocations = allocate(now, allocations);
          const settled = { ...now, allocated: allocations.services };
          const owners = new Set<string>();
          for (const name of NODES) {
            const followed = plan(settled, name, memories.get(name));
            expect(plain(followed)).toEqual(plain(plan(settled, name, createMemory(shared))));
            for (const claim of followed.layer2) {
              // one owner for each address
              expect(owners.has(`${claim.service} ${claim.ip}`)).toBe(false);
              owners.add(`${claim.service} ${claim.ip}`);
            }
          }
        }
      }),
      { seed: 1918, numRuns: 150 },
    );
  });

  const cluster = (services: readonly Service[]) =>
    snapshot(configurations[0] ?? config([]), services, {
      nodes: NODES.map((name) => node(name)),
      endpoints: Object.fromEntries(services.map(({ key }) => [key, [endpoint('10.9.9.9', 'n1')]])),
    });
  const held = (name: string, ip: string, more: Partial<Service> = {}) => service(name, { ingress: [{ ip }], ...more });

  it('are the same object when nothing changed, and keep the routes that did not change', () => {
    const memory = createMemory();
    const services = [held('ns/a', '10.0.0.1'), held('ns/b', '10.0.0.2')];
    const before = cluster(services);
    const first = plan(before, 'n1', memory);
    expect(plan({ ...before, services: new Map(before.services), nodes: new Map(before.nodes) }, 'n1', memory)).toBe(
      first,
    );
    // a label that no advertisement asks for
    const labelled = new Map(before.services).set('ns/b', held('ns/b', '10.0.0.2', { labels: { other: 'y' } }));
    const second = plan({ ...before, services: labelled }, 'n1', memory);
    expect(second).not.toBe(first);
    expect(second.routes).toBe(first.routes);
    expect(second.services.get('ns/a')).toBe(first.services.get('ns/a'));
  });

  it('give one map of routes to sessions that are told the same, and one object for equal attributes', () => {
    const peers = [peer('x', '192.0.2.1'), peer('y', '192.0.2.2'), peer('z', '192.0.2.3', { dualStack: true })];
    const advertisements = [bgpAdvertisement('one', NODES), bgpAdvertisement('two', NODES, { aggregationLength: 24 })];
    const pools = [pool('a', ['10.0.0.0/24'], { bgpAdvertisements: advertisements })];
    const { routes } = plan({ ...cluster([held('ns/a', '10.0.0.1')]), config: config(pools, peers) }, 'n1');
    expect(routes.get('x')).toBe(routes.get('y'));
    expect(routes.get('z')).not.toBe(routes.get('y'));
    const [first, second] = routes.get('x')?.values() ?? [];
    expect(first).toBeDefined();
    expect(first).toBe(second);
  });

  it('keep an aggregate until the last Service in it is gone', () => {
    const memory = createMemory();
    const [a, b] = [held('ns/a', '10.0.0.1'), held('ns/b', '10.0.0.2')];
    const prefixes = (services: readonly Service[]) => [
      ...(plan(cluster(services), 'n2', memory).routes.get('tor-b')?.keys() ?? []),
    ];
    expect(prefixes([a, b])).toEqual(['10.0.0.0/30']);
    expect(prefixes([b])).toEqual(['10.0.0.0/30']);
    expect(prefixes([])).toEqual([]);
  });

  it('say what is wrong with addresses in status', () => {
    const of = (ingress: Service['ingress']) => {
      const only = plan(cluster([service('ns/a', { ingress })]), 'n1').services.get('ns/a') ?? expect.fail('no plan');
      return [only.bgp, only.layer2].map((each) => ('withheld' in each ? each.withheld.reason : 'announced'));
    };
    expect(of([])).toEqual(['noIPAllocated', 'noIPAllocated']);
    expect(of([{ ip: '10.0.0.1' }, { hostname: 'x.example' }])).toEqual(['invalidIP', 'invalidIP']);
    expect(of([{ ip: '10.0.0.256' }])).toEqual(['invalidIP', 'invalidIP']);
    expect(of([{ ip: '10.9.0.1' }])).toEqual(['ipNotAllowed', 'ipNotAllowed']);
    expect(of([{ ip: '10.0.0.1' }, { ip: '10.0.1.1' }])).toEqual(['ipNotAllowed', 'ipNotAllowed']);
    // n2 is before n1 by the hash of this address
    expect(of([{ ip: '10.0.0.1' }, { ip: '1::0001' }])).toEqual(['announced', 'notOwner']);
  });

  it('are empty without a configuration', () => {
    const nothing = plan(
      { ...cluster([held('ns/a', '10.0.0.1'), service('ns/b', { type: 'ClusterIP' })]), config: undefined },
      'n1',
    );
    expect([nothing.peers, [...nothing.routes], nothing.layer2]).toEqual([[], [], []]);
    expect([...nothing.services.keys()]).toEqual(['ns/a']);
    expect(nothing.services.get('ns/a')?.bgp).toMatchObject({ withheld: { reason: 'noConfiguration' } });
  });

  it('ignore avoidBuggyIPs for what was given already', () => {
    const pools = [
      pool('a', ['10.0.0.0/24'], { avoidBuggyIPs: true, bgpAdvertisements: [bgpAdvertisement('x', ['n1'])] }),
    ];
    const { routes } = plan(
      { ...cluster([held('ns/a', '10.0.0.0')]), config: config(pools, [peer('tor', '192.0.2.1')]) },
      'n1',
    );
    expect([...(routes.get('tor')?.keys() ?? [])]).toEqual(['10.0.0.0/32']);
  });

  it('announce nothing from a node that has no Node object, whatever the advertisements say', () => {
    const memory = createMemory();
    const seen = cluster([held('ns/a', '10.0.0.1')]);
    expect(plan(seen, 'n1', memory).services.get('ns/a')?.bgp).toHaveProperty('announced');
    const gone = plan({ ...seen, nodes: new Map([['n2', node('n2')]]) }, 'n1', memory);
    expect(gone.services.get('ns/a')).toMatchObject({
      bgp: { withheld: { reason: 'notOwner', message: 'the cluster has no Node "n1"' } },
      layer2: { withheld: { reason: 'notOwner', message: 'node n2 answers for it' } },
    });
    expect([...gone.routes.values()].map(({ size }) => size)).toEqual([0, 0]);
    // it is told who may answer in its place, and hands over
    expect(gone.candidacies).toMatchObject([{ ip: '10.0.0.1', candidates: [{ node: 'n2' }] }]);
    expect(plan(seen, 'n1', memory).services.get('ns/a')?.bgp).toHaveProperty('announced');
  });

  it('announce from excluded nodes when told to ignore the label', () => {
    const excluded = {
      ...cluster([held('ns/a', '10.0.0.1')]),
      nodes: new Map([['n1', node('n1', { excluded: true })]]),
    };
    const result = (ignoreExcludeLabel: boolean) => {
      const { bgp, layer2 } =
        plan({ ...excluded, settings: { ignoreExcludeLabel } }, 'n1').services.get('ns/a') ?? expect.fail();
      return ['announced' in bgp, 'announced' in layer2];
    };
    expect([result(false), result(true)]).toEqual([
      [false, false],
      [true, true],
    ]);
  });
});

describe('views', () => {
  it('show Services of a speaker from its plan, of a controller from its allocations', () => {
    const services = [service('ns/a', { ingress: [{ ip: '10.0.0.1' }] }), service('ns/none')];
    const now = snapshot(configurations[0] ?? config([]), services, {
      nodes: [node('n1')],
      endpoints: { 'ns/a': [endpoint('10.9.9.9', 'n1')] },
    });
    const planned = plan(now, 'n1');
    expect(serviceViews(undefined, [planned], ['bgp', 'layer2'])).toMatchObject([
      {
        ...{ service: 'ns/a', ips: ['10.0.0.1'], pool: 'a', reason: '' },
        announced: [
          { protocol: 'bgp', by: 'n1' },
          { protocol: 'layer2', by: 'n1' },
        ],
      },
      { service: 'ns/none', ips: [], pool: '', reason: 'noIPAllocated', announced: [] },
    ]);
    expect(serviceViews(allocate(now).services, [], [])).toMatchObject([
      { service: 'ns/a', ips: ['10.0.0.1'], reason: '' },
      { service: 'ns/none', ips: ['10.0.0.0'], pool: 'a', reason: '' },
    ]);
    expect(announcementsOf(planned).map(({ protocol, prefix }) => `${protocol} ${prefix}`)).toEqual([
      ...['bgp 10.0.0.0/30', 'bgp 10.0.0.1/32', 'layer2 10.0.0.1/32'],
    ]);
  });

  it('explain', () => {
    expect(whyText({ reason: 'noEndpoints', message: 'no endpoint can serve' })).toBe(
      'noEndpoints: no endpoint can serve\n' +
        '  No endpoint of the Service can serve.\n' +
        '  What to do: Look at the readiness of the pods and at the selector of the Service.',
    );
  });
});
