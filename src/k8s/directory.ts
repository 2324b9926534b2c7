// A folder as the API: every *.yaml, *.yml and *.json directly in it (hidden files left out), watched. What it says is
// told as a whole, first when all of it was read once, then after each change. A file is the unit: with a fault in it,
// what it said before stays in force. One document is parsed a turn, so that a large file holds up nobody. Atomic
// renames, editors that move the old file away first, and a folder that goes and comes back are all ordinary.
// Used by standalone.

import { type FSWatcher, type Stats, statSync, watch } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ApiObject } from '../config/resource.ts';
import { documents, type ManifestFault, type ManifestObject, notUtf8 } from './manifest.ts';
import { identityOf } from './resource.ts';

/** A file is read once nobody wrote to it for this long: writing in place has no end that could be seen. */
const QUIET_MS = 5;
/** An empty or broken file that was just written to is probably half of what it will be. */
const HALF_WRITTEN_MS = 500;
/** A file that is gone may be in the hands of an editor. */
const GONE_MS = 200;
/** Looked at anyway after this time: not every file system tells. */
const RESCAN_MS = 2_000;
/** While the folder is not there. */
const ABSENT_MS = 250;
/** Asking the kernel about a file takes some microseconds. */
const FILES_A_TURN = 256;
const LARGEST_FILE = 64 << 20;

/** What the folder says now. */
export interface FolderContent {
  /** By file name, then in the order of the documents. Objects keep their identity while nothing in them changes. */
  readonly objects: readonly ManifestObject[];
  /** All of it was read at least once. */
  readonly complete: boolean;
  /** Files that could not be read in whole, and objects that stand in two places. */
  readonly faults: readonly ManifestFault[];
  /** Why the folder cannot be read or watched at the moment: what was read before stays, or it is waited for. */
  readonly problem?: string;
}

type Content = Pick<FolderContent, 'objects' | 'faults'>;

interface File extends Content {
  /** Identity, size and times of the text that was read. */
  readonly stamp: string;
  goneAt?: number;
}

export class Folder {
  readonly #path: string;
  readonly #namespace: string;
  readonly #changed: (content: FolderContent) => void;
  readonly #files = new Map<string, File>();
  #watcher: FSWatcher | undefined;
  #watched = '';
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #scanning = false;
  #complete = false;
  #problem: string | undefined;
  #ended = false;

  /** `namespace`: MetalLB's, where its objects belong that name none. */
  constructor(path: string, namespace: string, changed: (content: FolderContent) => void) {
    this.#path = path;
    this.#namespace = namespace;
    this.#changed = changed;
    this.#scanIn(0);
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#watcher?.close();
  }

  #scanIn(ms: number): void {
    const when = performance.now() + ms;
    if (this.#ended || when >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = when;
    this.#timer = setTimeout(() => void this.#scan(), ms);
  }

  async #scan(): Promise<void> {
    this.#timerAt = Number.POSITIVE_INFINITY;
    if (this.#scanning) return this.#scanIn(QUIET_MS);
    this.#scanning = true;
    const before = this.#problem;
    const changed = await this.#pass();
    this.#scanning = false;
    if (this.#ended) return;
    this.#scanIn(this.#watcher === undefined ? ABSENT_MS : RESCAN_MS);
    if (changed || before !== this.#problem) this.#tell();
  }

  /** One look at all files; true when something is to be told. */
  async #pass(): Promise<boolean> {
    let names: string[];
    try {
      this.#keepWatching();
      names = (await readdir(this.#path)).filter((name) => /^[^.].*\.(ya?ml|json)$/i.test(name)).sort();
    } catch (fault) {
      this.#unwatch();
      this.#problem = `cannot read the folder ${this.#path}: ${(fault as Error).message}`;
      return false;
    }
    let changed = false;
    let waiting = false;
    for (const [at, name] of names.entries()) {
      if (at % FILES_A_TURN === FILES_A_TURN - 1) await nextTurn();
      const verdict = await this.#look(name);
      if (this.#ended) return false;
      changed ||= verdict === 'changed';
      waiting ||= verdict === 'wait';
    }
    const seen = new Set(names);
    for (const [name, file] of this.#files) {
      if (seen.has(name)) continue;
      file.goneAt ??= performance.now();
      if (performance.now() - file.goneAt < GONE_MS) {
        this.#scanIn(GONE_MS);
        continue;
      }
      this.#files.delete(name);
      changed = true;
    }
    if (this.#complete || waiting) return changed && this.#complete;
    this.#complete = true;
    return true;
  }

  async #look(name: string): Promise<'same' | 'changed' | 'wait'> {
    const path = join(this.#path, name);
    const known = this.#files.get(name);
    if (known !== undefined) delete known.goneAt;
    const before = stampOf(path);
    if (before === undefined || before.text === known?.stamp) return 'same';
    const age = Date.now() - before.writtenAt;
    if (age >= 0 && age < QUIET_MS) return this.#wait();
    let read: Content;
    try {
      read = before.size > LARGEST_FILE ? tooLarge(path, before.size) : await parse(path);
    } catch (fault) {
      read = { objects: [], faults: [{ file: path, line: 1, rule: 'read', text: (fault as Error).message }] };
    }
    if (stampOf(path)?.text !== before.text) return this.#wait();
    const doubtful = read.faults.length > 0 || (read.objects.length === 0 && known !== undefined);
    if (doubtful && age >= 0 && age < HALF_WRITTEN_MS) return this.#wait();
    const objects = known?.objects ?? [];
    this.#files.set(name, {
      stamp: before.text,
      objects: read.faults.length > 0 ? objects : keepIdentity(read.objects, objects),
      faults: read.faults,
    });
    return 'changed';
  }

  #wait(): 'wait' {
    this.#scanIn(QUIET_MS);
    return 'wait';
  }

  /** A folder that was replaced has another inode: the old watch is blind. */
  #keepWatching(): void {
    const { dev, ino } = statSync(this.#path);
    const identity = `${dev} ${ino}`;
    if (this.#watcher !== undefined && this.#watched === identity) return;
    this.#unwatch();
    this.#problem = undefined;
    try {
      this.#watcher = watch(this.#path, () => this.#scanIn(QUIET_MS));
      this.#watcher.on('error', () => this.#unwatch());
      this.#watched = identity;
    } catch (fault) {
      this.#problem = `cannot watch ${this.#path} (${(fault as Error).message}): looking at it every ${ABSENT_MS} ms`;
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #tell(): void {
    const objects: ManifestObject[] = [];
    const faults: ManifestFault[] = [];
    const first = new Map<string, ManifestObject>();
    for (const [, file] of [...this.#files].sort(([a], [b]) => (a < b ? -1 : 1))) {
      faults.push(...file.faults);
      for (const found of file.objects) {
        const key = identityOf(found.object, this.#namespace);
        const other = first.get(key);
        if (other === undefined) {
          first.set(key, found);
          objects.push(found);
        } else faults.push(duplicate(found, other));
      }
    }
    this.#changed({
      complete: this.#complete,
      objects,
      faults,
      ...(this.#problem !== undefined && { problem: this.#problem }),
    });
  }
}

interface Stamp {
  readonly text: string;
  readonly size: number;
  readonly writtenAt: number;
}

/** Undefined: no file (any more). A file that cannot even be asked about fails when it is read. */
function stampOf(path: string): Stamp | undefined {
  let found: Stats | undefined;
  try {
    found = statSync(path, { throwIfNoEntry: false });
  } catch (fault) {
    return { text: (fault as Error).message, size: 0, writtenAt: 0 };
  }
  if (found === undefined || !found.isFile()) return undefined;
  const { dev, ino, size, mtimeMs, ctimeMs } = found;
  return { text: `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`, size, writtenAt: mtimeMs };
}

async function parse(path: string): Promise<Content> {
  const objects: ManifestObject[] = [];
  const faults: ManifestFault[] = [];
  const bytes = await readFile(path);
  const fault = notUtf8(path, bytes);
  if (fault !== undefined) return { objects, faults: [fault] };
  for (const document of documents(path, bytes.toString('utf8'))) {
    for (const object of document.objects) objects.push(object);
    for (const fault of document.faults) faults.push(fault);
    await nextTurn();
  }
  return { objects, faults };
}

function tooLarge(file: string, size: number): Content {
  const text = `the file has ${size} octets, more than ${LARGEST_FILE}`;
  return { objects: [], faults: [{ file, line: 1, rule: 'too-large', text }] };
}

const texts = new WeakMap<ApiObject, string>();

function textOf(object: ApiObject): string {
  let text = texts.get(object);
  if (text === undefined) {
    text = JSON.stringify(object);
    texts.set(object, text);
  }
  return text;
}

/** Objects that read as before are the ones from before, at their new lines. */
function keepIdentity(now: readonly ManifestObject[], before: readonly ManifestObject[]): readonly ManifestObject[] {
  const known = new Map(before.map(({ object }) => [textOf(object), object]));
  return now.map((found) => ({ ...found, object: known.get(textOf(found.object)) ?? found.object }));
}

function duplicate(found: ManifestObject, other: ManifestObject): ManifestFault {
  const { kind, metadata } = found.object;
  const text = `${kind}/${metadata.name} stands also in ${other.file}:${other.line}, which is taken`;
  return { file: found.file, line: found.line, rule: 'duplicate', text };
}
