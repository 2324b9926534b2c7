// What happens to the machine of the packet thread, what it asks of its world, and what it tells main. Called by `links`, its
// parts, and io/packet-thread, which carries all of it. It survives structuredClone, and no report holds a key.

import type { SessionReport } from '../bfd/session.ts';
import type { OwnerReport } from '../l2/event.ts';
import type { Ip } from '../net/address.ts';
import type { SystemError } from '../net/io.ts';
import type { Neighbor } from '../net/neighbor.ts';
import type { FailedEffect, PacketEffect, PacketEvent, SocketName } from '../net/packet-io.ts';
import type { LinksWanted } from './wanted.ts';

export type LinksEvent =
  | PacketEvent
  /** From main: replaces all that was wanted before. */
  | { readonly on: 'wanted'; readonly wanted: LinksWanted }
  /** SIGTERM: addresses are handed over and BFD peers told, then `left` is reported. */
  | { readonly on: 'leave' }
  /** All input up to now has been given. Only a tick lets a timer expire. */
  | { readonly on: 'tick' };

export type LinksEffect = PacketEffect | LinksReport;
export type Effects = LinksEffect[];

/** Why a BFD session cannot be started. */
export type Waiting = 'link' | 'local-address' | 'vrf';

export type LinksReport =
  /** Of a session that was asked for by name. */
  | (SessionReport & {
      /** It flapped too often: it stays in Down for so long. */
      readonly heldMs?: number;
    })
  /** Its path changed (another address or link): it starts from the beginning, as one that was never Up. */
  | { readonly report: 'bfd-moved'; readonly session: string; readonly wasUp: boolean }
  /** It waits for a link, an address or a VRF device that is not there; undefined: no longer. */
  | { readonly report: 'bfd-waiting'; readonly session: string; readonly for?: Waiting }
  /** Who is at the other end of a link that was asked for, or why that is not known. */
  | { readonly report: 'neighbor'; readonly link: string; readonly neighbor: Neighbor }
  /** Another router advertises itself there, and the one that is known is still heard: said every ten minutes at most. */
  | { readonly report: 'neighbor-other'; readonly link: string; readonly address: Ip }
  /** Of the segment over this interface. */
  | (Exclude<OwnerReport, { readonly report: 'left' }> & { readonly segment: string })
  /** On which interfaces these addresses are answered now; on none: empty. Those that are not named did not change. */
  | { readonly report: 'l2-answers'; readonly addresses: ReadonlyMap<Ip, readonly string[]> }
  /** Which interfaces serve addresses or could (none whose socket is broken), and all that may be named in an advertisement. */
  | { readonly report: 'l2-links'; readonly serving: readonly string[]; readonly known: readonly string[] }
  /** So many wanted addresses sit on an interface of this node: its kernel answers for them as well (IPVS without strictARP). */
  | { readonly report: 'l2-own-address'; readonly link: string; readonly ip: Ip; readonly addresses: number }
  /** Said once for each error; without one: it works again. */
  | { readonly report: 'socket'; readonly socket: SocketName; readonly use: SocketUse; readonly error?: SystemError }
  /** The kernel refused this with this error for the first time; from then on it is only counted. `about`: a socket, or a link. */
  | {
      readonly report: 'refused';
      readonly effect: FailedEffect;
      readonly about: SocketName;
      readonly error: SystemError;
    }
  /** All is handed over and said: the process may end. */
  | { readonly report: 'left' };

/** What does not work when a socket does not. */
export type SocketUse = 'bfd' | 'bfd-echo' | 'speakers' | 'layer2' | 'neighbors';
