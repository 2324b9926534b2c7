// The node's BGP half as one machine: its peers, each wanted as the plan says. It routes what the world answers to the
// peer that owns the connection, accepts configured peers alone, and leaves politely.

import type { PeerReport } from './bgp/peer.ts';
import type { IoEffect, IoEvent, SocketAddress } from './net/io.ts';
import type { Plan } from './plan/plan.ts';

export type SpeakerEvent =
  /** The whole plan; the first one starts everything: before it nothing is dialled or accepted. */
  | { readonly on: 'plan'; readonly plan: Plan; readonly listen: readonly SocketAddress[] }
  /** The process ends: peers with graceful restart are left silently, all others with Cease. Done when `isDone`. */
  | { readonly on: 'leave' }
  | { readonly on: 'tick' }
  | IoEvent;

export type SpeakerReport =
  | PeerReport
  | { readonly report: 'listening'; readonly at: SocketAddress; readonly error?: string }
  | { readonly report: 'connection-refused'; readonly from: SocketAddress; readonly why: string };

export type SpeakerEffect = IoEffect | SpeakerReport;
