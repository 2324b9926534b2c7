// For tests of the packet thread: two network namespaces with a wire between them, probes that live there, and what they
// said. Everything is removed after each test.
//   a  eth0  192.0.2.1/24  2001:db8::1/64  02:00:00:00:00:0a      b  eth0  192.0.2.2/24  2001:db8::2/64  02:00:00:00:00:0b

import { spawnSync } from 'node:child_process';
import { PacketThread } from '../../src/io/packet-thread.ts';
import type { Ip } from '../../src/net/address.ts';
import type { LinkState, PacketEffect, PacketEvent, UdpOptions } from '../../src/net/packet-io.ts';
import { inside, ip, OWNER, sweep } from '../interop/namespace.ts';
import { type ProbeReport, type ProbeView, type ProbeWanted, probeEntry } from './packet-probe.ts';
import { until } from './sockets.ts';

export const A = { ipv4: '192.0.2.1', ipv6: '2001:db8::1', mac: '02:00:00:00:00:0a', linkLocal: 'fe80::ff:fe00:a' };
export const B = { ipv4: '192.0.2.2', ipv6: '2001:db8::2', mac: '02:00:00:00:00:0b', linkLocal: 'fe80::ff:fe00:b' };

export const address = (text: string, port: number) => ({ address: text as Ip, port });
export const udp = (more: Partial<UdpOptions> = {}): UdpOptions => ({ family: 'ipv4', port: 4000, ttl: 255, ...more });
export const hex = (text: string) => new Uint8Array(Buffer.from(text.replace(/[^0-9a-f]/g, ''), 'hex'));

let made = 0;

export class PacketLab {
  readonly a = `${OWNER}-packet${++made}a`;
  readonly b = `${OWNER}-packet${made}b`;
  readonly #probes: Probe[] = [];

  up(): void {
    ip(undefined, [`netns add ${this.a}`, `netns add ${this.b}`]);
    for (const namespace of [this.a, this.b])
      inside(namespace, ['sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0']);
    ip(undefined, [`link add eth0 netns ${this.a} type veth peer name eth0 netns ${this.b}`]);
    for (const [namespace, { mac, ipv4, ipv6 }] of [
      [this.a, A],
      [this.b, B],
    ] as const) {
      ip(namespace, ['link set lo up', `link set eth0 address ${mac} up`]);
      ip(namespace, [`addr add ${ipv4}/24 dev eth0`, `addr add ${ipv6}/64 dev eth0 nodad`]);
    }
  }

  async down(): Promise<void> {
    for (const probe of this.#probes.splice(0)) await probe.thread.end();
    sweep(this.a.slice(0, -1));
    sweep(this.a);
    sweep(this.b);
  }

  probe(namespace: string): Probe {
    const probe = new Probe(namespace);
    this.#probes.push(probe);
    return probe;
  }
}

type Heard<On extends PacketEvent['on']> = Extract<PacketEvent, { readonly on: On }>;

export class Probe {
  readonly events: PacketEvent[] = [];
  readonly reports: ProbeReport[] = [];
  readonly thread: PacketThread<ProbeWanted, ProbeReport, ProbeView>;

  constructor(namespace: string) {
    this.thread = new PacketThread(probeEntry(namespace), (report) => {
      this.reports.push(report);
      if (report.report === 'event') this.events.push(report.event);
    });
  }

  do(...effects: readonly PacketEffect[]): void {
    this.thread.want({ effects });
  }

  all<On extends PacketEvent['on']>(on: On): readonly Heard<On>[] {
    return this.events.filter((event): event is Heard<On> => event.on === on);
  }

  wait<On extends PacketEvent['on']>(on: On, which: (event: Heard<On>) => boolean = () => true): Promise<Heard<On>> {
    return until(`${on}`, () => this.all(on).find(which)).catch((fault: Error) => {
      const seen = this.events.map((event) => JSON.stringify(event).slice(0, 300)).join('\n');
      throw new Error(`${fault.message}; seen:\n${seen}`);
    });
  }

  /** Opened, or an error with what the kernel said. */
  async open(...effects: readonly PacketEffect[]): Promise<void> {
    this.do(...effects);
    for (const effect of effects) {
      const link = 'link' in effect ? effect.link : undefined;
      const ofLink = effect.do === 'echo-open' ? `echo/${link}` : link;
      const name = effect.do === 'udp-open' ? effect.socket : ofLink;
      const { error } = await this.wait('socket', ({ socket }) => socket === name);
      if (error !== undefined) throw new Error(`${error.call} ${error.code}: ${error.text}`);
    }
  }

  /** A link as it was told last, once it is so. */
  link(name: string, is: (link: LinkState) => boolean = () => true): Promise<LinkState> {
    return until(`${name} as wanted`, () => {
      const link = this.all('links')
        .at(-1)
        ?.links.find((each) => each.name === name);
      return link !== undefined && is(link) ? link : undefined;
    }).catch((fault: Error) => {
      throw new Error(`${fault.message}; told: ${JSON.stringify(this.all('links').at(-1))}`);
    });
  }
}

/** Whether the kernel has this kind of link. */
export function hasKind(kind: string): boolean {
  return spawnSync('unshare', ['--net', 'ip', 'link', 'add', 'x0', 'type', ...kind.split(' ')]).status === 0;
}
