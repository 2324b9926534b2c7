// The controller as a process: reads the cluster, leads or stands by, runs a session while it leads, serves webhooks,
// metrics, health and its state. All rooms put together, once. Called by the verb `controller`.

import { randomUUID } from 'node:crypto';
import type { Owner } from '../config/configuration-state.ts';
import type { InForce } from '../config/in-force.ts';
import { type Configuration, type ControllerOptions, createConfiguration, follow, type Round } from '../controller.ts';
import { type HttpDoor, json, serveHttp, text } from '../io/http.ts';
import type { HttpsDoor } from '../io/https.ts';
import type { Log } from '../io/log.ts';
import { Metrics } from '../io/metrics.ts';
import type { TlsOptions } from '../io/tls-options.ts';
import { Api, type Target } from '../k8s/api.ts';
import { type Clock, systemClock } from '../k8s/clock.ts';
import type { Cluster } from '../k8s/cluster.ts';
import { Events } from '../k8s/event.ts';
import { Gather } from '../k8s/gather.ts';
import { CONFIGURATION_STATES, IP_ADDRESS_POOLS, SERVICES } from '../k8s/kind.ts';
import { Lease } from '../k8s/lease.ts';
import { MemberlistSecret } from '../k8s/memberlist.ts';
import { findPodOwner } from '../k8s/pod-owner.ts';
import { ageOf } from '../k8s/reflector.ts';
import type { ApiReport } from '../k8s/report.ts';
import { Rivals } from '../k8s/rivals.ts';
import { WriteQueue } from '../k8s/write.ts';
import { lineOfApiReport } from '../observe/api-log.ts';
import { CONTROLLER_METRICS, type ControllerObserved } from '../observe/controller-metrics.ts';
import { lineOfAllocation } from '../observe/log.ts';
import { kindJson, servicesJson } from '../observe/state.ts';
import { ControllerCaches } from './controller-caches.ts';
import { ControllerWebhooks } from './controller-webhooks.ts';
import { openMetricsDoor } from './metrics-door.ts';
import { Rest } from './rest.ts';
import { Session } from './session.ts';
import { StateObject } from './state-object.ts';

export interface ControllerProcessOptions extends ControllerOptions {
  readonly version: string;
  /** Undefined: all addresses. */
  readonly host?: string;
  readonly ports: {
    /** 0: no metrics to the network. */
    readonly metrics: number;
    readonly health: number;
    readonly webhooks: number;
  };
  /** Where state and metrics are for who is on this machine. */
  readonly local: { readonly address: string; readonly port: number };
  readonly tls: TlsOptions;
  readonly http2: boolean;
  readonly metricsCertificates: string;
  readonly webhooks: 'enabled' | 'disabled' | 'onlywebhook';
  /** Undefined: the certificate is somebody else's, in `folder`. */
  readonly rotation: { readonly secret: string; readonly service: string } | undefined;
  readonly folder: string;
  readonly pod: string | undefined;
  readonly memberlist: { readonly name: string; readonly deployment: string | undefined } | undefined;
}

const LEASE = 'fairway-controller';
const STATE = 'controller';
/** A lease that ran out by time alone is noticed so soon. */
const FENCE_MS = 500;
/** Who does not lead by then reads Services too, to be warm. */
const STAND_BY_MS = 2_000;
const DRAIN_MS = 3_000;

export class ControllerProcess {
  readonly #options: ControllerProcessOptions;
  readonly #cluster: Cluster;
  readonly #api: Api;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #startedAt = new Date().toISOString();
  readonly #ends = new AbortController();
  readonly #working: Promise<void>[] = [];
  readonly #caches: ControllerCaches;
  readonly #gather = new Gather(() => this.#round());
  readonly #lease: Lease;
  readonly #leaseEnds = new AbortController();
  readonly #rivals: Rivals;
  readonly #queue: WriteQueue;
  readonly #identity: string;
  readonly #webhooks: ControllerWebhooks;
  readonly #memberlist: MemberlistSecret | undefined;
  readonly #configuration: Configuration;
  readonly #counts = { updates: 0, updateErrors: 0 };
  readonly #doors: (HttpDoor | HttpsDoor)[] = [];
  #owner: Owner | undefined;
  #session: Session | undefined;
  /** Of this term. */
  #last: Round | undefined;
  #inForce: InForce = { config: undefined, refused: undefined };
  #saidRivals = '';
  #fell = false;
  #isLeaving = false;
  #later: NodeJS.Timeout | undefined;
  readonly #rest = new Rest();

  private constructor(options: ControllerProcessOptions, cluster: Cluster, log: Log, clock: Clock) {
    this.#options = options;
    this.#cluster = cluster;
    this.#log = log;
    this.#clock = clock;
    this.#api = new Api(cluster, clock);
    const { namespace, pod } = options;
    const common = { api: this.#api, namespace, clock, tell: (report: ApiReport) => this.#tell(report) };
    const changed = () => this.#gather.mark();
    this.#caches = new ControllerCaches({ ...common, log, stateName: STATE, changed });
    this.#identity = `${pod ?? 'outside'}_${randomUUID()}`;
    this.#lease = new Lease({ ...common, name: LEASE, identity: this.#identity, changed: () => this.#turn() });
    this.#rivals = new Rivals({ ...common, self: pod, changed: () => this.#turn() });
    this.#queue = new WriteQueue({
      ...common,
      mayWrite: () => this.#mayWrite(),
      restMs: () => this.#lease.restMs,
      written: (target, object) => this.#written(target, object),
    });
    this.#webhooks = new ControllerWebhooks({
      ...{ ...common, controller: options, log },
      // the Secret's version keeps two replicas apart; a controller of another make keeps the Secret itself
      mayWrite: () => this.#rivals.names?.length === 0,
    });
    this.#memberlist = this.#makeMemberlist();
    this.#configuration = createConfiguration(options);
  }

  /** Rejects with a sentence when a door cannot be opened. */
  static async start(
    options: ControllerProcessOptions,
    cluster: Cluster,
    log: Log,
    clock: Clock = systemClock,
  ): Promise<ControllerProcess> {
    const { version, namespace, webhooks } = options;
    const fields = { version, namespace, 'webhook-mode': webhooks, nodeversion: process.version };
    log.info(fields, 'MetalLB controller starting (Fairway)');
    const controller = new ControllerProcess(options, cluster, log, clock);
    await controller.#open();
    controller.#owner = await findPodOwner({
      ...{ api: controller.#api, namespace, pod: options.pod, clock, signal: controller.#ends.signal },
      unknown: (error) => log.warn({ op: 'startup', error }, 'our Pod is not known: what we make has no owner'),
    });
    controller.#work();
    return controller;
  }

  /**
   * What is under way is written, the lease released, and the doors are shut. `drain`: webhooks are answered until nobody is
   * sent here any more, for an API server learns late that a Pod ends.
   */
  async leave(drain: boolean): Promise<void> {
    this.#isLeaving = true;
    this.#gather.end();
    clearTimeout(this.#later);
    this.#session = undefined;
    this.#ends.abort();
    await Promise.all(this.#working);
    // only now: whoever takes over must not meet a write of ours
    this.#leaseEnds.abort();
    await this.#leasing;
    if (drain && this.#webhooks.isOpen) await this.#clock.sleep(DRAIN_MS);
    await this.#webhooks.close();
    for (const door of this.#doors) door.close();
    this.#cluster.close();
    this.#log.info({ op: 'leave' }, 'left');
  }

  #leasing: Promise<void> = Promise.resolve();

  get ready(): boolean {
    return !this.#isLeaving && (this.#options.webhooks === 'onlywebhook' || this.#caches.synced);
  }

  state() {
    const { namespace, version } = this.#options;
    const { all } = this.#caches;
    const ages = all.flatMap(({ state }) => (state && ageOf(state, this.#clock.now())) ?? []);
    return {
      process: { version, role: 'controller', node: '', startedAt: this.#startedAt, ready: this.ready },
      knowledge: {
        source: this.#cluster.server,
        namespace,
        ageMs: ages.length === 0 ? null : Math.round(Math.max(...ages)),
        configuration: {
          accepted: this.#inForce.config !== undefined && this.#inForce.refused === undefined,
          error: this.#inForce.refused ?? '',
        },
        kinds: all.map(({ plural, state }) => kindJson(plural, state, this.#clock.now())),
      },
      leader: { holder: this.#lease.holder, leads: this.#lease.leads(), rivals: this.#rivals.names ?? [] },
      services: servicesJson(this.#last?.allocations, undefined),
      peers: [],
      layer2: { segments: [], claims: [] },
    };
  }

  #makeMemberlist(): MemberlistSecret | undefined {
    const { namespace, memberlist } = this.#options;
    if (memberlist === undefined) return undefined;
    return new MemberlistSecret({
      ...{ api: this.#api, namespace, ...memberlist, clock: this.#clock },
      isWanted: () => this.#session !== undefined,
      tell: (report) => this.#tell(report),
      say: (level, msg, error) => this.#log[level]({ op: 'memberlist', ...(error !== undefined && { error }) }, msg),
    });
  }

  async #open(): Promise<void> {
    const { host, ports, local, tls, metricsCertificates } = this.#options;
    const metrics = new Metrics();
    metrics.add<ControllerObserved>(CONTROLLER_METRICS, () => this.#observed());
    const scrape = async () => ({ status: 200, type: metrics.contentType, body: await metrics.text() });
    const health = {
      '/healthz': () => text(200, 'ok'),
      '/readyz': () => (this.ready ? text(200, 'ok') : text(503, this.#notReady())),
    };
    this.#doors.push(await serveAnywhere(host, ports.health, health));
    const routes = { '/api/v1/state': () => json(this.state()), '/metrics': scrape, ...health };
    try {
      const { address, port } = local;
      this.#doors.push(await serveHttp(address, port, routes));
    } catch (fault) {
      // for people on this machine alone: no reason to end
      this.#log.warn({ op: 'http', error: (fault as Error).message }, 'the state is not served on this machine');
    }
    if (ports.metrics === 0) return;
    const door = await openMetricsDoor({
      ...{ api: this.#api, port: ports.metrics, tls, certificates: metricsCertificates, metrics },
      ...(host !== undefined && { host }),
      failed: (msg, error) => this.#log.warn({ op: 'metrics', error }, msg),
    });
    this.#doors.push(door);
  }

  #work(): void {
    const { signal } = this.#ends;
    const run = (work: Promise<void> | undefined) => work && this.#working.push(work);
    run(this.#rivals.run(signal));
    run(this.#webhooks.run(signal));
    if (this.#options.webhooks === 'onlywebhook') return;
    run(this.#memberlist?.run(signal));
    const { pools, communities, namespaces, states, legacy, services } = this.#caches;
    for (const kind of [pools, communities, namespaces, states, legacy]) kind.relist(signal);
    run(this.#queue.run(signal));
    this.#leasing = this.#lease.run(this.#leaseEnds.signal);
    const fence = setInterval(() => this.#watchFence(), FENCE_MS);
    const standBy = setTimeout(() => {
      if (services.state === undefined) services.relist(signal);
    }, STAND_BY_MS);
    for (const timer of [fence, standBy]) timer.unref();
    signal.addEventListener('abort', () => {
      clearInterval(fence);
      clearTimeout(standBy);
    });
  }

  #mayWrite(): boolean {
    const may = this.#lease.leads() && this.#rivals.names?.length === 0;
    if (!may) this.#fell = true;
    return may;
  }

  /** The lease, or who else runs, is another. */
  #turn(): void {
    if (this.#ends.signal.aborted) return;
    this.#webhooks.look();
    const names = this.#rivals.names ?? [];
    if (names.join() !== this.#saidRivals) {
      this.#saidRivals = names.join();
      const fields = { op: 'rivals', pods: names };
      if (names.length > 0) this.#log.warn(fields, 'another controller runs: nothing is written while it does');
      else this.#log.info(fields, 'no other controller runs any more');
    }
    this.#session = undefined;
    this.#last = undefined;
    if (this.#mayWrite()) this.#begin();
  }

  /** A lease that ran out between two renewals made the queue forget: what is missing is asked for again. */
  #watchFence(): void {
    if (this.#fell && this.#mayWrite()) this.#begin();
  }

  #begin(): void {
    this.#fell = false;
    const { namespace } = this.#options;
    const { services, states } = this.#caches;
    const [queue, clock] = [this.#queue, this.#clock];
    const labels = { 'metallb.io/component-type': 'controller' };
    const owner = this.#owner === undefined ? {} : { owner: this.#owner };
    this.#session = new Session({
      ...{ controller: this.#options, configuration: this.#configuration },
      ...{
        queue,
        clock,
        events: new Events({ queue, component: 'metallb-controller', instance: this.#identity, clock }),
      },
      services: services.store,
      state: new StateObject({
        ...{ queue, states: states.store, isKnown: () => states.synced, clock },
        object: { name: STATE, namespace, labels, conditionType: 'poolReconcilerValid', ...owner },
      }),
      later: (ms) => this.#roundIn(ms),
    });
    // what another leader gave out a moment ago must have been seen
    services.relist(this.#ends.signal);
    this.#memberlist?.look();
  }

  #roundIn(ms: number): void {
    clearTimeout(this.#later);
    this.#later = setTimeout(() => this.#gather.mark(), ms);
    this.#later.unref();
  }

  #round(): void {
    if (!this.#caches.synced) return;
    const began = performance.now();
    const left = this.#rest.leftMs(began);
    if (left > 0) {
      this.#roundIn(left);
      return;
    }
    const seen = this.#caches.seen();
    if (this.#session === undefined || !this.#mayWrite()) {
      this.#judge(follow(this.#configuration, seen));
      return;
    }
    const round = this.#session.round(seen);
    this.#last = round;
    this.#judge(round);
    const ended = performance.now();
    this.#rest.begin(ended - began, ended, this.#queue.waiting.first);
    this.#counts.updates++;
    if (round.refused !== undefined) this.#counts.updateErrors++;
    for (const event of round.events) {
      const { key } = event.service;
      const { level, fields, msg } = lineOfAllocation(key, event, round.allocations.services.get(key));
      this.#log[level](fields, msg);
    }
  }

  /** By who leads and by who stands by. */
  #judge({ config, refused }: InForce): void {
    const before = this.#inForce;
    this.#inForce = { config, refused };
    if (refused !== before.refused && refused !== undefined) {
      const kept = config === undefined ? 'there is none yet' : 'the old one stays';
      this.#log.error({ op: 'setConfig', error: refused }, `configuration refused, ${kept}`);
    } else if (config !== before.config)
      this.#log.info({ event: 'config reloaded', op: 'setConfig' }, 'config reloaded');
  }

  #written({ kind }: Target, object: object): void {
    const { services, pools, states } = this.#caches;
    if (kind === SERVICES) services.store.put(object);
    else if (kind === IP_ADDRESS_POOLS) pools.store.put(object);
    else if (kind === CONFIGURATION_STATES) states.store.put(object);
  }

  #observed(): ControllerObserved {
    const { config, refused } = this.#inForce;
    const stale = refused !== undefined;
    return {
      ...{ counts: this.#counts, leads: this.#lease.leads(), rivals: this.#rivals.names?.length ?? 0 },
      allocations: this.#last?.allocations,
      configuration: this.#options.webhooks === 'onlywebhook' ? undefined : { loaded: config !== undefined, stale },
      ...{ writes: this.#queue.written, pending: this.#queue.pending, unanswered: this.#webhooks.unanswered },
      now: this.#clock.now(),
      kinds: this.#caches.all.map(({ plural, state }) => ({ kind: plural, state })),
    };
  }

  #notReady(): string {
    if (this.#isLeaving) return 'leaving';
    const waiting = this.#caches.all.filter(({ synced, plural }) => !synced && plural !== CONFIGURATION_STATES.plural);
    return waiting.map(({ plural, state }) => `${plural}: ${state?.problem ?? 'not read yet'}`).join('\n');
  }

  #tell(report: ApiReport): void {
    const { level, fields, msg } = lineOfApiReport(report);
    this.#log[level](fields, msg);
  }
}

/** On both families where the machine has both. */
async function serveAnywhere(host: string | undefined, port: number, routes: Parameters<typeof serveHttp>[2]) {
  if (host !== undefined) return serveHttp(host, port, routes);
  return serveHttp('::', port, routes).catch(() => serveHttp('0.0.0.0', port, routes));
}
