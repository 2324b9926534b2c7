// How a process reads and writes the API server, as metrics. Part of the tables of controller and speaker.

import type { ReflectorState } from '../k8s/reflector.ts';
import type { Row } from './metrics.ts';

/** What any process on an API server knows of it. */
export interface ApiObserved {
  /** Requests that changed something; wanted writes that were not carried out yet. */
  readonly writes: number;
  readonly pending: number;
  /** Of the clock that `heardAt` is told by, ms. */
  readonly now: number;
  readonly kinds: readonly { readonly kind: string; readonly state: ReflectorState | undefined }[];
}

function ofKinds(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  value: (state: ReflectorState, now: number) => number | undefined,
): Row<ApiObserved> {
  const read = ({ kinds, now }: ApiObserved) =>
    kinds.flatMap(({ kind, state }) => {
      const found = state && value(state, now);
      return found === undefined ? [] : [{ labels: { kind }, value: found }];
    });
  return { name: `fairway_kubernetes_${name}`, type, labels: ['kind'], help, read };
}

export function single<World>(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  value: (world: World) => number,
): Row<World> {
  return { name: `fairway_${name}`, type, labels: [], help, read: (world) => [{ labels: {}, value: value(world) }] };
}

/** How the API server is read and written. */
export const API_METRICS: readonly Row<ApiObserved>[] = [
  ofKinds('synced_bool', 'gauge', '1 once all objects of the kind were read', ({ synced }) => Number(synced)),
  ofKinds('age_seconds', 'gauge', 'Time since the API server last said something of the kind', ({ heardAt }, now) =>
    heardAt === undefined ? undefined : Math.max(0, now - heardAt) / 1_000,
  ),
  ofKinds('reconnects_total', 'counter', 'Watches after the first one', ({ reconnects }) => reconnects),
  ofKinds('relists_total', 'counter', 'Lists after the first one', ({ relists }) => relists),
  single('kubernetes_writes_total', 'counter', 'Requests that changed an object', ({ writes }) => writes),
  single('kubernetes_pending_writes', 'gauge', 'Writes that are wanted and not carried out', ({ pending }) => pending),
];
