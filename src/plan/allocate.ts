// Who gets which address: the whole cluster at once, from what was given before and what the Services say now.

import type { Ip } from '../net/address.ts';
import type { Refusal } from './explain.ts';

/** What one Service got. `ips` is empty exactly when `refusal` is there; a PreferDualStack Service may have one of two. */
export interface Allocation {
  readonly ips: readonly Ip[];
  readonly pool?: string;
  readonly refusal?: Refusal;
  /** What happened in this round, as Kubernetes events of the controller. */
  readonly events: readonly AllocationEvent[];
}

export interface AllocationEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** Contract §2.9; `total` and `available` saturate at the largest int64. */
export interface PoolCounters {
  readonly total: { readonly ipv4: bigint; readonly ipv6: bigint; readonly both: bigint };
  readonly assigned: { readonly ipv4: bigint; readonly ipv6: bigint };
}
