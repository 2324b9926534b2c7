// The controller as a function: from what the API holds to the writes that are missing there. Services get addresses,
// the name of their pool and a condition that says why not; pools get counters; the ConfigurationState says whether the
// configuration holds. Nothing is written that stands already, so that a restart finds nothing to do. Run by
// controller-process at every change while it leads; tells the time in writes only.

import { type Condition, readConditions, settleCondition } from './config/condition.ts';
import type { Config } from './config/config.ts';
import { createKeeper, type InForce, type Keeper, putInForce } from './config/in-force.ts';
import type { ApiObject, BgpType, Invalid, IPAddressPool, Labelled, Resource, Resources } from './config/resource.ts';
import { type Allocation, type AllocationEvent, type Allocations, allocate, notOurs } from './plan/allocate.ts';
import type { PoolCounters } from './plan/count.ts';
import { REASONS } from './plan/explain.ts';
import type { Service, ServiceKey, Settings } from './plan/snapshot.ts';

/** Ours; a reason that is not `Allocated` is one of `RefusalReason`. */
export const ADDRESS_ALLOCATED = 'metallb.io/AddressAllocated';
const ALLOCATED_FROM = 'metallb.io/ip-allocated-from-pool';

type Json = Readonly<Record<string, unknown>>;

/** A Service as the API has it. */
export interface ServiceRecord {
  readonly service: Service;
  /** Ingress entries and conditions as they stand: what is not ours in them stays. */
  readonly ingress: readonly Json[];
  readonly conditions: readonly Json[];
}

type Conditions = readonly (Json | Condition)[];

/** A pool as the API has it. A number beyond 2^53 is as near as a number comes. */
export interface PoolRecord {
  readonly pool: IPAddressPool;
  readonly status: { readonly [K in keyof PoolStatus]: number } | undefined;
  /** False: there is no object that has a status. */
  readonly isStored?: false;
}

/** `status` of an IPAddressPool. */
export interface PoolStatus {
  readonly assignedIPv4: bigint;
  readonly assignedIPv6: bigint;
  readonly availableIPv4: bigint;
  readonly availableIPv6: bigint;
}

/** Everything that the controller looks at; the maps keep their identity while nothing in them changes. */
export interface Seen {
  readonly services: ReadonlyMap<ServiceKey, ServiceRecord>;
  /** Exist, and cannot be read: they stay as they were. */
  readonly unreadable: ReadonlySet<ServiceKey>;
  /** By any key. */
  readonly pools: ReadonlyMap<string, PoolRecord>;
  readonly others: ReadonlyMap<string, Resource>;
  readonly namespaces: ReadonlyMap<string, Labelled>;
  /** Why a resource of the configuration cannot be read; the first counts. */
  readonly problems: readonly { readonly invalid: Invalid }[];
}

export interface ControllerOptions {
  /** MetalLB's. */
  readonly namespace: string;
  readonly bgpType: BgpType;
  readonly settings: Settings;
}

/** Onto the status of a Service; a JSON merge patch (RFC 7386) for exactly the version that was seen. */
export interface ServiceWrite {
  readonly key: ServiceKey;
  readonly patch: Json;
  /** Only the condition changes: addresses come first. */
  readonly informs: boolean;
}

export interface PoolWrite {
  readonly name: string;
  readonly status: PoolStatus;
}

export interface ServiceEvent extends AllocationEvent {
  readonly service: Service;
}

export interface Round {
  /** In force; undefined before a first one was accepted. */
  readonly config: Config | undefined;
  /** Why the latest one was refused; undefined: it is the one in force. */
  readonly refused: string | undefined;
  readonly allocations: Allocations;
  /** Those that are missing now. A write is the same object for as long as it is the same write. */
  readonly services: ReadonlyMap<ServiceKey, ServiceWrite>;
  readonly pools: readonly PoolWrite[];
  /** New since the last round. */
  readonly events: readonly ServiceEvent[];
}

/** The configuration as a process follows it, whether it leads or stands by: what is in force outlives a change of leader. */
export interface Configuration {
  readonly keeper: Keeper;
  /** With what it was gathered from. */
  gathered: { readonly from: readonly unknown[]; readonly all: Resources };
  pools: ReadonlyMap<string, IPAddressPool>;
}

/** What one controller remembers from round to round. */
export interface ControllerState {
  readonly options: ControllerOptions;
  readonly configuration: Configuration;
  /** Of all Services; changed in place, for a round may be about one of 10,000. */
  readonly services: Map<ServiceKey, Service>;
  readonly known: Map<ServiceKey, Known>;
  readonly writes: Map<ServiceKey, ServiceWrite>;
  last: Round | undefined;
  /** As this process wanted them last, exactly. */
  counters: ReadonlyMap<string, PoolStatus>;
}

interface Known {
  readonly record: ServiceRecord;
  /** Keeps its identity while nothing but status conditions changes. */
  readonly service: Service;
  readonly allocation: Allocation | undefined;
}

export function createConfiguration({ bgpType, namespace }: ControllerOptions): Configuration {
  const gathered = { from: [], all: resourcesOf([], new Map(), new Map()) };
  return { keeper: createKeeper({ bgpType, namespace }), gathered, pools: new Map() };
}

/** What is in force by what is seen now; changes `configuration`. */
export function follow(configuration: Configuration, seen: Seen): InForce {
  return putInForce(configuration.keeper, gather(configuration, seen), seen.problems[0]?.invalid);
}

export function createController(
  options: ControllerOptions,
  configuration: Configuration = createConfiguration(options),
): ControllerState {
  return {
    ...{ options, configuration },
    ...{ services: new Map(), known: new Map(), writes: new Map() },
    ...{ last: undefined, counters: new Map() },
  };
}

/** One round; changes the state. `now`: RFC 3339. */
export function control(state: ControllerState, seen: Seen, now: string): Round {
  const { last, options, known, writes } = state;
  const { config, refused } = follow(state.configuration, seen);
  takeServices(state, seen);
  const { services } = state;
  const snapshot = { config, services, endpoints: new Map(), nodes: new Map(), settings: options.settings };
  const allocations = allocate(snapshot, last?.allocations);
  const events: ServiceEvent[] = [];
  for (const [key, service] of services) {
    const record = seen.services.get(key);
    const before = known.get(key);
    const allocation = allocations.services.get(key);
    if (record === undefined) continue;
    if (before?.record === record && before.allocation === allocation) continue;
    const write = serviceWrite(record, allocation, options.settings, now);
    known.set(key, { record, service, allocation });
    if (write === undefined) writes.delete(key);
    else writes.set(key, write);
    // a process that starts has no news of a Service that reads as it should
    const news = before?.allocation !== allocation && (before !== undefined || write !== undefined);
    if (news) for (const event of allocation?.events ?? []) events.push({ ...event, service });
  }
  const pools = poolWrites(state, seen.pools, allocations.pools);
  state.last = { config, refused, allocations, services: new Map(writes), pools, events };
  return state.last;
}

/**
 * The patch once more, for the object as it is read again after a conflict; undefined: it is another Service now than
 * the one that was judged, and the next round's.
 */
export function rewrite(state: ControllerState, record: ServiceRecord, now: string): ServiceWrite['patch'] | undefined {
  const known = state.known.get(record.service.key);
  if (known === undefined || steady(known.service, record.service) !== known.service) return undefined;
  return serviceWrite(record, known.allocation, state.options.settings, now)?.patch;
}

/** What a configuration is made of; the same object while nothing in it changed. */
function gather(state: Configuration, { pools, others, namespaces }: Seen): Resources {
  state.pools = steadyPools(state.pools, pools);
  const from = [...state.pools.values(), others, namespaces];
  const { gathered } = state;
  if (gathered.from.length === from.length && from.every((each, at) => each === gathered.from[at])) return gathered.all;
  state.gathered = { from, all: resourcesOf([...state.pools.values()], others, namespaces) };
  return state.gathered.all;
}

function resourcesOf(
  pools: readonly IPAddressPool[],
  others: Seen['others'],
  namespaces: Seen['namespaces'],
): Resources {
  const communities = [...others.values()].flatMap((each) => (each.kind === 'Community' ? [each.value] : []));
  return {
    ...{ pools, communities, namespaces: [...namespaces.values()] },
    ...{ peers: [], bgpAdvertisements: [], l2Advertisements: [], bfdProfiles: [], secrets: [], nodes: [] },
  };
}

/** Each pool is the object of before where only its status changed. */
function steadyPools(
  before: ReadonlyMap<string, IPAddressPool>,
  now: ReadonlyMap<string, PoolRecord>,
): ReadonlyMap<string, IPAddressPool> {
  const pools = [...now.values()].map(({ pool }) => [pool.name, steady(before.get(pool.name), pool)] as const);
  return new Map(pools.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Each Service is the object of before where only its status conditions changed; one that cannot be read stays. */
function takeServices({ services, known, writes }: ControllerState, seen: Seen): void {
  for (const [key, record] of seen.services) {
    const before = known.get(key);
    if (before?.record !== record) services.set(key, steady(before?.service, record.service));
  }
  if (services.size === seen.services.size) return;
  for (const key of services.keys()) {
    if (seen.services.has(key) || seen.unreadable.has(key)) continue;
    for (const map of [services, known, writes]) map.delete(key);
  }
}

/** Both come from one reader, which puts fields in one order. */
function steady<T extends object>(before: T | undefined, now: T): T {
  return before !== undefined && JSON.stringify(before) === JSON.stringify(now) ? before : now;
}

/** What is missing at one Service. */
function serviceWrite(
  record: ServiceRecord,
  allocation: Allocation | undefined,
  settings: Settings,
  now: string,
): ServiceWrite | undefined {
  if (allocation === undefined) return release(record, settings);
  const { service } = record;
  const { refusal, ips, pool } = allocation;
  if (refusal?.reason === 'noConfiguration') {
    // nothing is given and nothing is taken: only who waits is told why
    if (service.ingress.length > 0) return undefined;
  } else if (!standsAs(service, ips, pool)) {
    const ingress = ips.map((ip) => record.ingress.find((entry) => entry['ip'] === ip && !entry['hostname']) ?? { ip });
    const loadBalancer = { ingress: ingress.length === 0 ? null : ingress };
    const metadata = { annotations: { [ALLOCATED_FROM]: pool ?? null } };
    const conditions = conditionsWith(record, allocation, now);
    const status = { loadBalancer, ...(conditions !== undefined && { conditions }) };
    return { key: service.key, patch: { metadata, status }, informs: false };
  }
  const conditions = conditionsWith(record, allocation, now);
  return conditions && { key: service.key, patch: { status: { conditions } }, informs: true };
}

/**
 * Takes from a Service that is no load balancer (any more) what a controller once put there, whatever class it had: the
 * API server drops the class with the type.
 */
function release({ service, ingress, conditions }: ServiceRecord, settings: Settings): ServiceWrite | undefined {
  if (notOurs(service, settings)?.reason !== 'notLoadBalancer') return undefined;
  const others = conditions.filter(({ type }) => type !== ADDRESS_ALLOCATED);
  const marked = service.allocatedFromPool !== undefined || others.length < conditions.length;
  const stale = ingress.length > 0 && settings.loadBalancerClass === undefined;
  if (!marked && !stale) return undefined;
  const status = {
    loadBalancer: { ingress: null },
    ...(others.length < conditions.length && { conditions: others.length === 0 ? null : others }),
  };
  return { key: service.key, patch: { metadata: { annotations: { [ALLOCATED_FROM]: null } }, status }, informs: false };
}

function standsAs(service: Service, ips: readonly string[], pool: string | undefined): boolean {
  const { ingress, allocatedFromPool } = service;
  if (allocatedFromPool !== pool || ingress.length !== ips.length) return false;
  return ingress.every(({ ip, hostname }, at) => ip === ips[at] && !hostname);
}

/** All conditions as they should stand; undefined: they do. */
function conditionsWith({ conditions }: ServiceRecord, allocation: Allocation, now: string): Conditions | undefined {
  const [stands] = readConditions(conditions.filter(({ type }) => type === ADDRESS_ALLOCATED));
  const condition = settleCondition(stands, { type: ADDRESS_ALLOCATED, ...saysOf(allocation) }, now);
  return condition === stands ? undefined : [...conditions.filter(({ type }) => type !== ADDRESS_ALLOCATED), condition];
}

function saysOf({ refusal, pool }: Allocation): Pick<Condition, 'status' | 'reason' | 'message'> {
  if (refusal === undefined) return { status: 'True', reason: 'Allocated', message: `from pool "${pool}"` };
  const { reason, message } = refusal;
  return { status: 'False', reason, message: `${message}. ${REASONS[reason].remedy}` };
}

/** Also undoes what somebody else wrote there. */
function poolWrites(
  state: ControllerState,
  pools: ReadonlyMap<string, PoolRecord>,
  counters: ReadonlyMap<string, PoolCounters>,
): readonly PoolWrite[] {
  const wanted = new Map<string, PoolStatus>();
  const writes: PoolWrite[] = [];
  for (const { pool, status: seen, isStored } of pools.values()) {
    const count = counters.get(pool.name);
    if (count === undefined || isStored === false) continue;
    const status = statusOf(count);
    wanted.set(pool.name, status);
    // a number of JSON is not exact beyond 2^53, what was wanted last is
    const before = state.counters.get(pool.name);
    if (before !== undefined && !sameCounters(before, status)) writes.push({ name: pool.name, status });
    else if (seen === undefined || !standsWith(seen, status)) writes.push({ name: pool.name, status });
  }
  state.counters = wanted;
  return writes;
}

function statusOf({ assigned, available }: PoolCounters): PoolStatus {
  return {
    assignedIPv4: assigned.ipv4,
    assignedIPv6: assigned.ipv6,
    availableIPv4: available.ipv4,
    availableIPv6: available.ipv6,
  };
}

const COUNTERS = ['assignedIPv4', 'assignedIPv6', 'availableIPv4', 'availableIPv6'] as const;

function sameCounters(a: PoolStatus, b: PoolStatus): boolean {
  return COUNTERS.every((name) => a[name] === b[name]);
}

function standsWith(seen: NonNullable<PoolRecord['status']>, wanted: PoolStatus): boolean {
  return COUNTERS.every((name) => seen[name] === Number(wanted[name]));
}

/** `service` is what k8s read of the same object. */
export function serviceRecord({ status }: ApiObject, service: Service): ServiceRecord {
  const { loadBalancer, conditions } = (status ?? {}) as { readonly loadBalancer?: unknown; conditions?: unknown };
  const { ingress } = (loadBalancer ?? {}) as { readonly ingress?: unknown };
  return { service, ingress: entriesOf(ingress), conditions: entriesOf(conditions) };
}

export function poolRecord({ status }: ApiObject, pool: IPAddressPool): PoolRecord {
  const seen = (status ?? {}) as Json;
  const counts = COUNTERS.map((name) => [name, seen[name]] as const);
  if (!counts.every(([, value]) => typeof value === 'number')) return { pool, status: undefined };
  return { pool, status: Object.fromEntries(counts) as NonNullable<PoolRecord['status']> };
}

function entriesOf(list: unknown): readonly Json[] {
  return Array.isArray(list) ? list.filter((entry): entry is Json => typeof entry === 'object' && entry !== null) : [];
}
