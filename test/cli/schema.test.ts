// Our reading of the CRDs against the answers that a kube-apiserver 1.36.3 gave to the same objects (see
// record-answers.ts): each finding of one side must be one of the other, in the same words.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkMetadata } from '../../src/cli/metadata.ts';
import { checkSchema } from '../../src/cli/schema.ts';
import { readManifest } from '../../src/k8s/manifest.ts';
import { CASES } from './schema-cases.ts';

const answers: readonly (readonly string[])[] = JSON.parse(
  readFileSync(new URL('schema-answers.json', import.meta.url), 'utf8'),
);

/** Said by the API server beside the finding itself. */
const REMARK = /some validation rules were not checked|must be of type integer \(default format\)/;

function expected(said: readonly string[]): readonly string[] {
  return said
    .filter((text) => !REMARK.test(text))
    .flatMap((text) => {
      const unknown = text.match(/unknown field "[^"]*"/g);
      if (unknown) return unknown;
      if (text === '404 page not found') return ['no matches for kind "IPAddressPool" in version "metallb.io/v1beta2"'];
      // the one finding to which the API server gives no field
      const range = /^<nil>: Invalid value: "": (Checked value must be .* in (.*))$/.exec(text);
      return range ? [`${range[2]}: Invalid value: 4294967295: ${range[1]}`] : [text];
    })
    .map(withoutReason)
    .toSorted();
}

/** Why a CEL function fails is each library's to say. */
function withoutReason(text: string): string {
  return text.replace(/("string": ).*( evaluating rule: )/, '$1…$2');
}

function ours(written: unknown): readonly string[] {
  const object = readManifest('case', JSON.stringify(written)).objects[0]?.object;
  if (!object) return ['no object'];
  const findings = [...(checkSchema(object) ?? []), ...checkMetadata(object)];
  const bare = (rule: string, message: string) => rule === 'unknown-field' || message.startsWith('no matches');
  const texts = findings.map(({ field, rule, message }) => (bare(rule, message) ? message : `${field}: ${message}`));
  // as the API server: fields that it does not know are told before anything else is looked at
  const unknown = texts.filter((text) => text.startsWith('unknown field'));
  return (unknown.length > 0 ? unknown : texts).map(withoutReason).toSorted();
}

describe('schemas', () => {
  it('has an answer to each case, most of them a refusal', () => {
    expect(answers).toHaveLength(CASES.length);
    expect(answers.filter(({ length }) => length > 0).length).toBeGreaterThan(50);
  });

  it.each(CASES.map((object, i) => [i, `${object['kind']} ${JSON.stringify(object['spec'])}`, object] as const))(
    'case %i: %s',
    (i, _, object) => {
      expect(ours(object)).toEqual(expected(answers[i] ?? []));
    },
  );

  it('knows the nine kinds, and says so of others', () => {
    const of = (apiVersion: string, kind: string) => checkSchema({ apiVersion, kind, metadata: { name: 'a' } });
    for (const kind of ['ConfigurationState', 'ServiceL2Status', 'ServiceBGPStatus', 'L2Advertisement', 'Community']) {
      expect(of('metallb.io/v1beta1', kind)).toEqual([]);
    }
    expect(of('metallb.io/v1beta1', 'AddressPool')).toBeUndefined();
    expect(of('v1', 'Service')).toBeUndefined();
    expect(of('example.org/v1beta1', 'Community')).toBeUndefined();
  });

  it('does not change the object that it checks', () => {
    const object = Object.freeze({
      apiVersion: 'metallb.io/v1beta1',
      kind: 'BGPAdvertisement',
      metadata: Object.freeze({ name: 'a' }),
      spec: Object.freeze({}),
    });
    expect(checkSchema(object)).toEqual([]);
    expect(object.spec).toEqual({});
  });

  it('accepts the examples', () => {
    for (const name of ['pool', 'bgp', 'nginx', 'dns']) {
      const text = readFileSync(new URL(`../../manifests/examples/${name}.yaml`, import.meta.url), 'utf8');
      const { objects, faults } = readManifest(name, text);
      expect(faults).toEqual([]);
      expect(objects.length).toBeGreaterThan(1);
      for (const { object } of objects) {
        expect([...(checkSchema(object) ?? []), ...checkMetadata(object)]).toEqual([]);
      }
    }
  });
});

describe('metadata', () => {
  const messages = (object: Readonly<Record<string, unknown>>): readonly string[] =>
    checkMetadata({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' }, ...object }).map(
      ({ field, message }) => `${field}: ${message.slice(0, 60)}`,
    );

  it('knows the outermost fields of kinds without a CRD', () => {
    expect(messages({ stringdata: {}, type: 'Opaque' })).toEqual(['stringdata: unknown field "stringdata"']);
    expect(messages({ kind: 'Node', spec: {}, labels: {} })).toEqual(['labels: unknown field "labels"']);
  });

  it('refuses unknown fields and wrong types in it', () => {
    expect(messages({ metadata: { name: 'a', lables: {} } })).toEqual([
      'metadata.lables: unknown field "metadata.lables"',
    ]);
    expect(messages({ metadata: { name: 'a', labels: { a: 1 } } })).toEqual([
      'metadata.labels.a: Invalid value: 1: must be a string',
    ]);
    expect(messages({ metadata: { name: 'a', annotations: ['x'] } })).toEqual([
      'metadata.annotations: Invalid value: ["x"]: must be a map of strings',
    ]);
  });

  it('wants a label for the name of a Namespace', () => {
    expect(messages({ kind: 'Namespace', metadata: { name: 'a.b' } })).toEqual([
      'metadata.name: Invalid value: "a.b": a lowercase RFC 1123 label must consis',
    ]);
  });
});
