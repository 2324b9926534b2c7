// What a peer is told: the difference only, withdrawals first, in one order whatever the order of the plan, gathered for
// some milliseconds, never more than a window at a time; what cannot be told is named.

import { describe, expect, it } from 'vitest';
import { viewPeer } from '../../src/bgp/view.ts';
import type { Ip, Prefix } from '../../src/net/address.ts';
import type { Link } from '../../src/net/io.ts';
import { attributes, messagesOf, routes, Stage, THEIR_OPEN } from './stage.ts';

const A = attributes('a', { communities: [0xfc010001] });
const B = attributes('b', { communities: [0xfc010002] });

/** A session that has all of `prefixes`, long enough ago that the next change goes at once. */
function synced(prefixes: readonly string[] = []): Stage {
  const stage = new Stage({}, routes(prefixes, A));
  stage.establish();
  stage.now += 1_000;
  return stage;
}

describe('a change', () => {
  it('is told as the difference: withdrawals first, IPv4 before IPv6, numerically', () => {
    const stage = synced(['198.51.100.2/32', '198.51.100.10/32', '2001:db8::a/128']);
    const wanted = routes(['2001:db8::10/128', '2001:db8::9/128', '10.0.0.0/8', '10.0.0.0/7', '198.51.100.10/32'], A);
    expect(stage.on({ on: 'wanted', routes: wanted })).toEqual([
      'UPDATE -198.51.100.2/32',
      'UPDATE -2001:db8::a/128',
      'UPDATE +10.0.0.0/7 +10.0.0.0/8',
      'UPDATE +2001:db8::9/128 +2001:db8::10/128',
    ]);
  });

  it('of attributes alone sends the prefix again, without a withdrawal', () => {
    const stage = synced(['198.51.100.1/32', '198.51.100.2/32']);
    const wanted = new Map([...routes(['198.51.100.1/32'], A), ...routes(['198.51.100.2/32'], B)]);
    expect(stage.on({ on: 'wanted', routes: wanted })).toEqual(['UPDATE +198.51.100.2/32']);
  });

  it('to equal attributes in another object is none', () => {
    const stage = synced(['198.51.100.1/32']);
    expect(stage.on({ on: 'wanted', routes: routes(['198.51.100.1/32'], { ...A }) })).toEqual([]);
  });

  it('has the same octets whatever the order of the plan', () => {
    const octets = (prefixes: readonly string[]): string => {
      const stage = new Stage({}, new Map([...routes(prefixes.slice(0, 3), B), ...routes(prefixes.slice(3), A)]));
      stage.establish();
      return stage.effects
        .map((effect) => ('do' in effect && effect.do === 'tcp-send' ? Buffer.from(effect.bytes).toString('hex') : ''))
        .join(' ');
    };
    const [p = [], q = []] = [
      ['198.51.100.9/32', '10.1.0.0/16', '2001:db8::2/128'],
      ['198.51.100.1/32', '2001:db8::1/128'],
    ];
    expect(octets([...p, ...q])).toBe(octets([...p.toReversed(), ...q.toReversed()]));
  });
});

describe('the window in which changes are gathered', () => {
  it('lets the first go at once, and what follows within 5 ms as one', () => {
    const stage = synced();
    const prefixes = ['198.51.100.1/32'];
    expect(stage.on({ on: 'wanted', routes: routes(prefixes) })).toEqual(['UPDATE +198.51.100.1/32']);
    for (const last of [2, 3]) {
      stage.now += 2;
      prefixes.push(`198.51.100.${last}/32`);
      expect(stage.on({ on: 'wanted', routes: routes(prefixes) })).toEqual([]);
    }
    expect(stage.tick(4)).toEqual([]);
    expect(stage.tick(1)).toEqual(['UPDATE +198.51.100.2/32 +198.51.100.3/32']);
  });

  it('does not wait longer than 20 ms', () => {
    const stage = synced();
    stage.on({ on: 'wanted', routes: routes(['198.51.100.1/32']) });
    const told: number[] = [];
    for (let ms = 1; ms <= 60; ms++) {
      stage.now += 1;
      const lines = stage.on({ on: 'wanted', routes: routes([`198.51.100.${ms}/32`]) });
      if ([...lines, ...stage.tick()].some((line) => line.startsWith('UPDATE'))) told.push(ms);
    }
    expect(told).toEqual([21, 42]);
  });

  it('turns withdraw and announce of a prefix into nothing, or into one announcement', () => {
    const stage = synced(['198.51.100.1/32', '198.51.100.2/32']);
    stage.on({ on: 'wanted', routes: routes(['198.51.100.1/32', '198.51.100.2/32', '198.51.100.3/32'], A) });
    stage.now += 1;
    stage.on({ on: 'wanted', routes: new Map() });
    stage.now += 1;
    const wanted = new Map([...routes(['198.51.100.1/32', '198.51.100.3/32'], A), ...routes(['198.51.100.2/32'], B)]);
    stage.on({ on: 'wanted', routes: wanted });
    expect(stage.tick(5)).toEqual(['UPDATE +198.51.100.2/32']);
  });
});

describe('a peer that takes little', () => {
  const many = Array.from({ length: 40_000 }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32`);

  it('is sent 64 KiB at a time; what changes meanwhile overtakes what it was never told', () => {
    const stage = new Stage({}, routes(many, A));
    stage.drains = false;
    stage.tick();
    stage.opened();
    stage.open();
    stage.keepalive();
    const inFlight = (): number => stage.peer.session?.inFlight ?? 0;
    expect(inFlight()).toBeGreaterThanOrEqual(64 * 1024);
    expect(inFlight()).toBeLessThan(64 * 1024 + 4096);
    const told = stage.peer.session?.session?.rib.said.size ?? 0;
    expect(told).toBeLessThan(20_000);

    // the first of them, which it has, and the last, which it has not, are no longer wanted
    stage.now += 1_000;
    expect(stage.on({ on: 'wanted', routes: routes(many.slice(1, -1), A) })).toEqual([]);
    const lines = stage.on({ on: 'tcp-drained', connection: 'tor#1.1', bytes: inFlight(), left: 0 });
    expect(lines[0]).toBe('UPDATE -10.0.0.0/32');
    stage.drains = true;
    const rest = stage.on({ on: 'tcp-drained', connection: 'tor#1.1', bytes: inFlight(), left: 0 });
    expect([...lines, ...rest].join()).not.toContain(many.at(-1));
    expect(stage.peer.session?.session?.rib.said.size).toBe(many.length - 2);
    expect(rest.at(-1)).toBe('peer-synced');
  });

  it('gets KEEPALIVEs in between', () => {
    const stage = new Stage({}, routes(many, A));
    stage.drains = false;
    stage.establish();
    expect(stage.tick(30_000)).toEqual(['KEEPALIVE']);
  });

  it('costs no more messages than 810 prefixes each need', () => {
    const stage = new Stage({}, routes(many));
    stage.establish();
    const updates = stage.effects.flatMap((effect) =>
      'do' in effect && effect.do === 'tcp-send' && effect.bytes[18] === 2 ? messagesOf(effect.bytes) : [],
    );
    expect(updates.filter((line) => line.startsWith('UPDATE')).length).toBe(Math.ceil(many.length / 810));
  });
});

describe('route refresh', () => {
  const request = (family: 'ipv4' | 'ipv6') =>
    Buffer.from(`${'ff'.repeat(16)}001705000${family === 'ipv4' ? 1 : 2}0001`, 'hex');
  const { enhancedRouteRefresh: _, ...plain } = THEIR_OPEN.capabilities;

  it('sends the family again between BoRR and EoRR (RFC 7313)', () => {
    const stage = synced(['198.51.100.1/32', '2001:db8::1/128']);
    expect(stage.data(request('ipv4'))).toEqual([
      'ROUTE-REFRESH begin ipv4',
      'UPDATE +198.51.100.1/32',
      'ROUTE-REFRESH end ipv4',
    ]);
  });

  it('without demarcation to a peer that has RFC 2918 alone', () => {
    const stage = new Stage({}, routes(['198.51.100.1/32'], A));
    stage.establish({ capabilities: { ...plain, enhancedRouteRefresh: false } });
    stage.now += 1_000;
    expect(stage.data(request('ipv4'))).toEqual(['UPDATE +198.51.100.1/32']);
  });

  it('never before End-of-RIB, and several requests are one', () => {
    const stage = new Stage({}, routes(['198.51.100.1/32'], A));
    stage.drains = false;
    stage.establish();
    for (let i = 0; i < 5; i++) expect(stage.data(request('ipv4'))).toEqual([]);
    stage.drains = true;
    const lines = stage.on({ on: 'tcp-drained', connection: 'tor#1.1', bytes: 1_000_000, left: 0 });
    expect(lines.filter((line) => line.startsWith('End'))).toHaveLength(2);
    expect(lines.indexOf('ROUTE-REFRESH begin ipv4')).toBeGreaterThan(lines.indexOf('End-of-RIB ipv6'));
    expect(lines.filter((line) => line === 'ROUTE-REFRESH begin ipv4')).toHaveLength(1);
  });

  it('once a second', () => {
    const stage = synced(['198.51.100.1/32']);
    stage.data(request('ipv4'));
    expect(stage.data(request('ipv4'))).toEqual([]);
    expect(stage.tick(999)).toEqual([]);
    expect(stage.tick(1)).toContain('ROUTE-REFRESH begin ipv4');
  });

  it('of a family that was not negotiated is ignored', () => {
    const stage = new Stage({ families: ['ipv4'] }, routes(['198.51.100.1/32'], A));
    stage.establish();
    stage.now += 1_000;
    expect(stage.data(request('ipv6'))).toEqual([]);
    expect(stage.peer.state).toBe('Established');
  });
});

describe('what a session adds', () => {
  const first = (stage: Stage) => viewPeer(stage.peer, true).announced.map(({ path }) => path);
  const wanted = routes(['198.51.100.1/32', '2001:db8:1::1/128'], attributes('x', { localPref: 50, med: 7 }));

  it('to an external peer: one AS, no LOCAL_PREF, our address as next hop, the link’s for the other family', () => {
    const stage = new Stage({ shownAs: 64_700 }, wanted);
    stage.establish();
    const path = { origin: 'igp', asPath: [{ is: 'sequence', as: [64_700] }], med: 7 };
    const lists = { communities: [], extendedCommunities: [], largeCommunities: [] };
    expect(first(stage)).toEqual([
      { ...path, ...lists, nextHop: '192.0.2.10' },
      { ...path, ...lists, nextHop: '2001:db8::10' },
    ]);
  });

  it('to an internal peer: no AS, LOCAL_PREF as wanted or 100', () => {
    const both = new Map([...wanted, ...routes(['198.51.100.2/32'])]);
    const stage = new Stage({ remoteAs: 'internal' }, both);
    stage.establish({ as: 64_513, capabilities: { ...THEIR_OPEN.capabilities, fourOctetAs: 64_513 } });
    expect(first(stage).map(({ asPath, localPref }) => [asPath, localPref])).toEqual([
      [[], 50],
      [[], 100],
      [[], 50],
    ]);
  });

  const V6 = { address: '2001:db8:0:1::10' as Ip, port: 40_000 };
  const dial = (link: Link | undefined, remote: string, theirs = {}) => {
    const stage = new Stage({}, wanted);
    stage.tick();
    const ends = { local: V6, remote: { address: remote as Ip, port: 179 } };
    stage.on({ on: 'tcp-opened', connection: 'tor#1.1', ...ends, ...(link === undefined ? {} : { link }) });
    stage.open({ capabilities: { ...THEIR_OPEN.capabilities, ...theirs } });
    return { stage, lines: stage.keepalive() };
  };
  const link: Link = { name: 'eth0', ipv4: ['192.0.2.10' as Ip], ipv6: [V6.address], linkLocal: 'fe80::10' as Ip };

  it('over IPv6: global and link-local next hop to a peer on the link (RFC 2545 §3), global alone to others', () => {
    const near = dial(link, '2001:db8:0:1::1').stage;
    expect(first(near).map(({ nextHop, linkLocalNextHop }) => [nextHop, linkLocalNextHop])).toEqual([
      ['192.0.2.10', undefined],
      ['2001:db8:0:1::10', 'fe80::10'],
    ]);
    const far = dial(link, '2001:db8:0:2::1').stage;
    expect(first(far).map(({ linkLocalNextHop }) => linkLocalNextHop)).toEqual([undefined, undefined]);
  });

  it('over IPv6 without an IPv4 address: IPv4 over an IPv6 next hop only where negotiated (RFC 8950)', () => {
    const bare: Link = { ...link, ipv4: [] };
    const without = dial(bare, '2001:db8:0:2::1');
    expect(without.lines).toContain('warning no-next-hop-ipv4');
    expect(viewPeer(without.stage.peer, true).unadvertisable).toEqual([
      { prefix: '198.51.100.1/32', because: 'no-next-hop' },
    ]);
    const { stage } = dial(bare, '2001:db8:0:2::1', { extendedNextHop: true });
    expect(first(stage)[0]?.nextHop).toBe('2001:db8:0:1::10');
  });
});

describe('what cannot be told', () => {
  it('is named: a family that the peer does not have', () => {
    const stage = new Stage({}, routes(['198.51.100.1/32', '2001:db8::1/128']));
    const lines = stage.establish({ capabilities: { ...THEIR_OPEN.capabilities, families: ['ipv4'] } });
    expect(lines).toEqual([
      'peer-up',
      'warning family-not-negotiated-ipv6',
      'UPDATE +198.51.100.1/32',
      'End-of-RIB ipv4',
      'peer-synced',
    ]);
    const held = [{ prefix: '2001:db8::1/128', because: 'family-not-negotiated' }];
    expect(viewPeer(stage.peer, true).unadvertisable).toEqual(held);
  });

  it('is named: attributes that fill a message; what was said of such a prefix is taken back', () => {
    const stage = synced(['198.51.100.1/32', '198.51.100.2/32']);
    const long = attributes('long', { communities: Array.from({ length: 1_050 }, (_, i) => i) });
    const wanted = new Map([...routes(['198.51.100.1/32'], long), ...routes(['198.51.100.2/32'], A)]);
    expect(stage.on({ on: 'wanted', routes: wanted })).toEqual([
      'UPDATE -198.51.100.1/32',
      'warning attributes-too-long-ipv4',
    ]);
    const view = viewPeer(stage.peer, true);
    expect(view.unadvertisable).toEqual([{ prefix: '198.51.100.1/32', because: 'attributes-too-long' }]);
    expect(view.announced.map(({ prefix }) => prefix)).toEqual(['198.51.100.2/32' as Prefix]);
    stage.now += 1_000;
    expect(stage.on({ on: 'wanted', routes: routes(['198.51.100.1/32', '198.51.100.2/32'], A) })).toEqual([
      'UPDATE +198.51.100.1/32',
    ]);
  });
});
