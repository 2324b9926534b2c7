// `npm run demo -- --cluster` as people run it: the play that is judged, keys, and that nothing is left of it, however it
// ends.

import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { until } from '../interop/process.ts';
import { clusterStories } from './stories.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');
const START_MS = 90_000;

class Demo {
  readonly #child: ChildProcess;
  readonly ended: Promise<number>;
  said = '';

  constructor(...flags: string[]) {
    this.#child = spawn(process.execPath, [MAIN, 'demo', '--cluster', ...flags]);
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (data: Buffer) => {
        this.said += data.toString();
      });
    this.ended = new Promise((resolve) => this.#child.on('close', (code) => resolve(code ?? 128)));
  }

  /** Waits until it has said this since it was last waited for. */
  async until(text: string, limitMs = 15_000): Promise<void> {
    const has = (): boolean => {
      if (!this.said.includes(text)) throw new Error(this.said);
      return true;
    };
    await until(`the demo says ${text}`, has, limitMs);
    this.said = this.said.slice(this.said.indexOf(text) + text.length);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  press(key: string): void {
    this.#child.stdin?.write(key);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** What it has made and not taken away: namespaces, and folders. */
  left(): string[] {
    return ['/run/netns', tmpdir()].flatMap((folder) =>
      readdirSync(folder).filter((name) => name.startsWith(`fairway-lab-${this.pid}-`)),
    );
  }
}

/** Programs that a process has started, by what is in their command lines. */
function childrenOf(parent: number, text: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const [, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(ppid) === parent && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });
}

clusterStories('the demo of a cluster', ['FRR'], () => {
  let demo: Demo | undefined;
  const start = (...flags: string[]): Demo => {
    demo = new Demo(...flags);
    return demo;
  };
  afterEach(async () => {
    demo?.signal('SIGTERM');
    await demo?.ended;
  });

  it('--once: every promise is kept', async () => {
    const played = start('--once');
    expect(await played.ended, played.said).toBe(0);
    const verdicts = played.said.slice(played.said.indexOf('PROMISE')).trim().split('\n').slice(1);
    expect(verdicts.length, played.said).toBe(13);
    expect(verdicts.filter((line) => !line.startsWith('kept'))).toEqual([]);
    expect(played.left()).toEqual([]);
  }, 240_000);

  it('keys: a node is killed and comes back, another is drained, the API is cut and mended', async () => {
    const shown = start();
    await shown.until('q: end', START_MS);
    shown.press('k');
    await shown.until('n1 is killed: its power goes');
    await shown.until('  |  n1 is killed');
    // who owned the address of the LAN or not: another one answers for it by now
    await shown.until('layer 2: n');
    shown.press('d');
    await shown.until('n1 is killed\n');
    shown.press('b');
    await shown.until('n1 is brought back');
    await shown.until('BGP: n1', 30_000);
    shown.press('2d');
    await shown.until('n2 is drained: its speaker leaves');
    await shown.until('  |  n2 is drained');
    shown.press('a');
    await shown.until('the API is cut from all nodes');
    shown.press('a');
    await shown.until('the API is mended');
    shown.press('q');
    expect(await shown.ended).toBe(0);
    expect(shown.left()).toEqual([]);
  }, 240_000);

  it.each([
    ['SIGINT', 'kube-apiserver'],
    ['SIGTERM', 'Fairway'],
  ] as const)('%s while it starts %s: it ends, and leaves nothing', async (signal, what) => {
    const starting = start();
    await starting.until(what, START_MS);
    await until('it has made something', () => starting.left().length > 4);
    starting.signal(signal);
    expect(await starting.ended).toBe(0);
    expect(starting.left()).toEqual([]);
  });

  it('a client that ends too early: it says so, ends with 1, and leaves nothing', async () => {
    const broken = start();
    await broken.until('q: end', START_MS);
    const [client] = childrenOf(broken.pid, 'demo/client.ts');
    if (client === undefined) throw new Error('no client');
    process.kill(client, 'SIGKILL');
    expect(await broken.ended).toBe(1);
    expect(broken.said).toContain('the client of BGP ended (SIGKILL)');
    expect(broken.left()).toEqual([]);
    const [, log = ''] = /is in (\S+)/.exec(broken.said) ?? [];
    expect(readFileSync(log, 'utf8')).toContain('--- kube-apiserver');
    rmSync(log);
  }, 120_000);
});
