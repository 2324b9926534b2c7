// Expressions as Go reads them. What matches here, and what is refused, is what Go's own regexp (1.26) said of it.

import { describe, expect, it } from 'vitest';
import { goExpression } from '../../src/process/go-expression.ts';

const NAMES = ['eth0', 'ETH1', 'veth12', 'br-1', 'lo', 'docker0', 'a.b', 'K8S_x', ''];

describe('an expression of Go', () => {
  it.each<[expression: string, matches: readonly string[]]>([
    ['^eth', ['eth0']],
    ['(?i)^eth', ['eth0', 'ETH1']],
    ['^(?P<x>veth).*', ['veth12']],
    ['^(?<x>veth|br-)\\d', ['veth12', 'br-1']],
    ['^[[:alpha:]]+$', ['lo']],
    ['^[[:^upper:]_]+$', ['eth0', 'veth12', 'br-1', 'lo', 'docker0', 'a.b']],
    ['(?i)^[[:upper:]]+\\d$', ['eth0', 'ETH1', 'docker0']],
    ['^[[:^alpha:]]*$', ['']],
    ['\\Aeth0\\z', ['eth0']],
    ['^\\w+$', ['eth0', 'ETH1', 'veth12', 'lo', 'docker0', 'K8S_x']],
    ['\\W', ['br-1', 'a.b']],
    ['^[^\\W\\d]+$', ['lo']],
    ['\\Qa.b\\E', ['a.b']],
    ['a(?i)b|eth|E|lO(?-i)|K', ['eth0', 'ETH1', 'veth12', 'lo', 'docker0', 'K8S_x']],
    ['(a(?i)x|t)h[01]', ['eth0', 'veth12']],
    ['^.{4}$', ['eth0', 'ETH1', 'br-1']],
    ['{,2}|^lo', ['lo']],
    ['(?U)^o?.*0$', ['eth0', 'docker0']],
    ['\\x65\\x{74}h\\60', ['eth0']],
    ['^[]a.-]+b$', ['a.b']],
    ['\\b(?i:docker)0\\b', ['docker0']],
    ['^(?s:.)(?m)r-?\\d$', ['br-1']],
    ['^$', ['']],
    ['^*o$', ['lo']],
  ])('%s', (expression, matches) => {
    const read = new RegExp(goExpression(expression));
    expect(NAMES.filter((name) => read.test(name))).toEqual(matches);
  });

  it.each<[expression: string, fault: string]>([
    ['^**', 'invalid nested repetition operator: *'],
    ['(', 'missing closing ): ('],
    [')', 'unexpected ): )'],
    ['a{2,1}', 'invalid repeat count: {2,1}'],
    ['a{1001}', 'invalid repeat count: {1001}'],
    ['*', 'missing argument to repetition operator: *'],
    ['[a', 'missing closing ]: [a'],
    ['[z-a]', 'invalid character class range: [z-a]'],
    ['[[:foo:]]', 'invalid character class range: [:foo:]'],
    ['a\\1', 'invalid escape sequence: \\1'],
    ['\\k', 'invalid escape sequence: \\k'],
    ['(?=a)', 'invalid or unsupported Perl syntax: (?=a)'],
    ['(?<!a)b', 'invalid named capture: (?<!a)b'],
    ['(?i-)a', 'invalid or unsupported Perl syntax: (?i-)'],
  ])('%s is refused', (expression, fault) => {
    expect(() => goExpression(expression)).toThrow(fault);
  });

  it.each(['\\p{Greek}', '[\\pL]', '\\x{1F600}', '😀'])('%s is one, but refused rather than misread', (expression) => {
    expect(() => goExpression(expression)).toThrow(/cannot be matched/);
  });
});
