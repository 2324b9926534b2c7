// What is made again only where something changed comes to the same as what is made from nothing: the maps of stores and
// groups, and the plan of a node that follows them.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { groupSlices } from '../../src/k8s/grouped.ts';
import { type EndpointSlice, readEndpointSlice, readService } from '../../src/k8s/resource.ts';
import { Store } from '../../src/k8s/store.ts';
import { createMemory, plan } from '../../src/plan/plan.ts';
import type { Service, Snapshot } from '../../src/plan/snapshot.ts';
import { bgpAdvertisement, config, labelled, node, peer, pool } from '../plan/cluster.ts';

const NAMES = Array.from({ length: 40 }, (_, i) => `s${i}`);
const quiet = { changed: () => undefined, unreadable: () => undefined };
const CONFIG = config(
  [
    pool('main', ['203.0.113.0/24'], {
      bgpAdvertisements: [
        bgpAdvertisement('all', ['n1']),
        bgpAdvertisement('wide', ['n1'], { aggregationLength: 28, serviceSelectors: [labelled({ tier: 'front' })] }),
      ],
    }),
  ],
  [peer('tor', '192.0.2.1')],
);

const change = fc.record({
  name: fc.constantFrom(...NAMES),
  /** What becomes of it. */
  what: fc.constantFrom('address', 'no address', 'other type', 'relabel', 'gone', 'ready', 'not ready', 'no slice'),
});

it('a plan after any changes is the plan from nothing', () => {
  const property = fc.property(fc.array(fc.array(change, { maxLength: 3 }), { maxLength: 40 }), (rounds) => {
    const services = new Store<Service>({
      kind: 'Service',
      apiVersion: 'v1',
      read: (object) => readService(object),
      ...quiet,
    });
    const slices = new Store<EndpointSlice>({
      ...{ kind: 'EndpointSlice', apiVersion: 'discovery.k8s.io/v1', read: readEndpointSlice },
      ...quiet,
    });
    const endpoints = groupSlices(slices);
    let version = 0;
    const put = (name: string, what: string) => {
      const metadata = { name, namespace: 'app', uid: name, resourceVersion: String(++version) };
      const ip = `203.0.113.${NAMES.indexOf(name)}`;
      if (what === 'gone') return services.remove({ metadata });
      if (what === 'no slice') return slices.remove({ metadata });
      if (what.includes('ready')) {
        const labels = { 'kubernetes.io/service-name': name };
        const conditions = { ready: what === 'ready' };
        return slices.put({ metadata: { ...metadata, labels }, endpoints: [{ addresses: ['10.0.0.1'], conditions }] });
      }
      const labels = what === 'relabel' ? { tier: 'front' } : {};
      const spec = { type: what === 'other type' ? 'ClusterIP' : 'LoadBalancer', clusterIPs: ['10.96.0.1'] };
      const status = what === 'no address' ? {} : { loadBalancer: { ingress: [{ ip }] } };
      return services.put({ metadata: { ...metadata, labels }, spec, status });
    };
    for (const name of NAMES) {
      put(name, 'address');
      put(name, 'ready');
    }
    const memory = createMemory();
    for (const round of rounds) {
      for (const { name, what } of round) put(name, what);
      const nodes = new Map([['n1', node('n1')]]);
      const snapshot: Snapshot = {
        ...{
          config: CONFIG,
          services: services.map(),
          endpoints: endpoints.map(),
          nodes: memory.last?.snapshot.nodes ?? nodes,
        },
        settings: { ignoreExcludeLabel: false },
      };
      for (const [key, service] of snapshot.services) expect(services.get(key)).toBe(service);
      expect(snapshot.services.size).toBe([...snapshot.services].length);
      const [followed, fresh] = [plan(snapshot, 'n1', memory), plan(snapshot, 'n1')];
      const shown = ({ services: planned, routes }: typeof fresh) => ({
        services: new Map([...planned].map(([key, { ips, bgp }]) => [key, { ips, bgp }])),
        routes: [...(routes.get('tor')?.keys() ?? [])].sort(),
      });
      expect(shown(followed)).toEqual(shown(fresh));
    }
  });
  fc.assert(property, { seed: 4_271, numRuns: 100 });
});
