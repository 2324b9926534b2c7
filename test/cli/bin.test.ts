// The command itself, with the Node that happens to be there.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const BIN = join(import.meta.dirname, '../../bin/fairway');
const folder = mkdtempSync(join(tmpdir(), 'fairway-bin-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs it as a Node of this version would see itself. */
function runAs(version: string, bin: string): readonly [code: number | null, out: string, errors: string] {
  const versions = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`;
  const preload = `data:text/javascript,${encodeURIComponent(versions)}`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', preload, bin, '--version'], {
    encoding: 'utf8',
  });
  return [status, stdout, stderr];
}

describe('the command', () => {
  it('runs the source with Node 24, and says in one sentence what it needs with an older one', () => {
    expect(runAs('24.0.0', BIN)).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+/), '']);
    const needs =
      'fairway: needs Node 24.0 or later, this is 20.20.2: `npx fairway` takes the one that `npm ci` brings\n';
    expect(runAs('20.20.2', BIN)).toEqual([1, '', needs]);
  });

  it('runs the bundle with what package.json asks for', () => {
    for (const name of ['bin', 'dist']) mkdirSync(join(folder, name));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    writeFileSync(join(folder, 'dist/fairway.js'), 'console.log("the bundle")');
    const bin = join(folder, 'bin/fairway');
    cpSync(BIN, bin);
    expect(runAs('22.21.0', bin)).toEqual([0, 'the bundle\n', '']);
    expect(runAs('22.20.1', bin)).toEqual([1, '', 'fairway: needs Node 22.21 or later, this is 22.20.1\n']);
  });
});
