// The ConfigMap that MetalLB read from v0.7 to v0.12, to the custom resources that mean the same. `fairway convert` prints
// them; the controller reads them at run time where there are no custom resources. Every type is checked here; whether the
// resources are good together is for the schemas and `parseConfig` to judge, as with resources that were written by hand.

import { formatDuration, parseDuration } from './duration.ts';
import { Fields } from './fields.ts';
import { type Attempt, attempt, quoted, refuse } from './invalid.ts';
import type { ApiObject } from './resource.ts';

/** A custom resource, and the place in the old configuration that it was made of: `address-pools[0]`. */
export interface Converted {
  readonly object: ApiObject;
  readonly from: string;
}

export interface Conversion {
  /** Peers, pools, BGP advertisements, layer 2 advertisements, BFD profiles, the Community: each in the order listed. */
  readonly objects: readonly Converted[];
  /** What had to be called otherwise, for a resource can't have its name. */
  readonly renamed: readonly { readonly path: string; readonly was: string; readonly is: string }[];
  /** Paths of keys that no version had: MetalLB refused them at run time. */
  readonly unknown: readonly string[];
}

/**
 * `config` is the value of the ConfigMap's key of that name, parsed; `namespace` the ConfigMap's. Refused with the path of
 * what is wrong as `field`.
 */
export function convertLegacy(config: unknown, namespace: string): Attempt<Conversion> {
  return attempt(() => {
    const unknown: string[] = [];
    if (typeof config !== 'object' || config === null || Array.isArray(config)) {
      refuse('schema', 'the configuration must be a map: peers, address-pools, bgp-communities, bfd-profiles');
    }
    const top = new Fields(config, '', unknown);
    const work: Work = { namespace, names: new Names() };
    // a list that is not there and an empty one are the same
    const peers = top.objects('peers', (fields) => convertPeer(work, fields));
    const pools = top.objects('address-pools', (fields) => readPool(work, fields));
    const profiles = top.objects('bfd-profiles', (fields) => convertProfile(work, fields));
    const aliases = Object.entries(top.textMap('bgp-communities'));
    top.end();
    const objects = [
      ...peers.map(({ spec, from }, i) => made(work, 'BGPPeer', `peer${i + 1}`, { spec, from })),
      ...pools.map(({ name, spec, from }) => made(work, 'IPAddressPool', name, { spec, from })),
      ...numbered(work, 'BGPAdvertisement', pools.flatMap(bgpAdvertisements)),
      ...numbered(work, 'L2Advertisement', pools.flatMap(l2Advertisements)),
      ...profiles.map(({ name, spec, from }) => made(work, 'BFDProfile', name, { spec, from })),
      ...communities(work, aliases),
    ];
    return { objects, renamed: work.names.renamed, unknown };
  });
}

interface Work {
  readonly namespace: string;
  readonly names: Names;
}

interface Part {
  readonly spec: Readonly<Record<string, unknown>>;
  readonly from: string;
}

interface Pool extends Part {
  readonly name: string;
  readonly protocol: 'layer2' | 'bgp';
  readonly advertisements: readonly Part[];
}

/** Fields without a value left out, the others sorted by name. */
function specOf(fields: Readonly<Record<string, unknown>>): Part['spec'] {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function made({ namespace }: Work, kind: string, name: string, { spec, from }: Part): Converted {
  const apiVersion = kind === 'BGPPeer' ? 'metallb.io/v1beta2' : 'metallb.io/v1beta1';
  return { object: { apiVersion, kind, metadata: { name, namespace }, spec }, from };
}

function numbered(work: Work, kind: string, parts: readonly Part[]): readonly Converted[] {
  return parts.map((part, i) => made(work, kind, `${kind.toLowerCase()}${i + 1}`, part));
}

/** A text that is given and not empty. */
function given(fields: Fields, key: string): string | undefined {
  return fields.text(key) || undefined;
}

const UINT32 = { min: 0, max: 0xffffffff };
const UINT16 = { min: 0, max: 0xffff };
const INT32 = { min: -0x80000000, max: 0x7fffffff };

function convertPeer({ names }: Work, fields: Fields): Part {
  const profile = given(fields, 'bfd-profile');
  const port = fields.integer('peer-port', UINT16);
  for (const key of ['my-asn', 'peer-asn'] as const) if (!fields.integer(key, UINT32)) missing(fields, key);
  if (fields.text('peer-address') === '') missing(fields, 'peer-address');
  const keepalive = readTime(fields, 'keepalive-time');
  const spec = specOf({
    myASN: fields.integer('my-asn', UINT32),
    peerASN: fields.integer('peer-asn', UINT32),
    peerAddress: fields.text('peer-address'),
    sourceAddress: given(fields, 'source-address'),
    // 0 was 179, as none is
    peerPort: port === 0 ? undefined : port,
    // in whole seconds as it always was; without one it was 90 s in every mode, whatever is the default now
    holdTime: formatDuration(Math.trunc((readTime(fields, 'hold-time') ?? 90_000) / 1_000) * 1_000),
    keepaliveTime: keepalive === undefined ? undefined : formatDuration(keepalive),
    routerID: given(fields, 'router-id'),
    nodeSelectors: listed(fields.objects('node-selectors', readLegacySelector)),
    password: given(fields, 'password'),
    bfdProfile: profile === undefined ? undefined : names.nameFor(profile, fields.at('bfd-profile')),
    ebgpMultiHop: fields.flag('ebgp-multihop') || undefined,
  });
  return { spec, from: fields.path };
}

/** Milliseconds. */
function readTime(fields: Fields, key: string): number | undefined {
  const text = fields.text(key);
  if (text === '') return undefined;
  const parsed = parseDuration(text);
  if ('error' in parsed) refuse('duration', `${fields.at(key)}: ${parsed.error}`, fields.at(key));
  return parsed.ms;
}

function readLegacySelector(fields: Fields): object {
  const labels = fields.textMap('match-labels');
  const expressions = fields.objects('match-expressions', (expression) => {
    const values = expression.texts('values');
    return specOf({ key: expression.text('key'), operator: expression.text('operator'), values: listed(values) });
  });
  return {
    ...(expressions.length > 0 && { matchExpressions: expressions }),
    ...(Object.keys(labels).length > 0 && { matchLabels: labels }),
  };
}

function readPool({ names }: Work, fields: Fields): Pool {
  if (!given(fields, 'name')) missing(fields, 'name');
  const written = fields.text('name');
  const name = names.nameFor(written, fields.at('name'));
  names.claim(name, written, fields.at('name'));
  refuseRemoved(fields);
  const protocol = readProtocol(fields);
  const addresses = fields.texts('addresses');
  if (addresses.length === 0) missing(fields, 'addresses');
  const spec = specOf({
    addresses,
    autoAssign: fields.has('auto-assign') ? fields.flag('auto-assign') : undefined,
    avoidBuggyIPs: fields.flag('avoid-buggy-ips') || undefined,
  });
  const advertisements = fields.objects('bgp-advertisements', (advertisement) =>
    readAdvertisement(advertisement, name),
  );
  if (protocol === 'layer2' && advertisements.length > 0) {
    const at = fields.at('bgp-advertisements');
    refuse('protocol', `${at}: an address pool of protocol layer2 has none`, at);
  }
  return { name, protocol, advertisements, spec, from: fields.path };
}

/** Keys of before v0.7, whose meaning lives on under other names. */
function refuseRemoved(fields: Fields): void {
  for (const [key, instead] of [
    ['cidr', 'it is called addresses since v0.7'],
    ['arp-network', 'it has had no meaning since v0.7'],
  ] as const) {
    if (fields.has(key)) refuse('removed', `${fields.at(key)}: ${instead}`, fields.at(key));
  }
}

function readProtocol(fields: Fields): Pool['protocol'] {
  const at = fields.at('protocol');
  const protocol = fields.text('protocol');
  if (protocol === 'layer2' || protocol === 'bgp') return protocol;
  if (protocol === '') return missing(fields, 'protocol');
  const instead = protocol === 'arp' || protocol === 'ndp' ? ', since v0.7 it is called layer2' : ', not layer2 or bgp';
  return refuse('protocol', `${at}: unknown protocol ${quoted(protocol)}${instead}`, at);
}

function readAdvertisement(fields: Fields, pool: string): Part {
  const spec = specOf({
    aggregationLength: fields.integer('aggregation-length', INT32),
    aggregationLengthV6: fields.integer('aggregation-length-v6', INT32),
    communities: listed(fields.texts('communities')),
    ipAddressPools: [pool],
    localPref: fields.integer('localpref', UINT32),
  });
  return { spec, from: fields.path };
}

function bgpAdvertisements({ name, protocol, advertisements, from }: Pool): readonly Part[] {
  if (protocol !== 'bgp') return [];
  // without any there was one of all defaults
  return advertisements.length > 0 ? advertisements : [{ spec: { ipAddressPools: [name] }, from }];
}

function l2Advertisements({ name, protocol, from }: Pool): readonly Part[] {
  return protocol === 'layer2' ? [{ spec: { ipAddressPools: [name] }, from }] : [];
}

function convertProfile({ names }: Work, fields: Fields): Part & { readonly name: string } {
  if (!given(fields, 'name')) missing(fields, 'name');
  const spec = specOf({
    receiveInterval: fields.integer('receive-interval', INT32),
    transmitInterval: fields.integer('transmit-interval', INT32),
    detectMultiplier: fields.integer('detect-multiplier', INT32),
    echoInterval: fields.integer('echo-interval', INT32),
    echoMode: fields.flag('echo-mode'),
    passiveMode: fields.flag('passive-mode'),
    minimumTtl: fields.integer('minimum-ttl', INT32),
  });
  return { name: names.nameFor(fields.text('name'), fields.at('name')), spec, from: fields.path };
}

function communities(work: Work, aliases: readonly (readonly [string, string])[]): readonly Converted[] {
  if (aliases.length === 0) return [];
  const list = aliases.map(([name, value]) => ({ name, value }));
  return [made(work, 'Community', 'communities', { spec: { communities: list }, from: 'bgp-communities' })];
}

function listed<T>(items: readonly T[]): readonly T[] | undefined {
  return items.length > 0 ? items : undefined;
}

function missing(fields: Fields, key: string): never {
  return refuse('required', `${fields.at(key)}: required`, fields.at(key));
}

/** What a name becomes that no resource could have; the same name the same wherever it is used. */
class Names {
  readonly renamed: { path: string; was: string; is: string }[] = [];
  readonly #pools = new Map<string, string>();

  nameFor(was: string, path: string): string {
    const is = /^[a-z][-a-z0-9]{0,61}[a-z0-9]$/.test(was) ? was : resourceName(was, path);
    if (is !== was) this.renamed.push({ path, was, is });
    return is;
  }

  /** Two pools that were told apart must not become one. */
  claim(name: string, written: string, path: string): void {
    const other = this.#pools.get(name);
    if (other !== undefined && other !== written) {
      refuse('name', `${path}: ${quoted(written)} and ${quoted(other)} would both be called ${name}`, path);
    }
    this.#pools.set(name, written);
  }
}

/** RFC 1123: MetalLB's converter cuts, lowers and begins with a letter; what else a name can't hold becomes a hyphen. */
function resourceName(text: string, path: string): string {
  const name = text
    .slice(0, 63)
    .toLowerCase()
    .replace(/[^-.a-z0-9]/g, '-')
    .replace(/^[^a-z]+/, '')
    .replace(/[^a-z0-9]+$/, '');
  const labels = name.split('.');
  if (name === '' || labels.some((label) => !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(label))) {
    refuse('name', `${path}: no resource can be called ${quoted(text)}, nor anything like it`, path);
  }
  return name;
}
