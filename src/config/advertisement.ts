// What BGPAdvertisement and L2Advertisement have in common: which pools and which nodes one means, and how lists of them
// are attached to pools. The kinds themselves are in `bgp-advertisement` and `l2-advertisement`.

import type { Fields } from './fields.ts';
import { worded } from './invalid.ts';
import type { IPAddressPool, Labelled } from './resource.ts';
import {
  compileSelector,
  type LabelSelector,
  matchesAny,
  refuseDuplicateSelectors,
  refuseDuplicates,
  type Selector,
  selectorText,
} from './selector.ts';

/** The fields that both kinds have. */
export interface Scope {
  readonly name: string;
  readonly ipAddressPools: readonly string[];
  readonly ipAddressPoolSelectors: readonly LabelSelector[];
  readonly nodeSelectors: readonly LabelSelector[];
  readonly serviceSelectors: readonly LabelSelector[];
}

export function readScope(name: string, spec: Fields): Scope {
  return {
    name,
    ipAddressPools: spec.texts('ipAddressPools'),
    ipAddressPoolSelectors: spec.selectors('ipAddressPoolSelectors'),
    nodeSelectors: spec.selectors('nodeSelectors'),
    serviceSelectors: spec.selectors('serviceSelectors'),
  };
}

export function refuseDuplicateScope(scope: Scope): void {
  refuseDuplicates(scope.ipAddressPools, 'ipAddressPools', 'spec.ipAddressPools');
  for (const name of ['ipAddressPoolSelectors', 'nodeSelectors', 'serviceSelectors'] as const) {
    refuseDuplicateSelectors(scope[name], name, `spec.${name}`);
  }
}

/** A list of an advertisement's selectors, with MetalLB's words for one that is broken. */
export function compileListed(written: readonly LabelSelector[], field: string): readonly Selector[] {
  return written.map((selector, i) =>
    worded(
      (why) => `${why}\ninvalid label selector ${selectorText(selector)}`,
      () => compileSelector(selector, `${field}[${i}]`),
    ),
  );
}

/** Names of the nodes that are meant; without selectors all of them. */
export function selectNodes({ name, nodeSelectors }: Scope, nodes: readonly Labelled[]): ReadonlySet<string> {
  const selectors = worded(
    (why) => `${why}\nfailed to parse node selector for ${name}`,
    () => compileListed(nodeSelectors, 'spec.nodeSelectors'),
  );
  return new Set(nodes.filter(({ labels }) => matchesAny(selectors, labels)).map((node) => node.name));
}

/** Names of the pools that are meant, each once: those listed, then those selected; with neither all. */
export function selectPools(scope: Scope, pools: readonly IPAddressPool[]): ReadonlySet<string> {
  const { ipAddressPools: listed, ipAddressPoolSelectors: written } = scope;
  if (listed.length + written.length === 0) return new Set(pools.map(({ name }) => name));
  const known = new Set(pools.map(({ name }) => name));
  const selectors = compileListed(written, 'spec.ipAddressPoolSelectors');
  const selected = written.length === 0 ? [] : pools.filter(({ labels }) => matchesAny(selectors, labels));
  return new Set([...listed.filter((name) => known.has(name)), ...selected.map(({ name }) => name)]);
}

/** Appends to the list of this pool. */
export function append<T>(lists: Map<string, T[]>, pool: string, advertisement: T): void {
  const list = lists.get(pool);
  if (list === undefined) lists.set(pool, [advertisement]);
  else list.push(advertisement);
}
