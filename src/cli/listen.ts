// `fairway listen`: the collector on a terminal (a table that is redrawn), in a pipe (a line a change) or for a program
// (a JSON object a line).

import { Command, InvalidArgumentError, Option } from 'commander';
import { createLog } from '../io/log.ts';
import { dieLoudly, leaveOnSignal } from '../io/supervise.ts';
import { type Ip, parseIp } from '../net/address.ts';
import type { SocketAddress } from '../net/io.ts';
import { peerLabel } from '../observe/log.ts';
import { datesFrom, peerJson } from '../observe/state.ts';
import type { SpeakerReport } from '../speaker.ts';
import { Collector } from './collector.ts';
import { readAs, readSocketAddress } from './options.ts';
import { type Painter, painterFor, printable, table } from './terminal.ts';
import { VERSION } from './version.ts';

/** What changes within this time is printed as one. */
const TOGETHER_MS = 20;
const LEAVE_MS = 4_500;

interface Flags {
  readonly bgp: SocketAddress;
  readonly as: number;
  readonly routerId?: Ip;
  readonly peer?: readonly Ip[];
  readonly peerAs: number | 'internal' | 'external';
  readonly output?: 'json';
}

type PeerJson = ReturnType<typeof peerJson>;

export function listenCommand(): Command {
  return new Command('listen')
    .description('Accepts BGP sessions and shows what is announced. Any next hop is taken: nothing is forwarded here.')
    .addOption(
      new Option('--bgp <addr:port>', 'where to listen')
        .argParser(readSocketAddress)
        .default(readSocketAddress('127.0.0.1:1790'), '127.0.0.1:1790'),
    )
    .addOption(new Option('--as <number>', 'our AS').argParser(readAs).default(64_512))
    .option('--router-id <address>', 'our router id (default: the IPv4 address of the session)', readRouterId)
    .option('--peer <address>', 'accept this peer alone; may be repeated (default: anybody)', readPeer)
    .addOption(
      new Option('--peer-as <number|external|internal>', 'AS of the peers').argParser(readPeerAs).default('external'),
    )
    .addOption(new Option('-o, --output <format>', 'one JSON object a line at each change').choices(['json']))
    .action(run);
}

function readIp(text: string): Ip {
  const ip = parseIp(text);
  if (ip === undefined) throw new InvalidArgumentError(`"${text}" is no IP address`);
  return ip;
}

function readPeer(text: string, before: readonly Ip[] | undefined): readonly Ip[] {
  return [...(before ?? []), readIp(text)];
}

function readRouterId(text: string): Ip {
  const ip = readIp(text);
  if (ip.includes(':') || ip === '0.0.0.0') throw new InvalidArgumentError('a router id is written as an IPv4 address');
  return ip;
}

function readPeerAs(text: string): Flags['peerAs'] {
  return text === 'external' || text === 'internal' ? text : readAs(text);
}

function run(flags: Flags): void {
  const { bgp: at, as, routerId, peer: peers = [], peerAs } = flags;
  const dates = datesFrom(performance.timeOrigin);
  const show = flags.output === 'json' ? showJson() : process.stdout.isTTY ? showTable(at) : showLines(at);
  let isDue = false;
  const collector = new Collector({ at, as, peers, peerAs, ...(routerId !== undefined && { routerId }) }, (report) => {
    if (report.report === 'listening' && report.error !== undefined) {
      process.stderr.write(`cannot listen on ${peerLabel(at)}: ${report.error}\n`);
      process.exit(1);
    }
    show.report?.(report);
    if (report.report === 'peer-message' && report.type !== 'UPDATE') return;
    if (isDue) return;
    isDue = true;
    setTimeout(() => {
      isDue = false;
      show.peers(collector.peers().map((peer) => peerJson(peer, dates)));
    }, TOGETHER_MS);
  });
  dieLoudly(createLog('error', 2), () => collector.recent);
  leaveOnSignal(() => collector.leave(), LEAVE_MS);
  collector.start();
}

interface Show {
  readonly report?: (report: SpeakerReport) => void;
  readonly peers: (peers: readonly PeerJson[]) => void;
}

function showJson(): Show {
  return { peers: (peers) => void process.stdout.write(`${JSON.stringify({ peers })}\n`) };
}

type Routes = NonNullable<PeerJson['routes']>;

/** What happens, line by line. */
function showLines(at: SocketAddress): Show {
  const print = (text: string) => void process.stdout.write(`${new Date().toISOString()} ${printable(text)}\n`);
  let before = new Map<string, string>();
  return {
    report: (report) => {
      const text = textOf(report, at);
      if (text !== undefined) print(text);
    },
    peers: (peers) => {
      const now = new Map<string, string>();
      for (const { name, routes = [] } of peers)
        for (const route of routes) now.set(`${name} ${route.prefix} ${route.pathId ?? ''}`.trimEnd(), pathText(route));
      for (const [key, path] of now) if (before.get(key) !== path) print(`+ ${key} ${path}`);
      for (const key of before.keys()) if (!now.has(key)) print(`- ${key}`);
      before = now;
    },
  };
}

function pathText(route: Routes[number]): string {
  const { nextHop, asPath, communities, localPref, med } = route;
  const parts = [`next hop ${nextHop}`, `AS path ${asPath === '' ? 'empty' : asPath}`];
  if (communities.length > 0) parts.push(`communities ${communities.join(' ')}`);
  if (localPref !== null) parts.push(`local preference ${localPref}`);
  if (med !== null) parts.push(`MED ${med}`);
  return parts.join(', ');
}

function textOf(report: SpeakerReport, at: SocketAddress): string | undefined {
  switch (report.report) {
    case 'listening':
      return `fairway ${VERSION} listens on ${peerLabel(at)}; any next hop is taken, nothing is forwarded`;
    case 'peer-state':
      return `${report.peer}: ${report.to}`;
    case 'peer-down':
    case 'peer-failed':
      return `${report.peer}: ${report.why}`;
    case 'peer-warning':
      return `${report.peer}: ${report.text}`;
    case 'connection-refused':
      return `${peerLabel(report.from)}: refused, ${report.why}`;
    case 'peer-up':
    case 'peer-synced':
    case 'peer-message':
      return undefined;
  }
}

/** All there is, on a screen of its own text: drawn over itself. */
function showTable(at: SocketAddress): Show {
  const paint = painterFor(process.stdout, process.env);
  const draw = (peers: readonly PeerJson[]) => {
    const head = `fairway listen on ${peerLabel(at)} (any next hop is taken, nothing is forwarded; ctrl-c ends)\n\n`;
    process.stdout.write(`\x1b[H\x1b[J${head}${peersTable(peers, paint)}\n${routesTable(peers, paint)}`);
  };
  return { report: (report) => report.report === 'listening' && draw([]), peers: draw };
}

export function peersTable(peers: readonly PeerJson[], paint: Painter): string {
  const rows = peers.map(({ name, state, remote, since, lastError, counters }) => [
    name,
    { text: state, style: state === 'Established' ? ('green' as const) : ('yellow' as const) },
    remote === null ? '' : String(remote.as),
    since,
    String(Object.values(counters.learned).reduce((sum, count) => sum + count, 0)),
    state === 'Established' ? '' : (lastError?.text ?? ''),
  ]);
  return table(['PEER', 'STATE', 'AS', 'SINCE', 'ROUTES', 'LAST ERROR'], rows, paint);
}

export function routesTable(peers: readonly PeerJson[], paint: Painter): string {
  const rows = peers.flatMap(({ name, routes = [] }) =>
    routes.map(({ prefix, nextHop, asPath, communities, localPref, med }) => [
      ...[prefix, name, nextHop ?? '', asPath, communities.join(' ')],
      [localPref === null ? '' : `local preference ${localPref}`, med === null ? '' : `MED ${med}`].join(' ').trim(),
    ]),
  );
  return table(['PREFIX', 'FROM', 'NEXT HOP', 'AS PATH', 'COMMUNITIES', ''], rows, paint);
}
