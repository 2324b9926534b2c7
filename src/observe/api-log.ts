// What the door to the API server has to say, as log lines. One place for the levels: what stops us is an error, what may
// pass by itself a warning.

import type { ApiReport } from '../k8s/report.ts';
import { unreachable } from '../net/machine.ts';
import type { Line } from './log.ts';

export function lineOfApiReport(report: ApiReport): Line {
  switch (report.is) {
    case 'synced':
      return line('debug', 'list', `all ${report.kind.plural} were read`);
    case 'reading-failed':
      return line('warn', 'list', 'cannot read, goes on trying', { resource: report.kind.plural, error: report.text });
    case 'reading-again':
      return line('info', 'list', 'reads again', { resource: report.kind.plural });
    case 'not-served': {
      const error = `${report.kind.plural} are not served: the CustomResourceDefinition is not installed`;
      return line('warn', 'list', 'waits for the definition', {
        resource: report.kind.plural,
        kept: report.kept,
        error,
      });
    }
    case 'garbled':
      return line('warn', 'watch', 'a watch made no sense', { resource: report.kind.plural, error: report.text });
    case 'relist-doubted': {
      const { kind, known, vanished } = report;
      const fields = { event: 'relistDoubted', resource: kind.plural, known, vanished };
      return line('error', 'list', 'a new list lacks too much of what was there: kept until it is confirmed', fields);
    }
    case 'relist-settled': {
      const { kind, gone, by } = report;
      return line('warn', 'list', 'what was missing is settled', { resource: kind.plural, gone, by });
    }
    case 'unreadable': {
      const { kind, namespace, name, invalid } = report.object;
      const object = `${kind}/${name}${namespace === '' ? '' : ` in namespace ${namespace}`}`;
      return line('error', 'read', 'an object cannot be read, the others are', { object, error: invalid.message });
    }
    case 'readable-again':
      return line('info', 'read', 'an object can be read again, or is gone', {
        object: `${report.kind}/${report.name}`,
      });
    case 'write-failed':
      return line('warn', 'write', 'cannot write', { object: report.key, error: report.text });
    case 'put-instead':
      return line('info', 'write', 'updates whole objects, for patching is forbidden', { error: report.text });
    case 'leading':
      return line('info', 'lease', 'leads', { event: 'leading', identity: report.identity });
    case 'not-leading':
      return line('info', 'lease', 'does not lead any more', { event: 'notLeading', error: report.text });
    case 'leading-alone':
      return line('warn', 'lease', 'leads without a lease', { event: 'leading', error: report.text });
    case 'lease-failed':
      return line('warn', 'lease', 'cannot ask for the lease, goes on trying', { error: report.text });
    default:
      return unreachable(report);
  }
}

function line(level: Line['level'], op: string, msg: string, fields: Line['fields'] = {}): Line {
  return { level, msg, fields: { op, ...fields } };
}
