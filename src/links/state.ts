// All that the packet half of a node knows: the links, what main wants, its sockets, the BFD sessions of its peers, and for each
// serving interface a LAN with the machines that answer and own there. Plain data, changed by `links` and its parts alone.

import type { Path } from '../bfd/demultiplex.ts';
import type { Session } from '../bfd/variables.ts';
import type { Responder } from '../l2/responder.ts';
import type { Segment } from '../l2/segment.ts';
import type { Row, Station } from '../l2/statement.ts';
import type { Ip } from '../net/address.ts';
import { OFF } from '../net/machine.ts';
import type { FailedEffect, LinkState } from '../net/packet-io.ts';
import type { Neighbors } from './neighbors.ts';
import { createNeighbors } from './neighbors.ts';
import type { Peers } from './peer-session.ts';
import { createPeers } from './peers.ts';
import type { Keys } from './secrets.ts';
import { noKeys } from './secrets.ts';
import type { ServingLink } from './serving.ts';
import type { Sockets } from './socket.ts';
import { createSockets } from './socket.ts';
import type { Layer2Wanted, LinksWanted } from './wanted.ts';

export interface Links {
  /** Of the next segment: it grows with every one, and above those of former processes. */
  incarnation: number;
  links: readonly LinkState[];
  wanted: LinksWanted;
  /** Addresses that some node serves, for whom an interface of ours must not be taken. */
  vips: ReadonlySet<Ip>;
  readonly sockets: Sockets;
  readonly peers: Peers;
  readonly neighbors: Neighbors;
  readonly lans: Map<string, Lan>;
  readonly keys: Keys;
  /** Where addresses are answered, and those for which that changed in this step. */
  readonly answers: Map<Ip, Set<string>>;
  readonly changed: Set<Ip>;
  /** Interfaces that are said to have an address that is served. */
  readonly saidOwn: Set<string>;
  /** As reported last. */
  saidLinks: string;
  /** Of datagrams on the speakers' port that reach no segment. */
  drops: Readonly<Record<string, number>>;
  /** Statements of the present second from addresses where no speaker is known. */
  readonly strangers: { since: number; count: number };
  /** What the kernel refused, by effect and error in one text. */
  readonly failures: Map<string, Failure>;
  /** Main wants no layer 2 any more, and the others are being told. */
  layer2Ends: boolean;
  leaving: boolean;
  /** Until when peers are told; OFF: it has left, or is not leaving. */
  leaveBy: number;
  dueAt: number;
}

/** How often the kernel refused an effect with this error. */
export interface Failure {
  readonly effect: FailedEffect;
  readonly code: string;
  readonly count: number;
}

/** One serving interface, or one that served until a moment ago. */
export interface Lan {
  readonly link: string;
  /** Undefined: it has gone, or does not serve any more. */
  serving: ServingLink | undefined;
  /** When what is left of it is forgotten; OFF while it serves. */
  forgetAt: number;
  readonly responder: Responder;
  /** Absent without liveness. */
  segment: Segment | undefined;
  /** BFD with other speakers there, by discriminator and by station. */
  readonly mesh: Map<number, MeshSession>;
  readonly stations: Map<Station, MeshSession>;
  /** Those that ended: another one with the same process believes none of the numbers that they did. */
  readonly former: Map<Station, MeshSession>;
  meshDueAt: number;
  /** When the speakers there must be compared with the sessions. */
  reviewAt: number;
  /** What its machines were given last, for each kind of event. */
  readonly given: Map<string, string>;
  /** When groups that the kernel refused are joined again; OFF: it refused none. */
  joinAt: number;
  wanted: Layer2Wanted | undefined;
  /** Until when everybody who is not known there is looked for often; when that is due, and for those on its subnet. */
  searchUntil: number;
  searchAt: number;
  nearAt: number;
  readonly told: Told;
  /** Something was heard that changes the owner machine's mind at once. */
  isUrgent: boolean;
  hasLeft: boolean;
}

/** What of the statements there the others have had. */
export interface Told {
  /** How often a row was told as it is. */
  readonly rows: WeakMap<Row, number>;
  /** All but the rows. */
  head: string;
  /** When all rows are to be told again. */
  wholeAt: number;
}

export interface MeshSession {
  readonly localDiscriminator: number;
  readonly path: Path & { readonly local: Ip };
  readonly station: Station;
  readonly incarnation: number;
  session: Session;
  /** When the speaker was last one of those that we watch. */
  watchedAt: number;
}

const NOTHING: LinksWanted = { sessions: new Map() };

/** `incarnation`: above that of every former process of this node; ms of the wall clock. */
export function createLinks(incarnation: number): Links {
  return {
    ...{ incarnation, links: [], wanted: NOTHING, vips: new Set(), sockets: createSockets(), peers: createPeers() },
    ...{
      neighbors: createNeighbors(),
      lans: new Map(),
      keys: noKeys(),
      answers: new Map(),
      changed: new Set(),
      saidOwn: new Set(),
    },
    ...{ saidLinks: '', drops: {}, strangers: { since: -OFF, count: 0 }, failures: new Map() },
    ...{ layer2Ends: false, leaving: false, leaveBy: OFF, dueAt: OFF },
  };
}
