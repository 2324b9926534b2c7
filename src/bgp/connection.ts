// One connection of a peer in motion: an event for its state machine, and what the machine asks for done: dialling,
// messages, closing. Becoming a session and ending are here, with what they mean for the peer: the other connection,
// back-off, what is reported. Called by peer and receive. RFC 4271 §6.8 and §8, 4724 §4, 9687.

import { familyOf } from '../net/address.ts';
import { OFF, unreachable } from '../net/machine.ts';
import { connectRetryMs, idleHoldMs, isStable } from './backoff.ts';
import type { FsmEvent, FsmOptions } from './event.ts';
import { stepFsm } from './fsm.ts';
import { canDoWithout, ourOpen, ownAs, REDUCED } from './handshake.ts';
import { createLearned } from './learned.ts';
import { encodeKeepalive, encodeNotification } from './message.ts';
import {
  CEASE,
  CODE,
  describeNotification,
  hardReset,
  type Notification,
  OPEN_ERROR,
  shutdownText,
} from './notification.ts';
import { encodeOpen } from './open.ts';
import { type Connection, createConnection, forgetTcp, type Session, type Turn } from './peer-state.ts';
import { openRib, produce, unadvertisable, want } from './rib.ts';
import { remoteOf } from './unnumbered.ts';

/** Why an event came, for whoever reads logs; and whether it is nobody's failure. */
export interface Cause {
  readonly why: string;
  /** errno's name or the like, when no NOTIFICATION tells. */
  readonly code?: string;
  readonly received?: Notification;
  readonly forgiven?: 'stop' | 'collision' | 'configuration' | 'peer-restart';
}

/** Octets of UPDATEs that may be under way: what is not yet octets can still change. */
const WINDOW = 64 * 1024;
/** RFC 9687 §4. */
const SEND_HOLD_MS = 480_000;

/** One event for one connection; true when its message is to be processed. */
export function feed(turn: Turn, connection: Connection, event: FsmEvent, cause: Cause): boolean {
  const before = connection.fsm.is;
  const [fsm, effects] = stepFsm(connection.fsm, event, optionsOf(turn), turn.tick);
  connection.fsm = fsm;
  let sent: Notification | undefined;
  let process = false;
  for (const effect of effects) {
    switch (effect.do) {
      case 'dial':
        dial(turn, connection);
        break;
      case 'drop':
        drop(turn, connection, event.on === 'SendHoldTimer_Expires' ? 'rst' : 'fin');
        break;
      case 'process':
        process = true;
        break;
      case 'send':
        if (effect.message === 'NOTIFICATION') {
          sent = effect.notification;
          write(turn, connection, 'NOTIFICATION', encodeNotification(sent, connection.negotiated.maxSend));
        } else if (effect.message === 'OPEN') sendOpen(turn, connection);
        else sendKeepalive(turn, connection);
        break;
      default:
        unreachable(effect);
    }
  }
  if (before !== 'Established' && fsm.is === 'Established') established(turn, connection);
  if (before !== 'Idle' && fsm.is === 'Idle') ended(turn, connection, cause, sent);
  return process;
}

function optionsOf({ peer: { config, backoff } }: Turn): FsmOptions {
  return {
    connectRetryMs: connectRetryMs(backoff, config.connectRetryMs),
    delayOpenMs: config.delayOpenMs ?? 0,
    passive: config.passive,
  };
}

function dial({ peer, out }: Turn, connection: Connection): void {
  const { config } = peer;
  const address = remoteOf(peer);
  if (address === undefined) return;
  forgetTcp(connection);
  connection.id = `${config.name}#${peer.instance}.${++peer.dials}`;
  out.push({
    do: 'tcp-connect',
    connection: connection.id,
    to: { address, port: config.port },
    options: { ...tcpOptions(config), ...(config.interface !== undefined && { device: config.interface }) },
  });
}

/** What is set on every socket of this peer, dialled or accepted; one that is dialled is bound to the interface, if that is its name. */
export function tcpOptions(config: Turn['peer']['config']) {
  const { source, device, md5, ttlSecurity } = config;
  return {
    ...(source === undefined ? {} : { source }),
    ...(device === undefined ? {} : { device }),
    ...(md5 === undefined ? {} : { md5 }),
    // RFC 5082 §3: whatever we check ourselves, the peer's check is met
    ttl: 255,
    ...(ttlSecurity === undefined ? {} : { minTtl: 256 - ttlSecurity }),
  };
}

/** Closes a connection that is still there; what was sent is delivered first when it is open and `fin`. */
export function drop({ peer, out }: Turn, connection: Connection, how: 'fin' | 'rst'): void {
  if (connection.id === undefined) return;
  out.push({ do: 'tcp-close', connection: connection.id, how: connection.ends === undefined ? 'rst' : how });
  peer.closing.add(connection.id);
  forgetTcp(connection);
}

function sendOpen(turn: Turn, connection: Connection): void {
  const { peer } = turn;
  if (connection.ends === undefined) return;
  connection.ours = ourOpen(peer.config, connection.ends, peer.restarted, peer.offer);
  write(turn, connection, 'OPEN', encodeOpen(connection.ours));
}

export function sendKeepalive(turn: Turn, connection: Connection): void {
  write(turn, connection, 'KEEPALIVE', encodeKeepalive());
}

function write({ peer, tick, out }: Turn, connection: Connection, type: string, bytes: Uint8Array, count = 1): void {
  if (connection.id === undefined) return;
  out.push({ do: 'tcp-send', connection: connection.id, bytes });
  out.push({ report: 'peer-message', peer: peer.config.name, direction: 'sent', type, count });
  peer.messages.sent.set(type, (peer.messages.sent.get(type) ?? 0) + count);
  connection.inFlight += bytes.length;
  if (connection.sendHoldAt === OFF) connection.sendHoldAt = tick.now + sendHoldMs(connection);
}

function sendHoldMs({ session }: Connection): number {
  return Math.max(SEND_HOLD_MS, 2 * (session?.holdTimeMs ?? 0));
}

/** The kernel took some of what was sent: SendHoldTimer starts again, and there may be room for more. */
export function drained(turn: Turn, connection: Connection, bytes: number): void {
  connection.inFlight = Math.max(0, connection.inFlight - bytes);
  // RFC 9687 §3: progress is measured, not that something was queued
  connection.sendHoldAt = connection.inFlight === 0 ? OFF : turn.tick.now + sendHoldMs(connection);
  transmit(turn);
}

/** Is there room for more octets? */
export function roomFor({ inFlight }: Connection): boolean {
  return inFlight < WINDOW;
}

/** Tells the peer what it is to be told next, as far as the window allows. */
export function transmit(turn: Turn): void {
  const { peer, tick, out } = turn;
  const connection = peer.session;
  if (connection?.session === undefined) return;
  const { rib } = connection.session;
  const { synced: wasSynced } = rib;
  const refused = rib.refused.size;
  const messages = produce(rib, WINDOW - connection.inFlight, connection.inFlight === 0, tick.now);
  for (let i = 0; i < messages.length; ) {
    const type = messages[i]?.type ?? 'UPDATE';
    let end = i;
    while (messages[end]?.type === type) end++;
    write(turn, connection, type, Buffer.concat(messages.slice(i, end).map(({ bytes }) => bytes)), end - i);
    i = end;
  }
  if (rib.refused.size > refused) warnUnadvertisable(turn, connection.session);
  if (!rib.synced || wasSynced) return;
  peer.restarted = false;
  out.push({ report: 'peer-synced', peer: peer.config.name, prefixes: rib.said.size });
}

function established(turn: Turn, connection: Connection): void {
  const { peer, tick, out } = turn;
  const { fsm, ends, negotiated } = connection;
  if (fsm.is !== 'Established' || ends === undefined) return;
  peer.session = connection;
  peer.collisions = 0;
  if (peer.inbound === connection) peer.inbound = undefined;
  else peer.outbound = createConnection('us');
  const { holdTimeMs } = fsm;
  const rib = openRib(peer.wanted, negotiated, ownAs(peer.config), ends, tick.now);
  const learned = createLearned(peer.config.keep);
  const families = negotiated.families;
  connection.session = { since: tick.now, families, holdTimeMs, rib, learned, warned: new Map() };
  // RFC 4271 §6.8: what has not become the session is closed
  for (const other of [peer.inbound, peer.outbound]) if (other !== undefined) dump(turn, other);
  out.push({ report: 'peer-up', peer: peer.config.name, families, holdTimeMs });
  warnUnadvertisable(turn, connection.session);
  transmit(turn);
}

/** Says once a session and rule what is to be known of it; it stays in the view as long as the session. */
export function warn({ peer, out }: Turn, { warned }: Session, rule: string, text: string): void {
  if (warned.has(rule)) return;
  warned.set(rule, text);
  out.push({ report: 'peer-warning', peer: peer.config.name, rule, text });
}

/** Some of what is wanted cannot be told on this session; the list is `unadvertisable`. */
export function warnUnadvertisable(turn: Turn, session: Session): void {
  const { rib } = session;
  if (rib.refused.size === 0 && turn.peer.config.families.every((family) => rib.nextHops.has(family))) return;
  for (const { prefix, because } of unadvertisable(rib)) {
    const rule = `${because}-${familyOf(prefix)}`;
    warn(turn, session, rule, `${prefix} and perhaps others cannot be advertised: ${because}`);
  }
}

/** Gives up a connection in favour of another one (RFC 4271 §6.8): Cease 6/7 where the peer has heard of us, else silence. */
export function dump(turn: Turn, connection: Connection): void {
  const { is } = connection.fsm;
  if (is === 'Idle' || is === 'Established') return;
  const why = 'closed by connection collision resolution';
  if (is === 'OpenSent' || is === 'OpenConfirm')
    feed(turn, connection, { on: 'OpenCollisionDump' }, { why, forgiven: 'collision' });
  else feed(turn, connection, { on: 'ManualStop', cease: undefined }, { why, forgiven: 'stop' });
}

/** Takes back what was said, before a session is left for good: the withdrawals go out with the Cease behind them. */
export function farewell({ peer, tick, out }: Turn, connection: Connection): void {
  const rib = connection.session?.rib;
  if (rib === undefined || connection.id === undefined || connection.inFlight > WINDOW) return;
  want(rib, new Map(), tick.now);
  rib.flushAt = tick.now;
  const messages = produce(rib, Number.POSITIVE_INFINITY, false, tick.now);
  if (messages.length > 0)
    write(
      { peer, tick, out },
      connection,
      'UPDATE',
      Buffer.concat(messages.map(({ bytes }) => bytes)),
      messages.length,
    );
}

/** A Cease that ends a session for good: a peer with RFC 8538 would otherwise keep our routes. */
export function final({ negotiated }: Connection, cease: Notification): Notification {
  return negotiated.gracefulRestart?.notification === true ? hardReset(cease) : cease;
}

/** The connection is Idle: what that means for the peer. */
function ended(turn: Turn, connection: Connection, cause: Cause, sent: Notification | undefined): void {
  const { peer, tick, out } = turn;
  const { session } = connection;
  const told = cause.received ?? sent;
  if (peer.session === connection) {
    peer.session = undefined;
    peer.outbound.fsm = peer.outbound.fsm.is === 'Idle' ? connection.fsm : peer.outbound.fsm;
  } else if (peer.inbound === connection) peer.inbound = undefined;
  connection.session = undefined;
  if (session !== undefined && isStable(tick.now - session.since, session.holdTimeMs)) peer.backoff.sessions = 0;
  // the router may be another one by now, or have learned: a session's refusal holds no longer than the session
  if (session !== undefined) peer.offer = 'full';
  lowerOffer(turn, cause.received);
  again(turn, cause, told);
  if (cause.forgiven === 'stop' && session === undefined) return;
  const why = explain(cause, sent);
  const notifications = {
    ...(sent === undefined ? {} : { sent }),
    ...(cause.received === undefined ? {} : { received: cause.received }),
  };
  const isRepeated = cause.forgiven === 'collision' && peer.session === undefined && ++peer.collisions > 1;
  if (cause.forgiven !== 'collision' || isRepeated) {
    const code = told === undefined ? (cause.code ?? '') : `${told.code}/${told.subcode}`;
    peer.lastError = { code, text: why, at: tick.now };
  }
  out.push({
    report: session === undefined ? 'peer-failed' : 'peer-down',
    peer: peer.config.name,
    why,
    ...notifications,
  });
}

/** When to dial again. */
function again({ peer, tick }: Turn, { forgiven, received }: Cause, told: Notification | undefined): void {
  const lost = received?.code === CODE.cease && received.subcode === CEASE.connectionCollision;
  if (forgiven === 'stop' || forgiven === 'configuration') peer.dialAt = tick.now;
  else if (forgiven !== undefined || lost) {
    // no failure of anybody: but two speakers that dial at the same time should not do so again
    peer.dialAt = tick.now + 1_000 + 4_000 * tick.random;
  } else {
    peer.backoff.sessions++;
    peer.dialAt = tick.now + idleHoldMs(peer.backoff, told, tick.random);
  }
}

/** RFC 5492 §3: a peer that refuses what we offer is offered less, once. */
function lowerOffer({ peer, out }: Turn, received: Notification | undefined): void {
  if (received?.code !== CODE.open) return;
  const { unsupportedParameter, unsupportedCapability } = OPEN_ERROR;
  if (received.subcode !== unsupportedParameter && received.subcode !== unsupportedCapability) return;
  const less = received.subcode === unsupportedCapability ? 'needed' : canDoWithout(peer.config) ? 'none' : 'full';
  peer.offer = peer.offer === 'full' ? less : 'full';
  const text = REDUCED[peer.offer];
  if (text !== undefined) out.push({ report: 'peer-warning', peer: peer.config.name, rule: 'reduced-offer', text });
}

function explain({ why, received }: Cause, sent: Notification | undefined): string {
  if (received !== undefined) {
    const text = shutdownText(received);
    return `received ${describeNotification(received)}${text === undefined ? '' : `: ${text}`}`;
  }
  return sent === undefined ? why : `sent ${describeNotification(sent)}: ${why}`;
}
