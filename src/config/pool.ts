// IPAddressPool: its reader, its addresses (CIDRs and ranges, which become CIDRs), its service allocation, and the rule
// that no two pools share an address. Read by parseConfig and the native mode check.

import {
  bitsOf,
  familyOf,
  type Ip,
  ipFromNumber,
  ipToNumber,
  type Prefix,
  parseIp,
  parsePrefix,
  prefixOf,
  type Range,
  rangeOfPrefix,
} from '../net/address.ts';
import type { Pool, ServiceAllocation } from './config.ts';
import type { Fields } from './fields.ts';
import { about, attempt, quoted, Refused, refuse, worded } from './invalid.ts';
import type { IPAddressPool, Labelled } from './resource.ts';
import { compileSelectors, matchesAny, refuseDuplicateSelectors } from './selector.ts';

/** A pool before advertisements were attached. */
export type BarePool = Omit<Pool, 'bgpAdvertisements' | 'l2Advertisements'>;

const INT32 = { min: -0x80000000, max: 0x7fffffff };

export function readPool(name: string, labels: Labelled['labels'], spec: Fields): IPAddressPool {
  spec.require('addresses');
  const serviceAllocation = spec.object('serviceAllocation', (allocation) => ({
    priority: allocation.integer('priority', INT32) ?? 0,
    namespaces: allocation.texts('namespaces'),
    namespaceSelectors: allocation.selectors('namespaceSelectors'),
    serviceSelectors: allocation.selectors('serviceSelectors'),
  }));
  return {
    name,
    labels,
    addresses: spec.texts('addresses'),
    autoAssign: spec.flag('autoAssign', true),
    avoidBuggyIPs: spec.flag('avoidBuggyIPs', false),
    ...(serviceAllocation === undefined ? {} : { serviceAllocation }),
  };
}

/** In the order given. The first broken rule in that order is the one that is told. */
export function parsePools(resources: readonly IPAddressPool[], namespaces: readonly Labelled[]): readonly BarePool[] {
  const pools: BarePool[] = [];
  const names = new Set<string>();
  const outcome = attempt(() => {
    for (const resource of resources) {
      const pool = about('IPAddressPool', resource.name, () => {
        const parsed = worded(
          (why) => `parsing address pool ${resource.name}: ${why}`,
          () => parsePool(resource, namespaces),
        );
        if (names.has(parsed.name)) refuse('duplicate', `duplicate definition of pool ${quoted(parsed.name)}`);
        return parsed;
      });
      names.add(pool.name);
      pools.push(pool);
    }
  });
  // an overlap among the pools before the broken one comes first
  refuseOverlap(pools);
  if ('invalid' in outcome) throw new Refused(outcome.invalid);
  return pools;
}

function parsePool(resource: IPAddressPool, namespaces: readonly Labelled[]): BarePool {
  const { name, addresses, autoAssign, avoidBuggyIPs } = resource;
  if (name === '') refuse('name', 'missing pool name');
  if (addresses.length === 0) refuse('address', 'pool has no prefixes defined', 'spec.addresses');
  const parsed = addresses.map((entry, i) => ({ entry, cidrs: parseEntry(entry, name, i) }));
  const serviceAllocation = parseAllocation(resource, namespaces);
  return {
    name,
    addresses: parsed,
    autoAssign,
    avoidBuggyIPs,
    ...(serviceAllocation === undefined ? {} : { serviceAllocation }),
  };
}

function parseAllocation(pool: IPAddressPool, namespaces: readonly Labelled[]): ServiceAllocation | undefined {
  const written = pool.serviceAllocation;
  if (written === undefined) return undefined;
  const field = 'spec.serviceAllocation';
  if (new Set(written.namespaces).size < written.namespaces.length) {
    refuse('duplicate', 'duplicate definition in namespaces field', `${field}.namespaces`);
  }
  refuseDuplicateSelectors(written.namespaceSelectors, 'namespaceSelectors', `${field}.namespaceSelectors`);
  refuseDuplicateSelectors(written.serviceSelectors, 'serviceSelectors', `${field}.serviceSelectors`);
  const namespaceSelectors = compileSelectors(written.namespaceSelectors, `${field}.namespaceSelectors`);
  const serviceSelectors = compileSelectors(written.serviceSelectors, `${field}.serviceSelectors`);
  const byNamespace = written.namespaces.length + namespaceSelectors.length > 0;
  // only a priority: every Service is meant
  if (!byNamespace && serviceSelectors.length === 0) {
    return { priority: written.priority, serviceSelectors: [{ terms: [] }] };
  }
  if (!byNamespace) return { priority: written.priority, serviceSelectors };
  const selected =
    namespaceSelectors.length === 0 ? [] : namespaces.filter(({ labels }) => matchesAny(namespaceSelectors, labels));
  return {
    priority: written.priority,
    namespaces: new Set([...written.namespaces, ...selected.map(({ name }) => name)]),
    serviceSelectors,
  };
}

function parseEntry(entry: string, pool: string, i: number): readonly Prefix[] {
  const done = attempt(() => parseAddresses(entry));
  if ('value' in done) return done.value;
  const { rule, message } = done.invalid;
  return refuse(rule, `invalid CIDR ${quoted(entry)} in pool ${quoted(pool)}: ${message}`, `spec.addresses[${i}]`);
}

/** A CIDR (host bits are cut), or `first-last` as the fewest CIDRs that hold exactly these addresses, ascending. */
export function parseAddresses(entry: string): readonly Prefix[] {
  const dash = entry.indexOf('-');
  if (dash < 0) return [parsePrefix(entry) ?? refuse('address', `invalid CIDR ${quoted(entry)}`)];
  const range = `invalid IP range ${quoted(entry)}`;
  const [from, to] = [entry.slice(0, dash), entry.slice(dash + 1)];
  const first: Ip = parseIp(from.trim()) ?? refuse('address', `${range}: invalid start IP ${quoted(from)}`);
  const last: Ip = parseIp(to.trim()) ?? refuse('address', `${range}: invalid end IP ${quoted(to)}`);
  const family = familyOf(first);
  if (family !== familyOf(last)) {
    refuse('address', `${range}: start IP ${quoted(first)} and end IP ${quoted(last)} are of different families`);
  }
  const ends: Range = { family, first: ipToNumber(first), last: ipToNumber(last) };
  if (ends.first > ends.last) {
    refuse('address', `${range}: start IP ${quoted(first)} is after the end IP ${quoted(last)}`);
  }
  return summarize(ends);
}

/** The fewest prefixes that hold exactly this range, ascending. */
export function summarize({ family, first, last }: Range): readonly Prefix[] {
  const bits = bitsOf(family);
  const prefixes: Prefix[] = [];
  for (let at = first; at <= last; ) {
    let host = 0;
    // as wide as the alignment of `at` and the end of the range allow
    while (host < bits && (at & ((2n << BigInt(host)) - 1n)) === 0n && at + (2n << BigInt(host)) - 1n <= last) host++;
    prefixes.push(prefixOf(ipFromNumber(family, at), bits - host));
    at += 1n << BigInt(host);
  }
  return prefixes;
}

interface Placed {
  readonly cidr: Prefix;
  readonly pool: string;
  readonly field: string;
  readonly range: Range;
  /** Place in the order of definition. */
  readonly order: number;
}

/** Names the first CIDR in the order of definition that overlaps an earlier one, and the earliest that it overlaps. */
function refuseOverlap(pools: readonly BarePool[]): void {
  const placed: Placed[] = [];
  for (const { name: pool, addresses } of pools) {
    for (const [i, { cidrs }] of addresses.entries()) {
      for (const cidr of cidrs) {
        const field = `spec.addresses[${i}]`;
        placed.push({ cidr, pool, field, range: rangeOfPrefix(cidr), order: placed.length });
      }
    }
  }
  const later = placed[firstOverlapping(placed)];
  const earlier = placed.find((each) => later !== undefined && overlap(each.range, later.range));
  if (later === undefined || earlier === undefined) return;
  about('IPAddressPool', later.pool, () =>
    refuse(
      'overlap',
      `CIDR ${quoted(later.cidr)} in pool ${quoted(later.pool)} overlaps with already defined CIDR ${quoted(earlier.cidr)}`,
      later.field,
    ),
  );
}

/** The smallest order of a CIDR that overlaps one of smaller order; -1 if none does. O(n log n). */
function firstOverlapping(placed: readonly Placed[]): number {
  const sorted = placed.toSorted((a, b) => compareRanges(a.range, b.range));
  // CIDRs that overlap lie within each other: the stack holds those around the current one, with the smallest order so far
  const around: { readonly range: Range; readonly order: number }[] = [];
  let first = Number.POSITIVE_INFINITY;
  for (const { range, order } of sorted) {
    while (around.length > 0 && !overlap(around.at(-1)?.range ?? range, range)) around.pop();
    const outer = around.at(-1)?.order ?? Number.POSITIVE_INFINITY;
    if (outer !== Number.POSITIVE_INFINITY) first = Math.min(first, Math.max(outer, order));
    around.push({ range, order: Math.min(outer, order) });
  }
  return first === Number.POSITIVE_INFINITY ? -1 : first;
}

function overlap(a: Range, b: Range): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last;
}

/** By family, start, and the wider one first. */
function compareRanges(a: Range, b: Range): number {
  if (a.family !== b.family) return a.family === 'ipv4' ? -1 : 1;
  if (a.first !== b.first) return a.first < b.first ? -1 : 1;
  return a.last === b.last ? 0 : a.last > b.last ? -1 : 1;
}
