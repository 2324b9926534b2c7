// The metrics of BFD, named and labelled as MetalLB's users have them from FRR's exporter: the peer is its address alone.
// Called by the tables of standalone and speaker.

import type { PeerView } from '../bgp/view.ts';
import type { LinksView } from '../links/view.ts';
import type { Observed, Row } from './metrics.ts';

type Session = NonNullable<LinksView['sessions'][number]['session']>;

interface Beside {
  readonly peer: PeerView;
  /** Undefined: the packet thread does not know it yet. */
  readonly session: Session | undefined;
}

function besides({ peers, links }: Observed): readonly Beside[] {
  const byName = new Map(links?.sessions.map(({ name, session }) => [name, session]));
  return peers.flatMap((peer) => (peer.bfd === undefined ? [] : [{ peer, session: byName.get(peer.name) }]));
}

function labelsOf({ peer }: Beside, { vrf: otherwise }: Observed): Readonly<Record<string, string>> {
  const vrf = peer.device ?? otherwise;
  return { peer: peer.interface ?? peer.address ?? '', ...(vrf !== undefined && { vrf }) };
}

function ofSessions(
  name: string,
  type: Row<unknown>['type'],
  help: string,
  value: (session: Session) => number,
): Row<Observed> {
  const read = (seen: Observed) =>
    besides(seen).map((each) => ({
      labels: labelsOf(each, seen),
      value: each.session === undefined ? 0 : value(each.session),
    }));
  return { name: `metallb_bfd_${name}`, type, labels: ['peer', 'vrf'], help, read };
}

export const BFD_METRICS: readonly Row<Observed>[] = [
  ofSessions('session_up', 'gauge', 'BFD session state (1 is up, 0 is down)', ({ state }) => Number(state === 'Up')),
  ofSessions('control_packet_input', 'counter', 'BFD control packets received', ({ counters }) => counters.received),
  ofSessions('control_packet_output', 'counter', 'BFD control packets sent', ({ counters }) => counters.sent),
  ofSessions('echo_packet_input', 'counter', 'Echo packets that came back', ({ counters }) => counters.echoesReceived),
  ofSessions('echo_packet_output', 'counter', 'Echo packets sent', ({ counters }) => counters.echoesSent),
  ofSessions('session_up_events', 'counter', 'Times that the session came up', ({ counters }) => counters.upEvents),
  ofSessions(
    'session_down_events',
    'counter',
    'Times that the session went down',
    ({ counters }) => counters.downEvents,
  ),
  ofSessions(
    'zebra_notifications',
    'counter',
    'Changes that BGP was told of',
    ({ counters: { upEvents, downEvents } }) => upEvents + downEvents,
  ),
  {
    name: 'fairway_bfd_packets_dropped_total',
    type: 'counter',
    labels: ['peer', 'vrf', 'reason'],
    help: 'BFD control packets that were not believed, by the rule that they broke; without peer: no session is theirs',
    read: (seen) => {
      const { links } = seen;
      const unowned = Object.entries(links?.bfdDrops ?? {}).map(([reason, value]) => ({ labels: { reason }, value }));
      const owned = besides(seen).flatMap((each) =>
        Object.entries(each.session?.counters.drops ?? {}).map(([reason, value = 0]) => ({
          labels: { ...labelsOf(each, seen), reason },
          value,
        })),
      );
      return [...owned, ...unowned];
    },
  },
  {
    name: 'fairway_bfd_sessions_held',
    type: 'gauge',
    labels: [],
    help: 'BFD sessions that are kept down because they flap',
    read: ({ links }) => {
      const held = links?.sessions.filter(({ heldUntilMs }) => heldUntilMs !== undefined) ?? [];
      return [{ labels: {}, value: held.length }];
    },
  },
];
