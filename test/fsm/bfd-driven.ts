// One BFD session in the hands of a test: a clock that only moves when told, packets of an imaginary peer, everything that
// left. Used by the matrix, the timer tests and those of authentication.

import type { Key } from '../../src/bfd/auth.ts';
import { sectionOctets, sign } from '../../src/bfd/auth.ts';
import { type ControlPacket, decode, encode } from '../../src/bfd/packet.ts';
import type { SessionEvent, SessionReport } from '../../src/bfd/session.ts';
import { dueAt, startSession, step } from '../../src/bfd/session.ts';
import type { Session, SessionParameters } from '../../src/bfd/variables.ts';

export const MINE = 0x11111111;
export const PEER = 0x22222222;

export const PARAMETERS: SessionParameters = {
  detectMult: 3,
  desiredMinTxMs: 300,
  requiredMinRxMs: 200,
  slowTxMs: 1000,
  passive: false,
  minTtl: 255,
  keys: [],
};

/** A peer that is as fast as it says from the beginning, so that a test sees each number where it comes from. */
export const TOLD: ControlPacket = {
  diagnostic: 0,
  state: 'Down',
  poll: false,
  final: false,
  controlPlaneIndependent: false,
  demand: false,
  detectMult: 5,
  myDiscriminator: PEER,
  yourDiscriminator: MINE,
  desiredMinTxMs: 100,
  requiredMinRxMs: 50,
  requiredMinEchoRxMs: 0,
};

export interface Sent {
  readonly at: number;
  readonly packet: ControlPacket;
  readonly bytes: Uint8Array;
}

export class Driven {
  readonly session: Session;
  now = 1000;
  random = 0.5;
  sent: Sent[] = [];
  reports: SessionReport[] = [];
  echoes: { readonly at: number; readonly bytes: Uint8Array }[] = [];

  constructor(parameters: Partial<SessionParameters> = {}) {
    this.session = startSession('s', MINE, { ...PARAMETERS, ...parameters }, this.#tick());
  }

  #tick() {
    return { now: this.now, random: this.random };
  }

  do(event: SessionEvent): this {
    const [, effects] = step(this.session, event, this.#tick());
    for (const effect of effects) {
      if ('report' in effect) {
        this.reports.push(effect);
        continue;
      }
      if (effect.do === 'bfd-echo') {
        this.echoes.push({ at: this.now, bytes: effect.bytes });
        continue;
      }
      const result = decode(effect.bytes);
      if ('drop' in result) throw new Error(`sent what is dropped: ${result.drop}`);
      this.sent.push({ at: this.now, packet: result.packet, bytes: effect.bytes });
    }
    return this;
  }

  /** The peer says this: `TOLD` but for what is given. */
  hear(changes: Partial<ControlPacket>, { ttl = 255, by }: { ttl?: number; by?: [Key, number] } = {}): this {
    const packet = { ...TOLD, ...changes };
    const bytes = encode(packet, by === undefined ? 0 : sectionOctets(by[0]));
    if (by !== undefined) sign(bytes, ...by);
    const result = decode(bytes);
    if ('drop' in result) throw new Error(result.drop);
    return this.do({ on: 'packet', packet: result.packet, bytes, ttl });
  }

  /** Time passes; ticks come exactly when they are due. */
  pass(ms: number): this {
    const until = this.now + ms;
    for (let due = dueAt(this.session); due <= until; due = dueAt(this.session)) {
      if (due > this.now) this.now = due;
      this.do({ on: 'tick' });
      if (dueAt(this.session) <= this.now) throw new Error('a tick did not do what was due');
    }
    this.now = until;
    return this;
  }

  retune(changes: Partial<SessionParameters>): this {
    return this.do({ on: 'configure', parameters: { ...this.session.parameters, ...changes } });
  }

  /** Forgets what has left and what was reported so far. */
  clear(): this {
    this.sent = [];
    this.reports = [];
    this.echoes = [];
    return this;
  }

  /** Up, its first Poll Sequence answered and over. */
  toUp(changes: Partial<ControlPacket> = {}): this {
    this.hear({ ...changes, state: 'Down' }).hear({ ...changes, state: 'Init' });
    return this.hear({ ...changes, state: 'Up', final: true }).hear({ ...changes, state: 'Up' });
  }

  get last(): ControlPacket {
    const last = this.sent.at(-1);
    if (last === undefined) throw new Error('nothing was sent');
    return last.packet;
  }

  get gaps(): number[] {
    return this.sent.slice(1).map(({ at }, i) => at - (this.sent[i]?.at ?? 0));
  }
}
