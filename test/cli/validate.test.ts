// `fairway validate` as scripts see it: lines, JSON, exit codes. The texts are MetalLB's and the API server's; each rule
// of the webhooks' acceptance tests has a case.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Environment } from '../../src/cli/terminal.ts';
import { runValidate } from '../../src/cli/validate.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'validate-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Answer {
  readonly code: number;
  readonly lines: readonly string[];
  readonly errors: readonly string[];
  readonly stdout: string;
}

async function run(
  files: readonly string[],
  { environment = {}, json = false, stdin = '' }: { environment?: Environment; json?: boolean; stdin?: string } = {},
): Promise<Answer> {
  const [out, err]: [string[], string[]] = [[], []];
  const input = async function* () {
    yield Buffer.from(stdin);
  };
  const code = await runValidate(files, json, {
    stdin: input(),
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    environment,
  });
  const linesOf = (parts: readonly string[]) => parts.join('').split('\n').filter(Boolean);
  return { code, lines: linesOf(out), errors: linesOf(err), stdout: out.join('') };
}

/** The findings of one text, as `LINE: …`. */
async function findings(text: string, environment: Environment = {}): Promise<readonly string[]> {
  const { code, lines } = await run(['-'], { stdin: text, environment });
  expect(code).toBe(lines.length > 0 ? 1 : 0);
  return lines.map((line) => line.replace(/^-:/, ''));
}

const object = (kind: string, name: string, spec: unknown, version = 'metallb.io/v1beta1', metadata = {}): string =>
  `${JSON.stringify({ apiVersion: version, kind, metadata: { name, ...metadata }, spec })}\n---\n`;
const pool = (name: string, addresses: readonly string[], more = {}): string =>
  object('IPAddressPool', name, { addresses, ...more });
const advertisement = (name: string, spec = {}): string => object('BGPAdvertisement', name, spec);
const peer = (name: string, spec = {}): string =>
  object('BGPPeer', name, { myASN: 64512, peerASN: 64513, peerAddress: '192.0.2.1', ...spec }, 'metallb.io/v1beta2');
const community = (name: string, ...values: readonly string[]): string =>
  object('Community', name, { communities: values.map((value, i) => ({ name: `${name}${i}`, value })) });
const secret = (name: string, type: string, stringData: unknown, namespace?: string): string =>
  `${JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type, stringData })}\n---\n`;
const node = (name: string, labels = {}): string => object('Node', name, {}, 'v1', { labels });
const on = (key: string, value: string) => ({ nodeSelectors: [{ matchLabels: { [key]: value } }] });

describe('exit codes and streams', () => {
  it('accepts the examples, and says what it did not look at', async () => {
    const answer = await run([new URL('../../manifests/examples', import.meta.url).pathname]);
    expect(answer).toMatchObject({ code: 0, lines: [] });
    expect(answer.errors).toEqual([
      'ignored: 2 of kind Service (v1)',
      'ignored: 3 of kind EndpointSlice (discovery.k8s.io/v1)',
    ]);
  });

  it('reads folders (not those below), JSON, and a file once', async () => {
    mkdirSync(join(folder, 'below'));
    writeFileSync(join(folder, 'below', 'x.yaml'), ']');
    writeFileSync(join(folder, '.hidden.yaml'), ']');
    writeFileSync(join(folder, 'notes.txt'), ']');
    writeFileSync(join(folder, 'b.json'), pool('b', ['10.0.0.0/33']).replace('\n---\n', ''));
    writeFileSync(join(folder, 'a.yml'), `\n${pool('a', ['10.0.0.0/34'])}`);
    const { code, lines } = await run([folder, join(folder, 'b.json')]);
    expect(code).toBe(1);
    expect(lines.map((line) => line.slice(folder.length, folder.length + 42))).toEqual([
      '/a.yml:2: IPAddressPool/a: spec.addresses[',
      '/b.json:1: IPAddressPool/b: spec.addresses',
    ]);
  });

  it('answers 2 where it can read nothing', async () => {
    const missing = await run([join(folder, 'none.yaml')]);
    expect(missing).toMatchObject({ code: 2, lines: [] });
    expect(missing.errors).toEqual([`fairway: ${folder}/none.yaml: no such file or folder`]);
    expect((await run([folder])).errors).toEqual([`fairway: ${folder}: no *.yaml, *.yml or *.json in this folder`]);
  });

  it('refuses text that is not UTF-8, with its line', async () => {
    writeFileSync(join(folder, 'a.yaml'), Buffer.from('a: 1\nb: \xe9\n', 'latin1'));
    expect((await run([folder])).lines).toEqual([`${folder}/a.yaml:2: -/-: -: yaml: the text is not UTF-8`]);
  });

  it('prints JSON with messages verbatim', async () => {
    const text = secret('s', 'Opaque', { password: 'x' }) + peer('p', { passwordSecret: { name: 's' } });
    const { code, stdout } = await run(['-'], { json: true, stdin: text });
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual({
      accepted: false,
      findings: [
        {
          file: '-',
          line: 3,
          kind: 'BGPPeer',
          name: 'p',
          field: 'spec.passwordSecret.name',
          rule: 'secret',
          message:
            'parsing peer p secret type mismatch on "metallb-system"/"s", type "kubernetes.io/basic-auth" is expected \nfailed to parse peer p password secret',
        },
      ],
    });
    expect(await findings(text)).toEqual([
      '3: BGPPeer/p: spec.passwordSecret.name: secret: parsing peer p secret type mismatch on "metallb-system"/"s", type "kubernetes.io/basic-auth" is expected ; failed to parse peer p password secret',
    ]);
    expect(JSON.parse((await run(['-'], { json: true, stdin: pool('a', ['10.0.0.0/8']) })).stdout)).toEqual({
      accepted: true,
      findings: [],
    });
  });

  it('cannot be made to steer a terminal', async () => {
    const [line = ''] = await findings(pool('a', ['\u001b[31m\u0085\u202e']));
    expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });
});

describe('rules', () => {
  /** Name, text, what the one finding holds, METALLB_BGP_TYPE. */
  const REFUSED: readonly (readonly [string, string, string, string?])[] = [
    [
      'overlapping pools',
      pool('a', ['1.1.1.0/24']) + pool('b', ['1.1.1.16/28']),
      '3: IPAddressPool/b: spec.addresses[0]: overlap: CIDR "1.1.1.16/28" in pool "b" overlaps with already defined CIDR "1.1.1.0/24"',
    ],
    [
      'aggregation length',
      pool('a', ['1.1.1.0/28']) + advertisement('b', { aggregationLength: 26 }),
      'invalid aggregation length 26: prefix 28 in this pool is more specific than the aggregation length for addresses 1.1.1.0/28',
    ],
    [
      'service selectors with aggregation',
      advertisement('b', { aggregationLength: 26, serviceSelectors: [{}] }),
      '1: BGPAdvertisement/b: spec: cel: Invalid value: serviceSelectors and aggregationLength are mutually exclusive',
    ],
    [
      'address of a peer',
      peer('a', { peerAddress: '1.1.1.400' }),
      '1: BGPPeer/a: spec.peerAddress: address: parsing peer a invalid BGPPeer address "1.1.1.400"',
    ],
    [
      'two peers with one address',
      peer('a') + peer('b'),
      "3: BGPPeer/b: spec.peerAddress: duplicate-peer: peer 192.0.2.1 already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node",
    ],
    ['legacy community', community('a', '99999999:1'), 'invalid community value: invalid section'],
    ['large community', community('a', 'lar:123:9999:123'), 'expected community to be of format large'],
    [
      'community twice',
      object('Community', 'a', {
        communities: [
          { name: 'x', value: '1:2' },
          { name: 'x', value: '1:2' },
        ],
      }),
      'duplicate definition of community "x"',
    ],
    [
      'namespace',
      object('BFDProfile', 'a', {}, 'metallb.io/v1beta1', { namespace: 'elsewhere' }),
      '1: BFDProfile/a: metadata.namespace: namespace: resource must be created in metallb-system namespace',
    ],
    ['BFD profile that is not there', peer('a', { bfdProfile: 'x' }), 'peer a referencing non existing bfd profile x'],
    [
      'Secret that is not there',
      peer('a', { passwordSecret: { name: 'x' } }),
      'secret ref not found for peer config "metallb-system"/"a"',
    ],
    [
      'Secret of another namespace',
      peer('a', { passwordSecret: { name: 'x' } }) +
        secret('x', 'kubernetes.io/basic-auth', { password: 'y' }, 'other'),
      'secret ref not found for peer config "metallb-system"/"a"',
    ],
    [
      'alias that is not there',
      pool('p', ['10.0.0.0/24']) + advertisement('a', { communities: ['my-valid-alias'] }),
      'invalid community format: my-valid-alias; invalid community "my-valid-alias" in BGP advertisement',
    ],
    ['octal-looking address', pool('a', ['010.0.0.1-010.0.0.9']), 'invalid start IP "010.0.0.1"'],
    [
      'unknown field',
      pool('a', ['10.0.0.0/24'], { autoassign: true }),
      '1: IPAddressPool/a: spec.autoassign: unknown-field: unknown field "spec.autoassign"',
    ],
    [
      'object twice',
      pool('a', ['10.0.0.0/24']) + pool('a', ['10.0.1.0/24']),
      '3: IPAddressPool/a: metadata.name: duplicate: IPAddressPool "a" is already defined at -:1',
    ],
    [
      'object twice, by default and by name',
      pool('a', ['10.0.0.0/24']) +
        object('IPAddressPool', 'a', { addresses: ['10.0.1.0/24'] }, 'metallb.io/v1beta1', {
          namespace: 'metallb-system',
        }),
      'already defined at -:1',
    ],
    [
      'version',
      object('IPAddressPool', 'a', { addresses: ['10.0.0.0/24'] }, 'metallb.io/v1beta3'),
      '1: IPAddressPool/a: apiVersion: schema: no matches for kind "IPAddressPool" in version "metallb.io/v1beta3"',
    ],
    [
      'name',
      pool('A_b', ['10.0.0.0/24']),
      '1: IPAddressPool/A_b: metadata.name: metadata: Invalid value: "A_b": a lowercase RFC 1123 subdomain',
    ],
    [
      'broken Secret',
      '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"password": "%"}}',
      '1: Secret/a: data.password: schema: data.password: must be base64',
    ],
    ['hold time', peer('a', { holdTime: '2s' }), 'invalid hold time "2s": must be 0 or >=3s'],
    ['hold time that is no duration', peer('a', { holdTime: 'soon' }), '1: BGPPeer/a: spec.holdTime: schema: '],
    [
      'ttlSecurity with ebgpMultiHop',
      peer('a', { ttlSecurity: 1, ebgpMultiHop: true }),
      '1: BGPPeer/a: spec: cel: Invalid value: both ttlSecurity and ebgpMultiHop specified',
    ],
    [
      'dual stack in native mode',
      peer('a', { dualStackAddressFamily: true }),
      'peer 192.0.2.1 has dualstackaddressfamily flag set on native bgp mode',
      'native',
    ],
    [
      'IPv6 pool in native mode',
      pool('a', ['2001:db8::/64']) + advertisement('b'),
      'pool "a" has ipv6 CIDR 2001:db8::/64, native bgp mode does not support ipv6',
      'native',
    ],
    [
      'echo and IPv6',
      pool('a', ['2001:db8::/64']) +
        advertisement('b') +
        object('BFDProfile', 'c', { echoMode: true }) +
        peer('d', { bfdProfile: 'c' }),
      'pool a has bgpadvertisement b which references peer d which has bfd echo enabled, which is not possible',
    ],
    [
      'local preference',
      pool('a', ['10.0.0.0/24']) + advertisement('b', { localPref: 1 }) + advertisement('c', { localPref: 2 }),
      'invalid local preference 2: local preferernce 1 was already set for the same type of BGP update',
    ],
  ];

  it.each(REFUSED.map(([name, text, holds, bgpType]) => ({ name, text, holds, bgpType })))(
    'refuses: $name',
    async ({ text, holds, bgpType }) => {
      const lines = await findings(text, bgpType === undefined ? {} : { METALLB_BGP_TYPE: bgpType });
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain(holds);
    },
  );

  const ACCEPTED: readonly (readonly [string, string, Environment?])[] = [
    [
      'two peers with one address on different nodes',
      peer('a', on('rack', '1')) + peer('b', on('rack', '2')) + node('n1', { rack: '1' }) + node('n2', { rack: '2' }),
    ],
    ['what only native mode refuses', peer('a', { dualStackAddressFamily: true }), { METALLB_BGP_TYPE: 'frr-k8s' }],
    ['what only frr refuses', peer('a') + peer('b', { peerPort: 180 }), { METALLB_BGP_TYPE: 'native' }],
    [
      'another namespace for all',
      peer('a') + object('Community', 'c', {}, 'metallb.io/v1beta1', { namespace: 'lb' }),
      { METALLB_NAMESPACE: 'lb' },
    ],
    [
      'an alias with its Community',
      pool('p', ['10.0.0.0/24']) + advertisement('a', { communities: ['c0'] }) + community('c', 'large:1:2:3'),
    ],
    [
      'echo on a node that does not announce',
      pool('a', ['2001:db8::/64']) +
        advertisement('b', on('rack', '1')) +
        object('BFDProfile', 'c', { echoMode: true }) +
        peer('d', { bfdProfile: 'c', ...on('rack', '2') }) +
        node('n1', { rack: '1' }) +
        node('n2', { rack: '2' }),
    ],
    ['the same name in two kinds', pool('a', ['10.0.0.0/24']) + advertisement('a') + peer('a')],
    [
      'a password in a Secret',
      secret('s', 'kubernetes.io/basic-auth', { password: 'x' }) + peer('p', { passwordSecret: { name: 's' } }),
    ],
    [
      'a status, whatever it is',
      '{"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement", "metadata": {"name": "a"}, "status": {"x": 1}}',
    ],
    ['nothing', '# only a comment\n'],
  ];

  it.each(ACCEPTED.map(([name, text, environment]) => ({ name, text, environment })))(
    'accepts: $name',
    async ({ text, environment }) => {
      expect(await findings(text, environment)).toEqual([]);
    },
  );

  it('asks every node: one of them may not bear what is fine elsewhere', async () => {
    const peers = peer('a', on('rack', '1')) + peer('b', on('rack', '2'));
    expect(await findings(peers + node('n', { rack: '1' }))).toEqual([]);
    expect(await findings(peers)).toHaveLength(1);
    expect(await findings(peers + node('n', { rack: '1' }) + node('m', { rack: '3' }))).toEqual([]);
  });

  it('tells independent faults in one run, by line', async () => {
    const text =
      pool('a', ['10.0.0.0/24', '10.0.0.0/33']) +
      pool('b', ['10.1.0.0/16']) +
      pool('c', ['10.1.2.0/24']) +
      peer('d', { peerPort: 0, x: 1 }) +
      peer('e', { routerID: 'x', peerAddress: '192.0.2.2' }) +
      peer('f', { peerAddress: '192.0.2.3', bfdProfile: 'none' }) +
      advertisement('g', { communities: ['1:2:3'] });
    expect((await findings(text)).map((line) => line.split(': ').slice(0, 4).join(' '))).toEqual([
      '1 IPAddressPool/a spec.addresses[1] address',
      '5 IPAddressPool/c spec.addresses[0] overlap',
      '7 BGPPeer/d spec.x unknown-field',
      '7 BGPPeer/d spec.peerPort schema',
      '9 BGPPeer/e spec.routerID address',
      '11 BGPPeer/f spec.routerID router-id',
      '11 BGPPeer/f spec.bfdProfile bfd-profile',
      '13 BGPAdvertisement/g spec.communities[0] community',
    ]);
  });

  it('does not blame an object for another one that was refused', async () => {
    const text = object('BFDProfile', 'x', { detectMultiplier: 1 }) + peer('a', { bfdProfile: 'x' });
    expect((await findings(text)).map((line) => line.split(': ')[1])).toEqual(['BFDProfile/x']);
    expect((await findings(`${peer('a', { bfdProfile: 'x' })}]`)).map((line) => line.split(': ')[3])).toEqual(['yaml']);
  });

  it('warns without refusing', async () => {
    const v1 = object('BGPPeer', 'a', { myASN: 1, peerASN: 2, peerAddress: '192.0.2.1' });
    expect(await run(['-'], { stdin: v1 })).toMatchObject({
      code: 0,
      errors: ['-:1: BGPPeer/a: v1beta1 is deprecated, please use v1beta2'],
    });
    expect(await run(['-'], { stdin: peer('a', { disableMP: true }) })).toMatchObject({
      code: 0,
      errors: ["-:1: BGPPeer/a: disable mp is deprecated and has no effect since it's the default behavior now"],
    });
  });

  it('never prints a password', async () => {
    const text =
      peer('a', { password: 'hunter2', passwordSecret: { name: 's' } }) +
      peer('b', { peerAddress: '192.0.2.2', password: ['hunter2'] }) +
      secret('s', 'Opaque', { password: { x: 'hunter2' } });
    const { code, stdout } = await run(['-'], { stdin: text });
    expect(code).toBe(1);
    expect(stdout).not.toContain('hunter2');
  });
});
