// The API server of bench `k8s-cache`, in a process of its own: 10,000 Services and 10,000 EndpointSlices of the size
// that a real one sends, managedFields and all. `k8s-server.ts streams|pages`; prints its address, ends with its parent.

import { FakeApi } from '../test/k8s/fake-api.ts';

const SERVICES = 'api/v1/services';
const SLICES = 'apis/discovery.k8s.io/v1/endpointslices';
const COUNT = 10_000;

const managed = (manager: string, fields: object) => ({
  manager,
  operation: 'Update',
  apiVersion: 'v1',
  time: '2026-11-24T10:00:00Z',
  fieldsType: 'FieldsV1',
  fieldsV1: fields,
});

function service(i: number) {
  const spec = {
    ports: [{ name: 'http', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30_000 + (i % 2_000) }],
    selector: { app: `app-${i}` },
    clusterIP: `10.96.${(i >> 8) & 255}.${i & 255}`,
    clusterIPs: [`10.96.${(i >> 8) & 255}.${i & 255}`],
    type: 'LoadBalancer',
    sessionAffinity: 'None',
    externalTrafficPolicy: 'Cluster',
    ipFamilies: ['IPv4'],
    ipFamilyPolicy: 'SingleStack',
    allocateLoadBalancerNodePorts: true,
    internalTrafficPolicy: 'Cluster',
  };
  const ports = {
    'f:ports': { '.': {}, 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:port': {}, 'f:targetPort': {} } },
  };
  return {
    metadata: {
      name: `service-${i}`,
      namespace: `ns-${i % 50}`,
      uid: crypto.randomUUID(),
      creationTimestamp: '2026-11-24T10:00:00Z',
      labels: { app: `app-${i}`, 'app.kubernetes.io/managed-by': 'Helm' },
      annotations: {
        'metallb.io/ip-allocated-from-pool': 'default',
        'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify({ kind: 'Service', spec }),
      },
      managedFields: [managed('kubectl', { 'f:spec': ports }), managed('controller', { 'f:status': ports })],
    },
    spec,
    status: { loadBalancer: { ingress: [{ ip: `198.18.${(i >> 8) & 255}.${i & 255}`, ipMode: 'VIP' }] } },
  };
}

function slice(i: number) {
  const endpoint = (n: number) => ({
    addresses: [`10.${n}.${(i >> 8) & 255}.${i & 255}`],
    conditions: { ready: true, serving: true, terminating: false },
    nodeName: `node-${(i + n) % 100}`,
    targetRef: { kind: 'Pod', namespace: `ns-${i % 50}`, name: `app-${i}-${n}`, uid: crypto.randomUUID() },
  });
  return {
    metadata: {
      name: `service-${i}-abcde`,
      namespace: `ns-${i % 50}`,
      uid: crypto.randomUUID(),
      creationTimestamp: '2026-11-24T10:00:00Z',
      generateName: `service-${i}-`,
      labels: {
        'kubernetes.io/service-name': `service-${i}`,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name: `service-${i}`, uid: crypto.randomUUID() }],
      managedFields: [managed('kube-controller-manager', { 'f:addressType': {}, 'f:endpoints': {}, 'f:ports': {} })],
    },
    addressType: 'IPv4',
    endpoints: [1, 2, 3].map(endpoint),
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  };
}

const fake = new FakeApi(SERVICES, SLICES);
fake.streamsLists = process.argv[2] !== 'pages';
for (let i = 0; i < COUNT; i++) {
  fake.put(SERVICES, { kind: 'Service', apiVersion: 'v1', ...service(i) });
  fake.put(SLICES, { kind: 'EndpointSlice', apiVersion: 'discovery.k8s.io/v1', ...slice(i) });
}
process.stdin.on('end', () => process.exit(0)).resume();
console.log(await fake.listen());
