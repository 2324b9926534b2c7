// Merge patches held against the table of RFC 7386, appendix A, and against each other.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyMergePatch, type JsonObject, mergePatch } from '../../src/k8s/merge-patch.ts';

describe('merge patches', () => {
  it.each<[unknown, unknown, unknown]>([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('%j with %j is %j', (target, patch, result) => {
    expect(applyMergePatch(target, patch)).toEqual(result);
  });

  it('say the least that makes what is wanted, and nothing when it is there', () => {
    const seen = { metadata: { annotations: { a: '1', b: '2' } }, status: { ingress: [{ ip: '192.0.2.1' }] } };
    expect(mergePatch(seen, { metadata: { annotations: { a: '1', c: '3', b: undefined } } })).toEqual({
      metadata: { annotations: { c: '3', b: null } },
    });
    expect(mergePatch(seen, { status: { ingress: [{ ip: '192.0.2.1' }] } })).toBeUndefined();
    expect(mergePatch(undefined, { a: { b: undefined, c: 1 } })).toEqual({ a: { c: 1 } });
    expect(mergePatch({ a: 1 }, { b: undefined })).toBeUndefined();
  });

  it('lead from any object to any other that names all its fields', () => {
    const leaf = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.array(fc.integer()));
    const { object } = fc.letrec((tie) => ({
      object: fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__'), fc.oneof(leaf, tie('object')), { maxKeys: 4 }),
    }));
    fc.assert(
      fc.property(object, object, (seen, wanted) => {
        const patch = mergePatch(seen as JsonObject, wanted as JsonObject);
        const after = patch === undefined ? seen : applyMergePatch(seen, patch);
        expect(mergePatch(after as JsonObject, wanted as JsonObject)).toBeUndefined();
      }),
      { seed: 7386, numRuns: 500 },
    );
  });
});
