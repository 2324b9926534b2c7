// An interface whose socket for ARP and NDP cannot be opened, or breaks, while all else goes on: its node takes and tells nothing
// there that it cannot answer for.

import { describe, expect, it } from 'vitest';
import type { LinksReport } from '../../src/links.ts';
import { answerers, asked, cluster, orderOf, startAll, VIP, viewOf, watch } from './lan.ts';
import type { Host } from './world.ts';

const told = (host: Host, report: LinksReport['report']) => host.reports.filter((each) => each.report === report);

describe('an interface whose frames can be neither sent nor received', () => {
  const refuse = (self: ReturnType<typeof cluster>, refused: Host | undefined, code = 'EPERM') => {
    self.world.refuses = (host, name) => (host === refused && name === 'eth0' ? code : undefined);
  };

  it('takes nothing from a node that can, not even by fail-back, and does once it can', () => {
    const self = cluster(20, 3);
    const [first, second] = orderOf(self);
    if (first === undefined || second === undefined) throw new Error('too few');
    refuse(self, first);
    startAll(self);
    self.world.run(5_000);
    expect(answerers(self)).toEqual([second.name]);
    // its speaker is heard and stable for longer than fail-back takes
    self.world.run(200_000);
    expect(answerers(self)).toEqual([second.name]);
    expect(told(first, 'l2-claimed')).toEqual([]);
    expect(told(first, 'l2-links').at(-1)).toMatchObject({ serving: [], known: ['eth0'] });
    expect(viewOf(self, first).lans[0]).toMatchObject({ frames: false, segment: { carrier: true, ready: false } });
    expect(viewOf(self, second).lans[0]?.segment?.members).toContainEqual(
      expect.objectContaining({ node: first.name, heard: true, ready: false }),
    );
    refuse(self, undefined);
    self.world.run(200_000);
    expect(answerers(self)).toEqual([first.name]);
    expect(told(first, 'l2-links').at(-1)).toMatchObject({ serving: ['eth0'] });
  });

  it('gives up what it owns when its socket breaks, and others take it', () => {
    const self = cluster(21, 3);
    startAll(self);
    self.world.run(5_000);
    const [first, second] = orderOf(self);
    if (first === undefined || second === undefined) throw new Error('too few');
    expect(answerers(self)).toEqual([first.name]);
    refuse(self, first, 'ENOMEM');
    self.world.break(first, 'eth0', 'ENOMEM');
    expect(answerers(self)).toEqual([]);
    expect(told(first, 'l2-released')).toMatchObject([{ ip: VIP, because: 'socket-broken', segment: 'eth0' }]);
    expect(watch(self, 500)).toMatchObject({ two: 0, last: [second.name] });
  });

  it('is no witness of silence: it cannot ask', () => {
    const self = cluster(22, 2);
    const [first, second] = orderOf(self);
    if (first === undefined || second === undefined) throw new Error('too few');
    refuse(self, second);
    startAll(self);
    self.world.run(5_000);
    self.world.cuts.add(`${first.name}>${second.name}`);
    self.world.run(5_000);
    expect(told(second, 'l2-member-silent')).toEqual([]);
    expect(answerers(self)).toEqual([first.name]);
  });

  it('without liveness: nothing is said to be answered or announced, until it can be', () => {
    const self = cluster(23, 1);
    self.liveness = false;
    const [node] = self.nodes;
    if (node === undefined) throw new Error('no node');
    refuse(self, node);
    startAll(self);
    self.world.run(10_000);
    expect([answerers(self), told(node, 'l2-answers'), viewOf(self, node).answers]).toEqual([[], [], {}]);
    expect(viewOf(self, node).lans[0]).toMatchObject({ frames: false, responder: { answers: [], counters: {} } });
    expect(told(node, 'l2-links').at(-1)).toMatchObject({ serving: [], known: ['eth0'] });
    refuse(self, undefined);
    self.world.run(40_000);
    expect(asked(self)).toEqual([node.ports[0]?.mac]);
    expect(viewOf(self, node).lans[0]?.frames).toBe(true);
    expect(told(node, 'l2-answers')).toMatchObject([{ addresses: new Map([[VIP, ['eth0']]]) }]);
    expect(told(node, 'l2-links').at(-1)).toMatchObject({ serving: ['eth0'] });
    self.world.break(node, 'eth0', 'ENOMEM');
    expect(told(node, 'l2-answers').at(-1)).toMatchObject({ addresses: new Map([[VIP, []]]) });
  });
});
