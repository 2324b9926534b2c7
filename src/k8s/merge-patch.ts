// JSON merge patches (RFC 7386): the least that turns what is seen into what is wanted, and what a patch makes of an
// object. Lists are taken whole. Used by who asks for writes, and by `write` where patching is forbidden.

import { isDeepStrictEqual } from 'node:util';

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * The patch from `seen` to `wanted`, or undefined when there is nothing to do. What `wanted` does not name is left alone;
 * what it names as undefined is to go.
 */
export function mergePatch(seen: JsonObject | undefined, wanted: JsonObject): JsonObject | undefined {
  const patch: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(wanted)) {
    const before = seen !== undefined && Object.hasOwn(seen, name) ? seen[name] : undefined;
    if (value === undefined) {
      // RFC 7386 §2: null removes
      if (before !== undefined && before !== null) patch[name] = null;
    } else if (isObject(value) && isObject(before)) {
      const inner = mergePatch(before, value);
      if (inner !== undefined) patch[name] = inner;
    } else if (!isDeepStrictEqual(before, value)) patch[name] = isObject(value) ? withoutUndefined(value) : value;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/** RFC 7386 §2, MergePatch. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else define(result, name, applyMergePatch(Object.hasOwn(result, name) ? result[name] : undefined, value));
  }
  return result;
}

/** `__proto__` is a name like any other in JSON. */
function define(object: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true });
}

function withoutUndefined(object: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(object)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, isObject(value) ? withoutUndefined(value) : value]),
  );
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
