// Datagrams of the packet thread on real sockets, in network namespaces: TTL, destination, link and source both ways, and
// what the kernel says when it refuses. tcpdump is the witness of what left, where the other end is our own.

import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Ip } from '../../src/net/address.ts';
import type { PacketEffect } from '../../src/net/packet-io.ts';
import { lacking } from '../interop/lacking.ts';
import { inside, ip } from '../interop/namespace.ts';
import { A, address, B, hasKind, PacketLab, type Probe, udp } from './packet-lab.ts';
import { until } from './sockets.ts';

const cannot = lacking('tcpdump');
const hasVrf = cannot.length === 0 && hasKind('vrf table 100');
const bytes = Uint8Array.of(1, 2, 3);
const addr = (text: string) => text as Ip;

describe.skipIf(cannot.length > 0)(`datagrams ${cannot.join(', ')}`, () => {
  let lab: PacketLab;
  let a: Probe;
  let b: Probe;
  beforeEach(() => {
    lab = new PacketLab();
    lab.up();
    [a, b] = [lab.probe(lab.a), lab.probe(lab.b)];
  });
  afterEach(() => lab.down());

  const open = (socket: string, more = {}): PacketEffect => ({ do: 'udp-open', socket, options: udp(more) });
  const send = (to: string, more: Partial<PacketEffect & { do: 'udp-send' }> = {}): PacketEffect => ({
    ...{ do: 'udp-send', socket: 'out', to: address(to, 4000), bytes },
    ...more,
  });

  it.each([
    ['ipv4', A.ipv4, B.ipv4, 255],
    ['ipv4', A.ipv4, B.ipv4, 7],
    ['ipv6', A.ipv6, B.ipv6, 255],
    ['ipv6', A.ipv6, B.ipv6, 7],
  ] as const)('of %s come with their TTL, destination, link, and a port above 49151', async (family, from, to, ttl) => {
    await b.open(open('in', { family }));
    await a.open(open('out', { family, port: 'dynamic', ttl }));
    a.do(send(to));
    const got = await b.wait('datagram');
    expect(got).toMatchObject({ socket: 'in', to, link: 'eth0', ttl, from: { address: from } });
    expect([...got.bytes]).toEqual([1, 2, 3]);
    expect(got.from.port).toBeGreaterThanOrEqual(49_152);
  });

  it('leave with a TTL of their own where they have one', async () => {
    await b.open(open('in'));
    await a.open(open('out', { port: 'dynamic' }));
    a.do(send(B.ipv4, { ttl: 3 }), send(B.ipv4));
    await until('both', () => (b.all('datagram').length === 2 ? true : undefined));
    expect(b.all('datagram').map(({ ttl }) => ttl)).toEqual([3, 255]);
  });

  it('leave from the source and over the link that they are given, whatever the routes say', async () => {
    ip(undefined, [`link add eth1 netns ${lab.a} type veth peer name eth1 netns ${lab.b}`]);
    ip(lab.a, ['link set eth1 up', 'addr add 192.0.2.11/32 dev eth1', 'addr add 192.0.2.12/24 dev eth0']);
    ip(lab.b, ['link set eth1 up', 'addr add 192.0.2.22/32 dev eth1', 'route add 192.0.2.11/32 dev eth1']);
    await b.open(open('in'));
    await a.link('eth1', ({ addresses, carrier }) => carrier && addresses.some((each) => each.ip === '192.0.2.11'));
    await a.open(open('out', { port: 'dynamic' }));
    // by its routes this would be asked for on eth0, where nobody has it
    a.do(send('192.0.2.22', { link: 'eth1', source: addr('192.0.2.11') }));
    expect(await b.wait('datagram')).toMatchObject({ link: 'eth1', to: '192.0.2.22', from: { address: '192.0.2.11' } });
    a.do(send(B.ipv4, { source: addr('192.0.2.12') }));
    const second = await b.wait('datagram', ({ link }) => link === 'eth0');
    expect(second).toMatchObject({ from: { address: '192.0.2.12' } });
  });

  it('go to link-local addresses and to groups of a link', async () => {
    await b.open(open('in', { family: 'ipv6' }));
    await a.open(open('out', { family: 'ipv6', port: 'dynamic' }));
    a.do(send(B.linkLocal, { link: 'eth0' }));
    const got = await b.wait('datagram');
    expect(got).toMatchObject({ to: B.linkLocal, link: 'eth0', from: { address: A.linkLocal } });
    b.do({ do: 'group-join', link: 'eth0', group: addr('ff02::7946') });
    await until('the membership', () =>
      groups(lab.b).includes('ff020000000000000000000000007946') ? true : undefined,
    );
    a.do(send('ff02::7946', { link: 'eth0' }));
    expect(await b.wait('datagram', ({ to }) => to === 'ff02::7946')).toMatchObject({ link: 'eth0', ttl: 255 });
  });

  it('of IPv4 go to everybody on a link', async () => {
    await b.open(open('in'));
    await a.open(open('out', { port: 4000, device: 'eth0' }));
    a.do(send('255.255.255.255', { link: 'eth0', ttl: 1 }));
    expect(await b.wait('datagram')).toMatchObject({ to: '255.255.255.255', link: 'eth0', ttl: 1 });
  });

  it('are on the wire as tcpdump sees it: TTL 255, source port, source and destination', async () => {
    await a.open(open('out', { port: 'dynamic', local: addr(A.ipv4), device: 'eth0' }));
    const dump = spawn('nsenter', [`--net=/run/netns/${lab.b}`, 'tcpdump', '-nlvi', 'eth0', '-c', '1', 'udp'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const printed = text(dump.stdout);
    await new Promise((resolve) => dump.stderr.once('data', resolve));
    a.do(send(B.ipv4, { link: 'eth0' }));
    expect(await printed).toMatch(/ttl 255,.*\s+192\.0\.2\.1\.(49[2-9]|[56])\d+ > 192\.0\.2\.2\.4000: .*length 3/s);
  });

  it('reach of two sockets with one port the one that is bound to their link', async () => {
    ip(undefined, [`link add eth1 netns ${lab.a} type veth peer name eth1 netns ${lab.b}`]);
    ip(lab.a, ['link set eth1 up', 'addr add 203.0.113.1/24 dev eth1']);
    ip(lab.b, ['link set eth1 up', 'addr add 203.0.113.2/24 dev eth1']);
    await Promise.all([a, b].map((probe) => probe.link('eth1', (link) => link.carrier && link.addresses.length > 0)));
    await b.open(open('any'), open('eth1 only', { device: 'eth1' }));
    await a.open(open('out', { port: 'dynamic' }));
    a.do(send(B.ipv4), send('203.0.113.2'));
    await until('both', () => (b.all('datagram').length === 2 ? true : undefined));
    expect(b.all('datagram').map(({ socket, link }) => [socket, link])).toEqual([
      ['any', 'eth0'],
      ['eth1 only', 'eth1'],
    ]);
  });

  it.skipIf(!hasVrf)('of a VRF (in this kernel) come to its own socket, by the link that they came over', async () => {
    ip(undefined, [`link add eth1 netns ${lab.a} type veth peer name eth1 netns ${lab.b}`]);
    ip(lab.a, ['link set eth1 up', 'addr add 203.0.113.1/24 dev eth1']);
    ip(lab.b, ['link add red type vrf table 100', 'link set red up', 'link set eth1 master red up']);
    ip(lab.b, ['addr add 203.0.113.2/24 dev eth1']);
    await a.link('eth1', (link) => link.carrier && link.addresses.length > 0);
    const port = await b.link('eth1', (link) => link.carrier && link.addresses.length > 0);
    expect(port.master).toEqual({ name: 'red', kind: 'vrf' });
    await b.open(open('none'), open('red', { device: 'red' }));
    await a.open(open('out', { port: 4000 }));
    a.do(send('203.0.113.2'));
    expect(await b.wait('datagram')).toMatchObject({ socket: 'red', link: 'eth1', to: '203.0.113.2' });
    b.do({ do: 'udp-send', socket: 'red', to: address('203.0.113.1', 4000), bytes });
    expect(await a.wait('datagram')).toMatchObject({ from: { address: '203.0.113.2' } });
    b.do({ do: 'udp-send', socket: 'red', to: address('203.0.113.1', 4000), link: 'eth1', bytes });
    await until('the second', () => (a.all('datagram').length === 2 ? true : undefined));
  });

  it('are refused with the name of what the kernel refused, and the thread goes on', async () => {
    await a.open(open('one'));
    await b.open(open('in'));
    const refused = async (socket: string, more: object) => {
      a.do(open(socket, more));
      const { error } = await a.wait('socket', (event) => event.socket === socket);
      return `${error?.call} ${error?.code}: ${error?.text}`;
    };
    expect(await refused('away', { device: 'eth9' })).toMatch(/^interface ENODEV: eth9: no such device/);
    expect(await refused('not ours', { port: 5000, local: addr('192.0.2.99') })).toMatch(
      /^bind EADDRNOTAVAIL: 192\.0\.2\.99:5000: .*no interface of this node has this address/,
    );
    a.do({ do: 'udp-send', socket: 'one', to: address('198.51.100.1', 4000), bytes });
    expect(await a.wait('failed')).toMatchObject({
      ...{ effect: 'udp-send', about: 'one' },
      error: { call: 'sendmsg', code: 'ENETUNREACH', text: expect.stringContaining('one to 198.51.100.1') },
    });
    a.do({ do: 'udp-send', socket: 'one', to: address(B.ipv4, 4000), bytes });
    expect(await b.wait('datagram')).toMatchObject({ from: { address: A.ipv4, port: 4000 } });
  });

  it('are not read where another process has the port', async () => {
    const other = spawn('nsenter', [
      `--net=/run/netns/${lab.a}`,
      process.execPath,
      '-e',
      'require("dgram").createSocket({ type: "udp4", reuseAddr: true }).bind(4000, () => console.log("bound"))',
    ]);
    try {
      await new Promise((resolve) => other.stdout.once('data', resolve));
      a.do(open('taken'));
      const { error } = await a.wait('socket');
      expect(error).toMatchObject({ call: 'bind', code: 'EADDRINUSE' });
      expect(error?.text).toContain('another process has this address and port');
    } finally {
      other.kill('SIGKILL');
    }
  });

  it('of more than fits at once all come, in order, and a closed socket tells nothing more', async () => {
    await b.open(open('in'));
    await a.open(open('out', { port: 'dynamic' }));
    a.do(...Array.from({ length: 300 }, (_, i) => send(B.ipv4, { bytes: Uint8Array.of(i >> 8, i & 255) })));
    await until('300', () => (b.all('datagram').length === 300 ? true : undefined));
    expect(b.all('datagram').map(({ bytes: [high = 0, low = 0] }) => high * 256 + low)).toEqual(
      Array.from({ length: 300 }, (_, i) => i),
    );
    b.do({ do: 'udp-close', socket: 'in' }, open('other', { port: 4001 }));
    await b.wait('socket', ({ socket }) => socket === 'other');
    a.do(send(B.ipv4), { ...send(B.ipv4), to: address(B.ipv4, 4001) } as PacketEffect);
    await b.wait('datagram', ({ socket }) => socket === 'other');
    expect(b.all('datagram').filter(({ socket }) => socket === 'in')).toHaveLength(300);
  });
});

/** /proc/net/igmp6 of a namespace. */
function groups(namespace: string): string {
  return inside(namespace, ['cat', '/proc/net/igmp6']);
}
