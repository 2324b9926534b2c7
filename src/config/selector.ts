// Label selectors: as they are written in a resource, as data that can be asked, and the rules between the two.
// Called by the parsers of this room; `matches` and `matchesAny` by every room that chooses by label.

import { quoted, refuse } from './invalid.ts';

/** As written; matchLabels by key, values sorted, nothing checked. */
export interface LabelSelector {
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly matchExpressions: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values: readonly string[];
  }[];
}

export interface Selector {
  /** All must hold; matchLabels are `In` with one value. Canonical order: equal selectors are equal JSON. */
  readonly terms: readonly Term[];
}

export interface Term {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  /** Sorted. */
  readonly values: readonly string[];
}

export function matches(selector: Selector, labels: Readonly<Record<string, string>>): boolean {
  return selector.terms.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value);
      case 'NotIn':
        return value === undefined || !values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
    }
  });
}

/** Terms of a list are OR-ed; an empty list asks nothing. */
export function matchesAny(selectors: readonly Selector[], labels: Readonly<Record<string, string>>): boolean {
  return selectors.length === 0 || selectors.some((selector) => matches(selector, labels));
}

/** The selector as data; what it breaks is refused with the API server's text. */
export function compileSelector(written: LabelSelector, field?: string): Selector {
  const terms = [
    ...Object.entries(written.matchLabels).map(([key, value]) => term(key, 'In', [value], field)),
    ...written.matchExpressions.map(({ key, operator, values }) => term(key, operator, values, field)),
  ];
  const canonical = new Map(terms.map((each) => [JSON.stringify(each), each]));
  return { terms: [...canonical].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each) };
}

export function compileSelectors(written: readonly LabelSelector[], field: string): readonly Selector[] {
  return written.map((each, i) => compileSelector(each, `${field}[${i}]`));
}

/** A selector, an expression or a value that is written twice is refused: `duplicate definition of <name> …`. */
export function refuseDuplicateSelectors(written: readonly LabelSelector[], name: string, field: string): void {
  const seen = new Set<string>();
  for (const [i, selector] of written.entries()) {
    refuseDuplicateExpressions(selector, `${field}[${i}]`);
    const text = selectorText(selector, quoted);
    if (seen.has(text)) refuse('duplicate', `duplicate definition of ${name} ${text}`, `${field}[${i}]`);
    seen.add(text);
  }
}

function refuseDuplicateExpressions({ matchExpressions }: LabelSelector, field: string): void {
  const seen = new Set<string>();
  for (const expression of matchExpressions) {
    refuseDuplicates(expression.values, 'match expression value in label selector', field);
    const text = expressionText(expression, quoted);
    if (seen.has(text)) refuse('duplicate', `duplicate definition of match expressions ${text}`, field);
    seen.add(text);
  }
}

/** `duplicate definition of <name> "<text>"`. */
export function refuseDuplicates(texts: readonly string[], name: string, field: string): void {
  const seen = new Set<string>();
  for (const text of texts) {
    if (seen.has(text)) refuse('duplicate', `duplicate definition of ${name} ${quoted(text)}`, field);
    seen.add(text);
  }
}

/** As Go prints the struct: `{map[zone:a] [{rack In [r1 r2]}]}`, each text through `shown`. */
export function selectorText(selector: LabelSelector, shown = (text: string): string => text): string {
  const labels = Object.entries(selector.matchLabels).map(([key, value]) => `${shown(key)}:${shown(value)}`);
  const expressions = selector.matchExpressions.map((expression) => expressionText(expression, shown));
  return `{map[${labels.join(' ')}] [${expressions.join(' ')}]}`;
}

function expressionText(
  { key, operator, values }: LabelSelector['matchExpressions'][number],
  shown: (text: string) => string,
): string {
  return `{${shown(key)} ${shown(operator)} [${values.map(shown).join(' ')}]}`;
}

const OPERATORS: readonly Term['operator'][] = ['In', 'NotIn', 'Exists', 'DoesNotExist'];

function term(key: string, operator: string, values: readonly string[], field?: string): Term {
  const known = OPERATORS.find((each) => each === operator);
  if (known === undefined) {
    return refuse('selector', `${quoted(operator)} is not a valid label selector operator`, field);
  }
  const wrongKey = labelKeyFaults(key);
  if (wrongKey.length > 0) {
    refuse('selector', `key: Invalid value: ${quoted(key)}: ${wrongKey.join('; ')}`, field);
  }
  const listed = `values: Invalid value: ${JSON.stringify(values)}`;
  if ((known === 'In' || known === 'NotIn') && values.length === 0) {
    refuse('selector', `${listed}: for 'in', 'notin' operators, values set can't be empty`, field);
  }
  if ((known === 'Exists' || known === 'DoesNotExist') && values.length > 0) {
    refuse('selector', `${listed}: values set must be empty for exists and does not exist`, field);
  }
  for (const [i, value] of values.entries()) {
    const wrong = labelValueFaults(value);
    if (wrong.length > 0) {
      refuse('selector', `values[${i}][${key}]: Invalid value: ${quoted(value)}: ${wrong.join('; ')}`, field);
    }
  }
  return { key, operator: known, values };
}

const NAME = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const NAME_TEXT =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const SUBDOMAIN_TEXT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const VALUE_TEXT =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/** Kubernetes' qualified name: an optional DNS subdomain and `/`, then at most 63 characters. */
function labelKeyFaults(key: string): readonly string[] {
  const parts = key.split('/');
  if (parts.length > 2) {
    return [`a qualified name ${NAME_TEXT} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`];
  }
  const faults: string[] = [];
  const [prefix, name] = parts.length === 2 ? [parts[0] ?? '', parts[1] ?? ''] : [undefined, key];
  if (prefix === '') faults.push('prefix part must be non-empty');
  else if (prefix !== undefined && prefix.length > 253) faults.push('prefix part must be no more than 253 characters');
  else if (prefix !== undefined && !SUBDOMAIN.test(prefix)) faults.push(`prefix part ${SUBDOMAIN_TEXT}`);
  if (name === '') faults.push('name part must be non-empty');
  else if (name.length > 63) faults.push('name part must be no more than 63 characters');
  if (!NAME.test(name)) faults.push(`name part ${NAME_TEXT}`);
  return faults;
}

function labelValueFaults(value: string): readonly string[] {
  const faults: string[] = [];
  if (value.length > 63) faults.push('must be no more than 63 characters');
  if (value !== '' && !NAME.test(value)) faults.push(VALUE_TEXT);
  return faults;
}
