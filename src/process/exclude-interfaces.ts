// Interfaces that never serve layer 2: MetalLB's file excludel2.yaml, which its ConfigMap is mounted as, or all but those
// that a flag names. Regular expressions over names. Called once, at the start.

import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** Where MetalLB's manifests mount it. */
export const EXCLUDE_FILE = '/etc/metallb/excludel2.yaml';

/** None where there is no file. Throws an Error that names file and rule. */
export function readExcluded(file: string): readonly string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new Error(`${file}: ${(fault as Error).message}`);
  }
  return excludedBy(text, file);
}

/** Throws an Error that names the file and the entry. */
export function excludedBy(text: string, file: string): readonly string[] {
  let document: unknown;
  try {
    document = parse(text, { maxAliasCount: 0 });
  } catch (fault) {
    throw new Error(`${file}: ${(fault as Error).message}`);
  }
  const { announcedInterfacesToExclude: listed = [] } = (document ?? {}) as {
    readonly announcedInterfacesToExclude?: unknown;
  };
  if (!Array.isArray(listed)) throw new Error(`${file}: announcedInterfacesToExclude is no list`);
  return listed.map((entry: unknown, at) => {
    const place = `${file}: announcedInterfacesToExclude[${at}]`;
    if (typeof entry !== 'string') throw new Error(`${place} is no text`);
    try {
      new RegExp(entry);
    } catch (fault) {
      throw new Error(`${place}: ${(fault as Error).message}`);
    }
    return entry;
  });
}

/** An expression for all names but these. */
export function allBut(names: readonly string[]): string {
  const escaped = names.map((name) => name.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
  return `^(?!(?:${escaped.join('|')})$)`;
}
