// What a peer said: counted and dropped, for this node needs no route of anybody; kept only for a collector. Malformed
// UPDATEs were judged by RFC 7606 before they come here; this holds what such judgements, and a limit, leave behind.
// Called by receive, one table a session.

import type { Family } from '../net/address.ts';
import { worstFault } from './fault.ts';
import { AFI, familyName, SAFI_UNICAST } from './nlri.ts';
import { CEASE, CODE, type Notification, notification } from './notification.ts';
import type { PeerConfig } from './peer.ts';
import type { ReceivedUpdate, Route } from './update.ts';

export interface Learned {
  /**
   * Routes held by family. What is not kept can't be told apart: announcements less withdrawals, so a route that is
   * announced again counts again.
   */
  readonly counts: Record<Family, number>;
  /** Adj-RIB-In by prefix and path identifier; undefined: not kept. */
  readonly table: Map<string, Route> | undefined;
  /** Ignored from now on (RFC 7606 §2, "AFI/SAFI disable"). */
  readonly disabled: Set<Family>;
  readonly endOfRib: Set<Family>;
  /** Malformed UPDATEs by rule. */
  readonly faults: Map<string, number>;
}

export interface Finding {
  readonly rule: string;
  readonly text: string;
  /** The session ends with this. */
  readonly reset?: Notification;
}

const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];

export function createLearned(keep: boolean): Learned {
  return {
    counts: { ipv4: 0, ipv6: 0 },
    table: keep ? new Map() : undefined,
    disabled: new Set(),
    endOfRib: new Set(),
    faults: new Map(),
  };
}

/** Takes in one UPDATE; answers what is to be told of it, the reason for a reset last. */
export function learn(learned: Learned, update: ReceivedUpdate, limit: PeerConfig['prefixLimit']): readonly Finding[] {
  const findings: Finding[] = [];
  for (const { rule, text, verdict, family } of update.faults) {
    learned.faults.set(rule, (learned.faults.get(rule) ?? 0) + 1);
    findings.push({ rule, text: `${verdict}: ${text}` });
    if (verdict === 'afi-safi-disable' && family !== undefined) disable(learned, family);
  }
  const worst = worstFault(update.faults);
  if (worst?.verdict === 'session-reset') {
    return [...findings, { rule: worst.rule, text: worst.text, reset: worst.notification }];
  }
  if (update.endOfRib !== undefined) learned.endOfRib.add(update.endOfRib);
  keep(learned, update);
  count(learned, update);
  return limit === undefined ? findings : [...findings, ...overLimit(learned, limit)];
}

function count({ counts, table, disabled }: Learned, { announced, withdrawn }: ReceivedUpdate): void {
  if (table !== undefined) return;
  for (const family of FAMILIES) {
    if (disabled.has(family)) continue;
    counts[family] = Math.max(0, counts[family] + announced[family] - withdrawn[family]);
  }
}

function keep({ counts, table, disabled }: Learned, { routes }: ReceivedUpdate): void {
  if (table === undefined || routes === undefined) return;
  for (const nlri of routes.withdrawn) if (table.delete(keyOf(nlri))) counts[familyIn(nlri)]--;
  for (const route of routes.announced) {
    const family = familyIn(route);
    if (disabled.has(family)) continue;
    const key = keyOf(route);
    if (!table.has(key)) counts[family]++;
    table.set(key, route);
  }
}

function keyOf({ prefix, pathId }: Pick<Route, 'prefix' | 'pathId'>): string {
  return pathId === undefined ? prefix : `${prefix} ${pathId}`;
}

function familyIn({ prefix }: Pick<Route, 'prefix'>): Family {
  return prefix.includes(':') ? 'ipv6' : 'ipv4';
}

function disable(learned: Learned, family: Family): void {
  learned.disabled.add(family);
  learned.counts[family] = 0;
  for (const [key, route] of learned.table ?? []) if (familyIn(route) === family) learned.table?.delete(key);
}

function overLimit(learned: Learned, limit: NonNullable<PeerConfig['prefixLimit']>): readonly Finding[] {
  return FAMILIES.filter((family) => learned.counts[family] > limit.routes).map((family) => {
    const text = `more than ${limit.routes} ${familyName(family)} routes received`;
    const finding = { rule: `prefix-limit-${familyName(family)}`, text };
    if (limit.action === 'disable-family') disable(learned, family);
    return limit.action === 'reset' ? { ...finding, reset: tooManyPrefixes(family, limit.routes) } : finding;
  });
}

/** RFC 4486 §4: AFI, SAFI and the limit. */
function tooManyPrefixes(family: Family, limit: number): Notification {
  const data = Buffer.from([0, AFI[family], SAFI_UNICAST, 0, 0, 0, 0]);
  data.writeUInt32BE(Math.min(limit, 0xffffffff), 3);
  return notification(CODE.cease, CEASE.maximumPrefixes, data);
}
