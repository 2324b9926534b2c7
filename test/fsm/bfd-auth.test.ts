// A BFD session with keys: the A bit on either side, sequence numbers out and in (RFC 5880 §6.7.3, §6.7.4, §6.8.1), one key
// after another without a flap.

import { describe, expect, it } from 'vitest';
import type { AuthenticationType, Key } from '../../src/bfd/auth.ts';
import { Driven } from './bfd-driven.ts';

const key = (type: AuthenticationType, text: string, id: number): Key => ({
  type,
  id,
  secret: Uint8Array.from(Buffer.from(text)),
});
const METICULOUS = key('meticulous-keyed-sha1', 'fairway-key', 7);
const KEYED = key('keyed-md5', 'fairway-key', 7);
const sequences = (driven: Driven) => driven.sent.map(({ packet }) => packet.authentication?.sequence);

/** Up with this key; the peer's last sequence number is 104. */
function up(by: Key, keys: readonly Key[] = [by]): Driven {
  const driven = new Driven({ keys }).pass(0);
  driven.hear({ state: 'Down' }, { by: [by, 101] }).hear({ state: 'Init' }, { by: [by, 102] });
  driven.hear({ state: 'Up', final: true }, { by: [by, 103] }).hear({ state: 'Up' }, { by: [by, 104] });
  return driven.clear();
}

describe('the A bit', () => {
  it('unasked for, is dropped', () => {
    const driven = new Driven().hear({ state: 'Down' }, { by: [KEYED, 1] });
    expect(driven.session.counters.drops).toEqual({ 'auth-unexpected': 1 });
    expect(driven.session.state).toBe('Down');
  });

  it('missing, is dropped, whatever the packet says', () => {
    const driven = up(METICULOUS).hear({ state: 'AdminDown' }).hear({ state: 'Down', poll: true });
    expect(driven.session.counters.drops).toEqual({ 'auth-missing': 2 });
    expect(driven.sent).toEqual([]);
  });

  it('is in every packet that we send, Finals too, and a forged one keeps nothing alive', () => {
    const driven = up(METICULOUS).hear({ state: 'Up', poll: true }, { by: [METICULOUS, 105] });
    driven
      .pass(900)
      .hear({ state: 'Up' }, { by: [key('meticulous-keyed-sha1', 'guess', 7), 106] })
      .pass(100);
    expect(driven.reports).toMatchObject([{ because: 'detection-expired' }]);
    expect(driven.session.counters.drops).toEqual({ 'auth-digest': 1 });
    expect(driven.sent.every(({ packet }) => packet.authentication?.type === 5)).toBe(true);
  });
});

describe('numbers that we send', () => {
  it('meticulous: each packet one more, from a random start, across zero', () => {
    const driven = new Driven({ keys: [METICULOUS] });
    expect(driven.session.sentSequence).toBe(2 ** 31);
    driven.session.sentSequence = 0xfffffffd;
    driven.pass(3000);
    expect(sequences(driven)).toEqual([0xfffffffe, 0xffffffff, 0, 1]);
  });

  it('keyed: one more only where the packet says something else than the one before', () => {
    const driven = new Driven({ keys: [KEYED] });
    driven.session.sentSequence = 50;
    driven.pass(2000).hear({ state: 'Down' }, { by: [KEYED, 1] });
    driven.hear({ state: 'Down', poll: true }, { by: [KEYED, 1] }).hear({ state: 'Init' }, { by: [KEYED, 1] });
    // Down ×3, Init, Init F, Up P
    expect(sequences(driven)).toEqual([51, 51, 51, 52, 53, 54]);
  });
});

describe('numbers that we hear', () => {
  it('meticulous: a replayed packet is dropped, and one from beyond the window', () => {
    const driven = up(METICULOUS).hear({ state: 'Down' }, { by: [METICULOUS, 102] });
    driven.hear({ state: 'Down' }, { by: [METICULOUS, 104] }).hear({ state: 'Down' }, { by: [METICULOUS, 120] });
    expect(driven.session).toMatchObject({ state: 'Up', counters: { drops: { 'auth-sequence': 3 } } });
    // 3 × the peer's 5, greater than our 3
    expect(driven.hear({ state: 'Up' }, { by: [METICULOUS, 119] }).session.receivedSequence).toBe(119);
  });

  it('keyed: the same number again is fine, an older one is not', () => {
    const driven = up(KEYED)
      .hear({ state: 'Up' }, { by: [KEYED, 104] })
      .hear({ state: 'Down' }, { by: [KEYED, 103] });
    expect(driven.session).toMatchObject({ state: 'Up', counters: { drops: { 'auth-sequence': 1 } } });
  });

  it('a forged packet cannot set the first number', () => {
    const driven = new Driven({ keys: [METICULOUS] });
    driven.hear({ state: 'Down' }, { by: [key('meticulous-keyed-sha1', 'guess', 7), 4_000_000] });
    expect(driven.session.receivedSequence).toBeUndefined();
    expect(driven.hear({ state: 'Down' }, { by: [METICULOUS, 1] }).session.state).toBe('Init');
  });

  it('one Detection Time of silence keeps the number, two forget it: a peer that restarted is heard then', () => {
    const driven = up(METICULOUS).pass(1999);
    expect(driven.session).toMatchObject({ state: 'Down', receivedSequence: 104 });
    driven.hear({ state: 'Down' }, { by: [METICULOUS, 9] });
    expect(driven.session.counters.drops).toEqual({ 'auth-sequence': 1 });
    driven.pass(1).hear({ state: 'Down' }, { by: [METICULOUS, 9] });
    expect(driven.session).toMatchObject({ state: 'Init', receivedSequence: 9 });
  });
});

describe('a new key', () => {
  const NEXT = key('keyed-sha1', 'tomorrow', 8);

  it('is taken by both ends one after the other without a flap', () => {
    const driven = up(METICULOUS).retune({ keys: [METICULOUS, NEXT] });
    driven
      .pass(300)
      .hear({ state: 'Up' }, { by: [NEXT, 105] })
      .pass(300)
      .retune({ keys: [NEXT, METICULOUS] });
    driven
      .hear({ state: 'Up' }, { by: [NEXT, 105] })
      .pass(300)
      .retune({ keys: [NEXT] });
    driven
      .hear({ state: 'Up' }, { by: [NEXT, 105] })
      .pass(300)
      .hear({ state: 'Up' }, { by: [METICULOUS, 106] });
    expect(driven.reports).toEqual([]);
    expect(new Set(driven.sent.map(({ packet }) => packet.authentication?.keyId))).toEqual(new Set([7, 8]));
    expect(driven.session.counters.drops).toEqual({ 'auth-type': 1 });
  });

  it('may be the first, and no key again', () => {
    const driven = new Driven().pass(0).toUp().clear();
    driven
      .retune({ keys: [NEXT] })
      .hear({ state: 'Up' }, { by: [NEXT, 3] })
      .pass(300);
    expect(driven.last.authentication?.keyId).toBe(8);
    driven.retune({ keys: [] }).hear({ state: 'Up' }).pass(300);
    expect(driven.last.authentication).toBeUndefined();
    expect(driven.reports).toEqual([]);
  });
});

describe('two keys with one id', () => {
  it('are both believed: a key may be exchanged for one of the same number', () => {
    const next = key('meticulous-keyed-sha1', 'tomorrow', 7);
    const driven = up(METICULOUS)
      .retune({ keys: [next, METICULOUS] })
      .hear({ state: 'Up' }, { by: [METICULOUS, 105] })
      .hear({ state: 'Up' }, { by: [next, 106] })
      .hear({ state: 'Up' }, { by: [key('meticulous-keyed-sha1', 'guess', 7), 107] });
    expect(driven.session.counters.drops).toEqual({ 'auth-digest': 1 });
    expect(driven.session.receivedSequence).toBe(106);
  });
});
