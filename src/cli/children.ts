// Programs that the demo starts and ends: each by its own pid, its lines handed over one by one, what it said last kept
// for the message when it ends too early.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

const PATIENCE_MS = 6_000;
const KEPT_LINES = 20;

export class Child {
  readonly name: string;
  readonly #process: ChildProcessByStdio<null, Readable, Readable>;
  readonly #said: string[] = [];
  #leaving = false;

  /** `failed` hears why when it ends without having been told to. */
  constructor(name: string, command: readonly string[], line: (text: string) => void, failed: (why: string) => void) {
    this.name = name;
    const [file = '', ...args] = command;
    this.#process = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    createInterface(this.#process.stdout).on('line', (text) => {
      this.#keep(text);
      line(text);
    });
    createInterface(this.#process.stderr).on('line', (text) => this.#keep(text));
    this.#process.on('error', (fault) => failed(`${name} cannot be started: ${fault.message}`));
    this.#process.on('close', (code, signal) => {
      if (!this.#leaving) failed([`${name} ended (${signal ?? `exit ${code}`})`, ...this.#said].join('\n  '));
    });
  }

  /** Its last lines. */
  get said(): readonly string[] {
    return this.#said;
  }

  /** Asks it to leave and waits for that; ends it when it does not. */
  async end(): Promise<void> {
    this.#leaving = true;
    const { pid, exitCode, signalCode } = this.#process;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    const closed = once(this.#process, 'close');
    this.#process.kill('SIGTERM');
    const left = await Promise.race([closed.then(() => true), sleep(PATIENCE_MS, false, { ref: false })]);
    if (left) return;
    this.#process.kill('SIGKILL');
    await closed;
  }

  #keep(text: string): void {
    this.#said.push(text);
    if (this.#said.length > KEPT_LINES) this.#said.shift();
  }
}
