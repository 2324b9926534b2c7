// `npm test`: lint, types, then every vitest project, cluster and interop last and one file at a time. Called by people
// and by CI. `npm test -- types interop` runs only these stages. The last line is `N passed, N failed, N skipped`,
// where lint and types count as one test each; the exit code is 0 only when nothing failed and something passed.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sweep } from '../test/interop/namespace.ts';

interface Stage {
  readonly name: string;
  readonly run: () => Promise<Tally>;
}

interface Tally {
  readonly passed: number;
  readonly failed: number;
  /** Full names; the reason stands in the name of the suite. */
  readonly skipped: readonly string[];
  /** What went wrong, by name, for the list at the end. */
  readonly failures: readonly string[];
}

/** What we read of vitest's JSON report. */
interface VitestReport {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

const root = join(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'fairway-test-'));
let child: ChildProcess | undefined;
let interrupted: NodeJS.Signals | undefined;

/** Runs one of npm's programs of this project in the foreground; its exit code, or 1 when a signal ended it. */
function run(script: string, args: readonly string[]): Promise<number> {
  if (interrupted !== undefined) return Promise.resolve(1);
  return new Promise((resolve) => {
    child = spawn(process.execPath, [join(root, 'node_modules', script), ...args], { cwd: root, stdio: 'inherit' });
    child.on('error', (error) => {
      console.error(String(error));
      resolve(1);
    });
    child.on('close', (code) => resolve(code ?? 1));
  });
}

async function check(name: string, script: string, args: readonly string[]): Promise<Tally> {
  const passed = (await run(script, args)) === 0;
  return { passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: [], failures: passed ? [] : [name] };
}

async function vitest(name: string, projects: readonly string[], reporter: string): Promise<Tally> {
  const file = join(scratch, `${name}.json`);
  const code = await run('vitest/vitest.mjs', [
    'run',
    ...projects.flatMap((project) => ['--project', project]),
    `--reporter=${reporter}`,
    '--reporter=json',
    `--outputFile.json=${file}`,
  ]);
  let report: VitestReport;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    return { passed: 0, failed: 1, skipped: [], failures: [`${name}: vitest left no report (${error})`] };
  }
  const tests = report.testResults.flatMap((suite) => suite.assertionResults);
  const failures = tests.filter((test) => test.status === 'failed').map((test) => test.fullName);
  // a file that could not be loaded, or whose hooks failed, has no failed test of its own
  for (const suite of report.testResults) {
    const owned = suite.assertionResults.some((test) => test.status === 'failed');
    if (suite.status === 'failed' && !owned) failures.push(`${suite.name}: ${suite.message.split('\n')[0]}`);
  }
  const passed = tests.filter((test) => test.status === 'passed').length;
  if (code !== 0 && failures.length === 0) failures.push(`${name}: vitest ended with ${code} (see above)`);
  if (code === 0 && passed + failures.length === 0 && tests.length === 0) failures.push(`${name}: no test ran`);
  const skipped = tests.filter((test) => test.status !== 'passed' && test.status !== 'failed');
  return { passed, failed: failures.length, skipped: skipped.map((test) => test.fullName), failures };
}

const stages: readonly Stage[] = [
  { name: 'lint', run: () => check('lint', '@biomejs/biome/bin/biome', ['check', '.']) },
  { name: 'types', run: () => check('types', 'typescript/bin/tsc', ['--noEmit']) },
  ...['house', 'unit', 'codec', 'fsm', 'plan', 'sim'].map((name) => ({
    name,
    run: () => vitest(name, [name], 'default'),
  })),
  ...['cluster', 'interop'].map((name) => ({ name, run: () => vitest(name, [name], 'verbose') })),
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !stages.some((stage) => stage.name === name));
if (unknown.length > 0) {
  console.error(`no such stage: ${unknown.join(', ')} (there are ${stages.map(({ name }) => name).join(', ')})`);
  process.exit(2);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    interrupted ??= signal;
    child?.kill('SIGTERM');
  });
}

const tallies: Tally[] = [];
for (const stage of stages) {
  if (interrupted !== undefined || (wanted.length > 0 && !wanted.includes(stage.name))) continue;
  console.log(`\n== ${stage.name}`);
  const began = performance.now();
  const tally = await stage.run();
  tallies.push(tally);
  console.log(
    `== ${stage.name}: ${tally.passed} passed, ${tally.failed} failed, ${tally.skipped.length} skipped ` +
      `in ${((performance.now() - began) / 1000).toFixed(1)} s`,
  );
}
rmSync(scratch, { recursive: true, force: true });
// what a killed worker left behind; one that was interrupted may still be on its way out
for (let tries = interrupted === undefined ? 1 : 20; tries > 0 && !sweep(); tries--) await sleep(100);

const skipped = tallies.flatMap((tally) => tally.skipped);
const failures = tallies.flatMap((tally) => tally.failures);
if (skipped.length > 0) console.log(`\nSKIPPED:\n${skipped.map((name) => `  ${name}`).join('\n')}`);
if (failures.length > 0) console.log(`\nFAILED:\n${failures.map((name) => `  ${name}`).join('\n')}`);
if (interrupted !== undefined) console.log(`\ninterrupted by ${interrupted}: not everything ran`);
const passed = tallies.reduce((sum, tally) => sum + tally.passed, 0);
console.log(`\n${passed} passed, ${failures.length} failed, ${skipped.length} skipped`);
process.exitCode = interrupted !== undefined ? 130 : failures.length > 0 || passed === 0 ? 1 : 0;
