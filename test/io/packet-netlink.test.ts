// Netlink's messages as octets: what a kernel sent, cut and changed at will, never throws and never reads elsewhere.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode, encodeDump } from '../../src/io/packet/netlink.ts';
import { hex } from './packet-lab.ts';

/** RTM_NEWLINK of a loopback interface and RTM_NEWADDR of 127.0.0.1/8, laid out by rtnetlink(7). */
const LINK = hex(`
  2c000000 1000 0200 00000000 00000000  00 00 0403 01000000 49000100 00000000
  0700 0300 6c6f0000  0500 1000 00000000`);
LINK[0] = LINK.length;
const ADDRESS = hex(`
  28000000 1400 0200 00000000 00000000  02 08 80 fe 01000000
  0800 0100 7f000001  0800 0200 7f000001`);
/** RTM_NEWROUTE 0.0.0.0/0 via 192.0.2.254 metric 100 over 7 in the main table. */
const ROUTE = hex(`
  34000000 1800 0200 00000000 00000000  02 00 00 00 fe 03 00 01 00000000
  0800 0500 c00002fe  0800 0400 07000000  0800 0600 64000000`);
const flags = { isDump: true, isInterrupted: false };

describe('netlink messages', () => {
  it('are read one after another', () => {
    expect(decode(Buffer.concat([LINK, ADDRESS, ROUTE]))).toEqual([
      {
        ...{ is: 'link', gone: false, flags },
        link: { index: 1, name: 'lo', up: true, carrier: true, loopback: true, arp: false },
      },
      {
        ...{ is: 'address', gone: false, flags },
        address: { index: 1, ip: '127.0.0.1', prefixLength: 8, tentative: false },
      },
      { ...{ is: 'route', gone: false, flags }, hops: [{ index: 7, ip: '192.0.2.254', main: true, metric: 100 }] },
    ]);
  });

  it('ask for all of one kind', () => {
    expect(encodeDump('addresses').toString('hex')).toBe(`18000000160001030000000000000000${'00'.repeat(8)}`);
    expect(encodeDump('routes').toString('hex')).toBe(`1c0000001a0001030000000000000000${'00'.repeat(12)}`);
  });

  it('that are cut or wrong are left out', () => {
    const all = Buffer.concat([LINK, ADDRESS, ROUTE]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(all.length - 1), fc.nat(255)), { maxLength: 8 }),
        fc.nat(all.length),
        (changes, length) => {
          const bytes = Buffer.from(all);
          for (const [at, value] of changes) bytes[at] = value;
          expect(decode(bytes.subarray(0, length)).length).toBeLessThanOrEqual(12);
        },
      ),
      { seed: 1, numRuns: 5_000 },
    );
  });
});
