// Our own passive BGP collector: the speaker's machine with peers that never dial, announce nothing and keep what they
// hear, whatever its next hop. Used by `listen`, and so by the demo.

import type { PeerConfig } from '../bgp/peer.ts';
import type { PeerView } from '../bgp/view.ts';
import { Drive } from '../io/drive.ts';
import { Tcp } from '../io/tcp.ts';
import type { Ip } from '../net/address.ts';
import type { AcceptRule, IoEffect, SocketAddress } from '../net/io.ts';
import {
  createSpeaker,
  dueAt,
  isDone,
  type SpeakerEffect,
  type SpeakerEvent,
  type SpeakerReport,
  type SpeakerState,
  step,
  viewPeers,
} from '../speaker.ts';

export interface CollectorOptions {
  readonly at: SocketAddress;
  readonly as: number;
  readonly routerId?: Ip;
  /** Empty: whoever connects. */
  readonly peers: readonly Ip[];
  readonly peerAs: number | 'internal' | 'external';
}

/** Of strangers that connect, no more are remembered. */
const MOST_PEERS = 256;
/** Where neither a router id nor an IPv4 address of the session is given. */
const ROUTER_ID = '192.0.2.255' as Ip;

export class Collector {
  readonly #options: CollectorOptions;
  readonly #peers = new Map<Ip, PeerConfig>();
  readonly #tcp: Tcp;
  readonly #drive: Drive<SpeakerState, SpeakerEvent, SpeakerEffect>;
  #left: (() => void) | undefined;

  constructor(options: CollectorOptions, told: (report: SpeakerReport) => void) {
    this.#options = options;
    this.#tcp = new Tcp({
      emit: (event) => this.#handle(event),
      refused: (from) => told({ report: 'connection-refused', from, why: 'no --peer has this address' }),
    });
    this.#drive = new Drive<SpeakerState, SpeakerEvent, SpeakerEffect>({ step, dueAt }, createSpeaker(), (effect) =>
      'do' in effect ? this.#tcp.carry(this.#open(effect)) : told(effect),
    );
    for (const address of options.peers) this.#peers.set(address, this.#configOf(address));
  }

  /** Starts to listen; whether that worked is the first report. */
  start(): void {
    this.#plan();
  }

  get recent(): readonly string[] {
    return this.#drive.recent;
  }

  /** With all routes that they announced. */
  peers(): readonly PeerView[] {
    return viewPeers(this.#drive.state);
  }

  /** Cease to all; done when every connection is closed. */
  async leave(): Promise<void> {
    const left = new Promise<void>((resolve) => {
      this.#left = resolve;
    });
    this.#handle({ on: 'leave' });
    await left;
    this.#tcp.end();
    this.#drive.end();
  }

  #handle(event: SpeakerEvent): void {
    if (event.on === 'tcp-accepted' && this.#options.peers.length === 0) this.#welcome(event.remote.address);
    this.#drive.handle(event);
    if (this.#left !== undefined && isDone(this.#drive.state)) this.#left();
  }

  /** A stranger becomes a peer before its connection is looked at. */
  #welcome(address: Ip): void {
    if (this.#peers.has(address) || this.#peers.size >= MOST_PEERS || this.#left !== undefined) return;
    this.#peers.set(address, this.#configOf(address));
    this.#plan();
  }

  #plan(): void {
    const peers = [...this.#peers.values()];
    this.#drive.handle({ on: 'plan', plan: { peers, routes: new Map() }, listen: [this.#options.at] });
  }

  /** Without named peers everybody may connect. */
  #open(effect: IoEffect): IoEffect {
    if (effect.do !== 'tcp-listen' || effect.on.length === 0 || this.#options.peers.length > 0) return effect;
    const anybody: AcceptRule = { from: 'any', options: { ttl: 255 } };
    return { ...effect, accept: [...effect.accept, anybody] };
  }

  #configOf(address: Ip): PeerConfig {
    const { as, routerId, peerAs } = this.#options;
    return {
      ...{ name: address, address, port: 179, localAs: as, remoteAs: peerAs },
      ...(routerId !== undefined && { routerId }),
      fallbackRouterId: ROUTER_ID,
      ...{ holdTimeMs: 90_000, connectRetryMs: 120_000, families: ['ipv4', 'ipv6'] },
      ...{ ebgpMultiHop: true, gracefulRestart: false, passive: true, keep: true, warnings: [] },
    };
  }
}
