// The Echo function (RFC 5880 §6.4, 5881 §4): packets from and to our own address, handed to the peer's MAC and passed on by it;
// and the frames that they are, held against one that FRR 8.4.4 sent.

import { describe, expect, it } from 'vitest';
import { decodeUdp, encodeUdp, passOn } from '../../src/links/echo-frame.ts';
import type { Ip, Mac } from '../../src/net/address.ts';
import { datagrams, PARAMETERS, pair, sessions, stateOf, to, told, view } from './pair.ts';
import { type Host, ip } from './world.ts';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const [OURS, THEIRS] = ['02:00:00:00:00:01' as Mac, '02:00:00:00:00:02' as Mac];

/** From 198.51.100.1 to itself, TTL 255, both sums filled in; its MACs are ours to choose, its TOS is 0xc0. */
const OF_FRR = hex(
  '020000000001 020000000002 0800' +
    '45c0 0034 bebf 0000 ff11 a7cf c633 6401 c633 6401 0ec9 0ec9 0020 a9d8' +
    '0118 0000 272d 4ad0 0000 0000 0000 4337 0000 0000 0002 2d8b',
);

describe('frames', () => {
  it("FRR's echo reads as it is", () => {
    expect(decodeUdp(OF_FRR)).toEqual({
      ...{ sourceMac: THEIRS, destinationMac: OURS, source: '198.51.100.1', destination: '198.51.100.1' },
      ...{ ttl: 255, port: 3785, bytes: OF_FRR.subarray(42) },
    });
  });

  it('what is written of it is the same, but for the identification, which is 0 here', () => {
    const read = decodeUdp(OF_FRR);
    const written = read === undefined ? new Uint8Array() : encodeUdp(read);
    const changed = OF_FRR.slice();
    // RFC 6864 §4.1: of no meaning where nothing is fragmented; the sum of the head grows by it
    changed.set([0, 0], 14 + 4);
    changed.set([((0xa7cf + 0xbebf) >> 8) & 0xff, ((0xa7cf + 0xbebf) & 0xff) + 1], 14 + 10);
    expect(Buffer.from(written).toString('hex')).toBe(Buffer.from(changed).toString('hex'));
  });

  it('passed on, it goes back with one hop less and a right sum', () => {
    const passed = decodeUdp(passOn(OF_FRR));
    expect(passed).toMatchObject({ sourceMac: OURS, destinationMac: THEIRS, ttl: 254 });
    expect(passed?.bytes).toEqual(OF_FRR.subarray(42));
  });

  it.each<[string, (frame: Uint8Array) => Uint8Array]>([
    ['too short', (frame) => frame.subarray(0, 41)],
    ['of another EtherType', (frame) => frame.fill(0x86, 12, 13)],
    ['with IP options', (frame) => frame.fill(0x46, 14, 15)],
    ['of another protocol', (frame) => frame.fill(6, 23, 24)],
    ['with a wrong sum', (frame) => frame.fill(254, 22, 23)],
    ['longer than the frame', (frame) => frame.subarray(0, -1)],
    ['with less than its head', (frame) => frame.fill(7, 39, 40)],
  ])('%s: no packet', (_, change) => {
    expect(decodeUdp(change(OF_FRR.slice()))).toBeUndefined();
  });

  it('of any octets and lengths: read or not, without a fault', () => {
    for (let length = 0; length < 64; length++) expect(decodeUdp(new Uint8Array(length).fill(0x45))).toBeUndefined();
  });
});

describe('the Echo function', () => {
  const echo = { transmitMs: 100, receiveMs: 100 };
  const echoing = () => {
    const parameters = { ...PARAMETERS, detectMult: 20, echo };
    return pair(3, { parameters }, { parameters });
  };
  const frames = (host: Host) =>
    host.sent.flatMap(({ effect }) =>
      'do' in effect && effect.do === 'frame-send' ? (decodeUdp(effect.bytes) ?? []) : [],
    );

  it('sends to its own address by the MAC of the peer, passes on what the peer sends, and keeps both sides alive', () => {
    const { world, a, b } = echoing();
    world.run(6_000);
    const counters = view(world, a).sessions[0]?.session?.counters;
    expect(counters?.echoesSent).toBeGreaterThan(30);
    expect(counters?.echoesReceived).toBeGreaterThan((counters?.echoesSent ?? 0) - 5);
    const sent = frames(a).filter(({ ttl }) => ttl === 255);
    const passed = frames(a).filter(({ ttl }) => ttl === 254);
    expect(
      new Set(sent.map((each) => [each.source, each.destination, each.sourceMac, each.destinationMac].join())),
    ).toEqual(new Set([['192.0.2.1', '192.0.2.1', OURS, THEIRS].join()]));
    expect(passed.length).toBeGreaterThan(30);
    expect(new Set(passed.map(({ destination, destinationMac }) => `${destination} ${destinationMac}`))).toEqual(
      new Set([`192.0.2.2 ${THEIRS}`]),
    );
    expect([stateOf(world, a, 'b'), b.frames.has('echo/eth0')]).toEqual(['Up', true]);
  });

  it('that stops coming back takes the session down, though control packets go on', () => {
    const { world, a, b } = echoing();
    world.run(6_000);
    world.refuses = (host, name) => (host === b && name === 'echo/eth0' ? 'EPERM' : undefined);
    world.break(b, 'echo/eth0', 'ENETDOWN');
    world.run(2_500);
    const failures = told(a, 'bfd-state').filter((each) => 'failure' in each && each.failure);
    expect(failures.some((each) => 'because' in each && each.because === 'echo-failed')).toBe(true);
  });

  it('that never came back fails nothing', () => {
    const parameters = { ...PARAMETERS, echo };
    const { world, a } = pair(3, { parameters }, {});
    world.run(6_000);
    expect([stateOf(world, a, 'b'), told(a, 'bfd-state').some((each) => 'failure' in each && each.failure)]).toEqual([
      'Up',
      false,
    ]);
  });

  it('is nobody’s but the peer’s: nothing is passed on for others, nor believed from elsewhere', () => {
    const { world, a } = echoing();
    world.run(6_000);
    const passedBefore = frames(a).filter(({ ttl }) => ttl === 254).length;
    const before = view(world, a).sessions[0]?.session?.counters;
    const ends = { sourceMac: '02:00:00:00:00:09' as Mac, destinationMac: OURS, port: 3785, bytes: new Uint8Array(8) };
    const stranger = { source: '192.0.2.9' as Ip, destination: '192.0.2.9' as Ip };
    const mine = { source: '192.0.2.1' as Ip, destination: '192.0.2.1' as Ip };
    const give = (packet: Parameters<typeof encodeUdp>[0]) =>
      world.give(a, { on: 'frame', link: 'eth0', bytes: encodeUdp(packet) });
    give({ ...ends, ...stranger, ttl: 255 });
    give({ ...ends, ...mine, ttl: 255 });
    give({ ...ends, ...mine, ttl: 254 });
    // nor may a stranger say where the peer is
    give({ ...ends, ...stranger, destination: mine.source, port: 3784, ttl: 255 });
    give({ ...ends, source: '192.0.2.2' as Ip, destination: mine.source, port: 3784, ttl: 254 });
    expect(frames(a).filter(({ ttl }) => ttl === 254).length).toBe(passedBefore);
    expect(view(world, a).sessions[0]?.session?.counters).toEqual(before);
    world.run(1_000);
    expect(new Set(frames(a).map(({ destinationMac }) => destinationMac))).toEqual(new Set([THEIRS]));
  });

  it('of a router that echoes to our address by UDP is sent back; from others it is counted', () => {
    const { world, a } = echoing();
    world.run(6_000);
    const datagram = {
      socket: 'bfd/3785/ipv4/eth0',
      to: ip('192.0.2.1'),
      link: 'eth0',
      bytes: new Uint8Array(24),
    } as const;
    const looped = () => datagrams(a).filter(({ to: { port }, ttl }) => port === 3785 && ttl === 254).length;
    world.give(a, { on: 'datagram', ...datagram, from: { address: ip('192.0.2.2'), port: 3785 }, ttl: 255 });
    expect(looped()).toBe(1);
    world.give(a, { on: 'datagram', ...datagram, from: { address: ip('192.0.2.9'), port: 3785 }, ttl: 255 });
    world.give(a, { on: 'datagram', ...datagram, from: { address: ip('192.0.2.2'), port: 3785 }, ttl: 254 });
    expect([looped(), view(world, a).bfdDrops]).toEqual([1, { echo: 2 }]);
  });

  it('ends with the parameters, and its sockets are closed', () => {
    const { world, a } = echoing();
    world.run(6_000);
    world.want(a, sessions({ b: to('192.0.2.2', { parameters: { ...PARAMETERS, detectMult: 20 } }) }));
    expect([...a.sockets.keys(), ...a.frames].filter((name) => /3785|echo/.test(name))).toEqual([]);
    const before = frames(a).length;
    world.run(2_000);
    expect([frames(a).length, stateOf(world, a, 'b')]).toEqual([before, 'Up']);
  });
});
