// Who gets which address: the whole cluster at once, from what the Services say now and what was given before. A
// Service keeps what it holds as long as it may; only then do those that hold too little choose, in the order of
// allocation. The result does not depend on which changes led here, except that addresses stay where they are.
// Called by the controller, by standalone and by `fairway plan`; each call takes over the ledger of the one before.

import type { Pool } from '../config/config.ts';
import type { Ip } from '../net/address.ts';
import { revise } from '../net/revised-map.ts';
import { orderPools } from './choose.ts';
import { type Books, type Entry, finish, type Job, keep, resumeJob, seek, startJob, wants } from './converge.ts';
import { type Capacities, capacitiesOf, countPools, type PoolCounters } from './count.ts';
import type { Refusal } from './explain.ts';
import { createLedger, release, sameClaim, take, usableBlock } from './ledger.ts';
import type { Service, ServiceKey, Settings, Snapshot } from './snapshot.ts';

/** What one Service got. `ips` is empty exactly when `refusal` is there; a PreferDualStack Service may have one of two. */
export interface Allocation {
  readonly ips: readonly Ip[];
  readonly pool?: string;
  readonly refusal?: Refusal;
  /** What happened when this object was made, as events of the controller. The same object later: nothing new happened. */
  readonly events: readonly AllocationEvent[];
  /** The Service as it reads once its status says this: the very object that was given, when it does already. */
  readonly service: Service;
}

export interface AllocationEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

export interface Allocations {
  /** Every Service that is ours (`notOurs`), in the order of the snapshot. `plan` takes it as `allocated`. The same map while nothing changes. */
  readonly services: ReadonlyMap<ServiceKey, Allocation>;
  readonly pools: ReadonlyMap<string, PoolCounters>;
  /** For the next call; absent while there is no configuration. */
  readonly memory?: Memory;
}

interface Memory extends Books {
  readonly pools: readonly Pool[];
  readonly poolsText: string;
  readonly loadBalancerClass: string | undefined;
  readonly reservedText: string;
  readonly capacities: Capacities;
  readonly entries: ReadonlyMap<ServiceKey, Entry>;
  /** A later call has taken the ledger over; another one that starts from here makes its own. */
  spent: boolean;
}

/** What one call works on. */
interface Round {
  /** New, or other than last time. */
  readonly changed: Job[];
  /** The same as last time, and still in want of something; with their place in the snapshot. */
  readonly waiting: readonly { readonly old: Entry; readonly position: number }[];
  /** Of last time, no longer ours. */
  readonly gone: readonly Entry[];
  /** Nobody came or went. */
  readonly sameKeys: boolean;
}

const NOTHING_KNOWN: ReadonlyMap<ServiceKey, Entry> = new Map();

/**
 * Gives addresses to the Services of the snapshot. `before` is what the last call answered: while the pools stay the
 * same, a Service whose object is the same keeps its result without being looked at.
 */
export function allocate(snapshot: Snapshot, before?: Allocations): Allocations {
  if (snapshot.config === undefined) return withoutConfiguration(snapshot);
  const last = before?.memory;
  const { pools } = snapshot.config;
  const memory = carryOn(last, pools, snapshot) ?? open(pools, snapshot);
  const goesOn = memory.ledger === last?.ledger;
  const known = last?.entries ?? NOTHING_KNOWN;
  const { changed, waiting, gone, sameKeys } = sortOut(snapshot, known, goesOn);
  if (goesOn) giveBack(memory, [...gone, ...changed.flatMap((job) => job.old ?? [])]);
  for (const job of changed.sort(byRightToKeep)) keep(memory, job);
  reserve(memory, snapshot);
  const stirred = gone.some(({ ips }) => ips.length > 0) || changed.some(mayHelpOthers);
  // those who wait from earlier rounds are asked again only when something was given back
  const asked = stirred ? waiting.map(({ old, position }) => resumeJob(old, position)) : [];
  // in order, once: whoever is served takes what those before could not use, so nobody is helped by it
  for (const job of [...changed.filter(wants), ...asked].sort(byOrder)) seek(memory, job);
  const answers = new Map([...changed, ...asked].map((job) => [job.service.key, finish(job)]));
  const entries =
    goesOn && sameKeys ? revise(known, answers) : inOrder(snapshot, goesOn ? known : NOTHING_KNOWN, answers);
  return {
    services: entries,
    pools: countPools(memory.ledger, memory.capacities),
    memory: { ...memory, entries, spent: false },
  };
}

/** Why a Service is not of our concern; undefined: it is. */
export function notOurs(service: Service, settings: Settings): Refusal | undefined {
  if (service.type !== 'LoadBalancer') return { reason: 'notLoadBalancer', message: `the type is ${service.type}` };
  if (service.loadBalancerClass === settings.loadBalancerClass) return undefined;
  const [theirs, ours] = [service.loadBalancerClass ?? 'unset', settings.loadBalancerClass ?? 'unset'];
  return { reason: 'otherLoadBalancerClass', message: `the loadBalancerClass is ${theirs}, the one served is ${ours}` };
}

/** Nothing is given and nothing is taken away before a first configuration was accepted. */
function withoutConfiguration({ services, settings }: Snapshot): Allocations {
  const refusal: Refusal = { reason: 'noConfiguration', message: 'no configuration was accepted yet' };
  const ours = [...services.values()].filter((service) => notOurs(service, settings) === undefined);
  const answers = ours.map((service) => [service.key, { ips: [], refusal, events: [], service }] as const);
  return { services: new Map(answers), pools: new Map() };
}

function open(pools: readonly Pool[], { settings, reserved }: Snapshot): Memory {
  const ledger = createLedger(pools);
  return {
    ...{ ledger, order: orderPools(pools), capacities: capacitiesOf(ledger) },
    ...{ pools, poolsText: textOf(pools), loadBalancerClass: settings.loadBalancerClass },
    reservedText: reservedTextOf(reserved),
    ...{ entries: NOTHING_KNOWN, spent: false },
  };
}

/** The memory of the last call, when it holds for these pools and nobody else went on from it. */
function carryOn(
  last: Memory | undefined,
  pools: readonly Pool[],
  { settings, reserved }: Snapshot,
): Memory | undefined {
  if (last === undefined || last.spent || last.loadBalancerClass !== settings.loadBalancerClass) return undefined;
  if (last.reservedText !== reservedTextOf(reserved)) return undefined;
  if (last.pools !== pools && last.poolsText !== textOf(pools)) return undefined;
  last.spent = true;
  return { ...last, pools };
}

/** All of the pools that matters to allocation: advertisements do not. */
function textOf(pools: readonly Pool[]): string {
  return JSON.stringify(
    pools.map(({ name, addresses, autoAssign, avoidBuggyIPs, serviceAllocation: allocation }) => [
      ...[name, addresses, autoAssign, avoidBuggyIPs],
      allocation && [
        allocation.priority,
        allocation.namespaces && [...allocation.namespaces],
        allocation.serviceSelectors,
      ],
    ]),
  );
}

function reservedTextOf(reserved: Snapshot['reserved']): string {
  return reserved === undefined ? '' : JSON.stringify([...reserved]);
}

/** After those that hold an address were asked: one that is shared stays with who is seen to hold it. */
function reserve({ ledger }: Memory, { reserved = new Map() }: Snapshot): void {
  for (const [service, ips] of reserved)
    for (const ip of ips)
      if (usableBlock(ledger, ip) !== undefined && !ledger.holdings.has(ip))
        take(ledger, ip, { service, sharingKey: '', backendKey: '', ports: [] });
}

function sortOut(snapshot: Snapshot, known: ReadonlyMap<ServiceKey, Entry>, goesOn: boolean): Round {
  const changed: Job[] = [];
  const waiting: { readonly old: Entry; readonly position: number }[] = [];
  let position = 0;
  let stillThere = 0;
  let ours = 0;
  for (const [key, service] of snapshot.services) {
    position++;
    const old = known.get(key);
    const stands = goesOn && old?.seen === service;
    if (!stands && notOurs(service, snapshot.settings) !== undefined) continue;
    ours++;
    if (old !== undefined) stillThere++;
    if (!stands) changed.push(startJob(service, old, position));
    else if (old.waits) waiting.push({ old, position });
  }
  const gone = stillThere === known.size ? [] : [...known.values()].filter(({ seen }) => isGone(snapshot, seen.key));
  return { changed, waiting, gone, sameKeys: ours === stillThere && stillThere === known.size };
}

function isGone({ services, settings }: Snapshot, key: ServiceKey): boolean {
  const service = services.get(key);
  return service === undefined || notOurs(service, settings) !== undefined;
}

function giveBack({ ledger }: Memory, entries: readonly Entry[]): void {
  for (const { ips, seen } of entries) for (const ip of ips) release(ledger, ip, seen.key);
}

/** All that is ours, in the order of the snapshot: new answers, and those that stand. */
function inOrder(
  { services }: Snapshot,
  known: ReadonlyMap<ServiceKey, Entry>,
  answers: ReadonlyMap<ServiceKey, Entry>,
): ReadonlyMap<ServiceKey, Entry> {
  const entries = new Map<ServiceKey, Entry>();
  for (const [key, service] of services) {
    const entry = answers.get(key) ?? known.get(key);
    if (entry?.seen === service) entries.set(key, entry);
  }
  return entries;
}

/** Those whose keys and ports are as before come first: of two that may no longer share, the one that changed moves. */
function byRightToKeep(a: Job, b: Job): number {
  return Number(isSettled(b)) - Number(isSettled(a)) || byOrder(a, b);
}

function isSettled({ old, claim }: Job): boolean {
  return old !== undefined && old.ips.length > 0 && sameClaim(old.claim, claim);
}

/** The order of allocation: more status entries first, then the older, then as the snapshot has them. */
function byOrder(a: Job, b: Job): number {
  const [ageA, ageB] = [a.service.createdAt ?? '~', b.service.createdAt ?? '~'];
  return b.entries - a.entries || (ageA === ageB ? a.position - b.position : ageA < ageB ? -1 : 1);
}

/** It gave an address back, or holds one on other terms than before. */
function mayHelpOthers({ old, ips, claim }: Job): boolean {
  if (old === undefined || old.ips.length === 0) return false;
  return !sameClaim(old.claim, claim) || old.ips.some((ip) => !ips.includes(ip));
}
