// Which of two connections with one peer lives (RFC 4271 §6.8, RFC 6286 §2.3). Called by receive when an OPEN
// comes while the other connection has had its own.

import { compareAddresses } from '../net/address.ts';
import type { Open } from './open.ts';

/** Who must have dialled the connection that lives: the speaker with the higher BGP identifier, or of equals the higher AS. */
export function survivor(ours: Open, theirs: Open): 'us' | 'peer' {
  // identifiers are unsigned 32-bit numbers, as IPv4 addresses are compared
  const order = compareAddresses(ours.routerId, theirs.routerId) || ours.as - theirs.as;
  return order > 0 ? 'us' : 'peer';
}
