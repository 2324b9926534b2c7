// How readers and parsers of objects say no: they throw `Refused` at the first broken rule, and each door (readResource,
// parseConfig, the mode checks, the readers of k8s) turns it into `Invalid` with `attempt`, so that it never gets further.

import type { Invalid } from './resource.ts';

/** Thrown within readers and parsers only. */
export class Refused extends Error {
  readonly invalid: Invalid;

  constructor(invalid: Invalid) {
    super(invalid.message);
    this.invalid = invalid;
  }
}

export type Attempt<T> = { readonly value: T } | { readonly invalid: Invalid };

/** `field` is a path in the object at hand, such as `spec.addresses[1]`. */
export function refuse(rule: string, message: string, field?: string): never {
  throw new Refused({ rule, message, ...(field === undefined ? {} : { field }) });
}

/** For what depends on objects that may come later: see `Invalid.transient`. */
export function refuseForNow(rule: string, message: string, field?: string): never {
  throw new Refused({ rule, message, ...(field === undefined ? {} : { field }), transient: true });
}

export function attempt<T>(work: () => T): Attempt<T> {
  try {
    return { value: work() };
  } catch (error) {
    if (error instanceof Refused) return { invalid: error.invalid };
    throw error;
  }
}

/** What `work` refuses is about this object. */
export function about<T>(kind: string, name: string, work: () => T): T {
  const done = attempt(work);
  if ('value' in done) return done.value;
  throw new Refused({ kind, name, ...done.invalid });
}

/** Puts MetalLB's words around the reason for which `work` refuses. */
export function worded<T>(text: (reason: string) => string, work: () => T): T {
  const done = attempt(work);
  if ('value' in done) return done.value;
  throw new Refused({ ...done.invalid, message: text(done.invalid.message) });
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\x07', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v'],
]);

/** A text in double quotes as Go's `%q` prints it: MetalLB's messages are made that way. */
export function quoted(text: string): string {
  const escaped = text.replace(/["\\\p{Cc}]/gu, (char) => {
    const code = char.charCodeAt(0);
    return ESCAPES.get(char) ?? (code < 0x80 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`);
  });
  return `"${escaped}"`;
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}
