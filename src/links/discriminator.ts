// Discriminators of BFD sessions (RFC 5880 §6.3): random, so that nobody can guess them, and unique on this node, for peers
// and speakers alike. Called by `peer-session` and `mesh`.

import { redraw } from '../net/machine.ts';

/** A new one, noted as taken. `random`: drawn for this session alone. */
export function mintDiscriminator(taken: Set<number>, random: number): number {
  for (let draw = random; ; draw = redraw(draw + taken.size / 2 ** 20)) {
    const discriminator = 1 + Math.floor(draw * (2 ** 32 - 1));
    if (taken.has(discriminator)) continue;
    taken.add(discriminator);
    return discriminator;
  }
}
