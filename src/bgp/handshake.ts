// The two OPENs: the one we send, and what the peer's is worth against our configuration. What an OPEN breaks whatever
// the configuration, `open` has found before. Called by connection and receive. RFC 4271 §6.2, 5492, 6286, 4724, 8538.

import { type Family, familyOf, type Ip } from '../net/address.ts';
import { type Capabilities, encodeCapabilities, type GracefulRestart, NO_CAPABILITIES } from './capability.ts';
import type { SessionTimes } from './event.ts';
import { type Negotiated, negotiate } from './negotiate.ts';
import type { Ends } from './next-hop.ts';
import { CODE, type Malformation, notification, OPEN_ERROR } from './notification.ts';
import type { Open } from './open.ts';
import type { PeerConfig } from './peer.ts';

/**
 * What we offer. A peer that refuses our capabilities (2/7) gets an OPEN with those alone that the session needs, one that
 * refuses optional parameters (2/4) an OPEN without any, where the session can do without (RFC 5492 §3).
 */
export type Offer = 'full' | 'needed' | 'none';

/** What an operator has to know while less than everything is offered. */
export const REDUCED: Readonly<Record<Offer, string | undefined>> = {
  full: undefined,
  needed:
    'the peer refused our capabilities (2/7): no graceful restart, route refresh, extended messages and the like for now',
  none: 'the peer refused optional parameters (2/4): no capabilities, so only IPv4 and no graceful restart for now',
};

/** RFC 4724 §3: how long the peer keeps our routes while we are away. */
export const RESTART_TIME_SECONDS = 120;

/** The AS that the peer knows us by. */
export function ownAs(config: PeerConfig): number {
  return config.shownAs ?? config.localAs;
}

/** `restarted`: this peer has not had all our routes since this process started. */
export function ourOpen(config: PeerConfig, ends: Ends, restarted: boolean, offer: Offer): Open {
  return {
    as: ownAs(config),
    holdTimeSeconds: Math.ceil(config.holdTimeMs / 1000),
    routerId: ourRouterId(config, ends),
    capabilities: offer === 'none' ? NO_CAPABILITIES : ourCapabilities(config, ends, restarted, offer),
  };
}

function ourRouterId(config: PeerConfig, { local, link }: Ends): Ip {
  const ipv4 = familyOf(local.address) === 'ipv4' ? local.address : link?.ipv4[0];
  return config.routerId ?? ipv4 ?? config.fallbackRouterId;
}

function ourCapabilities(config: PeerConfig, ends: Ends, restarted: boolean, offer: Offer): Capabilities {
  const { families } = config;
  const needed: Capabilities = {
    ...NO_CAPABILITIES,
    families,
    fourOctetAs: ownAs(config),
  };
  if (offer === 'needed') return needed;
  const addPath: Capabilities['addPath'] = config.keep
    ? Object.fromEntries(families.map((family) => [family, 'receive' as const]))
    : {};
  return {
    ...needed,
    ...(config.gracefulRestart ? { gracefulRestart: ourRestart(families, restarted) } : {}),
    routeRefresh: true,
    enhancedRouteRefresh: true,
    extendedMessage: true,
    bfdStrict: config.bfd === true,
    extendedNextHop: families.includes('ipv4') && familyOf(ends.local.address) === 'ipv6',
    addPath,
  };
}

// RFC 4724 §3: the data plane is the kernel's, it forwards while this process is away: F is true. RFC 8538: N as well.
function ourRestart(families: readonly Family[], restarted: boolean): GracefulRestart {
  return {
    restarted,
    notification: true,
    restartTimeSeconds: RESTART_TIME_SECONDS,
    families: families.map((family) => ({ family, forwardingPreserved: true })),
  };
}

/** Can the session do with an OPEN that has no capabilities at all? */
export function canDoWithout(config: PeerConfig): boolean {
  return ownAs(config) <= 0xffff && config.families.includes('ipv4');
}

export interface Agreed {
  readonly is: 'agreed';
  readonly negotiated: Negotiated;
  readonly times: SessionTimes;
}

/** What two OPENs make, or what is wrong with the peer's. */
export function agree(config: PeerConfig, ours: Open, theirs: Open): Agreed | Malformation {
  const internal = theirs.as === ours.as;
  const { remoteAs } = config;
  const expected = remoteAs === 'internal' ? internal : remoteAs === 'external' ? !internal : theirs.as === remoteAs;
  if (!expected) {
    const wanted = typeof remoteAs === 'number' ? `AS ${remoteAs}` : `an ${remoteAs} AS (ours is ${ours.as})`;
    return refused(OPEN_ERROR.badPeerAs, `the peer has AS ${theirs.as}, ${wanted} is configured`);
  }
  // RFC 6286 §2.1: equal identifiers are wrong only within one AS
  if (internal && theirs.routerId === ours.routerId) {
    return refused(OPEN_ERROR.badBgpIdentifier, `the peer has our own BGP identifier ${ours.routerId}`);
  }
  const negotiated = negotiate(ours, theirs, internal);
  if (negotiated.families.length === 0) {
    // RFC 5492 §5: the data are the capabilities that the session needs
    const data = encodeCapabilities({ ...NO_CAPABILITIES, families: config.families });
    const text = `the peer has no address family in common with ours (${config.families.join(', ')})`;
    return refused(OPEN_ERROR.unsupportedCapability, text, data);
  }
  return { is: 'agreed', negotiated, times: sessionTimes(config, theirs) };
}

/** RFC 4271 §4.2 and §4.4: the smaller hold time; KEEPALIVEs at least three times in it. */
function sessionTimes(config: PeerConfig, theirs: Open): SessionTimes {
  const holdTimeMs = Math.min(config.holdTimeMs, theirs.holdTimeSeconds * 1000);
  return { holdTimeMs, keepaliveTimeMs: Math.min(config.keepaliveTimeMs || Infinity, holdTimeMs / 3) };
}

function refused(subcode: number, text: string, data?: Uint8Array): Malformation {
  return { is: 'malformed', notification: notification(CODE.open, subcode, data), text };
}
