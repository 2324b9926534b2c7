// L2Advertisement: its reader, its rules, the preference scores of nodes, and its attachment to pools.

import { append, compileListed, readScope, refuseDuplicateScope, selectNodes, selectPools } from './advertisement.ts';
import type { L2Advertisement } from './config.ts';
import { type Fields, readSelector } from './fields.ts';
import { about, worded } from './invalid.ts';
import type { IPAddressPool, L2AdvertisementResource, Labelled } from './resource.ts';
import { matches } from './selector.ts';

export function readL2Advertisement(name: string, spec: Fields): L2AdvertisementResource {
  return {
    ...readScope(name, spec),
    interfaces: spec.texts('interfaces'),
    preferredNodeSelectors: spec.objects('preferredNodeSelectors', (preferred) => {
      preferred.require('weight', 'preference');
      return {
        weight: preferred.integer('weight', { min: 1, max: 100 }) ?? 1,
        preference: preferred.object('preference', readSelector) ?? { matchLabels: {}, matchExpressions: [] },
      };
    }),
  };
}

/** The advertisements of each pool, in the order given. */
export function attachL2(
  resources: readonly L2AdvertisementResource[],
  pools: readonly IPAddressPool[],
  nodes: readonly Labelled[],
): ReadonlyMap<string, readonly L2Advertisement[]> {
  const attached = new Map<string, L2Advertisement[]>();
  const poolsByEssence = new Map<string, Set<string>>();
  for (const resource of resources) {
    about('L2Advertisement', resource.name, () => {
      const advertisement = parseL2Advertisement(resource, nodes);
      const key = essence(advertisement);
      const pooled = poolsByEssence.get(key) ?? new Set();
      poolsByEssence.set(key, pooled);
      for (const pool of selectPools(resource, pools)) {
        // an equal one is not attached twice, unless preferences are involved: those add up
        if (advertisement.scores.size === 0) {
          if (pooled.has(pool)) continue;
          pooled.add(pool);
        }
        append(attached, pool, advertisement);
      }
    });
  }
  return attached;
}

function parseL2Advertisement(resource: L2AdvertisementResource, nodes: readonly Labelled[]): L2Advertisement {
  refuseDuplicateScope(resource);
  const selected = selectNodes(resource, nodes);
  return {
    name: resource.name,
    nodes: selected,
    interfaces: resource.interfaces,
    serviceSelectors: compileListed(resource.serviceSelectors, 'spec.serviceSelectors'),
    scores: scoresOf(resource, nodes, selected),
  };
}

/** The sum of the weights that match, for each selected node that any of them matches. */
function scoresOf(
  { name, preferredNodeSelectors }: L2AdvertisementResource,
  nodes: readonly Labelled[],
  selected: ReadonlySet<string>,
): ReadonlyMap<string, number> {
  const selectors = worded(
    (why) => `${why}\nfailed to parse preferred node selector for ${name}`,
    () =>
      compileListed(
        preferredNodeSelectors.map(({ preference }) => preference),
        'spec.preferredNodeSelectors',
      ),
  );
  const scores = new Map<string, number>();
  for (const node of nodes) {
    if (!selected.has(node.name)) continue;
    for (const [i, selector] of selectors.entries()) {
      if (!matches(selector, node.labels)) continue;
      scores.set(node.name, (scores.get(node.name) ?? 0) + (preferredNodeSelectors[i]?.weight ?? 0));
    }
  }
  return scores;
}

/** What makes two advertisements equal: all but the name. */
function essence({ nodes, interfaces, serviceSelectors }: L2Advertisement): string {
  const services = serviceSelectors.map((selector) => JSON.stringify(selector)).sort();
  return JSON.stringify([[...nodes].sort(), [...new Set(interfaces)].sort(), services]);
}
