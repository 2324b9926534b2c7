// A tiny API for the controller as a function: it holds objects, merges the writes of a round into them as a JSON merge
// patch does (RFC 7386), and reads them again as the process would.

import { readResource } from '../../src/config/read.ts';
import type { ApiObject, Invalid, Labelled, Resource } from '../../src/config/resource.ts';
import {
  type ControllerOptions,
  type ControllerState,
  control,
  createController,
  type PoolRecord,
  poolRecord,
  type Round,
  type Seen,
  type ServiceRecord,
  serviceRecord,
} from '../../src/controller.ts';
import { readService } from '../../src/k8s/resource.ts';

export const OPTIONS: ControllerOptions = {
  namespace: 'metallb-system',
  bgpType: 'native',
  settings: { ignoreExcludeLabel: false },
};

type Json = { [field: string]: Json | string | number | boolean | bigint | null | undefined | readonly unknown[] };

export class TinyApi {
  readonly objects = new Map<string, ApiObject>();
  readonly #read = new WeakMap<ApiObject, unknown>();
  #others: ReadonlyMap<string, Resource> = new Map();
  #namespaces: ReadonlyMap<string, Labelled> = new Map();
  writes = 0;
  now = 0;

  put(...objects: readonly ApiObject[]): this {
    for (const object of objects) this.objects.set(keyOf(object), object);
    return this;
  }

  remove(kind: string, name: string): void {
    this.objects.delete(`${kind} ${name}`);
  }

  edit(key: string, patch: object): void {
    const object = this.objects.get(key);
    if (object === undefined) throw new Error(`no ${key}`);
    this.objects.set(key, merge(object, patch) as unknown as ApiObject);
  }

  /** The status of a Service. */
  status(name: string): { ingress: readonly string[]; pool?: unknown; condition?: Record<string, unknown> } {
    const object = this.objects.get(`Service ${name}`);
    const status = (object?.['status'] ?? {}) as {
      loadBalancer?: { ingress?: { ip: string }[] };
      conditions?: Record<string, unknown>[];
    };
    const annotations = (object?.metadata['annotations'] ?? {}) as Record<string, unknown>;
    const condition = status.conditions?.find(({ type }) => type === 'metallb.io/AddressAllocated');
    return {
      ingress: status.loadBalancer?.ingress?.map(({ ip }) => ip) ?? [],
      pool: annotations['metallb.io/ip-allocated-from-pool'],
      ...(condition !== undefined && { condition }),
    };
  }

  seen(): Seen {
    const services = new Map<string, ServiceRecord>();
    const pools = new Map<string, PoolRecord>();
    const others = new Map<string, Resource>();
    const namespaces = new Map<string, Labelled>();
    const unreadable = new Set<string>();
    const problems: { readonly invalid: Invalid }[] = [];
    for (const [key, object] of this.objects) {
      const name = key.slice(key.indexOf(' ') + 1);
      const read = this.#once(object);
      if ('invalid' in read) {
        if (object.kind === 'Service') unreadable.add(name);
        else problems.push(read as { readonly invalid: Invalid });
      } else if (object.kind === 'Service') services.set(name, read as ServiceRecord);
      else if (object.kind === 'IPAddressPool') pools.set(name, read as PoolRecord);
      else if (object.kind === 'Namespace') namespaces.set(name, read as Labelled);
      else others.set(name, read as Resource);
    }
    this.#others = sameMap(this.#others, others);
    this.#namespaces = sameMap(this.#namespaces, namespaces);
    return { services, pools, others: this.#others, namespaces: this.#namespaces, unreadable, problems };
  }

  #once(object: ApiObject): object {
    const known = this.#read.get(object);
    if (known !== undefined) return known as object;
    const read = readOne(object);
    this.#read.set(object, read);
    return read;
  }

  /** One round, and its writes carried out. */
  round(state: ControllerState): Round {
    const round = control(state, this.seen(), new Date(this.now).toISOString());
    for (const { key, patch } of round.services.values()) {
      this.writes++;
      this.edit(`Service ${key}`, patch);
      this.#fillIn(key);
    }
    for (const { name, status } of round.pools) {
      this.writes++;
      const numbers = Object.entries(status).map(([field, value]) => [field, Number(value)]);
      this.edit(`IPAddressPool ${name}`, { status: Object.fromEntries(numbers) });
    }
    return round;
  }

  /** As the API server does: `ipMode` of each entry. */
  #fillIn(key: string): void {
    const object = this.objects.get(`Service ${key}`);
    const status = (object?.['status'] ?? {}) as { loadBalancer?: { ingress?: Record<string, unknown>[] } };
    const ingress = status.loadBalancer?.ingress?.map((entry) => ({ ipMode: 'VIP', ...entry }));
    if (ingress !== undefined) this.edit(`Service ${key}`, { status: { loadBalancer: { ingress } } });
  }

  /** Rounds until nothing is missing; the last one. More than four mean that it never ends. */
  settle(state: ControllerState): Round {
    for (let rounds = 0; rounds < 4; rounds++) {
      const round = this.round(state);
      if (round.services.size === 0 && round.pools.length === 0) return round;
    }
    throw new Error('the controller writes for ever');
  }
}

export function start(more: Partial<ControllerOptions> = {}): ControllerState {
  return createController({ ...OPTIONS, ...more });
}

function readOne(object: ApiObject): object {
  if (object.kind === 'Service') {
    const service = readService(object);
    return 'invalid' in service ? service : serviceRecord(object, service);
  }
  const resource = readResource(object);
  if (resource === undefined || 'invalid' in resource) return resource ?? {};
  if (resource.kind === 'IPAddressPool') return poolRecord(object, resource.value);
  return resource.kind === 'Namespace' ? resource.value : resource;
}

function keyOf({ kind, metadata: { namespace, name } }: ApiObject): string {
  return `${kind} ${kind === 'Service' ? `${namespace}/` : ''}${name}`;
}

/** As a store does: the map of before while nothing in it changes. */
function sameMap<T>(before: ReadonlyMap<string, T>, now: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return before.size === now.size && [...now].every(([key, value]) => before.get(key) === value) ? before : now;
}

/** RFC 7386 §2. */
export function merge(target: unknown, patch: unknown): Json {
  const merged: Json = typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [field, value] of Object.entries(patch as object)) {
    if (value === null) delete merged[field];
    else if (typeof value === 'object' && !Array.isArray(value)) merged[field] = merge(merged[field], value);
    else merged[field] = value as Json;
  }
  return merged;
}

export function service(
  key: string,
  spec: object = {},
  more: { annotations?: object; status?: object } = {},
): ApiObject {
  const [namespace = '', name = ''] = key.split('/');
  const { annotations = {}, status = {} } = more;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace, name, uid: `uid of ${key}`, creationTimestamp: '2026-01-01T00:00:00Z', annotations },
    spec: { type: 'LoadBalancer', clusterIPs: ['10.0.0.1'], ports: [{ port: 80, protocol: 'TCP' }], ...spec },
    status,
  };
}

export function pool(name: string, addresses: readonly string[], spec: object = {}): ApiObject {
  return {
    apiVersion: 'metallb.io/v1beta1',
    kind: 'IPAddressPool',
    metadata: { namespace: 'metallb-system', name },
    spec: { addresses, ...spec },
  };
}
