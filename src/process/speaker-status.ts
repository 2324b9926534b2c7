// What a speaker writes of what it announces: a ServiceBGPStatus and a ServiceL2Status a Service, a `nodeAssigned` Event
// a change, its ConfigurationState. All of it only informs, is paced behind nothing but itself, and is looked at again a moment after
// something changed; routes never wait for it. Made by speaker-process.

import type { Owner } from '../config/configuration-state.ts';
import type { InForce } from '../config/in-force.ts';
import type { Clock } from '../k8s/clock.ts';
import type { Events, Regarding } from '../k8s/event.ts';
import { SERVICE_BGP_STATUSES, SERVICE_L2_STATUSES } from '../k8s/kind.ts';
import type { WriteQueue } from '../k8s/write.ts';
import { assignedSince } from '../plan/assigned.ts';
import type { Plan } from '../plan/plan.ts';
import { BGP_STATUS, L2_STATUS } from '../plan/service-status.ts';
import type { Service, ServiceKey } from '../plan/snapshot.ts';
import type { SpeakerCaches } from './speaker-caches.ts';
import { stateName } from './speaker-caches.ts';
import { StateObject } from './state-object.ts';
import { StatusWriter } from './status-writer.ts';

/** From a change to the look at it: what ten thousand writes change is looked at ten times a second. */
const PAUSE_MS = 100;

export interface SpeakerStatusOptions {
  readonly node: string;
  readonly namespace: string;
  readonly queue: Pick<WriteQueue, 'want' | 'unwant'>;
  readonly events: Pick<Events, 'emit'>;
  readonly caches: Pick<SpeakerCaches, 'states' | 'statuses' | 'bgpStatuses' | 'layer2Statuses' | 'ownLayer2Statuses'>;
  /** A node that answers for nothing by layer 2 any more. */
  readonly isLeft: (node: string) => boolean;
  /** It is known what this node answers for by layer 2: until then its statuses of before stay, and nothing is news. */
  readonly isSettled: () => boolean;
  readonly clock: Clock;
}

/** What is to be written about. */
interface Announced {
  /** As they are served: by layer 2 what this node answers for now. */
  readonly services: Plan['services'];
  /** Somebody else announces from this node still: what is written about it is not ours to change. */
  readonly isWithOthers: boolean;
  readonly configuration: InForce;
  readonly objects: ReadonlyMap<ServiceKey, Service>;
}

export class SpeakerStatus {
  readonly #options: SpeakerStatusOptions;
  readonly #writers: Readonly<Record<Protocol, StatusWriter>>;
  /** What Events have told of. */
  readonly #told: Partial<Record<Protocol, Plan['services']>> = {};
  #now: Announced | undefined;
  #owner: Owner | undefined;
  #state: StateObject | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(options: SpeakerStatusOptions) {
    this.#options = options;
    const { node, namespace, queue, caches, isLeft, clock } = options;
    const common = { node, namespace, queue, clock, changed: () => this.mark() };
    this.#writers = {
      bgp: new StatusWriter({
        ...{ ...common, of: BGP_STATUS, kind: SERVICE_BGP_STATUSES, watched: caches.statuses },
        own: () => caches.bgpStatuses,
      }),
      layer2: new StatusWriter({
        ...{ ...common, of: L2_STATUS, kind: SERVICE_L2_STATUSES, watched: caches.layer2Statuses, isLeft },
        own: () => caches.ownLayer2Statuses,
      }),
    };
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
    const { services, configuration, objects, isWithOthers } = this.#now;
    this.#state.say(configuration.refused);
    // what is withheld before a first configuration was accepted is no reason to take anything away
    if (configuration.config === undefined) return;
    for (const protocol of ['bgp', 'layer2'] as const) {
      if (protocol === 'bgp' ? isWithOthers : !this.#options.isSettled()) continue;
      this.#emitEvents(protocol, services, objects);
      this.#writers[protocol].write(services, this.#owner);
    }
  }

  #emitEvents(protocol: Protocol, services: Plan['services'], objects: Announced['objects']): void {
    const { events, node } = this.#options;
    const [told, writer] = [this.#told[protocol], this.#writers[protocol]];
    if (told === services || !writer.isDecided) return;
    for (const key of assignedSince(told, services, protocol, (service) => writer.knew(service))) {
      const service = objects.get(key);
      if (service === undefined) continue;
      const message = `announcing from node "${node}" with protocol "${protocol}"`;
      events.emit({ regarding: regardingOf(service), type: 'Normal', reason: 'nodeAssigned', message });
    }
    this.#told[protocol] = services;
  }
}

type Protocol = 'bgp' | 'layer2';

/** A Service as its Events refer to it. */
export function regardingOf({ namespace, name, uid }: Service): Regarding {
  return { apiVersion: 'v1', kind: 'Service', namespace, name, ...(uid !== undefined && { uid }) };
}
