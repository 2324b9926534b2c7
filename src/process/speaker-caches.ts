// What a speaker reads of the cluster, kind by kind, and all of it together as one plan wants it. Used by
// speaker-process.

import { readState, type SeenState } from '../config/configuration-state.ts';
import { gather } from '../config/read.ts';
import type { ApiObject, Invalid, Labelled, Resource, Resources } from '../config/resource.ts';
import type { Api, Selection } from '../k8s/api.ts';
import type { Clock } from '../k8s/clock.ts';
import { Grouped, groupSlices } from '../k8s/grouped.ts';
import {
  BFD_PROFILES,
  BGP_ADVERTISEMENTS,
  BGP_PEERS,
  COMMUNITIES,
  CONFIG_MAPS,
  CONFIGURATION_STATES,
  ENDPOINT_SLICES,
  FRR_CONFIGURATIONS,
  IP_ADDRESS_POOLS,
  type Kind,
  L2_ADVERTISEMENTS,
  NAMESPACES,
  NODES,
  SECRETS,
  SERVICE_BGP_STATUSES,
  SERVICE_L2_STATUSES,
  SERVICES,
} from '../k8s/kind.ts';
import { readAsResource, readLabelled, readSecretPassword } from '../k8s/reader.ts';
import type { ApiReport, Tell } from '../k8s/report.ts';
import { type EndpointSlice, readEndpointSlice, readNode, readService } from '../k8s/resource.ts';
import { faultOf, type Reader } from '../k8s/store.ts';
import { Watched } from '../k8s/watched.ts';
import { BGP_STATUS, L2_STATUS, readStatus, type SeenStatus, statusSelector } from '../plan/service-status.ts';
import type { Endpoint, Node, Service, ServiceKey } from '../plan/snapshot.ts';

export interface SpeakerCacheOptions {
  readonly api: Api;
  readonly node: string;
  /** MetalLB's. */
  readonly namespace: string;
  /** Where frr-k8s is configured, in its mode; undefined: nobody asks. */
  readonly frrK8sNamespace: string | undefined;
  /** What is announced may be another, or who is dialled. */
  readonly changed: () => void;
  /** What was written about it is another. */
  readonly statusChanged: () => void;
  readonly tell: Tell;
  readonly clock: Clock;
}

/** A ConfigMap that MetalLB reads and we don't. */
export interface ExtraConfiguration {
  readonly name: string;
  readonly isUsed: boolean;
}

type AnyWatched = Pick<Watched<never>, 'plural' | 'state' | 'synced' | 'relist'>;

export class SpeakerCaches {
  readonly services: Watched<Service>;
  readonly nodes: Watched<Node>;
  /** The kinds of one configuration, but Nodes and Namespaces. */
  readonly configuration: readonly Watched<Resource>[];
  readonly namespaces: Watched<Labelled>;
  readonly slices: Watched<EndpointSlice>;
  /** Of this node: its ConfigurationState and its ServiceBGPStatuses. */
  readonly states: Watched<SeenState>;
  readonly statuses: Watched<SeenStatus>;
  /** ServiceL2Statuses, of all nodes: who answers for a Service removes what a dead node left. */
  readonly layer2Statuses: Watched<SeenStatus>;
  readonly extras: Watched<ExtraConfiguration>;
  readonly frrK8s: Watched<object> | undefined;
  readonly #endpoints: Grouped<EndpointSlice, readonly Endpoint[]>;
  readonly #byService: Grouped<SeenStatus, readonly SeenStatus[]>;
  readonly #layer2ByService: Grouped<SeenStatus, readonly SeenStatus[]>;
  #resources: { readonly from: readonly unknown[]; readonly value: Resources } | undefined;

  constructor({ api, node, namespace, frrK8sNamespace, changed, statusChanged, tell, clock }: SpeakerCacheOptions) {
    const watched = <T extends object>(kind: Kind, read: Reader<T>, where: Partial<Selection>, mark = changed) =>
      new Watched<T>({ api, selection: { kind, ...where }, read, changed: mark, tell, clock });
    const resource = (kind: Kind, read = readAsResource) => watched(kind, read, { namespace });
    this.services = watched<Service>(SERVICES, (object) => readService(object), {});
    this.slices = watched<EndpointSlice>(ENDPOINT_SLICES, readEndpointSlice, {});
    // without its Node a speaker withdraws everything
    this.nodes = new Watched<Node>({
      ...{ api, selection: { kind: NODES }, read: readNode, changed, tell, clock },
      vital: node,
    });
    this.namespaces = watched<Labelled>(NAMESPACES, readLabelled, {});
    this.configuration = [
      resource(IP_ADDRESS_POOLS),
      resource(BGP_PEERS),
      resource(BGP_ADVERTISEMENTS),
      resource(L2_ADVERTISEMENTS),
      resource(BFD_PROFILES),
      resource(COMMUNITIES),
      resource(SECRETS, readSecretPassword),
    ];
    const own = { namespace, fieldSelector: `metadata.name=${stateName(node)}` };
    this.states = watched<SeenState>(CONFIGURATION_STATES, readState, own, statusChanged);
    const ofNode = { namespace, labelSelector: statusSelector(node) };
    const readBgp: Reader<SeenStatus> = (object) => readStatus(BGP_STATUS, object);
    this.statuses = watched<SeenStatus>(SERVICE_BGP_STATUSES, readBgp, ofNode, statusChanged);
    const readLayer2: Reader<SeenStatus> = (object) => readStatus(L2_STATUS, object);
    this.layer2Statuses = watched<SeenStatus>(SERVICE_L2_STATUSES, readLayer2, { namespace }, statusChanged);
    this.extras = watched<ExtraConfiguration>(CONFIG_MAPS, readExtra, { namespace });
    if (frrK8sNamespace !== undefined) {
      const selection = { namespace: frrK8sNamespace, fieldSelector: `metadata.name=${frrConfigurationName(node)}` };
      const quiet: Tell = (report) => tellOfFrrK8s(report, tell, changed);
      this.frrK8s = new Watched<object>({
        ...{ api, changed, clock, tell: quiet },
        selection: { kind: FRR_CONFIGURATIONS, ...selection },
        read: ({ metadata: { name } }) => ({ name }),
      });
    }
    this.#endpoints = groupSlices(this.slices.store);
    const grouped = ({ store }: Watched<SeenStatus>): Grouped<SeenStatus, readonly SeenStatus[]> =>
      new Grouped<SeenStatus, readonly SeenStatus[]>(
        store,
        ({ service }) => service,
        (members) => members.filter((member) => member.node === node),
      );
    this.#byService = grouped(this.statuses);
    this.#layer2ByService = grouped(this.layer2Statuses);
  }

  /** All that is announced and who is dialled depend on. */
  get decisive(): readonly AnyWatched[] {
    return [this.services, this.slices, this.nodes, this.namespaces, ...this.configuration];
  }

  get all(): readonly AnyWatched[] {
    const { states, statuses, layer2Statuses, extras, frrK8s } = this;
    return [...this.decisive, states, statuses, layer2Statuses, extras, ...(frrK8s === undefined ? [] : [frrK8s])];
  }

  /** Begins to read, until the signal. */
  start(signal: AbortSignal): void {
    for (const each of this.all) each.relist(signal);
  }

  /** All was read once; before that nothing may be dialled. */
  get synced(): boolean {
    const knowsFrrK8s = this.frrK8s === undefined || this.frrK8s.synced || this.frrK8s.state?.is === 'absent';
    return knowsFrrK8s && this.decisive.every(({ synced }) => synced);
  }

  /** frr-k8s has a configuration of MetalLB's for this node. */
  get frrK8sAnnounces(): boolean {
    // with its definition gone there is nobody who could announce
    return this.frrK8s !== undefined && this.frrK8s.state?.is !== 'absent' && this.frrK8s.store.size > 0;
  }

  get endpoints(): ReadonlyMap<ServiceKey, readonly Endpoint[]> {
    return this.#endpoints.map();
  }

  /** ServiceBGPStatuses of this node by Service. */
  get bgpStatuses(): ReadonlyMap<ServiceKey, readonly SeenStatus[]> {
    return this.#byService.map();
  }

  /** ServiceL2Statuses of this node by Service. */
  get ownLayer2Statuses(): ReadonlyMap<ServiceKey, readonly SeenStatus[]> {
    return this.#layer2ByService.map();
  }

  /** The same object while nothing in it changed. */
  get resources(): Resources {
    const from = [...this.configuration, this.nodes, this.namespaces].map(({ store }) => store.map());
    const before = this.#resources;
    if (before?.from.every((each, at) => each === from[at])) return before.value;
    const read = this.configuration.flatMap(({ store }) => [...store.map().values()]);
    const [nodes, namespaces] = [[...this.nodes.store.map().values()], [...this.namespaces.store.map().values()]];
    this.#resources = { from, value: { ...gather(read), nodes, namespaces } };
    return this.#resources.value;
  }

  /** Why a resource of the configuration cannot be read; the first counts. */
  get problem(): Invalid | undefined {
    for (const { store } of this.configuration) {
      const [unreadable] = store.unreadable;
      if (unreadable !== undefined) return faultOf(unreadable);
    }
    return undefined;
  }

  /** Names of ConfigMaps that are in use and have no meaning here. */
  get usedExtras(): readonly string[] {
    return [...this.extras.store.map().values()].flatMap(({ name, isUsed }) => (isUsed ? name : [])).sort();
  }
}

export function stateName(node: string): string {
  return `speaker-${node}`;
}

/** As MetalLB's speaker calls it. */
export function frrConfigurationName(node: string): string {
  return `metallb-${node}`;
}

export const BGP_EXTRAS = 'bgpextras';
export const MEMBERLIST_CONFIG = 'metallb-memberlist-config';

function readExtra({ metadata: { name }, data }: ApiObject): ExtraConfiguration {
  const { extras } = (data ?? {}) as { readonly extras?: unknown };
  const isExtras = name === BGP_EXTRAS && typeof extras === 'string' && extras.trim() !== '';
  return { name, isUsed: isExtras || name === MEMBERLIST_CONFIG };
}

/** A cluster without frr-k8s is nothing to speak of. */
function tellOfFrrK8s(report: ApiReport, tell: Tell, changed: () => void): void {
  if (report.is === 'not-served') changed();
  else tell(report);
}
