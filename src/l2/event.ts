// What happens to the ownership machine of a segment, what it asks of the world, and what it reports. Called by `owner`,
// the rules beside it, and whoever carries these to sockets. All of it survives structuredClone.

import type { Ip, Mac } from '../net/address.ts';
import type { LinkFacts, Settings, Wanted } from './segment.ts';
import type { HandoverReason, Statement, Station } from './statement.ts';

export type OwnerEvent =
  /** All addresses of this segment, replacing what was wanted before. */
  | { readonly on: 'wanted'; readonly addresses: readonly Wanted[] }
  | { readonly on: 'settings'; readonly settings: Settings }
  | { readonly on: 'link'; readonly facts: LinkFacts }
  /** This node's own health: may it take addresses? */
  | { readonly on: 'serving'; readonly ready: boolean }
  /** Authentic, by `claim`; one that says `here` came over this segment's interface with TTL 255. */
  | { readonly on: 'told'; readonly statement: Statement }
  /**
   * An ARP or NDP frame of another MAC came in. `ip`: its sender's address or, of an advertisement, its target; `target`: what
   * an ARP reply says of the one it is for, or whom an advertisement was sent to.
   */
  | {
      readonly on: 'frame';
      readonly ip?: Ip;
      readonly mac: Mac;
      readonly kind: FrameKind;
      readonly target?: { readonly ip: Ip; readonly mac: Mac };
      /** The address that a probe to all asks for. */
      readonly probed?: Ip;
    }
  /** All input up to `now` has been given. `heard`: when each station's last authentic BFD packet came. */
  | { readonly on: 'tick'; readonly heard: ReadonlyMap<Station, number> }
  /** SIGTERM: every address is handed over, then `left` is reported. */
  | { readonly on: 'leave' };

/** `answer`: an ARP reply or advertisement to our MAC alone; `announcement`: one to all; `probe`: it claims nothing. */
export type FrameKind = 'answer' | 'announcement' | 'request' | 'probe';

export type OwnerEffect =
  /** To all other speakers; `over` any path that works when the segment's own is lost. `to`: one of them alone. */
  | { readonly do: 'tell'; readonly statement: Statement; readonly to?: Station; readonly over: 'segment' | 'any' }
  /** Answer requests for the address from now on; `announce` it; no longer answer. */
  | { readonly do: 'answer'; readonly ip: Ip }
  | { readonly do: 'announce'; readonly ip: Ip }
  | { readonly do: 'silence'; readonly ip: Ip }
  /**
   * Who has this address? To all as a probe (RFC 5227 §2.1.1, RFC 4862 §5.4), or to one MAC; IPv6 in both forms. `as`: from
   * an address of ours, so that the one who is asked learns where it is.
   */
  | { readonly do: 'ask'; readonly ip: Ip; readonly mac?: Mac; readonly as?: Ip }
  | OwnerReport;

/** Why this speaker answers for an address, or no longer does. */
export type ClaimCause = 'vacant' | 'handed-over' | 'taken-back' | 'resumed';
export type ReleaseCause =
  | 'unwanted'
  | 'conflict'
  | 'not-heard-by-rival'
  | 'handed-over'
  | 'not-candidate'
  | 'carrier-lost'
  /** Frames can be neither sent nor received there. */
  | 'socket-broken'
  | 'late'
  | 'foreign'
  | 'leaving';

export type OwnerReport =
  | { readonly report: 'l2-claimed'; readonly ip: Ip; readonly epoch: number; readonly because: ClaimCause }
  | { readonly report: 'l2-released'; readonly ip: Ip; readonly because: ReleaseCause; readonly to?: string }
  /** Two speakers claim it; one of them gives way. */
  | { readonly report: 'l2-conflict'; readonly ip: Ip; readonly with: string }
  /** A speaker is not heard, yet its addresses are still answered: they stay where they are. */
  | { readonly report: 'l2-owner-still-answers'; readonly node: string; readonly addresses: number }
  /** Nobody answers at its MAC any more; `host`: the machine itself does. */
  | { readonly report: 'l2-member-silent'; readonly node: string; readonly host: boolean }
  | { readonly report: 'l2-member'; readonly node: string; readonly link: string; readonly heard: boolean }
  /**
   * RFC 5227: somebody who is no node of ours has the address. `claimed`: we answer for it all the same; `gateway`: the MAC is
   * a gateway's, which may be a proxy.
   */
  | {
      readonly report: 'l2-stranger';
      readonly ip: Ip;
      readonly mac: Mac;
      readonly claimed: boolean;
      readonly gateway: boolean;
    }
  /** A node of ours that is not heard has the address: it is left alone, or both have it (`claimed`). */
  | { readonly report: 'l2-unheard-owner'; readonly ip: Ip; readonly mac: Mac; readonly claimed: boolean }
  | { readonly report: 'l2-proxy'; readonly mac: Mac }
  | { readonly report: 'l2-foreign'; readonly ip: Ip }
  | { readonly report: 'l2-gateway'; readonly ip: Ip; readonly ok: boolean }
  | {
      readonly report: 'l2-confirmation';
      readonly ip: Ip;
      readonly verdict: 'confirmed' | 'unconfirmed' | 'refuted';
    }
  | { readonly report: 'l2-handover'; readonly ip: Ip; readonly to: string; readonly because: HandoverReason }
  | { readonly report: 'l2-late'; readonly pausedMs: number }
  | { readonly report: 'left' };

export type Effects = OwnerEffect[];
