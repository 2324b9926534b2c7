// The walls of the house: who may import whom, no circles, sizes, words that don't belong. Reads the tree as text.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');

interface SourceFile {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  readonly imports: readonly { readonly from: string; readonly typeOnly: boolean }[];
}

/** Rooms are the folders of src; a file that lies directly in src is a room of its own. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  net: [],
  bgp: ['net'],
  bfd: ['net'],
  l2: ['net'],
  io: ['net'],
  config: ['net', 'bfd'],
  plan: ['net', 'bgp', 'config'],
  k8s: ['net', 'config', 'plan'],
  speaker: ['net', 'bgp', 'plan'],
  links: ['net', 'bfd', 'l2', 'plan'],
  packets: ['net', 'io', 'links'],
  controller: ['net', 'config', 'plan'],
  observe: ['net', 'bgp', 'bfd', 'l2', 'config', 'plan', 'k8s', 'speaker', 'links'],
  standalone: ['net', 'bgp', 'config', 'plan', 'k8s', 'io', 'speaker', 'observe', 'process'],
  process: ['net', 'bgp', 'bfd', 'l2', 'config', 'plan', 'k8s', 'io', 'speaker', 'links', 'controller', 'observe'],
  cli: ['net', 'bgp', 'config', 'plan', 'k8s', 'io', 'speaker', 'observe', 'standalone', 'process'],
  main: ['net', 'bgp', 'config', 'plan', 'k8s', 'io', 'speaker', 'observe', 'standalone', 'cli'],
};
const PURE = new Set(['net', 'bgp', 'bfd', 'l2', 'config', 'plan', 'speaker', 'links', 'controller']);
const PURE_MAY_IMPORT = new Set(['ipaddr.js', 'smart-buffer', 'binary-parser', 'node:crypto', 'node:net']);
const SYSTEM_CALLS_ONLY_IN = 'io';

const MOST_LINES = 400;
/** Longer for a reason. */
const LONG_FILES: Readonly<Record<string, string>> = {};
const FORBIDDEN_FILE_NAMES = /(^|\/)(index|utils?|common|types|helpers?|misc)\.ts$/;
const FORBIDDEN_WORDS = /\b(TODO|FIXME|XXX|not implemented|placeholder|stubbed)\b/i;

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
    .sort();
}

function roomOf(path: string): string {
  const parts = relative('src', path).split('/');
  return parts.length > 1 ? (parts[0] ?? '') : (parts[0] ?? '').replace(/\.ts$/, '');
}

function readSource(path: string): SourceFile {
  const text = readFileSync(join(root, path), 'utf8');
  const imports = [...text.matchAll(/^(?:import|export)\s+(type\s+)?[^;]*?from\s+'([^']+)'/gm)].map((match) => ({
    typeOnly: match[1] !== undefined,
    from: match[2] ?? '',
  }));
  const dynamic = [...text.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g)].map((match) => ({
    typeOnly: false,
    from: match[1] ?? '',
  }));
  return { path, room: roomOf(path), text, imports: [...imports, ...dynamic] };
}

const sources = filesBelow('src').map(readSource);
const target = (file: SourceFile, from: string): string | undefined =>
  from.startsWith('.') ? normalize(join(dirname(file.path), from)) : undefined;

describe('the house', () => {
  it('was seen: enough files, every room known', () => {
    expect(sources.length).toBeGreaterThan(40);
    expect(sources.filter((file) => !(file.room in ARROWS)).map((file) => file.path)).toEqual([]);
  });

  it('has arrows only as drawn in ARCHITECTURE.md', () => {
    const wrong = sources.flatMap((file) =>
      file.imports.flatMap(({ from }) => {
        const path = target(file, from);
        if (path === undefined || path === 'package.json') return [];
        const room = roomOf(path);
        return room === file.room || ARROWS[file.room]?.includes(room) ? [] : [`${file.path} → ${path}`];
      }),
    );
    expect(wrong).toEqual([]);
  });

  it('reaches out of src by one computed path alone: the demo of a cluster, which no bundle holds', () => {
    const computed = sources.filter(({ text }) => /\bimport\(\s*[^'\s]/.test(text));
    expect(computed.map(({ path }) => path)).toEqual(['src/cli/demo.ts']);
  });

  it('keeps the operating system and libraries out of pure rooms', () => {
    const wrong = sources
      .filter((file) => PURE.has(file.room) && !file.path.endsWith('.test.ts'))
      .flatMap((file) =>
        file.imports
          .filter(({ from }) => !from.startsWith('.') && !PURE_MAY_IMPORT.has(from))
          .map(({ from }) => `${file.path}: ${from}`),
      );
    expect(wrong).toEqual([]);
    const koffi = sources.filter(
      (f) => f.room !== SYSTEM_CALLS_ONLY_IN && f.imports.some(({ from }) => from === 'koffi'),
    );
    expect(koffi.map((file) => file.path)).toEqual([]);
  });

  it('takes time and chance as arguments in pure rooms', () => {
    const clock = /\b(Date\.now|performance\.now|Math\.random|new Date\(\)|setTimeout|setInterval|async |await )/;
    const wrong = sources
      .filter((file) => PURE.has(file.room))
      .flatMap((file) => offendingLines(file, (line) => clock.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line)));
    expect(wrong).toEqual([]);
  });

  it('has no circle of imports at run time', () => {
    const byPath = new Map(sources.map((file) => [file.path, file]));
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) {
        circles.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
        return;
      }
      const file = byPath.get(path);
      if (done.has(path) || file === undefined) return;
      for (const { from, typeOnly } of file.imports) {
        const next = target(file, from);
        if (!typeOnly && next !== undefined) visit(next, [...trail, path]);
      }
      done.add(path);
    };
    for (const file of sources) visit(file.path, []);
    expect(circles).toEqual([]);
  });

  it('has files that can be read in one sitting, each saying what lives there', () => {
    const wrong = sources.flatMap((file) => {
      const lines = file.text.split('\n').length - 1;
      const faults: string[] = [];
      if (lines > MOST_LINES && !(file.path in LONG_FILES)) faults.push(`${file.path}: ${lines} lines`);
      if (!file.text.startsWith('//') && !file.text.startsWith('#!')) faults.push(`${file.path}: no opening comment`);
      if (FORBIDDEN_FILE_NAMES.test(file.path)) faults.push(`${file.path}: a name that says nothing`);
      return faults;
    });
    expect(wrong).toEqual([]);
  });

  it('has nothing unfinished and no test that never runs', () => {
    const tests = filesBelow('test')
      .filter((path) => path !== 'test/house.test.ts')
      .map(readSource);
    expect(tests.length).toBeGreaterThan(15);
    expect(sources.flatMap((file) => offendingLines(file, (line) => FORBIDDEN_WORDS.test(line)))).toEqual([]);
    const never = /\b(it|test|describe)\.(skip|only|todo)\(/;
    expect(tests.flatMap((file) => offendingLines(file, (line) => never.test(line)))).toEqual([]);
  });
});

function offendingLines(file: SourceFile, isWrong: (line: string) => boolean): string[] {
  return file.text.split('\n').flatMap((line, at) => (isWrong(line) ? [`${file.path}:${at + 1}: ${line.trim()}`] : []));
}
