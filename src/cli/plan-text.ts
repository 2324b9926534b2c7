// The plan as people read it: Services and their addresses, what each node announces, and the Services that nobody
// announces with the reason and what to do about it.

import { REASONS, type RefusalReason } from '../plan/explain.ts';
import type { Announcement, Withheld } from '../plan/status.ts';
import type { PlanReport } from './plan.ts';
import { type Cell, type Painter, table } from './terminal.ts';

export function planText({ services, announcements, withheld }: PlanReport, paint: Painter): string {
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
  const silent = unannounced(announcements, withheld);
  if (silent.length > 0) parts.push(table(['NOT ANNOUNCED', 'NODE', 'PROTOCOL', 'WHY NOT'], silent, paint));
  const reasons = [...services.map(({ reason }) => reason), ...silentReasons(announcements, withheld)];
  const remedies = [...new Set(reasons)].filter(isReason).map((reason) => `${reason}: ${REASONS[reason].remedy}\n`);
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

/** Of Services with an address that no node announces: why not, node by node. */
function unannounced(
  announcements: readonly Announcement[],
  withheld: readonly Withheld[],
): readonly (readonly Cell[])[] {
  return silentOnes(announcements, withheld).map(({ service, node, protocol, reason, message }) => [
    service,
    node,
    protocol,
    { text: `${reason}: ${message}`, style: 'yellow' },
  ]);
}

function silentReasons(announcements: readonly Announcement[], withheld: readonly Withheld[]): readonly string[] {
  return silentOnes(announcements, withheld).map(({ reason }) => reason);
}

function silentOnes(announcements: readonly Announcement[], withheld: readonly Withheld[]): readonly Withheld[] {
  const told = new Set(announcements.flatMap((each) => (each.protocol === 'bgp' ? each.services : [each.service])));
  // why there is no address stands in the first table
  return withheld.filter(({ service, reason }) => !told.has(service) && reason !== 'noIPAllocated');
}

function isReason(text: string): text is RefusalReason {
  return Object.hasOwn(REASONS, text);
}
