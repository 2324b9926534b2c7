// One Service on its way to its addresses, in the steps of MetalLB's controller: what forbids any address, whether what
// it holds may be kept, and what it gets if not. `allocate` decides who comes when.

import type { Pool } from '../config/config.ts';
import { type Family, familyOf, type Ip, parseIp } from '../net/address.ts';
import type { Allocation, AllocationEvent } from './allocate.ts';
import { assignable, choose, chooseSecond, isDual, type PoolOrder, quoted, wantedIps } from './choose.ts';
import type { Refusal, RefusalReason } from './explain.ts';
import { type Claim, claimOf, type Ledger, take } from './ledger.ts';
import type { Service } from './snapshot.ts';

/** An allocation with what the next call wants to know of it. */
export interface Entry extends Allocation {
  /** The Service that this answers. */
  readonly seen: Service;
  readonly claim: Claim;
  /** An address that comes free may change this. */
  readonly waits: boolean;
  /** Why it has no address, or no second one: Events tell it once. */
  readonly lacks?: Refusal;
}

/** A Service at work in one call. */
export interface Job {
  readonly service: Service;
  readonly old: Entry | undefined;
  /** Its place in the snapshot. */
  readonly position: number;
  readonly claim: Claim;
  /** What it held before, as texts: an answer that was not seen in its status yet, else the status. */
  readonly current: readonly string[];
  /** How many entries that was, addresses or not. */
  readonly entries: number;
  ips: readonly Ip[];
  pool: string | undefined;
  /** Nothing that others do will change it. */
  forbidden: Refusal | undefined;
  /** Why it got nothing, or not the second address. */
  failed: Refusal | undefined;
  readonly events: AllocationEvent[];
}

/** What addresses are taken from. */
export interface Books {
  readonly ledger: Ledger;
  readonly order: PoolOrder;
}

const MAY_END: ReadonlySet<RefusalReason> = new Set(['requestedIPInUse', 'poolExhausted', 'noAvailableIPs']);

export function startJob(service: Service, old: Entry | undefined, position: number): Job {
  const answered = old !== undefined && old.seen.uid === service.uid && sameIngress(old.seen, service);
  return {
    service,
    old,
    position,
    claim: claimOf(service),
    current: answered ? old.ips : service.ingress.flatMap(({ ip }) => ip || []),
    entries: answered ? old.ips.length : service.ingress.length,
    ips: [],
    pool: undefined,
    forbidden: undefined,
    failed: undefined,
    events: [],
  };
}

/** A job for a Service that did not change, keeps what it has, and wants more. */
export function resumeJob(old: Entry, position: number): Job {
  const { claim, ips, pool, seen: service, refusal: failed } = old;
  const entries = ips.length;
  return { service, old, position, claim, current: ips, entries, ips, pool, forbidden: undefined, failed, events: [] };
}

/** Takes what the Service holds if it may; else `ips` stays empty, with `forbidden` where it must have no address at all. */
export function keep({ ledger }: Books, job: Job): void {
  const { service, claim } = job;
  job.forbidden = forbid(ledger, job);
  if (job.forbidden !== undefined || job.current.length === 0) return;
  const ips = job.current.flatMap((text) => parseIp(text) ?? []);
  const families = new Set(ips.map(familyOf));
  if (ips.length < job.current.length || ips.length > 2 || families.size < ips.length) {
    const message = `status holds ${quoted(job.current)}: neither one address nor two of different families`;
    job.events.push({ type: 'Warning', reason: 'nolbIPsIPFamily', message });
    return;
  }
  if (!mayHold(service, families)) return;
  const found = assignable(ledger, service, claim, ips);
  if ('reason' in found) {
    const text = `current IP for "${service.key}" not allowed by config, will attempt for new IP assignment`;
    job.events.push({ type: 'Normal', reason: 'ClearAssignment', message: `${text}: ${found.message}` });
    return;
  }
  if (service.wantedPool && service.wantedPool !== found.pool.name) return;
  const wanted = wantedIps(service);
  if ('reason' in wanted) {
    const message = `invalid requested loadbalancer IPs: ${wanted.message}`;
    job.events.push({ type: 'Warning', reason: 'LoadBalancerFailed', message });
  } else if (wanted.length > 0 && !isAnswered(service, wanted, ips)) return;
  hold(ledger, job, ips, found.pool);
}

/** Whether there is something to look for. */
export function wants(job: Job): boolean {
  return job.forbidden === undefined && (job.ips.length === 0 || lacksSecond(job));
}

/** Gets the Service what it lacks, or `failed` says why not. */
export function seek({ ledger, order }: Books, job: Job): void {
  const { service, claim, pool: name } = job;
  const [first] = job.ips;
  const pool = name === undefined ? undefined : ledger.index.lanes.get(name)?.ipv4.pool;
  if (first !== undefined && pool !== undefined) {
    const second = chooseSecond(ledger, claim, pool, familyOf(first) === 'ipv4' ? 'ipv6' : 'ipv4');
    if (typeof second !== 'string') job.failed = second;
    else {
      hold(ledger, job, [first, second], pool);
      job.events.push({ type: 'Normal', reason: 'IPAllocated', message: `Assigned additional IP "${second}"` });
    }
    return;
  }
  const choice = choose(ledger, order, service, claim);
  if ('reason' in choice) job.failed = choice;
  else {
    hold(ledger, job, choice.ips, choice.pool);
    job.events.push({ type: 'Normal', reason: 'IPAllocated', message: `Assigned IP ${quoted(choice.ips)}` });
  }
}

/** The answer; the old object where it says the same of the same Service. */
export function finish(job: Job): Entry {
  const { service, old, ips, pool, claim, forbidden, failed } = job;
  const refusal = ips.length > 0 ? undefined : (forbidden ?? failed);
  const lacks = forbidden ?? failed;
  // its own status comes back as a change, and so does whatever has no bearing on it
  const isTold = old !== undefined && sameTexts(old.ips, ips) && sameRefusal(old.lacks, lacks);
  if (isTold && old.seen === service && old.pool === pool) return old;
  const settled = withAddresses(service, ips, pool);
  const events = forbidden !== undefined && isTold ? [] : job.events;
  if (failed !== undefined && !isTold) events.push(failure(service, ips, failed));
  if (settled !== service)
    for (const key of service.deprecatedAnnotations)
      events.push({
        type: 'Warning',
        reason: 'deprecatedAnnotation',
        message: `Service uses deprecated annotation ${key}`,
      });
  const waits = refusal === undefined ? lacksSecond(job) : MAY_END.has(refusal.reason);
  const answer: { -readonly [K in keyof Entry]: Entry[K] } = {
    ips,
    events,
    service: settled,
    seen: service,
    claim,
    waits,
  };
  if (pool !== undefined) answer.pool = pool;
  if (refusal !== undefined) answer.refusal = refusal;
  if (lacks !== undefined) answer.lacks = lacks;
  return answer;
}

/** The first six steps of the controller: they depend on the Service and on whether there are pools at all. */
function forbid(ledger: Ledger, { service, events }: Job): Refusal | undefined {
  const { key, clusterFamilies, familyPolicy } = service;
  if (ledger.index.pools.length === 0) return { reason: 'noPools', message: 'there is no address pool' };
  if (service.clusterIpsBroken) {
    const message = `cannot tell the IP family of the cluster IPs of "${key}"`;
    events.push({ type: 'Warning', reason: 'noclusterIPsIPFamily', message });
    return { reason: 'clusterIPFamilyUnknown', message };
  }
  if (clusterFamilies.length === 0) return { reason: 'noClusterIP', message: 'the Service has no cluster IP' };
  if (familyPolicy !== 'RequireDualStack' || clusterFamilies.length === 2) return undefined;
  const message = `"${key}" has the policy RequireDualStack and a cluster IP of one family only`;
  events.push({ type: 'Warning', reason: 'not enough clusterips', message });
  return { reason: 'notEnoughClusterIPs', message };
}

/** Addresses of these families suit the cluster IPs; one of two is enough with PreferDualStack. */
function mayHold(service: Service, families: ReadonlySet<Family>): boolean {
  if (isDual(service) && service.familyPolicy === 'PreferDualStack') return true;
  return families.size === service.clusterFamilies.length && service.clusterFamilies.every((f) => families.has(f));
}

/** Exactly what was asked for, and it is what may be asked for: one address of each family of the Service. */
function isAnswered({ clusterFamilies }: Service, wanted: readonly Ip[], ips: readonly Ip[]): boolean {
  const all = wanted.length === ips.length && wanted.every((ip) => ips.includes(ip));
  return all && ips.length === clusterFamilies.length;
}

function lacksSecond({ service, ips }: Job): boolean {
  return ips.length === 1 && isDual(service) && service.familyPolicy === 'PreferDualStack';
}

function hold(ledger: Ledger, job: Job, ips: readonly Ip[], pool: Pool): void {
  for (const ip of ips) take(ledger, ip, job.claim);
  job.ips = ips;
  job.pool = pool.name;
  job.failed = undefined;
}

function failure({ key }: Service, ips: readonly Ip[], { message }: Refusal): AllocationEvent {
  if (ips.length === 0)
    return { type: 'Warning', reason: 'AllocationFailed', message: `Failed to allocate IP for "${key}": ${message}` };
  const text = `cannot assign additional IP in PreferDualStack: ${message}`;
  return { type: 'Normal', reason: 'AdditionalAssignFailed', message: text };
}

/** The Service as it reads with these addresses in its status; itself where it does already. */
function withAddresses(service: Service, ips: readonly Ip[], pool: string | undefined): Service {
  const same =
    service.allocatedFromPool === pool &&
    service.ingress.length === ips.length &&
    service.ingress.every(({ ip, hostname }, at) => ip === ips[at] && !hostname);
  if (same) return service;
  const ingress = ips.map((ip) => ({ ip }));
  if (pool !== undefined) return { ...service, ingress, allocatedFromPool: pool };
  const { allocatedFromPool: _, ...rest } = service;
  return { ...rest, ingress };
}

function sameIngress(a: Service, b: Service): boolean {
  const other = b.ingress;
  return (
    a.ingress === other ||
    (a.ingress.length === other.length &&
      a.ingress.every(({ ip, hostname }, at) => ip === other[at]?.ip && hostname === other[at]?.hostname))
  );
}

function sameRefusal(a: Refusal | undefined, b: Refusal | undefined): boolean {
  return a?.reason === b?.reason && a?.message === b?.message;
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, at) => text === b[at]);
}
