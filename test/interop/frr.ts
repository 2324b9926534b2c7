// FRR by hand: zebra, bgpd and where asked bfdd in a namespace with a folder of their own, asked over their vty sockets. No service
// manager and nothing of /etc/frr is involved, so that any number of them run beside each other.

import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Lab, ROUTER } from './lab.ts';
import { type Daemon, until } from './process.ts';
import { familyOf, type Router, type RouterOptions, type RouterPath, type RouterPeer } from './router.ts';

const BINARIES = '/usr/lib/frr';

/** A `neighbor X …` line per setting, and the families. */
function neighbourLines(peer: RouterPeer): string[] {
  const { address, holdTime = 90 } = peer;
  return [
    // an interface in place of an address: an unnumbered peer
    `${/[.:]/.test(address) ? '' : 'interface '}remote-as ${peer.as}`,
    `timers ${Math.max(1, Math.floor(holdTime / 3))} ${holdTime}`,
    'timers connect 1',
    ...(peer.password === undefined ? [] : [`password ${peer.password}`]),
    ...(peer.gtsm === undefined ? [] : ['ttl-security hops 1']),
    ...(peer.multihop === undefined ? [] : [`ebgp-multihop ${peer.multihop}`]),
    ...(peer.passive === undefined ? [] : ['passive']),
    ...(peer.local === undefined ? [] : [`update-source ${peer.local}`]),
    ...(peer.port === undefined ? [] : [`port ${peer.port}`]),
    ...(peer.extra ?? []),
  ].map((line) => ` neighbor ${address} ${line}`);
}

function familyLines(options: RouterOptions, family: 'ipv4' | 'ipv6'): string[] {
  return [
    ` address-family ${family} unicast`,
    '  maximum-paths 8',
    '  maximum-paths ibgp 8',
    ...(options.announce ?? []).filter((prefix) => familyOf(prefix) === family).map((prefix) => `  network ${prefix}`),
    ...options.peers
      .filter((peer) => peer.families.includes(family))
      .map(({ address }) => `  neighbor ${address} activate`),
    ' exit-address-family',
  ];
}

export function frrConfiguration(options: RouterOptions): string {
  return [
    `router bgp ${options.as}`,
    ` bgp router-id ${options.routerId ?? ROUTER.ipv4}`,
    // FRR's default since 7.4 is to accept nothing from eBGP without a policy (RFC 8212)
    ' no bgp ebgp-requires-policy',
    ' no bgp default ipv4-unicast',
    ' no bgp network import-check',
    ' bgp bestpath as-path multipath-relax',
    ' bgp log-neighbor-changes',
    ...(options.peers.some((peer) => peer.gracefulRestart) ? [' bgp graceful-restart'] : []),
    ...options.peers.flatMap(neighbourLines),
    ...familyLines(options, 'ipv4'),
    ...familyLines(options, 'ipv6'),
    'exit',
    ...(options.extra ?? []),
    '',
  ].join('\n');
}

export class Frr implements Router {
  readonly kind = 'FRR';
  readonly bgpd: Daemon;
  readonly bfdd: Daemon | undefined;
  readonly #zebra: Daemon;
  readonly #folder: string;

  constructor(folder: string, zebra: Daemon, bgpd: Daemon, bfdd: Daemon | undefined) {
    this.#folder = folder;
    this.#zebra = zebra;
    this.bgpd = bgpd;
    this.bfdd = bfdd;
  }

  /** A connection to bgpd's vty, for the caller to close. */
  connect(): Vty {
    return new Vty(join(this.#folder, 'bgpd.vty'));
  }

  /** What bgpd answers to commands given one after the other, joined. */
  vty(...commands: readonly string[]): Promise<string> {
    return vty(join(this.#folder, 'bgpd.vty'), commands);
  }

  zebra(...commands: readonly string[]): Promise<string> {
    return vty(join(this.#folder, 'zebra.vty'), commands);
  }

  bfd(...commands: readonly string[]): Promise<string> {
    return vty(join(this.#folder, 'bfdd.vty'), commands);
  }

  /** What bfdd says of its session with a neighbour. */
  async bfdPeer(neighbour: string): Promise<FrrBfdPeer> {
    const peers: readonly FrrBfdPeer[] = JSON.parse(await this.bfd('show bfd peers json'));
    return peers.find(({ peer }) => peer === neighbour) ?? { peer: neighbour };
  }

  async bfdCounters(neighbour: string): Promise<Readonly<Record<string, number>>> {
    const peers = JSON.parse(await this.bfd('show bfd peers counters json'));
    return peers.find(({ peer }: FrrBfdPeer) => peer === neighbour) ?? {};
  }

  async configure(...lines: readonly string[]): Promise<void> {
    const answer = await this.vty('configure terminal', ...lines, 'end');
    if (answer.trim() !== '') throw new Error(`FRR refuses: ${answer}`);
  }

  async state(neighbour: string): Promise<string> {
    return (await this.neighbour(neighbour)).bgpState ?? 'absent';
  }

  /** All that `show bgp neighbors X json` says, of which a story picks what it knows. */
  async neighbour(address: string): Promise<FrrNeighbour> {
    const answer = JSON.parse(await this.vty(`show bgp neighbors ${address} json`));
    return answer[address] ?? {};
  }

  async paths(prefix: string): Promise<readonly RouterPath[]> {
    const answer = JSON.parse((await this.vty(`show bgp ${familyOf(prefix)} unicast ${prefix} json`)) || '{}');
    const paths: readonly FrrPath[] = answer.paths ?? [];
    return paths.map((path) => ({
      from: path.peer.peerId,
      nextHop: path.nexthops.find(({ scope }) => scope !== 'link-local')?.ip ?? '',
      asPath: path.aspath.string === 'Local' ? '' : path.aspath.string,
      communities: (path.community?.list ?? []).toSorted(),
      largeCommunities: (path.largeCommunity?.list ?? []).toSorted(),
      ...((path.localpref ?? path.locPrf) === undefined ? {} : { localPref: path.localpref ?? path.locPrf }),
      stale: path.stale === true,
    }));
  }

  async refresh(neighbour: string): Promise<void> {
    await this.vty(`clear bgp ${neighbour.includes(':') ? 'ipv6 ' : ''}${neighbour} soft in`);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.bgpd.stop(signal);
    await this.bfdd?.stop(signal);
    await this.#zebra.stop(signal);
  }
}

/** The parts of `show bfd peers json` that stories look at; its own words. */
export interface FrrBfdPeer {
  readonly peer: string;
  readonly local?: string;
  readonly status?: string;
  readonly multihop?: boolean;
  readonly diagnostic?: string;
  readonly 'remote-diagnostic'?: string;
  readonly 'remote-receive-interval'?: number;
  readonly 'remote-transmit-interval'?: number;
  readonly 'remote-echo-receive-interval'?: number;
  readonly 'remote-detect-multiplier'?: number;
}

/** The parts of FRR's JSON that stories look at. */
export interface FrrNeighbour {
  readonly bgpState?: string;
  readonly remoteAs?: number;
  readonly connectionsEstablished?: number;
  readonly lastResetDueTo?: string;
  readonly lastNotificationReason?: string;
  readonly lastShutdownDescription?: string;
  readonly bgpTimerHoldTimeMsecs?: number;
  readonly bgpTimerConfiguredHoldTimeMsecs?: number;
  readonly bgpTimerUpMsec?: number;
  readonly messageStats?: Readonly<Record<string, number>>;
  readonly neighborCapabilities?: Readonly<Record<string, unknown>>;
  readonly gracefulRestartInfo?: Readonly<Record<string, unknown>>;
}

interface FrrPath {
  readonly peer: { readonly peerId: string };
  readonly aspath: { readonly string: string };
  readonly nexthops: readonly { readonly ip: string; readonly scope?: string }[];
  readonly community?: { readonly list: readonly string[] };
  readonly largeCommunity?: { readonly list: readonly string[] };
  readonly localpref?: number;
  readonly locPrf?: number;
  readonly stale?: boolean;
}

/** Starts zebra and bgpd and waits until they answer. */
export async function startFrr(lab: Lab, options: RouterOptions): Promise<Frr> {
  const place = options.place ?? 'r';
  const folder = lab.makeFolder(`frr-${place}`);
  writeFileSync(join(folder, 'bgpd.conf'), `hostname ${place}\nlog stdout\n${frrConfiguration(options)}`);
  writeFileSync(join(folder, 'zebra.conf'), `hostname ${place}\nlog stdout\n`);
  writeFileSync(join(folder, 'bfdd.conf'), [`hostname ${place}`, 'log stdout', ...(options.bfd ?? []), ''].join('\n'));
  // they start as root and drop to this user, which then makes the sockets
  execFileSync('chown', ['-R', 'frr:frr', folder]);
  const start = async (name: string, ready: string, ...more: readonly string[]): Promise<Daemon> => {
    const base = ['-u', 'frr', '-g', 'frr', '-P', '0', '--vty_socket', folder, '-z', join(folder, 'zserv.api')];
    const daemon = lab.spawn(`${name}-${place}`, place, [
      join(BINARIES, name),
      ...base,
      ...['-i', join(folder, `${name}.pid`)],
      ...more,
    ]);
    await until(`${name} is ready`, () => existsSync(join(folder, ready)));
    return daemon;
  };
  // FRR 9 and later keep zebra's configuration in a daemon of its own
  if (existsSync(join(BINARIES, 'mgmtd'))) await start('mgmtd', 'mgmtd.vty');
  const zebra = await start('zebra', 'zserv.api', '-f', join(folder, 'zebra.conf'));
  let bfdd: Daemon | undefined;
  if (options.bfd !== undefined) {
    bfdd = await start('bfdd', 'bfdd.vty', '-f', join(folder, 'bfdd.conf'), '--bfdctl', join(folder, 'bfdd.sock'));
  }
  const bgpd = await start('bgpd', 'bgpd.vty', '-f', join(folder, 'bgpd.conf'));
  return new Frr(folder, zebra, bgpd, bfdd);
}

/** One connection to a daemon's vty socket, for whoever asks often. */
export class Vty {
  readonly #path: string;
  readonly #socket: Socket;
  readonly #input: NodeJS.AsyncIterator<Buffer>;

  constructor(path: string) {
    this.#path = path;
    this.#socket = connect(path);
    this.#socket.setTimeout(30_000, () => this.#socket.destroy(new Error(`${path} does not answer`)));
    this.#input = this.#socket[Symbol.asyncIterator]();
  }

  /** The protocol of vtysh: a command and a NUL; the answer ends with three NULs and the command's return code. */
  async ask(command: string): Promise<string> {
    this.#socket.write(`${command}\0`);
    let answer = Buffer.alloc(0);
    while (answer.length < 4 || answer.readUIntBE(answer.length - 4, 3) !== 0) {
      const { value, done } = await this.#input.next();
      if (done === true) throw new Error(`${this.#path} closed the connection`);
      answer = Buffer.concat([answer, value]);
    }
    return answer.subarray(0, -4).toString();
  }

  close(): void {
    this.#socket.destroy();
  }
}

async function vty(path: string, commands: readonly string[]): Promise<string> {
  const connection = new Vty(path);
  try {
    let answers = '';
    for (const command of ['enable', ...commands]) answers += await connection.ask(command);
    return answers;
  } finally {
    connection.close();
  }
}
