// What a cluster does to its controllers: kills them in the middle of their work, takes the API away, sets clocks
// wrong, makes two of them believe that they lead. Whatever happens, no address is given twice, none is lost, and who
// does not lead writes nothing.

import { expect, it } from 'vitest';
import type { Manifest } from '../interop/manifests.ts';
import { throughout, until } from '../interop/process.ts';
import type { KubeObject } from './api.ts';
import { Audit, tally } from './audit.ts';
import { APP, type Cluster, SYSTEM } from './cluster.ts';
import { addressesOf, eventsOf, ipPool, podsOf, untilAddresses, untilReady } from './fairway.ts';
import { clusterStories, useFairway } from './stories.ts';
import { loadBalancer, type Service } from './workload.ts';

const LEASE = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name: 'fairway-controller', namespace: SYSTEM },
};
const CONDITION = {
  type: 'example.com/Seen',
  status: 'True',
  reason: 'Seen',
  lastTransitionTime: '2026-01-01T00:00:00Z',
};

interface PoolObject extends KubeObject {
  readonly status?: { readonly assignedIPv4: number };
}

interface LeaseObject extends KubeObject {
  readonly spec: { readonly holderIdentity?: string };
}

/** Node reads this before the program: its wall clock is an hour ahead. */
const AN_HOUR_AHEAD = `data:text/javascript,${encodeURIComponent(
  'const Real = Date; const now = () => Real.now() + 3_600_000; globalThis.Date = class extends Real { constructor(...a) { super(...(a.length ? a : [now()])); } static now() { return now(); } };',
)}`;

const flood = (count: number, from = 0): Manifest[] =>
  Array.from({ length: count }, (_, at) =>
    loadBalancer(`s${String(from + at).padStart(4, '0')}`, { allocateLoadBalancerNodePorts: false }),
  );

/** Creates or removes many, eight at a time. */
async function each(objects: readonly Manifest[], act: (object: Manifest) => Promise<unknown>): Promise<void> {
  const left = [...objects];
  const worker = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await act(next);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

async function services(cluster: Cluster): Promise<readonly Service[]> {
  return cluster.api.list<Service>({ apiVersion: 'v1', kind: 'Service', namespace: APP });
}

const ipsOf = ({ status }: Service): string[] => (status.loadBalancer.ingress ?? []).map(({ ip = '' }) => ip);

/** Every Service has one address, and no two have the same. */
async function untilAllDistinct(cluster: Cluster, count: number, limitMs = 60_000): Promise<Map<string, string>> {
  const all = async (): Promise<Map<string, string> | false> => {
    const found = await services(cluster);
    const given = found.flatMap((service) => ipsOf(service).map((ip): [string, string] => [service.metadata.name, ip]));
    if (given.length !== count) throw new Error(`${given.length} of ${count} have an address`);
    return new Map(given);
  };
  const given = await until(`all ${count} Services have an address`, all, limitMs);
  expect(new Set(given.values()).size).toBe(count);
  return given;
}

/** The Pod that leads. */
async function leader(cluster: Cluster): Promise<string> {
  const pods = (await podsOf(cluster, 'controller')).map(({ metadata }) => metadata.name);
  return until('somebody leads', async () => {
    const { spec } = await cluster.api.read<LeaseObject>(LEASE);
    return pods.find((name) => spec.holderIdentity?.startsWith(name));
  });
}

async function untilAnotherLeads(cluster: Cluster, old: string, limitMs: number): Promise<string> {
  return until(
    `another than ${old} leads`,
    async () => {
      const now = await leader(cluster);
      return now !== old && now;
    },
    limitMs,
  );
}

clusterStories('controllers in trouble', [], () => {
  const cluster = useFairway(1, { speakers: false });
  const POOL = ipPool('main', ['203.0.113.0/24', '198.18.0.0/20']);
  const daemon = (name: string) => cluster.kubelet.daemon(name);

  /** Waits until the pool counts so many: what was deleted before is forgotten then. */
  const untilAssigned = async (count: number): Promise<void> => {
    const counts = async (): Promise<boolean> => {
      const { status } = await cluster.api.read<PoolObject>(POOL);
      if (status?.assignedIPv4 !== count) throw new Error(`it counts ${status?.assignedIPv4}`);
      return true;
    };
    await until(`the pool counts ${count}`, counts, 60_000);
  };
  const freshPool = async (): Promise<void> => {
    await cluster.api.apply(POOL);
    await untilAssigned(0);
  };

  it('killed in the middle of 500 allocations: no address twice, none lost', async () => {
    await freshPool();
    const first = await leader(cluster);
    const created = each(flood(500), (object) => cluster.api.create(object));
    const some = async (): Promise<boolean> =>
      (await services(cluster)).filter((each) => ipsOf(each).length > 0).length > 50;
    await until('it is at work', some, 30_000);
    daemon(first).signal('SIGKILL');
    const before = new Map((await services(cluster)).map((each) => [each.metadata.name, ipsOf(each)[0]]));
    await created;
    const after = await untilAllDistinct(cluster, 500, 90_000);
    for (const [name, ip] of before) if (ip !== undefined) expect(after.get(name)).toBe(ip);
    await untilReady(cluster);
  }, 180_000);

  it('the leader is told to go: another one leads within 2 s', async () => {
    await freshPool();
    const first = await leader(cluster);
    daemon(first).signal('SIGTERM');
    await untilAnotherLeads(cluster, first, 2_000);
    const web = loadBalancer('web');
    await cluster.api.apply(web);
    await untilAddresses(cluster, web, '203.0.113.0');
    await untilReady(cluster);
  });

  it('the leader is frozen and comes back: it writes nothing, for another one leads', async () => {
    await freshPool();
    const first = await leader(cluster);
    daemon(first).signal('SIGSTOP');
    const second = await untilAnotherLeads(cluster, first, 30_000);
    const audit = new Audit(cluster);
    const web = loadBalancer('web');
    await cluster.api.apply(web);
    await untilAddresses(cluster, web, '203.0.113.0');
    // it wakes up with work to do: a Service that it has not seen, and one that goes
    daemon(first).signal('SIGCONT');
    const more = flood(20);
    await each(more, (object) => cluster.api.create(object));
    await untilAllDistinct(cluster, 21);
    const writers = () =>
      new Set(
        audit
          .writes()
          .filter(({ resource }) => resource === 'services/status')
          .map(({ pod }) => pod),
      );
    expect([...writers()]).toEqual([second]);
    await throughout('the old one stays silent', 2_000, () => !writers().has(first));
  }, 120_000);

  it('two lead at once, for another was given the lease by force: no address twice, and the one that lost it falls silent', async () => {
    await freshPool();
    const first = await leader(cluster);
    const { holderIdentity } = (await cluster.api.read<LeaseObject>(LEASE)).spec;
    daemon(first).signal('SIGSTOP');
    const second = await untilAnotherLeads(cluster, first, 30_000);
    daemon(first).signal('SIGCONT');
    const many = flood(600);
    const created = each(many, (object) => cluster.api.create(object));
    const given = async () => (await services(cluster)).filter((service) => ipsOf(service).length > 0).length;
    await until('the second is at work', async () => (await given()) > 50, 30_000);
    // it sleeps for less time than it may believe in its lease, and wakes up with writes that it wants
    daemon(second).signal('SIGSTOP');
    const losses = (): number => daemon(second).log().split('"notLeading"').length;
    const before = losses();
    await cluster.api.patch(LEASE, { spec: { holderIdentity } });
    const now = await given();
    await until('the first is at work', async () => (await given()) > now + 20, 8_000);
    daemon(second).signal('SIGCONT');
    await until('the second knows', () => losses() > before, 5_000);
    await throughout('what it had asked for ends', 1_000, () => true);
    const audit = new Audit(cluster);
    await created;
    await untilAllDistinct(cluster, many.length);
    const more = flood(20, many.length);
    await each(more, (object) => cluster.api.create(object));
    await untilAllDistinct(cluster, many.length + more.length);
    const writers = audit.writes().filter(({ resource }) => resource === 'services/status');
    expect(new Set(writers.map(({ pod }) => pod))).toEqual(new Set([first]));
  }, 180_000);

  it('a policy refuses the status of Services for a while: they get their addresses when it is gone, and nobody is told before', async () => {
    const policy = (kind: string, spec: object): Manifest => ({
      ...{ apiVersion: 'admissionregistration.k8s.io/v1', kind, spec },
      metadata: { name: 'no-status' },
    });
    const rule = { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['services/status'] };
    const policies = [
      policy('ValidatingAdmissionPolicy', {
        matchConstraints: { resourceRules: [rule] },
        validations: [{ expression: 'false', message: 'not today' }],
      }),
      policy('ValidatingAdmissionPolicyBinding', { policyName: 'no-status', validationActions: ['Deny'] }),
    ];
    const [plain, web] = [loadBalancer('plain', { type: 'ClusterIP' }), loadBalancer('web')];
    await freshPool();
    await cluster.api.apply(plain, ...policies);
    const patched = (value: string) =>
      cluster.api.patchStatus(plain, { conditions: [{ ...CONDITION, message: value }] }).then(
        () => true,
        () => false,
      );
    await until('the policy is in force', async () => !(await patched(String(performance.now()))));
    await cluster.api.apply(web);
    const log = daemon(await leader(cluster));
    await until('it is refused', () => log.log().includes('not today'));
    expect((await eventsOf(cluster, web)).map(({ reason }) => reason)).toEqual([]);
    await cluster.api.remove(...policies);
    await until('the policy is gone', () => patched('again'));
    await until('the address', async () => (await addressesOf(cluster, web)).length > 0, 40_000);
    const reasons = async () => (await eventsOf(cluster, web)).map(({ reason }) => reason);
    await until('the Event', async () => (await reasons()).includes('IPAllocated'));
  }, 90_000);

  it('the Secret of the speakers is deleted: it is made again, and owned by the Deployment', async () => {
    interface Secret extends KubeObject {
      readonly metadata: KubeObject['metadata'] & {
        readonly uid: string;
        readonly ownerReferences?: readonly object[];
      };
      readonly data: { readonly secretkey: string };
    }
    const named = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'memberlist', namespace: SYSTEM } };
    const made = () => cluster.api.read<Secret>(named);
    const before = await until('it is there', made, 20_000);
    await cluster.api.remove(named);
    const after = await until('it is there again', async () => {
      const secret = await made();
      return secret.metadata.uid !== before.metadata.uid && secret;
    });
    expect(after.data.secretkey).not.toBe(before.data.secretkey);
    expect(after.metadata.ownerReferences).toMatchObject([{ kind: 'Deployment', name: 'controller' }]);
  });

  it('a replica whose clock is an hour ahead neither takes the lead nor harms it', async () => {
    const pods = (await podsOf(cluster, 'controller')).map(({ metadata }) => metadata.name);
    const leading = await leader(cluster);
    const other = pods.find((name) => name !== leading) ?? '';
    cluster.kubelet.extraEnvironment = (name) => (name === other ? [`NODE_OPTIONS=--import=${AN_HOUR_AHEAD}`] : []);
    const before = daemon(other).pid;
    daemon(other).signal('SIGTERM');
    await until('it runs again', () => daemon(other).pid !== before);
    await untilReady(cluster);
    await throughout('the lead stays', 4_000, async () => (await leader(cluster)) === leading);
    // and it can lead when it has to, and be followed
    await freshPool();
    daemon(leading).signal('SIGTERM');
    await untilAnotherLeads(cluster, leading, 2_000);
    const web = loadBalancer('web');
    await cluster.api.apply(web);
    await untilAddresses(cluster, web, '203.0.113.0');
    await untilReady(cluster);
    cluster.kubelet.extraEnvironment = () => [];
    daemon(other).signal('SIGTERM');
    await untilAnotherLeads(cluster, other, 2_000);
    await untilReady(cluster);
  }, 120_000);

  it('1,000 Services are deleted while they get their addresses: the pool is empty again', async () => {
    await freshPool();
    const many = flood(1_000);
    await each(many, async (object) => {
      await cluster.api.create(object);
      await cluster.api.remove(object);
    });
    await untilAssigned(0);
    const last = flood(100, 5_000);
    await each(last, (object) => cluster.api.create(object));
    const given = await untilAllDistinct(cluster, 100);
    // the lowest addresses are free again, so that nothing leaked
    const lowest = Array.from({ length: 100 }, (_, at) => `203.0.113.${at}`);
    expect([...given.values()].sort()).toEqual(lowest.sort());
    await untilAssigned(100);
  }, 240_000);

  it('Services with names and annotations at the limits are served like any other', async () => {
    const name = 'x'.repeat(63);
    const labels = Object.fromEntries(
      Array.from({ length: 200 }, (_, at) => [`${'k'.repeat(60)}${at}`, 'v'.repeat(63)]),
    );
    const annotations = { note: 'ü'.repeat(100_000), 'metallb.io/loadBalancerIPs': '203.0.113.9' };
    const ports = Array.from({ length: 100 }, (_, at) => ({ name: `p${at}`, port: at + 1, protocol: 'TCP' }));
    const web = loadBalancer(name, { ports, allocateLoadBalancerNodePorts: false }, { labels, annotations });
    await freshPool();
    await cluster.api.create(web);
    await untilAddresses(cluster, web, '203.0.113.9');
  });

  it('a quiet cluster sees no write and no question', async () => {
    await freshPool();
    await cluster.api.apply(...flood(20));
    await untilAllDistinct(cluster, 20);
    const audit = new Audit(cluster);
    const isQuiet = async (): Promise<boolean> => {
      audit.restart();
      // counters are written at most once in five seconds
      await throughout('six seconds pass', 6_000, () => true);
      return audit.writes().length === 0;
    };
    await until('the last counters are written', isQuiet, 40_000);
    audit.restart();
    await throughout('ten seconds pass', 10_000, () => true);
    const noise = audit.asked().filter(({ resource, verb }) => resource !== 'leases' && verb !== 'watch');
    expect(tally(noise)).toBe('');
  }, 90_000);

  it('the API server is started again: nothing changes, and work goes on', async () => {
    const web = loadBalancer('web');
    await freshPool();
    await cluster.api.apply(web);
    await untilAddresses(cluster, web, '203.0.113.0');
    await cluster.control.restartApiServer();
    const another = loadBalancer('another');
    await until('the server takes a Service', async () => (await cluster.api.apply(another)).length === 1);
    await untilAddresses(cluster, another, '203.0.113.1');
    await untilAddresses(cluster, web, '203.0.113.0');
  }, 120_000);

  it('etcd is away for 30 s: nothing changes, and work goes on', async () => {
    const web = loadBalancer('web');
    await freshPool();
    await cluster.api.apply(web);
    await untilAddresses(cluster, web, '203.0.113.0');
    await cluster.control.stopEtcd('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 30_000));
    cluster.control.startEtcd();
    const another = loadBalancer('another');
    await until('the server takes a Service', async () => (await cluster.api.apply(another)).length === 1, 60_000);
    const end = async (): Promise<boolean> => (await services(cluster)).every((each) => ipsOf(each).length === 1);
    await until('both have an address', end, 60_000);
    await untilAddresses(cluster, web, '203.0.113.0');
    await untilAddresses(cluster, another, '203.0.113.1');
    await untilReady(cluster);
  }, 180_000);
});
