// YAML or JSON text as files hold it: documents to API objects, each with the file and the lines it came from.
// `fairway validate` and `plan` read whole files; `standalone` asks for one document a turn, so that a large file does
// not hold up its sessions. Text that can't be read is a fault with its line; the documents beside it are read all the same.

import { isUtf8 } from 'node:buffer';
import type { ApiObject } from '../config/resource.ts';
import { parseYaml } from './yaml.ts';

export interface ManifestObject {
  readonly object: ApiObject;
  readonly file: string;
  /** Line of the document's first key, from 1; of the item's first key for an item of a List. */
  readonly line: number;
  /** Line of a path such as `spec.addresses[1]`, or of its nearest parent that stands in the text. */
  readonly lineOf: (path: string) => number;
}

export interface ManifestFault {
  readonly file: string;
  readonly line: number;
  /** `yaml`, `duplicate-key`, `too-deep`, `too-many-tokens`, `too-many-aliases`, `too-large`, or `object`: no API object. */
  readonly rule: string;
  readonly text: string;
}

export interface Manifest {
  readonly objects: readonly ManifestObject[];
  readonly faults: readonly ManifestFault[];
}

/** Octets of one document. */
export const MAX_DOCUMENT = 1 << 20;

/** All objects of one file; never throws. `file` is only told again. */
export function readManifest(file: string, text: string): Manifest {
  const objects: ManifestObject[] = [];
  const faults: ManifestFault[] = [];
  for (const document of documents(file, text)) {
    for (const object of document.objects) objects.push(object);
    for (const fault of document.faults) faults.push(fault);
  }
  return { objects, faults };
}

/** The same, one document of at most 1 MiB parsed at each step of the generator. */
export function* documents(file: string, text: string): Generator<Manifest, void> {
  for (const { part, line } of split(text)) {
    // a string of n units has at least n octets: the exact count is only taken where it matters
    const octets = part.length > MAX_DOCUMENT ? part.length : Buffer.byteLength(part);
    if (octets > MAX_DOCUMENT) {
      const tooLarge = `a document of more than 1 MiB (${octets} octets): split it`;
      yield { objects: [], faults: [{ file, line, rule: 'too-large', text: tooLarge }] };
      continue;
    }
    const document = parseYaml(part, line);
    if ('rule' in document) yield { objects: [], faults: [{ file, ...document }] };
    else if (document.value === undefined) yield { objects: [], faults: [] };
    else yield readDocument(file, document.value, document.line, document.lineOf);
  }
}

/** The fault of octets that are no UTF-8, with its line; undefined: they are. */
export function notUtf8(file: string, bytes: Buffer): ManifestFault | undefined {
  if (isUtf8(bytes)) return undefined;
  let [line, start] = [1, 0];
  // no character of several octets has a line feed in it
  for (let end = bytes.indexOf(10); end >= 0 && isUtf8(bytes.subarray(start, end)); end = bytes.indexOf(10, start)) {
    line++;
    start = end + 1;
  }
  return { file, line, rule: 'yaml', text: 'the text is not UTF-8' };
}

/** Blank lines, comments and directives alone. */
const PREAMBLE = /^(?:[ \t\r]*(?:[#%][^\n]*)?\n)*[ \t\r]*(?:[#%][^\n]*)?$/;

/** Cuts at the markers `---` and `...`, which no YAML scalar can hold at the start of a line. */
function* split(text: string): Generator<{ readonly part: string; readonly line: number }, void> {
  const marker = /^(---|\.\.\.)(?=[ \t\r\n]|$)[^\n]*/gm;
  let [start, line] = [text.startsWith('\uFEFF') ? 1 : 0, 1];
  for (const match of text.matchAll(marker)) {
    const cut = match[1] === '---' ? match.index : match.index + match[0].length + 1;
    const part = text.slice(start, cut);
    // what stands before the first key of a document (comments, directives) belongs to it
    if (match[1] === '---' && PREAMBLE.test(part)) continue;
    yield { part, line };
    line += newlines(part);
    start = cut;
  }
  yield { part: text.slice(start), line };
}

function newlines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++;
  return count;
}

/** One parsed document: an object, or a List of them at any depth. */
function readDocument(file: string, value: unknown, line: number, lineOf: (path: string) => number): Manifest {
  const objects: ManifestObject[] = [];
  const faults: ManifestFault[] = [];
  const read = (candidate: unknown, path: string): void => {
    const at = path === '' ? line : lineOf(path);
    const fault = broken(candidate);
    if (fault) {
      const found = fault.path ? lineBelow(path, lineOf)(fault.path) : at;
      faults.push({ file, line: found, rule: 'object', text: fault.text });
    } else if (isList(candidate)) {
      candidate.items.forEach((item, index) => read(item, `${path === '' ? '' : `${path}.`}items[${index}]`));
    } else objects.push({ object: candidate as ApiObject, file, line: at, lineOf: lineBelow(path, lineOf) });
  };
  read(value, '');
  return { objects, faults };
}

/** Lines of what stands below a path; it holds on to nothing else of its document. */
function lineBelow(path: string, lineOf: (path: string) => number): (inner: string) => number {
  return path === '' ? lineOf : (inner) => lineOf(inner === '' ? path : `${path}.${inner}`);
}

function isList(value: unknown): value is { readonly items: readonly unknown[] } {
  return (
    isRecord(value) && typeof value['kind'] === 'string' && /List$/.test(value['kind']) && Array.isArray(value['items'])
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What keeps a value from being an API object, with the path at which that stands. */
function broken(value: unknown): { readonly path?: string; readonly text: string } | undefined {
  if (!isRecord(value)) return { text: 'not an object with apiVersion, kind and metadata' };
  for (const field of ['apiVersion', 'kind']) {
    if (value[field] === undefined || value[field] === '') return { text: `${field} is missing` };
    if (typeof value[field] !== 'string') return { path: field, text: `${field} must be a string` };
  }
  if (isList(value)) return undefined;
  const metadata = value['metadata'];
  if (metadata === undefined) return { text: `${value['kind']} without metadata.name` };
  if (!isRecord(metadata)) return { path: 'metadata', text: 'metadata must be an object' };
  if (metadata['name'] === undefined || metadata['name'] === '') {
    return { path: 'metadata', text: `${value['kind']} without metadata.name` };
  }
  for (const field of ['name', 'namespace']) {
    const text = metadata[field];
    if (text !== undefined && typeof text !== 'string') {
      return { path: `metadata.${field}`, text: `metadata.${field} must be a string` };
    }
  }
  return undefined;
}
