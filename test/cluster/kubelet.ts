// Scheduler and kubelet in one, as little of them as stories need: gives every Pod a node, starts its one container's process in a namespace
// (or in the node's, with hostNetwork) as the manifest says (arguments, environment, user, capabilities, mounted ServiceAccount), tells
// the API how it goes, starts it again when it ends, and ends it when the Pod is deleted.

import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Lab, node, type Place } from '../interop/lab.ts';
import type { Daemon } from '../interop/process.ts';
import { type KubeObject, Refused, type Selection } from './api.ts';
import type { ControlPlane } from './control-plane.ts';
import { PodNetwork } from './pod-network.ts';

const run = promisify(execFile);
const FAIRWAY = join(import.meta.dirname, '../../bin/fairway');
const INSIDE = join(import.meta.dirname, '../interop/inside.ts');
const PODS: Selection = { apiVersion: 'v1', kind: 'Pod' };

interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: number | string; readonly host?: string };
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
  }[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  readonly readinessProbe?: Probe;
  readonly securityContext?: SecurityContext & {
    readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  };
}

interface SecurityContext {
  readonly runAsUser?: number;
  readonly readOnlyRootFilesystem?: boolean;
}

export interface Pod extends KubeObject {
  readonly spec: {
    readonly nodeName?: string;
    readonly hostNetwork?: boolean;
    readonly serviceAccountName?: string;
    readonly terminationGracePeriodSeconds?: number;
    readonly securityContext?: SecurityContext;
    readonly affinity?: unknown;
    readonly containers: readonly [Container];
  };
}

interface Running {
  readonly pod: Pod;
  readonly place: Place;
  readonly ips: readonly string[];
  readonly hostIp: string;
  readonly folder: string;
  daemon: Daemon;
  restarts: number;
  ending: boolean;
}

export class Kubelet {
  readonly #lab: Lab;
  readonly #control: ControlPlane;
  readonly #network: PodNetwork;
  readonly #nodes: number;
  readonly #running = new Map<string, Running>();
  readonly #stop = new AbortController();
  /** Pods whose start is under way, by uid: a Pod that changes meanwhile is not started twice. */
  readonly #seen = new Set<string>();
  #scheduled = 0;

  constructor(lab: Lab, control: ControlPlane, nodes: number, places: number) {
    this.#lab = lab;
    this.#control = control;
    this.#nodes = nodes;
    this.#network = new PodNetwork(lab, places);
  }

  start(): void {
    const note = (fault: unknown): void => {
      process.stderr.write(`kubelet: ${fault instanceof Error ? fault.stack : fault}\n`);
    };
    void this.#control.api.watch<Pod>(PODS, this.#stop.signal, ({ type, object }) => {
      this.#handle(type, object).catch(note);
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const each of this.#running.values()) each.ending = true;
    await Promise.all([...this.#running.values()].map(({ daemon }) => daemon.stop('SIGTERM', 2_000)));
  }

  /** The process of a Pod's container; fails when there is none. */
  daemon(podName: string): Daemon {
    return this.#find(podName).daemon;
  }

  place(podName: string): Place {
    return this.#find(podName).place;
  }

  #find(podName: string): Running {
    const found = [...this.#running.values()].find(({ pod }) => pod.metadata.name === podName);
    if (found === undefined) throw new Error(`no pod ${podName} runs`);
    return found;
  }

  async #handle(type: string, pod: Pod): Promise<void> {
    const { uid } = pod.metadata;
    if (type === 'DELETED' || pod.metadata.deletionTimestamp !== undefined) return this.#end(pod, type === 'DELETED');
    if (pod.spec.nodeName === undefined) return this.#schedule(pod);
    if (this.#seen.has(uid)) return;
    this.#seen.add(uid);
    await this.#begin(pod, pod.spec.nodeName);
  }

  async #schedule(pod: Pod): Promise<void> {
    // a DaemonSet's Pod names its node; others take turns
    const wanted = /"matchFields".*?"values":\["([^"]+)"\]/.exec(JSON.stringify(pod.spec.affinity ?? {}))?.[1];
    const target = { apiVersion: 'v1', kind: 'Node', name: wanted ?? `n${(this.#scheduled++ % this.#nodes) + 1}` };
    const { name, namespace } = pod.metadata;
    const path = `/api/v1/namespaces/${namespace}/pods/${name}/binding`;
    await this.#control.api
      .call('POST', path, { apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace }, target })
      .catch((fault: unknown) => {
        // seen twice before the first binding came back
        if (!(fault instanceof Refused) || (fault.code !== 409 && fault.code !== 404)) throw fault;
      });
  }

  async #begin(pod: Pod, nodeName: string): Promise<void> {
    const i = Number(nodeName.slice(1));
    const host = node(i);
    const { place, address } = pod.spec.hostNetwork
      ? { place: `n${i}` as const, address: host }
      : this.#network.attach(i);
    const ips = [address.ipv4, address.ipv6];
    const folder = this.#lab.makeFolder(`account-${pod.metadata.name}`);
    const known = { pod, place, ips, hostIp: host.ipv4, folder };
    await this.#writeAccount(pod, folder);
    const running: Running = { ...known, daemon: this.#spawn(known), restarts: 0, ending: false };
    this.#running.set(pod.metadata.uid, running);
    void this.#keep(running);
  }

  /** From start to start, until the Pod goes. */
  async #keep(running: Running): Promise<void> {
    while (!running.ending && !this.#stop.signal.aborted) {
      const { daemon } = running;
      await this.#report(running, false).catch(() => {});
      const isReady = await this.#untilReady(running, daemon);
      if (isReady) await this.#report(running, true).catch(() => {});
      await daemon.ended;
      if (running.ending || this.#stop.signal.aborted) return;
      // the first time at once, then as a kubelet backs off, in small
      await sleep(running.restarts === 0 ? 0 : Math.min(5_000, 250 * 2 ** running.restarts));
      running.restarts += 1;
      if (!running.ending) running.daemon = this.#spawn(running);
    }
  }

  async #untilReady({ pod, place }: Running, daemon: Daemon): Promise<boolean> {
    const [{ readinessProbe, ports = [] }] = pod.spec.containers;
    const get = readinessProbe?.httpGet;
    const port = ports.find((each) => each.name === get?.port)?.containerPort ?? get?.port;
    while (daemon.running && !this.#stop.signal.aborted) {
      if (get === undefined || (await this.#answers(place, `http://${get.host ?? '127.0.0.1'}:${port}${get.path}`)))
        return true;
      await sleep(50);
    }
    return false;
  }

  async #answers(place: Place, url: string): Promise<boolean> {
    const inside = [`--net=/run/netns/${this.#lab.namespace(place)}`, 'curl', '-sf', '--max-time', '1', url];
    return run('nsenter', inside).then(
      () => true,
      () => false,
    );
  }

  async #report({ pod, ips, hostIp, restarts }: Running, ready: boolean): Promise<void> {
    const status = ready ? 'True' : 'False';
    const startedAt = new Date().toISOString().replace(/\.\d+/, '');
    const [{ name, image }] = pod.spec.containers;
    await this.#control.api.patchStatus(pod, {
      phase: 'Running',
      hostIP: hostIp,
      podIP: ips[0],
      podIPs: ips.map((ip) => ({ ip })),
      startTime: startedAt,
      conditions: ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map((type) => ({
        type,
        status: type.endsWith('Ready') ? status : 'True',
      })),
      containerStatuses: [
        { name, image, imageID: image, ready, restartCount: restarts, state: { running: { startedAt } } },
      ],
    });
  }

  async #end(pod: Pod, gone: boolean): Promise<void> {
    const running = this.#running.get(pod.metadata.uid);
    if (running === undefined || running.ending) return;
    running.ending = true;
    const graceMs = gone ? 0 : (pod.spec.terminationGracePeriodSeconds ?? 30) * 1_000;
    await this.#report(running, false).catch(() => {});
    await running.daemon.stop(graceMs === 0 ? 'SIGKILL' : 'SIGTERM', graceMs);
    this.#running.delete(pod.metadata.uid);
    if (running.place.startsWith('p')) this.#network.detach(running.place);
    if (gone) return;
    const { name, namespace } = pod.metadata;
    await this.#control.api
      .call('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}`, { gracePeriodSeconds: 0 })
      .catch(() => {});
  }

  async #writeAccount({ metadata, spec }: Pod, folder: string): Promise<void> {
    const namespace = metadata.namespace ?? 'default';
    const token = await this.#control.api.token(namespace, spec.serviceAccountName ?? 'default', {
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: metadata.name, uid: metadata.uid },
    });
    mkdirSync(folder, { recursive: true });
    for (const [file, text] of Object.entries({ token, namespace, 'ca.crt': this.#control.ca() })) {
      writeFileSync(join(folder, file), text, { mode: 0o644 });
    }
  }

  #spawn({ pod, place, ips, hostIp, folder }: Omit<Running, 'daemon' | 'restarts' | 'ending'>): Daemon {
    const [container] = pod.spec.containers;
    const { name, namespace = '', uid } = pod.metadata;
    const fields: Readonly<Record<string, string | undefined>> = {
      'metadata.name': name,
      'metadata.namespace': namespace,
      'metadata.uid': uid,
      'spec.nodeName': pod.spec.nodeName,
      'spec.serviceAccountName': pod.spec.serviceAccountName,
      'status.podIP': ips[0],
      'status.podIPs': ips.join(','),
      'status.hostIP': hostIp,
    };
    const environment = [
      `PATH=${process.env['PATH']}`,
      `KUBERNETES_SERVICE_HOST=${this.#control.address}`,
      `KUBERNETES_SERVICE_PORT=${this.#control.port}`,
      ...(container.env ?? []).map((each) => {
        const value = each.value ?? fields[each.valueFrom?.fieldRef?.fieldPath ?? ''] ?? '';
        return `${each.name}=${value}`;
      }),
    ];
    return this.#lab.spawn(name, place, [
      ...['unshare', '--mount', 'sh', '-c', MOUNTS, folder],
      ...['env', '-i', ...environment],
      ...confined(pod),
      ...program(container, name),
    ]);
  }
}

/** The ServiceAccount where pods have it, in a mount namespace of the process's own; the machine's /run stays as it is. */
const MOUNTS = [
  'mount -t tmpfs tmpfs /run',
  'mkdir -p /run/secrets/kubernetes.io/serviceaccount',
  'mount --bind "$0" /run/secrets/kubernetes.io/serviceaccount',
  'exec "$@"',
].join(' && ');

/** User and capabilities as the manifest allows; nothing beyond them. */
function confined({ spec }: Pod): string[] {
  const context = spec.containers[0].securityContext;
  const user = context?.runAsUser ?? spec.securityContext?.runAsUser;
  const capabilities = context?.capabilities;
  if (user === undefined && capabilities === undefined) return [];
  const added = (capabilities?.add ?? []).map((each) => `+${each.toLowerCase()}`);
  const set = (capabilities?.drop ?? []).includes('ALL') ? ['-all', ...added] : added;
  return [
    'setpriv',
    '--no-new-privs',
    ...(user === undefined ? [] : [`--reuid=${user}`, `--regid=${user}`, '--clear-groups']),
    ...(set.length === 0 ? [] : [`--bounding-set=${set.join(',')}`]),
    ...(set.length === 0 ? [] : [`--inh-caps=${set.join(',')}`]),
  ];
}

/** The images that there are: ours, and `serve`, which answers every connection to port 8080 with the Pod's name. */
function program({ image, args = [] }: Container, podName: string): string[] {
  const [, role] = /(?:^|\/)(controller|speaker)(?::[^/]*)?$/.exec(image) ?? [];
  if (role !== undefined) return [process.execPath, FAIRWAY, role, ...args];
  if (image === 'serve') return [process.execPath, INSIDE, 'serve', podName, '8080'];
  throw new Error(`no such image: ${image}`);
}
