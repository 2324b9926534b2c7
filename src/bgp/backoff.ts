// How long a peer waits before it dials again: short and growing where nobody answers, IdleHold where a session failed,
// long where a configuration is wrong. Called by the connections of a peer. RFC 4271 §8.1.1 (DampPeerOscillations), §10.

import { jittered } from '../net/machine.ts';
import { CEASE, CODE, type Notification, OPEN_ERROR, unwrapHardReset } from './notification.ts';

/** Failures in a row. */
export interface Backoff {
  /** Of TCP, or of a connection that was closed before an OPEN came. */
  connects: number;
  /** Of the protocol: NOTIFICATION either way, HoldTimer, a lost session. */
  sessions: number;
}

const CONNECT_FIRST_MS = 1_000;
/** A SYN is cheap, and a router that comes back should not wait for us: never slower than this. */
const CONNECT_MOST_MS = 30_000;
const IDLE_HOLD_FIRST_MS = 1_000;
const IDLE_HOLD_MOST_MS = 120_000;
const STABLE_MS = 60_000;
/** After a refusal that only a person can mend. The first is tried again soon: daemons that restart say the same. */
const REFUSED_FIRST_MS = 5_000;
const REFUSED_MS = 60_000;

/** ConnectRetryTime before jitter; `ceilingMs` is the configured one. */
export function connectRetryMs({ connects }: Backoff, ceilingMs: number): number {
  return Math.min(CONNECT_FIRST_MS * 2 ** Math.min(connects, 16), CONNECT_MOST_MS, ceilingMs);
}

/** IdleHoldTime after the last of `sessions` failures; `told` is the NOTIFICATION that ended it, sent or received. */
export function idleHoldMs({ sessions }: Backoff, told: Notification | undefined, random: number): number {
  const doubled = Math.min(IDLE_HOLD_FIRST_MS * 2 ** Math.min(Math.max(sessions - 1, 0), 16), IDLE_HOLD_MOST_MS);
  const floor = told !== undefined && isRefusal(told) ? (sessions <= 1 ? REFUSED_FIRST_MS : REFUSED_MS) : 0;
  return Math.max(floor, jittered(doubled, random));
}

/** Only a session that lasted this long ends the growth: one that comes up and fails at once goes on being punished. */
export function isStable(upMs: number, holdTimeMs: number): boolean {
  return upMs >= Math.max(STABLE_MS, 2 * holdTimeMs);
}

const REFUSALS = new Set<string>([
  `${CODE.open}/${OPEN_ERROR.badPeerAs}`,
  `${CODE.open}/${OPEN_ERROR.badBgpIdentifier}`,
  `${CODE.open}/${OPEN_ERROR.unsupportedCapability}`,
  `${CODE.open}/${OPEN_ERROR.roleMismatch}`,
  `${CODE.cease}/${CEASE.maximumPrefixes}`,
  `${CODE.cease}/${CEASE.administrativeShutdown}`,
  `${CODE.cease}/${CEASE.peerDeconfigured}`,
  `${CODE.cease}/${CEASE.connectionRejected}`,
]);

function isRefusal(told: Notification): boolean {
  const { code, subcode } = unwrapHardReset(told) ?? told;
  return REFUSALS.has(`${code}/${subcode}`);
}
