// Whether a controller of another make runs beside ours: while one does, ours writes nothing, or both would give out the
// same addresses. Ours carry an annotation; a Pod of a controller without it is MetalLB's. Run by controller-process.

import type { ApiObject } from '../config/resource.ts';
import type { Api } from './api.ts';
import { type Clock, systemClock } from './clock.ts';
import { PodList } from './pods.ts';
import type { Tell } from './report.ts';

/** On each Pod of ours. */
export const OURS = 'fairway/controller';
/** As MetalLB's manifests and its chart label their Pods. */
const LABELS = ['component=controller', 'app.kubernetes.io/component=controller'] as const;

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
  readonly #lists: readonly PodList<Runner>[];

  constructor({ clock = systemClock, self, ...options }: RivalsOptions) {
    const read = (pod: ApiObject): Runner => readRunner(pod, self);
    this.#lists = LABELS.map((labelSelector) => new PodList<Runner>({ ...options, labelSelector, read, clock }));
  }

  /** Names of their Pods; undefined: not known yet. Where nobody may look, the lease alone decides. */
  get names(): readonly string[] | undefined {
    const known = this.#lists.map(({ pods }) => pods?.flatMap(({ name, rival }) => (rival ? name : [])));
    return known.includes(undefined) ? undefined : [...new Set(known.flatMap((names) => names ?? []))].sort();
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#lists.map((list) => list.run(signal)));
  }
}

function readRunner({ metadata, status }: ApiObject, self: string | undefined): Runner {
  const { name } = metadata;
  const annotations = (metadata['annotations'] ?? {}) as Readonly<Record<string, unknown>>;
  const { phase } = (status ?? {}) as { readonly phase?: unknown };
  const ended = phase === 'Succeeded' || phase === 'Failed';
  return { name, rival: name !== self && !ended && !Object.hasOwn(annotations, OURS) };
}
