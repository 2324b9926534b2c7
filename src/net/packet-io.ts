// The world of the packet thread in two unions: what `links` asks of it (datagrams, frames, groups) and what it answers.
// io/packet-thread carries both to the kernel; a simulation carries them to its own wires. Sockets are named by whoever asks for
// them; an event for a name that is not known any more is stale and ignored. All of it survives structuredClone.

import type { Ip, Mac } from './address.ts';
import type { SocketAddress, SystemError } from './io.ts';

/** Unique among the sockets that are open. */
export type SocketName = string;

/** Of BFD over IPv4 as whole frames. */
export function echoSocket(link: string): SocketName {
  return `echo/${link}`;
}

/** What routers say on a link. */
export function icmpSocket(link: string): SocketName {
  return `icmp/${link}`;
}

export interface UdpOptions {
  readonly family: 'ipv4' | 'ipv6';
  /** `dynamic`: one of 49152-65535 (RFC 5881 §4). */
  readonly port: number | 'dynamic';
  /** Absent: any. A link-local one needs `device`. */
  readonly local?: Ip;
  /** SO_BINDTODEVICE: a link, or a VRF device. */
  readonly device?: string;
  /** TTL or hop limit of what is sent. */
  readonly ttl: number;
  /** What cannot be BFD or a statement between speakers is dropped in the kernel. */
  readonly only?: 'speakers';
}

export type PacketEffect =
  /** Answered by `socket`. What arrives comes with its TTL, destination and link. */
  | { readonly do: 'udp-open'; readonly socket: SocketName; readonly options: UdpOptions }
  | { readonly do: 'udp-close'; readonly socket: SocketName }
  | {
      readonly do: 'udp-send';
      readonly socket: SocketName;
      readonly to: SocketAddress;
      /** Leave over this link from this address, whatever the routes say. */
      readonly link?: string;
      readonly source?: Ip;
      /** Instead of the socket's. */
      readonly ttl?: number;
      readonly bytes: Uint8Array;
    }
  /** ARP and Neighbor Discovery frames of this link, and no others (a filter in the kernel). Answered by `socket`, named as the link. */
  | { readonly do: 'frames-open' | 'frames-close'; readonly link: string }
  /**
   * BFD over IPv4 on this link as whole frames (a filter in the kernel): control packets, which tell the neighbour's MAC, and
   * echoes, which no UDP socket gets (RFC 5881 §4). Answered by `socket`, named by `echoSocket`.
   */
  | { readonly do: 'echo-open' | 'echo-close'; readonly link: string }
  /** Router Solicitations and Advertisements of this link, and no other ICMPv6. Answered by `socket`, named by `icmpSocket`. */
  | { readonly do: 'icmp-open' | 'icmp-close'; readonly link: string }
  /** With hop limit 255 and the checksum that is due. */
  | {
      readonly do: 'icmp-send';
      readonly link: string;
      readonly to: Ip;
      readonly source: Ip;
      readonly bytes: Uint8Array;
    }
  /** A whole Ethernet frame, by the socket that is open for such. */
  | { readonly do: 'frame-send'; readonly link: string; readonly bytes: Uint8Array }
  /** Multicast groups of IPv6, by the kernel (MLD). */
  | { readonly do: 'group-join' | 'group-leave'; readonly link: string; readonly group: Ip };

export type PacketEvent =
  /** Every link of this machine, whole, at the start and whenever one of them changed. */
  | { readonly on: 'links'; readonly links: readonly LinkState[] }
  | {
      readonly on: 'datagram';
      readonly socket: SocketName;
      readonly from: SocketAddress;
      readonly to: Ip;
      readonly link: string;
      readonly ttl: number;
      readonly bytes: Uint8Array;
    }
  | { readonly on: 'frame'; readonly link: string; readonly bytes: Uint8Array }
  /** An ICMPv6 message whose checksum is right. */
  | {
      readonly on: 'icmp';
      readonly link: string;
      readonly from: Ip;
      readonly hopLimit: number;
      readonly bytes: Uint8Array;
    }
  /** Opened (no `error`), refused, or broken later: with its link gone, for one. What has an error is closed. */
  | { readonly on: 'socket'; readonly socket: SocketName; readonly error?: SystemError }
  /** The kernel refused this one effect; its socket goes on. `about`: the socket's name; of groups, the link's. */
  | {
      readonly on: 'failed';
      readonly effect: FailedEffect;
      readonly about: SocketName;
      readonly error: SystemError;
    };

/** `links`: they could not be read. */
export type FailedEffect = 'udp-send' | 'frame-send' | 'icmp-send' | 'group-join' | 'group-leave' | 'links';

export interface LinkState {
  readonly name: string;
  readonly index: number;
  readonly up: boolean;
  /** IFF_RUNNING with an operational state that is not down. */
  readonly carrier: boolean;
  readonly loopback: boolean;
  /** IFF_BROADCAST, and not IFF_NOARP. */
  readonly arp: boolean;
  /** Absent: no Ethernet address. */
  readonly mac?: Mac;
  /** Name and kind (`bridge`, `bond`, `vrf`, …) of what it is a port of. */
  readonly master?: { readonly name: string; readonly kind: string };
  /** IFLA_INFO_KIND: `veth`, `bridge`, `vlan`, `macvlan`, `ipvlan`, `dummy`, …; absent for hardware. */
  readonly kind?: string;
  readonly addresses: readonly { readonly ip: Ip; readonly prefixLength: number; readonly tentative: boolean }[];
  /** Next hops of the default routes over it, the preferred one of each family first. */
  readonly gateways: readonly Ip[];
}
