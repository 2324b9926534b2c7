// What the packet thread is asked to do by layer 2: the candidacies of a plan, one entry an address, with what flags and
// the cluster say about the rest. Pure. Called by `layer2` at each round.

import type { Pool } from '../config/config.ts';
import type { Layer2Address, Layer2Wanted, LivenessWanted } from '../links/wanted.ts';
import {
  bitsOf,
  type Family,
  familyOf,
  type Ip,
  ipFromNumber,
  ipToNumber,
  type Prefix,
  parseIp,
  rangeOfPrefix,
} from '../net/address.ts';
import type { Candidate } from '../plan/elect.ts';
import type { Candidacy, Plan } from '../plan/plan.ts';

/** By flags, and by where the process runs. */
export interface Layer2Settings {
  /** Regular expressions over names of interfaces. */
  readonly excluded: readonly string[];
  /** Interfaces that are to serve: of one that does not is told. */
  readonly named?: readonly string[];
  readonly announcements: Layer2Wanted['announcements'];
  readonly conflict: LivenessWanted['conflict'];
  readonly failbackMs: number;
}

export interface WantedGrounds {
  readonly plan: Pick<Plan, 'node' | 'candidacies'>;
  readonly settings: Layer2Settings;
  /** In a Service's status before this process knew it. */
  readonly established: ReadonlySet<Ip>;
  /** Absent: each node answers for what the snapshot elects it for. */
  readonly liveness?: Omit<LivenessWanted, 'failbackMs' | 'conflict'>;
  /** Nodes with a running speaker of MetalLB. */
  readonly metallb: ReadonlySet<string>;
}

/** Undefined: layer 2 has nothing to do here. Addresses are in no order that means anything. */
export function layer2Wanted(grounds: WantedGrounds): Layer2Wanted | undefined {
  const { plan, settings, established, liveness, metallb } = grounds;
  if (plan.candidacies.length === 0) return undefined;
  const addresses: Layer2Address[] = [];
  for (const [ip, shares] of Map.groupBy(plan.candidacies, (candidacy) => candidacy.ip))
    addresses.push(addressFor(ip, shares, established, metallb));
  const { excluded, announcements, conflict, failbackMs } = settings;
  return {
    ...{ node: plan.node, excluded, announcements },
    addresses,
    ...(liveness !== undefined && { liveness: { ...liveness, conflict, failbackMs } }),
  };
}

/**
 * Services that share an address share its owner: the order is that of the first of them by name, and those go before who
 * may answer for each of them. Every node comes to the same.
 */
function addressFor(
  ip: Ip,
  shares: readonly Candidacy[],
  established: ReadonlySet<Ip>,
  metallb: ReadonlySet<string>,
): Layer2Address {
  const [only, another] = shares;
  if (only !== undefined && another === undefined) {
    const { candidates, interfaces } = only;
    return { ip, candidates, interfaces, foreign: isForeign(candidates, metallb), established: established.has(ip) };
  }
  const [first, ...others] = shares.toSorted((a, b) => (a.service < b.service ? -1 : 1));
  const order = first?.candidates ?? [];
  const common = order.filter(({ node }) =>
    others.every(({ candidates }) => candidates.some((each) => each.node === node)),
  );
  const candidates = others.length === 0 || common.length === 0 ? order : common;
  const isEverywhere = shares.some(({ interfaces }) => interfaces.length === 0);
  return {
    ...{ ip, candidates },
    interfaces: isEverywhere ? [] : [...new Set(shares.flatMap(({ interfaces }) => interfaces))].sort(),
    foreign: isForeign(candidates, metallb),
    established: established.has(ip),
  };
}

function isForeign(candidates: readonly Candidate[], metallb: ReadonlySet<string>): boolean {
  return metallb.size > 0 && candidates.some(({ node }) => metallb.has(node));
}

/** Of each family. */
const CONTROLS = 2;
/** How many addresses of a prefix are looked at: a pool that is this full from its end has none to spare. */
const LOOKED_AT = 1_024;

/**
 * Where pools have none to spare: addresses for documentation (RFC 5737, RFC 3849, RFC 9637), which nobody has. A proxy
 * that has a default route answers for them as well; one that answers for its subnets alone does not.
 */
const NOBODYS: Readonly<Record<Family, readonly string[]>> = {
  ipv4: ['203.0.113.253', '198.51.100.253', '192.0.2.253'],
  ipv6: ['3fff:fff:ffff::fffd', '2001:db8:ffff:ffff::fffd'],
};

/**
 * Addresses that nobody has: whoever answers for them answers for everything. Of pools, from the end, for addresses are
 * given out from the start.
 */
export function controlsOf(pools: readonly Pool[], taken: ReadonlySet<Ip>): readonly Ip[] {
  const prefixes = pools.flatMap(({ l2Advertisements, addresses }) =>
    l2Advertisements.length === 0 ? [] : addresses.flatMap(({ cidrs }) => cidrs),
  );
  const found: Ip[] = [];
  for (const family of ['ipv4', 'ipv6'] as const) {
    const own = prefixes.filter((prefix) => familyOf(prefix) === family);
    if (own.length === 0) continue;
    const free = own.flatMap((prefix) => freeOf(prefix, taken));
    const nobodys = NOBODYS[family].flatMap((text) => parseIp(text) ?? []).filter((ip) => !isOfPool(own, ip));
    found.push(...[...free, ...nobodys].slice(0, CONTROLS));
  }
  return found;
}

/** Somebody gives it out, and it may have been given. */
function isOfPool(prefixes: readonly Prefix[], ip: Ip): boolean {
  return prefixes.some((prefix) => {
    const { family, first, last } = rangeOfPrefix(prefix);
    const value = ipToNumber(ip);
    return family === familyOf(ip) && value >= first && value <= last;
  });
}

function freeOf(prefix: Prefix, taken: ReadonlySet<Ip>): readonly Ip[] {
  const { family, first, last } = rangeOfPrefix(prefix);
  const free: Ip[] = [];
  for (
    let value = last, looked = 0;
    value >= first && looked < LOOKED_AT && free.length < CONTROLS;
    value--, looked++
  ) {
    const ip = ipFromNumber(family, value);
    if (!taken.has(ip) && !isEndOfSubnet(family, ip)) free.push(ip);
  }
  return free;
}

/** What may be the address of a subnet, or of all in it, is no address to ask for. */
function isEndOfSubnet(family: Family, ip: Ip): boolean {
  const low = ipToNumber(ip) & 0xffn;
  return bitsOf(family) === 32 && (low === 0n || low === 0xffn);
}
