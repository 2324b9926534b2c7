// `fairway validate FILE…`: what is wrong with manifests before a cluster says it, one finding a line, or as JSON.
// Exit codes: 0 accepted, 1 refused, 2 wrong call. docs/validate-and-plan.md is what scripts may rely on.

import { Command, Option } from 'commander';
import { type Finding, judge, judgeOptions } from './findings.ts';
import { readInput, UnreadableInput } from './input.ts';
import { type Environment, type Output, type Painter, painterFor, printable } from './terminal.ts';

export interface Streams {
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly environment: Environment;
}

/** The verb for the front door. */
export function validateCommand(): Command {
  return new Command('validate')
    .summary('say what is wrong with manifests before a cluster does')
    .description(
      'Checks YAML and JSON manifests as the API server, the webhooks and the processes would, all files as one cluster.\n' +
        'Exit code: 0 accepted, 1 refused, 2 wrong call. METALLB_BGP_TYPE and METALLB_NAMESPACE are honoured.',
    )
    .argument('<file...>', 'files or folders; - is standard input')
    .addOption(new Option('-o, --output <format>', 'one finding a line, or one JSON object').choices(['text', 'json']))
    .action(async (files: readonly string[], { output }: { readonly output?: string }) => {
      const { stdin, stdout, stderr, env: environment } = process;
      process.exitCode = await runValidate(files, output === 'json', { stdin, stdout, stderr, environment });
    });
}

/** Reads, judges and prints; the exit code. */
export async function runValidate(files: readonly string[], json: boolean, streams: Streams): Promise<0 | 1 | 2> {
  const { stdin, stdout, stderr, environment } = streams;
  try {
    const manifest = await readInput(files, stdin);
    const { findings, others, warnings } = judge(manifest, judgeOptions(environment));
    for (const line of [...warnings, ...ignored(others.map(({ object }) => object))])
      stderr.write(`${printable(line)}\n`);
    if (json) stdout.write(`${JSON.stringify({ accepted: findings.length === 0, findings }, undefined, 2)}\n`);
    else stdout.write(findings.map((finding) => `${findingLine(finding, painterFor(stdout, environment))}\n`).join(''));
    if (stderr.isTTY) stderr.write(`${summary(manifest.objects.length - others.length, findings)}\n`);
    return findings.length === 0 ? 0 : 1;
  } catch (error) {
    if (!(error instanceof UnreadableInput)) throw error;
    stderr.write(`fairway: ${printable(error.message)}\n`);
    return 2;
  }
}

/** `FILE:LINE: Kind/name: field: rule: text`, with `-` for what a finding does not have. */
export function findingLine(finding: Finding, paint: Painter): string {
  const { file, line, kind, name, field, rule, message } = finding;
  const place = paint('bold', printable(`${file}:${line}`));
  const object = printable(`${kind || '-'}/${name || '-'}`);
  return `${place}: ${object}: ${printable(field || '-')}: ${paint('red', printable(rule))}: ${printable(message)}`;
}

/** One line for each kind that is none of ours. */
export function ignored(objects: readonly { readonly apiVersion: string; readonly kind: string }[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const { apiVersion, kind } of objects) {
    const key = `${kind} (${apiVersion})`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].map(([kind, count]) => `ignored: ${count} of kind ${kind}`);
}

function summary(objects: number, findings: readonly Finding[]): string {
  const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
  return findings.length === 0
    ? `accepted: ${plural(objects, 'object')}`
    : `refused: ${plural(findings.length, 'finding')} in ${plural(objects, 'object')}`;
}
