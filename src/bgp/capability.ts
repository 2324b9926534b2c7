// What an OPEN says of its sender's abilities (RFC 5492), one row a capability: code, name, decode, encode, and how a
// person reads it. What two OPENs have in common is in `negotiate`.

import type { Family } from '../net/address.ts';
import { AFI, familyName, familyOfCodes, SAFI_UNICAST } from './nlri.ts';

export interface Capabilities {
  /** The families of the multiprotocol capabilities that we know (RFC 4760); undefined when none was sent at all. */
  readonly families?: readonly Family[];
  readonly routeRefresh: boolean;
  readonly enhancedRouteRefresh: boolean;
  readonly extendedMessage: boolean;
  /** Wants no session before BFD is up (draft-ietf-idr-bgp-bfd-strict-mode). */
  readonly bfdStrict: boolean;
  /** IPv4 unicast NLRI with an IPv6 next hop (RFC 8950). */
  readonly extendedNextHop: boolean;
  /** RFC 6793: the AS number in four octets. */
  readonly fourOctetAs?: number;
  /** RFC 7911, what the sender of the OPEN is able to do. */
  readonly addPath: Readonly<Partial<Record<Family, 'receive' | 'send' | 'both'>>>;
  readonly gracefulRestart?: GracefulRestart;
  /** What we do not know or do not use, for display; also instances of known codes for families that we do not know. */
  readonly others: readonly UnknownCapability[];
}

export interface UnknownCapability {
  readonly code: number;
  readonly value: Uint8Array;
}

/** RFC 4724 §3 with the N bit of RFC 8538. */
export interface GracefulRestart {
  readonly restarted: boolean;
  readonly notification: boolean;
  readonly restartTimeSeconds: number;
  readonly families: readonly { readonly family: Family; readonly forwardingPreserved: boolean }[];
}

/** An OPEN without any capability: also where decoding starts. */
export const NO_CAPABILITIES: Capabilities = {
  routeRefresh: false,
  enhancedRouteRefresh: false,
  extendedMessage: false,
  bfdStrict: false,
  extendedNextHop: false,
  addPath: {},
  others: [],
};

type Draft = { -readonly [Field in keyof Capabilities]: Capabilities[Field] };

interface Row {
  readonly code: number;
  readonly name: string;
  /** False: the value is not what the capability's RFC allows; it is then ignored like an unknown one (RFC 5492 §3). */
  readonly decode: (value: Uint8Array, into: Draft) => boolean;
  /** The values of its instances, none when it is not announced. */
  readonly encode: (capabilities: Capabilities) => readonly (readonly number[])[];
  readonly describe: (capabilities: Capabilities) => readonly string[];
}

type Flag = 'routeRefresh' | 'enhancedRouteRefresh' | 'extendedMessage' | 'bfdStrict';

function flag(code: number, name: string, field: Flag): Row {
  return {
    code,
    name,
    decode: (value, into) => {
      if (value.length !== 0) return false;
      into[field] = true;
      return true;
    },
    encode: (capabilities) => (capabilities[field] ? [[]] : []),
    describe: (capabilities) => (capabilities[field] ? [name] : []),
  };
}

const u16 = (bytes: Uint8Array, at: number): number => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
const afiSafi = (family: Family): readonly number[] => [0, AFI[family], SAFI_UNICAST];
const FAMILIES: readonly Family[] = ['ipv4', 'ipv6'];
const ADD_PATH = ['receive', 'send', 'both'] as const;

/** Ascending by code: the order in which they are sent. */
const ROWS: readonly Row[] = [
  {
    code: 1,
    name: 'multiprotocol',
    decode: (value, into) => {
      if (value.length !== 4) return false;
      into.families ??= [];
      // RFC 4760 §8: the third octet is reserved and not looked at
      const family = familyOfCodes(u16(value, 0), value[3] ?? 0);
      if (family === undefined) into.others = [...into.others, { code: 1, value: value.slice() }];
      else if (!into.families.includes(family)) into.families = [...into.families, family];
      return true;
    },
    encode: ({ families = [] }) =>
      FAMILIES.filter((family) => families.includes(family)).map((family) => [0, AFI[family], 0, SAFI_UNICAST]),
    describe: ({ families = [] }) => families.map((family) => `multiprotocol ${familyName(family)}`),
  },
  flag(2, 'route-refresh', 'routeRefresh'),
  {
    code: 5,
    name: 'extended-next-hop',
    decode: (value, into) => {
      if (value.length % 6 !== 0) return false;
      for (let at = 0; at < value.length; at += 6) {
        // RFC 8950 §4: AFI, SAFI in two octets, AFI of the next hop
        if (u16(value, at) === 1 && u16(value, at + 2) === 1 && u16(value, at + 4) === 2) into.extendedNextHop = true;
      }
      return true;
    },
    encode: ({ extendedNextHop }) => (extendedNextHop ? [[0, 1, 0, 1, 0, 2]] : []),
    describe: ({ extendedNextHop }) => (extendedNextHop ? ['extended-next-hop ipv4-unicast over ipv6'] : []),
  },
  flag(6, 'extended-message', 'extendedMessage'),
  {
    code: 64,
    name: 'graceful-restart',
    decode: decodeGracefulRestart,
    encode: ({ gracefulRestart }) => (gracefulRestart === undefined ? [] : [encodeGracefulRestart(gracefulRestart)]),
    describe: ({ gracefulRestart }) =>
      gracefulRestart === undefined ? [] : [describeGracefulRestart(gracefulRestart)],
  },
  {
    code: 65,
    name: 'four-octet-as',
    decode: (value, into) => {
      if (value.length !== 4) return false;
      into.fourOctetAs = u16(value, 0) * 0x10000 + u16(value, 2);
      return true;
    },
    encode: ({ fourOctetAs: as }) =>
      as === undefined ? [] : [[as >>> 24, (as >>> 16) & 0xff, (as >>> 8) & 0xff, as & 0xff]],
    describe: ({ fourOctetAs }) => (fourOctetAs === undefined ? [] : [`four-octet-as ${fourOctetAs}`]),
  },
  {
    code: 69,
    name: 'add-path',
    decode: decodeAddPath,
    encode: ({ addPath }) => {
      const tuples = FAMILIES.flatMap((family) => {
        const mode = addPath[family];
        return mode === undefined ? [] : [...afiSafi(family), ADD_PATH.indexOf(mode) + 1];
      });
      return tuples.length === 0 ? [] : [tuples];
    },
    describe: ({ addPath }) =>
      FAMILIES.flatMap((family) =>
        addPath[family] === undefined ? [] : [`add-path ${familyName(family)} ${addPath[family]}`],
      ),
  },
  flag(70, 'enhanced-route-refresh', 'enhancedRouteRefresh'),
  flag(74, 'bfd-strict', 'bfdStrict'),
];

const BY_CODE = new Map(ROWS.map((row) => [row.code, row]));

/** Known by name alone: IANA "Capability Codes". */
const NAMES: Readonly<Record<number, string>> = {
  3: 'outbound-route-filtering',
  7: 'bgpsec',
  8: 'multiple-labels',
  9: 'role',
  67: 'dynamic-capability',
  68: 'multisession',
  71: 'long-lived-graceful-restart',
  73: 'fqdn',
  75: 'software-version',
  77: 'link-local-next-hop',
  128: 'route-refresh (before RFC 2918)',
};

function decodeGracefulRestart(value: Uint8Array, into: Draft): boolean {
  if (value.length < 2 || value.length % 4 !== 2) return false;
  const head = u16(value, 0);
  const families: { family: Family; forwardingPreserved: boolean }[] = [];
  for (let at = 2; at < value.length; at += 4) {
    const family = familyOfCodes(u16(value, at), value[at + 2] ?? 0);
    if (family === undefined) continue;
    families.push({ family, forwardingPreserved: ((value[at + 3] ?? 0) & 0x80) !== 0 });
  }
  // RFC 4724 §3: of several instances the last one counts
  into.gracefulRestart = {
    restarted: (head & 0x8000) !== 0,
    notification: (head & 0x4000) !== 0,
    restartTimeSeconds: head & 0x0fff,
    families,
  };
  return true;
}

function encodeGracefulRestart(restart: GracefulRestart): readonly number[] {
  const time = Math.min(restart.restartTimeSeconds, 0x0fff);
  const flags = (restart.restarted ? 0x80 : 0) | (restart.notification ? 0x40 : 0);
  const tuples = restart.families.flatMap(({ family, forwardingPreserved }) => [
    ...afiSafi(family),
    forwardingPreserved ? 0x80 : 0,
  ]);
  return [flags | (time >> 8), time & 0xff, ...tuples];
}

function describeGracefulRestart(restart: GracefulRestart): string {
  const words = [`graceful-restart ${restart.restartTimeSeconds}s`];
  if (restart.restarted) words.push('restarted');
  if (restart.notification) words.push('notification');
  for (const { family, forwardingPreserved } of restart.families) {
    words.push(`${familyName(family)}${forwardingPreserved ? ' (forwarding preserved)' : ''}`);
  }
  return words.join(' ');
}

function decodeAddPath(value: Uint8Array, into: Draft): boolean {
  if (value.length === 0 || value.length % 4 !== 0) return false;
  const addPath: Partial<Record<Family, 'receive' | 'send' | 'both'>> = {};
  const unknown: number[] = [];
  for (let at = 0; at < value.length; at += 4) {
    const mode = ADD_PATH[(value[at + 3] ?? 0) - 1];
    // RFC 7911 §4: any other value, and the whole capability is not understood
    if (mode === undefined) return false;
    const family = familyOfCodes(u16(value, at), value[at + 2] ?? 0);
    if (family === undefined) unknown.push(...value.subarray(at, at + 4));
    else addPath[family] = mode;
  }
  into.addPath = addPath;
  if (unknown.length > 0) into.others = [...into.others, { code: 69, value: Uint8Array.from(unknown) }];
  return true;
}

/**
 * Takes one capability into what was read so far; a new object. An unknown one, or a known one with a value that its RFC
 * does not allow, goes to `others`: unknown capabilities are never an error (RFC 5492 §3).
 */
export function addCapability(sofar: Capabilities, code: number, value: Uint8Array): Capabilities {
  const draft: Draft = { ...sofar };
  if (BY_CODE.get(code)?.decode(value, draft) === true) return draft;
  return { ...sofar, others: [...sofar.others, { code, value: value.slice() }] };
}

/** The capabilities as <code, length, value>, ascending by code. A value has at most 255 octets. */
export function encodeCapabilities(capabilities: Capabilities): Uint8Array {
  const known = ROWS.flatMap((row) => row.encode(capabilities).map((value) => ({ code: row.code, value })));
  // a stable sort: instances of one code stay in their order
  const all = [...known, ...capabilities.others].sort((a, b) => a.code - b.code);
  return Uint8Array.from(all.flatMap(({ code, value }) => [code, value.length, ...value]));
}

/** One line a capability, for state and people, ascending by code. */
export function describeCapabilities(capabilities: Capabilities): readonly string[] {
  const lines = ROWS.flatMap((row) => row.describe(capabilities).map((text) => ({ code: row.code, text })));
  const others = capabilities.others.map(({ code, value }) => ({ code, text: describeOther(code, value) }));
  return [...lines, ...others].sort((a, b) => a.code - b.code).map(({ text }) => text);
}

function describeOther(code: number, value: Uint8Array): string {
  const name = BY_CODE.get(code)?.name ?? NAMES[code] ?? `capability ${code}`;
  return value.length === 0 ? name : `${name} 0x${Buffer.from(value).toString('hex')}`;
}
