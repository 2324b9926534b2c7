// What the packet thread is asked to do about BFD: the sessions of a plan with the parameters of their profiles, and keys
// in the clear, for they cross to another thread. Called by packet-half. RFC 5880 §6.8.3, 5881 §5, 5883 §5.

import type { SessionParameters } from '../bfd/variables.ts';
import type { BfdWanted } from '../links/wanted.ts';
import { familyOf, inRange, type Prefix, rangeOfPrefix } from '../net/address.ts';
import type { BfdSession } from '../plan/bfd.ts';

/** RFC 5880 §6.8.3: the pace while a session is not up. */
const SLOW_TX_MS = 1_000;
/** RFC 5881 §5. */
const SINGLE_HOP_TTL = 255;

/** By peer name. `subnets`: those that this node is on. */
export function bfdWanted(
  sessions: ReadonlyMap<string, BfdSession>,
  subnets: readonly Prefix[],
): ReadonlyMap<string, BfdWanted> {
  return new Map([...sessions].map(([peer, session]) => [peer, wantedOf(session, subnets)]));
}

function wantedOf(session: BfdSession, subnets: readonly Prefix[]): BfdWanted {
  const { remote, local, vrf } = session;
  const isNear = () => subnets.some((subnet) => inRange(remote, rangeOfPrefix(subnet)));
  const hops = session.hops === 'nearest' ? (isNear() ? 'single' : 'multi') : session.hops;
  return {
    ...{ hops, remote, adminDown: false },
    ...(local !== undefined && { local }),
    ...(vrf !== undefined && { vrf }),
    parameters: parametersOf(session, hops),
  };
}

function parametersOf({ profile, remote }: BfdSession, hops: BfdWanted['hops']): SessionParameters {
  const { authentication, echoIntervalMs } = profile;
  const keys = authentication === undefined ? [] : [keyOf(authentication)];
  // no echo over several hops (RFC 5883 §3), nor with IPv6, where FRR has none
  const echoes = profile.echoMode && hops === 'single' && familyOf(remote) === 'ipv4';
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
