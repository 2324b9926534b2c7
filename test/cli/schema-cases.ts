// Objects that are held against the schemas: by a real kube-apiserver (`record-answers.ts`, whose findings are kept in
// schema-answers.json) and by ours (schema.test.ts).

type Written = Readonly<Record<string, unknown>>;

const V1BETA1 = 'metallb.io/v1beta1';

function object(kind: string, spec: unknown, more: Written = {}): Written {
  const apiVersion = kind === 'BGPPeer' ? 'metallb.io/v1beta2' : V1BETA1;
  const metadata = { name: 'a', namespace: 'metallb-system' };
  return { apiVersion, kind, metadata, ...(spec === undefined ? {} : { spec }), ...more };
}

const pool = (more: Written = {}, top: Written = {}): Written =>
  object('IPAddressPool', { addresses: ['192.0.2.0/24'], ...more }, top);
const named = (metadata: Written): Written =>
  pool({}, { metadata: { name: 'a', namespace: 'metallb-system', ...metadata } });
const selecting = (selector: unknown): Written => pool({ serviceAllocation: { namespaceSelectors: [selector] } });
const peer = (more: Written): Written =>
  object('BGPPeer', { myASN: 64512, peerASN: 64513, peerAddress: '192.0.2.1', ...more });
const legacyPeer = (more: Written): Written => ({ ...peer(more), apiVersion: V1BETA1 });
const advertisement = (spec: Written): Written => object('BGPAdvertisement', spec);

export const CASES: readonly Written[] = [
  pool(),
  object('IPAddressPool', undefined),
  object('IPAddressPool', {}),
  object('IPAddressPool', 'x'),
  object('IPAddressPool', []),
  pool({ addresses: '192.0.2.0/24' }),
  pool({ addresses: [1, {}] }),
  pool({ addresses: [null] }),
  pool({ addresses: null }),
  pool({ addresses: [] }),
  pool({ autoAssign: 'yes' }),
  pool({ autoAssign: null }),
  pool({ autoassign: true }),
  pool({ serviceAllocation: { priority: 1.5 } }),
  pool({ serviceAllocation: { priority: '1' } }),
  pool({ serviceAllocation: { priority: 2, namespaces: ['a', 'a'], x: 1, y: { z: 1 } } }),
  pool({ serviceAllocation: [] }),
  pool({ serviceAllocation: { serviceSelectors: {} } }),
  selecting({}),
  selecting({ matchLabels: { 'a.b/c': 1 } }),
  selecting({ matchExpressions: [{ key: 'a' }] }),
  selecting({ matchExpressions: [{ key: 'a', operator: 'Wrong', values: [1] }] }),
  selecting({ matchLabel: { a: 'b' } }),
  pool({}, { spec2: {} }),
  pool({}, { status: { assignedIPv4: 1 } }),
  pool({}, { status: { assignedIPv4: 1, assignedIPv6: 0, availableIPv4: 9223372036854774000, availableIPv6: 0 } }),
  pool({}, { apiVersion: 'metallb.io/v1beta2' }),
  named({ name: 'Bad_Name' }),
  named({ name: 'a'.repeat(254) }),
  named({ labels: { 'bad key': 'x', ok: 'bad value!' } }),
  named({ labels: { 'UPPER.example/x': 'x', a: 'v'.repeat(64) } }),
  named({ annotations: { 'bad key': 'x' } }),
  named({ labels: { [`a/${'k'.repeat(64)}`]: 'x', 'a/b/c': 'x', '/x': 'x', '': 'x' } }),
  named({ annotations: { [`${'p'.repeat(254)}/k`]: 'x' } }),
  object('L2Advertisement', undefined),
  object('L2Advertisement', {}),
  object('L2Advertisement', { interfaces: 'eth0' }),
  object('L2Advertisement', {
    preferredNodeSelectors: [
      { weight: 0, preference: {} },
      { weight: 101, preference: {} },
    ],
  }),
  object('L2Advertisement', { preferredNodeSelectors: [{ preference: { matchLabels: { a: 'b' } } }, {}] }),
  advertisement({ aggregationLength: 0 }),
  advertisement({ aggregationLength: 33, aggregationLengthV6: -5 }),
  advertisement({ localPref: 4294967295 }),
  advertisement({ localPref: 2147483647 }),
  advertisement({ localPref: -1 }),
  advertisement({ localPref: '100' }),
  advertisement({ aggregationLength: 24, serviceSelectors: [{}] }),
  advertisement({ aggregationLengthV6: 64, serviceSelectors: [{ matchLabels: { a: 'b' } }] }),
  advertisement({ aggregationLength: 32, serviceSelectors: [{ matchLabels: { a: 'b' } }] }),
  advertisement({ aggregationLength: 24, serviceSelectors: [] }),
  advertisement({ aggregationLength: '24', serviceSelectors: [{}] }),
  advertisement({ communities: [123, true] }),
  object('BGPPeer', undefined),
  object('BGPPeer', {}),
  peer({}),
  peer({ myASN: 4294967295 }),
  peer({ myASN: 4294967296 }),
  peer({ myASN: -1 }),
  peer({ myASN: '64512' }),
  peer({ localASN: 0 }),
  peer({ peerPort: 0 }),
  peer({ peerPort: 16385 }),
  peer({ dynamicASN: 'any' }),
  peer({ dynamicASN: '' }),
  peer({ connectTime: '0s' }),
  peer({ connectTime: '1500ms' }),
  peer({ connectTime: '500ms' }),
  peer({ connectTime: '19h' }),
  peer({ connectTime: '10' }),
  peer({ connectTime: 'ten' }),
  peer({ connectTime: 10 }),
  peer({ connectTime: '1m30s' }),
  peer({ connectTime: '65535s' }),
  peer({ connectTime: '-1s' }),
  peer({ holdTime: 'nonsense' }),
  peer({ enableGracefulRestart: true }),
  peer({ ttlSecurity: 0 }),
  peer({ ttlSecurity: 255 }),
  peer({ ttlSecurity: 254 }),
  peer({ ttlSecurity: 1, ebgpMultiHop: true }),
  peer({ ttlSecurity: 1, ebgpMultiHop: false }),
  peer({ passwordSecret: { name: 1 } }),
  peer({ passwordSecret: 'x' }),
  peer({ nodeSelectors: [{ matchLabels: 'x' }] }),
  peer({ bgpPasswd: 'x', peerASn: 1 }),
  legacyPeer({}),
  object('BGPPeer', {}, { apiVersion: V1BETA1 }),
  legacyPeer({ peerPort: 0 }),
  legacyPeer({ vrf: 'red' }),
  legacyPeer({ nodeSelectors: [{ matchExpressions: [{ key: 'a', operator: 'Exists' }] }] }),
  legacyPeer({ nodeSelectors: [{ matchExpressions: [{ key: 'a', operator: 'In', values: [] }] }] }),
  object('BFDProfile', {
    receiveInterval: 9,
    transmitInterval: 60001,
    detectMultiplier: 1,
    echoInterval: 9,
    minimumTtl: 0,
  }),
  object('BFDProfile', { detectMultiplier: 256, minimumTtl: 255, echoMode: 1 }),
  object('BFDProfile', { receiveInterval: 10, transmitInterval: 60000, detectMultiplier: 255, minimumTtl: 254 }),
  object('Community', { communities: [{ name: 'a', value: 64512 }, { name: 1 }, 'x'] }),
  object('Community', { communities: [{}] }),
  object('ServiceBGPStatus', {}, { status: { peers: 'x' } }),
  object('ConfigurationState', undefined, {
    status: {
      result: 'Maybe',
      conditions: [{ type: 'a b', status: 'yes', reason: '', message: '', lastTransitionTime: 'now' }],
    },
  }),
];
