// What one interface says without being asked: bursts, refreshes, the pace of all of them together, and who is told by unicast. The
// forms are those of RFC 5227 and RFC 4861 §7.2.6, the times those that MetalLB's users rely on.

import { describe, expect, it } from 'vitest';
import * as arp from '../../src/l2/arp.ts';
import * as ndp from '../../src/l2/ndp.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import {
  Bench,
  FACTS,
  HOST,
  HOST_MAC,
  HOST6,
  LINK_LOCAL,
  MAC,
  request,
  SECOND_MAC,
  SETTINGS,
  VIP,
  VIP6,
} from './bench.ts';

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

  const thousand = Array.from({ length: 1_000 }, (_, i) => `10.1.${i >> 8}.${i & 255}` as Ip);
  const timesOf = (bench: Bench) => {
    const times = new Map<Ip, number>();
    for (const each of bench.sent)
      if ('arp' in each) times.set(each.arp.senderIp, (times.get(each.arp.senderIp) ?? 0) + 1);
    return [...times.values()];
  };

  it('made faster than they may leave do not pile up: of an address one frame of each form waits at most', () => {
    const bench = new Bench().own(...thousand);
    let most = 0;
    for (let round = 0; round < 20; round++) {
      bench.run(10_000);
      for (const ip of thousand) bench.give({ on: 'announce', ip });
      most = Math.max(most, bench.responder.queue.length);
    }
    expect(most).toBeLessThanOrEqual(2_000);
    const times = timesOf(bench);
    expect(times.length).toBe(1_000);
    // two frames of each announcement are the least that an address gets
    expect(Math.min(...times)).toBeGreaterThanOrEqual(2 * 20);
  });

  it('are refreshed less often where the pace gives no more, each address as often as any other', () => {
    const bench = new Bench({ framesPerSecond: 20 }).own(...thousand);
    for (let minute = 0; minute < 15; minute++) {
      bench.run(60_000);
      expect(bench.responder.queue.length).toBeLessThanOrEqual(2_000);
    }
    // the bursts have ended: a refresh of all takes 100 s of the pace, which is 125 s with a fifth of it free
    bench.sent.length = 0;
    bench.run(1_800_000);
    const times = timesOf(bench);
    expect(times.length).toBe(1_000);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(2 * 13);
    expect(Math.max(...times)).toBeLessThanOrEqual(2 * 17);
    expect(bench.responder.queue.length).toBeLessThan(500);
  });

  it('of an address that comes and goes are dropped with it; one that is served no more leaves no counters behind', () => {
    const bench = new Bench({ framesPerSecond: 1 });
    for (let i = 0; i < 100; i++) bench.frame(request(VIP, arp.BROADCAST, `10.9.0.${i}` as Ip));
    for (let i = 0; i < 100; i++) {
      bench.own(VIP).run(100);
      expect(bench.responder.queue.length).toBeLessThanOrEqual(2 + 100);
      bench.give({ on: 'silence', ip: VIP });
      expect(bench.responder.queue.length).toBe(0);
    }
    expect([...bench.responder.counters.keys()]).toEqual([VIP]);
    bench.give({ on: 'addresses', served: new Set([VIP6]), watched: new Set() });
    expect(bench.responder.counters.size).toBe(0);
    // released after the word that nobody serves it
    bench.own(VIP).run(5_000);
    expect(bench.responder.counters.size).toBe(1);
    bench.give({ on: 'silence', ip: VIP });
    expect(bench.responder.counters.size).toBe(0);
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
