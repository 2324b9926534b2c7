// `fairway plan FILE…`: who gets which address, who announces what to whom by BGP and by layer 2, and why not, once
// everything in the files has settled. Exit codes: 0 planned, 1 refused as `validate` would, 2 wrong call.
// docs/validate-and-plan.md is what scripts may rely on.

import { Command, Option } from 'commander';
import { parseConfig } from '../config/parse.ts';
import { createIndexer, type Indexed, index } from '../k8s/indexer.ts';
import type { Manifest, ManifestObject } from '../k8s/manifest.ts';
import { allocate } from '../plan/allocate.ts';
import { type BfdSession, mayEcho } from '../plan/bfd.ts';
import { createElection } from '../plan/elect.ts';
import { createMemory, plan } from '../plan/plan.ts';
import type { Node, ServiceKey, Settings, Snapshot } from '../plan/snapshot.ts';
import { type Announcement, announcementsOf, type ServiceView, serviceViews, type Withheld } from '../plan/status.ts';
import { type Finding, type JudgeOptions, judge, judgeOptions } from './findings.ts';
import { readInput, UnreadableInput } from './input.ts';
import { planText } from './plan-text.ts';
import { painterFor, printable } from './terminal.ts';
import { findingLine, ignored, type Streams } from './validate.ts';

export interface PlanOptions {
  readonly json: boolean;
  /** Only this node; undefined: all. */
  readonly node?: string;
  readonly settings: Settings;
}

/** What is printed. Fields are added, never renamed. */
export interface PlanReport {
  readonly services: readonly Omit<ServiceView, 'announced' | 'withheld'>[];
  readonly announcements: readonly Announcement[];
  /** One entry for each Service, node and protocol that does not come together. */
  readonly withheld: readonly WithheldFrom[];
  /** One entry for each BGP session with a BFDProfile, in the order of nodes and of the configuration. */
  readonly bfd: readonly PlannedBfd[];
}

/** A BFD session as it would run. Who transmits how often then, and what the detection time is, the router has a say in. */
export interface PlannedBfd {
  readonly node: string;
  /** Name of the BGPPeer. */
  readonly peer: string;
  readonly profile: string;
  /** Its address, or the interface that its peer is named by. */
  readonly router: string;
  readonly hops: BfdSession['hops'];
  readonly receiveIntervalMs: number;
  readonly transmitIntervalMs: number;
  readonly detectMultiplier: number;
  readonly passive: boolean;
  /** Absent: no echoes. With `nearest` only over a single hop. */
  readonly echoIntervalMs?: number;
  /** Over several hops; a single hop takes 255 alone. */
  readonly minimumTtl?: number;
}

export type WithheldFrom = { readonly service: ServiceKey; readonly node: string } & Omit<Withheld, 'by'>;

interface Flags {
  readonly node?: string;
  readonly output?: string;
  readonly lbClass?: string;
  readonly ignoreExcludeLb?: boolean;
}

const BARE_NODE = 'node';

/** The verb for the front door. */
export function planCommand(): Command {
  return new Command('plan')
    .summary('say which Service gets which address, who announces it to whom, and why not')
    .description(
      'Plans what YAML and JSON manifests come to, all files as one cluster; status in them is where it starts from.\n' +
        'Exit code: 0 planned, 1 refused as validate would, 2 wrong call. METALLB_BGP_TYPE and METALLB_NAMESPACE are honoured.',
    )
    .argument('<file...>', 'files or folders; - is standard input')
    .option('--node <name>', 'what this node announces; without it all nodes')
    .option('--lb-class <class>', 'the loadBalancerClass that is served; without it Services that have none')
    .option('--ignore-exclude-lb', 'announce from nodes that are labelled to be excluded, too')
    .addOption(new Option('-o, --output <format>', 'tables, or one JSON object').choices(['text', 'json']))
    .action(async (files: readonly string[], { node, output, lbClass, ignoreExcludeLb = false }: Flags) => {
      const { stdin, stdout, stderr, env: environment } = process;
      const settings = { ignoreExcludeLabel: ignoreExcludeLb, ...(lbClass && { loadBalancerClass: lbClass }) };
      const options = { json: output === 'json', settings, ...(node !== undefined && { node }) };
      process.exitCode = await runPlan(files, options, { stdin, stdout, stderr, environment });
    });
}

/** Reads, judges, plans and prints; the exit code. */
export async function runPlan(files: readonly string[], options: PlanOptions, streams: Streams): Promise<0 | 1 | 2> {
  const { stdin, stdout, stderr, environment } = streams;
  try {
    const outcome = planManifest(await readInput(files, stdin), options, judgeOptions(environment));
    for (const line of outcome.remarks) stderr.write(`${printable(line)}\n`);
    if ('findings' in outcome) {
      for (const each of outcome.findings) stderr.write(`${findingLine(each, painterFor(stderr, environment))}\n`);
      return 1;
    }
    const { report } = outcome;
    if (options.json) stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
    else stdout.write(planText(report, painterFor(stdout, environment)));
    return 0;
  } catch (error) {
    if (!(error instanceof UnreadableInput)) throw error;
    stderr.write(`fairway: ${printable(error.message)}\n`);
    return 2;
  }
}

export type Outcome =
  | { readonly remarks: readonly string[]; readonly report: PlanReport }
  | { readonly remarks: readonly string[]; readonly findings: readonly Finding[] };

/** The plan of manifests, or what is wrong with them. */
export function planManifest(manifest: Manifest, options: PlanOptions, judging: JudgeOptions): Outcome {
  const judgement = judge(manifest, judging);
  const objects = manifest.objects.map(({ object }) => object);
  const indexed = index(createIndexer({ namespace: judging.namespace, assumeClusterIps: true }), objects);
  const nodes = nodesOf(indexed, options.node);
  const assumed = indexed.nodes.size === 0 && options.node === undefined;
  const remarks = [
    ...judgement.warnings,
    ...ignored(indexed.ignored),
    ...strays(judgement.others, indexed),
    ...(assumed ? [`no Node in the files: one bare node "${BARE_NODE}" is assumed`] : []),
  ];
  const findings = [...judgement.findings, ...trafficFindings(judgement.others, indexed)];
  if (findings.length > 0) return { remarks, findings };
  // the mode has been judged: from here on its rules only warn
  const resources = { ...judgement.resources, nodes: [...nodes.values()] };
  const parsed = parseConfig(resources, { bgpType: 'unset', namespace: judging.namespace });
  if ('invalid' in parsed) {
    const { rule, message, kind = '', name = '', field = '' } = parsed.invalid;
    const [first] = manifest.objects;
    return { remarks, findings: [{ file: first?.file ?? '-', line: 1, kind, name, field, rule, message }] };
  }
  const { services, endpoints } = indexed;
  const snapshot = { config: parsed.config, services, endpoints, nodes, settings: options.settings };
  return { remarks, report: planCluster(snapshot, options.node) };
}

/** Addresses first, then what each node makes of them. */
export function planCluster(snapshot: Snapshot, node: string | undefined): PlanReport {
  const allocations = allocate(snapshot);
  const settled = { ...snapshot, allocated: allocations.services };
  const election = createElection();
  const names = node === undefined ? [...snapshot.nodes.keys()].sort() : [node];
  const plans = names.map((name) => plan(settled, name, createMemory(election)));
  const views = serviceViews(allocations.services, plans, ['bgp', 'layer2']);
  return {
    services: views.map(({ announced, withheld, ...view }) => view),
    announcements: plans.flatMap(announcementsOf),
    withheld: views.flatMap(({ service, withheld }) =>
      withheld.map(({ by: node, ...why }) => ({ service, node, ...why })),
    ),
    bfd: plans.flatMap(({ node, bfd }) => [...bfd].map(([peer, session]) => plannedBfd(node, peer, session))),
  };
}

function plannedBfd(node: string, peer: string, session: BfdSession): PlannedBfd {
  const { remote, link = '', hops, profile } = session;
  const router = remote ?? link;
  return {
    ...{ node, peer, profile: profile.name, router, hops },
    receiveIntervalMs: profile.receiveIntervalMs,
    transmitIntervalMs: profile.transmitIntervalMs,
    detectMultiplier: profile.detectMultiplier,
    passive: profile.passiveMode,
    ...(mayEcho(session) && { echoIntervalMs: profile.echoIntervalMs }),
    ...(hops !== 'single' && { minimumTtl: profile.minimumTtl }),
  };
}

/** A node that is asked for and in no file is a bare one; where there is none at all, one is assumed. */
function nodesOf({ nodes }: Indexed, asked: string | undefined): ReadonlyMap<string, Node> {
  const name = asked ?? (nodes.size === 0 ? BARE_NODE : undefined);
  if (name === undefined || nodes.has(name)) return nodes;
  return new Map([...nodes, [name, { name, labels: {}, networkUnavailable: false, excluded: false }]]);
}

/** What keeps a Service or an EndpointSlice from being read, and objects of these kinds that stand in the files twice. */
function trafficFindings(others: readonly ManifestObject[], { problems }: Indexed): readonly Finding[] {
  const findings: Finding[] = [];
  const seen = new Map<string, ManifestObject>();
  const invalid = new Map(problems.map((each) => [each.object, each.invalid]));
  for (const written of others) {
    const { object, file, line, lineOf } = written;
    const { kind, metadata } = object;
    if (kind !== 'Service' && kind !== 'EndpointSlice') continue;
    const about = { file, kind, name: metadata.name };
    const problem = invalid.get(object);
    if (problem !== undefined && problem.rule !== 'service-name') {
      const { rule, message, field = '' } = problem;
      findings.push({ ...about, line: field === '' ? line : lineOf(field), field, rule, message });
    }
    const identity = `${object.apiVersion} ${kind} ${metadata.namespace || 'default'} ${metadata.name}`;
    const first = seen.get(identity);
    seen.set(identity, first ?? written);
    if (first === undefined) continue;
    const message = `${kind} "${metadata.name}" is already defined at ${first.file}:${first.line}`;
    findings.push({ ...about, line, field: 'metadata.name', rule: 'duplicate', message });
  }
  return findings;
}

/** Slices that belong to no Service: the API server has them, and nobody looks at them. */
function strays(others: readonly ManifestObject[], { problems }: Indexed): readonly string[] {
  const stray = new Map(
    problems.filter(({ invalid }) => invalid.rule === 'service-name').map((each) => [each.object, each]),
  );
  return others.flatMap(({ object, file, line }) => {
    const message = stray.get(object)?.invalid.message;
    return message === undefined ? [] : `${file}:${line}: EndpointSlice/${object.metadata.name}: ${message}`;
  });
}
