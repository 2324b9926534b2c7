// metav1.Condition as we write and read it: on ConfigurationStates and on Services. A condition keeps its time while its
// status stays; who writes nothing that is there already leaves the API quiet. Called by controller and speaker.

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  /** RFC 3339; when `status` became what it is. */
  readonly lastTransitionTime: string;
}

/** The API takes no longer message. */
const LONGEST_MESSAGE = 32_768;

/** The condition as it should stand: the one that was seen where it says the same already. */
export function settleCondition(
  seen: Condition | undefined,
  wanted: Omit<Condition, 'lastTransitionTime'>,
  now: string,
): Condition {
  const message = wanted.message.slice(0, LONGEST_MESSAGE);
  if (seen?.status === wanted.status && seen.reason === wanted.reason && seen.message === message) return seen;
  return {
    type: wanted.type,
    status: wanted.status,
    reason: wanted.reason,
    message,
    lastTransitionTime: seen?.status === wanted.status ? seen.lastTransitionTime : now,
  };
}

/** What `conditions` of a status holds; entries that are no conditions are left out. */
export function readConditions(raw: unknown): readonly Condition[] {
  return Array.isArray(raw) ? raw.flatMap((entry: unknown) => readCondition(entry) ?? []) : [];
}

function readCondition(raw: unknown): Condition | undefined {
  const { type, status, reason, message, lastTransitionTime } = (raw ?? {}) as Record<string, unknown>;
  if (typeof type !== 'string' || (status !== 'True' && status !== 'False' && status !== 'Unknown')) return undefined;
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return {
    type,
    status,
    reason: text(reason),
    message: text(message),
    lastTransitionTime: text(lastTransitionTime),
  };
}
