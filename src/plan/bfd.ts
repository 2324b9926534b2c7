// The BFD sessions of one node: one beside each BGP session whose peer has a profile, over as many hops as FRR would take
// for it. Called by plan; `mayEcho` by process, and by cli.

import type { BfdProfile, Config, Peer } from '../config/config.ts';
import { familyOf, type Ip } from '../net/address.ts';

export interface BfdSession {
  /** `nearest`: a single one where the router is on a subnet of the node, else several. */
  readonly hops: 'single' | 'multi' | 'nearest';
  /** Absent: the neighbor of `link`. */
  readonly remote?: Ip;
  readonly link?: string;
  readonly local?: Ip;
  /** The VRF device. */
  readonly vrf?: string;
  readonly profile: BfdProfile;
}

/** By peer name, for those that are served. */
export function bfdSessions(
  config: Config,
  served: readonly { readonly name: string }[],
): ReadonlyMap<string, BfdSession> {
  const profiles = new Map(config.bfdProfiles.map((profile) => [profile.name, profile]));
  const names = new Set(served.map(({ name }) => name));
  const sessions = new Map<string, BfdSession>();
  for (const peer of config.peers) {
    const { name, address, interface: link, source, vrf, bfdProfile } = peer;
    const profile = bfdProfile === undefined ? undefined : profiles.get(bfdProfile);
    if (profile === undefined || !names.has(name)) continue;
    sessions.set(name, {
      ...{ hops: link === undefined ? hopsTo(peer) : 'single', profile },
      ...(address !== undefined && { remote: address }),
      ...(link !== undefined && { link }),
      ...(source !== undefined && { local: source }),
      ...(vrf !== undefined && { vrf }),
    });
  }
  return sessions;
}

/** No echo over several hops (RFC 5883 §3), nor with IPv6, where FRR has none. */
export function mayEcho({ hops, remote, profile }: Pick<BfdSession, 'hops' | 'remote' | 'profile'>): boolean {
  return profile.echoMode && hops !== 'multi' && remote !== undefined && familyOf(remote) === 'ipv4';
}

/** FRR's rule: several where eBGP has more than one hop, and where an iBGP router is on no subnet of ours. */
function hopsTo({ remote, myAsn, ebgpMultiHop, ttlSecurity = 1 }: Peer): BfdSession['hops'] {
  if (remote === 'internal' || remote === myAsn) return 'nearest';
  return ebgpMultiHop || ttlSecurity > 1 ? 'multi' : 'single';
}
