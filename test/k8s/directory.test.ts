// The folder as the API, on real files: what is told, when, and what never is.

import {
  appendFileSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Folder, type FolderContent } from '../../src/k8s/directory.ts';
import { until } from '../io/sockets.ts';

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanUp.splice(0).reverse()) undo();
});

function temporary(): string {
  const path = mkdtempSync(join(tmpdir(), 'fairway-folder-'));
  cleanUp.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function watched(path: string) {
  const told: FolderContent[] = [];
  const folder = new Folder(path, 'metallb-system', (content) => told.push(content));
  cleanUp.push(() => folder.end());
  const names = () =>
    told
      .at(-1)
      ?.objects.map(({ object }) => object.metadata.name)
      .join();
  return {
    told,
    names,
    last: () => told.at(-1),
    until: (wanted: string) =>
      until(`objects ${wanted} (last: ${names()})`, () => (names() === wanted ? true : undefined)),
    untilFault: (pattern: RegExp) =>
      until(`a fault like ${pattern}`, () =>
        told.at(-1)?.faults.find(({ file, line, text }) => pattern.test(`${file}:${line}: ${text}`)),
      ),
  };
}

const service = (name: string, more = '') =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: app}\nspec: {type: LoadBalancer${more}}\n`;
const services = (...names: readonly string[]) => names.map((name) => service(name)).join('---\n');

describe('a folder', () => {
  it('is told as a whole once all of it was read: by file name, then by document; hidden and other files left out', async () => {
    const path = temporary();
    writeFileSync(join(path, 'b.yaml'), services('three'));
    writeFileSync(join(path, 'a.yml'), services('one', 'two'));
    writeFileSync(join(path, 'c.json'), JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'four' } }));
    writeFileSync(join(path, '.b.yaml.swp'), 'x');
    writeFileSync(join(path, '.hidden.yaml'), services('hidden'));
    writeFileSync(join(path, 'readme.md'), 'x: [');
    mkdirSync(join(path, 'folder.yaml'));
    const seen = watched(path);
    await seen.until('one,two,three,four');
    expect(seen.told).toHaveLength(1);
    expect(seen.last()).toMatchObject({ complete: true, faults: [] });
  });

  it('follows atomic renames, new files and deletions; what did not change keeps its identity', async () => {
    const path = temporary();
    writeFileSync(join(path, 'a.yaml'), services('one', 'two'));
    const seen = watched(path);
    await seen.until('one,two');
    const [one, two] = seen.last()?.objects ?? [];
    writeFileSync(
      join(path, 'a.tmp'),
      `# moved down\n${service('one')}---\n${service('two', ', externalTrafficPolicy: Local')}`,
    );
    renameSync(join(path, 'a.tmp'), join(path, 'a.yaml'));
    await until('the change', () => (seen.told.length > 1 ? true : undefined));
    expect(seen.last()?.objects[0]?.object).toBe(one?.object);
    expect(seen.last()?.objects[0]?.line).toBe(2);
    expect(seen.last()?.objects[1]?.object).not.toBe(two?.object);
    writeFileSync(join(path, 'b.yaml'), services('three'));
    await seen.until('one,two,three');
    rmSync(join(path, 'a.yaml'));
    await seen.until('three');
  });

  it('sees a mounted ConfigMap change: files are links through a link that is swapped', async () => {
    const path = temporary();
    for (const [version, name] of [
      ['..v1', 'old'],
      ['..v2', 'new'],
    ] as const) {
      mkdirSync(join(path, version));
      writeFileSync(join(path, version, 'a.yaml'), services(name));
    }
    symlinkSync('..v1', join(path, '..data'));
    symlinkSync(join('..data', 'a.yaml'), join(path, 'a.yaml'));
    const seen = watched(path);
    await seen.until('old');
    symlinkSync('..v2', join(path, '..data_tmp'));
    renameSync(join(path, '..data_tmp'), join(path, '..data'));
    await seen.until('new');
    expect(seen.told).toHaveLength(2);
  });

  it('never shows half of what is written in place, nor the moment in which an editor has the file', async () => {
    const path = temporary();
    const file = join(path, 'a.yaml');
    writeFileSync(file, services('one', 'two'));
    const seen = watched(path);
    await seen.until('one,two');
    const fd = openSync(file, 'w'); // truncates
    await sleep(10);
    writeSync(fd, service('one').slice(0, 40));
    await sleep(10);
    writeSync(fd, `${service('one').slice(40)}---\n${service('two')}---\n${service('three')}`);
    closeSync(fd);
    await seen.until('one,two,three');
    renameSync(file, join(path, 'a.yaml~'));
    await sleep(10);
    writeFileSync(file, services('one', 'two', 'three', 'four'));
    await seen.until('one,two,three,four');
    expect(seen.told.map(({ objects }) => objects.length)).toEqual([2, 3, 4]);
    expect(seen.told.flatMap(({ faults }) => faults)).toEqual([]);
  });

  it('keeps what a broken file said, tells where it is broken, and takes it again when it is mended', async () => {
    const path = temporary();
    writeFileSync(join(path, 'a.yaml'), services('one', 'two'));
    writeFileSync(join(path, 'b.yaml'), services('three'));
    const seen = watched(path);
    await seen.until('one,two,three');
    writeFileSync(join(path, 'a.yaml'), `${service('one')}---\nkind: [unclosed\n`);
    const fault = await seen.untilFault(/a\.yaml:[678]: /);
    expect(fault.rule).toBe('yaml');
    expect(seen.names()).toBe('one,two,three');
    writeFileSync(join(path, 'a.yaml'), services('one'));
    await seen.until('one,three');
    expect(seen.last()?.faults).toEqual([]);
  });

  it('refuses text that is not UTF-8 by its line, and keeps what it said before', async () => {
    const path = temporary();
    writeFileSync(join(path, 'a.yaml'), services('one'));
    const seen = watched(path);
    await seen.until('one');
    // U+FFFD itself is a character like any other; E9 is é in Latin-1
    const latin1 = Buffer.concat([Buffer.from('# \uFFFD\n'), Buffer.from(`${services('two')}# caf\u00e9\n`, 'latin1')]);
    writeFileSync(join(path, 'a.yaml'), latin1);
    expect(await seen.untilFault(/a\.yaml:6: the text is not UTF-8/)).toMatchObject({ rule: 'yaml' });
    expect(seen.names()).toBe('one');
  });

  it('takes the first of two objects of one name and names both places', async () => {
    const path = temporary();
    writeFileSync(join(path, 'a.yaml'), services('one', 'two'));
    writeFileSync(join(path, 'b.yaml'), `${service('three')}---\n${service('two', ', externalTrafficPolicy: Local')}`);
    const seen = watched(path);
    await seen.until('one,two,three');
    const fault = await seen.untilFault(/b\.yaml:6: Service\/two stands also in .*a\.yaml:6, which is taken/);
    expect(fault.rule).toBe('duplicate');
    rmSync(join(path, 'a.yaml'));
    await seen.until('three,two');
    expect(seen.last()?.faults).toEqual([]);
  });

  it('knows an object again that names the namespace in which it would be anyway', async () => {
    const path = temporary();
    const object = (kind: string, apiVersion: string, namespace: string) =>
      `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: x${namespace && `, namespace: ${namespace}`}}\n`;
    const kinds = [
      ['Service', 'v1', 'default'],
      ['EndpointSlice', 'discovery.k8s.io/v1', 'default'],
      ['Secret', 'v1', 'metallb-system'],
      ['BGPPeer', 'metallb.io/v1beta2', 'metallb-system'],
      ['Node', 'v1', 'any'],
    ] as const;
    const all = (named: boolean) => kinds.map(([kind, version, ns]) => object(kind, version, named ? ns : ''));
    writeFileSync(join(path, 'a.yaml'), all(true).join('---\n'));
    writeFileSync(join(path, 'b.yaml'), [...all(false), object('Service', 'v1', 'metallb-system')].join('---\n'));
    const seen = watched(path);
    await seen.until('x,x,x,x,x,x');
    expect(seen.last()?.faults.map(({ rule, text }) => `${rule} ${text.split(' ', 1)}`)).toEqual(
      kinds.map(([kind]) => `duplicate ${kind}/x`),
    );
  });

  it('survives a folder that goes, comes back, and was not there at first', async () => {
    const path = join(temporary(), 'later');
    const seen = watched(path);
    await until('the problem', () => seen.last()?.problem);
    expect(seen.last()).toMatchObject({ complete: false, objects: [] });
    expect(seen.last()?.problem).toContain(`cannot read the folder ${path}: ENOENT`);
    const fill = (...names: string[]) => {
      mkdirSync(`${path}.new`);
      writeFileSync(join(`${path}.new`, 'a.yaml'), services(...names));
      renameSync(`${path}.new`, path);
    };
    fill('one');
    await seen.until('one');
    rmSync(path, { recursive: true });
    await until('the problem', () => seen.last()?.problem);
    expect(seen.names()).toBe('one');
    fill('one', 'two');
    await seen.until('one,two');
    expect(seen.last()?.problem).toBeUndefined();
    appendFileSync(join(path, 'a.yaml'), `---\n${service('three')}`);
    await seen.until('one,two,three');
  });

  it('parses one document a turn: 2 MB leave room for everything else', async () => {
    const path = temporary();
    const pad = 'x'.repeat(900);
    const many = Array.from({ length: 2_000 }, (_, i) => `${service(`s${i}`)}# ${pad}\n`);
    writeFileSync(join(path, 'a.yaml'), many.join('---\n'));
    let turns = 0;
    let done = false;
    const turn = () => {
      turns++;
      if (!done) setImmediate(turn);
    };
    turn();
    cleanUp.push(() => {
      done = true;
    });
    const seen = watched(path);
    await until('all of it', () => (seen.last()?.objects.length === 2_000 ? true : undefined));
    expect(turns).toBeGreaterThan(2_000);
  });
});
