// What a LAN has on it besides speakers, and what main says of it: interfaces that serve or do not, IPv6, a gateway, strangers,
// MetalLB, addresses on interfaces of the node, two networks at once, many addresses and many speakers.

import { describe, expect, it } from 'vitest';
import * as arp from '../../src/l2/arp.ts';
import { deriveKey, encode } from '../../src/l2/claim.ts';
import * as ndp from '../../src/l2/ndp.ts';
import type { Statement } from '../../src/l2/statement.ts';
import { stationOf } from '../../src/l2/statement.ts';
import type { LinksReport } from '../../src/links.ts';
import type { Mac } from '../../src/net/address.ts';
import { answerers, cluster, nodeOf, orderOf, publish, startAll, VIP, viewOf, wantedBy, watch } from './lan.ts';
import type { Host, Port } from './world.ts';
import { ip, port } from './world.ts';

const told = (host: Host, report: LinksReport['report']) => host.reports.filter((each) => each.report === report);
const VIP6 = ip('2001:db8::100');
const frames = (host: Host) => host.sent.flatMap(({ effect }) => (effect.do === 'frame-send' ? [effect] : []));

describe('interfaces that serve', () => {
  const others: [string, Partial<Port>][] = [
    ['loopback', { loopback: true }],
    ['down', { up: false }],
    ['without ARP', { arp: false }],
    ['a port of a bridge', { master: { name: 'br0', kind: 'bridge' } }],
    ['a port of a bond', { master: { name: 'bond0', kind: 'bond' } }],
    ['a port of a VRF', { master: { name: 'red', kind: 'vrf' } }],
  ];

  it.each(others)('is none that is %s', (_, change) => {
    const self = cluster(1, 2, (at) => [{ ...port('eth1', 'second', at + 40, `203.0.113.${at + 1}/24`), ...change }]);
    startAll(self);
    self.world.run(3_000);
    for (const node of self.nodes) {
      expect(told(node, 'l2-links').at(-1)).toMatchObject({ serving: ['eth0'], known: ['eth0', 'eth1'] });
    }
    expect(answerers(self).length).toBe(1);
  });

  it('is none without an Ethernet address, and none whose name is excluded', () => {
    const { mac: _, ...tunnel } = port('tunl0', 'second', 40, '203.0.113.1/24');
    const self = cluster(1, 1, () => [tunnel, port('cali123', 'second', 41), port('eth1', 'second', 42)]);
    self.layer2 = (wanted) => ({ ...wanted, excluded: ['^cali.*', 'h1$'] });
    startAll(self);
    expect(self.nodes.flatMap((node) => told(node, 'l2-links'))).toMatchObject([
      { serving: ['eth0'], known: ['eth0', 'tunl0'] },
    ]);
  });

  it('are those that the advertisement names, for its addresses', () => {
    const self = cluster(2, 2, (at) => [port('eth1', 'second', at + 40, `203.0.113.${at + 1}/24`)]);
    self.vips = [VIP, ip('203.0.113.100')];
    self.address = (each) => ({ ...each, interfaces: each.ip === VIP ? ['eth0'] : ['eth1', 'eth7'] });
    startAll(self);
    self.world.run(5_000);
    const on = (address = VIP, lan = 'lan') => answerers(self, address, lan).length;
    expect([on(), on(VIP, 'second'), on(ip('203.0.113.100')), on(ip('203.0.113.100'), 'second')]).toEqual([1, 0, 0, 1]);
    self.address = (each) => ({ ...each, interfaces: ['eth1'] });
    publish(self);
    self.world.run(3_000);
    expect([on(), on(VIP, 'second')]).toEqual([0, 1]);
  });

  it('no address is named for: nothing is opened there; the last one gone, the others are told, and it is closed', () => {
    const self = cluster(17, 3, (at) => [port('eth1', 'second', at + 40, `203.0.113.${at + 1}/24`)]);
    self.address = (each) => ({ ...each, interfaces: ['eth0'] });
    startAll(self);
    self.world.run(5_000);
    for (const node of self.nodes) expect([...node.frames]).toEqual(['eth0']);
    const owner = nodeOf(self, answerers(self)[0]);
    self.world.want(owner, { sessions: new Map() });
    const { none, two, last } = watch(self, 1_000);
    expect([none <= 20, two, last.length]).toEqual([true, 0, 1]);
    expect(last).not.toEqual([owner.name]);
    self.world.run(10_000);
    expect([[...owner.frames], [...owner.sockets.keys()], viewOf(self, owner).lans]).toEqual([[], [], []]);
    publish(self);
    self.world.run(3_000);
    expect([...owner.sockets.keys()]).toEqual(['speakers/ipv4', 'speakers/ipv6']);
    expect(answerers(self)).toEqual(last);
  });

  it('all MACs of a node are its own: two of its interfaces on one segment are no conflict', () => {
    const self = cluster(3, 2, (at) => [port('eth1', 'lan', at + 40, `192.0.2.${at + 50}/24`)]);
    startAll(self);
    self.world.run(10_000);
    for (const node of self.nodes) {
      expect(told(node, 'l2-stranger').concat(told(node, 'l2-conflict'))).toEqual([]);
    }
    // each of its interfaces is a station of its own
    expect(viewOf(self, nodeOf(self, 'node-a')).lans.map(({ segment }) => segment?.members.length)).toEqual([2, 2]);
  });
});

describe('IPv6', () => {
  it('an address is answered by one, in its group, on a LAN without any IPv4', () => {
    const self = cluster(4, 0);
    for (let at = 0; at < 3; at++) {
      self.nodes.push(self.world.host(`node-${'abc'[at]}`, port('eth0', 'lan', at + 1, `fe80::${at + 1}/64`)));
    }
    self.vips = [VIP6];
    self.withLiveness = (wanted) => ({ ...wanted, controls: [ip('2001:db8::fe'), ip('2001:db8::ff')] });
    startAll(self);
    self.world.run(5_000);
    const [owner, ...more] = answerers(self, VIP6);
    expect(more).toEqual([]);
    const host = nodeOf(self, owner);
    expect([...host.groups]).toEqual(['eth0 ff02::1:ff00:100']);
    host.sent.length = 0;
    const question = ndp.question('02:00:00:00:00:c8' as Mac, VIP6, ip('fe80::c8'));
    self.world.give(host, { on: 'frame', link: 'eth0', bytes: question });
    const answered = ndp.decode(frames(host)[0]?.bytes ?? new Uint8Array());
    expect(answered).toMatchObject({ message: { is: 'advertisement', solicited: true, override: true, target: VIP6 } });
    self.world.kill(host, 'power');
    expect(watch(self, 2_000, VIP6)).toMatchObject({ two: 0, last: [expect.any(String)] });
  });

  it('the link-local address comes later than the interface: the groups are joined then', () => {
    const self = cluster(5, 1);
    self.liveness = false;
    self.vips = [VIP6];
    const [node] = self.nodes;
    const [eth0] = node?.ports ?? [];
    if (node === undefined || eth0 === undefined) throw new Error('no node');
    node.ports = [{ ...eth0, addresses: eth0.addresses.slice(0, 1) }];
    startAll(self);
    self.world.run(1);
    expect([...node.groups]).toEqual([]);
    self.world.change(node, 'eth0', { addresses: eth0.addresses });
    expect([...node.groups]).toEqual(['eth0 ff02::1:ff00:100']);
  });
});

describe('a link that is replaced by one of the same name, between two looks', () => {
  it.each([true, false])('is served anew, its groups joined again (with liveness: %s)', (liveness) => {
    const self = cluster(16, liveness ? 2 : 1);
    self.liveness = liveness;
    self.vips = [VIP6];
    self.withLiveness = (wanted) => ({ ...wanted, controls: [] });
    startAll(self);
    self.world.run(5_000);
    const owner = nodeOf(self, answerers(self, VIP6)[0]);
    const before = owner.sent.length;
    for (const other of self.nodes) if (other !== owner) self.world.kill(other);
    self.world.change(owner, 'eth0', { index: 77 });
    self.world.run(3_000);
    const joined = owner.sent
      .slice(before)
      .flatMap(({ effect }) => (effect.do.startsWith('group-') ? [effect.do] : []));
    expect(joined).toEqual(['group-leave', 'group-join']);
    expect(answerers(self, VIP6)).toEqual([owner.name]);
  });
});

describe('what else is on the LAN', () => {
  it('a gateway is asked whether it has taken in that an address moved, and told of when it is lost', () => {
    const self = cluster(6, 2);
    const gateway = self.world.host('gateway', port('eth0', 'lan', 254, '192.0.2.254/24'));
    for (const node of self.nodes) node.ports = node.ports.map((each) => ({ ...each, gateways: [ip('192.0.2.254')] }));
    startAll(self);
    self.world.run(6_000);
    const owner = nodeOf(self, answerers(self)[0]);
    expect(told(owner, 'l2-confirmation').at(-1)).toMatchObject({ ip: VIP, verdict: 'confirmed', segment: 'eth0' });
    gateway.powered = false;
    self.world.run(3_000);
    expect(told(owner, 'l2-gateway')).toMatchObject([{ ip: '192.0.2.254', ok: false }]);
    expect(answerers(self)).toEqual([owner.name]);
  });

  it('a gateway of both families is asked in each about the addresses of that family', () => {
    const self = cluster(6, 2);
    self.world.host('gateway', port('eth0', 'lan', 254, '192.0.2.254/24', 'fe80::fe/64'));
    const gateways = [ip('fe80::fe'), ip('192.0.2.254')];
    for (const node of self.nodes) node.ports = node.ports.map((each) => ({ ...each, gateways }));
    self.vips = [VIP, VIP6];
    startAll(self);
    self.world.run(6_000);
    for (const each of self.vips) {
      const owner = nodeOf(self, answerers(self, each)[0]);
      const said = told(owner, 'l2-confirmation').filter((report) => 'ip' in report && report.ip === each);
      expect(said).toMatchObject([{ verdict: 'confirmed', segment: 'eth0' }]);
    }
  });

  it('a stranger that has a new address is told of with its MAC, and nobody claims it', () => {
    const self = cluster(7, 3);
    startAll(self);
    self.world.run(5_000);
    const printer = ip('192.0.2.150');
    self.world.host('printer', port('eth0', 'lan', 150, '192.0.2.150/24'));
    self.vips = [VIP, printer];
    publish(self);
    self.world.run(5_000);
    expect(answerers(self, printer)).toEqual([]);
    const said = self.nodes.flatMap((node) => told(node, 'l2-stranger'));
    expect(said[0]).toMatchObject({ ip: printer, mac: '02:00:00:00:00:96', claimed: false, segment: 'eth0' });
    expect(answerers(self).length).toBe(1);
  });

  it('an address that MetalLB may answer for is left alone until it may not', () => {
    const self = cluster(8, 3);
    self.address = (each) => ({ ...each, foreign: true });
    startAll(self);
    self.world.run(5_000);
    expect(answerers(self)).toEqual([]);
    self.address = (each) => each;
    publish(self);
    self.world.run(2_000);
    expect(answerers(self).length).toBe(1);
  });

  it('an address on an interface of the node is served, and said once', () => {
    const dummy = (): Port => ({ ...port('kube-ipvs0', '', 99, '192.0.2.100/32'), kind: 'dummy', arp: false });
    const self = cluster(9, 3, () => [dummy()]);
    self.vips = [VIP];
    startAll(self);
    self.world.run(5_000);
    // the kernels of the others answer as well, and are none of ours that claims it
    expect(answerers(self).length).toBe(1);
    publish(self);
    for (const node of self.nodes) {
      expect(told(node, 'l2-own-address')).toMatchObject([{ link: 'kube-ipvs0', ip: VIP, addresses: 1 }]);
      expect(viewOf(self, node).lans[0]?.segment?.members.map(({ heard }) => heard)).toEqual([true, true]);
    }
  });

  it('a frame for nobody here, and one that is none, are counted', () => {
    const self = cluster(10, 1);
    startAll(self);
    const [node] = self.nodes;
    if (node === undefined) throw new Error('no node');
    const mac = '02:00:00:00:00:c8' as Mac;
    const bytes = arp.question(mac, ip('192.0.2.77'), arp.BROADCAST, ip('192.0.2.200'));
    self.world.give(node, { on: 'frame', link: 'eth0', bytes });
    self.world.give(node, { on: 'frame', link: 'eth0', bytes: bytes.subarray(0, 30) });
    self.world.give(node, { on: 'frame', link: 'gone0', bytes });
    expect(viewOf(self, node).lans[0]?.responder.drops).toMatchObject({ announceIP: 1, length: 1 });
  });

  it('a datagram on the speakers’ port that is no speaker’s, or came from afar, is counted', () => {
    const self = cluster(11, 2);
    startAll(self);
    self.world.run(3_000);
    const [a, b] = self.nodes;
    if (a === undefined || b === undefined) throw new Error('no nodes');
    const claims = b.sent.flatMap(({ effect }) =>
      effect.do === 'udp-send' && (effect.bytes[0] ?? 0) >> 5 === 2 ? [effect.bytes] : [],
    );
    const bytes = claims.at(-1) ?? new Uint8Array();
    const changed = bytes.slice();
    changed[40] = (changed[40] ?? 0) ^ 1;
    const datagram = {
      socket: 'speakers/ipv4',
      from: { address: ip('192.0.2.2'), port: 7946 },
      to: ip('192.0.2.1'),
    } as const;
    const give = (link: string, ttl: number, octets: Uint8Array) =>
      self.world.give(a, { on: 'datagram', ...datagram, link, ttl, bytes: octets });
    give('eth0', 254, bytes);
    give('eth9', 255, bytes);
    give('eth0', 255, changed);
    give('eth0', 255, Uint8Array.of(0x20, 0, 0));
    give('eth9', 255, Uint8Array.of(0x20, 0, 0));
    give('eth0', 255, new Uint8Array());
    expect(viewOf(self, a).speakerDrops).toEqual({ ttl: 1, link: 1, digest: 1, 'bfd-length': 2, 'bfd-link': 1 });
    const replayed = () => viewOf(self, a).lans[0]?.segment?.drops.replayed ?? 0;
    const before = replayed();
    give('eth0', 255, bytes);
    expect(replayed()).toBe(before + 1);
  });
});

describe('speakers that are not known', () => {
  it('are found by multicast where their Pod has no address on the LAN', () => {
    const self = cluster(12, 3);
    self.withLiveness = (wanted, host) => ({
      ...wanted,
      speakers: new Map(self.nodes.map(({ name }, at) => [name, [ip(`10.9.9.${at + 1}`)]])),
      nodes: new Map([[host.name, ip('10.9.9.9')]]),
    });
    startAll(self);
    self.world.run(3_000);
    for (const node of self.nodes) {
      expect(viewOf(self, node).lans[0]?.segment?.members.map(({ heard }) => heard)).toEqual([true, true]);
    }
  });

  it('are told nothing of an interface that nothing is plugged into', () => {
    const self = cluster(18, 2, (at) => [
      { ...port('eth1', 'second', at + 40, `203.0.113.${at + 1}/24`), carrier: false },
    ]);
    self.world.routed = true;
    startAll(self);
    self.world.run(20_000);
    for (const node of self.nodes) expect(viewOf(self, node).speakerDrops).toEqual({});
    expect(viewOf(self, nodeOf(self, 'node-a')).lans.map(({ segment }) => segment?.carrier)).toEqual([true, false]);
  });

  it('are looked for often at first, then seldom', () => {
    const self = cluster(13, 1);
    self.withLiveness = (wanted) => ({ ...wanted, speakers: new Map([['gone', [ip('10.9.9.1')]]]) });
    startAll(self);
    const [node] = self.nodes;
    const sent = () => (node?.sent ?? []).filter(({ effect }) => effect.do === 'udp-send').length;
    self.world.run(10_000);
    const first = sent();
    expect(first).toBeGreaterThan(15);
    self.world.run(60_000);
    expect(sent() - first).toBeLessThanOrEqual(14);
  });
});

describe('nodes that are no more', () => {
  it('are forgotten after ten minutes, and are new when they come back', () => {
    const self = cluster(19, 3);
    startAll(self);
    self.world.run(5_000);
    const [first, second, third] = orderOf(self);
    if (first === undefined || second === undefined || third === undefined) throw new Error('too few');
    self.world.kill(first, 'power');
    self.world.run(605_000);
    for (const node of [second, third]) {
      expect(viewOf(self, node).lans[0]?.segment?.members.map(({ heard }) => heard)).toEqual([true]);
      expect(viewOf(self, node).lans[0]?.speakers.length).toBe(1);
    }
    self.world.start(first, wantedBy(self, first));
    self.world.run(3_000);
    for (const node of self.nodes) {
      expect(viewOf(self, node).lans[0]?.segment?.members.map(({ heard }) => heard)).toEqual([true, true]);
    }
    expect(answerers(self).length).toBe(1);
  });
});

describe('many', () => {
  it('a thousand addresses on a node that dies cost 1,500 frames besides announcements; the last is answered within 2 s', () => {
    const self = cluster(14, 3);
    self.vips = Array.from({ length: 1_000 }, (_, at) => ip(`198.51.${100 + (at >> 8)}.${at & 255}`));
    const [owner] = orderOf(self);
    const order = orderOf(self).map(({ name }) => ({ node: name, score: 0 }));
    self.address = (each) => ({ ...each, candidates: order, established: true });
    startAll(self);
    self.world.run(6_000);
    expect(self.vips.filter((vip) => answerers(self, vip).join() === owner?.name).length).toBeGreaterThan(300);
    for (const node of self.nodes) node.sent.length = 0;
    if (owner !== undefined) self.world.kill(owner, 'power');
    self.world.run(2_000);
    expect(self.vips.every((vip) => answerers(self, vip).length === 1)).toBe(true);
    const questions = self.nodes.flatMap(frames).filter(({ bytes }) => {
      const decoded = arp.decode(bytes);
      return !('drop' in decoded) && decoded.frame.senderIp === '0.0.0.0';
    });
    expect(questions.length).toBeLessThanOrEqual(1_500);
    self.world.run(5_000);
    const announced = new Set(
      self.nodes.flatMap(frames).flatMap(({ bytes }) => {
        const decoded = arp.decode(bytes);
        return 'drop' in decoded || decoded.frame.senderIp !== decoded.frame.targetIp ? [] : [decoded.frame.senderIp];
      }),
    );
    expect(announced.size).toBe(1_000);
    // at 500 a second most of them had to wait
    const paced = self.nodes
      .slice(0, 3)
      .flatMap((node) =>
        node.machine === undefined ? [] : viewOf(self, node).lans.map(({ responder }) => responder.paced),
      );
    expect(paced.reduce((sum, each) => sum + each, 0)).toBeGreaterThan(1_000);
  }, 60_000);

  it('of seventy speakers eight are watched by BFD: four on either side of the ring', () => {
    const self = cluster(15, 1);
    startAll(self);
    const [node] = self.nodes;
    if (node === undefined) throw new Error('no node');
    const names = Array.from({ length: 69 }, (_, at) => `speaker-${at}`);
    const key = deriveKey(Buffer.from('first'), 'claims', 32);
    const tell = (name: string, at: number, sequence: number) => {
      const from = ip(`192.0.2.${at + 100}`);
      const statement: Statement = {
        ...{ node: name, link: 'eth0', here: true, incarnation: 1, sequence, clock: 0, part: 0, address: from },
        ...{ macs: [], ready: true, gatewayOk: true, leaving: false, goodbye: false, asks: false },
        ...{ sightings: [], rows: [] },
      };
      const [bytes = new Uint8Array()] = encode(statement, key);
      const datagram = { socket: 'speakers/ipv4', from: { address: from, port: 7946 }, to: ip('192.0.2.1') } as const;
      self.world.give(node, { on: 'datagram', ...datagram, link: 'eth0', ttl: 255, bytes });
    };
    // those that were watched while there were fewer may still watch us: BFD goes on with them for a while
    for (let second = 1; second <= 33; second++) {
      names.forEach((name, at) => void tell(name, at, second));
      self.world.run(1_000);
      const running = viewOf(self, node).lans[0]?.speakers.length;
      if (second < 30) expect(running).toBeGreaterThan(60);
    }
    const [lan] = viewOf(self, node).lans;
    expect(lan?.segment?.members.length).toBe(69);
    const ring = [node.name, ...names].map((name) => stationOf(name, 'eth0')).sort();
    const at = ring.indexOf(stationOf(node.name, 'eth0'));
    const near = [-4, -3, -2, -1, 1, 2, 3, 4].map((apart) => `eth0/${ring.at((at + apart) % ring.length)}`);
    expect(lan?.speakers.map(({ session }) => session).sort()).toEqual(near.sort());
  });
});
