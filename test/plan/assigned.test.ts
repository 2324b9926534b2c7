// What a node has begun to announce: one piece of news a change.

import { describe, expect, it } from 'vitest';
import { hostPrefix } from '../../src/net/address.ts';
import { assignedSince } from '../../src/plan/assigned.ts';
import type { Plan, ServicePlan } from '../../src/plan/plan.ts';
import { ip } from './cluster.ts';

const LAYER2 = { layer2: { withheld: { reason: 'notOwner', message: '' } }, candidacies: [] } as const;

function at(address: string, ...peers: readonly string[]): ServicePlan {
  return { ips: [ip(address)], bgp: { announced: [{ prefix: hostPrefix(ip(address)), peers }] }, ...LAYER2 };
}
const WITHHELD: ServicePlan = { ips: [], bgp: { withheld: { reason: 'noEndpoints', message: '' } }, ...LAYER2 };
const plan = (services: Record<string, ServicePlan>): Plan['services'] => new Map(Object.entries(services));
const nobody = () => false;

describe('news of a Service', () => {
  it.each<[what: string, before: ServicePlan | undefined, after: ServicePlan | undefined, news: boolean]>([
    ['that is announced from now on', WITHHELD, at('203.0.113.1', 'tor'), true],
    ['that is new', undefined, at('203.0.113.1', 'tor'), true],
    ['at another address', at('203.0.113.1', 'tor'), at('203.0.113.2', 'tor'), true],
    ['to other peers: none', at('203.0.113.1', 'tor'), at('203.0.113.1', 'tor', 'spine'), false],
    ['in a plan made anew that says the same: none', at('203.0.113.1', 'tor'), at('203.0.113.1', 'tor'), false],
    ['that is withdrawn: none', at('203.0.113.1', 'tor'), WITHHELD, false],
    ['that is gone: none', at('203.0.113.1', 'tor'), undefined, false],
  ])('%s', (_, before, after, news) => {
    const services = (one: ServicePlan | undefined) => plan(one === undefined ? {} : { 'app/web': one });
    expect(assignedSince(services(before), services(after), 'bgp', nobody)).toEqual(news ? ['app/web'] : []);
  });

  it('after a start is only of what the node did not announce before', () => {
    const after = plan({
      'app/old': at('203.0.113.1', 'tor'),
      'app/new': at('203.0.113.2', 'tor'),
      'app/no': WITHHELD,
    });
    expect(assignedSince(undefined, after, 'bgp', (service) => service === 'app/old')).toEqual(['app/new']);
  });
});
