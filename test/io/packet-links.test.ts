// The links of a network namespace as the packet thread tells them, beside what `ip` was told to make: whole at the start,
// then after each change, and right again when the kernel had to drop notifications.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lacking } from '../interop/lacking.ts';
import { inside, ip } from '../interop/namespace.ts';
import { A, hasKind, PacketLab, type Probe } from './packet-lab.ts';
import { until } from './sockets.ts';

const cannot = lacking();
const hasBridge = cannot.length === 0 && hasKind('bridge');

describe.skipIf(cannot.length > 0)(`links ${cannot.join(', ')}`, () => {
  let lab: PacketLab;
  let a: Probe;
  beforeEach(() => {
    lab = new PacketLab();
    lab.up();
    a = lab.probe(lab.a);
  });
  afterEach(() => lab.down());

  it('are told whole: flags, addresses, kind and MAC', async () => {
    const index = Number(/^(\d+): eth0@/m.exec(inside(lab.a, ['ip', '-o', 'link']))?.[1]);
    expect(await a.link('eth0', ({ carrier }) => carrier)).toEqual({
      ...{ name: 'eth0', index, up: true, carrier: true, loopback: false, arp: true, mac: A.mac, kind: 'veth' },
      addresses: [
        { ip: A.ipv4, prefixLength: 24, tentative: false },
        { ip: A.ipv6, prefixLength: 64, tentative: false },
        { ip: A.linkLocal, prefixLength: 64, tentative: false },
      ],
      gateways: [],
    });
    expect(await a.link('lo')).toEqual({
      ...{ name: 'lo', index: 1, up: true, carrier: true, loopback: true, arp: false },
      addresses: [
        { ip: '127.0.0.1', prefixLength: 8, tentative: false },
        { ip: '::1', prefixLength: 128, tentative: false },
      ],
      gateways: [],
    });
  });

  it('appear, go down, change and vanish', async () => {
    await a.link('eth0');
    ip(lab.a, ['link add veth7 type veth peer name veth8']);
    expect(await a.link('veth7')).toMatchObject({ up: false, carrier: false, kind: 'veth' });
    ip(lab.a, ['link set veth7 arp on up', 'addr add 203.0.113.7/32 dev veth7']);
    await a.link('veth7', ({ up, addresses }) => up && addresses.some((each) => each.ip === '203.0.113.7'));
    ip(lab.a, ['link set veth7 address 02:00:00:00:00:77', 'addr del 203.0.113.7/32 dev veth7']);
    await a.link(
      'veth7',
      ({ mac, addresses }) => mac === '02:00:00:00:00:77' && addresses.every((each) => /^fe80/.test(each.ip)),
    );
    ip(lab.a, ['link set veth7 arp off']);
    await a.link('veth7', ({ arp }) => !arp);
    ip(lab.a, ['link set veth7 down']);
    await a.link('veth7', ({ up, carrier, addresses }) => !up && !carrier && addresses.length === 0);
    ip(lab.a, ['link del veth7']);
    await until('it is gone', () =>
      a
        .all('links')
        .at(-1)
        ?.links.some(({ name }) => name === 'veth7')
        ? undefined
        : true,
    );
  });

  it('lose their carrier with the other end, and get it again', async () => {
    await a.link('eth0', ({ carrier }) => carrier);
    ip(lab.b, ['link set eth0 down']);
    await a.link('eth0', ({ up, carrier }) => up && !carrier);
    ip(lab.b, ['link set eth0 up']);
    await a.link('eth0', ({ up, carrier }) => up && carrier);
  });

  it('get another name', async () => {
    const { index } = await a.link('eth0');
    ip(lab.a, ['link set eth0 down', 'link set eth0 name wan0', 'link set wan0 up']);
    expect((await a.link('wan0', ({ up }) => up)).index).toBe(index);
    expect(
      a
        .all('links')
        .at(-1)
        ?.links.map(({ name }) => name),
    ).not.toContain('eth0');
  });

  it.skipIf(!hasBridge)(
    '(with bridges in this kernel) are ports of a bridge, and leaving it is not vanishing',
    async () => {
      ip(lab.a, ['link add br0 type bridge', 'link set br0 up', 'link set eth0 master br0']);
      await a.link('eth0', ({ master }) => master?.name === 'br0' && master.kind === 'bridge');
      expect(await a.link('br0')).toMatchObject({ kind: 'bridge', arp: true });
      ip(lab.a, ['link set eth0 nomaster']);
      await a.link('eth0', ({ master }) => master === undefined);
      ip(lab.a, ['addr add 192.0.2.17/32 dev eth0']);
      await a.link('eth0', ({ addresses }) => addresses.some((each) => each.ip === '192.0.2.17'));
    },
  );

  it('name the gateways of their default routes, the preferred ones first', async () => {
    ip(lab.a, ['route add default via 192.0.2.253 metric 200', 'route add default via 192.0.2.254 metric 100']);
    ip(lab.a, ['route add default via 192.0.2.251 table 99', 'route add default via 2001:db8::fe']);
    ip(lab.a, ['route add 198.51.100.0/24 via 192.0.2.77']);
    const told = ['192.0.2.254', '192.0.2.253', '192.0.2.251', '2001:db8::fe'];
    await a.link('eth0', ({ gateways }) => gateways.join() === told.join());
    ip(lab.a, ['route del default via 192.0.2.254']);
    await a.link('eth0', ({ gateways }) => gateways.join() === told.slice(1).join());
    // IPv4's go without a word
    ip(lab.a, ['link set eth0 down']);
    await a.link('eth0', ({ up, gateways }) => !up && gateways.length === 0);
    ip(lab.a, ['link set eth0 up', 'route add default nexthop via 192.0.2.2 dev eth0 nexthop via 192.0.2.3 dev eth0']);
    await a.link('eth0', ({ gateways }) => gateways.join() === '192.0.2.2,192.0.2.3');
  });

  it('that change a thousand times at once are told of a few times, and right in the end', async () => {
    await a.link('eth0');
    const before = a.all('links').length;
    const lines = Array.from({ length: 500 }, (_, i) => `203.0.113.${i % 250}/32 dev eth0`);
    ip(
      lab.a,
      lines.flatMap((line) => [`addr add ${line}`, `addr del ${line}`]),
    );
    ip(lab.a, ['addr add 203.0.113.255/32 dev eth0']);
    const { addresses } = await a.link('eth0', (link) => link.addresses.some((each) => each.ip === '203.0.113.255'));
    expect(addresses).toHaveLength(4);
    expect(a.all('links').length - before).toBeLessThan(60);
  });

  it('are asked for again when notifications were lost', async () => {
    await a.link('eth0');
    ip(lab.a, ['link add veth7 type veth peer name veth8', 'link set veth7 up']);
    await a.link('veth7', ({ up }) => up);
    a.thread.want({ stallMs: 1_500 });
    // far more than a receive buffer holds
    const flap = Array.from({ length: 250 }, (_, i) => `203.0.113.${i}/32 dev eth0`);
    for (let round = 0; round < 20; round++)
      ip(lab.a, [...flap.map((line) => `addr add ${line}`), ...flap.map((line) => `addr del ${line}`)]);
    ip(lab.a, ['link del veth7', 'addr add 203.0.113.255/32 dev eth0', 'route add default via 192.0.2.254']);
    const told = await a.link('eth0', ({ gateways, addresses }) => gateways.length === 1 && addresses.length === 4);
    expect(told.addresses.map((each) => each.ip)).toContain('203.0.113.255');
    expect(
      a
        .all('links')
        .at(-1)
        ?.links.map(({ name }) => name),
    ).not.toContain('veth7');
  });
});
