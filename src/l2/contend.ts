// Two machines probe for the same address at the same moment (RFC 5227 §2.1.1, RFC 4862 §5.4.3). Speakers that hear each other
// settle it by their statements; here are those that do not: UDP 7946 was blocked from the start, and an address appears on all
// of them at once. The lowest MAC goes on; the others wait until it answers, and ask again. Called by `owner` for each probe that
// was sent to all. It is for an address that we do not have yet alone: a claim is never touched by a probe.

import type { Ip, Mac } from '../net/address.ts';
import type { Effects } from './event.ts';
import type { Segment } from './segment.ts';
import { isHeard, memberWith } from './segment.ts';

/** From the last probe of a lower MAC to our next: longer than three probes and the wait after them take for a few hundred addresses at once. */
const DEFER_MS = 600;
/** All deferrals of one address together: who probes for ever owns nothing, and must not keep it from us for ever. */
const MOST_DEFERRED_MS = 3_000;
/** A higher MAC is told that we are probing too so often at most. */
const RETORT_EVERY_MS = 100;

export function contend(segment: Segment, ip: Ip, mac: Mac, now: number, effects: Effects): void {
  const address = segment.addresses.get(ip);
  const [own] = segment.facts.macs;
  if (address?.probe?.is !== 'asking' || own === undefined) return;
  const member = memberWith(segment, mac);
  if (member !== undefined && isHeard(member, now)) return;
  const { probe } = address;
  const since = Math.min(probe.contestedSince, now);
  if (now - since > MOST_DEFERRED_MS) return;
  if (mac < own) {
    address.probe = { ...probe, asked: 0, nextAt: now + DEFER_MS, reserved: false, contestedSince: since };
    segment.dirty.add(ip);
  } else if (probe.asked > 0 && now >= probe.retortAt) {
    // it may have begun after our last probe, and be done at the moment at which we claim
    address.probe = { ...probe, contestedSince: since, retortAt: now + RETORT_EVERY_MS };
    effects.push({ do: 'ask', ip });
  }
}
