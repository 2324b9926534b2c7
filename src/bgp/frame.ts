// The header of every message (RFC 4271 §4.1) and the framing of a byte stream: one buffer a connection, and each rule
// checked as soon as its octets are there, so that a claimed length never costs memory. Called by peer (framer), and by
// the encoders of each message (frame).

import { CODE, HEADER_ERROR, type Malformation, Malformed } from './notification.ts';

export const HEADER_LENGTH = 19;
/** RFC 4271 §4.1 and, where it was announced, RFC 8654: the largest message, in octets. */
export const MAX_MESSAGE = 4096;
export const MAX_EXTENDED_MESSAGE = 65535;

export const TYPE = { open: 1, update: 2, notification: 3, keepalive: 4, routeRefresh: 5 } as const;

// RFC 4271 §6.1, RFC 2918 §3: by type, the least length, and whether RFC 8654 §3 lets it be longer than 4096
const LEAST = [0, 29, 23, 21, 19, 23] as const;
const MAY_EXTEND = [false, false, true, true, false, true] as const;

/** A whole message: the header before a body. */
export function frame(type: number, body: Uint8Array): Uint8Array {
  const message = new Uint8Array(HEADER_LENGTH + body.length);
  message.set(body, HEADER_LENGTH);
  writeHeader(message, type, message.length);
  return message;
}

/** Writes the 19 octets of a header at the beginning of a buffer. */
export function writeHeader(into: Uint8Array, type: number, length: number): void {
  into.fill(0xff, 0, 16);
  into[16] = length >> 8;
  into[17] = length & 0xff;
  into[18] = type;
}

/**
 * The length of the message that begins at `at`, or undefined while its header is incomplete. `maxReceive` is 65535 once we
 * have announced RFC 8654. Throws Malformed for a header error as soon as an octet shows it.
 */
export function readHeader(bytes: Uint8Array, at: number, end: number, maxReceive: number): number | undefined {
  const markerEnd = Math.min(at + 16, end);
  for (let i = at; i < markerEnd; i++) {
    // RFC 4271 §6.1: a marker that is not all ones
    if (bytes[i] !== 0xff) {
      throw new Malformed(CODE.header, HEADER_ERROR.notSynchronized, `octet ${i - at} of the marker is not 255`);
    }
  }
  if (end - at < 18) return undefined;
  const length = ((bytes[at + 16] as number) << 8) | (bytes[at + 17] as number);
  if (length < HEADER_LENGTH || length > maxReceive) throw badLength(length, 'a message');
  if (end - at < HEADER_LENGTH) return undefined;
  const type = bytes[at + 18] as number;
  const least = LEAST[type];
  if (least === undefined || type === 0) {
    throw new Malformed(CODE.header, HEADER_ERROR.badType, `message type ${type} is unknown`, Uint8Array.of(type));
  }
  const most = type === TYPE.keepalive ? HEADER_LENGTH : MAY_EXTEND[type] ? maxReceive : MAX_MESSAGE;
  if (length < least || length > most) throw badLength(length, `a message of type ${type}`);
  return length;
}

function badLength(length: number, what: string): Malformed {
  const data = Uint8Array.of(length >> 8, length & 0xff);
  return new Malformed(CODE.header, HEADER_ERROR.badLength, `${what} cannot have ${length} octets`, data);
}

/** What has arrived and is not yet consumed, in a buffer that grows with what arrives and never with what is claimed. */
export interface Framer {
  buffer: Uint8Array;
  start: number;
  end: number;
}

export function createFramer(): Framer {
  return { buffer: new Uint8Array(), start: 0, end: 0 };
}

/** Appends what TCP delivered (copied). Frames handed out before are no longer valid. */
export function push(framer: Framer, bytes: Uint8Array): void {
  const left = framer.end - framer.start;
  const needed = left + bytes.length;
  if (needed > framer.buffer.length) {
    const larger = new Uint8Array(
      Math.max(needed, MAX_MESSAGE, Math.min(2 * framer.buffer.length, 2 * MAX_EXTENDED_MESSAGE)),
    );
    larger.set(framer.buffer.subarray(framer.start, framer.end));
    framer.buffer = larger;
  } else if (framer.start > 0) framer.buffer.copyWithin(0, framer.start, framer.end);
  framer.buffer.set(bytes, left);
  framer.start = 0;
  framer.end = needed;
}

/**
 * The next whole message, header included: a view that is valid until the next `push`. Undefined while it has not arrived
 * whole. A header error is answered again and again: the stream has no next message.
 */
export function nextFrame(framer: Framer, maxReceive: number): Uint8Array | Malformation | undefined {
  try {
    const length = readHeader(framer.buffer, framer.start, framer.end, maxReceive);
    if (length === undefined || framer.end - framer.start < length) return undefined;
    framer.start += length;
    return framer.buffer.subarray(framer.start - length, framer.start);
  } catch (error) {
    if (error instanceof Malformed) return malformation(error);
    throw error;
  }
}

/** A fault as data: what `decode` and `nextFrame` answer for a Malformed that was thrown. */
export function malformation(error: Malformed): Malformation {
  return { is: 'malformed', notification: error.notification, text: error.message };
}
