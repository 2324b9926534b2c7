// The routers by name, for stories that are told of each.

import { startBird } from './bird.ts';
import { startFrr } from './frr.ts';
import { startGobgp } from './gobgp.ts';
import type { Router, StartRouter } from './router.ts';

export const ROUTERS: readonly { readonly kind: Router['kind']; readonly start: StartRouter }[] = [
  { kind: 'FRR', start: startFrr },
  { kind: 'BIRD', start: startBird },
  { kind: 'GoBGP', start: startGobgp },
];
