// The whole way on a real cluster of three nodes, two controllers and FRR: a Service is created, gets an address, every
// speaker announces it, and the router's kernel has a route over all nodes. One after another, then 200 at once with what
// all of them wrote. FRR 8.4 needs 55-75 ms from an UPDATE to its kernel; that is in every figure here.

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Audit, tally } from '../test/cluster/audit.ts';
import { lackingForCluster } from '../test/cluster/binaries.ts';
import { APP, Cluster, fairway } from '../test/cluster/cluster.ts';
import { bgpAdvertisement, ipPool, untilReady } from '../test/cluster/fairway.ts';
import { ROUTER_AS, SPEAKER_AS, tor, untilSessions } from '../test/cluster/routing.ts';
import { loadBalancer, type Service } from '../test/cluster/workload.ts';
import { startFrr } from '../test/interop/frr.ts';
import { node } from '../test/interop/lab.ts';
import { until } from '../test/interop/process.ts';
import { print } from './figures.ts';

const NODES = 3;
const SINGLES = 100;
const [BURSTS, BURST] = [3, 200];
const QUIET_MS = 2_000;

/** When each Service got its address, and when the router's kernel had a route over all nodes for it: performance.now(). */
class Witness {
  readonly addresses = new Map<string, { readonly ip: string; readonly at: number }>();
  readonly #routes = new Map<string, number>();
  readonly #monitor: ChildProcess;
  readonly #ends = new AbortController();

  constructor({ api, lab }: Cluster) {
    const command = ['ip', '-4', '-oneline', 'monitor', 'route'];
    this.#monitor = spawn('nsenter', [`--net=/run/netns/${lab.namespace('r')}`, ...command], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { stdout } = this.#monitor;
    if (stdout === null) throw new Error('no output of ip');
    createInterface(stdout).on('line', (line) => {
      const [prefix = ''] = line.split(' ');
      if (line.split('nexthop via').length - 1 === NODES) this.#routes.set(prefix, performance.now());
    });
    const selection = { apiVersion: 'v1', kind: 'Service', namespace: APP };
    void api.watch<Service>(selection, this.#ends.signal, ({ object: { metadata, status } }) => {
      const ip = status.loadBalancer.ingress?.[0]?.ip;
      if (ip !== undefined && !this.addresses.has(metadata.name))
        this.addresses.set(metadata.name, { ip, at: performance.now() });
    });
  }

  routeAt(name: string): number | undefined {
    return this.#routes.get(this.addresses.get(name)?.ip ?? '');
  }

  end(): void {
    this.#ends.abort();
    this.#monitor.kill();
  }
}

/** True when every goal was met. */
export async function route(): Promise<boolean> {
  const lacking = lackingForCluster();
  if (lacking.length > 0) throw new Error(`cannot be measured: ${lacking.join(', ')}`);
  const cluster = new Cluster(NODES);
  let witness: Witness | undefined;
  try {
    await cluster.up();
    const peers = cluster.nodes.map((_, at) => ({
      ...{ address: node(at + 1).ipv4, as: SPEAKER_AS, families: ['ipv4'] as const },
    }));
    const frr = await startFrr(cluster.lab, { as: ROUTER_AS, peers });
    await cluster.install(fairway());
    await cluster.untilPodsAreTaken();
    await untilReady(cluster);
    await cluster.api.apply(ipPool('main', ['198.18.0.0/20']), bgpAdvertisement('main'), tor());
    await untilSessions(frr, NODES);
    const audit = new Audit(cluster);
    witness = new Witness(cluster);
    await untilQuiet(audit);
    const singles = await oneByOne(cluster, witness);
    await untilQuiet(audit);
    const bursts: Awaited<ReturnType<typeof burst>>[] = [];
    const writes: number[] = [];
    for (let turn = 0; turn < BURSTS; turn++) {
      audit.restart();
      bursts.push(await burst(cluster, witness, turn));
      await untilQuiet(audit);
      writes.push(audit.writes().length);
      console.log(`\nwritten for ${BURST} Services at once:\n${tally(audit.writes())}`);
    }
    const row = (what: string, unit: string, values: readonly number[], most?: number): boolean =>
      print({
        ...{ what, unit, figures: [{ who: 'fairway', values }] },
        ...(most !== undefined && { goal: { text: `at most ${most}`, met: (ours: number) => ours <= most } }),
      });
    const sorted = routesOf(singles).toSorted((a, b) => a - b);
    return [
      row('a Service is created: until its address is in its status', 'ms', addressesOf(singles)),
      row(`a Service is created: until the router has the route over ${NODES} nodes`, 'ms', sorted, 75),
      row(`the same, the 99th of ${SINGLES}`, 'ms', sorted.slice(Math.ceil(SINGLES * 0.99) - 1).slice(0, 1), 100),
      row(`${BURST} Services at once: until the API server has taken them`, 'ms', createdOf(bursts)),
      row(`${BURST} Services at once: first request to the last address`, 'ms', addressesOf(bursts)),
      row(`${BURST} Services at once: first request to the last route`, 'ms', routesOf(bursts), 1_000),
      row(`${BURST} Services at once: all that is written`, 'writes', writes, 2_250),
    ].every(Boolean);
  } finally {
    witness?.end();
    await cluster.down();
  }
}

/** From the (first) request to the (last) address and route, ms. */
interface Times {
  readonly address: number;
  readonly route: number;
}

const addressesOf = (all: readonly Times[]) => all.map(({ address }) => address);
const createdOf = (all: readonly { readonly created: number }[]) => all.map(({ created }) => created);
const routesOf = (all: readonly Times[]) => all.map(({ route: ms }) => ms);

/** Without a selector: its endpoints are there before it, for how fast a controller of Kubernetes makes them is not ours. */
const service = (name: string) => loadBalancer(name, { selector: null, allocateLoadBalancerNodePorts: false });

const endpoints = (name: string) => ({
  ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
  metadata: { name, namespace: APP, labels: { 'kubernetes.io/service-name': name } },
  endpoints: [{ addresses: ['10.244.9.9'], nodeName: 'n1', conditions: { ready: true } }],
  ports: [{ name: 'tcp-80', port: 8080, protocol: 'TCP' }],
});

async function oneByOne(cluster: Cluster, witness: Witness): Promise<readonly Times[]> {
  const singles: Times[] = [];
  for (let i = 0; i < SINGLES; i++) {
    const name = `single-${i}`;
    await cluster.api.create(endpoints(name));
    await sleep(150);
    const began = performance.now();
    await cluster.api.create(service(name));
    const routed = await until(`the route of ${name}`, () => witness.routeAt(name));
    singles.push({ address: (witness.addresses.get(name)?.at ?? Number.NaN) - began, route: routed - began });
  }
  return singles;
}

async function burst(cluster: Cluster, witness: Witness, turn: number): Promise<Times & { readonly created: number }> {
  const names = Array.from({ length: BURST }, (_, i) => `burst-${turn}-${i}`);
  await Promise.all(names.map((name) => cluster.api.create(endpoints(name))));
  await sleep(1_000);
  const began = performance.now();
  await Promise.all(names.map((name) => cluster.api.create(service(name))));
  const created = performance.now() - began;
  const routed = await until(
    'every route',
    () => {
      const times = names.flatMap((name) => witness.routeAt(name) ?? []);
      return times.length === BURST && Math.max(...times);
    },
    30_000,
  );
  const addressed = names.flatMap((name) => witness.addresses.get(name)?.at ?? []);
  return { created, address: Math.max(...addressed) - began, route: routed - began };
}

/** Waits until nothing has been written for two seconds. */
async function untilQuiet(audit: Audit): Promise<void> {
  const end = performance.now() + 300_000;
  for (let before = -1, now = audit.writes().length; before !== now; now = audit.writes().length) {
    if (performance.now() > end) throw new Error('it never comes to rest');
    before = now;
    await sleep(QUIET_MS);
  }
}
