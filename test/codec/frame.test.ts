// Headers and framing (RFC 4271 §4.1 and §6.1, 8654): each rule is told as soon as an octet shows it.

import { describe, expect, it } from 'vitest';
import { createFramer, nextFrame, push } from '../../src/bgp/frame.ts';
import { decode, encodeKeepalive, encodeNotification, encodeRouteRefresh } from '../../src/bgp/message.ts';
import { BEFORE_OPEN } from '../../src/bgp/negotiate.ts';
import { hex, message, toHex } from './octets.ts';

const MARKER = 'ff'.repeat(16);

function fed(octets: string, maxReceive = 4096) {
  const framer = createFramer();
  push(framer, hex(octets));
  return nextFrame(framer, maxReceive);
}

describe('a header error', () => {
  it('of the marker is told by its first wrong octet, without data', () => {
    expect(fed('474554')).toMatchObject({ is: 'malformed', notification: { code: 1, subcode: 1, data: hex('') } });
    expect(fed(`${'ff'.repeat(15)}00`)).toMatchObject({ notification: { code: 1, subcode: 1 } });
    expect(fed('ff'.repeat(15))).toBeUndefined();
  });

  it('of the length is told before the type and the body arrive, with the two octets', () => {
    expect(fed(`${MARKER}0012`)).toMatchObject({ notification: { code: 1, subcode: 2, data: hex('0012') } });
    expect(fed(`${MARKER}1001`)).toMatchObject({ notification: { code: 1, subcode: 2, data: hex('1001') } });
    expect(fed(`${MARKER}1000`)).toBeUndefined();
    expect(fed(`${MARKER}ffff`, 65535)).toBeUndefined();
  });

  it('of the type is told before the body arrives, with the octet', () => {
    expect(fed(`${MARKER}001700`)).toMatchObject({ notification: { code: 1, subcode: 3, data: hex('00') } });
    // 6 is dynamic capability, which nobody negotiated
    expect(fed(`${MARKER}001706`)).toMatchObject({ notification: { code: 1, subcode: 3, data: hex('06') } });
    expect(fed(`${MARKER}0017ff`)).toMatchObject({ notification: { code: 1, subcode: 3, data: hex('ff') } });
  });

  // RFC 4271 §6.1 and RFC 2918 §3 (least), RFC 8654 §3 (most)
  const LIMITS = [
    ['OPEN', 1, 29, 4096],
    ['UPDATE', 2, 23, 65535],
    ['NOTIFICATION', 3, 21, 65535],
    ['KEEPALIVE', 4, 19, 19],
    ['ROUTE-REFRESH', 5, 23, 65535],
  ] as const;
  for (const [name, type, least, most] of LIMITS) {
    it(`${name}: ${least} to ${most} octets where long messages were announced`, () => {
      const header = (length: number): string =>
        `${MARKER}${length.toString(16).padStart(4, '0')}${type.toString(16).padStart(2, '0')}`;
      const bad = { is: 'malformed', notification: { code: 1, subcode: 2 } };
      expect(fed(header(least - 1), 65535)).toMatchObject(bad);
      expect(fed(header(least), 65535) ?? { is: 'waiting' }).not.toMatchObject(bad);
      expect(fed(header(most), 65535) ?? { is: 'waiting' }).not.toMatchObject(bad);
      if (most < 65535) expect(fed(header(most + 1), 65535)).toMatchObject(bad);
      else expect(fed(header(4097))).toMatchObject({ ...bad, notification: { data: hex('1001') } });
    });
  }

  it('stays: a stream that lost its place has no next message', () => {
    const framer = createFramer();
    push(framer, hex('00'));
    expect(nextFrame(framer, 4096)).toMatchObject({ is: 'malformed' });
    push(framer, encodeKeepalive());
    expect(nextFrame(framer, 4096)).toMatchObject({ is: 'malformed' });
  });
});

describe('the framer', () => {
  it('gives views into one buffer, and never one that a claimed length made', () => {
    const framer = createFramer();
    push(framer, hex(`${MARKER}ffff02`));
    expect(nextFrame(framer, 65535)).toBeUndefined();
    expect(framer.buffer.length).toBeLessThanOrEqual(4096);
    push(framer, new Uint8Array(65535 - 19));
    const whole = nextFrame(framer, 65535);
    expect(whole).toBeInstanceOf(Uint8Array);
    expect(whole).toHaveLength(65535);
    if (whole instanceof Uint8Array) expect(whole.buffer).toBe(framer.buffer.buffer);
  });

  it('keeps no more than one message and one delivery, however long the stream', () => {
    const framer = createFramer();
    const stream = hex(toHex(message(2, '00000000')).repeat(3000));
    let frames = 0;
    for (let at = 0; at < stream.length; at += 1000) {
      push(framer, stream.subarray(at, at + 1000));
      while (nextFrame(framer, 4096) !== undefined) frames++;
    }
    expect(frames).toBe(3000);
    expect(framer.buffer.length).toBeLessThanOrEqual(4096);
  });
});

describe('decode by itself', () => {
  it('refuses octets that are no whole message', () => {
    expect(decode(hex(''), BEFORE_OPEN, false)).toMatchObject({ is: 'malformed' });
    expect(decode(hex(`${MARKER}0013`), BEFORE_OPEN, false)).toMatchObject({ is: 'malformed' });
    expect(decode(hex(`${MARKER}001304ff`), BEFORE_OPEN, false)).toMatchObject({
      is: 'malformed',
      notification: { code: 1, subcode: 2 },
    });
  });
});

describe('small messages', () => {
  it('KEEPALIVE is a header alone', () => {
    expect(toHex(encodeKeepalive())).toBe(`${MARKER}001304`);
  });

  it('NOTIFICATION: code, subcode, data, cut to what the peer takes', () => {
    const data = new Uint8Array(5000).fill(7);
    const short = encodeNotification({ code: 3, subcode: 5, data: hex('c00801') }, 4096);
    expect(toHex(short)).toBe(`${MARKER}0018030305c00801`);
    expect(encodeNotification({ code: 3, subcode: 5, data }, 4096)).toHaveLength(4096);
    expect(encodeNotification({ code: 3, subcode: 5, data }, 65535)).toHaveLength(21 + 5000);
  });

  it('NOTIFICATION keeps its data beyond the life of the buffer', () => {
    const octets = message(3, '0602 03 616263');
    const decoded = decode(octets, BEFORE_OPEN, false);
    octets.fill(0);
    expect(decoded).toEqual({
      is: 'NOTIFICATION',
      notification: { code: 6, subcode: 2, data: hex('03616263') },
    });
  });

  it('ROUTE-REFRESH: AFI, subtype, SAFI (RFC 7313 §3.2)', () => {
    expect(toHex(encodeRouteRefresh({ family: 'ipv6', subtype: 'begin' }))).toBe(`${MARKER}00170500020101`);
    const enhanced = { ...BEFORE_OPEN, enhancedRouteRefresh: true };
    const read = (body: string, negotiated = enhanced) => decode(message(5, body), negotiated, false);
    expect(read('00010001')).toEqual({ is: 'ROUTE-REFRESH', refresh: { family: 'ipv4', subtype: 'request' } });
    expect(read('00020201')).toEqual({ is: 'ROUTE-REFRESH', refresh: { family: 'ipv6', subtype: 'end' } });
    // unknown subtype, unknown family
    expect(read('00010301')).toEqual({ is: 'ROUTE-REFRESH' });
    expect(read('00190041')).toEqual({ is: 'ROUTE-REFRESH' });
    // without RFC 7313 the octet is reserved
    expect(read('00010201', BEFORE_OPEN)).toMatchObject({ refresh: { family: 'ipv4', subtype: 'request' } });
    // a filter of RFC 5291 behind a request is not our business
    expect(read('00010001 01400005 80')).toMatchObject({ refresh: { family: 'ipv4', subtype: 'request' } });
  });

  it('ROUTE-REFRESH: a demarcation of another length is 7/1 with the whole message (RFC 7313 §5)', () => {
    const octets = message(5, '00010101 00');
    expect(decode(octets, { ...BEFORE_OPEN, enhancedRouteRefresh: true }, false)).toMatchObject({
      is: 'malformed',
      notification: { code: 7, subcode: 1, data: octets },
    });
  });
});
