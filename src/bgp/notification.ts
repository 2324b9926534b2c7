// NOTIFICATION codes, their data and their names (RFC 4271 §4.5 and §6, 4486, 6608, 7313, 8538, 9003, 9384, 9687).
// Called by the codec, which finds faults, by the FSM, which sends them, and by whoever prints them.

/** RFC 4271 §4.5. `data` is what the code's rule demands, empty where it demands none. */
export interface Notification {
  readonly code: number;
  readonly subcode: number;
  readonly data: Uint8Array;
}

/** Octets that broke a rule: what the peer is told, and the rule in words for logs and state. */
export interface Malformation {
  readonly is: 'malformed';
  readonly notification: Notification;
  readonly text: string;
}

/** Thrown by whoever finds the fault, caught only where a codec ends. */
export class Malformed extends Error {
  readonly notification: Notification;

  constructor(code: number, subcode: number, text: string, data: Uint8Array = NO_DATA) {
    super(text);
    this.notification = { code, subcode, data };
  }
}

const NO_DATA = new Uint8Array();

export const CODE = {
  header: 1,
  open: 2,
  update: 3,
  holdTimerExpired: 4,
  fsm: 5,
  cease: 6,
  routeRefresh: 7,
  sendHoldTimerExpired: 8,
} as const;

export const HEADER_ERROR = { notSynchronized: 1, badLength: 2, badType: 3 } as const;

export const OPEN_ERROR = {
  unspecific: 0,
  unsupportedVersion: 1,
  badPeerAs: 2,
  badBgpIdentifier: 3,
  unsupportedParameter: 4,
  unacceptableHoldTime: 6,
  unsupportedCapability: 7,
  roleMismatch: 11,
} as const;

export const UPDATE_ERROR = {
  malformedAttributeList: 1,
  unrecognizedWellKnown: 2,
  missingWellKnown: 3,
  attributeFlags: 4,
  attributeLength: 5,
  invalidOrigin: 6,
  invalidNextHop: 8,
  optionalAttribute: 9,
  invalidNetworkField: 10,
  malformedAsPath: 11,
} as const;

/** RFC 6608: the data is the type octet of the message that was not expected. */
export const FSM_ERROR = { unspecific: 0, inOpenSent: 1, inOpenConfirm: 2, inEstablished: 3 } as const;

export const CEASE = {
  maximumPrefixes: 1,
  administrativeShutdown: 2,
  peerDeconfigured: 3,
  administrativeReset: 4,
  connectionRejected: 5,
  otherConfigurationChange: 6,
  connectionCollision: 7,
  outOfResources: 8,
  hardReset: 9,
  bfdDown: 10,
} as const;

export const ROUTE_REFRESH_ERROR = { invalidMessageLength: 1 } as const;

// names of the IANA registry "BGP Error (Notification) Codes"
const NAMES: Readonly<Record<number, { readonly name: string; readonly subcodes: Readonly<Record<number, string>> }>> =
  {
    1: {
      name: 'Message Header Error',
      subcodes: { 1: 'Connection Not Synchronized', 2: 'Bad Message Length', 3: 'Bad Message Type' },
    },
    2: {
      name: 'OPEN Message Error',
      subcodes: {
        1: 'Unsupported Version Number',
        2: 'Bad Peer AS',
        3: 'Bad BGP Identifier',
        4: 'Unsupported Optional Parameter',
        5: 'Authentication Failure',
        6: 'Unacceptable Hold Time',
        7: 'Unsupported Capability',
        11: 'Role Mismatch',
      },
    },
    3: {
      name: 'UPDATE Message Error',
      subcodes: {
        1: 'Malformed Attribute List',
        2: 'Unrecognized Well-known Attribute',
        3: 'Missing Well-known Attribute',
        4: 'Attribute Flags Error',
        5: 'Attribute Length Error',
        6: 'Invalid ORIGIN Attribute',
        7: 'AS Routing Loop',
        8: 'Invalid NEXT_HOP Attribute',
        9: 'Optional Attribute Error',
        10: 'Invalid Network Field',
        11: 'Malformed AS_PATH',
      },
    },
    4: { name: 'Hold Timer Expired', subcodes: {} },
    5: {
      name: 'Finite State Machine Error',
      subcodes: {
        1: 'Receive Unexpected Message in OpenSent State',
        2: 'Receive Unexpected Message in OpenConfirm State',
        3: 'Receive Unexpected Message in Established State',
      },
    },
    6: {
      name: 'Cease',
      subcodes: {
        1: 'Maximum Number of Prefixes Reached',
        2: 'Administrative Shutdown',
        3: 'Peer De-configured',
        4: 'Administrative Reset',
        5: 'Connection Rejected',
        6: 'Other Configuration Change',
        7: 'Connection Collision Resolution',
        8: 'Out of Resources',
        9: 'Hard Reset',
        10: 'BFD Down',
      },
    },
    7: { name: 'ROUTE-REFRESH Message Error', subcodes: { 1: 'Invalid Message Length' } },
    8: { name: 'Send Hold Timer Expired', subcodes: {} },
  };

/** A NOTIFICATION without data unless some are given. */
export function notification(code: number, subcode = 0, data: Uint8Array = NO_DATA): Notification {
  return { code, subcode, data };
}

/** `6/2 Cease, Administrative Shutdown`; what is not registered stays a number. A Hard Reset names what it wraps. */
export function describeNotification(n: Notification): string {
  const inner = unwrapHardReset(n);
  // one level: a peer may wrap as often as a message has room
  return inner === undefined ? registeredName(n) : `${registeredName(n)} (${registeredName(inner)})`;
}

function registeredName({ code, subcode }: Notification): string {
  const known = NAMES[code];
  const name = known?.name ?? `code ${code}`;
  const subname = known?.subcodes[subcode] ?? (subcode === 0 ? undefined : `subcode ${subcode}`);
  return `${code}/${subcode} ${name}${subname === undefined ? '' : `, ${subname}`}`;
}

/**
 * Cease with a reason for people (RFC 9003): one length octet and UTF-8. The text is cut at a code point so that it fits
 * in `most` octets: 128 are understood by receivers that only know RFC 8203, 255 by all others. No text, no data.
 */
export function shutdownNotification(subcode: number, text = '', most = 128): Notification {
  const utf8 = new TextEncoder().encode(text);
  let length = Math.min(utf8.length, most, 255);
  // 0b10xxxxxx continues a code point: cutting before it would leave half of one
  while (length > 0 && length < utf8.length && ((utf8[length] ?? 0) & 0xc0) === 0x80) length--;
  if (length === 0) return notification(CODE.cease, subcode);
  const data = new Uint8Array(1 + length);
  data[0] = length;
  data.set(utf8.subarray(0, length), 1);
  return notification(CODE.cease, subcode, data);
}

/**
 * What the peer says of its shutdown or reset, fit for one line of a log; undefined when it says nothing. RFC 9003 §4:
 * bytes are never trusted to be UTF-8 or to be as long as they claim; such data are shown in hexadecimal.
 */
export function shutdownText(n: Notification): string | undefined {
  const cease = unwrapHardReset(n) ?? n;
  const speaks = cease.subcode === CEASE.administrativeShutdown || cease.subcode === CEASE.administrativeReset;
  if (cease.code !== CODE.cease || !speaks || cease.data.length === 0 || cease.data[0] === 0) return undefined;
  const text = cease.data.subarray(1);
  if (text.length !== cease.data[0]) return hex(cease.data);
  try {
    return escapeControls(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(text));
  } catch {
    return hex(cease.data);
  }
}

/** RFC 8538 §3: a Cease that ends graceful restart too; the reason rides inside. */
export function hardReset(inner: Notification): Notification {
  return notification(CODE.cease, CEASE.hardReset, Uint8Array.of(inner.code, inner.subcode, ...inner.data));
}

/** The NOTIFICATION inside a Hard Reset; undefined for any other, or when it holds none. */
export function unwrapHardReset(n: Notification): Notification | undefined {
  if (n.code !== CODE.cease || n.subcode !== CEASE.hardReset) return undefined;
  const [code, subcode] = n.data;
  if (code === undefined || subcode === undefined) return undefined;
  return notification(code, subcode, n.data.subarray(2));
}

function hex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString('hex')}`;
}

// controls, line and paragraph separators, and marks that change the direction or hide: none may reach a terminal
function escapeControls(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu,
    (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
