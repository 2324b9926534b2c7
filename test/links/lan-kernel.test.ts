// A LAN whose kernel tells late what there is, or refuses what it is asked for.

import { describe, expect, it } from 'vitest';
import type { LinksReport } from '../../src/links.ts';
import { createLinks, step } from '../../src/links.ts';
import { cluster, nodeOf, startAll, wantedBy } from './lan.ts';
import type { Host } from './world.ts';
import { ip } from './world.ts';

const told = (host: Host, report: LinksReport['report']) => host.reports.filter((each) => each.report === report);

describe('what the kernel says late, or does not do', () => {
  it('interfaces are not told of before the links are known', () => {
    const self = cluster(1, 1);
    const node = nodeOf(self, 'node-a');
    const [machine, early] = step(
      createLinks(1),
      { on: 'wanted', wanted: wantedBy(self, node) },
      { now: 1, random: 0 },
    );
    expect(early.filter((each) => 'report' in each)).toEqual([]);
    const [, then] = step(machine, { on: 'links', links: node.ports }, { now: 2, random: 0 });
    expect(then).toContainEqual({ report: 'l2-links', serving: ['eth0'], known: ['eth0'] });
  });

  it('a group that the kernel refuses is said once, and joined as soon as it lets us', () => {
    const self = cluster(2, 1);
    self.vips = [ip('2001:db8::100')];
    const { world } = self;
    world.refusesGroups = () => 'ENOBUFS';
    startAll(self);
    const node = nodeOf(self, 'node-a');
    world.run(20_000);
    expect([...node.groups]).toEqual([]);
    expect(told(node, 'refused')).toMatchObject([{ effect: 'group-join', about: 'eth0', error: { code: 'ENOBUFS' } }]);
    const tries = () => node.sent.filter(({ effect }) => effect.do === 'group-join').length;
    expect(tries()).toBeGreaterThan(2);
    world.refusesGroups = () => undefined;
    world.run(5_000);
    expect([...node.groups]).toEqual(['eth0 ff02::1:ff00:100']);
    const joined = tries();
    world.run(60_000);
    expect(tries()).toBe(joined);
  });
});
