// What MetalLB would have read and a speaker of ours does not, in words for log and state. Used by speaker-process.

import { BGP_EXTRAS, MEMBERLIST_CONFIG } from './speaker-caches.ts';

const EXTRAS: Readonly<Record<string, string>> = {
  [BGP_EXTRAS]:
    'its text is for FRR, which does not run here; what it sets must be said in BGPPeers and BGPAdvertisements',
  [MEMBERLIST_CONFIG]: 'there is no memberlist here to be tuned',
};

/** Sentences, in order. */
export function remarksOn(usedExtras: readonly string[]): readonly string[] {
  return usedExtras.map((name) => `ConfigMap ${name}: ${EXTRAS[name] ?? 'it is not read'}`);
}
