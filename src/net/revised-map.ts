// A map with the keys of another and a few other values: what is the same is shared, so that one change among ten
// thousand entries neither copies them all nor has to be searched for. The brain hands such maps out at every change.
// Not for another thread: structuredClone does not know it.

/** Never changed after it was made; keys keep their order. */
class RevisedMap<K, V extends object> implements ReadonlyMap<K, V> {
  readonly base: ReadonlyMap<K, V>;
  readonly revisions: ReadonlyMap<K, V>;

  constructor(base: ReadonlyMap<K, V>, revisions: ReadonlyMap<K, V>) {
    this.base = base;
    this.revisions = revisions;
  }

  get size(): number {
    return this.base.size;
  }

  get(key: K): V | undefined {
    return this.revisions.get(key) ?? this.base.get(key);
  }

  has(key: K): boolean {
    return this.base.has(key);
  }

  *entries(): MapIterator<[K, V]> {
    for (const [key, value] of this.base) yield [key, this.revisions.get(key) ?? value];
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  keys(): MapIterator<K> {
    return this.base.keys();
  }

  *values(): MapIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  forEach(callback: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this);
  }
}

/** `before` with other values for some of its keys; `before` itself where there are none. RangeError for a key that it lacks. */
export function revise<K, V extends object>(
  before: ReadonlyMap<K, V>,
  revisions: ReadonlyMap<K, V>,
): ReadonlyMap<K, V> {
  if (revisions.size === 0) return before;
  for (const key of revisions.keys()) if (!before.has(key)) throw new RangeError(`not a key of the map: ${key}`);
  const [base, old] = before instanceof RevisedMap ? [before.base, before.revisions] : [before, new Map<K, V>()];
  const all = new Map<K, V>([...old, ...revisions]);
  // beyond the root of its size, to carry the revisions along costs more than to write them in now and then
  if (all.size ** 2 <= base.size) return new RevisedMap<K, V>(base, all);
  const plain = new Map(base);
  for (const [key, value] of all) plain.set(key, value);
  return plain;
}

/** Keys among which all differences of two maps lie, when both come from one by `revise`; undefined: not known. */
export function differences<K, V extends object>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>): Iterable<K> | undefined {
  const [revisedA, revisedB] = [a instanceof RevisedMap ? a : undefined, b instanceof RevisedMap ? b : undefined];
  if ((revisedA?.base ?? a) !== (revisedB?.base ?? b)) return undefined;
  return new Set([...(revisedA?.revisions.keys() ?? []), ...(revisedB?.revisions.keys() ?? [])]);
}
