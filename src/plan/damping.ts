// Not too fast: a prefix that was withdrawn a moment ago is announced again only after a pause, which doubles while it
// flaps, so that routers (RFC 2439) do not suppress it for much longer. Withdrawing is never delayed. A prefix counts as
// announced while any session carries it. Called by speaker with what the plan wants, before the peers are told.

import type { Wanted } from '../bgp/rib.ts';
import type { Prefix } from '../net/address.ts';
import { OFF } from '../net/machine.ts';

/** From a withdrawal to the next announcement: the first time, and at most. */
const FIRST_MS = 1_000;
const MOST_MS = 10_000;
/** A prefix that stood this long, or stayed away this long, has forgotten that it flapped. */
const CALM_MS = 10_000;

interface Flap {
  /** When it was withdrawn last; how long it stays away from then on; since when it is announced again. */
  withdrawnAt: number;
  waitMs: number;
  announcedAt: number | undefined;
}

export interface Damping {
  /** What was asked for last: the tables of the sessions, those that are the same once. */
  asked: ReadonlySet<Wanted>;
  readonly flaps: Map<Prefix, Flap>;
  /** Asked for and held back, with the instant (ms) at which each may go. */
  readonly held: Map<Prefix, number>;
  /** The tables that were asked for without what is held back. */
  readonly reduced: Map<Wanted, Wanted>;
}

export interface Damped {
  /** The same maps while nothing is held back. */
  readonly routes: ReadonlyMap<string, Wanted>;
  /** When something that is held back may go: ms, or OFF. */
  readonly dueAt: number;
}

export function createDamping(): Damping {
  return { asked: new Set(), flaps: new Map(), held: new Map(), reduced: new Map() };
}

/** What the sessions may carry at `now` (ms) of `wanted`; changes the state. */
export function damp(damping: Damping, wanted: ReadonlyMap<string, Wanted>, now: number): Damped {
  const { held, reduced } = damping;
  const heldBefore = held.size;
  forget(damping, now);
  const asked = new Set(wanted.values());
  const changed = compare(damping, asked, now);
  damping.asked = asked;
  for (const [prefix, at] of held) if (at <= now) release(damping, prefix, now);
  if (changed || held.size !== heldBefore) reduced.clear();
  if (held.size === 0) return { routes: wanted, dueAt: OFF };
  const routes = new Map([...wanted].map(([peer, table]) => [peer, without(table, held, reduced)]));
  return { routes, dueAt: Math.min(...held.values()) };
}

/** Notes what went and what came between two plans; true when what is held back changed by it. */
function compare({ asked: before, flaps, held }: Damping, after: ReadonlySet<Wanted>, now: number): boolean {
  let changed = false;
  for (const prefix of only(before, after)) {
    const flap = flaps.get(prefix);
    if (held.delete(prefix)) changed = true;
    else if (flap === undefined) flaps.set(prefix, { withdrawnAt: now, waitMs: FIRST_MS, announcedAt: undefined });
    else [flap.withdrawnAt, flap.announcedAt] = [now, undefined];
  }
  for (const prefix of only(after, before)) {
    const flap = flaps.get(prefix);
    if (flap === undefined) continue;
    const at = flap.withdrawnAt + flap.waitMs;
    if (at <= now) flap.announcedAt = now;
    else {
      held.set(prefix, at);
      changed = true;
    }
  }
  return changed;
}

/** Prefixes that are in `some` tables and in none of the others. */
function* only(some: ReadonlySet<Wanted>, others: ReadonlySet<Wanted>): Generator<Prefix> {
  const here = [...some].filter((table) => !others.has(table));
  const there = [...others];
  for (const [at, table] of here.entries())
    for (const prefix of table.keys())
      if (!there.some((other) => other.has(prefix)) && !here.slice(0, at).some((other) => other.has(prefix)))
        yield prefix;
}

function release({ flaps, held }: Damping, prefix: Prefix, now: number): void {
  held.delete(prefix);
  const flap = flaps.get(prefix);
  if (flap === undefined) return;
  flap.announcedAt = now;
  flap.waitMs = Math.min(flap.waitMs * 2, MOST_MS);
}

function forget({ flaps, held }: Damping, now: number): void {
  for (const [prefix, { withdrawnAt, announcedAt }] of flaps)
    if (!held.has(prefix) && now - (announcedAt ?? withdrawnAt) >= CALM_MS) flaps.delete(prefix);
}

function without(table: Wanted, held: ReadonlyMap<Prefix, number>, reduced: Map<Wanted, Wanted>): Wanted {
  let less = reduced.get(table);
  if (less === undefined) {
    const some = [...table].filter(([prefix]) => !held.has(prefix));
    less = some.length === table.size ? table : new Map(some);
    reduced.set(table, less);
  }
  return less;
}
