// ServiceBGPStatus objects: to which peers this node announces each Service, for `kubectl get`. Here is which writes are
// missing until they say so: none after a restart, for objects are found again by their labels, whoever made them and
// whatever they are called. Called by the speaker on Kubernetes.

import { createHash } from 'node:crypto';
import type { Owner } from '../config/configuration-state.ts';
import type { ApiObject } from '../config/resource.ts';
import type { Plan, ServicePlan } from './plan.ts';
import type { ServiceKey } from './snapshot.ts';

/** An object of this node as it stands, as far as it concerns us. */
export interface SeenBgpStatus {
  readonly name: string;
  readonly uid: string;
  /** By its labels. */
  readonly service: ServiceKey;
  /** As they stand: what others put into them stays. */
  readonly owners: readonly Json[];
  readonly status: BgpStatus | undefined;
}

interface BgpStatus {
  readonly node: string;
  readonly serviceName: string;
  readonly serviceNamespace: string;
  /** Names of BGPPeers, sorted. */
  readonly peers: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

export type BgpStatusWrite =
  /** The object is `bgpStatusObject`'s. */
  | { readonly do: 'create'; readonly name: string; readonly service: ServiceKey }
  | { readonly do: 'patch'; readonly name: string; readonly patch: Json }
  | { readonly do: 'patch-status'; readonly name: string; readonly patch: Json }
  | { readonly do: 'delete'; readonly name: string; readonly uid: string };

export interface BgpStatusContext {
  readonly node: string;
  /** MetalLB's. */
  readonly namespace: string;
  /** The speaker's Pod; absent outside of one. */
  readonly owner?: Owner;
}

/** What is remembered from round to round. */
export interface BgpStatusMemory {
  known: ReadonlyMap<ServiceKey, Known>;
}

interface Known {
  readonly plan: ServicePlan | undefined;
  readonly seen: readonly SeenBgpStatus[] | undefined;
  readonly owner: Owner | undefined;
  readonly writes: readonly BgpStatusWrite[];
}

const LABELS = {
  node: 'metallb.io/node',
  name: 'metallb.io/service-name',
  namespace: 'metallb.io/service-namespace',
} as const;

/** Selects the objects of one node. */
export function bgpStatusSelector(node: string): string {
  return `${LABELS.node}=${node}`;
}

export function createBgpStatusMemory(): BgpStatusMemory {
  return { known: new Map() };
}

/**
 * The writes that are missing. One is the same object for as long as it is the same write. The status of an object that
 * is yet to be created follows once it is seen. `seen`: all of this node, by Service; same lists while they are the same.
 */
export function bgpStatusWrites(
  memory: BgpStatusMemory,
  services: Plan['services'],
  seen: ReadonlyMap<ServiceKey, readonly SeenBgpStatus[]>,
  context: BgpStatusContext,
): readonly BgpStatusWrite[] {
  const known = new Map<ServiceKey, Known>();
  const writes: BgpStatusWrite[] = [];
  const look = (service: ServiceKey, plan: ServicePlan | undefined): void => {
    const here = seen.get(service);
    const { owner } = context;
    const before = memory.known.get(service);
    const same = before !== undefined && before.plan === plan && before.seen === here && before.owner === owner;
    const one = same
      ? before
      : { plan, seen: here, owner, writes: steady(before, missing(service, plan, here, context)) };
    known.set(service, one);
    for (const write of one.writes) writes.push(write);
  };
  for (const [service, plan] of services) look(service, plan);
  for (const service of seen.keys()) if (!services.has(service)) look(service, undefined);
  memory.known = known;
  return writes;
}

function missing(
  service: ServiceKey,
  plan: ServicePlan | undefined,
  seen: readonly SeenBgpStatus[] = [],
  context: BgpStatusContext,
): readonly BgpStatusWrite[] {
  const peers = plan === undefined ? [] : peersOf(plan);
  const wanted = statusOf(service, peers, context.node);
  // node and Service of a status can't be changed: one that names others is of no use
  const usable = peers.length === 0 ? [] : seen.filter(({ status }) => status === undefined || isAbout(status, wanted));
  const kept = usable.toSorted((a, b) => rank(b) - rank(a) || (a.name < b.name ? -1 : 1))[0];
  const writes: BgpStatusWrite[] = seen
    .filter((each) => each !== kept)
    .map(({ name, uid }) => ({ do: 'delete', name, uid }));
  if (peers.length === 0) return writes;
  if (kept === undefined) return [...writes, create(service, context)];
  const { owner } = context;
  if (owner !== undefined && !kept.owners.some(({ uid }) => uid === owner.uid)) {
    const patch = { metadata: { ownerReferences: [...kept.owners, owner] } };
    writes.push({ do: 'patch', name: kept.name, patch });
  }
  if (kept.status?.peers.join() !== peers.join())
    writes.push({ do: 'patch-status', name: kept.name, patch: { status: wanted } });
  return writes;
}

/** Intent: the sessions need not be up. */
function peersOf({ bgp }: ServicePlan): readonly string[] {
  return 'withheld' in bgp ? [] : [...new Set(bgp.announced.flatMap(({ peers }) => peers))].sort();
}

function statusOf(service: ServiceKey, peers: readonly string[], node: string): BgpStatus {
  const [serviceNamespace = '', serviceName = ''] = service.split('/');
  return { node, serviceName, serviceNamespace, peers };
}

function isAbout(status: BgpStatus, wanted: BgpStatus): boolean {
  return (
    status.node === wanted.node &&
    status.serviceName === wanted.serviceName &&
    status.serviceNamespace === wanted.serviceNamespace
  );
}

/** Of several the one that says most. */
function rank({ status }: SeenBgpStatus): number {
  return status === undefined ? 0 : 1;
}

/** MetalLB has the API server choose the rest of the name; ours is the same whoever asks twice. */
function create(service: ServiceKey, { node }: BgpStatusContext): BgpStatusWrite {
  const digest = createHash('sha256').update(`${node} ${service}`).digest('hex');
  return { do: 'create', name: `bgp-${digest.slice(0, 16)}`, service };
}

/** As it is created; its status comes after. */
export function bgpStatusObject(
  { name, service }: Extract<BgpStatusWrite, { do: 'create' }>,
  { node, namespace, owner }: BgpStatusContext,
): { readonly metadata: { readonly labels: Readonly<Record<string, string>> } } & Json {
  const { serviceName, serviceNamespace } = statusOf(service, [], node);
  const labels = { [LABELS.node]: node, [LABELS.name]: serviceName, [LABELS.namespace]: serviceNamespace };
  const metadata = { name, namespace, labels, ...(owner !== undefined && { ownerReferences: [owner] }) };
  return { apiVersion: 'metallb.io/v1beta1', kind: 'ServiceBGPStatus', metadata };
}

/** The write of before where the same is missing still. */
function steady(before: Known | undefined, writes: readonly BgpStatusWrite[]): readonly BgpStatusWrite[] {
  if (before === undefined || before.writes.length === 0) return writes;
  const texts = new Map(before.writes.map((write) => [JSON.stringify(write), write]));
  return writes.map((write) => texts.get(JSON.stringify(write)) ?? write);
}

/** What is of a wrong type counts as absent, and is written again. */
export function readBgpStatus({ metadata, status }: ApiObject): SeenBgpStatus {
  const { name, uid, labels, ownerReferences } = metadata as ApiObject['metadata'] & {
    readonly labels?: Readonly<Record<string, unknown>>;
  };
  const owners = Array.isArray(ownerReferences) ? (ownerReferences as readonly Record<string, unknown>[]) : [];
  const label = (key: string): string => String(labels?.[key] ?? '');
  const service = `${label(LABELS.namespace)}/${label(LABELS.name)}`;
  return { name, uid: String(uid ?? ''), service, owners, status: readStatus(status) };
}

function readStatus(raw: unknown): BgpStatus | undefined {
  const { node, serviceName, serviceNamespace, peers } = (raw ?? {}) as Record<string, unknown>;
  if (typeof node !== 'string' || typeof serviceName !== 'string' || typeof serviceNamespace !== 'string')
    return undefined;
  const names = Array.isArray(peers) ? peers.filter((each): each is string => typeof each === 'string') : [];
  return { node, serviceName, serviceNamespace, peers: names };
}
