// The BFD Control packet (RFC 5880 §4.1) and its Authentication Section (§4.3, §4.4): octets to words and back, and the
// rules of reception that need nothing but the packet itself (§6.8.6). Called by `demultiplex` (in) and `session` (out).
// Intervals are microseconds on the wire and milliseconds here.

import { Parser } from 'binary-parser';

/** RFC 5880 §4.1, in the order of their numbers. */
export const SESSION_STATES = ['AdminDown', 'Down', 'Init', 'Up'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/** RFC 5880 §4.1: what each diagnostic code says; 9 is RFC 6428's. */
export const DIAGNOSTICS = [
  'No Diagnostic',
  'Control Detection Time Expired',
  'Echo Function Failed',
  'Neighbor Signaled Session Down',
  'Forwarding Plane Reset',
  'Path Down',
  'Concatenated Path Down',
  'Administratively Down',
  'Reverse Concatenated Path Down',
  'Mis-connectivity Defect',
] as const;

/** Name of a diagnostic code, 0-31. */
export function diagnosticName(code: number): string {
  return DIAGNOSTICS[code] ?? `Diagnostic ${code}`;
}

export interface ControlPacket {
  /** 0-31. */
  readonly diagnostic: number;
  readonly state: SessionState;
  readonly poll: boolean;
  readonly final: boolean;
  readonly controlPlaneIndependent: boolean;
  readonly demand: boolean;
  /** 1-255. */
  readonly detectMult: number;
  /** 32 bits; never 0 in a packet that was decoded. */
  readonly myDiscriminator: number;
  /** 0: the sender does not know it yet. */
  readonly yourDiscriminator: number;
  readonly desiredMinTxMs: number;
  /** 0: no periodic packets, please. */
  readonly requiredMinRxMs: number;
  /** 0: echo packets are not looped. */
  readonly requiredMinEchoRxMs: number;
  /** Present exactly when the A bit is set. */
  readonly authentication?: AuthenticationSection;
}

/** The section as it came. Of a type that is not keyed (2-5), or cut short, only type and length are known. */
export interface AuthenticationSection {
  readonly type: number;
  /** Auth Len: octets of the section by its own account. */
  readonly length: number;
  readonly keyId?: number;
  readonly sequence?: number;
}

/** Why a packet is discarded; each has a counter. In the order of RFC 5880 §6.8.6, sessions' own rules last. */
export const DROP_REASONS = [
  'version',
  'length',
  'detect-mult',
  'multipoint',
  'my-discriminator',
  /** Your Discriminator names no session of ours. */
  'your-discriminator',
  /** Your Discriminator is 0 in a packet that says neither Down nor AdminDown. */
  'zero-discriminator',
  /** Your Discriminator is 0 and no session runs over that path. */
  'no-session',
  /** RFC 5881 §5, RFC 5883 §5: TTL or hop limit below what the session asks for. */
  'ttl',
  'auth-unexpected',
  'auth-missing',
  'auth-type',
  'auth-key',
  'auth-length',
  'auth-digest',
  'auth-sequence',
  /** This side is administratively down: heard, and no more. */
  'admin-down',
  /** An echo that is not ours, not under way any more, or came twice. */
  'echo',
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/** Octets without an Authentication Section. */
export const MANDATORY_OCTETS = 24;
const AUTHENTICATED_OCTETS = 26;
/** Type, length, key id, reserved and sequence number; the digest follows (RFC 5880 §4.3, §4.4). */
export const SECTION_HEADER_OCTETS = 8;
const KEYED_TYPES = new Set([2, 3, 4, 5]);

interface MandatorySection {
  readonly version: number;
  readonly diagnostic: number;
  readonly state: number;
  readonly poll: number;
  readonly final: number;
  readonly controlPlaneIndependent: number;
  readonly authenticated: number;
  readonly demand: number;
  readonly multipoint: number;
  readonly detectMult: number;
  readonly length: number;
  readonly myDiscriminator: number;
  readonly yourDiscriminator: number;
  readonly desiredMinTx: number;
  readonly requiredMinRx: number;
  readonly requiredMinEchoRx: number;
}

const mandatorySection = new Parser()
  .endianness('big')
  .bit3('version')
  .bit5('diagnostic')
  .bit2('state')
  .bit1('poll')
  .bit1('final')
  .bit1('controlPlaneIndependent')
  .bit1('authenticated')
  .bit1('demand')
  .bit1('multipoint')
  .uint8('detectMult')
  .uint8('length')
  .uint32('myDiscriminator')
  .uint32('yourDiscriminator')
  .uint32('desiredMinTx')
  .uint32('requiredMinRx')
  .uint32('requiredMinEchoRx');

const keyedSectionHeader = new Parser()
  .endianness('big')
  .uint8('type')
  .uint8('length')
  .uint8('keyId')
  .uint8('reserved')
  .uint32('sequence');

export type Decoded = { readonly packet: ControlPacket } | { readonly drop: DropReason };

/** A UDP payload as a packet, or the first rule of RFC 5880 §6.8.6 that it breaks. What follows Length is ignored. */
export function decode(payload: Uint8Array): Decoded {
  const first = payload[0];
  if (first === undefined) return { drop: 'length' };
  if (first >> 5 !== 1) return { drop: 'version' };
  if (payload.length < MANDATORY_OCTETS) return { drop: 'length' };
  const fields: MandatorySection = mandatorySection.parse(payload.subarray(0, MANDATORY_OCTETS));
  const authenticated = fields.authenticated === 1;
  if (fields.length < (authenticated ? AUTHENTICATED_OCTETS : MANDATORY_OCTETS)) return { drop: 'length' };
  if (fields.length > payload.length) return { drop: 'length' };
  if (fields.detectMult === 0) return { drop: 'detect-mult' };
  if (fields.multipoint === 1) return { drop: 'multipoint' };
  if (fields.myDiscriminator === 0) return { drop: 'my-discriminator' };
  const packet: ControlPacket = {
    diagnostic: fields.diagnostic,
    state: SESSION_STATES[fields.state as 0 | 1 | 2 | 3],
    poll: fields.poll === 1,
    final: fields.final === 1,
    controlPlaneIndependent: fields.controlPlaneIndependent === 1,
    demand: fields.demand === 1,
    detectMult: fields.detectMult,
    myDiscriminator: fields.myDiscriminator,
    yourDiscriminator: fields.yourDiscriminator,
    desiredMinTxMs: fields.desiredMinTx / 1000,
    requiredMinRxMs: fields.requiredMinRx / 1000,
    requiredMinEchoRxMs: fields.requiredMinEchoRx / 1000,
  };
  if (!authenticated) return { packet };
  return { packet: { ...packet, authentication: readSection(payload.subarray(MANDATORY_OCTETS, fields.length)) } };
}

function readSection(section: Uint8Array): AuthenticationSection {
  const [type = 0, length = 0] = section;
  if (!KEYED_TYPES.has(type) || section.length < SECTION_HEADER_OCTETS) return { type, length };
  const header: { readonly keyId: number; readonly sequence: number } = keyedSectionHeader.parse(
    section.subarray(0, SECTION_HEADER_OCTETS),
  );
  return { type, length, keyId: header.keyId, sequence: header.sequence };
}

/** The packet in fresh octets. With `sectionOctets` the A bit is set and that much is left zero for `sign`. */
export function encode(packet: ControlPacket, sectionOctets = 0): Uint8Array {
  const bytes = new Uint8Array(MANDATORY_OCTETS + sectionOctets);
  const view = new DataView(bytes.buffer);
  bytes[0] = (1 << 5) | packet.diagnostic;
  bytes[1] =
    (SESSION_STATES.indexOf(packet.state) << 6) |
    (packet.poll ? 0x20 : 0) |
    (packet.final ? 0x10 : 0) |
    (packet.controlPlaneIndependent ? 0x08 : 0) |
    (sectionOctets > 0 ? 0x04 : 0) |
    (packet.demand ? 0x02 : 0);
  bytes[2] = packet.detectMult;
  bytes[3] = bytes.length;
  view.setUint32(4, packet.myDiscriminator);
  view.setUint32(8, packet.yourDiscriminator);
  view.setUint32(12, Math.round(packet.desiredMinTxMs * 1000));
  view.setUint32(16, Math.round(packet.requiredMinRxMs * 1000));
  view.setUint32(20, Math.round(packet.requiredMinEchoRxMs * 1000));
  return bytes;
}

/** Poll and Final bits in the packet's second octet. */
const POLL_AND_FINAL = 0x30;

/** Whether two packets say the same apart from Poll, Final and the Authentication Section (RFC 5880 §6.8.7). */
export function sameContents(a: Uint8Array, b: Uint8Array): boolean {
  for (let at = 0; at < MANDATORY_OCTETS; at++) {
    const mask = at === 1 ? ~POLL_AND_FINAL & 0xff : 0xff;
    if (((a[at] ?? 0) & mask) !== ((b[at] ?? 0) & mask)) return false;
  }
  return true;
}
