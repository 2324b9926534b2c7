// ServiceBGPStatus and ServiceL2Status objects: to which peers this node announces each Service, and on which interfaces
// it answers for it, for `kubectl get`. Here is which writes are missing until they say so: none after a restart, for
// objects are found again by their labels, whoever made them and whatever they are called. Called by the speaker on
// Kubernetes.

import { createHash } from 'node:crypto';
import type { Owner } from '../config/configuration-state.ts';
import type { ApiObject } from '../config/resource.ts';
import type { Plan, ServicePlan } from './plan.ts';
import type { ServiceKey } from './snapshot.ts';

/** What the two kinds differ in: a list of names, in a field of the status. */
export interface StatusKind {
  readonly kind: 'ServiceBGPStatus' | 'ServiceL2Status';
  readonly prefix: 'bgp' | 'l2';
  /** Sorted; undefined: there is no status. */
  readonly namesOf: (plan: ServicePlan) => readonly string[] | undefined;
  readonly toField: (names: readonly string[]) => Json;
  /** Of what is there; what is of a wrong type is left out. */
  readonly fromField: (status: Json) => readonly string[];
}

/** Intent: the sessions need not be up. */
export const BGP_STATUS: StatusKind = {
  ...{ kind: 'ServiceBGPStatus', prefix: 'bgp' },
  namesOf: ({ bgp }) => {
    const peers = 'withheld' in bgp ? [] : [...new Set(bgp.announced.flatMap((each) => each.peers))].sort();
    return peers.length === 0 ? undefined : peers;
  },
  toField: (peers) => ({ peers }),
  fromField: ({ peers }) => textsOf(peers),
};

/** What is: `layer2` of the plan must say who answers now. No interface: all of them. */
export const L2_STATUS: StatusKind = {
  ...{ kind: 'ServiceL2Status', prefix: 'l2' },
  namesOf: ({ layer2 }) =>
    'withheld' in layer2 ? undefined : [...new Set(layer2.announced.flatMap(({ interfaces }) => interfaces))].sort(),
  // RFC 7386 §2: null removes
  toField: (names) => ({ interfaces: names.length === 0 ? null : names.map((name) => ({ name })) }),
  fromField: ({ interfaces }) =>
    Array.isArray(interfaces) ? textsOf(interfaces.map((each: { readonly name?: unknown }) => each?.name)) : [],
};

/** An object as it stands, as far as it concerns us. */
export interface SeenStatus {
  readonly name: string;
  readonly uid: string;
  /** By its labels. */
  readonly service: ServiceKey;
  readonly node: string;
  /** As they stand: what others put into them stays. */
  readonly owners: readonly Json[];
  readonly status: Content | undefined;
}

interface Content {
  readonly node: string;
  readonly serviceName: string;
  readonly serviceNamespace: string;
  readonly names: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

export type StatusWrite =
  /** The object is `statusObject`'s. */
  | { readonly do: 'create'; readonly name: string; readonly service: ServiceKey }
  | { readonly do: 'patch'; readonly name: string; readonly patch: Json }
  | { readonly do: 'patch-status'; readonly name: string; readonly patch: Json }
  | { readonly do: 'delete'; readonly name: string; readonly uid: string };

export interface StatusContext {
  readonly of: StatusKind;
  readonly node: string;
  /** MetalLB's. */
  readonly namespace: string;
  /** The speaker's Pod; absent outside of one. */
  readonly owner?: Owner;
}

/** What is remembered from round to round. */
export interface StatusMemory {
  known: ReadonlyMap<ServiceKey, Known>;
}

interface Known {
  readonly plan: ServicePlan | undefined;
  readonly seen: readonly SeenStatus[] | undefined;
  readonly owner: Owner | undefined;
  readonly writes: readonly StatusWrite[];
}

const LABELS = {
  node: 'metallb.io/node',
  name: 'metallb.io/service-name',
  namespace: 'metallb.io/service-namespace',
} as const;

/** Selects the objects of one node. */
export function statusSelector(node: string): string {
  return `${LABELS.node}=${node}`;
}

export function createStatusMemory(): StatusMemory {
  return { known: new Map() };
}

/**
 * The writes that are missing. One is the same object for as long as it is the same write. The status of an object that
 * is yet to be created follows once it is seen. `seen`: all of this node, by Service; same lists while they are the same.
 */
export function statusWrites(
  memory: StatusMemory,
  services: Plan['services'],
  seen: ReadonlyMap<ServiceKey, readonly SeenStatus[]>,
  context: StatusContext,
): readonly StatusWrite[] {
  const known = new Map<ServiceKey, Known>();
  const writes: StatusWrite[] = [];
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

/** Without what is made under a name that is still taken: that comes when the other one is gone. */
export function inTurn(writes: readonly StatusWrite[]): readonly StatusWrite[] {
  const taken = new Set(writes.flatMap((write) => (write.do === 'delete' ? write.name : [])));
  return taken.size === 0 ? writes : writes.filter((write) => write.do !== 'create' || !taken.has(write.name));
}

function missing(
  service: ServiceKey,
  plan: ServicePlan | undefined,
  seen: readonly SeenStatus[] = [],
  context: StatusContext,
): readonly StatusWrite[] {
  const { of, node, owner } = context;
  const names = plan && of.namesOf(plan);
  const wanted = aboutOf(service, node);
  // node and Service of a status can't be changed: one that names others is of no use
  const usable =
    names === undefined ? [] : seen.filter(({ status }) => status === undefined || isAbout(status, wanted));
  const kept = usable.toSorted((a, b) => rank(b) - rank(a) || (a.name < b.name ? -1 : 1))[0];
  const writes: StatusWrite[] = seen
    .filter((each) => each !== kept)
    .map(({ name, uid }) => ({ do: 'delete', name, uid }));
  if (names === undefined) return writes;
  if (kept === undefined) return [...writes, create(service, context)];
  if (owner !== undefined && !kept.owners.some(({ uid }) => uid === owner.uid)) {
    const patch = { metadata: { ownerReferences: [...kept.owners, owner] } };
    writes.push({ do: 'patch', name: kept.name, patch });
  }
  if (kept.status?.names.join() !== names.join())
    writes.push({ do: 'patch-status', name: kept.name, patch: { status: { ...wanted, ...of.toField(names) } } });
  return writes;
}

/** Which objects are to go that other nodes left behind: of Services that this node serves now. */
export function strayStatuses(
  services: Plan['services'],
  seen: Iterable<SeenStatus>,
  { of, node: self }: StatusContext,
  isLeft: (node: string) => boolean,
): readonly StatusWrite[] {
  const stray: StatusWrite[] = [];
  for (const { node, service, name, uid } of seen) {
    if (node === self || !isLeft(node)) continue;
    const plan = services.get(service);
    if (plan !== undefined && of.namesOf(plan) !== undefined) stray.push({ do: 'delete', name, uid });
  }
  return stray;
}

type About = Omit<Content, 'names'>;

function aboutOf(service: ServiceKey, node: string): About {
  const [serviceNamespace = '', serviceName = ''] = service.split('/');
  return { node, serviceName, serviceNamespace };
}

function isAbout(status: About, wanted: About): boolean {
  return (
    status.node === wanted.node &&
    status.serviceName === wanted.serviceName &&
    status.serviceNamespace === wanted.serviceNamespace
  );
}

/** Of several the one that says most. */
function rank({ status }: SeenStatus): number {
  return status === undefined ? 0 : 1;
}

/** MetalLB has the API server choose the rest of the name; ours is the same whoever asks twice. */
function create(service: ServiceKey, { of, node }: StatusContext): StatusWrite {
  const digest = createHash('sha256').update(`${node} ${service}`).digest('hex');
  return { do: 'create', name: `${of.prefix}-${digest.slice(0, 16)}`, service };
}

/** As it is created; its status comes after. */
export function statusObject(
  { name, service }: Extract<StatusWrite, { do: 'create' }>,
  { of, node, namespace, owner }: StatusContext,
): { readonly metadata: { readonly labels: Readonly<Record<string, string>> } } & Json {
  const { serviceName, serviceNamespace } = aboutOf(service, node);
  const labels = { [LABELS.node]: node, [LABELS.name]: serviceName, [LABELS.namespace]: serviceNamespace };
  const metadata = { name, namespace, labels, ...(owner !== undefined && { ownerReferences: [owner] }) };
  return { apiVersion: 'metallb.io/v1beta1', kind: of.kind, metadata };
}

/** The write of before where the same is missing still. */
function steady(before: Known | undefined, writes: readonly StatusWrite[]): readonly StatusWrite[] {
  if (before === undefined || before.writes.length === 0) return writes;
  const texts = new Map(before.writes.map((write) => [JSON.stringify(write), write]));
  return writes.map((write) => texts.get(JSON.stringify(write)) ?? write);
}

/** What is of a wrong type counts as absent, and is written again. */
export function readStatus(of: StatusKind, { metadata, status }: ApiObject): SeenStatus {
  const { name, uid, labels, ownerReferences } = metadata as ApiObject['metadata'] & {
    readonly labels?: Readonly<Record<string, unknown>>;
  };
  const owners = Array.isArray(ownerReferences) ? (ownerReferences as readonly Record<string, unknown>[]) : [];
  const label = (key: string): string => String(labels?.[key] ?? '');
  const service = `${label(LABELS.namespace)}/${label(LABELS.name)}`;
  return { name, uid: String(uid ?? ''), service, node: label(LABELS.node), owners, status: contentOf(of, status) };
}

function contentOf(of: StatusKind, raw: unknown): Content | undefined {
  const status = (raw ?? {}) as Json;
  const { node, serviceName, serviceNamespace } = status;
  if (typeof node !== 'string' || typeof serviceName !== 'string' || typeof serviceNamespace !== 'string')
    return undefined;
  return { node, serviceName, serviceNamespace, names: of.fromField(status) };
}

function textsOf(list: unknown): readonly string[] {
  return Array.isArray(list) ? list.filter((each): each is string => typeof each === 'string') : [];
}
