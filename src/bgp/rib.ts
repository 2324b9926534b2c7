// What a peer is to be told (wanted) and what it was told (said), for one session. The difference becomes jobs, each with
// the prefixes of one path in canonical order, withdrawals first; a job becomes octets only while few are under way, so a
// slow peer costs memory in proportion to prefixes and later changes overtake what it was never told. Called by session.
// RFC 4271 §9.2, 4724 §2 and §4 (End-of-RIB), 2918 and 7313 (route refresh).

import { type Family, familyOf, type Prefix } from '../net/address.ts';
import { OFF } from '../net/machine.ts';
import type { Path } from './attribute.ts';
import type { ExtendedCommunity, LargeCommunity } from './community.ts';
import { encodeRouteRefresh } from './message.ts';
import type { Negotiated } from './negotiate.ts';
import { type Ends, type NextHop, nextHopFor, pathOf } from './next-hop.ts';
import { sortPrefixes } from './order.ts';
import { type Cursor, encodeEndOfRib, packAnnouncements, packWithdrawals, type Unpackable } from './pack.ts';

/**
 * What the plan says of a route, whatever the session: AS_PATH, NEXT_HOP and the default of LOCAL_PREF are the peer's.
 * Two are equal exactly when their keys are; whoever makes many interns them, so that equal ones are one object.
 */
export interface RouteAttributes {
  readonly key: string;
  readonly localPref?: number;
  readonly med?: number;
  readonly communities: readonly number[];
  readonly extendedCommunities: readonly ExtendedCommunity[];
  readonly largeCommunities: readonly LargeCommunity[];
}

/** All that a peer is to be told. A new map for a new intent: it is compared with the one before, never changed. */
export type Wanted = ReadonlyMap<Prefix, RouteAttributes>;

/** A prefix that cannot go over this session, and why; not an error of the session. */
export interface Unadvertisable {
  readonly prefix: Prefix;
  readonly because: 'family-not-negotiated' | Unpackable;
}

type Job =
  | Withdrawing
  | Announcing
  /** Waits until the kernel has taken all that was sent before. */
  | { readonly is: 'end-of-rib'; readonly family: Family }
  | { readonly is: 'refresh'; readonly subtype: 'begin' | 'end'; readonly family: Family };

interface Withdrawing {
  readonly is: 'withdraw';
  readonly family: Family;
  readonly prefixes: readonly Prefix[];
  readonly cursor: Cursor;
}

interface Announcing {
  readonly is: 'announce';
  readonly family: Family;
  readonly attributes: RouteAttributes;
  readonly prefixes: readonly Prefix[];
  readonly cursor: Cursor;
}

/** A message for TCP. */
export interface Outgoing {
  readonly type: 'UPDATE' | 'ROUTE-REFRESH';
  readonly bytes: Uint8Array;
}

/** The Adj-RIB-Out of one session. */
export interface RibOut {
  readonly negotiated: Negotiated;
  readonly ownAs: number;
  /** Of the families that can be advertised. */
  readonly nextHops: ReadonlyMap<Family, NextHop>;
  wanted: Wanted;
  readonly said: Map<Prefix, RouteAttributes>;
  jobs: readonly Job[];
  /** `wanted` has changed since the last whole difference was taken. */
  changed: boolean;
  /** End-of-RIB was sent for every family: the peer has all that was wanted when the session came up. */
  synced: boolean;
  /** When what was changed is looked at, `OFF` when nothing waits; and the instant after which more changes don't defer it. */
  flushAt: number;
  latestAt: number;
  /** Before this instant a change waits for those that may follow it. */
  quietAt: number;
  /** Families whose refresh was asked for and has not begun. */
  readonly asked: Set<Family>;
  refreshAt: number;
  /** By `family key`: what can't be packed. */
  readonly refused: Map<string, Unpackable>;
}

/** What follows a change within this time goes with the next one … */
const GATHER_MS = 5;
/** … which waits this long at most. */
const GATHER_MOST_MS = 20;
/** Refreshes of a session begin at least this far apart; what is asked in between is one. */
const REFRESH_APART_MS = 1_000;

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

/** The table of a session that was just established: all that is wanted at this moment, then End-of-RIB of each family. */
export function openRib(wanted: Wanted, negotiated: Negotiated, ownAs: number, ends: Ends, now: number): RibOut {
  const nextHops = new Map<Family, NextHop>();
  for (const family of negotiated.families) {
    const hop = nextHopFor(family, ends, negotiated);
    if (hop !== undefined) nextHops.set(family, hop);
  }
  const rib: RibOut = {
    negotiated,
    ownAs,
    nextHops,
    wanted,
    said: new Map(),
    jobs: [],
    changed: false,
    synced: false,
    flushAt: OFF,
    latestAt: OFF,
    quietAt: now,
    asked: new Set(),
    refreshAt: now,
    refused: new Map(),
  };
  // RFC 4724 §2: for every negotiated family, also one that has no routes
  rib.jobs = [...difference(rib), ...negotiated.families.map((family): Job => ({ is: 'end-of-rib', family }))];
  return rib;
}

/** A new intent. It is looked at once at `rib.flushAt`: now, or soon when another one came just before. */
export function want(rib: RibOut, wanted: Wanted, now: number): void {
  rib.wanted = wanted;
  if (rib.flushAt !== OFF) rib.flushAt = Math.min(rib.latestAt, now + GATHER_MS);
  else if (now >= rib.quietAt) rib.flushAt = now;
  else {
    rib.flushAt = now + GATHER_MS;
    rib.latestAt = now + GATHER_MOST_MS;
  }
}

/** The peer asks for all routes of a family again (RFC 2918 §4); families that were not negotiated are ignored. */
export function askRefresh(rib: RibOut, family: Family): void {
  if (rib.negotiated.families.includes(family)) rib.asked.add(family);
}

/** When `produce` has something to do that no event announces. */
export function ribDueAt(rib: RibOut): number {
  const idle = rib.synced && rib.jobs.length === 0;
  return Math.min(rib.flushAt, idle && rib.asked.size > 0 ? rib.refreshAt : OFF);
}

/**
 * The next messages, until `room` octets are filled (the last one may pass it) or there is nothing to say. `drained`: the
 * kernel has taken all that was sent before.
 */
export function produce(rib: RibOut, room: number, drained: boolean, now: number): readonly Outgoing[] {
  if (rib.flushAt <= now) flush(rib, now);
  const out: Outgoing[] = [];
  let left = room;
  let taken = drained;
  while (left > 0) {
    const [job] = rib.jobs;
    if (job === undefined) {
      if (!refill(rib, now)) break;
      continue;
    }
    if (job.is === 'end-of-rib' && !taken) break;
    if (job.is === 'withdraw' || job.is === 'announce') {
      const before = out.length;
      pack(rib, job, left, out);
      if (out.length > before) taken = false;
      for (const { bytes } of out.slice(before)) left -= bytes.length;
      if (job.cursor.next < job.prefixes.length) continue;
    } else if (job.is === 'refresh') out.push({ type: 'ROUTE-REFRESH', bytes: encodeRouteRefresh(job) });
    else out.push({ type: 'UPDATE', bytes: encodeEndOfRib(job.family) });
    rib.jobs = rib.jobs.slice(1);
    if (job.is === 'end-of-rib' && rib.jobs.every(({ is }) => is !== 'end-of-rib')) rib.synced = true;
  }
  return out;
}

/** One job's messages, at most `room` octets and the last one whole; notes what was said. */
function pack(rib: RibOut, job: Withdrawing | Announcing, room: number, out: Outgoing[]): void {
  const { family, prefixes, cursor } = job;
  const messages =
    job.is === 'withdraw'
      ? packWithdrawals(family, prefixes, rib.negotiated, cursor)
      : packAnnouncements(family, pathOn(rib, family, job.attributes), prefixes, rib.negotiated, cursor);
  if (typeof messages === 'string') {
    refuse(rib, job, messages);
    return;
  }
  const first = cursor.next;
  let left = room;
  for (const bytes of messages) {
    out.push({ type: 'UPDATE', bytes });
    left -= bytes.length;
    if (left <= 0) break;
  }
  for (const prefix of prefixes.slice(first, cursor.next)) {
    if (job.is === 'announce') rib.said.set(prefix, job.attributes);
    else rib.said.delete(prefix);
  }
}

/** Not one of these prefixes can be sent: what was said of them before is taken back. */
function refuse(rib: RibOut, job: Withdrawing | Announcing, because: Unpackable): void {
  job.cursor.next = job.prefixes.length;
  if (job.is === 'announce') rib.refused.set(`${job.family} ${job.attributes.key}`, because);
  const stale = job.prefixes.filter((prefix) => rib.said.has(prefix));
  if (stale.length > 0) rib.jobs = [job, withdrawing(job.family, stale), ...rib.jobs.slice(1)];
}

function pathOn(rib: RibOut, family: Family, attributes: RouteAttributes): Path {
  return pathOf(attributes, rib.nextHops.get(family), rib.ownAs, rib.negotiated.internal);
}

/** Nothing is under way: what changed meanwhile, then a refresh. False: there is neither. */
function refill(rib: RibOut, now: number): boolean {
  if (rib.changed) {
    rib.changed = false;
    rib.jobs = difference(rib);
  } else if (rib.synced && rib.asked.size > 0 && rib.refreshAt <= now) {
    rib.jobs = FAMILIES.filter((family) => rib.asked.has(family)).flatMap((family) => refresh(rib, family));
    rib.asked.clear();
    rib.refreshAt = now + REFRESH_APART_MS;
  }
  return rib.jobs.length > 0;
}

/** The whole Adj-RIB-Out of a family again, between BoRR and EoRR where both sides have RFC 7313. */
function refresh(rib: RibOut, family: Family): readonly Job[] {
  const again = announcing([...rib.said].filter(([prefix]) => familyOf(prefix) === family));
  if (!rib.negotiated.enhancedRouteRefresh) return again;
  return [{ is: 'refresh', subtype: 'begin', family }, ...again, { is: 'refresh', subtype: 'end', family }];
}

/** Takes the new intent in. What is under way goes on without what is no longer wanted, and withdrawals overtake it. */
function flush(rib: RibOut, now: number): void {
  rib.flushAt = OFF;
  rib.quietAt = now + GATHER_MS;
  if (rib.jobs.length === 0) {
    rib.jobs = difference(rib);
    return;
  }
  rib.changed = true;
  const rest = rib.jobs.flatMap((job): readonly Job[] => {
    if (job.is === 'withdraw') return [];
    if (job.is !== 'announce') return [job];
    const prefixes = job.prefixes.slice(job.cursor.next).filter((prefix) => rib.wanted.has(prefix));
    return prefixes.length === 0 ? [] : [{ ...job, prefixes, cursor: { next: 0 } }];
  });
  rib.jobs = [...withdrawals(rib), ...rest];
}

/** From what was said to what is wanted: withdrawals first (a prefix that is wanted again is announced over the old). */
function difference(rib: RibOut): readonly Job[] {
  const unsaid: [Prefix, RouteAttributes][] = [];
  for (const [prefix, attributes] of rib.wanted) {
    const said = rib.said.get(prefix);
    if (said === attributes || said?.key === attributes.key) continue;
    if (rib.nextHops.has(familyOf(prefix))) unsaid.push([prefix, attributes]);
  }
  return [...withdrawals(rib), ...announcing(unsaid)];
}

function withdrawals(rib: RibOut): readonly Job[] {
  const gone = [...rib.said.keys()].filter((prefix) => !rib.wanted.has(prefix));
  return FAMILIES.map((family) =>
    withdrawing(
      family,
      gone.filter((prefix) => familyOf(prefix) === family),
    ),
  ).filter(({ prefixes }) => prefixes.length > 0);
}

function withdrawing(family: Family, prefixes: Prefix[]): Withdrawing {
  return { is: 'withdraw', family, prefixes: sortPrefixes(family, prefixes), cursor: { next: 0 } };
}

/** One job a family and path; families, then keys, then prefixes in order. */
function announcing(routes: readonly (readonly [Prefix, RouteAttributes])[]): readonly Job[] {
  const buckets = { ipv4: new Map<string, Bucket>(), ipv6: new Map<string, Bucket>() };
  for (const [prefix, attributes] of routes) {
    const byKey = buckets[familyOf(prefix)];
    const bucket = byKey.get(attributes.key);
    if (bucket === undefined) byKey.set(attributes.key, { attributes, prefixes: [prefix] });
    else bucket.prefixes.push(prefix);
  }
  return FAMILIES.flatMap((family) =>
    [...buckets[family].entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { attributes, prefixes }]): Job => {
        return { is: 'announce', family, attributes, prefixes: sortPrefixes(family, prefixes), cursor: { next: 0 } };
      }),
  );
}

interface Bucket {
  readonly attributes: RouteAttributes;
  readonly prefixes: Prefix[];
}

/** What the peer was really told, in order. */
export function announcedRoutes(rib: RibOut): readonly { readonly prefix: Prefix; readonly path: Path }[] {
  const paths = new Map<string, Path>();
  return FAMILIES.flatMap((family) => {
    const prefixes = [...rib.said.keys()].filter((prefix) => familyOf(prefix) === family);
    return sortPrefixes(family, prefixes).flatMap((prefix) => {
      const attributes = rib.said.get(prefix);
      if (attributes === undefined) return [];
      const key = `${family} ${attributes.key}`;
      const path = paths.get(key) ?? pathOn(rib, family, attributes);
      paths.set(key, path);
      return [{ prefix, path }];
    });
  });
}

/** What is wanted and cannot be told on this session. */
export function unadvertisable(rib: RibOut): readonly Unadvertisable[] {
  const held: Unadvertisable[] = [];
  for (const [prefix, { key }] of rib.wanted) {
    const family = familyOf(prefix);
    if (!rib.negotiated.families.includes(family)) held.push({ prefix, because: 'family-not-negotiated' });
    else if (!rib.nextHops.has(family)) held.push({ prefix, because: 'no-next-hop' });
    else {
      const because = rib.refused.get(`${family} ${key}`);
      if (because !== undefined) held.push({ prefix, because });
    }
  }
  return held;
}
