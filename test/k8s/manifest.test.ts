// Manifests as files hold them. What kubectl makes of odd scalars was read from `kubectl label --local -o json` (see
// GO_SCALARS); everything hostile must end in a fault with its line, and quickly.

import { describe, expect, it } from 'vitest';
import { documents, MAX_DOCUMENT, type ManifestFault, readManifest } from '../../src/k8s/manifest.ts';

const faultsOf = (text: string): readonly ManifestFault[] => readManifest('f.yaml', text).faults;
const rulesOf = (text: string): readonly string[] => faultsOf(text).map(({ line, rule }) => `${line} ${rule}`);
const POOL = 'apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: a}\n';

describe('documents', () => {
  it('gives each object its file and line, over comments, empty documents and CRLF', () => {
    const text = `# first\n---\n# second\n${POOL}---\n---\n# nothing\n...\n%YAML 1.2\n---\n\n${POOL}`;
    for (const lines of [text, text.replaceAll('\n', '\r\n'), `\uFEFF${text}`]) {
      const { objects, faults } = readManifest('f.yaml', lines);
      expect(faults).toEqual([]);
      expect(objects.map(({ line, object }) => [line, object.kind, object.metadata.name])).toEqual([
        [4, 'IPAddressPool', 'a'],
        [14, 'IPAddressPool', 'a'],
      ]);
      expect(objects.map(({ lineOf }) => lineOf('metadata.name'))).toEqual([6, 16]);
    }
  });

  it('takes a marker for one only at the start of a line', () => {
    const text = `${POOL}spec:\n  note: |\n    ---\n    x\n  other: "a\n    --- b"\n`;
    const { objects, faults } = readManifest('f.yaml', text);
    expect(faults).toEqual([]);
    expect(objects[0]?.object['spec']).toEqual({ note: '---\nx\n', other: 'a --- b' });
  });

  it('reads JSON, indented by tabs or not at all', () => {
    const object = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' }, spec: { ports: [{ port: 80 }] } };
    for (const indent of ['', '  ', '\t']) {
      const { objects, faults } = readManifest('f.json', JSON.stringify(object, undefined, indent));
      expect(faults).toEqual([]);
      expect(objects[0]?.object).toEqual(object);
    }
  });

  it('opens Lists, with the lines of their items', () => {
    const item = (name: string): string => `- apiVersion: v1\n  kind: Node\n  metadata:\n    name: ${name}\n`;
    const text = `apiVersion: v1\nkind: List\nitems:\n${item('a')}- {kind: Node}\n${item('b')}`;
    const { objects, faults } = readManifest('f.yaml', text);
    expect(objects.map(({ line, lineOf, object }) => [line, lineOf('metadata.name'), object.metadata.name])).toEqual([
      [4, 7, 'a'],
      [9, 12, 'b'],
    ]);
    expect(faults).toEqual([{ file: 'f.yaml', line: 8, rule: 'object', text: 'apiVersion is missing' }]);
  });

  it('reads the documents beside a broken one', () => {
    const { objects, faults } = readManifest('f.yaml', `${POOL}---\na: [1\n---\n${POOL}`);
    expect(objects.map(({ line }) => line)).toEqual([1, 7]);
    expect(faults.map(({ line, rule }) => `${line} ${rule}`)).toEqual(['6 yaml']);
  });

  it('says what keeps a document from being an object', () => {
    expect(faultsOf('- 1').map(({ text }) => text)).toEqual(['not an object with apiVersion, kind and metadata']);
    expect(faultsOf('apiVersion: 1\nkind: X')).toMatchObject([{ line: 1, text: 'apiVersion must be a string' }]);
    expect(faultsOf('apiVersion: v1\nkind:')).toMatchObject([{ line: 1, text: 'kind is missing' }]);
    expect(faultsOf('apiVersion: v1\nkind: X')).toMatchObject([{ text: 'X without metadata.name' }]);
    expect(faultsOf('apiVersion: v1\nkind: X\nmetadata:\n  name: 5')).toMatchObject([
      { line: 4, text: 'metadata.name must be a string' },
    ]);
    expect(faultsOf('apiVersion: v1\nkind: X\nmetadata:\n  generateName: x-')).toMatchObject([
      { line: 3, text: 'X without metadata.name' },
    ]);
  });

  it('drops fields that are null, as the API server does, and keeps null in lists', () => {
    const { objects } = readManifest('f.yaml', `${POOL}spec:\n  a:\n  b: ~\n  c: [~, 1]\n`);
    expect(objects[0]?.object['spec']).toEqual({ c: [null, 1] });
  });
});

/** Text of a scalar and the JSON that kubectl 1.32 makes of it. */
const GO_SCALARS: readonly (readonly [string, unknown])[] = [
  ['010', 8],
  ['-010', -8],
  ['08', 8],
  ['0o10', 8],
  ['0b11', 3],
  ['0x1F', 31],
  ['1_000', 1000],
  ['1e3', 1000],
  ['.5', 0.5],
  ['1.', 1],
  ['1_0.5', 10.5],
  ['+1', 1],
  ['y', true],
  ['yes', true],
  ['on', true],
  ['No', false],
  ['OFF', false],
  ['n', false],
  ['"yes"', 'yes'],
  ['64512:100', '64512:100'],
  ['1:30', '1:30'],
  ['2001-01-01', '2001-01-01'],
  ['=', '='],
  ['!!str 5', '5'],
  ['!!int "5"', 5],
];

describe('scalars', () => {
  it.each(GO_SCALARS)('%s', (text, value) => {
    expect(readManifest('f.yaml', `${POOL}spec: ${text}`).objects[0]?.object['spec']).toEqual(value);
  });

  it('merges maps as kubectl does', () => {
    const text = `${POOL}x: &x {p: 1, q: 1}\nspec:\n  <<: *x\n  q: 2\nmore: {<<: [*x, {p: 3, r: 3}]}`;
    expect(readManifest('f.yaml', text).objects[0]?.object).toMatchObject({
      spec: { p: 1, q: 2 },
      more: { p: 1, q: 1, r: 3 },
    });
  });

  it('keeps __proto__ a key like any other', () => {
    const object = readManifest('f.yaml', `${POOL}spec: {__proto__: {a: 1}}`).objects[0]?.object['spec'];
    expect(Object.keys(object as object)).toEqual(['__proto__']);
    expect((object as { a?: unknown }).a).toBeUndefined();
  });
});

describe('lineOf', () => {
  const text = `${POOL}spec:
  addresses:
  - 192.0.2.0/24

  -   198.51.100.0/24
  selectors:
  - matchLabels:
      a: b
      a.b/c: d
    more: *x
`.replace('*x', '1');
  const lineOf = readManifest('f.yaml', `\n${text}`).objects[0]?.lineOf ?? (() => 0);

  it.each([
    ['', 2],
    ['spec', 5],
    ['spec.addresses', 6],
    ['spec.addresses[0]', 7],
    ['spec.addresses[1]', 9],
    ['spec.addresses[7]', 6],
    ['spec.selectors[0].matchLabels', 11],
    ['spec.selectors[0].matchLabels.a', 12],
    ['spec.selectors[0].matchLabels.a.b/c', 13],
    ['spec.selectors[0].more.none', 14],
    ['spec.none.deeper', 5],
    ['status', 2],
    [`spec.${'.['.repeat(500_000)}`, 5],
  ])('%s', (path, line) => {
    expect(lineOf(path)).toBe(line);
  });
});

describe('hostile text', () => {
  it('refuses a key that stands twice, at the second', () => {
    expect(faultsOf(`${POOL}spec:\n  a: 1\n  b: {c: 1,\n    c: 2}\n`)).toEqual([
      { file: 'f.yaml', line: 7, rule: 'duplicate-key', text: 'key "c" stands twice in one map' },
    ]);
  });

  it('refuses a document over 1 MiB, counted in octets, and reads the next', () => {
    const filler = (octets: number): string => `${POOL}#
x: "${'é'.repeat((octets - POOL.length - 7) / 2)}"`;
    expect(Buffer.byteLength(filler(MAX_DOCUMENT))).toBe(MAX_DOCUMENT);
    expect(faultsOf(filler(MAX_DOCUMENT))).toEqual([]);
    const { objects, faults } = readManifest('f.yaml', `\n${filler(MAX_DOCUMENT + 2)}\n---\n${POOL}`);
    expect(faults).toMatchObject([{ line: 1, rule: 'too-large' }]);
    expect(objects.map(({ line }) => line)).toEqual([8]);
  });

  // a scalar is two tokens (a mark and its text), all else is one
  it.each([
    ['x,', 33_000, 34_000],
    ['{},', 30_000, 34_000],
    ['[[]],', 19_000, 20_001],
    ['\n', 99_000, 100_000],
    ['#\n', 49_000, 100_000],
  ])('refuses a document of more than 100,000 tokens at its line, and reads the next: %j', (item, few, many) => {
    const text = (count: number): string => `${POOL}spec: [\n ${item.repeat(count)}\n ]\n`;
    expect(faultsOf(text(few))).toEqual([]);
    const { objects, faults } = readManifest('f.yaml', `${text(many)}---\n${POOL}`);
    expect(faults).toMatchObject([
      { file: 'f.yaml', rule: 'too-many-tokens', text: 'a document of more than 100000 YAML tokens: split it' },
    ]);
    expect(faults[0]?.line).toBeGreaterThan(4);
    expect(objects.map(({ object }) => object.metadata.name)).toEqual(['a']);
  });

  it('bounds the text that aliases repeat', () => {
    const text = (octets: number): string => `${POOL}a: &a ${'x'.repeat(octets)}\nb: [${'*a,'.repeat(1000)}]`;
    expect(faultsOf(text(1000))).toEqual([]);
    const refusal = 'aliases repeat more than 1 MiB of text in this document';
    expect(faultsOf(text(1100))).toMatchObject([{ line: 4, rule: 'too-many-aliases', text: refusal }]);
    const keys = `${POOL}a: &a {${'x'.repeat(1100)}: 1}\nb: [${'*a,'.repeat(1000)}]`;
    expect(faultsOf(keys)).toMatchObject([{ line: 4, rule: 'too-many-aliases', text: refusal }]);
  });

  it('parses one document at each step', () => {
    const steps = documents('f.yaml', `${POOL}---\n${POOL}---\n]`);
    expect(steps.next().value).toMatchObject({ objects: [{ line: 1 }] });
    expect(steps.next().value).toMatchObject({ objects: [{ line: 5 }] });
    expect(steps.next().value).toMatchObject({ faults: [{ line: 9 }] });
    expect(steps.next().done).toBe(true);
  });

  it('takes anchors in moderation and refuses bombs', () => {
    expect(faultsOf(`${POOL}a: &a [1, 2]\nb: [*a, *a]`)).toEqual([]);
    const layers = [...'bcdefghi'].map((name, i) => `${name}: &${name} [${`*${'abcdefghi'[i]},`.repeat(9)}]`);
    expect(rulesOf(`a: &a [1,1,1,1,1,1,1,1,1]\n${layers.join('\n')}`)).toEqual(['1 too-many-aliases']);
    expect(rulesOf(`a: &a {k: 1}\nb:\n${'- {<<: *a}\n'.repeat(6000)}`)).toEqual(['1 too-many-aliases']);
    expect(rulesOf('a: &a [*a]')).toEqual(['1 too-deep']);
    expect(rulesOf('a: *b')).toEqual(['1 yaml']);
  });

  it.each([
    ['[', '['.repeat(MAX_DOCUMENT)],
    ['- ', '- '.repeat(MAX_DOCUMENT / 2)],
    ['? ', '? '.repeat(MAX_DOCUMENT / 2)],
    ['{a: ', '{a: '.repeat(MAX_DOCUMENT / 4)],
    ['steps', Array.from({ length: 1400 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
  ])('gives up nesting before it hurts: %s', (_, text) => {
    expect(faultsOf(text)).toMatchObject([{ rule: 'too-deep', text: 'nested more than 100 levels deep' }]);
  });

  it.each([
    ['tabs', 'a:\n\tb: 1', 2],
    ['template', 'a: {{ .Values.x }}', 1],
    ['tag', 'a: !Ref x', 1],
    ['binary', 'a: !!binary aGk=', 1],
    ['infinity', 'a:\n  b: .inf', 2],
    ['nan', 'a: .nan', 1],
    ['map as key', '? {a: 1}\n: 2', 1],
    ['unclosed', 'a: "x\nb: 2', 2],
    ['closers', '}'.repeat(MAX_DOCUMENT), 1],
    ['commas', `[${','.repeat(90_000)}`, 1],
    ['escapes', `a: "${'\\q'.repeat(100_000)}"`, 1],
    ['merge of a list', 'a: {<<: [1]}', 1],
    ['nul', 'a: \u0000', 1],
  ])('says where the syntax breaks: %s', (_, text, line) => {
    expect(rulesOf(text)).toEqual([`${line} yaml`]);
  });

  it('reads or refuses any bytes without throwing', () => {
    let seed = 7;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    const base = `${POOL}spec:\n  addresses: [192.0.2.0/24, "2001:db8::/64"]\n  x: &x {a: b}\n  y: *x\n---\n- |\n  text\n`;
    for (let round = 0; round < 3000; round++) {
      const text = [...base];
      for (let change = random(6); change >= 0; change--) {
        const insert = '[]{}:-?,&*!|>\'"%@`#\n\t \\<=~0é\u0000'[random(31)] ?? '';
        text.splice(random(text.length), random(3), insert);
      }
      const { objects, faults } = readManifest('f', text.join(''));
      const lines = text.join('').split('\n').length;
      for (const { line } of [...objects, ...faults]) expect(line >= 1 && line <= lines).toBe(true);
    }
  });
});
