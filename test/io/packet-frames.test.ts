// Frames of the packet thread on real sockets, in network namespaces. The other end is the kernel's own ARP and Neighbor
// Discovery: what is sent must be right, and what is answered is nobody's echo.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Ip } from '../../src/net/address.ts';
import type { PacketEffect } from '../../src/net/packet-io.ts';
import { lacking } from '../interop/lacking.ts';
import { inside, ip } from '../interop/namespace.ts';
import { hex, PacketLab, type Probe } from './packet-lab.ts';
import { until } from './sockets.ts';

const cannot = lacking();
const open = { do: 'frames-open', link: 'eth0' } as const;
const close = { do: 'frames-close', link: 'eth0' } as const;
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const send = (frame: string): PacketEffect => ({ do: 'frame-send', link: 'eth0', bytes: hex(frame) });
/** RFC 826: who has 192.0.2.2, tell 192.0.2.1. */
const REQUEST = '0001 0800 06 04 0001 02000000000a c0000201 000000000000 c0000202';
const ASK = send(`ffffffffffff 02000000000a 0806 ${REQUEST}`);
/** Its answer from the kernel of the other side, RFC 826. */
const ANSWER = /^02000000000a 02000000000b 0806 0001 0800 06 04 0002 02000000000b c0000202 02000000000a c0000201/;
const groups = (namespace: string) => inside(namespace, ['cat', '/proc/net/igmp6']);

describe.skipIf(cannot.length > 0)(`frames ${cannot.join(', ')}`, () => {
  let lab: PacketLab;
  let a: Probe;
  beforeEach(async () => {
    lab = new PacketLab();
    lab.up();
    a = lab.probe(lab.a);
    await a.link('eth0', ({ carrier }) => carrier);
  });
  afterEach(() => lab.down());

  it('ask the kernel of the other side by ARP, and bring its answer, not the question', async () => {
    await a.open(open);
    a.do(ASK);
    const { link, bytes } = await a.wait('frame');
    expect(link).toBe('eth0');
    expect(text(bytes)).toMatch(new RegExp(ANSWER.source.replaceAll(' ', '')));
    expect(a.all('frame')).toHaveLength(1);
  });

  it('ask it by Neighbor Solicitation, and bring its advertisement', async () => {
    await a.open(open);
    // RFC 4861 §4.3, to the solicited-node group of 2001:db8::2, with a source link-layer address
    const [from, to] = ['20010db8000000000000000000000001', 'ff0200000000000000000001ff000002'];
    const target = '20010db8000000000000000000000002';
    const icmp = (sum: string) => `87 00 ${sum} 00000000 ${target} 01 01 02000000000a`;
    const sum = checksum(`${from} ${to} 00000020 0000003a ${icmp('0000')}`);
    a.do(send(`3333ff000002 02000000000a 86dd 6000 0000 0020 3a ff ${from} ${to} ${icmp(sum)}`));
    const { bytes } = await a.wait('frame', (frame) => frame.bytes[54] === 136);
    // RFC 4861 §4.4: solicited and override, with the target's link-layer address
    expect(text(bytes.subarray(0, 14))).toBe('02000000000a02000000000b86dd');
    expect(text(bytes.subarray(58))).toBe(`60000000${target}020102000000000b`);
  });

  it('bring nothing else: no IPv4, no other ICMPv6, no other host, no VLAN', async () => {
    const b = lab.probe(lab.b);
    await b.link('eth0', ({ carrier }) => carrier);
    await b.open(open);
    await a.open(open);
    const arpOf = (last: string) => REQUEST.replace('c0000202', `c00002${last}`);
    a.do(
      send(`02000000000b 02000000000a 0800 4500 0014 0000 0000 40 fd 0000 c0000201 c0000202`),
      // an echo request, a router solicitation
      send(`02000000000b 02000000000a 86dd 6000 0000 0008 3a 40 ${'00'.repeat(32)} 8000000000000000`),
      send(`333300000002 02000000000a 86dd 6000 0000 0008 3a ff ${'00'.repeat(32)} 8500000000000000`),
      send(`02000000000c 02000000000a 0806 ${arpOf('0c')}`),
      send(`ffffffffffff 02000000000a 8100 0005 0806 ${arpOf('05')}`),
      // a priority tag without a VLAN is for us (IEEE 802.1Q §9.6)
      send(`ffffffffffff 02000000000a 8100 0000 0806 ${arpOf('00')}`),
      send(`ffffffffffff 02000000000a 0806 ${arpOf('01')}`),
    );
    await b.wait('frame', ({ bytes }) => bytes.at(41) === 1);
    const ours = b.all('frame').map(({ bytes }) => text(bytes.subarray(12)));
    expect(ours).toEqual([arpOf('00'), arpOf('01')].map((arp) => `0806${arp.replaceAll(' ', '')}`));
  });

  it('of BFD over IPv4 come by a socket of their own, and nothing else of IPv4', async () => {
    const b = lab.probe(lab.b);
    await b.link('eth0', ({ carrier }) => carrier);
    const openEcho = { do: 'echo-open', link: 'eth0' } as const;
    await b.open(openEcho);
    await a.open(openEcho);
    // RFC 791 and 768: TTL 255, from and to 192.0.2.1, which the kernel of b has no socket for
    const udp = (to: string, version = '45', fragment = '0000', last = '00') =>
      `02000000000b 02000000000a 0800 ${version}00 0020 0000 ${fragment} ff 11 0000 c0000201 c0000201 0ec9 ${to} 000c 0000 000000${last}`;
    a.do(
      send(udp('0035')),
      send(udp('0ec9', '46')),
      send(udp('0ec9', '45', '0001')),
      send(udp('0ec9').replace('ff 11', 'ff 06')),
      send(udp('0ec9').replace('02000000000b', '02000000000c')),
      send(`ffffffffffff 02000000000a 0806 ${REQUEST}`),
      send(udp('0ec8', '45', '0000', '01')),
      send(udp('0ec9', '45', '0000', '02')),
    );
    await b.wait('frame', ({ bytes }) => bytes[45] === 2);
    expect(b.all('frame').map(({ bytes }) => bytes[45])).toEqual([1, 2]);
  });

  it('go on after the link was down, and come of a link that is opened while it is down', async () => {
    await a.open(open);
    ip(lab.a, ['link set eth0 down']);
    await a.link('eth0', ({ up }) => !up);
    a.do(ASK);
    expect(await a.wait('failed')).toMatchObject({ effect: 'frame-send', about: 'eth0', error: { code: 'ENETDOWN' } });
    a.do(close, open);
    await until('opened again', () => (a.all('socket').length === 2 ? true : undefined));
    ip(lab.a, ['link set eth0 up']);
    await a.link('eth0', ({ carrier }) => carrier);
    a.do(ASK);
    await a.wait('frame');
    expect(a.all('socket').map(({ error }) => error)).toEqual([undefined, undefined]);
  });

  it('end with their link, which is said once, and can be opened again when it is back', async () => {
    await a.open(open, { do: 'group-join', link: 'eth0', group: 'ff02::1:ff00:7' as Ip });
    ip(lab.a, ['link set eth0 down', 'link set eth0 name old0']);
    const broken = await a.wait('socket', ({ error }) => error !== undefined);
    expect(broken).toMatchObject({ socket: 'eth0', error: { call: 'interface', code: 'ENODEV' } });
    const order = a.events.flatMap((event) => (event.on === 'links' || event.on === 'socket' ? [event.on] : []));
    expect(order.slice(-2)).toEqual(['links', 'socket']);
    a.do(open);
    const refused = () => a.all('socket').filter(({ error }) => error !== undefined);
    await until('a second refusal', () => (refused().length === 2 ? true : undefined));
    expect(groups(lab.a)).not.toContain('ff0200000000000000000001ff000007');
    ip(lab.a, ['link del old0', `link add eth0 address 02:00:00:00:00:0a type veth peer name eth1 netns ${lab.b}`]);
    ip(lab.a, ['link set eth0 up']);
    ip(lab.b, ['link set eth1 up']);
    await a.link('eth0', ({ carrier }) => carrier);
    a.do(open);
    await until('opened again', () => (a.all('socket').at(-1)?.error === undefined ? true : undefined));
    const b = lab.probe(lab.b);
    await b.link('eth1', ({ carrier }) => carrier);
    await b.open({ do: 'frames-open', link: 'eth1' });
    a.do(ASK);
    await b.wait('frame');
  });

  it('join more groups than one socket may, and leave them', async () => {
    const many = Array.from({ length: 400 }, (_, i) => `ff02::1:ff01:${(i + 1).toString(16)}` as Ip);
    const joined = () => groups(lab.a).match(/ff0200000000000000000001ff01/g)?.length ?? 0;
    a.do(...many.map((group) => ({ do: 'group-join', link: 'eth0', group }) as const));
    await until('400 groups', () => (joined() === 400 ? true : undefined));
    a.do(...many.slice(1).map((group) => ({ do: 'group-leave', link: 'eth0', group }) as const));
    await until('one group', () => (joined() === 1 ? true : undefined));
    expect(groups(lab.a)).toContain('ff0200000000000000000001ff010001');
    a.do({ do: 'group-join', link: 'eth9', group: 'ff02::1:ff00:1' as Ip });
    expect(await a.wait('failed')).toMatchObject({ effect: 'group-join', about: 'eth9', error: { code: 'ENODEV' } });
    expect(a.all('failed')).toHaveLength(1);
  });

  it('of a flood wait in turns of 256, so that timers and main have theirs', async () => {
    const b = lab.probe(lab.b);
    await b.link('eth0', ({ carrier }) => carrier);
    await b.open(open);
    await a.open(open);
    // a group that nobody is in: the repeated effect costs nothing
    const effect = { do: 'group-leave', link: 'eth0', group: 'ff02::9' as Ip } as const;
    b.thread.want({ quiet: ['frame'], repeat: { everyMs: 1, effect }, stallMs: 500 });
    for (let hundreds = 0; hundreds < 100; hundreds++) a.do(...Array.from({ length: 100 }, () => ASK));
    // answered once it runs again, beside the frames that wait
    let view = await b.thread.view();
    let before = -1;
    while ((view.counts['frame'] ?? 0) < 1_000 || view.counts['frame'] !== before) {
      before = view.counts['frame'] ?? 0;
      await new Promise((resolve) => setTimeout(resolve, 20));
      view = await b.thread.view();
    }
    // what does not fit the receive buffer meanwhile is lost
    expect(view.counts['frame']).toBeLessThanOrEqual(10_000);
    expect(view.mostBetweenTicks).toBeGreaterThan(200);
    expect(view.mostBetweenTicks).toBeLessThanOrEqual(256);
    b.thread.want({});
    await b.thread.view();
    a.do(send(`02000000000b 02000000000a 0806 ${REQUEST}`));
    await b.wait('frame');
  });
});

/** RFC 1071, of octets in hexadecimal. */
function checksum(octets: string): string {
  const bytes = hex(octets);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return (~sum & 0xffff).toString(16).padStart(4, '0');
}
