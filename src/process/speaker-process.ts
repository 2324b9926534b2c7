// The speaker as a process: reads the cluster, announces what its node should, writes what it announces, serves metrics,
// health and its state. While the API server is away it goes on with what it knows and says how old that is. All rooms
// put together, once. Called by the verb `speaker`.

import { createKeeper, type Keeper, putInForce } from '../config/in-force.ts';
import type { BgpType } from '../config/resource.ts';
import { type HttpDoor, json, serveHttp, text } from '../io/http.ts';
import type { HttpsDoor } from '../io/https.ts';
import { connectedSubnets } from '../io/link.ts';
import type { Log } from '../io/log.ts';
import { Metrics } from '../io/metrics.ts';
import type { TlsOptions } from '../io/tls-options.ts';
import { Api, type Target } from '../k8s/api.ts';
import { type Clock, systemClock } from '../k8s/clock.ts';
import type { Cluster } from '../k8s/cluster.ts';
import { Events } from '../k8s/event.ts';
import { Gather } from '../k8s/gather.ts';
import { CONFIGURATION_STATES, SERVICE_BGP_STATUSES, SERVICE_L2_STATUSES } from '../k8s/kind.ts';
import { findPodOwner } from '../k8s/pod-owner.ts';
import type { ApiReport } from '../k8s/report.ts';
import { WriteQueue } from '../k8s/write.ts';
import type { SocketAddress } from '../net/io.ts';
import { lineOfApiReport } from '../observe/api-log.ts';
import { SPEAKER_METRICS, type SpeakerObserved } from '../observe/speaker-metrics.ts';
import { datesFrom, kindJson, servicesJson } from '../observe/state.ts';
import { createMemory, plan } from '../plan/plan.ts';
import type { Service, Settings, Surroundings } from '../plan/snapshot.ts';
import { Announcer } from './announcer.ts';
import { Knowledge } from './knowledge.ts';
import type { Layer2Settings } from './layer2-wanted.ts';
import { openMetricsDoor } from './metrics-door.ts';
import { frrConfigurationName, SpeakerCaches } from './speaker-caches.ts';
import { type MemberlistFlags, SpeakerLayer2 } from './speaker-layer2.ts';
import { remarksOn } from './speaker-remarks.ts';
import { SpeakerStatus } from './speaker-status.ts';
import { Throttling } from './throttling.ts';

export interface SpeakerProcessOptions {
  readonly version: string;
  readonly node: string;
  /** MetalLB's. */
  readonly namespace: string;
  readonly bgpType: BgpType;
  readonly settings: Settings;
  /** Where frr-k8s is configured. */
  readonly frrK8sNamespace: string;
  /** Empty: dial only. */
  readonly listen: readonly SocketAddress[];
  readonly ports: {
    /** 0: no metrics to the network. */
    readonly metrics: number;
    /** Of this machine alone. */
    readonly health: number;
  };
  /** Where state and metrics are for who is on this machine. */
  readonly local: { readonly address: string; readonly port: number };
  readonly tls: TlsOptions;
  readonly metricsCertificates: string;
  readonly pod: string | undefined;
  readonly layer2: Layer2Settings;
  /** Absent: speakers do not hear each other. */
  readonly memberlist?: MemberlistFlags;
}

/** Subnets come and go, and so may the API server; how often is looked. */
const LOOK_MS = 5_000;

export class SpeakerProcess {
  readonly #options: SpeakerProcessOptions;
  readonly #cluster: Cluster;
  readonly #api: Api;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #startedAt = performance.now();
  readonly #dates = datesFrom(performance.timeOrigin);
  readonly #ends = new AbortController();
  readonly #caches: SpeakerCaches;
  readonly #gather = new Gather(() => this.#round());
  readonly #knowledge: Knowledge;
  readonly #keeper: Keeper;
  readonly #planMemory = createMemory();
  readonly #announcer: Announcer;
  readonly #queue: WriteQueue;
  readonly #status: SpeakerStatus;
  readonly #layer2: SpeakerLayer2;
  readonly #throttling: Throttling;
  readonly #doors: (HttpDoor | HttpsDoor)[] = [];
  #local: HttpDoor | undefined;
  #surroundings: Surroundings = {};
  #syncedAt: number | undefined;
  #remarks: readonly string[] = [];

  private constructor(options: SpeakerProcessOptions, cluster: Cluster, log: Log, clock: Clock) {
    this.#options = options;
    this.#cluster = cluster;
    this.#log = log;
    this.#clock = clock;
    this.#api = new Api(cluster, clock);
    const { node, namespace, bgpType, pod } = options;
    const common = { api: this.#api, clock, tell: (report: ApiReport) => this.#tell(report) };
    this.#caches = new SpeakerCaches({
      ...{ ...common, node, namespace },
      frrK8sNamespace: bgpType === 'frr-k8s' ? options.frrK8sNamespace : undefined,
      changed: () => this.#gather.mark(),
      statusChanged: () => this.#status.mark(),
    });
    this.#knowledge = new Knowledge({ node, caches: this.#caches, isReady: () => this.ready, log, clock });
    this.#throttling = new Throttling(log);
    this.#keeper = createKeeper({ bgpType, namespace, node });
    this.#announcer = new Announcer(node, options.listen, log, (report) => this.#layer2.hear(report));
    this.#queue = new WriteQueue({
      ...common,
      mayWrite: () => !this.#ends.signal.aborted,
      written: (target, object) => this.#written(target, object),
    });
    const who = { component: 'metallb-speaker', host: node, instance: pod ?? node } as const;
    const events = new Events({ ...who, queue: this.#queue, clock });
    this.#layer2 = new SpeakerLayer2({
      ...{ ...common, node, namespace, pod, events, log },
      ...{ settings: options.layer2, memberlist: options.memberlist, packets: this.#announcer.packets },
      serviceOf: (key) => this.#caches.services.store.get(key),
      changed: () => this.#gather.mark(),
      servedChanged: () => this.#followStatus(),
    });
    this.#status = new SpeakerStatus({
      ...{ node, namespace, queue: this.#queue, events, caches: this.#caches, clock },
      isLeft: (other) => this.#layer2.isLeft(other),
      isSettled: () => this.#layer2.isSettled,
    });
  }

  /** Rejects with a sentence when a door cannot be opened. */
  static async start(
    options: SpeakerProcessOptions,
    cluster: Cluster,
    log: Log,
    clock: Clock = systemClock,
  ): Promise<SpeakerProcess> {
    const { version, node, namespace, bgpType } = options;
    const fields = { version, node, namespace, bgpType, nodeversion: process.version };
    log.info(fields, 'MetalLB speaker starting (Fairway)');
    const speaker = new SpeakerProcess(options, cluster, log, clock);
    await speaker.#open();
    const { signal } = speaker.#ends;
    speaker.#caches.start(signal);
    void speaker.#queue.run(signal);
    void speaker.#layer2.run(signal);
    void speaker.#findOwner();
    void speaker.#watch();
    return speaker;
  }

  /** Where state and metrics are for who is on this machine; undefined: that address could not be had. */
  get http(): HttpDoor | undefined {
    return this.#local;
  }

  /** The last events, for the line that a crash leaves. */
  get recent(): readonly string[] {
    return this.#announcer.recent;
  }

  /** All was read once. */
  get ready(): boolean {
    return this.#announcer.last !== undefined;
  }

  /** Leaves all peers; what it wrote of its announcements stays for whoever starts next on this node. */
  async leave(): Promise<void> {
    this.#gather.end();
    this.#status.end();
    this.#ends.abort();
    this.#layer2.leave();
    await this.#announcer.leave();
    for (const door of this.#doors) door.close();
    this.#cluster.close();
  }

  state() {
    const { node, namespace, version } = this.#options;
    const dates = this.#dates;
    const { configuration, plan: planned } = this.#announcer.last ?? {};
    const startedAt = dates(this.#startedAt);
    const { ageMs } = this.#knowledge;
    return {
      process: { version, role: 'speaker', node, startedAt, ready: this.ready },
      knowledge: {
        source: this.#cluster.server,
        namespace,
        syncedAt: this.#syncedAt === undefined ? null : dates(this.#syncedAt),
        ageMs: ageMs === undefined ? null : Math.round(ageMs),
        configuration: {
          accepted: configuration?.config !== undefined && configuration.refused === undefined,
          error: configuration?.refused ?? '',
        },
        kinds: this.#caches.all.map(({ plural, state }) => kindJson(plural, state, this.#clock.now())),
        remarks: this.#remarks,
        problem: this.#knowledge.problems.join('; '),
      },
      services: servicesJson(
        undefined,
        planned && { ...planned, services: this.#layer2.services },
        configuration?.config,
      ),
      ...this.#announcer.state(dates, startedAt),
    };
  }

  async #open(): Promise<void> {
    const { ports, local, tls, metricsCertificates } = this.#options;
    const look = () => this.#layer2.look();
    const metrics = new Metrics(look);
    metrics.add<SpeakerObserved>(SPEAKER_METRICS, () => this.#observed());
    const scrape = async () => ({ status: 200, type: metrics.contentType, body: await metrics.text() });
    const health = {
      '/healthz': () => text(200, 'ok'),
      '/readyz': () => (this.ready ? text(200, 'ok') : text(503, this.#knowledge.waiting)),
    };
    this.#doors.push(await serveHttp('127.0.0.1', ports.health, health));
    const routes = { '/api/v1/state': () => look().then(() => json(this.state())), '/metrics': scrape, ...health };
    try {
      this.#local = await serveHttp(local.address, local.port, routes);
      this.#doors.push(this.#local);
    } catch (fault) {
      // for people on this machine alone: no reason to end
      this.#log.warn({ op: 'http', error: (fault as Error).message }, 'the state is not served on this machine');
    }
    if (ports.metrics === 0) return;
    const door = await openMetricsDoor({
      ...{ api: this.#api, port: ports.metrics, tls, certificates: metricsCertificates, metrics },
      failed: (msg, error) => this.#log.warn({ op: 'metrics', error }, msg),
    });
    this.#doors.push(door);
  }

  /** From what is known to what is announced. */
  #round(): void {
    if (this.#ends.signal.aborted || !this.#knowledge.mayPlan()) return;
    const { node, settings } = this.#options;
    const { services, nodes, endpoints, resources, problem } = this.#caches;
    this.#syncedAt ??= performance.now();
    this.#lookAround();
    const configuration = putInForce(this.#keeper, resources, problem);
    const snapshot = {
      ...{ config: configuration.config, services: services.store.map(), endpoints, nodes: nodes.store.map() },
      ...{ settings, surroundings: this.#surroundings },
    };
    const planned = plan(snapshot, node, this.#planMemory);
    this.#announcer.follow({ configuration: { ...configuration, bareNode: false }, plan: planned });
    this.#layer2.follow({
      ...{ plan: planned, config: configuration.config, nodes: snapshot.nodes },
      established: () => ingressOf(snapshot.services.values()),
    });
    this.#followStatus();
    this.#remark(remarksOn(this.#caches.usedExtras));
  }

  #followStatus(): void {
    const { configuration } = this.#announcer.last ?? {};
    if (configuration === undefined) return;
    const isWithOthers = this.#surroundings.frrK8s !== undefined;
    const objects = this.#caches.services.store.map();
    this.#status.follow({ services: this.#layer2.told(), configuration, objects, isWithOthers });
  }

  /** Who may be dialled from here; true when it is another than before. */
  #lookAround(): boolean {
    const { bgpType, node, frrK8sNamespace } = this.#options;
    const asksForSubnets = bgpType === 'frr' || bgpType === 'frr-k8s';
    const handOver = `kubectl delete frrconfiguration ${frrConfigurationName(node)} -n ${frrK8sNamespace}`;
    const now: Surroundings = {
      ...(asksForSubnets && { connected: connectedSubnets() }),
      ...(this.#caches.frrK8sAnnounces && { frrK8s: handOver }),
    };
    if (JSON.stringify(now) === JSON.stringify(this.#surroundings)) return false;
    this.#surroundings = now;
    return true;
  }

  /** Each once, for as long as it holds. */
  #remark(remarks: readonly string[]): void {
    for (const remark of remarks)
      if (!this.#remarks.includes(remark)) this.#log.warn({ op: 'setConfig', error: remark }, 'has no meaning here');
    this.#remarks = remarks;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ends;
    while (!signal.aborted) {
      await this.#clock.sleep(LOOK_MS, signal);
      if (signal.aborted) return;
      if (this.#lookAround()) this.#gather.mark();
      this.#knowledge.say();
      this.#throttling.look(this.#clock.now());
    }
  }

  #written({ kind }: Target, object: object): void {
    const { states, statuses, layer2Statuses } = this.#caches;
    if (kind === CONFIGURATION_STATES) states.store.put(object);
    else if (kind === SERVICE_BGP_STATUSES) statuses.store.put(object);
    else if (kind === SERVICE_L2_STATUSES) layer2Statuses.store.put(object);
  }

  /** Our Pod owns what we write; outside of one nobody does. */
  async #findOwner(): Promise<void> {
    const { pod, namespace } = this.#options;
    const { signal } = this.#ends;
    const unknown = (error: string) =>
      this.#log.warn({ op: 'startup', error }, 'our Pod is not known: what we write has no owner');
    const owner = await findPodOwner({ api: this.#api, namespace, pod, unknown, clock: this.#clock, signal });
    if (!signal.aborted) this.#status.begin(owner);
  }

  #observed(): SpeakerObserved {
    const { bgpType } = this.#options;
    const { all, services, slices, nodes, configuration } = this.#caches;
    const stores = [services, slices, nodes, ...configuration].map(({ store }) => store.unreadable.length);
    return {
      ...this.#announcer.observed(),
      ...{ served: this.#layer2.services, layer2: this.#layer2.counts },
      ...(bgpType === 'frr' && { vrf: 'default' }),
      ...{ writes: this.#queue.written, pending: this.#queue.pending, now: this.#clock.now() },
      kinds: all.map(({ plural, state }) => ({ kind: plural, state })),
      ageMs: this.#knowledge.ageMs,
      throttledMs: this.#throttling.totalMs,
      isStale: this.#knowledge.problems.length > 0,
      unreadable: stores.reduce((sum, count) => sum + count, 0),
    };
  }

  #tell(report: ApiReport): void {
    const { level, fields, msg } = lineOfApiReport(report);
    this.#log[level](fields, msg);
  }
}

/** Addresses that Services have. */
function* ingressOf(services: Iterable<Service>): Generator<string> {
  for (const { ingress } of services) for (const { ip } of ingress) if (ip !== undefined) yield ip;
}
