// One kind as a process holds it: a store, and the reflector that keeps it. `relist` begins anew with a list from the
// server as it is now, which who takes over from another writer must have seen. Used by controller and speaker.

import type { Api, Selection } from './api.ts';
import type { Clock } from './clock.ts';
import { apiVersionOf } from './kind.ts';
import { Reflector, type ReflectorState } from './reflector.ts';
import type { Tell } from './report.ts';
import { type Reader, Store } from './store.ts';

export interface WatchedOptions<T> {
  readonly api: Api;
  readonly selection: Selection;
  readonly read: Reader<T>;
  /** As the store has it. */
  readonly vital?: string;
  /** The store holds something else, or was read for the first time. */
  readonly changed: () => void;
  readonly tell: Tell;
  readonly clock?: Clock;
}

export class Watched<T extends object> {
  readonly store: Store<T>;
  readonly #options: WatchedOptions<T>;
  #reflector: Reflector | undefined;
  #ends = new AbortController();

  constructor(options: WatchedOptions<T>) {
    this.#options = options;
    const { selection, read, changed, tell, vital } = options;
    const { kind } = selection.kind;
    this.store = new Store<T>({
      ...{ kind, apiVersion: apiVersionOf(selection.kind), read, changed, ...(vital !== undefined && { vital }) },
      unreadable: (name, object) =>
        tell(object === undefined ? { is: 'readable-again', kind, name } : { is: 'unreadable', object }),
    });
  }

  get plural(): string {
    return this.#options.selection.kind.plural;
  }

  /** Undefined: not started. */
  get state(): ReflectorState | undefined {
    return this.#reflector?.state;
  }

  /** All was read since it was started last. */
  get synced(): boolean {
    return this.#reflector?.state.synced === true;
  }

  /** Begins, or begins anew; the store keeps what it holds until the list is there. Ends with the signal. */
  relist(signal: AbortSignal): void {
    this.#ends.abort();
    this.#ends = new AbortController();
    const { api, selection, changed, clock } = this.#options;
    const tell: Tell = (report) => {
      this.#options.tell(report);
      if (report.is === 'synced') changed();
    };
    const { store } = this;
    this.#reflector = new Reflector({ api, selection, store, tell, ...(clock !== undefined && { clock }) });
    void this.#reflector.run(AbortSignal.any([signal, this.#ends.signal]));
  }
}
