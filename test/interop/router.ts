// What a story asks of a router, whichever daemon it is. frr.ts, bird.ts and gobgp.ts each start one and translate.

import type { Lab, Place } from './lab.ts';
import { until } from './process.ts';

export type Family = 'ipv4' | 'ipv6';

export interface RouterOptions {
  /** Where it runs; the switch side of the lab by default. */
  readonly place?: Place;
  readonly as: number;
  readonly routerId?: string;
  readonly peers: readonly RouterPeer[];
  /** Prefixes that it announces to its peers. */
  readonly announce?: readonly string[];
  /** False: the kernel's routes are left alone (BIRD). */
  readonly kernel?: false;
  /** FRR: lines for bfdd, which runs exactly where they are given. */
  readonly bfd?: readonly string[];
  /** Lines of this daemon's own language, at the top level. */
  readonly extra?: readonly string[];
}

/** One neighbour as this router is told of it. */
export interface RouterPeer {
  readonly address: string;
  /** Its own address of the session; needed where it can't be guessed. */
  readonly local?: string;
  /** `external`: any but its own (FRR and BIRD). */
  readonly as: number | 'external';
  readonly families: readonly Family[];
  readonly password?: string;
  /** RFC 5082 with one hop, demanded from the neighbour. */
  readonly gtsm?: true;
  /** Hops of an eBGP session that crosses a router. */
  readonly multihop?: number;
  /** Seconds; keepalives go at a third of it. 90 unless told. */
  readonly holdTime?: number;
  /** Never dials. */
  readonly passive?: true;
  /** TCP port of the neighbour, where it is dialled. */
  readonly port?: number;
  readonly gracefulRestart?: true;
  /** An old speaker: no four-octet AS numbers (RFC 6793). */
  readonly old?: true;
  /** Lines of this daemon's own language, within the neighbour. */
  readonly extra?: readonly string[];
}

/** A path of one prefix in the router's own table. */
export interface RouterPath {
  readonly from: string;
  readonly nextHop: string;
  /** Numbers, as the daemon prints them. */
  readonly asPath: string;
  /** `64512:1`, sorted. */
  readonly communities: readonly string[];
  /** `64512:1:2`, sorted. */
  readonly largeCommunities: readonly string[];
  readonly localPref?: number;
  /** Kept over a graceful restart, waiting for the neighbour to announce it again. */
  readonly stale: boolean;
}

export interface Router {
  readonly kind: 'FRR' | 'BIRD' | 'GoBGP';
  /** `Established`, or whatever the daemon calls what it is in. */
  state(neighbour: string): Promise<string>;
  /** Empty when the prefix is not in the table. */
  paths(prefix: string): Promise<readonly RouterPath[]>;
  /** Asks the neighbour to send its routes again (RFC 2918). */
  refresh(neighbour: string): Promise<void>;
  /** Ends it politely, or kills it. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export type StartRouter = (lab: Lab, options: RouterOptions) => Promise<Router>;

export function familyOf(prefix: string): Family {
  return prefix.includes(':') ? 'ipv6' : 'ipv4';
}

/** Waits until the router says Established; GoBGP may take several seconds to dial again. */
export async function untilUp(router: Router, neighbour: string, limitMs = 20_000): Promise<void> {
  const isUp = async (): Promise<boolean> => (await router.state(neighbour)) === 'Established';
  await until(`${router.kind} is Established with ${neighbour}`, isUp, limitMs);
}

/** Waits for paths of a prefix in the router's table that are what the story expects, and returns them. */
export async function untilPaths(
  router: Router,
  prefix: string,
  areRight: (paths: readonly RouterPath[]) => boolean = (paths) => paths.length > 0,
  limitMs = 10_000,
): Promise<readonly RouterPath[]> {
  const ask = async (): Promise<readonly RouterPath[] | false> => {
    const paths = await router.paths(prefix);
    return areRight(paths) && paths;
  };
  return until(`${router.kind} has the right paths of ${prefix}`, ask, limitMs);
}

export async function untilGone(router: Router, prefix: string, limitMs = 10_000): Promise<void> {
  await untilPaths(router, prefix, (paths) => paths.length === 0, limitMs);
}
