// The packet thread as main sees it: started, told what is wanted, heard. Owned by process/packet-half. Its machine is
// whatever the entry drives (see packet/worker); what goes over is whole wanted states down and reports up. If the thread
// dies or hangs, so does the process end: its sessions and addresses would be nobody's.

import { Worker } from 'node:worker_threads';
import { Heartbeat } from './heartbeat.ts';
import { endAtOnce, openWake, wake } from './packet/kernel.ts';
import type { FromThread, ThreadStart, ToThread } from './packet/worker.ts';
import { closeSocket } from './syscall.ts';

/** A turn is 100 ms at most. */
const END_WITHIN_MS = 1_000;

/** The view that was asked for, and is not there yet. */
interface Asked<View> {
  readonly view: Promise<View>;
  readonly give: (view: View) => void;
  readonly refuse: (why: Error) => void;
}

export class PacketThread<Wanted, Report extends { readonly report: string }, View> {
  readonly #worker: Worker;
  readonly #wake: number;
  readonly #report: (report: Report) => void;
  readonly #heartbeat: Heartbeat;
  readonly #exited: Promise<void>;
  #asked: Asked<View> | undefined;
  #isEnding = false;
  #fault: unknown;
  #recent: readonly string[] = [];

  /** `entry`: as `threadEntry` finds it. Throws SystemCallError. */
  constructor(entry: URL, report: (report: Report) => void) {
    this.#report = report;
    this.#wake = openWake();
    const now = BigInt(Math.round(performance.now() * 1e6));
    const start: ThreadStart = { wake: this.#wake, origin: process.hrtime.bigint() - now };
    this.#worker = new Worker(entry, { workerData: start, name: 'packets' });
    this.#worker.on('message', (message: FromThread<Report, View>) => this.#hear(message));
    this.#worker.on('error', (fault) => {
      this.#fault = fault;
    });
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
    this.#worker.once('exit', (code) => this.#exit(code));
    this.#heartbeat = new Heartbeat(
      () => this.#say({ say: 'beat' }),
      (seconds) => {
        // Node waits for its threads when it ends, and for ever for one that is stuck in a system call
        process.once('exit', endAtOnce);
        throw new Error(`the packet thread hangs: it has said nothing for ${seconds} s`);
      },
    );
  }

  /** The thread's last events once it has died, for the line that a crash leaves. */
  get recent(): readonly string[] {
    return this.#recent;
  }

  /** All that is wanted from now on. */
  want(wanted: Wanted): void {
    this.#say({ say: 'wanted', wanted });
  }

  /** The machine hands over and reports that it has left. */
  leave(): void {
    this.#say({ say: 'leave' });
  }

  /** One question at a time: who asks while another is open gets its answer. Rejects when the thread ends before it answers. */
  view(): Promise<View> {
    if (this.#isEnding) return Promise.reject(new Error('the packet thread has ended'));
    if (this.#asked !== undefined) return this.#asked.view;
    const { promise: view, resolve: give, reject: refuse } = Promise.withResolvers<View>();
    this.#asked = { view, give, refuse };
    this.#say({ say: 'view' });
    return view;
  }

  /** Closes its sockets and ends it. */
  async end(): Promise<void> {
    this.#say({ say: 'end' });
    this.#isEnding = true;
    this.#heartbeat.end();
    const limit = setTimeout(() => void this.#worker.terminate(), END_WITHIN_MS);
    await this.#exited;
    clearTimeout(limit);
  }

  #say(message: ToThread<Wanted>): void {
    if (this.#isEnding) return;
    this.#worker.postMessage(message);
    wake(this.#wake);
  }

  #hear(message: FromThread<Report, View>): void {
    this.#heartbeat.heard();
    if (message.say === 'reports') for (const report of message.reports) this.#report(report);
    else if (message.say === 'crash') this.#recent = message.recent;
    else if (message.say === 'view') {
      this.#asked?.give(message.view);
      this.#asked = undefined;
    }
  }

  /** Everything that it said has been heard. */
  #exit(code: number): void {
    closeSocket(this.#wake);
    this.#heartbeat.end();
    this.#asked?.refuse(new Error('the packet thread has ended'));
    if (this.#isEnding) return;
    this.#isEnding = true;
    const fault = this.#fault;
    throw new Error(`the packet thread ended: ${fault instanceof Error ? fault.stack : `exit ${code}`}`);
  }
}

/** A thread's entry by its file's name: beside this room in the source, beside this piece of it in the bundle. */
export function threadEntry(name: string): URL {
  const isSource = import.meta.url.endsWith('.ts');
  return new URL(isSource ? `../${name}.ts` : `./${name}.js`, import.meta.url);
}
