// What became of a client's requests: who answered, how many were lost, for how long. Pure; called by watch and script.

/** One request of a client, in milliseconds of the machine's monotonic clock. */
export interface Request {
  readonly at: number;
  readonly tookMs: number;
  /** Who answered: the name of a Pod. */
  readonly from?: string;
  /** Why nobody did. */
  readonly error?: string;
  /** The connection was reset, and the second one decided. */
  readonly again?: true;
}

/** A time in which requests were lost, perhaps between others that were answered. */
export interface Outage {
  /** When the first lost request was made, and the first one after which none was lost. */
  readonly from: number;
  readonly to: number;
  readonly lost: number;
  readonly asked: number;
  /** What the first lost request met. */
  readonly error: string;
}

/** Lost requests that are no further apart belong together: several paths lead to an address, and only one may be cut. */
const TOGETHER_MS = 1_500;

/** In the order in which they were made; they become known as they end. */
export function inOrder(requests: readonly Request[]): Request[] {
  return requests.toSorted((a, b) => a.at - b.at);
}

/** Outages that are over: something was answered for as long as would have joined another loss to them. */
export function outages(requests: readonly Request[], togetherMs = TOGETHER_MS): Outage[] {
  const ordered = inOrder(requests);
  const lost = ordered.filter(({ from }) => from === undefined);
  const groups: Request[][] = [];
  for (const request of lost) {
    const group = groups.at(-1);
    if (group !== undefined && request.at - (group.at(-1)?.at ?? 0) <= togetherMs) group.push(request);
    else groups.push([request]);
  }
  return groups.flatMap((group) => {
    const [first, last] = [group[0], group.at(-1)];
    const after = ordered.filter(({ at }) => at > (last?.at ?? 0));
    const [next] = after;
    const isOver = (after.at(-1)?.at ?? 0) - (last?.at ?? 0) > togetherMs;
    if (first === undefined || next === undefined || !isOver) return [];
    const asked = ordered.filter(({ at }) => at >= first.at && at < next.at).length;
    return [{ from: first.at, to: next.at, lost: group.length, asked, error: first.error ?? '' }];
  });
}

/** Who answered how often, sorted by name. */
export function answerers(requests: readonly Request[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { from } of requests) if (from !== undefined) counts.set(from, (counts.get(from) ?? 0) + 1);
  return new Map([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What happened to the requests that were made from `since` on. */
export interface Toll {
  readonly asked: number;
  readonly lost: number;
  /** Asked a second time, for the connection was reset. */
  readonly again: number;
  /** From `since` to the first request after which none was lost; 0: none was lost. */
  readonly holeMs: number;
}

export function tollSince(requests: readonly Request[], since: number): Toll {
  const made = inOrder(requests).filter(({ at }) => at >= since);
  const lost = made.filter(({ from }) => from === undefined);
  const last = lost.at(-1);
  const next = made.find(({ at }) => last !== undefined && at > last.at);
  return {
    asked: made.length,
    lost: lost.length,
    again: made.filter(({ again }) => again).length,
    // nothing was answered after the last loss: it is not over
    holeMs: last === undefined ? 0 : (next?.at ?? Number.POSITIVE_INFINITY) - since,
  };
}

/** A promise, and what came of it. */
export interface Verdict {
  readonly promise: string;
  readonly measured: string;
  readonly kept: boolean;
}

/** Clients ask ten times a second, or less on a machine that has to do all this at once; so often at least for a verdict. */
export const LEAST_A_SECOND = 5;

/** Whether all was answered `mostMs` after an act, as far as requests of `spanMs` after it tell; 0: nothing may be lost. */
export function judge(promise: string, toll: Toll, spanMs: number, mostMs: number): Verdict {
  const { asked, lost, again, holeMs } = toll;
  const isWatched = asked >= (spanMs / 1_000) * LEAST_A_SECOND;
  const parts = [
    lost === 0 ? `0 of ${asked} lost` : `${lost} of ${asked} lost, the last ones after ${ms(holeMs)}`,
    ...(again === 0 ? [] : [`${again} asked again after a reset`]),
    ...(isWatched ? [] : ['asked too seldom for a verdict']),
  ];
  return { promise, measured: parts.join(', '), kept: holeMs <= mostMs && isWatched };
}

export function ms(duration: number): string {
  return Number.isFinite(duration) ? `${Math.round(duration).toLocaleString('en')} ms` : 'the end';
}
