// Pools of the ConfigMap that MetalLB read up to v0.12. They count where there is no IPAddressPool at all. Once they do,
// each of them counts until an IPAddressPool of its name is there, so that no Service loses its address while resources
// are created one after the other in their place. Asked by controller-caches at every round.

import type { PoolRecord } from '../controller.ts';
import type { Log } from '../io/log.ts';
import { LEGACY_NAME, type LegacyConfiguration } from '../k8s/legacy-config-map.ts';

/** As `Store` has them: by namespace and name. */
type Pools = ReadonlyMap<string, PoolRecord>;

const ADVICE =
  `pools of the ConfigMap ${LEGACY_NAME} are in force, and nothing announces them: \`kubectl get configmap ${LEGACY_NAME} ` +
  '-o yaml | fairway convert -` prints the custom resources to be applied in its place';

export class LegacyPools {
  readonly #log: Pick<Log, 'info' | 'warn'>;
  #inForce: ReadonlySet<string> = new Set();
  #from: readonly unknown[] = [];
  #pools: Pools = new Map();

  constructor(log: Pick<Log, 'info' | 'warn'>) {
    this.#log = log;
  }

  /** All pools that count; the same map for as long as they are the same. `isEmpty`: no IPAddressPool exists, readable or not. */
  beside(stored: Pools, isEmpty: boolean, configuration: LegacyConfiguration | undefined): Pools {
    if (this.#from[0] === stored && this.#from[1] === configuration && this.#from[2] === isEmpty) return this.#pools;
    this.#from = [stored, configuration, isEmpty];
    const taken = new Set([...stored.values()].map(({ pool }) => pool.name));
    const counting = (configuration?.pools ?? []).filter(
      ({ name }) => !taken.has(name) && (isEmpty || this.#inForce.has(name)),
    );
    this.#count(counting.map(({ name }) => name));
    const legacy = counting.map((pool): [string, PoolRecord] => {
      // no object has counters to be written to
      return [`ConfigMap/${pool.name}`, { pool, status: undefined, isStored: false }];
    });
    this.#pools = legacy.length === 0 ? stored : new Map([...stored, ...legacy]);
    return this.#pools;
  }

  /** Says so when others count than before. */
  #count(pools: readonly string[]): void {
    const before = [...this.#inForce].join();
    this.#inForce = new Set(pools);
    if (pools.join() === before) return;
    const fields = { op: 'setConfig', pools };
    if (pools.length === 0) this.#log.info(fields, `no pool of the ConfigMap ${LEGACY_NAME} is in force any more`);
    else this.#log.warn(fields, ADVICE);
  }
}
