// The LAN is asked before an address is taken from a silent owner: unicast to its MAC, for one of its addresses and for the
// machine's own. Only an answer to us alone counts: caches, proxies and suppressing switches answer what is sent to all.
// Called by `owner`. The member as a whole is asked, not each of its addresses.

import type { Ip } from '../net/address.ts';
import { OFF } from '../net/machine.ts';
import type { Effects } from './event.ts';
import type { Member, Segment } from './segment.ts';
import { HEARD_MS, isConnected, markRowsOf, QUIET_MS, silenceOf, silentAt } from './segment.ts';

const ASK_EVERY_MS = 100;
/** Silent: so many unanswered, each given so long, and no answer for so long. */
const UNANSWERED = 3;
const GIVEN_MS = 40;
const NO_ANSWER_MS = 300;
/** Of one that was not heard and answered: its speakers' port is blocked, and a busy node must not make a second owner. */
const NO_MORE_ANSWER_MS = 1_000;

/** One of the addresses that the member claims and that we want served. */
function claimedBy(segment: Segment, member: Member): Ip | undefined {
  for (const [ip, { claim }] of member.rows) if (claim !== undefined && segment.addresses.has(ip)) return ip;
  return undefined;
}

/** Asks about a member that has been quiet, and judges its silence. Returns when to be called again. */
export function question(segment: Segment, member: Member, now: number, effects: Effects): number {
  if (member.gone || member.silent || !isConnected(segment.facts)) return OFF;
  const silence = silenceOf(member, now);
  if (silence <= QUIET_MS) return silentAt(member, QUIET_MS) + 1;
  const ip = claimedBy(segment, member);
  if (ip === undefined) return OFF;
  if (now >= member.askedAt + ASK_EVERY_MS) {
    member.askedAt = now;
    member.asked = [...member.asked.slice(-UNANSWERED), now];
    for (const mac of member.macs) {
      effects.push({ do: 'ask', ip, mac });
      if (member.address !== undefined) effects.push({ do: 'ask', ip: member.address, mac });
    }
  }
  const unanswered = member.asked.filter((at) => now >= at + GIVEN_MS).length;
  const patience = member.stillAnswers ? NO_MORE_ANSWER_MS : NO_ANSWER_MS;
  const silent = unanswered >= UNANSWERED && now >= member.answeredAt + patience && silence > HEARD_MS;
  if (silent) {
    member.silent = true;
    markRowsOf(segment, member);
    const host = now < member.hostAnsweredAt + NO_ANSWER_MS;
    effects.push({ report: 'l2-member-silent', node: member.node, host });
    return OFF;
  }
  if (silence > HEARD_MS && now < member.answeredAt + NO_ANSWER_MS && !member.stillAnswers) {
    member.stillAnswers = true;
    let addresses = 0;
    for (const { claim } of member.rows.values()) if (claim !== undefined) addresses++;
    effects.push({ report: 'l2-owner-still-answers', node: member.node, addresses });
  }
  const { askedAt } = member;
  const due = [
    askedAt + ASK_EVERY_MS,
    askedAt + GIVEN_MS,
    silentAt(member, HEARD_MS) + 1,
    member.answeredAt + patience,
  ];
  return Math.min(...due.filter((at) => at > now));
}

/** A frame to us alone from the member's MAC. */
export function answered(member: Member, ip: Ip, now: number): void {
  if (member.rows.get(ip)?.claim !== undefined) {
    member.answeredAt = now;
    member.asked = [];
    member.silent = false;
  } else if (ip === member.address) member.hostAnsweredAt = now;
}

/** It was heard: what was asked before is void. */
export function forgetQuestions(member: Member): void {
  member.asked = [];
  member.silent = false;
  member.stillAnswers = false;
}
