// `npm run demo -- --cluster`: the whole product on one machine, shown to people, or, with `--once`, played and judged.
// Loaded by the verb `demo`, where the source is: it stands on the machines of test/cluster.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { painterFor, table } from '../src/cli/terminal.ts';
import { absentPrograms, lackingForCluster } from '../test/cluster/binaries.ts';
import { lacking } from '../test/interop/lacking.ts';
import { OWNER, sweep } from '../test/interop/namespace.ts';
import type { Verdict } from './answers.ts';
import { HELP, letGo, obey } from './keys.ts';
import { Play } from './script.ts';
import { Stage, type Tell, VIPS } from './stage.ts';
import { Board, untilWhole, View } from './watch.ts';

const BINARIES = join(import.meta.dirname, '../test/cluster/binaries.ts');
const BUILD = 'from their Go modules: about five minutes, 3.5 GB of Go caches, once';

export class ClusterDemo {
  readonly #stage = new Stage();
  #views: readonly View[] = [];
  #board: Board | undefined;
  #failed: (why: Error) => void = () => {};
  #ended: Promise<void> | undefined;

  /** The exit code: 0, or with `once` 1 when a promise was broken. Rejects with what keeps it from running. */
  async run(once: boolean): Promise<number> {
    await prepare();
    process.once('exit', () => sweep(OWNER));
    const failure = new Promise<never>((_, reject) => {
      this.#failed = reject;
    });
    try {
      return await Promise.race([failure, this.#show(once)]);
    } catch (fault) {
      // what falls while it is being taken away is no news
      if (this.#ended !== undefined) return 0;
      throw new Error(`${(fault as Error).message}\n${this.#keepLogs()}`);
    }
  }

  /** Ends every process and takes every namespace away, whatever is there by now. */
  end(): Promise<void> {
    this.#ended ??= this.#takeAway();
    return this.#ended;
  }

  async #show(once: boolean): Promise<number> {
    const stage = this.#stage;
    await stage.up(tell);
    this.#views = VIPS.map((vip) => new View(vip, stage.namespace(vip.client), (why) => this.#failed(new Error(why))));
    await tell('the first answers', () => untilWhole(this.#views, stage.nodes.size));
    for (const view of this.#views) view.forget();
    for (const { name, address, who } of VIPS)
      process.stdout.write(`${name}: http://${address}/ is fetched ten times a second by ${who}\n`);
    const board = new Board(stage, this.#views);
    this.#board = board;
    if (once) {
      const verdicts = await new Play(stage, this.#views, (text) => board.say(text)).run();
      board.end();
      process.stdout.write(`\n${inATable(verdicts)}`);
      if (verdicts.every(({ kept }) => kept)) return 0;
      process.stdout.write(`${this.#keepLogs()}\n`);
      return 1;
    }
    process.stdout.write(`${HELP}\n`);
    await obey(stage, board);
    return 0;
  }

  #keepLogs(): string {
    const file = join(tmpdir(), `fairway-demo-${process.pid}.log`);
    writeFileSync(file, this.#stage.logs());
    return `What every process said last is in ${file}`;
  }

  async #takeAway(): Promise<void> {
    letGo();
    this.#board?.end();
    await Promise.all(this.#views.map((view) => view.end()));
    await this.#stage.down();
  }
}

function inATable(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ promise, measured, kept }) => [
    { text: kept ? 'kept' : 'BROKEN', style: kept ? ('green' as const) : ('red' as const) },
    ...[promise, measured],
  ]);
  return table(['', 'PROMISE', 'MEASURED'], rows, painterFor(process.stdout, process.env));
}

/** What is being made, and how long it took. */
const tell: Tell = async (what, work) => {
  process.stdout.write(`${what} … `);
  const began = performance.now();
  const result = await work();
  process.stdout.write(`${((performance.now() - began) / 1_000).toFixed(1)} s\n`);
  return result;
};

/** Rejects when something is missing that can't be had; offers to build what can. */
async function prepare(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('--cluster makes network namespaces: it must be run as root, on Linux');
  await offerToBuild();
  const reasons = [...lacking('FRR'), ...lackingForCluster()];
  if (reasons.length > 0) throw new Error(`--cluster cannot run here: ${reasons.join(', ')} (npm run setup says more)`);
  // what a demo left that was killed
  sweep();
}

async function offerToBuild(): Promise<void> {
  const absent = absentPrograms();
  if (absent.length === 0) return;
  const what = `${absent.join(', ')} ${absent.length === 1 ? 'is' : 'are'} not here and can be built ${BUILD}`;
  if (!process.stdin.isTTY) throw new Error(`${what}.\nnpm run setup does it.`);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(`${what}.\nBuild now? [y/N] `);
  terminal.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new Error('Nothing was built. Later: npm run setup');
  const { status } = spawnSync(process.execPath, [BINARIES], { stdio: 'inherit' });
  if (status !== 0) throw new Error('the build failed (see above)');
}
