// The pools as the allocator and the speaker look things up in them: which pool an address lies in, and each family of
// a pool as one row of usable addresses, numbered from 0 in the order in which they are tried (CIDRs as listed,
// addresses ascending, first and last included). Nothing here changes after it was made.

import type { Pool } from '../config/config.ts';
import { type Family, familyOf, type Ip, ipFromNumber, ipToNumber, rangeOfPrefix } from '../net/address.ts';

/** One CIDR of a pool. */
export interface Block {
  readonly lane: Lane;
  readonly first: bigint;
  readonly last: bigint;
  /** Rank of its first usable address in the lane. */
  readonly offset: bigint;
  /** Number of usable addresses. */
  readonly size: bigint;
}

/** One family of one pool. */
export interface Lane {
  readonly pool: Pool;
  readonly family: Family;
  /** IPv4 addresses that end in .0 or .255 are left out. */
  readonly avoidsBuggy: boolean;
  readonly blocks: readonly Block[];
  /** Number of usable addresses. */
  readonly size: bigint;
}

export interface PoolIndex {
  /** Sorted by name, as in the configuration. */
  readonly pools: readonly Pool[];
  readonly lanes: ReadonlyMap<string, Readonly<Record<Family, Lane>>>;
  /** Of all pools, ascending; they do not overlap. */
  readonly blocks: Readonly<Record<Family, readonly Block[]>>;
}

export function indexPools(pools: readonly Pool[]): PoolIndex {
  const lanes = new Map(pools.map((pool) => [pool.name, { ipv4: laneOf(pool, 'ipv4'), ipv6: laneOf(pool, 'ipv6') }]));
  const all = (family: Family): readonly Block[] =>
    [...lanes.values()].flatMap((lane) => lane[family].blocks).sort((a, b) => (a.first < b.first ? -1 : 1));
  return { pools, lanes, blocks: { ipv4: all('ipv4'), ipv6: all('ipv6') } };
}

function laneOf(pool: Pool, family: Family): Lane {
  const blocks: Block[] = [];
  const lane = { pool, family, avoidsBuggy: pool.avoidBuggyIPs && family === 'ipv4', blocks, size: 0n };
  for (const cidr of pool.addresses.flatMap(({ cidrs }) => cidrs)) {
    if (familyOf(cidr) !== family) continue;
    const { first, last } = rangeOfPrefix(cidr);
    const buggy = lane.avoidsBuggy ? buggyBelow(last + 1n) - buggyBelow(first) : 0n;
    const size = last - first + 1n - buggy;
    blocks.push({ lane, first, last, offset: lane.size, size });
    lane.size += size;
  }
  return lane;
}

/** The CIDR that holds the address, whether the pool would give the address out or not. */
export function blockOf(index: PoolIndex, ip: Ip): Block | undefined {
  const blocks = index.blocks[familyOf(ip)];
  const value = ipToNumber(ip);
  const block = blocks[lastAtMost(blocks, value, (b) => b.first)];
  return block !== undefined && value <= block.last ? block : undefined;
}

/** The pool that holds all of them, usable or not; undefined: none does. */
export function poolOf(index: PoolIndex, ips: readonly Ip[]): Pool | undefined {
  let holder: Pool | undefined;
  for (const ip of ips) {
    const pool = blockOf(index, ip)?.lane.pool;
    if (pool === undefined || (holder !== undefined && pool !== holder)) return undefined;
    holder = pool;
  }
  return holder;
}

/** Rank of an address that lies in the block; undefined: one of those that `avoidBuggyIPs` leaves out. */
export function rankOf(block: Block, ip: Ip): bigint | undefined {
  const value = ipToNumber(ip);
  if (!block.lane.avoidsBuggy) return block.offset + value - block.first;
  const last = value & 0xffn;
  if (last === 0n || last === 0xffn) return undefined;
  return block.offset + (value - buggyBelow(value)) - (block.first - buggyBelow(block.first));
}

/** Inverse of `rankOf`; undefined: the lane has no such rank. */
export function addressAt(lane: Lane, rank: bigint): Ip | undefined {
  if (rank >= lane.size) return undefined;
  const block = lane.blocks[lastAtMost(lane.blocks, rank, (b) => b.offset)];
  if (block === undefined) return undefined;
  const step = rank - block.offset;
  if (!lane.avoidsBuggy) return ipFromNumber(lane.family, block.first + step);
  // 254 usable addresses in each 256, counted from 0.0.0.0
  const usable = block.first - buggyBelow(block.first) + step;
  return ipFromNumber('ipv4', (usable / 254n) * 256n + (usable % 254n) + 1n);
}

/** How many IPv4 addresses below this one end in .0 or .255. */
function buggyBelow(value: bigint): bigint {
  return (value >> 8n) * 2n + ((value & 0xffn) === 0n ? 0n : 1n);
}

/** Index of the last block whose key is at most `value`; -1: none. */
function lastAtMost(blocks: readonly Block[], value: bigint, key: (block: Block) => bigint): number {
  let low = 0;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const block = blocks[middle];
    if (block !== undefined && key(block) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
