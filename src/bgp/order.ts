// The order in which prefixes are written: numerically, the shorter prefix first, so that equal intents make equal
// octets. Called by rib, with up to hundreds of thousands of them: each prefix is read once.

import type { Family, Prefix } from '../net/address.ts';
import { longestNlri, writeNlri } from './nlri.ts';

/** Prefixes of one family, sorted. */
export function sortPrefixes(family: Family, prefixes: Prefix[]): Prefix[] {
  if (prefixes.length < 2) return prefixes;
  const size = longestNlri(family);
  const octets = Buffer.alloc(prefixes.length * size);
  const keyed = prefixes.map((prefix, i) => {
    const at = i * size;
    writeNlri(octets, at, prefix);
    // the address first, its length last
    const length = octets[at] ?? 0;
    octets.copyWithin(at, at + 1, at + size);
    octets[at + size - 1] = length;
    return { prefix, key: family === 'ipv4' ? octets.readUIntBE(at, 5) : octets.toString('latin1', at, at + size) };
  });
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return keyed.map(({ prefix }) => prefix);
}
