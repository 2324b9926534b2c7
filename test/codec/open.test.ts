// OPEN and capabilities by the layouts of RFC 4271 §4.2, 5492, 9072 and each capability's own RFC, every field by hand.

import { describe, expect, it } from 'vitest';
import { type Capabilities, describeCapabilities, NO_CAPABILITIES } from '../../src/bgp/capability.ts';
import { decode } from '../../src/bgp/message.ts';
import { BEFORE_OPEN, negotiate } from '../../src/bgp/negotiate.ts';
import { encodeOpen, type Open } from '../../src/bgp/open.ts';
import { parseIp } from '../../src/net/address.ts';
import { hex, message, toHex } from './octets.ts';

const octet = (n: number): string => n.toString(16).padStart(2, '0');

/** version 4, AS 64512, hold time 90, 192.0.2.1, then the length and the parameters as they are given. */
function open(parameters: string, { version = '04', as = 'fc00', hold = '005a', id = 'c0000201' } = {}): Uint8Array {
  return message(1, `${version}${as}${hold}${id}${parameters}`);
}

/** One parameter with these capabilities. */
function withCapabilities(capabilities: string, fields = {}): Uint8Array {
  const length = capabilities.replaceAll(' ', '').length / 2;
  return open(`${octet(length + 2)} 02 ${octet(length)} ${capabilities}`, fields);
}

function decoded(octets: Uint8Array): Open {
  const result = decode(octets, BEFORE_OPEN, false);
  if (result.is !== 'OPEN') throw new Error(JSON.stringify(result));
  return result.open;
}

function refused(octets: Uint8Array): string {
  const result = decode(octets, BEFORE_OPEN, false);
  if (result.is !== 'malformed') throw new Error('was taken');
  const { code, subcode, data } = result.notification;
  return `${code}/${subcode} ${toHex(data)}`.trimEnd();
}

describe('an OPEN is refused', () => {
  it('for its version first, with the version that we speak', () => {
    expect(refused(open('ff', { version: '03', as: '0000' }))).toBe('2/1 0004');
    expect(refused(open('00', { version: '05' }))).toBe('2/1 0004');
  });

  it('for parameters that do not fill their length', () => {
    expect(refused(open('01'))).toBe('2/0');
    expect(refused(open('00 0200'))).toBe('2/0');
    expect(refused(open('02 0206'))).toBe('2/0');
    expect(refused(open('01 02'))).toBe('2/0');
  });

  it('for a parameter that is no capabilities', () => {
    expect(refused(open('03 01 01 00'))).toBe('2/4');
    // RFC 9072 §2: 255 anywhere but in front is an unknown parameter
    expect(refused(open('06 02 02 0200 ff 00'))).toBe('2/4');
  });

  it('for a capability that passes the end of its parameter', () => {
    expect(refused(open('04 02 02 41 04'))).toBe('2/0');
    expect(refused(open('07 02 01 41 02 02 0200'))).toBe('2/0');
    expect(refused(withCapabilities('41 03 00fc00'))).toBe('2/0');
  });

  it('for AS 0 in either place (RFC 7607)', () => {
    expect(refused(open('00', { as: '0000' }))).toBe('2/2');
    expect(refused(withCapabilities('41 04 00000000'))).toBe('2/2');
    expect(refused(withCapabilities('41 04 0000fc00', { as: '0000' }))).toBe('2/2');
  });

  it('for a hold time of 1 or 2 seconds, never of 0 or 3', () => {
    expect(refused(open('00', { hold: '0001' }))).toBe('2/6');
    expect(refused(open('00', { hold: '0002' }))).toBe('2/6');
    expect(decoded(open('00', { hold: '0000' })).holdTimeSeconds).toBe(0);
    expect(decoded(open('00', { hold: '0003' })).holdTimeSeconds).toBe(3);
  });

  it('for the BGP identifier 0 and no other (RFC 6286)', () => {
    expect(refused(open('00', { id: '00000000' }))).toBe('2/3');
    expect(decoded(open('00', { id: 'ffffffff' })).routerId).toBe('255.255.255.255');
    expect(decoded(open('00', { id: '00000001' })).routerId).toBe('0.0.0.1');
  });
});

describe('an OPEN is read', () => {
  it('without parameters', () => {
    expect(decoded(open('00'))).toEqual({
      as: 64512,
      holdTimeSeconds: 90,
      routerId: '192.0.2.1',
      capabilities: NO_CAPABILITIES,
    });
  });

  it('with the AS number of the four-octet capability', () => {
    expect(decoded(withCapabilities('41 04 fa56ea00', { as: '5ba0' })).as).toBe(4200000000);
  });

  it('the same from one parameter and from many, known or not, once or twice', () => {
    const one = withCapabilities('01 04 00010001 02 00 82 02 beef 02 00');
    const many = open('14 02 06 01 04 00010001 02 02 02 00 02 04 82 02 beef 02 00');
    expect(decoded(many)).toEqual(decoded(one));
    expect(decoded(one).capabilities).toEqual({
      ...NO_CAPABILITIES,
      families: ['ipv4'],
      routeRefresh: true,
      others: [{ code: 0x82, value: hex('beef') }],
    });
  });

  it('in the extended format, long or short, whatever its length octet says (RFC 9072)', () => {
    expect(decoded(open('ff ff 0007 02 0004 02 00 46 00')).capabilities).toMatchObject({
      routeRefresh: true,
      enhancedRouteRefresh: true,
    });
    expect(decoded(open('05 ff 0005 02 0002 02 00')).capabilities.routeRefresh).toBe(true);
    const long = `f0 ff ${'00'.repeat(255)}`;
    expect(decoded(open(`ff ff 0104 02 0101 ${long}`)).capabilities.others).toEqual([
      { code: 0xf0, value: new Uint8Array(255) },
    ]);
    expect(refused(open('ff ff 0006 02 0002 02 00'))).toBe('2/0');
    expect(refused(open('ff ff 00'))).toBe('2/0');
    // a length of 0 says that there are none, so that what follows is too much
    expect(refused(open('00 ff 0000'))).toBe('2/0');
  });
});

/** Each capability as its RFC draws it: the octets, and what they mean; both ways. */
const ROWS: readonly (readonly [string, string, Partial<Capabilities>])[] = [
  ['RFC 4760: AFI, reserved, SAFI', '01 04 0001 00 01  01 04 0002 00 01', { families: ['ipv4', 'ipv6'] }],
  ['RFC 2918: no value', '02 00', { routeRefresh: true }],
  ['RFC 8950: AFI, SAFI in two octets, next hop AFI', '05 06 0001 0001 0002', { extendedNextHop: true }],
  ['RFC 8654: no value', '06 00', { extendedMessage: true }],
  [
    'RFC 4724 and 8538: R and N, 12 bits of time; AFI, SAFI, F',
    '40 0a c078 0001 01 80 0002 01 00',
    {
      gracefulRestart: {
        restarted: true,
        notification: true,
        restartTimeSeconds: 120,
        families: [
          { family: 'ipv4', forwardingPreserved: true },
          { family: 'ipv6', forwardingPreserved: false },
        ],
      },
    },
  ],
  [
    'RFC 4724: nothing but the largest time',
    '40 02 0fff',
    { gracefulRestart: { restarted: false, notification: false, restartTimeSeconds: 4095, families: [] } },
  ],
  ['RFC 6793: the AS number', '41 04 0001 0000', { fourOctetAs: 65536 }],
  [
    'RFC 7911: AFI, SAFI, 1 receive, 2 send, 3 both',
    '45 08 0001 01 01 0002 01 03',
    { addPath: { ipv4: 'receive', ipv6: 'both' } },
  ],
  ['RFC 7313: no value', '46 00', { enhancedRouteRefresh: true }],
  ['draft-ietf-idr-bgp-bfd-strict-mode: no value', '4a 00', { bfdStrict: true }],
];

describe('capabilities', () => {
  for (const [layout, octets, meaning] of ROWS) {
    it(`${layout}, both ways`, () => {
      const as = meaning.fourOctetAs ?? 64512;
      const fields = as > 65535 ? { as: '5ba0' } : {};
      expect(decoded(withCapabilities(octets, fields)).capabilities).toEqual({ ...NO_CAPABILITIES, ...meaning });
      const capabilities = { ...NO_CAPABILITIES, ...meaning };
      const routerId = parseIp('192.0.2.1');
      if (routerId === undefined) throw new Error('no address');
      expect(toHex(encodeOpen({ as, holdTimeSeconds: 90, routerId, capabilities }))).toBe(
        toHex(withCapabilities(octets, fields)),
      );
    });
  }

  it('of families that we do not know stay visible and change nothing', () => {
    const { capabilities } = decoded(withCapabilities('01 04 0019 00 46  45 08 0001 01 02 0019 46 03'));
    expect(capabilities).toEqual({
      ...NO_CAPABILITIES,
      families: [],
      addPath: { ipv4: 'send' },
      others: [
        { code: 1, value: hex('00190046') },
        { code: 69, value: hex('00194603') },
      ],
    });
  });

  it('with a value that their RFC does not allow are ignored, and stay visible', () => {
    for (const octets of [
      '01 03 000100',
      '02 01 00',
      '05 05 0001000100',
      '40 03 007800',
      '40 00',
      '45 00',
      '45 04 00010104',
    ]) {
      const { capabilities } = decoded(withCapabilities(octets));
      expect(capabilities).toEqual({
        ...NO_CAPABILITIES,
        others: [{ code: Number.parseInt(octets.slice(0, 2), 16), value: hex(octets.slice(6)) }],
      });
    }
  });

  it('RFC 4724 §3: of several graceful restart capabilities the last one counts', () => {
    const { capabilities } = decoded(withCapabilities('40 06 8001 0001 01 80  40 02 0002'));
    expect(capabilities.gracefulRestart).toEqual({
      restarted: false,
      notification: false,
      restartTimeSeconds: 2,
      families: [],
    });
  });

  it('leave in ascending order, in the extended format when 255 octets do not suffice', () => {
    const routerId = parseIp('192.0.2.1');
    if (routerId === undefined) throw new Error('no address');
    const base = { as: 64512, holdTimeSeconds: 90, routerId };
    const others = [
      { code: 73, value: hex('00') },
      { code: 9, value: hex('03') },
    ];
    const small = encodeOpen({ ...base, capabilities: { ...NO_CAPABILITIES, enhancedRouteRefresh: true, others } });
    expect(toHex(small)).toBe(toHex(withCapabilities('09 01 03 46 00 49 01 00')));
    const value = new Uint8Array(251);
    const fits = encodeOpen({ ...base, capabilities: { ...NO_CAPABILITIES, others: [{ code: 200, value }] } });
    expect(toHex(fits)).toBe(toHex(open(`ff 02 fd c8 fb ${'00'.repeat(251)}`)));
    const more = [
      { code: 200, value },
      { code: 201, value: hex('') },
    ];
    const large = encodeOpen({ ...base, capabilities: { ...NO_CAPABILITIES, others: more } });
    expect(toHex(large)).toBe(toHex(open(`ff ff 0102 02 00ff c8 fb ${'00'.repeat(251)} c9 00`)));
    expect(decoded(large).capabilities.others).toEqual(more);
  });

  it('read well', () => {
    const octets =
      '01 04 00010001 02 00 09 01 03 40 06 c078 0001 01 80 41 04 fa56ea00 45 04 00010102 46 00 4d 00 c8 00';
    expect(describeCapabilities(decoded(withCapabilities(octets)).capabilities)).toEqual([
      'multiprotocol ipv4-unicast',
      'route-refresh',
      'role 0x03',
      'graceful-restart 120s restarted notification ipv4-unicast (forwarding preserved)',
      'four-octet-as 4200000000',
      'add-path ipv4-unicast send',
      'enhanced-route-refresh',
      'link-local-next-hop',
      'capability 200',
    ]);
  });
});

describe('what two OPENs agree on', () => {
  const with_ = (capabilities: Partial<Capabilities>): Open => ({
    ...decoded(open('00')),
    capabilities: { ...NO_CAPABILITIES, ...capabilities },
  });

  it('families: those of both; a side that names none means IPv4 unicast (RFC 4760 §8)', () => {
    const families = (a: Partial<Capabilities>, b: Partial<Capabilities>) =>
      negotiate(with_(a), with_(b), false).families;
    expect(families({ families: ['ipv4', 'ipv6'] }, { families: ['ipv6', 'ipv4'] })).toEqual(['ipv4', 'ipv6']);
    expect(families({ families: ['ipv4', 'ipv6'] }, { families: ['ipv6'] })).toEqual(['ipv6']);
    expect(families({ families: ['ipv4', 'ipv6'] }, {})).toEqual(['ipv4']);
    expect(families({ families: ['ipv6'] }, {})).toEqual([]);
    expect(families({}, { families: ['ipv4', 'ipv6'] })).toEqual(['ipv4']);
    expect(families({ families: ['ipv4'] }, { families: [] })).toEqual([]);
  });

  it('add-path: only where we receive and the peer sends (RFC 7911 §4)', () => {
    const families = ['ipv4', 'ipv6'] as const;
    const ours = with_({ families, addPath: { ipv4: 'receive', ipv6: 'send' } });
    const theirs = with_({ families, addPath: { ipv4: 'both', ipv6: 'both' } });
    expect(negotiate(ours, theirs, false).addPathReceive).toEqual({ ipv4: true, ipv6: false });
    expect(negotiate(theirs, ours, false).addPathReceive).toEqual({ ipv4: false, ipv6: true });
  });

  it('long messages: what we send depends on them, what we take on us (RFC 8654 §4)', () => {
    const negotiated = negotiate(with_({}), with_({ extendedMessage: true }), false);
    expect(negotiated).toMatchObject({ maxSend: 65535, maxReceive: 4096 });
    expect(negotiate(with_({ extendedMessage: true }), with_({}), true)).toMatchObject({
      maxSend: 4096,
      maxReceive: 65535,
      internal: true,
    });
  });

  it('graceful restart: what the peer said, for families of the session, N only when both set it', () => {
    const restart = { restarted: false, notification: false, restartTimeSeconds: 60, families: [] };
    const theirs = {
      restarted: true,
      notification: true,
      restartTimeSeconds: 120,
      families: [
        { family: 'ipv4', forwardingPreserved: true },
        { family: 'ipv6', forwardingPreserved: true },
      ],
    } as const;
    const peer = with_({ families: ['ipv4', 'ipv6'], gracefulRestart: theirs });
    expect(negotiate(with_({ gracefulRestart: restart }), peer, false).gracefulRestart).toEqual({
      ...theirs,
      notification: false,
      families: [{ family: 'ipv4', forwardingPreserved: true }],
    });
    const both = { ...restart, notification: true };
    expect(negotiate(with_({ gracefulRestart: both }), peer, false).gracefulRestart?.notification).toBe(true);
    expect(negotiate(with_({}), peer, false).gracefulRestart).toBeUndefined();
    expect(negotiate(peer, with_({}), false).gracefulRestart).toBeUndefined();
  });

  it('four-octet AS, extended next hop, route refresh, strict BFD: both must say so', () => {
    const all = {
      fourOctetAs: 1,
      extendedNextHop: true,
      routeRefresh: true,
      enhancedRouteRefresh: true,
      bfdStrict: true,
    };
    const yes = { ...all, fourOctetAs: true };
    const no = Object.fromEntries(Object.keys(all).map((name) => [name, false]));
    expect(negotiate(with_(all), with_(all), false)).toMatchObject(yes);
    expect(negotiate(with_(all), with_({}), false)).toMatchObject(no);
    expect(negotiate(with_({}), with_(all), false)).toMatchObject(no);
  });
});
