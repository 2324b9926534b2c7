// Octets of a peer: framed, decoded, judged, and given to the connection's state machine as its events; what UPDATEs and
// ROUTE-REFRESHs ask for is done when the machine lets them through. Called by peer. RFC 4271 §6, 6.8, 7606, 2918, 7313.

import { OFF } from '../net/machine.ts';
import { awaitsBfd } from './bfd-client.ts';
import { survivor } from './collision.ts';
import { type Cause, dump, feed, final, transmit, warn } from './connection.ts';
import type { FsmEvent } from './event.ts';
import { nextFrame, push, TYPE } from './frame.ts';
import { agree, ourOpen } from './handshake.ts';
import { learn } from './learned.ts';
import { decode, type Message } from './message.ts';
import { CODE, type Malformation, OPEN_ERROR } from './notification.ts';
import type { Open } from './open.ts';
import { type Connection, connectionsOf, type Turn } from './peer-state.ts';
import { askRefresh } from './rib.ts';
import type { ReceivedUpdate } from './update.ts';

/** What TCP delivered on a connection: every whole message in it, until the connection is given up. */
export function receive(turn: Turn, connection: Connection, bytes: Uint8Array): void {
  const { id, framer } = connection;
  const tally = new Map<string, number>();
  push(framer, bytes);
  while (connection.id === id) {
    const frame = nextFrame(framer, connection.negotiated.maxReceive);
    if (frame === undefined) break;
    if (!(frame instanceof Uint8Array)) {
      feed(turn, connection, { on: 'BGPHeaderErr', notification: frame.notification }, { why: frame.text });
      break;
    }
    const message = decode(frame, connection.negotiated, turn.peer.config.keep);
    const type = message.is === 'malformed' ? typeName(frame) : message.is;
    tally.set(type, (tally.get(type) ?? 0) + 1);
    if (message.is === 'malformed') malformed(turn, connection, frame[18], message);
    else take(turn, connection, message);
  }
  report(turn, tally);
}

function typeName(frame: Uint8Array): string {
  return frame[18] === TYPE.open ? 'OPEN' : 'ROUTE-REFRESH';
}

function report({ peer, out }: Turn, tally: ReadonlyMap<string, number>): void {
  const { received } = peer.messages;
  for (const [type, count] of tally) {
    received.set(type, (received.get(type) ?? 0) + count);
    out.push({ report: 'peer-message', peer: peer.config.name, direction: 'received', type, count });
  }
}

function malformed(
  turn: Turn,
  connection: Connection,
  type: number | undefined,
  { notification, text }: Malformation,
): void {
  feed(turn, connection, faultOf(connection, type, notification), { why: text });
}

function faultOf(
  connection: Connection,
  type: number | undefined,
  notification: Malformation['notification'],
): FsmEvent {
  if (type === TYPE.open) return { on: 'BGPOpenMsgErr', notification };
  // before Established it is the wrong message at all
  if (type === TYPE.routeRefresh && connection.fsm.is !== 'Established') return { on: 'RouteRefreshMsg' };
  // RFC 7313 §5: 7/1 ends a session as a broken UPDATE does
  return type === TYPE.routeRefresh ? { on: 'UpdateMsgErr', notification } : { on: 'BGPHeaderErr', notification };
}

function take(turn: Turn, connection: Connection, message: Message): void {
  switch (message.is) {
    case 'OPEN':
      open(turn, connection, message.open);
      break;
    case 'KEEPALIVE':
      feed(turn, connection, { on: 'KeepAliveMsg' }, { why: 'an unexpected KEEPALIVE' });
      break;
    case 'NOTIFICATION': {
      const received = message.notification;
      const version = received.code === CODE.open && received.subcode === OPEN_ERROR.unsupportedVersion;
      feed(turn, connection, { on: version ? 'NotifMsgVerErr' : 'NotifMsg' }, { why: 'a NOTIFICATION', received });
      break;
    }
    case 'UPDATE':
      update(turn, connection, message.update);
      break;
    case 'ROUTE-REFRESH': {
      const cause: Cause = { why: 'an unexpected ROUTE-REFRESH' };
      const process = feed(turn, connection, { on: 'RouteRefreshMsg' }, cause);
      // RFC 7313 §4: BoRR and EoRR ask nothing of one who keeps no routes
      if (!process || message.refresh?.subtype !== 'request' || connection.session === undefined) break;
      askRefresh(connection.session.rib, message.refresh.family);
      transmit(turn);
      break;
    }
  }
}

function open(turn: Turn, connection: Connection, theirs: Open): void {
  const { fsm } = connection;
  const delaying = (fsm.is === 'Connect' || fsm.is === 'Active') && fsm.timers.delayOpen !== OFF;
  const isFirst = fsm.is === 'OpenSent' && fsm.pending === undefined;
  if (!(isFirst || delaying) || connection.ends === undefined) {
    const times = { holdTimeMs: 0, keepaliveTimeMs: 0 };
    feed(turn, connection, { on: 'BGPOpen', times }, { why: 'a second OPEN' });
    return;
  }
  const ours = connection.ours ?? ourOpen(turn.peer.config, connection.ends, turn.peer.restarted, turn.peer.offer);
  const agreed = agree(turn.peer.config, ours, theirs);
  if (agreed.is === 'malformed') {
    feed(turn, connection, { on: 'BGPOpenMsgErr', notification: agreed.notification }, { why: agreed.text });
    return;
  }
  turn.peer.backoff.connects = 0;
  if (!survives(turn, connection, ours, theirs)) return;
  connection.theirs = theirs;
  connection.negotiated = agreed.negotiated;
  const { times } = agreed;
  const on = delaying ? 'BGPOpen_with_DelayOpenTimer_running' : 'BGPOpen';
  const waits = agreed.negotiated.bfdStrict && awaitsBfd(turn.peer);
  feed(turn, connection, { on, times, ...(waits && { awaitsBfd: true }) }, { why: 'an OPEN' });
}

/** Of two connections of which the peer has spoken on both, one is closed now. False: it was this one. */
function survives(turn: Turn, connection: Connection, ours: Open, theirs: Open): boolean {
  // RFC 4271 §6.8: only one in OpenConfirm collides; a silent one costs no good one, it is closed with Established
  const other = connectionsOf(turn.peer).find((one) => one !== connection && one.theirs !== undefined);
  if (other === undefined) return true;
  // a session is never given up for a newer connection
  const lives = other.fsm.is !== 'Established' && survivor(ours, theirs) === connection.initiator;
  dump(turn, lives ? other : connection);
  return lives;
}

function update(turn: Turn, connection: Connection, received: ReceivedUpdate): void {
  const { peer } = turn;
  const { session } = connection;
  if (session === undefined) {
    feed(turn, connection, { on: 'UpdateMsg' }, { why: 'an unexpected UPDATE' });
    return;
  }
  const findings = learn(session.learned, received, peer.config.prefixLimit);
  for (const { rule } of received.faults) peer.faults.set(rule, (peer.faults.get(rule) ?? 0) + 1);
  for (const { rule, text } of findings) warn(turn, session, rule, text);
  const reset = findings.at(-1)?.reset;
  if (reset === undefined) feed(turn, connection, { on: 'UpdateMsg' }, { why: 'an UPDATE' });
  else if (reset.code === CODE.cease) {
    feed(
      turn,
      connection,
      { on: 'AutomaticStop', cease: final(connection, reset) },
      { why: findings.at(-1)?.text ?? '' },
    );
  } else feed(turn, connection, { on: 'UpdateMsgErr', notification: reset }, { why: findings.at(-1)?.text ?? '' });
}
