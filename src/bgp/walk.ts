// The walk over the octets of one UPDATE by the procedure of RFC 7606: it finds the fields that hold routes and all that
// is wrong, and reads attributes only when they are kept. Called by update, which applies the verdict.

import { bitsOf, type Family } from '../net/address.ts';
import { ATTRIBUTE, FLAG, type PathDraft, type Row } from './attribute.ts';
import { ROW_BY_CODE } from './attribute-table.ts';
import { type Flaw, type UpdateFault, updateFault } from './fault.ts';
import type { Negotiated } from './negotiate.ts';
import { countNlri, familyOfCodes, TOO_LONG } from './nlri.ts';
import { UPDATE_ERROR } from './notification.ts';

/** NLRI of one family in one field of the message. */
export interface Field {
  readonly family: Family;
  readonly from: number;
  readonly end: number;
  readonly count: number;
  /** Of MP_REACH_NLRI. */
  readonly nextHop?: { readonly at: number; readonly length: number };
}

/** What a walk has found so far. */
export interface Walk {
  /** The body of the UPDATE. */
  readonly bytes: Uint8Array;
  readonly negotiated: Negotiated;
  /** One a rule: the first. */
  readonly faults: UpdateFault[];
  readonly announced: Field[];
  readonly withdrawn: Field[];
  /** Attribute codes that were met: those below 32 as bits, the others as they came. */
  seen: number;
  readonly seenHigh: number[];
  /** Attributes in all. */
  attributes: number;
  /** RFC 7606 §5.2: there are NLRI that announce something, of whatever family and however broken. */
  reachable: boolean;
  /** Only when kept. */
  readonly draft: PathDraft | undefined;
}

/** One attribute: its header is at `at`, its value from `value` to `end`. */
interface Attribute {
  readonly flags: number;
  readonly code: number;
  readonly at: number;
  readonly value: number;
  readonly end: number;
}

export function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

function add(walk: Walk, fault: UpdateFault | undefined): void {
  if (fault !== undefined && !walk.faults.some(({ rule }) => rule === fault.rule)) walk.faults.push(fault);
}

/** `withdrawn` or `nlri` of RFC 4271 §4.3: the fields outside the attributes, IPv4 unicast. */
export function walkClassic(walk: Walk, what: 'withdrawn' | 'nlri', from: number, end: number): void {
  if (from === end) return;
  const { bytes, negotiated } = walk;
  if (what === 'nlri') walk.reachable = true;
  const count = countNlri(bytes, from, end, 32, negotiated.addPathReceive.ipv4);
  if (count < 0) {
    // RFC 7606 §5.3: without these boundaries nothing of the message can be trusted
    add(walk, updateFault('session-reset', brokenNlri(what, count, UPDATE_ERROR.invalidNetworkField)));
  } else if (!negotiated.families.includes('ipv4')) add(walk, notNegotiated(1, 1));
  else (what === 'nlri' ? walk.announced : walk.withdrawn).push({ family: 'ipv4', from, end, count });
}

function brokenNlri(label: string, count: number, subcode: number): Flaw {
  return count === TOO_LONG
    ? { rule: `${label}-prefix-length`, subcode, text: 'a prefix is longer than its family allows' }
    : { rule: `${label}-overrun`, subcode, text: 'a prefix passes the end of its field' };
}

function notNegotiated(afi: number, safi: number): UpdateFault {
  const text = `routes of AFI ${afi} SAFI ${safi}, which was not negotiated`;
  return updateFault('attribute-discard', {
    rule: 'family-not-negotiated',
    subcode: UPDATE_ERROR.optionalAttribute,
    text,
  });
}

/** The path attributes, all of them, whatever is wrong with one. */
export function walkAttributes(walk: Walk, from: number, end: number): void {
  const { bytes } = walk;
  let at = from;
  while (at < end) {
    const flags = bytes[at] as number;
    const head = (flags & FLAG.extendedLength) === 0 ? 3 : 4;
    const value = at + head;
    const length = value > end ? 0 : head === 3 ? (bytes[at + 2] as number) : u16(bytes, at + 2);
    const next = value + length;
    if (next > end) {
      // RFC 7606 §4: the end of the attributes is known from the outer length, so that NLRI can still be withdrawn
      const text = 'the last path attribute passes the end of the attributes';
      const flaw = { rule: 'attribute-overrun', subcode: UPDATE_ERROR.malformedAttributeList, text };
      add(walk, updateFault('treat-as-withdraw', flaw));
      return;
    }
    walk.attributes++;
    add(walk, walkAttribute(walk, { flags, code: bytes[at + 1] as number, at, value, end: next }));
    at = next;
  }
}

function walkAttribute(walk: Walk, attribute: Attribute): UpdateFault | undefined {
  const { code, flags, value, end } = attribute;
  if (isRepeated(walk, code)) return repeated(code);
  if (code === ATTRIBUTE.mpReachNlri) return walkReach(walk, attribute);
  if (code === ATTRIBUTE.mpUnreachNlri) return walkUnreach(walk, attribute);
  const row = ROW_BY_CODE[code];
  if (row === undefined) return walkUnknown(walk, attribute);
  const { bytes, negotiated, draft } = walk;
  if (row.onlyFrom !== undefined && !isFrom(row.onlyFrom, negotiated)) {
    // RFC 7606 §7.5, 7.9, 7.10; RFC 6793 §4.1
    const text = `${row.name} is not for this kind of session`;
    const flaw = { rule: `${row.label}-not-expected`, subcode: UPDATE_ERROR.optionalAttribute, text };
    return updateFault('attribute-discard', flaw);
  }
  if (((flags ^ row.flags) & (FLAG.optional | FLAG.transitive)) !== 0) {
    // RFC 7606 §3 (c); the Partial bit and the four unused ones are never an error
    return updateFault('treat-as-withdraw', flagsFlaw(row.label, row.name, flags), copy(walk, attribute));
  }
  const flaw = row.check(bytes, value, end, negotiated);
  if (flaw === undefined) {
    if (draft !== undefined) row.decode(bytes.subarray(value, end), draft, negotiated, flags);
    return undefined;
  }
  // RFC 4271 §6.3: for AS_PATH the data are empty, for all others the attribute
  const data = flaw.subcode === UPDATE_ERROR.malformedAsPath ? undefined : copy(walk, attribute);
  return updateFault(flaw.verdict ?? row.malformed, flaw, data);
}

const copy = (walk: Walk, { at, end }: Attribute): Uint8Array => walk.bytes.slice(at, end);

function flagsFlaw(label: string, name: string, flags: number): Flaw {
  return {
    rule: `${label}-flags`,
    subcode: UPDATE_ERROR.attributeFlags,
    text: `${name} has flags 0x${flags.toString(16)}`,
  };
}

function isRepeated(walk: Walk, code: number): boolean {
  if (code >= 32) {
    if (walk.seenHigh.includes(code)) return true;
    walk.seenHigh.push(code);
    return false;
  }
  const bit = 1 << code;
  if ((walk.seen & bit) !== 0) return true;
  walk.seen |= bit;
  return false;
}

function repeated(code: number): UpdateFault {
  const text = `attribute ${code} appears twice`;
  const subcode = UPDATE_ERROR.malformedAttributeList;
  // RFC 7606 §3 (g): of anything but the two that hold routes the first counts
  return code === ATTRIBUTE.mpReachNlri || code === ATTRIBUTE.mpUnreachNlri
    ? updateFault('session-reset', { rule: 'mp-repeated', subcode, text })
    : updateFault('attribute-discard', { rule: 'attribute-repeated', subcode, text });
}

function isFrom(only: NonNullable<Row['onlyFrom']>, { internal, fourOctetAs }: Negotiated): boolean {
  return only === 'internal' ? internal : !fourOctetAs;
}

function walkUnknown(walk: Walk, attribute: Attribute): UpdateFault | undefined {
  const { flags, code, value, end } = attribute;
  const { bytes, draft } = walk;
  if ((flags & FLAG.optional) === 0) {
    // RFC 4271 §6.3, which RFC 7606 leaves as it is
    const text = `attribute ${code} claims to be well-known and is not`;
    const flaw = { rule: 'unrecognized-well-known', subcode: UPDATE_ERROR.unrecognizedWellKnown, text };
    return updateFault('session-reset', flaw, copy(walk, attribute));
  }
  if (draft !== undefined) {
    const other = { code, flags: flags & ~FLAG.extendedLength, value: bytes.slice(value, end) };
    draft.others = [...(draft.others ?? []), other];
  }
  return undefined;
}

/** RFC 4760 §3. */
function walkReach(walk: Walk, attribute: Attribute): UpdateFault | undefined {
  const { bytes, negotiated } = walk;
  const { value, end } = attribute;
  walk.reachable = true;
  const family = familyAt(walk, attribute, 'mp-reach', 'MP_REACH_NLRI');
  if (typeof family === 'object') return family;
  const length = value + 3 < end ? (bytes[value + 3] as number) : 0;
  const from = value + 5 + length;
  if (from > end) {
    const text = 'the next hop passes the end of MP_REACH_NLRI';
    return mpFault(walk, attribute, { rule: 'mp-reach-length', subcode: UPDATE_ERROR.optionalAttribute, text }, family);
  }
  if (!isNextHopLength(length, family, negotiated)) {
    const text = `a next hop of ${length} octets in MP_REACH_NLRI`;
    return mpFault(
      walk,
      attribute,
      { rule: 'mp-reach-next-hop', subcode: UPDATE_ERROR.optionalAttribute, text },
      family,
    );
  }
  const count = countNlri(bytes, from, end, bitsOf(family), negotiated.addPathReceive[family]);
  if (count < 0) return mpFault(walk, attribute, brokenNlri('mp-reach', count, UPDATE_ERROR.optionalAttribute), family);
  // RFC 7606 §5.2: no NLRI, nothing reachable
  if (count === 0) walk.reachable = false;
  walk.announced.push({ family, from, end, count, nextHop: { at: value + 4, length } });
  return undefined;
}

/** RFC 4760 §4. */
function walkUnreach(walk: Walk, attribute: Attribute): UpdateFault | undefined {
  const { bytes, negotiated } = walk;
  const { value, end } = attribute;
  const family = familyAt(walk, attribute, 'mp-unreach', 'MP_UNREACH_NLRI');
  if (typeof family === 'object') return family;
  const count = countNlri(bytes, value + 3, end, bitsOf(family), negotiated.addPathReceive[family]);
  if (count < 0)
    return mpFault(walk, attribute, brokenNlri('mp-unreach', count, UPDATE_ERROR.optionalAttribute), family);
  walk.withdrawn.push({ family, from: value + 3, end, count });
  return undefined;
}

/** The family that a multiprotocol attribute is about, once it may be read; else what is wrong. */
function familyAt(walk: Walk, attribute: Attribute, label: string, name: string): Family | UpdateFault {
  const { bytes, negotiated } = walk;
  const { flags, value, end } = attribute;
  if (end - value < 3) {
    const text = `${name} names no family`;
    return mpFault(walk, attribute, { rule: `${label}-family`, subcode: UPDATE_ERROR.optionalAttribute, text });
  }
  const afi = u16(bytes, value);
  const safi = bytes[value + 2] as number;
  const family = familyOfCodes(afi, safi);
  if (family === undefined || !negotiated.families.includes(family)) return notNegotiated(afi, safi);
  if ((flags & (FLAG.optional | FLAG.transitive)) === FLAG.optional) return family;
  return mpFault(walk, attribute, flagsFlaw(label, name, flags), family);
}

/** That family is no longer understood (RFC 7606 §2), or, where no family is named, nothing is. */
function mpFault(walk: Walk, attribute: Attribute, flaw: Flaw, family?: Family): UpdateFault {
  const data = copy(walk, attribute);
  return family === undefined
    ? updateFault('session-reset', flaw, data)
    : { ...updateFault('afi-safi-disable', flaw, data), family };
}

function isNextHopLength(length: number, family: Family, { extendedNextHop }: Negotiated): boolean {
  // RFC 2545 §3: global, or global and link-local; RFC 8950 §3: the same for IPv4 where it was negotiated
  const isIpv6 = length === 16 || length === 32;
  return family === 'ipv6' ? isIpv6 : length === 4 || (isIpv6 && extendedNextHop);
}

/** RFC 4271 §5.1, RFC 7606 §3 (d): what must be there when routes are announced, by classic NLRI or not. */
export function checkMandatory(walk: Walk, classic: boolean): void {
  needs(walk, ATTRIBUTE.origin);
  needs(walk, ATTRIBUTE.asPath);
  if (classic) needs(walk, ATTRIBUTE.nextHop);
  if (walk.negotiated.internal) needs(walk, ATTRIBUTE.localPref);
}

function needs(walk: Walk, code: number): void {
  if ((walk.seen & (1 << code)) !== 0) return;
  const { label, name } = ROW_BY_CODE[code] ?? { label: `attribute-${code}`, name: `attribute ${code}` };
  const flaw = { rule: `${label}-missing`, subcode: UPDATE_ERROR.missingWellKnown, text: `${name} is missing` };
  add(walk, updateFault('treat-as-withdraw', flaw, Uint8Array.of(code)));
}
