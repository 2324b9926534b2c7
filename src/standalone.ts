// A node without a cluster: a folder of manifests is the API, addresses are allocated here, announced by BGP, and
// remembered in a state file. All rooms put together, once. Called by the verb of that name.

import { type HttpDoor, json, serveHttp, text } from './io/http.ts';
import type { Log } from './io/log.ts';
import { Metrics } from './io/metrics.ts';
import { readStateFile, StateFile } from './io/state-file.ts';
import { Folder, type FolderContent } from './k8s/directory.ts';
import { type Kept, type ReconcileOptions, Reconciler, type Round } from './k8s/reconcile.ts';
import type { SocketAddress } from './net/io.ts';
import { NO_LAYER2_COUNTS } from './observe/layer2-metrics.ts';
import { linesOfAllocations, linesOfManifests, peerLabel } from './observe/log.ts';
import { STANDALONE_METRICS, type StandaloneObserved } from './observe/metrics.ts';
import { datesFrom, servicesJson } from './observe/state.ts';
import type { Node } from './plan/snapshot.ts';
import { Announcer } from './process/announcer.ts';
import { eventOf, Layer2 } from './process/layer2.ts';
import type { Layer2Settings } from './process/layer2-wanted.ts';

export interface StandaloneOptions extends ReconcileOptions {
  readonly manifests: string;
  readonly http: SocketAddress;
  /** Empty: dial only. */
  readonly listen: readonly SocketAddress[];
  readonly stateFile: string;
  readonly version: string;
  /** Absent: no layer 2. */
  readonly layer2?: Layer2Settings;
}

/** Without a cluster there is nobody to be heard: each answers by its folder alone. */
const NO_NODES: ReadonlyMap<string, Node> = new Map();

export class Standalone {
  readonly #options: StandaloneOptions;
  readonly #log: Log;
  readonly #startedAt = performance.now();
  readonly #dates = datesFrom(performance.timeOrigin);
  readonly #announcer: Announcer;
  readonly #stateFile: StateFile;
  readonly #reconciler: Reconciler;
  readonly #layer2: Layer2 | undefined;
  /** As they were at the start. */
  readonly #kept: Kept;
  /** Lines about the manifests that hold at the moment. */
  #said: ReadonlySet<string> = new Set();
  #content: FolderContent | undefined;
  #syncedAt: number | undefined;
  #manifestFaults = 0;
  #folder: Folder | undefined;
  #http: HttpDoor | undefined;

  private constructor(options: StandaloneOptions, log: Log, kept: Kept) {
    this.#options = options;
    this.#log = log;
    this.#reconciler = new Reconciler(options, kept);
    this.#kept = kept;
    this.#layer2 = options.layer2 && this.#serveLayer2(options.layer2);
    this.#announcer = new Announcer(options.node, options.listen, log, (report) => this.#layer2?.take(report));
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
    standalone.#folder = new Folder(manifests, options.namespace, (content) => standalone.#changed(content));
    return standalone;
  }

  /** Where HTTP is served. */
  get http(): { readonly host: string; readonly port: number } | undefined {
    return this.#http;
  }

  /** The last events, for the line that a crash leaves. */
  get recent(): readonly string[] {
    return this.#announcer.recent;
  }

  /** Leaves all peers; done when every connection is closed and the state is on the disk. */
  async leave(): Promise<void> {
    this.#folder?.end();
    this.#layer2?.leave();
    await Promise.all([this.#announcer.leave(), this.#stateFile.settled()]);
    this.#http?.close();
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
      services: servicesJson(
        allocations,
        plan && this.#layer2 ? { ...plan, services: this.#layer2.services } : plan,
        this.#layer2 && configuration?.config,
      ),
      ...this.#announcer.state(dates, startedAt),
    };
  }

  #serveLayer2(settings: Layer2Settings): Layer2 {
    const { node } = this.#options;
    return new Layer2({
      settings,
      say: ({ level, fields, msg }) => this.#log[level](fields, msg),
      changed: () => {},
      warn: (warning) => {
        const { reason, message } = eventOf(warning, node);
        this.#log.warn(
          { event: reason, service: warning.service, error: message },
          'an address is not served as it should be',
        );
      },
    });
  }

  async #look(): Promise<void> {
    const { packets } = this.#announcer;
    await packets.look();
    if (packets.view !== undefined) this.#layer2?.look(packets.view);
  }

  get #ready(): boolean {
    return this.#reconciler.last?.configuration.config !== undefined;
  }

  async #serve(): Promise<void> {
    const { address, port } = this.#options.http;
    const look = () => this.#look();
    const metrics = new Metrics(look);
    metrics.add<StandaloneObserved>(STANDALONE_METRICS, () => this.#observed());
    const notReady = () => this.#reconciler.last?.configuration.refused ?? 'the manifests were not read yet';
    this.#http = await serveHttp(address, port, {
      '/api/v1/state': () => look().then(() => json(this.state())),
      '/metrics': async () => ({ status: 200, type: metrics.contentType, body: await metrics.text() }),
      '/healthz': () => text(200, 'ok'),
      '/readyz': () => (this.#ready ? text(200, 'ok') : text(503, notReady())),
    });
    const served = peerLabel({ address, port: this.#http.port });
    this.#log.info({ op: 'http', address: served }, 'serving state, metrics and health');
  }

  #observed(): StandaloneObserved {
    const { allocations } = this.#reconciler.last ?? {};
    return {
      ...this.#announcer.observed(),
      ...(this.#options.bgpType === 'frr' && { vrf: 'default' }),
      ...{ allocations, manifestFaults: this.#manifestFaults },
      ...{ served: this.#layer2?.services, layer2: this.#layer2?.counts ?? NO_LAYER2_COUNTS },
    };
  }

  /** The folder says something else: the whole way down. */
  #changed(content: FolderContent): void {
    this.#content = content;
    const before = this.#reconciler.last;
    const round = content.complete ? this.#reconciler.take(content) : undefined;
    this.#tellOfManifests(content, round ?? before);
    if (round === undefined) return;
    this.#syncedAt = performance.now();
    for (const { level, fields, msg } of linesOfAllocations(before?.allocations, round.allocations))
      this.#log[level](fields, msg);
    if (round.configuration.config !== undefined && round.kept !== before?.kept) this.#stateFile.write(round.kept);
    this.#announcer.follow(round);
    const established = () => [...this.#kept.values()].flatMap(({ ips }) => ips);
    const { plan, configuration } = round;
    const wanted = this.#layer2?.follow({ plan, config: configuration.config, nodes: NO_NODES, established });
    this.#announcer.packets.wantLayer2(wanted);
  }

  /** Each thing that is wrong with them once, for as long as it is. */
  #tellOfManifests(content: FolderContent, round: Round | undefined): void {
    const { faults } = content;
    const remarks = round?.remarks ?? [];
    this.#manifestFaults = faults.length + remarks.filter(({ rule }) => rule === 'invalid').length;
    const lines = new Map([...linesOfManifests(faults, remarks, content)].map((line) => [JSON.stringify(line), line]));
    for (const [key, { level, fields, msg }] of lines) if (!this.#said.has(key)) this.#log[level](fields, msg);
    this.#said = new Set(lines.keys());
  }
}
