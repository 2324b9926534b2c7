// What the LAN made of a plan: who tells of a Service tells what is, and what is in the way.

import { describe, expect, it } from 'vitest';
import { type Ip, parseMac } from '../../src/net/address.ts';
import {
  asServed,
  asTold,
  createOwnershipMemory,
  type Standing,
  type TellingMemory,
} from '../../src/plan/ownership.ts';
import type { Plan, ServicePlan } from '../../src/plan/plan.ts';
import { ip } from './cluster.ts';

const [V4, V6] = [ip('203.0.113.1'), ip('2001:db8::1')];
const mac = parseMac('02:00:00:00:00:99') ?? expect.fail('no MAC');
const BGP = { withheld: { reason: 'noPeer', message: '' } } as const;

function planned(interfaces: readonly string[] = [], ips = [V4]): ServicePlan {
  const candidates = [{ node: 'n1', score: 0 }];
  const candidacies = ips.map((each) => ({ service: 'app/web', ip: each, interfaces, candidates }));
  return { ips, bgp: BGP, layer2: { announced: candidacies }, candidacies };
}

const owned = (standings: ReadonlyMap<Ip, readonly Standing[]>, serving: readonly string[] = []) => ({
  standings,
  serving,
});

function halfFor(
  from: ServicePlan,
  ownership: Readonly<Record<string, readonly Standing[]>> | undefined,
  serving: readonly string[] = [],
) {
  const services: Plan['services'] = new Map([['app/web', from]]);
  const known =
    ownership === undefined
      ? undefined
      : owned(new Map(Object.entries(ownership).map(([k, v]) => [ip(k), v])), serving);
  const { layer2 } = asServed(createOwnershipMemory(), services, known).get('app/web') ?? expect.fail('no Service');
  return 'announced' in layer2 ? layer2.announced.map((claim) => claim.ip) : layer2.withheld.reason;
}

describe('a Service', () => {
  it.each<[what: string, standings: readonly Standing[] | undefined, outcome: unknown]>([
    ['that is answered for here', [{ is: 'answered' }], [V4]],
    ['on one of two links', [{ is: 'owned', by: 'n2' }, { is: 'answered' }], [V4]],
    ['that another node has', [{ is: 'owned', by: 'n2' }], 'notOwner'],
    ['whose owner went silent and answers', [{ is: 'still-answered', by: 'n2' }], 'ownerStillAnswers'],
    ['whose address a printer has', [{ is: 'waiting' }, { is: 'taken', mac }], 'stranger'],
    ['that MetalLB may have', [{ is: 'foreign' }], 'leftToMetalLB'],
    ['that waits', [{ is: 'waiting' }], 'notYetClaimed'],
    ['that waits on one link and has an owner on another', [{ is: 'waiting' }, { is: 'owned', by: 'n2' }], 'notOwner'],
    ['that no link serves', undefined, 'noInterface'],
    ['of which its links say nothing', [], 'noInterface'],
  ])('%s', (_, standings, outcome) => {
    const serving = standings?.length ? ['eth0'] : [];
    expect(halfFor(planned(), standings === undefined ? {} : { [V4]: standings }, serving)).toEqual(outcome);
  });

  it('is not said to be served before the LAN was heard', () => {
    expect(halfFor(planned(), undefined)).toBe('notYetClaimed');
  });

  it('is announced by what is answered of its addresses', () => {
    const both = planned([], [V4, V6]);
    expect(halfFor(both, { [V4]: [{ is: 'taken', mac }], [V6]: [{ is: 'answered' }] })).toEqual([V6]);
    expect(halfFor(both, { [V4]: [{ is: 'owned', by: 'n2' }], [V6]: [{ is: 'taken', mac }] })).toBe('stranger');
  });

  it('without layer 2 is what the plan says', () => {
    const from = {
      ...planned(),
      candidacies: [],
      layer2: { withheld: { reason: 'notOwner', message: 'no' } },
    } as const;
    const services: Plan['services'] = new Map([['app/web', from]]);
    expect(asServed(createOwnershipMemory(), services, owned(new Map())).get('app/web')).toBe(from);
  });

  it('is the same object until something of it is another', () => {
    const memory = createOwnershipMemory();
    const from = planned();
    const [answered, elsewhere] = [[{ is: 'answered' }], [{ is: 'owned', by: 'n2' }]] as const;
    const serving = ['eth0'];
    const make = (one: ServicePlan, standings: readonly Standing[]) =>
      asServed(memory, new Map([['app/web', one]]), owned(new Map([[V4, standings]]), serving)).get('app/web');
    const first = make(from, answered);
    expect(make(from, answered)).toBe(first);
    expect(make(from, elsewhere)).not.toBe(first);
    expect(make(planned(), elsewhere)).not.toBe(make(from, elsewhere));
    const ownership = owned(new Map([[V4, answered]]), serving);
    const all = asServed(memory, new Map([['app/web', from]]), ownership);
    expect(asServed(memory, new Map([['app/web', from]]), ownership)).toBe(all);
  });

  it('of which nothing is heard is whose the plan says', () => {
    const from = {
      ...planned(),
      layer2: { withheld: { reason: 'notOwner', message: 'node n2 answers for it' } },
    } as const;
    expect(halfFor(from, {})).toBe('notOwner');
  });

  it('that nobody else is to answer for waits where a link can serve it', () => {
    expect(halfFor(planned(), {}, ['eth0'])).toBe('notYetClaimed');
    expect(halfFor(planned(['eth1']), {}, ['eth0'])).toBe('noInterface');
    expect(halfFor(planned(['eth1']), {}, ['eth0', 'eth1'])).toBe('notYetClaimed');
  });

  it('that was answered for until its link could serve no more does not wait for the LAN', () => {
    expect(halfFor(planned(), { [V4]: [{ is: 'waiting' }] }, [])).toBe('noInterface');
    expect(halfFor(planned(['eth1']), { [V4]: [{ is: 'waiting' }] }, ['eth0'])).toBe('noInterface');
    expect(halfFor(planned(), { [V4]: [{ is: 'waiting' }, { is: 'owned', by: 'n2' }] }, [])).toBe('noInterface');
    expect(halfFor(planned(), { [V4]: [{ is: 'waiting' }] }, ['eth0'])).toBe('notYetClaimed');
  });

  it('names the interfaces that it waits for', () => {
    const services: Plan['services'] = new Map([['app/web', planned(['eth1', 'eth2'])]]);
    const { layer2 } =
      asServed(createOwnershipMemory(), services, owned(new Map())).get('app/web') ?? expect.fail('none');
    expect('withheld' in layer2 && layer2.withheld.message).toBe(
      'none of the interfaces eth1, eth2 of this node can answer',
    );
  });
});

describe('what the API is told', () => {
  const answered: Standing[] = [{ is: 'answered' }];
  const waiting: Standing[] = [{ is: 'waiting' }];
  const elsewhere: Standing[] = [{ is: 'owned', by: 'n2' }];
  const stage = (from = planned()) => {
    const [memory, telling] = [createOwnershipMemory(), new Map() as TellingMemory];
    const serving = ['eth0'];
    const served = (standings: readonly Standing[]) =>
      asServed(memory, new Map([['app/web', from]]), owned(new Map([[V4, standings]]), serving));
    return (standings: readonly Standing[], now: number) => {
      const services = served(standings);
      const told = asTold(telling, services, now);
      const { layer2 } = told.get('app/web') ?? expect.fail('no Service');
      return { is: 'announced' in layer2 ? 'announced' : layer2.withheld.reason, told, isServed: told === services };
    };
  };

  it('is what is, while nothing is in doubt', () => {
    const tell = stage();
    expect(tell(waiting, 0)).toMatchObject({ is: 'notYetClaimed', isServed: true });
    expect(tell(answered, 1_000)).toMatchObject({ is: 'announced', isServed: true });
    expect(tell(elsewhere, 1_100)).toMatchObject({ is: 'notOwner', isServed: true });
    expect(tell(waiting, 1_200)).toMatchObject({ is: 'notYetClaimed', isServed: true });
  });

  it('outlives a pause, and no more than that', () => {
    const tell = stage();
    tell(answered, 0);
    const first = tell(waiting, 10_000);
    expect(first).toMatchObject({ is: 'announced', isServed: false });
    expect(tell(waiting, 12_999).told.get('app/web')).toBe(first.told.get('app/web'));
    expect(tell(waiting, 13_000).is).toBe('notYetClaimed');
    expect(tell(waiting, 13_001).is).toBe('notYetClaimed');
    tell(answered, 20_000);
    tell(waiting, 21_000);
    // answered again: the next pause begins anew
    tell(answered, 22_000);
    expect(tell(waiting, 24_500).is).toBe('announced');
    expect(tell(waiting, 27_400).is).toBe('announced');
    expect(tell(elsewhere, 27_450).is).toBe('notOwner');
  });
});
