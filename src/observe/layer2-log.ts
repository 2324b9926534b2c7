// What layer 2 tells in the log: reports of the packet thread, and Services that are answered for or no longer. Event names
// are MetalLB's where it has them. Pure. Called by process/layer2.

import type { LinksReport } from '../links/report.ts';
import type { Plan, ServicePlan } from '../plan/plan.ts';
import type { ServiceKey } from '../plan/snapshot.ts';
import type { Line } from './log.ts';

/** Undefined: nothing of layer 2, or told otherwise. */
export function lineOfLayer2Report(report: LinksReport): Line | undefined {
  if (!('segment' in report)) return report.report === 'l2-own-address' ? ownAddressLine(report) : undefined;
  const line = (level: Line['level'], event: string, msg: string, fields: Line['fields'] = {}): Line => ({
    ...{ level, msg },
    fields: { event, protocol: 'layer2', interface: report.segment, ...fields },
  });
  switch (report.report) {
    case 'l2-claimed': {
      const { ip, epoch, because } = report;
      return line('debug', 'addressClaimed', 'answers for the address', { ip, epoch, reason: because });
    }
    case 'l2-released': {
      const { ip, because, to } = report;
      return line('debug', 'addressReleased', 'answers for the address no more', { ip, reason: because, to });
    }
    case 'l2-conflict':
      return line('warn', 'addressConflict', 'two speakers claim the address, one of them gives way', {
        ...{ ip: report.ip, with: report.with },
      });
    case 'l2-owner-still-answers': {
      const fields = { reason: 'ownerStillAnswers', node: report.node, addresses: report.addresses };
      return line(
        'warn',
        'ownerStillAnswers',
        'a speaker is not heard, yet its node still answers: it keeps them',
        fields,
      );
    }
    case 'l2-member-silent': {
      const { node, host } = report;
      return line('warn', 'speakerSilent', host ? 'a speaker died, its node did not' : 'a node answers no more', {
        node,
      });
    }
    case 'l2-member': {
      const { node, heard, link } = report;
      const event = heard ? 'speakerHeard' : 'speakerLost';
      const msg = heard ? 'a speaker is heard' : 'a speaker is not heard';
      return line(heard ? 'info' : 'warn', event, msg, { node, remoteInterface: link });
    }
    case 'l2-stranger': {
      const { ip, mac, claimed, gateway } = report;
      const who = gateway ? 'the gateway, a proxy perhaps,' : 'a machine that is no node of ours';
      const msg = claimed
        ? `${who} has the address too; we answer all the same`
        : `${who} has the address: it is not answered for`;
      return line('error', 'addressConflict', msg, { ip, mac, reason: 'stranger' });
    }
    case 'l2-unheard-owner': {
      const { ip, mac, claimed } = report;
      const msg = 'a node of ours that is not heard answers for the address';
      return line('warn', 'ownerStillAnswers', claimed ? `${msg}, and so do we` : msg, { ip, mac });
    }
    case 'l2-proxy':
      return line('warn', 'proxyIgnored', 'a machine answers for all addresses: its answers prove nothing', {
        mac: report.mac,
      });
    case 'l2-foreign':
      return line('info', 'leftToMetalLB', 'a speaker of MetalLB may answer for the address', { ip: report.ip });
    case 'l2-gateway': {
      const { ip, ok } = report;
      const msg = ok ? 'the gateway answers' : 'the gateway does not answer';
      return line(ok ? 'info' : 'warn', 'gateway', msg, { ip });
    }
    case 'l2-confirmation': {
      const { ip, verdict } = report;
      const level = verdict === 'refuted' ? 'warn' : 'debug';
      return line(level, 'addressConfirmation', 'whether the gateway sends to us', { ip, verdict });
    }
    case 'l2-handover': {
      const { ip, to, because } = report;
      return line('info', 'addressHandover', 'hands the address over', { ip, to, reason: because });
    }
    case 'l2-late':
      return line('warn', 'packetThreadLate', 'was stopped or starved, and asks before it answers again', {
        pausedMs: Math.round(report.pausedMs),
      });
  }
}

function ownAddressLine({ link, ip, addresses }: Extract<LinksReport, { report: 'l2-own-address' }>): Line {
  const error =
    'the kernel of this node has addresses that are served, as kube-proxy in IPVS mode sets them: it answers for them on ' +
    'every interface unless strictARP is set (arp_ignore=1, arp_announce=2)';
  const fields = { event: 'ownAddress', protocol: 'layer2', interface: link, ip, addresses, error };
  return { level: 'warn', msg: 'addresses of Services are on an interface', fields };
}

/** Worth a line though nobody here answers. */
const WORTH_A_LINE: ReadonlySet<string> = new Set(['stranger', 'noInterface', 'ownerStillAnswers', 'leftToMetalLB']);

/** Services that this node answers for from now on, or no longer; both maps as they are served. */
export function* linesOfLayer2Services(before: Plan['services'], after: Plan['services']): Generator<Line> {
  for (const [service, now] of after) {
    const last = before.get(service);
    if (last !== now) yield* linesOfService(service, last, now);
  }
  for (const [service, last] of before) if (!after.has(service)) yield* linesOfService(service, last, undefined);
}

function* linesOfService(
  service: ServiceKey,
  last: ServicePlan | undefined,
  now: ServicePlan | undefined,
): Generator<Line> {
  const [was, is] = [answeredBy(last), answeredBy(now)];
  if (is !== '' && is !== was)
    yield line('info', 'serviceAnnounced', 'service has IP, announcing', {
      service,
      ips: is.split(' '),
      pool: now?.pool,
    });
  if (is !== '') return;
  const { reason, message } =
    now === undefined || 'announced' in now.layer2
      ? { reason: 'serviceDeleted', message: undefined }
      : now.layer2.withheld;
  const fields = { service, ips: (was || (now?.ips ?? []).join(' ')).split(' '), reason, error: message };
  if (was !== '') yield line('info', 'serviceWithdrawn', 'withdrawing service announcement', fields);
  else if (WORTH_A_LINE.has(reason) && reasonOf(last) !== reason)
    yield line('warn', 'serviceNotAnnounced', 'not announcing', fields);
}

/** Addresses, apart by a blank. */
function answeredBy(plan: ServicePlan | undefined): string {
  return plan === undefined || 'withheld' in plan.layer2 ? '' : plan.layer2.announced.map(({ ip }) => ip).join(' ');
}

function reasonOf(plan: ServicePlan | undefined): string {
  return plan === undefined || 'announced' in plan.layer2 ? '' : plan.layer2.withheld.reason;
}

function line(level: Line['level'], event: string, msg: string, fields: Line['fields']): Line {
  return { level, msg, fields: { event, protocol: 'layer2', ...fields } };
}
