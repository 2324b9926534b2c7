// `authentication` of a BFDProfile: RFC 5880 §6.7 allows keys of 1 to 16 (MD5) or 20 (SHA1) octets and key ids of one octet;
// the Secret is found and typed as that of a peer's password.

import { describe, expect, it } from 'vitest';
import { AUTHENTICATION_TYPES } from '../../src/bfd/auth.ts';
import { readResource } from '../../src/config/read.ts';
import { accepted, bfd, NAMESPACE, peer, refused, secret } from './fixture.ts';

const KEY = secret('key', 'kubernetes.io/basic-auth', { password: 'sixteen octets..' });
const authentication = (fields: Readonly<Record<string, unknown>> = {}) => ({
  authentication: { type: 'keyed-md5', keyID: 7, secretRef: { name: 'key', namespace: 'elsewhere' }, ...fields },
});

describe('authentication of a BFDProfile', () => {
  it.each(AUTHENTICATION_TYPES)('%s is taken with its key', (type) => {
    const [profile] = accepted([bfd('fast', authentication({ type })), KEY]).bfdProfiles;
    expect(profile?.authentication).toMatchObject({ type, keyId: 7 });
    expect(profile?.authentication?.secret.reveal()).toBe('sixteen octets..');
  });

  it('is no part of a profile that does not have it, and is not printed', () => {
    expect(accepted([bfd('fast')]).bfdProfiles[0]).not.toHaveProperty('authentication');
    expect(JSON.stringify(accepted([bfd('fast', authentication()), KEY]))).not.toContain('octets');
  });

  it.each([
    [{ type: 'simple' }, 'spec.authentication.type: must be one of keyed-md5, meticulous-keyed-md5, keyed-sha1, '],
    [{ keyID: 256 }, 'spec.authentication.keyID: must be an integer from 0 to 255, not 256'],
    [{ keyID: undefined }, 'spec.authentication.keyID: Required value'],
    [{ secretRef: {} }, 'spec.authentication.secretRef.name: Required value'],
  ])('%j does not read', (fields, message) => {
    const answer = readResource(bfd('fast', authentication(fields)));
    expect(answer !== undefined && 'invalid' in answer ? answer.invalid.message : 'read').toContain(message);
  });

  it('waits for a Secret that is not there', () => {
    expect(refused([bfd('fast', authentication())])).toEqual({
      ...{ rule: 'secret', kind: 'BFDProfile', name: 'fast', transient: true },
      message: 'parsing bfd profile #1: secret ref not found for bfd profile "fast"',
      field: 'spec.authentication.secretRef.name',
    });
  });

  it('refuses a Secret of another type, and one without a password', () => {
    const opaque = secret('key', 'Opaque', { password: 'x' });
    expect(refused([bfd('fast', authentication()), opaque]).message).toContain(
      `secret type mismatch on "${NAMESPACE}"/"key", type "kubernetes.io/basic-auth" is expected`,
    );
    const empty = secret('key', 'kubernetes.io/basic-auth', { username: 'x' });
    expect(refused([bfd('fast', authentication()), empty]).message).toContain('password not specified in the secret');
  });

  it.each([
    ['keyed-md5', 17, 'a keyed-md5 key has at most 16 octets, not 17'],
    ['meticulous-keyed-sha1', 21, 'a meticulous-keyed-sha1 key has at most 20 octets, not 21'],
    ['keyed-sha1', 0, 'the key is empty'],
  ])('refuses a %s key of %i octets without printing it', (type, octets, why) => {
    const long = secret('key', 'kubernetes.io/basic-auth', { password: 'k'.repeat(octets) });
    const { message, field } = refused([bfd('fast', authentication({ type })), long]);
    expect([message, field]).toEqual([
      `parsing bfd profile #1: password in the secret "key": ${why}`,
      'spec.authentication.secretRef',
    ]);
  });

  it('counts octets, not letters', () => {
    const letters = secret('key', 'kubernetes.io/basic-auth', { password: 'ä'.repeat(9) });
    expect(refused([bfd('fast', authentication()), letters]).message).toContain('at most 16 octets, not 18');
  });

  it('is judged whether a peer uses it or not', () => {
    expect(refused([peer('tor', { bfdProfile: 'slow' }), bfd('slow'), bfd('fast', authentication())]).name).toBe(
      'fast',
    );
  });
});
