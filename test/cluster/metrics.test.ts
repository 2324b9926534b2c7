// What a Prometheus reads of both processes: over HTTPS, with a token whose owner may read metrics, under the names
// that MetalLB's dashboards and alerts know.

import { beforeAll, expect, it } from 'vitest';
import { startFrr } from '../interop/frr.ts';
import { node, type Place, ROUTER } from '../interop/lab.ts';
import type { Manifest } from '../interop/manifests.ts';
import { until } from '../interop/process.ts';
import { type Cluster, SYSTEM } from './cluster.ts';
import type { Pod } from './container.ts';
import { ipPool, podsOf, speakerOn, untilAddresses } from './fairway.ts';
import { basics, ROUTER_AS, SPEAKER_AS, tor, untilGateways, VIP, web } from './routing.ts';
import { clusterStories, useFairway } from './stories.ts';
import { loadBalancer } from './workload.ts';

const READER = 'reader';

/** A ServiceAccount that may read metrics, as the ClusterRole of any Prometheus grants it. */
const RIGHTS: readonly Manifest[] = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: READER, namespace: SYSTEM } },
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'nobody', namespace: SYSTEM } },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'metrics-reader' },
    rules: [{ nonResourceURLs: ['/metrics'], verbs: ['get'] }],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'metrics-reader' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'metrics-reader' },
    subjects: [{ kind: 'ServiceAccount', name: READER, namespace: SYSTEM }],
  },
];

const placeOf = (pod: Pod, cluster: Cluster): Place => cluster.kubelet.place(pod.metadata.name);

/** Series by `name{labels}`. */
function parse(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

clusterStories('metrics', ['FRR'], () => {
  const cluster = useFairway(2, {
    prepare: async ({ lab }) => {
      const families = ['ipv4', 'ipv6'] as const;
      const peers = [1, 2].map((i) => ({ address: node(i).ipv4, as: SPEAKER_AS, families }));
      await startFrr(lab, { as: ROUTER_AS, peers });
    },
  });
  let token = '';
  beforeAll(async () => {
    await cluster.api.apply(...RIGHTS);
    token = await cluster.api.token(SYSTEM, READER);
  });

  const ask = (pod: Pod, ...args: readonly string[]): string =>
    cluster.curl(placeOf(pod, cluster), '-k', ...args, 'https://127.0.0.1:9120/metrics');
  const series = (pod: Pod): Map<string, number> => parse(ask(pod, '-H', `Authorization: Bearer ${token}`));
  const leaderSays = async (name: string, value: number): Promise<void> => {
    const says = async (): Promise<boolean> =>
      (await podsOf(cluster, 'controller')).some((pod) => series(pod).get(name) === value);
    await until(`a controller says ${name} ${value}`, says, 30_000);
  };

  it.each(['controller', 'speaker'])(
    'of the %s are shown to those who may read them, and to nobody else',
    async (component) => {
      const [pod] = await podsOf(cluster, component);
      if (pod === undefined) throw new Error('no pod');
      const code = (...args: readonly string[]) => ask(pod, '-o', '/dev/null', '-w', '%{http_code}', ...args);
      const bearer = (text: string) => ['-H', `Authorization: Bearer ${text}`];
      expect(code()).toBe('401');
      expect(code(...bearer('wrong'))).toBe('401');
      expect(code(...bearer(await cluster.api.token(SYSTEM, 'nobody')))).toBe('403');
      expect(code(...bearer(token))).toBe('200');
      // and not at all without TLS
      expect(() => cluster.curl(placeOf(pod, cluster), '-f', 'http://127.0.0.1:9120/metrics')).toThrow();
    },
  );

  it('count the addresses of pools, and forget a pool that goes', async () => {
    const pool = ipPool('counted', ['203.0.113.0/24', '2001:db8:f::/124']);
    await cluster.api.apply(pool);
    const of = (what: string): string => `metallb_allocator_${what}{pool="counted"}`;
    await leaderSays(of('addresses_total'), 272);
    await leaderSays(of('ipv4_addresses_total'), 256);
    await leaderSays(of('ipv6_addresses_total'), 16);
    await leaderSays(of('addresses_in_use_total'), 0);
    const service = loadBalancer('web', { ipFamilyPolicy: 'RequireDualStack' });
    await cluster.api.apply(service);
    await untilAddresses(cluster, service, '203.0.113.0', '2001:db8:f::');
    await leaderSays(of('addresses_in_use_total'), 2);
    await leaderSays(of('ipv4_addresses_in_use_total'), 1);
    await leaderSays(of('ipv6_addresses_in_use_total'), 1);
    await cluster.api.remove(service, pool);
    const isForgotten = async (): Promise<boolean> => {
      const pods = await podsOf(cluster, 'controller');
      return pods.every((pod) => [...series(pod).keys()].every((name) => !name.includes('counted')));
    };
    await until('the series are gone', isForgotten);
  });

  it('say which node announces a Service, and how its sessions fare', async () => {
    await cluster.api.apply(...basics(), ...web('web', ['n1', 'n2']));
    await untilGateways(cluster, VIP, node(1).ipv4, node(2).ipv4);
    for (const name of cluster.nodes) {
      const pod = await speakerOn(cluster, name);
      const peer = `{peer="${ROUTER.ipv4}:179"}`;
      const announced = `metallb_speaker_announced{service="app/web",protocol="bgp",node="${name}",ip="${VIP}"}`;
      const wanted: Readonly<Record<string, number>> = {
        [`metallb_bgp_session_up${peer}`]: 1,
        [`metallb_bgp_announced_prefixes_total${peer}`]: 1,
        metallb_k8s_client_config_loaded_bool: 1,
        metallb_k8s_client_config_stale_bool: 0,
      };
      const seen = series(pod);
      const labelled = (key: string): number | undefined => [...seen].find(([each]) => sameSeries(each, key))?.[1];
      expect(Object.fromEntries(Object.keys(wanted).map((key) => [key, labelled(key)]))).toEqual(wanted);
      expect(labelled(announced)).toBe(1);
      expect(labelled(`metallb_bgp_updates_total${peer}`)).toBeGreaterThanOrEqual(1);
    }
    await cluster.api.remove(loadBalancer('web'));
    await untilGateways(cluster, VIP);
    for (const name of cluster.nodes) {
      const pod = await speakerOn(cluster, name);
      const isForgotten = (): boolean =>
        ![...series(pod).keys()].some((each) => each.startsWith('metallb_speaker_announced'));
      await until('the series is gone', isForgotten);
    }
  });

  it('say when the configuration in force is not the latest', async () => {
    await cluster.api.apply(...basics());
    const pod = await speakerOn(cluster, 'n1');
    const stale = (): number | undefined => series(pod).get('metallb_k8s_client_config_stale_bool');
    await until('all is well', () => stale() === 0);
    await cluster.api.apply(tor({ bfdProfile: 'missing' }));
    await until('it is stale', () => stale() === 1);
    expect(series(pod).get('metallb_k8s_client_config_loaded_bool')).toBe(1);
    await cluster.api.apply(tor());
    await until('it is not stale any more', () => stale() === 0);
  });

  it.each(['controller', 'speaker'])('of the %s: probes answer without a token', async (component) => {
    const [pod] = await podsOf(cluster, component);
    if (pod === undefined) throw new Error('no pod');
    for (const path of ['healthz', 'readyz']) {
      expect(cluster.curl(placeOf(pod, cluster), '-f', `http://127.0.0.1:17472/${path}`).trim()).toBe('ok');
    }
  });
});

/** Whether two series are the same, in whatever order their labels stand. */
function sameSeries(a: string, b: string): boolean {
  const parts = (text: string): string => {
    const [, name = '', labels = ''] = /^([^{]*)(?:\{(.*)\})?$/.exec(text) ?? [];
    return `${name} ${labels.split(',').sort().join()}`;
  };
  return parts(a) === parts(b);
}
