// The cluster itself, before anything of ours is in it: an address that the test puts into a Service's status and a
// route that it gives the router by hand lead a client to a pod. What fails later tells of our processes and not of the
// data plane around them.

import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { node } from '../interop/lab.ts';
import { throughout, until } from '../interop/process.ts';
import { APP, type Cluster } from './cluster.ts';
import { clusterStories, useCluster } from './stories.ts';
import { deployment, endpointsOf, fetchFrom, loadBalancer, serve } from './workload.ts';

const VIP = { ipv4: '203.0.113.10', ipv6: '2001:db8:f::10' } as const;

async function give(cluster: Cluster, service: ReturnType<typeof loadBalancer>): Promise<void> {
  const ingress = Object.values(VIP).map((ip) => ({ ip }));
  await cluster.api.patchStatus(service, { loadBalancer: { ingress } });
  const over = (family: 'ipv4' | 'ipv6'): string => [1, 2].map((i) => `nexthop via ${node(i)[family]}`).join(' ');
  cluster.lab.ip('r', `route add ${VIP.ipv4}/32 ${over('ipv4')}`, `route add ${VIP.ipv6}/128 ${over('ipv6')}`);
}

clusterStories('a cluster without Fairway', [], () => {
  const cluster = useCluster(2, (made) => made.startProxies());

  it('leads a client to the pods of a Service, over either family and both nodes', async () => {
    const web = loadBalancer('web', { ipFamilyPolicy: 'RequireDualStack', ipFamilies: ['IPv4', 'IPv6'] });
    await cluster.api.apply(web, serve('web-1', 'n1'), serve('web-2', 'n2'));
    await until(
      'both pods are endpoints of both families',
      async () => (await endpointsOf(cluster, 'web')).length === 4,
    );
    await give(cluster, web);
    for (const vip of Object.values(VIP)) {
      const isShared = (): boolean => {
        const answers = fetchFrom(cluster, vip, 40);
        return Object.keys(answers).sort().join() === 'web-1,web-2';
      };
      await until(`${vip} answers from both pods`, isShared);
    }

    await cluster.api.remove(serve('web-2', 'n2'));
    await until('the pod is no endpoint any more', async () => (await endpointsOf(cluster, 'web')).length === 2);
    await until('only the other one answers', () => fetchFrom(cluster, VIP.ipv4, 20)['web-1'] === 20);
  });

  it('starts a process again that was killed, and says so', async () => {
    const pod = serve('phoenix', 'n1');
    await cluster.api.apply(pod);
    const isReady = async (): Promise<boolean> => (await cluster.readiness(pod)) === 'ready';
    await until('it runs', isReady);
    const { pid } = cluster.kubelet.daemon('phoenix');
    cluster.kubelet.daemon('phoenix').signal('SIGKILL');
    await until('it runs again', async () => cluster.kubelet.daemon('phoenix').pid !== pid && (await isReady()));
  });

  it('gives a process no more than its manifest does', async () => {
    const files = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'files', namespace: APP },
      data: { a: 'text' },
    };
    const { spec, ...rest } = serve('strict', 'n1');
    const securityContext = {
      ...{ runAsUser: 65_534, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
      capabilities: { drop: ['ALL'], add: ['NET_RAW'] },
    };
    const volumeMounts = [{ name: 'files', mountPath: '/etc/deep/files' }];
    const pod = {
      ...rest,
      spec: {
        ...(spec as object),
        containers: [{ name: 'serve', image: 'serve', securityContext, volumeMounts }],
        volumes: [{ name: 'files', configMap: { name: 'files' } }],
      },
    };
    await cluster.api.apply(pod);
    await throughout('it waits for its files', 500, async () => (await cluster.readiness(pod)) === 'Pending');
    await cluster.api.apply(files);
    await until('it runs', async () => (await cluster.readiness(pod)) === 'ready');
    const { pid } = cluster.kubelet.daemon('strict');
    // its program has begun when it is no longer the shell's
    await until('it is node', () => readlinkSync(`/proc/${pid}/exe`).endsWith('/node'));
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const netRaw = (1 << 13).toString(16).padStart(16, '0');
    expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).toBe('65534');
    expect(/^CapBnd:\s+(\w+)/m.exec(status)?.[1]).toBe(netRaw);
    expect(/^NoNewPrivs:\s+(\d)/m.exec(status)?.[1]).toBe('1');
    const root = `/proc/${pid}/root`;
    expect(readFileSync(`${root}/etc/deep/files/a`, 'utf8')).toBe('text');
    expect(readdirSync(`${root}/run/secrets/kubernetes.io/serviceaccount`).sort()).toEqual([
      'ca.crt',
      'namespace',
      'token',
    ]);
    for (const folder of ['', '/etc', '/tmp', '/run'])
      expect(() => writeFileSync(`${root}${folder}/x`, '')).toThrow('EROFS');
  });

  it('runs as many pods as a Deployment wants', async () => {
    const namespaces = (): number => {
      const pods = cluster.lab.namespace('p0').slice(0, -1);
      return readdirSync('/run/netns').filter((name) => name.startsWith(pods)).length;
    };
    const before = namespaces();
    const pods = { apiVersion: 'v1', kind: 'Pod', namespace: APP, labels: 'app=many' };
    await cluster.api.apply(deployment('many', 3));
    await until('three pods', async () => (await cluster.api.list(pods)).length === 3 && namespaces() === before + 3);
    await cluster.api.apply(deployment('many', 0));
    await until('none', async () => (await cluster.api.list(pods)).length === 0 && namespaces() === before);
  });
});
