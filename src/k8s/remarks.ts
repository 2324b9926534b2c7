// What a person should know of the objects of a folder: those that cannot be read, fields and kinds that are not served,
// each with the place where it stands. Called by reconcile.

import type { ApiObject } from '../config/resource.ts';
import type { Indexed } from './indexer.ts';
import type { ManifestObject } from './manifest.ts';

export interface Remark {
  readonly file: string;
  readonly line: number;
  readonly rule: 'unknown-field' | 'ignored' | 'invalid';
  readonly text: string;
}

/** Of a kind that is ignored only the first object is told. */
export function remarksOn(objects: readonly ManifestObject[], indexed: Indexed): readonly Remark[] {
  const { problems, unknownFields, ignored } = indexed;
  if (problems.length + unknownFields.length + ignored.length === 0) return [];
  const places = new Map(objects.map((found) => [found.object, found]));
  const remark = (object: ApiObject, rule: Remark['rule'], text: string, field?: string): Remark => {
    const { file = '', line = 0, lineOf } = places.get(object) ?? {};
    const at = field === undefined ? line : (lineOf?.(field) ?? line);
    return { file, line: at, rule, text };
  };
  const kinds = new Map<string, ApiObject>();
  for (const object of ignored) {
    const kind = object.kind === 'Secret' ? nameOf(object) : `objects of kind ${object.kind} (${object.apiVersion})`;
    if (!kinds.has(kind)) kinds.set(kind, object);
  }
  return [
    ...problems.map(({ object, invalid }) =>
      remark(object, 'invalid', `${nameOf(object)}: ${invalid.message}`, invalid.field),
    ),
    ...unknownFields.flatMap(({ object, paths }) =>
      paths.map((path) => remark(object, 'unknown-field', `${nameOf(object)}: unknown field ${path}`, path)),
    ),
    ...[...kinds].map(([kind, object]) => remark(object, 'ignored', `ignored: ${kind}`)),
  ];
}

function nameOf({ kind, metadata }: ApiObject): string {
  const namespace = metadata.namespace === undefined ? '' : ` in namespace ${metadata.namespace}`;
  return `${kind}/${metadata.name}${namespace}`;
}
