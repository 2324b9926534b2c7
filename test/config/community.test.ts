// Communities as users write them: values by RFC 1997 and RFC 8092, texts and order as MetalLB's users know them.

import { describe, expect, it } from 'vitest';
import { communityText, compareCommunities, parseCommunity } from '../../src/config/community.ts';
import { attempt } from '../../src/config/invalid.ts';

const message = (text: string) => {
  const done = attempt(() => parseCommunity(text));
  return 'invalid' in done ? done.invalid.message : expect.fail(`${text} was accepted`);
};

describe('parseCommunity', () => {
  it('packs a standard community as RFC 1997 does', () => {
    expect(parseCommunity('12345:12345')).toEqual({ is: 'standard', value: 0x30393039 });
    expect(parseCommunity('65535:65281')).toEqual({ is: 'standard', value: 0xffffff01 });
  });

  it('takes a large community of RFC 8092', () => {
    expect(parseCommunity('large:4294967295:0:7')).toEqual({ is: 'large', value: [4294967295, 0, 7] });
  });

  it.each([
    ['12345', 'invalid community format: 12345'],
    ['no-export', 'invalid community format: no-export'],
    ['12345:12345:12345', 'invalid community format: 12345:12345:12345'],
    ['large:1:2:3:4', 'invalid community format: large:1:2:3:4'],
    [
      '99999999:1',
      'invalid community value: invalid section "99999999" of community "99999999:1", err: "strconv.ParseUint: parsing \\"99999999\\": value out of range"',
    ],
    [
      '1:x',
      'invalid community value: invalid section "x" of community "1:x", err: "strconv.ParseUint: parsing \\"x\\": invalid syntax"',
    ],
    [
      'large:1:4294967296:1',
      'invalid community value: invalid section "4294967296" of community "large:1:4294967296:1", err: "strconv.ParseUint: parsing \\"4294967296\\": value out of range"',
    ],
    [
      'lar:123:9999:123',
      'invalid community value: invalid marker for large community, expected community to be of format large:<uint32>:<uint32>:<uint32> but got "lar:123:9999:123" instead',
    ],
  ])('refuses %s', (text, expected) => {
    expect(message(text)).toBe(expected);
  });

  it('refuses signs, blanks and empty parts', () => {
    for (const text of ['+1:2', '-1:2', ' 1:2', '1: 2', ':', '1:', 'large::1:2', '0x1:2', '1e2:3']) {
      expect(message(text)).toContain('invalid section');
    }
  });

  it('calls only a wrong form transient: it may be an alias to come', () => {
    expect(attempt(() => parseCommunity('backup'))).toMatchObject({ invalid: { transient: true } });
    expect(attempt(() => parseCommunity('1:70000'))).not.toHaveProperty('invalid.transient');
  });
});

describe('communities in order and in text', () => {
  it('prints what is read', () => {
    for (const text of ['0:0', '65535:65535', '64512:1', 'large:0:0:0', 'large:64512:1:4294967295']) {
      expect(communityText(parseCommunity(text))).toBe(text);
    }
  });

  it('sorts numerically, a standard one as (A<<16|B, 0, 0)', () => {
    const sorted = ['1:9', 'large:65546:0:0', '1:10', 'large:65546:0:1', '65000:1', 'large:4294967295:0:0'];
    const shuffled = [5, 2, 0, 4, 1, 3].map((i) => parseCommunity(sorted[i] ?? ''));
    expect(shuffled.sort(compareCommunities).map(communityText)).toEqual([
      '1:9',
      '1:10',
      'large:65546:0:0',
      'large:65546:0:1',
      '65000:1',
      'large:4294967295:0:0',
    ]);
  });
});
