// The metrics of layer 2: MetalLB's three by address, and ours of who owns what on which interface and why not. Part of the
// tables of speaker and standalone; docs/layer2.md names them.

import type { AddressCounters } from '../l2/responder.ts';
import type { LanView, LinksView } from '../links/view.ts';
import type { Row, Sample } from './metrics.ts';

export interface Layer2Observed {
  /** Undefined: there is no packet thread. */
  readonly links: LinksView | undefined;
  readonly layer2: Layer2Counts;
}

/**
 * What only a history can tell: how often an address was claimed and given up here, by reason, strangers seen, and how
 * often the packet thread was stopped for so long that it trusted nothing after it.
 */
export interface Layer2Counts {
  readonly claims: Readonly<Record<string, number>>;
  readonly releases: Readonly<Record<string, number>>;
  readonly strangers: number;
  readonly late: number;
}

export const NO_LAYER2_COUNTS: Layer2Counts = { claims: {}, releases: {}, strangers: 0, late: 0 };

function ofAddresses(name: string, help: string, value: (counters: AddressCounters) => number): Row<Layer2Observed> {
  const read = ({ links }: Layer2Observed): readonly Sample[] => {
    const sums = new Map<string, number>();
    for (const { responder } of links?.lans ?? [])
      for (const [ip, counters] of Object.entries(responder.counters)) {
        // no series before its first use
        if (value(counters) > 0) sums.set(ip, (sums.get(ip) ?? 0) + value(counters));
      }
    return [...sums].map(([ip, sum]) => ({ labels: { ip }, value: sum }));
  };
  return { name: `metallb_layer2_${name}`, type: 'counter', labels: ['ip'], help, read };
}

function ofInterfaces(
  name: string,
  type: Row<unknown>['type'],
  help: string,
  value: (lan: LanView) => number | undefined,
): Row<Layer2Observed> {
  const read = ({ links }: Layer2Observed): readonly Sample[] =>
    (links?.lans ?? []).flatMap((lan) => {
      const found = value(lan);
      return found === undefined ? [] : [{ labels: { interface: lan.link }, value: found }];
    });
  return { name: `fairway_layer2_${name}`, type, labels: ['interface'], help, read };
}

/** One series for each name of a record, or of a count by name. */
function byName(
  name: string,
  type: Row<unknown>['type'],
  label: string,
  help: string,
  counts: (lan: LanView) => Readonly<Record<string, number>>,
): Row<Layer2Observed> {
  const read = ({ links }: Layer2Observed): readonly Sample[] =>
    (links?.lans ?? []).flatMap((lan) =>
      Object.entries(counts(lan)).map(([key, value]) => ({ labels: { interface: lan.link, [label]: key }, value })),
    );
  return { name: `fairway_layer2_${name}`, type, labels: ['interface', label], help, read };
}

function ofHistory(
  name: string,
  help: string,
  counts: (counts: Layer2Counts) => Readonly<Record<string, number>>,
): Row<Layer2Observed> {
  const read = ({ layer2 }: Layer2Observed): readonly Sample[] =>
    Object.entries(counts(layer2)).map(([reason, value]) => ({ labels: { reason }, value }));
  return { name: `fairway_layer2_${name}`, type: 'counter', labels: ['reason'], help, read };
}

export const LAYER2_METRICS: readonly Row<Layer2Observed>[] = [
  ofAddresses('requests_received', 'Layer 2 requests received for owned IPs', ({ requests }) => requests),
  ofAddresses('responses_sent', 'Layer 2 responses sent for owned IPs', ({ responses }) => responses),
  ofAddresses('gratuitous_sent', 'Gratuitous packets sent for owned IPs', ({ gratuitous }) => gratuitous),
  ofInterfaces(
    'answered_addresses',
    'gauge',
    'Addresses that this node answers for',
    ({ responder }) => responder.answers.length,
  ),
  byName('addresses', 'gauge', 'state', 'Addresses of a segment by how this node stands to them', ({ segment }) =>
    countStates(segment?.addresses ?? []),
  ),
  byName('speaker_heard_bool', 'gauge', 'node', '1 while the speaker of a node is heard there', ({ segment }) =>
    Object.fromEntries((segment?.members ?? []).map(({ node, heard }) => [node, Number(heard)])),
  ),
  ofInterfaces('segment_ready_bool', 'gauge', '1 while this node may take addresses there', ({ segment }) =>
    segment === undefined ? undefined : Number(segment.ready),
  ),
  ofInterfaces('gateway_ok_bool', 'gauge', '0 while the gateway there does not answer', ({ segment }) =>
    segment === undefined ? undefined : Number(segment.gatewayOk),
  ),
  ofInterfaces(
    'queued_announcements',
    'gauge',
    'Announcements that wait for their place',
    ({ responder }) => responder.queued,
  ),
  ofInterfaces(
    'paced_announcements_total',
    'counter',
    'Announcements that had to wait for their place',
    ({ responder }) => responder.paced,
  ),
  byName('ignored_frames_total', 'counter', 'reason', 'ARP and NDP frames that were not answered', ({ responder }) =>
    definedOf(responder.drops),
  ),
  byName(
    'ignored_statements_total',
    'counter',
    'reason',
    'Statements of speakers that are not believed',
    ({ segment }) => segment?.drops ?? {},
  ),
  ofHistory('claims_total', 'Addresses that this node began to answer for', ({ claims }) => claims),
  ofHistory('releases_total', 'Addresses that this node no longer answers for', ({ releases }) => releases),
  {
    name: 'fairway_layer2_strangers_total',
    type: 'counter',
    labels: [],
    help: 'Times that a machine which is no node answered for an address',
    read: ({ layer2 }) => [{ labels: {}, value: layer2.strangers }],
  },
  {
    name: 'fairway_layer2_late_turns_total',
    type: 'counter',
    labels: [],
    help: 'Times that the packet thread was stopped or starved for more than 600 ms',
    read: ({ layer2 }) => [{ labels: {}, value: layer2.late }],
  },
  {
    name: 'fairway_layer2_ignored_datagrams_total',
    type: 'counter',
    labels: ['reason'],
    help: "Datagrams on the speakers' port that are of no speaker",
    read: ({ links }) =>
      Object.entries(links?.speakerDrops ?? {}).map(([reason, value]) => ({ labels: { reason }, value })),
  },
];

function countStates(addresses: readonly { readonly state: string }[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { state } of addresses) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

function definedOf(counts: Readonly<Partial<Record<string, number>>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, count ?? 0]));
}
