// API objects to the shapes of `resource`: strict about types, tolerant of unknown fields, which are listed. Called for
// every object of YAML, JSON and the API. What an object means together with others is `parseConfig`'s to judge.

import { Secret } from '../net/secret.ts';
import { readBfdProfile } from './bfd.ts';
import { readBgpAdvertisement } from './bgp-advertisement.ts';
import { readCommunity } from './community.ts';
import { Fields } from './fields.ts';
import { about, attempt, refuse } from './invalid.ts';
import { readL2Advertisement } from './l2-advertisement.ts';
import { readLegacyPeer, readPeer } from './peer.ts';
import { readPool } from './pool.ts';
import type { ApiObject, Invalid, Labelled, Resource, Resources, SecretResource } from './resource.ts';

/** `unknown`: paths of fields that the kind does not have. */
export type ReadResource = Resource & { readonly unknown: readonly string[] };

/** Served versions of the kinds that are read here. */
const VERSIONS: Readonly<Record<Resource['kind'], readonly string[]>> = {
  IPAddressPool: ['metallb.io/v1beta1'],
  L2Advertisement: ['metallb.io/v1beta1'],
  BGPAdvertisement: ['metallb.io/v1beta1'],
  BGPPeer: ['metallb.io/v1beta1', 'metallb.io/v1beta2'],
  BFDProfile: ['metallb.io/v1beta1'],
  Community: ['metallb.io/v1beta1'],
  Secret: ['v1'],
  Node: ['v1'],
  Namespace: ['v1'],
};

/**
 * The object in our words; Invalid (rule `schema`) when a type is wrong, a required field is missing or the version of one
 * of our kinds is not served; undefined when the kind is none that makes up a configuration.
 */
export function readResource(object: ApiObject): ReadResource | { readonly invalid: Invalid } | undefined {
  const kind = kindOf(object);
  if (kind === undefined) return undefined;
  const { name } = object.metadata;
  const unknown: string[] = [];
  const done = attempt(() =>
    about(kind, name, () => {
      if (!VERSIONS[kind].includes(object.apiVersion)) {
        const served = VERSIONS[kind].join(', ');
        refuse('schema', `apiVersion: ${object.apiVersion} is not served, ${kind} has ${served}`, 'apiVersion');
      }
      return readKind(kind, object, unknown);
    }),
  );
  return 'value' in done ? { ...done.value, unknown } : done;
}

/** `kind` where the group is ours too: a Secret of another group is not a Secret. */
function kindOf({ apiVersion, kind }: ApiObject): Resource['kind'] | undefined {
  const group = (version: string) => version.slice(0, Math.max(0, version.indexOf('/')));
  for (const [known, versions] of Object.entries(VERSIONS)) {
    if (known === kind && group(versions[0] ?? '') === group(apiVersion)) return known as Resource['kind'];
  }
  return undefined;
}

function readKind(kind: Resource['kind'], object: ApiObject, unknown: string[]): Resource {
  const { name } = object.metadata;
  switch (kind) {
    case 'Secret':
      return { kind, value: readSecret(object) };
    case 'Node':
    case 'Namespace':
      return { kind, value: { name, labels: readLabels(object) } };
    case 'IPAddressPool':
      return { kind, value: ofSpec(object, unknown, (spec) => readPool(name, readLabels(object), spec)) };
    case 'L2Advertisement':
      return { kind, value: ofSpec(object, unknown, (spec) => readL2Advertisement(name, spec)) };
    case 'BGPAdvertisement':
      return { kind, value: ofSpec(object, unknown, (spec) => readBgpAdvertisement(name, spec)) };
    case 'BFDProfile':
      return { kind, value: ofSpec(object, unknown, (spec) => readBfdProfile(name, spec)) };
    case 'Community':
      return { kind, value: ofSpec(object, unknown, (spec) => readCommunity(name, spec)) };
    case 'BGPPeer': {
      const read = object.apiVersion === 'metallb.io/v1beta1' ? readLegacyPeer : readPeer;
      return { kind, value: ofSpec(object, unknown, (spec) => read(name, object.metadata.namespace ?? '', spec)) };
    }
  }
}

/** A missing spec is an empty one: what it must hold is then missed by name. */
function ofSpec<T>(object: ApiObject, unknown: string[], read: (spec: Fields) => T): T {
  const top = new Fields(object, '', unknown);
  top.ignore('apiVersion', 'kind', 'metadata', 'status');
  const value = top.object('spec', read) ?? read(new Fields({}, 'spec', unknown));
  top.end();
  return value;
}

function readLabels({ metadata }: ApiObject): Labelled['labels'] {
  return new Fields(metadata, 'metadata', []).textMap('labels');
}

function readSecret(object: ApiObject): SecretResource {
  const top = new Fields(object, '', []);
  const data = new Map<string, Secret>();
  for (const [key, base64] of Object.entries(top.textMap('data'))) {
    const bytes = Buffer.from(base64, 'base64');
    // Buffer skips what is no base64: only a text that comes back the same was read whole
    if (bytes.toString('base64') !== base64.replace(/\s/g, '')) {
      refuse('schema', `data.${key}: must be base64`, `data.${key}`);
    }
    data.set(key, new Secret(bytes.toString('utf8')));
  }
  for (const [key, text] of Object.entries(top.textMap('stringData'))) data.set(key, new Secret(text));
  return { name: object.metadata.name, type: top.text('type') || 'Opaque', data };
}

/** Sorts what was read by kind, in the order given. */
export function gather(read: readonly Resource[]): Resources {
  const values = <K extends Resource['kind']>(kind: K) =>
    read.flatMap((resource) =>
      resource.kind === kind ? [resource.value as Extract<Resource, { kind: K }>['value']] : [],
    );
  return {
    pools: values('IPAddressPool'),
    peers: values('BGPPeer'),
    bgpAdvertisements: values('BGPAdvertisement'),
    l2Advertisements: values('L2Advertisement'),
    bfdProfiles: values('BFDProfile'),
    communities: values('Community'),
    secrets: values('Secret'),
    nodes: values('Node'),
    namespaces: values('Namespace'),
  };
}
