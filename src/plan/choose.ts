// Which address a Service gets: what it asks for, else the first free one of the pools that are open to it, in a fixed
// order. Nothing is recorded here; `allocate` takes what was chosen.

import type { Pool } from '../config/config.ts';
import { matchesAny } from '../config/selector.ts';
import { type Family, familyOf, type Ip, parseIp } from '../net/address.ts';
import type { AllocationReason, Refusal } from './explain.ts';
import { type Claim, firstFor, type Ledger, refuseSharing, usableBlock } from './ledger.ts';
import type { Service } from './snapshot.ts';

export interface Choice {
  readonly ips: readonly Ip[];
  readonly pool: Pool;
}

/** The order in which pools are tried for a Service that names none. */
export interface PoolOrder {
  /** With `serviceAllocation`: lowest priority first, 0 last, then by name. */
  readonly pinned: readonly Pool[];
  /** Without, and so for every Service; by name. */
  readonly open: readonly Pool[];
}

export function orderPools(pools: readonly Pool[]): PoolOrder {
  const auto = pools.filter(({ autoAssign }) => autoAssign);
  const rank = ({ serviceAllocation }: Pool): number => serviceAllocation?.priority || Number.POSITIVE_INFINITY;
  const pinned = auto.filter(({ serviceAllocation }) => serviceAllocation !== undefined);
  return {
    // equal ranks, infinite ones too, keep the order by name
    pinned: pinned.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b))),
    open: auto.filter(({ serviceAllocation }) => serviceAllocation === undefined),
  };
}

/** What the Service asks for by `loadBalancerIP` or by annotation: none, at most one of each family, or a mistake. */
export function wantedIps(service: Service): readonly Ip[] | Refusal {
  const { wantedIps: annotation = '', loadBalancerIp: field = '' } = service;
  if (annotation === '' && field === '') return [];
  if (annotation !== '' && field !== '')
    return no('requestedIPTwice', 'both metallb.io/loadBalancerIPs and spec.loadBalancerIP are set');
  const source = field === '' ? 'metallb.io/loadBalancerIPs' : 'spec.loadBalancerIP';
  const ips: Ip[] = [];
  for (const text of field === '' ? annotation.split(',') : [field]) {
    const ip = parseIp(text.trim());
    if (ip === undefined) return no('requestedIPInvalid', `invalid ${source} "${text.trim()}"`);
    ips.push(ip);
  }
  if (ips.length > 2) return no('requestedIPInvalid', `more than two addresses in ${source}: ${quoted(ips)}`);
  if (new Set(ips.map(familyOf)).size < ips.length)
    return no('requestedIPInvalid', `${quoted(ips)} in ${source} has the same family twice`);
  return ips;
}

/** A new address for a Service that holds none. */
export function choose(ledger: Ledger, order: PoolOrder, service: Service, claim: Claim): Choice | Refusal {
  const wanted = wantedIps(service);
  if ('reason' in wanted) return wanted;
  if (wanted.length > 0) return chooseWanted(ledger, service, claim, wanted);
  const { wantedPool: name = '' } = service;
  if (name !== '') return chooseFromNamed(ledger, service, claim, name);
  const pinned = order.pinned.filter((pool) => isCompatible(pool, service));
  return (
    chooseFrom(ledger, pinned, service, claim) ??
    chooseFrom(ledger, order.open, service, claim) ??
    no('noAvailableIPs', 'no available IPs')
  );
}

/** Whether exactly these addresses may be held: by one pool that gives them out, is open to the Service, and no one in the way. */
export function assignable(
  ledger: Ledger,
  service: Service,
  claim: Claim,
  ips: readonly Ip[],
): { readonly pool: Pool } | Refusal {
  const pool = holderOf(ledger, ips);
  if (pool === undefined) return no('requestedIPNotAllowed', `${quoted(ips)} is not allowed in config`);
  if (!isCompatible(pool, service)) return incompatible(pool);
  for (const ip of ips) {
    const refusal = refuseSharing(ledger, ip, claim);
    if (refusal !== undefined) return refusal;
  }
  return { pool };
}

/** The address that a PreferDualStack Service lacks, from the pool of the one it has. */
export function chooseSecond(ledger: Ledger, claim: Claim, pool: Pool, family: Family): Ip | Refusal {
  return firstFor(ledger, pool, family, claim) ?? exhausted(pool, family);
}

export function isDual({ clusterFamilies }: Service): boolean {
  return clusterFamilies.length === 2;
}

/** As Go prints a list of strings: `["a" "b"]`. */
export function quoted(texts: readonly string[]): string {
  return `[${texts.map((text) => `"${text}"`).join(' ')}]`;
}

function chooseWanted(ledger: Ledger, service: Service, claim: Claim, wanted: readonly Ip[]): Choice | Refusal {
  const families = new Set(wanted.map(familyOf));
  const fits =
    wanted.length === service.clusterFamilies.length && service.clusterFamilies.every((family) => families.has(family));
  const requested = `requested loadBalancer IP(s) ${quoted(wanted)}`;
  if (!fits) return no('requestedIPFamilyMismatch', `${requested} does not match the ipFamily of the service`);
  const { wantedPool: name = '' } = service;
  const holder = holderOf(ledger, wanted);
  if (name !== '' && holder !== undefined && holder.name !== name)
    return no('requestedIPNotInPool', `${requested} is not compatible with requested address pool ${name}`);
  const found = assignable(ledger, service, claim, wanted);
  return 'reason' in found ? found : { ips: wanted, pool: found.pool };
}

function chooseFromNamed(ledger: Ledger, service: Service, claim: Claim, name: string): Choice | Refusal {
  const pool = ledger.index.lanes.get(name)?.ipv4.pool;
  if (pool === undefined) return no('unknownPool', `unknown pool "${name}"`);
  if (!isCompatible(pool, service)) return incompatible(pool);
  return (
    chooseFrom(ledger, [pool], service, claim) ??
    exhausted(pool, isDual(service) ? 'dual' : (service.clusterFamilies[0] ?? 'ipv4'))
  );
}

/** Both families come from one pool; only a PreferDualStack Service is content with one of two. */
function chooseFrom(ledger: Ledger, pools: readonly Pool[], service: Service, claim: Claim): Choice | undefined {
  const first = (family: Family): Choice | undefined => {
    for (const pool of pools) {
      const ip = firstFor(ledger, pool, family, claim);
      if (ip !== undefined) return { ips: [ip], pool };
    }
    return undefined;
  };
  const [family, other] = service.clusterFamilies;
  if (family !== undefined && other === undefined) return first(family);
  for (const pool of pools) {
    const ipv4 = firstFor(ledger, pool, 'ipv4', claim);
    const ipv6 = ipv4 && firstFor(ledger, pool, 'ipv6', claim);
    if (ipv4 !== undefined && ipv6 !== undefined) return { ips: [ipv4, ipv6], pool };
  }
  if (service.familyPolicy !== 'PreferDualStack') return undefined;
  const primary = service.primaryFamily ?? 'ipv4';
  return first(primary) ?? first(primary === 'ipv4' ? 'ipv6' : 'ipv4');
}

/** The one pool that would give all of them out. */
function holderOf(ledger: Ledger, ips: readonly Ip[]): Pool | undefined {
  let holder: Pool | undefined;
  for (const ip of ips) {
    const pool = usableBlock(ledger, ip)?.lane.pool;
    if (pool === undefined || (holder !== undefined && pool !== holder)) return undefined;
    holder = pool;
  }
  return holder;
}

function isCompatible({ serviceAllocation }: Pool, service: Service): boolean {
  if (serviceAllocation === undefined) return true;
  const { namespaces, serviceSelectors } = serviceAllocation;
  return (namespaces?.has(service.namespace) ?? true) && matchesAny(serviceSelectors, service.labels);
}

function incompatible(pool: Pool): Refusal {
  return no('poolNotCompatible', `pool ${pool.name} not compatible for ip assignment`);
}

function exhausted(pool: Pool, family: Family | 'dual'): Refusal {
  return no('poolExhausted', `no available IPs in pool "${pool.name}" for ${family} IPFamily`);
}

function no(reason: AllocationReason, message: string): Refusal {
  return { reason, message };
}
