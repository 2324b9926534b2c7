// All that is wrong with a set of manifests: the union of what the API server (schemas, metadata), the webhooks and the
// processes would say once everything is applied. `validate` prints it, `plan` refuses where it is not empty.
// A parser stops at its first fault; here the object at fault is left out and the parser asked again, so that one run
// tells the independent faults. What is only a consequence of an object left out is not told.

import { modeCheck, selectorsOf } from '../config/mode.ts';
import { parseConfig } from '../config/parse.ts';
import { gather, readResource } from '../config/read.ts';
import type { ApiObject, BgpType, Invalid, Resource, Resources } from '../config/resource.ts';
import { matchesAny } from '../config/selector.ts';
import { namespaceCheck, WEBHOOK_KINDS, type WebhookKind, webhookParse } from '../config/webhook.ts';
import type { Manifest, ManifestObject } from '../k8s/manifest.ts';
import { checkMetadata } from './metadata.ts';
import { checkSchema } from './schema.ts';
import type { Environment } from './terminal.ts';

/** One line of `validate`. `kind`, `name` and `field` are empty where there is none. */
export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly kind: string;
  readonly name: string;
  readonly field: string;
  readonly rule: string;
  /** Line breaks included. */
  readonly message: string;
}

export interface Judgement {
  /** By file and line. */
  readonly findings: readonly Finding[];
  /** Of other kinds, in their order. */
  readonly others: readonly ManifestObject[];
  /** What is allowed and should be known, with file and line. */
  readonly warnings: readonly string[];
  /** What the parser was given; whole only where there are no findings. */
  readonly resources: Resources;
}

export interface JudgeOptions {
  /** Unset counts as frr. */
  readonly bgpType: BgpType;
  /** MetalLB's: where its resources and Secrets are when they name no namespace, and where they must be. */
  readonly namespace: string;
}

/** `METALLB_BGP_TYPE` and `METALLB_NAMESPACE`. */
export function judgeOptions(environment: Environment): JudgeOptions {
  return {
    bgpType: environment['METALLB_BGP_TYPE'] === 'native' ? 'native' : 'frr',
    namespace: environment['METALLB_NAMESPACE'] || 'metallb-system',
  };
}

/** An object of a kind that is judged, and where it stands. */
interface Candidate {
  readonly written: ManifestObject;
  /** With its namespace filled in. */
  readonly object: ApiObject;
  readonly read: Resource;
}

export function judge({ objects, faults }: Manifest, options: JudgeOptions): Judgement {
  const findings: Finding[] = faults.map(({ file, line, rule, text }) => {
    return { file, line, kind: '', name: '', field: '', rule, message: text };
  });
  const others: ManifestObject[] = [];
  const warnings: string[] = [];
  const candidates: Candidate[] = [];
  const first = new Map<string, ManifestObject>();
  for (const written of objects) {
    const object = placed(written.object, options.namespace);
    const reading = readResource(object);
    if (reading === undefined) {
      others.push(written);
      continue;
    }
    const earlier = first.get(identity(object));
    first.set(identity(object), earlier ?? written);
    if (earlier) {
      findings.push(finding(written, { rule: 'duplicate', field: 'metadata.name', message: twice(object, earlier) }));
      continue;
    }
    if (object.kind === 'BGPPeer' && object.apiVersion === 'metallb.io/v1beta1') {
      warnings.push(remark(written, 'apiVersion', 'v1beta1 is deprecated, please use v1beta2'));
    }
    const said = [...(checkSchema(object) ?? []), ...checkMetadata(object)];
    for (const each of said) findings.push(finding(written, each));
    const refused = said.some(({ rule }) => rule === 'schema' || rule === 'cel');
    // the reader knows the same types and ranges: it is heard where the schema has nothing to say
    if ('invalid' in reading && !refused) findings.push(finding(written, reading.invalid));
    if (!('invalid' in reading) && !refused) candidates.push({ written, object, read: reading });
  }
  const misplaced = candidates.flatMap(({ written, object, read }) =>
    misplacement(written, object, read, options, warnings),
  );
  findings.push(...misplaced);
  const inPlace = candidates.filter(
    ({ object: { kind, metadata } }) => CLUSTERED.has(kind) || metadata.namespace === options.namespace,
  );
  const resources = gather(inPlace.map(({ read }) => read));
  const missing = new Set(findings.filter(({ rule }) => !HARMLESS.has(rule)).map(({ kind }) => kind));
  findings.push(...together(inPlace, resources, options, missing));
  return { findings: sortedFindings(findings), others, warnings, resources };
}

/** Rules that leave an object what it is to all others. */
const HARMLESS: ReadonlySet<string> = new Set(['unknown-field', 'metadata']);

const CLUSTERED = new Set(['Node', 'Namespace']);

/** With the namespace that it would get. */
function placed(object: ApiObject, namespace: string): ApiObject {
  const { kind, metadata } = object;
  if (metadata.namespace !== undefined && metadata.namespace !== '') return object;
  return CLUSTERED.has(kind) ? object : { ...object, metadata: { ...metadata, namespace } };
}

function identity({ kind, metadata }: ApiObject): string {
  return JSON.stringify([kind, CLUSTERED.has(kind) ? '' : metadata.namespace, metadata.name]);
}

function twice({ kind, metadata }: ApiObject, earlier: ManifestObject): string {
  return `${kind} "${metadata.name}" is already defined at ${earlier.file}:${earlier.line}`;
}

function finding(written: ManifestObject, said: Pick<Invalid, 'rule' | 'field' | 'message'>): Finding {
  const { file, line, lineOf, object } = written;
  const { rule, field = '', message } = said;
  const { kind, metadata } = object;
  return { file, line: field === '' ? line : lineOf(field), kind, name: metadata.name, field, rule, message };
}

function remark({ file, lineOf, object }: ManifestObject, field: string, text: string): string {
  return `${file}:${lineOf(field)}: ${object.kind}/${object.metadata.name}: ${text}`;
}

/** What a webhook says of the namespace; a peer with `disableMP` is let in unseen, with a warning. */
function misplacement(
  written: ManifestObject,
  { metadata }: ApiObject,
  read: Resource,
  { namespace }: JudgeOptions,
  warnings: string[],
): readonly Finding[] {
  if (!isWebhookKind(read.kind)) return [];
  if (read.kind === 'BGPPeer' && read.value.disableMP) {
    const text = "disable mp is deprecated and has no effect since it's the default behavior now";
    warnings.push(remark(written, 'spec.disableMP', text));
    return [];
  }
  const place = { kind: read.kind, name: metadata.name, namespace: metadata.namespace ?? '' };
  const invalid = namespaceCheck(place, namespace);
  return invalid ? [finding(written, invalid)] : [];
}

function isWebhookKind(kind: Resource['kind']): kind is WebhookKind {
  return WEBHOOK_KINDS.some((each) => each === kind);
}

type Check = (resources: Resources) => Invalid | undefined;

/** Faults that one check is asked for: each costs a run of the parser. */
const MOST_FAULTS = 100;

/**
 * What the resources break together: the mode's rules, then each webhook's, then those of every node's speaker.
 * `missing`: kinds of which some object was refused and so is not among them, empty for text that could not be read.
 */
function together(
  candidates: readonly Candidate[],
  resources: Resources,
  options: JudgeOptions,
  missing: ReadonlySet<string>,
): readonly Finding[] {
  const { namespace } = options;
  const findings = new Map<string, Finding>();
  const gone = new Set(missing);
  const out = new Set<string>();
  const keep = (invalid: Invalid): void => {
    if (invalid.transient && REFERRED.some((kind) => gone.has(kind))) return;
    const at = candidates.find(({ read }) => read.kind === invalid.kind && read.value.name === invalid.name);
    const said = at ? finding(at.written, invalid) : unplaced(invalid, candidates);
    findings.set(JSON.stringify([said.kind, said.name, said.field, said.message]), said);
  };
  for (const invalid of modeCheck(options.bgpType, resources)) keep(invalid);
  // the mode has been asked: from here on its rules only warn
  const parse = { bgpType: 'unset', namespace } as const;
  const checks: readonly Check[] = [
    ...WEBHOOK_KINDS.map(
      (kind): Check =>
        (given) =>
          webhookParse(kind, given, parse),
    ),
    ...speakers(resources).map(
      (node): Check =>
        (given) => {
          // without Nodes: what one node would say that sees every peer
          const parsed =
            node === undefined
              ? parseConfig({ ...given, nodes: [BARE_NODE] }, parse)
              : parseConfig(given, { ...parse, node });
          return 'invalid' in parsed ? parsed.invalid : undefined;
        },
    ),
  ];
  for (const check of checks) {
    for (let left = MOST_FAULTS; left > 0; left--) {
      const invalid = check(gather(candidates.filter(({ read }) => !out.has(keyOf(read))).map(({ read }) => read)));
      if (!invalid) break;
      keep(invalid);
      const { kind, name } = invalid;
      if (kind === undefined || name === undefined || out.has(`${kind}/${name}`)) break;
      out.add(`${kind}/${name}`);
      gone.add(kind);
    }
  }
  return [...findings.values()];
}

const BARE_NODE = { name: 'node', labels: {} };

/** Kinds that others refer to by a name that must exist; it may have stood in text that could not be read. */
const REFERRED: readonly string[] = ['BFDProfile', 'Secret', 'Community', ''];

function keyOf({ kind, value }: Resource): string {
  return `${kind}/${value.name}`;
}

/** One node of each group in which speakers see the same peers and advertisements; without Nodes one that sees them all. */
function speakers({ nodes, peers, bgpAdvertisements }: Resources): readonly (string | undefined)[] {
  if (nodes.length === 0) return [undefined];
  const selected = [...peers, ...bgpAdvertisements].map(selectorsOf);
  const groups = new Map<string, string>();
  for (const { name, labels } of nodes) {
    const sees = selected.map((selectors) => (matchesAny(selectors, labels) ? '1' : '0')).join('');
    if (!groups.has(sees)) groups.set(sees, name);
  }
  return [...groups.values()];
}

function unplaced(invalid: Invalid, candidates: readonly Candidate[]): Finding {
  const { rule, message, kind = '', name = '', field = '' } = invalid;
  return { file: candidates[0]?.written.file ?? '-', line: 1, kind, name, field, rule, message };
}

function sortedFindings(findings: readonly Finding[]): readonly Finding[] {
  const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return findings.toSorted((a, b) => order(a.file, b.file) || a.line - b.line);
}
