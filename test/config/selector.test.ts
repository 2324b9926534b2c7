// Label selectors against the semantics of Kubernetes: what matches, what is no selector, what is written twice.

import { describe, expect, it } from 'vitest';
import { attempt } from '../../src/config/invalid.ts';
import {
  compileSelector,
  type LabelSelector,
  matches,
  matchesAny,
  refuseDuplicateSelectors,
  selectorText,
} from '../../src/config/selector.ts';

const selector = (
  matchLabels: Record<string, string>,
  ...expressions: readonly (readonly [key: string, operator: string, ...values: string[]])[]
): LabelSelector => ({
  matchLabels,
  matchExpressions: expressions.map(([key, operator, ...values]) => ({ key, operator, values: values.sort() })),
});
const asks = (written: LabelSelector, labels: Record<string, string>) => matches(compileSelector(written), labels);
const message = (work: () => unknown) => {
  const done = attempt(work);
  return 'invalid' in done ? done.invalid.message : expect.fail('it was accepted');
};

describe('matches', () => {
  it('matches everything when it is empty', () => {
    expect(asks(selector({}), {})).toBe(true);
    expect(asks(selector({}), { a: 'b' })).toBe(true);
  });

  it.each([
    ['matchLabels, all of them', selector({ a: '1', b: '2' }), { a: '1', b: '2' }, { a: '1' }],
    ['In', selector({}, ['a', 'In', '1', '2']), { a: '2' }, { a: '3' }],
    ['In without the label', selector({}, ['a', 'In', '']), { a: '' }, {}],
    ['NotIn, also without the label', selector({}, ['a', 'NotIn', '1']), {}, { a: '1' }],
    ['Exists', selector({}, ['a', 'Exists']), { a: '' }, { b: '' }],
    ['DoesNotExist', selector({}, ['a', 'DoesNotExist']), { b: '' }, { a: '' }],
    ['labels and expressions together', selector({ a: '1' }, ['b', 'Exists']), { a: '1', b: '' }, { a: '1' }],
  ])('%s', (_, written, yes, no) => {
    expect(asks(written, yes as Record<string, string>)).toBe(true);
    expect(asks(written, no as Record<string, string>)).toBe(false);
  });

  it('does not find labels on the prototype', () => {
    expect(asks(selector({}, ['constructor', 'Exists']), {})).toBe(false);
  });

  it('ORs a list and asks nothing of an empty one', () => {
    const list = [compileSelector(selector({ a: '1' })), compileSelector(selector({ a: '2' }))];
    expect(matchesAny(list, { a: '2' })).toBe(true);
    expect(matchesAny(list, { a: '3' })).toBe(false);
    expect(matchesAny([], {})).toBe(true);
  });
});

describe('compileSelector', () => {
  it('gives equal selectors equal JSON', () => {
    const one = compileSelector(selector({ b: '2', a: '1' }, ['c', 'In', 'y', 'x']));
    const other = compileSelector(selector({ a: '1' }, ['c', 'In', 'x', 'y'], ['b', 'In', '2']));
    expect(JSON.stringify(one)).toBe(JSON.stringify(other));
  });

  it.each([
    ['an unknown operator', selector({}, ['a', 'Surely', 'x']), '"Surely" is not a valid label selector operator'],
    ['no operator', selector({}, ['a', '', 'x']), '"" is not a valid label selector operator'],
    [
      'In without values',
      selector({}, ['a', 'In']),
      "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
    ],
    [
      'Exists with values',
      selector({}, ['a', 'Exists', 'x']),
      'values: Invalid value: ["x"]: values set must be empty for exists and does not exist',
    ],
  ])('refuses %s', (_, written, text) => {
    expect(message(() => compileSelector(written))).toBe(text);
  });

  it('refuses keys and values that no label can have', () => {
    for (const key of ['', '-a', 'a b', 'a/b/c', '/a', 'UPPER.com/a', 'x'.repeat(64), `${'x'.repeat(254)}/a`]) {
      expect(message(() => compileSelector(selector({}, [key, 'Exists'])))).toMatch(/^key: Invalid value: "/);
    }
    for (const value of ['-a', 'a b', 'ü', 'x'.repeat(64)]) {
      expect(message(() => compileSelector(selector({ key: value })))).toMatch(/^values\[0\]\[key\]: Invalid value: "/);
    }
    for (const key of ['a', 'a.b-c_d', 'example.com/MyName', 'x'.repeat(63), 'node.kubernetes.io/exclude']) {
      expect(compileSelector(selector({ [key]: '' })).terms).toHaveLength(1);
    }
  });
});

describe('what is written twice', () => {
  const twice = (...list: readonly LabelSelector[]) =>
    message(() => refuseDuplicateSelectors(list, 'nodeSelectors', 'spec.nodeSelectors'));

  it('names the selector as Go prints it', () => {
    expect(twice(selector({ zone: 'a' }), selector({ zone: 'a' }))).toBe(
      'duplicate definition of nodeSelectors {map["zone":"a"] []}',
    );
    expect(twice(selector({}, ['rack', 'In', 'r2', 'r1']), selector({}, ['rack', 'In', 'r1', 'r2']))).toBe(
      'duplicate definition of nodeSelectors {map[] [{"rack" "In" ["r1" "r2"]}]}',
    );
  });

  it('names a value and an expression', () => {
    expect(twice(selector({}, ['rack', 'In', 'r1', 'r1']))).toBe(
      'duplicate definition of match expression value in label selector "r1"',
    );
    expect(twice(selector({}, ['rack', 'Exists'], ['rack', 'Exists']))).toBe(
      'duplicate definition of match expressions {"rack" "Exists" []}',
    );
  });

  it('leaves alone what is written in two ways', () => {
    const list = [selector({ a: '1' }), selector({}, ['a', 'In', '1'])];
    expect(attempt(() => refuseDuplicateSelectors(list, 'nodeSelectors', 'spec'))).toEqual({ value: undefined });
  });

  it('prints without quotes as well', () => {
    expect(selectorText(selector({ b: '2', a: '1' }, ['c', 'In', 'x', 'y']))).toBe('{map[b:2 a:1] [{c In [x y]}]}');
  });
});
