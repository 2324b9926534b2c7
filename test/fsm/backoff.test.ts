// How soon a peer dials again, and what happens meanwhile: never in a loop, soon after a restart, late where only a
// person can help. Every wait is asked for at the lowest and the highest jitter.

import { describe, expect, it } from 'vitest';
import { connectRetryMs, idleHoldMs, isStable } from '../../src/bgp/backoff.ts';
import { notification } from '../../src/bgp/notification.ts';
import { Stage } from './stage.ts';

describe('waits', () => {
  it('between dials: 1, 2, 4 … 30 s, never above the configured ceiling', () => {
    const waits = [0, 1, 2, 3, 4, 5, 50].map((connects) => connectRetryMs({ connects, sessions: 0 }, 120_000));
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(connectRetryMs({ connects: 50, sessions: 0 }, 10_000)).toBe(10_000);
  });

  it('after failed sessions: 1, 2, 4 … 120 s, shortened by up to a quarter', () => {
    const waits = (random: number) =>
      [1, 2, 3, 7, 8, 60].map((sessions) => idleHoldMs({ connects: 0, sessions }, undefined, random));
    expect(waits(1)).toEqual([1_000, 2_000, 4_000, 64_000, 120_000, 120_000]);
    expect(waits(0)).toEqual([750, 1_500, 3_000, 48_000, 90_000, 90_000]);
  });

  it.each([
    [2, 2],
    [2, 7],
    [2, 11],
    [6, 1],
    [6, 2],
    [6, 3],
    [6, 5],
  ])('after %i/%i: 5 s the first time, then at least a minute', (code, subcode) => {
    const told = notification(code, subcode);
    expect(idleHoldMs({ connects: 0, sessions: 1 }, told, 0)).toBe(5_000);
    expect(idleHoldMs({ connects: 0, sessions: 2 }, told, 0)).toBe(60_000);
    expect(idleHoldMs({ connects: 0, sessions: 9 }, told, 1)).toBe(120_000);
  });

  it('a refusal inside a Hard Reset is a refusal (RFC 8538)', () => {
    const told = notification(6, 9, Uint8Array.of(6, 2));
    expect(idleHoldMs({ connects: 0, sessions: 2 }, told, 0)).toBe(60_000);
  });

  it.each([
    [4, 0],
    [6, 4],
    [6, 6],
  ])('after %i/%i: no floor', (code, subcode) => {
    expect(idleHoldMs({ connects: 0, sessions: 1 }, notification(code, subcode), 1)).toBe(1_000);
  });

  it('a session is stable after a minute, and after twice its hold time', () => {
    expect([isStable(59_999, 3_000), isStable(60_000, 3_000)]).toEqual([false, true]);
    expect([isStable(179_999, 90_000), isStable(180_000, 90_000)]).toEqual([false, true]);
  });
});

/** Ms until the next dial, found by ticking whenever a timer is due. */
function untilDial(stage: Stage, most = 400_000): number {
  const from = stage.now;
  for (let waited = 0; waited <= most; waited += 50) {
    if (stage.tick(50).includes('connect')) return stage.now - from;
  }
  throw new Error('never dialled');
}

describe('a peer that does not answer', () => {
  it('is dialled again, later and later', () => {
    const stage = new Stage();
    stage.random = 0.999_999;
    stage.tick();
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      expect(stage.closed(stage.dialled, 'ECONNREFUSED')).toEqual(['peer-failed']);
      waits.push(untilDial(stage));
    }
    expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    expect(stage.peer.lastError).toMatchObject({ code: 'ECONNREFUSED', text: 'connect: ECONNREFUSED' });
  });

  it('a SYN without an answer is given up and sent again', () => {
    const stage = new Stage();
    stage.tick();
    const first = stage.dialled;
    const lines = stage.tick(7_000);
    expect(lines).toEqual(['peer-failed', `close rst ${first}`, 'connect']);
    expect(stage.dialled).not.toBe(first);
  });

  it('that accepts and closes before its OPEN counts as one that does not answer', () => {
    const stage = new Stage();
    stage.tick();
    for (let i = 0; i < 4; i++) {
      stage.opened();
      stage.closed();
      expect(stage.peer.backoff.connects).toBe(i + 1);
      untilDial(stage);
    }
  });
});

describe('a session that fails as soon as it is up', () => {
  it('does not reset the back-off', () => {
    const stage = new Stage();
    stage.random = 0.999_999;
    stage.tick();
    const waits: number[] = [];
    for (let i = 0; i < 5; i++) {
      stage.opened();
      stage.open();
      stage.keepalive();
      expect(stage.peer.state).toBe('Established');
      stage.notification({ code: 3, subcode: 1, data: new Uint8Array() });
      waits.push(untilDial(stage));
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000]);
  });

  it('resets it once it was stable', () => {
    const stage = new Stage();
    stage.peer.backoff.sessions = 7;
    stage.establish({ holdTimeSeconds: 0 });
    stage.now += 60_000;
    stage.closed();
    expect(stage.peer.backoff.sessions).toBe(1);
  });
});

describe('IdleHold', () => {
  it('accepts the peer, for one that dials is ready; once a second', () => {
    const stage = new Stage();
    stage.tick();
    stage.opened();
    stage.notification({ code: 6, subcode: 5, data: new Uint8Array() });
    expect(stage.peer.state).toBe('Idle');
    expect(stage.accepted('in#1')).toEqual(['OPEN']);
    stage.closed('in#1');
    expect(stage.accepted('in#2')).toEqual(['close rst in#2']);
    stage.now += 1_000;
    expect(stage.accepted('in#3')).toEqual(['OPEN']);
  });
});

describe('the hold timer', () => {
  it('ends a session with 4/0 when nothing comes, and a dribble of octets is nothing', () => {
    const stage = new Stage();
    stage.establish({ holdTimeSeconds: 9 });
    const update = Buffer.from(`${'ff'.repeat(16)}001702`, 'hex');
    let lines: readonly string[] = [];
    for (let i = 0; i < 9 && stage.peer.session !== undefined; i++) {
      stage.data(update.subarray(i, i + 1));
      lines = [...lines, ...stage.tick(1_000)];
    }
    expect(lines).toContain('NOTIFICATION 4/0');
    // every 2.6 s, looked at every second
    expect(lines.filter((line) => line === 'KEEPALIVE').length).toBe(2);
  });

  it('ends a connection that never says who it is, after a minute', () => {
    const stage = new Stage();
    stage.tick();
    stage.opened();
    expect(stage.tick(59_999)).toEqual([]);
    expect(stage.tick(1)).toEqual(['NOTIFICATION 4/0', 'close fin tor#1.1', 'peer-failed']);
  });
});

describe('the Send Hold Timer (RFC 9687)', () => {
  it('ends a session whose peer takes nothing for 480 s, without a NOTIFICATION, at once', () => {
    const stage = new Stage();
    stage.drains = false;
    stage.establish();
    // the KEEPALIVE of the handshake was taken, the next is not
    stage.on({ on: 'tcp-drained', connection: stage.dialled, bytes: stage.peer.session?.inFlight ?? 0, left: 0 });
    stage.on({ on: 'tcp-drained', connection: stage.dialled, bytes: stage.peer.session?.inFlight ?? 0, left: 0 });
    let last: readonly string[] = [];
    let ms = 0;
    for (; ms < 700_000 && stage.peer.session !== undefined; ms += 1_000) {
      stage.keepalive();
      last = stage.tick(1_000);
    }
    expect(last).toEqual([`close rst tor#1.1`, 'peer-down']);
    // it starts with the first KEEPALIVE that is not taken, within 30 s
    expect(ms).toBeGreaterThanOrEqual(480_000);
    expect(ms).toBeLessThanOrEqual(512_000);
    expect(stage.peer.lastError?.text).toContain('Send Hold Timer Expired');
  });

  it('waits twice the hold time where that is longer', () => {
    const stage = new Stage({ holdTimeMs: 600_000 });
    stage.drains = false;
    stage.establish({ holdTimeSeconds: 600 });
    let ms = 0;
    for (; ms < 2_000_000 && stage.peer.session !== undefined; ms += 1_000) {
      stage.keepalive();
      stage.tick(1_000);
      if (ms === 300_000) stage.on({ on: 'tcp-drained', connection: stage.dialled, bytes: 1, left: 1 });
    }
    expect(ms).toBeGreaterThanOrEqual(300_000 + 1_200_000);
    expect(ms).toBeLessThanOrEqual(300_000 + 1_202_000);
  });
});
