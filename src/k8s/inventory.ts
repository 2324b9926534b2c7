// API objects, whatever brought them, sorted into what the house works with: the resources of a configuration, Services
// with their endpoints, Nodes. An object is read once and keeps its identity, and so does every part that is made of the
// same ones as before. Called by standalone at each change.

import { gather, type ReadResource, readResource } from '../config/read.ts';
import type { ApiObject, Invalid, Resources } from '../config/resource.ts';
import type { Endpoint, Node, Service, ServiceKey } from '../plan/snapshot.ts';
import type { ManifestObject } from './manifest.ts';
import { type EndpointSlice, type ReadOptions, readEndpointSlice, readNode, readService } from './resource.ts';

export interface Inventory {
  /** The objects of MetalLB's namespace, all Nodes and Namespaces. The same object while they are. */
  readonly resources: Resources;
  /** The first of them that cannot be read: there is no whole configuration then. */
  readonly invalid: Invalid | undefined;
  readonly services: ReadonlyMap<ServiceKey, Service>;
  readonly endpoints: ReadonlyMap<ServiceKey, readonly Endpoint[]>;
  readonly nodes: ReadonlyMap<string, Node>;
  /** In the order of the objects; of a kind that is not served only the first one is told. */
  readonly remarks: readonly Remark[];
  readonly memory: Memory;
}

/** What a person should know of an object, and where it stands. */
export interface Remark {
  readonly file: string;
  readonly line: number;
  readonly rule: 'unknown-field' | 'unknown-kind' | 'other-namespace' | 'invalid';
  readonly text: string;
}

interface Memory {
  readonly readings: ReadonlyMap<ApiObject, Reading>;
  readonly parts: readonly ReadResource[];
  readonly slices: ReadonlyMap<ServiceKey, readonly EndpointSlice[]>;
}

/** One object in our words. */
type Reading =
  | { readonly is: 'resource'; readonly resource: ReadResource; readonly node?: Node }
  | { readonly is: 'service'; readonly service: Service }
  | { readonly is: 'slice'; readonly slice: EndpointSlice }
  | { readonly is: 'invalid'; readonly invalid: Invalid; readonly ofConfiguration: boolean }
  | { readonly is: 'ignored'; readonly rule: 'unknown-kind' | 'other-namespace'; readonly text: string };

/** `namespace`: MetalLB's, where our kinds and Secrets are, also those that name none. */
export function takeInventory(
  objects: readonly ManifestObject[],
  options: ReadOptions & { readonly namespace: string },
  before?: Inventory,
): Inventory {
  const readings = new Map<ApiObject, Reading>();
  const parts: ReadResource[] = [];
  const services = new Map<ServiceKey, Service>();
  const nodes = new Map<string, Node>();
  const slices = new Map<ServiceKey, EndpointSlice[]>();
  const remarks: Remark[] = [];
  const told = new Set<string>();
  let invalid: Invalid | undefined;
  for (const { object, file, line, lineOf } of objects) {
    const reading = before?.memory.readings.get(object) ?? read(object, options);
    readings.set(object, reading);
    switch (reading.is) {
      case 'resource':
        parts.push(reading.resource);
        if (reading.node !== undefined) nodes.set(reading.node.name, reading.node);
        for (const path of reading.resource.unknown)
          remarks.push({
            file,
            line: lineOf(path),
            rule: 'unknown-field',
            text: `${nameOf(object)}: unknown field ${path}`,
          });
        break;
      case 'service':
        services.set(reading.service.key, reading.service);
        break;
      case 'slice': {
        const others = slices.get(reading.slice.service);
        if (others === undefined) slices.set(reading.slice.service, [reading.slice]);
        else others.push(reading.slice);
        break;
      }
      case 'invalid': {
        const { field, message } = reading.invalid;
        const at = field === undefined ? line : lineOf(field);
        remarks.push({ file, line: at, rule: 'invalid', text: `${nameOf(object)}: ${message}` });
        if (reading.ofConfiguration) invalid ??= reading.invalid;
        else keepLast(object, services, before);
        break;
      }
      case 'ignored':
        if (!told.has(reading.text)) remarks.push({ file, line, rule: reading.rule, text: reading.text });
        told.add(reading.text);
        break;
    }
  }
  const sameParts = before !== undefined && sameElements(parts, before.memory.parts);
  return {
    resources: sameParts ? before.resources : gather(parts),
    invalid,
    services,
    endpoints: merge(slices, before),
    nodes: before !== undefined && sameEntries(nodes, before.nodes) ? before.nodes : nodes,
    remarks,
    memory: { readings, parts, slices },
  };
}

function read(object: ApiObject, options: ReadOptions & { readonly namespace: string }): Reading {
  const { apiVersion, kind, metadata } = object;
  if (kind === 'Service' && apiVersion === 'v1') {
    const service = readService(object, options);
    return 'invalid' in service ? { is: 'invalid', ...service, ofConfiguration: false } : { is: 'service', service };
  }
  if (kind === 'EndpointSlice' && apiVersion === 'discovery.k8s.io/v1') {
    const slice = readEndpointSlice(object);
    return 'invalid' in slice ? { is: 'invalid', ...slice, ofConfiguration: false } : { is: 'slice', slice };
  }
  const resource = readResource(object);
  if (resource === undefined)
    return { is: 'ignored', rule: 'unknown-kind', text: `objects of kind ${kind} (${apiVersion}) are ignored` };
  const clusterWide = kind === 'Node' || kind === 'Namespace';
  const { namespace = options.namespace } = metadata;
  if (!clusterWide && namespace !== options.namespace) {
    const text = `${nameOf(object)} is in namespace ${namespace}, not ${options.namespace}: ignored`;
    return { is: 'ignored', rule: 'other-namespace', text };
  }
  if ('invalid' in resource) return { is: 'invalid', ...resource, ofConfiguration: true };
  if (kind !== 'Node') return { is: 'resource', resource };
  const node = readNode(object);
  return 'invalid' in node ? { is: 'invalid', ...node, ofConfiguration: true } : { is: 'resource', resource, node };
}

/** An API server would have refused the change: what the Service was before stays. */
function keepLast({ kind, metadata }: ApiObject, services: Map<ServiceKey, Service>, before?: Inventory): void {
  const key = `${metadata.namespace ?? 'default'}/${metadata.name}`;
  const last = kind === 'Service' ? before?.services.get(key) : undefined;
  if (last !== undefined) services.set(key, last);
}

/** The endpoints of all slices of a Service; the same list while the slices are the same. */
function merge(slices: ReadonlyMap<ServiceKey, readonly EndpointSlice[]>, before?: Inventory): Inventory['endpoints'] {
  const endpoints = new Map<ServiceKey, readonly Endpoint[]>();
  for (const [key, own] of slices) {
    const last = before?.memory.slices.get(key);
    const merged = last !== undefined && sameElements(own, last) ? before?.endpoints.get(key) : undefined;
    endpoints.set(key, merged ?? own.flatMap((slice) => slice.endpoints));
  }
  return endpoints;
}

function nameOf({ kind, metadata }: ApiObject): string {
  return `${kind}/${metadata.name}`;
}

function sameElements<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((element, at) => element === b[at]);
}

function sameEntries<K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}
