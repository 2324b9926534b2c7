// From all objects that are known to what the brain takes: Services, merged endpoints, Nodes, and the resources of one
// configuration. Each object is read once; what did not change keeps its identity, so that results that hang on it are
// kept too. Called by standalone with a folder, and by `fairway plan` with files.

import { gather, type ReadResource, readResource } from '../config/read.ts';
import type { ApiObject, Invalid, Resources } from '../config/resource.ts';
import type { Endpoint, Node, Service, ServiceKey } from '../plan/snapshot.ts';
import {
  type EndpointSlice,
  identityOf,
  type ReadOptions,
  readEndpointSlice,
  readNode,
  readService,
} from './resource.ts';

export interface Indexed {
  readonly services: ReadonlyMap<ServiceKey, Service>;
  /** Over all slices of each Service. */
  readonly endpoints: ReadonlyMap<ServiceKey, readonly Endpoint[]>;
  readonly nodes: ReadonlyMap<string, Node>;
  /** The same object while nothing in it changed. */
  readonly resources: Resources;
  /** What could not be read: a Service, a slice, a Node stays as it was last read, all else is as if it were not there. */
  readonly problems: readonly { readonly object: ApiObject; readonly invalid: Invalid }[];
  /** Paths that the kind of an object does not have. */
  readonly unknownFields: readonly { readonly object: ApiObject; readonly paths: readonly string[] }[];
  /** Of kinds that mean nothing here, and Secrets of other namespaces. */
  readonly ignored: readonly ApiObject[];
}

export interface IndexOptions extends ReadOptions {
  /** MetalLB's: its resources and Secrets count there alone. A file that names none means this one. */
  readonly namespace: string;
}

/** One object, read: what it is, in one or two of the ways in which objects are used. */
interface Reading {
  readonly service?: Service;
  readonly slice?: EndpointSlice;
  readonly node?: Node;
  readonly resource?: ReadResource;
  readonly invalid?: Invalid;
}

export interface Indexer {
  readonly options: IndexOptions;
  readonly known: WeakMap<ApiObject, Reading>;
  /** Services, slices and Nodes of the last round, by their identity. */
  last: ReadonlyMap<string, Reading>;
  /** The last answers, with what they were made from. */
  services: Made<Service, Indexed['services']>;
  endpoints: Made<EndpointSlice, Indexed['endpoints']>;
  nodes: Made<Node, Indexed['nodes']>;
  resources: Made<ReadResource, Resources>;
}

interface Made<T, V> {
  readonly from: readonly T[];
  readonly value: V;
}

export function createIndexer(options: IndexOptions): Indexer {
  return {
    options,
    known: new WeakMap(),
    last: new Map(),
    services: { from: [], value: new Map() },
    endpoints: { from: [], value: new Map() },
    nodes: { from: [], value: new Map() },
    resources: { from: [], value: gather([]) },
  };
}

/** `objects` in the order in which Services are to be served; each name of a kind at most once. */
export function index(indexer: Indexer, objects: readonly ApiObject[]): Indexed {
  const services: Service[] = [];
  const slices: EndpointSlice[] = [];
  const nodes: Node[] = [];
  const resources: ReadResource[] = [];
  const problems: Indexed['problems'][number][] = [];
  const unknownFields: Indexed['unknownFields'][number][] = [];
  const ignored: ApiObject[] = [];
  const last = new Map<string, Reading>();
  for (const object of objects) {
    const { invalid, ...read } = readOnce(indexer, object);
    const identity = identityOf(object, indexer.options.namespace);
    // the API server takes a slice that names no Service: it was read, and belongs to none
    const refused = invalid !== undefined && invalid.rule !== 'service-name';
    const reading = refused ? (indexer.last.get(identity) ?? {}) : read;
    const { service, slice, node, resource } = reading;
    if (invalid !== undefined) problems.push({ object, invalid });
    if (service ?? slice ?? node) last.set(identity, reading);
    if (service !== undefined) services.push(service);
    else if (slice !== undefined) slices.push(slice);
    else if (resource !== undefined) {
      resources.push(resource);
      if (node !== undefined) nodes.push(node);
      if (resource.unknown.length > 0) unknownFields.push({ object, paths: resource.unknown });
    } else if (invalid === undefined) ignored.push(object);
  }
  indexer.last = last;
  indexer.services = remake(indexer.services, services, () => new Map(services.map((each) => [each.key, each])));
  indexer.endpoints = remake(indexer.endpoints, slices, (before) => mergeSlices(before, slices));
  indexer.nodes = remake(indexer.nodes, nodes, () => new Map(nodes.map((each) => [each.name, each])));
  indexer.resources = remake(indexer.resources, resources, () => gather(resources));
  return {
    services: indexer.services.value,
    endpoints: indexer.endpoints.value,
    nodes: indexer.nodes.value,
    resources: indexer.resources.value,
    ...{ problems, unknownFields, ignored },
  };
}

/** What was made before, while it would be made from the same. */
function remake<T, V>(before: Made<T, V>, from: readonly T[], make: (before: Made<T, V>) => V): Made<T, V> {
  const same = before.from.length === from.length && before.from.every((item, at) => item === from[at]);
  return same ? before : { from, value: make(before) };
}

function readOnce({ options, known }: Indexer, object: ApiObject): Reading {
  let reading = known.get(object);
  if (reading === undefined) {
    reading = readObject(object, options);
    known.set(object, reading);
  }
  return reading;
}

function readObject(object: ApiObject, options: IndexOptions): Reading {
  if (object.kind === 'Service' && object.apiVersion === 'v1') {
    const service = readService(object, options);
    return 'invalid' in service ? service : { service };
  }
  if (object.kind === 'EndpointSlice' && object.apiVersion === 'discovery.k8s.io/v1') {
    const slice = readEndpointSlice(object);
    return 'invalid' in slice ? slice : { slice };
  }
  const resource = readResource(object);
  if (resource === undefined) return {};
  if ('invalid' in resource) return resource;
  const { namespace } = object.metadata;
  const clusterWide = resource.kind === 'Node' || resource.kind === 'Namespace';
  if (!clusterWide && namespace && namespace !== options.namespace)
    return resource.kind === 'Secret' ? {} : { invalid: elsewhere(object, options.namespace) };
  if (resource.kind !== 'Node') return { resource };
  const node = readNode(object);
  return 'invalid' in node ? node : { resource, node };
}

/** The webhooks' words. */
function elsewhere({ kind, metadata }: ApiObject, namespace: string): Invalid {
  const message = `resource must be created in ${namespace} namespace`;
  return { rule: 'namespace', message, kind, name: metadata.name, field: 'metadata.namespace' };
}

/** The endpoints of each Service over its slices; the list of before where none of them changed. */
function mergeSlices(before: Indexer['endpoints'], slices: readonly EndpointSlice[]): Indexed['endpoints'] {
  const stood = new Set(before.from);
  const changed = new Set(slices.filter((slice) => !stood.has(slice)).map(({ service }) => service));
  const stands = new Set(slices);
  for (const slice of before.from) if (!stands.has(slice)) changed.add(slice.service);
  const merged = new Map<ServiceKey, readonly Endpoint[]>();
  for (const { service, endpoints } of slices) {
    const old = changed.has(service) ? undefined : before.value.get(service);
    merged.set(service, old ?? [...(merged.get(service) ?? []), ...endpoints]);
  }
  return merged;
}
