// Who is at the other end of a link: two whole machines that look for each other, and a router that is played by hand.

import { describe, expect, it } from 'vitest';
import { advertisement, solicitation } from '../../src/l2/router-discovery.ts';
import type { LinksWanted } from '../../src/links/wanted.ts';
import { dueAt, viewLinks } from '../../src/links.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import type { Host, Port } from './world.ts';
import { ip, port, World } from './world.ts';

const WANTED: LinksWanted = { sessions: new Map(), neighbors: ['eth0'] };
const [ROUTER, OTHER] = [ip('fe80::a'), ip('fe80::b')];
const MAC = '02:00:00:00:00:0a' as Mac;

function alone(change: Partial<Port> = {}) {
  const world = new World(1);
  const host = world.host('a', { ...port('eth0', 'lan', 1, 'fe80::1/64', '192.0.2.1/24'), ...change });
  world.start(host, WANTED);
  return { world, host };
}

const said = (host: Host) =>
  host.reports.flatMap((each) =>
    each.report === 'neighbor' ? [each.neighbor.is === 'known' ? each.neighbor.address : each.neighbor.because] : [],
  );

/** When what was sent, of that type of ICMPv6. */
const sentAt = (host: Host, type: 133 | 134) =>
  host.sent.flatMap(({ at, effect }) => (effect.do === 'icmp-send' && effect.bytes[0] === type ? [at] : []));

const hears = (world: World, host: Host, from: Ip, bytes = advertisement(MAC), hopLimit = 255) =>
  world.give(host, { on: 'icmp', link: 'eth0', from, hopLimit, bytes });

const drops = (world: World, host: Host) =>
  host.machine === undefined ? expect.fail('it does not run') : viewLinks(host.machine, world.now).neighborDrops;

describe('two machines on a link', () => {
  it('find each other at once, and stay found', () => {
    const world = new World(2);
    const a = world.host('a', port('eth0', 'lan', 1, 'fe80::1/64'));
    const b = world.host('b', port('eth0', 'lan', 2, 'fe80::2/64'));
    world.start(a, WANTED);
    world.run(60_000);
    world.start(b, WANTED);
    world.run(62_000);
    expect([said(a), said(b)]).toEqual([
      ['noNeighborYet', 'fe80::2'],
      ['noNeighborYet', 'fe80::1'],
    ]);
    world.run(600_000);
    expect([said(a).length, said(b).length]).toEqual([2, 2]);
  });

  it('advertise to all nodes from their link-local address: three times 3 s apart, then every 7.5 to 10 s', () => {
    const { world, host } = alone();
    world.run(121_000);
    const [first] = host.sent.flatMap(({ effect }) =>
      effect.do === 'icmp-send' && effect.bytes[0] === 134 ? [effect] : [],
    );
    expect(first).toMatchObject({ link: 'eth0', to: 'ff02::1', source: 'fe80::1' });
    const times = sentAt(host, 134);
    const apart = times.slice(1).map((at, i) => at - (times[i] ?? 0));
    expect(apart.slice(0, 2)).toEqual([3_000, 3_000]);
    expect(apart.slice(2).every((ms) => ms >= 7_500 && ms <= 10_000)).toBe(true);
    expect(new Set(apart).size).toBeGreaterThan(5);
    expect(apart.length).toBeGreaterThan(12);
    // RFC 4861 §6.3.7: three solicitations, to all routers
    const asked = sentAt(host, 133);
    expect(asked.map((at) => at - (asked[0] ?? 0))).toEqual([0, 4_000, 8_000]);
  });

  it('answer a solicitation within half a second, but never twice within 3 s', () => {
    const { world, host } = alone();
    world.run(40_000);
    // just after one of its own
    const before = sentAt(host, 134).length;
    for (let ms = 0; ms <= 10_000 && sentAt(host, 134).length === before; ms++) world.run(1);
    const last = sentAt(host, 134).at(-1) ?? 0;
    for (let i = 0; i < 20; i++) hears(world, host, ROUTER, solicitation(MAC));
    world.run(4_000);
    const answered = sentAt(host, 134).filter((at) => at > last);
    expect(answered).toEqual([last + 3_000]);
    world.run(2_000);
    const asked = world.now;
    hears(world, host, ROUTER, solicitation(MAC));
    world.run(500);
    expect(sentAt(host, 134).filter((at) => at >= asked)).toHaveLength(1);
  });
});

describe('a neighbor', () => {
  it('is the one that advertises itself, with a valid message alone', () => {
    const { world, host } = alone();
    world.run(2_000);
    hears(world, host, ROUTER, advertisement(MAC), 254);
    hears(world, host, ip('2001:db8::1'));
    hears(world, host, ip('fe80::1'));
    expect(said(host)).toEqual(['noNeighborYet']);
    hears(world, host, ROUTER);
    expect(said(host)).toEqual(['noNeighborYet', ROUTER]);
    expect(drops(world, host)).toEqual({ hopLimit: 1, source: 1, ownMessage: 1 });
    // nobody is asked for any more
    const asked = sentAt(host, 133).length;
    world.run(30_000);
    expect(sentAt(host, 133)).toHaveLength(asked);
  });

  it('stays when it falls silent', () => {
    const { world, host } = alone();
    world.run(2_000);
    hears(world, host, ROUTER);
    world.run(3_600_000);
    expect(said(host).at(-1)).toBe(ROUTER);
  });

  it('gives way to another one only when it was silent for 30 s', () => {
    const { world, host } = alone();
    world.run(2_000);
    hears(world, host, ROUTER);
    world.run(29_999);
    hears(world, host, OTHER);
    hears(world, host, OTHER);
    expect(said(host).at(-1)).toBe(ROUTER);
    expect(host.reports.filter(({ report }) => report === 'neighbor-other')).toEqual([
      expect.objectContaining({ link: 'eth0', address: OTHER }),
    ]);
    expect(drops(world, host)).toEqual({ otherNeighbor: 2 });
    world.run(1);
    hears(world, host, OTHER);
    expect(said(host).at(-1)).toBe(OTHER);
  });

  it('gives way at once when the cable was pulled meanwhile, and is kept while it is', () => {
    const { world, host } = alone();
    world.run(2_000);
    hears(world, host, ROUTER);
    world.change(host, 'eth0', { carrier: false });
    expect(said(host).at(-1)).toBe(ROUTER);
    world.change(host, 'eth0', { carrier: true });
    hears(world, host, OTHER);
    expect(said(host).at(-1)).toBe(OTHER);
  });
});

describe('no neighbor', () => {
  it('is known for a reason that follows the link', () => {
    const { world, host } = alone({ up: false, carrier: false, addresses: [] });
    world.run(2_000);
    world.change(host, 'eth0', { up: true, carrier: true });
    const tentative = [{ ip: ip('fe80::1'), prefixLength: 64, tentative: true }];
    world.change(host, 'eth0', { addresses: tentative });
    expect(sentAt(host, 134)).toEqual([]);
    world.change(host, 'eth0', { addresses: tentative.map((each) => ({ ...each, tentative: false })) });
    world.run(2_100);
    expect(sentAt(host, 134)).toHaveLength(1);
    world.change(host, 'eth0', undefined);
    expect(said(host)).toEqual(['interfaceDown', 'noLinkLocalAddress', 'noNeighborYet', 'interfaceAbsent']);
  });

  it('is remembered of a link that vanished', () => {
    const { world, host } = alone();
    world.run(2_000);
    hears(world, host, ROUTER);
    const [before] = host.ports;
    world.change(host, 'eth0', undefined);
    expect(said(host).at(-1)).toBe('interfaceAbsent');
    expect(host.frames.size).toBe(0);
    host.ports = before === undefined ? [] : [{ ...before, index: 99 }];
    world.give(host, { on: 'links', links: host.ports });
    expect(said(host).at(-1)).toBe('noNeighborYet');
    world.run(3_000);
    expect(host.frames.has('icmp/eth0')).toBe(true);
  });

  it('is looked for once it is not wanted: the socket is closed, and nothing is due', () => {
    const { world, host } = alone();
    world.run(2_000);
    world.want(host, { sessions: new Map() });
    expect(host.frames.size).toBe(0);
    expect(host.machine && dueAt(host.machine)).toBe(Number.POSITIVE_INFINITY);
  });

  it('is found without the right to open the socket: said once, and tried again', () => {
    const world = new World(3);
    const host = world.host('a', port('eth0', 'lan', 1, 'fe80::1/64'));
    world.refuses = (_, name) => (name === 'icmp/eth0' ? 'EPERM' : undefined);
    world.start(host, WANTED);
    world.run(100_000);
    expect(host.reports.filter(({ report }) => report === 'socket')).toHaveLength(1);
    expect(sentAt(host, 134)).toEqual([]);
    world.refuses = () => undefined;
    world.run(140_000);
    expect(sentAt(host, 134).length).toBeGreaterThan(0);
  });
});
