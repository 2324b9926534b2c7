// BFD between plan, packet thread and BGP: down go the sessions of a plan with the parameters of their profiles, and keys in
// the clear, for they cross to another thread; up comes what a change of state means to a peer. Called by packet-half.
// RFC 5880 §6.8.3, 5881 §5, 5882 §4.2, 5883 §5.

import { diagnosticName } from '../bfd/packet.ts';
import type { Cause } from '../bfd/session.ts';
import type { SessionParameters } from '../bfd/variables.ts';
import type { BfdSays } from '../bgp/bfd-client.ts';
import type { LinksReport } from '../links/report.ts';
import type { BfdWanted } from '../links/wanted.ts';
import { type Ip, inRange, type Prefix, rangeOfPrefix } from '../net/address.ts';
import type { Neighbor } from '../net/neighbor.ts';
import { type BfdSession, mayEcho } from '../plan/bfd.ts';

/** RFC 5880 §6.8.3: the pace while a session is not up. */
const SLOW_TX_MS = 1_000;
/** RFC 5881 §5. */
const SINGLE_HOP_TTL = 255;

/** By peer name. `subnets`: those that this node is on; `neighbors`: by link; a session waits for its neighbor to be known. */
export function bfdWanted(
  sessions: ReadonlyMap<string, BfdSession>,
  subnets: readonly Prefix[],
  neighbors: ReadonlyMap<string, Neighbor> = new Map(),
): ReadonlyMap<string, BfdWanted> {
  const wanted = new Map<string, BfdWanted>();
  for (const [peer, session] of sessions) {
    const neighbor = neighbors.get(session.link ?? '');
    const remote = session.remote ?? (neighbor?.is === 'known' ? neighbor.address : undefined);
    if (remote !== undefined) wanted.set(peer, wantedOf(session, remote, subnets));
  }
  return wanted;
}

function wantedOf(session: BfdSession, remote: Ip, subnets: readonly Prefix[]): BfdWanted {
  const { local, link, vrf } = session;
  const isNear = () => subnets.some((subnet) => inRange(remote, rangeOfPrefix(subnet)));
  const hops = session.hops === 'nearest' ? (isNear() ? 'single' : 'multi') : session.hops;
  return {
    ...{ hops, remote, adminDown: false },
    ...(local !== undefined && { local }),
    ...(link !== undefined && { link }),
    ...(vrf !== undefined && { vrf }),
    parameters: parametersOf(session, remote, hops),
  };
}

function parametersOf({ profile }: BfdSession, remote: Ip, hops: BfdWanted['hops']): SessionParameters {
  const { authentication, echoIntervalMs } = profile;
  const keys = authentication === undefined ? [] : [keyOf(authentication)];
  const echoes = mayEcho({ hops, remote, profile });
  return {
    detectMult: profile.detectMultiplier,
    desiredMinTxMs: profile.transmitIntervalMs,
    requiredMinRxMs: profile.receiveIntervalMs,
    slowTxMs: SLOW_TX_MS,
    passive: profile.passiveMode,
    minTtl: hops === 'single' ? SINGLE_HOP_TTL : profile.minimumTtl,
    ...(echoes && { echo: { transmitMs: echoIntervalMs, receiveMs: echoIntervalMs } }),
    keys,
  };
}

function keyOf({
  type,
  keyId,
  secret,
}: NonNullable<BfdSession['profile']['authentication']>): SessionParameters['keys'][number] {
  return { type, id: keyId, secret: new TextEncoder().encode(secret.reveal()) };
}

/** What a report says of the path to a peer; undefined: nothing new. */
export function bfdSays(report: LinksReport): BfdSays | undefined {
  if (report.report === 'bfd-moved') return { is: 'unknown' };
  if (report.report !== 'bfd-state' || report.to === 'Init') return undefined;
  const { to, because, failure, independent, heldMs } = report;
  if (to === 'Up') return { is: 'up' };
  if (to === 'AdminDown' || because === 'peer-admin-down') return { is: 'admin-down' };
  const held = heldMs === undefined ? {} : { heldMs };
  return { is: 'down', failure, independent, ...held, why: reasonOf(because, report.remoteDiagnostic) };
}

/** Why a session is not up, for logs and for the peer's last error. */
export function reasonOf(because: Cause, remoteDiagnostic: number): string {
  switch (because) {
    case 'detection-expired':
      return 'nothing was heard for the detection time';
    case 'echo-failed':
      return 'echoes did not come back';
    case 'peer-down':
      return `the peer went down: ${diagnosticName(remoteDiagnostic)}`;
    case 'peer-admin-down':
      return 'the peer took it down on purpose';
    case 'disabled':
      return 'taken down on purpose';
    case 'handshake':
    case 'enabled':
      return 'coming up';
  }
}
