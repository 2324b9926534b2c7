// From all objects that are known to what the brain takes: Services, merged endpoints, Nodes, and the resources of one
// configuration. Each object is read once; what did not change keeps its identity, so that results that hang on it are
// kept too. Called by standalone with a folder, and by `fairway plan` with files.

import { gather, type ReadResource, readResource } from '../config/read.ts';
import type { ApiObject, Invalid, Resource, Resources } from '../config/resource.ts';
import type { Endpoint, Node, Service, ServiceKey } from '../plan/snapshot.ts';
import { type EndpointSlice, type ReadOptions, readEndpointSlice, readNode, readService } from './resource.ts';

export interface Indexed {
  readonly services: ReadonlyMap<ServiceKey, Service>;
  /** Over all slices of each Service. */
  readonly endpoints: ReadonlyMap<ServiceKey, readonly Endpoint[]>;
  readonly nodes: ReadonlyMap<string, Node>;
  /** The same object while nothing in it changed. */
  readonly resources: Resources;
  /** What could not be read: as if it were not there. */
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
  merged: ReadonlyMap<ServiceKey, Merged>;
  /** With what they were gathered from. */
  resources: { readonly from: readonly Resource[]; readonly all: Resources };
}

interface Merged {
  readonly slices: readonly EndpointSlice[];
  readonly endpoints: readonly Endpoint[];
}

export function createIndexer(options: IndexOptions): Indexer {
  return { options, known: new WeakMap(), merged: new Map(), resources: { from: [], all: gather([]) } };
}

/** `objects` in the order in which Services are to be served; each name of a kind at most once. */
export function index(indexer: Indexer, objects: readonly ApiObject[]): Indexed {
  const readings = objects.map((object) => ({ object, ...readOnce(indexer, object) }));
  const resources = readings.flatMap(({ resource }) => resource ?? []);
  const services = readings.flatMap(({ service }) => service ?? []);
  const nodes = readings.flatMap(({ node }) => node ?? []);
  return {
    services: new Map(services.map((service) => [service.key, service])),
    endpoints: mergeSlices(
      indexer,
      readings.flatMap(({ slice }) => slice ?? []),
    ),
    nodes: new Map(nodes.map((node) => [node.name, node])),
    resources: gatherResources(indexer, resources),
    problems: readings.flatMap(({ object, invalid }) => (invalid === undefined ? [] : { object, invalid })),
    unknownFields: readings.flatMap(({ object, resource }) =>
      resource === undefined || resource.unknown.length === 0 ? [] : { object, paths: resource.unknown },
    ),
    ignored: readings.filter(isNothing).map(({ object }) => object),
  };
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

function isNothing({ service, slice, node, resource, invalid }: Reading): boolean {
  return (service ?? slice ?? node ?? resource ?? invalid) === undefined;
}

function mergeSlices(indexer: Indexer, slices: readonly EndpointSlice[]): Indexed['endpoints'] {
  const byService = new Map<ServiceKey, EndpointSlice[]>();
  for (const slice of slices) {
    const list = byService.get(slice.service);
    if (list === undefined) byService.set(slice.service, [slice]);
    else list.push(slice);
  }
  const merged = new Map<ServiceKey, Merged>();
  for (const [key, list] of byService) {
    const before = indexer.merged.get(key);
    const same = before !== undefined && sameItems(before.slices, list);
    merged.set(key, same ? before : { slices: list, endpoints: list.flatMap(({ endpoints }) => endpoints) });
  }
  indexer.merged = merged;
  return new Map([...merged].map(([key, { endpoints }]) => [key, endpoints]));
}

function gatherResources(indexer: Indexer, from: readonly Resource[]): Resources {
  if (!sameItems(indexer.resources.from, from)) indexer.resources = { from, all: gather(from) };
  return indexer.resources.all;
}

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, at) => item === b[at]);
}
