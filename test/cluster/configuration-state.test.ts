// ConfigurationState: where users read whether each process accepts the configuration, and why not. In frr mode, whose
// texts are those that MetalLB's own acceptance tests know by heart.

import { beforeAll, expect, it } from 'vitest';
import type { Manifest } from '../interop/manifests.ts';
import { throughout, until } from '../interop/process.ts';
import type { KubeObject } from './api.ts';
import { type Cluster, SYSTEM } from './cluster.ts';
import { bgpAdvertisement, bgpType, ipPool, podsOf, speakerOn } from './fairway.ts';
import { nodeObject, onNode, tor } from './routing.ts';
import { clusterStories, useFairway } from './stories.ts';

interface State extends KubeObject {
  readonly status?: {
    readonly result: string;
    readonly errorSummary?: string;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
      readonly message: string;
    }[];
  };
}

const POOL = ipPool('main', ['203.0.113.0/24', '2001:db8:f::/64']);
const KIND = { apiVersion: 'metallb.io/v1beta1', kind: 'ConfigurationState' };
const stateOf = (name: string): Manifest => ({ ...KIND, metadata: { name, namespace: SYSTEM } });
const ALL = ['controller', 'speaker-n1', 'speaker-n2'] as const;

const secret = (
  name: string,
  type = 'kubernetes.io/basic-auth',
  data: object = { username: '', password: 'x' },
): Manifest => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: SYSTEM, labels: { story: 'state' } },
  type,
  stringData: data,
});
const profile = (name: string): Manifest => ({
  ...{ apiVersion: 'metallb.io/v1beta1', kind: 'BFDProfile', metadata: { name, namespace: SYSTEM }, spec: {} },
});
const community = (name: string): Manifest => ({
  apiVersion: 'metallb.io/v1beta1',
  kind: 'Community',
  metadata: { name: 'named', namespace: SYSTEM },
  spec: { communities: [{ name, value: '64512:1' }] },
});

/** Waits until these processes say this; empty text: that all is well. */
async function untilSaid(cluster: Cluster, names: readonly string[], text: string): Promise<void> {
  for (const name of names) {
    const says = async (): Promise<boolean> => {
      const { status } = await cluster.api.read<State>(stateOf(name));
      const result = text === '' ? 'Valid' : 'Invalid';
      if (status?.result !== result || (status.errorSummary ?? '') !== text) throw new Error(JSON.stringify(status));
      return true;
    };
    await until(`${name} says ${text || 'that all is well'}`, says, 20_000);
  }
}

const noProfile = (name: string): string =>
  `configuration error: peer tor referencing non existing bfd profile ${name}`;

clusterStories('ConfigurationState', [], () => {
  const cluster = useFairway(2, { edit: bgpType('frr') });
  beforeAll(async () => {
    await untilSaid(cluster, ALL, '');
  });

  it('is Valid of every process for a valid peer, with its condition and its owner', async () => {
    await cluster.api.apply(POOL, bgpAdvertisement('main'), tor());
    await untilSaid(cluster, ALL, '');
    const speaker = await cluster.api.read<State>(stateOf('speaker-n1'));
    expect(speaker.status?.conditions).toMatchObject([
      { type: 'configReconcilerValid', status: 'True', reason: 'Reconciled', message: '' },
    ]);
    expect(speaker.metadata).toMatchObject({
      labels: { 'metallb.io/component-type': 'speaker', 'metallb.io/node-name': 'n1' },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: (await speakerOn(cluster, 'n1')).metadata.name }],
    });
    const controller = await cluster.api.read<State>(stateOf('controller'));
    expect(controller.status?.conditions).toMatchObject([{ type: 'poolReconcilerValid', status: 'True' }]);
    const names = (await podsOf(cluster, 'controller')).map(({ metadata }) => metadata.name);
    expect(controller.metadata).toMatchObject({ labels: { 'metallb.io/component-type': 'controller' } });
    const owners = controller.metadata['ownerReferences'] as readonly { name: string }[];
    expect(names).toEqual(expect.arrayContaining(owners.map(({ name }) => name)));
  });

  it('is Invalid of the one speaker whose peer names a Secret of another type, until it is right', async () => {
    await cluster.api.apply(
      secret('bgp-password', 'Opaque'),
      tor({ ...onNode('n1'), passwordSecret: { name: 'bgp-password' } }),
    );
    const text = [
      'configuration error: parsing peer tor secret type mismatch on "metallb-system"/"bgp-password", type "kubernetes.io/basic-auth" is expected ',
      'failed to parse peer tor password secret',
    ].join('\n');
    await untilSaid(cluster, ['speaker-n1'], text);
    await untilSaid(cluster, ['speaker-n2', 'controller'], '');
    const { status } = await cluster.api.read<State>(stateOf('speaker-n1'));
    expect(status?.conditions).toMatchObject([{ status: 'False', reason: 'ConfigurationError', message: text }]);
    // the type of a Secret can't be changed
    await cluster.api.remove(secret('bgp-password'));
    const missing = 'configuration error: parsing peer tor secret ref not found for peer config "metallb-system"/"tor"';
    await untilSaid(cluster, ['speaker-n1'], `${missing}\nfailed to parse peer tor password secret`);
    await cluster.api.apply(secret('bgp-password'));
    await untilSaid(cluster, ['speaker-n1'], '');
  });

  it('is Invalid of the speakers while a BFDProfile is missing, and when it is taken from under a peer', async () => {
    await cluster.api.apply(tor({ bfdProfile: 'mine' }));
    await untilSaid(cluster, ['speaker-n1', 'speaker-n2'], noProfile('mine'));
    await cluster.api.apply(profile('mine'));
    await untilSaid(cluster, ['speaker-n1', 'speaker-n2'], '');
    await cluster.api.patch(tor(), { spec: { bfdProfile: 'other' } });
    await untilSaid(cluster, ['speaker-n1', 'speaker-n2'], noProfile('other'));
    await untilSaid(cluster, ['controller'], '');
  });

  it('is Invalid of the speakers until the community of an advertisement is there', async () => {
    await cluster.api.apply(POOL, bgpAdvertisement('main', { communities: ['my-valid-alias'] }));
    const text =
      'configuration error: invalid community format: my-valid-alias\ninvalid community "my-valid-alias" in BGP advertisement';
    await untilSaid(cluster, ['speaker-n1', 'speaker-n2'], text);
    await cluster.api.apply(community('my-valid-alias'));
    await untilSaid(cluster, ['speaker-n1', 'speaker-n2'], '');
  });

  it('goes from one fault to the next as each is removed', async () => {
    const faulty = [
      tor({ bfdProfile: 'one' }, 'a'),
      tor({ peerAddress: '198.51.100.2', passwordSecret: { name: 'two' } }, 'b'),
    ];
    await cluster.api.apply(...faulty);
    await untilSaid(cluster, ['speaker-n1'], 'configuration error: peer a referencing non existing bfd profile one');
    await cluster.api.remove(tor({}, 'a'));
    const missing = 'configuration error: parsing peer b secret ref not found for peer config "metallb-system"/"b"';
    await untilSaid(cluster, ['speaker-n1'], `${missing}\nfailed to parse peer b password secret`);
    await cluster.api.remove(tor({}, 'b'));
    await untilSaid(cluster, ALL, '');
  });

  it('tells of the node where two peers meet because of a new label, and of no other', async () => {
    const racked = (rack: string, name: string) => tor({ nodeSelectors: [{ matchLabels: { rack } }] }, name);
    const rack = (name: string, value: string | null) =>
      cluster.api.patch(nodeObject(name), { metadata: { labels: { rack: value, also: null } } });
    await rack('n1', 'a');
    await rack('n2', 'b');
    const two = tor({ nodeSelectors: [{ matchLabels: { also: 'yes' } }] }, 'two');
    await cluster.api.apply(racked('a', 'one'), two);
    await untilSaid(cluster, ALL, '');
    await cluster.api.patch(nodeObject('n1'), { metadata: { labels: { also: 'yes' } } });
    const text =
      "configuration error: peer 198.51.100.1 already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node";
    await untilSaid(cluster, ['speaker-n1'], text);
    await untilSaid(cluster, ['speaker-n2', 'controller'], '');
    await rack('n1', null);
    await untilSaid(cluster, ALL, '');
    await rack('n2', null);
  });

  it('comes back when it is deleted, with what it said', async () => {
    await cluster.api.apply(tor({ bfdProfile: 'mine' }));
    await untilSaid(cluster, ['speaker-n1'], noProfile('mine'));
    const before = await Promise.all(ALL.map((name) => cluster.api.read<State>(stateOf(name))));
    await cluster.api.removeAll({ ...KIND, namespace: SYSTEM });
    await untilSaid(cluster, ['speaker-n1', 'speaker-n2'], noProfile('mine'));
    await untilSaid(cluster, ['controller'], '');
    const after = await Promise.all(ALL.map((name) => cluster.api.read<State>(stateOf(name))));
    expect(after.map(({ metadata }) => metadata.uid)).not.toEqual(before.map(({ metadata }) => metadata.uid));
  });

  it('is written when it changes and at no other time', async () => {
    await untilSaid(cluster, ALL, '');
    const versions = async () => {
      const states = await Promise.all(ALL.map((name) => cluster.api.read<State>(stateOf(name))));
      return states.map(({ metadata }) => metadata.resourceVersion).join();
    };
    const before = await versions();
    await cluster.api.apply(POOL, bgpAdvertisement('main'));
    await throughout('nobody writes it', 1_500, async () => (await versions()) === before);
  });
});
