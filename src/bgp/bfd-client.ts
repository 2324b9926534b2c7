// What BFD says of the path to a peer, and what that means for its connections: BGP as a client of BFD (RFC 5882 §10.2,
// RFC 9384, draft-ietf-idr-bgp-bfd-strict-mode). A path that failed ends the session with Cease 6/10; one that was taken
// down on purpose, or was never up, ends nothing. Called by peer; what BFD itself does is none of this room's business.

import { OFF } from '../net/machine.ts';
import { type Cause, feed, final } from './connection.ts';
import { BFD_DOWN } from './fsm-state.ts';
import { type Connection, connectionsOf, type PeerState, type Turn, WITHOUT_BFD } from './peer-state.ts';

/** Of the path to one peer. */
export type BfdSays =
  | { readonly is: 'up' }
  | {
      readonly is: 'down';
      /** It was up, and it failed. */
      readonly failure: boolean;
      /** The peer's BFD does not share the fate of its control plane (the C bit, RFC 5880 §4.1). */
      readonly independent: boolean;
      /** It flaps: BFD keeps it down for so long. */
      readonly heldMs?: number;
      readonly why: string;
    }
  /** One of the two sides took it down on purpose. */
  | { readonly is: 'admin-down' }
  /** There is no session, or a new one over another path. */
  | { readonly is: 'unknown' };

/**
 * Routers begin their BFD session anew once BGP tells them its addresses: a failure in the first moments of a session
 * counts when it lasts (RFC 5882 §3.1 leaves room for that).
 */
const SETTLES_MS = 1_500;
/** So long a failed path is waited for; then BGP is tried as it was before BFD was ever up. */
const PATIENCE_MS = 10_000;

export function onBfd(turn: Turn, says: BfdSays): void {
  const { peer, tick } = turn;
  const before = peer.bfd;
  // down as before: the way up was begun and not finished
  if (says.is === 'down' && !says.failure && before.says.is === 'down') return;
  peer.bfd = { ...WITHOUT_BFD, says };
  switch (says.is) {
    case 'up':
      for (const connection of connectionsOf(peer)) feed(turn, connection, { on: 'BfdUp' }, { why: 'BFD is up' });
      if (before.waitsUntil !== -OFF) dialAnew(turn);
      break;
    case 'admin-down':
    case 'unknown': {
      const on = says.is === 'unknown' ? 'BfdDisabled' : 'BfdAdminDown';
      for (const connection of connectionsOf(peer)) feed(turn, connection, { on }, { why: 'BFD says nothing' });
      break;
    }
    case 'down': {
      if (!says.failure) break;
      const since = peer.session?.session?.since ?? -OFF;
      if (tick.now - since < SETTLES_MS) peer.bfd = { ...peer.bfd, doubtedUntil: tick.now + SETTLES_MS };
      else believe(turn, says);
    }
  }
}

/** The failure that was in doubt has lasted. */
export function expireDoubt(turn: Turn): void {
  const { bfd } = turn.peer;
  if (bfd.doubtedUntil > turn.tick.now) return;
  turn.peer.bfd = { ...bfd, doubtedUntil: OFF };
  if (bfd.says.is === 'down') believe(turn, bfd.says);
}

/** OPENs have been exchanged, and both sides want BFD to be up first. */
export function awaitsBfd({ bfd: { says } }: PeerState): boolean {
  return says.is === 'down' || says.is === 'unknown';
}

/** When the peer may be dialled as far as BFD is concerned. */
export function bfdAllowsAt({ bfd }: PeerState): number {
  return bfd.waitsUntil;
}

function believe(turn: Turn, says: Extract<BfdSays, { is: 'down' }>): void {
  const { peer, tick } = turn;
  const cause: Cause = { why: `BFD: ${says.why}` };
  const ended = connectionsOf(peer).filter(isWatched);
  const { heldMs = 0 } = says;
  if (ended.length > 0) peer.bfd = { ...peer.bfd, waitsUntil: tick.now + heldMs + PATIENCE_MS };
  // nor may the peer bring up meanwhile what is kept down
  if (heldMs > 0) peer.acceptAt = tick.now + heldMs;
  for (const connection of ended) {
    // RFC 5882 §4.3.2, RFC 9384: with a BFD that shares the fate of a restarting control plane, routes may outlive this
    const cease = says.independent ? final(connection, BFD_DOWN) : BFD_DOWN;
    feed(turn, connection, { on: 'BfdDown', cease }, cause);
  }
}

/** A session, and a connection that strict mode lets become one. */
function isWatched({ fsm, negotiated }: Connection): boolean {
  return fsm.is === 'Established' || (fsm.is === 'OpenConfirm' && negotiated.bfdStrict);
}

/** The path is up again: no need to wait for the next try. A peer that keeps failing goes on being waited for. */
function dialAnew(turn: Turn): void {
  const { peer, tick } = turn;
  if (peer.config.passive || peer.session !== undefined || peer.inbound?.fsm.is === 'OpenConfirm') return;
  const { is } = peer.outbound.fsm;
  if (peer.backoff.sessions <= 1) peer.dialAt = tick.now;
  if (is === 'Connect' || is === 'Active')
    feed(turn, peer.outbound, { on: 'ConnectRetryTimer_Expires' }, { why: 'BFD is up again' });
}
