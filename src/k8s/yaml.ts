// One YAML or JSON document to plain data, as kubectl reads it, and back from a path in it to its line. k8s/manifest
// calls it for each document of a file. YAML 1.2 syntax with the scalars of Go's YAML reader (kubectl's own): `yes`,
// `010` and `1_000` are a boolean and numbers, but `64512:100` is text. Stricter than kubectl where a mistake hides:
// a key that stands twice and an unknown tag are refused. Input may be hostile: tokens, depth and aliases are bounded.

import type {
  Alias,
  CST,
  Document,
  DocumentOptions,
  Node,
  Pair,
  ParseOptions,
  SchemaOptions,
  Tags,
  YAMLMap,
  YAMLSeq,
} from 'yaml';
import { Composer, isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, Parser } from 'yaml';

export interface YamlDocument {
  /** Objects, arrays, strings, numbers, booleans; null stays only in arrays. Undefined: the document is empty. */
  readonly value: unknown;
  /** Line of the first key or value. */
  readonly line: number;
  /** Line of a path such as `spec.addresses[1]`, or of its nearest parent that stands in the text. */
  readonly lineOf: (path: string) => number;
}

/** Why a document can't be read. `rule` is one of `yaml`, `duplicate-key`, `too-deep`, `too-many-tokens`, `too-many-aliases`. */
export interface YamlFault {
  readonly line: number;
  readonly rule: string;
  readonly text: string;
}

const MAX_DEPTH = 100;
/** Values that aliases and merge keys may repeat in one document. */
const MAX_ALIASED = 10_000;
/** Characters of the keys and strings among them. */
const MAX_ALIASED_TEXT = 1 << 20;
/** Tokens of one document: each costs up to 2 µs until it is data, and all of them are read in one turn. */
const MAX_TOKENS = 100_000;

/** Of a map: as kubectl makes them of its scalars (`y` is `true`), or as Go's reader hands them to a program that wants text. */
export type Keys = 'of-scalars' | 'as-written';

/** Reads one document; its first line has the number `firstLine`. */
export function parseYaml(text: string, firstLine: number, keys: Keys = 'of-scalars'): YamlDocument | YamlFault {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines.addNewLine(at + 1);
  const lineAt = (offset: number): number => firstLine - 1 + lines.linePos(offset).line;
  try {
    const root = compose(text).contents;
    if (!root) return { value: undefined, line: firstLine, lineOf: () => firstLine };
    const value = new Reader(keys).read(root, 0) ?? undefined;
    const places = placesOf(root, lineAt(startOf(root)), { lineAt, keys });
    return { value: standingAlone(value), line: lineIn(places), lineOf: finder(places) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { line: lineAt(error.offset), rule: error.rule, text: error.message };
  }
}

/** The same data without slices of the text: one short string would keep a whole file in memory. */
function standingAlone(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

class Refused extends Error {
  readonly offset: number;
  readonly rule: string;

  constructor(offset: number, rule: string, text: string) {
    super(text);
    this.offset = offset;
    this.rule = rule;
  }
}

const KUBECTL_TAGS = new Set(['map', 'seq', 'str', 'null', 'bool', 'int', 'float']);

const OPTIONS: ParseOptions & DocumentOptions & SchemaOptions = {
  schema: 'yaml-1.1',
  customTags: (tags): Tags => [
    ...tags.filter((tag) => {
      if (typeof tag === 'string') return KUBECTL_TAGS.has(tag);
      const isTime = 'format' in tag && tag.format === 'TIME';
      return KUBECTL_TAGS.has(tag.tag.slice('tag:yaml.org,2002:'.length)) && !isTime;
    }),
    'intOct',
  ],
  resolveKnownTags: false,
  // costs quadratic time there; `Reader` looks for equal keys itself
  uniqueKeys: false,
  prettyErrors: false,
  logLevel: 'silent',
};

function compose(text: string): Document.Parsed {
  const limit = Error.stackTraceLimit;
  // the library makes an Error of every fault: a megabyte of faults must not record a million stacks
  Error.stackTraceLimit = 0;
  try {
    const control = text.search(/[\p{Cc}--[\t\n\r\u0085]]/v);
    if (control >= 0) throw new Refused(control, 'yaml', 'control characters are not allowed');
    const [document, second] = new Composer(OPTIONS).compose(tokens(text), true, text.length);
    if (!document) throw new Refused(0, 'yaml', 'no document');
    const fault = document.errors[0] ?? document.warnings[0];
    if (fault) throw new Refused(fault.pos[0], 'yaml', fault.message.split('\n', 1)[0] ?? '');
    if (second) throw new Refused(second.range[0], 'yaml', 'a second document begins without a line `---`');
    return document;
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** The syntax tree's tokens, given up at the first fault and before the nesting could exhaust the stack or the time. */
function* tokens(text: string): Generator<CST.Token, void> {
  const parser = new Parser();
  let count = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (++count > MAX_TOKENS) {
      const tooMany = `a document of more than ${MAX_TOKENS} YAML tokens: split it`;
      throw new Refused(parser.offset, 'too-many-tokens', tooMany);
    }
    for (const token of parser.next(lexeme)) {
      if (token.type === 'error') throw new Refused(token.offset, 'yaml', token.message);
      yield token;
    }
    if (parser.stack.length > 2 * MAX_DEPTH) throw tooDeep(parser.offset);
  }
  yield* parser.end();
}

function tooDeep(offset: number): Refused {
  return new Refused(offset, 'too-deep', `nested more than ${MAX_DEPTH} levels deep`);
}

/** Composed nodes to plain data; one for each document, for it remembers the anchors. */
class Reader {
  readonly #anchors = new Map<string, Node>();
  readonly #keys: Keys;
  #aliased = 0;
  #aliasedText = 0;

  constructor(keys: Keys) {
    this.#keys = keys;
  }

  read(node: Node, depth: number, repeated = false): unknown {
    if (depth > MAX_DEPTH) throw tooDeep(startOf(node));
    if (repeated && ++this.#aliased > MAX_ALIASED) {
      const text = `aliases repeat more than ${MAX_ALIASED} values in this document`;
      throw new Refused(startOf(node), 'too-many-aliases', text);
    }
    if (isAlias(node)) return this.read(this.#target(node), depth + 1, true);
    if (node.anchor) this.#anchors.set(node.anchor, node);
    if (isMap(node)) return this.#map(node, depth, repeated);
    if (isSeq(node)) return node.items.map((item) => this.read(item as Node, depth + 1, repeated));
    const value = isScalar(node) ? node.value : undefined;
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw new Refused(startOf(node), 'yaml', 'infinity and NaN have no place in a manifest');
    }
    if (repeated && typeof value === 'string') this.#repeat(value, node);
    return value;
  }

  #repeat(text: string, node: Node): void {
    this.#aliasedText += text.length;
    if (this.#aliasedText <= MAX_ALIASED_TEXT) return;
    throw new Refused(startOf(node), 'too-many-aliases', 'aliases repeat more than 1 MiB of text in this document');
  }

  #target(alias: Alias): Node {
    const target = this.#anchors.get(alias.source);
    if (target) return target;
    throw new Refused(startOf(alias), 'yaml', `alias *${alias.source} has no anchor before it`);
  }

  #map(map: YAMLMap, depth: number, repeated: boolean): Record<string, unknown> {
    const entries = new Map<string, unknown>();
    const merged = new Map<string, unknown>();
    for (const { key, value } of map.items as Pair<Node, Node | null>[]) {
      const name = this.#key(key, depth);
      if (name === '<<' && isScalar(key) && key.source === '<<' && key.type === 'PLAIN' && value) {
        this.#merge(value, depth, merged);
        continue;
      }
      if (entries.has(name))
        throw new Refused(startOf(key), 'duplicate-key', `key ${quoted(name)} stands twice in one map`);
      if (repeated) this.#repeat(name, key);
      entries.set(name, value ? this.read(value, depth + 1, repeated) : undefined);
    }
    for (const [name, value] of merged) if (!entries.has(name)) entries.set(name, value);
    // to the API server a field that is null is a field that is not there
    return Object.fromEntries([...entries].filter(([, value]) => value !== null && value !== undefined));
  }

  #key(key: Node, depth: number): string {
    const value = this.read(key, depth + 1);
    if (typeof value === 'object' && value !== null) throw new Refused(startOf(key), 'yaml', 'a key must be a scalar');
    return keyText(isAlias(key) ? this.#target(key) : key, this.#keys);
  }

  /** `<<: *a` or `<<: [*a, *b]`: what comes first wins. */
  #merge(value: Node, depth: number, into: Map<string, unknown>): void {
    for (const source of isSeq(value) ? (value as YAMLSeq<Node>).items : [value]) {
      const map = this.read(source, depth + 1, true);
      if (typeof map !== 'object' || map === null || Array.isArray(map)) {
        throw new Refused(startOf(source), 'yaml', 'a merge key (<<) takes maps alone');
      }
      for (const [name, merged] of Object.entries(map)) if (!into.has(name)) into.set(name, merged);
    }
  }
}

function quoted(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

/** Lines in the shape of the data, apart from the text: of a scalar its line, of a map or sequence that of its key too. */
type Place = number | { readonly line: number; readonly inside: readonly Place[] | Readonly<Record<string, Place>> };

interface Reading {
  readonly lineAt: (offset: number) => number;
  readonly keys: Keys;
}

function placesOf(node: Node | null, line: number, reading: Reading): Place {
  const { lineAt, keys } = reading;
  if (isSeq(node)) {
    const items = (node as YAMLSeq<Node>).items;
    return { line, inside: items.map((item) => placesOf(item, lineAt(startOf(item)), reading)) };
  }
  if (!isMap(node)) return line;
  const pairs = (node as YAMLMap<Node, Node | null>).items;
  const inside = pairs.map(
    ({ key, value }) => [keyText(key, keys), placesOf(value, lineAt(startOf(key)), reading)] as const,
  );
  return { line, inside: Object.fromEntries(inside) };
}

function keyText(key: Node, keys: Keys): string {
  if (!isScalar(key)) return '';
  return keys === 'as-written' && key.type === 'PLAIN' ? (key.source ?? '') : String(key.value);
}

function lineIn(place: Place): number {
  return typeof place === 'number' ? place : place.line;
}

/** Made here, where nothing of the parse is in reach that it would keep alive. */
function finder(root: Place): (path: string) => number {
  return (path) => lineOfPath(root, path);
}

/** Follows the path as far as it stands in the text. */
function lineOfPath(root: Place, path: string): number {
  let place = root;
  let rest = path;
  while (typeof place !== 'number' && rest !== '') {
    const step = stepInto(place.inside, rest);
    if (!step) break;
    place = step.place;
    rest = rest.slice(step.length).replace(/^\./, '');
  }
  return lineIn(place);
}

/** Of a label: prefix, slash and name. Longer keys are not looked for. */
const LONGEST_KEY = 253 + 1 + 63;

function boundary(path: string, from: number): number {
  return Math.max(path.lastIndexOf('.', from), path.lastIndexOf('[', from));
}

type Inside = Exclude<Place, number>['inside'];

/** The longest key that fits is taken, for a key may hold dots. Time does not grow with the keys, nor with the path. */
function stepInto(inside: Inside, path: string): { readonly place: Place; readonly length: number } | undefined {
  if (isItems(inside)) {
    const index = /^\[(\d+)\]/.exec(path);
    const place = index ? inside[Number(index[1])] : undefined;
    return index && place !== undefined ? { place, length: index[0].length } : undefined;
  }
  const first = path.length <= LONGEST_KEY ? path.length : boundary(path, LONGEST_KEY);
  for (let end = first; end > 0; end = boundary(path, end - 1)) {
    const key = path.slice(0, end);
    const place = Object.hasOwn(inside, key) ? inside[key] : undefined;
    if (place !== undefined) return { place, length: end };
  }
  return undefined;
}

function isItems(inside: Inside): inside is readonly Place[] {
  return Array.isArray(inside);
}
