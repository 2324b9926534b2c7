// The controller's metrics: MetalLB's rows of the allocator and of the client from the one table, and what only a
// controller knows. io/metrics serves them.

import type { Allocations } from '../plan/allocate.ts';
import { API_METRICS, type ApiObserved, single } from './api-metrics.ts';
import {
  ALLOCATOR_METRICS,
  type AllocatorObserved,
  CONFIGURATION_METRICS,
  type ConfigurationObserved,
  type Row,
} from './metrics.ts';

/** All that they are read from, at the moment of a scrape. */
export interface ControllerObserved extends AllocatorObserved, ConfigurationObserved, ApiObserved {
  readonly leads: boolean;
  readonly rivals: number;
  /** Requests to webhooks that ended in an error of ours. */
  readonly unanswered: number;
}

export const CONTROLLER_METRICS: readonly Row<ControllerObserved>[] = [
  ...ALLOCATOR_METRICS,
  ...CONFIGURATION_METRICS,
  {
    name: 'metallb_allocator_services_allocated_total',
    type: 'gauge',
    labels: ['pool'],
    help: 'Services that have addresses of the pool',
    read: ({ allocations }) => servicesOfPools(allocations),
  },
  single('controller_leading_bool', 'gauge', '1 while this replica leads', ({ leads }) => Number(leads)),
  single('controller_rivals', 'gauge', 'Controllers of another make that run beside', ({ rivals }) => rivals),
  single('webhook_errors_total', 'counter', 'Reviews that failed for an error of ours', ({ unanswered }) => unanswered),
  ...API_METRICS,
];

function servicesOfPools(allocations: Allocations | undefined): ReturnType<Row<unknown>['read']> {
  const counts = new Map([...(allocations?.pools.keys() ?? [])].map((pool) => [pool, 0]));
  for (const { pool } of allocations?.services.values() ?? [])
    if (pool !== undefined) counts.set(pool, (counts.get(pool) ?? 0) + 1);
  return [...counts].map(([pool, value]) => ({ labels: { pool }, value }));
}
