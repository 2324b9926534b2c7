// Services, EndpointSlices and Nodes as the API or a manifest holds them, read strictly and once into the words of the
// snapshot. A wrong type is refused with its path; null is what the API server takes it for, an absent field; fields of
// no concern here are not looked at. Called for every object; the kinds of a configuration are read by `config`.

import { Fields } from '../config/fields.ts';
import { about, attempt, refuse } from '../config/invalid.ts';
import type { ApiObject, Invalid } from '../config/resource.ts';
import { type Family, familyOf, parseIp } from '../net/address.ts';
import type { Endpoint, Labels, Node, Service, ServiceKey } from '../plan/snapshot.ts';

const ANNOTATIONS = 'metallb.io/';
const LEGACY_ANNOTATIONS = 'metallb.universe.tf/';
const SERVICE_NAME = 'kubernetes.io/service-name';
const EXCLUDE = 'node.kubernetes.io/exclude-from-external-load-balancers';
const PORTS = { min: 1, max: 65535 };

/** One slice of the endpoints of a Service. */
export interface EndpointSlice {
  readonly service: ServiceKey;
  readonly endpoints: readonly Endpoint[];
}

export interface ReadOptions {
  /** Nobody fills in cluster IPs: their families are those that an API server would choose from the rest of the spec. */
  readonly assumeClusterIps?: boolean;
}

type Invalidity = { readonly invalid: Invalid };

export function readService(object: ApiObject, options: ReadOptions = {}): Service | Invalidity {
  return read(object, (top) => {
    const { name } = object.metadata;
    const namespace = namespaceOf(object);
    const annotations = top.object('metadata', (metadata) => metadata.textMap('annotations')) ?? {};
    return {
      ...{ key: `${namespace}/${name}`, namespace, name },
      ...(top.object('metadata', readMetadata) ?? { labels: {} }),
      ...(top.object('spec', (spec) => readSpec(spec, options)) ??
        readSpec(new Fields({}, 'spec', [], 'absent'), options)),
      ...readAnnotations(annotations),
      ingress: top.object('status', (status) => status.object('loadBalancer', readIngress)) ?? [],
    };
  });
}

export function readEndpointSlice(object: ApiObject): EndpointSlice | Invalidity {
  return read(object, (top) => {
    const service = labelsOf(top)[SERVICE_NAME];
    if (service === undefined || service === '')
      return refuse(
        'service-name',
        `an EndpointSlice without the label ${SERVICE_NAME} belongs to no Service`,
        'metadata.labels',
      );
    const endpoints = top.objects('endpoints', readEndpoint);
    return { service: `${namespaceOf(object)}/${service}`, endpoints };
  });
}

export function readNode(object: ApiObject): Node | Invalidity {
  return read(object, (top) => {
    const labels = labelsOf(top);
    const conditions = top.object('status', (status) =>
      status.objects('conditions', (condition) => ({ type: condition.text('type'), status: condition.text('status') })),
    );
    const addresses = top.object('status', (status) =>
      status.objects('addresses', (each) => ({ type: each.text('type'), address: each.text('address') })),
    );
    const internal = addresses?.flatMap(({ type, address = '' }) =>
      type === 'InternalIP' ? (parseIp(address) ?? []) : [],
    );
    const [address] = internal ?? [];
    return {
      name: object.metadata.name,
      labels,
      ...(address !== undefined && { address }),
      networkUnavailable:
        conditions?.some(({ type, status }) => type === 'NetworkUnavailable' && status === 'True') ?? false,
      excluded: Object.hasOwn(labels, EXCLUDE),
    };
  });
}

function read<T extends object>(object: ApiObject, reader: (top: Fields) => T): T | Invalidity {
  const done = attempt(() =>
    about(object.kind, object.metadata.name, () => reader(new Fields(object, '', [], 'absent'))),
  );
  return 'value' in done ? done.value : done;
}

/** Where an object goes that names no namespace. */
function namespaceOf({ metadata }: ApiObject): string {
  return metadata.namespace || 'default';
}

/** Its own namespace, or where it goes in a folder; empty for what is of the whole cluster. */
function placeOf({ apiVersion, kind, metadata }: ApiObject, metallb: string): string {
  if (kind === 'Node' || kind === 'Namespace') return '';
  return metadata.namespace || (kind === 'Secret' || apiVersion.startsWith('metallb.io/') ? metallb : 'default');
}

/** Group, kind, namespace and name: two versions of one object are one object. `metallb`: MetalLB's namespace. */
export function identityOf(object: ApiObject, metallb: string): string {
  const group = object.apiVersion.replace(/\/?[^/]*$/, '');
  return `${group} ${object.kind} ${placeOf(object, metallb)} ${object.metadata.name}`;
}

function labelsOf(top: Fields): Labels {
  return top.object('metadata', (metadata) => metadata.textMap('labels')) ?? {};
}

function readMetadata(metadata: Fields): Pick<Service, 'labels' | 'uid' | 'createdAt'> {
  const [uid, created] = [metadata.text('uid'), metadata.text('creationTimestamp')];
  const at = new Date(created);
  if (created !== '' && Number.isNaN(at.getTime())) {
    const field = metadata.at('creationTimestamp');
    refuse('schema', `${field}: must be a time such as 2006-01-02T15:04:05Z`, field);
  }
  return {
    labels: metadata.textMap('labels'),
    ...(uid !== '' && { uid }),
    // one spelling, so that texts order as times do
    ...(created !== '' && { createdAt: at.toISOString() }),
  };
}

type Spec = Pick<
  Service,
  | 'type'
  | 'loadBalancerClass'
  | 'clusterFamilies'
  | 'clusterIpsBroken'
  | 'familyPolicy'
  | 'primaryFamily'
  | 'trafficPolicy'
  | 'selector'
  | 'ports'
  | 'loadBalancerIp'
>;

function readSpec(spec: Fields, { assumeClusterIps = false }: ReadOptions): Spec {
  const [loadBalancerClass, loadBalancerIp] = [spec.text('loadBalancerClass'), spec.text('loadBalancerIP')];
  const ipFamilies = spec.texts('ipFamilies').map((text, at) => familyNamed(text, `${spec.at('ipFamilies')}[${at}]`));
  const policies = ['SingleStack', 'PreferDualStack', 'RequireDualStack'] as const;
  const familyPolicy = oneOf(
    spec,
    'ipFamilyPolicy',
    policies,
    ipFamilies.length > 1 ? 'RequireDualStack' : 'SingleStack',
  );
  const listed = spec.texts('clusterIPs');
  const single = spec.text('clusterIP');
  const clusterIps = listed.length > 0 || single === '' ? listed : [single];
  const assumed = assumeClusterIps && clusterIps.length === 0;
  const families = assumed ? assumedFamilies(ipFamilies, familyPolicy) : familiesOf(clusterIps);
  const [primaryFamily] = ipFamilies;
  return {
    type: spec.text('type') || 'ClusterIP',
    ...(loadBalancerClass !== '' && { loadBalancerClass }),
    clusterFamilies: families ?? [],
    clusterIpsBroken: families === undefined,
    familyPolicy,
    ...(primaryFamily !== undefined && { primaryFamily }),
    trafficPolicy: oneOf(spec, 'externalTrafficPolicy', ['Cluster', 'Local'], 'Cluster'),
    selector: spec.textMap('selector'),
    ports: spec.objects('ports', (port) => {
      port.require('port');
      return { protocol: port.text('protocol') || 'TCP', port: port.integer('port', PORTS) ?? 0 };
    }),
    ...(loadBalancerIp !== '' && { loadBalancerIp }),
  };
}

/** Undefined: neither one address nor two of different families. */
function familiesOf(clusterIps: readonly string[]): readonly Family[] | undefined {
  const families = clusterIps.flatMap((text) => {
    const ip = parseIp(text);
    return ip === undefined ? [] : [familyOf(ip)];
  });
  return families.length === clusterIps.length && new Set(families).size === families.length ? families : undefined;
}

function assumedFamilies(ipFamilies: readonly Family[], policy: Service['familyPolicy']): readonly Family[] {
  const [first = 'ipv4'] = ipFamilies;
  return policy === 'SingleStack' ? [first] : [first, first === 'ipv4' ? 'ipv6' : 'ipv4'];
}

function familyNamed(text: string, field: string): Family {
  if (text === 'IPv4') return 'ipv4';
  return text === 'IPv6' ? 'ipv6' : refuse('schema', `${field}: must be IPv4 or IPv6, not "${text}"`, field);
}

function oneOf<T extends string>(spec: Fields, name: string, known: readonly T[], otherwise: T): T {
  const text = spec.text(name);
  const found = text === '' ? otherwise : known.find((each) => each === text);
  return (
    found ?? refuse('schema', `${spec.at(name)}: must be one of ${known.join(', ')}, not "${text}"`, spec.at(name))
  );
}

type Annotated = Pick<
  Service,
  'wantedIps' | 'wantedPool' | 'sharingKey' | 'allocatedFromPool' | 'deprecatedAnnotations'
>;

/** The new key wins where it is present, even when it is empty. */
function readAnnotations(annotations: Readonly<Record<string, string>>): Annotated {
  const either = (suffix: string): string | undefined =>
    annotations[`${ANNOTATIONS}${suffix}`] ?? annotations[`${LEGACY_ANNOTATIONS}${suffix}`];
  const [wantedIps, wantedPool, sharingKey] = [
    either('loadBalancerIPs'),
    either('address-pool'),
    either('allow-shared-ip'),
  ];
  const allocatedFromPool = annotations[`${ANNOTATIONS}ip-allocated-from-pool`];
  return {
    ...(wantedIps !== undefined && { wantedIps }),
    ...(wantedPool !== undefined && { wantedPool }),
    ...(sharingKey !== undefined && { sharingKey }),
    ...(allocatedFromPool !== undefined && { allocatedFromPool }),
    deprecatedAnnotations: Object.keys(annotations)
      .filter((key) => key.startsWith('metallb.universe.tf'))
      .sort(),
  };
}

function readIngress(loadBalancer: Fields): Service['ingress'] {
  return loadBalancer.objects('ingress', (entry) => {
    const [ip, hostname] = [entry.text('ip'), entry.text('hostname')];
    return { ...(ip !== '' && { ip }), ...(hostname !== '' && { hostname }) };
  });
}

function readEndpoint(endpoint: Fields): Endpoint {
  const node = endpoint.text('nodeName');
  // ready when nobody says that it is not; one that terminates may serve still
  const canServe = endpoint.object('conditions', (known) => known.flag('ready', true) || known.flag('serving', false));
  return {
    addresses: endpoint.texts('addresses'),
    ...(node !== '' && { node }),
    canServe: canServe ?? true,
  };
}
