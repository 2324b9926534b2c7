// etcd and kube-apiserver on loopback, for what needs no nodes: the door to the API alone. kube/start.sh knows their flags.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { until } from '../interop/process.ts';
import { freePort } from '../io/sockets.ts';
import { findBinary, type KubeProgram } from './binaries.ts';

const START = join(import.meta.dirname, 'kube/start.sh');
const PROGRAMS = ['etcd', 'kube-apiserver'] as const;

/** What is missing for `LoopbackApi`, in words. */
export function lackingForLoopback(): readonly string[] {
  return PROGRAMS.filter((program) => findBinary(program) === undefined).map((program) => `no ${program}`);
}

export class LoopbackApi {
  readonly folder = mkdtempSync(join(tmpdir(), 'fairway-api-'));
  readonly #running = new Map<KubeProgram, ChildProcess>();
  readonly #agent = new Agent({ connect: { rejectUnauthorized: false } });
  port = 0;

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  /** An administrator's. */
  get kubeconfig(): string {
    return join(this.folder, 'kubeconfig');
  }

  get ca(): string {
    return join(this.folder, 'certs/apiserver.crt');
  }

  async start(): Promise<void> {
    this.port = await threeFreePorts();
    this.spawn('etcd');
    this.spawn('kube-apiserver');
    await this.untilReady();
  }

  spawn(program: (typeof PROGRAMS)[number], ...flags: readonly string[]): void {
    const log = openSync(join(this.folder, `${program}.log`), 'a');
    const command = [findBinary(program) ?? program, this.folder, `${this.port}`, '127.0.0.1', ...flags];
    this.#running.set(program, spawn(START, command, { stdio: ['ignore', log, log] }));
    closeSync(log);
  }

  /** Those of the programs that run. */
  get pids(): readonly number[] {
    return [...this.#running.values()].flatMap(({ pid }) => pid ?? []);
  }

  async untilReady(): Promise<void> {
    await until(
      'the API server is ready',
      async () => {
        const died = [...this.#running].find(([, { exitCode }]) => exitCode !== null);
        if (died !== undefined) throw new Error(`${died[0]} ended: ${this.#tail(died[0])}`);
        const headers = { authorization: 'Bearer tok' };
        const answer = await request(`${this.url}/readyz`, { headers, dispatcher: this.#agent });
        return (await answer.body.text()) === 'ok';
      },
      60_000,
    );
  }

  async end(program: KubeProgram, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#running.get(program);
    this.#running.delete(program);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise((resolve) => {
      child.on('exit', resolve);
      child.kill(signal);
    });
  }

  async stop(): Promise<void> {
    await this.#agent.destroy();
    await this.end('kube-apiserver', 'SIGKILL');
    await this.end('etcd', 'SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** etcd forgets all versions before its newest. */
  async compact(): Promise<void> {
    const etcd = `http://127.0.0.1:${this.port + 1}/v3/kv`;
    const ask = async (path: string, body: object): Promise<{ header?: { revision?: string } }> => {
      const { body: answer } = await request(`${etcd}/${path}`, { method: 'POST', body: JSON.stringify(body) });
      return (await answer.json()) as { header?: { revision?: string } };
    };
    const { header } = await ask('range', { key: Buffer.from('/').toString('base64') });
    await ask('compaction', { revision: header?.revision, physical: true });
  }

  #tail(program: KubeProgram): string {
    return readFileSync(join(this.folder, `${program}.log`), 'utf8')
      .split('\n')
      .slice(-5)
      .join('\n');
  }
}

/** start.sh takes the port and the two after it. */
async function threeFreePorts(): Promise<number> {
  for (let port = 21_000 + (process.pid % 8_000); port < 32_000; port += 3) {
    const free = await Promise.all([0, 1, 2].map((offset) => freePort('127.0.0.1', port + offset))).catch(
      () => undefined,
    );
    if (free !== undefined) return port;
  }
  throw new Error('no three free ports in a row below 32000');
}

/** For the skip line: openssl makes the keys of ServiceAccounts. */
export function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
