// One term of a controller: from the moment it leads until it does not. Each round asks the controller for the writes that
// are missing and hands them to the queue, each of them once; what the queue forgot with a lost lease is asked for again by
// the next term, which starts with nothing remembered. Made by controller-process.

import {
  type Configuration,
  type ControllerOptions,
  type ControllerState,
  control,
  createController,
  type Round,
  rewrite,
  type Seen,
  type ServiceEvent,
  type ServiceRecord,
  type ServiceWrite,
  serviceRecord,
} from '../controller.ts';
import type { Target } from '../k8s/api.ts';
import type { Clock } from '../k8s/clock.ts';
import type { Events } from '../k8s/event.ts';
import { IP_ADDRESS_POOLS, SERVICES } from '../k8s/kind.ts';
import type { JsonObject } from '../k8s/merge-patch.ts';
import { readService } from '../k8s/resource.ts';
import type { Store } from '../k8s/store.ts';
import type { WriteQueue } from '../k8s/write.ts';
import type { ServiceKey } from '../plan/snapshot.ts';
import type { StateObject } from './state-object.ts';

/** Counters of pools are written at most so often: a burst of some seconds costs two or three writes a pool. */
const COUNTERS_MS = 5_000;

export interface SessionOptions {
  readonly controller: ControllerOptions;
  readonly configuration: Configuration;
  readonly queue: Pick<WriteQueue, 'want' | 'unwant'>;
  readonly events: Pick<Events, 'emit'>;
  readonly services: Pick<Store<ServiceRecord>, 'resourceVersion'>;
  readonly state: StateObject;
  /** Asks for another round, some time from now. */
  readonly later: (ms: number) => void;
  readonly clock: Clock;
}

export class Session {
  readonly #options: SessionOptions;
  readonly #controller: ControllerState;
  readonly #handed = new Map<ServiceKey, ServiceWrite>();
  /** Addresses that were given and are not written yet: nobody is told of them before. */
  readonly #untold = new Map<ServiceKey, ServiceEvent>();
  #countersAt = Number.NEGATIVE_INFINITY;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#controller = createController(options.controller, options.configuration);
  }

  /** Everything in `seen` must be known as a whole. `events`: what may be told now. */
  round(seen: Seen): Round {
    const round = control(this.#controller, seen, this.#now());
    this.#handServices(round.services);
    this.#handPools(round);
    const events = [...this.#toldNow(round)];
    for (const { service, type, reason, message } of events) {
      const { namespace, name, uid } = service;
      const regarding = { apiVersion: 'v1', kind: 'Service', namespace, name, ...(uid !== undefined && { uid }) };
      this.#options.events.emit({ regarding, type, reason, message });
    }
    this.#options.state.say(round.refused);
    return { ...round, events };
  }

  /** An address is news once it is in the status. */
  *#toldNow({ events, services, allocations }: Round): Generator<ServiceEvent> {
    const isWritten = (key: ServiceKey) => services.get(key)?.informs !== false;
    for (const [key, event] of this.#untold) {
      if (!isWritten(key)) continue;
      this.#untold.delete(key);
      if ((allocations.services.get(key)?.ips.length ?? 0) > 0) yield event;
    }
    for (const event of events) {
      const { key } = event.service;
      if (event.reason === 'IPAllocated' && !isWritten(key)) this.#untold.set(key, event);
      else yield event;
    }
  }

  #now(): string {
    return `${this.#options.clock.date().toISOString().slice(0, 19)}Z`;
  }

  #handServices(writes: Round['services']): void {
    const { queue, services } = this.#options;
    for (const [key, write] of writes) {
      if (this.#handed.get(key) === write) continue;
      this.#handed.set(key, write);
      const onto = services.resourceVersion(key);
      const { patch } = write;
      const change = { do: 'patch', patch, again: this.#again, ...(onto !== undefined && { onto }) } as const;
      queue.want({ target: statusTarget(key), rank: write.informs ? 'inform' : 'first', change });
    }
    for (const key of this.#handed.keys()) {
      if (writes.has(key)) continue;
      queue.unwant(statusTarget(key));
      this.#handed.delete(key);
    }
  }

  /** One for all writes: ten thousand of them may wait. */
  readonly #again = (live: Parameters<typeof readService>[0]): JsonObject | undefined => {
    const service = readService(live);
    if ('invalid' in service) return undefined;
    return rewrite(this.#controller, serviceRecord(live, service), this.#now());
  };

  /** At once after a pause; what a burst makes of them goes as one. */
  #handPools({ pools }: Round): void {
    if (pools.length === 0) return;
    const { clock, queue, later, controller } = this.#options;
    const wait = this.#countersAt + COUNTERS_MS - clock.now();
    if (wait > 0) {
      later(wait);
      return;
    }
    this.#countersAt = clock.now();
    for (const { name, status } of pools) {
      const target: Target = { kind: IP_ADDRESS_POOLS, namespace: controller.namespace, name, subresource: 'status' };
      const patch = { status };
      queue.want({ target, rank: 'inform', change: { do: 'patch', patch, again: () => patch } });
    }
    later(COUNTERS_MS);
  }
}

function statusTarget(key: ServiceKey): Target {
  const [namespace = '', name = ''] = key.split('/');
  return { kind: SERVICES, namespace, name, subresource: 'status' };
}
