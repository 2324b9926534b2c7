// Pools of the ConfigMap that MetalLB read up to v0.12. They count where there is no IPAddressPool at all. Once there is
// one, each of them counts for as long as a Service has an address of it and no IPAddressPool has its name, with the
// addresses that no IPAddressPool has, and gives none out by itself: no Service loses its address while resources are
// created one after the other in their place. All of it is read from the cluster, so that every controller comes to the
// same. Asked by controller-caches at every round.

import { attempt } from '../config/invalid.ts';
import { parseAddresses } from '../config/pool.ts';
import type { IPAddressPool } from '../config/resource.ts';
import type { PoolRecord, Seen } from '../controller.ts';
import type { Log } from '../io/log.ts';
import { LEGACY_NAME, type LegacyConfiguration } from '../k8s/legacy-config-map.ts';
import { ipFromNumber, type Range, rangeOfPrefix, without } from '../net/address.ts';

/** As `Store` has them: by namespace and name. */
type Pools = ReadonlyMap<string, PoolRecord>;

export interface LegacyGrounds {
  readonly stored: Pools;
  /** No IPAddressPool exists, readable or not. */
  readonly isEmpty: boolean;
  readonly configuration: LegacyConfiguration | undefined;
  readonly services: Seen['services'];
}

const adviceIn = (namespace: string) =>
  `pools of the ConfigMap ${LEGACY_NAME} are in force, and nothing announces them: \`kubectl -n ${namespace} get configmap ` +
  `${LEGACY_NAME} -o yaml | npx fairway convert -\` prints the custom resources to be applied in its place`;

export class LegacyPools {
  readonly #log: Pick<Log, 'info' | 'warn'>;
  /** MetalLB's. */
  readonly #namespace: string;
  #said = '';
  #from: readonly unknown[] = [];
  #pools: Pools = new Map();

  constructor(log: Pick<Log, 'info' | 'warn'>, namespace: string) {
    this.#log = log;
    this.#namespace = namespace;
  }

  /** All pools that count; the same map for as long as they are the same. */
  beside({ stored, isEmpty, configuration, services }: LegacyGrounds): Pools {
    const legacy = configuration?.pools ?? [];
    const missing = legacy.length === 0 || isEmpty ? new Set<string>() : namesMissing(stored, services);
    const left = isEmpty ? legacy : legacy.filter(({ name }) => missing.has(name));
    const names = left.map(({ name }) => name).join();
    const from = [stored, configuration, isEmpty, names];
    if (from.every((each, at) => each === this.#from[at])) return this.#pools;
    this.#from = from;
    const counting = isEmpty ? left : left.flatMap((pool) => restOf(pool, stored));
    this.#say(counting.map(({ name }) => name));
    const records = counting.map((pool): [string, PoolRecord] => {
      // no object has counters to be written to
      return [`ConfigMap/${pool.name}`, { pool, status: undefined, isStored: false }];
    });
    this.#pools = records.length === 0 ? stored : new Map([...stored, ...records]);
    return this.#pools;
  }

  /** Says so when others count than before. */
  #say(pools: readonly string[]): void {
    const before = this.#said;
    this.#said = pools.join();
    if (this.#said === before) return;
    const fields = { op: 'setConfig', pools };
    if (pools.length === 0) this.#log.info(fields, `no pool of the ConfigMap ${LEGACY_NAME} is in force any more`);
    else this.#log.warn(fields, adviceIn(this.#namespace));
  }
}

/** Pools that Services have addresses of, and that no IPAddressPool is called. */
export function namesMissing(stored: Pools, services: Seen['services']): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { service } of services.values())
    if (service.allocatedFromPool !== undefined && service.ingress.length > 0) names.add(service.allocatedFromPool);
  for (const { pool } of stored.values()) names.delete(pool.name);
  return names;
}

/** The pool without the addresses that an IPAddressPool has; none where nothing is left. */
function restOf(pool: IPAddressPool, stored: Pools): readonly IPAddressPool[] {
  const taken = [...stored.values()].flatMap((record) => record.pool.addresses.flatMap(rangesOf));
  const addresses = pool.addresses.flatMap((entry) => {
    const ranges = rangesOf(entry);
    const rest = ranges.flatMap((range) => without(range, taken));
    return rest.length === ranges.length && rest.every((each, at) => each === ranges[at]) ? [entry] : rest.map(entryOf);
  });
  return addresses.length === 0 ? [] : [{ ...pool, addresses, autoAssign: false }];
}

/** None of an entry that cannot be read: somebody else says so. */
function rangesOf(entry: string): readonly Range[] {
  const parsed = attempt(() => parseAddresses(entry));
  return 'value' in parsed ? parsed.value.map(rangeOfPrefix) : [];
}

function entryOf({ family, first, last }: Range): string {
  return `${ipFromNumber(family, first)}-${ipFromNumber(family, last)}`;
}
