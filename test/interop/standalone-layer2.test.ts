// `fairway standalone --layer2 eth0` on a real kernel: two machines on one LAN that read the same manifests come to one
// owner without a word between them; on other interfaces, and without the flag, nothing is answered.

import { expect, it } from 'vitest';
import type { Place } from './lab.ts';
import { endpoints, type Manifest, pool, service } from './manifests.ts';
import { throughout, until } from './process.ts';
import { type Speaker, startSpeaker } from './speaker.ts';
import { stories, useLab } from './stories.ts';

const NODES = ['n1', 'n2'] as const;
const [V4, V6] = ['198.51.100.64', '2001:db8:1::64'];
const DUAL = {
  ipFamilyPolicy: 'RequireDualStack',
  clusterIPs: ['10.96.0.10', 'fd00:96::10'],
  ipFamilies: ['IPv4', 'IPv6'],
};

const l2Advertisement = (spec: object = {}): Manifest => ({
  apiVersion: 'metallb.io/v1beta1',
  kind: 'L2Advertisement',
  metadata: { name: 'lan', namespace: 'metallb-system' },
  spec,
});
const nodeObject = (name: string, labels: object = {}): Manifest => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
});

const world = (): Manifest[] => [
  ...NODES.map((name) => nodeObject(name)),
  pool([`${V4}/28`, `${V6}/126`]),
  service('web', [], DUAL),
  ...[l2Advertisement(), endpoints(NODES)],
];

interface Layer2 {
  readonly segments: readonly { readonly interface: string }[];
  readonly claims: readonly { readonly ip: string; readonly state: string }[];
}
const layer2 = async (speaker: Speaker): Promise<Layer2> => JSON.parse(await speaker.get('/api/v1/state')).layer2;

stories('standalone on a LAN', [], () => {
  const lab = useLab(2);

  const macOf = (place: Place, link = 'eth0') =>
    JSON.parse(lab.run(place, ['ip', '-j', 'link', 'show', 'dev', link]))[0].address;
  /** Whose MAC the router learns for an address, when it has to ask now. */
  const answering = (ip: string): string => {
    const family = ip.includes(':') ? '-6' : '-4';
    lab.run('r', ['bash', '-c', `ip ${family} neigh flush to ${ip} dev eth0; echo > /dev/udp/${ip}/9; sleep 0.3`]);
    const known = JSON.parse(lab.run('r', ['ip', '-j', family, 'neigh', 'show', 'to', ip, 'dev', 'eth0']) || '[]')[0]
      ?.lladdr;
    return NODES.find((name) => macOf(name) === known) ?? known ?? '';
  };
  const untilAnswering = (ip: string, wanted: readonly string[]) =>
    until(`${ip} is answered by ${wanted}`, () => {
      const who = answering(ip);
      if (!wanted.includes(who)) throw new Error(`it is answered by "${who}"`);
      return who;
    });

  it('one of two that read the same answers for both families, and moves with what they read', async () => {
    const speakers = new Map<string, Speaker>();
    for (const name of NODES) speakers.set(name, startSpeaker(lab, name, world(), ['--layer2', 'eth0']));
    const first = await untilAnswering(V4, NODES);
    expect(await untilAnswering(V6, NODES)).toBe(first);
    const other = NODES.find((name) => name !== first) ?? expect.fail('no other');
    const announced = (name: string) =>
      speakers
        .get(name)
        ?.get('/metrics')
        .then((text) => text.match(/^metallb_speaker_announced.*layer2.* 1$/gm));
    expect(await announced(first)).toHaveLength(2);
    expect(await announced(other)).toBeNull();

    const onOther = l2Advertisement({ nodeSelectors: [{ matchLabels: { 'kubernetes.io/hostname': other } }] });
    for (const speaker of speakers.values()) speaker.apply(onOther);
    await untilAnswering(V4, [other]);
    for (const speaker of speakers.values()) speaker.remove(onOther);
    for (const ip of [V4, V6]) await untilAnswering(ip, ['']);
  });

  it('answers on the interfaces that are named and on no other, and ends with the process', async () => {
    const eth1 = 'link add eth1 type veth peer name up1 netns';
    lab.ip('n1', `${eth1} ${lab.namespace('sw')}`, 'link set eth1 up', 'addr add 203.0.113.9/24 dev eth1');
    lab.ip('sw', 'link set up1 master br0 up');
    const only = [nodeObject('n1'), ...world().filter(({ kind }) => kind !== 'Node')];
    const speaker = startSpeaker(lab, 'n1', only, ['--layer2', 'eth0']);
    try {
      await untilAnswering(V4, ['n1']);
      await throughout('only that interface', 1_500, () => answering(V4) === 'n1');
      const { segments, claims } = await layer2(speaker);
      expect(segments.map((each) => each.interface)).toEqual(['eth0']);
      expect(claims.map(({ ip, state }) => `${ip} ${state}`).sort()).toEqual([`${V4} owner`, `${V6} owner`]);
      await speaker.daemon.stop('SIGTERM', 5_000);
      await untilAnswering(V4, ['']);
    } finally {
      lab.ip('n1', 'link del eth1');
    }
  });

  it('does nothing on any interface that nobody named', async () => {
    const speaker = startSpeaker(
      lab,
      'n1',
      world().filter(({ metadata }) => metadata.name !== 'n2'),
    );
    await until('it has an address', async () => (await speaker.state()).services[0]?.ips.length === 2);
    await throughout('silence', 2_000, () => answering(V4) === '');
    expect(await layer2(speaker)).toEqual({ segments: [], claims: [] });
  });
});
