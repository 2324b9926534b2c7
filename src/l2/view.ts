// What a segment and its responder show of themselves in the state document, metrics and logs: plain JSON, no keys. Called by
// whoever holds them; instants are on the clock of the ticks.

import type { Ip, Mac } from '../net/address.ts';
import { OFF } from '../net/machine.ts';
import type { AddressCounters, FrameDrop, Responder } from './responder.ts';
import type { Address, Confirmation, Gateway, Segment } from './segment.ts';
import { gatewayOk, isHeard, isReady } from './segment.ts';
import { type Held, heldBy, seenOwner } from './vacancy.ts';

export interface AddressView {
  readonly ip: Ip;
  /**
   * `owner`: this node answers; `suspended`: it owns and is silent after a pause; `handing-over`; `held`: another owns it, or
   * may; `vacant`: this node waits for its turn or probes; `not-candidate`; `foreign`: left to MetalLB.
   */
  readonly state: 'owner' | 'suspended' | 'handing-over' | 'held' | 'vacant' | 'not-candidate' | 'foreign';
  readonly epoch?: number;
  /** The node that is heard claiming it. */
  readonly owner?: string;
  readonly heldBy?: Held['by'];
  readonly confirmation?: Confirmation;
  /** Whoever else has it, by its MAC. */
  readonly takenBy?: { readonly mac: Mac; readonly by: 'stranger' | 'node' };
  /** Of the last 180 s. */
  readonly moves: number;
}

export interface MemberView {
  readonly node: string;
  readonly link: string;
  readonly heard: boolean;
  readonly lastHeardMs?: number;
  readonly ready: boolean;
  readonly gatewayOk: boolean;
  readonly leaving: boolean;
  readonly claims: number;
  /** Not heard, yet its addresses are answered. */
  readonly stillAnswers: boolean;
}

export interface GatewayView {
  readonly ip: Ip;
  /** Absent: it does not answer. */
  readonly mac?: Mac;
  /** It has told where an address of its family is. */
  readonly confirms: boolean;
}

export interface SegmentView {
  readonly link: string;
  readonly carrier: boolean;
  readonly receives: boolean;
  readonly ready: boolean;
  readonly gatewayOk: boolean;
  /** One of each family at most; the first is the one that must answer. */
  readonly gateways: readonly GatewayView[];
  readonly members: readonly MemberView[];
  readonly addresses: readonly AddressView[];
  readonly drops: Readonly<Record<string, number>>;
}

export function viewSegment(segment: Segment, now: number): SegmentView {
  const { link, facts, receives, members, addresses, drops } = segment;
  return {
    ...{ link, carrier: facts.carrier, receives, ready: isReady(segment, now), gatewayOk: gatewayOk(segment), drops },
    gateways: segment.gateways.map(viewGateway),
    members: [...members.values()].map((member) => ({
      ...{ node: member.node, link: member.link, heard: isHeard(member, now) },
      ...(member.heardAt !== -OFF && { lastHeardMs: member.heardAt }),
      ...{ ready: member.ready, gatewayOk: member.gatewayOk, leaving: member.leaving },
      claims: [...member.rows.values()].filter(({ claim }) => claim !== undefined).length,
      stillAnswers: member.stillAnswers,
    })),
    addresses: [...addresses.values()].map((address) => viewAddress(segment, address, now)),
  };
}

function viewGateway({ ip, mac, futile }: Gateway): GatewayView {
  return { ip, ...(mac !== undefined && { mac }), confirms: futile === -OFF };
}

function viewAddress(segment: Segment, address: Address, now: number): AddressView {
  const { ip, claim, confirmation, probe, moves } = address;
  const seen = seenOwner(segment, ip, now);
  const owner = claim === undefined && seen !== undefined ? segment.members.get(seen.owner)?.node : undefined;
  const held = claim === undefined ? heldBy(segment, address, now) : undefined;
  return {
    ...{ ip, state: stateOf(address, held), moves: moves.length },
    ...(claim !== undefined && { epoch: claim }),
    ...(owner !== undefined && { owner }),
    ...(held !== undefined && { heldBy: held.by }),
    ...(confirmation !== undefined && { confirmation }),
    ...(probe?.is === 'taken' && { takenBy: { mac: probe.mac, by: probe.by } }),
  };
}

function stateOf(
  { claim, answering, giving, candidate, wanted }: Address,
  held: Held | undefined,
): AddressView['state'] {
  if (giving !== undefined) return 'handing-over';
  if (claim !== undefined) return answering ? 'owner' : 'suspended';
  if (wanted.foreign) return 'foreign';
  if (held !== undefined) return 'held';
  return candidate ? 'vacant' : 'not-candidate';
}

export interface ResponderView {
  readonly link: string;
  readonly answers: readonly Ip[];
  /** Announcements that wait for their place. */
  readonly queued: number;
  /** Announcements that had to wait, so far. */
  readonly paced: number;
  readonly askers: number;
  readonly counters: Readonly<Record<Ip, Readonly<AddressCounters>>>;
  readonly drops: Readonly<Partial<Record<FrameDrop, number>>>;
}

export function viewResponder({ link, claims, queue, paced, askers, counters, drops }: Responder): ResponderView {
  return {
    ...{ link, answers: [...claims.keys()], queued: queue.length, paced, askers: askers.size, drops },
    counters: Object.fromEntries([...counters].map(([ip, each]) => [ip, { ...each }])),
  };
}
