// BGP as a client of BFD, one peer: what ends a session and what does not (RFC 5882 §4.2, §4.3, §10.2; RFC 9384), when it
// is tried again, and who waits for whom in strict mode (draft-ietf-idr-bgp-bfd-strict-mode).

import { describe, expect, it } from 'vitest';
import type { BfdSays } from '../../src/bgp/bfd-client.ts';
import { NO_CAPABILITIES } from '../../src/bgp/capability.ts';
import type { Open } from '../../src/bgp/open.ts';
import type { PeerConfig } from '../../src/bgp/peer.ts';
import { peerDueAt } from '../../src/bgp/peer.ts';
import { viewPeer } from '../../src/bgp/view.ts';
import { CONFIG, routes, Stage, THEIR_OPEN } from './stage.ts';

const FAILED: BfdSays = { is: 'down', failure: true, independent: false, why: 'nothing was heard' };
const NOT_YET: BfdSays = { ...FAILED, failure: false };
const UP: BfdSays = { is: 'up' };

class BfdStage extends Stage {
  constructor(config: Partial<PeerConfig> = {}) {
    super({ bfd: true, ...config }, routes(['198.51.100.1/32']));
  }

  says(says: BfdSays): readonly string[] {
    return this.on({ on: 'bfd', says });
  }

  /** Established, with BFD up, for a minute. */
  settled(open: Partial<Open> = {}): this {
    this.says(UP);
    this.establish(open);
    this.now += 60_000;
    return this;
  }
}

const STRICT: Partial<Open> = { capabilities: { ...THEIR_OPEN.capabilities, bfdStrict: true } };
const restarting = (notification: boolean): Partial<Open> => ({
  capabilities: {
    ...THEIR_OPEN.capabilities,
    gracefulRestart: {
      ...{ restarted: false, notification, restartTimeSeconds: 120 },
      families: [{ family: 'ipv4', forwardingPreserved: true }],
    },
  },
});

describe('a path that fails', () => {
  it('ends the session with Cease 6/10, and says why', () => {
    const stage = new BfdStage().settled();
    expect(stage.says(FAILED)).toEqual(['NOTIFICATION 6/10', 'close fin tor#1.1', 'peer-down']);
    expect(stage.peer.lastError).toMatchObject({ code: '6/10', text: expect.stringContaining('nothing was heard') });
  });

  it('is not dialled before BFD is up, and then at once', () => {
    const stage = new BfdStage().settled();
    stage.says(FAILED);
    expect(stage.tick(5_000)).toEqual([]);
    expect(stage.says(NOT_YET)).toEqual([]);
    expect(stage.tick(3_000)).toEqual([]);
    expect(stage.says(UP)).toEqual(['connect']);
  });

  it('is tried without BFD after ten seconds: the router may have lost its BFD alone', () => {
    const stage = new BfdStage().settled();
    stage.says(FAILED);
    expect(peerDueAt(stage.peer)).toBe(stage.now + 10_000);
    expect(stage.tick(9_999)).toEqual([]);
    expect(stage.tick(1)).toEqual(['connect']);
    // BFD never came up for this session: its silence is no failure
    stage.opened();
    stage.open();
    expect(stage.keepalive()).toContain('peer-up');
    expect(stage.says(NOT_YET)).toEqual([]);
  });

  it('does not keep the peer from connecting', () => {
    const stage = new BfdStage().settled();
    stage.says(FAILED);
    stage.now += 2_000;
    expect(stage.accepted('in#1')).toContain('OPEN');
  });

  it('that BFD keeps down because it flaps is neither dialled nor taken meanwhile', () => {
    const stage = new BfdStage().settled();
    stage.says({ ...FAILED, heldMs: 4_000 });
    stage.now += 3_999;
    expect(stage.accepted('in#1')).toEqual(['close rst in#1']);
    expect(stage.tick(1 + 9_999)).toEqual([]);
    expect(stage.accepted('in#2')).toContain('OPEN');
    expect(stage.tick(1)).toContain('connect');
  });

  it('is dialled anew as soon as BFD is up, for the SYN under way may wait for long', () => {
    const stage = new BfdStage().settled();
    stage.says(FAILED);
    stage.tick(10_000);
    const { dialled } = stage;
    expect(stage.says(UP)).toEqual([`close rst ${dialled}`, 'connect']);
  });

  it('is not dialled by a peer that never dials, nor while its own connection is nearly up', () => {
    const passive = new BfdStage({ passive: true });
    passive.says(UP);
    passive.tick();
    passive.accepted('in#1');
    passive.open({}, 'in#1');
    passive.keepalive('in#1');
    passive.now += 60_000;
    passive.says(FAILED);
    passive.tick(10_000);
    expect(passive.says(UP)).toEqual([]);
    const stage = new BfdStage().settled();
    stage.says(FAILED);
    stage.tick(10_000);
    stage.accepted('in#1');
    stage.open({}, 'in#1');
    expect(stage.says(UP)).not.toContain('connect');
  });

  it('that fails again and again is waited for longer each time', () => {
    const stage = new BfdStage().settled();
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) {
      stage.says(FAILED);
      stage.says(UP);
      waits.push(stage.peer.dialAt - stage.now);
      stage.tick(waits.at(-1));
      stage.opened();
      stage.open();
      stage.keepalive();
      stage.now += 5_000;
    }
    // IdleHold of 1 s doubles, jittered at the middle of 75-100 %; the first is waived
    expect(waits).toEqual([0, 1_750, 3_500, 7_000]);
  });
});

describe('what is no failure', () => {
  it.each<[string, BfdSays]>([
    ['a session that does not come up', NOT_YET],
    ['AdminDown of either side', { is: 'admin-down' }],
    ['a session over another path', { is: 'unknown' }],
  ])('%s leaves BGP alone', (_, says) => {
    const stage = new BfdStage().settled();
    expect(stage.says(says)).toEqual([]);
    expect(stage.peer.state).toBe('Established');
  });

  it('BFD down before BGP was ever up does not keep it from coming up', () => {
    const stage = new BfdStage();
    stage.says(NOT_YET);
    expect(stage.establish()).toContain('peer-up');
  });

  it('whatever it says of a peer without a BFDProfile', () => {
    const stage = new Stage();
    stage.establish();
    stage.now += 60_000;
    expect(stage.on({ on: 'bfd', says: FAILED })).toEqual([]);
  });
});

describe('a session that has just come about', () => {
  it('is not ended by a BFD session that its router begins anew', () => {
    const stage = new BfdStage();
    stage.says(UP);
    stage.establish();
    stage.now += 300;
    expect(stage.says(FAILED)).toEqual([]);
    stage.now += 900;
    expect(stage.says(UP)).toEqual([]);
    expect(stage.tick(60_000)).not.toContain('peer-down');
  });

  it('is ended by a failure that lasts, though the way up was begun', () => {
    const stage = new BfdStage();
    stage.says(UP);
    stage.establish();
    stage.now += 300;
    stage.says(FAILED);
    stage.now += 500;
    stage.says(NOT_YET);
    expect(peerDueAt(stage.peer)).toBe(1_800);
    expect(stage.tick(999)).toEqual([]);
    expect(stage.tick(1)).toEqual(['NOTIFICATION 6/10', 'close fin tor#1.1', 'peer-down']);
  });

  it('and is over by itself takes the doubt with it', () => {
    const stage = new BfdStage();
    stage.says(UP);
    stage.establish();
    stage.now += 300;
    stage.says(FAILED);
    stage.closed();
    expect(stage.tick(1_500).filter((line) => line.startsWith('NOTIFICATION'))).toEqual([]);
  });
});

describe('with graceful restart (RFC 5882 §4.3.2, RFC 9384)', () => {
  it('BFD that shares the fate of the control plane ends the session so that routes are kept', () => {
    const stage = new BfdStage({ gracefulRestart: true }).settled(restarting(true));
    expect(stage.says(FAILED)).toContain('NOTIFICATION 6/10');
  });

  it('BFD that does not ends it with a Hard Reset', () => {
    const stage = new BfdStage({ gracefulRestart: true }).settled(restarting(true));
    expect(stage.says({ ...FAILED, independent: true })).toContain('NOTIFICATION 6/9 060a');
  });

  it('a peer without RFC 8538 gets the plain one', () => {
    const stage = new BfdStage({ gracefulRestart: true }).settled(restarting(false));
    expect(stage.says({ ...FAILED, independent: true })).toContain('NOTIFICATION 6/10');
  });
});

describe('strict mode', () => {
  const offered = (stage: Stage) => stage.peer.outbound.ours?.capabilities.bfdStrict;

  it('is offered where there is a BFDProfile, and nowhere else', () => {
    for (const [stage, expected] of [
      [new BfdStage(), true],
      [new Stage(), false],
    ] as const) {
      stage.tick();
      stage.opened();
      expect(offered(stage)).toBe(expected);
    }
  });

  it.each<[string, BfdSays]>([
    ['down', NOT_YET],
    ['not heard of', { is: 'unknown' }],
  ])('keeps the KEEPALIVE back while BFD is %s', (_, says) => {
    const stage = new BfdStage();
    stage.says(says);
    stage.tick();
    stage.opened();
    expect(stage.open(STRICT)).toEqual([]);
    expect(viewPeer(stage.peer, false).bfd).toEqual({ says: says.is, strict: true, waits: true });
    expect(stage.peer.state).toBe('OpenSent');
    expect(stage.says(UP)).toEqual(['KEEPALIVE']);
    expect(stage.keepalive()).toContain('peer-up');
  });

  it('comes up at once when the peer has confirmed before BFD was up on this side', () => {
    const stage = new BfdStage();
    stage.tick();
    stage.opened();
    stage.open(STRICT);
    expect(stage.keepalive()).toEqual([]);
    expect(stage.says(UP).slice(0, 2)).toEqual(['KEEPALIVE', 'peer-up']);
  });

  it.each<[string, BfdSays]>([
    ['is up', UP],
    ['is AdminDown', { is: 'admin-down' }],
  ])('does not wait when BFD %s', (_, says) => {
    const stage = new BfdStage();
    stage.says(says);
    stage.tick();
    stage.opened();
    expect(stage.open(STRICT)).toEqual(['KEEPALIVE']);
  });

  it('does not wait for a peer that is not strict', () => {
    const stage = new BfdStage();
    stage.tick();
    stage.opened();
    expect(stage.open()).toEqual(['KEEPALIVE']);
  });

  it('waits no longer than the hold time', () => {
    const stage = new BfdStage();
    stage.tick();
    stage.opened();
    stage.open(STRICT);
    expect(stage.tick(89_999)).toEqual([]);
    expect(stage.tick(1)).toContain('NOTIFICATION 4/0');
  });

  it('with hold time 0 waits 30 seconds and says 6/10', () => {
    const stage = new BfdStage({ holdTimeMs: 0 });
    stage.tick();
    stage.opened();
    stage.open({ ...STRICT, holdTimeSeconds: 0 });
    expect(stage.tick(29_999)).toEqual([]);
    expect(stage.tick(1)).toContain('NOTIFICATION 6/10');
  });

  it('ends a connection in OpenConfirm whose path fails', () => {
    const stage = new BfdStage();
    stage.says(UP);
    stage.tick();
    stage.opened();
    stage.open(STRICT);
    expect(stage.says(FAILED)).toEqual(['NOTIFICATION 6/10', 'close fin tor#1.1', 'peer-failed']);
  });

  it('but not one of a peer that is not strict', () => {
    const stage = new BfdStage();
    stage.says(UP);
    stage.tick();
    stage.opened();
    stage.open();
    expect(stage.says(FAILED)).toEqual([]);
  });

  it('goes on when the BFDProfile is taken away', () => {
    const stage = new BfdStage();
    stage.tick();
    stage.opened();
    stage.open(STRICT);
    expect(stage.on({ on: 'configure', config: CONFIG })).toContain('KEEPALIVE');
  });

  it('a second OPEN while it waits is an FSM error (RFC 6608)', () => {
    const stage = new BfdStage();
    stage.tick();
    stage.opened();
    stage.open(STRICT);
    expect(stage.open(STRICT)).toContain('NOTIFICATION 5/1 01');
  });

  it('is not offered to a peer that refused capabilities', () => {
    const stage = new BfdStage();
    stage.tick();
    stage.opened();
    stage.notification({ code: 2, subcode: 7, data: new Uint8Array() });
    stage.tick(60_000);
    stage.opened();
    expect(offered(stage)).toBe(false);
    expect(NO_CAPABILITIES.bfdStrict).toBe(false);
  });
});
