// The ConfigurationState of one process, kept as `config/configuration-state` says it should stand. Asked once for each
// change of the object or of what it says. Used by controller and speaker.

import { readState, type SeenState, stateWrites, type WantedState } from '../config/configuration-state.ts';
import type { ApiObject } from '../config/resource.ts';
import type { Target } from '../k8s/api.ts';
import type { Clock } from '../k8s/clock.ts';
import { CONFIGURATION_STATES } from '../k8s/kind.ts';
import type { JsonObject } from '../k8s/merge-patch.ts';
import type { Store } from '../k8s/store.ts';
import type { WriteQueue } from '../k8s/write.ts';

export interface StateObjectOptions {
  readonly queue: Pick<WriteQueue, 'want'>;
  readonly states: Pick<Store<SeenState>, 'resourceVersion' | 'get'>;
  /** False until its objects were read: what is not seen might be there. */
  readonly isKnown: () => boolean;
  /** All but whether the configuration holds. */
  readonly object: Omit<WantedState, 'refused'>;
  readonly clock: Clock;
}

export class StateObject {
  readonly #options: StateObjectOptions;
  /** What it was last judged by. */
  #judged: { readonly seen: SeenState | undefined; readonly refused: string | undefined } | undefined;

  constructor(options: StateObjectOptions) {
    this.#options = options;
  }

  /** Why the latest configuration was refused; undefined: it is in force. */
  say(refused: string | undefined): void {
    const { states, object, isKnown, queue } = this.#options;
    if (!isKnown()) return;
    const key = `${object.namespace}/${object.name}`;
    const seen = states.get(key);
    if (this.#judged !== undefined && this.#judged.seen === seen && this.#judged.refused === refused) return;
    this.#judged = { seen, refused };
    const wanted = { ...object, refused };
    const target: Target = { kind: CONFIGURATION_STATES, namespace: object.namespace, name: object.name };
    for (const write of stateWrites(seen, wanted, this.#now())) {
      if (write.do === 'create') {
        // one that is there already comes with the watch
        const change = { do: 'create', object: write.object, again: () => undefined } as const;
        queue.want({ target, rank: 'inform', change });
      } else {
        const again = (live: ApiObject): JsonObject | undefined => {
          const missing = stateWrites(readState(live), wanted, this.#now()).find((each) => each.do === write.do);
          return missing?.do === write.do ? missing.patch : undefined;
        };
        const onto = states.resourceVersion(key);
        const change = { do: 'patch', patch: write.patch, again, ...(onto !== undefined && { onto }) } as const;
        const subresource = write.do === 'patch-status' ? ({ subresource: 'status' } as const) : {};
        queue.want({ target: { ...target, ...subresource }, rank: 'inform', change });
      }
    }
  }

  /** RFC 3339, seconds. */
  #now(): string {
    return `${this.#options.clock.date().toISOString().slice(0, 19)}Z`;
  }
}
