// Who holds which address: the one thing in the brain that is changed in place. `allocate` takes and releases; a ledger
// belongs to the newest Allocations alone. Sharing rules are asked here, for here is who else is on an address.

import type { Pool } from '../config/config.ts';
import type { Family, Ip } from '../net/address.ts';
import type { Refusal } from './explain.ts';
import { addressAt, type Block, blockOf, indexPools, type Lane, type PoolIndex, rankOf } from './pools.ts';
import type { Service, ServiceKey } from './snapshot.ts';
import { createVacancy, lowestVacant, occupy, type Vacancy, vacate } from './vacancy.ts';

/** What decides whether two Services may hold the same address. */
export interface Claim {
  readonly service: ServiceKey;
  /** Empty: shares with nobody. */
  readonly sharingKey: string;
  /** Where the traffic goes, as far as it matters: the selector with `externalTrafficPolicy: Local`, else empty. */
  readonly backendKey: string;
  /** `TCP/80`. */
  readonly ports: readonly string[];
}

interface Holding {
  readonly ip: Ip;
  readonly lane: Lane;
  readonly rank: bigint;
  /** The claim that came first; all others on the address have its keys. */
  readonly first: Claim;
  /** Only with a sharing key. */
  readonly sharers: Sharers | undefined;
}

interface Sharers {
  readonly claims: Map<ServiceKey, Claim>;
  /** Which Service uses a port on this address. */
  readonly ports: Map<string, ServiceKey>;
}

/** The addresses of one lane whose holders share by one key, in the order of a scan. */
interface Group {
  readonly holdings: Holding[];
  /** By ports wanted: the first so many were found to use one of them. Forgotten whenever that may have changed. */
  readonly useless: Map<string, number>;
}

interface Occupancy {
  readonly vacancy: Vacancy;
  readonly groups: Map<string, Group>;
}

export interface Ledger {
  readonly index: PoolIndex;
  readonly holdings: Map<Ip, Holding>;
  readonly occupancy: ReadonlyMap<Lane, Occupancy>;
}

export function createLedger(pools: readonly Pool[]): Ledger {
  const index = indexPools(pools);
  const lanes = [...index.lanes.values()].flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
  const occupancy = new Map(lanes.map((lane) => [lane, { vacancy: createVacancy(), groups: new Map() }]));
  return { index, holdings: new Map(), occupancy };
}

export function claimOf(service: Service): Claim {
  return {
    service: service.key,
    sharingKey: service.sharingKey ?? '',
    backendKey: service.trafficPolicy === 'Local' ? selectorText(service) : '',
    ports: service.ports.map(({ protocol, port }) => `${protocol}/${port}`),
  };
}

function selectorText({ selector }: Service): string {
  const terms = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  return terms.sort().join(',');
}

/** Both get the same answers. */
export function sameClaim(a: Claim, b: Claim): boolean {
  return (
    a.sharingKey === b.sharingKey &&
    a.backendKey === b.backendKey &&
    a.ports.length === b.ports.length &&
    a.ports.every((port, at) => port === b.ports[at])
  );
}

/** The block of a pool that gives the address out; undefined: no pool does. */
export function usableBlock(ledger: Ledger, ip: Ip): Block | undefined {
  const block = blockOf(ledger.index, ip);
  return block !== undefined && rankOf(block, ip) !== undefined ? block : undefined;
}

/** Why the claim may not join those who hold the address; undefined: it may, or nobody does. */
export function refuseSharing(ledger: Ledger, ip: Ip, claim: Claim): Refusal | undefined {
  const holding = ledger.holdings.get(ip);
  return holding === undefined ? undefined : refuseOn(holding, claim);
}

function refuseOn({ ip, first, sharers }: Holding, claim: Claim): Refusal | undefined {
  const mayShare =
    claim.sharingKey !== '' && first.sharingKey === claim.sharingKey && first.backendKey === claim.backendKey;
  if (!mayShare) {
    const others = sharers === undefined ? [first.service] : [...sharers.claims.keys()].sort();
    const message = `can't change sharing key for "${claim.service}", address also in use by ${others.join(',')}`;
    return { reason: 'requestedIPInUse', message };
  }
  const clash = claim.ports.find((port) => sharers?.ports.has(port));
  return clash === undefined
    ? undefined
    : { reason: 'requestedIPInUse', message: `port ${clash} is already in use on "${ip}"` };
}

/** Records that the claim holds an address which was found usable, and not refused to it. */
export function take(ledger: Ledger, ip: Ip, claim: Claim): void {
  const { sharers } = ledger.holdings.get(ip) ?? startHolding(ledger, ip, claim);
  if (sharers === undefined) return;
  sharers.claims.set(claim.service, claim);
  for (const port of claim.ports) sharers.ports.set(port, claim.service);
}

function startHolding(ledger: Ledger, ip: Ip, first: Claim): Holding {
  const block = blockOf(ledger.index, ip);
  const rank = block && rankOf(block, ip);
  if (block === undefined || rank === undefined) throw new Error(`${ip} is in no pool`);
  const sharers = first.sharingKey === '' ? undefined : { claims: new Map(), ports: new Map() };
  const holding = { ip, lane: block.lane, rank, first, sharers };
  const occupancy = occupancyOf(ledger, block.lane);
  ledger.holdings.set(ip, holding);
  occupy(occupancy.vacancy, rank);
  if (sharers !== undefined) insert(groupOf(occupancy, first), holding);
  return holding;
}

export function release(ledger: Ledger, ip: Ip, service: ServiceKey): void {
  const holding = ledger.holdings.get(ip);
  if (holding === undefined) return;
  const { lane, rank, first, sharers } = holding;
  const occupancy = occupancyOf(ledger, lane);
  if (sharers !== undefined) {
    for (const port of sharers.claims.get(service)?.ports ?? []) sharers.ports.delete(port);
    sharers.claims.delete(service);
    const group = groupOf(occupancy, first);
    group.useless.clear();
    if (sharers.claims.size > 0) return;
    group.holdings.splice(positionOf(group, rank), 1);
    if (group.holdings.length === 0) occupancy.groups.delete(groupKey(first));
  } else if (first.service !== service) return;
  ledger.holdings.delete(ip);
  vacate(occupancy.vacancy, rank);
}

/** The address that a scan of the pool from its start would give to the claim; undefined: none of this family. */
export function firstFor(ledger: Ledger, pool: Pool, family: Family, claim: Claim): Ip | undefined {
  const lane = ledger.index.lanes.get(pool.name)?.[family];
  if (lane === undefined || lane.size === 0n) return undefined;
  const { vacancy, groups } = occupancyOf(ledger, lane);
  const free = lowestVacant(vacancy);
  const group = claim.sharingKey === '' ? undefined : groups.get(groupKey(claim));
  const shared = group && firstShared(group, claim, free);
  return shared?.ip ?? addressAt(lane, free);
}

/** Number of distinct addresses of this family in use. */
export function inUse(ledger: Ledger, pool: Pool, family: Family): number {
  const lane = ledger.index.lanes.get(pool.name)?.[family];
  return lane === undefined ? 0 : occupancyOf(ledger, lane).vacancy.used.size;
}

function firstShared(group: Group, claim: Claim, below: bigint): Holding | undefined {
  const ports = claim.ports.join();
  for (let at = group.useless.get(ports) ?? 0; at < group.holdings.length; at++) {
    const holding = group.holdings[at];
    if (holding === undefined || holding.rank > below) return undefined;
    if (refuseOn(holding, claim) === undefined) return holding;
    group.useless.set(ports, at + 1);
  }
  return undefined;
}

function insert(group: Group, holding: Holding): void {
  const at = positionOf(group, holding.rank);
  if (at < group.holdings.length) group.useless.clear();
  group.holdings.splice(at, 0, holding);
}

/** Where a rank stands, or would stand. */
function positionOf({ holdings }: Group, rank: bigint): number {
  let low = 0;
  let high = holdings.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const holding = holdings[middle];
    if (holding !== undefined && holding.rank < rank) low = middle + 1;
    else high = middle;
  }
  return low;
}

function groupOf(occupancy: Occupancy, claim: Claim): Group {
  const key = groupKey(claim);
  let group = occupancy.groups.get(key);
  if (group === undefined) {
    group = { holdings: [], useless: new Map() };
    occupancy.groups.set(key, group);
  }
  return group;
}

function groupKey({ sharingKey, backendKey }: Claim): string {
  return JSON.stringify([sharingKey, backendKey]);
}

function occupancyOf(ledger: Ledger, lane: Lane): Occupancy {
  const occupancy = ledger.occupancy.get(lane);
  if (occupancy === undefined) throw new Error(`a lane of another ledger: ${lane.pool.name} ${lane.family}`);
  return occupancy;
}
