// Authentication of BFD Control packets (RFC 5880 §6.7.3, §6.7.4): keyed and meticulous keyed MD5 and SHA1. The digest is
// taken over the whole packet with the key in the digest's place. Called by `session`; `keyFault` by whoever reads keys.
// Simple passwords (§6.7.2) travel in clear text and are not offered.

import { createHash } from 'node:crypto';
import type { ControlPacket, DropReason } from './packet.ts';
import { MANDATORY_OCTETS, SECTION_HEADER_OCTETS } from './packet.ts';

export const AUTHENTICATION_TYPES = [
  'keyed-md5',
  'meticulous-keyed-md5',
  'keyed-sha1',
  'meticulous-keyed-sha1',
] as const;
export type AuthenticationType = (typeof AUTHENTICATION_TYPES)[number];

/** Key and digest are equally long: 16 octets for MD5, 20 for SHA1. */
interface Method {
  readonly code: number;
  readonly hash: 'md5' | 'sha1';
  readonly octets: 16 | 20;
  readonly meticulous: boolean;
}

const METHODS: Readonly<Record<AuthenticationType, Method>> = {
  'keyed-md5': { code: 2, hash: 'md5', octets: 16, meticulous: false },
  'meticulous-keyed-md5': { code: 3, hash: 'md5', octets: 16, meticulous: true },
  'keyed-sha1': { code: 4, hash: 'sha1', octets: 20, meticulous: false },
  'meticulous-keyed-sha1': { code: 5, hash: 'sha1', octets: 20, meticulous: true },
};

/** A shared key. Plain octets, for it is handed to another thread; it is part of no view and no report. */
export interface Key {
  readonly type: AuthenticationType;
  /** 0-255, the same on both ends. */
  readonly id: number;
  /** 1 to 16 (MD5) or 20 (SHA1) octets. */
  readonly secret: Uint8Array;
}

/** What is wrong with a key, or undefined; of the secret only its octets are counted. */
export function keyFault(
  key: Omit<Key, 'secret'> & { readonly secret: { readonly length: number } },
): string | undefined {
  const { octets } = METHODS[key.type];
  if (!Number.isInteger(key.id) || key.id < 0 || key.id > 255) return `key id ${key.id} is not within 0-255`;
  if (key.secret.length === 0) return 'the key is empty';
  if (key.secret.length > octets) return `a ${key.type} key has at most ${octets} octets, not ${key.secret.length}`;
  return undefined;
}

/** Octets of the Authentication Section that `sign` fills: 24 (MD5) or 28 (SHA1). */
export function sectionOctets(key: Key): number {
  return SECTION_HEADER_OCTETS + METHODS[key.type].octets;
}

/** Whether the sequence number grows with every packet, not only with every new content. */
export function isMeticulous(key: Key): boolean {
  return METHODS[key.type].meticulous;
}

/** Writes the Authentication Section into a packet that has room for it. The sequence number is 32 bits. */
export function sign(bytes: Uint8Array, key: Key, sequence: number): void {
  const { code } = METHODS[key.type];
  bytes[MANDATORY_OCTETS] = code;
  bytes[MANDATORY_OCTETS + 1] = sectionOctets(key);
  bytes[MANDATORY_OCTETS + 2] = key.id;
  bytes[MANDATORY_OCTETS + 3] = 0;
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(MANDATORY_OCTETS + 4, sequence);
  bytes.set(digest(bytes, key), MANDATORY_OCTETS + SECTION_HEADER_OCTETS);
}

/** Above it, in circular 32-bit arithmetic, a number is behind. */
const MOST_AHEAD = 2 ** 31 - 1;

export type Verdict = { readonly sequence: number } | { readonly drop: DropReason };

/**
 * The sequence number of an authentic packet, or why it is none. `payload` is the datagram that `packet` was decoded from;
 * `known` the last sequence number believed, undefined when none is; `detectMult` this side's, OFF: none is too far ahead.
 */
export function authenticate(
  payload: Uint8Array,
  packet: ControlPacket,
  keys: readonly Key[],
  known: number | undefined,
  detectMult: number,
): Verdict {
  const section = packet.authentication;
  if (section === undefined) return { drop: 'auth-missing' };
  const ofType = keys.filter((key) => METHODS[key.type].code === section.type);
  if (ofType.length === 0) return { drop: 'auth-type' };
  const { keyId, sequence } = section;
  if (keyId === undefined || sequence === undefined) return { drop: 'auth-length' };
  const ofId = ofType.filter(({ id }) => id === keyId);
  const [first] = ofId;
  if (first === undefined) return { drop: 'auth-key' };
  const length = payload[3] ?? 0;
  if (section.length !== sectionOctets(first) || length !== MANDATORY_OCTETS + section.length) {
    return { drop: 'auth-length' };
  }
  // RFC 5880 §6.7.3 looks at the sequence number first; a forged packet could then set the first one that is believed.
  const bytes = payload.subarray(0, length);
  const told = bytes.subarray(MANDATORY_OCTETS + SECTION_HEADER_OCTETS);
  // while a key is exchanged, the old and the new one may have one id
  const key = ofId.find((each) => sameOctets(digest(bytes, each), told));
  if (key === undefined) return { drop: 'auth-digest' };
  if (known !== undefined) {
    // RFC 5880 §6.7.3, §6.7.4: known (meticulous: known + 1) to known + 3 × DetectMult, in circular 32-bit arithmetic. The
    // letter has this side's multiplier; with the greater one, a peer may lose as many packets as its own allows.
    const ahead = (sequence - known) >>> 0;
    const most = Math.min(3 * Math.max(detectMult, packet.detectMult), MOST_AHEAD);
    if (ahead < (isMeticulous(key) ? 1 : 0) || ahead > most) return { drop: 'auth-sequence' };
  }
  return { sequence };
}

/** Of the whole packet, with the zero-padded key where the digest stands. */
function digest(bytes: Uint8Array, key: Key): Uint8Array {
  const { hash, octets } = METHODS[key.type];
  const padded = new Uint8Array(octets);
  padded.set(key.secret.subarray(0, octets));
  return createHash(hash)
    .update(bytes.subarray(0, MANDATORY_OCTETS + SECTION_HEADER_OCTETS))
    .update(padded)
    .digest();
}

/** In a time that does not tell where the first difference is. */
function sameOctets(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let at = 0; at < a.length; at++) difference |= (a[at] ?? 0) ^ (b[at] ?? 0);
  return difference === 0;
}
