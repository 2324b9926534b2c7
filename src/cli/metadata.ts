// What the API server asks of every object's metadata, in its words: names, labels, annotations, no unknown fields.
// `validate` calls it for our kinds and for the Secrets, Nodes and Namespaces beside them, whose outermost fields it knows.

import { quoted } from '../config/invalid.ts';
import type { ApiObject } from '../config/resource.ts';

export interface MetadataFinding {
  readonly field: string;
  readonly rule: 'metadata' | 'unknown-field';
  readonly message: string;
}

/** Fields of ObjectMeta (meta/v1). */
const FIELDS = new Set([
  'name',
  'generateName',
  'namespace',
  'selfLink',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'labels',
  'annotations',
  'ownerReferences',
  'finalizers',
  'managedFields',
]);

const COMMON = ['apiVersion', 'kind', 'metadata'];

/** Outermost fields of the kinds that have no CRD of ours. */
const TOP: Readonly<Record<string, ReadonlySet<string>>> = {
  Secret: new Set([...COMMON, 'data', 'stringData', 'type', 'immutable']),
  Node: new Set([...COMMON, 'spec', 'status']),
  Namespace: new Set([...COMMON, 'spec', 'status']),
};

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const NAME_PART = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const whole = (pattern: string): RegExp => new RegExp(`^(?:${pattern})$`);
const [IS_LABEL, IS_SUBDOMAIN, IS_NAME_PART] = [whole(LABEL), whole(SUBDOMAIN), whole(NAME_PART)];

const NOT_A_LABEL = `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '${LABEL}')`;
const NOT_A_SUBDOMAIN = `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '${SUBDOMAIN}')`;
const NAME_RULE = `must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '${NAME_PART}')`;
const NOT_A_NAME_PART = `name part ${NAME_RULE}`;
const NOT_A_KEY = `a valid label key ${NAME_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`;
const NOT_A_VALUE = `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(${NAME_PART})?')`;

/** What is wrong with the metadata, and with the outermost fields of a Secret, Node or Namespace. */
export function checkMetadata({ apiVersion, kind, metadata, ...rest }: ApiObject): readonly MetadataFinding[] {
  const findings: MetadataFinding[] = [];
  const unknown = (field: string): number =>
    findings.push({ field, rule: 'unknown-field', message: `unknown field "${field}"` });
  const invalid = (field: string, value: unknown, why: string): number => {
    const shown = typeof value === 'string' ? quoted(value) : JSON.stringify(value);
    return findings.push({ field, rule: 'metadata', message: `Invalid value: ${shown}: ${why}` });
  };
  const top = apiVersion === 'v1' ? TOP[kind] : undefined;
  if (top) for (const field of Object.keys(rest)) if (!top.has(field)) unknown(field);
  for (const field of Object.keys(metadata)) if (!FIELDS.has(field)) unknown(`metadata.${field}`);
  for (const why of kind === 'Namespace' && top ? labelFaults(metadata.name) : subdomainFaults(metadata.name)) {
    invalid('metadata.name', metadata.name, why);
  }
  if (metadata.namespace !== undefined) {
    for (const why of labelFaults(metadata.namespace)) invalid('metadata.namespace', metadata.namespace, why);
  }
  for (const [field, valueFaults] of [
    ['labels', labelValueFaults],
    ['annotations', () => []],
  ] as const) {
    const path = `metadata.${field}`;
    const map = metadata[field] ?? {};
    if (typeof map !== 'object' || Array.isArray(map)) {
      invalid(path, map, 'must be a map of strings');
      continue;
    }
    for (const [key, value] of Object.entries(map)) {
      for (const why of keyFaults(key)) invalid(path, key, why);
      if (typeof value !== 'string') invalid(`${path}.${key}`, value, 'must be a string');
      else for (const why of valueFaults(value)) invalid(path, value, why);
    }
  }
  return findings;
}

function atMost(text: string, limit: number, unit: 'bytes' | 'characters'): readonly string[] {
  return text.length > limit ? [`must be no more than ${limit} ${unit}`] : [];
}

function subdomainFaults(text: string, unit: 'bytes' | 'characters' = 'characters'): readonly string[] {
  return [...atMost(text, 253, unit), ...(IS_SUBDOMAIN.test(text) ? [] : [NOT_A_SUBDOMAIN])];
}

function labelFaults(text: string): readonly string[] {
  return [...atMost(text, 63, 'characters'), ...(IS_LABEL.test(text) ? [] : [NOT_A_LABEL])];
}

function labelValueFaults(text: string): readonly string[] {
  return [...atMost(text, 63, 'bytes'), ...(text === '' || IS_NAME_PART.test(text) ? [] : [NOT_A_VALUE])];
}

/** The key of a label or an annotation: `name` or `prefix/name`. */
function keyFaults(key: string): readonly string[] {
  const parts = key.split('/');
  if (parts.length > 2) return [NOT_A_KEY];
  const name = parts.at(-1) ?? '';
  const prefix = parts.length === 2 ? parts[0] : undefined;
  const ofPrefix = prefix === '' ? ['must be non-empty'] : prefix === undefined ? [] : subdomainFaults(prefix, 'bytes');
  const ofName = name === '' ? ['must be non-empty'] : atMost(name, 63, 'bytes');
  return [
    ...ofPrefix.map((why) => `prefix part ${why}`),
    ...ofName.map((why) => `name part ${why}`),
    ...(IS_NAME_PART.test(name) ? [] : [NOT_A_NAME_PART]),
  ];
}
