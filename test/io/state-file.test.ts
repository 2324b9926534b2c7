// The memory of standalone on real files.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Remembered, readStateFile, StateFile } from '../../src/io/state-file.ts';
import type { Ip } from '../../src/net/address.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fairway-state-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const one = (ip: string): Remembered => new Map([['app/web', { ips: [ip as Ip], pool: 'main' }]]);

describe('the state file', () => {
  it('is empty when it is not there, and reads back what was written last', async () => {
    const path = join(folder, 'state.json');
    expect(await readStateFile(path)).toEqual(new Map());
    const faults: unknown[] = [];
    const file = new StateFile(path, (fault) => faults.push(fault));
    for (let i = 1; i <= 50; i++) file.write(one(`192.0.2.${i}`));
    await file.settled();
    expect(await readStateFile(path)).toEqual(one('192.0.2.50'));
    file.write(one('2001:db8::1'));
    await file.settled();
    expect(await readStateFile(path)).toEqual(one('2001:db8::1'));
    expect(readdirSync(folder)).toEqual(['state.json']);
    expect(faults).toEqual([]);
  });

  it('says that it cannot be written, and goes on', async () => {
    const faults: (Error | undefined)[] = [];
    const file = new StateFile(join(folder, 'missing', 'state.json'), (fault) => faults.push(fault));
    file.write(one('192.0.2.1'));
    await file.settled();
    expect(faults.map((fault) => fault?.message)).toEqual([
      expect.stringMatching(/^cannot write the state file .*state\.json: ENOENT/),
    ]);
  });

  it.each([
    ['{', 'is broken: '],
    ['[]', 'is broken: no object `services`'],
    ['{"services":{"a/b":{}}}', 'is broken: a/b: no array `ips`'],
    ['{"services":{"a/b":{"ips":["010.0.0.1"]}}}', 'is broken: a/b: an entry of `ips` is no address'],
  ])('is refused by name when it reads %s', async (text, message) => {
    const path = join(folder, 'state.json');
    writeFileSync(path, text);
    await expect(readStateFile(path)).rejects.toThrow(`the state file ${path} ${message}`);
    expect(readFileSync(path, 'utf8')).toBe(text);
  });
});
