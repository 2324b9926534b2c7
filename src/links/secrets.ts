// The keys of the speakers: derived from the cluster's secret, one for statements and one for BFD. When the secret changes, not
// all speakers know the new one at the same moment: for half a minute the old one goes on signing, and both are believed for
// as long as main names both. Called by `speakers` and `mesh`.

import type { Key } from '../bfd/auth.ts';
import { deriveKey } from '../l2/claim.ts';
import { OFF } from '../net/machine.ts';

const OLD_SIGNS_MS = 30_000;
const SHA1_KEY_OCTETS = 20;
const CLAIM_KEY_OCTETS = 32;

/** The first one signs, all are believed. */
export interface Keys {
  secrets: readonly string[];
  claims: readonly Uint8Array[];
  bfd: readonly Key[];
  /** When the new secret takes over; OFF: it has. */
  turnAt: number;
}

export function noKeys(): Keys {
  return { secrets: [], claims: [], bfd: [], turnAt: OFF };
}

/** True: the keys are others than before. The empty text is a secret that everybody knows; without any, nobody is believed. */
export function followSecrets(keys: Keys, secrets: readonly string[], now: number): boolean {
  const isSame = secrets.length === keys.secrets.length && secrets.every((each, at) => each === keys.secrets[at]);
  if (isSame) return turn(keys, now);
  const [before] = keys.secrets;
  const [current] = secrets;
  const isExchanged = before !== undefined && before !== current && secrets.includes(before);
  keys.secrets = secrets;
  keys.turnAt = isExchanged ? now + OLD_SIGNS_MS : OFF;
  derive(keys, isExchanged ? [before, ...secrets.filter((each) => each !== before)] : secrets);
  return true;
}

/** The new secret signs when its time has come. */
export function turn(keys: Keys, now: number): boolean {
  if (now < keys.turnAt) return false;
  keys.turnAt = OFF;
  derive(keys, keys.secrets);
  return true;
}

function derive(keys: Keys, secrets: readonly string[]): void {
  const octets = secrets.map((secret) => new Uint8Array(Buffer.from(secret)));
  keys.claims = octets.map((secret) => deriveKey(secret, 'claims', CLAIM_KEY_OCTETS));
  // RFC 5880 §6.7.4: one number for all; which one it was is found out by trying
  keys.bfd = octets.map((secret) => ({
    ...{ type: 'meticulous-keyed-sha1', id: 1 },
    secret: deriveKey(secret, 'bfd', SHA1_KEY_OCTETS),
  }));
}
