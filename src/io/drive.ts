// A machine driven by Node's own loop: wakes it when a timer is due. The clock and chance enter the house here and in
// packet/loop. Used by announcer and listen.

import { OFF } from '../net/machine.ts';
import { type Machine, Steps } from './steps.ts';

/** The longest wait that setTimeout knows. */
const LONGEST_MS = 2 ** 31 - 1;

export class Drive<S, Ev extends { readonly on: string }, Fx> {
  readonly #steps: Steps<S, Ev, Fx>;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = OFF;
  #turn: NodeJS.Immediate | undefined;

  constructor(machine: Machine<S, Ev, Fx>, state: S, carry: (effect: Fx, now: number) => void) {
    this.#steps = new Steps(machine, state, carry, () => performance.now());
  }

  get state(): S {
    return this.#steps.state;
  }

  /** As Steps has it. */
  get recent(): readonly string[] {
    return this.#steps.recent;
  }

  /** As Steps does it. */
  handle(event: Ev | { readonly on: 'tick' }): void {
    if (this.#steps.handle(event)) this.#arm();
  }

  /** No more steps, no more timers. */
  end(): void {
    this.#steps.end();
    clearTimeout(this.#timer);
    clearImmediate(this.#turn);
  }

  /** One timer at a time, moved only when the machine wants to be woken earlier than it is set for. */
  #arm(): void {
    const due = this.#steps.dueAt;
    if (due >= this.#timerAt || due === OFF || this.#steps.isEnded || this.#turn !== undefined) return;
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
      if (this.#steps.dueAt <= performance.now()) this.handle({ on: 'tick' });
      else this.#arm();
    });
  }
}
