// Whether the gateway has learned where an address is: what is asked, said and announced when it confirms, says nothing, or
// goes on holding another MAC.

import { describe, expect, it } from 'vitest';
import { viewSegment } from '../../src/l2/view.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { familyOf } from '../../src/net/address.ts';
import { ownerOf, runFor, settle, type Telling } from './l2-stories.ts';
import { GATEWAY, GATEWAY6, type LanWorld } from './l2-world.ts';

const OTHER = '66:66:66:00:00:01' as Mac;

const verdictsOf = ({ world }: Telling) =>
  world.reports.flatMap(({ report }) => (report.report === 'l2-confirmation' ? [report.verdict] : []));

const confirmationOf = (telling: Telling) =>
  viewSegment(ownerOf(telling).segment, telling.world.now).addresses[0]?.confirmation;

const withGateway = (holds: Mac | undefined) =>
  settle(1, 3, 1, ({ world }) => {
    world.gateway = 'up';
    world.gatewayHolds = holds;
    // it stays with whoever takes it first
    world.settings = { failbackMs: Number.POSITIVE_INFINITY, conflict: 'refuse' };
  });

describe('a gateway', () => {
  it('that holds our MAC is asked once and told of once', () => {
    const telling = withGateway(undefined);
    runFor(telling, 60_000);
    expect(verdictsOf(telling)).toEqual(['confirmed']);
    expect(confirmationOf(telling)).toBe('confirmed');
    expect(telling.world.confirmations).toBe(1);
    expect(telling.world.announcements).toBe(1);
  });

  it('that goes on holding another is told of and announced against once, and asked again ever more seldom', () => {
    const telling = withGateway(OTHER);
    const { world } = telling;
    const owner = ownerOf(telling);
    runFor(telling, 61_000);
    expect(verdictsOf(telling)).toEqual(['refuted']);
    expect(confirmationOf(telling)).toBe('refuted');
    // taken, and once more
    expect(world.announcements).toBe(2);
    // at 0, 1, 3, 7, 15, 31 and, by when the LAN was settled, 63 s
    expect(world.confirmations).toBeGreaterThanOrEqual(6);
    expect(world.confirmations).toBeLessThanOrEqual(7);
    runFor(telling, 3_600_000);
    // then at 63, 127, 255, 511, 1,023 s and every ten minutes
    expect(world.confirmations).toBeGreaterThanOrEqual(14);
    expect(world.confirmations).toBeLessThanOrEqual(15);
    expect(verdictsOf(telling)).toEqual(['refuted']);
    expect(world.announcements).toBe(2);
    expect(ownerOf(telling)).toBe(owner);
  });

  it('that learns our MAC late confirms, and that stands', () => {
    const telling = withGateway(OTHER);
    const { world } = telling;
    runFor(telling, 10_000);
    world.gatewayHolds = undefined;
    runFor(telling, 10_000);
    expect(verdictsOf(telling)).toEqual(['refuted', 'confirmed']);
    const { confirmations } = world;
    // two that answer one question, or a forger: neither makes it begin again
    const owner = ownerOf(telling);
    const [ip] = world.vips;
    const [gateway] = owner.segment.gateways;
    if (ip === undefined || gateway?.mac === undefined) throw new Error('no gateway is known');
    for (let i = 0; i < 100; i++) {
      const mac = i % 2 === 0 ? OTHER : owner.mac;
      world.give(owner, { on: 'frame', ip: gateway.ip, mac: gateway.mac, kind: 'answer', target: { ip, mac } });
    }
    runFor(telling, 60_000);
    expect(verdictsOf(telling)).toEqual(['refuted', 'confirmed']);
    expect(confirmationOf(telling)).toBe('confirmed');
    expect(world.confirmations).toBe(confirmations);
    expect(world.announcements).toBe(2);
  });

  it('that holds another after the next take-over is told of anew', () => {
    const telling = withGateway(OTHER);
    const { world } = telling;
    runFor(telling, 10_000);
    const first = ownerOf(telling);
    world.kill(first, 'power');
    runFor(telling, 10_000);
    expect(ownerOf(telling)).not.toBe(first);
    expect(verdictsOf(telling)).toEqual(['refuted', 'refuted']);
    expect(world.announcements).toBe(4);
  });
});

describe('a gateway of each family', () => {
  const VIP6 = '2001:db8::100' as Ip;

  const withBoth = (change: (world: LanWorld) => void = () => {}) =>
    settle(1, 3, 1, ({ world }) => {
      world.vips.push(VIP6);
      world.gateway = 'up';
      world.gateways = [GATEWAY, GATEWAY6];
      world.settings = { failbackMs: Number.POSITIVE_INFINITY, conflict: 'refuse' };
      change(world);
    });

  const verdicts = ({ world }: Telling) =>
    world.reports.flatMap(({ report }) =>
      report.report === 'l2-confirmation' ? [`${familyOf(report.ip)} ${report.verdict}`] : [],
    );

  it('is asked about the addresses of its family, once', () => {
    const telling = withBoth();
    runFor(telling, 60_000);
    expect(verdicts(telling).sort()).toEqual(['ipv4 confirmed', 'ipv6 confirmed']);
    expect(telling.world.confirmations).toBe(2);
  });

  it('of one that says nothing nothing is known; that another answers proves nothing for it', () => {
    const telling = withBoth((world) => world.gatewaySilent.add(GATEWAY6));
    runFor(telling, 60_000);
    expect(verdicts(telling).sort()).toEqual(['ipv4 confirmed', 'ipv6 unconfirmed']);
  });

  it('that holds another MAC is heard of by ARP alone: an advertisement goes where we do not see it', () => {
    const telling = withBoth((world) => {
      world.gatewayHolds = OTHER;
    });
    runFor(telling, 60_000);
    expect(verdicts(telling).sort()).toEqual(['ipv4 refuted', 'ipv6 unconfirmed']);
  });

  /** So many more addresses, one after another; how many questions there were about them. */
  const addOf = (telling: Telling, addresses: readonly string[]): number => {
    const { world } = telling;
    const before = world.confirmations;
    for (const ip of addresses) {
      world.vips.push(ip as Ip);
      world.publish();
      runFor(telling, 3_000);
    }
    return world.confirmations - before;
  };
  const more = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => `2001:db8::${(from + i).toString(16)}`);
  const alone = (holds: Mac | undefined) =>
    settle(1, 1, 0, ({ world }) => {
      world.gateway = 'up';
      world.gateways = [GATEWAY, GATEWAY6];
      world.gatewayHolds = holds;
    });

  it('that told of none of eight addresses is not asked about the next, and the other one still is', () => {
    const telling = alone(OTHER);
    expect(addOf(telling, more(1, 13))).toBe(8);
    expect(addOf(telling, ['198.51.100.1'])).toBeGreaterThan(0);
    expect(verdicts(telling).at(-1)).toBe('ipv4 refuted');
  });

  it('that was lost and is back may tell what it did not before', () => {
    const telling = alone(OTHER);
    addOf(telling, more(1, 13));
    telling.world.gatewayHolds = undefined;
    expect(addOf(telling, more(13, 14))).toBe(0);
    telling.world.gatewaySilent.add(GATEWAY6);
    runFor(telling, 20_000);
    telling.world.gatewaySilent.clear();
    runFor(telling, 6_000);
    expect(addOf(telling, more(14, 15))).toBe(1);
    expect(verdicts(telling).at(-1)).toBe('ipv6 confirmed');
  });

  it('that told of one is asked about each, for a router may be slow to answer many', () => {
    const telling = alone(undefined);
    expect(addOf(telling, more(1, 2))).toBe(1);
    telling.world.gatewayHolds = OTHER;
    expect(addOf(telling, more(2, 14))).toBe(12);
  });

  it('that comes later is asked about what was taken before', () => {
    const telling = withBoth((world) => world.gatewaySilent.add(GATEWAY6));
    runFor(telling, 20_000);
    telling.world.gatewaySilent.clear();
    runFor(telling, 10_000);
    expect(verdicts(telling).sort()).toEqual(['ipv4 confirmed', 'ipv6 confirmed', 'ipv6 unconfirmed']);
  });

  it('that is lost moves no address while the first one answers', () => {
    const telling = withBoth();
    const [owner, owner6] = [ownerOf(telling), ownerOf(telling, VIP6)];
    telling.world.gatewaySilent.add(GATEWAY6);
    runFor(telling, 600_000);
    expect([ownerOf(telling), ownerOf(telling, VIP6)]).toEqual([owner, owner6]);
    expect(telling.world.reports.filter(({ report }) => report.report === 'l2-gateway')).toEqual([]);
  });

  it('is only IPv6’s, on a LAN without IPv4, and then tells whether the segment leads anywhere', () => {
    const telling = withBoth((world) => {
      world.gateways = [GATEWAY6];
    });
    telling.world.gatewaySilent.add(GATEWAY6);
    runFor(telling, 10_000);
    const lost = telling.world.reports.flatMap(({ report }) => (report.report === 'l2-gateway' ? [report] : []));
    expect(lost.map(({ ip, ok }) => [ip, ok])).toEqual([
      [GATEWAY6, false],
      [GATEWAY6, false],
      [GATEWAY6, false],
    ]);
  });

  it('that becomes the first, for the route of the other has gone, is judged only by what it says from then on', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const telling = withBoth();
      runFor(telling, 30_000 + seed * 500);
      const { world } = telling;
      const owner = ownerOf(telling);
      world.give(owner, { on: 'link', facts: { ...world.facts(owner), gateways: [GATEWAY6] } });
      runFor(telling, 20_000);
      expect(world.reports.filter(({ report }) => report.report === 'l2-gateway')).toEqual([]);
      expect(ownerOf(telling)).toBe(owner);
    }
  });
});
