// What an interface offers as next hops, from the shapes that os.networkInterfaces answers.

import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import { connectedSubnets, linkOf } from '../../src/io/link.ts';
import type { Ip } from '../../src/net/address.ts';

const info = (address: string, internal = false) => ({ address, internal }) as NetworkInterfaceInfo;
const lo = [info('127.0.0.1', true), info('::1', true)];
const ip = (text: string) => text as Ip;

describe('the link of a connection', () => {
  it('is the interface of the local address, with its global addresses and its link-local one', () => {
    const eth0 = [info('192.0.2.10'), info('192.0.2.11'), info('2001:DB8:0::10'), info('fe80::1%eth0')];
    expect(linkOf(ip('192.0.2.11'), { lo, eth0 })).toEqual({
      name: 'eth0',
      ipv4: ['192.0.2.10', '192.0.2.11'],
      ipv6: ['2001:db8::10'],
      linkLocal: 'fe80::1',
    });
    expect(linkOf(ip('fe80::1'), { lo, eth0 })?.name).toBe('eth0');
    // VLANs of one interface have its MAC, and so its link-local address
    const vlans = { 'eth0.1': eth0, 'eth0.2': eth0 };
    expect(linkOf(ip('fe80::1'), vlans, 'eth0.2')?.name).toBe('eth0.2');
    expect(linkOf(ip('fe80::1'), vlans, 'gone')?.name).toBe('eth0.1');
  });

  it('offers nothing of a family that the interface does not have', () => {
    expect(linkOf(ip('192.0.2.10'), { lo, eth0: [info('192.0.2.10')] })).toEqual({
      name: 'eth0',
      ipv4: ['192.0.2.10'],
      ipv6: [],
    });
  });

  it('is undefined when no interface has the address', () => {
    expect(linkOf(ip('192.0.2.10'), { lo })).toBeUndefined();
  });

  it('offers the loopback addresses to sessions within the machine alone', () => {
    expect(linkOf(ip('127.0.0.2'), { lo })).toEqual({ name: 'lo', ipv4: ['127.0.0.2'], ipv6: ['::1'] });
    expect(linkOf(ip('::1'), { lo })).toEqual({ name: 'lo', ipv4: ['127.0.0.1'], ipv6: ['::1'] });
    const routed = [...lo, info('198.51.100.1'), info('2001:db8::1')];
    expect(linkOf(ip('198.51.100.1'), { lo: routed })).toEqual({
      name: 'lo',
      ipv4: ['198.51.100.1'],
      ipv6: ['2001:db8::1'],
    });
    expect(linkOf(ip('198.51.100.1'), { lo: [...lo, info('198.51.100.1')] })?.ipv6).toEqual([]);
  });
});

describe('the subnets of this machine', () => {
  const on = (...cidrs: readonly (string | null)[]) => cidrs.map((cidr) => ({ cidr }) as NetworkInterfaceInfo);

  it('are those of its addresses, each once; an address by itself is on none', () => {
    const interfaces = {
      lo: on('127.0.0.1/8', '::1/128', '203.0.113.9/32'),
      eth0: on('192.0.2.10/24', '192.0.2.11/24', '2001:db8::10/64'),
      eth1: on('10.1.2.3/30', null),
    };
    expect(connectedSubnets(interfaces)).toEqual(['10.1.2.0/30', '127.0.0.0/8', '192.0.2.0/24', '2001:db8::/64']);
  });
});
