// The five messages: framing of a byte stream, and octets to words and back. The only place where a `Malformed` or
// `Truncated` is caught: `decode` answers a Message or a Malformation that already holds the NOTIFICATION.

import type { Family, Ip } from '../net/address.ts';
import type { Capabilities } from './capability.ts';
import type { Notification } from './notification.ts';
import type { ReceivedUpdate } from './update.ts';

export type MessageType = 'OPEN' | 'UPDATE' | 'NOTIFICATION' | 'KEEPALIVE' | 'ROUTE-REFRESH';

/** RFC 4271 §4.2. */
export interface Open {
  /** The sender's AS: of the four-octet capability where there is one (RFC 6793). */
  readonly as: number;
  readonly holdTimeSeconds: number;
  readonly routerId: Ip;
  readonly capabilities: Capabilities;
}

/** RFC 2918 and 7313. */
export interface RouteRefresh {
  readonly subtype: 'request' | 'begin' | 'end';
  readonly family: Family;
}

export type Message =
  | { readonly is: 'OPEN'; readonly open: Open }
  | { readonly is: 'UPDATE'; readonly update: ReceivedUpdate }
  | { readonly is: 'NOTIFICATION'; readonly notification: Notification }
  | { readonly is: 'KEEPALIVE' }
  /** `refresh` is absent for a family or subtype that we do not know: to be ignored. */
  | { readonly is: 'ROUTE-REFRESH'; readonly refresh?: RouteRefresh };
