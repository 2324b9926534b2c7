// Who may answer for an address on the LAN, as one node is told: every address that an L2Advertisement selects here, all
// candidates in order. What is expected follows from SHA-256 of `node#address` (see elect.test.ts) and MetalLB's rules.

import { describe, expect, it } from 'vitest';
import type { L2Advertisement } from '../../src/config/config.ts';
import { createMemory, plan } from '../../src/plan/plan.ts';
import type { Node, Service } from '../../src/plan/snapshot.ts';
import { config, endpoint, ip, l2Advertisement, labelled, node, pool, service, snapshot } from './cluster.ts';

const NODES = ['node-a', 'node-b', 'node-c'];
const INGRESS = [{ ip: '10.0.0.1' }];

function cluster(
  advertisements: readonly L2Advertisement[],
  more: Partial<Service> = {},
  nodes: readonly Node[] = NODES.map((name) => node(name)),
  endpoints = { 'app/web': [endpoint('10.9.0.1', 'node-c'), endpoint('10.9.0.2', 'node-a')] },
) {
  const pools = [pool('main', ['10.0.0.0/24', 'fd00::/64'], { l2Advertisements: advertisements })];
  return snapshot(config(pools), [service('app/web', { ingress: INGRESS, ...more })], { nodes, endpoints });
}

/** `address: node=score …` on the node that is asked. */
function told(seen: ReturnType<typeof cluster>, self: string): readonly string[] {
  return plan(seen, self).candidacies.map(({ ip: address, candidates, interfaces }) => {
    const order = candidates.map(({ node: name, score }) => (score === 0 ? name : `${name}=${score}`));
    return [`${address}:`, ...order, ...(interfaces.length > 0 ? [`on ${interfaces.join()}`] : [])].join(' ');
  });
}

const everyone = l2Advertisement('all', NODES);

describe('the candidates for an address', () => {
  it('are told to every node that is selected, in one order', () => {
    for (const self of NODES) expect(told(cluster([everyone]), self)).toEqual(['10.0.0.1: node-b node-a node-c']);
  });

  it('of two families follow the first address, so that one node has both', () => {
    const both = { ingress: [{ ip: '10.0.0.2' }, { ip: 'fd00::1' }], clusterFamilies: ['ipv4', 'ipv6'] as const };
    expect(told(cluster([everyone], both), 'node-a')).toEqual([
      '10.0.0.2: node-b node-c node-a',
      'fd00::1: node-b node-c node-a',
    ]);
  });

  it('go by preference first, summed over all advertisements that select the node', () => {
    const advertisements = [
      l2Advertisement('one', NODES, { scores: new Map([['node-c', 60]]) }),
      l2Advertisement('two', ['node-a', 'node-c'], {
        scores: new Map([
          ['node-a', 70],
          ['node-c', 20],
          ['node-b', 500],
        ]),
      }),
    ];
    expect(told(cluster(advertisements), 'node-b')).toEqual(['10.0.0.1: node-c=80 node-a=70 node-b']);
  });

  it.each<[what: string, nodes: readonly Node[]]>([
    ['without network', [node('node-a'), node('node-b', { networkUnavailable: true }), node('node-c')]],
    ['labelled to be left out', [node('node-a'), node('node-b', { excluded: true }), node('node-c')]],
    ['that is gone', [node('node-a'), node('node-c')]],
  ])('are without a node %s, which is told so that it hands over', (_, nodes) => {
    for (const self of NODES) expect(told(cluster([everyone], {}, nodes), self)).toEqual(['10.0.0.1: node-a node-c']);
  });

  it('with externalTrafficPolicy Local have an endpoint that serves; others are told of them', () => {
    const local = { trafficPolicy: 'Local' } as const;
    for (const self of NODES) expect(told(cluster([everyone], local), self)).toEqual(['10.0.0.1: node-a node-c']);
    const dying = { 'app/web': [endpoint('10.9.0.1', 'node-c'), endpoint('10.9.0.2', 'node-a', false)] };
    expect(told(cluster([everyone], local, undefined, dying), 'node-a')).toEqual(['10.0.0.1: node-c']);
  });

  it('are no matter of a node that no advertisement selects, nor its interfaces', () => {
    const advertisements = [
      l2Advertisement('ab', ['node-a', 'node-b'], { interfaces: ['eth1', 'eth0'] }),
      l2Advertisement('a', ['node-a'], { interfaces: ['eth2'] }),
    ];
    expect(told(cluster(advertisements), 'node-c')).toEqual([]);
    expect(told(cluster(advertisements), 'node-b')).toEqual(['10.0.0.1: node-b node-a on eth0,eth1']);
    expect(told(cluster(advertisements), 'node-a')).toEqual(['10.0.0.1: node-b node-a on eth0,eth1,eth2']);
  });

  it.each<[what: string, seen: ReturnType<typeof cluster>]>([
    ['nothing can serve', cluster([everyone], {}, undefined, { 'app/web': [endpoint('10.9.0.1', 'node-a', false)] })],
    ['no node is usable', cluster([everyone], {}, [node('node-a', { excluded: true })])],
    ['there is no address', cluster([everyone], { ingress: [] })],
    [
      'no advertisement selects the Service',
      cluster([l2Advertisement('x', NODES, { serviceSelectors: [labelled({ a: 'b' })] })]),
    ],
    [
      'an address is shared and a selector could tear it apart',
      cluster([l2Advertisement('x', NODES, { serviceSelectors: [{ terms: [] }] })], { sharingKey: 'k' }),
    ],
  ])('are none where %s', (_, seen) => {
    expect(told(seen, 'node-a')).toEqual([]);
  });

  it('stay the same list while only other things change', () => {
    const memory = createMemory();
    const seen = cluster([everyone]);
    const first = plan(seen, 'node-a', memory);
    const services = new Map(seen.services).set('app/other', service('app/other', { ingress: [] }));
    const second = plan({ ...seen, services }, 'node-a', memory);
    expect(second).not.toBe(first);
    expect(second.candidacies).toBe(first.candidacies);
    const gone = plan({ ...seen, services: new Map() }, 'node-a', memory);
    expect(gone.candidacies).toEqual([]);
  });

  it('stay the same list while endpoints come and go and the order stays', () => {
    const memory = createMemory();
    const seen = cluster([everyone]);
    const [key] = seen.services.keys();
    const first = plan(seen, 'node-a', memory);
    const endpointsOf = (...names: readonly string[]) =>
      new Map([[key ?? '', names.map((name) => endpoint(name, 'node-a'))]]);
    const second = plan({ ...seen, endpoints: endpointsOf('10.9.9.9', '10.9.9.8') }, 'node-a', memory);
    expect(second).not.toBe(first);
    expect(first.candidacies.length).toBeGreaterThan(0);
    expect(second.candidacies).toBe(first.candidacies);
    expect(second.layer2).toBe(first.layer2);
    const none = plan({ ...seen, endpoints: endpointsOf() }, 'node-a', memory);
    expect(none.candidacies).toEqual([]);
    expect(none.layer2).toEqual([]);
    const again = plan({ ...seen, endpoints: endpointsOf('10.9.9.9') }, 'node-a', memory);
    expect(again.candidacies).toEqual(first.candidacies);
  });

  it('cost little for one change among ten thousand Services and ten nodes', () => {
    const names = Array.from({ length: 10 }, (_, at) => `node-${at}`);
    const pools = [pool('big', ['10.0.0.0/8'], { l2Advertisements: [l2Advertisement('all', names)] })];
    const many = Array.from({ length: 10_000 }, (_, at) =>
      service(`ns/s${at}`, { ingress: [{ ip: `10.0.${at >> 8}.${at & 255}` }] }),
    );
    const endpoints = Object.fromEntries(many.map(({ key }) => [key, [endpoint('10.9.9.9', 'node-1')]]));
    const seen = snapshot(config(pools), many, { nodes: names.map((name) => node(name)), endpoints });
    const memory = createMemory();
    const whole = performance.now();
    plan(seen, 'node-1', memory);
    const wholeMs = performance.now() - whole;
    const costs: number[] = [];
    for (let at = 0; at < 20; at++) {
      const services = new Map(seen.services).set('ns/s7', service('ns/s7', { ingress: [{ ip: `10.1.0.${at}` }] }));
      const began = performance.now();
      const { candidacies } = plan({ ...seen, services }, 'node-1', memory);
      costs.push(performance.now() - began);
      expect(candidacies.find(({ service: key }) => key === 'ns/s7')?.ip).toBe(ip(`10.1.0.${at}`));
      expect(candidacies.length).toBe(10_000);
    }
    const text = `${Math.min(...costs).toFixed(1)} ms at best, all of it ${wholeMs.toFixed(1)} ms`;
    process.stdout.write(`one change among 10,000 by layer 2: ${text}\n`);
    expect(Math.min(...costs)).toBeLessThan(wholeMs / 4);
  });
});
