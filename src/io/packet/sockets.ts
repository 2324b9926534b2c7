// The sockets of the packet thread by the names that its machine gave them: effects become system calls, and what comes in
// or goes wrong becomes events. Owned by packet/loop. A socket on a link that vanished, or got another name, is told of
// as broken and closed.

import { constants } from 'node:os';
import type { SystemError } from '../../net/io.ts';
import { unreachable } from '../../net/machine.ts';
import type { FailedEffect, PacketEffect, PacketEvent, SocketName } from '../../net/packet-io.ts';
import { echoSocket, icmpSocket } from '../../net/packet-io.ts';
import { errorOf, SystemCallError } from '../syscall.ts';
import { Datagrams } from './datagram.ts';
import { ECHO, FrameSocket, LAYER2, LinkGroups } from './frame-socket.ts';
import type { LinkTable } from './link-table.ts';
import { RouterSocket } from './router-socket.ts';
import { UdpSocket } from './udp-socket.ts';

/** One descriptor to poll, and what to do when it is ready. */
export interface Readable {
  readonly fd: number;
  /** ARP and Neighbor Discovery. */
  readonly isUrgent?: boolean;
  readonly drain: () => void;
}

export class Sockets {
  readonly #emit: (event: PacketEvent) => void;
  readonly #links: () => LinkTable;
  readonly #datagrams = new Datagrams();
  readonly #udp = new Map<SocketName, UdpSocket>();
  readonly #frames = new Map<SocketName, FrameSocket>();
  /** By the link. */
  readonly #routers = new Map<string, RouterSocket>();
  readonly #groups = new Map<string, LinkGroups>();
  /** Changes whenever `readable` answers something else. */
  generation = 0;

  constructor(emit: (event: PacketEvent) => void, links: () => LinkTable) {
    this.#emit = emit;
    this.#links = links;
  }

  /** Datagrams before frames: BFD has less time than ARP. Those last that are to be answered at once. */
  readable(): readonly Readable[] {
    const udp = [...this.#udp].filter(([, socket]) => socket.isRead);
    const frames = [...this.#frames].flatMap(([name, socket]) =>
      socket.fds.map((fd) => ({
        ...{ fd, isUrgent: name === socket.link },
        drain: () => this.#drainFrames(fd, name, socket),
      })),
    );
    return [
      ...udp.map(([name, socket]) => ({ fd: socket.fd, drain: () => this.#drainUdp(name, socket) })),
      ...[...this.#routers.values()].map((socket) => ({ fd: socket.fd, drain: () => this.#drainRouters(socket) })),
      ...frames.filter(({ isUrgent }) => !isUrgent),
      ...frames.filter(({ isUrgent }) => isUrgent),
    ];
  }

  /** What fails is emitted. Unknown sockets are ignored. */
  carry(effect: PacketEffect): void {
    switch (effect.do) {
      case 'udp-open':
        this.#open(effect.socket, () => this.#openUdp(effect));
        break;
      case 'udp-close':
        this.#closeUdp(effect.socket);
        break;
      case 'udp-send':
        this.#try('udp-send', effect.socket, () => this.#sendUdp(effect));
        break;
      case 'frames-open':
        this.#open(effect.link, () => this.#openFrames(effect.link, effect.link, LAYER2));
        break;
      case 'frames-close':
        this.#closeFrames(effect.link);
        break;
      case 'echo-open':
        this.#open(echoSocket(effect.link), () => this.#openFrames(echoSocket(effect.link), effect.link, ECHO));
        break;
      case 'echo-close':
        this.#closeFrames(echoSocket(effect.link));
        break;
      case 'icmp-open':
        this.#open(icmpSocket(effect.link), () => this.#openRouters(effect.link));
        break;
      case 'icmp-close':
        this.#closeRouters(effect.link);
        break;
      case 'icmp-send': {
        const { link, to, source, bytes } = effect;
        this.#try('icmp-send', link, () => this.#routers.get(link)?.send(this.#datagrams, to, source, bytes));
        break;
      }
      case 'frame-send':
        this.#try('frame-send', effect.link, () => this.#sendFrame(effect));
        break;
      case 'group-join':
      case 'group-leave':
        this.#try(effect.do, effect.link, () => this.#changeGroup(effect));
        break;
      default:
        unreachable(effect);
    }
  }

  /** The links have changed: what was bound to one that is gone, is gone with it. */
  checkLinks(): void {
    const isGone = (name: string | undefined, index: number | undefined): boolean =>
      name !== undefined && index !== undefined && this.#links().indexOf(name) !== index;
    for (const [link, groups] of this.#groups) {
      if (!isGone(link, groups.index)) continue;
      groups.close();
      this.#groups.delete(link);
    }
    for (const [name, { options, index }] of this.#udp)
      if (isGone(options.device, index)) this.#broken(name, noLink(options.device), () => this.#closeUdp(name));
    for (const [name, { link, index }] of this.#frames)
      if (isGone(link, index)) this.#broken(name, noLink(link), () => this.#closeFrames(name));
    for (const { link, index } of this.#routers.values())
      if (isGone(link, index)) this.#broken(icmpSocket(link), noLink(link), () => this.#closeRouters(link));
  }

  close(): void {
    for (const all of [this.#udp, this.#frames, this.#routers, this.#groups]) {
      for (const socket of all.values()) socket.close();
      all.clear();
    }
  }

  #open(name: SocketName, open: () => void): void {
    try {
      open();
    } catch (fault) {
      if (!(fault instanceof SystemCallError)) throw fault;
      this.#emit({ on: 'socket', socket: name, error: fault.error });
      return;
    }
    this.generation++;
    this.#emit({ on: 'socket', socket: name });
  }

  #openUdp({ socket: name, options }: PacketEffect & { do: 'udp-open' }): void {
    const { family, device } = options;
    this.#closeUdp(name);
    const sharing = (port: number) =>
      [...this.#udp.values()].filter(({ options: other }) => other.family === family && other.port === port);
    const index = device === undefined ? undefined : this.#indexOf(device);
    const isShared = (port: number) => {
      for (const each of sharing(port)) each.share();
      return sharing(port).length > 0;
    };
    this.#udp.set(name, new UdpSocket(options, index, isShared));
  }

  #openFrames(name: SocketName, link: string, types: typeof LAYER2): void {
    this.#closeFrames(name);
    this.#frames.set(name, new FrameSocket(link, this.#indexOf(link), types));
  }

  #openRouters(link: string): void {
    this.#closeRouters(link);
    this.#routers.set(link, new RouterSocket(link, this.#indexOf(link)));
  }

  #closeRouters(link: string): void {
    this.#routers.get(link)?.close();
    if (this.#routers.delete(link)) this.generation++;
  }

  #closeUdp(name: SocketName): void {
    this.#udp.get(name)?.close();
    if (this.#udp.delete(name)) this.generation++;
  }

  #closeFrames(name: SocketName): void {
    this.#frames.get(name)?.close();
    if (this.#frames.delete(name)) this.generation++;
  }

  #sendUdp({ socket: name, to, link, source, ttl, bytes }: PacketEffect & { do: 'udp-send' }): void {
    const socket = this.#udp.get(name);
    if (socket === undefined) return;
    const index = link === undefined ? undefined : this.#indexOf(link);
    const from = source ?? socket.options.local;
    const outgoing = { to, ttl: ttl ?? socket.options.ttl, bytes };
    const how = { ...(from !== undefined && { source: from }), ...(index !== undefined && { index }) };
    this.#datagrams.send(socket.fd, { ...outgoing, ...how }, `${name} to ${to.address}`);
  }

  #sendFrame({ link, bytes }: PacketEffect & { do: 'frame-send' }): void {
    const open = [link, echoSocket(link)].flatMap((name) => this.#frames.get(name) ?? []);
    (open.find((socket) => socket.isFor(bytes)) ?? open[0])?.send(bytes);
  }

  #changeGroup({ do: what, link, group }: PacketEffect & { do: 'group-join' | 'group-leave' }): void {
    const index = this.#indexOf(link);
    const before = this.#groups.get(link);
    // a link of the same name may have come: the groups of the one before have gone with it
    if (before !== undefined && before.index !== index) before.close();
    const groups = before?.index === index ? before : new LinkGroups(index);
    this.#groups.set(link, groups);
    if (what === 'group-join') groups.join(group, link);
    else groups.leave(group, link);
  }

  #drainUdp(name: SocketName, socket: UdpSocket): void {
    this.#read(name, () =>
      socket.drain(this.#datagrams, name, ({ index, ...received }) =>
        this.#emit({ on: 'datagram', socket: name, ...received, link: this.#links().nameOf(index) ?? '' }),
      ),
    );
  }

  #drainRouters(socket: RouterSocket): void {
    const { link } = socket;
    this.#read(icmpSocket(link), () =>
      socket.drain(this.#datagrams, ({ from, ttl, bytes }) =>
        this.#emit({ on: 'icmp', link, from: from.address, hopLimit: ttl, bytes }),
      ),
    );
  }

  #drainFrames(fd: number, name: SocketName, socket: FrameSocket): void {
    const { link } = socket;
    this.#read(name, () => socket.drain(fd, (bytes) => this.#emit({ on: 'frame', link, bytes })));
  }

  #read(name: SocketName, read: () => void): void {
    try {
      read();
    } catch (fault) {
      if (!(fault instanceof SystemCallError)) throw fault;
      // the link went down; the socket goes on when it is up again
      if (fault.error.code === 'ENETDOWN') return;
      this.#broken(name, fault.error, () => {
        this.#closeUdp(name);
        this.#closeFrames(name);
        for (const { link } of this.#routers.values()) if (icmpSocket(link) === name) this.#closeRouters(link);
      });
    }
  }

  #broken(name: SocketName, error: SystemError, close: () => void): void {
    close();
    this.#emit({ on: 'socket', socket: name, error });
  }

  #try(effect: FailedEffect, about: SocketName, act: () => void): void {
    try {
      act();
    } catch (fault) {
      if (!(fault instanceof SystemCallError)) throw fault;
      this.#emit({ on: 'failed', effect, about, error: fault.error });
    }
  }

  #indexOf(link: string): number {
    const index = this.#links().indexOf(link);
    if (index === undefined) throw new SystemCallError(noLink(link));
    return index;
  }
}

function noLink(link = ''): SystemError {
  return errorOf('interface', constants.errno.ENODEV, link);
}
