// The metrics of a speaker on Kubernetes: MetalLB's of sessions and configuration, and how old what it knows is.
// io/metrics serves them.

import { API_METRICS, type ApiObserved, single } from './api-metrics.ts';
import { BFD_METRICS } from './bfd-metrics.ts';
import { LAYER2_METRICS, type Layer2Observed } from './layer2-metrics.ts';
import { BGP_METRICS, CONFIGURATION_METRICS, type Observed, type Row } from './metrics.ts';
import { PACKET_METRICS } from './packet-metrics.ts';

/** All that they are read from, at the moment of a scrape. */
export interface SpeakerObserved extends Observed, ApiObserved, Layer2Observed {
  /** Of what is announced; undefined before all was read once. */
  readonly ageMs: number | undefined;
  readonly isStale: boolean;
  /** Undefined: nobody counts it. */
  readonly throttledMs: number | undefined;
  /** Objects that cannot be read. */
  readonly unreadable: number;
}

export const SPEAKER_METRICS: readonly Row<SpeakerObserved>[] = [
  ...BGP_METRICS,
  ...BFD_METRICS,
  ...LAYER2_METRICS,
  ...PACKET_METRICS,
  ...CONFIGURATION_METRICS,
  ...API_METRICS,
  {
    name: 'fairway_knowledge_age_seconds',
    type: 'gauge',
    labels: [],
    help: 'Age of what announcements depend on: 0 while every kind is watched, else since the first watch was lost',
    read: ({ ageMs }) => (ageMs === undefined ? [] : [{ labels: {}, value: ageMs / 1_000 }]),
  },
  single('knowledge_stale_bool', 'gauge', '1 while a kind cannot be read: what was known is announced', ({ isStale }) =>
    Number(isStale),
  ),
  {
    name: 'fairway_cpu_throttled_seconds_total',
    type: 'counter',
    labels: [],
    help: 'Time that the container was stopped for having used up its processor time',
    read: ({ throttledMs }) => (throttledMs === undefined ? [] : [{ labels: {}, value: throttledMs / 1_000 }]),
  },
  single(
    'unreadable_objects',
    'gauge',
    'Objects that cannot be read and are as if they were not there',
    (world) => world.unreadable,
  ),
];
