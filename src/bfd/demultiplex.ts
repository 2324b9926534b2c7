// Which session a datagram belongs to (RFC 5880 §6.3, §6.8.6; RFC 5881 §3; RFC 5883 §3). Called by whoever owns the
// sessions and their sockets; the session itself then checks TTL and authentication.

import type { Ip } from '../net/address.ts';
import type { ControlPacket, DropReason } from './packet.ts';
import { decode } from './packet.ts';

/** UDP, of control packets over one and over several hops, and of echoes (RFC 5881 §4, RFC 5883 §5). */
export const PORTS = { single: 3784, multi: 4784, echo: 3785 } as const;

/** Between which ends a session runs; what is undefined is not compared. */
export interface Path {
  /** By the port that it came to. */
  readonly hops: 'single' | 'multi';
  readonly remote: Ip;
  readonly local?: Ip;
  /** The interface. Meaningless, and not to be given, for several hops. */
  readonly link?: string;
}

/** A UDP payload with what the kernel says of it. */
export interface Datagram {
  readonly hops: 'single' | 'multi';
  readonly from: Ip;
  readonly to: Ip;
  readonly link: string;
  /** TTL or hop limit it arrived with. */
  readonly ttl: number;
  readonly bytes: Uint8Array;
}

/** A session's local discriminator with its path. */
export interface Addressee {
  readonly localDiscriminator: number;
  readonly path: Path;
}

export type Demultiplexed<S> = { readonly to: S; readonly packet: ControlPacket } | { readonly drop: DropReason };

/** The session that the datagram is for, with its packet, or the rule that it breaks. */
export function demultiplex<S extends Addressee>(
  datagram: Datagram,
  sessions: ReadonlyMap<number, S>,
): Demultiplexed<S> {
  const decoded = decode(datagram.bytes);
  if ('drop' in decoded) return decoded;
  const { packet } = decoded;
  if (packet.yourDiscriminator !== 0) {
    const to = sessions.get(packet.yourDiscriminator);
    // Another port is another kind of session: a far sender must not reach a single-hop one by 4784, nor the reverse.
    if (to === undefined || to.path.hops !== datagram.hops) return { drop: 'your-discriminator' };
    return { to, packet };
  }
  if (packet.state !== 'Down' && packet.state !== 'AdminDown') return { drop: 'zero-discriminator' };
  for (const to of sessions.values()) if (runsOver(to.path, datagram)) return { to, packet };
  return { drop: 'no-session' };
}

function runsOver(path: Path, datagram: Datagram): boolean {
  return (
    path.hops === datagram.hops &&
    path.remote === datagram.from &&
    (path.local === undefined || path.local === datagram.to) &&
    (path.link === undefined || path.link === datagram.link)
  );
}
