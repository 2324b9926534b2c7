// Daemons of the lab: started in a namespace, logged to a file, ended by the handle that started them, never by name.
// And `until`: the only way in which a story waits.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 50;

export class Daemon {
  readonly name: string;
  readonly logFile: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;
  #code: number | undefined;

  constructor(
    name: string,
    namespace: string,
    command: readonly string[],
    logFile: string,
    env: NodeJS.ProcessEnv = {},
  ) {
    this.name = name;
    this.logFile = logFile;
    const log = openSync(logFile, 'a');
    // nsenter replaces itself by the command: the pid is the daemon's
    this.#child = spawn('nsenter', [`--net=/run/netns/${namespace}`, ...command], {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    });
    closeSync(log);
    this.#ended = new Promise((resolve) => {
      const end = (code: number): void => {
        this.#code ??= code;
        resolve(this.#code);
      };
      this.#child.on('exit', (code, signal) => end(code ?? (signal === null ? -1 : 128)));
      this.#child.on('error', () => end(-1));
    });
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`${this.name} did not start: ${this.log()}`);
    return pid;
  }

  get running(): boolean {
    return this.#code === undefined && this.#child.pid !== undefined;
  }

  /** Its exit code, as `stop` tells it, whoever ended it. */
  get ended(): Promise<number> {
    return this.#ended;
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Its exit code (128: ended by a signal) once it has ended; SIGKILL after `limitMs`. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', limitMs = 5_000): Promise<number> {
    if (!this.running) return this.#code ?? -1;
    this.signal(signal);
    // a stopped process takes no signal but SIGKILL until it goes on
    if (signal !== 'SIGKILL' && signal !== 'SIGSTOP') this.signal('SIGCONT');
    const timer = setTimeout(() => this.signal('SIGKILL'), limitMs);
    const code = await this.#ended;
    clearTimeout(timer);
    return code;
  }
}

/**
 * Asks again every 50 ms until the answer is neither false nor undefined, and returns it; a probe that throws is asked
 * again too. Fails with `what` and the last answer or error after `limitMs`.
 */
export async function until<T>(
  what: string,
  probe: () => T | false | undefined | Promise<T | false | undefined>,
  limitMs = 10_000,
): Promise<T> {
  const end = performance.now() + limitMs;
  let last: unknown;
  do {
    try {
      const answer = await probe();
      if (answer !== undefined && answer !== false) return answer;
      last = answer;
    } catch (error) {
      last = error;
    }
    await sleep(POLL_MS);
  } while (performance.now() < end);
  throw new Error(`not within ${limitMs} ms: ${what} (last: ${last instanceof Error ? last.message : String(last)})`);
}

/** The opposite: holds for the whole time, asked every 50 ms. */
export async function throughout(what: string, ms: number, probe: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    if (!(await probe())) throw new Error(`did not hold for ${ms} ms: ${what}`);
    await sleep(POLL_MS);
  }
}
