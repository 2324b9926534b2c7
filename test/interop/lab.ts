// A lab: one switch, a router, a client behind the router and some nodes, each a network namespace of its own, and the
// daemons that run in them. Made by `useLab` for stories and by the bench; nothing here touches the machine's own network.
//   segment      198.51.100.0/25    2001:db8:1::/64   router .1 and ::1, node i .1i and ::1i
//   client link  198.51.100.128/25  2001:db8:2::/64   router .129 and ::1, client .130 and ::2
//   VIPs         203.0.113.0/24     2001:db8:f::/64
// (RFC 5737 and RFC 3849: documentation addresses.)

import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inside, ip, OWNER, sweep } from './namespace.ts';
import { Daemon } from './process.ts';

export const ROUTER = { ipv4: '198.51.100.1', ipv6: '2001:db8:1::1' } as const;
export const CLIENT = { ipv4: '198.51.100.130', ipv6: '2001:db8:2::2' } as const;
export const node = (i: number) => ({ ipv4: `198.51.100.1${i}`, ipv6: `2001:db8:1::1${i}` }) as const;

/** Router, client, switch, the i-th node, or a pod behind a node (test/cluster makes these). */
export type Place = 'r' | 'c' | 'sw' | `n${number}` | `p${number}`;

let labs = 0;

export class Lab {
  readonly folder: string;
  readonly #id: string;
  readonly #places: readonly Place[];
  readonly #daemons: Daemon[] = [];
  /** Names of logs and folders are never used twice: what one story wrote is not read by the next. */
  #made = 0;

  constructor(nodes: number) {
    this.#id = `${OWNER}-${++labs}`;
    this.folder = join(tmpdir(), this.#id);
    this.#places = ['sw', 'r', 'c', ...Array.from({ length: nodes }, (_, i): Place => `n${i + 1}`)];
  }

  /** Name of a place's namespace. */
  namespace(place: Place): string {
    return `${this.#id}-${place}`;
  }

  up(): void {
    mkdirSync(this.folder, { mode: 0o755 });
    ip(
      undefined,
      this.#places.map((place) => `netns add ${this.namespace(place)}`),
    );
    const nodes = this.#places.filter((place) => place.startsWith('n'));
    for (const place of this.#places) {
      const forward = place === 'r' ? ['ip_forward=1', 'fib_multipath_hash_policy=1'] : [];
      this.run(place, [
        'sysctl',
        '-qw',
        ...['net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0'],
        ...['net.ipv6.conf.default.accept_ra=0', 'net.ipv4.conf.all.rp_filter=0'],
        ...forward.map((setting) => `net.ipv4.${setting}`),
        ...(place === 'r' ? ['net.ipv6.conf.all.forwarding=1', 'net.ipv6.fib_multipath_hash_policy=1'] : []),
      ]);
    }
    const port = (place: Place, name = `${place}`): string =>
      `link add eth0 netns ${this.namespace(place)} type veth peer name ${name} netns ${this.namespace('sw')}`;
    ip(undefined, [
      port('r'),
      `link add eth1 netns ${this.namespace('r')} type veth peer name eth0 netns ${this.namespace('c')}`,
      ...nodes.map((place) => port(place)),
    ]);
    ip(this.namespace('sw'), [
      'link add br0 type bridge mcast_snooping 0',
      'link set br0 up',
      ...(['r', ...nodes] as const).map((place) => `link set ${place} master br0 up`),
    ]);
    ip(this.namespace('r'), [
      ...['link set lo up', 'link set eth0 up', 'link set eth1 up'],
      `addr add ${ROUTER.ipv4}/25 dev eth0`,
      `addr add ${ROUTER.ipv6}/64 dev eth0 nodad`,
      'addr add 198.51.100.129/25 dev eth1',
      'addr add 2001:db8:2::1/64 dev eth1 nodad',
    ]);
    ip(this.namespace('c'), [
      ...['link set lo up', 'link set eth0 up'],
      `addr add ${CLIENT.ipv4}/25 dev eth0`,
      `addr add ${CLIENT.ipv6}/64 dev eth0 nodad`,
      ...['route add default via 198.51.100.129', 'route add default via 2001:db8:2::1'],
    ]);
    for (const place of nodes) {
      const address = node(Number(place.slice(1)));
      ip(this.namespace(place), [
        ...['link set lo up', 'link set eth0 up'],
        `addr add ${address.ipv4}/25 dev eth0`,
        `addr add ${address.ipv6}/64 dev eth0 nodad`,
        ...[`route add default via ${ROUTER.ipv4}`, `route add default via ${ROUTER.ipv6}`],
      ]);
    }
  }

  /** Standard output of a short command in a place. */
  run(place: Place, command: readonly string[]): string {
    return inside(this.namespace(place), command);
  }

  /** Changes links, addresses or routes of a place; lines as for `ip -batch`. */
  ip(place: Place, ...lines: string[]): void {
    ip(this.namespace(place), lines);
  }

  /** A daemon that runs in a place until it is stopped, at the latest at the end of the story. */
  spawn(name: string, place: Place, command: readonly string[], env?: NodeJS.ProcessEnv): Daemon {
    const daemon = new Daemon(
      name,
      this.namespace(place),
      command,
      join(this.folder, `${name}-${++this.#made}.log`),
      env,
    );
    this.#daemons.push(daemon);
    return daemon;
  }

  /** A folder of the story's own. */
  makeFolder(name: string): string {
    const folder = join(this.folder, `${name}-${++this.#made}`);
    mkdirSync(folder, { mode: 0o755 });
    return folder;
  }

  /** The routes of one family that a routing daemon put into the kernel of a place, as `ip route` shows them. */
  kernelRoutes(place: Place, prefix: string): KernelRoute[] {
    const family = prefix.includes(':') ? '-6' : '-4';
    return JSON.parse(this.run(place, ['ip', family, '-json', 'route', 'show', prefix]) || '[]');
  }

  /** The end of every log, for a story that failed. */
  logs(lines = 25): string {
    const tail = (daemon: Daemon): string => daemon.log().split('\n').slice(-lines).join('\n');
    return this.#daemons.map((daemon) => `--- ${daemon.name}\n${tail(daemon)}`).join('\n');
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.#daemons.toReversed().map((daemon) => daemon.stop('SIGTERM', 1_000)));
    this.#daemons.length = 0;
  }

  down(): void {
    sweep(this.#id);
  }
}

export interface KernelRoute {
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly protocol?: string;
  readonly nexthops?: readonly { readonly gateway: string; readonly dev: string }[];
}

/** Gateways of a prefix in the kernel of a place, sorted. */
export function gateways(lab: Lab, place: Place, prefix: string): string[] {
  return lab
    .kernelRoutes(place, prefix)
    .flatMap((route) => route.nexthops?.map(({ gateway }) => gateway) ?? route.gateway ?? [])
    .sort();
}
