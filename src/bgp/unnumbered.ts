// A peer that is named by its interface alone: who it is follows from who is found there. A session stays with the router that
// it was made with until it ends, be it that another one is found meanwhile; then the other one is dialled. Called by peer.

import type { Ip } from '../net/address.ts';
import { noNeighborText } from '../net/neighbor.ts';
import type { PeerState, Turn } from './peer-state.ts';

/** Where the peer is; undefined: not known yet. */
export function remoteOf({ config, adopted }: Pick<PeerState, 'config' | 'adopted'>): Ip | undefined {
  return config.address ?? adopted;
}

/** Once for each reason: why there is nobody to dial. */
export function tellMissing({ peer, tick, out }: Turn): void {
  const { config, neighbor, session, lastError, left } = peer;
  const { interface: link, name } = config;
  if (link === undefined || left || session !== undefined || neighbor?.is !== 'unknown') return;
  const { because } = neighbor;
  if (lastError?.code === because) return;
  const why = noNeighborText(link, because);
  peer.lastError = { code: because, text: why, at: tick.now };
  out.push({ report: 'peer-failed', peer: name, why });
}

/** Takes the neighbor for the peer, unless a session goes on; true: it is another one than before. */
export function adopt(peer: PeerState): boolean {
  const { config, neighbor, session, adopted } = peer;
  if (config.interface === undefined || session !== undefined) return false;
  const address = neighbor?.is === 'known' ? neighbor.address : undefined;
  peer.adopted = address;
  return address !== adopted;
}
