// ARP and NDP frames against three oracles: what the Linux kernel sent, as tshark reads it; the figures of RFC 826 and RFC
// 4861 written down as octets; and the validity rules of RFC 4861 §7.1, with checksums worked out a second way.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as arp from '../../src/l2/arp.ts';
import * as ndp from '../../src/l2/ndp.ts';
import { type Ip, ipFromBytes, type Mac, macFromBytes } from '../../src/net/address.ts';
import { FRAMES } from './l2-captures.ts';
import { hex, toHex } from './octets.ts';

const SEED = { seed: 826, numRuns: 1_000 };
const MAC = '02:00:00:00:00:10' as Mac;
const HOST = { mac: '02:00:00:00:00:0a' as Mac, ip: '192.0.2.1' as Ip };
const HOST6 = { mac: HOST.mac, ip: '2001:db8::1' as Ip };
const LINK_LOCAL = 'fe80::ff:fe00:10' as Ip;

function readArp(bytes: Uint8Array): arp.ArpFrame {
  const result = arp.decode(bytes);
  if ('drop' in result) throw new Error(`dropped: ${result.drop}`);
  return result.frame;
}

function readNdp(bytes: Uint8Array): ndp.NdpMessage {
  const result = ndp.decode(bytes);
  if ('drop' in result) throw new Error(`dropped: ${result.drop}`);
  return result.message;
}

describe('frames of the Linux kernel', () => {
  it('are there, of every kind', () => {
    const kinds = FRAMES.map(([, seen]) => {
      if (seen.is === 'arp') return seen.senderIp === seen.targetIp ? 'gratuitous' : seen.operation;
      if (seen.is === 'solicitation') return seen.from === '::' ? 'dad' : 'solicitation';
      return seen.solicited ? 'solicited' : 'unsolicited';
    });
    expect([...new Set(kinds)].sort()).toEqual(
      ['dad', 'gratuitous', 'reply', 'request', 'solicitation', 'solicited', 'unsolicited'].sort(),
    );
  });

  it.each(FRAMES)('%s is read as tshark reads it', (capture, seen) => {
    const bytes = hex(capture);
    if (seen.is === 'arp') {
      const { is, ...fields } = seen;
      expect([arp.isArp(bytes), ndp.isIpv6(bytes)]).toEqual([true, false]);
      expect(readArp(bytes)).toEqual(fields);
    } else {
      expect([arp.isArp(bytes), ndp.isIpv6(bytes)]).toEqual([false, true]);
      expect(readNdp(bytes)).toEqual(seen);
    }
  });

  it.each(FRAMES)('%s is written octet for octet', (capture, seen) => {
    if (seen.is === 'arp') {
      expect(toHex(arp.encode(readArp(hex(capture))))).toBe(capture);
    } else if (seen.from !== '::') {
      // Duplicate Address Detection of Linux carries a nonce (RFC 7527), which is not ours to write
      expect(toHex(ndp.encode(readNdp(hex(capture))))).toBe(capture);
    }
  });
});

describe('the forms that are sent', () => {
  const vip = '198.51.100.7' as Ip;
  const vip6 = '2001:db8::a:b7' as Ip;
  const head = (to: string) => `${to} 020000000010 0806 0001 0800 06 04`;

  it.each([
    [
      'announcement, request',
      arp.announcement(MAC, vip, 'request'),
      `${head('ffffffffffff')} 0001 020000000010 c6336407 ffffffffffff c6336407`,
    ],
    [
      'announcement, reply',
      arp.announcement(MAC, vip, 'reply'),
      `${head('ffffffffffff')} 0002 020000000010 c6336407 ffffffffffff c6336407`,
    ],
    ['reply', arp.reply(MAC, vip, HOST), `${head('02000000000a')} 0002 020000000010 c6336407 02000000000a c0000201`],
    ['probe', arp.question(MAC, vip), `${head('ffffffffffff')} 0001 020000000010 00000000 000000000000 c6336407`],
    [
      'question to one',
      arp.question(MAC, vip, HOST.mac),
      `${head('02000000000a')} 0001 020000000010 00000000 000000000000 c6336407`,
    ],
    [
      'question from an address of ours',
      arp.question(MAC, HOST.ip, HOST.mac, vip),
      `${head('02000000000a')} 0001 020000000010 c6336407 000000000000 c0000201`,
    ],
  ])('ARP %s', (_, bytes, octets) => {
    expect(toHex(bytes)).toBe(octets.replaceAll(' ', ''));
  });

  const ipv6 = (to: string, length: string) => `${to} 020000000010 86dd 60000000 ${length} 3a ff`;
  const own = 'fe80000000000000000000fffe000010';
  const target = '20010db8000000000000000000 0a00b7'.replace(' ', '');
  it.each([
    [
      'announcement',
      ndp.announcement(MAC, vip6, LINK_LOCAL),
      ipv6('333300000001', '0020'),
      `${own} ff020000000000000000000000000001`,
      '88 00',
      '20000000',
      '0201 020000000010',
    ],
    [
      'answer',
      ndp.advertise(MAC, vip6, LINK_LOCAL, HOST6, true),
      ipv6('02000000000a', '0020'),
      `${own} 20010db8000000000000000000000001`,
      '88 00',
      '60000000',
      '0201 020000000010',
    ],
    [
      'unasked, to one',
      ndp.advertise(MAC, vip6, LINK_LOCAL, HOST6, false),
      ipv6('02000000000a', '0020'),
      `${own} 20010db8000000000000000000000001`,
      '88 00',
      '20000000',
      '0201 020000000010',
    ],
    [
      'question',
      ndp.question(MAC, vip6, LINK_LOCAL),
      ipv6('3333ff0a00b7', '0020'),
      `${own} ff0200000000000000000001ff0a00b7`,
      '87 00',
      '00000000',
      '0101 020000000010',
    ],
    [
      'duplicate address detection',
      ndp.question(MAC, vip6, ndp.UNSPECIFIED),
      ipv6('3333ff0a00b7', '0018'),
      `${'00'.repeat(16)} ff0200000000000000000001ff0a00b7`,
      '87 00',
      '00000000',
      '',
    ],
    [
      'question to one',
      ndp.question(MAC, vip6, LINK_LOCAL, HOST.mac),
      ipv6('02000000000a', '0020'),
      `${own} ff0200000000000000000001ff0a00b7`,
      '87 00',
      '00000000',
      '0101 020000000010',
    ],
  ])('NDP %s', (_, bytes, ethernet, addresses, type, flags, option) => {
    const all = `${ethernet} ${addresses} ${type} SUM ${flags} ${target} ${option}`.replaceAll(' ', '');
    expect(toHex(bytes)).toBe(all.replace('SUM', checksumOf(all.replace('SUM', '0000'))));
  });

  it('names groups as RFC 4291 §2.7.1 and RFC 2464 §7 do', () => {
    expect(ndp.solicitedNodeGroup('4037::1:800:200e:8c6c' as Ip)).toBe('ff02::1:ff0e:8c6c');
    expect(ndp.groupMac('ff02::1:ff0e:8c6c' as Ip)).toBe('33:33:ff:0e:8c:6c');
    expect(ndp.groupMac(ndp.ALL_NODES)).toBe('33:33:00:00:00:01');
  });
});

/** RFC 4443 §2.3 with big numbers: the sum over the pseudo-header and the message, modulo 2^16 - 1. */
function checksumOf(frame: string): string {
  const length = frame.length / 2 - 54;
  const pseudo = `${frame.slice(44, 108) + length.toString(16).padStart(8, '0')}0000003a`;
  let sum = 0n;
  for (const word of (pseudo + frame.slice(108)).match(/.{4}/g) ?? []) sum += BigInt(`0x${word}`);
  const folded = sum % 0xffffn;
  return (0xffffn - folded).toString(16).padStart(4, '0');
}

const VALID = `3333ff0a00b7 02000000000a 86dd 60000000 0020 3a ff 20010db8000000000000000000000001
  ff0200000000000000000001ff0a00b7 87 00 0000 00000000 20010db8000000000000000000 0a00b7 0101 02000000000a`.replaceAll(
  /\s/g,
  '',
);

describe('what is dropped, by name', () => {
  /** The frame with octets changed at an offset, its checksum made right again. */
  const changed = (at: number, octets: string, base = VALID) => {
    const text = base.slice(0, at * 2) + octets + base.slice(at * 2 + octets.length);
    return hex(text.slice(0, 112) + checksumOf(`${text.slice(0, 112)}0000${text.slice(116)}`) + text.slice(116));
  };

  it('is nothing of a valid solicitation', () => {
    expect(ndp.decode(changed(0, ''))).toHaveProperty('message');
  });

  it.each([
    ['hop limit 254', changed(21, 'fe'), 'hopLimit'],
    ['a wrong checksum', hex(VALID), 'checksum'],
    ['code 1', changed(55, '01'), 'code'],
    ['a multicast target', changed(62, 'ff'), 'target'],
    ['an option of length 0', changed(79, '00'), 'option'],
    ['an option beyond the end', changed(79, '02'), 'option'],
    ['an echo request', changed(54, '80'), 'messageType'],
    ['UDP', changed(20, '11'), 'messageType'],
    ['IP version 4', changed(14, '40'), 'length'],
    ['a payload length beyond the frame', changed(18, '0028'), 'length'],
    ['a payload length below 24', changed(18, '0017'), 'length'],
    ['a link-layer address without an address', changed(22, '00'.repeat(16)), 'unspecifiedSource'],
    [
      'an advertisement to all that says it was solicited',
      changed(54, '88000000 40000000'.replaceAll(' ', '')),
      'solicitedMulticast',
    ],
  ] as const)('%s', (_, bytes, drop) => {
    expect(ndp.decode(bytes)).toEqual({ drop });
  });

  it('duplicate address detection goes to the group of its target alone', () => {
    const dad = toHex(ndp.question(MAC, '2001:db8::b7' as Ip, ndp.UNSPECIFIED));
    expect(ndp.decode(hex(dad))).toHaveProperty('message');
    const elsewhere = `${dad.slice(0, 106)}b8${dad.slice(108)}`;
    const sum = checksumOf(`${elsewhere.slice(0, 112)}0000${elsewhere.slice(116)}`);
    expect(ndp.decode(hex(elsewhere.slice(0, 112) + sum + elsewhere.slice(116)))).toEqual({
      drop: 'unspecifiedSource',
    });
  });

  const request = toHex(arp.question(MAC, HOST.ip));
  it.each([
    ['41 octets', hex(request.slice(0, 82)), 'length'],
    ['hardware type 6', hex(`${request.slice(0, 28)}0006${request.slice(32)}`), 'hardwareType'],
    ['hardware length 8', hex(`${request.slice(0, 36)}08${request.slice(38)}`), 'hardwareType'],
    ['protocol 0x86dd', hex(`${request.slice(0, 32)}86dd${request.slice(36)}`), 'protocolType'],
    ['protocol length 16', hex(`${request.slice(0, 38)}10${request.slice(40)}`), 'protocolType'],
    ['operation 3', hex(`${request.slice(0, 40)}0003${request.slice(44)}`), 'operation'],
  ] as const)('ARP: %s', (_, bytes, drop) => {
    expect(arp.decode(bytes)).toEqual({ drop });
  });

  it('padding to 60 octets is no matter', () => {
    const padded = new Uint8Array(60);
    padded.set(hex(request));
    expect(readArp(padded)).toEqual(readArp(hex(request)));
    const long = new Uint8Array(100);
    long.set(ndp.question(MAC, '2001:db8::b7' as Ip, LINK_LOCAL));
    expect(readNdp(long)).toEqual(readNdp(ndp.question(MAC, '2001:db8::b7' as Ip, LINK_LOCAL)));
  });
});

describe('anything', () => {
  const mac = fc.uint8Array({ minLength: 6, maxLength: 6 }).map(macFromBytes);
  const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map(ipFromBytes);
  const ipv6 = fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .filter((octets) => octets[0] !== 0xff && octets.some((octet) => octet !== 0))
    .map(ipFromBytes);

  it('that can be said in ARP comes out as it went in', () => {
    const frames = fc.record({
      ...{ destination: mac, source: mac, operation: fc.constantFrom('request' as const, 'reply' as const) },
      ...{ senderMac: mac, senderIp: ipv4, targetMac: mac, targetIp: ipv4 },
    });
    fc.assert(
      fc.property(frames, (frame) => {
        expect(readArp(arp.encode(frame))).toEqual(frame);
      }),
      SEED,
    );
  });

  it('that can be said in NDP comes out as it went in', () => {
    const common = { destination: mac, source: mac, from: ipv6, to: ipv6, target: ipv6 };
    const flags = { router: fc.boolean(), solicited: fc.boolean(), override: fc.boolean() };
    const messages = fc.oneof(
      fc.record({ is: fc.constant('solicitation' as const), ...common, sourceLink: mac }),
      fc.record({ is: fc.constant('advertisement' as const), ...common, ...flags, targetLink: mac }),
    );
    fc.assert(
      fc.property(messages, (message) => {
        expect(readNdp(ndp.encode(message))).toEqual(message);
      }),
      SEED,
    );
  });

  it('that nobody meant never throws', () => {
    const all = FRAMES.map(([capture]) => hex(capture));
    const edits = fc.array(fc.tuple(fc.nat({ max: 90 }), fc.nat({ max: 255 })), { maxLength: 3 });
    const drops = new Set<string>();
    fc.assert(
      fc.property(fc.constantFrom(...all), edits, fc.nat({ max: 110 }), (capture, changes, cut) => {
        const bytes = capture.slice(0, cut > 90 ? capture.length : cut);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        for (const result of [arp.decode(bytes), ndp.decode(bytes)]) if ('drop' in result) drops.add(result.drop);
      }),
      { ...SEED, numRuns: 5_000 },
    );
    expect(drops).toContain('checksum');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        arp.decode(bytes);
        ndp.decode(bytes);
      }),
      SEED,
    );
  });
});
