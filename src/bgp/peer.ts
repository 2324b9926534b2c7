// One peer: its configuration, at most one connection each way before Established, collision, back-off, what it is
// told and what it said. The FSM of one connection is in `fsm`.

import type { Family, Ip, Prefix } from '../net/address.ts';
import type { IoEffect, IoEvent } from '../net/io.ts';
import type { Secret } from '../net/secret.ts';
import type { Notification } from './notification.ts';
import type { Wanted } from './rib.ts';

/** All that one session needs to know; whole and valid, made by the plan from a BGPPeer. */
export interface PeerConfig {
  /** Name of the BGPPeer: unique on a node. */
  readonly name: string;
  readonly address: Ip;
  readonly port: number;
  readonly localAs: number;
  /** `localASN`: shown to the peer in place of localAs, in OPEN and AS_PATH (no-prepend, replace-as). */
  readonly shownAs?: number;
  readonly remoteAs: number | 'internal' | 'external';
  /** Undefined: the session's local IPv4 address, else `fallbackRouterId`. */
  readonly routerId?: Ip;
  readonly fallbackRouterId: Ip;
  /** 0 = no hold timer, else at least 3000. */
  readonly holdTimeMs: number;
  /** Undefined: a third of the negotiated hold time. */
  readonly keepaliveTimeMs?: number;
  readonly connectRetryMs: number;
  readonly delayOpenMs?: number;
  readonly families: readonly Family[];
  readonly source?: Ip;
  readonly device?: string;
  readonly md5?: Secret;
  readonly ebgpMultiHop: boolean;
  /** Hops for RFC 5082; undefined: arriving TTLs are not looked at. */
  readonly ttlSecurity?: number;
  readonly gracefulRestart: boolean;
  /** Never dial. */
  readonly passive: boolean;
  readonly prefixLimit?: { readonly routes: number; readonly action: 'warn' | 'disable-family' | 'reset' };
  /** Keep what the peer announces: the collector, never the speaker. */
  readonly keep: boolean;
  /** Shown with the peer: fields that were read and have no effect yet. */
  readonly warnings: readonly string[];
}

/** How a peer is left: Cease with this subcode and text (RFC 4486, 9003), or silently so that it keeps our routes. */
export type Leaving =
  | { readonly by: 'cease'; readonly subcode: number; readonly text?: string }
  | { readonly by: 'graceful-restart' };

export type PeerEvent =
  | { readonly on: 'configure'; readonly config: PeerConfig }
  | { readonly on: 'wanted'; readonly routes: Wanted }
  | { readonly on: 'leave'; readonly how: Leaving }
  | { readonly on: 'tick' }
  | IoEvent;

export type SessionState = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';

/** What a peer tells of itself, for logs, metrics and state; plain data, no secrets. */
export type PeerReport =
  | { readonly report: 'peer-state'; readonly peer: string; readonly from: SessionState; readonly to: SessionState }
  | {
      readonly report: 'peer-up';
      readonly peer: string;
      readonly families: readonly Family[];
      readonly holdTimeMs: number;
    }
  | {
      readonly report: 'peer-down';
      readonly peer: string;
      readonly why: string;
      readonly sent?: Notification;
      readonly received?: Notification;
    }
  /** A connection that never became a session: refused, timed out, a socket option that the kernel does not have. */
  | { readonly report: 'peer-failed'; readonly peer: string; readonly why: string }
  | { readonly report: 'peer-warning'; readonly peer: string; readonly rule: string; readonly text: string }
  | {
      readonly report: 'peer-message';
      readonly peer: string;
      readonly direction: 'sent' | 'received';
      readonly type: string;
      readonly count: number;
    }
  | { readonly report: 'peer-synced'; readonly peer: string; readonly prefixes: number };

export type PeerEffect = IoEffect | PeerReport;

/** A prefix that cannot go over this session, and why; not an error of the session. */
export interface Unadvertisable {
  readonly prefix: Prefix;
  readonly because: 'family-not-negotiated' | 'no-next-hop' | 'attributes-too-long';
}
