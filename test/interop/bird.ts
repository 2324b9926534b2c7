// BIRD 2 by hand: one process in a namespace, asked over its control socket.

import { existsSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Lab, ROUTER } from './lab.ts';
import { type Daemon, until } from './process.ts';
import { familyOf, type Router, type RouterOptions, type RouterPath, type RouterPeer } from './router.ts';

function protocolLines(options: RouterOptions, peer: RouterPeer, name: string): string[] {
  const { holdTime = 90 } = peer;
  const remote = peer.as === 'external' ? peer.as : `as ${peer.as}`;
  const local = peer.local ?? ROUTER[familyOf(peer.address)];
  return [
    `protocol bgp ${name} {`,
    ` local ${local} as ${options.as};`,
    ` neighbor ${peer.address}${peer.port === undefined ? '' : ` port ${peer.port}`} ${remote};`,
    ` hold time ${holdTime}; keepalive time ${Math.max(1, Math.floor(holdTime / 3))};`,
    ' connect delay time 0; connect retry time 1; error wait time 1, 2;',
    peer.multihop === undefined ? ' direct;' : ` multihop ${peer.multihop};`,
    ...(peer.password === undefined ? [] : [` password "${peer.password}";`]),
    ...(peer.gtsm === undefined ? [] : [' ttl security on;']),
    ...(peer.passive === undefined ? [] : [' passive on;']),
    ...(peer.gracefulRestart === undefined ? [] : [' graceful restart on;']),
    ...(peer.old === undefined ? [] : [' enable as4 off;']),
    ...(peer.extra ?? []).map((line) => ` ${line}`),
    ...peer.families.map((family) => ` ${family} { import all; export where source = RTS_STATIC; };`),
    '}',
  ];
}

function birdConfiguration(options: RouterOptions): string {
  const announced = (family: string): string[] =>
    (options.announce ?? [])
      .filter((prefix) => familyOf(prefix) === family)
      .map((prefix) => ` route ${prefix} blackhole;`);
  return [
    'log stderr all;',
    `router id ${options.routerId ?? ROUTER.ipv4};`,
    'protocol device { scan time 1; }',
    'protocol direct { ipv4; ipv6; }',
    ...(['ipv4', 'ipv6'] as const).flatMap((family) => [
      ...(options.kernel === false
        ? []
        : [
            `protocol kernel kernel_${family} { ${family} { import none; export where source = RTS_BGP; }; merge paths on; }`,
          ]),
      `protocol static static_${family} { ${family};`,
      ...announced(family),
      '}',
    ]),
    ...options.peers.flatMap((peer, at) => protocolLines(options, peer, `p${at}`)),
    ...(options.extra ?? []),
    '',
  ].join('\n');
}

export class Bird implements Router {
  readonly kind = 'BIRD';
  readonly daemon: Daemon;
  readonly #control: string;
  readonly #peers: readonly RouterPeer[];

  constructor(control: string, daemon: Daemon, peers: readonly RouterPeer[]) {
    this.#control = control;
    this.daemon = daemon;
    this.#peers = peers;
  }

  /** What BIRD answers to one command, without the reply codes. */
  ask(command: string): Promise<string> {
    return ask(this.#control, command);
  }

  /** What `show bfd sessions` has in the row of a neighbour: state, interval and timeout in seconds. */
  async bfdPeer(
    neighbour: string,
  ): Promise<{ readonly state: string; readonly interval: number; readonly timeout: number }> {
    const row = (await this.ask('show bfd sessions')).split('\n').find((line) => line.startsWith(`${neighbour} `));
    const [, , state = 'absent', , interval = '0', timeout = '0'] = row?.trim().split(/\s+/) ?? [];
    return { state, interval: Number(interval), timeout: Number(timeout) };
  }

  /** Name of the protocol that is this neighbour. */
  protocol(neighbour: string): string {
    return `p${this.#peers.findIndex((peer) => peer.address === neighbour)}`;
  }

  async state(neighbour: string): Promise<string> {
    const answer = await this.ask(`show protocols all ${this.protocol(neighbour)}`);
    return /BGP state:\s+(\S+)/.exec(answer)?.[1] ?? 'absent';
  }

  async paths(prefix: string): Promise<readonly RouterPath[]> {
    const answer = await this.ask(`show route for ${prefix} all`);
    // BIRD marks no path as stale in a plain graceful restart: it says it of the neighbour
    const restarting = new Set<string | undefined>();
    for (const { address } of this.#peers) {
      const text = await this.ask(`show protocols all ${this.protocol(address)}`);
      if (/graceful restart active/.test(text)) restarting.add(address);
    }
    // one path begins with `[p0 …]`, its attributes follow on indented lines
    return answer
      .split(/\[(?=p\d+ )/)
      .slice(1)
      .map((text): RouterPath => {
        const attribute = (name: string): string => new RegExp(`BGP\\.${name}: (.*)`).exec(text)?.[1]?.trim() ?? '';
        const communities = (name: string): string[] =>
          [...attribute(name).matchAll(/\(([^)]*)\)/g)].map((match) => (match[1] ?? '').split(/,\s*/).join(':')).sort();
        const peer = this.#peers[Number(/^p(\d+)/.exec(text)?.[1])];
        const localPref = attribute('local_pref');
        return {
          from: peer?.address ?? '',
          nextHop: attribute('next_hop').split(' ')[0] ?? '',
          asPath: attribute('as_path'),
          communities: communities('community'),
          largeCommunities: communities('large_community'),
          ...(localPref === '' ? {} : { localPref: Number(localPref) }),
          stale: restarting.has(peer?.address),
        };
      });
  }

  async refresh(neighbour: string): Promise<void> {
    await this.ask(`reload in ${this.protocol(neighbour)}`);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.daemon.stop(signal);
  }
}

export async function startBird(lab: Lab, options: RouterOptions): Promise<Bird> {
  const place = options.place ?? 'r';
  const folder = lab.makeFolder(`bird-${place}`);
  const control = join(folder, 'bird.ctl');
  writeFileSync(join(folder, 'bird.conf'), birdConfiguration(options));
  const daemon = lab.spawn(`bird-${place}`, place, [
    ...['/usr/sbin/bird', '-f', '-c', join(folder, 'bird.conf')],
    ...['-s', control, '-P', join(folder, 'bird.pid')],
  ]);
  await until('BIRD is ready', () => existsSync(control));
  return new Bird(control, daemon, options.peers);
}

/** A line is a four-digit code, then `-` (more follows) or a space (the last), or a space in front: code as before. */
async function ask(path: string, command: string): Promise<string> {
  const socket = connect(path);
  socket.setTimeout(10_000, () => socket.destroy(new Error(`${path} does not answer`)));
  try {
    let text = '';
    let greeted = false;
    for await (const chunk of socket) {
      text += chunk;
      if (!/^\d{4} .*\n$/m.test(text.slice(text.lastIndexOf('\n', text.length - 2) + 1))) continue;
      if (greeted) break;
      greeted = true;
      text = '';
      socket.write(`${command}\n`);
    }
    return text.replace(/^(\d{4}[- ]| |\+)/gm, '');
  } finally {
    socket.destroy();
  }
}
