// What a new configuration of a peer costs: nothing for most fields, which the next session reads; a reset for those that
// are part of who the two sides are and how they meet. Called by peer.

import type { PeerConfig } from './peer.ts';

/**
 * `moved`: another router may be at the other end, or the same one knows us as another: what was said is taken back, for
 * the old one keeps it otherwise. `hard`: the session is reset, Cease 6/6. `direction`: who dials has changed, a session goes on. `soft`: timers, limits,
 * capabilities and what is shown; a running session keeps what it negotiated.
 */
export type Change = 'moved' | 'hard' | 'direction' | 'soft';

/** What each field costs when it changes; a field that is forgotten does not compile. */
const COST: Readonly<Record<keyof PeerConfig, Change>> = {
  name: 'soft',
  address: 'moved',
  interface: 'moved',
  port: 'moved',
  localAs: 'hard',
  shownAs: 'hard',
  remoteAs: 'hard',
  routerId: 'hard',
  fallbackRouterId: 'hard',
  families: 'hard',
  source: 'moved',
  device: 'moved',
  md5: 'hard',
  ebgpMultiHop: 'hard',
  ttlSecurity: 'hard',
  passive: 'direction',
  holdTimeMs: 'soft',
  keepaliveTimeMs: 'soft',
  connectRetryMs: 'soft',
  delayOpenMs: 'soft',
  gracefulRestart: 'soft',
  bfd: 'soft',
  prefixLimit: 'soft',
  keep: 'soft',
  warnings: 'soft',
};

const DEAREST_FIRST: readonly Change[] = ['moved', 'hard', 'direction'];
const FIELDS = Object.keys(COST) as readonly (keyof PeerConfig)[];

export function changeOf(before: PeerConfig, after: PeerConfig): Change {
  const costs = FIELDS.filter((field) => textOf(before, field) !== textOf(after, field)).map((field) => COST[field]);
  return DEAREST_FIRST.find((cost) => costs.includes(cost)) ?? 'soft';
}

function textOf(config: PeerConfig, field: keyof PeerConfig): string | undefined {
  // a Secret prints as ***: its fingerprint tells whether it is another one
  return field === 'md5' ? config.md5?.fingerprint : JSON.stringify(config[field]);
}
