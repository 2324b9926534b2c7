// From what the folder says to what this node should do: index → configuration → allocation → plan, as a whole at
// each change. Remembers only what the next round builds on. Called by standalone.

import { createKeeper, type InForce, type Keeper, putInForce } from '../config/in-force.ts';
import type { ApiObject, BgpType } from '../config/resource.ts';
import type { Ip } from '../net/address.ts';
import { type Allocations, allocate } from '../plan/allocate.ts';
import { createMemory, type Plan, plan } from '../plan/plan.ts';
import type { Node, Service, ServiceKey, Settings, Snapshot } from '../plan/snapshot.ts';
import type { FolderContent } from './directory.ts';
import { createIndexer, type Indexed, type Indexer, index } from './indexer.ts';
import { type Remark, remarksOn } from './remarks.ts';

export interface ReconcileOptions {
  readonly node: string;
  readonly settings: Settings;
  readonly bgpType: BgpType;
  /** MetalLB's. */
  readonly namespace: string;
}

/** Which Service has which addresses, as it is kept over a restart. */
export type Kept = ReadonlyMap<ServiceKey, { readonly ips: readonly Ip[]; readonly pool?: string }>;

/** What one round came to. */
export interface Round {
  readonly remarks: readonly Remark[];
  readonly configuration: Configuration;
  readonly allocations: Allocations;
  readonly plan: Plan;
  /** To be remembered; what it was before while there is no configuration. */
  readonly kept: Kept;
}

export interface Configuration extends InForce {
  /** No Node object has this node's name. */
  readonly bareNode: boolean;
}

export class Reconciler {
  readonly #options: ReconcileOptions;
  readonly #indexer: Indexer;
  readonly #bare: Node;
  readonly #keeper: Keeper;
  readonly #planMemory = createMemory();
  readonly #seeded = new WeakMap<Service, Service>();
  #last: Round | undefined;
  #kept: Kept;

  constructor(options: ReconcileOptions, kept: Kept) {
    this.#options = options;
    this.#bare = { name: options.node, labels: {}, networkUnavailable: false, excluded: false };
    const { bgpType, namespace, node } = options;
    this.#keeper = createKeeper({ bgpType, namespace, node, mayBeBare: true });
    this.#indexer = createIndexer({ namespace: options.namespace, assumeClusterIps: true });
    this.#kept = kept;
  }

  get last(): Round | undefined {
    return this.#last;
  }

  /** The content must be complete. Throws nothing: what is wrong with it is in the answer. */
  take(content: FolderContent): Round {
    const { node, settings } = this.#options;
    const objects = content.objects.map(({ object }) => object);
    const indexed = index(this.#indexer, objects);
    const configuration = this.#configure(indexed);
    const { services, endpoints, nodes } = indexed;
    const hidden = this.#hidden(content, indexed);
    const snapshot: Snapshot = {
      config: configuration.config,
      services: this.#withStatus(services),
      reserved: new Map([...hidden].map(([key, { ips }]) => [key, ips])),
      endpoints,
      nodes: configuration.bareNode ? new Map([...nodes, [node, this.#bare]]) : nodes,
      settings,
    };
    const allocations = allocate(snapshot, this.#last?.allocations);
    const planned = plan({ ...snapshot, allocated: allocations.services }, node, this.#planMemory);
    if (configuration.config !== undefined) this.#kept = keptOf(allocations, hidden);
    const remarks = remarksOn(content.objects, indexed);
    this.#last = { remarks, configuration, allocations, plan: planned, kept: this.#kept };
    return this.#last;
  }

  /**
   * The new configuration as a whole, or the old one and the reason. An object that cannot be read is one; one of another
   * namespace is not part of it.
   */
  #configure({ resources, nodes, problems }: Indexed): Configuration {
    const bareNode = !nodes.has(this.#options.node);
    const problem = problems.find(({ object, invalid }) => invalid.rule !== 'namespace' && !ofTraffic(object));
    return { ...putInForce(this.#keeper, resources, problem?.invalid), bareNode };
  }

  /** What is remembered of Services that only a broken object or file keeps from being seen: nobody gave it up. */
  #hidden({ faults }: FolderContent, { services, problems }: Indexed): Kept {
    const unreadable =
      faults.some(({ rule }) => rule !== 'duplicate') || problems.some(({ object }) => object.kind === 'Service');
    return new Map(unreadable ? [...this.#kept].filter(([key]) => !services.has(key)) : []);
  }

  /** What is kept is the status of a Service as it is first seen, and again when it reads otherwise. */
  #withStatus(services: ReadonlyMap<ServiceKey, Service>): ReadonlyMap<ServiceKey, Service> {
    const seeded = new Map<ServiceKey, Service>();
    for (const [key, service] of services) {
      let known = this.#seeded.get(service);
      if (known === undefined) {
        const kept = this.#kept.get(key);
        known = kept === undefined ? service : withStatus(service, kept.ips, kept.pool);
        this.#seeded.set(service, known);
      }
      seeded.set(key, known);
    }
    return seeded;
  }
}

function keptOf({ services }: Allocations, hidden: Kept): Kept {
  const kept = new Map(hidden);
  for (const [key, { ips, pool }] of services)
    if (ips.length > 0) kept.set(key, { ips, ...(pool !== undefined && { pool }) });
  return kept;
}

function withStatus(service: Service, ips: readonly Ip[], pool: string | undefined): Service {
  return { ...service, ingress: ips.map((ip) => ({ ip })), ...(pool !== undefined && { allocatedFromPool: pool }) };
}

/** Not part of a configuration. */
function ofTraffic({ kind }: ApiObject): boolean {
  return kind === 'Service' || kind === 'EndpointSlice';
}
