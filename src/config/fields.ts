// Reading an untyped object field by field: a wrong type is refused with the path it stands at, a field that nobody asked
// for is collected. Used by the readers of this room's kinds. Values are never printed: one of them may be a password.

import { parseDuration } from './duration.ts';
import { refuse } from './invalid.ts';
import type { LabelSelector } from './selector.ts';

interface Bounds {
  readonly min: number;
  readonly max: number;
}

/** A cursor over one object; `end` tells which of its fields were not asked for. */
export class Fields {
  readonly path: string;
  readonly #object: Readonly<Record<string, unknown>>;
  readonly #unknown: string[];
  readonly #nulls: 'wrong' | 'absent';
  readonly #asked = new Set<string>();

  /** `nulls`: an API server takes some of them, in lists and maps of built-in kinds, for fields that are not there. */
  constructor(value: unknown, path: string, unknown: string[], nulls: 'wrong' | 'absent' = 'wrong') {
    if (!isObject(value)) refuse('schema', `${path}: must be an object, not ${typeName(value)}`, path);
    this.#object = value;
    this.path = path;
    this.#unknown = unknown;
    this.#nulls = nulls;
  }

  at(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`;
  }

  /** Absent: the empty text. */
  text(name: string): string {
    const value = this.#take(name);
    if (value === undefined) return '';
    return typeof value === 'string' ? value : this.#wrong(name, 'a string', value);
  }

  /** `schemaDefault` also stands in for null: the API server prunes a null where the schema has a default. */
  flag(name: string, schemaDefault?: boolean): boolean {
    const value = this.#take(name, schemaDefault);
    if (value === undefined) return false;
    return typeof value === 'boolean' ? value : this.#wrong(name, 'true or false', value);
  }

  integer(name: string, bounds: Bounds): number | undefined;
  integer(name: string, bounds: Bounds, schemaDefault: number): number;
  integer(name: string, { min, max }: Bounds, schemaDefault?: number): number | undefined {
    const value = this.#take(name, schemaDefault);
    if (value === undefined) return undefined;
    const wanted = `an integer from ${min} to ${max}`;
    if (typeof value !== 'number') return this.#wrong(name, wanted, value);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    return refuse('schema', `${this.at(name)}: must be ${wanted}, not ${value}`, this.at(name));
  }

  /** Milliseconds. */
  duration(name: string): number | undefined {
    const text = this.#take(name);
    if (text === undefined) return undefined;
    if (typeof text !== 'string') return this.#wrong(name, 'a duration such as "90s"', text);
    const parsed = parseDuration(text);
    return 'ms' in parsed ? parsed.ms : refuse('schema', `${this.at(name)}: ${parsed.error}`, this.at(name));
  }

  /** Absent: none. */
  list<T>(name: string, read: (item: unknown, path: string) => T): readonly T[] {
    const value = this.#take(name);
    if (value === undefined) return [];
    if (!Array.isArray(value)) return this.#wrong(name, 'a list', value);
    return value.map((item: unknown, i) => read(item, `${this.at(name)}[${i}]`));
  }

  texts(name: string): readonly string[] {
    return this.list(name, (item, path) =>
      typeof item === 'string' ? item : refuse('schema', `${path}: must be a string, not ${typeName(item)}`, path),
    );
  }

  /** The objects of a list, each read to its end. */
  objects<T>(name: string, read: (fields: Fields) => T): readonly T[] {
    return this.list(name, (item, path) => this.#nested(item, path, read));
  }

  /** Undefined where absent. */
  object<T>(name: string, read: (fields: Fields) => T): T | undefined {
    const value = this.#take(name);
    return value === undefined ? undefined : this.#nested(value, this.at(name), read);
  }

  /** A map of texts with its keys sorted; absent: empty. */
  textMap(name: string): Readonly<Record<string, string>> {
    const value = this.#take(name);
    if (value === undefined) return {};
    const path = this.at(name);
    if (!isObject(value)) return this.#wrong(name, 'a map of strings', value);
    const given = Object.entries(value).filter(([, item]) => !this.#isAbsent(item));
    const entries = given.map(([key, item]) =>
      typeof item === 'string'
        ? ([key, item] as const)
        : refuse('schema', `${path}.${key}: must be a string, not ${typeName(item)}`, `${path}.${key}`),
    );
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  selectors(name: string): readonly LabelSelector[] {
    return this.objects(name, readSelector);
  }

  /** Refuses an object without these fields. */
  require(...names: readonly string[]): void {
    for (const name of names) {
      if (!this.has(name)) refuse('schema', `${this.at(name)}: Required value`, this.at(name));
    }
  }

  /** Whether the field is there; to look is not to ask for it. */
  has(name: string): boolean {
    return !this.#isAbsent(this.#object[name]);
  }

  /** Fields that are known and not looked at. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#asked.add(name);
  }

  end(): void {
    for (const name of Object.keys(this.#object)) {
      if (!this.#asked.has(name)) this.#unknown.push(this.at(name));
    }
  }

  #take(name: string, schemaDefault?: unknown): unknown {
    this.#asked.add(name);
    const value = Object.hasOwn(this.#object, name) ? this.#object[name] : undefined;
    return this.#isAbsent(value) || (value === null && schemaDefault !== undefined) ? schemaDefault : value;
  }

  #isAbsent(value: unknown): boolean {
    return value === undefined || (value === null && this.#nulls === 'absent');
  }

  #nested<T>(value: unknown, path: string, read: (fields: Fields) => T): T {
    const fields = new Fields(value, path, this.#unknown, this.#nulls);
    const result = read(fields);
    fields.end();
    return result;
  }

  #wrong(name: string, wanted: string, value: unknown): never {
    return refuse('schema', `${this.at(name)}: must be ${wanted}, not ${typeName(value)}`, this.at(name));
  }
}

/** A LabelSelector as it is written; whether it means something is `compileSelector`'s to say. */
export function readSelector(fields: Fields): LabelSelector {
  return {
    matchLabels: fields.textMap('matchLabels'),
    matchExpressions: fields.objects('matchExpressions', (expression) => ({
      key: expression.text('key'),
      operator: expression.text('operator'),
      values: expression.texts('values').toSorted(),
    })),
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
