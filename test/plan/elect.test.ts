// Election against MetalLB's own vectors (contract of every mixed cluster: old and new speakers must agree).

import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createElection, interned, orderOf, ranking, turnOver } from '../../src/plan/elect.ts';
import { ip } from './cluster.ts';

const among = (names: string, scores: Readonly<Record<string, number>> = {}) =>
  names.split(',').map((node) => ({ node, score: scores[node] ?? 0 }));
const names = (order: readonly { readonly node: string }[]) => order.map(({ node }) => node).join();

describe('the order of candidates', () => {
  it.each([
    ['10.0.0.1', 'node-a,node-b,node-c', {}, 'node-b,node-a,node-c'],
    ['10.0.0.2', 'node-a,node-b,node-c', {}, 'node-b,node-c,node-a'],
    ['10.20.30.1', 'edge-a,edge-b,worker-a,worker-b', {}, 'edge-b,worker-a,edge-a,worker-b'],
    ['10.20.30.1', 'edge-a,edge-b,worker-a,worker-b', { 'edge-a': 100 }, 'edge-a,edge-b,worker-a,worker-b'],
    ['192.168.10.100', 'node-a,node-b,node-c', {}, 'node-a,node-c,node-b'],
    ['fc00:f853:ccd:e799::1', 'node-a,node-b,node-c', {}, 'node-b,node-a,node-c'],
    ['FC00:F853:0CCD:E799:0:0:0:1', 'node-a,node-b,node-c', {}, 'node-b,node-a,node-c'],
    ['10.0.0.1', 'iris1,iris2', {}, 'iris1,iris2'],
    ['10.0.0.2', 'iris1,iris2', {}, 'iris2,iris1'],
    ['10.20.30.1', 'iris1,iris2', {}, 'iris2,iris1'],
    ['10.20.30.2', 'iris1,iris2', {}, 'iris1,iris2'],
    ['10.20.30.1', 'node-a,node-b', { 'node-a': 7, 'node-b': 7 }, 'node-b,node-a'],
  ])('%s among %s %j: %s', (address, nodes, scores, order) => {
    const candidates = among(nodes, scores);
    expect(names(ranking(ip(address), candidates))).toBe(order);
    expect(names(ranking(ip(address), candidates.toReversed()))).toBe(order);
    const election = createElection();
    const first = orderOf(election, ip(address), interned(election, candidates));
    expect(names(first)).toBe(order);
    // kept for the same candidates, over one generation
    turnOver(election);
    expect(orderOf(election, ip(address), interned(election, [...candidates]))).toBe(first);
  });

  it('has an owner only where there is a candidate', () => {
    expect(orderOf(createElection(), ip('10.0.0.1'), [])).toEqual([]);
  });

  it('gives the same order remembered or not, over generations and changing candidates', () => {
    const names = fc.subarray(['a', 'b', 'c', 'd', 'e'], { minLength: 1 });
    const step = fc.record({
      host: fc.nat(5),
      names,
      best: fc.option(fc.constantFrom('a', 'c'), { nil: '' }),
      turn: fc.boolean(),
    });
    const digest = (name: string, host: number) => createHash('sha256').update(`${name}#10.0.0.${host}`).digest();
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const election = createElection();
        for (const { host, names, best, turn } of steps) {
          if (turn) turnOver(election);
          const candidates = names.map((name) => ({ node: name, score: name === best ? 5 : 0 }));
          const byDigest = names.toSorted((a, b) => Buffer.compare(digest(a, host), digest(b, host)));
          const expected = [...byDigest.filter((name) => name === best), ...byDigest.filter((name) => name !== best)];
          const order = orderOf(election, ip(`10.0.0.${host}`), interned(election, candidates));
          expect(order.map(({ node }) => node)).toEqual(expected);
        }
      }),
      { seed: 5, numRuns: 200 },
    );
  });
});
