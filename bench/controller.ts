// 10,000 Services that wait on a real API server: from the start of the controller (the bundle, in a pod's place) to the last
// address, its writes, its memory; then the same again with nothing to do. One run, for it takes minutes: most of it to
// create the Services, and the events, which are paced.

import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Api } from '../src/k8s/api.ts';
import { openCluster } from '../src/k8s/cluster.ts';
import { IP_ADDRESS_POOLS, type Kind, NAMESPACES, SERVICES } from '../src/k8s/kind.ts';
import { readService } from '../src/k8s/resource.ts';
import { Watched } from '../src/k8s/watched.ts';
import type { Service } from '../src/plan/snapshot.ts';
import { LoopbackApi } from '../test/cluster/loopback.ts';
import { until } from '../test/interop/process.ts';
import { cpuSeconds, print, residentMiB } from './figures.ts';
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

const COUNT = 10_000;
const LIMIT_MS = 300_000;

/** True when every goal was met. */
export async function controller(): Promise<boolean> {
  needBundleAndApi();
  const server = new LoopbackApi();
  const ends = new AbortController();
  let running: ChildProcess | undefined;
  try {
    await server.start();
    const api = new Api(await openCluster({ kubeconfig: server.kubeconfig, env: {} }));
    await prepare(api);
    const services = watch(api, ends.signal);
    await until('the bench knows them all', () => services.store.size === COUNT, LIMIT_MS);
    const [before, first] = [cpuOf(server.pids), performance.now()];
    running = startController(server);
    await until('all have addresses', () => count(services) === COUNT, LIMIT_MS);
    const firstMs = performance.now() - first;
    const [ours, theirs] = [cpuOf([running.pid ?? 0]), cpuOf(server.pids) - before];
    const most = residentMiB(readFileSync(`/proc/${running.pid}/status`, 'utf8'), true);
    console.log(`\nprocessor time meanwhile: ${ours.toFixed(1)} s ours, ${theirs.toFixed(1)} s API server and etcd`);
    await untilWritten();
    const busy = await figures();
    await stop(running);
    running = startController(server);
    await until('it knows them all', async () => (await figures()).inUse === COUNT, LIMIT_MS);
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    const idle = await figures();
    const figure = (what: string, unit: string, value: number, most: number): boolean =>
      print({
        ...{ what, unit, figures: [{ who: 'fairway', values: [value] }] },
        goal: { text: `at most ${most}`, met: (ours) => ours <= most },
      });
    return [
      figure(`${COUNT} Services, controller starts to all assigned`, 's', firstMs / 1_000, 15),
      figure('requests that change something', 'writes', busy.writes, 20_100),
      figure('the same again with nothing to do', 'writes', idle.writes, 0),
      figure('memory with nothing to do', 'MiB of RSS', idle.rssMiB, 150),
      figure('memory at most, while all are assigned', 'MiB of RSS', most, 150),
    ].every(Boolean);
  } finally {
    ends.abort();
    if (running !== undefined) await stop(running);
    await server.stop();
  }
}

async function prepare(api: Api): Promise<void> {
  for (const name of [NAMESPACE, APP]) await api.create({ kind: NAMESPACES }, { metadata: { name } });
  await installCrds(api, ['ipaddresspools', 'communities', 'configurationstates', 'bgppeers']);
  const naming = { apiVersion: 'metallb.io/v1beta1', kind: 'IPAddressPool' };
  const pool = { ...naming, metadata: { namespace: NAMESPACE, name: 'main' }, spec: { addresses: ['10.0.0.0/16'] } };
  await api.create({ kind: IP_ADDRESS_POOLS, namespace: NAMESPACE }, pool);
  const spec = { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false, ports: [{ port: 80 }] };
  await inParallel(COUNT, (i) =>
    api.create({ kind: SERVICES, namespace: APP }, { metadata: { name: `s${i}`, namespace: APP }, spec }),
  );
}

function watch(api: Api, signal: AbortSignal): Watched<Service> {
  const selection: { kind: Kind; namespace: string } = { kind: SERVICES, namespace: APP };
  const quiet = () => undefined;
  const services = new Watched<Service>({ api, selection, read: readService, changed: quiet, tell: quiet });
  services.relist(signal);
  return services;
}

function count({ store }: Watched<Service>): number {
  let assigned = 0;
  for (const { ingress } of store.map().values()) if (ingress.length > 0) assigned++;
  return assigned;
}

function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

function startController(server: LoopbackApi): ChildProcess {
  return startInPod(server, 'controller', ['--webhook-mode=disabled', '--bind-address=127.0.0.1']);
}

async function figures() {
  const value = await scrape();
  return {
    writes: value('fairway_kubernetes_writes_total'),
    inUse: value('metallb_allocator_addresses_in_use_total'),
    rssMiB: value('process_resident_memory_bytes') / 2 ** 20,
  };
}
