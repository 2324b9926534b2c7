// The Kubernetes objects of the stories, as a user would write them. A story starts from `cluster` and changes a field.

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown };
  readonly [field: string]: unknown;
}

export const VIP = { ipv4: '203.0.113.10', ipv6: '2001:db8:f::10' } as const;
/** The routes of the VIPs, as long as nothing aggregates them. */
export const ROUTE = { ipv4: '203.0.113.10/32', ipv6: '2001:db8:f::10/128' } as const;

const ours = (name: string) => ({ name, namespace: 'metallb-system' });

export function pool(addresses: readonly string[] = ['203.0.113.0/24', '2001:db8:f::/64']): Manifest {
  return { apiVersion: 'metallb.io/v1beta1', kind: 'IPAddressPool', metadata: ours('main'), spec: { addresses } };
}

export function advertisement(spec: object = {}): Manifest {
  return { apiVersion: 'metallb.io/v1beta1', kind: 'BGPAdvertisement', metadata: ours('main'), spec };
}

export function bgpPeer(name: string, spec: object): Manifest {
  return { apiVersion: 'metallb.io/v1beta2', kind: 'BGPPeer', metadata: ours(name), spec };
}

export function bfdProfile(name: string, spec: object = {}): Manifest {
  return { apiVersion: 'metallb.io/v1beta1', kind: 'BFDProfile', metadata: ours(name), spec };
}

export function passwordSecret(name: string, password: string): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: ours(name),
    type: 'kubernetes.io/basic-auth',
    stringData: { password },
  };
}

/** A Service `app/NAME` that asks for these addresses. */
export function service(name = 'web', addresses: readonly string[] = [VIP.ipv4], spec: object = {}): Manifest {
  const families = addresses.map((address) => (address.includes(':') ? 'IPv6' : 'IPv4'));
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'app', annotations: { 'metallb.io/loadBalancerIPs': addresses.join(',') } },
    spec: {
      type: 'LoadBalancer',
      ipFamilies: families,
      ipFamilyPolicy: addresses.length > 1 ? 'RequireDualStack' : 'SingleStack',
      ports: [{ port: 80, protocol: 'TCP' }],
      ...spec,
    },
  };
}

/** One ready endpoint of `app/NAME` on each of these nodes; none: the slice is empty. */
export function endpoints(nodes: readonly string[], name = 'web'): Manifest {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-1`, namespace: 'app', labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ port: 80, protocol: 'TCP' }],
    endpoints: nodes.map((nodeName, at) => ({
      addresses: [`10.244.0.${at + 1}`],
      nodeName,
      conditions: { ready: true, serving: true },
    })),
  };
}

/** Pool, advertisement, and one Service with an endpoint on every node that the labs have. */
export function cluster(addresses: readonly string[] = [VIP.ipv4]): Manifest[] {
  return [pool(), advertisement(), service('web', addresses), endpoints(['n1', 'n2'])];
}
