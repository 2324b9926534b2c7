// The shape of everything that moves: plain data and one synchronous function. Time and chance are arguments; a timer
// is an instant kept in the state. A driver (io/drive, or a simulation) asks `dueAt`, waits, and steps again.
// A step may change the state it was given in place and return it: whoever holds a state gives it away by stepping.

/** Milliseconds on a monotonic clock, and one number in [0,1) drawn for this step. */
export interface Tick {
  readonly now: number;
  readonly random: number;
}

/** A new state and what is asked of the world, in the order in which it must happen. */
export type Step<S, Fx> = readonly [state: S, effects: readonly Fx[]];

/** An instant in ms that never comes: the timer is off. */
export const OFF = Number.POSITIVE_INFINITY;

/** Named timers of a machine: the instant in ms at which each is due, or `OFF`. */
export type Timers<Name extends string> = Readonly<Record<Name, number>>;

/** The earliest instant of a set of timers; `OFF` when none runs. */
export function earliest(timers: Readonly<Record<string, number>>): number {
  let due = OFF;
  for (const name in timers) due = Math.min(due, timers[name] ?? OFF);
  return due;
}

/** `base` shortened to a share between `low` and 1 of it, as RFC 4271 §10 asks for (0.75 there). */
export function jittered(baseMs: number, random: number, low = 0.75): number {
  return baseMs * (low + (1 - low) * random);
}

/** A second independent-looking draw in [0,1) out of one: a step that needs several chances derives them. */
export function redraw(random: number): number {
  return (random * 9301.77 + 0.4929) % 1;
}

/** The last line of a switch over a union: a member that was forgotten does not compile. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
