// Statements between speakers (UDP, beside BFD): to whom one goes, and which segment one that came is for. Known speakers are
// told at the address they told, others at that of their Pod and by multicast on the link, less often with time. What is told
// for a segment arrives over it, with a TTL that no router has lessened. Called by `lan` and `links`.

import type { ClaimDrop } from '../l2/claim.ts';
import { decode, encode } from '../l2/claim.ts';
import type { OwnerEffect } from '../l2/event.ts';
import type { HearingDrop } from '../l2/hear.ts';
import type { Row, Statement } from '../l2/statement.ts';
import type { Ip } from '../net/address.ts';
import { familyOf, prefixOf } from '../net/address.ts';
import type { Tick } from '../net/machine.ts';
import type { PacketEvent } from '../net/packet-io.ts';
import { isCurrent, sourceTo, speakersSocket } from './mesh.ts';
import type { Effects } from './report.ts';
import type { Lan, Links, Told } from './state.ts';
import type { LivenessWanted } from './wanted.ts';

export const SEARCH_MS = 10_000;
const OFTEN_MS = 500;
const WHOLE_MS = 900;
const NEWS_TIMES = 3;
/** All hosts of the link: nobody has to join. */
const ALL_HOSTS = { ipv4: '224.0.0.1' as Ip, ipv6: 'ff02::1' as Ip } as const;
const TTL = 255;
/** Statements from addresses where no speaker is known that are looked at in a second: a signature costs ten times the rest. */
const MOST_STRANGERS = 100;

/** Why a datagram on the speakers' port is not believed; what an owner machine refuses it counts itself. */
export type SpeakerDrop = ClaimDrop | HearingDrop | 'ttl' | 'link' | 'too-many-strangers';

export function tellSpeakers(
  links: Links,
  lan: Lan,
  { statement, to, over }: Extract<OwnerEffect, { readonly do: 'tell' }>,
  tick: Tick,
  effects: Effects,
): void {
  const liveness = links.wanted.layer2?.liveness;
  const [key] = links.keys.claims;
  if (liveness === undefined || key === undefined) return;
  const isWhole = to !== undefined || over === 'any' || isWholeDue(lan.told, statement, tick);
  // a statement without news still proves that we live
  const parts = encode(statement, key, (rows) => tellNews(lan.told, rows) || isWhole);
  if (parts.length === 0) parts.push(...encode(statement, key));
  const send = (address: Ip, via?: Lan): void => {
    const source = via === undefined ? undefined : sourceTo(via, address);
    if (via !== undefined && source === undefined) return;
    const path = via === undefined || source === undefined ? {} : { link: via.link, source };
    const common = { socket: speakersSocket(address), to: { address, port: liveness.port }, ...path, ttl: TTL };
    for (const bytes of parts) effects.push({ do: 'udp-send', ...common, bytes });
  };
  if (to !== undefined) {
    const address = lan.segment?.members.get(to)?.address;
    if (address !== undefined) send(address, lan);
  } else if (over === 'segment') tellSegment(lan, liveness, tick, send);
  // where nobody was ever heard, nobody waits for a word: a port that nothing is plugged into
  else if (lan.segment !== undefined && lan.segment.members.size > 0) tellAnyWay(links, liveness, tick, send);
}

/** Not only the rows are news, or a second has passed: everybody is told everything, for words get lost. */
function isWholeDue(told: Told, { rows: _, sequence: __, clock: ___, ...rest }: Statement, { now }: Tick): boolean {
  const sightings = rest.sightings.map(({ sequence: ____, ...sighting }) => sighting);
  const head = JSON.stringify({ ...rest, sightings });
  if (head === told.head && now < told.wholeAt) return false;
  told.head = head;
  told.wholeAt = now + WHOLE_MS;
  return true;
}

/** A row is told three times when it changed, and then with all others. True: one of these is to be told, which is this time. */
function tellNews({ rows: told }: Told, rows: readonly Row[]): boolean {
  if (!rows.some((row) => (told.get(row) ?? 0) < NEWS_TIMES)) return false;
  for (const row of rows) told.set(row, (told.get(row) ?? 0) + 1);
  return true;
}

type Send = (address: Ip, via?: Lan) => void;

function tellSegment(lan: Lan, liveness: LivenessWanted, { now }: Tick, send: Send): void {
  const known = new Set<string>();
  for (const member of lan.segment?.members.values() ?? []) {
    if (!isCurrent(member, now) || member.address === undefined) continue;
    known.add(member.node);
    send(member.address, lan);
  }
  const missing = [...liveness.speakers].filter(([node]) => node !== lan.segment?.node && !known.has(node));
  if (missing.length === 0) return;
  const isSearching = now >= lan.searchAt;
  const isNear = now >= lan.nearAt;
  for (const [, addresses] of missing) {
    for (const ip of addresses) if (isSearching || (isNear && isNextTo(lan, ip))) send(ip, lan);
  }
  const often = now < lan.searchUntil;
  if (isSearching || isNear) lan.nearAt = now + OFTEN_MS;
  if (!isSearching) return;
  lan.searchAt = now + (often ? OFTEN_MS : SEARCH_MS);
  const own = lan.segment?.facts.address;
  if (own !== undefined) send(ALL_HOSTS[familyOf(own)], lan);
}

/** On the subnet of the interface: to ask for it there disturbs nobody. */
function isNextTo({ serving }: Lan, ip: Ip): boolean {
  return (serving?.link.addresses ?? []).some(
    (each) =>
      familyOf(each.ip) === familyOf(ip) && prefixOf(each.ip, each.prefixLength) === prefixOf(ip, each.prefixLength),
  );
}

/** The segment's own way is lost: by whatever way there is, and over our other segments. */
function tellAnyWay({ lans }: Links, { speakers }: LivenessWanted, { now }: Tick, send: Send): void {
  const own = [...lans.values()].find(({ segment }) => segment !== undefined)?.segment?.node;
  for (const [node, addresses] of speakers) if (node !== own) for (const ip of addresses) send(ip);
  for (const other of lans.values()) {
    if (other.segment?.facts.carrier !== true) continue;
    for (const member of other.segment.members.values()) {
      if (isCurrent(member, now) && member.address !== undefined) send(member.address, other);
    }
  }
}

/** A statement that came, with the LANs it is for, or why it is for none. `undefined`: our own, from the group. */
export function hearSpeaker(
  links: Links,
  { from, bytes, ttl, link }: PacketEvent & { on: 'datagram' },
  tick: Tick,
): { readonly statement: Statement; readonly for: readonly Lan[] } | { readonly drop: SpeakerDrop } | undefined {
  const { lans, keys, wanted } = links;
  if (!isExpected(links, from.address) && countStranger(links, tick) > MOST_STRANGERS)
    return { drop: 'too-many-strangers' };
  const decoded = decode(bytes, keys.claims);
  if ('drop' in decoded) return decoded;
  const { statement } = decoded;
  if (statement.node === wanted.layer2?.node) return undefined;
  if (statement.here) {
    if (ttl !== TTL) return { drop: 'ttl' };
    const lan = lans.get(link);
    return lan?.segment === undefined ? { drop: 'link' } : { statement, for: [lan] };
  }
  // it came over another way: it is for every segment on which its sender's interface is known
  const known = [...lans.values()].filter(({ segment }) => {
    for (const { node, link: theirs } of segment?.members.values() ?? []) {
      if (node === statement.node && theirs === statement.link) return true;
    }
    return false;
  });
  return known.length === 0 ? { drop: 'unknown-station' } : { statement, for: known };
}

/** A speaker is known there, or looked for. Known ones are not kept from being heard by junk, if it does not come in their name. */
function isExpected({ lans, wanted }: Links, address: Ip): boolean {
  for (const { segment } of lans.values())
    for (const member of segment?.members.values() ?? []) if (member.address === address) return true;
  for (const addresses of wanted.layer2?.liveness?.speakers.values() ?? [])
    if (addresses.includes(address)) return true;
  return false;
}

/** With it, how many there were in this second. */
function countStranger({ strangers }: Links, { now }: Tick): number {
  if (now - strangers.since >= 1_000) {
    strangers.since = now;
    strangers.count = 0;
  }
  return ++strangers.count;
}
