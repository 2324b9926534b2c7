// Objects as users write them, and the two answers of the parser. Everything goes through the readers, as in production.

import { expect } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { gather, type ReadResource, readResource } from '../../src/config/read.ts';
import type { ApiObject, BgpType, Invalid, Resources } from '../../src/config/resource.ts';

export const NAMESPACE = 'metallb-system';

export interface Options {
  readonly bgpType?: BgpType;
  readonly node?: string;
  readonly mayBeBare?: boolean;
}

type Spec = Readonly<Record<string, unknown>>;

function custom(kind: string, version: string) {
  return (name: string, spec: Spec = {}, labels: Readonly<Record<string, string>> = {}): ApiObject => ({
    apiVersion: `metallb.io/${version}`,
    kind,
    metadata: { name, namespace: NAMESPACE, labels },
    spec,
  });
}

export const pool = custom('IPAddressPool', 'v1beta1');
export const l2 = custom('L2Advertisement', 'v1beta1');
export const bgp = custom('BGPAdvertisement', 'v1beta1');
export const bfd = custom('BFDProfile', 'v1beta1');
export const legacyPeer = custom('BGPPeer', 'v1beta1');
export const bgpPeer = custom('BGPPeer', 'v1beta2');

/** A peer that is right, with these fields on top; undefined takes one away. */
export function peer(name: string, spec: Spec = {}): ApiObject {
  return bgpPeer(name, { myASN: 42, peerASN: 142, peerAddress: '1.2.3.4', ...spec });
}

export function community(name: string, ...aliases: readonly (readonly [name: string, value: string])[]): ApiObject {
  return custom('Community', 'v1beta1')(name, {
    communities: aliases.map(([alias, value]) => ({ name: alias, value })),
  });
}

export function node(name: string, labels: Readonly<Record<string, string>> = {}): ApiObject {
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } } };
}

export function namespace(name: string, labels: Readonly<Record<string, string>> = {}): ApiObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

export function secret(name: string, type: string, data: Readonly<Record<string, string>>): ApiObject {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: NAMESPACE }, type, stringData: data };
}

export const hostname = (name: string) => ({ matchLabels: { 'kubernetes.io/hostname': name } });

export function read(object: ApiObject): ReadResource {
  const done = readResource(object);
  if (done === undefined) return expect.fail(`${object.kind} is not a kind that is read`);
  return 'invalid' in done ? expect.fail(done.invalid.message) : done;
}

export function resources(objects: readonly ApiObject[]): Resources {
  return gather(objects.map(read));
}

export function accepted(objects: readonly ApiObject[], options: Options = {}): Config {
  const parsed = parseConfig(resources(objects), { bgpType: 'frr', namespace: NAMESPACE, ...options });
  return 'config' in parsed ? parsed.config : expect.fail(`refused: ${parsed.invalid.message}`);
}

/** Why it is refused, by its reader or by the parser. */
export function refused(objects: readonly ApiObject[], options: Options = {}): Invalid {
  for (const object of objects) {
    const done = readResource(object);
    if (done !== undefined && 'invalid' in done) return done.invalid;
  }
  const parsed = parseConfig(resources(objects), { bgpType: 'frr', namespace: NAMESPACE, ...options });
  return 'invalid' in parsed ? parsed.invalid : expect.fail('it was accepted');
}
