// ConfigurationState objects: what one process makes of the configuration, for `kubectl get`. Here is what such an object
// should say, and which writes are missing until it does; they are none while nothing changes, and a deleted one comes
// back. Called by the controller for `controller` and by each speaker for `speaker-<node>`.

import { type Condition, readConditions, settleCondition } from './condition.ts';
import type { ApiObject } from './resource.ts';

export interface ConfigurationStatus {
  readonly result: 'Valid' | 'Invalid' | 'Unknown';
  /** One fault a line. */
  readonly errorSummary: string;
  readonly conditions: readonly Condition[];
}

/** A plain owner reference. */
export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** An object as it stands, as far as it concerns us. */
export interface SeenState {
  readonly labels: Readonly<Record<string, string>>;
  /** As they stand: what others put into them stays. */
  readonly owners: readonly Readonly<Record<string, unknown>>[];
  readonly status: ConfigurationStatus | undefined;
}

/** What it should say. */
export interface WantedState {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The Pod that writes it; absent outside of one. */
  readonly owner?: Owner;
  /** `poolReconcilerValid`, `configReconcilerValid`. */
  readonly conditionType: string;
  /** Why the latest configuration was refused; undefined: it is in force. */
  readonly refused: string | undefined;
}

/** In this order; the status of an object that is yet to be created follows once it is seen. */
export type StateWrite =
  | { readonly do: 'create'; readonly object: Readonly<Record<string, unknown>> }
  | { readonly do: 'patch'; readonly patch: Readonly<Record<string, unknown>> }
  | { readonly do: 'patch-status'; readonly patch: Readonly<Record<string, unknown>> };

const CONFIGURATION_ERROR = 'ConfigurationError';

/** `now`: RFC 3339. */
export function stateWrites(seen: SeenState | undefined, wanted: WantedState, now: string): readonly StateWrite[] {
  const { name, namespace, labels, owner } = wanted;
  if (seen === undefined) {
    const metadata = { name, namespace, labels, ...(owner !== undefined && { ownerReferences: [owner] }) };
    return [{ do: 'create', object: { apiVersion: 'metallb.io/v1beta1', kind: 'ConfigurationState', metadata } }];
  }
  const writes: StateWrite[] = [];
  const lacksLabel = Object.entries(labels).some(([key, value]) => seen.labels[key] !== value);
  const lacksOwner = owner !== undefined && !seen.owners.some(({ uid }) => uid === owner.uid);
  if (lacksLabel || lacksOwner) {
    const ownerReferences = lacksOwner ? { ownerReferences: [...seen.owners, owner] } : {};
    writes.push({ do: 'patch', patch: { metadata: { labels, ...ownerReferences } } });
  }
  const status = statusOf(seen.status, wanted, now);
  if (status !== seen.status) writes.push({ do: 'patch-status', patch: { status } });
  return writes;
}

/** The status as it should stand; the one that was seen where it says so already. Conditions of others stay. */
function statusOf(seen: ConfigurationStatus | undefined, wanted: WantedState, now: string): ConfigurationStatus {
  const { conditionType: type, refused } = wanted;
  const before = seen?.conditions.find((condition) => condition.type === type);
  const says =
    refused === undefined
      ? ({ type, status: 'True', reason: 'Reconciled', message: '' } as const)
      : ({ type, status: 'False', reason: CONFIGURATION_ERROR, message: `configuration error: ${refused}` } as const);
  const condition = settleCondition(before, says, now);
  const others = seen?.conditions.filter((each) => each.type !== type) ?? [];
  const conditions = condition === before ? (seen?.conditions ?? []) : [...others, condition];
  const faults = conditions.filter(({ status, reason }) => status === 'False' && reason === CONFIGURATION_ERROR);
  const result = faults.length === 0 ? 'Valid' : 'Invalid';
  const errorSummary = faults.map(({ message }) => message).join('\n');
  const same = conditions === seen?.conditions && seen.result === result && seen.errorSummary === errorSummary;
  return same ? seen : { result, errorSummary, conditions };
}

/** The object as the API has it; what is of a wrong type counts as absent, and is written again. */
export function readState({ metadata, status }: ApiObject): SeenState {
  const { labels, ownerReferences } = metadata as { readonly labels?: unknown; readonly ownerReferences?: unknown };
  const owners = Array.isArray(ownerReferences) ? (ownerReferences as readonly Record<string, unknown>[]) : [];
  const texts = Object.entries((labels ?? {}) as Record<string, unknown>).flatMap(([key, value]) =>
    typeof value === 'string' ? [[key, value] as const] : [],
  );
  return { labels: Object.fromEntries(texts), owners, status: readStatus(status) };
}

function readStatus(raw: unknown): ConfigurationStatus | undefined {
  const { result, errorSummary, conditions } = (raw ?? {}) as Record<string, unknown>;
  if (result !== 'Valid' && result !== 'Invalid' && result !== 'Unknown') return undefined;
  return {
    result,
    errorSummary: typeof errorSummary === 'string' ? errorSummary : '',
    conditions: readConditions(conditions),
  };
}
