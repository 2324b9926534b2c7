// What a speaker writes of what it announces: a ServiceBGPStatus a Service, a `nodeAssigned` Event a change, its
// ConfigurationState. All of it only informs, is paced behind nothing but itself, and is looked at again a moment after
// something changed; routes never wait for it. Made by speaker-process.

import type { Owner } from '../config/configuration-state.ts';
import type { InForce } from '../config/in-force.ts';
import type { Target } from '../k8s/api.ts';
import type { Clock } from '../k8s/clock.ts';
import type { Events } from '../k8s/event.ts';
import { SERVICE_BGP_STATUSES } from '../k8s/kind.ts';
import type { Watched } from '../k8s/watched.ts';
import type { Change, WriteQueue } from '../k8s/write.ts';
import { assignedSince } from '../plan/assigned.ts';
import {
  type BgpStatusContext,
  type BgpStatusMemory,
  type BgpStatusWrite,
  bgpStatusObject,
  bgpStatusWrites,
  createBgpStatusMemory,
  readBgpStatus,
} from '../plan/bgp-status.ts';
import type { Plan } from '../plan/plan.ts';
import type { Service, ServiceKey } from '../plan/snapshot.ts';
import type { SpeakerCaches } from './speaker-caches.ts';
import { stateName } from './speaker-caches.ts';
import { StateObject } from './state-object.ts';

/** Writes of statuses that wait in the queue at a time: all of ten thousand would cost memory, and none would be sooner. */
const WINDOW = 200;
/** From a change to the look at it: what ten thousand writes change is looked at ten times a second. */
const PAUSE_MS = 100;

export interface SpeakerStatusOptions {
  readonly node: string;
  readonly namespace: string;
  readonly queue: Pick<WriteQueue, 'want' | 'unwant'>;
  readonly events: Pick<Events, 'emit'>;
  readonly caches: Pick<SpeakerCaches, 'states' | 'statuses' | 'bgpStatuses'>;
  readonly clock: Clock;
}

/** What is to be written about. */
interface Announced {
  readonly plan: Plan;
  /** Somebody else announces from this node still: what is written about it is not ours to change. */
  readonly isWithOthers: boolean;
  readonly configuration: InForce;
  readonly services: ReadonlyMap<ServiceKey, Service>;
}

export class SpeakerStatus {
  readonly #options: SpeakerStatusOptions;
  readonly #memory: BgpStatusMemory = createBgpStatusMemory();
  #handed = new Map<string, BgpStatusWrite>();
  /** Given up; the same is not asked for again. */
  readonly #refused = new WeakSet<BgpStatusWrite>();
  #now: Announced | undefined;
  /** The plan that Events have told of. */
  #told: Plan['services'] | undefined;
  #owner: Owner | undefined;
  #state: StateObject | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(options: SpeakerStatusOptions) {
    this.#options = options;
  }

  /** Nothing is written before this: the owner of what is made is known, or that there is none. */
  begin(owner: Owner | undefined): void {
    const { node, namespace, queue, caches, clock } = this.#options;
    this.#owner = owner;
    this.#state = new StateObject({
      ...{ queue, clock, states: caches.states.store, isKnown: () => caches.states.synced },
      object: {
        ...{ name: stateName(node), namespace, conditionType: 'configReconcilerValid' },
        labels: { 'metallb.io/component-type': 'speaker', 'metallb.io/node-name': node },
        ...(owner !== undefined && { owner }),
      },
    });
    this.mark();
  }

  follow(announced: Announced): void {
    this.#now = announced;
    this.mark();
  }

  /** Something is another than it was. */
  mark(): void {
    if (this.#timer !== undefined || this.#ended) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#look();
    }, PAUSE_MS);
    this.#timer.unref();
  }

  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  #look(): void {
    if (this.#now === undefined || this.#state === undefined) return;
    const { plan, configuration, services, isWithOthers } = this.#now;
    this.#state.say(configuration.refused);
    // what is withheld before a first configuration was accepted is no reason to take anything away
    if (configuration.config === undefined || isWithOthers) return;
    this.#emitEvents(plan, services);
    if (this.#options.caches.statuses.synced) this.#writeStatuses(plan);
  }

  #emitEvents(plan: Plan, services: Announced['services']): void {
    const { caches, events, node } = this.#options;
    const { statuses, bgpStatuses } = caches;
    if (this.#told === plan.services || !isDecided(statuses)) return;
    for (const key of assignedSince(this.#told, plan.services, (service) => bgpStatuses.has(service))) {
      const service = services.get(key);
      if (service === undefined) continue;
      const { namespace, name, uid } = service;
      const regarding = { apiVersion: 'v1', kind: 'Service', namespace, name, ...(uid !== undefined && { uid }) };
      const message = `announcing from node "${node}" with protocol "bgp"`;
      events.emit({ regarding, type: 'Normal', reason: 'nodeAssigned', message });
    }
    this.#told = plan.services;
  }

  #writeStatuses(plan: Plan): void {
    const { node, namespace, caches, queue } = this.#options;
    const owner = this.#owner === undefined ? {} : { owner: this.#owner };
    const context = { node, namespace, ...owner };
    const handed = new Map<string, BgpStatusWrite>();
    for (const write of bgpStatusWrites(this.#memory, plan.services, caches.bgpStatuses, context)) {
      const target = targetOf(write, namespace);
      const key = `${target.name} ${target.subresource ?? ''}`;
      if (this.#refused.has(write)) continue;
      const isHanded = this.#handed.get(key) === write;
      // those that wait are looked at again when one of them is done
      if (!isHanded && handed.size >= WINDOW) continue;
      handed.set(key, write);
      if (isHanded) continue;
      const done = () => this.#done(key, write);
      const failed = () => {
        this.#refused.add(write);
        done();
      };
      queue.want({ target, rank: 'inform', change: changeOf(write, context), done, failed });
    }
    for (const [key, write] of this.#handed) if (!handed.has(key)) queue.unwant(targetOf(write, namespace));
    this.#handed = handed;
  }

  /** Somebody may have undone it already: then it is missing again, and asked for again. */
  #done(key: string, write: BgpStatusWrite): void {
    if (this.#handed.get(key) === write) this.#handed.delete(key);
    this.mark();
  }
}

/** Read, or not to be had: without ServiceBGPStatuses nobody knows what was announced before a start. */
function isDecided({ synced, state }: Pick<Watched<never>, 'synced' | 'state'>): boolean {
  return synced || state?.problem !== undefined;
}

function targetOf(write: BgpStatusWrite, namespace: string): Target {
  const subresource = write.do === 'patch-status' ? ({ subresource: 'status' } as const) : {};
  return { kind: SERVICE_BGP_STATUSES, namespace, name: write.name, ...subresource };
}

function changeOf(write: BgpStatusWrite, context: BgpStatusContext): Change {
  const { owner } = context;
  switch (write.do) {
    case 'create': {
      const object = bgpStatusObject(write, context);
      // under our name: somebody took its labels away
      return { do: 'create', object, again: () => ({ metadata: { labels: object.metadata.labels } }) };
    }
    case 'patch':
      return {
        do: 'patch',
        patch: write.patch,
        again: (live) => {
          const { owners } = readBgpStatus(live);
          const isThere = owner === undefined || owners.some(({ uid }) => uid === owner.uid);
          return isThere ? undefined : { metadata: { ownerReferences: [...owners, owner] } };
        },
      };
    case 'patch-status':
      return { do: 'patch', patch: write.patch, again: () => write.patch };
    case 'delete':
      return { do: 'delete', uid: write.uid };
  }
}
