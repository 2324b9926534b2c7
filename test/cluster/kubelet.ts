// Scheduler and kubelet in one, as little of them as stories need: gives every Pod a node, starts its one container's
// process in a namespace of its own (or in the node's, with hostNetwork), tells the API how it goes, starts it again
// when it ends, and ends it when the Pod is deleted. A node can be switched off and on.

import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Lab, node, type Place } from '../interop/lab.ts';
import type { Daemon } from '../interop/process.ts';
import { Refused, type Selection } from './api.ts';
import { commandOf, type Pod, type Site, writeFiles } from './container.ts';
import type { ControlPlane } from './control-plane.ts';
import { PodNetwork } from './pod-network.ts';

const run = promisify(execFile);
const PODS: Selection = { apiVersion: 'v1', kind: 'Pod' };

interface Running {
  readonly pod: Pod;
  readonly place: Place;
  readonly site: Site;
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
  /** By uid: a Pod that changes while it is being started is not started twice, and one that goes is waited for. */
  readonly #starts = new Map<string, Promise<void>>();
  /** Nodes that are off; what happens next on one waits until it is on. */
  readonly #off = new Map<number, PromiseWithResolvers<void>>();
  #scheduled = 0;
  /** Environment that a story gives to a Pod's next start, beside what its manifest says: a wrong clock, for one. */
  extraEnvironment: (podName: string) => readonly string[] = () => [];

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

  /** The machine is switched off: nobody is asked. */
  async stop(): Promise<void> {
    this.#stop.abort();
    for (const each of this.#running.values()) each.ending = true;
    await Promise.all([...this.#running.values()].map(({ daemon }) => daemon.stop('SIGKILL')));
  }

  /** The power of the i-th node goes: its processes end at once and nobody is told. */
  async cutPower(i: number): Promise<void> {
    this.#off.set(i, Promise.withResolvers());
    await Promise.all(this.#on(i).map(({ daemon }) => daemon.stop('SIGKILL')));
  }

  /** The i-th node is shut down: Pods that `isFirst` picks have ended before the others are told to. */
  async shutDown(i: number, isFirst: (pod: Pod) => boolean): Promise<void> {
    this.#off.set(i, Promise.withResolvers());
    const end = async (running: Running): Promise<void> => {
      await this.#report(running, false).catch(() => {});
      await running.daemon.stop('SIGTERM', graceOf(running.pod));
    };
    const [first, others] = [true, false].map((is) => this.#on(i).filter(({ pod }) => isFirst(pod) === is));
    await Promise.all((first ?? []).map(end));
    await Promise.all((others ?? []).map(end));
  }

  /** Its Pods are started again. */
  switchOn(i: number): void {
    this.#off.get(i)?.resolve();
    this.#off.delete(i);
  }

  async #untilOn({ spec }: Pod): Promise<void> {
    await this.#off.get(Number(spec.nodeName?.slice(1)))?.promise;
  }

  #on(i: number): Running[] {
    return [...this.#running.values()].filter(({ pod }) => pod.spec.nodeName === `n${i}`);
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
    if (this.#starts.has(uid)) return;
    const start = this.#begin(pod, pod.spec.nodeName);
    this.#starts.set(uid, start);
    await start;
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
    await this.#untilOn(pod);
    const host = node(i);
    const { place, address } = pod.spec.hostNetwork
      ? { place: `n${i}` as const, address: host }
      : this.#network.attach(i);
    const { address: server, port } = this.#control;
    const site = { hostIp: host.ipv4, ips: [address.ipv4, address.ipv6], server: { address: server, port } };
    const folder = this.#lab.makeFolder(`pod-${pod.metadata.name}`);
    await writeFiles(this.#control.api, pod, folder, this.#control.ca());
    const daemon = this.#spawn({ pod, place, site, folder });
    const running: Running = { pod, place, site, folder, daemon, restarts: 0, ending: false };
    this.#running.set(pod.metadata.uid, running);
    void this.#keep(running);
  }

  /** From start to start, until the Pod goes. */
  async #keep(running: Running): Promise<void> {
    while (!running.ending && !this.#stop.signal.aborted) {
      const { daemon } = running;
      // an object that changed or a server that is away: the next report makes it good
      await this.#report(running, false).catch(() => {});
      if (await this.#untilReady(running, daemon)) await this.#report(running, true).catch(() => {});
      await daemon.ended;
      await this.#untilOn(running.pod);
      if (running.ending || this.#stop.signal.aborted) return;
      // before it runs again, so that nobody takes what was true of the old process for the new one
      await this.#report(running, false).catch(() => {});
      // the first time at once, then as a kubelet backs off, in small
      await sleep(running.restarts === 0 ? 0 : Math.min(2_000, 100 * 2 ** running.restarts));
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
      await sleep(100);
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

  async #report({ pod, site, restarts }: Running, ready: boolean): Promise<void> {
    const status = ready ? 'True' : 'False';
    const startedAt = new Date().toISOString().replace(/\.\d+/, '');
    const [{ name, image }] = pod.spec.containers;
    await this.#control.api.patchStatus(pod, {
      phase: 'Running',
      hostIP: site.hostIp,
      podIP: site.ips[0],
      podIPs: site.ips.map((ip) => ({ ip })),
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
    await this.#starts.get(pod.metadata.uid)?.catch(() => {});
    const running = this.#running.get(pod.metadata.uid);
    if (running === undefined || running.ending) return;
    running.ending = true;
    const graceMs = gone ? 0 : graceOf(pod);
    await this.#untilOn(pod);
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

  #spawn({ pod, place, site, folder }: Pick<Running, 'pod' | 'place' | 'site' | 'folder'>): Daemon {
    return this.#lab.spawn(
      pod.metadata.name,
      place,
      commandOf(pod, folder, site, this.extraEnvironment(pod.metadata.name)),
    );
  }
}

function graceOf({ spec }: Pod): number {
  return (spec.terminationGracePeriodSeconds ?? 30) * 1_000;
}
