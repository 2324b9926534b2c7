// For tests of the door to the API: a fake server, an Api on it, a clock moved by hand, and a store with its reflector
// whose reports are kept.

import { Api } from '../../src/k8s/api.ts';
import { Cluster } from '../../src/k8s/cluster.ts';
import { apiVersionOf, type Kind, SERVICES } from '../../src/k8s/kind.ts';
import { Reflector } from '../../src/k8s/reflector.ts';
import type { ApiReport } from '../../src/k8s/report.ts';
import { readService } from '../../src/k8s/resource.ts';
import { type Reader, Store } from '../../src/k8s/store.ts';
import type { Service } from '../../src/plan/snapshot.ts';
import { FakeApi, type Json } from './fake-api.ts';
import { HandClock, pass } from './hand-clock.ts';

export const SERVICE_PATH = 'api/v1/services';

export const service = (name: string, more: Json = {}): Json => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'app' },
  spec: { type: 'LoadBalancer', clusterIPs: ['10.96.0.1'], ...more },
});

export class Door {
  readonly clock = new HandClock();
  readonly fake: FakeApi;
  readonly reports: ApiReport[] = [];
  readonly #ends = new AbortController();
  readonly #running: Promise<void>[] = [];
  #cluster: Cluster | undefined;
  url = '';

  constructor(...served: readonly string[]) {
    this.fake = new FakeApi(...(served.length > 0 ? served : [SERVICE_PATH]));
  }

  get api(): Api {
    return new Api(this.cluster, this.clock);
  }

  get cluster(): Cluster {
    this.#cluster ??= new Cluster(
      { server: this.url, credentials: async () => ({ headers: {}, tls: {} }) },
      this.clock,
    );
    return this.#cluster;
  }

  get signal(): AbortSignal {
    return this.#ends.signal;
  }

  async open(): Promise<this> {
    this.url = await this.fake.listen();
    return this;
  }

  /** Runs until the door is closed. */
  run(work: Promise<void>): void {
    this.#running.push(work);
  }

  async close(): Promise<void> {
    this.#ends.abort();
    await Promise.all(this.#running);
    await this.#cluster?.close();
    await this.fake.close();
  }

  reflect(): Reflected<Service> {
    return this.reflectAs(SERVICES, readService);
  }

  reflectAs<T extends object>(kind: Kind, read: Reader<T>): Reflected<T> {
    const changes = { count: 0 };
    const store = new Store<T>({
      kind: kind.kind,
      apiVersion: apiVersionOf(kind),
      read,
      changed: () => changes.count++,
      unreadable: (name, object) =>
        this.reports.push(
          object === undefined ? { is: 'readable-again', kind: kind.kind, name } : { is: 'unreadable', object },
        ),
    });
    const tell = (report: ApiReport) => this.reports.push(report);
    const reflector = new Reflector({ api: this.api, selection: { kind }, store, tell, clock: this.clock });
    this.run(reflector.run(this.signal));
    return { store, reflector, changes };
  }

  /** Waits for it; time moves by `stepMs` a turn meanwhile. */
  pass<T>(what: string, ask: () => T | undefined | false, stepMs = 0): Promise<T> {
    return pass(this.clock, what, ask, stepMs);
  }

  told(is: ApiReport['is']): readonly ApiReport[] {
    return this.reports.filter((report) => report.is === is);
  }
}

export interface Reflected<T extends object> {
  readonly store: Store<T>;
  readonly reflector: Reflector;
  readonly changes: { readonly count: number };
}
