// Whether a controller of another make runs beside ours: while one does, ours writes nothing, or both would give out the
// same addresses. Ours carry an annotation; a Pod of a controller without it is MetalLB's. Watched, or, where Pods may be
// listed and not watched (MetalLB's own rights), looked at every ten seconds. Run by controller-process.

import type { ApiObject } from '../config/resource.ts';
import type { Api, Selection } from './api.ts';
import { ApiError } from './api-error.ts';
import { type Clock, systemClock } from './clock.ts';
import { PODS } from './kind.ts';
import { Reflector } from './reflector.ts';
import type { Tell } from './report.ts';
import { Store } from './store.ts';

/** On each Pod of ours. */
export const OURS = 'fairway/controller';
/** As MetalLB's manifests and its chart label their Pods. */
const LABELS = ['component=controller', 'app.kubernetes.io/component=controller'] as const;
const LOOK_MS = 10_000;
const PAGE = 100;

export interface RivalsOptions {
  readonly api: Api;
  readonly namespace: string;
  /** Of this process's Pod; undefined outside of one. */
  readonly self: string | undefined;
  readonly tell: Tell;
  /** Those who run are others than before, or are known for the first time. */
  readonly changed: () => void;
  readonly clock?: Clock;
}

/** A Pod of a controller. */
interface Runner {
  readonly name: string;
  readonly rival: boolean;
}

export class Rivals {
  readonly #options: Required<RivalsOptions>;
  readonly #lists: readonly List[];

  constructor({ clock = systemClock, ...options }: RivalsOptions) {
    this.#options = { ...options, clock };
    this.#lists = LABELS.map((labelSelector) => new List(this.#options, labelSelector));
  }

  /** Names of their Pods; undefined: not known yet. */
  get names(): readonly string[] | undefined {
    const known = this.#lists.map(({ names }) => names);
    return known.includes(undefined) ? undefined : [...new Set(known.flatMap((names) => names ?? []))].sort();
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#lists.map((list) => list.run(signal)));
  }
}

/** Pods of one label. */
class List {
  readonly #options: Required<RivalsOptions>;
  readonly #selection: Selection;
  readonly #store: Store<Runner>;
  readonly #reflector: Reflector;
  readonly #watching = new AbortController();
  #looked: readonly string[] | undefined;

  constructor(options: Required<RivalsOptions>, labelSelector: string) {
    this.#options = options;
    const { api, namespace, self, changed, clock } = options;
    this.#selection = { kind: PODS, namespace, labelSelector };
    this.#store = new Store<Runner>({
      kind: 'Pod',
      apiVersion: 'v1',
      read: (object) => readRunner(object, self),
      changed,
      unreadable: () => undefined,
    });
    const tell: Tell = (report) => {
      if (report.is === 'reading-failed' && report.status === 403) this.#watching.abort();
      else options.tell(report);
      if (report.is === 'synced') changed();
    };
    this.#reflector = new Reflector({ api, selection: this.#selection, store: this.#store, tell, clock });
  }

  get names(): readonly string[] | undefined {
    if (!this.#reflector.state.synced) return this.#looked;
    return [...this.#store.map().values()].flatMap(({ name, rival }) => (rival ? name : []));
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#reflector.run(AbortSignal.any([signal, this.#watching.signal]));
    const { clock, tell, changed } = this.#options;
    let said = '';
    while (!signal.aborted) {
      try {
        const before = this.#looked?.join();
        this.#looked = await this.#look(signal);
        said = '';
        if (this.#looked.join() !== before) changed();
      } catch (fault) {
        if (signal.aborted) return;
        if (!(fault instanceof ApiError)) throw fault;
        if (said === '') tell({ is: 'reading-failed', kind: PODS, status: fault.status, text: fault.message });
        said = fault.message;
        // who may not look cannot know: then the lease alone decides
        if (fault.status === 403 && this.#looked === undefined) {
          this.#looked = [];
          changed();
        }
      }
      await clock.sleep(LOOK_MS, signal);
    }
  }

  async #look(signal: AbortSignal): Promise<readonly string[]> {
    const page = await this.#options.api.list(this.#selection, { limit: PAGE, continue: '' }, { signal });
    return page.items.flatMap((item) => {
      const { name, rival } = readRunner(item as ApiObject, this.#options.self);
      return rival ? name : [];
    });
  }
}

function readRunner({ metadata, status }: ApiObject, self: string | undefined): Runner {
  const { name } = metadata;
  const annotations = (metadata['annotations'] ?? {}) as Readonly<Record<string, unknown>>;
  const { phase } = (status ?? {}) as { readonly phase?: unknown };
  const ended = phase === 'Succeeded' || phase === 'Failed';
  return { name, rival: name !== self && !ended && !Object.hasOwn(annotations, OURS) };
}
