// NOTIFICATIONs as people read them, shutdown texts (RFC 9003), Hard Reset (RFC 8538).

import { describe, expect, it } from 'vitest';
import {
  CEASE,
  describeNotification,
  hardReset,
  notification,
  shutdownNotification,
  shutdownText,
  unwrapHardReset,
} from '../../src/bgp/notification.ts';
import { hex, toHex } from './octets.ts';

describe('a NOTIFICATION', () => {
  it('is described by the names of the registry, or by number', () => {
    expect(describeNotification(notification(6, 2))).toBe('6/2 Cease, Administrative Shutdown');
    expect(describeNotification(notification(2, 2))).toBe('2/2 OPEN Message Error, Bad Peer AS');
    expect(describeNotification(notification(4))).toBe('4/0 Hold Timer Expired');
    expect(describeNotification(notification(6, 10))).toBe('6/10 Cease, BFD Down');
    expect(describeNotification(notification(6, 99))).toBe('6/99 Cease, subcode 99');
    expect(describeNotification(notification(200, 1))).toBe('200/1 code 200, subcode 1');
  });
});

describe('a shutdown text', () => {
  it('is one length octet and UTF-8', () => {
    expect(toHex(shutdownNotification(2, 'näh').data)).toBe('046ec3a468');
    expect(shutdownNotification(CEASE.administrativeReset, '')).toEqual({ code: 6, subcode: 4, data: hex('') });
  });

  it('is cut at a code point, to 128 octets or to what the peer takes', () => {
    const cut = shutdownNotification(2, `${'a'.repeat(126)}€uro`);
    // the euro sign needs three octets and two are free
    expect(cut.data).toHaveLength(1 + 126);
    expect(cut.data[0]).toBe(126);
    expect(shutdownNotification(2, `${'a'.repeat(125)}€uro`).data).toHaveLength(1 + 128);
    expect(shutdownNotification(2, 'b'.repeat(400), 255).data).toHaveLength(1 + 255);
    expect(shutdownNotification(2, 'b'.repeat(400), 1000).data).toHaveLength(1 + 255);
    expect(shutdownText(cut)).toBe('a'.repeat(126));
  });

  it('is read from 6/2 and 6/4, also inside a Hard Reset, and from nothing else', () => {
    const n = shutdownNotification(2, 'bye');
    expect(shutdownText(n)).toBe('bye');
    expect(shutdownText({ ...n, subcode: 4 })).toBe('bye');
    expect(shutdownText(hardReset(n))).toBe('bye');
    expect(shutdownText({ ...n, subcode: 3 })).toBeUndefined();
    expect(shutdownText({ ...n, code: 2 })).toBeUndefined();
    expect(shutdownText(notification(6, 2))).toBeUndefined();
    expect(shutdownText(notification(6, 2, hex('00')))).toBeUndefined();
  });

  it('cannot break a log: controls and direction marks are escaped', () => {
    const text = (octets: string): string | undefined => shutdownText(notification(6, 2, hex(octets)));
    expect(text('05 61 0a 1b 5b 62')).toBe('a\\u{a}\\u{1b}[b');
    // U+202E turns the text around, U+2028 is a line break, U+009B begins an escape sequence
    expect(text('09 e280ae e280a8 c29b 21')).toBe('\\u{202e}\\u{2028}\\u{9b}!');
  });

  it('that is no UTF-8, or not as long as it says, is shown as octets', () => {
    const text = (octets: string): string | undefined => shutdownText(notification(6, 2, hex(octets)));
    expect(text('02 c328')).toBe('0x02c328');
    expect(text('03 eda080')).toBe('0x03eda080');
    expect(text('05 616263')).toBe('0x05616263');
    expect(text('01 616263')).toBe('0x01616263');
  });
});

describe('a Hard Reset', () => {
  it('wraps code, subcode and data of the reason (RFC 8538 §3.1)', () => {
    const wrapped = hardReset(shutdownNotification(2, 'bye'));
    expect({ ...wrapped, data: toHex(wrapped.data) }).toEqual({ code: 6, subcode: 9, data: '060203627965' });
    expect(unwrapHardReset(wrapped)).toEqual(shutdownNotification(2, 'bye'));
    expect(describeNotification(wrapped)).toBe('6/9 Cease, Hard Reset (6/2 Cease, Administrative Shutdown)');
  });

  it('may come empty, and nothing else is one', () => {
    expect(unwrapHardReset(notification(6, 9))).toBeUndefined();
    expect(unwrapHardReset(notification(6, 9, hex('06')))).toBeUndefined();
    expect(unwrapHardReset(notification(6, 2, hex('0602')))).toBeUndefined();
    expect(describeNotification(notification(6, 9))).toBe('6/9 Cease, Hard Reset');
  });

  it('wrapped as often as a message has room is named once', () => {
    const n = notification(6, 9, hex('0609'.repeat(32_000)));
    expect(describeNotification(n)).toBe('6/9 Cease, Hard Reset (6/9 Cease, Hard Reset)');
    expect(shutdownText(n)).toBeUndefined();
  });
});
