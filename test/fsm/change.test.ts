// What a changed configuration costs a running session: each field by name, with what it may cost written here.

import { describe, expect, it } from 'vitest';
import { changeOf } from '../../src/bgp/change.ts';
import type { PeerConfig } from '../../src/bgp/peer.ts';
import type { Ip } from '../../src/net/address.ts';
import { Secret } from '../../src/net/secret.ts';
import { CONFIG, routes, Stage, THEIR_OPEN } from './stage.ts';

/** Another value for every field; a new field without a row does not compile. */
const OTHER: {
  readonly [Field in keyof Required<PeerConfig>]: readonly [value: Required<PeerConfig>[Field], resets: boolean];
} = {
  name: ['other', false],
  interface: ['eth1', true],
  address: ['192.0.2.2' as Ip, true],
  port: [1179, true],
  localAs: [64_600, true],
  shownAs: [64_601, true],
  remoteAs: ['external', true],
  routerId: ['192.0.2.77' as Ip, true],
  fallbackRouterId: ['192.0.2.78' as Ip, true],
  holdTimeMs: [30_000, false],
  keepaliveTimeMs: [5_000, false],
  connectRetryMs: [10_000, false],
  delayOpenMs: [5_000, false],
  families: [['ipv4'], true],
  source: ['192.0.2.11' as Ip, true],
  device: ['vrf-red', true],
  md5: [new Secret('one'), true],
  ebgpMultiHop: [true, true],
  ttlSecurity: [3, true],
  gracefulRestart: [true, false],
  bfd: [true, false],
  passive: [true, false],
  prefixLimit: [{ routes: 10, action: 'warn' }, false],
  keep: [true, false],
  warnings: [['bfdProfile is not served yet'], false],
};

for (const [field, [value, resets]] of Object.entries(OTHER)) {
  it(`${field} ${resets ? 'resets the session with Cease 6/6 and dials anew' : 'leaves the session alone'}`, () => {
    const stage = new Stage();
    stage.establish();
    const config = { ...CONFIG, [field]: value };
    const lines = stage.on({ on: 'configure', config });
    const reset = ['NOTIFICATION 6/6', 'close fin tor#1.1', 'peer-down', 'connect'];
    expect(lines).toEqual(resets ? reset : []);
    expect(stage.peer.config).toBe(config);
    expect(stage.peer.state).toBe(resets ? 'Connect' : 'Established');
    // the same again is no change, also in objects that were built anew
    expect(changeOf(config, structuredCloneOf(config))).toBe('soft');
  });
}

/** Secrets have a private field that structuredClone refuses. */
function structuredCloneOf(config: PeerConfig): PeerConfig {
  const { md5, ...rest } = config;
  return { ...structuredClone(rest), ...(md5 === undefined ? {} : { md5: new Secret(md5.reveal()) }) };
}

describe('a session with graceful restart and its Notifications (RFC 8538)', () => {
  const families = [{ family: 'ipv4', forwardingPreserved: true }] as const;
  const gracefulRestart = { restarted: false, notification: true, restartTimeSeconds: 120, families };
  const configured = (change: Partial<PeerConfig>) => {
    const stage = new Stage({ gracefulRestart: true }, routes(['203.0.113.7/32']));
    stage.establish({ capabilities: { ...THEIR_OPEN.capabilities, gracefulRestart } });
    stage.tick(1_000);
    const lines = stage.on({ on: 'configure', config: { ...CONFIG, gracefulRestart: true, ...change } });
    return { lines, stage };
  };

  it.each([
    { address: '192.0.2.2' as Ip },
    { port: 1179 },
    { source: '192.0.2.11' as Ip },
    { device: 'vrf-red' },
    { address: '192.0.2.2' as Ip, localAs: 64_600 },
  ])('the old router is left for good: withdrawals, then a Hard Reset around 6/6: %o', (change) => {
    const { lines, stage } = configured(change);
    // RFC 8538 §3.1: Cease/Hard Reset is 6/9, its data begin with the code and subcode of the reason
    const farewell = ['UPDATE -203.0.113.7/32', 'NOTIFICATION 6/9 0606', 'close fin tor#1.1', 'peer-down', 'connect'];
    expect(lines).toEqual(farewell);
    stage.opened();
    stage.open();
    expect(stage.keepalive()).toContain('UPDATE +203.0.113.7/32');
  });

  it('the same router keeps our routes while the session comes again: plain 6/6', () => {
    const { lines } = configured({ localAs: 64_600 });
    expect(lines).toEqual(['NOTIFICATION 6/6', 'close fin tor#1.1', 'peer-down', 'connect']);
  });
});

describe('a changed secret', () => {
  it('is told by its fingerprint, for it prints as ***', () => {
    const [a, b] = [new Secret('one'), new Secret('two')];
    expect(changeOf({ ...CONFIG, md5: a }, { ...CONFIG, md5: b })).toBe('hard');
    expect(changeOf({ ...CONFIG, md5: a }, { ...CONFIG, md5: new Secret('one') })).toBe('soft');
  });
});

describe('a hard change while there is no session', () => {
  it('starts over at once, whatever the back-off was', () => {
    const stage = new Stage();
    stage.tick();
    for (let i = 0; i < 6; i++) {
      stage.closed(stage.dialled, 'ECONNREFUSED');
      stage.tick(60_000);
    }
    expect(stage.on({ on: 'configure', config: { ...CONFIG, port: 1179 } })).toEqual([
      `close rst ${stage.peer.closing.values().next().value}`,
      'connect',
    ]);
    expect(stage.peer.backoff).toEqual({ connects: 0, sessions: 0 });
  });
});

describe('timers', () => {
  it('take effect with the next session', () => {
    const stage = new Stage();
    stage.establish();
    stage.on({ on: 'configure', config: { ...CONFIG, holdTimeMs: 30_000 } });
    expect(stage.peer.session?.session?.holdTimeMs).toBe(90_000);
    stage.closed();
    stage.tick(2_000);
    stage.opened();
    stage.open();
    stage.keepalive();
    expect(stage.peer.session?.session?.holdTimeMs).toBe(30_000);
  });
});

describe('who dials', () => {
  it('a peer that becomes passive stops dialling, one that no longer is starts', () => {
    const stage = new Stage();
    stage.tick();
    expect(stage.on({ on: 'configure', config: { ...CONFIG, passive: true } })).toEqual(['close rst tor#1.1']);
    for (let i = 0; i < 20; i++) expect(stage.tick(10_000)).toEqual([]);
    expect(stage.on({ on: 'configure', config: CONFIG })).toEqual(['connect']);
  });
});
