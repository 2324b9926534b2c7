// etcd, kube-apiserver and kube-controller-manager in a place of the lab, each a process of its own, so that a story
// can kill one and leave the others. kube/start.sh knows their flags.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab, Place } from '../interop/lab.ts';
import { type Daemon, until } from '../interop/process.ts';
import { Api } from './api.ts';
import { findBinary, type KubeProgram } from './binaries.ts';

const START = join(import.meta.dirname, 'kube/start.sh');
const RELAY = join(import.meta.dirname, '../interop/inside.ts');
const PORT = 6443;
/** Of `tokens` in kube/start.sh: a member of system:masters. */
const ADMIN_TOKEN = 'tok';

export class ControlPlane {
  readonly api: Api;
  readonly address: string;
  readonly port = PORT;
  readonly folder: string;
  readonly #lab: Lab;
  readonly #place: Place;
  readonly #socket: string;
  readonly #running = new Map<KubeProgram, Daemon>();

  /** `address`: where nodes reach it. The lab must be up. */
  constructor(lab: Lab, place: Place, address: string) {
    this.#lab = lab;
    this.#place = place;
    this.address = address;
    this.folder = lab.makeFolder('control-plane');
    this.#socket = join(this.folder, 'api.socket');
    this.api = new Api(`https://${address}:${PORT}`, this.#socket, ADMIN_TOKEN);
  }

  /** Of an administrator, for programs that run in the lab. */
  get kubeconfig(): string {
    return join(this.folder, 'kubeconfig');
  }

  /** The CA of the API server, as pods get it. */
  ca(): string {
    return readFileSync(join(this.folder, 'certs/apiserver.crt'), 'utf8');
  }

  async start(): Promise<void> {
    const relay = [process.execPath, RELAY, 'relay', this.#socket, this.address, `${PORT}`];
    this.#lab.spawn('relay-api', this.#place, relay);
    this.startEtcd();
    this.startApiServer();
    await this.untilReady();
    this.startControllers();
  }

  startEtcd(...flags: readonly string[]): Daemon {
    return this.#spawn('etcd', flags);
  }

  startApiServer(...flags: readonly string[]): Daemon {
    return this.#spawn('kube-apiserver', flags);
  }

  startControllers(...flags: readonly string[]): Daemon {
    return this.#spawn('kube-controller-manager', flags);
  }

  async restartApiServer(): Promise<void> {
    await this.#stop('kube-apiserver', 'SIGTERM');
    this.startApiServer();
    await this.untilReady();
  }

  async stopEtcd(signal: NodeJS.Signals): Promise<void> {
    await this.#stop('etcd', signal);
  }

  async stopApiServer(signal: NodeJS.Signals): Promise<void> {
    await this.#stop('kube-apiserver', signal);
  }

  /** Switches all of it off: what it had in memory is nobody's any more. */
  async kill(): Promise<void> {
    await Promise.all([...this.#running.values()].map((daemon) => daemon.stop('SIGKILL')));
  }

  async untilReady(limitMs = 60_000): Promise<void> {
    await until('the API server is ready', async () => (await this.api.text('/readyz')) === 'ok', limitMs);
  }

  async #stop(program: KubeProgram, signal: NodeJS.Signals): Promise<void> {
    // a server that drains its watches may take its time
    await this.#running.get(program)?.stop(signal, 15_000);
  }

  #spawn(program: KubeProgram, flags: readonly string[]): Daemon {
    const command = [START, findBinary(program) ?? program, this.folder, `${PORT}`, this.address, ...flags];
    const daemon = this.#lab.spawn(program, this.#place, command);
    this.#running.set(program, daemon);
    return daemon;
  }
}
