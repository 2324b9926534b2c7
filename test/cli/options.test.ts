// What flags hold.

import { describe, expect, it } from 'vitest';
import { readAs, readInterface, readSocketAddress, readSocketAddresses } from '../../src/cli/options.ts';

describe('flags', () => {
  it('takes an address with its port, of both families', () => {
    expect(readSocketAddress('192.0.2.1:179')).toEqual({ address: '192.0.2.1', port: 179 });
    expect(readSocketAddresses('0.0.0.0:179,[2001:DB8::1]:0')).toEqual([
      { address: '0.0.0.0', port: 179 },
      { address: '2001:db8::1', port: 0 },
    ]);
  });

  it.each([
    '192.0.2.1',
    '192.0.2.1:',
    '192.0.2.1:65536',
    '010.0.0.1:179',
    'localhost:179',
    '::1:179',
    '[192.0.2.1]:179',
    '[::ffff:192.0.2.1]:179',
    '[fe80::1%eth0]:179',
    ':179',
    '',
  ])('refuses %j', (text) => {
    expect(() => readSocketAddress(text)).toThrow(`"${text}" is not ADDRESS:PORT`);
  });

  it('takes one name of an interface, not several in one', () => {
    expect(['eth0', 'br-1', 'eth0.100', 'wan@'].map(readInterface)).toEqual(['eth0', 'br-1', 'eth0.100', 'wan@']);
    expect(() => readInterface('eth0,eth1')).toThrow('"eth0,eth1" names several: give the flag once for each');
    for (const text of ['', '.', '..', 'a/b', 'eth0:1', 'eth 0', 'sixteen-octets-x'])
      expect(() => readInterface(text)).toThrow(`"${text}" is no name of an interface`);
  });

  it('takes AS numbers of four octets and no others', () => {
    expect([readAs('1'), readAs('4294967295')]).toEqual([1, 4294967295]);
    for (const text of ['0', '4294967296', '-1', '1.5', 'x', '']) expect(() => readAs(text)).toThrow('no AS number');
  });
});
