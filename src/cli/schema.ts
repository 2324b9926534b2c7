// One object against its CRD in manifests/crd, with the answers that the API server would give to a create: types, ranges,
// enums, unknown fields (as kubectl asks for them, strictly), and CEL rules once the rest is right. `validate` calls it.
// ajv walks the schemas; CEL rules are a keyword of it. Rules about the change of an object (`oldSelf`) say nothing here.

import { Environment } from '@marcbachmann/cel-js';
import { Ajv, type ErrorObject, type FuncKeywordDefinition, type ValidateFunction } from 'ajv';
import type { DataValidateFunction } from 'ajv/dist/types/index.js';
import type { ApiObject } from '../config/resource.ts';
import { parseYaml } from '../k8s/yaml.ts';
import { crdTexts } from './crds.ts';

/** Field and message as in the causes of the API server's Status. */
export interface SchemaFinding {
  readonly field: string;
  readonly rule: 'schema' | 'unknown-field' | 'cel';
  readonly message: string;
}

/** The part of a CRD's structural schema that is read here. */
interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly [keyword: string]: unknown;
}

interface CelRule {
  readonly rule: string;
  readonly message: string;
}

interface Crd {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly {
      readonly name: string;
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

/** What the schema refuses, in the order of its fields; undefined: no CRD has this kind in any version. */
export function checkSchema(object: ApiObject): readonly SchemaFinding[] | undefined {
  const group = object.apiVersion.slice(0, object.apiVersion.lastIndexOf('/'));
  const kinds = [...schemas().keys()];
  if (!kinds.some((key) => key.startsWith(`${group}/`) && key.endsWith(`/${object.kind}`))) return undefined;
  const schema = schemas().get(`${object.apiVersion}/${object.kind}`);
  if (!schema) {
    const message = `no matches for kind "${object.kind}" in version "${object.apiVersion}"`;
    return [{ field: 'apiVersion', rule: 'schema', message }];
  }
  const { status: _, ...created } = object; // a create drops the status unseen
  const validate = compiled(schema);
  // ajv fills the defaults in: what it is given is a copy
  if (validate(structuredClone(created))) return [];
  const findings = (validate.errors ?? []).map(findingOf);
  const others = findings.filter(({ rule }) => rule !== 'cel');
  return others.length > 0 ? others : findings;
}

let loaded: ReadonlyMap<string, Schema> | undefined;

/** `group/version/kind` → schema. */
function schemas(): ReadonlyMap<string, Schema> {
  if (loaded) return loaded;
  const map = new Map<string, Schema>();
  for (const text of crdTexts()) {
    const document = parseYaml(text, 1);
    if ('rule' in document) throw new Error(`a CRD of ours, line ${document.line}: ${document.text}`);
    const { spec } = document.value as Crd;
    for (const { name, schema } of spec.versions) {
      map.set(`${spec.group}/${name}/${spec.names.kind}`, schema.openAPIV3Schema);
    }
  }
  loaded = map;
  return map;
}

const validators = new WeakMap<Schema, ValidateFunction>();

function compiled(schema: Schema): ValidateFunction {
  const known = validators.get(schema);
  if (known) return known;
  const ajv = new Ajv({ allErrors: true, strict: false, useDefaults: true, verbose: true });
  const fits = (bits: number) => (value: number) => value >= -(2 ** (bits - 1)) && value < 2 ** (bits - 1);
  ajv.addFormat('int32', { type: 'number', validate: fits(32) });
  ajv.addFormat('int64', { type: 'number', validate: fits(64) });
  ajv.addFormat('date-time', true); // in the status alone
  ajv.addKeyword(CEL);
  const validate = ajv.compile(closed(schema));
  validators.set(schema, validate);
  return validate;
}

/** The same schema, but an object has no other properties than those listed. */
function closed(schema: Schema): Schema {
  const { properties, items, additionalProperties } = schema;
  return {
    ...schema,
    ...(items ? { items: closed(items) } : {}),
    ...(typeof additionalProperties === 'object' ? { additionalProperties: closed(additionalProperties) } : {}),
    ...(properties
      ? {
          properties: Object.fromEntries(Object.entries(properties).map(([name, each]) => [name, closed(each)])),
          additionalProperties: false,
        }
      : {}),
  };
}

const CEL: FuncKeywordDefinition = {
  keyword: 'x-kubernetes-validations',
  // after the defaults of the object's properties were filled in
  post: true,
  compile(rules: readonly CelRule[], schema: Schema) {
    const environment = new Environment().registerVariable('self', 'dyn');
    const checks = rules
      .filter(({ rule }) => !/\boldSelf\b/.test(rule))
      .map(({ rule, message }) => ({ holds: environment.parse(rule), message }));
    const validate: DataValidateFunction = (data: unknown) => {
      const self = celValue(data, schema);
      validate.errors = checks.flatMap(({ holds, message }) => {
        const said = judge(() => holds({ self }) === true, data, message);
        return said === undefined ? [] : [{ keyword: 'cel', message: said }];
      });
      return validate.errors.length === 0;
    };
    return validate;
  },
  errors: true,
};

/** What the API server says of a rule that does not hold, or can't be evaluated; undefined: it holds. */
function judge(holds: () => boolean, data: unknown, message: string): string | undefined {
  try {
    if (holds()) return undefined;
    return typeof data === 'object'
      ? `Invalid value: ${message}`
      : `Invalid value: ${JSON.stringify(data)}: ${message}`;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    return `Invalid value: "${typeOf(data)}": ${reason} evaluating rule: ${message}`;
  }
}

/** CEL's int is a bigint here. */
function celValue(data: unknown, schema: Schema): unknown {
  if (typeof data === 'number' && schema.type === 'integer' && Number.isInteger(data)) return BigInt(data);
  if (Array.isArray(data)) return data.map((item: unknown) => celValue(item, schema.items ?? {}));
  if (typeof data !== 'object' || data === null) return data;
  const { properties = {}, additionalProperties } = schema;
  const others = typeof additionalProperties === 'object' ? additionalProperties : {};
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, celValue(value, properties[key] ?? others)]),
  );
}

/** ajv's error in the words of the API server. */
function findingOf(error: ErrorObject): SchemaFinding {
  const path = error.instancePath
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce(
      (before, part) => (before === '' ? part : /^\d+$/.test(part) ? `${before}[${part}]` : `${before}.${part}`),
      '',
    );
  const under = (name: string): string => (path === '' ? name : `${path}.${name}`);
  const at = (message: string): SchemaFinding => ({ field: path, rule: 'schema', message });
  const invalid = (message: string): SchemaFinding =>
    at(`Invalid value: ${JSON.stringify(error.data)}: ${path} in body should ${message}`);
  switch (error.keyword) {
    case 'cel':
      return { field: path, rule: 'cel', message: error.message ?? '' };
    case 'additionalProperties': {
      const field = under(String(error.params['additionalProperty']));
      return { field, rule: 'unknown-field', message: `unknown field "${field}"` };
    }
    case 'required':
      return { field: under(String(error.params['missingProperty'])), rule: 'schema', message: 'Required value' };
    case 'type': {
      const is = typeOf(error.data);
      return at(`Invalid value: "${is}": ${path} in body must be of type ${error.params['type']}: "${is}"`);
    }
    case 'enum': {
      const values = (error.params['allowedValues'] as readonly unknown[]).map((value) => JSON.stringify(value));
      return at(`Unsupported value: ${JSON.stringify(error.data)}: supported values: ${values.join(', ')}`);
    }
    case 'minimum':
      return invalid(`be greater than or equal to ${error.params['limit']}`);
    case 'maximum':
      return invalid(`be less than or equal to ${error.params['limit']}`);
    case 'minItems':
      return at(
        `Invalid value: ${size(error.data)}: ${path} in body should have at least ${error.params['limit']} items`,
      );
    case 'format': {
      const wanted = `must be of type integer with format ${error.params['format']} in ${path}`;
      return at(`Invalid value: ${JSON.stringify(error.data)}: Checked value ${wanted}`);
    }
    default:
      return at(`Invalid value: ${JSON.stringify(error.data)}: ${path} in body ${error.message}`);
  }
}

function size(data: unknown): number {
  return Array.isArray(data) ? data.length : 0;
}

function typeOf(data: unknown): string {
  if (data === null) return 'null';
  if (Array.isArray(data)) return 'array';
  return Number.isInteger(data) ? 'integer' : typeof data;
}
