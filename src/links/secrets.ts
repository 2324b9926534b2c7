// The keys of the speakers: derived from the cluster's secret, one for statements, and for BFD one for each direction between
// two processes. When the secret changes, not all speakers know the new one at the same moment: for half a minute the old one
// goes on signing, and both are believed for as long as main names both. Called by `speakers` and `mesh`.

import type { Key } from '../bfd/auth.ts';
import { deriveKey } from '../l2/claim.ts';
import type { Station } from '../l2/statement.ts';
import { OFF } from '../net/machine.ts';

const OLD_SIGNS_MS = 30_000;
const SHA1_KEY_OCTETS = 20;
const DERIVED_OCTETS = 32;

/** The first one signs, all are believed. */
export interface Keys {
  secrets: readonly string[];
  claims: readonly Uint8Array[];
  /** What those of BFD are derived from, in the same order. */
  bfd: readonly Uint8Array[];
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
  keys.claims = octets.map((secret) => deriveKey(secret, 'claims', DERIVED_OCTETS));
  keys.bfd = octets.map((secret) => deriveKey(secret, 'bfd', DERIVED_OCTETS));
}

/** One process on one segment: a restart makes another of it. */
export interface Incarnate {
  readonly station: Station;
  readonly incarnation: number;
}

/** Of BFD from one to the other, and no other way: what either side sent before, or to somebody else, is not believed. */
export function directedKeys({ bfd }: Keys, from: Incarnate, to: Incarnate): readonly Key[] {
  const direction = `${from.station} ${from.incarnation} ${to.station} ${to.incarnation}`;
  // RFC 5880 §6.7.4: one number for all; which one it was is found out by trying
  return bfd.map((secret) => ({
    ...{ type: 'meticulous-keyed-sha1', id: 1 },
    secret: deriveKey(secret, direction, SHA1_KEY_OCTETS),
  }));
}
