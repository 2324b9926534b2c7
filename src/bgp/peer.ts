// One peer as one machine: its configuration, at most one connection each way before Established, and what it is told.
// Here is what happens to it and when; `connection` has one connection in motion, `receive` what the peer says, `change`
// what a new configuration means. Called by speaker. RFC 4271 §8, 4724 §4 and §5.

import type { Family, Ip } from '../net/address.ts';
import type { IoEffect, IoEvent, SystemError, TcpClosed } from '../net/io.ts';
import { earliest, OFF, type Step, type Tick, unreachable } from '../net/machine.ts';
import type { Neighbor } from '../net/neighbor.ts';
import type { Secret } from '../net/secret.ts';
import { type BfdSays, bfdAllowsAt, expireDoubt, onBfd } from './bfd-client.ts';
import { changeOf } from './change.ts';
import {
  type Cause,
  drained,
  drop,
  farewell,
  feed,
  final,
  roomFor,
  sendKeepalive,
  transmit,
  warnUnadvertisable,
} from './connection.ts';
import { dueEvent, fsmDueAt } from './fsm-state.ts';
import { CEASE, CODE, type Notification, notification, shutdownNotification } from './notification.ts';
import {
  type Connection,
  connectionsOf,
  createConnection,
  forgetTcp,
  type PeerState,
  startAnew,
  type Turn,
} from './peer-state.ts';
import { receive } from './receive.ts';
import { ribDueAt, type Wanted, want } from './rib.ts';
import { adopt, remoteOf, tellMissing } from './unnumbered.ts';

/** All that one session needs to know; whole and valid, made by the plan from a BGPPeer. */
export interface PeerConfig {
  /** Name of the BGPPeer: unique on a node. */
  readonly name: string;
  /** Absent where the peer is named by its interface: the neighbor there. */
  readonly address?: Ip;
  readonly interface?: string;
  readonly port: number;
  readonly localAs: number;
  /** `localASN`: shown to the peer in place of localAs, in OPEN and AS_PATH (no-prepend, replace-as). */
  readonly shownAs?: number;
  readonly remoteAs: number | 'internal' | 'external';
  /** Undefined: the session's local IPv4 address, else `fallbackRouterId`. */
  readonly routerId?: Ip;
  readonly fallbackRouterId: Ip;
  /** 0 = no hold timer, else at least 3000. */
  readonly holdTimeMs: number;
  /** Undefined: a third of the negotiated hold time. */
  readonly keepaliveTimeMs?: number;
  readonly connectRetryMs: number;
  readonly delayOpenMs?: number;
  readonly families: readonly Family[];
  readonly source?: Ip;
  readonly device?: string;
  readonly md5?: Secret;
  readonly ebgpMultiHop: boolean;
  /** Hops for RFC 5082; undefined: arriving TTLs are not looked at. */
  readonly ttlSecurity?: number;
  readonly gracefulRestart: boolean;
  /** BFD watches the path: what it says counts, and strict mode is offered. */
  readonly bfd?: true;
  /** Never dial. */
  readonly passive: boolean;
  /** On the routes of one family, counted as `learned` counts them; undefined: no limit. */
  readonly prefixLimit?: { readonly routes: number; readonly action: 'warn' | 'disable-family' | 'reset' };
  /** Keep what the peer announces: the collector, never the speaker. */
  readonly keep: boolean;
  /** Shown with the peer: fields that were read and have no effect yet. */
  readonly warnings: readonly string[];
}

/** How a peer is left: Cease with this subcode and text (RFC 4486, 9003), or silently so that it keeps our routes. */
export type Leaving =
  | { readonly by: 'cease'; readonly subcode: number; readonly text?: string }
  /** Where the session has graceful restart; else Cease 6/2 with this text. */
  | { readonly by: 'graceful-restart'; readonly text?: string };

export type PeerEvent =
  | { readonly on: 'configure'; readonly config: PeerConfig }
  | { readonly on: 'wanted'; readonly routes: Wanted }
  | { readonly on: 'leave'; readonly how: Leaving }
  | { readonly on: 'bfd'; readonly says: BfdSays }
  /** Who is at the other end of its interface. */
  | { readonly on: 'neighbor'; readonly neighbor: Neighbor }
  | { readonly on: 'tick' }
  | IoEvent;

export type SessionState = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';

/** What a peer tells of itself, for logs, metrics and state; plain data, no secrets. */
export type PeerReport =
  | { readonly report: 'peer-state'; readonly peer: string; readonly from: SessionState; readonly to: SessionState }
  | {
      readonly report: 'peer-up';
      readonly peer: string;
      readonly families: readonly Family[];
      readonly holdTimeMs: number;
    }
  | {
      readonly report: 'peer-down';
      readonly peer: string;
      readonly why: string;
      readonly sent?: Notification;
      readonly received?: Notification;
    }
  /** A connection that never became a session: refused, timed out, a socket option that the kernel does not have. */
  | {
      readonly report: 'peer-failed';
      readonly peer: string;
      readonly why: string;
      readonly sent?: Notification;
      readonly received?: Notification;
    }
  | { readonly report: 'peer-warning'; readonly peer: string; readonly rule: string; readonly text: string }
  | {
      readonly report: 'peer-message';
      readonly peer: string;
      readonly direction: 'sent' | 'received';
      readonly type: string;
      readonly count: number;
    }
  | { readonly report: 'peer-synced'; readonly peer: string; readonly prefixes: number };

export type PeerEffect = IoEffect | PeerReport;

/** One event of one peer. An event for a connection that it does not know is stale and ignored. */
export function stepPeer(peer: PeerState, event: PeerEvent, tick: Tick): Step<PeerState, PeerEffect> {
  const turn: Turn = { peer, tick, out: [] };
  handle(turn, event);
  settle(turn);
  const from = peer.state;
  const to = stateOf(peer);
  if (from !== to) {
    peer.state = to;
    peer.since = tick.now;
    turn.out.push({ report: 'peer-state', peer: peer.config.name, from, to });
  }
  return [peer, turn.out];
}

function handle(turn: Turn, event: PeerEvent): void {
  const { peer, tick } = turn;
  switch (event.on) {
    case 'configure':
      configure(turn, event.config);
      break;
    case 'wanted':
      peer.wanted = event.routes;
      if (peer.session?.session !== undefined) {
        want(peer.session.session.rib, event.routes, tick.now);
        warnUnadvertisable(turn, peer.session.session);
      }
      transmit(turn);
      break;
    case 'leave':
      leave(turn, event.how);
      break;
    case 'bfd':
      if (peer.config.bfd === true && !peer.left) onBfd(turn, event.says);
      break;
    case 'neighbor':
      peer.neighbor = event.neighbor;
      break;
    case 'tick':
      expire(turn);
      break;
    case 'tcp-opened':
      opened(turn, event);
      break;
    case 'tcp-accepted':
      accepted(turn, event);
      break;
    case 'tcp-closed':
      closed(turn, event.connection, event.why);
      break;
    case 'tcp-data': {
      const connection = find(peer, event.connection);
      if (connection !== undefined) receive(turn, connection, event.bytes);
      break;
    }
    case 'tcp-drained': {
      const connection = find(peer, event.connection);
      if (connection !== undefined) drained(turn, connection, event.bytes);
      break;
    }
    case 'tcp-listening':
      break;
    default:
      unreachable(event);
  }
}

/** The instant of the peer's next timer, `OFF` when none runs. */
export function peerDueAt(peer: PeerState): number {
  const isWaiting = mayDial(peer) && peer.outbound.fsm.is === 'Idle';
  let due = Math.min(peer.bfd.doubtedUntil, isWaiting ? Math.max(peer.dialAt, bfdAllowsAt(peer)) : OFF);
  for (const connection of connectionsOf(peer)) due = Math.min(due, fsmDueAt(connection.fsm));
  const { session } = peer;
  if (session?.session === undefined) return due;
  return earliest({ due, sendHold: session.sendHoldAt, rib: roomFor(session) ? ribDueAt(session.session.rib) : OFF });
}

/** Everything of it is closed, and it will not dial again. */
export function isGone(peer: PeerState): boolean {
  return peer.left && peer.closing.size === 0 && connectionsOf(peer).every(({ id }) => id === undefined);
}

function find(peer: PeerState, id: string): Connection | undefined {
  return connectionsOf(peer).find((connection) => connection.id === id);
}

function stateOf({ session, inbound, outbound }: PeerState): SessionState {
  if (session !== undefined) return 'Established';
  const theirs = inbound?.fsm.is ?? 'Idle';
  return RANK.indexOf(theirs) > RANK.indexOf(outbound.fsm.is) ? theirs : outbound.fsm.is;
}
const RANK: readonly SessionState[] = ['Idle', 'Active', 'Connect', 'OpenSent', 'OpenConfirm', 'Established'];

/** No session, none at hand either: a dial then would only collide with what the peer has just confirmed. */
function mayDial(peer: PeerState): boolean {
  const { left, session, inbound } = peer;
  return !left && session === undefined && inbound?.fsm.is !== 'OpenConfirm' && remoteOf(peer) !== undefined;
}

/** Our own side as it should be: dialling, or waiting for the peer when passive, exactly while it may. */
function settle(turn: Turn): void {
  const { peer, tick } = turn;
  const { outbound } = peer;
  if (adopt(peer)) {
    stopAll(turn, RECONFIGURED, 'the neighbor of the interface is another one, or gone');
    startAnew(peer, tick.now);
  }
  tellMissing(turn);
  if (mayDial(peer)) {
    if (outbound.fsm.is !== 'Idle' || Math.max(peer.dialAt, bfdAllowsAt(peer)) > tick.now) return;
    const on = outbound.fsm.damped
      ? 'IdleHoldTimer_Expires'
      : peer.config.passive
        ? 'AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment'
        : 'AutomaticStart_with_DampPeerOscillations';
    feed(turn, outbound, { on }, { why: 'start' });
  } else if (outbound.ends === undefined) halt(turn, outbound);
}

function halt(turn: Turn, connection: Connection): void {
  feed(turn, connection, { on: 'ManualStop', cease: undefined }, { why: 'stopped', forgiven: 'stop' });
}

function expire(turn: Turn): void {
  const { peer, tick } = turn;
  const { now } = tick;
  expireDoubt(turn);
  for (const connection of connectionsOf(peer)) {
    const event = dueEvent(connection.fsm, now);
    if (event === undefined) continue;
    const dialled = event.on === 'ConnectRetryTimer_Expires' && connection.fsm.is === 'Connect';
    if (dialled) failedToConnect(turn, 'ETIMEDOUT', 'the connection was not answered in time');
    feed(turn, connection, event, { why: WHY[event.on] ?? event.on });
  }
  const { session } = peer;
  if (session !== undefined && session.sendHoldAt <= now) {
    feed(turn, session, { on: 'SendHoldTimer_Expires' }, { why: 'Send Hold Timer Expired: the peer does not read' });
  }
  transmit(turn);
}
const WHY: Readonly<Record<string, string>> = {
  HoldTimer_Expires: 'nothing was heard of the peer for the hold time',
  BfdHoldTimer_Expires: 'BFD did not come up in time, and both sides are strict about it',
};

function failedToConnect({ peer, tick, out }: Turn, code: string, why: string): void {
  peer.backoff.connects++;
  peer.lastError = { code, text: why, at: tick.now };
  out.push({ report: 'peer-failed', peer: peer.config.name, why });
}

function opened(turn: Turn, event: Extract<IoEvent, { on: 'tcp-opened' | 'tcp-accepted' }>): void {
  const { outbound } = turn.peer;
  if (outbound.id !== event.connection) return;
  outbound.ends = endsOf(event);
  feed(turn, outbound, { on: 'Tcp_CR_Acked' }, { why: 'connected' });
}

function endsOf({ local, remote, link }: Extract<IoEvent, { on: 'tcp-opened' | 'tcp-accepted' }>) {
  return { local, remote, ...(link === undefined ? {} : { link }) };
}

/** The peer dialled. */
function accepted(turn: Turn, event: Extract<IoEvent, { on: 'tcp-opened' | 'tcp-accepted' }>): void {
  const { peer, tick } = turn;
  const connection = createConnection('peer');
  connection.id = event.connection;
  connection.ends = endsOf(event);
  const isHeld = peer.session !== undefined || peer.backoff.sessions > 0;
  const isLater = peer.inbound?.theirs !== undefined;
  if (peer.left || isLater || (isHeld && tick.now < peer.acceptAt)) {
    drop(turn, connection, 'rst');
    return;
  }
  peer.acceptAt = tick.now + ACCEPT_APART_MS;
  // one that has not said who it is gives way to the next
  if (peer.inbound !== undefined) drop(turn, peer.inbound, 'rst');
  if (peer.session !== undefined) probe(turn, peer.session);
  peer.inbound = connection;
  feed(turn, connection, { on: 'AutomaticStart_with_PassiveTcpEstablishment' }, { why: 'accepted' });
  feed(turn, connection, { on: 'TcpConnectionConfirmed' }, { why: 'accepted' });
}
const ACCEPT_APART_MS = 1_000;

/** A peer with a session connects again: it may have restarted. */
function probe(turn: Turn, session: Connection): void {
  const restarts = session.theirs?.capabilities.gracefulRestart;
  if (restarts !== undefined && restarts.families.length > 0) {
    // RFC 4724 §5: the session is over, without a NOTIFICATION
    const why = 'the peer has restarted: it connected again';
    feed(turn, session, { on: 'TcpConnectionFails' }, { why, forgiven: 'peer-restart' });
  } else sendKeepalive(turn, session); // a peer that knows nothing of the session answers with a reset
}

function closed(turn: Turn, id: string, why: TcpClosed): void {
  const { peer } = turn;
  if (peer.closing.delete(id)) return;
  const connection = find(peer, id);
  if (connection === undefined) return;
  const before = connection.fsm.is;
  forgetTcp(connection);
  const cause = closedBecause(why);
  if (connection === peer.outbound && before !== 'OpenConfirm') failedToConnect(turn, cause.code ?? '', cause.why);
  feed(turn, connection, { on: 'TcpConnectionFails' }, cause);
  if (connection === peer.inbound) peer.inbound = undefined;
}

function closedBecause(why: TcpClosed): Cause {
  if (why.because === 'fin') return { code: 'FIN', why: 'the peer closed the connection' };
  return { code: why.error.code, why: textOf(why.error) };
}

function textOf({ code, call, text }: SystemError): string {
  return `${call}: ${code}${text === '' || text === code ? '' : `: ${text}`}`;
}

function configure(turn: Turn, config: PeerConfig): void {
  const { peer, tick } = turn;
  const change = changeOf(peer.config, config);
  if (change === 'moved' || change === 'hard') {
    if (change === 'moved' && peer.session !== undefined) forsake(turn, peer.session);
    stopAll(turn, RECONFIGURED, 'the configuration has changed');
    if (change === 'moved') Object.assign(peer, { neighbor: undefined, adopted: undefined });
    startAnew(peer, tick.now);
  } else if (change === 'direction' && peer.outbound.ends === undefined) halt(turn, peer.outbound);
  peer.config = config;
  if (config.bfd !== true) onBfd(turn, { is: 'unknown' });
}

const RECONFIGURED = notification(CODE.cease, CEASE.otherConfigurationChange);

/** Ends a session whose router may never be spoken to again: with RFC 8538 a plain Cease would leave our routes there. */
function forsake(turn: Turn, session: Connection): void {
  farewell(turn, session);
  const cause: Cause = { why: 'the configuration has changed', forgiven: 'configuration' };
  feed(turn, session, { on: 'AutomaticStop', cease: final(session, RECONFIGURED) }, cause);
}

function leave(turn: Turn, how: Leaving): void {
  const { peer } = turn;
  peer.left = true;
  const { session } = peer;
  const silently = how.by === 'graceful-restart' && session?.negotiated.gracefulRestart !== undefined;
  const subcode = how.by === 'cease' ? how.subcode : CEASE.administrativeShutdown;
  const cease = shutdownNotification(subcode, how.text);
  if (session !== undefined) {
    if (!silently) farewell(turn, session);
    // RFC 4724 §4: only a connection that ends without a NOTIFICATION leaves our routes in place
    const told = silently ? undefined : final(session, cease);
    const why = silently ? 'left for a graceful restart' : 'left';
    feed(turn, session, { on: 'ManualStop', cease: told }, { why, forgiven: 'stop' });
  }
  for (const connection of connectionsOf(peer)) {
    feed(turn, connection, { on: 'ManualStop', cease }, { why: 'left', forgiven: 'stop' });
  }
}

function stopAll(turn: Turn, cease: Notification, why: string): void {
  for (const connection of connectionsOf(turn.peer)) {
    const { is } = connection.fsm;
    if (is === 'Connect' || is === 'Active') halt(turn, connection);
    else feed(turn, connection, { on: 'AutomaticStop', cease }, { why, forgiven: 'configuration' });
  }
}
