// The order in which prefixes are written: numerically, the shorter prefix first, so that equal intents make equal
// octets. Called by rib, with up to hundreds of thousands of them: each is read once, and the engine's own sort of plain
// keys calls no function of ours.

import type { Family, Prefix } from '../net/address.ts';
import { longestNlri, writeNlri } from './nlri.ts';

/** Prefixes of one family, no two alike, sorted. */
export function sortPrefixes(family: Family, prefixes: Prefix[]): Prefix[] {
  if (prefixes.length < 2) return prefixes;
  return family === 'ipv4' ? sortIpv4(prefixes) : sortIpv6(prefixes);
}

function sortIpv4(prefixes: readonly Prefix[]): Prefix[] {
  const byKey = new Map<number, Prefix>();
  for (const prefix of prefixes) byKey.set(ipv4Key(prefix), prefix);
  return inOrder(Float64Array.from(byKey.keys()).sort(), byKey);
}

/** The address, then the length, as one number of 40 bits. */
function ipv4Key(prefix: Prefix): number {
  let key = 0;
  let part = 0;
  for (let i = 0; i < prefix.length; i++) {
    const code = prefix.charCodeAt(i);
    if (code >= 48) part = part * 10 + code - 48;
    // a dot or the slash
    if (code < 48) {
      key = key * 256 + part;
      part = 0;
    }
  }
  return key * 256 + part;
}

function sortIpv6(prefixes: readonly Prefix[]): Prefix[] {
  const size = longestNlri('ipv6');
  const octets = Buffer.alloc(size);
  const byKey = new Map<string, Prefix>();
  for (const prefix of prefixes) {
    octets.fill(0);
    writeNlri(octets, 0, prefix);
    // the address first, its length last; one character an octet, so that texts compare as octets do
    byKey.set(octets.toString('latin1', 1) + octets.toString('latin1', 0, 1), prefix);
  }
  return inOrder([...byKey.keys()].sort(), byKey);
}

function inOrder<Key>(keys: Iterable<Key>, byKey: ReadonlyMap<Key, Prefix>): Prefix[] {
  const sorted: Prefix[] = [];
  for (const key of keys) {
    const prefix = byKey.get(key);
    if (prefix !== undefined) sorted.push(prefix);
  }
  return sorted;
}
