// The ConfigMap `config`, from which MetalLB read its configuration up to v0.12: its pools, for a controller in whose cluster
// there are no custom resources yet. `fairway convert` makes resources of all of it.

import { attempt, quoted, refuse } from '../config/invalid.ts';
import { convertLegacy } from '../config/legacy.ts';
import { parsePools } from '../config/pool.ts';
import type { ApiObject, Invalid, IPAddressPool } from '../config/resource.ts';
import { readAsResource } from './reader.ts';
import { parseYaml } from './yaml.ts';

export const LEGACY_NAME = 'config';

export interface LegacyConfiguration {
  readonly pools: readonly IPAddressPool[];
}

/** No pools where the ConfigMap has nothing of ours. Strict, as MetalLB was at run time: an unknown key refuses it. */
export function readLegacyConfigMap({
  metadata: { namespace = '' },
  data,
}: ApiObject): LegacyConfiguration | { readonly invalid: Invalid } {
  const config: unknown = typeof data === 'object' && data !== null && 'config' in data ? data.config : undefined;
  if (typeof config !== 'string') return { pools: [] };
  const done = attempt(() => poolsOf(config, namespace));
  if ('value' in done) return { pools: done.value };
  const { rule, message } = done.invalid;
  return { invalid: { rule, message, kind: 'ConfigMap', name: LEGACY_NAME } };
}

function poolsOf(config: string, namespace: string): readonly IPAddressPool[] {
  const document = parseYaml(config, 1, 'as-written');
  if ('rule' in document) refuse(document.rule, `line ${document.line}: ${document.text}`);
  if (document.value === undefined) return [];
  const converted = convertLegacy(document.value, namespace);
  if ('invalid' in converted) refuse(converted.invalid.rule, converted.invalid.message, converted.invalid.field);
  const { objects, unknown } = converted.value;
  const [strange] = unknown;
  if (strange !== undefined) refuse('unknown-field', `unknown key ${quoted(strange)}`);
  const pools = objects.flatMap(({ object }) => {
    const read = readAsResource(object);
    if ('invalid' in read) return refuse(read.invalid.rule, read.invalid.message, read.invalid.field);
    return read.kind === 'IPAddressPool' ? [read.value] : [];
  });
  // what is wrong among them is said of the ConfigMap, for there is no such IPAddressPool
  parsePools(pools, []);
  return pools;
}
