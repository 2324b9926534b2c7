// What the controller reads of the cluster, kind by kind, and all of it together as one round wants it. Used by
// controller-process.

import { readState, type SeenState } from '../config/configuration-state.ts';
import type { ApiObject, Invalid, Labelled, Resource } from '../config/resource.ts';
import { type PoolRecord, poolRecord, type Seen, type ServiceRecord, serviceRecord } from '../controller.ts';
import type { Log } from '../io/log.ts';
import type { Api } from '../k8s/api.ts';
import type { Clock } from '../k8s/clock.ts';
import {
  COMMUNITIES,
  CONFIG_MAPS,
  CONFIGURATION_STATES,
  IP_ADDRESS_POOLS,
  type Kind,
  NAMESPACES,
  SERVICES,
} from '../k8s/kind.ts';
import { LEGACY_NAME, type LegacyConfiguration, readLegacyConfigMap } from '../k8s/legacy-config-map.ts';
import { readAsResource, readLabelled, strange } from '../k8s/reader.ts';
import type { Tell } from '../k8s/report.ts';
import { readService } from '../k8s/resource.ts';
import { faultOf, type Reader } from '../k8s/store.ts';
import { Watched } from '../k8s/watched.ts';
import { LegacyPools, namesMissing } from './legacy-pools.ts';

export interface CacheOptions {
  readonly api: Api;
  /** MetalLB's. */
  readonly namespace: string;
  /** Of our ConfigurationState. */
  readonly stateName: string;
  readonly changed: () => void;
  readonly tell: Tell;
  readonly clock: Clock;
  readonly log: Log;
}

export class ControllerCaches {
  readonly services: Watched<ServiceRecord>;
  readonly pools: Watched<PoolRecord>;
  readonly communities: Watched<Resource>;
  readonly namespaces: Watched<Labelled>;
  readonly states: Watched<SeenState>;
  readonly legacy: Watched<LegacyConfiguration>;
  readonly #legacyPools: LegacyPools;

  constructor({ namespace, stateName, log, ...options }: CacheOptions) {
    this.#legacyPools = new LegacyPools(log, namespace);
    const watched = <T extends object>(kind: Kind, read: Reader<T>, where: object = {}) =>
      new Watched<T>({ ...options, selection: { kind, ...where }, read });
    this.services = watched(SERVICES, readServiceRecord);
    this.namespaces = watched<Labelled>(NAMESPACES, readLabelled);
    this.pools = watched(IP_ADDRESS_POOLS, readPoolRecord, { namespace });
    this.communities = watched(COMMUNITIES, readAsResource, { namespace });
    const fieldSelector = `metadata.name=${stateName}`;
    this.states = watched<SeenState>(CONFIGURATION_STATES, readState, { namespace, fieldSelector });
    const old = { namespace, fieldSelector: `metadata.name=${LEGACY_NAME}` };
    this.legacy = watched<LegacyConfiguration>(CONFIG_MAPS, readLegacyConfigMap, old);
  }

  get all(): readonly Pick<Watched<never>, 'plural' | 'state' | 'synced'>[] {
    return [this.services, this.pools, this.communities, this.namespaces, this.states];
  }

  /** Everything that addresses depend on was read; the ConfigurationState is not among it. */
  get synced(): boolean {
    const all = [this.services, this.pools, this.communities, this.namespaces];
    return all.every(({ synced }) => synced) && (this.legacy.synced || !this.#needsLegacy);
  }

  /** Addresses may depend on the ConfigMap; one that may not be read is none. */
  get #needsLegacy(): boolean {
    if (this.legacy.state?.denied === true) return false;
    return this.#hasNoPools || namesMissing(this.pools.store.map(), this.services.store.map()).size > 0;
  }

  get #hasNoPools(): boolean {
    return this.pools.store.size === 0 && this.pools.store.unreadable.length === 0;
  }

  seen(): Seen {
    const [services, stored] = [this.services.store.map(), this.pools.store.map()];
    const [configuration] = this.legacy.store.map().values();
    const refused = this.#hasNoPools ? this.legacy.store.unreadable : [];
    const unreadable = this.services.store.unreadable.map(({ namespace, name }) => `${namespace}/${name}`);
    return {
      services,
      unreadable: new Set(unreadable),
      pools: this.#legacyPools.beside({ stored, isEmpty: this.#hasNoPools, configuration, services }),
      others: this.communities.store.map(),
      namespaces: this.namespaces.store.map(),
      problems: [...this.pools.store.unreadable, ...this.communities.store.unreadable, ...refused].map((each) => ({
        invalid: faultOf(each),
      })),
    };
  }
}

type Invalidity = { readonly invalid: Invalid };

function readServiceRecord(object: ApiObject): ServiceRecord | Invalidity {
  const service = readService(object);
  return 'invalid' in service ? service : serviceRecord(object, service);
}

function readPoolRecord(object: ApiObject): PoolRecord | Invalidity {
  const read = readAsResource(object);
  if ('invalid' in read) return read;
  return read.kind === 'IPAddressPool' ? poolRecord(object, read.value) : strange(object);
}
