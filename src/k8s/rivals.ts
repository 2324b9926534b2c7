// Whether a controller of another make runs beside ours: while one does, ours writes nothing, or both would give out the
// same addresses. Ours carry an annotation; a Pod of a controller without it is MetalLB's. Run by controller-process.

import type { ApiObject } from '../config/resource.ts';
import type { Api } from './api.ts';
import { type Clock, systemClock } from './clock.ts';
import { PodList } from './pods.ts';
import type { Tell } from './report.ts';

/** On each Pod of ours. */
export const OURS = 'fairway/controller';
/**
 * As MetalLB's manifests and its chart label their Pods. The second half of the chart's is shared by many products: the
 * name in it is MetalLB's, or what our own Pod is called by the same chart.
 */
const [MANIFESTS, CHART] = ['app=metallb,component=controller', 'app.kubernetes.io/component=controller'] as const;
const NAME = 'app.kubernetes.io/name';
const METALLB = 'metallb';
/** So long after the end that it was given a Pod that is still there is a relic of a node that is gone. */
const RELIC_MS = 60_000;
const LOOK_MS = 5_000;

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
  /** Of the product, where the chart gave one. */
  readonly product: string | undefined;
  readonly isOurs: boolean;
  /** It has ended, or its end was called for and it cannot serve. */
  readonly isOver: boolean;
  /** When it ends at the latest, where it was told to: ms of the calendar. */
  readonly endsAt: number;
}

export class Rivals {
  readonly #options: RivalsOptions & { readonly clock: Clock };
  readonly #manifests: PodList<Runner>;
  readonly #chart: PodList<Runner>;
  #told: string | undefined;

  constructor({ clock = systemClock, ...options }: RivalsOptions) {
    this.#options = { ...options, clock };
    const common = { ...options, clock, read: readRunner, changed: () => this.#look() };
    const list = (labelSelector: string) => new PodList<Runner>({ ...common, labelSelector });
    this.#manifests = list(MANIFESTS);
    this.#chart = list(CHART);
  }

  /** Names of their Pods; undefined: not known yet. Where nobody may look, the lease alone decides. */
  get names(): readonly string[] | undefined {
    const [plain, charted] = [this.#manifests.pods, this.#chart.pods];
    if (plain === undefined || charted === undefined) return undefined;
    const { self, clock } = this.#options;
    const own = charted.find(({ name }) => name === self)?.product;
    const named = charted.filter(({ product }) => product !== undefined && [METALLB, own].includes(product));
    const now = clock.date().getTime();
    const rivals = [...plain, ...named].filter(
      ({ name, isOurs, isOver, endsAt }) => name !== self && !isOurs && !isOver && now < endsAt + RELIC_MS,
    );
    return [...new Set(rivals.map(({ name }) => name))].sort();
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#manifests.run(signal), this.#chart.run(signal), this.#watch(signal)]);
  }

  /** One that is terminating ends as a rival by time alone. */
  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(LOOK_MS, signal);
      if (!signal.aborted) this.#look();
    }
  }

  #look(): void {
    const now = this.names?.join();
    if (now === this.#told) return;
    this.#told = now;
    this.#options.changed();
  }
}

function readRunner({ metadata, status }: ApiObject): Runner {
  const { name, labels, annotations, deletionTimestamp } = metadata;
  const { phase, conditions } = (status ?? {}) as { readonly phase?: unknown; readonly conditions?: unknown };
  const endsAt = typeof deletionTimestamp === 'string' ? Date.parse(deletionTimestamp) : Number.NaN;
  const isEnding = !Number.isNaN(endsAt);
  const hasEnded = phase === 'Succeeded' || phase === 'Failed';
  const product = asObject(labels)[NAME];
  return {
    name,
    product: typeof product === 'string' ? product : undefined,
    isOurs: Object.hasOwn(asObject(annotations), OURS),
    isOver: hasEnded || (isEnding && isUnready(conditions)),
    endsAt: isEnding ? endsAt : Number.POSITIVE_INFINITY,
  };
}

function isUnready(conditions: unknown): boolean {
  const all: readonly unknown[] = Array.isArray(conditions) ? conditions : [];
  return all.map(asObject).some(({ type, status }) => type === 'Ready' && status !== 'True');
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
