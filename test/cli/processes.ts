// Our own program started as users start it, its lines at hand, ended by its pid whatever happens.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { until } from '../io/sockets.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

export class Running {
  readonly lines: string[] = [];
  readonly errors: string[] = [];
  readonly process: ChildProcessByStdio<null, Readable, Readable>;
  readonly #closed: Promise<unknown>;

  constructor(args: readonly string[], wrap: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
    const [file = '', ...rest] = [...wrap, process.execPath, MAIN, ...args];
    this.process = spawn(file, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.#closed = once(this.process, 'close');
    createInterface(this.process.stdout).on('line', (line) => this.lines.push(line));
    createInterface(this.process.stderr).on('line', (line) => this.errors.push(line));
  }

  /** The first log line with these fields. */
  log(fields: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>> {
    return until(`a line with ${JSON.stringify(fields)}; seen:\n${this.lines.join('\n')}`, () =>
      this.lines
        .filter((line) => line.startsWith('{'))
        .map((line): Record<string, unknown> => JSON.parse(line))
        .find((line) => Object.entries(fields).every(([key, value]) => line[key] === value)),
    );
  }

  signal(name: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): void {
    this.process.kill(name);
  }

  async ended(): Promise<number | null> {
    await this.#closed;
    return this.process.exitCode;
  }

  async kill(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill('SIGKILL');
    await this.#closed;
  }
}
