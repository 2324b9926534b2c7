// The answers and the memory of one interface. What must be sent is written down from RFC 826, RFC 5227, RFC 4861 and the
// behaviour that MetalLB's users rely on.

import { describe, expect, it } from 'vitest';
import * as arp from '../../src/l2/arp.ts';
import * as ndp from '../../src/l2/ndp.ts';
import { dueAt } from '../../src/l2/responder.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { Bench, FACTS, HOST, HOST_MAC, HOST6, LINK_LOCAL, MAC, request, SECOND_MAC, VIP, VIP6 } from './bench.ts';

describe('ARP requests', () => {
  const answer = {
    ...{ destination: HOST_MAC, source: MAC, operation: 'reply', senderMac: MAC, senderIp: VIP },
    ...{ targetMac: HOST_MAC, targetIp: HOST },
  };

  it.each([
    ['to all', arp.BROADCAST],
    ['to us alone', MAC],
  ])('%s are answered to the one who asks, at once and unpaced', (_, to) => {
    const bench = new Bench({ framesPerSecond: 1 }).own(VIP).quiet();
    for (let i = 0; i < 50; i++) bench.frame(request(VIP, to));
    expect(bench.sent).toEqual(Array.from({ length: 50 }, () => ({ at: bench.now, arp: answer })));
    expect(bench.responder.counters.get(VIP)).toMatchObject({ requests: 50, responses: 50 });
  });

  /** `source`: of the Ethernet header. */
  const requestOf = (senderMac: Mac, source = senderMac) =>
    arp.encode({
      ...{ destination: arp.BROADCAST, source, operation: 'request', senderMac, senderIp: HOST },
      ...{ targetMac: '00:00:00:00:00:00' as Mac, targetIp: VIP },
    });

  it('of a host that sends from another MAC than it asks with are answered to the one it asks with (RFC 826)', () => {
    const bench = new Bench().own(VIP).quiet();
    const asked = '02:00:00:00:00:0b' as Mac;
    bench.frame(requestOf(asked, HOST_MAC));
    expect(bench.sent).toMatchObject([{ arp: { destination: asked, targetMac: asked, targetIp: HOST } }]);
  });

  it('that probe (RFC 5227) are answered too', () => {
    const bench = new Bench().own(VIP).quiet();
    bench.frame(arp.question(HOST_MAC, VIP));
    expect(bench.sent).toEqual([{ at: bench.now, arp: { ...answer, targetIp: '0.0.0.0' } }]);
  });

  it.each([
    ['for an address that is not ours', request('198.51.100.8' as Ip), 'announceIP'],
    ['for another MAC', request(VIP, SECOND_MAC), 'ethernetDestination'],
    ['to be answered to a group', requestOf('01:00:5e:00:00:01' as Mac), 'senderMac'],
    ['to be answered to all', requestOf(arp.BROADCAST), 'senderMac'],
    ['to be answered to nobody', requestOf('00:00:00:00:00:00' as Mac), 'senderMac'],
    ['that are replies', arp.reply(HOST_MAC, HOST, { mac: MAC, ip: VIP }), 'arpReply'],
    ['of our second interface', arp.announcement(SECOND_MAC, VIP, 'request'), 'own'],
    ['cut short', request(VIP).subarray(0, 41), 'length'],
    ['that are no ARP and no IPv6', new Uint8Array(60), 'etherType'],
  ] as const)('%s are counted and dropped', (_, bytes, reason) => {
    const bench = new Bench().own(VIP).quiet();
    bench.frame(bytes);
    expect(bench.sent).toEqual([]);
    expect(bench.drops).toEqual({ [reason]: 1 });
    expect(bench.responder.counters.get(VIP)?.requests).toBe(0);
    expect(bench.responder.askers.size).toBe(0);
  });

  it('are not answered any more once the address is another node’s', () => {
    const bench = new Bench().own(VIP).quiet();
    bench.give({ on: 'silence', ip: VIP });
    bench.frame(request(VIP));
    expect(bench.run(200_000).sent).toEqual([]);
  });
});

describe('Neighbor Solicitations', () => {
  const solicitationOf = (sourceLink: Mac) =>
    ndp.encode({
      ...{ is: 'solicitation', destination: MAC, source: HOST_MAC, from: HOST6, to: VIP6, target: VIP6, sourceLink },
    });

  it('are answered to the one who asks: solicited, overriding, no router', () => {
    const bench = new Bench().own(VIP6).quiet();
    bench.frame(ndp.question(HOST_MAC, VIP6, HOST6));
    expect(bench.sent).toEqual([
      {
        at: bench.now,
        ndp: {
          ...{ is: 'advertisement', destination: HOST_MAC, source: MAC, from: LINK_LOCAL, to: HOST6, target: VIP6 },
          ...{ router: false, solicited: true, override: true, targetLink: MAC },
        },
      },
    ]);
  });

  it('that check reachability without a link-layer address are answered to the MAC they came from', () => {
    const bench = new Bench().own(VIP6).quiet();
    const common = { destination: MAC, source: HOST_MAC, from: HOST6, to: VIP6, target: VIP6 };
    bench.frame(ndp.encode({ is: 'solicitation', ...common }));
    expect(bench.sent).toMatchObject([{ ndp: { destination: HOST_MAC, to: HOST6, solicited: true } }]);
  });

  it('of another host that would take the address (DAD) are answered to all nodes, unsolicited', () => {
    const bench = new Bench().own(VIP6).quiet();
    bench.frame(ndp.question(HOST_MAC, VIP6, ndp.UNSPECIFIED));
    expect(bench.sent).toMatchObject([
      { ndp: { destination: '33:33:00:00:00:01', to: 'ff02::1', solicited: false, override: true, targetLink: MAC } },
    ]);
  });

  it.each([
    ['for an address that is not ours', ndp.question(HOST_MAC, '2001:db8::b8' as Ip, HOST6), 'announceIP'],
    ['for another MAC', ndp.question(HOST_MAC, VIP6, HOST6, SECOND_MAC), 'ethernetDestination'],
    ['of our second interface', ndp.question(SECOND_MAC, VIP6, HOST6), 'own'],
    ['to be answered to a group', solicitationOf('33:33:00:00:00:01' as Mac), 'senderMac'],
    ['to be answered to nobody', solicitationOf('00:00:00:00:00:00' as Mac), 'senderMac'],
    ['that are advertisements', ndp.announcement(HOST_MAC, HOST6, HOST6), 'messageType'],
  ] as const)('%s are counted and dropped', (_, bytes, reason) => {
    const bench = new Bench().own(VIP6).quiet();
    bench.frame(bytes);
    expect(bench.sent).toEqual([]);
    expect(bench.drops).toEqual({ [reason]: 1 });
  });
});

describe('multicast groups', () => {
  const group = 'ff02::1:ff0a:b7' as Ip;
  const groups = (bench: Bench) => bench.effects.filter((effect) => effect.do.startsWith('group-'));

  it('are joined with the first address that needs them and left with the last', () => {
    const bench = new Bench();
    const other = '2001:db8:1::a:b7' as Ip;
    bench.own(VIP, VIP6, other);
    expect(groups(bench)).toEqual([{ do: 'group-join', group }]);
    bench.give({ on: 'silence', ip: VIP6 });
    expect(groups(bench).length).toBe(1);
    bench.give({ on: 'silence', ip: other });
    expect(groups(bench)).toEqual([
      { do: 'group-join', group },
      { do: 'group-leave', group },
    ]);
  });

  it('are joined while an address is probed for, for others may probe for it too (RFC 4862 5.4.2)', () => {
    const bench = new Bench();
    bench.give({ on: 'ask', ip: VIP6, mac: HOST_MAC });
    bench.give({ on: 'ask', ip: HOST6 });
    bench.give({ on: 'ask', ip: VIP });
    expect(groups(bench)).toEqual([]);
    for (let i = 0; i < 3; i++) {
      bench.give({ on: 'ask', ip: VIP6 });
      bench.run(300);
    }
    expect(groups(bench)).toEqual([{ do: 'group-join', group }]);
    bench.run(1_000);
    expect(groups(bench).slice(1)).toEqual([{ do: 'group-leave', group }]);
    expect(dueAt(bench.responder)).toBe(Number.POSITIVE_INFINITY);
    // what is claimed meanwhile stays
    bench.give({ on: 'ask', ip: VIP6 });
    bench.own(VIP6).run(5_000);
    expect(groups(bench).slice(2)).toEqual([{ do: 'group-join', group }]);
  });

  it('are joined when the interface gets its link-local address, and the address is announced then', () => {
    const { linkLocal: _, ...without } = FACTS;
    const bench = new Bench({}, without).own(VIP6);
    bench.run(10_000);
    expect([groups(bench), bench.sent]).toEqual([[], []]);
    bench.give({ on: 'interface', facts: FACTS });
    bench.give({ on: 'tick' });
    expect(groups(bench)).toEqual([{ do: 'group-join', group }]);
    expect(bench.sent).toMatchObject([{ at: bench.now, ndp: { to: 'ff02::1', target: VIP6 } }]);
  });
});

describe('questions for the owner machine', () => {
  it('IPv4: a probe to all or to one, or from an address of ours', () => {
    const bench = new Bench();
    bench.give({ on: 'ask', ip: VIP });
    bench.give({ on: 'ask', ip: VIP, mac: HOST_MAC });
    bench.give({ on: 'ask', ip: HOST, mac: HOST_MAC, as: VIP });
    expect(bench.sent).toMatchObject([
      { arp: { destination: arp.BROADCAST, senderIp: '0.0.0.0', targetIp: VIP } },
      { arp: { destination: HOST_MAC, senderIp: '0.0.0.0', targetIp: VIP } },
      { arp: { destination: HOST_MAC, senderIp: VIP, targetIp: HOST } },
    ]);
  });

  it('IPv6: in both forms', () => {
    const bench = new Bench();
    bench.give({ on: 'ask', ip: VIP6, mac: HOST_MAC });
    expect(bench.sent).toMatchObject([
      { ndp: { destination: HOST_MAC, from: '::', target: VIP6 } },
      { ndp: { destination: HOST_MAC, from: LINK_LOCAL, target: VIP6, sourceLink: MAC } },
    ]);
  });

  it('IPv6: of a router or node never as Duplicate Address Detection, which would take its address from it (RFC 4862 5.4.3)', () => {
    const bench = new Bench();
    const global = '2001:db8::fe' as Ip;
    bench.give({ on: 'ask', ip: global });
    expect(bench.sent.splice(0)).toMatchObject([{ ndp: { from: LINK_LOCAL, target: global, sourceLink: MAC } }]);
    const router = 'fe80::fe' as Ip;
    bench.give({ on: 'ask', ip: router });
    bench.give({ on: 'ask', ip: router, mac: HOST_MAC });
    bench.give({ on: 'ask', ip: router, mac: HOST_MAC, as: VIP6 });
    expect(bench.sent).toMatchObject([
      { ndp: { destination: '33:33:ff:00:00:fe', from: LINK_LOCAL, to: 'ff02::1:ff00:fe', target: router } },
      { ndp: { destination: HOST_MAC, from: LINK_LOCAL, target: router, sourceLink: MAC } },
      { ndp: { destination: HOST_MAC, from: VIP6, target: router, sourceLink: MAC } },
    ]);
  });

  it('answers, announcements, requests and probes are passed on as what they are', () => {
    const bench = new Bench();
    const seen = (bytes: Uint8Array) => bench.frame(bytes).filter((effect) => effect.do === 'seen');
    expect(seen(arp.reply(HOST_MAC, VIP, { mac: MAC, ip: HOST }))).toEqual([
      { do: 'seen', ip: VIP, mac: HOST_MAC, kind: 'answer', target: { ip: HOST, mac: MAC } },
    ]);
    expect(seen(arp.announcement(HOST_MAC, VIP, 'reply'))).toMatchObject([{ ip: VIP, kind: 'announcement' }]);
    expect(seen(arp.announcement(HOST_MAC, VIP, 'request'))).toMatchObject([{ ip: VIP, kind: 'announcement' }]);
    expect(seen(request(HOST, arp.BROADCAST, VIP))).toMatchObject([{ ip: VIP, kind: 'request' }]);
    expect(seen(ndp.announcement(HOST_MAC, VIP6, HOST6))).toMatchObject([{ ip: VIP6, kind: 'announcement' }]);
    expect(seen(ndp.advertise(HOST_MAC, VIP6, HOST6, { mac: MAC, ip: LINK_LOCAL }, true))).toMatchObject([
      { ip: VIP6, kind: 'answer', mac: HOST_MAC },
    ]);
    bench.run(1_000);
    const probe = { do: 'seen', mac: HOST_MAC, kind: 'probe' } as const;
    expect(seen(arp.question(HOST_MAC, VIP, MAC))).toEqual([probe]);
    bench.run(1_000);
    expect(seen(ndp.question(HOST_MAC, VIP6, ndp.UNSPECIFIED, MAC))).toEqual([probe]);
    // one to all may be of somebody who wants it too (RFC 5227 §2.1.1, RFC 4862 §5.4.3)
    expect(seen(arp.question(HOST_MAC, VIP))).toEqual([{ ...probe, probed: VIP }]);
    expect(seen(ndp.question(HOST_MAC, VIP6, ndp.UNSPECIFIED))).toEqual([{ ...probe, probed: VIP6 }]);
  });

  it('other traffic of the LAN is passed on ten times a second at most', () => {
    const bench = new Bench();
    let passed = 0;
    for (let i = 0; i < 1_000; i++) {
      passed += bench.frame(request('10.200.0.1' as Ip)).length;
      bench.run(1);
    }
    expect(passed).toBeLessThanOrEqual(11);
    expect(passed).toBeGreaterThanOrEqual(9);
  });
});
