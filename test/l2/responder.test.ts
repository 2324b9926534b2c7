// The answers, announcements and memory of one interface. Frames are built and read by the codec, which has oracles of its
// own; what must be sent is written down from RFC 826, RFC 5227, RFC 4861 and the behaviour that MetalLB's users rely on.

import { describe, expect, it } from 'vitest';
import * as arp from '../../src/l2/arp.ts';
import * as ndp from '../../src/l2/ndp.ts';
import {
  createResponder,
  dueAt,
  type InterfaceFacts,
  type Responder,
  type ResponderEffect,
  type ResponderEvent,
  type ResponderSettings,
  step,
} from '../../src/l2/responder.ts';
import type { Ip, Mac } from '../../src/net/address.ts';

const MAC = '02:00:00:00:00:10' as Mac;
const SECOND_MAC = '02:00:00:00:00:11' as Mac;
const HOST_MAC = '02:00:00:00:00:0a' as Mac;
const HOST = '192.0.2.1' as Ip;
const HOST6 = '2001:db8::1' as Ip;
const LINK_LOCAL = 'fe80::ff:fe00:10' as Ip;
const VIP = '198.51.100.7' as Ip;
const VIP6 = '2001:db8::a:b7' as Ip;
const FACTS: InterfaceFacts = { mac: MAC, macs: [MAC, SECOND_MAC], arp: true, linkLocal: LINK_LOCAL };
const SETTINGS: ResponderSettings = { framesPerSecond: 500, refreshMs: 60_000 };

type Sent = { readonly at: number } & ({ readonly arp: arp.ArpFrame } | { readonly ndp: ndp.NdpMessage });

class Bench {
  now = 1_000;
  responder: Responder;
  readonly sent: Sent[] = [];
  readonly effects: ResponderEffect[] = [];
  #random = 0.5;

  constructor(settings: Partial<ResponderSettings> = {}, facts: InterfaceFacts = FACTS) {
    this.responder = createResponder('eth0', facts, { ...SETTINGS, ...settings });
    this.give({ on: 'addresses', served: new Set([VIP, VIP6]), watched: new Set() });
  }

  give(event: ResponderEvent): readonly ResponderEffect[] {
    this.#random = (this.#random * 7.13 + 0.37) % 1;
    const [next, effects] = step(this.responder, event, { now: this.now, random: this.#random });
    this.responder = next;
    for (const effect of effects) {
      this.effects.push(effect);
      if (effect.do !== 'frame-send') continue;
      const read = arp.isArp(effect.bytes) ? arp.decode(effect.bytes) : ndp.decode(effect.bytes);
      if ('frame' in read) this.sent.push({ at: this.now, arp: read.frame });
      else if ('message' in read) this.sent.push({ at: this.now, ndp: read.message });
      else throw new Error(`sent what is dropped: ${read.drop}`);
    }
    return effects;
  }

  run(ms: number): this {
    const until = this.now + ms;
    for (let steps = 0; dueAt(this.responder) <= until; steps++) {
      if (steps > 100_000) throw new Error('it wants to be stepped without end');
      this.now = Math.max(this.now, dueAt(this.responder));
      this.give({ on: 'tick' });
    }
    this.now = until;
    return this;
  }

  own(...ips: readonly Ip[]): this {
    for (const ip of ips) {
      this.give({ on: 'answer', ip });
      this.give({ on: 'announce', ip });
    }
    return this;
  }

  frame(bytes: Uint8Array): readonly ResponderEffect[] {
    return this.give({ on: 'frame', bytes });
  }

  /** Forgets what was sent so far. */
  quiet(): this {
    this.run(10_000);
    this.sent.length = 0;
    this.effects.length = 0;
    return this;
  }

  get drops() {
    return this.responder.drops;
  }
}

const request = (ip: Ip, to: Mac = arp.BROADCAST, sender: Ip = HOST) =>
  arp.encode({
    ...{ destination: to, source: HOST_MAC, operation: 'request', senderMac: HOST_MAC, senderIp: sender },
    ...{ targetMac: '00:00:00:00:00:00' as Mac, targetIp: ip },
  });

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

  it('that probe (RFC 5227) are answered too', () => {
    const bench = new Bench().own(VIP).quiet();
    bench.frame(arp.question(HOST_MAC, VIP));
    expect(bench.sent).toEqual([{ at: bench.now, arp: { ...answer, targetIp: '0.0.0.0' } }]);
  });

  it.each([
    ['for an address that is not ours', request('198.51.100.8' as Ip), 'announceIP'],
    ['for another MAC', request(VIP, SECOND_MAC), 'ethernetDestination'],
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
  });

  it('are not answered any more once the address is another node’s', () => {
    const bench = new Bench().own(VIP).quiet();
    bench.give({ on: 'silence', ip: VIP });
    bench.frame(request(VIP));
    expect(bench.run(200_000).sent).toEqual([]);
  });
});

describe('Neighbor Solicitations', () => {
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

describe('announcements', () => {
  it('IPv4: request and reply to all, at 0, 1.1, 2.2, 3.3 and 4.4 s, then a refresh a minute', () => {
    const bench = new Bench().own(VIP).run(50_000);
    const times = (operation: string) =>
      bench.sent.filter((each) => 'arp' in each && each.arp.operation === operation).map(({ at }) => at - 1_000);
    expect(times('request').map(Math.round)).toEqual([0, 1_100, 2_200, 3_300, 4_400]);
    expect(times('reply').map((ms) => Math.floor(ms / 100))).toEqual([0, 11, 22, 33, 44]);
    for (const each of bench.sent) {
      expect(each).toMatchObject({
        arp: { destination: arp.BROADCAST, source: MAC, senderMac: MAC, senderIp: VIP, targetIp: VIP },
      });
      expect(each).toMatchObject({ arp: { targetMac: arp.BROADCAST } });
    }
    expect(bench.responder.counters.get(VIP)?.gratuitous).toBe(10);
    bench.sent.length = 0;
    bench.run(600_000);
    const refreshes = times('request');
    expect(refreshes.length).toBeGreaterThanOrEqual(9);
    expect(refreshes.length).toBeLessThanOrEqual(12);
    for (const [at, ms] of refreshes.entries()) {
      const gap = ms - (refreshes[at - 1] ?? 0);
      if (at > 0) expect(gap).toBeGreaterThanOrEqual(54_000);
      if (at > 0) expect(gap).toBeLessThanOrEqual(66_010);
    }
  });

  it('IPv6: one unsolicited advertisement to all nodes that overrides', () => {
    const bench = new Bench().own(VIP6).run(10_000);
    expect(bench.sent.length).toBe(5);
    for (const each of bench.sent) {
      expect(each).toMatchObject({
        ndp: { to: 'ff02::1', from: LINK_LOCAL, target: VIP6, solicited: false, override: true, router: false },
      });
    }
    expect(bench.responder.counters.get(VIP6)?.gratuitous).toBe(5);
  });

  it('are not refreshed where that is switched off', () => {
    const bench = new Bench({ refreshMs: Number.POSITIVE_INFINITY }).own(VIP).quiet();
    expect(bench.run(3_600_000).sent).toEqual([]);
    bench.give({ on: 'settings', settings: SETTINGS });
    expect(bench.run(70_000).sent.length).toBe(2);
    bench.give({ on: 'settings', settings: { ...SETTINGS, refreshMs: Number.POSITIVE_INFINITY } });
    bench.sent.length = 0;
    expect(bench.run(3_600_000).sent).toEqual([]);
  });

  it('of an address taken back without a word are not made', () => {
    const bench = new Bench();
    bench.give({ on: 'answer', ip: VIP });
    expect(bench.run(10_000).sent).toEqual([]);
  });

  it('a thousand addresses: never above the pace, the first frame of each before any second', () => {
    const bench = new Bench();
    const ips = Array.from({ length: 1_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}` as Ip);
    bench.own(...ips).run(30_000);
    const firsts = bench.sent.slice(0, 1_000).map((each) => ('arp' in each ? each.arp.senderIp : ''));
    expect(new Set(firsts).size).toBe(1_000);
    expect(bench.sent[999]?.at).toBeLessThanOrEqual(1_000 + 2_000);
    for (let second = 1_000; second < 31_000; second += 100) {
      const within = bench.sent.filter(({ at }) => at >= second && at < second + 1_000).length;
      expect(within).toBeLessThanOrEqual(506);
    }
    expect(bench.sent.length).toBe(10_000);
  });

  it('that were queued for an address that is gone are not sent, and what is asked meanwhile is answered at once', () => {
    const bench = new Bench({ framesPerSecond: 10 });
    const ips = Array.from({ length: 100 }, (_, i) => `10.1.0.${i}` as Ip);
    bench.own(...ips, VIP);
    for (const ip of ips) bench.give({ on: 'silence', ip });
    bench.sent.length = 0;
    bench.frame(request(VIP));
    expect(bench.sent.at(-1)).toMatchObject({ at: bench.now, arp: { operation: 'reply', destination: HOST_MAC } });
    bench.sent.length = 0;
    bench.run(10_000);
    expect(bench.sent.every((each) => 'arp' in each && each.arp.senderIp === VIP)).toBe(true);
  });

  it('are made again when the MAC of the interface changes', () => {
    const bench = new Bench().own(VIP, VIP6).quiet();
    bench.give({ on: 'interface', facts: { ...FACTS, mac: SECOND_MAC } });
    bench.run(100);
    expect(bench.sent.length).toBe(3);
    for (const each of bench.sent) expect('arp' in each ? each.arp.senderMac : each.ndp.source).toBe(SECOND_MAC);
  });
});

describe('who asked lately', () => {
  const hostOf = (i: number) => `10.9.${i >> 8}.${i & 255}` as Ip;
  const unicasts = (bench: Bench) =>
    bench.sent.flatMap((each) => ('arp' in each && each.arp.destination !== arp.BROADCAST ? [each.arp] : []));

  it('is told by unicast after a take-over, though another answered then', () => {
    const bench = new Bench();
    bench.frame(request(VIP));
    bench.frame(ndp.question(HOST_MAC, VIP6, HOST6));
    expect(bench.sent).toEqual([]);
    bench.own(VIP, VIP6).run(500);
    expect(unicasts(bench)).toEqual([
      {
        ...{ destination: HOST_MAC, source: MAC, operation: 'reply', senderMac: MAC, senderIp: VIP },
        ...{ targetMac: HOST_MAC, targetIp: HOST },
      },
    ]);
    const neighbours = bench.sent.flatMap((each) => ('ndp' in each && each.ndp.to === HOST6 ? [each.ndp] : []));
    expect(neighbours).toMatchObject([{ destination: HOST_MAC, target: VIP6, solicited: false, override: true }]);
  });

  it('is told once: not with every burst, not after a probe', () => {
    const bench = new Bench();
    bench.frame(request(VIP));
    bench.frame(arp.question('02:00:00:00:00:0b' as Mac, VIP));
    bench.own(VIP).run(30_000);
    bench.give({ on: 'announce', ip: VIP });
    bench.run(30_000);
    expect(unicasts(bench).length).toBe(1);
  });

  it('is forgotten after ten minutes', () => {
    const bench = new Bench();
    bench.frame(request(VIP));
    bench.run(600_001);
    bench.own(VIP).run(1_000);
    expect(unicasts(bench)).toEqual([]);
  });

  it('is one of at most 1,024, the latest; an address that nobody serves is not remembered', () => {
    const bench = new Bench();
    for (let i = 0; i < 3_000; i++) {
      bench.frame(request(VIP, arp.BROADCAST, hostOf(i)));
      bench.frame(request('10.200.0.1' as Ip, arp.BROADCAST, hostOf(i)));
    }
    expect(bench.responder.askers.size).toBe(1_024);
    bench.own(VIP).run(20_000);
    const told = unicasts(bench).map(({ targetIp }) => targetIp);
    expect(new Set(told)).toEqual(new Set(Array.from({ length: 1_024 }, (_, i) => hostOf(2_999 - i))));
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
    expect(seen(arp.question(HOST_MAC, VIP))).toEqual([{ do: 'seen', mac: HOST_MAC, kind: 'probe' }]);
    bench.run(1_000);
    expect(seen(ndp.question(HOST_MAC, VIP6, ndp.UNSPECIFIED))).toEqual([{ do: 'seen', mac: HOST_MAC, kind: 'probe' }]);
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
