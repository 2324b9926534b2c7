// A process of ours as in a pod, on a real API server on loopback: what the benches of controller and speaker share.

import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import type { ApiObject } from '../src/config/resource.ts';
import type { Api } from '../src/k8s/api.ts';
import { CUSTOM_RESOURCE_DEFINITIONS } from '../src/k8s/kind.ts';
import { type LoopbackApi, lackingForLoopback } from '../test/cluster/loopback.ts';
import { until } from '../test/interop/process.ts';
import { IMAGE_ENV, IMAGE_FLAGS } from '../test/interop/speaker.ts';
import { freePort } from '../test/io/sockets.ts';

/** MetalLB's namespace, and the one of the Services. */
export const [NAMESPACE, APP] = ['metallb-system', 'app'];
const BUNDLE = join(import.meta.dirname, '../dist/fairway.js');
/** Where the processes serve state, metrics and health: the usual ports may be somebody else's on this machine. */
const [HTTP, HEALTH] = [await freePort(), await freePort()];
const PARALLEL = 8;

/** Throws when what is needed is not there. */
export function needBundleAndApi(): void {
  const lacking = [...lackingForLoopback(), ...(existsSync(BUNDLE) ? [] : ['no bundle: npm run build'])];
  if (lacking.length > 0) throw new Error(`cannot be measured: ${lacking.join(', ')}`);
}

/** Our definitions, and waits until each is served. */
export async function installCrds(api: Api, plurals: readonly string[]): Promise<void> {
  const folder = join(import.meta.dirname, '../manifests/crd');
  for (const plural of plurals) {
    const [document] = parseAllDocuments(readFileSync(join(folder, `${plural}.yaml`), 'utf8'));
    const definition = document?.toJS() as ApiObject;
    await api.create({ kind: CUSTOM_RESOURCE_DEFINITIONS }, definition);
    const { versions } = definition['spec'] as { versions: { name: string; storage: boolean }[] };
    const version = versions.find(({ storage }) => storage)?.name ?? '';
    const kind = { path: `apis/metallb.io/${version}`, plural, kind: plural, namespaced: true };
    const served = () =>
      api.list({ kind }, { limit: 1, continue: '' }).then(
        () => true,
        () => false,
      );
    await until(`${plural} are served`, served, 30_000);
  }
}

/** `make(0)` to `make(count - 1)`, some at a time. */
export async function inParallel(count: number, make: (i: number) => Promise<unknown>, from = 0): Promise<void> {
  let next = from;
  const work = async () => {
    for (let i = next++; i < count; i = next++) await make(i);
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
}

/** The bundle with the files of a ServiceAccount where a kubelet puts them, in a mount namespace of its own. */
export function startInPod(server: LoopbackApi, verb: string, flags: readonly string[]): ChildProcess {
  const account = join(server.folder, 'account');
  mkdirSync(account, { recursive: true });
  cpSync(server.ca, join(account, 'ca.crt'));
  writeFileSync(join(account, 'token'), 'tok');
  writeFileSync(join(account, 'namespace'), NAMESPACE);
  const place = '/run/secrets/kubernetes.io/serviceaccount';
  const script = `mount -t tmpfs none /run && mkdir -p ${place} && cp ${account}/* ${place} && exec "$@"`;
  // as the image runs it
  const doors = ['--port=0', `--http=127.0.0.1:${HTTP}`, `--health-probe-port=${HEALTH}`];
  const command = [process.execPath, ...IMAGE_FLAGS, BUNDLE, verb, ...doors, '--log-level=warn', ...flags];
  return spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', ...command], {
    stdio: 'inherit',
    env: {
      ...process.env,
      ...IMAGE_ENV,
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT: `${server.port}`,
    },
  });
}

/** What a Prometheus reads of the process. */
export async function scrapeText(): Promise<string> {
  return (await fetch(`http://127.0.0.1:${HTTP}/metrics`)).text();
}

/** Reads a sample of the process's metrics by name, whatever its labels. */
export async function scrape(): Promise<(name: string) => number> {
  const text = await scrapeText();
  return (name) => Number(new RegExp(`^${name}(?:{[^}]*})? (\\S+)$`, 'm').exec(text)?.[1]);
}

/**
 * Looked at now and then, for looking costs memory there. What is to be written follows from what was, or waits some
 * seconds for more of its kind: nothing waits, three times.
 */
export async function untilWritten(): Promise<void> {
  const end = performance.now() + 600_000;
  for (let idle = 0; idle < 3; ) {
    await sleep(3_000);
    idle = (await scrape())('fairway_kubernetes_pending_writes') === 0 ? idle + 1 : 0;
    if (performance.now() > end) throw new Error('it never comes to rest');
  }
}

export function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}
