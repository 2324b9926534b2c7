// What the packet thread reports of BFD, of its sockets and of what the kernel refuses, as lines of the log. Called by announcer.

import type { LinksReport, SocketUse, Waiting } from '../links/report.ts';
import type { SystemError } from '../net/io.ts';
import type { Line } from './log.ts';

/** Undefined: it is none of these, or worth no line. `reason` is what the change of state is put down to. */
export function lineOfBfdReport(report: LinksReport, reason: string): Line | undefined {
  switch (report.report) {
    case 'bfd-state':
      return lineOfState(report, reason);
    case 'bfd-moved': {
      const fields = { event: 'bfdMoved', peerName: report.session, wasUp: report.wasUp };
      return { level: 'info', msg: 'BFD session begins anew on another path', fields };
    }
    case 'bfd-waiting': {
      const who = { op: 'bfd', peerName: report.session };
      if (report.for === undefined) return { level: 'info', msg: 'BFD session can run', fields: who };
      return { level: 'warn', msg: 'BFD session cannot run', fields: { ...who, error: WAITING[report.for] } };
    }
    case 'neighbor': {
      const { link, neighbor } = report;
      const fields = { event: 'neighbor', interface: link };
      if (neighbor.is === 'unknown') return undefined;
      return { level: 'info', msg: 'a router is at the other end', fields: { ...fields, address: neighbor.address } };
    }
    case 'neighbor-other': {
      const fields = { event: 'neighbor', interface: report.link, address: report.address };
      const error = 'one router on each interface can be a peer: the first one stays while it is heard';
      return { level: 'warn', msg: 'another router is on the link', fields: { ...fields, error } };
    }
    case 'socket': {
      const { socket, use, error } = report;
      const fields = { op: 'socket', socket, use };
      if (error === undefined) return { level: 'info', msg: `${USES[use]} works again`, fields };
      return { level: 'error', msg: `${USES[use]} does not work`, fields: { ...fields, error: errorText(error) } };
    }
    case 'refused': {
      const { effect, about, error } = report;
      const fields = { op: effect, about, error: errorText(error) };
      return { level: 'warn', msg: 'the kernel refused the packet thread; said once, then counted', fields };
    }
    default:
      return undefined;
  }
}

/** The system call, the name of its error, and what it means. */
export function errorText({ call, code, text }: SystemError): string {
  return `${call}: ${code}: ${text}`;
}

function lineOfState(report: Extract<LinksReport, { report: 'bfd-state' }>, reason: string): Line {
  const { session: peerName, from, to, because, failure, heldMs } = report;
  if (to === 'Up') return { level: 'info', msg: 'BFD session up', fields: { event: 'bfdUp', peerName } };
  if (failure) {
    const held = heldMs === undefined ? {} : { heldMs };
    return { level: 'warn', msg: 'BFD session down', fields: { event: 'bfdDown', peerName, error: reason, ...held } };
  }
  const isOnPurpose = from === 'Up' || because === 'peer-admin-down';
  const fields = { event: 'bfdState', peerName, from, to, reason };
  return { level: isOnPurpose ? 'info' : 'debug', msg: 'BFD state change', fields };
}

export const WAITING: Readonly<Record<Waiting, string>> = {
  link: 'no interface is on a subnet of the peer',
  'local-address': 'no address of this node to run it from',
  vrf: 'the VRF device is not there',
};

const USES: Readonly<Record<SocketUse, string>> = {
  bfd: 'BFD',
  'bfd-echo': "BFD's echo",
  speakers: 'talking to the other speakers',
  layer2: 'layer 2',
  neighbors: 'finding the neighbor of an interface',
};
