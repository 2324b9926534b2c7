// Path attributes, one row an attribute: code, flags, what a malformed one costs by RFC 7606, decode, encode. Called by
// walk, which reads what arrived, and by pack, which writes. MP_REACH_NLRI and MP_UNREACH_NLRI have no row: they hold
// routes, and are those two files' own. RFC 4271 §5, 1997, 4360, 4456, 5701, 6793, 7606 §7, 7607, 8092, 9774.

import { type Ip, ipFromBytes } from '../net/address.ts';
import {
  AS_TRANS,
  checkSegments,
  decodeSegments,
  encodeSegments,
  needsFourOctets,
  withoutConfederation,
} from './as-path.ts';
import { type Aggregator, ATTRIBUTE, FLAG, type Octets, type Origin, type Row } from './attribute.ts';
import { extendedCommunityFromBytes, type LargeCommunity } from './community.ts';
import type { Flaw } from './fault.ts';
import type { Negotiated } from './negotiate.ts';
import { writeIp } from './nlri.ts';
import { UPDATE_ERROR } from './notification.ts';

const WELL_KNOWN = FLAG.transitive;
const OPTIONAL = FLAG.optional;
const OPTIONAL_TRANSITIVE = FLAG.optional | FLAG.transitive;

const ORIGINS: readonly Origin[] = ['igp', 'egp', 'incomplete'];

const ORIGIN_VALUE: Flaw = {
  rule: 'origin-value',
  subcode: UPDATE_ERROR.invalidOrigin,
  text: 'ORIGIN is not 0, 1 or 2',
};

function lengthFlaw(label: string, name: string, wanted: string): Flaw {
  return { rule: `${label}-length`, subcode: UPDATE_ERROR.attributeLength, text: `${name} must have ${wanted} octets` };
}

const ORIGIN_LENGTH = lengthFlaw('origin', 'ORIGIN', '1');

type Common = Pick<Row, 'code' | 'name' | 'label' | 'flags' | 'malformed'> & Pick<Partial<Row>, 'onlyFrom'>;

/** A row whose value has exactly this many octets. */
function fixed(common: Common, length: number, rest: Pick<Row, 'decode' | 'encode'>): Row {
  const flaw = lengthFlaw(common.label, common.name, String(length));
  return { ...common, ...rest, check: (_bytes, at, end) => (end - at === length ? undefined : flaw) };
}

/** A row whose value is a list of at least one item of this many octets. */
function list(common: Common, size: number, rest: Pick<Row, 'decode' | 'encode'>): Row {
  const flaw = lengthFlaw(common.label, common.name, `a multiple of ${size}, at least ${size},`);
  const check: Row['check'] = (_bytes, at, end) => (end > at && (end - at) % size === 0 ? undefined : flaw);
  return { ...common, ...rest, check };
}

const u32 = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
const octetsOf = (n: number): readonly number[] => [n >>> 24, (n >>> 16) & 0xff, (n >>> 8) & 0xff, n & 0xff];
const widthOf = (negotiated: Negotiated): 2 | 4 => (negotiated.fourOctetAs ? 4 : 2);

function addressOctets(addresses: readonly Ip[]): Uint8Array {
  const octets = new Uint8Array(4 * addresses.length);
  addresses.forEach((address, i) => writeIp(octets, 4 * i, address));
  return octets;
}

/** Items of `size` octets, as `read` sees them. */
function items<T>(value: Uint8Array, size: number, read: (at: number) => T): T[] {
  return Array.from({ length: value.length / size }, (_, i) => read(i * size));
}

const compareLarge = (a: LargeCommunity, b: LargeCommunity): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2];

const AS_PATH_FLAWS: Readonly<Record<string, Flaw>> = {
  structure: flawOfPath('as-path-structure', 'the segments of AS_PATH do not fit its length, or have an unknown type'),
  zero: flawOfPath('as-path-zero', 'AS_PATH holds AS 0 (RFC 7607)'),
  set: flawOfPath('as-path-set', 'AS_PATH holds an AS_SET or AS_CONFED_SET (RFC 9774)'),
  confederation: flawOfPath('as-path-confederation', 'AS_PATH holds a confederation segment (RFC 5065)'),
};

function flawOfPath(rule: string, text: string): Flaw {
  return { rule, subcode: UPDATE_ERROR.malformedAsPath, text };
}

const AS4_PATH_STRUCTURE: Flaw = {
  rule: 'as4-path-structure',
  subcode: UPDATE_ERROR.optionalAttribute,
  text: 'the segments of AS4_PATH do not fit its length, or have an unknown type',
};
const AS4_PATH_ZERO: Flaw = {
  rule: 'as4-path-zero',
  subcode: UPDATE_ERROR.optionalAttribute,
  text: 'AS4_PATH holds AS 0 (RFC 7607)',
};
const AS4_PATH_SET: Flaw = {
  ...flawOfPath('as4-path-set', 'AS4_PATH holds an AS_SET (RFC 9774)'),
  verdict: 'treat-as-withdraw',
};

function checkAs4Path(bytes: Uint8Array, at: number, end: number): Flaw | undefined {
  // RFC 6793 §6: one segment of one AS is the least
  if (end - at < 6) return AS4_PATH_STRUCTURE;
  switch (checkSegments(bytes, at, end, 4)) {
    case 'structure':
      return AS4_PATH_STRUCTURE;
    case 'zero':
      return AS4_PATH_ZERO;
    case 'set':
      return AS4_PATH_SET;
    default:
      return undefined;
  }
}

function aggregatorFlaws(label: string, name: string): { readonly length: Flaw; readonly zero: Flaw } {
  const subcode = UPDATE_ERROR.optionalAttribute;
  return {
    length: lengthFlaw(label, name, '8, or 6 from a two-octet speaker,'),
    zero: { rule: `${label}-zero`, subcode, text: `${name} names AS 0 (RFC 7607)` },
  };
}

function checkAggregator(
  flaws: ReturnType<typeof aggregatorFlaws>,
  bytes: Uint8Array,
  at: number,
  end: number,
  width: 2 | 4,
): Flaw | undefined {
  if (end - at !== width + 4) return flaws.length;
  for (let i = at; i < at + width; i++) if (bytes[i] !== 0) return undefined;
  return flaws.zero;
}

const AGGREGATOR_FLAWS = aggregatorFlaws('aggregator', 'AGGREGATOR');
const AS4_AGGREGATOR_FLAWS = aggregatorFlaws('as4-aggregator', 'AS4_AGGREGATOR');

function decodeAggregator(value: Uint8Array, width: 2 | 4): Aggregator {
  const as = width === 4 ? u32(value, 0) : ((value[0] ?? 0) << 8) | (value[1] ?? 0);
  return { as, address: ipFromBytes(value.subarray(width)) };
}

function encodeAggregator({ as, address }: Aggregator, width: 2 | 4): Octets {
  const shown = width === 2 && as > 0xffff ? AS_TRANS : as;
  return [...octetsOf(shown).slice(4 - width), ...addressOctets([address])];
}

/** Ascending by code: the order in which they are sent (RFC 4271 §5). */
export const ROWS: readonly Row[] = [
  {
    code: ATTRIBUTE.origin,
    name: 'ORIGIN',
    label: 'origin',
    flags: WELL_KNOWN,
    malformed: 'treat-as-withdraw',
    check: (bytes, at, end) => {
      if (end - at !== 1) return ORIGIN_LENGTH;
      return (bytes[at] as number) > 2 ? ORIGIN_VALUE : undefined;
    },
    decode: (value, into) => {
      into.origin = ORIGINS[value[0] ?? 2] ?? 'incomplete';
    },
    encode: ({ origin }) => [ORIGINS.indexOf(origin)],
  },
  {
    code: ATTRIBUTE.asPath,
    name: 'AS_PATH',
    label: 'as-path',
    flags: WELL_KNOWN,
    malformed: 'treat-as-withdraw',
    check: (bytes, at, end, negotiated) => AS_PATH_FLAWS[checkSegments(bytes, at, end, widthOf(negotiated))],
    decode: (value, into, negotiated) => {
      into.asPath = decodeSegments(value, widthOf(negotiated));
    },
    encode: ({ asPath }, negotiated) => encodeSegments(asPath, widthOf(negotiated)),
  },
  fixed(
    { code: ATTRIBUTE.nextHop, name: 'NEXT_HOP', label: 'next-hop', flags: WELL_KNOWN, malformed: 'treat-as-withdraw' },
    4,
    {
      decode: (value, into) => {
        into.nextHop = ipFromBytes(value);
      },
      // an IPv6 next hop goes with MP_REACH_NLRI
      encode: ({ nextHop }) => (nextHop === undefined || nextHop.includes(':') ? undefined : addressOctets([nextHop])),
    },
  ),
  fixed({ code: 4, name: 'MULTI_EXIT_DISC', label: 'med', flags: OPTIONAL, malformed: 'treat-as-withdraw' }, 4, {
    decode: (value, into) => {
      into.med = u32(value, 0);
    },
    encode: ({ med }) => (med === undefined ? undefined : octetsOf(med)),
  }),
  fixed(
    {
      code: ATTRIBUTE.localPref,
      name: 'LOCAL_PREF',
      label: 'local-pref',
      flags: WELL_KNOWN,
      malformed: 'treat-as-withdraw',
      onlyFrom: 'internal',
    },
    4,
    {
      decode: (value, into) => {
        into.localPref = u32(value, 0);
      },
      encode: ({ localPref }) => (localPref === undefined ? undefined : octetsOf(localPref)),
    },
  ),
  fixed(
    { code: 6, name: 'ATOMIC_AGGREGATE', label: 'atomic-aggregate', flags: WELL_KNOWN, malformed: 'attribute-discard' },
    0,
    {
      decode: (_value, into) => {
        into.atomicAggregate = true;
      },
      encode: ({ atomicAggregate }) => (atomicAggregate === true ? [] : undefined),
    },
  ),
  {
    code: 7,
    name: 'AGGREGATOR',
    label: 'aggregator',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'attribute-discard',
    check: (bytes, at, end, negotiated) => checkAggregator(AGGREGATOR_FLAWS, bytes, at, end, widthOf(negotiated)),
    decode: (value, into, negotiated) => {
      into.aggregator = decodeAggregator(value, widthOf(negotiated));
    },
    encode: ({ aggregator }, negotiated) =>
      aggregator === undefined ? undefined : encodeAggregator(aggregator, widthOf(negotiated)),
  },
  list(
    { code: 8, name: 'COMMUNITIES', label: 'communities', flags: OPTIONAL_TRANSITIVE, malformed: 'treat-as-withdraw' },
    4,
    {
      decode: (value, into) => {
        into.communities = [...new Set(items(value, 4, (at) => u32(value, at)))].sort((a, b) => a - b);
      },
      encode: ({ communities }) => (communities.length === 0 ? undefined : communities.flatMap(octetsOf)),
    },
  ),
  fixed(
    {
      code: 9,
      name: 'ORIGINATOR_ID',
      label: 'originator-id',
      flags: OPTIONAL,
      malformed: 'treat-as-withdraw',
      onlyFrom: 'internal',
    },
    4,
    {
      decode: (value, into) => {
        into.originatorId = ipFromBytes(value);
      },
      encode: ({ originatorId }) => (originatorId === undefined ? undefined : addressOctets([originatorId])),
    },
  ),
  list(
    {
      code: 10,
      name: 'CLUSTER_LIST',
      label: 'cluster-list',
      flags: OPTIONAL,
      malformed: 'treat-as-withdraw',
      onlyFrom: 'internal',
    },
    4,
    {
      decode: (value, into) => {
        into.clusterList = items(value, 4, (at) => ipFromBytes(value.subarray(at, at + 4)));
      },
      encode: ({ clusterList = [] }) => (clusterList.length === 0 ? undefined : addressOctets(clusterList)),
    },
  ),
  list(
    {
      code: 16,
      name: 'EXTENDED COMMUNITIES',
      label: 'extended-communities',
      flags: OPTIONAL_TRANSITIVE,
      malformed: 'treat-as-withdraw',
    },
    8,
    {
      decode: (value, into) => {
        const all = items(value, 8, (at) => extendedCommunityFromBytes(value.subarray(at, at + 8)));
        into.extendedCommunities = [...new Set(all)].sort();
      },
      encode: ({ extendedCommunities: all }) => (all.length === 0 ? undefined : Buffer.from(all.join(''), 'hex')),
    },
  ),
  {
    code: 17,
    name: 'AS4_PATH',
    label: 'as4-path',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'attribute-discard',
    onlyFrom: 'old-speaker',
    check: checkAs4Path,
    decode: (value, into) => {
      into.as4Path = withoutConfederation(decodeSegments(value, 4));
    },
    encode: ({ asPath }, { fourOctetAs }) =>
      fourOctetAs || !needsFourOctets(asPath) ? undefined : encodeSegments(withoutConfederation(asPath), 4),
  },
  {
    code: 18,
    name: 'AS4_AGGREGATOR',
    label: 'as4-aggregator',
    flags: OPTIONAL_TRANSITIVE,
    malformed: 'attribute-discard',
    onlyFrom: 'old-speaker',
    check: (bytes, at, end) => checkAggregator(AS4_AGGREGATOR_FLAWS, bytes, at, end, 4),
    decode: (value, into) => {
      into.as4Aggregator = decodeAggregator(value, 4);
    },
    encode: ({ aggregator }, { fourOctetAs }) =>
      fourOctetAs || aggregator === undefined || aggregator.as <= 0xffff ? undefined : encodeAggregator(aggregator, 4),
  },
  list(
    {
      code: 25,
      name: 'IPv6 EXTENDED COMMUNITIES',
      label: 'ipv6-extended-communities',
      flags: OPTIONAL_TRANSITIVE,
      malformed: 'treat-as-withdraw',
    },
    20,
    {
      decode: (value, into, _negotiated, flags) => {
        into.others = [...(into.others ?? []), { code: 25, flags: flags & ~FLAG.extendedLength, value: value.slice() }];
      },
      // among the path's `others`
      encode: () => undefined,
    },
  ),
  list(
    {
      code: 32,
      name: 'LARGE_COMMUNITY',
      label: 'large-communities',
      flags: OPTIONAL_TRANSITIVE,
      malformed: 'treat-as-withdraw',
    },
    12,
    {
      decode: (value, into) => {
        const all = items(value, 12, (at): LargeCommunity => [u32(value, at), u32(value, at + 4), u32(value, at + 8)]);
        const sorted = all.sort(compareLarge);
        into.largeCommunities = sorted.filter(
          (community, i) => i === 0 || compareLarge(community, sorted[i - 1] ?? community) !== 0,
        );
      },
      encode: ({ largeCommunities: all }) =>
        all.length === 0 ? undefined : all.flatMap((community) => community.flatMap(octetsOf)),
    },
  ),
];

/** The row of a code; undefined for what we do not interpret. */
export const ROW_BY_CODE: readonly (Row | undefined)[] = Array.from({ length: 256 }, (_, code) =>
  ROWS.find((row) => row.code === code),
);
