// A node without a cluster: a folder of manifests is the API, addresses are allocated here, announced by BGP, and
// remembered in a state file. All rooms put together, once. Called by the verb of that name.

import type { PeerConfig } from './bgp/peer.ts';
import { Drive } from './io/drive.ts';
import { type HttpDoor, json, serveHttp, text } from './io/http.ts';
import type { Log } from './io/log.ts';
import { Metrics } from './io/metrics.ts';
import { readStateFile, StateFile } from './io/state-file.ts';
import { Tcp } from './io/tcp.ts';
import { Folder, type FolderContent } from './k8s/directory.ts';
import { type Configuration, type Kept, type ReconcileOptions, Reconciler, type Round } from './k8s/reconcile.ts';
import type { SocketAddress } from './net/io.ts';
import {
  type Line,
  lineOfReport,
  linesOfAllocations,
  linesOfManifests,
  linesOfPlan,
  peerLabel,
} from './observe/log.ts';
import { type Counts, METRICS, type Observed } from './observe/metrics.ts';
import { datesFrom, peerJson, servicesJson, unservedJson } from './observe/state.ts';
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
} from './speaker.ts';

export interface StandaloneOptions extends ReconcileOptions {
  readonly manifests: string;
  readonly http: SocketAddress;
  /** Empty: dial only. */
  readonly listen: readonly SocketAddress[];
  readonly stateFile: string;
  readonly version: string;
}

/** Refused connections are counted one by one and logged at most so often. */
const REFUSED_APART_MS = 1_000;

export class Standalone {
  readonly #options: StandaloneOptions;
  readonly #log: Log;
  readonly #startedAt = performance.now();
  readonly #dates = datesFrom(performance.timeOrigin);
  readonly #drive: Drive<SpeakerState, SpeakerEvent, SpeakerEffect>;
  readonly #tcp: Tcp;
  readonly #stateFile: StateFile;
  readonly #reconciler: Reconciler;
  readonly #counts: Counts = { updates: 0, updateErrors: 0, connectionsRefused: 0, manifestFaults: 0 };
  /** Of every peer there ever was: what is said of one that was removed still names it. */
  readonly #peers = new Map<string, PeerConfig>();
  /** Where we accept connections, or why not; by address and port. */
  readonly #listening = new Map<string, string>();
  /** Lines about the manifests that hold at the moment. */
  #said: ReadonlySet<string> = new Set();
  #content: FolderContent | undefined;
  #syncedAt: number | undefined;
  #refusedSaidAt = Number.NEGATIVE_INFINITY;
  #folder: Folder | undefined;
  #http: HttpDoor | undefined;
  #left: (() => void) | undefined;

  private constructor(options: StandaloneOptions, log: Log, kept: Kept) {
    this.#options = options;
    this.#log = log;
    this.#reconciler = new Reconciler(options, kept);
    this.#tcp = new Tcp({
      emit: (event) => this.#handle(event),
      refused: (from) => this.#report({ report: 'connection-refused', from, why: 'no peer has this address' }),
    });
    this.#drive = new Drive<SpeakerState, SpeakerEvent, SpeakerEffect>({ step, dueAt }, createSpeaker(), (effect) =>
      'do' in effect ? this.#tcp.carry(effect) : this.#report(effect),
    );
    this.#stateFile = new StateFile(options.stateFile, (fault) => {
      if (fault === undefined) log.info({ op: 'writeState' }, 'the state file can be written again');
      else log.error({ op: 'writeState', error: fault.message }, 'addresses are not remembered over a restart');
    });
  }

  /** Rejects with a sentence when the state file is broken or the HTTP address cannot be had. */
  static async start(options: StandaloneOptions, log: Log): Promise<Standalone> {
    const { version, node, manifests } = options;
    log.info({ version, node, manifests, nodeversion: process.version }, 'Fairway standalone starting');
    const standalone = new Standalone(options, log, await readStateFile(options.stateFile));
    await standalone.#serve();
    standalone.#folder = new Folder(manifests, (content) => standalone.#changed(content));
    return standalone;
  }

  /** Where HTTP is served. */
  get http(): { readonly host: string; readonly port: number } | undefined {
    return this.#http;
  }

  /** The last events, for the line that a crash leaves. */
  get recent(): readonly string[] {
    return this.#drive.recent;
  }

  /** Leaves all peers; done when every connection is closed and the state is on the disk. */
  async leave(): Promise<void> {
    this.#folder?.end();
    const left = new Promise<void>((resolve) => {
      this.#left = resolve;
    });
    this.#handle({ on: 'leave' });
    await Promise.all([left, this.#stateFile.settled()]);
    this.#http?.close();
    this.#tcp.end();
    this.#drive.end();
    this.#log.info({ op: 'leave' }, 'left all peers');
  }

  state() {
    const { node, version } = this.#options;
    const dates = this.#dates;
    const { configuration, remarks, allocations, plan } = this.#reconciler.last ?? {};
    const startedAt = dates(this.#startedAt);
    return {
      process: { version, role: 'standalone', node, startedAt, ready: this.#ready },
      knowledge: {
        source: 'manifests',
        syncedAt: this.#syncedAt === undefined ? null : dates(this.#syncedAt),
        ageMs: this.#syncedAt === undefined ? null : Math.round(performance.now() - this.#syncedAt),
        configuration: {
          accepted: configuration?.config !== undefined && configuration.refused === undefined,
          error: configuration?.refused ?? '',
        },
        faults: this.#content?.faults ?? [],
        remarks: remarks ?? [],
        problem: this.#content?.problem ?? '',
      },
      services: servicesJson(allocations, plan),
      peers: [
        ...viewPeers(this.#drive.state).map((peer) => peerJson(peer, dates)),
        ...(plan?.notServed ?? []).map((peer) => unservedJson(peer, startedAt)),
      ],
      listening: [...this.#listening].map(([address, error]) => ({ address, error })),
      layer2: { segments: [], claims: [] },
    };
  }

  get #ready(): boolean {
    return this.#reconciler.last?.configuration.config !== undefined;
  }

  async #serve(): Promise<void> {
    const { address, port } = this.#options.http;
    const metrics = new Metrics();
    metrics.add<Observed>(METRICS, () => this.#observed());
    const notReady = () => this.#reconciler.last?.configuration.refused ?? 'the manifests were not read yet';
    this.#http = await serveHttp(address, port, {
      '/api/v1/state': () => json(this.state()),
      '/metrics': async () => ({ status: 200, type: metrics.contentType, body: await metrics.text() }),
      '/healthz': () => text(200, 'ok'),
      '/readyz': () => (this.#ready ? text(200, 'ok') : text(503, notReady())),
    });
    const served = peerLabel({ address, port: this.#http.port });
    this.#log.info({ op: 'http', address: served }, 'serving state, metrics and health');
  }

  #observed(): Observed {
    const { plan, allocations, configuration } = this.#reconciler.last ?? {};
    return {
      node: this.#options.node,
      peers: viewPeers(this.#drive.state, false),
      plan,
      allocations,
      configuration: {
        loaded: configuration?.config !== undefined,
        stale: configuration?.refused !== undefined,
      },
      listening: this.#listening,
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

  #say({ level, fields, msg }: Line): void {
    this.#log[level](fields, msg);
  }

  /** The folder says something else: the whole way down. */
  #changed(content: FolderContent): void {
    this.#content = content;
    const before = this.#reconciler.last;
    const round = content.complete ? this.#reconciler.take(content) : undefined;
    this.#tellOfManifests(content, round ?? before);
    if (round === undefined) return;
    this.#counts.updates++;
    this.#syncedAt = performance.now();
    this.#tellOfConfiguration(before?.configuration, round.configuration);
    for (const config of round.plan.peers) this.#peers.set(config.name, config);
    for (const line of linesOfAllocations(before?.allocations, round.allocations)) this.#say(line);
    for (const line of linesOfPlan(before?.plan, round.plan)) this.#say(line);
    // nothing is dialled or accepted before a first configuration (RFC 4724 §4.1: nor any End-of-RIB sent)
    if (round.configuration.config === undefined) return;
    if (round.kept !== before?.kept) this.#stateFile.write(round.kept);
    this.#handle({ on: 'plan', plan: round.plan, listen: this.#options.listen });
  }

  /** Each thing that is wrong with them once, for as long as it is. */
  #tellOfManifests({ faults, problem }: FolderContent, round: Round | undefined): void {
    const remarks = round?.remarks ?? [];
    this.#counts.manifestFaults = faults.length + remarks.filter(({ rule }) => rule === 'invalid').length;
    const lines = new Map([...linesOfManifests(faults, remarks, problem)].map((line) => [JSON.stringify(line), line]));
    for (const [key, line] of lines) if (!this.#said.has(key)) this.#say(line);
    this.#said = new Set(lines.keys());
  }

  #tellOfConfiguration(before: Configuration | undefined, now: Configuration): void {
    if (now.bareNode && before?.bareNode !== true)
      this.#log.info(
        { op: 'setConfig', node: this.#options.node },
        'no Node object has this name: a bare one is assumed',
      );
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
