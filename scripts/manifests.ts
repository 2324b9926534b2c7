// `npm run manifests`: the files of manifests/base, in the order of its kustomization, as the one file manifests/fairway.yaml
// that `kubectl apply -f` takes, comments included. The base needs no transformation: each object says its own namespace.

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const manifests = join(import.meta.dirname, '../manifests');
export const RENDERED = join(manifests, 'fairway.yaml');

const HEADER = `# Fairway, all of it: kubectl apply -f manifests/fairway.yaml
# Made by \`npm run manifests\` from manifests/base; change it there.
`;

/** The text of manifests/fairway.yaml. */
export function render(): string {
  const texts = resourcesOf(join(manifests, 'base')).map((file) => readFileSync(file, 'utf8').trimEnd());
  return `${[HEADER.trimEnd(), ...texts].join('\n---\n')}\n`;
}

/** Files of a kustomization, those of the kustomizations that it names included. */
function resourcesOf(folder: string): string[] {
  const name = readdirSync(folder).find((entry) => /^kustomization(\.ya?ml)?$/i.test(entry));
  if (name === undefined) throw new Error(`${folder}: no kustomization`);
  const { resources, ...others } = parse(readFileSync(join(folder, name), 'utf8'));
  const unknown = Object.keys(others).filter((key) => key !== 'apiVersion' && key !== 'kind');
  if (unknown.length > 0) throw new Error(`${join(folder, name)}: only resources can be rendered, not ${unknown}`);
  return (resources as readonly string[])
    .map((resource) => join(folder, resource))
    .flatMap((path) => (statSync(path).isDirectory() ? resourcesOf(path) : [path]));
}

if (process.argv[1] === import.meta.filename) writeFileSync(RENDERED, render());
