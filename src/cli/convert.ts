// `fairway convert FILE`: the ConfigMap that MetalLB read up to v0.12, as custom resources on standard output. They are judged
// as `validate` judges them before anything is printed. Exit codes: 0 converted, 1 refused, 2 wrong call.

import { Command } from 'commander';
import { stringify } from 'yaml';
import type { Attempt } from '../config/invalid.ts';
import { type Conversion, type Converted, convertLegacy } from '../config/legacy.ts';
import { modeCheck } from '../config/mode.ts';
import type { ApiObject } from '../config/resource.ts';
import { MAX_DOCUMENT, type ManifestObject } from '../k8s/manifest.ts';
import { parseYaml, type YamlDocument } from '../k8s/yaml.ts';
import { judge } from './findings.ts';
import { readInput, readText, UnreadableInput } from './input.ts';
import { printable } from './terminal.ts';
import { ignored, type Streams } from './validate.ts';

/** The verb for the front door. */
export function convertCommand(): Command {
  return new Command('convert')
    .summary('make custom resources of the ConfigMap that MetalLB read up to v0.12')
    .description(
      "Reads MetalLB's ConfigMap (v0.7 to v0.12) and prints the custom resources that mean the same, in its namespace.\n" +
        'Exit code: 0 converted, 1 refused, 2 wrong call.',
    )
    .argument('<file>', 'manifest with the ConfigMap; - is standard input')
    .option('--only-data', 'the file is the value of the key config alone')
    .action(async (file: string, { onlyData }: { readonly onlyData?: true }) => {
      const { stdin, stdout, stderr, env: environment } = process;
      process.exitCode = await runConvert(file, onlyData === true, { stdin, stdout, stderr, environment });
    });
}

/** The configuration and where it stands. */
interface Source {
  readonly text: string;
  /** Of the ConfigMap. */
  readonly namespace: string;
  /** Place of a line of `text`, from 1. */
  readonly place: (line: number) => string;
}

/** Says why there is nothing to convert. */
class Unconvertible extends Error {}

/** Reads, converts, judges and prints; the exit code. */
export async function runConvert(file: string, onlyData: boolean, streams: Streams): Promise<0 | 1 | 2> {
  const { stdout, stderr } = streams;
  const say = (line: string): unknown => stderr.write(`${printable(line)}\n`);
  try {
    const source = onlyData ? await readData(file, streams) : await readConfigMap(file, streams, say);
    const document = readDocument(source);
    const at = (path: string): string => source.place(document.lineOf(path));
    const { objects, renamed, unknown } = conversionOf(convertLegacy(document.value, source.namespace), at);
    for (const path of unknown) say(`${at(path)}: ${path}: no version knows this key: left out`);
    for (const { path, was, is } of renamed) {
      const mend = path.startsWith('address-pools') ? ': mend the Services that ask for it by name' : '';
      say(`${at(path)}: ${path}: "${was}" is called ${is} now${mend}`);
    }
    const faults = faultsOf(objects, source, document, say);
    if (faults.length > 0) throw new Unconvertible(faults.join('\n'));
    stdout.write(`# Made by fairway convert.\n${objects.map(({ object }) => textOf(object)).join('---\n')}`);
    return 0;
  } catch (error) {
    if (error instanceof UnreadableInput) {
      say(`fairway: ${error.message}`);
      return 2;
    }
    if (!(error instanceof Unconvertible)) throw error;
    for (const line of error.message.split('\n')) say(line);
    return 1;
  }
}

/** As kubectl reads it: what its YAML would take for a number or a boolean is quoted. */
export function textOf(object: ApiObject): string {
  return stringify(object, { version: '1.1', lineWidth: 0, indentSeq: false, aliasDuplicateObjects: false });
}

async function readData(file: string, { stdin, environment }: Streams): Promise<Source> {
  const namespace = environment['METALLB_NAMESPACE'] || 'metallb-system';
  return { text: await readText(file, stdin), namespace, place: (line) => `${file}:${line}` };
}

/** The one ConfigMap that holds a configuration. */
async function readConfigMap(
  file: string,
  { stdin, environment }: Streams,
  say: (line: string) => unknown,
): Promise<Source> {
  const { objects, faults } = await readInput([file], stdin);
  const [fault] = faults;
  if (fault) throw new Unconvertible(`${fault.file}:${fault.line}: ${fault.rule}: ${fault.text}`);
  const maps = objects.filter(({ object }) => object.apiVersion === 'v1' && object.kind === 'ConfigMap');
  for (const line of ignored(objects.filter((each) => !maps.includes(each)).map(({ object }) => object))) say(line);
  const filled = maps.flatMap((written) => {
    const text = configOf(written.object);
    return text === '' ? [] : [{ written, text }];
  });
  const [first, second] = filled;
  if (first === undefined)
    throw new Unconvertible(`${file}: ${maps.length === 0 ? 'no ConfigMap' : 'bad ConfigMap: no data'}`);
  if (second !== undefined) {
    const places = [first, second].map(({ written }) => `${written.file}:${written.line}`);
    throw new Unconvertible(`two ConfigMaps with a configuration: ${places.join(' and ')}`);
  }
  const { written, text } = first;
  const key = `${written.file}:${written.lineOf('data.config')}`;
  return {
    text,
    namespace: written.object.metadata.namespace || environment['METALLB_NAMESPACE'] || 'metallb-system',
    place: (line) => `${key}: line ${line} of config`,
  };
}

function configOf({ data }: ApiObject): string {
  const config: unknown = typeof data === 'object' && data !== null && 'config' in data ? data.config : undefined;
  return typeof config === 'string' ? config.trim() && config : '';
}

function readDocument({ text, place }: Source): YamlDocument {
  if (Buffer.byteLength(text) > MAX_DOCUMENT) throw new Unconvertible(`${place(1)}: more than 1 MiB`);
  const document = parseYaml(text, 1, 'as-written');
  if ('rule' in document) throw new Unconvertible(`${place(document.line)}: ${document.rule}: ${document.text}`);
  if (document.value === undefined) throw new Unconvertible(`${place(1)}: bad ConfigMap: no data`);
  return document;
}

function conversionOf(attempted: Attempt<Conversion>, at: (path: string) => string): Conversion {
  if ('value' in attempted) return attempted.value;
  const { message, field = '' } = attempted.invalid;
  // MetalLB took a number or a boolean where it wanted a text; what was written is not known here any more
  const advice = /must be a string, not a (number|boolean)$/.test(message) ? ': put it in quotes' : '';
  throw new Unconvertible(`${at(field)}: ${message}${advice}`);
}

/** What schema, webhooks and parser would say. What only one mode of the speakers refuses is said, no more. */
function faultsOf(
  objects: readonly Converted[],
  { namespace, place }: Source,
  { lineOf }: YamlDocument,
  say: (line: string) => unknown,
): readonly string[] {
  const manifests = objects.map(({ object, from }): ManifestObject => {
    const line = lineOf(from);
    // the judge tells a field of the resource; where it stands is known of the whole alone
    return { object, file: from, line, lineOf: () => line };
  });
  const { findings, resources } = judge({ objects: manifests, faults: [] }, { bgpType: 'unset', namespace });
  const ofMode = new Set(modeCheck('unset', resources).map(({ message }) => message));
  const told = findings.map(({ file, line, kind, name, field, message }) => {
    const text = `${place(line)}: ${file}: ${kind}/${name}: ${field || '-'}: ${message}`;
    return { text, isFault: !ofMode.has(message) };
  });
  for (const { text, isFault } of told) if (!isFault) say(`${text} (in frr mode)`);
  return told.filter(({ isFault }) => isFault).map(({ text }) => text.replace(/\n/g, '; '));
}
