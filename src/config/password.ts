// Secrets that a configuration refers to: which one is meant, whether it is of the right type, and the password in it.
// Called by the rules of BGPPeer (TCP MD5) and BFDProfile (authentication).

import type { Secret } from '../net/secret.ts';
import { quoted, refuse, refuseForNow } from './invalid.ts';
import type { SecretResource } from './resource.ts';

const BASIC_AUTH = 'kubernetes.io/basic-auth';

export interface PasswordContext {
  readonly secrets: readonly SecretResource[];
  /** Where Secrets are looked up. */
  readonly namespace: string;
}

/** The `password` of a Secret. `user`: who refers to it, as the refusal says; `field`: where. Refuses, for now or for good. */
export function passwordFrom(name: string, user: string, field: string, context: PasswordContext): Secret {
  const secret = context.secrets.find((each) => each.name === name);
  if (secret === undefined) return refuseForNow('secret', `secret ref not found for ${user}`, field);
  const reference = `${quoted(context.namespace)}/${quoted(name)}`;
  if (secret.type !== BASIC_AUTH) {
    // MetalLB's text ends in a blank
    refuse('secret', `secret type mismatch on ${reference}, type ${quoted(BASIC_AUTH)} is expected `, field);
  }
  return secret.data.get('password') ?? refuse('secret', `password not specified in the secret ${reference}`, field);
}
