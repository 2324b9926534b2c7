// BGPPeer between its versions, as MetalLB's conversion webhook does it: metadata and what both versions know is kept,
// what only v1beta2 knows is dropped on the way to v1beta1, and times that are absent become 0s either way.

import type { ApiObject } from './resource.ts';

const [V1BETA1, V1BETA2] = ['metallb.io/v1beta1', 'metallb.io/v1beta2'];

/** Fields that read the same in both versions. */
const SHARED = [
  'myASN',
  'peerASN',
  'peerAddress',
  'sourceAddress',
  'peerPort',
  'holdTime',
  'keepaliveTime',
  'routerID',
  'password',
  'bfdProfile',
  'ebgpMultiHop',
] as const;

type Json = Readonly<Record<string, unknown>>;

/** The object in the version that is asked for, or why it cannot be had. */
export function convertPeer(
  object: ApiObject,
  desired: string,
): { readonly object: ApiObject } | { readonly error: string } {
  const { apiVersion, kind } = object;
  const known = [V1BETA1, V1BETA2];
  if (kind !== 'BGPPeer' || !known.includes(apiVersion) || !known.includes(desired))
    return { error: `cannot convert ${kind} from ${apiVersion} to ${desired}` };
  if (apiVersion === desired) return { object };
  const { spec, ...rest } = object;
  const given = asObject(spec);
  const shared = Object.fromEntries(SHARED.flatMap((name) => (name in given ? [[name, given[name]]] : [])));
  const toLegacy = desired === V1BETA1;
  const times = { holdTime: given['holdTime'] ?? '0s', keepaliveTime: given['keepaliveTime'] ?? '0s' };
  // required there, and absent of peers with dynamicASN or interface
  const required = toLegacy ? { peerASN: given['peerASN'] ?? 0, peerAddress: given['peerAddress'] ?? '' } : {};
  const selectors = Array.isArray(given['nodeSelectors'])
    ? { nodeSelectors: given['nodeSelectors'].map(toLegacy ? legacySelector : labelSelector) }
    : {};
  const converted: Json = { ...shared, ...required, ...times, ...selectors };
  // no port was 0 in v1beta1, and is what the default stands for in v1beta2
  const { peerPort, ...portless } = converted;
  return { object: { ...rest, apiVersion: desired, spec: !toLegacy && peerPort === 0 ? portless : converted } };
}

function labelSelector(selector: unknown): Json {
  const { matchLabels, matchExpressions } = asObject(selector);
  const labels = Object.keys(asObject(matchLabels)).length > 0 ? { matchLabels } : {};
  return { ...labels, ...(Array.isArray(matchExpressions) && matchExpressions.length > 0 && { matchExpressions }) };
}

/** Map and list are there, and so is `values` in each expression. */
function legacySelector(selector: unknown): Json {
  const { matchLabels, matchExpressions } = asObject(selector);
  const expressions: readonly unknown[] = Array.isArray(matchExpressions) ? matchExpressions : [];
  return {
    matchLabels: asObject(matchLabels),
    matchExpressions: expressions.map((each) => ({ values: [], ...asObject(each) })),
  };
}

function asObject(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}
