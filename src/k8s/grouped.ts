// Objects of a store gathered by what they belong to, one value a group: the endpoints of a Service over all its slices.
// A group is made anew only when one of its members changed, and the whole map keeps its identity while none did.

import { revise } from '../net/revised-map.ts';
import type { Endpoint, ServiceKey } from '../plan/snapshot.ts';
import type { EndpointSlice } from './resource.ts';
import type { Store } from './store.ts';

export class Grouped<T extends object, V extends object> {
  readonly #merge: (members: readonly T[]) => V;
  readonly #members = new Map<string, Map<string, T>>();
  readonly #values = new Map<string, V>();
  readonly #stale = new Set<string>();
  #map: ReadonlyMap<string, V> | undefined;

  /** `merge` gets the members in the order of their keys. */
  constructor(store: Store<T>, groupOf: (member: T) => string, merge: (members: readonly T[]) => V) {
    this.#merge = merge;
    store.follow((key, before, after) => {
      if (before !== undefined) this.#change(groupOf(before), key, undefined);
      if (after !== undefined) this.#change(groupOf(after), key, after);
    });
  }

  map(): ReadonlyMap<string, V> {
    const revisions = new Map<string, V>();
    let sameGroups = this.#map !== undefined;
    for (const group of this.#stale) {
      const members = this.#members.get(group);
      const known = this.#values.has(group);
      if (members === undefined) {
        this.#values.delete(group);
        sameGroups &&= !known;
        continue;
      }
      const sorted = [...members].sort(([a], [b]) => (a < b ? -1 : 1));
      const value = this.#merge(sorted.map(([, member]) => member));
      this.#values.set(group, value);
      revisions.set(group, value);
      sameGroups &&= known;
    }
    this.#stale.clear();
    this.#map = sameGroups && this.#map !== undefined ? revise(this.#map, revisions) : new Map(this.#values);
    return this.#map;
  }

  #change(group: string, key: string, member: T | undefined): void {
    this.#stale.add(group);
    const members = this.#members.get(group);
    if (member !== undefined) {
      if (members === undefined) this.#members.set(group, new Map([[key, member]]));
      else members.set(key, member);
    } else if (members?.delete(key) && members.size === 0) this.#members.delete(group);
  }
}

/** The endpoints of each Service. */
export function groupSlices(store: Store<EndpointSlice>): Grouped<EndpointSlice, readonly Endpoint[]> {
  return new Grouped<EndpointSlice, readonly Endpoint[]>(
    store,
    (slice): ServiceKey => slice.service,
    (slices) => slices.flatMap(({ endpoints }) => endpoints),
  );
}
