// Whether a CRD's schema and the reader of its kind know the same fields. An object that has every field of the schema is made, and
// given to the reader in a wrapping that remembers what it is asked for. Used on the CRDs as text and on those that a server serves.

import { readResource } from '../../src/config/read.ts';
import type { ApiObject } from '../../src/config/resource.ts';

export interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
}

export interface Definition {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
}

export interface Comparison {
  readonly version: string;
  /** Fields of the schema. */
  readonly fields: number;
  /** In the schema, and not read. */
  readonly unread: readonly string[];
  /** Read, and not in the schema. */
  readonly undefined: readonly string[];
}

/** One row a version; none for a kind that makes up no configuration. */
export function compare({ spec: { group, names, versions } }: Definition): readonly Comparison[] {
  return versions.flatMap(({ name, schema: { openAPIV3Schema } }) => {
    const spec = openAPIV3Schema.properties?.['spec'];
    if (spec === undefined) return [];
    const asked: string[] = [];
    const object: ApiObject = {
      apiVersion: `${group}/${name}`,
      kind: names.kind,
      metadata: { name: 'a', namespace: 'b' },
      spec: remembering(sampleOf(spec), 'spec', asked),
    };
    const read = readResource(object);
    if (read === undefined) return [];
    if ('invalid' in read) throw new Error(`${names.kind} ${name}: ${read.invalid.message}`);
    return [{ version: name, fields: count(spec), unread: read.unknown, undefined: [...new Set(asked)] }];
  });
}

/** A value that has everything. Every text is a duration, for some must be. */
function sampleOf(schema: Schema): unknown {
  if (schema.enum !== undefined) return schema.enum[0];
  switch (schema.type) {
    case 'object':
      if (schema.additionalProperties !== undefined) return { key: sampleOf(schema.additionalProperties) };
      return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, each]) => [name, sampleOf(each)]));
    case 'array':
      return [sampleOf(schema.items ?? {})];
    case 'integer':
      return schema.minimum ?? 1;
    case 'boolean':
      return false;
    case 'string':
      return '90s';
    default:
      throw new Error(`a schema of type ${schema.type}`);
  }
}

function count({ properties = {}, items }: Schema): number {
  const below = Object.values(properties).map((schema) => 1 + count(schema));
  return below.reduce((sum, each) => sum + each, items === undefined ? 0 : count(items));
}

/** The same value; a field that is asked of a map that has none of that name is written down. */
function remembering(value: unknown, path: string, missed: string[]): unknown {
  if (Array.isArray(value)) return value.map((item) => remembering(item, `${path}[]`, missed));
  if (typeof value !== 'object' || value === null) return value;
  const wrapped = Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, remembering(each, `${path}.${name}`, missed)]),
  );
  const note = (target: object, name: string | symbol): void => {
    if (typeof name === 'string' && !Object.hasOwn(target, name)) missed.push(`${path}.${name}`);
  };
  return new Proxy(wrapped, {
    get: (target, name) => {
      note(target, name);
      return Reflect.get(target, name);
    },
    getOwnPropertyDescriptor: (target, name) => {
      note(target, name);
      return Reflect.getOwnPropertyDescriptor(target, name);
    },
  });
}
