// A speaker's process between a fake API server and a router of ours, all on loopback; time of the API's side is moved by
// hand, BGP has the real one.

import { Collector } from '../../src/cli/collector.ts';
import { LAYER2_DEFAULTS } from '../../src/cli/layer2-flags.ts';
import type { Log } from '../../src/io/log.ts';
import { Cluster } from '../../src/k8s/cluster.ts';
import { SpeakerProcess, type SpeakerProcessOptions } from '../../src/process/speaker-process.ts';
import type { SpeakerReport } from '../../src/speaker.ts';
import { at, freePeerPort, until } from '../io/sockets.ts';
import { FakeApi, type Json } from '../k8s/fake-api.ts';
import { HandClock, pass } from '../k8s/hand-clock.ts';

export const NAMESPACE = 'metallb-system';
const METALLB = 'apis/metallb.io/v1beta1';
/** Collections of the API server, by what this file calls them. */
export const PATH = {
  services: 'api/v1/services',
  slices: 'apis/discovery.k8s.io/v1/endpointslices',
  nodes: 'api/v1/nodes',
  namespaces: 'api/v1/namespaces',
  secrets: 'api/v1/secrets',
  configMaps: 'api/v1/configmaps',
  pods: 'api/v1/pods',
  events: 'api/v1/events',
  pools: `${METALLB}/ipaddresspools`,
  peers: 'apis/metallb.io/v1beta2/bgppeers',
  advertisements: `${METALLB}/bgpadvertisements`,
  layer2: `${METALLB}/l2advertisements`,
  profiles: `${METALLB}/bfdprofiles`,
  communities: `${METALLB}/communities`,
  states: `${METALLB}/configurationstates`,
  statuses: `${METALLB}/servicebgpstatuses`,
  layer2Statuses: `${METALLB}/servicel2statuses`,
} as const;
export const FRR_CONFIGURATIONS = 'apis/frrk8s.metallb.io/v1beta1/frrconfigurations';

type Line = Readonly<Record<string, unknown>> & { readonly level: string; readonly msg: string };

export class Stage {
  readonly clock = new HandClock();
  readonly api = new FakeApi(...Object.values(PATH));
  readonly lines: Line[] = [];
  readonly reports: SpeakerReport[] = [];
  readonly #undo: (() => unknown)[] = [];
  #router: Collector | undefined;
  #url = '';
  port = 0;

  async open(): Promise<this> {
    this.#url = await this.api.listen();
    this.#undo.push(() => this.api.close());
    this.port = await freePeerPort();
    const options = { at: at('127.0.0.1', this.port), as: 64512, peers: [], peerAs: 'external' } as const;
    const router = new Collector(options, (report) => this.reports.push(report));
    this.#undo.push(() => router.leave());
    router.start();
    this.#router = router;
    await until('the router listens', () => this.reports.find(({ report }) => report === 'listening'));
    return this;
  }

  async close(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo();
  }

  /** A pool, an advertisement, a peer, and this node. */
  configure(peer: Json = {}): this {
    this.put(PATH.nodes, { metadata: { name: 'n1' } });
    this.put(PATH.pools, { metadata: { name: 'main' }, spec: { addresses: ['203.0.113.0/24'] } });
    this.put(PATH.advertisements, { metadata: { name: 'all' }, spec: {} });
    const address = { peerAddress: '127.0.0.1', sourceAddress: '127.0.0.2', peerPort: this.port };
    return this.put(PATH.peers, {
      metadata: { name: 'tor' },
      spec: { myASN: 64513, peerASN: 64512, ...address, ...peer },
    });
  }

  /** A Service with an address, and endpoints of it. */
  serve(name: string, ip: string, ready = true): this {
    const metadata = { name, namespace: 'app' };
    this.put(PATH.services, {
      metadata,
      spec: { type: 'LoadBalancer', clusterIPs: ['10.96.0.1'], ports: [{ port: 80 }] },
      status: { loadBalancer: { ingress: [{ ip }] } },
    });
    const labels = { 'kubernetes.io/service-name': name };
    return this.put(PATH.slices, {
      metadata: { ...metadata, labels },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready } }],
    });
  }

  /** Into MetalLB's namespace unless it says another, or the kind has none. */
  put(collection: string, object: Json): this {
    const kindless = collection === PATH.nodes || collection === PATH.namespaces;
    const metadata = { ...(kindless ? {} : { namespace: NAMESPACE }), ...(object['metadata'] as Json) };
    this.api.put(collection, { ...object, metadata });
    return this;
  }

  async speak(more: Partial<SpeakerProcessOptions> = {}): Promise<SpeakerProcess> {
    const access = { server: this.#url, credentials: async () => ({ headers: {}, tls: {} }) };
    const options: SpeakerProcessOptions = {
      ...{ version: '1.2.3', node: 'n1', namespace: NAMESPACE, bgpType: 'unset', frrK8sNamespace: NAMESPACE },
      ...{ settings: { ignoreExcludeLabel: false }, listen: [], ports: { metrics: 0, health: 0 }, pod: undefined },
      ...{ local: { address: '127.0.0.1', port: 0 }, tls: { minVersion: 'TLSv1.3' }, metricsCertificates: '' },
      layer2: { ...LAYER2_DEFAULTS, excluded: [] },
      ...more,
    };
    const speaker = await SpeakerProcess.start(options, new Cluster(access, this.clock), this.#log(), this.clock);
    this.#undo.push(() => this.leave(speaker));
    return speaker;
  }

  readonly #left = new Map<SpeakerProcess, Promise<void>>();
  leave(speaker: SpeakerProcess): Promise<void> {
    const leaving = this.#left.get(speaker) ?? speaker.leave();
    this.#left.set(speaker, leaving);
    return leaving;
  }

  /** Waits for it; time of the API's side moves by `stepMs` a turn meanwhile. */
  until<T>(what: string, ask: () => T | undefined | false, stepMs = 50): Promise<T> {
    return pass(this.clock, what, ask, stepMs);
  }

  get table(): string {
    const peers = this.#router?.peers() ?? [];
    return peers
      .flatMap(({ routes = [] }) => routes.map(({ prefix }) => prefix))
      .sort()
      .join();
  }

  holds(wanted: string): Promise<boolean> {
    return this.until(`the router holds "${wanted}"`, () => this.table === wanted);
  }

  /** Connections that the router had so far. */
  get sessions(): number {
    return this.reports.filter(({ report }) => report === 'peer-up').length;
  }

  logged(fields: Readonly<Record<string, unknown>>): readonly Line[] {
    return this.lines.filter((line) => Object.entries(fields).every(([key, value]) => line[key] === value));
  }

  /** Requests that changed something, as `METHOD collection`. */
  get writes(): readonly string[] {
    return this.api.seen
      .filter(({ method }) => method !== 'GET')
      .map(
        ({ method, path }) =>
          `${method} ${path
            .split('/')
            .filter((part) => part !== NAMESPACE)
            .join('/')}`,
      );
  }

  /** Objects of a collection in MetalLB's namespace, or another. */
  object(collection: string, name: string, namespace = NAMESPACE): Json | undefined {
    return this.api.get(collection, `${namespace}/${name}`);
  }

  #log(): Log {
    const into = (level: string) => (fields: Readonly<Record<string, unknown>>, msg: string) =>
      void this.lines.push({ ...fields, level, msg });
    return { debug: into('debug'), info: into('info'), warn: into('warn'), error: into('error'), fatal: into('fatal') };
  }
}
