// BFD for peers, end to end between whole machines: paths, ports, TTLs, restarts, retuning, removal, links that come and go,
// and a counter for every datagram that is no session's.

import { describe, expect, it } from 'vitest';
import { encode } from '../../src/bfd/packet.ts';
import { TOLD } from '../fsm/bfd-driven.ts';
import { A, B, datagrams, PARAMETERS, pair, sessions, stateOf, to, told, view } from './pair.ts';
import { ip, port, World } from './world.ts';

describe('a session over one hop', () => {
  it('comes up, from a port of its own with TTL 255 to 3784, bound to its link (RFC 5881)', () => {
    const { world, a, b } = pair();
    world.run(4_000);
    expect([stateOf(world, a, 'b'), stateOf(world, b, 'a')]).toEqual(['Up', 'Up']);
    expect(told(a, 'bfd-state').at(-1)).toMatchObject({ session: 'b', to: 'Up', because: 'handshake', failure: false });
    const [session] = [...a.sockets].filter(([name]) => name.startsWith('bfd/session/'));
    expect(session?.[1].options).toEqual({ family: 'ipv4', port: 'dynamic', ttl: 255, local: A, device: 'eth0' });
    expect(a.sockets.get('bfd/3784/ipv4')?.options).toEqual({ family: 'ipv4', port: 3784, ttl: 255 });
    expect(datagrams(a).every((each) => each.to.address === B && each.to.port === 3784)).toBe(true);
  });

  it.each([
    ['IPv6', { remote: ip('2001:db8::2') }, { remote: ip('2001:db8::1') }],
    [
      'link-local addresses, the link named',
      { remote: ip('fe80::2'), link: 'eth0' },
      { remote: ip('fe80::1'), link: 'eth0' },
    ],
    ['a local address that was named', { local: ip('192.0.2.1') }, {}],
  ])('runs over %s', (_, forA, forB) => {
    const { world, a } = pair(2, forA, forB);
    world.run(4_000);
    expect(stateOf(world, a, 'b')).toBe('Up');
  });

  it('has another discriminator than any other, never 0, and not the same in another run', () => {
    const discriminators = (seed: number) => {
      const world = new World(seed);
      const a = world.host('a', port('eth0', 'lan', 1, '192.0.2.1/24'));
      const all = Array.from({ length: 50 }, (_, i) => [`p${i}`, to(`192.0.2.${i + 2}`)] as const);
      world.start(a, sessions(Object.fromEntries(all)));
      return view(world, a).sessions.map(({ session }) => session?.localDiscriminator ?? 0);
    };
    const [one, two] = [discriminators(1), discriminators(2)];
    expect(new Set(one).size).toBe(50);
    expect(one.every((each) => each > 0 && each < 2 ** 32)).toBe(true);
    expect(one.filter((each) => two.includes(each))).toEqual([]);
  });

  it('that is told nothing by its peer says nothing itself where both are passive', () => {
    const passive = { parameters: { ...PARAMETERS, passive: true } };
    const { world, a } = pair(3, passive, passive);
    world.run(5_000);
    expect([stateOf(world, a, 'b'), datagrams(a)]).toEqual(['Down', []]);
    const one = pair(3, passive);
    one.world.run(5_000);
    expect(stateOf(one.world, one.a, 'b')).toBe('Up');
  });

  it('is down within its Detection Time when the other end is killed, a failure, and up again with the next process', () => {
    const { world, a, b } = pair();
    world.run(4_000);
    world.kill(b);
    const at = world.now;
    world.run(1_000);
    const down = told(a, 'bfd-state').at(-1);
    expect(down).toMatchObject({ from: 'Up', to: 'Down', because: 'detection-expired', failure: true });
    expect((down?.at ?? 0) - at).toBeLessThanOrEqual(150);
    world.start(b, sessions({ a: to('192.0.2.1') }));
    world.run(4_000);
    expect(stateOf(world, a, 'b')).toBe('Up');
  });

  it('is authenticated where there is a key, and only there', () => {
    const key = (text: string) => ({ type: 'meticulous-keyed-sha1', id: 1, secret: Buffer.from(text) }) as const;
    const by = (text: string) => ({ parameters: { ...PARAMETERS, keys: [key(text)] } });
    const same = pair(4, by('secret'), by('secret'));
    same.world.run(4_000);
    expect(stateOf(same.world, same.a, 'b')).toBe('Up');
    const others = pair(4, by('secret'), by('guess'));
    others.world.run(4_000);
    expect(view(others.world, others.a).sessions[0]?.session).not.toHaveProperty('remote');
    expect(view(others.world, others.a).sessions[0]?.session?.counters.drops['auth-digest']).toBeGreaterThan(2);
    expect(JSON.stringify(view(others.world, others.a))).not.toContain('secret"');
  });
});

describe('a session over several hops (RFC 5883)', () => {
  const far = (forA = {}) => {
    const world = new World(5);
    world.routed = true;
    const a = world.host('a', port('eth0', 'one', 1, '192.0.2.1/24'));
    const b = world.host('b', port('eth0', 'two', 2, '198.51.100.2/24'));
    const hops = 'multi' as const;
    const parameters = { ...PARAMETERS, minTtl: 254 };
    world.start(a, sessions({ b: to('198.51.100.2', { hops, parameters, ...forA }) }));
    world.start(b, sessions({ a: to('192.0.2.1', { hops, parameters }) }));
    return { world, a, b };
  };

  it('uses 4784, no link, and the address that the kernel chooses', () => {
    const { world, a } = far();
    world.run(4_000);
    expect(stateOf(world, a, 'b')).toBe('Up');
    expect(a.sockets.get('bfd/4784/ipv4')?.options.port).toBe(4784);
    expect(datagrams(a)[0]).toMatchObject({ to: { address: '198.51.100.2', port: 4784 } });
    expect(datagrams(a)[0]?.link).toBeUndefined();
  });

  it('does not believe what came from farther than it was told', () => {
    const { world, a } = far({ parameters: { ...PARAMETERS, minTtl: 255 } });
    world.run(4_000);
    expect(stateOf(world, a, 'b')).toBe('Down');
    expect(view(world, a).sessions[0]?.session?.counters.drops.ttl).toBeGreaterThan(2);
  });

  it('waits for the local address that it was given', () => {
    const { world, a } = far({ local: ip('203.0.113.1') });
    world.run(2_000);
    expect(told(a, 'bfd-waiting')).toMatchObject([{ session: 'b', for: 'local-address' }]);
    const addresses = [...(a.ports[0]?.addresses ?? []), { ip: ip('203.0.113.1'), prefixLength: 32, tentative: false }];
    world.change(a, 'eth0', { addresses });
    expect(told(a, 'bfd-waiting').map((each) => 'for' in each)).toEqual([true, false]);
    expect([...a.sockets.values()].some(({ options }) => options.local === '203.0.113.1')).toBe(true);
  });
});

describe('a datagram that is no session’s', () => {
  it.each([
    ['no-session', { yourDiscriminator: 0, state: 'Down' }, '192.0.2.9', 255],
    ['your-discriminator', { yourDiscriminator: 77 }, '192.0.2.2', 255],
    ['zero-discriminator', { yourDiscriminator: 0, state: 'Up' }, '192.0.2.2', 255],
  ] as const)('is counted as %s', (reason, changes, from, ttl) => {
    const { world, a } = pair();
    world.run(4_000);
    const bytes = encode({ ...TOLD, ...changes });
    const datagram = { from: { address: ip(from), port: 50_000 }, to: A, link: 'eth0', ttl, bytes };
    world.give(a, { on: 'datagram', socket: 'bfd/3784/ipv4', ...datagram });
    expect(view(world, a).bfdDrops).toEqual({ [reason]: 1 });
    expect(stateOf(world, a, 'b')).toBe('Up');
  });

  it('over another link or with a lower TTL does not reach the session of its sender', () => {
    const { world, a } = pair();
    world.run(4_000);
    const bytes = encode({ ...TOLD, yourDiscriminator: 0, state: 'Down' });
    const datagram = { socket: 'bfd/3784/ipv4', from: { address: B, port: 50_000 }, to: A, bytes } as const;
    world.give(a, { on: 'datagram', ...datagram, link: 'eth1', ttl: 255 });
    world.give(a, { on: 'datagram', ...datagram, link: 'eth0', ttl: 254 });
    world.give(a, { on: 'datagram', ...datagram, link: 'eth0', ttl: 255, bytes: bytes.subarray(0, 20) });
    world.give(a, { on: 'datagram', ...datagram, socket: 'nobody', link: 'eth0', ttl: 255 });
    expect(view(world, a).bfdDrops).toEqual({ 'no-session': 1, length: 1 });
    expect(view(world, a).sessions[0]?.session?.counters.drops).toEqual({ ttl: 1 });
    expect(stateOf(world, a, 'b')).toBe('Up');
  });
});

describe('what main wants', () => {
  it('other parameters re-tune a session without a flap', () => {
    const { world, a, b } = pair();
    world.run(4_000);
    const parameters = { ...PARAMETERS, desiredMinTxMs: 300, requiredMinRxMs: 300, detectMult: 5 };
    world.want(a, sessions({ b: to('192.0.2.2', { parameters }) }));
    world.run(5_000);
    expect([told(a, 'bfd-state').at(-1), told(b, 'bfd-state').at(-1)]).toMatchObject([{ to: 'Up' }, { to: 'Up' }]);
    expect(view(world, b).sessions[0]?.session).toMatchObject({
      detectionTimeMs: 1_500,
      remote: { desiredMinTxMs: 300 },
    });
  });

  it('a session that is no longer wanted tells its peer so, no failure, for a Detection Time; then all of it is closed', () => {
    const { world, a, b } = pair();
    world.run(4_000);
    world.want(a, { sessions: new Map() });
    world.run(100);
    expect(told(b, 'bfd-state').at(-1)).toMatchObject({ to: 'Down', because: 'peer-admin-down', failure: false });
    expect(a.sockets.size).toBe(2);
    world.run(4_000);
    expect([a.sockets.size, view(world, a).sessions]).toEqual([0, []]);
    const left = datagrams(a).length;
    world.run(5_000);
    expect(datagrams(a).length).toBe(left);
  });

  it('one that is wanted again meanwhile goes on as it was', () => {
    const { world, a } = pair();
    world.run(4_000);
    const before = view(world, a).sessions[0]?.session?.localDiscriminator;
    world.want(a, { sessions: new Map() });
    world.run(50);
    world.want(a, sessions({ b: to('192.0.2.2') }));
    world.run(4_000);
    expect(view(world, a).sessions[0]?.session).toMatchObject({ state: 'Up', localDiscriminator: before });
    expect([...a.sockets].length).toBe(2);
  });

  it('one that is down on purpose is so until it is not', () => {
    const { world, a, b } = pair();
    world.run(4_000);
    world.want(a, sessions({ b: to('192.0.2.2', { adminDown: true }) }));
    world.run(8_000);
    expect([stateOf(world, a, 'b'), stateOf(world, b, 'a')]).toEqual(['AdminDown', 'Down']);
    world.want(a, { sessions: new Map() });
    expect(a.sockets.size).toBe(0);
    world.want(a, sessions({ b: to('192.0.2.2', { adminDown: true }) }));
    world.want(a, sessions({ b: to('192.0.2.2') }));
    world.run(4_000);
    expect([stateOf(world, a, 'b'), stateOf(world, b, 'a')]).toEqual(['Up', 'Up']);
  });

  it('another end of the path makes another session; the old one tells its peer', () => {
    const { world, a } = pair();
    const c = world.host('c', port('eth0', 'lan', 3, '192.0.2.3/24'));
    world.start(c, sessions({ a: to('192.0.2.1') }));
    world.run(4_000);
    const before = view(world, a).sessions[0]?.session?.localDiscriminator;
    world.want(a, sessions({ b: to('192.0.2.3') }));
    expect(told(a, 'bfd-moved')).toMatchObject([{ session: 'b', wasUp: true }]);
    world.run(4_000);
    expect(view(world, a).sessions[0]?.session).toMatchObject({ state: 'Up' });
    expect(view(world, a).sessions[0]?.session?.localDiscriminator).not.toBe(before);
    // of the old one's Down nothing is told: it is not this session any more
    expect(told(a, 'bfd-state').map((each) => 'to' in each && each.to)).not.toContain('AdminDown');
    expect([...a.sockets].length).toBe(2);
  });

  it('leaving tells all peers, then says so', () => {
    const { world, a, b } = pair();
    world.run(4_000);
    world.give(a, { on: 'leave' });
    world.run(20);
    expect(told(b, 'bfd-state').at(-1)).toMatchObject({ because: 'peer-admin-down', failure: false });
    expect(told(a, 'left')).toEqual([]);
    world.run(3_000);
    expect(told(a, 'left').length).toBe(1);
    world.want(a, sessions({ b: to('192.0.2.2') }));
    expect(stateOf(world, a, 'b')).toBe('AdminDown');
  });
});

describe('links and sockets', () => {
  it('a session waits for its link and its address, says so once, and starts when they are there', () => {
    const world = new World(6);
    const a = world.host('a', port('lo', '', 9, '127.0.0.1/8'));
    world.start(a, sessions({ b: to('192.0.2.2') }));
    world.change(a, 'lo', { carrier: true });
    expect(told(a, 'bfd-waiting')).toMatchObject([{ session: 'b', for: 'link' }]);
    expect(view(world, a).sessions).toMatchObject([{ name: 'b', waiting: 'link', remote: B }]);
    const tentative = { ...port('eth0', 'lan', 1, '192.0.2.1/24') };
    a.ports = [
      ...a.ports,
      { ...tentative, addresses: tentative.addresses.map((each) => ({ ...each, tentative: true })) },
    ];
    world.change(a, 'lo', {});
    expect(told(a, 'bfd-waiting').at(-1)).toMatchObject({ for: 'local-address' });
    world.change(a, 'eth0', { addresses: tentative.addresses });
    expect(told(a, 'bfd-waiting').at(-1)).not.toHaveProperty('for');
    expect(view(world, a).sessions[0]).toMatchObject({ local: A, link: 'eth0', session: { state: 'Down' } });
  });

  it('a link that vanishes is a failure of its session; back again, the session is too', () => {
    const { world, a } = pair();
    world.run(4_000);
    const eth0 = a.ports[0];
    if (eth0 === undefined) throw new Error('no eth0');
    world.change(a, 'eth0', undefined);
    world.run(1_000);
    expect(told(a, 'bfd-state').at(-1)).toMatchObject({ to: 'Down', because: 'detection-expired', failure: true });
    expect(told(a, 'bfd-waiting')).toMatchObject([{ for: 'link' }]);
    expect(told(a, 'socket')).toMatchObject([{ use: 'bfd', error: { code: 'ENODEV' } }]);
    a.ports = [{ ...eth0, index: 77 }];
    world.change(a, 'eth0', {});
    world.run(4_000);
    expect(stateOf(world, a, 'b')).toBe('Up');
    expect(told(a, 'socket').at(-1)).not.toHaveProperty('error');
  });

  it('a link that is replaced by one of the same name costs a session nothing', () => {
    const { world, a } = pair();
    world.run(4_000);
    world.change(a, 'eth0', { index: 77 });
    const renewed = a.sent.slice(-2).map(({ effect }) => effect.do);
    expect(renewed).toEqual(['udp-close', 'udp-open']);
    world.run(4_000);
    expect(told(a, 'bfd-state').at(-1)).toMatchObject({ to: 'Up' });
  });

  it('another address of the link makes another session from there', () => {
    const { world, a, b } = pair();
    world.run(4_000);
    const addresses = [{ ip: ip('192.0.2.77'), prefixLength: 24, tentative: false }];
    world.change(a, 'eth0', { addresses });
    world.want(b, sessions({ a: to('192.0.2.77') }));
    world.run(4_000);
    expect(view(world, a).sessions[0]).toMatchObject({ local: '192.0.2.77', session: { state: 'Up' } });
    expect(told(a, 'bfd-moved').length).toBe(1);
  });

  it('of a VRF wait for its device, listen on it, and are kept apart from those of the others', () => {
    const world = new World(7);
    const master = { name: 'red', kind: 'vrf' };
    const a = world.host('a', { ...port('eth1', 'red-lan', 1, '192.0.2.1/24'), master });
    const b = world.host('b', port('eth0', 'red-lan', 2, '192.0.2.2/24'));
    world.start(a, sessions({ b: to('192.0.2.2', { vrf: 'red' }), plain: to('192.0.2.2') }));
    world.start(b, sessions({ a: to('192.0.2.1') }));
    expect(told(a, 'bfd-waiting')).toMatchObject([
      { session: 'b', for: 'vrf' },
      { session: 'plain', for: 'link' },
    ]);
    a.ports = [...a.ports, { ...port('red', '', 8), kind: 'vrf' }];
    world.change(a, 'red', {});
    world.run(4_000);
    expect(stateOf(world, a, 'b')).toBe('Up');
    expect(a.sockets.get('bfd/3784/ipv4/red')?.options.device).toBe('red');
    expect(stateOf(world, a, 'plain')).toBeUndefined();
    // the kernel may name the VRF instead of the link
    const bytes = encode({ ...TOLD, yourDiscriminator: 0, state: 'AdminDown' });
    const datagram = { from: { address: B, port: 50_000 }, to: A, link: 'red', ttl: 255, bytes };
    world.give(a, { on: 'datagram', socket: 'bfd/3784/ipv4/red', ...datagram });
    expect([stateOf(world, a, 'b'), view(world, a).bfdDrops]).toEqual(['Down', {}]);
  });

  it('a socket that is refused is said once with its error, tried again, and said to work', () => {
    const world = new World(8);
    const a = world.host('a', port('eth0', 'lan', 1, '192.0.2.1/24'));
    const b = world.host('b', port('eth0', 'lan', 2, '192.0.2.2/24'));
    world.refuses = (host, name) => (host === a && name === 'bfd/3784/ipv4' ? 'EADDRINUSE' : undefined);
    world.start(a, sessions({ b: to('192.0.2.2') }));
    world.start(b, sessions({ a: to('192.0.2.1') }));
    world.run(10_000);
    expect(told(a, 'socket')).toMatchObject([{ socket: 'bfd/3784/ipv4', error: { code: 'EADDRINUSE' } }]);
    expect(view(world, a).broken).toMatchObject([
      { socket: 'bfd/3784/ipv4', error: { code: 'EADDRINUSE', call: 'socket' } },
    ]);
    world.refuses = () => undefined;
    world.run(30_000);
    expect([stateOf(world, a, 'b'), view(world, a).broken]).toEqual(['Up', []]);
    expect(told(a, 'socket').length).toBe(2);
  });

  it('a right that the process lacks is said once, not for each interface', () => {
    const world = new World(9);
    const a = world.host('a', ...[1, 2, 3].map((at) => port(`eth${at}`, 'lan', at, `192.0.${at}.1/24`)));
    world.refuses = () => 'EPERM';
    const wanted = [2, 3, 4].map((at) => [`b${at}`, to(`192.0.${at - 1}.2`)] as const);
    world.start(a, sessions(Object.fromEntries(wanted)));
    world.run(10_000);
    expect(told(a, 'socket')).toMatchObject([{ use: 'bfd', error: { code: 'EPERM' } }]);
    expect(view(world, a).broken.length).toBeGreaterThan(1);
  });

  it('what the kernel refuses to send is counted, and said once for each error', () => {
    const { world, a } = pair();
    const error = { code: 'EHOSTUNREACH', call: 'sendmsg', text: '' };
    world.give(a, { on: 'failed', effect: 'udp-send', about: 'bfd/session/1', error });
    world.give(a, { on: 'failed', effect: 'udp-send', about: 'bfd/session/1', error });
    expect(view(world, a).failures).toEqual([{ effect: 'udp-send', code: 'EHOSTUNREACH', count: 2 }]);
    expect(told(a, 'refused')).toMatchObject([{ effect: 'udp-send', about: 'bfd/session/1', error }]);
  });
});
