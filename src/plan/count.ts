// What a pool holds and how much of it is in use: the numbers of the IPAddressPool status and of the allocator's metrics.

import { bitsOf, type Family, prefixParts } from '../net/address.ts';
import { inUse, type Ledger } from './ledger.ts';
import type { Lane } from './pools.ts';

/** Addresses of one pool by family; nothing exceeds the largest int64, as Kubernetes holds these numbers. */
export interface PoolCounters {
  readonly total: { readonly ipv4: bigint; readonly ipv6: bigint; readonly both: bigint };
  /** Distinct addresses: a shared one counts once. */
  readonly assigned: { readonly ipv4: bigint; readonly ipv6: bigint };
  readonly available: { readonly ipv4: bigint; readonly ipv6: bigint };
}

export type Capacities = ReadonlyMap<string, PoolCounters['total']>;

const LARGEST_INT64 = (1n << 63n) - 1n;
/** A CIDR with so many host bits counts as the largest int64. */
const HUGE_HOST_BITS = 62;

export function capacitiesOf(ledger: Ledger): Capacities {
  return new Map(
    [...ledger.index.lanes].map(([name, lanes]) => {
      const [ipv4, ipv6] = [capacityOf(lanes.ipv4), capacityOf(lanes.ipv6)];
      return [name, { ipv4, ipv6, both: saturated(ipv4 + ipv6) }];
    }),
  );
}

export function countPools(ledger: Ledger, capacities: Capacities): ReadonlyMap<string, PoolCounters> {
  return new Map(
    ledger.index.pools.map((pool) => {
      const total = capacities.get(pool.name) ?? { ipv4: 0n, ipv6: 0n, both: 0n };
      const used = (family: Family): bigint => BigInt(inUse(ledger, pool, family));
      const assigned = { ipv4: used('ipv4'), ipv6: used('ipv6') };
      const available = { ipv4: total.ipv4 - assigned.ipv4, ipv6: total.ipv6 - assigned.ipv6 };
      return [pool.name, { total, assigned, available }];
    }),
  );
}

function capacityOf({ pool, family, size }: Lane): bigint {
  const cidrs = pool.addresses.flatMap((entry) => entry.cidrs).map(prefixParts);
  const huge =
    family === 'ipv6' && cidrs.some(({ ip, length }) => ip.includes(':') && bitsOf(family) - length >= HUGE_HOST_BITS);
  return huge ? LARGEST_INT64 : saturated(size);
}

function saturated(count: bigint): bigint {
  return count > LARGEST_INT64 ? LARGEST_INT64 : count;
}
