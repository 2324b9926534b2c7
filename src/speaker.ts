// The node's BGP half as one machine: its peers, each wanted as the plan says, but no prefix faster than damping allows.
// It routes what the world answers to the peer that owns the connection, what BFD says to the peer whose path it is, accepts
// configured peers alone, and leaves politely. Called by io/drive and simulation.

import type { BfdSays } from './bgp/bfd-client.ts';
import { tcpOptions } from './bgp/connection.ts';
import { CEASE } from './bgp/notification.ts';
import { isGone, type PeerEffect, type PeerEvent, type PeerReport, peerDueAt, stepPeer } from './bgp/peer.ts';
import { createPeer, type PeerState } from './bgp/peer-state.ts';
import { remoteOf } from './bgp/unnumbered.ts';
import { type PeerView, viewPeer } from './bgp/view.ts';
import type { Prefix } from './net/address.ts';
import type { AcceptRule, ConnectionId, IoEffect, IoEvent, SocketAddress } from './net/io.ts';
import { OFF, redraw, type Step, type Tick, unreachable } from './net/machine.ts';
import type { Neighbor } from './net/neighbor.ts';
import { createDamping, type Damping, damp } from './plan/damping.ts';
import type { Plan } from './plan/plan.ts';

/** The whole plan; the first one starts everything: before it nothing is dialled or accepted. */
interface Planned {
  readonly on: 'plan';
  readonly plan: Pick<Plan, 'peers' | 'routes'>;
  readonly listen: readonly SocketAddress[];
}

export type SpeakerEvent =
  | Planned
  /** The process ends: peers with graceful restart are left silently, all others with Cease. Done when `isDone`. */
  | { readonly on: 'leave' }
  /** What BFD says of the path to a peer that has it; of any other it is ignored. */
  | { readonly on: 'bfd'; readonly peer: string; readonly says: BfdSays }
  /** Who is at the other end of a link that peers are named by. */
  | { readonly on: 'neighbor'; readonly link: string; readonly neighbor: Neighbor }
  | { readonly on: 'tick' }
  | IoEvent;

export type SpeakerReport =
  | PeerReport
  | { readonly report: 'listening'; readonly at: SocketAddress; readonly error?: string }
  | { readonly report: 'connection-refused'; readonly from: SocketAddress; readonly why: string };

export type SpeakerEffect = IoEffect | SpeakerReport;

export interface SpeakerState {
  readonly peers: Map<string, PeerState>;
  /** Removed ones, until their connections are closed. */
  readonly leaving: Set<PeerState>;
  /** By link, as told last. */
  readonly neighbors: Map<string, Neighbor>;
  readonly owners: Map<ConnectionId, PeerState>;
  /** Refused before they had an owner, until the world says they are closed. */
  readonly refused: Set<ConnectionId>;
  /** Peers created so far. */
  instances: number;
  /** The latest plan, what of it is held back, and when that may go. */
  planned: Planned | undefined;
  readonly damping: Damping;
  heldUntil: number;
  /** What was last asked to be listened on, as text: undefined before the first time. */
  listening: string | undefined;
  left: boolean;
}

const SHUTDOWN_TEXT = 'speaker is shutting down';

export function createSpeaker(): SpeakerState {
  return {
    peers: new Map(),
    leaving: new Set(),
    neighbors: new Map(),
    owners: new Map(),
    refused: new Set(),
    instances: 0,
    planned: undefined,
    damping: createDamping(),
    heldUntil: OFF,
    listening: undefined,
    left: false,
  };
}

export function step(state: SpeakerState, event: SpeakerEvent, tick: Tick): Step<SpeakerState, SpeakerEffect> {
  const out: SpeakerEffect[] = [];
  switch (event.on) {
    case 'plan':
      if (!state.left) follow(state, event, tick, out);
      break;
    case 'leave':
      leave(state, tick, out);
      break;
    case 'bfd': {
      const peer = state.peers.get(event.peer);
      if (peer !== undefined) run(state, peer, { on: 'bfd', says: event.says }, tick, out);
      break;
    }
    case 'neighbor':
      state.neighbors.set(event.link, event.neighbor);
      for (const peer of state.peers.values()) meet(state, peer, tick, out);
      break;
    case 'tick':
      expire(state, tick, out);
      break;
    case 'tcp-accepted':
      accept(state, event, tick, out);
      break;
    case 'tcp-listening':
      out.push({
        report: 'listening',
        at: event.at,
        ...(event.error === undefined
          ? {}
          : { error: `${event.error.call}: ${event.error.code}: ${event.error.text}` }),
      });
      break;
    case 'tcp-opened':
    case 'tcp-data':
    case 'tcp-drained':
    case 'tcp-closed': {
      const peer = state.owners.get(event.connection);
      if (event.on === 'tcp-closed') {
        state.owners.delete(event.connection);
        state.refused.delete(event.connection);
      }
      if (peer !== undefined) run(state, peer, event, tick, out);
      break;
    }
    default:
      unreachable(event);
  }
  return [state, out];
}

/** The instant of the next timer of any peer, or when something that is held back may go; `OFF` when none runs. */
export function dueAt(state: SpeakerState): number {
  let due = state.left ? OFF : state.heldUntil;
  for (const peer of state.peers.values()) due = Math.min(due, peerDueAt(peer));
  return due;
}

/** Left, and every connection is closed. */
export function isDone(state: SpeakerState): boolean {
  return state.left && state.owners.size === 0 && state.refused.size === 0;
}

/** Prefixes that are held back because they flap, each with the instant (ms) at which it may go. */
export function heldBack(state: SpeakerState): ReadonlyMap<Prefix, number> {
  return state.damping.held;
}

/** The peers by name. Without `tables` their lists of routes are empty. */
export function viewPeers(state: SpeakerState, tables = true): readonly PeerView[] {
  const views = [...state.peers.values()].map((peer) => viewPeer(peer, tables));
  return views.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** One event for one peer; who owns a connection that it dials is noted. */
function run(state: SpeakerState, peer: PeerState, event: PeerEvent, tick: Tick, out: SpeakerEffect[]): void {
  const remote = remoteOf(peer);
  const [, effects] = stepPeer(peer, event, tick);
  for (const effect of effects) note(state, peer, effect);
  out.push(...effects);
  if (state.leaving.has(peer) && isGone(peer)) state.leaving.delete(peer);
  if (remoteOf(peer) !== remote) listenFor(state, out);
}

/** Tells a peer that is named by its interface who is there, when that is news. */
function meet(state: SpeakerState, peer: PeerState, tick: Tick, out: SpeakerEffect[]): void {
  const neighbor = state.neighbors.get(peer.config.interface ?? '');
  if (neighbor !== undefined && neighbor !== peer.neighbor) run(state, peer, { on: 'neighbor', neighbor }, tick, out);
}

function note(state: SpeakerState, peer: PeerState, effect: PeerEffect): void {
  if ('do' in effect && effect.do === 'tcp-connect') state.owners.set(effect.connection, peer);
}

function follow(state: SpeakerState, planned: Planned, tick: Tick, out: SpeakerEffect[]): void {
  const { plan } = planned;
  const damped = damp(state.damping, plan.routes, tick.now);
  state.planned = planned;
  state.heldUntil = damped.dueAt;
  const wanted = new Map(plan.peers.map((config) => [config.name, config]));
  let random = tick.random;
  for (const [name, peer] of [...state.peers]) {
    if (wanted.has(name)) continue;
    state.peers.delete(name);
    state.leaving.add(peer);
    run(state, peer, { on: 'leave', how: { by: 'cease', subcode: CEASE.peerDeconfigured } }, tick, out);
  }
  listenFor(state, out);
  for (const config of plan.peers) {
    random = redraw(random);
    const chance = { ...tick, random };
    const known = state.peers.get(config.name);
    const peer = known ?? createPeer(config, ++state.instances, tick.now);
    state.peers.set(config.name, peer);
    const routes = damped.routes.get(config.name) ?? new Map();
    if (peer.config !== config) run(state, peer, { on: 'configure', config }, chance, out);
    meet(state, peer, chance, out);
    if (peer.wanted !== routes) run(state, peer, { on: 'wanted', routes }, chance, out);
    else if (known === undefined) run(state, peer, { on: 'tick' }, chance, out);
  }
}

/** Asks to accept the configured peers, when there is anything to listen on or there was; only when something changed. */
function listenFor(state: SpeakerState, out: SpeakerEffect[]): void {
  if (state.planned === undefined || state.left) return;
  const { plan, listen: on } = state.planned;
  const { peers } = plan;
  if (on.length === 0 && state.listening === undefined) return;
  const accept: readonly AcceptRule[] = peers.flatMap((config) => {
    const from = config.address ?? state.peers.get(config.name)?.adopted;
    const on = config.interface === undefined ? {} : { link: config.interface };
    return from === undefined ? [] : [{ from, ...on, options: tcpOptions(config) }];
  });
  const secrets = peers.map(({ md5 }) => md5?.fingerprint);
  const asked = JSON.stringify([on, accept, secrets]);
  if (asked === state.listening) return;
  state.listening = asked;
  out.push({ do: 'tcp-listen', on, accept });
}

function accept(
  state: SpeakerState,
  event: Extract<IoEvent, { on: 'tcp-opened' | 'tcp-accepted' }>,
  tick: Tick,
  out: SpeakerEffect[],
): void {
  const { connection, remote } = event;
  const peer = callerOf(state, event);
  if (peer === undefined || state.left) {
    // before anything is allocated for it
    state.refused.add(connection);
    out.push({ do: 'tcp-close', connection, how: 'rst' });
    const why = state.left ? 'the speaker is leaving' : 'no peer with this address and device is configured';
    out.push({ report: 'connection-refused', from: remote, why });
    return;
  }
  state.owners.set(connection, peer);
  run(state, peer, event, tick, out);
}

/** Several VRFs may have a router with one address, and several links one with one link-local address. */
function callerOf(
  state: SpeakerState,
  { remote: { address }, device, link }: Extract<IoEvent, { on: 'tcp-opened' | 'tcp-accepted' }>,
): PeerState | undefined {
  for (const peer of state.peers.values()) {
    const { interface: own, device: vrf } = peer.config;
    if (remoteOf(peer) === address && vrf === device && (own === undefined || own === link?.name)) return peer;
  }
  return undefined;
}

function expire(state: SpeakerState, tick: Tick, out: SpeakerEffect[]): void {
  if (state.planned !== undefined && state.heldUntil <= tick.now && !state.left)
    follow(state, state.planned, tick, out);
  let { random } = tick;
  for (const peer of state.peers.values()) {
    if (peerDueAt(peer) > tick.now) continue;
    random = redraw(random);
    run(state, peer, { on: 'tick' }, { ...tick, random }, out);
  }
}

function leave(state: SpeakerState, tick: Tick, out: SpeakerEffect[]): void {
  if (state.left) return;
  state.left = true;
  if (state.listening !== undefined) out.push({ do: 'tcp-listen', on: [], accept: [] });
  for (const peer of state.peers.values()) {
    const how = peer.config.gracefulRestart
      ? ({ by: 'graceful-restart', text: SHUTDOWN_TEXT } as const)
      : ({ by: 'cease', subcode: CEASE.administrativeShutdown, text: SHUTDOWN_TEXT } as const);
    run(state, peer, { on: 'leave', how }, tick, out);
  }
}
