// The door to the API against a real kube-apiserver: what the fake server of test/k8s pretends is what this one does.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { ApiObject } from '../../src/config/resource.ts';
import { Api } from '../../src/k8s/api.ts';
import { type Cluster, openCluster } from '../../src/k8s/cluster.ts';
import { Events } from '../../src/k8s/event.ts';
import { groupSlices } from '../../src/k8s/grouped.ts';
import {
  apiVersionOf,
  COMMUNITIES,
  ENDPOINT_SLICES,
  EVENTS,
  IP_ADDRESS_POOLS,
  type Kind,
  LEASES,
  NAMESPACES,
  SERVICES,
} from '../../src/k8s/kind.ts';
import { Lease } from '../../src/k8s/lease.ts';
import { Reflector } from '../../src/k8s/reflector.ts';
import type { ApiReport } from '../../src/k8s/report.ts';
import { readEndpointSlice, readService } from '../../src/k8s/resource.ts';
import { type Reader, Store } from '../../src/k8s/store.ts';
import { WriteQueue } from '../../src/k8s/write.ts';
import { until } from '../interop/process.ts';
import { hasOpenssl, LoopbackApi, lackingForLoopback } from './loopback.ts';

const NS = 'door';
const DEFINITIONS: Kind = {
  path: 'apis/apiextensions.k8s.io/v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
};
const rbac = (plural: string, kind: string): Kind => ({
  path: 'apis/rbac.authorization.k8s.io/v1',
  plural,
  kind,
  namespaced: true,
});
const ROLES = rbac('roles', 'Role');
const ROLE_BINDINGS = rbac('rolebindings', 'RoleBinding');
const ACCOUNTS: Kind = { path: 'api/v1', plural: 'serviceaccounts', kind: 'ServiceAccount', namespaced: true };

const lacking = [...lackingForLoopback(), ...(hasOpenssl() ? [] : ['no openssl'])];
const title = 'the door to a real API server';

describe.skipIf(lacking.length > 0)(lacking.length === 0 ? title : `${title} (skipped: ${lacking.join(', ')})`, () => {
  const server = new LoopbackApi();
  let admin: Api;
  const clusters: Cluster[] = [];
  let ends: AbortController;
  let running: Promise<void>[];
  let reports: ApiReport[];
  const tell = (report: ApiReport) => reports.push(report);
  const told = (is: ApiReport['is']) => reports.filter((report) => report.is === is);

  const open = async (kubeconfig: string): Promise<Api> => {
    const cluster = await openCluster({ kubeconfig, env: {} });
    clusters.push(cluster);
    return new Api(cluster);
  };

  beforeAll(async () => {
    await server.start();
    admin = await open(server.kubeconfig);
    await admin.create({ kind: NAMESPACES }, { metadata: { name: NS } });
  });
  afterAll(async () => {
    for (const cluster of clusters) cluster.close();
    await server.stop();
  });
  beforeEach(() => {
    ends = new AbortController();
    running = [];
    reports = [];
  });
  afterEach(async () => {
    ends.abort();
    await Promise.all(running);
  });

  function reflect<T extends object>(kind: Kind, read: Reader<T>, api = admin, namespace?: string) {
    const store = new Store<T>({
      kind: kind.kind,
      apiVersion: apiVersionOf(kind),
      read,
      changed: () => undefined,
      unreadable: () => undefined,
    });
    const selection = { kind, ...(namespace !== undefined && { namespace }) };
    const reflector = new Reflector({ api, selection, store, tell });
    running.push(reflector.run(ends.signal));
    return { store, reflector };
  }

  function queue(api: Api, mayWrite = () => true) {
    const made: ApiObject[] = [];
    const writes = new WriteQueue({ api, tell, mayWrite, written: (_, object) => made.push(object) });
    running.push(writes.run(ends.signal));
    return { writes, made };
  }

  const service = (name: string, more: object = {}) => ({
    metadata: { name, namespace: NS },
    spec: { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false, ports: [{ port: 80 }], ...more },
  });
  const create = (name: string, more?: object) => admin.create({ kind: SERVICES, namespace: NS }, service(name, more));
  const one = (name: string) => ({ kind: SERVICES, namespace: NS, name });

  it('gives a streamed list, what happens then, and what was deleted', async () => {
    await create('first');
    const { store, reflector } = reflect(SERVICES, readService);
    await until('synced', () => reflector.state.synced);
    expect([...store.map().keys()].sort()).toEqual(['default/kubernetes', `${NS}/first`]);
    expect(store.get(`${NS}/first`)).toMatchObject({
      type: 'LoadBalancer',
      clusterFamilies: ['ipv4'],
      uid: expect.any(String),
    });
    await create('second');
    await until('the second', () => store.get(`${NS}/second`));
    await admin.mergePatch(one('second'), { spec: { externalTrafficPolicy: 'Local' } });
    await until('its change', () => store.get(`${NS}/second`)?.trafficPolicy === 'Local');
    await admin.delete(one('first'));
    await until('the first is gone', () => store.get(`${NS}/first`) === undefined);
    expect(reflector.state).toMatchObject({ relists: 0, reconnects: 0, problem: undefined });
    await admin.delete(one('second'));
  });

  it('merges EndpointSlices as the API has them', async () => {
    const { store, reflector } = reflect(ENDPOINT_SLICES, readEndpointSlice);
    const groups = groupSlices(store);
    await until('synced', () => reflector.state.synced);
    for (const [name, address] of [
      ['a', '10.1.0.1'],
      ['b', '10.1.0.2'],
    ] as const)
      await admin.create(
        { kind: ENDPOINT_SLICES, namespace: NS },
        {
          metadata: { name, namespace: NS, labels: { 'kubernetes.io/service-name': 'web' } },
          addressType: 'IPv4',
          endpoints: [{ addresses: [address], conditions: { ready: true }, nodeName: 'n1' }],
        },
      );
    await until('both', () => groups.map().get(`${NS}/web`)?.length === 2);
    expect(groups.map().get(`${NS}/web`)?.[1]).toEqual({ addresses: ['10.1.0.2'], node: 'n1', canServe: true });
  });

  it('survives a restart of the API server, and compaction while it was away', async () => {
    await create('kept');
    await create('lost');
    const { store, reflector } = reflect(SERVICES, readService);
    await until('synced', () => reflector.state.synced);
    await server.end('kube-apiserver', 'SIGKILL');
    await until('trouble', () => reflector.state.problem);
    expect(store.get(`${NS}/lost`)).toBeDefined();
    server.spawn('kube-apiserver');
    await server.untilReady();
    await admin.delete(one('lost'));
    await create('new');
    await server.compact();
    await until('the new one', () => store.get(`${NS}/new`), 40_000);
    await until('the lost one is lost', () => store.get(`${NS}/lost`) === undefined);
    expect(store.get(`${NS}/kept`)).toBeDefined();
    expect(told('relist-doubted')).toEqual([]);
    for (const name of ['kept', 'new']) await admin.delete(one(name));
  });

  it('takes pages where the server streams no lists, and lists again at 410', async () => {
    await server.end('kube-apiserver', 'SIGKILL');
    server.spawn('kube-apiserver', '--feature-gates=WatchList=false');
    await server.untilReady();
    await create('paged');
    const { store, reflector } = reflect(SERVICES, readService);
    await until('synced', () => reflector.state.synced);
    expect(store.get(`${NS}/paged`)).toBeDefined();
    await create('later');
    await until('a change', () => store.get(`${NS}/later`));
    expect(reflector.state).toMatchObject({ relists: 0, problem: undefined });
    const page = await admin.list({ kind: SERVICES }, { limit: 1, continue: '' });
    expect(page.items).toHaveLength(1);
    await create('between');
    await server.compact();
    for (const name of ['paged', 'later', 'between']) await admin.delete(one(name));
    // and what the server itself remembers
    await server.end('kube-apiserver', 'SIGKILL');
    server.spawn('kube-apiserver');
    await server.untilReady();
    await expect(admin.list({ kind: SERVICES }, { limit: 1, continue: page.continue })).rejects.toMatchObject({
      status: 410,
      reason: 'Expired',
    });
    const watch = admin.watch({ kind: SERVICES }, { resourceVersion: '1' }, ends.signal);
    expect((await watch.next()).value?.[0]).toMatchObject({ type: 'ERROR', code: 410, reason: 'Expired' });
    await until('the reflector is well', () => reflector.state.is === 'watching' && store.map().size === 1, 20_000);
  });

  it('waits for a definition, and reads what is there once it is installed', async () => {
    const { store, reflector } = reflect(COMMUNITIES, ({ metadata: { name } }) => ({ name }), admin, NS);
    await until('it is missed', () => told('not-served').length > 0);
    expect(reflector.state).toMatchObject({ is: 'absent', synced: false });
    const file = join(import.meta.dirname, '../../manifests/crd/communities.yaml');
    await admin.create({ kind: DEFINITIONS }, parse(readFileSync(file, 'utf8')) as object);
    await until('synced', () => reflector.state.synced, 20_000);
    await admin.create(
      { kind: COMMUNITIES, namespace: NS },
      {
        apiVersion: 'metallb.io/v1beta1',
        kind: 'Community',
        metadata: { name: 'c', namespace: NS },
        spec: { communities: [] },
      },
    );
    await until('the object', () => store.get(`${NS}/c`));
    expect(told('not-served')).toHaveLength(1);
    // the server deletes the objects of a definition one by one before it stops serving them
    await admin.delete({ kind: DEFINITIONS, name: 'communities.metallb.io' });
    await until('it is missed again', () => told('not-served').length > 1, 20_000);
    expect(told('not-served')[1]).toMatchObject({ kept: 0 });
    expect(reflector.state).toMatchObject({ is: 'absent', synced: true });
  });

  describe('with a ServiceAccount’s token', () => {
    /** An account of its own and the kubeconfig with its token. */
    async function account(name: string): Promise<Api> {
      await admin.create({ kind: ACCOUNTS, namespace: NS }, { metadata: { name } });
      const { status } = await admin.create(
        { kind: { ...ACCOUNTS, plural: `serviceaccounts/${name}/token` }, namespace: NS },
        {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: {},
        },
      );
      const { token } = status as { token: string };
      const folder = join(server.folder, name);
      mkdirSync(folder, { recursive: true });
      const config = parse(readFileSync(server.kubeconfig, 'utf8')) as Record<string, unknown>;
      const path = join(folder, 'kubeconfig');
      writeFileSync(path, JSON.stringify({ ...config, users: [{ name: 'admin', user: { token } }] }));
      return open(path);
    }

    async function grant(name: string, rules: readonly object[]): Promise<void> {
      await admin.create({ kind: ROLES, namespace: NS }, { metadata: { name }, rules });
      await admin.create(
        { kind: ROLE_BINDINGS, namespace: NS },
        {
          metadata: { name },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
          subjects: [{ kind: 'ServiceAccount', name, namespace: NS }],
        },
      );
    }

    it('names the right that is missing and goes on once it is granted', async () => {
      const api = await account('reader');
      const { reflector } = reflect(SERVICES, readService, api, NS);
      await until('a refusal', () => told('reading-failed').length > 0);
      expect(told('reading-failed')[0]).toMatchObject({
        status: 403,
        text: `system:serviceaccount:${NS}:reader has no right to watch services in namespace ${NS}: grant it (RBAC)`,
      });
      await grant('reader', [{ apiGroups: [''], resources: ['services'], verbs: ['list', 'watch'] }]);
      await until('synced', () => reflector.state.synced, 20_000);
      expect(told('reading-failed')).toHaveLength(1);
    });

    it('puts where it may update and not patch: status and annotation in one write', async () => {
      const api = await account('updater');
      await grant('updater', [
        { apiGroups: [''], resources: ['services'], verbs: ['get'] },
        { apiGroups: [''], resources: ['services/status'], verbs: ['update'] },
      ]);
      await create('putty');
      const patch = {
        metadata: { annotations: { 'metallb.io/ip-allocated-from-pool': 'p' } },
        status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
      };
      await until('the right is known', () => api.get(one('putty')));
      const { writes } = queue(api);
      const target = { ...one('putty'), subresource: 'status' } as const;
      writes.want({ target, rank: 'first', change: { do: 'patch', patch, again: () => patch } });
      const after = await until('the address', async () => {
        const object = await admin.get(one('putty'));
        return JSON.stringify(object['status']).includes('192.0.2.1') ? object : undefined;
      });
      expect(after.metadata['annotations']).toEqual(patch.metadata.annotations);
      expect(told('put-instead')).toHaveLength(1);
      await admin.delete(one('putty'));
    });

    it('leads alone without the right to Leases', async () => {
      const api = await account('leaseless');
      const lease = new Lease({ api, namespace: NS, name: 'l', identity: 'x', tell, changed: () => undefined });
      running.push(lease.run(ends.signal));
      await until('it leads', () => lease.leads(), 30_000);
      expect(told('leading-alone')[0]).toMatchObject({
        text: `system:serviceaccount:${NS}:leaseless has no right to get leases.coordination.k8s.io "l" in namespace ${NS}: grant it (RBAC); until then only one replica may run`,
      });
    }, 60_000);
  });

  it('patches status and annotation in one write, onto the version that was seen', async () => {
    const seen = await create('patched');
    const { writes, made } = queue(admin);
    const target = { ...one('patched'), subresource: 'status' } as const;
    const patch = {
      metadata: { annotations: { a: 'b' } },
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
    };
    const onto = String(seen.metadata['resourceVersion']);
    writes.want({ target, rank: 'first', change: { do: 'patch', patch, onto, again: () => patch } });
    await writes.idle();
    expect(made[0]).toMatchObject({ metadata: { annotations: { a: 'b' } }, status: patch.status });
    let asked = 0;
    const again = () => {
      asked++;
      return undefined;
    };
    writes.want({ target, rank: 'first', change: { do: 'patch', patch, onto, again } });
    await writes.idle();
    expect(asked).toBe(1);
    await admin.delete(one('patched'));
  });

  it('shows Events, and counts them', async () => {
    const object = await create('told');
    const { writes } = queue(admin);
    const events = new Events({ queue: writes, component: 'metallb-controller', instance: 'c-1' });
    const regarding = {
      apiVersion: 'v1',
      kind: 'Service',
      namespace: NS,
      name: 'told',
      uid: String(object.metadata['uid']),
    };
    const happening = {
      regarding,
      type: 'Normal',
      reason: 'IPAllocated',
      message: 'Assigned IP ["192.0.2.1"]',
    } as const;
    events.emit(happening);
    await writes.idle();
    events.emit(happening);
    await writes.idle();
    // the API server tells of the same Service, when its cluster IP comes late
    const { items } = await admin.list(
      { kind: EVENTS, namespace: NS, fieldSelector: 'involvedObject.name=told,source=metallb-controller' },
      { limit: 10, continue: '' },
    );
    expect(items).toMatchObject([
      { count: 2, reason: 'IPAllocated', source: { component: 'metallb-controller' }, involvedObject: regarding },
    ]);
    expect(told('write-failed')).toEqual([]);
    await admin.delete(one('told'));
  });

  it('hands a lease over within 2 s', async () => {
    const leaves = new AbortController();
    const candidate = (identity: string, signal: AbortSignal) => {
      const lease = new Lease({
        api: admin,
        namespace: NS,
        name: 'metallb-controller',
        identity,
        tell,
        changed: () => undefined,
      });
      const run = lease.run(signal);
      running.push(run);
      return { lease, run };
    };
    const a = candidate('a', leaves.signal);
    await until('a leads', () => a.lease.leads());
    const b = candidate('b', ends.signal);
    await until('b waits', () => b.lease.holder === 'a');
    leaves.abort();
    const from = performance.now();
    await until('b leads', () => b.lease.leads());
    expect(performance.now() - from).toBeLessThan(2_000);
    await a.run;
    const { spec } = await admin.get({ kind: LEASES, namespace: NS, name: 'metallb-controller' });
    expect(spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1, leaseDurationSeconds: 15 });
    expect(told('lease-failed')).toEqual([]);
  });

  it('is refused objects that make no sense, in the server’s words', async () => {
    await expect(admin.create({ kind: SERVICES, namespace: NS }, service('Bad_Name'))).rejects.toThrow(
      /^cannot create services in namespace door: 422 Service "Bad_Name" is invalid/,
    );
    await expect(admin.get({ kind: IP_ADDRESS_POOLS, namespace: NS, name: 'x' })).rejects.toMatchObject({
      status: 404,
    });
  });
});
