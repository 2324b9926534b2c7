// `peers[].bfd` of `GET /api/v1/state`: what the session is, what the router told, and what BGP makes of it. Fields are
// added, never renamed; durations ms, what is not there is null. Called by announcer.

import type { PeerView } from '../bgp/view.ts';
import type { LinksView } from '../links/view.ts';
import { WAITING } from './bfd-log.ts';
import type { Dates } from './state.ts';

type PeerSessionView = LinksView['sessions'][number];

/** Null: the peer has no BFDProfile. `view` undefined: the packet thread does not know the session (yet). */
export function bfdJson({ bfd, address }: PeerView, view: PeerSessionView | undefined, dates: Dates) {
  if (bfd === undefined) return null;
  const { session, hops, local, link, waiting, heldUntilMs } = view ?? {};
  return {
    state: session?.state ?? 'Down',
    since: session === undefined ? null : dates(session.sinceMs),
    diagnostic: session?.diagnostic ?? '',
    ...{ hops: hops ?? null, remoteAddress: address ?? '', localAddress: local ?? null, link: link ?? null },
    waiting: waiting === undefined ? '' : WAITING[waiting],
    failuresOfLastMinute: view?.failures ?? 0,
    heldUntil: heldUntilMs === undefined ? null : dates(heldUntilMs),
    bgp: { strict: bfd.strict, waitsForBfd: bfd.waits },
    localDiscriminator: session?.localDiscriminator ?? null,
    detectMult: session?.detectMult ?? null,
    passive: session?.passive ?? false,
    authentication: session?.authentication ?? null,
    desiredMinTxMs: session?.desiredMinTxMs ?? null,
    requiredMinRxMs: session?.requiredMinRxMs ?? null,
    transmitIntervalMs: session?.transmitIntervalMs ?? null,
    detectionTimeMs: session?.detectionTimeMs ?? null,
    echoIntervalMs: session?.echoIntervalMs ?? null,
    polling: session?.polling ?? false,
    remote: session?.remote ?? null,
    counters: session?.counters ?? null,
  };
}
