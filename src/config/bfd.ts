// BFDProfile: its reader and its rules. What a profile leaves out gets the defaults that MetalLB's users have from FRR.
// `authentication` is ours: RFC 5880 §6.7 with the key from a Secret.

import { AUTHENTICATION_TYPES, type AuthenticationType, keyFault } from '../bfd/auth.ts';
import type { BfdProfile } from './config.ts';
import type { Fields } from './fields.ts';
import { about, quoted, refuse, worded } from './invalid.ts';
import { type PasswordContext, passwordFrom } from './password.ts';
import type { BFDProfileResource } from './resource.ts';

const INT32 = { min: -0x80000000, max: 0x7fffffff };

export function readBfdProfile(name: string, spec: Fields): BFDProfileResource {
  const given = {
    receiveInterval: spec.integer('receiveInterval', INT32),
    transmitInterval: spec.integer('transmitInterval', INT32),
    detectMultiplier: spec.integer('detectMultiplier', INT32),
    echoInterval: spec.integer('echoInterval', INT32),
    minimumTtl: spec.integer('minimumTtl', INT32),
  };
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const authentication = spec.object('authentication', readAuthentication);
  return {
    ...{ name, ...present, echoMode: spec.flag('echoMode'), passiveMode: spec.flag('passiveMode') },
    ...(authentication !== undefined && { authentication }),
  };
}

function readAuthentication(fields: Fields): NonNullable<BFDProfileResource['authentication']> {
  fields.require('type', 'keyID', 'secretRef');
  const keyID = fields.integer('keyID', { min: 0, max: 255 }, 0);
  const secretRef = fields.object('secretRef', (reference) => {
    reference.require('name');
    reference.ignore('namespace');
    return reference.text('name');
  });
  return { type: readType(fields), keyID, secretRef: secretRef ?? '' };
}

function readType(fields: Fields): AuthenticationType {
  const text = fields.text('type');
  const type = AUTHENTICATION_TYPES.find((each) => each === text);
  const field = fields.at('type');
  if (type !== undefined) return type;
  return refuse('schema', `${field}: must be one of ${AUTHENTICATION_TYPES.join(', ')}, not ${quoted(text)}`, field);
}

/** By name. */
export function parseBfdProfiles(
  resources: readonly BFDProfileResource[],
  context: PasswordContext,
): ReadonlyMap<string, BfdProfile> {
  const profiles = new Map<string, BfdProfile>();
  for (const [i, resource] of resources.entries()) {
    about('BFDProfile', resource.name, () => {
      const numbered = (why: string) => `parsing bfd profile #${i + 1}: ${why}`;
      const profile = worded(numbered, () => parseProfile(resource, context));
      if (profiles.has(profile.name)) refuse('duplicate', `found duplicate bfd profile name ${profile.name}`);
      profiles.set(profile.name, profile);
    });
  }
  return profiles;
}

function parseProfile(resource: BFDProfileResource, context: PasswordContext): BfdProfile {
  if (resource.name === '') refuse('name', 'missing bfd profile name');
  const detectMultiplier = inRange(resource, 'detectMultiplier', 'detect multiplier', [2, 255]) ?? 3;
  const receiveIntervalMs = inRange(resource, 'receiveInterval', 'receive interval', [10, 60_000]) ?? 300;
  const transmitIntervalMs = inRange(resource, 'transmitInterval', 'transmit interval', [10, 60_000]) ?? 300;
  const minimumTtl = inRange(resource, 'minimumTtl', 'minimum ttl', [1, 254]) ?? 254;
  const echoIntervalMs = inRange(resource, 'echoInterval', 'echo interval', [10, 60_000]) ?? 50;
  const { name, echoMode, passiveMode } = resource;
  const authentication = parseAuthentication(resource, context);
  return {
    name,
    receiveIntervalMs,
    transmitIntervalMs,
    detectMultiplier,
    echoIntervalMs,
    echoMode,
    passiveMode,
    minimumTtl,
    ...(authentication !== undefined && { authentication }),
  };
}

function parseAuthentication(
  { name, authentication }: BFDProfileResource,
  context: PasswordContext,
): BfdProfile['authentication'] {
  if (authentication === undefined) return undefined;
  const { type, keyID: keyId, secretRef } = authentication;
  const field = 'spec.authentication.secretRef';
  const secret = passwordFrom(secretRef, `bfd profile ${quoted(name)}`, `${field}.name`, context);
  const fault = keyFault({ type, id: keyId, secret: { length: secret.octets } });
  if (fault !== undefined) refuse('secret', `password in the secret ${quoted(secretRef)}: ${fault}`, field);
  return { type, keyId, secret };
}

type NumberField = 'receiveInterval' | 'transmitInterval' | 'detectMultiplier' | 'echoInterval' | 'minimumTtl';

function inRange(
  resource: BFDProfileResource,
  field: NumberField,
  words: string,
  [low, high]: readonly [number, number],
): number | undefined {
  const value = resource[field];
  if (value === undefined || (value >= low && value <= high)) return value;
  return refuse(
    'range',
    `invalid value ${value}, must be in ${low}-${high} range\ninvalid ${words} value`,
    `spec.${field}`,
  );
}
