// One measurement of bench `k8s-cache`: reads all Services and EndpointSlices from the server given, twice (the second
// time as after a 410), and prints what that cost as JSON. Runs with --expose-gc.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Api } from '../src/k8s/api.ts';
import { Cluster } from '../src/k8s/cluster.ts';
import { groupSlices } from '../src/k8s/grouped.ts';
import { apiVersionOf, ENDPOINT_SLICES, type Kind, SERVICES } from '../src/k8s/kind.ts';
import { Reflector } from '../src/k8s/reflector.ts';
import { readEndpointSlice, readService } from '../src/k8s/resource.ts';
import { type Reader, Store } from '../src/k8s/store.ts';

export interface Reading {
  readonly syncMs: number;
  readonly heapMiB: number;
  readonly rssMiB: number;
  /** The longest time between two turns of the loop: by the clock, and in CPU time of the thread, others not counted. */
  readonly blockMs: number;
  readonly workMs: number;
  readonly objects: number;
}

const collect = (): number => {
  for (let i = 0; i < 3; i++) globalThis.gc?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
};

/** Most CPU that the thread used between two turns of a timer, ms. */
const work = { most: 0, last: 0 };
const used = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
};
setInterval(() => {
  const now = used();
  work.most = Math.max(work.most, now - work.last);
  work.last = now;
}, 1);

const server = process.argv[2] ?? '';
const api = new Api(new Cluster({ server, credentials: async () => ({ headers: {}, tls: {} }) }));
let ends = new AbortController();

function reflect<T extends object>(kind: Kind, read: Reader<T>): { store: Store<T>; start: () => Reflector } {
  const [changed, unreadable] = [() => undefined, () => undefined];
  const store = new Store<T>({ kind: kind.kind, apiVersion: apiVersionOf(kind), read, changed, unreadable });
  const start = () => {
    const reflector = new Reflector({ api, selection: { kind }, store, tell: () => undefined });
    void reflector.run(ends.signal);
    return reflector;
  };
  return { store, start };
}

async function sync(starts: readonly (() => Reflector)[]): Promise<number> {
  const began = performance.now();
  const reflectors = starts.map((start) => start());
  while (!reflectors.every(({ state }) => state.synced)) await sleep(2);
  return performance.now() - began;
}

const services = reflect(SERVICES, readService);
const slices = reflect(ENDPOINT_SLICES, readEndpointSlice);
const endpoints = groupSlices(slices.store);
// the code itself, and the pools of the client, are no cost of the objects
await api.list({ kind: SERVICES }, { limit: 1, continue: '' });
const before = collect();
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
await sleep(20);
work.most = 0;
const syncMs = await sync([services.start, slices.start]);
const objects = services.store.map().size + endpoints.map().size;
const [firstBlock, firstWork] = [delay.max, work.most];
const first = collect() - before;
ends.abort();
ends = new AbortController();
// the collections above held the loop too
await sleep(20);
delay.reset();
work.most = 0;
const again = await sync([services.start, slices.start]);
const blockMs = Math.max(firstBlock, delay.max) / 1e6;
const workMs = Math.max(firstWork, work.most);
const heapMiB = Math.max(first, collect() - before);
const rssMiB = process.memoryUsage().rss / 2 ** 20;
const reading: Reading = { syncMs: Math.max(syncMs, again), heapMiB, rssMiB, blockMs, workMs, objects };
console.log(JSON.stringify(reading));
process.exit(0);
