// What standalone must not forget over a restart: which Service has which addresses. Read once at the start as the
// status of the Services, written after each change: whole, to a file beside it that is then renamed.

import { open, readFile, rename } from 'node:fs/promises';
import { type Ip, parseIp } from '../net/address.ts';

const RETRY_MS = 5_000;

/** By `namespace/name`. */
export type Remembered = ReadonlyMap<string, { readonly ips: readonly Ip[]; readonly pool?: string }>;

/** Empty when there is no file; throws with the file's name and what is wrong with it. */
export async function readStateFile(path: string): Promise<Remembered> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw new Error(`cannot read the state file ${path}: ${(fault as Error).message}`);
  }
  try {
    return parse(JSON.parse(text));
  } catch (fault) {
    throw new Error(`the state file ${path} is broken: ${(fault as Error).message}`);
  }
}

function parse(value: unknown): Remembered {
  const services = isRecord(value) ? value['services'] : undefined;
  if (!isRecord(services)) throw new Error('no object `services`');
  const remembered = new Map<string, { ips: readonly Ip[]; pool?: string }>();
  for (const [key, entry] of Object.entries(services)) {
    const ips = isRecord(entry) ? entry['ips'] : undefined;
    const pool = isRecord(entry) ? entry['pool'] : undefined;
    if (!Array.isArray(ips)) throw new Error(`${key}: no array \`ips\``);
    const parsed = ips.map((ip) => (typeof ip === 'string' ? parseIp(ip) : undefined));
    if (parsed.includes(undefined)) throw new Error(`${key}: an entry of \`ips\` is no address`);
    remembered.set(key, {
      ips: parsed.filter((ip) => ip !== undefined),
      ...(typeof pool === 'string' && { pool }),
    });
  }
  return remembered;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Writes one after another; of several that wait only the last one counts. */
export class StateFile {
  readonly #path: string;
  readonly #told: (fault: Error | undefined) => void;
  #next: string | undefined;
  #written = '';
  #writing: Promise<void> | undefined;
  #failed = false;
  #last = '';

  /** `told` hears of each failure, and of the first success after one. */
  constructor(path: string, told: (fault: Error | undefined) => void) {
    this.#path = path;
    this.#told = told;
  }

  write(remembered: Remembered): void {
    const sorted = [...remembered].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#last = `${JSON.stringify({ services: Object.fromEntries(sorted) }, undefined, 1)}\n`;
    this.#next = this.#last;
    this.#writing ??= this.#run();
  }

  /** All that was asked to be written is on the disk. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  #again(): void {
    if (!this.#failed || this.#writing !== undefined) return;
    this.#next = this.#last;
    this.#writing = this.#run();
  }

  async #run(): Promise<void> {
    // what changes in this turn is written once
    await Promise.resolve();
    for (let text = this.#next; text !== undefined; text = this.#next) {
      this.#next = undefined;
      if (text === this.#written) continue;
      try {
        await replaceFile(this.#path, text);
        this.#written = text;
        if (this.#failed) this.#told(undefined);
        this.#failed = false;
      } catch (fault) {
        this.#failed = true;
        setTimeout(() => this.#again(), RETRY_MS).unref();
        this.#told(new Error(`cannot write the state file ${this.#path}: ${(fault as Error).message}`));
      }
    }
    this.#writing = undefined;
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`;
  const file = await open(beside, 'w', 0o644);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
}
