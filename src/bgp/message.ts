// The five messages: octets to words, and the small ones back. `decode` is the only place where a `Malformed` of a body
// is caught: it answers a Message or a Malformation that already holds the NOTIFICATION. UPDATEs are made by pack, OPENs
// by open. RFC 4271 §4, RFC 2918, RFC 7313.

import { SmartBuffer } from 'smart-buffer';
import type { Family } from '../net/address.ts';
import { frame, HEADER_LENGTH, malformation, readHeader, TYPE } from './frame.ts';
import type { Negotiated } from './negotiate.ts';
import { AFI, familyOfCodes, SAFI_UNICAST } from './nlri.ts';
import {
  CODE,
  HEADER_ERROR,
  type Malformation,
  Malformed,
  type Notification,
  notification,
  ROUTE_REFRESH_ERROR,
} from './notification.ts';
import { decodeOpen, type Open } from './open.ts';
import { decodeUpdate, type ReceivedUpdate } from './update.ts';

/** RFC 2918 and 7313. */
export interface RouteRefresh {
  readonly subtype: 'request' | 'begin' | 'end';
  readonly family: Family;
}

export type Message =
  | { readonly is: 'OPEN'; readonly open: Open }
  /** A session-reset is a fault of the UPDATE (see fault), never a Malformation. */
  | { readonly is: 'UPDATE'; readonly update: ReceivedUpdate }
  /** `data` is a copy. */
  | { readonly is: 'NOTIFICATION'; readonly notification: Notification }
  | { readonly is: 'KEEPALIVE' }
  /** `refresh` is absent for a family or subtype that we do not know: to be ignored. */
  | { readonly is: 'ROUTE-REFRESH'; readonly refresh?: RouteRefresh };

export type MessageType = Message['is'];

const SUBTYPES = ['request', 'begin', 'end'] as const;

/**
 * One whole message, header included, as `nextFrame` gives it. Before both OPENs are known `negotiated` is `BEFORE_OPEN`.
 * `keep`: make objects of an UPDATE's routes; without it they are validated and counted. Never throws.
 */
export function decode(message: Uint8Array, negotiated: Negotiated, keep: boolean): Message | Malformation {
  try {
    const length = readHeader(message, 0, message.length, negotiated.maxReceive);
    if (length !== message.length) {
      const data = message.slice(16, 18);
      throw new Malformed(
        CODE.header,
        HEADER_ERROR.badLength,
        `a message of ${message.length} octets claims ${length}`,
        data,
      );
    }
    return decodeBody(message, negotiated, keep);
  } catch (error) {
    if (error instanceof Malformed) return malformation(error);
    throw error;
  }
}

function decodeBody(message: Uint8Array, negotiated: Negotiated, keep: boolean): Message {
  switch (message[18]) {
    case TYPE.open:
      return { is: 'OPEN', open: decodeOpen(message.subarray(HEADER_LENGTH)) };
    case TYPE.update:
      return { is: 'UPDATE', update: decodeUpdate(message.subarray(HEADER_LENGTH), negotiated, keep) };
    case TYPE.notification: {
      const [code = 0, subcode = 0] = message.subarray(HEADER_LENGTH);
      return { is: 'NOTIFICATION', notification: notification(code, subcode, message.slice(HEADER_LENGTH + 2)) };
    }
    case TYPE.keepalive:
      return { is: 'KEEPALIVE' };
    default:
      return decodeRouteRefresh(message, negotiated);
  }
}

function decodeRouteRefresh(message: Uint8Array, { enhancedRouteRefresh }: Negotiated): Message {
  const [afiHigh = 0, afiLow = 0, octet = 0, safi = 0] = message.subarray(HEADER_LENGTH);
  // RFC 2918 §3: without RFC 7313 the third octet is reserved and not looked at
  const subtype = SUBTYPES[enhancedRouteRefresh ? octet : 0];
  // RFC 7313 §5: a demarcation holds nothing but family and subtype; a request may have a filter behind it (RFC 5291)
  if ((subtype === 'begin' || subtype === 'end') && message.length !== HEADER_LENGTH + 4) {
    const text = `a ROUTE-REFRESH of subtype ${octet} cannot have ${message.length} octets`;
    throw new Malformed(CODE.routeRefresh, ROUTE_REFRESH_ERROR.invalidMessageLength, text, message.slice());
  }
  const family = familyOfCodes((afiHigh << 8) | afiLow, safi);
  if (subtype === undefined || family === undefined) return { is: 'ROUTE-REFRESH' };
  return { is: 'ROUTE-REFRESH', refresh: { subtype, family } };
}

export function encodeKeepalive(): Uint8Array {
  return frame(TYPE.keepalive, new Uint8Array());
}

/** `maxSend`: octets that the peer takes in one message; data that do not fit are cut (RFC 8654 §5). */
export function encodeNotification({ code, subcode, data }: Notification, maxSend: number): Uint8Array {
  const fits = data.subarray(0, maxSend - HEADER_LENGTH - 2);
  const body = SmartBuffer.fromSize(2 + fits.length)
    .writeUInt8(code)
    .writeUInt8(subcode)
    .writeBuffer(Buffer.from(fits));
  return frame(TYPE.notification, body.toBuffer());
}

export function encodeRouteRefresh({ subtype, family }: RouteRefresh): Uint8Array {
  return frame(TYPE.routeRefresh, Uint8Array.of(0, AFI[family], SUBTYPES.indexOf(subtype), SAFI_UNICAST));
}
