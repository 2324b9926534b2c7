// RFC 4271 §6.8 and RFC 6286 §2.3: of two connections with one peer, the one that was dialled by the higher BGP
// identifier (of equals: the higher AS) lives, whichever came first; a session is never given up for a newcomer.

import { describe, expect, it } from 'vitest';
import { NO_CAPABILITIES } from '../../src/bgp/capability.ts';
import { survivor } from '../../src/bgp/collision.ts';
import type { Open } from '../../src/bgp/open.ts';
import type { Ip } from '../../src/net/address.ts';
import { Stage, THEIR_OPEN } from './stage.ts';

/** Our identifier is 192.0.2.10, our local address. */
const LOWER: Partial<Open> = { routerId: '192.0.2.1' as Ip };
const HIGHER: Partial<Open> = { routerId: '192.0.2.200' as Ip };
const INBOUND = 'in#1';
const OURS = 'tor#1.1';

/** Both connections in OpenSent: ours was dialled, then the peer's was accepted. */
function both(): Stage {
  const stage = new Stage();
  stage.tick();
  stage.opened();
  expect(stage.accepted(INBOUND)).toEqual(['OPEN']);
  return stage;
}

describe('which connection lives', () => {
  it.each([
    // RFC 4271 §6.8 step 2: identifiers are compared as unsigned numbers
    ['10.0.0.2', 1, '10.0.0.1', 9, 'us'],
    ['10.0.0.1', 9, '10.0.0.2', 1, 'peer'],
    ['9.0.0.1', 1, '10.0.0.1', 1, 'peer'],
    ['200.0.0.1', 1, '100.0.0.1', 1, 'us'],
    // RFC 6286 §2.3: equal identifiers, the larger AS
    ['10.0.0.1', 65_002, '10.0.0.1', 65_001, 'us'],
    ['10.0.0.1', 65_001, '10.0.0.1', 65_002, 'peer'],
    ['10.0.0.1', 4_200_000_000, '10.0.0.1', 65_002, 'us'],
  ] as const)('ours %s AS %i, theirs %s AS %i: dialled by %s', (ourId, ourAs, theirId, theirAs, expected) => {
    const open = (routerId: string, as: number): Open => ({
      as,
      holdTimeSeconds: 90,
      routerId: routerId as Ip,
      capabilities: NO_CAPABILITIES,
    });
    expect(survivor(open(ourId, ourAs), open(theirId, theirAs))).toBe(expected);
  });
});

describe('two connections before either is confirmed', () => {
  it.each([
    ['theirs speaks first', LOWER, INBOUND, OURS],
    ['ours speaks first', LOWER, OURS, INBOUND],
    ['theirs speaks first', HIGHER, INBOUND, OURS],
    ['ours speaks first', HIGHER, OURS, INBOUND],
  ] as const)('%s, identifier %o: decided with the second OPEN', (_, open, first, second) => {
    const stage = both();
    const [lives, dies] = open === LOWER ? [OURS, INBOUND] : [INBOUND, OURS];
    expect(stage.open(open, first)).toEqual(['KEEPALIVE']);
    const closing = ['NOTIFICATION 6/7', `close fin ${dies}`, 'peer-failed'];
    expect(stage.open(open, second)).toEqual(lives === second ? [...closing, 'KEEPALIVE'] : closing);
    expect(stage.keepalive(lives)).toContain('peer-up');
  });
});

describe('a connection on which the peer says nothing', () => {
  it.each([
    ['the peer’s, identifier higher', HIGHER, INBOUND, OURS],
    ['the peer’s, identifier lower', LOWER, INBOUND, OURS],
    ['ours, identifier lower', LOWER, OURS, INBOUND],
    ['ours, identifier higher', HIGHER, OURS, INBOUND],
  ] as const)(
    '%s: the one that spoke becomes the session, then the silent one is closed',
    (_, open, silent, spoken) => {
      const stage = both();
      expect(stage.open(open, spoken)).toEqual(['KEEPALIVE']);
      const lines = stage.keepalive(spoken);
      expect(lines.slice(0, 4)).toEqual(['NOTIFICATION 6/7', `close fin ${silent}`, 'peer-failed', 'peer-up']);
      expect(stage.peer.state).toBe('Established');
      expect(stage.peer.lastError).toBeUndefined();
    },
  );
});

describe('one connection in OpenConfirm', () => {
  it('is closed when the OPEN of the other shows that the other lives', () => {
    const stage = new Stage();
    stage.tick();
    stage.opened();
    stage.open(HIGHER, OURS);
    stage.accepted(INBOUND);
    const lines = stage.open(HIGHER, INBOUND);
    expect(lines).toEqual(['NOTIFICATION 6/7', `close fin ${OURS}`, 'peer-failed', 'KEEPALIVE']);
  });

  it('lives when the OPEN of the other shows so', () => {
    const stage = new Stage();
    stage.tick();
    stage.opened();
    stage.open(LOWER, OURS);
    stage.accepted(INBOUND);
    expect(stage.open(LOWER, INBOUND)).toEqual(['NOTIFICATION 6/7', `close fin ${INBOUND}`, 'peer-failed']);
    expect(stage.keepalive(OURS)).toContain('peer-up');
  });

  it('stops a dial that is under way: it could only collide', () => {
    const stage = new Stage();
    stage.tick();
    stage.accepted(INBOUND);
    expect(stage.open(LOWER, INBOUND)).toEqual(['KEEPALIVE', `close rst ${OURS}`]);
    expect(stage.keepalive(INBOUND)).toContain('peer-up');
  });
});

describe('becoming established', () => {
  it('closes the other connection, which has not said who it is', () => {
    const stage = new Stage();
    stage.tick();
    stage.opened();
    stage.open(LOWER, OURS);
    stage.accepted(INBOUND);
    const lines = stage.keepalive(OURS);
    expect(lines.slice(0, 4)).toEqual(['NOTIFICATION 6/7', `close fin ${INBOUND}`, 'peer-failed', 'peer-up']);
  });
});

describe('a newcomer while a session is up', () => {
  it('is closed after its OPEN, and the old session is probed at once', () => {
    const stage = new Stage();
    stage.establish();
    expect(stage.accepted(INBOUND)).toEqual(['KEEPALIVE', 'OPEN']);
    const probe = stage.effects.find((effect) => 'do' in effect && effect.do === 'tcp-send' && effect.bytes[18] === 4);
    expect(probe).toMatchObject({ connection: OURS });
    expect(stage.open(HIGHER, INBOUND)).toEqual(['NOTIFICATION 6/7', `close fin ${INBOUND}`, 'peer-failed']);
    expect(stage.peer.state).toBe('Established');
  });

  it('takes over when the probe shows that the old session is dead', () => {
    const stage = new Stage();
    stage.establish();
    stage.accepted(INBOUND);
    expect(stage.closed(OURS, 'ECONNRESET')).toContain('peer-down');
    stage.open(LOWER, INBOUND);
    expect(stage.keepalive(INBOUND)).toContain('peer-up');
  });

  it('takes over without a NOTIFICATION when the peer has graceful restart (RFC 4724 §5)', () => {
    const stage = new Stage();
    const families = [{ family: 'ipv4', forwardingPreserved: true }] as const;
    const gracefulRestart = { restarted: false, notification: false, restartTimeSeconds: 120, families };
    stage.establish({ capabilities: { ...THEIR_OPEN.capabilities, gracefulRestart } });
    expect(stage.accepted(INBOUND)).toEqual([`close fin ${OURS}`, 'peer-down', 'OPEN']);
    stage.open(LOWER, INBOUND);
    expect(stage.keepalive(INBOUND)).toContain('peer-up');
    expect(stage.peer.backoff.sessions).toBe(0);
  });

  it('is refused at once when the last one came less than a second ago', () => {
    const stage = new Stage();
    stage.establish();
    stage.accepted(INBOUND);
    stage.open(LOWER, INBOUND);
    expect(stage.accepted('in#2')).toEqual(['close rst in#2']);
    stage.now += 1_000;
    expect(stage.accepted('in#3')).toEqual(['KEEPALIVE', 'OPEN']);
  });
});

describe('two connections of the peer', () => {
  it('the first gives way while it has not said who it is', () => {
    const stage = new Stage({ passive: true });
    stage.tick();
    stage.accepted(INBOUND);
    expect(stage.accepted('in#2')).toEqual([`close rst ${INBOUND}`, 'OPEN']);
  });

  it('the second is refused once the first has', () => {
    const stage = new Stage({ passive: true });
    stage.tick();
    stage.accepted(INBOUND);
    stage.open(LOWER, INBOUND);
    expect(stage.accepted('in#2')).toEqual(['close rst in#2']);
  });
});

describe('a collision', () => {
  it('is nobody’s failure: the next dial comes within 1 to 5 s, whatever went before', () => {
    const lost = new Stage();
    lost.tick();
    lost.opened();
    lost.notification({ code: 6, subcode: 7, data: new Uint8Array() });
    expect(lost.peer.backoff.sessions).toBe(0);
    expect(lost.peer.dialAt - lost.now).toBe(3_000);
  });

  it('is told in lastError when it comes again before there is a session', () => {
    const stage = both();
    const errors: (string | undefined)[] = [];
    for (const inbound of [INBOUND, 'in#2']) {
      if (inbound !== INBOUND) stage.accepted(inbound);
      stage.open(LOWER, inbound === INBOUND ? OURS : inbound);
      if (inbound === INBOUND) stage.open(LOWER, inbound);
      errors.push(stage.peer.lastError?.code);
    }
    expect(errors).toEqual([undefined, '6/7']);
    stage.keepalive(OURS);
    expect(stage.peer.collisions).toBe(0);
  });
});
