// The Secret that speakers prove themselves to each other with, as a file that the kubelet renews, and how speakers come
// from one to the next without losing each other: the file changes on each node at a time of its own. Used by `layer2`.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The file may be that much later on another node: a kubelet looks at mounted Secrets every 60 to 90 s. */
const SPREAD_MS = 120_000;
/** As long again the one before is accepted, from when all others sign with the new one. */
const KEEP_MS = 120_000;

/** What is known of a Secret that changes. */
export interface Rotation {
  readonly secret: string;
  /** The one before, and since when it is that. */
  readonly before?: { readonly secret: string; readonly at: number };
}

/** Both keys are accepted at once; until every node must have the new one, the old one signs. */
export function rotate(rotation: Rotation | undefined, seen: string, now: number): Rotation {
  if (rotation === undefined) return { secret: seen };
  if (rotation.secret !== seen) return { secret: seen, before: { secret: rotation.secret, at: now } };
  const { before } = rotation;
  const isOver = before !== undefined && now - before.at >= SPREAD_MS + KEEP_MS;
  return isOver ? { secret: seen } : rotation;
}

/** The one to sign with first, then the other that is accepted. */
export function secretsOf({ secret, before }: Rotation, now: number): readonly string[] {
  if (before === undefined) return [secret];
  return now - before.at < SPREAD_MS ? [before.secret, secret] : [secret, before.secret];
}

/** In the folder of `--ml-secret-key-path`; throws an Error that names the file. */
export function readSecret(folder: string): string {
  const file = join(folder, 'secretkey');
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (fault) {
    throw new Error(`--ml-secret-key-path: ${(fault as Error).message}`);
  }
  if (text === '') throw new Error(`--ml-secret-key-path: ${file} is empty`);
  return text;
}
