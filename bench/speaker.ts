// The speaker (the bundle, in a pod's place) on a real API server: from its start to the last route with 1,000 and 10,000
// Services, from an address in a status to the UPDATE, a burst of 200; what it writes and costs when nothing happens, what a
// restart writes. The API server and the peer run beside it on the same processors. Its memory with layer 2 in use besides is
// a part of its own (`memory with layer 2`).

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from '../src/k8s/api.ts';
import { openCluster } from '../src/k8s/cluster.ts';
import {
  BGP_ADVERTISEMENTS,
  BGP_PEERS,
  ENDPOINT_SLICES,
  IP_ADDRESS_POOLS,
  type Kind,
  NAMESPACES,
  NODES,
  SERVICES,
} from '../src/k8s/kind.ts';
import { LoopbackApi } from '../test/cluster/loopback.ts';
import { Lab } from '../test/interop/lab.ts';
import { until } from '../test/interop/process.ts';
import { freePeerPort } from '../test/io/sockets.ts';
import { print } from './figures.ts';
import {
  APP,
  inParallel,
  installCrds,
  NAMESPACE,
  needBundleAndApi,
  scrape,
  startInPod,
  stop,
  untilWritten,
} from './pod.ts';
import { isAsked, type Settings } from './settings.ts';
import { Sink } from './sink.ts';

const [FEW, MANY] = [1_000, 10_000];
const STARTS = 3;
const CHANGES = 51;
const BURST = 200;
const QUIET_MS = 60_000;
const NODE_AS = 64_513;
export const ROUTER_AS = 64_512;
const KINDS = [
  ...['ipaddresspools', 'bgppeers', 'bgpadvertisements', 'l2advertisements', 'bfdprofiles', 'communities'],
  ...['configurationstates', 'servicebgpstatuses', 'servicel2statuses'],
];

/** True when every goal was met. */
export async function speaker(settings: Settings): Promise<boolean> {
  needBundleAndApi();
  const met: boolean[] = [];
  if (isAsked(settings, 'memory with layer 2')) met.push(await memoryWithLayer2());
  if (isAsked(settings, 'routes and writes')) met.push(await routesAndWrites());
  return met.every(Boolean);
}

async function memoryWithLayer2(): Promise<boolean> {
  const lab = new Lab(1);
  lab.up();
  try {
    const program = [process.execPath, join(import.meta.dirname, 'layer2-memory.ts')];
    const child = spawn('nsenter', [`--net=/run/netns/${lab.namespace('n1')}`, ...program], { stdio: 'inherit' });
    const [code] = await once(child, 'exit');
    return code === 0;
  } finally {
    lab.down();
  }
}

async function routesAndWrites(): Promise<boolean> {
  const server = new LoopbackApi();
  const sink = new Sink(ROUTER_AS);
  let running: ChildProcess | undefined;
  const start = async (routes: number): Promise<number> => {
    const began = performance.now();
    running = startInPod(server, 'speaker', ['--node-name=n1']);
    await until(`${routes} routes`, () => sink.routes === routes, 60_000);
    return sink.updatedAt - began;
  };
  const end = async (): Promise<void> => {
    if (running !== undefined) await stop(running);
    running = undefined;
  };
  try {
    await server.start();
    const api = new Api(await openCluster({ kubeconfig: server.kubeconfig, env: {} }));
    const port = await freePeerPort();
    await sink.listen(port);
    await configure(api, port);
    await inParallel(FEW, (i) => serve(api, i));
    const met: boolean[] = [];
    const starts = await repeat(STARTS, async () => {
      const ms = await start(FEW);
      await end();
      return ms;
    });
    met.push(row(`start to the last route, ${FEW} Services`, 'ms', starts, 800));
    await start(FEW);
    await untilWritten();
    met.push(row(`memory with ${FEW} Services`, 'MiB of RSS', [await rss()], 107));
    met.push(...(await atRest()));
    const changes = await change(api, sink);
    met.push(row('an address in a status to the UPDATE, one after another', 'ms', changes, 3));
    const bursts = await repeat(3, (turn) => burst(api, sink, turn));
    met.push(row(`${BURST} addresses at once: first status to the last route`, 'ms', bursts, 1_000));
    await untilWritten();
    const known = sink.routes;
    await end();
    await start(known);
    await sleep(5_000);
    met.push(row('a restart', 'writes', [(await figures()).writes], 0));
    await end();
    await inParallel(MANY, (i) => serve(api, i), FEW + CHANGES + 3 * BURST);
    const memory: number[] = [];
    const many = await repeat(STARTS, async () => {
      const ms = await start(MANY);
      if (sink.updates > MANY / 810 + 4) throw new Error(`${sink.updates} UPDATEs for ${MANY} routes`);
      await sleep(5_000);
      memory.push(await rss());
      await end();
      return ms;
    });
    met.push(row(`start to the last route, ${MANY} Services`, 'ms', many, 3_000));
    met.push(row(`memory with ${MANY} Services, statuses being written`, 'MiB of RSS', memory, 160));
    return met.every(Boolean);
  } finally {
    await end();
    sink.close();
    await server.stop();
  }
}

async function repeat(times: number, measure: (turn: number) => Promise<number>): Promise<readonly number[]> {
  const values: number[] = [];
  for (let turn = 0; turn < times; turn++) values.push(await measure(turn));
  return values;
}

export function row(what: string, unit: string, values: readonly number[], most: number): boolean {
  return print({
    ...{ what, unit, figures: [{ who: 'fairway', values }] },
    goal: { text: `at most ${most}`, met: (ours) => ours <= most },
  });
}

export async function configure(api: Api, port: number): Promise<void> {
  for (const name of [NAMESPACE, APP]) await api.create({ kind: NAMESPACES }, { metadata: { name } });
  await api.create({ kind: NODES }, { metadata: { name: 'n1' } });
  await installCrds(api, KINDS);
  const put = (kind: Kind, version: string, name: string, spec: object) =>
    api.create(
      { kind, namespace: NAMESPACE },
      { apiVersion: `metallb.io/${version}`, kind: kind.kind, metadata: { name, namespace: NAMESPACE }, spec },
    );
  await put(IP_ADDRESS_POOLS, 'v1beta1', 'main', { addresses: ['10.0.0.0/16'] });
  await put(BGP_ADVERTISEMENTS, 'v1beta1', 'main', {});
  const address = { peerAddress: '127.0.0.1', sourceAddress: '127.0.0.2', peerPort: port };
  await put(BGP_PEERS, 'v1beta2', 'tor', { myASN: NODE_AS, peerASN: ROUTER_AS, ...address });
}

const target = (i: number) => ({ kind: SERVICES, namespace: APP, name: `s${i}` });

/** A Service that has all but its address. */
async function create(api: Api, i: number): Promise<void> {
  const name = `s${i}`;
  const spec = { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false, ports: [{ port: 80 }] };
  await api.create({ kind: SERVICES, namespace: APP }, { metadata: { name, namespace: APP }, spec });
  const labels = { 'kubernetes.io/service-name': name };
  await api.create(
    { kind: ENDPOINT_SLICES, namespace: APP },
    {
      metadata: { name, namespace: APP, labels },
      ...{ addressType: 'IPv4', endpoints: [{ addresses: ['10.244.0.1'], conditions: { ready: true } }] },
    },
  );
}

/** As the controller gives it. */
function give(api: Api, i: number): Promise<unknown> {
  const ingress = [{ ip: `10.0.${i >> 8}.${i & 255}` }];
  return api.mergePatch({ ...target(i), subresource: 'status' }, { status: { loadBalancer: { ingress } } });
}

export async function serve(api: Api, i: number): Promise<void> {
  await create(api, i);
  await give(api, i);
}

/** One Service after another gets its address: from the server's answer to the UPDATE. */
export async function change(api: Api, sink: Sink): Promise<readonly number[]> {
  return repeat(CHANGES, async (turn) => {
    const i = FEW + turn;
    await create(api, i);
    await sleep(100);
    const before = sink.routes;
    await give(api, i);
    const given = performance.now();
    while (sink.routes === before) await new Promise((resolve) => setImmediate(resolve));
    return Math.max(0, sink.updatedAt - given);
  });
}

async function burst(api: Api, sink: Sink, turn: number): Promise<number> {
  const first = FEW + CHANGES + turn * BURST;
  await inParallel(first + BURST, (i) => create(api, i), first);
  await sleep(500);
  const wanted = sink.routes + BURST;
  const began = performance.now();
  await Promise.all(Array.from({ length: BURST }, (_, i) => give(api, first + i)));
  await until('the last route', () => sink.routes === wanted, 10_000);
  return sink.updatedAt - began;
}

/** Writes and processor time of a minute in which nothing happens. */
async function atRest(): Promise<readonly boolean[]> {
  const before = await figures();
  await sleep(QUIET_MS);
  const after = await figures();
  return [
    row('a minute at rest', 'writes', [after.writes - before.writes], 0),
    row('a minute at rest', 'ms of CPU', [(after.cpuSeconds - before.cpuSeconds) * 1_000], 190),
  ];
}

async function figures() {
  const value = await scrape();
  return {
    writes: value('fairway_kubernetes_writes_total'),
    cpuSeconds: value('process_cpu_seconds_total'),
  };
}

async function rss(): Promise<number> {
  return (await scrape())('process_resident_memory_bytes') / 2 ** 20;
}
