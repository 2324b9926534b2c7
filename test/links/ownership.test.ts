// Who answers for an address on a LAN, with whole machines on simulated wires: BFD, statements in octets, ARP frames. The rules
// themselves are tested in test/sim; here is what lies between them and the world.

import { describe, expect, it } from 'vitest';
import { answerers, asked, cluster, nodeOf, orderOf, startAll, VIP, viewOf, watch } from './lan.ts';

describe('without liveness', () => {
  it('the first candidate by the snapshot answers, and nobody says a word on the speakers’ port', () => {
    const self = cluster(1);
    self.liveness = false;
    startAll(self);
    self.world.run(10);
    const [first] = orderOf(self);
    expect(answerers(self)).toEqual([first?.name]);
    expect(asked(self)).toEqual([first?.ports[0]?.mac]);
    self.world.run(10_000);
    expect(self.nodes.flatMap(({ sent }) => sent.filter(({ effect }) => effect.do.startsWith('udp')))).toEqual([]);
  });
});

describe('with liveness', () => {
  it('one of three answers, is heard by the others, and when it is killed another does within 1.2 s', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const self = cluster(seed);
      startAll(self);
      self.world.run(5_000);
      const [owner, ...more] = answerers(self);
      expect(more).toEqual([]);
      expect(asked(self).length).toBe(1);
      for (const node of self.nodes) {
        const segment = viewOf(self, node).lans[0]?.segment;
        expect(segment?.members.map(({ heard }) => heard)).toEqual([true, true]);
      }
      self.world.kill(nodeOf(self, owner));
      const { none, two, last } = watch(self, 3_000);
      expect(none, `seed ${seed}`).toBeLessThanOrEqual(1_200);
      expect(two).toBe(0);
      expect(last.length).toBe(1);
      expect(asked(self, VIP).length).toBe(1);
    }
  });
});
