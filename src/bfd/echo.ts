// The Echo function (RFC 5880 §5, §6.4, §6.8.5, §6.8.8, §6.8.9; single hop alone: RFC 5881 §4): packets that the peer's
// forwarding sends back to us. What is in them is the sender's own affair: here the session's discriminator and a random
// token, so that nobody can answer for the peer. Called by `session`; the peer's echoes are looped below us, not here.

import type { Tick } from '../net/machine.ts';
import { jittered, OFF } from '../net/machine.ts';
import type { Session } from './variables.ts';

const ECHO_OCTETS = 8;

/** A new echo. Its token is remembered until it or a later one comes back, or for twice a Detection Time. */
export function composeEcho(session: Session, tick: Tick): Uint8Array {
  const token = Math.floor(tick.random * 2 ** 32);
  const bytes = new Uint8Array(ECHO_OCTETS);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, session.localDiscriminator);
  view.setUint32(4, token);
  const { echo, timers } = session;
  const most = 2 * session.parameters.detectMult;
  session.echo = { ...echo, outstanding: [...echo.outstanding, token].slice(-most) };
  session.timers = { ...timers, echoTransmit: tick.now + jittered(echo.intervalMs, tick.random) };
  return bytes;
}

/** Discriminator of the session whose echo this is, or undefined: for finding the session. */
export function echoDiscriminator(bytes: Uint8Array): number | undefined {
  if (bytes.length !== ECHO_OCTETS) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

/** An echo of ours came back: the path is alive. False: it is none that is under way. */
export function echoReturned(session: Session, bytes: Uint8Array, tick: Tick): boolean {
  if (echoDiscriminator(bytes) !== session.localDiscriminator) return false;
  const token = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4);
  const { echo, timers } = session;
  const at = echo.outstanding.indexOf(token);
  if (at < 0) return false;
  session.echo = { ...echo, outstanding: echo.outstanding.slice(at + 1), proven: true };
  session.timers = { ...timers, echoDetect: tick.now + echoDetectionTimeMs(session) };
  return true;
}

/** RFC 5880 §6.8.9: only while Up, and never faster than the peer loops; it says 0 where it does not. OFF: none are sent. */
function wantedEchoIntervalMs({ state, remote, parameters }: Session): number {
  if (parameters.echo === undefined || state !== 'Up' || remote.requiredMinEchoRxMs === 0) return OFF;
  return Math.max(parameters.echo.transmitMs, remote.requiredMinEchoRxMs);
}

function echoDetectionTimeMs({ parameters, echo }: Session): number {
  return parameters.detectMult * echo.intervalMs;
}

/** Once in every step: starts echoes, stops them, or changes their pace; a new pace has a new Detection Time from now on. */
export function rescheduleEcho(session: Session, tick: Tick): void {
  const intervalMs = wantedEchoIntervalMs(session);
  if (intervalMs === session.echo.intervalMs) return;
  const off = intervalMs === OFF;
  const { outstanding, proven } = session.echo;
  session.echo = off ? { intervalMs, outstanding: [], proven: false } : { intervalMs, outstanding, proven };
  session.timers = {
    ...session.timers,
    echoTransmit: off ? OFF : tick.now,
    // a peer that loops in another way than it is asked to must not take the session down: what never came back fails nothing
    echoDetect: off || !proven ? OFF : tick.now + echoDetectionTimeMs(session),
  };
}
