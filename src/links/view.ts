// What the packet half shows of itself in the state document, metrics and logs: plain JSON, no keys. Called by
// io/packet-thread for main; instants are on the clock of the ticks.

import type { SessionView } from '../bfd/view.ts';
import { viewSession } from '../bfd/view.ts';
import type { ResponderView, SegmentView } from '../l2/view.ts';
import { viewResponder, viewSegment } from '../l2/view.ts';
import type { Ip } from '../net/address.ts';
import type { SystemError } from '../net/io.ts';
import { OFF } from '../net/machine.ts';
import type { SocketName } from '../net/packet-io.ts';
import type { Waiting } from './report.ts';
import { isOpen } from './socket.ts';
import type { Failure, Lan, Links } from './state.ts';

export interface LinksView {
  /** By the name that was asked for. */
  readonly sessions: readonly PeerSessionView[];
  /** Of BFD packets that are no session's, by reason. */
  readonly bfdDrops: Readonly<Record<string, number>>;
  /** Of the links where the neighbor is looked for. */
  readonly neighbors: readonly { readonly link: string; readonly address?: Ip; readonly heardAtMs?: number }[];
  /** Of Router Solicitations and Advertisements that were ignored, by reason. */
  readonly neighborDrops: Readonly<Record<string, number>>;
  readonly lans: readonly LanView[];
  /** On which interfaces an address is answered now. */
  readonly answers: Readonly<Record<Ip, readonly string[]>>;
  /** Of datagrams on the speakers' port that reached no segment. */
  readonly speakerDrops: Readonly<Record<string, number>>;
  /** What the kernel refused. */
  readonly failures: readonly Failure[];
  /** Sockets that do not work, with the error said last. */
  readonly broken: readonly { readonly socket: SocketName; readonly error: SystemError }[];
}

export interface PeerSessionView {
  readonly name: string;
  readonly remote?: Ip;
  readonly local?: Ip;
  readonly link?: string;
  readonly hops?: 'single' | 'multi';
  /** It cannot be started, or restarted, for want of this. */
  readonly waiting?: Waiting;
  /** Failures of the last minute, at most three. */
  readonly failures: number;
  /** Until when it is held in Down, for it flapped. */
  readonly heldUntilMs?: number;
  /** Absent until it was started. */
  readonly session?: SessionView;
}

export interface LanView {
  readonly link: string;
  readonly serves: boolean;
  /** Its socket for ARP and NDP is open. */
  readonly frames: boolean;
  readonly responder: ResponderView;
  /** Absent without liveness. */
  readonly segment?: SegmentView;
  readonly speakers: readonly SessionView[];
}

export function viewLinks(
  { peers, neighbors, lans, answers, drops, failures, sockets }: Links,
  now: number,
): LinksView {
  return {
    sessions: [...peers.byName.values()].map(({ name, wanted, running, waiting, damping }) => {
      const { hops, remote, local, link } = running?.path ?? wanted ?? {};
      return {
        ...{ name, failures: damping.failures.length },
        ...(hops !== undefined && { hops }),
        ...(remote !== undefined && { remote }),
        ...(local !== undefined && { local }),
        ...(link !== undefined && { link }),
        ...(waiting !== undefined && { waiting }),
        ...(damping.heldUntil !== OFF && { heldUntilMs: damping.heldUntil }),
        ...(running !== undefined && { session: viewSession(running.session) }),
      };
    }),
    bfdDrops: peers.drops,
    neighbors: [...neighbors.byLink.values()].map(({ link, address, heardAt }) => ({
      ...{ link, ...(address !== undefined && { address }), ...(heardAt !== -OFF && { heardAtMs: heardAt }) },
    })),
    neighborDrops: neighbors.drops,
    lans: [...lans.values()].map((lan) => viewLan(lan, isOpen(sockets, lan.link), now)),
    answers: Object.fromEntries([...answers].map(([ip, where]) => [ip, [...where].sort()])),
    speakerDrops: drops,
    failures: [...failures.values()],
    broken: [...sockets.all.values()].flatMap(({ name, is, said }) =>
      is === 'broken' && said !== undefined ? [{ socket: name, error: said }] : [],
    ),
  };
}

function viewLan({ link, serving, responder, segment, mesh }: Lan, frames: boolean, now: number): LanView {
  return {
    ...{ link, serves: serving !== undefined, frames, responder: viewResponder(responder) },
    ...(segment !== undefined && { segment: viewSegment(segment, now) }),
    speakers: [...mesh.values()].map(({ session }) => viewSession(session)),
  };
}
