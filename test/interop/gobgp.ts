// GoBGP by hand: gobgpd in a namespace, asked by its own client. It has no hand on the kernel's routes.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Lab, type Place, ROUTER } from './lab.ts';
import { type Daemon, until } from './process.ts';
import { familyOf, type Router, type RouterOptions, type RouterPath, type RouterPeer } from './router.ts';

function neighbourLines(peer: RouterPeer): string[] {
  const { holdTime = 90 } = peer;
  return [
    '[[neighbors]]',
    '[neighbors.config]',
    ` neighbor-address = "${peer.address}"`,
    ` peer-as = ${peer.as}`,
    ...(peer.password === undefined ? [] : [` auth-password = "${peer.password}"`]),
    '[neighbors.timers.config]',
    ` hold-time = ${holdTime}`,
    ` keepalive-interval = ${Math.max(1, Math.floor(holdTime / 3))}`,
    ' connect-retry = 1',
    ' idle-hold-time-after-reset = 1',
    '[neighbors.transport.config]',
    ` local-address = "${peer.local ?? ROUTER[familyOf(peer.address)]}"`,
    ...(peer.passive === undefined ? [] : [' passive-mode = true']),
    ...(peer.port === undefined ? [] : [` remote-port = ${peer.port}`]),
    ...(peer.gtsm === undefined ? [] : ['[neighbors.ttl-security.config]', ' enabled = true', ' ttl-min = 255']),
    ...(peer.multihop === undefined
      ? []
      : ['[neighbors.ebgp-multihop.config]', ' enabled = true', ` multihop-ttl = ${peer.multihop}`]),
    ...(peer.gracefulRestart === undefined
      ? []
      : ['[neighbors.graceful-restart.config]', ' enabled = true', ' restart-time = 120', ' helper-only = true']),
    ...(peer.extra ?? []),
    ...peer.families.flatMap((family) => [
      '[[neighbors.afi-safis]]',
      '[neighbors.afi-safis.config]',
      ` afi-safi-name = "${family}-unicast"`,
      ...(peer.gracefulRestart === undefined
        ? []
        : ['[neighbors.afi-safis.mp-graceful-restart.config]', ' enabled = true']),
    ]),
  ];
}

function gobgpConfiguration(options: RouterOptions): string {
  return [
    '[global.config]',
    ` as = ${options.as}`,
    ` router-id = "${options.routerId ?? ROUTER.ipv4}"`,
    ...options.peers.flatMap(neighbourLines),
    ...(options.extra ?? []),
    '',
  ].join('\n');
}

/** Path attributes as `gobgp -j` prints them, by type code. */
interface GobgpAttribute {
  readonly type: number;
  readonly value?: unknown;
  readonly nexthop?: string;
  readonly as_paths?: readonly { readonly asns: readonly number[] }[];
  readonly communities?: readonly number[];
}

interface GobgpPath {
  readonly attrs: readonly GobgpAttribute[];
  readonly stale?: boolean;
  readonly 'neighbor-ip'?: string;
}

export class Gobgp implements Router {
  readonly kind = 'GoBGP';
  readonly daemon: Daemon;
  readonly #lab: Lab;
  readonly #place: Place;

  constructor(lab: Lab, place: Place, daemon: Daemon) {
    this.#lab = lab;
    this.#place = place;
    this.daemon = daemon;
  }

  ask(...args: readonly string[]): string {
    return this.#lab.run(this.#place, ['/usr/bin/gobgp', '-j', ...args]);
  }

  async state(neighbour: string): Promise<string> {
    // ESTABLISHED is 6 in its enumeration of session states
    const answer = JSON.parse(this.ask('neighbor', neighbour));
    return answer.state?.session_state === 6 ? 'Established' : `state ${answer.state?.session_state}`;
  }

  async paths(prefix: string): Promise<readonly RouterPath[]> {
    const answer: Record<string, readonly GobgpPath[]> = JSON.parse(
      this.ask('global', 'rib', prefix, '-a', familyOf(prefix)) || '{}',
    );
    return (answer[prefix] ?? []).map((path): RouterPath => {
      const attribute = (...types: number[]) => path.attrs.find(({ type }) => types.includes(type));
      const localPref = attribute(5)?.value;
      const large = attribute(32)?.value;
      return {
        from: path['neighbor-ip'] ?? '',
        nextHop: attribute(3, 14)?.nexthop ?? '',
        asPath: (attribute(2)?.as_paths ?? []).flatMap(({ asns }) => asns).join(' '),
        communities: (attribute(8)?.communities ?? []).map((value) => `${value >>> 16}:${value & 0xffff}`).sort(),
        largeCommunities: Array.isArray(large) ? large.map(largeCommunityText).sort() : [],
        ...(typeof localPref === 'number' ? { localPref } : {}),
        stale: path.stale === true,
      };
    });
  }

  async refresh(neighbour: string): Promise<void> {
    this.ask('neighbor', neighbour, 'softresetin');
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.daemon.stop(signal);
  }
}

function largeCommunityText(community: Readonly<Record<string, number>>): string {
  return Object.values(community).join(':');
}

export async function startGobgp(lab: Lab, options: RouterOptions): Promise<Gobgp> {
  const place = options.place ?? 'r';
  const folder = lab.makeFolder(`gobgp-${place}`);
  writeFileSync(join(folder, 'gobgpd.toml'), gobgpConfiguration(options));
  const daemon = lab.spawn(`gobgpd-${place}`, place, [
    ...['/usr/bin/gobgpd', '-f', join(folder, 'gobgpd.toml'), '-p'],
    ...['--api-hosts', '127.0.0.1:50051', '--pprof-disable'],
  ]);
  const router = new Gobgp(lab, place, daemon);
  await until('gobgpd is ready and knows its neighbours', () => {
    return options.peers.every((peer) => router.ask('neighbor', peer.address) !== '');
  });
  for (const prefix of options.announce ?? []) router.ask('global', 'rib', 'add', prefix, '-a', familyOf(prefix));
  return router;
}
