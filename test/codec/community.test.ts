// Communities as text, and link bandwidth (RFC 10005) by its octets.

import { describe, expect, it } from 'vitest';
import {
  communityText,
  type ExtendedCommunity,
  extendedCommunityText,
  largeCommunityText,
  linkBandwidth,
  readLinkBandwidth,
  wellKnownName,
} from '../../src/bgp/community.ts';

const text = (octets: string): string => extendedCommunityText(octets as ExtendedCommunity);

describe('communities', () => {
  it('read as operators write them', () => {
    expect(communityText(0xfc000001)).toBe('64512:1');
    expect(communityText(0xffffffff)).toBe('65535:65535');
    expect(largeCommunityText([4200000000, 0, 4294967295])).toBe('large:4200000000:0:4294967295');
  });

  it('have names where the registry has them', () => {
    expect(wellKnownName(0xffff0000)).toBe('graceful-shutdown');
    expect(wellKnownName(0xffff029a)).toBe('blackhole');
    expect(wellKnownName(0xffffff01)).toBe('no-export');
    expect(wellKnownName(0xfc000001)).toBeUndefined();
  });

  it('extended: type, subtype and value by RFC 4360 and 5668, all else as octets', () => {
    expect(text('0002fc0000000064')).toBe('rt:64512:100');
    expect(text('0103c63364010005')).toBe('soo:198.51.100.1:5');
    expect(text('0202fa56ea0d0007')).toBe('rt:4200000013:7');
    expect(text('030c000000000008')).toBe('0x030c000000000008');
    expect(text('4302000000000008')).toBe('0x4302000000000008');
  });
});

describe('link bandwidth', () => {
  it('is type 0x00 or 0x40, subtype 0x04, AS, and bytes per second as IEEE 754 single', () => {
    // 125,000,000 = 1.86264514923095703125 × 2^26: sign 0, exponent 153, fraction 0x6e6b28
    expect(linkBandwidth(64512, 125_000_000, true)).toBe('0004fc004cee6b28');
    expect(linkBandwidth(64512, 0, false)).toBe('4004fc0000000000');
    // an AS of four octets is AS_TRANS
    expect(linkBandwidth(4200000000, 1, true)).toBe('00045ba03f800000');
  });

  it('is read in both forms; negative or endless ones are not used', () => {
    expect(readLinkBandwidth('4004fc004cee6b28' as ExtendedCommunity)).toEqual({
      as: 64512,
      bytesPerSecond: 125_000_000,
      transitive: false,
    });
    expect(text('4004fc004cee6b28')).toBe('link-bandwidth:64512:125000000:non-transitive');
    for (const octets of ['0004fc00bf800000', '0004fc007f800000', '0004fc007fc00000', '0002fc0000000001']) {
      expect(readLinkBandwidth(octets as ExtendedCommunity)).toBeUndefined();
    }
    expect(text('0004fc00bf800000')).toBe('0x0004fc00bf800000');
  });
});
