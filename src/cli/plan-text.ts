// The plan as people read it: Services and their addresses, what each node announces, its BFD sessions, and the Services
// that nobody announces with the reason and what to do about it. Called by `fairway plan`.

import { REASONS, type RefusalReason } from '../plan/explain.ts';
import type { Announcement } from '../plan/status.ts';
import type { PlannedBfd, PlanReport, WithheldFrom } from './plan.ts';
import { type Cell, type Painter, table } from './terminal.ts';

export function planText(report: PlanReport, paint: Painter): string {
  const { services, announcements, bfd } = report;
  const quiet = silent(report);
  const parts = [
    table(
      ['SERVICE', 'ADDRESSES', 'POOL', 'WHY NOT'],
      services.map(({ service, ips, pool, reason, message }): readonly Cell[] => [
        service,
        ips.length > 0 ? { text: ips.join(', '), style: 'green' } : '-',
        pool || '-',
        reason === '' ? '' : { text: `${reason}: ${message}`, style: 'red' },
      ]),
      paint,
    ),
    table(['NODE', 'PROTOCOL', 'PREFIX', 'TO', 'WITH'], announcements.map(row), paint),
  ];
  if (bfd.length > 0) {
    const header = ['NODE', 'BFD WITH', 'ROUTER', 'HOPS', 'PROFILE', 'RECEIVE', 'TRANSMIT', 'MULTIPLIER', 'AND'];
    parts.push(table(header, bfd.map(bfdRow), paint));
  }
  if (quiet.length > 0) {
    const rows = quiet.map(({ service, node, protocol, reason, message }): readonly Cell[] => [
      ...[service, node, protocol],
      { text: `${reason}: ${message}`, style: 'yellow' },
    ]);
    parts.push(table(['NOT ANNOUNCED', 'NODE', 'PROTOCOL', 'WHY NOT'], rows, paint));
  }
  const reasons = new Set([...services, ...quiet].map(({ reason }) => reason));
  const remedies = [...reasons].filter(isReason).map((reason) => `${reason}: ${REASONS[reason].remedy}\n`);
  if (remedies.length > 0) parts.push(`${paint('bold', 'What to do')}\n${remedies.join('')}`);
  return parts.join('\n');
}

function row(announcement: Announcement): readonly Cell[] {
  const { node, protocol, prefix } = announcement;
  if (announcement.protocol === 'layer2') {
    const { interfaces, service } = announcement;
    return [node, protocol, prefix, interfaces.length > 0 ? interfaces.join(', ') : 'all interfaces', service];
  }
  const { peers, communities, localPref } = announcement;
  const attributes = [...communities, ...(localPref === undefined ? [] : [`localPref ${localPref}`])];
  return [node, protocol, prefix, peers.join(', '), attributes.join(' ')];
}

function bfdRow(session: PlannedBfd): readonly Cell[] {
  const { node, peer, router, hops, profile, receiveIntervalMs, transmitIntervalMs, detectMultiplier } = session;
  const { echoIntervalMs, minimumTtl, passive } = session;
  const more = [
    ...(echoIntervalMs === undefined ? [] : [`echo ${echoIntervalMs} ms`]),
    ...(minimumTtl === undefined ? [] : [`TTL at least ${minimumTtl}`]),
    ...(passive ? ['passive'] : []),
  ];
  return [
    ...[node, peer, router, hops === 'nearest' ? 'single or multi' : hops, profile],
    ...[`${receiveIntervalMs} ms`, `${transmitIntervalMs} ms`, `${detectMultiplier}`, more.join(', ')],
  ];
}

/** Of Services with an address that no node announces: why not, node by node. */
function silent({ announcements, withheld }: PlanReport): readonly WithheldFrom[] {
  const told = new Set(announcements.flatMap((each) => (each.protocol === 'bgp' ? each.services : [each.service])));
  // why there is no address stands in the first table
  return withheld.filter(({ service, reason }) => !told.has(service) && reason !== 'noIPAllocated');
}

function isReason(text: string): text is RefusalReason {
  return Object.hasOwn(REASONS, text);
}
