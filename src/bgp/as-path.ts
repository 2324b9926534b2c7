// AS_PATH and AS4_PATH: their segments as octets, in two or four octets an AS (RFC 4271 §4.3, RFC 6793), what is refused
// in them (RFC 5065, 7607, 9774), and the merge of both from a speaker that knows two octets only (RFC 6793 §4.2.3).

/** RFC 6793 §9: stands for an AS number that does not fit in two octets. */
export const AS_TRANS = 23456;

export interface AsPathSegment {
  readonly is: 'sequence' | 'set' | 'confed-sequence' | 'confed-set';
  readonly as: readonly number[];
}

const TYPES: readonly (AsPathSegment['is'] | undefined)[] = [
  undefined,
  'set',
  'sequence',
  'confed-sequence',
  'confed-set',
];
const SET = 1;
const SEQUENCE = 2;

/** What is wrong with the segments, the structure first; `good` when nothing is. */
export type AsPathFlaw = 'good' | 'structure' | 'zero' | 'set' | 'confederation';

/** Walks the segments without keeping any. `width`: octets an AS, 2 or 4. */
export function checkSegments(bytes: Uint8Array, from: number, end: number, width: 2 | 4): AsPathFlaw {
  let flaw: AsPathFlaw = 'good';
  let at = from;
  while (at < end) {
    // a segment has a type, a count of at least one, and that many AS numbers (RFC 7606 §7.2)
    if (at + 2 > end) return 'structure';
    const type = bytes[at] as number;
    const count = bytes[at + 1] as number;
    const next = at + 2 + count * width;
    if (type < SET || type > 4 || count === 0 || next > end) return 'structure';
    if (type === SET || type === 4) flaw = 'set';
    else if (type !== SEQUENCE && flaw !== 'set') flaw = 'confederation';
    for (let as = at + 2; as < next; as += width) {
      if (bytes[as] === 0 && readAs(bytes, as, width) === 0 && flaw === 'good') flaw = 'zero';
    }
    at = next;
  }
  return flaw;
}

function readAs(bytes: Uint8Array, at: number, width: 2 | 4): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  return width === 2 ? high : high * 0x10000 + (((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number));
}

/** Segments whose structure `checkSegments` has found good. */
export function decodeSegments(value: Uint8Array, width: 2 | 4): readonly AsPathSegment[] {
  const segments: AsPathSegment[] = [];
  for (let at = 0; at < value.length; ) {
    const is = TYPES[value[at] as number];
    const count = value[at + 1] as number;
    const as: number[] = [];
    for (let i = 0; i < count; i++) as.push(readAs(value, at + 2 + i * width, width));
    if (is !== undefined) segments.push({ is, as });
    at += 2 + count * width;
  }
  return segments;
}

/** In two octets an AS that does not fit is AS_TRANS. More than 255 in a segment go into several. */
export function encodeSegments(segments: readonly AsPathSegment[], width: 2 | 4): readonly number[] {
  const octets: number[] = [];
  for (const { is, as } of segments) {
    for (let from = 0; from < as.length; from += 255) {
      const part = as.slice(from, from + 255);
      octets.push(TYPES.indexOf(is), part.length);
      for (const number of part) {
        const shown = width === 2 && number > 0xffff ? AS_TRANS : number;
        if (width === 4) octets.push(shown >>> 24, (shown >>> 16) & 0xff);
        octets.push((shown >>> 8) & 0xff, shown & 0xff);
      }
    }
  }
  return octets;
}

/** RFC 6793 §4.2.2: AS4_PATH is sent only when AS_PATH had to say AS_TRANS for something. */
export function needsFourOctets(segments: readonly AsPathSegment[]): boolean {
  return segments.some(({ as }) => as.some((number) => number > 0xffff));
}

/** RFC 6793 §3 and §6: confederation segments have no place in AS4_PATH. */
export function withoutConfederation(segments: readonly AsPathSegment[]): readonly AsPathSegment[] {
  return segments.filter(({ is }) => is === 'sequence' || is === 'set');
}

// RFC 4271 §9.1.2.2: a set counts as one; RFC 5065 §5.3: confederation segments do not count
function pathLength(segments: readonly AsPathSegment[]): number {
  return withoutConfederation(segments).reduce((sum, { is, as }) => sum + (is === 'set' ? 1 : as.length), 0);
}

/** RFC 6793 §4.2.3: what AS_PATH has more at its beginning, then AS4_PATH; AS_PATH alone when that is the shorter one. */
export function mergeAs4Path(
  path: readonly AsPathSegment[],
  path4: readonly AsPathSegment[],
): readonly AsPathSegment[] {
  let missing = pathLength(path) - pathLength(path4);
  if (missing < 0) return path;
  const leading: AsPathSegment[] = [];
  for (const segment of path) {
    if (segment.is === 'confed-sequence' || segment.is === 'confed-set') {
      // leading ones, and those beside a segment that is taken, stay
      leading.push(segment);
      continue;
    }
    if (missing <= 0) break;
    if (segment.is === 'set') {
      leading.push(segment);
      missing--;
    } else {
      leading.push({ is: 'sequence', as: segment.as.slice(0, missing) });
      missing -= Math.min(missing, segment.as.length);
    }
  }
  return joinSequences([...leading, ...path4]);
}

// two sequences that meet are one: the merge shows no seam
function joinSequences(segments: readonly AsPathSegment[]): readonly AsPathSegment[] {
  const joined: AsPathSegment[] = [];
  for (const segment of segments) {
    const last = joined.at(-1);
    if (last?.is === 'sequence' && segment.is === 'sequence') {
      joined[joined.length - 1] = { is: 'sequence', as: [...last.as, ...segment.as] };
    } else joined.push(segment);
  }
  return joined;
}

/** `64513 64512 {1 2} (65001) [65002 65003]`: sequence, set, confederation sequence, confederation set. */
export function asPathText(segments: readonly AsPathSegment[]): string {
  const BRACKETS = {
    sequence: ['', ''],
    set: ['{', '}'],
    'confed-sequence': ['(', ')'],
    'confed-set': ['[', ']'],
  } as const;
  return segments.map(({ is, as }) => `${BRACKETS[is][0]}${as.join(' ')}${BRACKETS[is][1]}`).join(' ');
}
