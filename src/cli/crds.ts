// The texts of manifests/crd, for `schema`. In a clone they are read where they lie; the bundle has no files beside it, so
// there the build defines FAIRWAY_CRDS as the list of these texts (esbuild's `define`).

import { readdirSync, readFileSync } from 'node:fs';

declare const FAIRWAY_CRDS: readonly string[] | undefined;

/** One text a file, by name. */
export function crdTexts(): readonly string[] {
  if (typeof FAIRWAY_CRDS !== 'undefined') return FAIRWAY_CRDS;
  const folder = new URL('../../manifests/crd/', import.meta.url);
  const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  return names.toSorted().map((name) => readFileSync(new URL(name, folder), 'utf8'));
}
