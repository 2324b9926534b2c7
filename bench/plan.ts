// `npm run bench plan`: 10,000 Services with three endpoints each get their addresses and become the plan of one node
// with two peers and layer 2; then one Service changes. All in this process, of which the first repetition is the cold
// one. No rival can be asked for this step alone.

import { allocate } from '../src/plan/allocate.ts';
import { createMemory, plan as planNode } from '../src/plan/plan.ts';
import type { Service, Snapshot } from '../src/plan/snapshot.ts';
import {
  bgpAdvertisement,
  config,
  endpoint,
  l2Advertisement,
  node,
  peer,
  pool,
  service,
  snapshot,
} from '../test/plan/cluster.ts';
import { Measurements, print } from './figures.ts';

const SERVICES = 10_000;
const REPETITIONS = 5;
const NODES = ['n1', 'n2', 'n3'];

function makeCluster(): Snapshot {
  const main = pool('main', ['203.0.113.0/24', '10.0.0.0/8'], {
    bgpAdvertisements: [bgpAdvertisement('main', NODES)],
    l2Advertisements: [l2Advertisement('main', NODES)],
  });
  const services = Array.from({ length: SERVICES }, (_, i) => service(`app-${i % 50}/web-${i}`));
  const endpoints = Object.fromEntries(
    services.map(({ key }) => [key, NODES.map((name, i) => endpoint(`10.244.${i}.7`, name))]),
  );
  const peers = [peer('tor-a', '192.0.2.1'), peer('tor-b', '192.0.2.2')];
  return snapshot(config([main], peers), services, { nodes: NODES.map((name) => node(name)), endpoints });
}

function once(into: Measurements): void {
  const first = makeCluster();
  const memory = createMemory();
  let began = performance.now();
  const allocations = allocate(first);
  const before = planNode({ ...first, allocated: allocations.services }, 'n1', memory);
  into.add('all', 'ours', performance.now() - began);
  if (before.routes.get('tor-a')?.size !== SERVICES) throw new Error('not every Service is announced');

  // one Service goes elsewhere: it asks for an address of its own
  const services = new Map<string, Service>(first.services);
  services.set('app-7/web-7', service('app-7/web-7', { wantedIps: '10.9.9.9' }));
  const changed: Snapshot = { ...first, services };
  began = performance.now();
  const again = allocate(changed, allocations);
  const after = planNode({ ...changed, allocated: again.services }, 'n1', memory);
  into.add('one', 'ours', performance.now() - began);
  const announced = [...(after.routes.get('tor-a')?.keys() ?? [])];
  if (announced.length !== SERVICES || !announced.some((prefix) => prefix === '10.9.9.9/32')) {
    throw new Error('the change did not arrive');
  }
}

export function plan(): boolean {
  const into = new Measurements();
  for (let turn = 0; turn < REPETITIONS; turn++) once(into);
  const all = print({
    what: `allocate and plan ${SERVICES} Services`,
    unit: 'ms',
    figures: into.of('all'),
    goal: { text: 'less than 100', met: (ms) => ms < 100 },
  });
  const one = print({
    what: `one change among ${SERVICES} Services`,
    unit: 'ms',
    figures: into.of('one'),
    goal: { text: 'less than 5', met: (ms) => ms < 5 },
  });
  return all && one;
}
