// The only loop: owns a machine's state, hands it events one after another, carries what it asks for, and wakes it when
// a timer is due. The clock and chance enter the house here. Used by standalone and listen.

import { OFF, type Step, type Tick } from '../net/machine.ts';

/** Events and effects of a machine that ends up in a log after a fault: that many of the last ones. */
const REMEMBERED = 64;
/** The longest wait that setTimeout knows. */
const LONGEST_MS = 2 ** 31 - 1;

export interface Machine<S, Ev, Fx> {
  readonly step: (state: S, event: Ev | { readonly on: 'tick' }, tick: Tick) => Step<S, Fx>;
  /** The instant at which it wants a `tick` event, or `OFF`. */
  readonly dueAt: (state: S) => number;
}

export class Drive<S, Ev extends { readonly on: string }, Fx> {
  readonly #machine: Machine<S, Ev, Fx>;
  readonly #carry: (effect: Fx, now: number) => void;
  readonly #waiting: (Ev | { readonly on: 'tick' })[] = [];
  readonly #recent: string[] = [];
  #state: S;
  #stepping = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = OFF;
  #turn: NodeJS.Immediate | undefined;
  #ended = false;

  constructor(machine: Machine<S, Ev, Fx>, state: S, carry: (effect: Fx, now: number) => void) {
    this.#machine = machine;
    this.#state = state;
    this.#carry = carry;
  }

  get state(): S {
    return this.#state;
  }

  /** The last events, oldest first, as `<ms> <event> [connection]`: no octets, no secrets. */
  get recent(): readonly string[] {
    return this.#recent;
  }

  /** Steps now, or right after the step that this call came from: events never overtake each other. */
  handle(event: Ev | { readonly on: 'tick' }): void {
    if (this.#ended) return;
    this.#waiting.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) this.#step(next);
    } finally {
      this.#stepping = false;
    }
    this.#arm();
  }

  /** No more steps, no more timers. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    clearImmediate(this.#turn);
  }

  #step(event: Ev | { readonly on: 'tick' }): void {
    const now = performance.now();
    this.#remember(event, now);
    const [state, effects] = this.#machine.step(this.#state, event, { now, random: Math.random() });
    this.#state = state;
    for (const effect of effects) this.#carry(effect, now);
  }

  /** One timer at a time, moved only when the machine wants to be woken earlier than it is set for. */
  #arm(): void {
    const due = this.#machine.dueAt(this.#state);
    if (due >= this.#timerAt || due === OFF || this.#ended || this.#turn !== undefined) return;
    clearTimeout(this.#timer);
    this.#timerAt = due;
    const wait = Math.min(LONGEST_MS, Math.max(0, Math.ceil(due - performance.now())));
    this.#timer = setTimeout(() => this.#fired(), wait);
  }

  /**
   * Timers come before the poll phase in Node's loop, setImmediate after it: what has arrived is handled before an
   * expired timer is believed (a hold timer above all).
   */
  #fired(): void {
    this.#timerAt = OFF;
    this.#turn = setImmediate(() => {
      this.#turn = undefined;
      if (this.#machine.dueAt(this.#state) <= performance.now()) this.handle({ on: 'tick' });
      else this.#arm();
    });
  }

  #remember(event: { readonly on: string }, now: number): void {
    const of = 'connection' in event ? ` ${String(event.connection)}` : '';
    this.#recent.push(`${now.toFixed(1)} ${event.on}${of}`);
    if (this.#recent.length > REMEMBERED) this.#recent.shift();
  }
}
