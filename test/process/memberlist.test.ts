// What the flags of MetalLB's memberlist come to: a Secret that is renewed, Pods of speakers, interfaces that are left out.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { SpeakerPods } from '../../src/k8s/speaker-pods.ts';
import { exclusion } from '../../src/links/serving.ts';
import { allBut, excludedBy, readExcluded } from '../../src/process/exclude-interfaces.ts';
import { goExpression } from '../../src/process/go-expression.ts';
import { Memberlist } from '../../src/process/memberlist.ts';
import { type Rotation, readSecret, rotate, secretsOf } from '../../src/process/memberlist-secret.ts';
import { Door } from '../k8s/door.ts';
import type { Json } from '../k8s/fake-api.ts';

const MINUTE = 60_000;
const PODS = 'api/v1/pods';
const NAMESPACE = 'metallb-system';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fairway-secret-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const write = (text: string) => writeFileSync(join(folder, 'secretkey'), text);

describe('the Secret of the speakers', () => {
  /** `old+new`: both are accepted, the first one signs. */
  const seen = (rotation: Rotation | undefined, secret: string, at: number): [Rotation, string] => {
    const next = rotate(rotation, secret, at);
    return [next, secretsOf(next, at).join('+')];
  };

  it('that is renewed is accepted at once and signs when every node must have it; the old one goes after that', () => {
    let [rotation, now] = seen(undefined, 'old', 0);
    expect(now).toBe('old');
    [rotation, now] = seen(rotation, 'new', 10 * MINUTE);
    expect(now).toBe('old+new');
    [rotation, now] = seen(rotation, 'new', 12 * MINUTE - 1);
    expect(now).toBe('old+new');
    [rotation, now] = seen(rotation, 'new', 12 * MINUTE);
    expect(now).toBe('new+old');
    [rotation, now] = seen(rotation, 'new', 14 * MINUTE - 1);
    expect(now).toBe('new+old');
    [rotation, now] = seen(rotation, 'new', 14 * MINUTE);
    expect(now).toBe('new');
  });

  it('is one that two nodes agree on at every moment, though the second sees it a minute and a half later', () => {
    let [first] = seen(undefined, 'old', 0);
    let [second] = seen(undefined, 'old', 0);
    for (let at = 0; at <= 10 * MINUTE; at += 1_000) {
      first = rotate(first, at >= MINUTE ? 'new' : 'old', at);
      second = rotate(second, at >= MINUTE + 90_000 ? 'new' : 'old', at);
      const [a, b] = [secretsOf(first, at), secretsOf(second, at)];
      expect(b).toContain(a[0]);
      expect(a).toContain(b[0]);
    }
    expect(secretsOf(first, 11 * MINUTE)).toEqual(['new']);
  });

  it('is read from its file, which must be there and hold something', () => {
    expect(() => readSecret(folder)).toThrow(/^--ml-secret-key-path: ENOENT.*secretkey/);
    write('\n');
    expect(() => readSecret(folder)).toThrow(/^--ml-secret-key-path: .*secretkey is empty/);
    write('0123456789ABCDEFGHIJkl\n');
    expect(readSecret(folder)).toBe('0123456789ABCDEFGHIJkl');
  });
});

describe('speakers', () => {
  let door: Door;
  beforeEach(async () => {
    door = await new Door(PODS).open();
  });
  afterEach(() => door.close());
  const pod = (
    name: string,
    nodeName: string,
    ips: readonly string[],
    annotations: Json = {},
    phase = 'Running',
    image = 'quay.io/metallb/speaker:v0.16.1',
  ) =>
    door.fake.put(PODS, {
      metadata: { name, namespace: NAMESPACE, annotations, labels: { app: 'x' } },
      spec: { nodeName, containers: [{ name: 'speaker', image }] },
      status: {
        phase,
        podIPs: ips.map((ip) => ({ ip })),
        conditions: [{ type: 'Ready', status: phase === 'Running' ? 'True' : 'False' }],
      },
    });
  const OURS = { 'fairway/speaker': 'v1' };
  const begin = () => {
    const common = { clock: door.clock, changed: () => {} };
    const tell = (report: (typeof door.reports)[number]) => void door.reports.push(report);
    return new SpeakerPods({
      ...common,
      api: door.api,
      namespace: NAMESPACE,
      labelSelector: 'app=x',
      self: 'me',
      tell,
    });
  };

  it('are ours by annotation, with their addresses, and MetalLB has the others that run', async () => {
    pod('ours-1', 'n1', ['192.0.2.1', '2001:db8::1'], OURS);
    pod('ours-2', 'n2', [], OURS, 'Pending');
    pod('theirs-3', 'n3', ['192.0.2.3']);
    pod('theirs-4', 'n4', [], {}, 'Pending');
    pod('theirs-5', 'n5', ['192.0.2.5'], {}, 'Failed');
    const pods = begin();
    expect(pods.speakers).toBeUndefined();
    door.run(pods.run(door.signal));
    const first = await door.pass('known', () => pods.speakers);
    expect(first).toEqual({
      ours: new Map([['n1', ['192.0.2.1', '2001:db8::1']]]),
      ...{ unready: new Set(), metallb: new Set(['n3']) },
    });
    expect(pods.speakers).toBe(first);
    door.fake.remove(PODS, `${NAMESPACE}/theirs-3`);
    await door.pass('gone', () => pods.speakers?.metallb.size === 0);
    expect(new Set(door.fake.seen.map(({ query }) => query.get('labelSelector')))).toEqual(new Set(['app=x']));
  });

  it('are ours by image, too, where MetalLB’s own DaemonSet was given it, whatever the version', async () => {
    const image = (tag: string) => ['Running', `registry.example:5000/fairway/speaker${tag}`] as const;
    pod('me', 'n1', ['192.0.2.1'], {}, ...image(':0.1.1'));
    pod('older', 'n2', ['192.0.2.2'], {}, ...image(':0.1.0'));
    pod('pinned', 'n3', ['192.0.2.3'], {}, ...image('@sha256:0123'));
    pod('theirs', 'n4', ['192.0.2.4']);
    const pods = begin();
    door.run(pods.run(door.signal));
    const { ours, metallb } = await door.pass('known', () => pods.speakers);
    expect([[...ours.keys()], [...metallb]]).toEqual([['n1', 'n2', 'n3'], ['n4']]);
  });

  it('that are not ready are known for it', async () => {
    pod('ours-1', 'n1', ['192.0.2.1'], OURS, 'Unknown');
    pod('ours-2', 'n2', ['192.0.2.2'], OURS);
    const pods = begin();
    door.run(pods.run(door.signal));
    expect([...(await door.pass('known', () => pods.speakers)).unready]).toEqual(['n1']);
  });

  it('are looked for where watching is forbidden, as with the rights of MetalLB', async () => {
    door.fake.fail(({ query }) => query.has('watch'), { status: 403 }, 99);
    pod('theirs', 'n1', ['192.0.2.1']);
    const pods = begin();
    door.run(pods.run(door.signal));
    await door.pass('known', () => pods.speakers?.metallb.has('n1'));
    pod('theirs', 'n1', ['192.0.2.1'], OURS);
    await door.pass('ours', () => pods.speakers?.ours.has('n1'), 2_500);
  });

  it('take up a new Secret from the file, and keep the old one while it cannot be read', async () => {
    write('old');
    const told: (string | undefined)[] = [];
    let changes = 0;
    const memberlist = new Memberlist({
      ...{ pods: begin(), port: 7946, secretFolder: folder, clock: door.clock },
      changed: () => changes++,
      tell: (error) => told.push(error),
    });
    door.run(memberlist.run(door.signal));
    expect(memberlist.secrets()).toEqual(['old']);
    rmSync(join(folder, 'secretkey'));
    await door.pass('that is said', () => told.length === 1, 2_500);
    expect([memberlist.secrets(), changes]).toEqual([['old'], 0]);
    write('new');
    await door.pass('it is taken up', () => memberlist.secrets().join() === 'old,new', 2_500);
    await door.pass('and told', () => changes > 0, 2_500);
    expect(told.map((error) => error?.slice(0, 22))).toEqual(['--ml-secret-key-path: ', undefined]);
  });

  it('are not known without the Secret that we are told of, and are as soon as it is there', async () => {
    pod('ours-1', 'n1', ['192.0.2.1'], OURS);
    const told: (string | undefined)[] = [];
    let changes = 0;
    const pods = begin();
    const memberlist = new Memberlist({
      ...{ pods, port: 7946, secretFolder: folder, clock: door.clock },
      changed: () => changes++,
      tell: (error) => told.push(error),
    });
    expect(told).toEqual([expect.stringMatching(/^--ml-secret-key-path: ENOENT.*secretkey/)]);
    door.run(memberlist.run(door.signal));
    await door.pass('the Pods are known', () => pods.speakers);
    expect([memberlist.speakers(), memberlist.secrets()]).toEqual([undefined, []]);
    write('new');
    await door.pass('they are', () => memberlist.speakers() !== undefined && changes > 0, 2_500);
    expect([memberlist.secrets(), told.slice(1)]).toEqual([['new'], [undefined]]);
  });

  it('prove nothing to each other where there is no Secret', () => {
    const common = { pods: begin(), port: 7946, changed: () => {}, tell: () => {}, clock: door.clock };
    expect(new Memberlist({ ...common, secretFolder: undefined }).secrets()).toEqual(['']);
  });
});

describe('interfaces that are left out', () => {
  it('are those of the file, and none without a file', async () => {
    const file = join(folder, 'excludel2.yaml');
    expect(await readExcluded(file)).toEqual([]);
    writeFileSync(file, 'announcedInterfacesToExclude: ["^docker.*", "^lo$"]\n');
    const isExcluded = exclusion(await readExcluded(file));
    expect(['docker0', 'lo', 'eth0', 'mydocker', 'lo1'].filter(isExcluded)).toEqual(['docker0', 'lo']);
  });

  it('of the list as it is shipped are what YAML makes of it', async () => {
    const shipped = parse(
      readFileSync(join(import.meta.dirname, '../../manifests/base/exclude-interfaces.yaml'), 'utf8'),
    );
    const text: string = shipped.data['excludel2.yaml'];
    const { announcedInterfacesToExclude: listed } = parse(text);
    expect(listed).toContain('^veth.*');
    // the second one is read by YAML itself, as the comment is no part of the plain list
    for (const each of [text, `# ours\n${text}`]) expect(await excludedBy(each, 'f')).toEqual(listed.map(goExpression));
    const isExcluded = exclusion(await excludedBy(text, 'f'));
    const names = ['docker0', 'cbr0', 'veth1a2b', 'lo', 'eth0', 'bond0', 'xveth'];
    expect(names.filter(isExcluded)).toEqual(['docker0', 'cbr0', 'veth1a2b', 'lo']);
  });

  it('are read as Go reads them, though JavaScript would not', async () => {
    const text = 'announcedInterfacesToExclude: ["(?i)^eth", "^(?P<x>veth).*", "^[[:alpha:]]+$", "\\\\Abr0\\\\z"]';
    const isExcluded = exclusion(await excludedBy(text, 'f'));
    const names = ['ETH0', 'veth1', 'lo', 'br0', 'br01', 'bond0', 'VETH1'];
    expect(names.filter(isExcluded)).toEqual(['ETH0', 'veth1', 'lo', 'br0']);
  });

  it.each<[text: string, fault: RegExp]>([
    [
      'announcedInterfacesToExclude:\n- ^**\n',
      /^f: announcedInterfacesToExclude\[0\]: .*invalid nested repetition operator: \*/,
    ],
    ['announcedInterfacesToExclude: ["^docker.*", "("]', /^f: announcedInterfacesToExclude\[1\]: .*missing closing \)/],
    ['announcedInterfacesToExclude: [7]', /^f: announcedInterfacesToExclude\[0\] is no text/],
    ['announcedInterfacesToExclude: eth0', /^f: announcedInterfacesToExclude is no list/],
    ['a: [', /^f: /],
    ['a: &a [1]\nb: *a', /^f: .*alias/i],
  ])('must be expressions in a list: %s', async (text, fault) => {
    await expect(excludedBy(text, 'f')).rejects.toThrow(fault);
  });

  it.each(['', 'other: 1', '~'])('are none in a file that says nothing of them: "%s"', async (text) => {
    expect(await excludedBy(text, 'f')).toEqual([]);
  });

  it('are all but those that are named, to the letter', () => {
    const excluded = new RegExp(allBut(['eth0', 'br.1', 'a+b']));
    const names = ['eth0', 'eth01', 'xeth0', 'br.1', 'brx1', 'a+b', 'aab', 'lo', ''];
    expect(names.filter((name) => !excluded.test(name))).toEqual(['eth0', 'br.1', 'a+b']);
  });
});
