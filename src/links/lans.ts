// What is wanted of layer 2, brought to the interfaces that serve: LANs that appear, change and go, the addresses of each, the
// facts its machines live by, and, without liveness, who answers by the election alone. Called by `links` when main wants
// something else or the links changed.

import type { LinkFacts, Wanted } from '../l2/segment.ts';
import type { Ip } from '../net/address.ts';
import { familyOf } from '../net/address.ts';
import type { Tick } from '../net/machine.ts';
import { OFF, redraw } from '../net/machine.ts';
import { answer, createLan, endLan, giveOwner, giveResponder, silence, whenNew } from './lan.ts';
import { followMesh, rekeyMesh } from './mesh.ts';
import type { Effects } from './report.ts';
import { followSecrets } from './secrets.ts';
import type { ServingLink } from './serving.ts';
import { exclusion, interfaceFacts, linkFacts, linkLocalOf, servingLinks } from './serving.ts';
import { closeSocket, isBroken, isOpen, openSocket } from './socket.ts';
import { SEARCH_MS } from './speakers.ts';
import type { Lan, Links } from './state.ts';
import type { Layer2Address, Layer2Wanted, LivenessWanted } from './wanted.ts';

/** So long an interface that no longer serves is told of, by other ways; then its LAN is forgotten. */
const FORGET_MS = 10_000;
const SPEAKERS = ['speakers/ipv4', 'speakers/ipv6'] as const;

export function followLans(links: Links, tick: Tick, effects: Effects): void {
  const wanted = links.wanted.layer2;
  const isExcluded = exclusion(wanted?.excluded ?? []);
  const serving = wanted === undefined ? [] : servingLinks(links.links, isExcluded);
  sayLinks(links, serving, isExcluded, effects);
  followKeys(links, serving, tick, effects);
  for (const lan of [...links.lans.values()]) {
    const own = serving.find(({ name }) => name === lan.link);
    if (wanted === undefined || (lan.segment === undefined) !== (wanted.liveness === undefined)) {
      endLan(links, lan, tick, effects);
    } else if (own === undefined) stopServing(links, lan, tick, effects);
  }
  if (wanted === undefined) return;
  let { random } = tick;
  for (const each of serving) {
    random = redraw(random);
    const before = links.lans.get(each.name);
    if (before !== undefined && isAnother(before, each)) replace(links, before, tick, effects);
    const known = links.lans.get(each.name);
    if (known === undefined && (links.leaving || !isNeeded(wanted, each.name))) continue;
    const lan = known ?? createLan(links, each, wanted, tick, effects);
    followLan(links, lan, each, serving, wanted, { ...tick, random }, effects);
  }
  sayOwnAddresses(links, effects);
}

function followLan(
  links: Links,
  lan: Lan,
  own: ServingLink,
  serving: readonly ServingLink[],
  wanted: Layer2Wanted,
  tick: Tick,
  effects: Effects,
): void {
  lan.serving = own;
  // the others hear for a while that nothing is claimed there any more
  lan.forgetAt = isNeeded(wanted, lan.link) ? OFF : Math.min(lan.forgetAt, tick.now + FORGET_MS);
  openSocket(links.sockets, lan.link, { framesOf: lan.link }, 'layer2', effects);
  const { liveness, announcements, addresses } = wanted;
  const answering = interfaceFacts(own, links.links);
  whenNew(lan, 'interface', answering, () =>
    giveResponder(links, lan, { on: 'interface', facts: answering }, tick, effects),
  );
  whenNew(lan, 'announcements', [announcements.framesPerSecond, String(announcements.refreshMs)], () =>
    giveResponder(links, lan, { on: 'settings', settings: announcements }, tick, effects),
  );
  const here = addresses.filter((each) => isOn(each, lan.link));
  const watched = new Set([...(liveness?.controls ?? []), ...(liveness?.nodes.values() ?? [])]);
  const served = new Set(here.map(({ ip }) => ip));
  giveResponder(links, lan, { on: 'addresses', served, watched }, tick, effects);
  if (liveness === undefined) electBySnapshot(links, lan, here, wanted.node, tick, effects);
  else {
    const facts = linkFacts(own, serving, links.links, links.vips, liveness.nodes, isOpen(links.sockets, own.name));
    followOwner(links, lan, facts, liveness, tick, effects);
    if (!sameAddresses(lan.wanted, wanted)) {
      const all = here.map((each) => wantedOf(each, liveness.controls));
      giveOwner(links, lan, { on: 'wanted', addresses: all }, tick, effects);
    }
    followMesh(links, lan, tick, effects);
  }
  lan.wanted = wanted;
}

function isOn({ interfaces }: Layer2Address, link: string): boolean {
  return interfaces.length === 0 || interfaces.includes(link);
}

/** Some address is to be answered there, by whomever. */
function isNeeded({ addresses }: Layer2Wanted, link: string): boolean {
  return addresses.some((each) => isOn(each, link));
}

function followOwner(
  links: Links,
  lan: Lan,
  facts: LinkFacts,
  { failbackMs, conflict, serving, speakers }: LivenessWanted,
  tick: Tick,
  effects: Effects,
): void {
  whenNew(lan, 'settings', [String(failbackMs), conflict], () =>
    giveOwner(links, lan, { on: 'settings', settings: { failbackMs, conflict } }, tick, effects),
  );
  // whoever is not known is looked for when somebody may be there who was not
  if (facts.carrier && lan.segment?.facts.carrier === false) search(lan, tick);
  whenNew(lan, 'speakers', speakers, () => search(lan, tick));
  whenNew(lan, 'facts', facts, () => giveOwner(links, lan, { on: 'link', facts }, tick, effects));
  whenNew(lan, 'serving', serving, () => giveOwner(links, lan, { on: 'serving', ready: serving }, tick, effects));
}

function search(lan: Lan, { now }: Tick): void {
  lan.searchUntil = now + SEARCH_MS;
  lan.searchAt = now;
}

function sameAddresses(a: Layer2Wanted | undefined, b: Layer2Wanted): boolean {
  if (a?.addresses === b.addresses && a.liveness === b.liveness) return true;
  if (a?.addresses.length !== b.addresses.length || a.liveness?.controls.join() !== b.liveness?.controls.join()) {
    return false;
  }
  return a.addresses.every((each, at) => sameAddress(each, b.addresses[at]));
}

function sameAddress(a: Layer2Address, b: Layer2Address | undefined): boolean {
  return (
    a.ip === b?.ip &&
    a.foreign === b.foreign &&
    a.established === b.established &&
    a.interfaces.join() === b.interfaces.join() &&
    a.candidates.length === b.candidates.length &&
    a.candidates.every(({ node, score }, at) => node === b.candidates[at]?.node && score === b.candidates[at].score)
  );
}

function wantedOf({ ip, candidates, foreign, established }: Layer2Address, controls: readonly Ip[]): Wanted {
  const family = familyOf(ip);
  return { ip, candidates, foreign, established, controls: controls.filter((each) => familyOf(each) === family) };
}

/** Without liveness the first in order answers, and nobody else can know better. */
function electBySnapshot(
  links: Links,
  lan: Lan,
  here: readonly Layer2Address[],
  node: string,
  tick: Tick,
  effects: Effects,
): void {
  const mine = new Set<Ip>();
  for (const { ip, candidates, foreign } of here) if (candidates[0]?.node === node && !foreign) mine.add(ip);
  // nobody is told of an answer that cannot leave
  if (links.leaving || !isOpen(links.sockets, lan.link)) mine.clear();
  for (const ip of [...lan.responder.claims.keys()]) if (!mine.has(ip)) silence(links, lan, ip, tick, effects);
  for (const ip of mine) {
    if (lan.responder.claims.has(ip)) continue;
    answer(links, lan, ip, tick, effects);
    giveResponder(links, lan, { on: 'announce', ip }, tick, effects);
  }
}

/** The interface is down, gone, or serves no more: the others are told by whatever way is left. */
function stopServing(links: Links, lan: Lan, tick: Tick, effects: Effects): void {
  if (lan.serving === undefined) return;
  lan.serving = undefined;
  lan.forgetAt = lan.segment === undefined ? tick.now : tick.now + FORGET_MS;
  closeSocket(links.sockets, lan.link, effects);
  const { segment } = lan;
  if (segment === undefined) return;
  const facts = { ...segment.facts, carrier: false, frames: false };
  whenNew(lan, 'facts', facts, () => giveOwner(links, lan, { on: 'link', facts }, tick, effects));
  followMesh(links, lan, tick, effects);
}

/** A link of the same name: nothing of what was joined and learned on the one before is left. */
function isAnother({ serving }: Lan, { link }: ServingLink): boolean {
  return serving !== undefined && serving.link.index !== link.index;
}

function replace(links: Links, lan: Lan, tick: Tick, effects: Effects): void {
  if (lan.segment === undefined) endLan(links, lan, tick, effects);
  else stopServing(links, lan, tick, effects);
}

/** Forgets LANs whose interface has not come back, or for which there is nothing to do any more. */
export function forgetLans(links: Links, tick: Tick, effects: Effects): void {
  for (const lan of [...links.lans.values()]) if (lan.forgetAt <= tick.now) endLan(links, lan, tick, effects);
  if (!links.layer2Ends || links.lans.size > 0) return;
  links.layer2Ends = false;
  links.wanted = { sessions: links.wanted.sessions };
  followLans(links, tick, effects);
}

/** The speakers' port and their keys, while there is liveness. */
export function followKeys(links: Links, serving: readonly ServingLink[], tick: Tick, effects: Effects): void {
  const liveness = links.wanted.layer2?.liveness;
  if (liveness === undefined) {
    for (const name of SPEAKERS) closeSocket(links.sockets, name, effects);
    return;
  }
  const { port } = liveness;
  const open = (family: 'ipv4' | 'ipv6') =>
    openSocket(
      links.sockets,
      `speakers/${family}`,
      { udp: { family, port, ttl: 255, only: 'speakers' } },
      'speakers',
      effects,
    );
  open('ipv4');
  if (serving.some(({ link }) => linkLocalOf(link) !== undefined)) open('ipv6');
  if (!followSecrets(links.keys, liveness.secrets, tick.now)) return;
  for (const lan of links.lans.values()) rekeyMesh(links, lan, tick, effects);
}

function sayLinks(
  links: Links,
  serving: readonly ServingLink[],
  isExcluded: (name: string) => boolean,
  effects: Effects,
): void {
  const report = {
    report: 'l2-links',
    serving: serving.flatMap(({ name }) => (isBroken(links.sockets, name) ? [] : [name])),
    known: links.links.filter(({ name }) => !isExcluded(name)).map(({ name }) => name),
  } as const;
  // every machine has one: before that they are not known yet
  const isKnown = links.wanted.layer2 !== undefined && links.links.length > 0;
  const text = isKnown ? JSON.stringify(report) : '';
  if (text === links.saidLinks) return;
  links.saidLinks = text;
  if (text !== '') effects.push(report);
}

/** The kernel answers for such addresses as well, on every node that has them, unless it is told not to. */
function sayOwnAddresses({ links, vips, saidOwn }: Links, effects: Effects): void {
  for (const { name: link, addresses } of links) {
    const [first, ...more] = addresses.filter(({ ip }) => vips.has(ip));
    if (first === undefined || saidOwn.has(link)) continue;
    saidOwn.add(link);
    effects.push({ report: 'l2-own-address', link, ip: first.ip, addresses: more.length + 1 });
  }
}
