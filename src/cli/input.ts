// The FILE arguments of `validate` and `plan`: files, folders and standard input (`-`) to manifests. A folder gives its
// *.yaml, *.yml and *.json, not what is in folders below it, as kubectl does. What can't be read at all is a wrong call.

import { isUtf8 } from 'node:buffer';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Manifest, type ManifestFault, type ManifestObject, notUtf8, readManifest } from '../k8s/manifest.ts';

/** The call names something that can't be read; the message says what and why. */
export class UnreadableInput extends Error {}

/** Octets of a file. */
const LARGEST_FILE = 64 << 20;

/**
 * All objects of all files, in the order of the arguments, within a folder by name; a file that is named twice is read
 * once. Throws UnreadableInput.
 */
export async function readInput(files: readonly string[], stdin: AsyncIterable<Uint8Array>): Promise<Manifest> {
  const objects: ManifestObject[] = [];
  const faults: ManifestFault[] = [];
  const seen = new Set<string>();
  for (const file of files.flatMap((name) => (name === '-' ? [name] : filesOf(name)))) {
    const identity = file === '-' ? file : resolve(file);
    if (seen.has(identity)) continue;
    seen.add(identity);
    const bytes = file === '-' ? await readAll(stdin) : readFile(file);
    const fault = notUtf8(file, bytes);
    const manifest = fault ? { objects: [], faults: [fault] } : readManifest(file, bytes.toString('utf8'));
    for (const object of manifest.objects) objects.push(object);
    for (const fault of manifest.faults) faults.push(fault);
  }
  return { objects, faults };
}

/** The text of one file, or of standard input (`-`), as it is. Throws UnreadableInput. */
export async function readText(name: string, stdin: AsyncIterable<Uint8Array>): Promise<string> {
  const bytes = name === '-' ? await readAll(stdin) : readFile(name);
  if (!isUtf8(bytes)) throw new UnreadableInput(`${name}: the text is not UTF-8`);
  return bytes.toString('utf8');
}

function filesOf(name: string): readonly string[] {
  if (!reading(name, () => statSync(name)).isDirectory()) return [name];
  const names = reading(name, () => readdirSync(name)).filter((entry) => /^[^.].*\.(ya?ml|json)$/i.test(entry));
  if (names.length === 0) throw new UnreadableInput(`${name}: no *.yaml, *.yml or *.json in this folder`);
  return names.toSorted().map((entry) => join(name, entry));
}

function readFile(file: string): Buffer {
  return reading(file, () => {
    const { size } = statSync(file);
    if (size > LARGEST_FILE) throw new UnreadableInput(`${file}: ${size} octets are more than ${LARGEST_FILE}`);
    return readFileSync(file);
  });
}

async function readAll(stdin: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of stdin) {
    size += part.length;
    if (size > LARGEST_FILE) throw new UnreadableInput(`-: more than ${LARGEST_FILE} octets`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function reading<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof UnreadableInput || !(error instanceof Error)) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new UnreadableInput(`${name}: ${code === 'ENOENT' ? 'no such file or folder' : error.message}`);
  }
}
