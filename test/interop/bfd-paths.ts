// The paths that BFD's stories run over, and routers that run it on them: one hop to the router of the lab, and two to a
// router that sits where the client is; each in both families.

import { startBird } from './bird.ts';
import { startFrr } from './frr.ts';
import { CLIENT, type Lab, node, ROUTER } from './lab.ts';
import type { RouterOptions, RouterPeer } from './router.ts';

export interface Route {
  readonly name: string;
  readonly hops: 'single' | 'multi';
  readonly family: 'ipv4' | 'ipv6';
}

export const ROUTES: readonly Route[] = (['single', 'multi'] as const).flatMap((hops) =>
  (['ipv4', 'ipv6'] as const).map((family) => ({ name: `${hops} hop, ${family}`, hops, family })),
);

/** The router's address on it. */
export function routerOf({ hops, family }: Route): string {
  return hops === 'single' ? ROUTER[family] : CLIENT[family];
}

/** The spec of a BGPPeer on it. */
export function peerSpec(route: Route, more: object = {}): object {
  const multi = route.hops === 'multi' ? { ebgpMultiHop: true } : {};
  return { myASN: 64501, peerASN: 64512, peerAddress: routerOf(route), bfdProfile: 'fast', ...multi, ...more };
}

function optionsOn(
  { hops, family }: Route,
  { as = 64512, ...peer }: Pick<RouterPeer, 'extra' | 'gracefulRestart'> & Pick<BfdLines, 'as'>,
): RouterOptions {
  const local = hops === 'single' ? ROUTER[family] : CLIENT[family];
  const base = { address: node(1)[family], as: 64501, families: [family], local, holdTime: 90 } as const;
  return {
    as,
    place: hops === 'single' ? 'r' : 'c',
    routerId: ROUTER.ipv4,
    // iBGP has as many hops as it takes
    peers: [{ ...base, ...peer, ...(hops === 'multi' && as !== base.as && { multihop: 2 }) }],
  };
}

export interface BfdLines {
  /** Within FRR's `profile`, or within BIRD's `interface` and `multihop`. */
  readonly lines?: readonly string[];
  /** The router's; 64512 unless told, ours is 64501. */
  readonly as?: number;
  readonly gracefulRestart?: true;
  /** How BIRD's BGP takes it; `bfd on;` unless told. */
  readonly bfd?: string;
}

/** FRR with bfdd, whose sessions follow a profile of these lines. */
export function startFrrOn(lab: Lab, route: Route, { lines = [], ...more }: BfdLines = {}) {
  const options = optionsOn(route, { extra: ['bfd', 'bfd profile p'], ...more });
  return startFrr(lab, {
    ...options,
    bfd: ['bfd', ' profile p', ...lines.map((line) => `  ${line}`), ' exit', 'exit'],
  });
}

/** BIRD with its BFD, over one hop or several. */
export function startBirdOn(
  lab: Lab,
  route: Route,
  { lines = ['interval 100 ms; multiplier 3;'], bfd = 'bfd on;', ...more }: BfdLines = {},
) {
  const where = route.hops === 'single' ? 'interface "*"' : 'multihop';
  const extra = ['protocol bfd {', ` ${where} { ${lines.join(' ')} };`, '}'];
  return startBird(lab, { ...optionsOn(route, { extra: [bfd], ...more }), extra });
}
