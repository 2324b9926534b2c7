// Minutes on a network on which things break, for many seeds; and input that nobody in his right mind would send.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encode as bfd } from '../../src/bfd/packet.ts';
import * as arp from '../../src/l2/arp.ts';
import type { LinksEvent } from '../../src/links.ts';
import type { Mac } from '../../src/net/address.ts';
import { TOLD } from '../fsm/bfd-driven.ts';
import { tellHour } from './hour.ts';
import { answerers, cluster, startAll, VIP } from './lan.ts';
import { ip } from './world.ts';

describe('six minutes of faults', () => {
  it.each([1, 2, 3, 4])(
    'seed %i',
    (seed) => {
      expect(tellHour(seed, 6).told.length).toBeGreaterThan(8);
    },
    120_000,
  );

  it('is not told to the end where a node is cut off for good', () => {
    expect(() => tellHour(1, 1, ({ world }) => world.side.set('node-b', 1))).toThrow(/and .* answer/);
  });
});

describe('any input', () => {
  const MAC = '02:00:00:00:00:c8' as Mac;
  /** Octets that are valid, but for a few. */
  const octets = fc
    .tuple(
      fc.constantFrom(
        arp.question(MAC, VIP),
        arp.reply(MAC, VIP, { mac: MAC, ip: VIP }),
        bfd(TOLD),
        new Uint8Array(90),
      ),
      fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 4 }),
      fc.nat(90),
    )
    .map(([bytes, changes, length]) => {
      const changed = bytes.slice(0, length);
      for (const [at, octet] of changes) if (at < changed.length) changed[at] = octet;
      return changed;
    });
  const socket = fc.constantFrom('speakers/ipv4', 'speakers/ipv6', 'bfd/3784/ipv4', 'bfd/3785/ipv4/eth0', 'eth0', 'no');
  const link = fc.constantFrom('eth0', 'eth9', '');
  const address = fc.constantFrom(ip('192.0.2.2'), ip('fe80::2'), ip('192.0.2.1'), VIP);
  const error = fc.constantFrom(undefined, { code: 'ENETDOWN', call: 'recvmsg', text: '' });
  const event: fc.Arbitrary<LinksEvent> = fc.oneof(
    fc.record({ on: fc.constant('frame'), link, bytes: octets }),
    fc.record({
      ...{ on: fc.constant('datagram'), socket, link, bytes: octets, to: address, ttl: fc.constantFrom(255, 254, 1) },
      from: fc.record({ address, port: fc.constantFrom(7946, 3784, 1) }),
    }),
    fc.tuple(socket, error).map(([name, fault]) => {
      return { on: 'socket', socket: name, ...(fault !== undefined && { error: fault }) } as const;
    }),
    fc.record({
      ...{ on: fc.constant('failed'), effect: fc.constantFrom('udp-send', 'frame-send', 'group-join'), about: socket },
      error: fc.constant({ code: 'EPERM', call: 'sendmsg', text: '' }),
    }),
  );

  it('is taken without a word lost and nothing of it moves an address', () => {
    const self = cluster(1, 2);
    startAll(self);
    self.world.run(4_000);
    const owner = answerers(self);
    expect(owner.length).toBe(1);
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), fc.nat(1), (events, at) => {
        const node = self.nodes[at];
        if (node === undefined) return;
        for (const each of events) self.world.give(node, each);
        self.world.run(5);
      }),
      { seed: 11, numRuns: 300 },
    );
    self.world.run(40_000);
    expect(answerers(self)).toEqual(owner);
  });
});
