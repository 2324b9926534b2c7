// `fairway convert` as its users see it: whole ConfigMaps to whole sets of resources (legacy/*.expected.yaml is written by hand),
// what is said of what can't be converted, exit codes. The keys one by one are in test/config/legacy.test.ts.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runConvert, textOf } from '../../src/cli/convert.ts';
import type { Environment } from '../../src/cli/terminal.ts';
import { runValidate } from '../../src/cli/validate.ts';
import { readManifest } from '../../src/k8s/manifest.ts';

const CASES = join(import.meta.dirname, 'legacy');

interface Answer {
  readonly code: number;
  readonly out: string;
  readonly errors: readonly string[];
}

async function answerOf(
  verb: typeof runConvert,
  file: string,
  { stdin = '', flag = false, environment = {} }: { stdin?: string; flag?: boolean; environment?: Environment },
): Promise<Answer> {
  const [out, err]: [string[], string[]] = [[], []];
  const input = async function* () {
    yield Buffer.from(stdin);
  };
  const code = await verb(file, flag, {
    stdin: input(),
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    environment,
  });
  return { code, out: out.join(''), errors: err.join('').split('\n').filter(Boolean) };
}

const convert = (stdin: string, environment: Environment = {}): Promise<Answer> =>
  answerOf(runConvert, '-', { stdin, environment });

/** A ConfigMap of this configuration, whose first line is the sixth of the text. */
const configMap = (config: string): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata:\n  config: |\n${config.replace(/^/gm, '    ')}\n`;

const objectsOf = (text: string) => {
  const { objects, faults } = readManifest('text', text);
  expect(faults).toEqual([]);
  return objects.map(({ object }) => object);
};

const names = readdirSync(CASES).filter((name) => !name.includes('.expected.'));

describe('a ConfigMap', () => {
  it('is tried in every case', () => expect(names).toEqual(['everything.yaml', 'layer2.yaml', 'v0.7.yaml']));

  it.each(names)('%s becomes the resources that mean the same, and validate accepts them', async (name) => {
    const { code, out } = await answerOf(runConvert, join(CASES, name), {});
    expect(code).toBe(0);
    const expected = readFileSync(join(CASES, name.replace('.yaml', '.expected.yaml')), 'utf8');
    expect(objectsOf(out)).toEqual(objectsOf(expected));
    const [first] = objectsOf(out);
    const validate = (file: string, _: boolean, streams: Parameters<typeof runConvert>[2]) =>
      runValidate([file], false, streams);
    const environment = { METALLB_NAMESPACE: first?.metadata.namespace };
    expect(await answerOf(validate, '-', { stdin: out, environment })).toEqual({ code: 0, out: '', errors: [] });
  });

  it('keeps keys as they are written, as Go did where it wanted text', async () => {
    const { code, out, errors } = await convert(
      configMap(`peers:
- my-asn: 1
  peer-asn: 2
  peer-address: 192.0.2.1
  node-selectors: [{match-labels: {on: edge, 0x10: a, 1_0: b, "no": c}}]
bgp-communities: {y: "1:1", n: "1:2", yes: "1:3", 010: "1:4"}
`),
    );
    expect([code, errors]).toEqual([0, []]);
    const [peer, community] = objectsOf(out).map(({ spec }) => spec as Readonly<Record<string, unknown>>);
    expect(peer?.['nodeSelectors']).toEqual([{ matchLabels: { on: 'edge', '0x10': 'a', '1_0': 'b', no: 'c' } }]);
    expect(community?.['communities']).toEqual([
      { name: '010', value: '1:4' },
      { name: 'n', value: '1:2' },
      { name: 'y', value: '1:1' },
      { name: 'yes', value: '1:3' },
    ]);
    const wrong = await convert(configMap('bgp-communities:\n  a: "1:1"\n  on: [1]\n'));
    expect(wrong.errors).toEqual(['-:5: line 3 of config: bgp-communities.on: must be a string, not a list']);
  });

  it('is printed with its keys in order, a document an object', async () => {
    const { out } = await answerOf(runConvert, join(CASES, 'layer2.yaml'), {});
    expect(out).toBe(`# Made by fairway convert.
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: my-ip-space
  namespace: metallb-system
spec:
  addresses:
  - 10.211.55.240/28
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata:
  name: l2advertisement1
  namespace: metallb-system
spec:
  ipAddressPools:
  - my-ip-space
`);
  });

  it('without a namespace is in METALLB_NAMESPACE, else in metallb-system', async () => {
    const text = configMap('address-pools: [{name: a, protocol: layer2, addresses: [192.0.2.0/24]}]');
    expect(objectsOf((await convert(text)).out)[0]?.metadata.namespace).toBe('metallb-system');
    const { out } = await convert(text, { METALLB_NAMESPACE: 'lb' });
    expect(objectsOf(out).map(({ metadata }) => metadata.namespace)).toEqual(['lb', 'lb']);
  });

  it('tells what was renamed, what no version knew, and what one mode of the speakers refuses', async () => {
    const text = configMap(
      [
        'peers:',
        '- {my-asn: 64512, peer-asn: 64513, peer-address: 10.0.0.1}',
        '- {my-asn: 64512, peer-asn: 64513, peer-address: 10.0.0.1, peer-port: 1179, peer_port: 2}',
        'address-pools: [{name: My_Pool, protocol: layer2, addresses: [192.0.2.0/24]}]',
      ].join('\n'),
    );
    const { code, errors } = await convert(text);
    expect(code).toBe(0);
    expect(errors).toEqual([
      '-:5: line 3 of config: peers[1].peer_port: no version knows this key: left out',
      '-:5: line 4 of config: address-pools[0].name: "My_Pool" is called my-pool now: mend the Services that ask for it by name',
      "-:5: line 3 of config: peers[1]: BGPPeer/peer2: spec.peerAddress: peer 10.0.0.1 already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node (in frr mode)",
    ]);
  });
});

describe('what can’t be converted', () => {
  it.each([
    ['', '-: no ConfigMap'],
    ['apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\n', '-: bad ConfigMap: no data'],
    ['apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata: {config: " "}\n', '-: bad ConfigMap: no data'],
    [`${configMap('{}')}---\n${configMap('peers: []')}`, 'two ConfigMaps with a configuration: -:1 and -:8'],
    [configMap('# nothing'), '-:5: line 1 of config: bad ConfigMap: no data'],
    [configMap('peers:\n- a: [1'), /^-:5: line 3 of config: yaml: /],
    [configMap('peers:\npeers:'), '-:5: line 2 of config: duplicate-key: key "peers" stands twice in one map'],
    [configMap('peers:\n- {my-asn: 1, peer-asn: 2}'), '-:5: line 2 of config: peers[0].peer-address: required'],
    [
      configMap('peers:\n- {my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1,\n   password: 1234}'),
      '-:5: line 3 of config: peers[0].password: must be a string, not a number: put it in quotes',
    ],
    [
      configMap('peers: [{my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, hold-time: 2s}]'),
      '-:5: line 1 of config: peers[0]: BGPPeer/peer1: spec.holdTime: parsing peer peer1 invalid BGPPeer timers: invalid hold time "2s": must be 0 or >=3s',
    ],
    [
      configMap(
        'address-pools:\n- {name: a, protocol: bgp, addresses: [192.0.2.0/24]}\n- {name: b, protocol: bgp, addresses: [192.0.2.9/32]}',
      ),
      '-:5: line 3 of config: address-pools[1]: IPAddressPool/b: spec.addresses[0]: CIDR "192.0.2.9/32" in pool "b" overlaps with already defined CIDR "192.0.2.0/24"',
    ],
    ['a: [', /^-:1: yaml: /],
    ['address-pools: []\n', '-:1: object: apiVersion is missing'],
  ])('%j is refused, and nothing is printed', async (text, message) => {
    const { code, out, errors } = await convert(text);
    expect([code, out]).toEqual([1, '']);
    expect(errors).toEqual([message instanceof RegExp ? expect.stringMatching(message) : message]);
  });

  it('is a wrong call where the file can’t be read', async () => {
    expect(await answerOf(runConvert, '/nonexistent', {})).toEqual({
      code: 2,
      out: '',
      errors: ['fairway: /nonexistent: no such file or folder'],
    });
  });
});

describe('--only-data', () => {
  it('takes the value of the key alone, and tells lines of the file', async () => {
    const good = 'address-pools:\n- {name: a, protocol: layer2, addresses: [192.0.2.0/24]}\n';
    const { code, out } = await answerOf(runConvert, '-', { stdin: good, flag: true });
    expect(code).toBe(0);
    expect(objectsOf(out).map(({ kind }) => kind)).toEqual(['IPAddressPool', 'L2Advertisement']);
    const bad = good.replace('layer2', 'arp');
    const { errors } = await answerOf(runConvert, '-', { stdin: bad, flag: true });
    expect(errors).toEqual(['-:2: address-pools[0].protocol: unknown protocol "arp", since v0.7 it is called layer2']);
  });
});

describe('the text of an object', () => {
  it('is read back as it was, whatever the texts in it look like', () => {
    const tricky = fc.constantFrom(
      'yes',
      'no',
      '010',
      '1_000',
      '0x1f',
      '~',
      'null',
      '1e3',
      '64512:59',
      '<<',
      '12:30:45',
      '=',
      '- a',
      '# b',
      '.inf',
    );
    const text = fc.oneof(tricky, fc.string({ unit: fc.constantFrom(...'aZ09 :-#"\'{}[],&*!|>%@`\\~_=.\t') }));
    fc.assert(
      fc.property(text, fc.array(text, { minLength: 1 }), (password, values) => {
        const object = { apiVersion: 'v1', kind: 'BGPPeer', metadata: { name: 'a' }, spec: { password, values } };
        expect(objectsOf(textOf(object))).toEqual([object]);
      }),
      { seed: 12, numRuns: 1_000 },
    );
  });
});
