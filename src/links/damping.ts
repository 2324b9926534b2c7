// A BFD session that flaps takes its BGP session with it every time: after three failures in a minute it is held in Down
// (RFC 5880 §6.2 lets a system refuse to advance) for a time that doubles with each failure that follows, half a minute at
// most. The only path a node has is never held. Called by `peers`.

import { OFF } from '../net/machine.ts';

const FAILURES = 3;
const WITHIN_MS = 60_000;
const FIRST_HOLD_MS = 2_000;
const LONGEST_HOLD_MS = 30_000;
/** Without a failure for so long, the next hold is a first one. */
const FORGOTTEN_MS = 300_000;

export interface Damping {
  /** Of the last minute. */
  readonly failures: readonly number[];
  /** How long the next hold lasts. */
  readonly nextHoldMs: number;
  /** OFF: not held. */
  readonly heldUntil: number;
}

export const UNDAMPED: Damping = { failures: [], nextHoldMs: FIRST_HOLD_MS, heldUntil: OFF };

/** Another failure of a session that was Up. */
export function failed(damping: Damping, now: number): Damping {
  const last = damping.failures.at(-1);
  const nextHoldMs = last === undefined || now - last > FORGOTTEN_MS ? FIRST_HOLD_MS : damping.nextHoldMs;
  const recent = damping.failures.filter((at) => now - at < WITHIN_MS);
  const failures = [...recent, now].slice(-FAILURES);
  if (failures.length < FAILURES) return { failures, nextHoldMs, heldUntil: OFF };
  return { failures, nextHoldMs: Math.min(nextHoldMs * 2, LONGEST_HOLD_MS), heldUntil: now + nextHoldMs };
}

export function isHeld({ heldUntil }: Damping): boolean {
  return heldUntil !== OFF;
}

export function released(damping: Damping): Damping {
  return { ...damping, heldUntil: OFF };
}
