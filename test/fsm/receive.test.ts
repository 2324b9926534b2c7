// What a peer says: counted, judged by RFC 7606 without an answer where the session can live, kept only for a collector,
// and limited only where asked. UPDATEs are written out by hand, field by field.

import { describe, expect, it } from 'vitest';
import { viewPeer } from '../../src/bgp/view.ts';
import { Stage, THEIR_OPEN } from './stage.ts';

const MARKER = 'ff'.repeat(16);
const hex = (...parts: string[]): string => parts.join('').replaceAll(' ', '');
const u16 = (value: number): string => value.toString(16).padStart(4, '0');

/** An UPDATE of withdrawn routes, attributes and NLRI, each as hexadecimal. */
function update(withdrawn: string, attributes: string, nlri: string): Uint8Array {
  const body = hex(u16(withdrawn.length / 2), withdrawn, u16(attributes.length / 2), attributes, nlri);
  return Buffer.from(hex(MARKER, u16(19 + body.length / 2), '02', body), 'hex');
}

// flags, type, length, value (RFC 4271 §4.3 and §5.1; the AS is in four octets)
const ORIGIN = hex('40 01 01 00');
const AS_PATH = hex('40 02 06 02 01 0000fc00');
const NEXT_HOP = hex('40 03 04 c0000201');
const GOOD = ORIGIN + AS_PATH + NEXT_HOP;
const NET1 = hex('18 c63364'); // 198.51.100.0/24
const NET2 = hex('18 cb0071'); // 203.0.113.0/24
/** MP_REACH_NLRI with an IPv6 next hop of 7 octets, which no rule allows; length before value. */
const BAD_MP_REACH = hex('80 0e 0d 0002 01 07 20010db8000000 00 00');
/** MP_REACH_NLRI of 2001:db8::/32, next hop 2001:db8::1. */
const MP_REACH = hex('80 0e 1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8');

const learned = (stage: Stage) => viewPeer(stage.peer, true).counters.learned;

describe('routes of a peer', () => {
  it('are counted by family and dropped', () => {
    const stage = new Stage();
    stage.establish();
    expect(stage.data(update('', GOOD, NET1 + NET2))).toEqual([]);
    stage.data(update('', MP_REACH + ORIGIN + AS_PATH, ''));
    expect(learned(stage)).toEqual({ ipv4: 2, ipv6: 1 });
    stage.data(update(NET1, '', ''));
    expect(learned(stage)).toEqual({ ipv4: 1, ipv6: 1 });
    expect(viewPeer(stage.peer, true).routes).toBeUndefined();
    expect(stage.peer.session?.session?.learned.table).toBeUndefined();
  });

  it('are kept for a collector, one a prefix, and forgotten with the session', () => {
    const stage = new Stage({ keep: true });
    stage.establish();
    stage.data(update('', GOOD, NET1 + NET2));
    stage.data(update('', ORIGIN + AS_PATH + hex('40 03 04 c0000263'), NET1));
    stage.data(update(NET2, '', ''));
    const view = viewPeer(stage.peer, true);
    expect(view.routes?.map(({ prefix, path }) => [prefix, path.nextHop])).toEqual([['198.51.100.0/24', '192.0.2.99']]);
    expect(view.counters.learned).toEqual({ ipv4: 1, ipv6: 0 });
    stage.closed();
    expect(viewPeer(stage.peer, true).routes).toEqual([]);
  });

  it('are kept by path identifier where the peer sends several (RFC 7911)', () => {
    const stage = new Stage({ keep: true });
    stage.establish({ capabilities: { ...THEIR_OPEN.capabilities, addPath: { ipv4: 'send' } } });
    stage.data(update('', GOOD, hex('00000001', NET1, '00000002', NET1)));
    expect(viewPeer(stage.peer, true).routes?.map(({ pathId }) => pathId)).toEqual([1, 2]);
    stage.data(update(hex('00000001', NET1), '', ''));
    expect(viewPeer(stage.peer, true).routes?.map(({ pathId }) => pathId)).toEqual([2]);
  });

  it('restart the hold timer', () => {
    const stage = new Stage();
    stage.establish({ holdTimeSeconds: 9 });
    for (let i = 0; i < 10; i++) {
      stage.tick(3_000);
      stage.data(update('', GOOD, NET1));
    }
    expect(stage.peer.state).toBe('Established');
  });
});

describe('a malformed UPDATE (RFC 7606)', () => {
  const rules = (stage: Stage) => Object.keys(viewPeer(stage.peer, true).counters.faults);

  it('treat-as-withdraw: the session lives, the route goes, the rule is told once and counted always', () => {
    const stage = new Stage({ keep: true });
    stage.establish();
    stage.data(update('', GOOD, NET1));
    const badOrigin = hex('40 01 01 07') + AS_PATH + NEXT_HOP;
    const lines = stage.data(update('', badOrigin, NET1));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^warning .*origin/);
    expect(stage.data(update('', badOrigin, NET1))).toEqual([]);
    expect(stage.peer.state).toBe('Established');
    expect(viewPeer(stage.peer, true).routes).toEqual([]);
    expect(Object.values(viewPeer(stage.peer, true).counters.faults)).toEqual([2]);
  });

  it('attribute-discard: the route stays', () => {
    const stage = new Stage({ keep: true });
    stage.establish();
    // ATOMIC_AGGREGATE with a value
    stage.data(update('', GOOD + hex('40 06 01 00'), NET1));
    expect(viewPeer(stage.peer, true).routes).toHaveLength(1);
    expect(rules(stage)).toHaveLength(1);
  });

  it('AFI/SAFI disable: the family is ignored from then on, the other and what we announce are untouched', () => {
    const stage = new Stage({ keep: true });
    stage.establish();
    stage.data(update('', MP_REACH + ORIGIN + AS_PATH, ''));
    stage.data(update('', GOOD, NET1));
    expect(learned(stage)).toEqual({ ipv4: 1, ipv6: 1 });
    expect(stage.data(update('', BAD_MP_REACH + ORIGIN + AS_PATH, ''))).toHaveLength(1);
    expect(stage.peer.state).toBe('Established');
    stage.data(update('', MP_REACH + ORIGIN + AS_PATH, ''));
    expect(learned(stage)).toEqual({ ipv4: 1, ipv6: 0 });
  });

  it('session reset: NOTIFICATION with what RFC 4271 §6.3 demands', () => {
    const stage = new Stage();
    stage.establish();
    // an unrecognized well-known attribute: its whole TLV is the data
    const unknown = hex('40 fa 01 05');
    const lines = stage.data(update('', GOOD + unknown, NET1));
    expect(lines).toEqual([
      expect.stringMatching(/^warning /),
      `NOTIFICATION 3/2 ${unknown}`,
      'close fin tor#1.1',
      'peer-down',
    ]);
  });
});

describe('a limit on what a peer may announce', () => {
  const limited = (
    action: 'warn' | 'disable-family' | 'reset',
    more: Partial<typeof THEIR_OPEN> = {},
    gracefulRestart = false,
  ) => {
    const stage = new Stage({ prefixLimit: { routes: 1, action }, gracefulRestart });
    stage.establish(more);
    stage.data(update('', GOOD, NET1));
    expect(stage.peer.state).toBe('Established');
    return { stage, lines: stage.data(update('', GOOD, NET2)) };
  };

  it('warns once', () => {
    const { stage, lines } = limited('warn');
    expect(lines).toEqual(['warning prefix-limit-ipv4-unicast']);
    expect(stage.data(update('', GOOD, NET2))).toEqual([]);
    expect(learned(stage).ipv4).toBe(3);
  });

  it('disables the family', () => {
    const { stage, lines } = limited('disable-family');
    expect(lines).toEqual(['warning prefix-limit-ipv4-unicast']);
    stage.data(update('', GOOD, NET2));
    expect(learned(stage).ipv4).toBe(0);
    expect(stage.peer.state).toBe('Established');
  });

  it('resets with 6/1, AFI, SAFI and the limit (RFC 4486 §4), and waits', () => {
    const { stage, lines } = limited('reset');
    expect(lines.slice(1)).toEqual(['NOTIFICATION 6/1 00010100000001', 'close fin tor#1.1', 'peer-down']);
    expect(stage.peer.dialAt - stage.now).toBeGreaterThanOrEqual(5_000);
  });

  it('is a Hard Reset where both sides have RFC 8538', () => {
    const families = [{ family: 'ipv4', forwardingPreserved: false } as const];
    const restart = { restarted: false, notification: true, restartTimeSeconds: 120, families };
    const capabilities = { ...THEIR_OPEN.capabilities, gracefulRestart: restart };
    expect(limited('reset', { capabilities }, true).lines[1]).toBe('NOTIFICATION 6/9 060100010100000001');
  });
});

describe('a full table thrown at us', () => {
  it('is taken at more than 400,000 routes a second, and held as a number', () => {
    const nlri = Array.from({ length: 700 }, (_, i) => hex('20', (0x0a000000 + i).toString(16).padStart(8, '0')));
    const message = update('', GOOD, nlri.join(''));
    const chunk = Buffer.concat(Array.from({ length: 20 }, () => message));
    const stage = new Stage();
    stage.establish();
    const began = performance.now();
    for (let i = 0; i < 20; i++) stage.data(chunk);
    const perSecond = (20 * 20 * 700 * 1_000) / (performance.now() - began);
    expect(learned(stage).ipv4).toBe(280_000);
    expect(perSecond).toBeGreaterThan(400_000);
  });
});
