// A world for speakers: a clock, processes, and TCP over bad wires. Wires delay, split and join what is sent, hold it
// back when the receiver does not read or the cable is cut, and lose connections on one side only. TCP's promise is kept:
// octets arrive in order, once, or the connection fails. Every effect is checked against what its process may know.

import type { Ip } from '../../src/net/address.ts';
import type { IoEffect, IoEvent, Link, SocketAddress, TcpClosed } from '../../src/net/io.ts';
import {
  createSpeaker,
  dueAt,
  type SpeakerEffect,
  type SpeakerEvent,
  type SpeakerState,
  step,
} from '../../src/speaker.ts';
import { Agenda } from './agenda.ts';
import type { Chance } from './chance.ts';

/** One process on a host of its own. */
export interface Process {
  readonly name: string;
  readonly address: Ip;
  readonly link: Link;
  state: SpeakerState;
  /** Counts restarts: what was meant for an earlier one does not reach a later one. */
  epoch: number;
  up: boolean;
  listens: boolean;
  /** Runs nothing before this instant: the kernel goes on. */
  frozenUntil: number;
  /** Reads nothing from its sockets before this instant. */
  deafUntil: number;
  readonly dialled: Set<string>;
  timer: number;
}

interface End {
  readonly process: Process;
  readonly epoch: number;
  readonly id: string;
  /** `closing`: it has said so, and reads on without looking; `gone`: nothing more comes to it. */
  is: 'open' | 'closing' | 'gone';
  /** Gone, and its process knows. */
  told: boolean;
  /** On the way from here to the other end: in the process, in the kernels. */
  waiting: Uint8Array[];
  waitingOctets: number;
  pipe: Uint8Array[];
  pipeOctets: number;
  flowing: boolean;
  lastAt: number;
}

export interface Wire {
  readonly ends: readonly [End, End];
  readonly cable: Cable;
}

/** Between two hosts. */
export interface Cable {
  cutUntil: number;
  readonly delayMs: number;
}

/** What two kernels hold of one direction: beyond that the sender's process keeps it. */
const KERNEL_OCTETS = 96 * 1024;
const CLOSE_LIMIT_MS = 2_000;
const SYN_AGAIN_MS = [1_000, 3_000, 7_000, 15_000, 31_000];

export class Violation extends Error {}

export class World {
  now = 0;
  steps = 0;
  readonly chance: Chance;
  readonly agenda = new Agenda();
  readonly processes: Process[] = [];
  readonly wires = new Set<Wire>();
  /** Changes what a process asks for: only a story that is built to fail has one. */
  sabotage: ((process: Process, effect: SpeakerEffect) => readonly SpeakerEffect[]) | undefined;
  onReport: ((process: Process, report: Exclude<SpeakerEffect, IoEffect>) => void) | undefined;
  readonly #cables = new Map<string, Cable>();
  #accepted = 0;
  #burst = { at: -1, steps: 0 };

  constructor(chance: Chance) {
    this.chance = chance;
  }

  addProcess(name: string, address: Ip, link: Link): Process {
    const process: Process = {
      name,
      address,
      link,
      state: createSpeaker(),
      epoch: 0,
      up: true,
      listens: false,
      frozenUntil: 0,
      deafUntil: 0,
      dialled: new Set(),
      timer: 0,
    };
    this.processes.push(process);
    return process;
  }

  cable(a: Process, b: Process): Cable {
    const key = [a.name, b.name].sort().join();
    const cable = this.#cables.get(key) ?? { cutUntil: 0, delayMs: this.chance.between(1, 40) / 10 };
    this.#cables.set(key, cable);
    return cable;
  }

  /** Runs all that is due until an instant. */
  runUntil(until: number): void {
    for (let next = this.agenda.take(until); next !== undefined; next = this.agenda.take(until)) {
      this.now = Math.max(this.now, next.at);
      next.run();
    }
    this.now = until;
  }

  after(ms: number, run: () => void): void {
    this.agenda.add(this.now + ms, run);
  }

  /** Something happens to a process: now, or when it is no longer frozen. */
  tell(process: Process, event: SpeakerEvent, epoch = process.epoch, heard?: () => void): void {
    if (process.epoch === epoch && process.up && process.frozenUntil > this.now) {
      this.agenda.add(process.frozenUntil, () => this.tell(process, event, epoch, heard));
      return;
    }
    heard?.();
    if (process.epoch !== epoch || !process.up) return;
    this.#notBusy();
    const [state, effects] = step(process.state, event, { now: this.now, random: this.chance.next() });
    process.state = state;
    for (const effect of effects) {
      for (const one of this.sabotage?.(process, effect) ?? [effect]) this.#carryOut(process, one);
    }
    this.#setTimer(process);
  }

  /** The process ends without a word. `power`: with its host, so that nobody resets its connections. */
  kill(process: Process, how: 'process' | 'power'): void {
    process.up = false;
    process.listens = false;
    for (const wire of this.wires) {
      wire.ends.forEach((end, i) => {
        if (end.process !== process || end.is === 'gone') return;
        this.#gone(end);
        this.#told(wire, end);
        if (how === 'process') this.#reset(wire, i === 0 ? 1 : 0);
      });
    }
  }

  start(process: Process): void {
    process.state = createSpeaker();
    process.epoch++;
    process.up = true;
    process.dialled.clear();
    process.frozenUntil = 0;
    process.deafUntil = 0;
  }

  /** A box between two hosts resets their connections. */
  resetAll(cable: Cable): void {
    for (const wire of this.wires) {
      if (wire.cable !== cable) continue;
      this.#fail(wire, 0, 'ECONNRESET');
      this.#fail(wire, 1, 'ECONNRESET');
    }
  }

  #notBusy(): void {
    this.steps++;
    if (this.#burst.at !== this.now) this.#burst = { at: this.now, steps: 0 };
    if (++this.#burst.steps > 20_000) throw new Violation('the world stands still: steps without end at one instant');
  }

  #setTimer(process: Process): void {
    const version = ++process.timer;
    const { epoch } = process;
    const at = dueAt(process.state);
    if (at === Number.POSITIVE_INFINITY) return;
    const ring = (): void => {
      if (process.timer !== version || process.epoch !== epoch) return;
      // what arrived while it was frozen is looked at before a timer is believed
      if (process.frozenUntil > this.now) this.agenda.add(process.frozenUntil + 0.001, ring);
      else this.tell(process, { on: 'tick' }, epoch);
    };
    this.agenda.add(Math.max(at, this.now), ring);
  }

  #carryOut(process: Process, effect: SpeakerEffect): void {
    if ('report' in effect) {
      this.onReport?.(process, effect);
      return;
    }
    switch (effect.do) {
      case 'tcp-listen':
        process.listens = effect.on.length > 0;
        for (const at of effect.on) this.after(0, () => this.tell(process, { on: 'tcp-listening', at }));
        break;
      case 'tcp-connect':
        if (process.dialled.has(effect.connection)) throw new Violation(`${effect.connection} is dialled twice`);
        process.dialled.add(effect.connection);
        this.#connect(process, effect.connection, effect.to);
        break;
      case 'tcp-send': {
        const [wire, i] = this.#known(process, effect.connection, 'sends on');
        const end = wire.ends[i];
        // it failed meanwhile, and the news is on its way
        if (end.is === 'gone') break;
        end.waiting.push(effect.bytes);
        end.waitingOctets += effect.bytes.length;
        this.#pump(wire, i);
        break;
      }
      case 'tcp-close':
        this.#close(process, effect.connection, effect.how);
        break;
    }
  }

  readonly #dialling = new Map<string, { readonly process: Process; readonly epoch: number }>();

  #connect(process: Process, id: string, to: SocketAddress): void {
    const key = `${process.name} ${process.epoch} ${id}`;
    const { epoch } = process;
    this.#dialling.set(key, { process, epoch });
    const other = this.processes.find(({ address }) => address === to.address);
    if (other === undefined) throw new Violation(`${process.name} dials ${to.address}, which is nobody`);
    const cable = this.cable(process, other);
    const refuse = (code: string): void => {
      this.#dialling.delete(key);
      this.tell(process, { on: 'tcp-closed', connection: id, why: failed(code, 'connect') }, epoch);
    };
    const syn = (attempt: number): void => {
      if (!this.#dialling.has(key) || process.epoch !== epoch || !process.up) return;
      if (cable.cutUntil > this.now) {
        const again = SYN_AGAIN_MS[attempt];
        if (again === undefined) refuse('ETIMEDOUT');
        else this.after(again, () => syn(attempt + 1));
      } else if (!other.listens)
        this.after(cable.delayMs, () => (this.#dialling.has(key) ? refuse('ECONNREFUSED') : undefined));
      else this.#open(process, id, other, cable, key);
    };
    this.after(cable.delayMs, () => syn(0));
  }

  #open(process: Process, id: string, other: Process, cable: Cable, key: string): void {
    this.#dialling.delete(key);
    const port = 32768 + (++this.#accepted % 28000);
    const local: SocketAddress = { address: process.address, port };
    const remote: SocketAddress = { address: other.address, port: 179 };
    const accepted = `${other.address}:179#${this.#accepted}`;
    const wire: Wire = { ends: [newEnd(process, id), newEnd(other, accepted)], cable };
    this.wires.add(wire);
    const opened = { local, remote, link: process.link };
    this.after(cable.delayMs, () => this.#toEnd(wire, 0, { on: 'tcp-opened', connection: id, ...opened }));
    const seen = { local: remote, remote: local, link: other.link };
    this.#toEnd(wire, 1, { on: 'tcp-accepted', connection: accepted, ...seen });
  }

  /** The wire of a connection that this process has open: an effect for any other is a fault of ours. */
  #known(process: Process, id: string, does: string): readonly [wire: Wire, end: 0 | 1] {
    for (const wire of this.wires) {
      for (const i of [0, 1] as const) {
        const end = wire.ends[i];
        if (
          end.id === id &&
          end.process === process &&
          end.epoch === process.epoch &&
          end.is !== 'closing' &&
          !end.told
        )
          return [wire, i];
      }
    }
    throw new Violation(`${process.name} ${does} ${id}, which it does not have`);
  }

  #close(process: Process, id: string, how: 'fin' | 'rst'): void {
    const key = `${process.name} ${process.epoch} ${id}`;
    if (this.#dialling.delete(key)) {
      this.after(0, () =>
        this.tell(process, { on: 'tcp-closed', connection: id, why: { because: 'fin' } }, process.epoch),
      );
      return;
    }
    const [wire, i] = this.#known(process, id, 'closes');
    const end = wire.ends[i];
    // it failed meanwhile, and the news is on its way
    if (end.is === 'gone') return;
    if (how === 'rst') {
      this.#fail(wire, i, 'ECONNABORTED');
      this.#reset(wire, i === 0 ? 1 : 0);
      return;
    }
    end.is = 'closing';
    this.#pump(wire, i);
    this.#flow(wire, i);
    this.after(CLOSE_LIMIT_MS, () => {
      if (end.is !== 'closing') return;
      this.#fail(wire, i, 'ECONNABORTED');
      this.#reset(wire, i === 0 ? 1 : 0);
    });
  }

  /** From the sender's process into the kernels, as far as there is room. */
  #pump(wire: Wire, i: 0 | 1): void {
    const end = wire.ends[i];
    let taken = 0;
    while (end.waiting.length > 0 && end.pipeOctets < KERNEL_OCTETS) {
      const [first = new Uint8Array()] = end.waiting;
      const part = first.subarray(0, KERNEL_OCTETS - end.pipeOctets);
      if (part.length === first.length) end.waiting.shift();
      else end.waiting[0] = first.subarray(part.length);
      end.pipe.push(part);
      end.pipeOctets += part.length;
      taken += part.length;
    }
    end.waitingOctets -= taken;
    if (taken > 0 && end.is === 'open') {
      const left = end.waitingOctets;
      const event: IoEvent = { on: 'tcp-drained', connection: end.id, bytes: taken, left };
      this.after(this.chance.next() / 10, () => this.#toEnd(wire, i, event));
    }
    this.#flow(wire, i);
  }

  /** From the kernels to the receiver, a piece at a time. */
  #flow(wire: Wire, i: 0 | 1): void {
    const end = wire.ends[i];
    if (end.flowing || end.is === 'gone' || (end.pipeOctets === 0 && end.is === 'open')) return;
    end.flowing = true;
    end.lastAt = Math.max(end.lastAt, this.now + wire.cable.delayMs);
    this.agenda.add(end.lastAt, () => this.#arrive(wire, i));
  }

  #arrive(wire: Wire, i: 0 | 1): void {
    const end = wire.ends[i];
    const to = wire.ends[i === 0 ? 1 : 0];
    if (end.is === 'gone' && end.pipeOctets === 0) return;
    // nothing passes a cut cable; a receiver that reads nothing leaves it in the kernels
    const held = Math.max(wire.cable.cutUntil, to.is === 'open' ? to.process.deafUntil : 0);
    if (held > this.now) {
      this.agenda.add(held + this.chance.next(), () => this.#arrive(wire, i));
      return;
    }
    end.flowing = false;
    if (to.is === 'gone') {
      // the host does not know the connection (any more)
      this.#fail(wire, i, 'ECONNRESET');
      return;
    }
    if (end.pipeOctets > 0) {
      const piece = this.#piece(end);
      if (to.is === 'open') this.#toEnd(wire, i === 0 ? 1 : 0, { on: 'tcp-data', connection: to.id, bytes: piece });
      this.#pump(wire, i);
      return;
    }
    if (end.is !== 'closing' || end.waitingOctets > 0) return;
    // FIN: in order, behind all that was sent
    this.#finish(wire, i === 0 ? 1 : 0, { because: 'fin' });
    this.#finish(wire, i, { because: 'fin' });
  }

  /** All of it, or a part that ends anywhere. */
  #piece(end: End): Uint8Array {
    const whole = end.pipe.length === 1 ? (end.pipe[0] ?? new Uint8Array()) : new Uint8Array(Buffer.concat(end.pipe));
    const cut = this.chance.happens(0.3) ? this.chance.between(1, Math.min(60, whole.length)) : whole.length;
    const part = whole.subarray(0, this.chance.happens(0.8) ? cut : this.chance.between(1, whole.length));
    const rest = whole.subarray(part.length);
    end.pipe = rest.length === 0 ? [] : [rest];
    end.pipeOctets = rest.length;
    // a copy, as from a socket: whoever keeps a view of it keeps it for itself
    return part.slice();
  }

  #toEnd(wire: Wire, i: 0 | 1, event: IoEvent): void {
    const end = wire.ends[i];
    if (end.is === 'open') this.tell(end.process, event, end.epoch);
  }

  /** A reset travels to one end, unless the cable is cut: then nobody hears of it. */
  #reset(wire: Wire, i: 0 | 1): void {
    this.after(wire.cable.delayMs, () => {
      if (wire.cable.cutUntil <= this.now) this.#fail(wire, i, 'ECONNRESET');
    });
  }

  #fail(wire: Wire, i: 0 | 1, code: string): void {
    this.#finish(wire, i, failed(code, 'read'));
  }

  #finish(wire: Wire, i: 0 | 1, why: TcpClosed): void {
    const end = wire.ends[i];
    if (end.is === 'gone') return;
    this.#gone(end);
    this.tell(end.process, { on: 'tcp-closed', connection: end.id, why }, end.epoch, () => this.#told(wire, end));
  }

  #told(wire: Wire, end: End): void {
    end.told = true;
    if (wire.ends.every(({ told }) => told)) this.wires.delete(wire);
  }

  #gone(end: End): void {
    end.is = 'gone';
    end.waiting = [];
    end.waitingOctets = 0;
    end.pipe = [];
    end.pipeOctets = 0;
  }
}

function newEnd(process: Process, id: string): End {
  const { epoch } = process;
  const nothing = { waiting: [], waitingOctets: 0, pipe: [], pipeOctets: 0, flowing: false, lastAt: 0 };
  return { process, epoch, id, is: 'open', told: false, ...nothing };
}

function failed(code: string, call: string): TcpClosed {
  return { because: 'failed', error: { code, call, text: code } };
}
