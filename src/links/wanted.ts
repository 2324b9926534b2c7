// What main asks of the packet thread: always the whole wanted state, never a change of it. Made by `process` from plan and
// configuration, followed by `links`. All of it survives structuredClone; keys are here in the clear, for they cross a thread.

import type { SessionParameters } from '../bfd/variables.ts';
import type { Candidate } from '../l2/segment.ts';
import type { Ip } from '../net/address.ts';

export interface LinksWanted {
  /** BFD sessions for BGP peers, by the peer's name. */
  readonly sessions: ReadonlyMap<string, BfdWanted>;
  /** Links on which the neighbor is to be found. Absent: none. */
  readonly neighbors?: readonly string[];
  /** Absent: no layer 2 on this node. */
  readonly layer2?: Layer2Wanted;
}

export interface BfdWanted {
  readonly hops: 'single' | 'multi';
  readonly remote: Ip;
  /** Absent: what the kernel chooses. */
  readonly local?: Ip;
  /** Single hop over an interface that is known by name; absent: the one whose subnet the remote is on. */
  readonly link?: string;
  /** The VRF device. */
  readonly vrf?: string;
  readonly parameters: SessionParameters;
  /** Taken down on purpose (RFC 5880 §6.8.16): the peer is told AdminDown. */
  readonly adminDown: boolean;
}

export interface Layer2Wanted {
  readonly node: string;
  readonly addresses: readonly Layer2Address[];
  /** Links that match one of these regular expressions (JavaScript's, without flags) serve no address. */
  readonly excluded: readonly string[];
  readonly announcements: {
    readonly framesPerSecond: number;
    /** Infinity: never. */
    readonly refreshMs: number;
  };
  /** Absent: no liveness; each node answers for what it is elected for, by the snapshot alone. */
  readonly liveness?: LivenessWanted;
}

export interface Layer2Address {
  readonly ip: Ip;
  /** The order of the election, first the one that should own it. */
  readonly candidates: readonly Candidate[];
  /** Empty: all that are not excluded. */
  readonly interfaces: readonly string[];
  /** A running speaker of MetalLB may answer for it. */
  readonly foreign: boolean;
  /** It was in a Service's status before this process knew it. */
  readonly established: boolean;
}

export interface LivenessWanted {
  /** UDP: BFD between speakers and their statements. */
  readonly port: number;
  /**
   * Secrets of the speakers, the one to sign with first; both the present one and the one before are believed for four minutes
   * after a change, for each kubelet brings the new one in its own time (process/memberlist-secret). An empty text: whoever is
   * on the LAN may speak. None: nobody is believed, and nothing is said.
   */
  readonly secrets: readonly string[];
  /** Speakers by node, with the addresses at which they are found before they have told theirs. */
  readonly speakers: ReadonlyMap<string, readonly Ip[]>;
  /** Addresses of all Nodes. */
  readonly nodes: ReadonlyMap<string, Ip>;
  /** Two that nobody has, for each family that is served: whoever answers for them is a proxy. */
  readonly controls: readonly Ip[];
  readonly failbackMs: number;
  readonly conflict: 'refuse' | 'warn';
  /** May this node take addresses? */
  readonly serving: boolean;
}
