// Pods of one label, as far as somebody wants to know of them. Watched; or, where Pods may be listed and not watched
// (MetalLB's own rights), looked at every ten seconds. Used by `rivals` and `neighbours`.

import type { ApiObject } from '../config/resource.ts';
import type { Api, Selection } from './api.ts';
import { ApiError } from './api-error.ts';
import type { Clock } from './clock.ts';
import { PODS } from './kind.ts';
import { Reflector } from './reflector.ts';
import type { Tell } from './report.ts';
import { Store } from './store.ts';

const LOOK_MS = 10_000;
const PAGE = 500;

export interface PodListOptions<T> {
  readonly api: Api;
  readonly namespace: string;
  readonly labelSelector: string;
  readonly read: (pod: ApiObject) => T;
  readonly tell: Tell;
  /** They are others than before, or are known for the first time. */
  readonly changed: () => void;
  readonly clock: Clock;
}

export class PodList<T extends object> {
  readonly #options: PodListOptions<T>;
  readonly #selection: Selection;
  readonly #store: Store<T>;
  readonly #reflector: Reflector;
  readonly #watching = new AbortController();
  #looked: readonly T[] | undefined;

  constructor(options: PodListOptions<T>) {
    this.#options = options;
    const { api, namespace, labelSelector, read, changed, clock } = options;
    this.#selection = { kind: PODS, namespace, labelSelector };
    this.#store = new Store<T>({ kind: 'Pod', apiVersion: 'v1', read, changed, unreadable: () => undefined });
    const tell: Tell = (report) => {
      if (report.is === 'reading-failed' && report.status === 403) this.#watching.abort();
      else options.tell(report);
      if (report.is === 'synced') changed();
    };
    this.#reflector = new Reflector({ api, selection: this.#selection, store: this.#store, tell, clock });
  }

  /** Undefined: not known yet. None, too, where they may not even be listed. */
  get pods(): readonly T[] | undefined {
    return this.#reflector.state.synced ? [...this.#store.map().values()] : this.#looked;
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#reflector.run(AbortSignal.any([signal, this.#watching.signal]));
    const { clock, tell, changed } = this.#options;
    let said = '';
    while (!signal.aborted) {
      try {
        const before = JSON.stringify(this.#looked);
        this.#looked = await this.#look(signal);
        said = '';
        if (JSON.stringify(this.#looked) !== before) changed();
      } catch (fault) {
        if (signal.aborted) return;
        if (!(fault instanceof ApiError)) throw fault;
        if (said === '') tell({ is: 'reading-failed', kind: PODS, status: fault.status, text: fault.message });
        said = fault.message;
        // who may not look cannot know
        if (fault.status === 403 && this.#looked === undefined) {
          this.#looked = [];
          changed();
        }
      }
      await clock.sleep(LOOK_MS, signal);
    }
  }

  async #look(signal: AbortSignal): Promise<readonly T[]> {
    const found: T[] = [];
    let next = '';
    do {
      const page = await this.#options.api.list(this.#selection, { limit: PAGE, continue: next }, { signal });
      for (const item of page.items) found.push(this.#options.read(item as ApiObject));
      next = page.continue;
    } while (next !== '');
    return found;
  }
}
