// All objects of one kind, in our words: each is read once, strictly, and the raw JSON is let go. An object keeps its
// identity while nothing in it changes for us, and so does the whole map. One that cannot be read is reported by name and
// is as if it were not there; the others don't notice. Filled by a reflector (and by our own writes, so that we don't see
// an older state than the one we made); read by whoever makes a snapshot, after `changed` was called.

import { isDeepStrictEqual } from 'node:util';
import type { ApiObject, Invalid } from '../config/resource.ts';
import { revise } from '../net/revised-map.ts';

export type Reader<T> = (object: ApiObject) => T | { readonly invalid: Invalid };

export interface Unreadable {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly invalid: Invalid;
}

/** As a reason why a configuration is refused: the object is named in it. */
export function faultOf({ kind, name, invalid }: Unreadable): Invalid {
  return { ...invalid, kind, name, message: `${kind} ${name}: ${invalid.message}` };
}

/** Of all objects of a store: the items of a list do not say it themselves. */
interface Naming {
  readonly kind: string;
  readonly apiVersion: string;
}

export interface StoreOptions<T> extends Naming {
  readonly read: Reader<T>;
  /** What is in the store is another than before. Called within the reflector's loop: only to mark it. */
  readonly changed: () => void;
  /** The key of an object on which everything depends: a relist without it alone is not believed at once. */
  readonly vital?: string;
  /** `undefined`: it can be read now, or is gone. */
  readonly unreadable: (name: string, what: Unreadable | undefined) => void;
}

/** Unread (`value` undefined): known to exist. */
interface Entry<T> {
  readonly uid: string;
  readonly resourceVersion: string;
  readonly value: T | undefined;
}

/** Follows what changes, in step with the store. */
export type Follower<T> = (key: string, before: T | undefined, after: T | undefined) => void;

/** Removed objects whose late answers we still know for what they are. */
const REMEMBERED = 1_000;
/** A relist that would take away over half, and at least this many, is not believed at once. */
const MANY = 10;

export class Store<T extends object> {
  readonly #options: StoreOptions<T>;
  readonly #followers: Follower<T>[] = [];
  readonly #unreadable = new Map<string, Unreadable>();
  #entries = new Map<string, Entry<T>>();
  /** What the last relist did not know and is kept all the same. */
  #doubtful = new Set<string>();
  /** By uid, the version with which an object went; the oldest first. */
  readonly #removed = new Map<string, string>();
  #map: ReadonlyMap<string, T> | undefined;
  /** Other values for keys that the map has already. */
  #revisions = new Map<string, T>();

  constructor(options: StoreOptions<T>) {
    this.#options = options;
  }

  /** By `namespace/name`, or `name` where the kind has no namespaces; the same map while nothing changes. */
  map(): ReadonlyMap<string, T> {
    if (this.#map === undefined) {
      const map = new Map<string, T>();
      for (const [key, { value }] of this.#entries) if (value !== undefined) map.set(key, value);
      this.#map = map;
    } else this.#map = revise(this.#map, this.#revisions);
    if (this.#revisions.size > 0) this.#revisions = new Map();
    return this.#map;
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)?.value;
  }

  /** Of the object as we know it: for writes that must not meet another version. */
  resourceVersion(key: string): string | undefined {
    return this.#entries.get(key)?.resourceVersion;
  }

  /** Also those that cannot be read. */
  get size(): number {
    return this.#entries.size;
  }

  get doubtful(): number {
    return this.#doubtful.size;
  }

  get unreadable(): readonly Unreadable[] {
    return [...this.#unreadable.values()];
  }

  follow(follower: Follower<T>): void {
    this.#followers.push(follower);
    for (const [key, { value }] of this.#entries) if (value !== undefined) follower(key, undefined, value);
  }

  /**
   * ADDED, MODIFIED, or what a write of ours came back with; an older version than ours of the same object is nothing new,
   * and one from before its removal does not bring it back: the answer to a write may come after the event of a deletion.
   */
  put(raw: unknown): void {
    const object = identify(raw, this.#options);
    if (object === undefined) return;
    const key = keyOf(object);
    const { uid, resourceVersion } = versionOf(object);
    const known = this.#entries.get(key);
    const removed = this.#removed.get(uid);
    if (removed !== undefined && !isOlder(removed, resourceVersion)) return;
    this.#doubtful.delete(key);
    if (known !== undefined && known.uid === uid) {
      // the event that follows a write of ours says what its answer said
      if (resourceVersion !== '' && resourceVersion === known.resourceVersion) return;
      if (isOlder(resourceVersion, known.resourceVersion)) return;
    }
    this.#set(key, this.#readAs(object, known));
  }

  /** DELETED; of a namesake that came before the one that we know it is nothing new. */
  remove(raw: unknown): void {
    const object = identify(raw, this.#options);
    if (object === undefined) return;
    const key = keyOf(object);
    const known = this.#entries.get(key);
    const { uid, resourceVersion } = versionOf(object);
    this.#remember(uid, resourceVersion);
    if (known === undefined || known.uid !== uid) return;
    this.#set(key, undefined);
  }

  /** A whole new list: `put` each object, then `commit`; one that is never committed leaves no trace. */
  relist(): Relist {
    const fresh = new Map<string, Entry<T>>();
    return {
      put: (raw) => {
        const object = identify(raw, this.#options);
        if (object === undefined) return;
        const key = keyOf(object);
        const known = this.#entries.get(key);
        const { uid, resourceVersion } = versionOf(object);
        const same = known !== undefined && known.uid === uid && known.resourceVersion === resourceVersion;
        fresh.set(key, same ? known : this.#readAs(object, known));
      },
      remove: (raw) => {
        const object = identify(raw, this.#options);
        if (object !== undefined) fresh.delete(keyOf(object));
      },
      commit: (trust) => this.#commit(fresh, trust),
    };
  }

  /** Takes away what the last relist did not know. */
  settle(): void {
    for (const key of this.#doubtful) this.#set(key, undefined);
    this.#doubtful.clear();
  }

  #commit(fresh: ReadonlyMap<string, Entry<T>>, trust: boolean): Verdict {
    const vanished = [...this.#entries.keys()].filter((key) => !fresh.has(key));
    const known = this.#entries.size;
    const { vital } = this.#options;
    const isMuch = vanished.length >= MANY && vanished.length > known / 2;
    const guarded = !trust && (isMuch || (vital !== undefined && vanished.includes(vital)));
    for (const [key, entry] of fresh) this.#set(key, entry);
    this.#doubtful = new Set(guarded ? vanished : []);
    if (!guarded) for (const key of vanished) this.#set(key, undefined);
    return { guarded, known, vanished: vanished.length };
  }

  #readAs(object: ApiObject, known: Entry<T> | undefined): Entry<T> {
    const version = versionOf(object);
    const read = this.#read(object);
    const key = keyOf(object);
    if ('invalid' in read) {
      const { invalid } = read as { readonly invalid: Invalid };
      this.#tellUnreadable(key, { kind: object.kind, ...placeOf(object), invalid });
      return { ...version, value: undefined };
    }
    this.#tellUnreadable(key, undefined);
    const same = known?.uid === version.uid && isDeepStrictEqual(known.value, read);
    return { ...version, value: same ? known.value : (read as T) };
  }

  #read(object: ApiObject): T | { readonly invalid: Invalid } {
    try {
      return this.#options.read(object);
    } catch (fault) {
      // one object may not end the process; the report has what is needed to mend the reader
      return { invalid: { rule: 'reader', message: `a bug in its reader: ${(fault as Error).stack ?? fault}` } };
    }
  }

  #set(key: string, entry: Entry<T> | undefined): void {
    const before = this.#entries.get(key);
    if (entry === undefined) {
      this.#entries.delete(key);
      this.#tellUnreadable(key, undefined);
    } else this.#entries.set(key, entry);
    if (before?.value === entry?.value) return;
    if (before?.value !== undefined && entry?.value !== undefined) this.#revisions.set(key, entry.value);
    else this.#map = undefined;
    for (const follower of this.#followers) follower(key, before?.value, entry?.value);
    this.#options.changed();
  }

  #remember(uid: string, resourceVersion: string): void {
    if (uid !== '') this.#removed.set(uid, resourceVersion);
    const oldest = this.#removed.keys().next().value;
    if (oldest !== undefined && this.#removed.size > REMEMBERED) this.#removed.delete(oldest);
  }

  #tellUnreadable(key: string, what: Unreadable | undefined): void {
    const known = this.#unreadable.get(key);
    if (isDeepStrictEqual(known, what)) return;
    if (what === undefined) this.#unreadable.delete(key);
    else this.#unreadable.set(key, what);
    this.#options.unreadable(key, what);
    // what can be read may be the same, but not whether it is all
    this.#options.changed();
  }
}

export interface Relist {
  readonly put: (raw: unknown) => void;
  readonly remove: (raw: unknown) => void;
  /** `trust`: also when it takes away most of what was there. */
  readonly commit: (trust: boolean) => Verdict;
}

export interface Verdict {
  /** What vanished is kept until `settle`, or until a second relist does not know it either. */
  readonly guarded: boolean;
  readonly known: number;
  readonly vanished: number;
}

/** The object with kind and apiVersion, which items of a list lack; undefined when it has no name to report it by. */
function identify(raw: unknown, { kind, apiVersion }: Naming): ApiObject | undefined {
  const object = raw as Partial<ApiObject> | undefined;
  if (typeof object?.metadata?.name !== 'string') return undefined;
  // often the larger half, and of no concern to any reader
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, kind, apiVersion, metadata };
}

function keyOf({ metadata: { namespace, name } }: ApiObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

function placeOf({ metadata: { namespace, name } }: ApiObject): { readonly namespace: string; readonly name: string } {
  return { namespace: namespace ?? '', name };
}

function versionOf({ metadata }: ApiObject): { readonly uid: string; readonly resourceVersion: string } {
  const { uid, resourceVersion } = metadata;
  return {
    uid: typeof uid === 'string' ? uid : '',
    resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : '',
  };
}

const NUMBER = /^[1-9][0-9]*$/;

/** Versions of one object count upwards (Kubernetes, "Resource versions": decimal integers of any length). */
function isOlder(a: string, b: string): boolean {
  if (!NUMBER.test(a) || !NUMBER.test(b)) return false;
  return a.length === b.length ? a < b : a.length < b.length;
}
