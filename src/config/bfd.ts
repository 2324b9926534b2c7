// BFDProfile: its reader and its rules. What a profile leaves out gets the defaults that MetalLB's users have from FRR.

import type { BfdProfile } from './config.ts';
import type { Fields } from './fields.ts';
import { about, refuse, worded } from './invalid.ts';
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
  return { name, ...present, echoMode: spec.flag('echoMode'), passiveMode: spec.flag('passiveMode') };
}

/** By name. */
export function parseBfdProfiles(resources: readonly BFDProfileResource[]): ReadonlyMap<string, BfdProfile> {
  const profiles = new Map<string, BfdProfile>();
  for (const [i, resource] of resources.entries()) {
    about('BFDProfile', resource.name, () => {
      const numbered = (why: string) => `parsing bfd profile #${i + 1}: ${why}`;
      const profile = worded(numbered, () => parseProfile(resource));
      if (profiles.has(profile.name)) refuse('duplicate', `found duplicate bfd profile name ${profile.name}`);
      profiles.set(profile.name, profile);
    });
  }
  return profiles;
}

function parseProfile(resource: BFDProfileResource): BfdProfile {
  if (resource.name === '') refuse('name', 'missing bfd profile name');
  const detectMultiplier = inRange(resource, 'detectMultiplier', 'detect multiplier', [2, 255]) ?? 3;
  const receiveIntervalMs = inRange(resource, 'receiveInterval', 'receive interval', [10, 60_000]) ?? 300;
  const transmitIntervalMs = inRange(resource, 'transmitInterval', 'transmit interval', [10, 60_000]) ?? 300;
  const minimumTtl = inRange(resource, 'minimumTtl', 'minimum ttl', [1, 254]) ?? 254;
  const echoIntervalMs = inRange(resource, 'echoInterval', 'echo interval', [10, 60_000]) ?? 50;
  const { name, echoMode, passiveMode } = resource;
  return {
    name,
    receiveIntervalMs,
    transmitIntervalMs,
    detectMultiplier,
    echoIntervalMs,
    echoMode,
    passiveMode,
    minimumTtl,
  };
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
