// What can be wrong with an UPDATE, and what it costs (RFC 7606 §2). Called by attribute, walk and update, which find
// faults, and by peer, which acts on the worst and counts all by rule.

import type { Family } from '../net/address.ts';
import { CODE, type Notification, notification } from './notification.ts';

/** What a fault costs, weakest first. */
export type Verdict = 'attribute-discard' | 'treat-as-withdraw' | 'afi-safi-disable' | 'session-reset';

export interface UpdateFault {
  readonly verdict: Verdict;
  /** Short and stable, for a metric label: `origin-value`, `as-path-set`, `nlri-overrun` … */
  readonly rule: string;
  readonly text: string;
  /** For `afi-safi-disable`. */
  readonly family?: Family;
  /** What RFC 4271 §6.3 tells the peer; sent only for `session-reset`. */
  readonly notification: Notification;
}

/** Why the value of an attribute is malformed: a rule, the subcode of RFC 4271 §6.3, and words. */
export interface Flaw {
  readonly rule: string;
  readonly subcode: number;
  readonly text: string;
  /** Where it is not the one of the attribute. */
  readonly verdict?: Verdict;
}

const STRENGTH: readonly Verdict[] = ['attribute-discard', 'treat-as-withdraw', 'afi-safi-disable', 'session-reset'];

/** The strongest, the first of equals; undefined when nothing is wrong. */
export function worstFault(faults: readonly UpdateFault[]): UpdateFault | undefined {
  let worst: UpdateFault | undefined;
  for (const fault of faults) {
    if (worst === undefined || STRENGTH.indexOf(fault.verdict) > STRENGTH.indexOf(worst.verdict)) worst = fault;
  }
  return worst;
}

/** `data` must be a copy. */
export function updateFault(verdict: Verdict, { rule, subcode, text }: Flaw, data?: Uint8Array): UpdateFault {
  return { verdict, rule, text, notification: notification(CODE.update, subcode, data) };
}
