// What one node announces, on real sockets: the speaker's machine driven, its reports logged and counted, wherever the
// plan comes from. Owned by standalone (a folder) and by speaker-process (a cluster).

import { setTimeout } from 'node:timers/promises';
import type { PeerConfig } from '../bgp/peer.ts';
import type { InForce } from '../config/in-force.ts';
import { Drive } from '../io/drive.ts';
import type { Log } from '../io/log.ts';
import { Tcp } from '../io/tcp.ts';
import type { LinksReport } from '../links.ts';
import type { SocketAddress } from '../net/io.ts';
import { lineOfBfdReport } from '../observe/bfd-log.ts';
import { bfdJson } from '../observe/bfd-state.ts';
import { layer2Json } from '../observe/layer2-state.ts';
import { type Line, lineOfReport, linesOfPlan, peerLabel } from '../observe/log.ts';
import type { Observed } from '../observe/metrics.ts';
import { packetsJson } from '../observe/packet-state.ts';
import { type Dates, heldJson, peerJson, unservedJson } from '../observe/state.ts';
import type { Plan } from '../plan/plan.ts';
import {
  createSpeaker,
  dueAt,
  heldBack,
  isDone,
  type SpeakerEffect,
  type SpeakerEvent,
  type SpeakerReport,
  type SpeakerState,
  step,
  viewPeers,
} from '../speaker.ts';
import { reasonOf } from './bfd.ts';
import { PacketHalf } from './packet-half.ts';

/** Refused connections are counted one by one and logged at most so often. */
const REFUSED_APART_MS = 1_000;
/** A connection is closed within this, or its peer is gone. */
const CLOSE_MS = 300;

/** What the announcements follow from. */
export interface Grounds {
  readonly configuration: InForce & { readonly bareNode: boolean };
  readonly plan: Plan;
}

export class Announcer {
  readonly packets: PacketHalf;
  readonly #node: string;
  readonly #log: Log;
  /** Empty: dial only. */
  readonly #listen: readonly SocketAddress[];
  readonly #drive: Drive<SpeakerState, SpeakerEvent, SpeakerEffect>;
  readonly #tcp: Tcp;
  readonly #counts = { updates: 0, updateErrors: 0, connectionsRefused: 0 };
  /** Of every peer there ever was: what is said of one that was removed still names it. */
  readonly #peers = new Map<string, PeerConfig>();
  /** Where we accept connections, or why not; by address and port. */
  readonly #listening = new Map<string, string>();
  #last: Grounds | undefined;
  #refusedSaidAt = Number.NEGATIVE_INFINITY;
  #left: (() => void) | undefined;

  /** `heard`: every report of the packet thread. */
  constructor(
    node: string,
    listen: readonly SocketAddress[],
    log: Log,
    heard: (report: LinksReport) => void = () => {},
  ) {
    this.#node = node;
    this.#listen = listen;
    this.#log = log;
    this.#tcp = new Tcp({
      emit: (event) => this.#handle(event),
      refused: (from) => this.#report({ report: 'connection-refused', from, why: 'no peer has this address' }),
    });
    this.#drive = new Drive<SpeakerState, SpeakerEvent, SpeakerEffect>({ step, dueAt }, createSpeaker(), (effect) =>
      'do' in effect ? this.#tcp.carry(effect) : this.#report(effect),
    );
    this.packets = new PacketHalf({
      neighbor: (link, neighbor) => this.#handle({ on: 'neighbor', link, neighbor }),
      path: (peer, says) => this.#handle({ on: 'bfd', peer, says }),
      report: (report) => {
        this.#tellOfBfd(report);
        heard(report);
      },
      failed: (error) =>
        log.error({ op: 'packets', error }, 'neither BFD nor layer 2 nor peers by interface can be served'),
    });
  }

  /** The last events, for the line that a crash leaves. */
  get recent(): readonly string[] {
    return [...this.#drive.recent, ...this.packets.recent];
  }

  get last(): Grounds | undefined {
    return this.#last;
  }

  /** Announces what the plan says from now on; what changed is logged. */
  follow(now: Grounds): void {
    const before = this.#last;
    this.#last = now;
    this.#counts.updates++;
    this.#tellOfConfiguration(before?.configuration, now.configuration);
    for (const config of now.plan.peers) this.#peers.set(config.name, config);
    // nothing is dialled or accepted before a first configuration (RFC 4724 §4.1: nor any End-of-RIB sent)
    if (now.configuration.config !== undefined) {
      if (now.plan !== before?.plan) this.#handle({ on: 'plan', plan: now.plan, listen: this.#listen });
      const links = now.plan.peers.flatMap(({ interface: link }) => link ?? []);
      this.packets.wantNeighbors([...new Set(links)].sort());
      this.packets.wantSessions(now.plan.bfd);
    }
    // routes go before words
    for (const line of linesOfPlan(before?.plan, now.plan)) this.#say(line);
  }

  /**
   * Leaves all peers and hands its addresses over; done when every connection is closed. BGP goes first: a router that is
   * to keep our routes over a restart drops them when BFD ends while the session still stands (FRR and BIRD do, AdminDown
   * or not), and keeps them when it ends after.
   */
  async leave(): Promise<void> {
    const left = new Promise<void>((resolve) => {
      this.#left = resolve;
    });
    this.#handle({ on: 'leave' });
    await Promise.race([left, setTimeout(CLOSE_MS, undefined, { ref: false })]);
    await Promise.all([left, this.packets.leave()]);
    this.#tcp.end();
    this.#drive.end();
    this.#log.info({ op: 'leave' }, 'left all peers');
  }

  /** Its part of `GET /api/v1/state`; `startedAt` is the process's. */
  state(dates: Dates, startedAt: string) {
    const sessions = new Map(this.packets.view?.sessions.map((session) => [session.name, session]));
    return {
      peers: [
        ...viewPeers(this.#drive.state).map((peer) =>
          peerJson(peer, dates, bfdJson(peer, sessions.get(peer.name), dates)),
        ),
        ...(this.#last?.plan.notServed ?? []).map((peer) => unservedJson(peer, startedAt)),
      ],
      listening: [...this.#listening].map(([address, error]) => ({ address, error })),
      held: heldJson(heldBack(this.#drive.state), dates),
      packets: packetsJson(this.packets.view, this.packets.viewedAt, performance.now(), dates),
      layer2: layer2Json(this.packets.view, this.#last?.plan, dates),
    };
  }

  observed(): Observed {
    const { configuration, plan } = this.#last ?? {};
    return {
      node: this.#node,
      peers: viewPeers(this.#drive.state, false),
      plan,
      configuration: { loaded: configuration?.config !== undefined, stale: configuration?.refused !== undefined },
      listening: this.#listening,
      links: this.packets.view,
      held: heldBack(this.#drive.state).size,
      counts: this.#counts,
    };
  }

  #handle(event: SpeakerEvent): void {
    this.#drive.handle(event);
    if (this.#left !== undefined && isDone(this.#drive.state)) this.#left();
  }

  #report(report: SpeakerReport): void {
    if (report.report === 'connection-refused') {
      this.#counts.connectionsRefused++;
      const now = performance.now();
      if (now - this.#refusedSaidAt < REFUSED_APART_MS) return;
      this.#refusedSaidAt = now;
    }
    if (report.report === 'listening') this.#listening.set(peerLabel(report.at), report.error ?? '');
    const line = lineOfReport(report, (name) => this.#peers.get(name));
    if (line !== undefined) this.#say(line);
  }

  #tellOfBfd(report: LinksReport): void {
    const reason = report.report === 'bfd-state' ? reasonOf(report.because, report.remoteDiagnostic) : '';
    const line = lineOfBfdReport(report, reason);
    if (line !== undefined) this.#say(line);
  }

  #say({ level, fields, msg }: Line): void {
    this.#log[level](fields, msg);
  }

  #tellOfConfiguration(before: Grounds['configuration'] | undefined, now: Grounds['configuration']): void {
    if (now.bareNode && before?.bareNode !== true)
      this.#log.info({ op: 'setConfig', node: this.#node }, 'no Node object has this name: a bare one is assumed');
    if (now.refused !== undefined) {
      this.#counts.updateErrors++;
      if (now.refused === before?.refused) return;
      const kept = now.config === undefined ? 'there is none yet' : 'the old one stays';
      this.#log.error({ op: 'setConfig', error: now.refused }, `configuration refused, ${kept}`);
      return;
    }
    if (now.config === before?.config && before?.refused === undefined) return;
    this.#log.info({ event: 'config reloaded', op: 'setConfig' }, 'config reloaded');
    for (const warning of now.config?.warnings ?? [])
      this.#log.warn({ op: 'setConfig', error: warning }, 'FRR mode would refuse this; the sessions run all the same');
  }
}
