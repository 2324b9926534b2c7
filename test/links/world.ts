// A simulated network for whole `links` machines: hosts with links on LANs, a kernel in small (sockets, ARP for its own
// addresses, weak host model), wires that lose, delay, split. One clock, one seed. Like the real driver it hands over all input
// before a tick. Plain hosts (a gateway, a client, a stranger) have no machine and answer for their addresses.

import * as arp from '../../src/l2/arp.ts';
import * as ndp from '../../src/l2/ndp.ts';
import { encodeUdp, isIpv4 } from '../../src/links/echo-frame.ts';
import type { LinksWanted } from '../../src/links/wanted.ts';
import type { Links, LinksEffect, LinksEvent, LinksReport } from '../../src/links.ts';
import { createLinks, dueAt, step } from '../../src/links.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { familyOf, isLinkLocal, parseIp, prefixOf } from '../../src/net/address.ts';
import type { FailedEffect, LinkState, PacketEffect, SocketName, UdpOptions } from '../../src/net/packet-io.ts';
import { Agenda } from '../sim/agenda.ts';
import { type Chance, createChance } from '../sim/chance.ts';

export const ip = (text: string): Ip => {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};

/** A link as the kernel tells of it, on a LAN of the world; `lan` '': its cable leads nowhere. */
export interface Port extends LinkState {
  readonly lan: string;
}

export interface Open {
  readonly options: UdpOptions;
  readonly port: number;
}

export interface Host {
  readonly name: string;
  ports: Port[];
  /** Undefined: a plain host, or one whose speaker does not run. */
  machine: Links | undefined;
  powered: boolean;
  pausedUntil: number;
  inbox: LinksEvent[];
  readonly sockets: Map<SocketName, Open>;
  readonly frames: Set<string>;
  readonly groups: Set<string>;
  reports: (LinksReport & { readonly at: number })[];
  sent: { readonly at: number; readonly effect: PacketEffect }[];
  /** ARP replies that a plain host was given. */
  readonly answered: { readonly at: number; readonly ip: Ip; readonly mac: Mac }[];
}

type Send = PacketEffect & { readonly do: 'udp-send' };

export class World {
  now = 1_000;
  readonly chance: Chance;
  readonly agenda = new Agenda();
  readonly hosts = new Map<string, Host>();
  loss = 0;
  /** Which part of its LAN a host is on. */
  readonly side = new Map<string, number>();
  /** `a>b` */
  readonly cuts = new Set<string>();
  /** Datagrams find a way between LANs, through a router. */
  routed = false;
  /** Refuses to open a socket: errno by its name. */
  refuses: (host: Host, name: SocketName) => string | undefined = () => undefined;
  /** Refuses to join any group: errno by its name. */
  refusesGroups: (host: Host) => string | undefined = () => undefined;
  onChange: () => void = () => {};
  onReport: (host: Host, report: LinksReport) => void = () => {};
  incarnations = 1_000;
  steps = 0;
  #port = 49_152;
  readonly #arrivals = new Map<string, number>();

  constructor(seed: number) {
    this.chance = createChance(seed);
  }

  host(name: string, ...ports: Port[]): Host {
    const host: Host = {
      ...{ name, ports, machine: undefined, powered: true, pausedUntil: 0, inbox: [], sockets: new Map() },
      ...{ frames: new Set(), groups: new Set(), reports: [], sent: [], answered: [] },
    };
    this.hosts.set(name, host);
    return host;
  }

  /** A new process of the speaker. */
  start(host: Host, wanted: LinksWanted): void {
    this.incarnations += 1_000;
    host.machine = createLinks(this.incarnations);
    host.powered = true;
    host.sockets.clear();
    host.frames.clear();
    host.inbox = [];
    host.pausedUntil = 0;
    this.give(host, { on: 'links', links: host.ports });
    this.give(host, { on: 'wanted', wanted: structuredClone(wanted) });
  }

  kill(host: Host, how: 'speaker' | 'power' = 'speaker'): void {
    host.machine = undefined;
    host.sockets.clear();
    host.frames.clear();
    if (how === 'power') host.powered = false;
    this.onChange();
  }

  pause(host: Host, ms: number): void {
    host.pausedUntil = this.now + ms;
    this.agenda.add(host.pausedUntil, () => {
      for (const event of host.inbox.splice(0)) this.give(host, event);
    });
  }

  want(host: Host, wanted: LinksWanted): void {
    this.give(host, { on: 'wanted', wanted: structuredClone(wanted) });
  }

  /** The kernel tells of a change of a link; `undefined`: it vanished, with its sockets. */
  change(host: Host, name: string, change: Partial<Port> | undefined): void {
    host.ports = host.ports.flatMap((port) =>
      port.name !== name ? [port] : change === undefined ? [] : [{ ...port, ...change }],
    );
    this.onChange();
    if (change === undefined) {
      for (const [socket, { options }] of [...host.sockets]) {
        if (options.device === name) this.break(host, socket, 'ENODEV');
      }
      for (const each of [name, `icmp/${name}`]) if (host.frames.has(each)) this.break(host, each, 'ENETDOWN');
    }
    this.give(host, { on: 'links', links: host.ports });
  }

  break(host: Host, socket: SocketName, code: string): void {
    host.sockets.delete(socket);
    host.frames.delete(socket);
    this.give(host, { on: 'socket', socket, error: { code, call: 'recvmsg', text: code } });
  }

  after(ms: number, run: () => void): void {
    this.agenda.add(this.now + ms, run);
  }

  give(host: Host, event: LinksEvent): void {
    if (host.machine === undefined) return;
    if (host.pausedUntil > this.now) {
      host.inbox.push(event);
      return;
    }
    this.steps++;
    const [machine, effects] = step(host.machine, event, { now: this.now, random: this.chance.next() });
    host.machine = machine;
    for (const effect of effects) this.#carry(host, effect);
  }

  #carry(host: Host, effect: LinksEffect): void {
    if ('report' in effect) {
      host.reports.push({ ...effect, at: this.now });
      this.onReport(host, effect);
      if (effect.report === 'l2-answers') this.onChange();
      return;
    }
    host.sent.push({ at: this.now, effect });
    switch (effect.do) {
      case 'udp-open':
        this.#opened(host, effect.socket, unopenable(host, effect.options), () =>
          host.sockets.set(effect.socket, {
            options: effect.options,
            port: effect.options.port === 'dynamic' ? this.#port++ : effect.options.port,
          }),
        );
        break;
      case 'frames-open':
        this.#opened(host, effect.link, unopenable(host, { device: effect.link }), () => host.frames.add(effect.link));
        break;
      case 'echo-open': {
        const name = `echo/${effect.link}`;
        this.#opened(host, name, unopenable(host, { device: effect.link }), () => host.frames.add(name));
        break;
      }
      case 'icmp-open': {
        const name = `icmp/${effect.link}`;
        this.#opened(host, name, unopenable(host, { device: effect.link }), () => host.frames.add(name));
        break;
      }
      case 'icmp-close':
        host.frames.delete(`icmp/${effect.link}`);
        break;
      case 'icmp-send':
        this.#icmp(host, effect);
        break;
      case 'echo-close':
        host.frames.delete(`echo/${effect.link}`);
        break;
      case 'udp-close':
        host.sockets.delete(effect.socket);
        break;
      case 'frames-close':
        host.frames.delete(effect.link);
        break;
      case 'udp-send':
        this.#datagram(host, effect);
        break;
      case 'frame-send':
        if (host.frames.has(socketFor(effect.bytes, effect.link))) this.transmit(host, effect.link, effect.bytes);
        break;
      case 'group-join': {
        const code = this.refusesGroups(host);
        if (code === undefined) host.groups.add(`${effect.link} ${effect.group}`);
        else this.#failed(host, effect.do, effect.link, code);
        break;
      }
      case 'group-leave':
        host.groups.delete(`${effect.link} ${effect.group}`);
        break;
      default:
    }
  }

  #failed(host: Host, effect: FailedEffect, about: SocketName, code: string): void {
    const { machine } = host;
    this.after(0, () => {
      if (host.machine === machine)
        this.give(host, { on: 'failed', effect, about, error: { code, call: 'setsockopt', text: code } });
    });
  }

  #opened(host: Host, socket: SocketName, refused: string | undefined, open: () => void): void {
    const code = this.refuses(host, socket) ?? refused;
    if (code === undefined) open();
    const { machine } = host;
    this.after(0, () => {
      if (host.machine !== machine) return;
      this.give(host, {
        on: 'socket',
        socket,
        ...(code !== undefined && { error: { code, call: 'socket', text: code } }),
      });
    });
  }

  // ---- wires

  reaches(from: Host, to: Host): boolean {
    return (
      from.powered &&
      to.powered &&
      this.side.get(from.name) === this.side.get(to.name) &&
      !this.cuts.has(`${from.name}>${to.name}`) &&
      !(this.loss > 0 && this.chance.happens(this.loss))
    );
  }

  /** Every port on that LAN but the sender's own, one after another. */
  *#onLan(lan: string, not: Port): Generator<readonly [Host, Port]> {
    if (lan === '') return;
    for (const host of this.hosts.values()) {
      for (const port of host.ports)
        if (port.lan === lan && port !== not && port.up && port.carrier) yield [host, port];
    }
  }

  /** When what leaves now arrives: nothing overtakes on the way from one host to another. */
  #arrival(from: Host, to: Host): number {
    const pair = `${from.name}>${to.name}`;
    const at = Math.max(this.now + 0.1 + this.chance.next() * 0.4, this.#arrivals.get(pair) ?? 0);
    this.#arrivals.set(pair, at);
    return at;
  }

  /** A frame onto the LAN of a link. */
  transmit(host: Host, link: string, bytes: Uint8Array): void {
    const from = host.ports.find(({ name }) => name === link);
    if (from === undefined || !from.up || !from.carrier) return;
    const destination = [...bytes.subarray(0, 6)].map((each) => each.toString(16).padStart(2, '0')).join(':');
    const toAll = ((bytes[0] ?? 0) & 1) === 1;
    for (const [to, port] of this.#onLan(from.lan, from)) {
      if (!(toAll || port.mac === destination) || (to !== host && !this.reaches(host, to))) continue;
      this.agenda.add(this.#arrival(host, to), () => {
        if (!to.powered) return;
        this.#kernelAnswers(to, port, bytes);
        if (to.frames.has(socketFor(bytes, port.name))) this.give(to, { on: 'frame', link: port.name, bytes });
      });
    }
  }

  #icmp(host: Host, { link, source, bytes }: PacketEffect & { readonly do: 'icmp-send' }): void {
    const from = host.ports.find(({ name }) => name === link);
    if (from === undefined || !from.up || !from.carrier || !host.frames.has(`icmp/${link}`)) return;
    for (const [to, port] of this.#onLan(from.lan, from)) {
      if (to === host || !this.reaches(host, to)) continue;
      this.agenda.add(this.#arrival(host, to), () => {
        if (to.powered && to.frames.has(`icmp/${port.name}`))
          this.give(to, { on: 'icmp', link: port.name, from: source, hopLimit: 255, bytes });
      });
    }
  }

  /** ARP for all addresses of the machine, on whatever link they are; what a plain host hears it remembers. */
  #kernelAnswers(host: Host, port: Port, bytes: Uint8Array): void {
    if (!arp.isArp(bytes)) {
      this.#advertises(host, port, bytes);
      return;
    }
    const decoded = arp.decode(bytes);
    if ('drop' in decoded || port.mac === undefined) return;
    const { destination, operation, senderIp, senderMac, targetIp } = decoded.frame;
    if (operation === 'reply') {
      if (destination === port.mac) host.answered.push({ at: this.now, ip: senderIp, mac: senderMac });
      return;
    }
    const owns = host.ports.some(({ addresses }) => addresses.some((each) => each.ip === targetIp));
    if (owns) this.transmit(host, port.name, arp.reply(port.mac, targetIp, { mac: senderMac, ip: senderIp }));
  }

  /** Neighbor Discovery: of link-local addresses, to whoever has an address himself, at the MAC that he names. */
  #advertises(host: Host, port: Port, bytes: Uint8Array): void {
    const decoded = ndp.isIpv6(bytes) ? ndp.decode(bytes) : { drop: 'etherType' };
    if ('drop' in decoded || decoded.message.is !== 'solicitation' || port.mac === undefined) return;
    const { destination, from, sourceLink, target } = decoded.message;
    const isToUs = destination === port.mac || destination.startsWith('33:33:');
    if (!isToUs || sourceLink === undefined || !isLinkLocal(target)) return;
    if (!port.addresses.some((each) => each.ip === target)) return;
    this.transmit(host, port.name, ndp.advertise(port.mac, target, target, { mac: sourceLink, ip: from }, true));
  }

  #datagram(host: Host, { socket, to, link, source, ttl, bytes }: Send): void {
    const open = host.sockets.get(socket);
    if (open === undefined) return;
    const { options, port } = open;
    const out = this.#route(host, to.address, link ?? options.device);
    const from = source ?? options.local ?? this.#source(host, out, to.address);
    if (from === undefined) return;
    const hop = { from: { address: from, port }, to, ttl: ttl ?? options.ttl, bytes };
    if (out !== undefined) {
      for (const [other, at] of this.#onLan(out.lan, out)) {
        const isFor = isGroup(to.address) || other.ports.some((each) => has(each, to.address));
        if (isFor && (other === host || this.reaches(host, other))) this.#deliver(host, other, at, hop);
      }
    } else if (this.routed) {
      for (const other of this.hosts.values()) {
        const at = other.ports.find((each) => has(each, to.address) && each.carrier);
        if (at !== undefined && host.powered && other.powered)
          this.#deliver(host, other, at, { ...hop, ttl: hop.ttl - 1 });
      }
    }
  }

  #route(host: Host, to: Ip, device: string | undefined): Port | undefined {
    const out = host.ports.find((port) => (device === undefined ? isNextTo(port, to) : port.name === device));
    return out?.up === true && out.carrier ? out : undefined;
  }

  #source(host: Host, out: Port | undefined, to: Ip): Ip | undefined {
    const all = (out === undefined ? host.ports : [out]).flatMap(({ addresses }) => addresses.map((each) => each.ip));
    return all.find((each) => familyOf(each) === familyOf(to));
  }

  #deliver(
    sender: Host,
    host: Host,
    at: Port,
    hop: {
      readonly from: { address: Ip; port: number };
      readonly to: { address: Ip; port: number };
      ttl: number;
      bytes: Uint8Array;
    },
  ): void {
    this.agenda.add(this.#arrival(sender, host), () => {
      this.#controlFrame(sender, host, at, hop);
      for (const [socket, { options, port }] of host.sockets) {
        const bound = options.device === undefined || options.device === at.name || options.device === at.master?.name;
        if (port !== hop.to.port || options.family !== familyOf(hop.to.address) || !bound) continue;
        if (options.local !== undefined && options.local !== hop.to.address) continue;
        this.give(host, {
          ...{
            on: 'datagram',
            socket,
            from: hop.from,
            to: hop.to.address,
            link: at.name,
            ttl: hop.ttl,
            bytes: hop.bytes,
          },
        });
        return;
      }
    });
  }

  /** BFD's control packets come as frames too where echoes are listened for. */
  #controlFrame(
    sender: Host,
    host: Host,
    at: Port,
    {
      from,
      to,
      ttl,
      bytes,
    }: { from: { address: Ip }; to: { address: Ip; port: number }; ttl: number; bytes: Uint8Array },
  ): void {
    const sourceMac = sender.ports.find((each) => has(each, from.address))?.mac;
    const destinationMac = at.mac;
    if (to.port !== 3784 || familyOf(to.address) === 'ipv6' || !host.frames.has(`echo/${at.name}`)) return;
    if (sourceMac === undefined || destinationMac === undefined) return;
    const ends = { sourceMac, destinationMac, source: from.address, destination: to.address, port: to.port };
    this.give(host, { on: 'frame', link: at.name, bytes: encodeUdp({ ...ends, ttl, bytes }) });
  }

  // ---- time

  run(ms: number): void {
    const until = this.now + ms;
    for (let spins = 0; ; spins++) {
      if (spins > 5_000_000) throw new Error('no end');
      let due = until;
      let next: Host | undefined;
      for (const host of this.hosts.values()) {
        if (host.machine === undefined) continue;
        const at = Math.max(dueAt(host.machine), host.pausedUntil);
        if (at < due) [due, next] = [at, host];
      }
      const entry = this.agenda.take(due);
      if (entry !== undefined) {
        this.now = Math.max(this.now, entry.at);
        entry.run();
      } else if (next?.machine !== undefined) {
        this.now = Math.max(this.now, due);
        this.give(next, { on: 'tick' });
        if (next.machine !== undefined && dueAt(next.machine) <= this.now)
          throw new Error(`${next.name}: the same tick again`);
      } else break;
    }
    this.now = until;
  }
}

/** Name of the socket that a frame goes out and comes in by. */
function socketFor(bytes: Uint8Array, link: string): string {
  return isIpv4(bytes) ? `echo/${link}` : link;
}

/** What the kernel says to a socket on a device or an address that is not there. */
function unopenable({ ports }: Host, { device, local }: Pick<UdpOptions, 'device' | 'local'>): string | undefined {
  if (device !== undefined && !ports.some(({ name }) => name === device)) return 'ENODEV';
  if (local !== undefined && !ports.some((port) => has(port, local))) return 'EADDRNOTAVAIL';
  return undefined;
}

const has = ({ addresses }: Port, address: Ip): boolean => addresses.some((each) => each.ip === address);
const isGroup = (address: Ip): boolean => address === '224.0.0.1' || address === 'ff02::1';
const isNextTo = ({ addresses }: Port, to: Ip): boolean =>
  addresses.some(
    (each) =>
      familyOf(each.ip) === familyOf(to) && prefixOf(each.ip, each.prefixLength) === prefixOf(to, each.prefixLength),
  );

let index = 1;
/** A link that is up, with addresses as `192.0.2.1/24`. */
export function port(name: string, lan: string, mac: number, ...addresses: string[]): Port {
  return {
    ...{ name, lan, index: index++, up: true, carrier: true, loopback: false, arp: true, gateways: [] },
    mac: `02:00:00:00:00:${mac.toString(16).padStart(2, '0')}` as Mac,
    addresses: addresses.map((text) => {
      const [address = '', length = '24'] = text.split('/');
      return { ip: ip(address), prefixLength: Number(length), tentative: false };
    }),
  };
}
