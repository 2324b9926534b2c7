// How fast a session sends and how long it waits (RFC 5880 §6.5, §6.8.2-§6.8.4, §6.8.7): negotiation, Poll Sequences, jitter,
// Detection Time. Called by `session` in every step.

import type { Tick } from '../net/machine.ts';
import { jittered, OFF } from '../net/machine.ts';
import type { ControlPacket, SessionState } from './packet.ts';
import { encode, sameContents } from './packet.ts';
import type { Intervals, Session, SessionParameters } from './variables.ts';
import { isSilent } from './variables.ts';

/** Local Detection Time in ms (RFC 5880 §6.8.4): of the peer's multiplier and pace. 0 before anything was heard. */
export function detectionTimeMs({ remote, inForce }: Session): number {
  return remote.detectMult * Math.max(inForce.rxMs, remote.desiredMinTxMs);
}

/** What this side would advertise in that state; not Up is never faster than slow (RFC 5880 §6.8.3). */
export function wantedIntervals(state: SessionState, parameters: SessionParameters): Intervals {
  const { desiredMinTxMs, requiredMinRxMs, slowTxMs } = parameters;
  return { txMs: state === 'Up' ? desiredMinTxMs : Math.max(desiredMinTxMs, slowTxMs), rxMs: requiredMinRxMs };
}

/** Brings what we advertise to what is wanted now: by a Poll Sequence, one at a time (RFC 5880 §6.5, §6.8.3). */
export function retune(session: Session): void {
  const { state, advertised, inForce, remote } = session;
  const wanted = wantedIntervals(state, session.parameters);
  const up = state === 'Up';
  if (!up) session.inForce = advertised;
  if (wanted.txMs === advertised.txMs && wanted.rxMs === advertised.rxMs) return;
  // RFC 5880 §6.8.3: a session that is not Up is slow at once, even amid a sequence
  const slowDown = !up && wanted.txMs > advertised.txMs;
  if (session.poll !== 'idle' && !slowDown) return;
  session.advertised = wanted;
  // RFC 5880 §6.8.3: while Up, a slower pace and a shorter Detection Time wait for the Final; all else is at once
  session.inForce = up
    ? { txMs: Math.min(wanted.txMs, inForce.txMs), rxMs: Math.max(wanted.rxMs, inForce.rxMs) }
    : wanted;
  if (remote.discriminator !== 0) session.poll = 'polling';
}

/** The peer wants no periodic packets from us, and both know that the path works (RFC 5880 §6.6, §6.8.7). */
function isDemanded({ state, remote }: Session): boolean {
  return remote.demand && state === 'Up' && remote.state === 'Up';
}

/** Whether any packet may leave: one that is not a Final. */
export function mayTransmit(session: Session): boolean {
  // RFC 5880 §6.8.7: a passive end does not speak first
  return !isSilent(session) && !(session.parameters.passive && session.remote.discriminator === 0);
}

/** Between periodic packets, before jitter; OFF where RFC 5880 §6.8.7 forbids them. */
function wantedTransmitIntervalMs(session: Session): number {
  const { remote, inForce, poll } = session;
  if (!mayTransmit(session) || remote.requiredMinRxMs === 0) return OFF;
  if (isDemanded(session) && poll !== 'polling') return OFF;
  return Math.max(inForce.txMs, remote.requiredMinRxMs);
}

/** Once in every step, after all that may change the pace: plans the next periodic packet anew if it did. */
export function reschedule(session: Session, tick: Tick): void {
  // RFC 5880 §6.6: to a peer in Demand mode a change is told by a Poll Sequence
  if (isDemanded(session) && session.poll === 'idle' && session.lastSent !== undefined) {
    if (!sameContents(encode(compose(session, false)), session.lastSent)) session.poll = 'polling';
  }
  const interval = wantedTransmitIntervalMs(session);
  if (interval === session.transmitIntervalMs) return;
  session.transmitIntervalMs = interval;
  // RFC 5880 §6.8.3: a faster pace is honoured at once, reckoned from the last packet
  session.timers = { ...session.timers, transmit: session.lastSentAt + gapMs(session, tick) };
}

/** RFC 5880 §6.8.7: 75-100 % of the interval, 75-90 % where a single lost packet means Down. */
export function gapMs({ transmitIntervalMs, parameters }: Session, { random }: Tick): number {
  if (transmitIntervalMs === OFF) return OFF;
  if (parameters.detectMult > 1) return jittered(transmitIntervalMs, random);
  return jittered(transmitIntervalMs * 0.9, random, 0.75 / 0.9);
}

/** Detection Times count from the last packet that was accepted. */
export function armDetection(session: Session): void {
  const { lastHeardAt } = session;
  const time = detectionTimeMs(session);
  session.timers = { ...session.timers, detect: lastHeardAt + time, forget: lastHeardAt + 2 * time };
}

/** RFC 5880 §6.8.7, field by field. Never Poll and Final together (§6.5). */
export function compose(session: Session, final: boolean): ControlPacket {
  const { advertised, remote } = session;
  return {
    diagnostic: session.diagnostic,
    state: session.state,
    poll: !final && session.poll === 'polling',
    final,
    controlPlaneIndependent: false,
    demand: false,
    detectMult: session.parameters.detectMult,
    myDiscriminator: session.localDiscriminator,
    yourDiscriminator: remote.discriminator,
    desiredMinTxMs: advertised.txMs,
    requiredMinRxMs: advertised.rxMs,
    // RFC 5880 §4.1, §6.8.13: 0 says that we do not loop
    requiredMinEchoRxMs: session.parameters.echo?.receiveMs ?? 0,
  };
}
