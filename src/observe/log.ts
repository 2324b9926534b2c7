// What the process tells of itself in its log: reports and changes of plan become lines. Event names are MetalLB's, which
// people search for. Pure; io/log writes the lines. Called by standalone and listen.

import { describeNotification } from '../bgp/notification.ts';
import type { PeerConfig } from '../bgp/peer.ts';
import type { Ip } from '../net/address.ts';
import type { SocketAddress } from '../net/io.ts';
import { differences } from '../net/revised-map.ts';
import type { Allocation, AllocationEvent, Allocations } from '../plan/allocate.ts';
import type { RefusalReason } from '../plan/explain.ts';
import type { Plan, ServicePlan } from '../plan/plan.ts';
import type { ServiceKey } from '../plan/snapshot.ts';
import type { SpeakerReport } from '../speaker.ts';

/** One line of the log; `fields` hold `event` or `op`, the words that are searched for. */
export interface Line {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly msg: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** `192.0.2.1:179`, `[2001:db8::1]:179`, `eth0`: how peers are called in logs and metrics. */
export function peerLabel({ address, interface: link, port }: Labelled): string {
  if (link !== undefined || address === undefined) return link ?? '';
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** An address and port, or a peer that is known by its interface: it keeps its name whoever is there. */
type Labelled = Pick<SocketAddress, 'port'> & {
  readonly address?: Ip | undefined;
  readonly interface?: string | undefined;
};

/** The line for a report of the speaker; undefined for what is only counted. */
export function lineOfReport(
  report: SpeakerReport,
  peerNamed: (name: string) => PeerConfig | undefined,
): Line | undefined {
  const line = (level: Line['level'], msg: string, fields: Line['fields']): Line => ({ level, msg, fields });
  const who = 'peer' in report ? whoIs(report.peer, peerNamed(report.peer)) : {};
  switch (report.report) {
    case 'peer-state':
      return line('debug', 'BGP state change', { event: 'peerState', ...who, from: report.from, to: report.to });
    case 'peer-up': {
      const { families, holdTimeMs } = report;
      return line('info', 'BGP session established', { event: 'sessionUp', ...who, families, holdTimeMs });
    }
    case 'peer-down':
      return line('warn', 'BGP session down', { event: 'sessionDown', ...who, ...reasons(report) });
    case 'peer-failed':
      return line('warn', 'failed to connect to peer', { op: 'connect', ...who, ...reasons(report) });
    case 'peer-warning':
      return line('warn', 'peer breaks a rule', { op: 'receive', ...who, rule: report.rule, error: report.text });
    case 'peer-synced': {
      const fields = { event: 'updatedAdvertisements', ...who, numAds: report.prefixes };
      return line('info', 'the peer has been told everything', fields);
    }
    case 'peer-message':
      return undefined;
    case 'listening':
      return report.error === undefined
        ? line('info', 'accepting BGP connections', { op: 'listen', address: peerLabel(report.at) })
        : line('error', 'cannot accept BGP connections', {
            op: 'listen',
            address: peerLabel(report.at),
            error: report.error,
          });
    case 'connection-refused':
      return line('warn', 'connection refused', { op: 'accept', from: peerLabel(report.from), error: report.why });
  }
}

function whoIs(name: string, config: PeerConfig | undefined): Line['fields'] {
  if (config === undefined) return { peerName: name };
  const { localAs, shownAs, remoteAs } = config;
  return { peer: peerLabel(config), peerName: name, localASN: shownAs ?? localAs, peerASN: remoteAs };
}

function reasons(report: Extract<SpeakerReport, { report: 'peer-down' | 'peer-failed' }>): Line['fields'] {
  const { why: error, sent, received } = report;
  return {
    error,
    ...(sent !== undefined && { notificationSent: describeNotification(sent) }),
    ...(received !== undefined && { notificationReceived: describeNotification(received) }),
  };
}

/** What changed between two plans of a node, in words. */
export function* linesOfPlan(before: Plan | undefined, after: Plan): Generator<Line> {
  const known = new Map(before?.peers.map((config) => [config.name, config]));
  for (const config of after.peers) {
    const last = known.get(config.name);
    known.delete(config.name);
    if (last === config) continue;
    const who = whoIs(config.name, config);
    if (last === undefined)
      yield { level: 'info', msg: 'peer configured, starting BGP session', fields: { event: 'peerAdded', ...who } };
    for (const warning of config.warnings)
      if (last === undefined || !last.warnings.includes(warning))
        yield {
          level: 'warn',
          msg: 'peer is not served as configured',
          fields: { op: 'setConfig', ...who, error: warning },
        };
  }
  for (const config of known.values()) {
    const fields = { event: 'peerRemoved', reason: 'removedFromConfig', ...whoIs(config.name, config) };
    yield { level: 'info', msg: 'peer deconfigured, closing BGP session', fields };
  }
  const unserved = new Set(before?.notServed.map(({ peer }) => peer));
  for (const { peer, because, text } of after.notServed)
    if (!unserved.has(peer))
      yield {
        level: 'warn',
        msg: 'peer is not served',
        fields: { op: 'setConfig', peerName: peer, reason: because, error: text },
      };
  yield* linesOfServices(before?.services ?? new Map(), after.services);
}

/** What BGP says of a Service that none of its advertisements selects here. */
const UNSELECTED: ReadonlySet<RefusalReason> = new Set(['notOwner', 'noMatchingAdvertisement']);

function* linesOfServices(before: Plan['services'], after: Plan['services']): Generator<Line> {
  for (const service of differences(before, after) ?? after.keys()) {
    const [last, now] = [before.get(service), after.get(service)];
    if (now === undefined || now === last) continue;
    const { ips, pool } = now;
    const fields = { protocol: 'bgp', service, ips, pool };
    if ('announced' in now.bgp) {
      if (announcedText(now) !== announcedText(last))
        yield {
          level: 'info',
          msg: 'service has IP, announcing',
          fields: { event: 'serviceAnnounced', ...fields, announced: now.bgp.announced },
        };
    } else if (last !== undefined && 'announced' in last.bgp) {
      const { reason, message } = now.bgp.withheld;
      yield {
        level: 'info',
        msg: 'withdrawing service announcement',
        fields: { event: 'serviceWithdrawn', ...fields, ips: last.ips, reason, error: message },
      };
    } else if (!isLeftToLayer2(now) && (last === undefined || isLeftToLayer2(last) || !sameReason(last, now))) {
      const { reason, message } = now.bgp.withheld;
      yield {
        level: 'info',
        msg: 'not announcing',
        fields: { event: 'serviceNotAnnounced', ...fields, reason, error: message },
      };
    }
  }
  for (const [service, { ips, bgp }] of before)
    if (!after.has(service) && 'announced' in bgp) {
      const fields = { event: 'serviceWithdrawn', protocol: 'bgp', service, ips, reason: 'serviceDeleted' };
      yield { level: 'info', msg: 'withdrawing service announcement', fields };
    }
}

/** No BGPAdvertisement selects it on this node, and it may well be that an L2Advertisement does. */
function isLeftToLayer2({ bgp, layer2 }: ServicePlan): boolean {
  if ('announced' in bgp || !UNSELECTED.has(bgp.withheld.reason)) return false;
  return 'announced' in layer2 || layer2.withheld.reason !== 'noMatchingAdvertisement';
}

function sameReason(a: ServicePlan, b: ServicePlan): boolean {
  const reasonOf = ({ bgp }: ServicePlan) => ('announced' in bgp ? '' : bgp.withheld.reason);
  return reasonOf(a) === reasonOf(b);
}

function announcedText(plan: ServicePlan | undefined): string {
  return plan !== undefined && 'announced' in plan.bgp ? JSON.stringify(plan.bgp.announced) : '';
}

const EVENT_NAMES: Readonly<Record<string, string>> = {
  IPAllocated: 'ipAllocated',
  ClearAssignment: 'clearAssignment',
};

/** What the allocator did since `before`. */
export function* linesOfAllocations(before: Allocations | undefined, after: Allocations): Generator<Line> {
  const known = before && differences(before.services, after.services);
  for (const service of known ?? after.services.keys()) {
    const allocation = after.services.get(service);
    if (allocation === undefined || before?.services.get(service) === allocation) continue;
    for (const event of allocation.events) yield lineOfAllocation(service, event, allocation);
  }
}

export function lineOfAllocation(
  service: ServiceKey,
  { type, reason, message }: AllocationEvent,
  allocation: Allocation | undefined,
): Line {
  const { ips = [], pool } = allocation ?? {};
  const fields = { event: EVENT_NAMES[reason] ?? reason, service, ips, pool };
  return { level: type === 'Normal' ? 'info' : 'warn', msg: message, fields };
}

interface Place {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
  readonly text: string;
}

/** What is wrong with the manifests: `faults` keep what a file says from being taken, `remarks` are of its objects. */
export function* linesOfManifests(
  faults: readonly Place[],
  remarks: readonly Place[],
  folder: { readonly problem?: string; readonly complete: boolean },
): Generator<Line> {
  const op = 'readManifests';
  const { problem, complete } = folder;
  if (problem !== undefined)
    yield {
      level: 'error',
      msg: complete ? 'what was read before stays' : 'nothing was read yet, the folder is waited for',
      fields: { op, error: problem },
    };
  for (const { text: error, ...place } of faults)
    yield { level: 'error', msg: 'manifest not taken, what it said before stays', fields: { op, ...place, error } };
  for (const { text: error, ...place } of remarks)
    yield place.rule === 'invalid'
      ? { level: 'error', msg: 'an object cannot be read', fields: { op, ...place, error } }
      : { level: 'warn', msg: 'not everything in a manifest is served', fields: { op, ...place, error } };
}
