// `packets` of `GET /api/v1/state`: how old what the packet thread told is, and what the kernel refuses it. Fields are added, never renamed. Called by announcer.

import type { LinksView } from '../links/view.ts';
import { errorText } from './bfd-log.ts';
import type { Dates } from './state.ts';

/** Whoever asks waits a second for an answer at most: what is older than this is not what it is now. */
const STALE_MS = 2_000;

/** Null: there is no packet thread, or it has not told anything yet. Instants are of one clock, ms. */
export function packetsJson(links: LinksView | undefined, viewedAt: number | undefined, now: number, dates: Dates) {
  if (links === undefined || viewedAt === undefined) return null;
  const ageMs = Math.round(now - viewedAt);
  const isStale = ageMs > STALE_MS;
  return {
    ...{ asOf: dates(viewedAt), ageMs },
    problem: isStale ? `the packet thread does not answer: BFD and layer 2 are shown as they were ${ageMs} ms ago` : '',
    broken: links.broken.map(({ socket, error }) => ({ socket, error: errorText(error) })),
    failures: links.failures,
    neighbors: links.neighbors.map(({ link, address = '', heardAtMs }) => ({
      ...{ interface: link, address, heardAt: heardAtMs === undefined ? null : dates(heardAtMs) },
    })),
    neighborDrops: links.neighborDrops,
  };
}
