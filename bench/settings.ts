// What may be said of benches on their command line: `[NAME…] [--repetitions N] [--seconds N] [--only TEXT]`, to look at one
// row quickly, or to measure it longer than by default. Read by run; each bench takes of it what it knows.

import { parseArgs } from 'node:util';

/** Undefined: as the bench thinks right. */
export interface Settings {
  /** How often what is repeated is measured. */
  readonly repetitions: number | undefined;
  /** For how long what is watched is watched. */
  readonly seconds: number | undefined;
  /** Parts whose names do not hold this are left out, where a bench has parts. */
  readonly only: string | undefined;
}

/** Throws with what is wrong. */
export function readSettings(args: readonly string[]): {
  readonly names: readonly string[];
  readonly settings: Settings;
} {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { repetitions: { type: 'string' }, seconds: { type: 'string' }, only: { type: 'string' } },
  });
  const count = (name: 'repetitions' | 'seconds'): number | undefined => {
    const text = values[name];
    if (text !== undefined && !/^[1-9]\d{0,4}$/.test(text))
      throw new Error(`--${name} ${text}: not a number from 1 on`);
    return text === undefined ? undefined : Number(text);
  };
  const [repetitions, seconds] = [count('repetitions'), count('seconds')];
  return { names: positionals, settings: { repetitions, seconds, only: values.only } };
}

export function isAsked({ only }: Settings, part: string): boolean {
  return only === undefined || part.toLowerCase().includes(only.toLowerCase());
}
