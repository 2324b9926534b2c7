// What a connection's machine is told and what it asks for: the events of RFC 4271 §8.1 under their own names, and
// effects in the order in which they must happen. `peer` raises the events and carries out the effects; `fsm` is the table.

import type { Notification } from './notification.ts';

/** The session attributes of RFC 4271 §8.1.1 that this connection is run with; durations in ms. */
export interface FsmOptions {
  /** ConnectRetryTime: the wait between two dials, before jitter. */
  readonly connectRetryMs: number;
  /** DelayOpenTime; 0: OPEN is sent at once. */
  readonly delayOpenMs: number;
  /** PassiveTcpEstablishment: never dial. */
  readonly passive: boolean;
}

/** Negotiated; ms. A hold time of 0 means neither timer runs (RFC 4271 §4.2). */
export interface SessionTimes {
  readonly holdTimeMs: number;
  readonly keepaliveTimeMs: number;
}

/** RFC 4271 §8.1.2 to §8.1.5, RFC 9687 §3.2, ROUTE-REFRESH and draft-ietf-idr-bgp-bfd-strict-mode, by their own names. */
export type FsmEvent = StartEvent | RunningEvent;

/** They mean something in Idle only. */
export interface StartEvent {
  readonly on:
    | 'ManualStart'
    | 'AutomaticStart'
    | 'ManualStart_with_PassiveTcpEstablishment'
    | 'AutomaticStart_with_PassiveTcpEstablishment'
    | 'AutomaticStart_with_DampPeerOscillations'
    | 'AutomaticStart_with_DampPeerOscillations_and_PassiveTcpEstablishment';
}

export type RunningEvent =
  /** `cease` undefined: leave without a word (RFC 4724 §4: only so does the peer keep our routes). */
  | { readonly on: 'ManualStop'; readonly cease: Notification | undefined }
  | { readonly on: 'AutomaticStop'; readonly cease: Notification }
  | { readonly on: 'ConnectRetryTimer_Expires' }
  | { readonly on: 'HoldTimer_Expires' }
  | { readonly on: 'KeepaliveTimer_Expires' }
  | { readonly on: 'DelayOpenTimer_Expires' }
  | { readonly on: 'IdleHoldTimer_Expires' }
  | { readonly on: 'TcpConnection_Valid' }
  | { readonly on: 'Tcp_CR_Invalid' }
  | { readonly on: 'Tcp_CR_Acked' }
  | { readonly on: 'TcpConnectionConfirmed' }
  | { readonly on: 'TcpConnectionFails' }
  /** `awaitsBfd`: both sides have strict mode, and BFD is not up. */
  | {
      readonly on: 'BGPOpen' | 'BGPOpen_with_DelayOpenTimer_running';
      readonly times: SessionTimes;
      readonly awaitsBfd?: true;
    }
  | { readonly on: 'BGPHeaderErr'; readonly notification: Notification }
  | { readonly on: 'BGPOpenMsgErr'; readonly notification: Notification }
  | { readonly on: 'OpenCollisionDump' }
  | { readonly on: 'NotifMsgVerErr' }
  | { readonly on: 'NotifMsg' }
  | { readonly on: 'KeepAliveMsg' }
  | { readonly on: 'UpdateMsg' }
  | { readonly on: 'UpdateMsgErr'; readonly notification: Notification }
  | { readonly on: 'RouteRefreshMsg' }
  | { readonly on: 'SendHoldTimer_Expires' }
  | { readonly on: 'BfdUp' }
  /** Not of its own accord: one of the two sides took it down on purpose. */
  | { readonly on: 'BfdAdminDown' }
  | { readonly on: 'BfdDown'; readonly cease: Notification }
  | { readonly on: 'BfdDisabled' }
  | { readonly on: 'BfdHoldTimer_Expires' };

export type FsmEffect =
  | { readonly do: 'dial' }
  | { readonly do: 'send'; readonly message: 'OPEN' | 'KEEPALIVE' }
  | { readonly do: 'send'; readonly message: 'NOTIFICATION'; readonly notification: Notification }
  /** The message that raised the event is good in this state: it is to be processed. */
  | { readonly do: 'process' }
  /** Drop the TCP connection, dialled or open, and release what belongs to it. */
  | { readonly do: 'drop' };
