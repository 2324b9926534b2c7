// Controllers as processes on a fake API server, on loopback: what they tell while they lead, stand by, and have led; time of
// the API's side is moved by hand.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Log } from '../../src/io/log.ts';
import { Cluster } from '../../src/k8s/cluster.ts';
import { ControllerProcess } from '../../src/process/controller-process.ts';
import { freePeerPort, LIMIT_MS } from '../io/sockets.ts';
import { FakeApi, type Json, statusOf } from '../k8s/fake-api.ts';
import { HandClock, pass } from '../k8s/hand-clock.ts';

const NAMESPACE = 'metallb-system';
const METALLB = 'apis/metallb.io/v1beta1';
const PATH = {
  services: 'api/v1/services',
  namespaces: 'api/v1/namespaces',
  secrets: 'api/v1/secrets',
  configMaps: 'api/v1/configmaps',
  pods: 'api/v1/pods',
  events: 'api/v1/events',
  pools: `${METALLB}/ipaddresspools`,
  communities: `${METALLB}/communities`,
  states: `${METALLB}/configurationstates`,
  leases: 'apis/coordination.k8s.io/v1/leases',
} as const;

interface Replica {
  readonly controller: ControllerProcess;
  readonly name: string;
  readonly lines: readonly Json[];
  /** Its metrics, as a scrape has them. */
  series(): Promise<ReadonlyMap<string, number>>;
}

let clock: HandClock;
let api: FakeApi;
let url: string;
let replicas: Replica[];
beforeEach(async () => {
  clock = new HandClock();
  api = new FakeApi(...Object.values(PATH));
  url = await api.listen();
  replicas = [];
  put(PATH.pools, 'main', { spec: { addresses: ['203.0.113.0/24'] } });
});
afterEach(async () => {
  await Promise.all(replicas.map(({ controller }) => controller.leave(false)));
  await api.close();
});

function put(collection: string, name: string, object: Json, namespace = NAMESPACE): void {
  api.put(collection, { ...object, metadata: { name, namespace, ...(object['metadata'] as Json) } });
}

function serve(name: string): void {
  const spec = { type: 'LoadBalancer', clusterIPs: ['10.96.0.1'], ports: [{ port: 80 }] };
  put(PATH.services, name, { spec }, 'app');
}

async function start(pod: string): Promise<Replica> {
  const lines: Json[] = [];
  const into = (level: string) => (fields: Readonly<Record<string, unknown>>, msg: string) =>
    void lines.push({ ...fields, level, msg });
  const log: Log = {
    ...{ debug: into('debug'), info: into('info'), warn: into('warn'), error: into('error'), fatal: into('fatal') },
  };
  const port = await freePeerPort();
  const access = { server: url, credentials: async () => ({ headers: {}, tls: {} }) };
  const controller = await ControllerProcess.start(
    {
      ...{ version: '1.2.3', namespace: NAMESPACE, bgpType: 'unset', settings: { ignoreExcludeLabel: false }, pod },
      ...{ host: '127.0.0.1', ports: { metrics: 0, health: 0, webhooks: 0 }, local: { address: '127.0.0.1', port } },
      ...{ tls: { minVersion: 'TLSv1.3' }, http2: false, metricsCertificates: '', webhooks: 'disabled' },
      ...{ rotation: undefined, folder: '', memberlist: { name: 'memberlist', deployment: undefined } },
    },
    new Cluster(access, clock),
    log,
    clock,
  );
  const series = async () => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const rows = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(
      rows.map((row) => [row.slice(0, row.lastIndexOf(' ')), Number(row.slice(row.lastIndexOf(' ') + 1))]),
    );
  };
  const replica = { controller, name: pod, lines, series };
  replicas.push(replica);
  return replica;
}

const until = <T>(what: string, ask: () => T | undefined | false, stepMs = 50): Promise<T> =>
  pass(clock, what, ask, stepMs);
async function untilSeries({ name: pod, series }: Replica, name: string, wanted: number | undefined): Promise<void> {
  const end = performance.now() + LIMIT_MS;
  for (let found = (await series()).get(name); found !== wanted; found = (await series()).get(name)) {
    if (performance.now() > end)
      throw new Error(`not within ${LIMIT_MS} ms: ${name} of ${pod} is ${found}, not ${wanted}`);
    await clock.advance(50);
  }
}

const leads = ({ controller }: Replica) => controller.state().leader.leads;
const addressOf = (name: string) => {
  const { status } = (api.get(PATH.services, `app/${name}`) ?? {}) as {
    status?: { loadBalancer?: { ingress?: Json[] } };
  };
  return status?.loadBalancer?.ingress?.[0]?.['ip'];
};
const eventsOf = (name: string) =>
  api.seen.flatMap(({ method, path, body }) => {
    const event = body as { involvedObject?: { name: string }; reason?: string } | undefined;
    return method === 'POST' && path.endsWith('/events') && event?.involvedObject?.name === name ? event.reason : [];
  });

const LOADED = 'metallb_k8s_client_config_loaded_bool';
const STALE = 'metallb_k8s_client_config_stale_bool';
const TOTAL = 'metallb_allocator_addresses_total{pool="main"}';

describe('two controllers', () => {
  async function pair(): Promise<readonly [leader: Replica, other: Replica]> {
    const [a, b] = [await start('a'), await start('b')];
    const leader = await until('one leads', () => [a, b].find(leads));
    return leader === a ? [a, b] : [b, a];
  }

  it('follow the configuration both, and count addresses where one leads', async () => {
    const [leader, other] = await pair();
    await untilSeries(leader, TOTAL, 256);
    for (const replica of [leader, other]) {
      await untilSeries(replica, LOADED, 1);
      expect((await replica.series()).get(STALE)).toBe(0);
    }
    expect((await other.series()).has(TOTAL)).toBe(false);
    put(PATH.pools, 'again', { spec: { addresses: ['203.0.113.0/30'] } });
    for (const replica of [leader, other]) await untilSeries(replica, STALE, 1);
    expect(other.controller.state().knowledge.configuration).toMatchObject({ accepted: false });
    expect(other.lines.filter(({ op, level }) => op === 'setConfig' && level === 'error')).toHaveLength(1);
  });

  it('a refused configuration leaves the old one in force, though another leads than before', async () => {
    const [leader, other] = await pair();
    await untilSeries(other, LOADED, 1);
    put(PATH.pools, 'again', { spec: { addresses: ['203.0.113.0/30'] } });
    await untilSeries(other, STALE, 1);
    await leader.controller.leave(false);
    await until('the other leads', () => leads(other));
    serve('web');
    await until('it gives an address', () => addressOf('web'));
  });

  it('one that led counts no addresses any more', async () => {
    const [leader] = await pair();
    await untilSeries(leader, TOTAL, 256);
    const { metadata } = api.get(PATH.leases, `${NAMESPACE}/fairway-controller`) as Json;
    const spec = { holderIdentity: 'a third', leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00.000000Z' };
    api.put(PATH.leases, { metadata, spec });
    await until('it knows', () => !leads(leader));
    await untilSeries(leader, TOTAL, undefined);
    expect((await leader.series()).get(LOADED)).toBe(1);
  });
});

describe('a controller', () => {
  it('tells of an address when it is written, not while a policy refuses that', async () => {
    serve('web');
    const refuses = ({ method, path }: { method: string; path: string }) =>
      method === 'PATCH' && path.endsWith('/services/web/status');
    const message = 'services "web" is forbidden: ValidatingAdmissionPolicy \'p\' denied request';
    api.fail(refuses, { status: 422, body: statusOf(422, 'Invalid', message) }, 1_000);
    const { lines } = await start('a');
    const told = () => lines.filter(({ event }) => event === 'ipAllocated');
    await until('it was refused four times', () => api.seen.filter(refuses).length >= 4);
    expect([eventsOf('web'), told()]).toEqual([[], []]);
    expect(lines.filter(({ op }) => op === 'write')).toHaveLength(1);
    api.mend();
    await until('the address', () => addressOf('web'));
    await until('the Event', () => eventsOf('web').length > 0);
    expect(eventsOf('web')).toEqual(['IPAllocated']);
    expect(told()).toMatchObject([{ service: 'app/web', ips: ['203.0.113.0'], pool: 'main' }]);
  });

  it('makes the Secret of the speakers, and again when it is deleted', async () => {
    await start('a');
    const made = () => api.get(PATH.secrets, `${NAMESPACE}/memberlist`);
    await until('it is made', made);
    api.remove(PATH.secrets, `${NAMESPACE}/memberlist`);
    await until('it is made again', made);
  });
});
