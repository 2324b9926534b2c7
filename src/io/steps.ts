// A machine's state and the one way to move it: events one after another, effects carried in order, the last events kept
// for a crash. Owned by drive (Node's own loop) and by packet/loop (the packet thread's), which know when to wake it.

import type { Step, Tick } from '../net/machine.ts';

/** Events of a machine that end up in a log after a fault: that many of the last ones. */
const REMEMBERED = 64;

export interface Machine<S, Ev, Fx> {
  readonly step: (state: S, event: Ev | { readonly on: 'tick' }, tick: Tick) => Step<S, Fx>;
  /** The instant at which it wants a `tick` event, or `OFF`. */
  readonly dueAt: (state: S) => number;
}

export class Steps<S, Ev extends { readonly on: string }, Fx> {
  readonly #machine: Machine<S, Ev, Fx>;
  readonly #carry: (effect: Fx, now: number) => void;
  readonly #clock: () => number;
  readonly #waiting: (Ev | { readonly on: 'tick' })[] = [];
  /** Formatted only when they are asked for: some machines step a thousand times a second. */
  readonly #recent: (readonly [now: number, on: string, of: unknown])[] = [];
  #state: S;
  #stepping = false;
  #ended = false;

  /** `clock` answers in ms, monotonic. */
  constructor(machine: Machine<S, Ev, Fx>, state: S, carry: (effect: Fx, now: number) => void, clock: () => number) {
    this.#machine = machine;
    this.#state = state;
    this.#carry = carry;
    this.#clock = clock;
  }

  get state(): S {
    return this.#state;
  }

  get dueAt(): number {
    return this.#machine.dueAt(this.#state);
  }

  /** The last events, oldest first, as `<ms> <event> [what it is about]`: no octets, no secrets. */
  get recent(): readonly string[] {
    return this.#recent.map(([now, on, of]) => `${now.toFixed(1)} ${on}${of === undefined ? '' : ` ${String(of)}`}`);
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  /**
   * Steps now; or, false, right after the step that this call came from: events never overtake each other. After `end`
   * it does nothing.
   */
  handle(event: Ev | { readonly on: 'tick' }): boolean {
    if (this.#ended) return false;
    this.#waiting.push(event);
    if (this.#stepping) return false;
    this.#stepping = true;
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) this.#step(next);
    } finally {
      this.#stepping = false;
    }
    return true;
  }

  /** No more steps. */
  end(): void {
    this.#ended = true;
  }

  #step(event: Ev | { readonly on: 'tick' }): void {
    const now = this.#clock();
    this.#remember(event, now);
    const [state, effects] = this.#machine.step(this.#state, event, { now, random: Math.random() });
    this.#state = state;
    for (const effect of effects) this.#carry(effect, now);
  }

  #remember(event: { readonly on: string; connection?: unknown; socket?: unknown; link?: unknown }, now: number): void {
    this.#recent.push([now, event.on, event.connection ?? event.socket ?? event.link]);
    if (this.#recent.length > REMEMBERED) this.#recent.shift();
  }
}
