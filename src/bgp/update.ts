// UPDATE as it arrives: validated, counted, and turned into routes where they are to be kept. Called by message. All that
// is wrong with one is a fault in a list (found by walk); the worst is the verdict, and it is already applied to what is
// counted and handed out. RFC 4271 §4.3, 4760, 7606.

import { type Family, type Ip, ipFromBytes } from '../net/address.ts';
import { AS_TRANS, mergeAs4Path } from './as-path.ts';
import { ATTRIBUTE, type Path, type PathDraft } from './attribute.ts';
import { type UpdateFault, updateFault, worstFault } from './fault.ts';
import type { Negotiated } from './negotiate.ts';
import { type Nlri, readNlri } from './nlri.ts';
import { UPDATE_ERROR } from './notification.ts';
import { checkMandatory, type Field, u16, type Walk, walkAttributes, walkClassic } from './walk.ts';

export interface Route extends Nlri {
  readonly path: Path;
}

/** What an UPDATE said, verdict applied: routes that are treated as withdrawn are among the withdrawn. */
export interface ReceivedUpdate {
  readonly announced: Readonly<Record<Family, number>>;
  readonly withdrawn: Readonly<Record<Family, number>>;
  readonly endOfRib?: Family;
  /** Empty for a good UPDATE; `worstFault` says what is to be done. */
  readonly faults: readonly UpdateFault[];
  /** Only when kept. A route that is in both was announced (RFC 4271 §4.3): take the withdrawn first. */
  readonly routes?: { readonly announced: readonly Route[]; readonly withdrawn: readonly Nlri[] };
}

const NOTHING: Readonly<Record<Family, number>> = { ipv4: 0, ipv6: 0 };
const EMPTY_DRAFT: PathDraft = {
  origin: 'incomplete',
  asPath: [],
  communities: [],
  extendedCommunities: [],
  largeCommunities: [],
};

/** The body of an UPDATE, of at least 4 octets. */
export function decodeUpdate(body: Uint8Array, negotiated: Negotiated, keep: boolean): ReceivedUpdate {
  const withdrawnEnd = 2 + u16(body, 0);
  if (withdrawnEnd + 2 > body.length) return broken('withdrawn-length', 'the withdrawn routes');
  const attributesEnd = withdrawnEnd + 2 + u16(body, withdrawnEnd);
  if (attributesEnd > body.length) return broken('attributes-length', 'the path attributes');
  const walk: Walk = {
    bytes: body,
    negotiated,
    faults: [],
    announced: [],
    withdrawn: [],
    seen: 0,
    seenHigh: [],
    attributes: 0,
    reachable: false,
    draft: keep ? { ...EMPTY_DRAFT } : undefined,
  };
  walkClassic(walk, 'withdrawn', 2, withdrawnEnd);
  walkAttributes(walk, withdrawnEnd + 2, attributesEnd);
  walkClassic(walk, 'nlri', attributesEnd, body.length);
  if (walk.reachable) checkMandatory(walk, attributesEnd < body.length);
  return conclude(walk);
}

function broken(rule: string, what: string): ReceivedUpdate {
  const flaw = { rule, subcode: UPDATE_ERROR.malformedAttributeList, text: `${what} pass the end of the message` };
  return { announced: NOTHING, withdrawn: NOTHING, faults: [updateFault('session-reset', flaw)] };
}

function conclude(walk: Walk): ReceivedUpdate {
  const faults = escalate(walk);
  let { announced, withdrawn } = walk;
  if (faults.length > 0) {
    if (worstFault(faults)?.verdict === 'session-reset') return { announced: NOTHING, withdrawn: NOTHING, faults };
    const disabled = faults.flatMap(({ family }) => family ?? []);
    announced = announced.filter(({ family }) => !disabled.includes(family));
    withdrawn = withdrawn.filter(({ family }) => !disabled.includes(family));
    if (faults.some(({ verdict }) => verdict === 'treat-as-withdraw')) {
      withdrawn = [...withdrawn, ...announced];
      announced = [];
    }
  }
  const endOfRib = faults.length > 0 ? undefined : endOfRibOf(walk);
  return {
    announced: countOf(announced),
    withdrawn: countOf(withdrawn),
    ...(endOfRib === undefined ? {} : { endOfRib }),
    faults,
    ...(walk.draft === undefined ? {} : { routes: routesOf(walk, walk.draft, announced, withdrawn) }),
  };
}

function escalate({ faults, reachable, attributes, seen }: Walk): readonly UpdateFault[] {
  if (faults.length === 0 || reachable) return faults;
  const unreachAlone = attributes === 1 && (seen & (1 << ATTRIBUTE.mpUnreachNlri)) !== 0;
  if (unreachAlone) return faults;
  // RFC 7606 §5.2: attributes without reachable NLRI, so that nobody knows which routes would have to be withdrawn
  return faults.map((fault) =>
    fault.verdict === 'attribute-discard' ? fault : { ...fault, verdict: 'session-reset' as const },
  );
}

/** RFC 4724 §2: an MP_UNREACH_NLRI alone that withdraws nothing; an UPDATE of nothing at all is IPv4 unicast's. */
function endOfRibOf({ bytes, attributes, announced, withdrawn }: Walk): Family | undefined {
  if (bytes.length === 4) return 'ipv4';
  const [field, another] = withdrawn;
  if (attributes !== 1 || announced.length > 0 || another !== undefined || field?.count !== 0) return undefined;
  return field.family;
}

function countOf(fields: readonly Field[]): Readonly<Record<Family, number>> {
  if (fields.length === 0) return NOTHING;
  const counts = { ipv4: 0, ipv6: 0 };
  for (const { family, count } of fields) counts[family] += count;
  return counts;
}

function routesOf(
  { bytes, negotiated }: Walk,
  draft: PathDraft,
  announced: readonly Field[],
  withdrawn: readonly Field[],
): NonNullable<ReceivedUpdate['routes']> {
  const read = ({ from, end, family }: Field): readonly Nlri[] =>
    readNlri(bytes, from, end, family, negotiated.addPathReceive[family]);
  return {
    announced: announced.flatMap((field) => {
      const path = pathOf(draft, field, bytes);
      return read(field).map((nlri) => ({ ...nlri, path }));
    }),
    withdrawn: withdrawn.flatMap(read),
  };
}

/** The path of one field: with its own next hop, and with what a two-octet speaker said in four octets. */
function pathOf(draft: PathDraft, { nextHop }: Field, bytes: Uint8Array): Path {
  const { as4Path, as4Aggregator, nextHop: classic, ...rest } = draft;
  const transAggregator = rest.aggregator?.as === AS_TRANS;
  // RFC 6793 §4.2.3: an aggregator that fits in two octets came after those who wrote the AS4 attributes
  const stale = as4Aggregator !== undefined && rest.aggregator !== undefined && !transAggregator;
  const merged = {
    ...rest,
    ...(as4Path === undefined || stale ? {} : { asPath: mergeAs4Path(rest.asPath, as4Path) }),
    ...(as4Aggregator !== undefined && transAggregator ? { aggregator: as4Aggregator } : {}),
  };
  if (nextHop === undefined) return classic === undefined ? merged : { ...merged, nextHop: classic };
  const address = (from: number, length: number): Ip => ipFromBytes(bytes.subarray(from, from + length));
  if (nextHop.length !== 32) return { ...merged, nextHop: address(nextHop.at, nextHop.length) };
  return { ...merged, nextHop: address(nextHop.at, 16), linkLocalNextHop: address(nextHop.at + 16, 16) };
}
