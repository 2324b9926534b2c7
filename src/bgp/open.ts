// OPEN (RFC 4271 §4.2) with its capabilities (RFC 5492), and optional parameters longer than 255 octets (RFC 9072). What
// can be checked without knowing the configuration is checked here (RFC 4271 §6.2, 6286, 7607), the rest by peer.

import { Parser } from 'binary-parser';
import { SmartBuffer } from 'smart-buffer';
import { type Ip, ipFromBytes } from '../net/address.ts';
import { Reader, Truncated } from '../net/bytes.ts';
import { AS_TRANS } from './as-path.ts';
import { addCapability, type Capabilities, encodeCapabilities, NO_CAPABILITIES } from './capability.ts';
import { frame, TYPE } from './frame.ts';
import { writeIp } from './nlri.ts';
import { CODE, Malformed, OPEN_ERROR } from './notification.ts';

/** RFC 4271 §4.2. */
export interface Open {
  /** The sender's AS: of the four-octet capability where there is one (RFC 6793). */
  readonly as: number;
  readonly holdTimeSeconds: number;
  readonly routerId: Ip;
  readonly capabilities: Capabilities;
}

const VERSION = 4;
const FIXED_LENGTH = 10;
const PARAMETER_CAPABILITIES = 2;
/** RFC 9072 §2: where a type stands, says that the extended format follows. */
const EXTENDED = 255;
const CAPABILITY_FOUR_OCTET_AS = 65;

interface Fixed {
  readonly version: number;
  readonly myAs: number;
  readonly holdTime: number;
  readonly bgpIdentifier: readonly number[];
  readonly parametersLength: number;
}

const fixedPart = new Parser()
  .endianness('big')
  .uint8('version')
  .uint16('myAs')
  .uint16('holdTime')
  .array('bgpIdentifier', { type: 'uint8', length: 4 })
  .uint8('parametersLength');

/** The body of an OPEN, of at least 10 octets. Throws Malformed. */
export function decodeOpen(body: Uint8Array): Open {
  const fixed: Fixed = fixedPart.parse(body.subarray(0, FIXED_LENGTH));
  if (fixed.version !== VERSION) {
    // RFC 4271 §6.2: the data are the largest version that we support
    const data = Uint8Array.of(0, VERSION);
    throw new Malformed(CODE.open, OPEN_ERROR.unsupportedVersion, `version ${fixed.version} is not 4`, data);
  }
  const capabilities = decodeParameters(body.subarray(FIXED_LENGTH), fixed.parametersLength);
  const as = capabilities.fourOctetAs ?? fixed.myAs;
  // RFC 7607 §2: AS 0 in either place
  if (as === 0 || fixed.myAs === 0) throw openError(OPEN_ERROR.badPeerAs, 'AS 0 is no AS number');
  if (fixed.holdTime === 1 || fixed.holdTime === 2) {
    throw openError(
      OPEN_ERROR.unacceptableHoldTime,
      `a hold time of ${fixed.holdTime} s is neither 0 nor at least 3 s`,
    );
  }
  // RFC 6286 §2.1: any identifier but 0 is valid
  if (fixed.bgpIdentifier.every((octet) => octet === 0)) {
    throw openError(OPEN_ERROR.badBgpIdentifier, 'the BGP identifier is 0.0.0.0');
  }
  const routerId = ipFromBytes(Uint8Array.from(fixed.bgpIdentifier));
  return { as, holdTimeSeconds: fixed.holdTime, routerId, capabilities };
}

function openError(subcode: number, text: string): Malformed {
  return new Malformed(CODE.open, subcode, text);
}

function decodeParameters(bytes: Uint8Array, claimed: number): Capabilities {
  const reader = new Reader(bytes);
  try {
    // RFC 9072 §2: the length octet is not looked at when the extended format follows
    const extended = claimed !== 0 && bytes[0] === EXTENDED;
    if (extended) reader.u8();
    const length = extended ? reader.u16() : claimed;
    if (length !== reader.left) {
      const text = `optional parameters claim ${length} octets and have ${reader.left}`;
      throw openError(OPEN_ERROR.unspecific, text);
    }
    let capabilities = NO_CAPABILITIES;
    while (reader.left > 0) {
      const type = reader.u8();
      const value = reader.sub(extended ? reader.u16() : reader.u8());
      if (type !== PARAMETER_CAPABILITIES) {
        throw openError(OPEN_ERROR.unsupportedParameter, `optional parameter ${type} is not supported`);
      }
      capabilities = decodeCapabilities(value, capabilities);
    }
    return capabilities;
  } catch (error) {
    if (!(error instanceof Truncated)) throw error;
    throw openError(OPEN_ERROR.unspecific, `an optional parameter or capability passes its end: ${error.message}`);
  }
}

function decodeCapabilities(reader: Reader, before: Capabilities): Capabilities {
  let capabilities = before;
  while (reader.left > 0) {
    const code = reader.u8();
    const value = reader.take(reader.u8());
    if (code === CAPABILITY_FOUR_OCTET_AS && value.length !== 4) {
      throw openError(OPEN_ERROR.unspecific, `the four-octet AS capability has ${value.length} octets, not 4`);
    }
    capabilities = addCapability(capabilities, code, value);
  }
  return capabilities;
}

/** A whole OPEN: one parameter holds all capabilities, in the format of RFC 9072 only when they need more than 255 octets. */
export function encodeOpen(open: Open): Uint8Array {
  const capabilities = encodeCapabilities(open.capabilities);
  const identifier = Buffer.alloc(4);
  writeIp(identifier, 0, open.routerId);
  const body = SmartBuffer.fromSize(FIXED_LENGTH + 6 + capabilities.length)
    .writeUInt8(VERSION)
    .writeUInt16BE(open.as > 0xffff ? AS_TRANS : open.as)
    .writeUInt16BE(open.holdTimeSeconds)
    .writeBuffer(identifier);
  if (capabilities.length === 0) body.writeUInt8(0);
  else if (capabilities.length <= 255 - 2) {
    body
      .writeUInt8(capabilities.length + 2)
      .writeUInt8(PARAMETER_CAPABILITIES)
      .writeUInt8(capabilities.length);
  } else {
    body
      .writeUInt8(EXTENDED)
      .writeUInt8(EXTENDED)
      .writeUInt16BE(capabilities.length + 3)
      .writeUInt8(PARAMETER_CAPABILITIES)
      .writeUInt16BE(capabilities.length);
  }
  return frame(TYPE.open, body.writeBuffer(Buffer.from(capabilities)).toBuffer());
}
