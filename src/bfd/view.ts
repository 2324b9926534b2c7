// What one BFD session shows of itself in the state document, metrics and logs: plain JSON, no keys. Called by the owner of
// the sessions, who adds the path.

import { OFF } from '../net/machine.ts';
import type { AuthenticationType } from './auth.ts';
import { detectionTimeMs } from './pace.ts';
import type { SessionState } from './packet.ts';
import { diagnosticName } from './packet.ts';
import type { Session, SessionCounters } from './variables.ts';

/** Names are RFC 5880's; durations in ms, `sinceMs` on the clock of the ticks. */
export interface SessionView {
  readonly session: string;
  readonly state: SessionState;
  /** Kept in Down by this side. */
  readonly held: boolean;
  readonly sinceMs: number;
  readonly diagnostic: string;
  readonly localDiscriminator: number;
  readonly detectMult: number;
  readonly passive: boolean;
  readonly authentication?: AuthenticationType;
  /** As advertised now. */
  readonly desiredMinTxMs: number;
  readonly requiredMinRxMs: number;
  /** Between our periodic packets, before jitter; absent while none are sent. */
  readonly transmitIntervalMs?: number;
  /** Absent until the peer was heard. */
  readonly detectionTimeMs?: number;
  readonly polling: boolean;
  /** Between our echoes, before jitter; absent while none are sent. */
  readonly echoIntervalMs?: number;
  /** What the peer's last packet told; absent until one came, and after a Detection Time of silence. */
  readonly remote?: RemoteView;
  readonly counters: SessionCounters;
}

export interface RemoteView {
  readonly discriminator: number;
  readonly state: SessionState;
  readonly diagnostic: string;
  readonly detectMult: number;
  readonly desiredMinTxMs: number;
  readonly requiredMinRxMs: number;
  readonly requiredMinEchoRxMs: number;
  readonly demand: boolean;
  readonly controlPlaneIndependent: boolean;
}

export function viewSession(session: Session): SessionView {
  const { parameters, advertised, remote } = session;
  const [key] = parameters.keys;
  const heard = session.lastHeardAt !== -OFF;
  return {
    session: session.id,
    state: session.state,
    held: session.held,
    sinceMs: session.since,
    diagnostic: diagnosticName(session.diagnostic),
    localDiscriminator: session.localDiscriminator,
    detectMult: parameters.detectMult,
    passive: parameters.passive,
    ...(key !== undefined && { authentication: key.type }),
    desiredMinTxMs: advertised.txMs,
    requiredMinRxMs: advertised.rxMs,
    ...(session.transmitIntervalMs !== OFF && { transmitIntervalMs: session.transmitIntervalMs }),
    ...(heard && { detectionTimeMs: detectionTimeMs(session) }),
    polling: session.poll === 'polling',
    ...(session.echo.intervalMs !== OFF && { echoIntervalMs: session.echo.intervalMs }),
    ...(remote.discriminator !== 0 && { remote: { ...remote, diagnostic: diagnosticName(remote.diagnostic) } }),
    counters: session.counters,
  };
}
