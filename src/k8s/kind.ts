// The kinds that are read or written through the API: where each is served and in which version. One row a kind; the
// rights in the manifests name the same resources. Used by whoever makes a reflector or a write.

/** What the API calls an APIResource. */
export interface Kind {
  /** `api/v1`, or `apis/GROUP/VERSION`. */
  readonly path: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

const core = (plural: string, kind: string, namespaced = true): Kind => ({ path: 'api/v1', plural, kind, namespaced });
const metallb = (plural: string, kind: string, version = 'v1beta1'): Kind => ({
  path: `apis/metallb.io/${version}`,
  plural,
  kind,
  namespaced: true,
});

export const SERVICES = core('services', 'Service');
export const NODES = core('nodes', 'Node', false);
export const NAMESPACES = core('namespaces', 'Namespace', false);
export const SECRETS = core('secrets', 'Secret');
export const CONFIG_MAPS = core('configmaps', 'ConfigMap');
export const PODS = core('pods', 'Pod');
export const EVENTS = core('events', 'Event');
/** Cluster-wide, of the API server's own groups. */
const cluster = (path: string, plural: string, kind: string): Kind => ({ path, plural, kind, namespaced: false });

export const VALIDATING_WEBHOOKS = cluster(
  'apis/admissionregistration.k8s.io/v1',
  'validatingwebhookconfigurations',
  'ValidatingWebhookConfiguration',
);
export const CUSTOM_RESOURCE_DEFINITIONS = cluster(
  'apis/apiextensions.k8s.io/v1',
  'customresourcedefinitions',
  'CustomResourceDefinition',
);
export const TOKEN_REVIEWS = cluster('apis/authentication.k8s.io/v1', 'tokenreviews', 'TokenReview');
export const ACCESS_REVIEWS = cluster('apis/authorization.k8s.io/v1', 'subjectaccessreviews', 'SubjectAccessReview');
export const DEPLOYMENTS: Kind = {
  path: 'apis/apps/v1',
  plural: 'deployments',
  kind: 'Deployment',
  namespaced: true,
};
export const ENDPOINT_SLICES: Kind = {
  path: 'apis/discovery.k8s.io/v1',
  plural: 'endpointslices',
  kind: 'EndpointSlice',
  namespaced: true,
};
export const LEASES: Kind = {
  path: 'apis/coordination.k8s.io/v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};
export const IP_ADDRESS_POOLS = metallb('ipaddresspools', 'IPAddressPool');
export const L2_ADVERTISEMENTS = metallb('l2advertisements', 'L2Advertisement');
export const BGP_ADVERTISEMENTS = metallb('bgpadvertisements', 'BGPAdvertisement');
export const BGP_PEERS = metallb('bgppeers', 'BGPPeer', 'v1beta2');
export const BFD_PROFILES = metallb('bfdprofiles', 'BFDProfile');
export const COMMUNITIES = metallb('communities', 'Community');
export const CONFIGURATION_STATES = metallb('configurationstates', 'ConfigurationState');
export const SERVICE_L2_STATUSES = metallb('servicel2statuses', 'ServiceL2Status');
export const SERVICE_BGP_STATUSES = metallb('servicebgpstatuses', 'ServiceBGPStatus');
/** frr-k8s's: what MetalLB has it announce. */
export const FRR_CONFIGURATIONS: Kind = {
  path: 'apis/frrk8s.metallb.io/v1beta1',
  plural: 'frrconfigurations',
  kind: 'FRRConfiguration',
  namespaced: true,
};

/** `apiVersion` of the objects of a kind. */
export function apiVersionOf({ path }: Kind): string {
  return path.replace(/^apis?\//, '');
}

/** A kind as error messages of the API server spell it: `services`, `bgppeers.metallb.io`. */
export function nameOfKind({ path, plural }: Kind): string {
  const [, group, version] = path.split('/');
  return version === undefined ? plural : `${plural}.${group}`;
}
