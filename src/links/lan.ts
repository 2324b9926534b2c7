// One interface that serves addresses: the machine that answers there (`l2/responder`), the one that owns there (`l2/owner`,
// with liveness), and BFD with the other speakers. What one of them asks of another is carried here; what they ask of the
// world gets its link and goes on. Called by `lans`, which says what is wanted, and `links`, which hands over what came.

import type { OwnerEffect, OwnerEvent } from '../l2/event.ts';
import * as owner from '../l2/owner.ts';
import type { ResponderEffect, ResponderEvent } from '../l2/responder.ts';
import * as responder from '../l2/responder.ts';
import { createSegment } from '../l2/segment.ts';
import type { Ip } from '../net/address.ts';
import type { Tick } from '../net/machine.ts';
import { OFF, redraw } from '../net/machine.ts';
import { endMesh, followMesh, heardOn, tickMesh } from './mesh.ts';
import type { Effects } from './report.ts';
import type { ServingLink } from './serving.ts';
import { interfaceFacts } from './serving.ts';
import { closeSocket, openSocket } from './socket.ts';
import { SEARCH_MS, tellSpeakers } from './speakers.ts';
import type { Lan, Links } from './state.ts';
import type { Layer2Wanted } from './wanted.ts';

/** Groups that the kernel refused are asked for again so often. */
const JOIN_APART_MS = 5_000;

export function createLan(
  links: Links,
  serving: ServingLink,
  wanted: Layer2Wanted,
  { now }: Tick,
  effects: Effects,
): Lan {
  const { name: link } = serving;
  const { liveness, node, announcements } = wanted;
  const facts = interfaceFacts(serving, links.links);
  const lan: Lan = {
    ...{ link, serving, forgetAt: OFF, responder: responder.createResponder(link, facts, announcements) },
    segment:
      liveness === undefined
        ? undefined
        : createSegment(node, link, links.incarnation++, {
            failbackMs: liveness.failbackMs,
            conflict: liveness.conflict,
          }),
    ...{
      mesh: new Map(),
      stations: new Map(),
      former: new Map(),
      meshDueAt: OFF,
      reviewAt: now,
      given: new Map(),
      joinAt: OFF,
      wanted: undefined,
    },
    ...{ searchUntil: now + SEARCH_MS, searchAt: now, nearAt: now, isUrgent: false, hasLeft: false },
    told: { rows: new WeakMap(), head: '', wholeAt: -OFF },
  };
  openSocket(links.sockets, link, { framesOf: link }, 'layer2', effects);
  links.lans.set(link, lan);
  return lan;
}

/** It is forgotten: nothing is answered there, and nothing is said. */
export function endLan(links: Links, lan: Lan, tick: Tick, effects: Effects): void {
  const { claims, groups, facts } = lan.responder;
  for (const ip of [...claims.keys()]) silence(links, lan, ip, tick, effects);
  // those of addresses that are probed for
  if (facts.linkLocal !== undefined) {
    for (const group of groups.keys()) effects.push({ do: 'group-leave', link: lan.link, group });
  }
  endMesh(links, lan);
  closeSocket(links.sockets, lan.link, effects);
  links.lans.delete(lan.link);
}

export function giveOwner(links: Links, lan: Lan, event: OwnerEvent, tick: Tick, effects: Effects): void {
  if (lan.segment === undefined) return;
  const [segment, asked] = owner.step(lan.segment, event, tick);
  lan.segment = segment;
  let { random } = tick;
  for (const each of asked) {
    random = redraw(random);
    carry(links, lan, each, { ...tick, random }, effects);
  }
}

function carry(links: Links, lan: Lan, effect: OwnerEffect, tick: Tick, effects: Effects): void {
  if ('report' in effect) {
    if (effect.report === 'left') lan.hasLeft = true;
    else effects.push({ ...effect, segment: lan.link });
    return;
  }
  switch (effect.do) {
    case 'tell':
      tellSpeakers(links, lan, effect, tick, effects);
      break;
    case 'answer':
      answer(links, lan, effect.ip, tick, effects);
      break;
    case 'silence':
      silence(links, lan, effect.ip, tick, effects);
      break;
    case 'announce':
      giveResponder(links, lan, { on: 'announce', ip: effect.ip }, tick, effects);
      break;
    case 'ask':
      giveResponder(links, lan, { ...effect, on: 'ask' }, tick, effects);
      break;
    default:
  }
}

export function answer(links: Links, lan: Lan, ip: Ip, tick: Tick, effects: Effects): void {
  const where = links.answers.get(ip) ?? new Set();
  links.answers.set(ip, where.add(lan.link));
  links.changed.add(ip);
  giveResponder(links, lan, { on: 'answer', ip }, tick, effects);
}

export function silence(links: Links, lan: Lan, ip: Ip, tick: Tick, effects: Effects): void {
  const where = links.answers.get(ip);
  where?.delete(lan.link);
  if (where?.size === 0) links.answers.delete(ip);
  links.changed.add(ip);
  giveResponder(links, lan, { on: 'silence', ip }, tick, effects);
}

export function giveResponder(links: Links, lan: Lan, event: ResponderEvent, tick: Tick, effects: Effects): void {
  const { link } = lan;
  const [, asked] = responder.step(lan.responder, event, tick);
  for (const each of asked) {
    if (each.do === 'seen') onSeen(links, lan, each, tick, effects);
    else effects.push({ ...each, link });
  }
}

function onSeen(
  links: Links,
  lan: Lan,
  { do: _, ...seen }: Extract<ResponderEffect, { readonly do: 'seen' }>,
  tick: Tick,
  effects: Effects,
): void {
  giveOwner(links, lan, { on: 'frame', ...seen }, tick, effects);
}

export function lanDueAt({
  meshDueAt,
  reviewAt,
  segment,
  responder: answers,
  isUrgent,
  forgetAt,
  joinAt,
}: Lan): number {
  if (isUrgent) return -OFF;
  const due = Math.min(meshDueAt, forgetAt, joinAt, responder.dueAt(answers));
  return segment === undefined ? due : Math.min(due, reviewAt, owner.dueAt(segment));
}

/** All input has been given: sessions first, for the owner machine must know what they heard. */
export function tickLan(links: Links, lan: Lan, tick: Tick, effects: Effects): void {
  const { now } = tick;
  if (lan.segment !== undefined) {
    if (now >= lan.reviewAt) followMesh(links, lan, tick, effects);
    tickMesh(links, lan, tick, effects);
    if (lan.isUrgent || owner.dueAt(lan.segment) <= now) {
      lan.isUrgent = false;
      giveOwner(links, lan, { on: 'tick', heard: heardOn(lan) }, tick, effects);
    }
  }
  if (responder.dueAt(lan.responder) <= now) giveResponder(links, lan, { on: 'tick' }, tick, effects);
  if (now < lan.joinAt) return;
  lan.joinAt = OFF;
  if (lan.serving !== undefined) joinAgain(lan, effects);
}

/** A group was refused: without it no solicitation comes over a switch that snoops. */
export function joinLater(lan: Lan, { now }: Tick): void {
  lan.joinAt = Math.min(lan.joinAt, now + JOIN_APART_MS);
}

/** All of them: those that were joined stay so. */
function joinAgain({ link, responder: { groups, facts } }: Lan, effects: Effects): void {
  if (facts.linkLocal === undefined) return;
  for (const group of groups.keys()) effects.push({ do: 'group-join', link, group });
}

/** Gives an event unless it says what the one before it of its kind said. */
export function whenNew(lan: Lan, kind: string, content: unknown, give: () => void): void {
  const text = JSON.stringify(content, (_, value: unknown) =>
    value instanceof Map || value instanceof Set ? [...value] : value,
  );
  if (lan.given.get(kind) === text) return;
  lan.given.set(kind, text);
  give();
}
