// Two BFD sessions of ours with a wire between them: one clock, one seed, a list of what is under way. A driver that may be
// stopped for a while, and that, like the real one, hands over all input before it gives a tick.

import type { Datagram, Path } from '../../src/bfd/demultiplex.ts';
import { demultiplex } from '../../src/bfd/demultiplex.ts';
import { type ControlPacket, decode } from '../../src/bfd/packet.ts';
import type { SessionEvent, SessionReport } from '../../src/bfd/session.ts';
import { dueAt, startSession, step } from '../../src/bfd/session.ts';
import type { Session, SessionParameters } from '../../src/bfd/variables.ts';
import type { Ip } from '../../src/net/address.ts';

export type Side = 'a' | 'b';
const OTHER: Readonly<Record<Side, Side>> = { a: 'b', b: 'a' };
const ADDRESS: Readonly<Record<Side, Ip>> = { a: '198.51.100.1' as Ip, b: '198.51.100.2' as Ip };

/** For one packet: after how many ms its copies arrive; none: it is lost. */
export type Wire = (from: Side, now: number, chance: () => number) => readonly number[];

export const PARAMETERS: SessionParameters = {
  detectMult: 3,
  desiredMinTxMs: 50,
  requiredMinRxMs: 50,
  slowTxMs: 1000,
  passive: false,
  minTtl: 255,
  keys: [],
};

export interface Sent {
  readonly at: number;
  readonly from: Side;
  readonly packet: ControlPacket;
}

/** mulberry32. */
export function chances(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Flight {
  readonly at: number;
  readonly to: Side;
  readonly bytes: Uint8Array;
}

interface End {
  session: Session;
  readonly path: Path;
  /** Stopped until then: neither input nor ticks. */
  stoppedUntil: number;
}

export class World {
  now = 0;
  wire: Wire = () => [1];
  readonly sent: Sent[] = [];
  readonly reports: (SessionReport & { readonly at: number; readonly side: Side })[] = [];
  readonly chance: () => number;
  readonly ends: Readonly<Record<Side, End>>;
  #flying: Flight[] = [];
  #nextDiscriminator = 1;

  constructor(seed: number, a: Partial<SessionParameters> = {}, b: Partial<SessionParameters> = {}) {
    this.chance = chances(seed);
    this.ends = { a: this.#end('a', a), b: this.#end('b', b) };
  }

  #end(side: Side, parameters: Partial<SessionParameters>): End {
    const path: Path = { hops: 'single', remote: ADDRESS[OTHER[side]], local: ADDRESS[side] };
    return { session: this.#start(side, { ...PARAMETERS, ...parameters }), path, stoppedUntil: 0 };
  }

  #start(side: Side, parameters: SessionParameters): Session {
    return startSession(side, this.#nextDiscriminator++ * 1000, parameters, this.#tick());
  }

  #tick() {
    return { now: this.now, random: this.chance() };
  }

  /** kill -9 and a new process. */
  restart(side: Side): void {
    const end = this.ends[side];
    end.session = this.#start(side, end.session.parameters);
  }

  stop(side: Side, ms: number): void {
    this.ends[side].stoppedUntil = this.now + ms;
  }

  retune(side: Side, changes: Partial<SessionParameters>): void {
    this.do(side, { on: 'configure', parameters: { ...this.ends[side].session.parameters, ...changes } });
  }

  do(side: Side, event: SessionEvent): void {
    const [session, effects] = step(this.ends[side].session, event, this.#tick());
    this.ends[side].session = session;
    for (const effect of effects) {
      if ('report' in effect) this.reports.push({ ...effect, at: this.now, side });
      else if (effect.do === 'bfd-send') this.#fly(side, effect.bytes);
    }
  }

  #fly(from: Side, bytes: Uint8Array): void {
    const decoded = decode(bytes);
    if ('drop' in decoded) throw new Error(`${from} sent what is dropped: ${decoded.drop}`);
    this.sent.push({ at: this.now, from, packet: decoded.packet });
    for (const delay of this.wire(from, this.now, this.chance)) {
      this.#flying.push({ at: this.now + delay, to: OTHER[from], bytes });
    }
  }

  #arrive(to: Side, bytes: Uint8Array): void {
    const { session, path } = this.ends[to];
    const datagram: Datagram = { hops: 'single', from: path.remote, to: ADDRESS[to], link: 'wire', ttl: 255, bytes };
    const sessions = new Map([[session.localDiscriminator, { localDiscriminator: session.localDiscriminator, path }]]);
    const found = demultiplex(datagram, sessions);
    if ('packet' in found) this.do(to, { on: 'packet', packet: found.packet, bytes, ttl: datagram.ttl });
  }

  /** Until `until`, in order of time; input before ticks. */
  run(until: number): this {
    for (;;) {
      const arrival = this.#first();
      const when = (side: Side, at: number) => Math.max(at, this.ends[side].stoppedUntil);
      const atArrival = arrival === undefined ? Number.POSITIVE_INFINITY : when(arrival.to, arrival.at);
      const dueA = when('a', dueAt(this.ends.a.session));
      const dueB = when('b', dueAt(this.ends.b.session));
      const next = Math.min(atArrival, dueA, dueB);
      if (next > until) break;
      this.now = Math.max(this.now, next);
      if (arrival !== undefined && atArrival === next) {
        this.#flying = this.#flying.filter((other) => other !== arrival);
        this.#arrive(arrival.to, arrival.bytes);
      } else this.do(dueA === next ? 'a' : 'b', { on: 'tick' });
    }
    this.now = until;
    return this;
  }

  /** What arrives next; for an end that is stopped, in the order in which its socket has it. */
  #first(): Flight | undefined {
    const taken = (flight: Flight) => Math.max(flight.at, this.ends[flight.to].stoppedUntil);
    let first: Flight | undefined;
    for (const flight of this.#flying) {
      const order = first === undefined ? -1 : taken(flight) - taken(first) || flight.at - first.at;
      if (order < 0) first = flight;
    }
    return first;
  }

  /** When this side left Up, and why. */
  downs(side?: Side) {
    return this.reports.filter((each) => each.from === 'Up' && (side === undefined || each.side === side));
  }

  get states(): string {
    return `${this.ends.a.session.state} ${this.ends.b.session.state}`;
  }
}
