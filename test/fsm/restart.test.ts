// Leaving and coming back: Cease with a text for people (RFC 9003), Hard Reset (RFC 8538), and graceful restart
// (RFC 4724): the R bit, End-of-RIB behind everything else, silence where routes are to stay.

import { describe, expect, it } from 'vitest';
import type { GracefulRestart } from '../../src/bgp/capability.ts';
import { decode } from '../../src/bgp/message.ts';
import { BEFORE_OPEN } from '../../src/bgp/negotiate.ts';
import type { Open } from '../../src/bgp/open.ts';
import { isGone } from '../../src/bgp/peer.ts';
import { routes, Stage, THEIR_OPEN } from './stage.ts';

function helper(notification: boolean): Partial<Open> {
  const families = [{ family: 'ipv4', forwardingPreserved: false } as const];
  const gracefulRestart: GracefulRestart = { restarted: false, notification, restartTimeSeconds: 120, families };
  return { capabilities: { ...THEIR_OPEN.capabilities, gracefulRestart } };
}

function restartedBit(stage: Stage): boolean | undefined {
  const opens = stage.effects.filter((effect) => 'do' in effect && effect.do === 'tcp-send' && effect.bytes[18] === 1);
  const last = opens.at(-1);
  if (last === undefined || !('do' in last) || last.do !== 'tcp-send') throw new Error('no OPEN was sent');
  const message = decode(last.bytes, BEFORE_OPEN, false);
  return message.is === 'OPEN' ? message.open.capabilities.gracefulRestart?.restarted : undefined;
}

const WANTED = routes(['198.51.100.1/32', '2001:db8:1::1/128']);
const SHUTDOWN = { by: 'cease', subcode: 2, text: 'node drained' } as const;
/** RFC 9003 §2: length octet, then UTF-8. */
const SHUTDOWN_DATA = `0c${Buffer.from('node drained').toString('hex')}`;

describe('leaving with Cease', () => {
  it('takes the routes back and says why', () => {
    const stage = new Stage({}, WANTED);
    stage.establish();
    expect(stage.on({ on: 'leave', how: SHUTDOWN })).toEqual([
      'UPDATE -198.51.100.1/32',
      'UPDATE -2001:db8:1::1/128',
      `NOTIFICATION 6/2 ${SHUTDOWN_DATA}`,
      'close fin tor#1.1',
      'peer-down',
    ]);
    expect(isGone(stage.peer)).toBe(false);
    stage.closed('tor#1.1');
    expect(isGone(stage.peer)).toBe(true);
    for (let i = 0; i < 20; i++) expect(stage.tick(60_000)).toEqual([]);
    expect(stage.accepted('in#1')).toEqual(['close rst in#1']);
  });

  it('is a Hard Reset where both sides have RFC 8538, for the peer would keep the routes', () => {
    const stage = new Stage({ gracefulRestart: true });
    stage.establish(helper(true));
    const lines = stage.on({ on: 'leave', how: SHUTDOWN });
    expect(lines).toContain(`NOTIFICATION 6/9 0602${SHUTDOWN_DATA}`);
  });

  it('is a plain Cease where the peer has RFC 4724 alone, or we have not', () => {
    const plain = new Stage({ gracefulRestart: true });
    plain.establish(helper(false));
    expect(plain.on({ on: 'leave', how: { by: 'cease', subcode: 3 } })).toContain('NOTIFICATION 6/3');
    const without = new Stage();
    without.establish(helper(true));
    expect(without.on({ on: 'leave', how: { by: 'cease', subcode: 3 } })).toContain('NOTIFICATION 6/3');
  });

  it('before there is a session: Cease where an OPEN was sent, else nothing', () => {
    const sent = new Stage();
    sent.tick();
    sent.opened();
    expect(sent.on({ on: 'leave', how: { by: 'cease', subcode: 3 } })).toEqual([
      'NOTIFICATION 6/3',
      'close fin tor#1.1',
    ]);
    const dialling = new Stage();
    dialling.tick();
    expect(dialling.on({ on: 'leave', how: { by: 'cease', subcode: 3 } })).toEqual(['close rst tor#1.1']);
  });
});

describe('leaving for a graceful restart', () => {
  const how = { by: 'graceful-restart', text: 'bye' } as const;

  it('closes TCP without a word and without withdrawals', () => {
    const stage = new Stage({ gracefulRestart: true }, WANTED);
    stage.establish(helper(true));
    expect(stage.on({ on: 'leave', how })).toEqual(['close fin tor#1.1', 'peer-down']);
  });

  it('is a Cease where the session has no graceful restart', () => {
    const stage = new Stage({ gracefulRestart: true }, WANTED);
    stage.establish();
    expect(stage.on({ on: 'leave', how })).toContain('NOTIFICATION 6/2 03627965');
  });
});

describe('the R bit', () => {
  it('is set until the first session has all routes, and then no more', () => {
    const stage = new Stage({ gracefulRestart: true }, WANTED);
    stage.tick();
    stage.opened();
    expect(restartedBit(stage)).toBe(true);
    // the session fails before anything was synchronised
    stage.closed();
    stage.tick(60_000);
    stage.opened();
    expect(restartedBit(stage)).toBe(true);
    stage.open(helper(true));
    expect(stage.keepalive()).toContain('peer-synced');
    stage.closed();
    stage.tick(60_000);
    stage.opened();
    expect(restartedBit(stage)).toBe(false);
  });
});

describe('End-of-RIB (RFC 4724 §2)', () => {
  it('comes for every family, after all routes, when the kernel has taken them', () => {
    const stage = new Stage({}, WANTED);
    stage.drains = false;
    stage.tick();
    stage.opened();
    stage.open();
    const lines = stage.keepalive();
    expect(lines).toEqual(['peer-up', 'UPDATE +198.51.100.1/32', 'UPDATE +2001:db8:1::1/128']);
    const inFlight = stage.peer.session?.inFlight ?? 0;
    const drain = (bytes: number) =>
      stage.on({ on: 'tcp-drained', connection: 'tor#1.1', bytes, left: inFlight - bytes });
    expect(drain(inFlight - 1)).toEqual([]);
    expect(drain(1)).toEqual(['End-of-RIB ipv4', 'End-of-RIB ipv6', 'peer-synced']);
  });

  it('does not wait for what changes meanwhile', () => {
    const stage = new Stage({}, WANTED);
    stage.drains = false;
    stage.establish();
    const more = routes(['198.51.100.1/32', '198.51.100.2/32', '2001:db8:1::1/128']);
    expect(stage.on({ on: 'wanted', routes: more })).toEqual([]);
    stage.drains = true;
    const all = stage.on({ on: 'tcp-drained', connection: 'tor#1.1', bytes: 1_000_000, left: 0 });
    expect(all).toEqual(['End-of-RIB ipv4', 'End-of-RIB ipv6', 'UPDATE +198.51.100.2/32', 'peer-synced']);
  });

  it('is not sent before what is withdrawn meanwhile is taken back', () => {
    const stage = new Stage({}, WANTED);
    stage.drains = false;
    stage.establish();
    const lines = stage.on({ on: 'wanted', routes: routes(['2001:db8:1::1/128']) });
    expect(lines).toEqual(['UPDATE -198.51.100.1/32']);
  });
});

describe('what the peer says when it leaves', () => {
  it('is kept for people, with its controls escaped', () => {
    const stage = new Stage();
    stage.establish();
    const text = Buffer.from('maintenance\n');
    const data = Uint8Array.from([text.length, ...text]);
    expect(stage.notification({ code: 6, subcode: 2, data })).toEqual(['close fin tor#1.1', 'peer-down']);
    expect(stage.peer.lastError).toMatchObject({ code: '6/2', text: expect.stringContaining('maintenance\\u{a}') });
  });
});
