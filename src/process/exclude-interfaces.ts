// Interfaces that never serve layer 2: MetalLB's file excludel2.yaml, which its ConfigMap is mounted as, or all but those
// that a flag names. Regular expressions over names: Go's in the file, JavaScript's from here on. Called once, at the start.

import { readFile } from 'node:fs/promises';
import { goExpression } from './go-expression.ts';

/** Where MetalLB's manifests mount it. */
export const EXCLUDE_FILE = '/etc/metallb/excludel2.yaml';

/** None where there is no file. Throws an Error that names file and rule. */
export async function readExcluded(file: string): Promise<readonly string[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new Error(`${file}: ${(fault as Error).message}`);
  }
  return excludedBy(text, file);
}

/** The list as it is shipped, and as most have it: for that no YAML has to be loaded, which stays in memory for ever. */
const PLAIN = /^announcedInterfacesToExclude:\n(?:[ ]*- \^[\w$.*+-]*\n?)*$/;
const PLAIN_ENTRY = /- (\^[\w$.*+-]*)/g;

/** Throws an Error that names the file and the entry. */
export async function excludedBy(text: string, file: string): Promise<readonly string[]> {
  if (PLAIN.test(text))
    return checked(
      [...text.matchAll(PLAIN_ENTRY)].map(([, entry]) => entry),
      file,
    );
  const { parse } = await import('yaml');
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
  return checked(listed, file);
}

function checked(listed: readonly unknown[], file: string): readonly string[] {
  return listed.map((entry, at) => {
    const place = `${file}: announcedInterfacesToExclude[${at}]`;
    if (typeof entry !== 'string') throw new Error(`${place} is no text`);
    try {
      return goExpression(entry);
    } catch (fault) {
      throw new Error(`${place}: ${(fault as Error).message}`);
    }
  });
}

/** An expression for all names but these. */
export function allBut(names: readonly string[]): string {
  const escaped = names.map((name) => name.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'));
  return `^(?!(?:${escaped.join('|')})$)`;
}
