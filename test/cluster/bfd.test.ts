// BFD in a real cluster: profiles and their Secrets from the API server, sessions of both nodes with a router, what the router
// is rid of when a node is cut off, and what users read of it.

import { afterEach, expect, it } from 'vitest';
import { node } from '../interop/lab.ts';
import { bfdProfile, type Manifest } from '../interop/manifests.ts';
import { until } from '../interop/process.ts';
import type { SpeakerState } from '../interop/speaker.ts';
import type { KubeObject } from './api.ts';
import { placeOf, SYSTEM } from './cluster.ts';
import { bgpAdvertisement } from './fairway.ts';
import { ALL, SPEAKER_AS, tor, untilGateways, untilSessions, web } from './routing.ts';
import { clusterStories, useFairway, useRouter } from './stories.ts';

const PEERS = [1, 2].map((i) => ({
  ...{ address: node(i).ipv4, as: SPEAKER_AS, families: ['ipv4'] as const, extra: ['bfd', 'bfd profile p'] },
}));
const BFDD = ['bfd', ' profile p', '  transmit-interval 100', '  receive-interval 100', ' exit', 'exit'];
const FAST = { receiveInterval: 100, transmitInterval: 100 };

interface State extends KubeObject {
  readonly status?: { readonly result: string; readonly errorSummary?: string };
}
const stateOf = (name: string): Manifest => ({
  ...{ apiVersion: 'metallb.io/v1beta1', kind: 'ConfigurationState', metadata: { name, namespace: SYSTEM } },
});

clusterStories('BFD in a cluster', ['FRR'], () => {
  const cluster = useFairway(2);
  const router = useRouter(cluster);
  afterEach(() => cluster.lab.ip('sw', 'link set n1 master br0'));

  const ask = (path: string): string => cluster.curl(placeOf('n1'), '-sf', `http://127.0.0.1:7472${path}`);
  const bfdOf = (): SpeakerState['peers'][number]['bfd'] | undefined => {
    const { peers }: SpeakerState = JSON.parse(ask('/api/v1/state'));
    return peers.find(({ name }) => name === 'tor')?.bfd;
  };

  it('a node that is cut off is out of the route in a second, and comes back', async () => {
    const seen = await router.start({ peers: PEERS, bfd: BFDD });
    const objects = [router.pool, bgpAdvertisement('main'), bfdProfile('fast', FAST), tor({ bfdProfile: 'fast' })];
    await cluster.api.apply(...objects, ...web('web'));
    await untilSessions(seen, 2);
    await untilGateways(cluster, router.vip, ...ALL);
    await until('both are up', async () => {
      const states = await Promise.all([1, 2].map((i) => seen.bfdPeer(node(i).ipv4)));
      return states.every(({ status }) => status === 'up');
    });
    await until('it has settled', () => (bfdOf()?.detectionTimeMs ?? 0) === 300 && bfdOf()?.state === 'Up');
    expect(ask('/metrics')).toMatch(/metallb_bfd_session_up\{peer="198\.51\.100\.1"\} 1/);
    const cutAt = performance.now();
    cluster.lab.ip('sw', 'link set n1 nomaster');
    await untilGateways(cluster, router.vip, node(2).ipv4);
    // 300 ms by BFD, and what FRR takes; without it the hold time is 90 s
    expect(performance.now() - cutAt).toBeLessThan(3_000);
    await until('the speaker knows', () => bfdOf()?.state === 'Down');
    cluster.lab.ip('sw', 'link set n1 master br0');
    await untilGateways(cluster, router.vip, ...ALL);
    await until('BFD is up again', () => bfdOf()?.state === 'Up');
  });

  it('a profile whose Secret is missing is said in the ConfigurationState of the speakers, until it is there', async () => {
    const authentication = { type: 'keyed-sha1', keyID: 1, secretRef: { name: 'bfd-key' } };
    await cluster.api.apply(bfdProfile('signed', { authentication }));
    const says = async (name: string) => (await cluster.api.read<State>(stateOf(name))).status;
    await until('it is refused', async () => (await says('speaker-n1'))?.result === 'Invalid', 20_000);
    expect((await says('speaker-n1'))?.errorSummary).toContain('secret ref not found for bfd profile "signed"');
    expect((await says('controller'))?.result).toBe('Valid');
    await cluster.api.apply({
      ...{ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/basic-auth' },
      metadata: { name: 'bfd-key', namespace: SYSTEM, labels: { story: 'bfd' } },
      stringData: { username: '', password: 'geheim' },
    });
    await until('it is accepted', async () => (await says('speaker-n1'))?.result === 'Valid', 20_000);
  });

  it('what the schema forbids is refused by the API server', async () => {
    const wrong = { type: 'simple', keyID: 1, secretRef: { name: 'x' } };
    await expect(cluster.api.apply(bfdProfile('odd', { authentication: wrong }))).rejects.toThrow(/Unsupported value/);
    const far = { ...wrong, type: 'keyed-md5', keyID: 256 };
    await expect(cluster.api.apply(bfdProfile('odd', { authentication: far }))).rejects.toThrow(
      /less than or equal to 255/,
    );
  });
});
