// Which Services a node has begun to announce between two plans: what `nodeAssigned` Events tell, one a change and none
// for a plan that says the same. Called by the speaker on Kubernetes.

import type { Plan, ServicePlan } from './plan.ts';
import type { ServiceKey } from './snapshot.ts';

/**
 * Announced by the protocol in `after`, and not in `before` or there at other addresses. `knew`: asked where there is no plan
 * before, for a process that starts has no news of what the node announced already.
 */
export function assignedSince(
  before: Plan['services'] | undefined,
  after: Plan['services'],
  protocol: 'bgp' | 'layer2',
  knew: (service: ServiceKey) => boolean,
): readonly ServiceKey[] {
  const assigned: ServiceKey[] = [];
  for (const [service, now] of after) {
    const last = before?.get(service);
    if (last === now || !isAnnounced(now, protocol)) continue;
    const isKnown =
      before === undefined ? knew(service) : isAnnounced(last, protocol) && last.ips.join() === now.ips.join();
    if (!isKnown) assigned.push(service);
  }
  return assigned;
}

function isAnnounced(plan: ServicePlan | undefined, protocol: 'bgp' | 'layer2'): plan is ServicePlan {
  return plan !== undefined && 'announced' in plan[protocol];
}
