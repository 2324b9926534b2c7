// The packet thread's own loop: one wait of at most 100 ms for all sockets, then everything that came is handed to the
// machine, then what main says, and only then a timer is believed (a detection time above all). Called by packet/worker.
// The clock and chance enter the house here and in drive. Back to Node's loop between turns: it cannot be ended otherwise.

import type { PacketEffect, PacketEvent } from '../../net/packet-io.ts';
import { type Machine, Steps } from '../steps.ts';
import { clearWake, PollSet } from './kernel.ts';
import { LinkWatch } from './link-watch.ts';
import { type Readable, Sockets } from './sockets.ts';

const LONGEST_WAIT_MS = 100;
/** More turns than these in so many ms, and each begins with a rest: what comes and what is due meanwhile is done as one. */
const BUSY_TURNS = 60;
const COUNTED_MS = 100;
const REST_MS = 2;

export type ThreadEvent<Wanted> =
  | PacketEvent
  | { readonly on: 'wanted'; readonly wanted: Wanted }
  | { readonly on: 'leave' };

/** What the thread drives; effects that the world is not asked for are reports. */
export type ThreadMachine<State, Wanted, Report extends { readonly report: string }> = Machine<
  State,
  ThreadEvent<Wanted>,
  PacketEffect | Report
>;

export interface LoopPorts<Report> {
  readonly clock: () => number;
  readonly report: (report: Report) => void;
  /** After all that came from the network: hands over what main has said. */
  readonly messages: () => void;
}

export class PacketLoop<State, Wanted, Report extends { readonly report: string }> {
  readonly #steps: Steps<State, ThreadEvent<Wanted>, PacketEffect | Report>;
  readonly #ports: LoopPorts<Report>;
  /** Readable when main has said something. */
  readonly #wake: number;
  readonly #poll = new PollSet();
  readonly #watch: LinkWatch;
  readonly #sockets: Sockets;
  #readable: readonly Readable[] = [];
  /** Place of the first of them that no rest may delay; they are the last. */
  #firstUrgent = 0;
  /** Of the present 100 ms, and whether those before were busy. */
  #turns = { since: 0, count: 0, isBusy: false };
  #polled = '';

  constructor(machine: ThreadMachine<State, Wanted, Report>, state: State, wake: number, ports: LoopPorts<Report>) {
    this.#ports = ports;
    this.#wake = wake;
    this.#steps = new Steps(
      machine,
      state,
      (effect) => ('do' in effect ? this.#sockets.carry(effect) : ports.report(effect)),
      ports.clock,
    );
    const emit = (event: PacketEvent): void => void this.#steps.handle(event);
    this.#watch = new LinkWatch((error) => emit({ on: 'failed', effect: 'links', about: 'netlink', error }));
    this.#sockets = new Sockets(emit, () => this.#watch.table);
  }

  get state(): State {
    return this.#steps.state;
  }

  /** The last events, for the line that a crash leaves. */
  get recent(): readonly string[] {
    return this.#steps.recent;
  }

  handle(event: ThreadEvent<Wanted>): void {
    this.#steps.handle(event);
  }

  /** Waits, and does all that there is to do. */
  turn(): void {
    const { clock, messages } = this.#ports;
    this.#watch.start(clock());
    this.#watchSockets();
    this.#rest();
    const due = Math.min(this.#steps.dueAt, this.#watch.dueAt);
    for (const at of this.#poll.wait(Math.min(LONGEST_WAIT_MS, Math.max(0, due - clock()))))
      this.#readable[at]?.drain();
    this.#tellLinks();
    // nothing can be opened on links that are not known yet
    if (this.#watch.isWhole || this.#watch.fd === undefined) messages();
    if (this.#steps.dueAt <= clock()) this.#steps.handle({ on: 'tick' });
  }

  /** Closes every socket; no more steps. */
  end(): void {
    this.#steps.end();
    this.#sockets.close();
    this.#watch.close();
  }

  /** Thousands of packets a second cost a turn each otherwise; a few are answered as soon as they come. */
  #rest(): void {
    const now = this.#ports.clock();
    const { since, count, isBusy } = this.#turns;
    if (now - since < COUNTED_MS) this.#turns.count++;
    // a rest makes turns rarer by itself
    else this.#turns = { since: now, count: 1, isBusy: count > (isBusy ? BUSY_TURNS / 3 : BUSY_TURNS) };
    if (this.#turns.isBusy) this.#poll.rest(REST_MS, this.#firstUrgent);
  }

  #watchSockets(): void {
    const { fd } = this.#watch;
    const polled = `${fd} ${this.#sockets.generation}`;
    if (polled === this.#polled) return;
    this.#polled = polled;
    // links first: an address that is gone, or a link, is known before what came over it
    this.#readable = [
      ...(fd === undefined ? [] : [{ fd, drain: () => this.#watch.drain(this.#ports.clock()) }]),
      { fd: this.#wake, drain: () => clearWake(this.#wake) },
      ...this.#sockets.readable(),
    ];
    this.#poll.watch(this.#readable.map((each) => each.fd));
    this.#firstUrgent = this.#readable.filter(({ isUrgent }) => isUrgent !== true).length;
  }

  #tellLinks(): void {
    const links = this.#watch.changed(this.#ports.clock());
    if (links === undefined) return;
    this.#steps.handle({ on: 'links', links });
    this.#sockets.checkLinks();
  }
}
