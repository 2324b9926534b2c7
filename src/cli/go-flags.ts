// Flags as Go's package `flag` takes them, for the verbs that take MetalLB's place: `-x`, `--x`, `--x=v`, `--x v`, truth
// values only with `=`; the last one counts. Flags that are not given are looked for in the environment where MetalLB
// does. Errors and usage are Go's.

export interface FlagRow {
  readonly kind: 'text' | 'number' | 'truth';
  /** In place of a flag that is not given, or empty. */
  readonly env?: string;
  readonly otherwise: string;
  readonly help: string;
}

export type FlagTable = Readonly<Record<string, FlagRow>>;
export type Flags<T extends FlagTable> = { readonly [K in keyof T]: ValueOf<T[K]['kind']> };
type ValueOf<K extends FlagRow['kind']> = K extends 'number' ? number : K extends 'truth' ? boolean : string;

/** A wrong call; the process ends with 2. */
export class FlagError extends Error {}

/** Throws FlagError with Go's text; `help` asked for is one too, with an empty text. */
export function parseGoFlags<const T extends FlagTable>(
  table: T,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Flags<T> {
  const given = new Map<string, string>();
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? '';
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(argument);
    if (match === null) {
      if (argument === '--' && at === argv.length - 1) break;
      throw new FlagError(`no such argument: ${argument}`);
    }
    const [, name = '', value] = match;
    const row = Object.hasOwn(table, name) ? table[name] : undefined;
    if (row === undefined && (name === 'h' || name === 'help')) throw new FlagError('');
    if (row === undefined) throw new FlagError(`flag provided but not defined: -${name}`);
    if (value !== undefined || row.kind === 'truth') given.set(name, value ?? 'true');
    else {
      const next = argv[++at];
      if (next === undefined) throw new FlagError(`flag needs an argument: -${name}`);
      given.set(name, next);
    }
  }
  const read = ([name, row]: [string, FlagRow]) => {
    const fromEnv = row.env === undefined ? undefined : env[row.env];
    return [name, readValue(name, row, given.get(name) || fromEnv || row.otherwise)];
  };
  return Object.fromEntries(Object.entries(table).map(read)) as Flags<T>;
}

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

function readValue(name: string, { kind }: FlagRow, text: string): string | number | boolean {
  if (kind === 'text') return text;
  if (kind === 'number' && /^[+-]?\d{1,9}$/.test(text)) return Number(text);
  if (kind === 'truth' && (TRUE.has(text) || FALSE.has(text))) return TRUE.has(text);
  const type = kind === 'number' ? 'value' : 'boolean value';
  throw new FlagError(`invalid ${type} ${JSON.stringify(text)} for flag -${name}: parse error`);
}

/** One flag a paragraph. */
export function usageOf(verb: string, table: FlagTable): string {
  const lines = Object.entries(table).map(([name, { kind, env, otherwise, help }]) => {
    const value = kind === 'truth' ? '' : kind === 'number' ? ' int' : ' string';
    const from = env === undefined ? '' : ` (environment: ${env})`;
    const standing = otherwise === '' || otherwise === 'false' ? '' : ` (default ${otherwise})`;
    return `  -${name}${value}\n        ${help}${from}${standing}`;
  });
  return `Usage of ${verb}:\n${lines.join('\n')}\n`;
}
