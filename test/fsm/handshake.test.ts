// OPEN both ways: what ours says, what the peer's is worth against the configuration (RFC 4271 §6.2, 5492, 6286), what
// is negotiated, and the second, smaller OPEN for peers that do not know capabilities.

import { describe, expect, it } from 'vitest';
import { type Capabilities, NO_CAPABILITIES } from '../../src/bgp/capability.ts';
import { nextFrame } from '../../src/bgp/frame.ts';
import { agree, ourOpen } from '../../src/bgp/handshake.ts';
import { decode } from '../../src/bgp/message.ts';
import { BEFORE_OPEN } from '../../src/bgp/negotiate.ts';
import type { Open } from '../../src/bgp/open.ts';
import { viewPeer } from '../../src/bgp/view.ts';
import type { Ip } from '../../src/net/address.ts';
import { CONFIG, LINK, Stage, THEIR_OPEN } from './stage.ts';

const ENDS = {
  local: { address: '192.0.2.10' as Ip, port: 40_000 },
  remote: { address: '192.0.2.1' as Ip, port: 179 },
  link: LINK,
};
const IPV6_ENDS = {
  local: { address: '2001:db8::10' as Ip, port: 40_000 },
  remote: { address: '2001:db8::1' as Ip, port: 179 },
};

function sentOpen(stage: Stage): Open {
  const sent = stage.effects.findLast((effect) => 'do' in effect && effect.do === 'tcp-send' && effect.bytes[18] === 1);
  if (sent === undefined || !('do' in sent) || sent.do !== 'tcp-send') throw new Error('no OPEN was sent');
  const message = decode(sent.bytes, BEFORE_OPEN, false);
  if (message.is !== 'OPEN') throw new Error(message.is);
  return message.open;
}

describe('our OPEN', () => {
  const open = (config = {}, ends = ENDS, restarted = true) =>
    ourOpen({ ...CONFIG, ...config }, ends, restarted, 'full');

  it('shows the AS that the peer is to see: localASN in place of myASN', () => {
    expect(open().as).toBe(64_513);
    expect(open({ shownAs: 4_200_000_001 }).capabilities.fourOctetAs).toBe(4_200_000_001);
  });

  it('has the configured identifier, else the session’s IPv4 address, else the link’s, else the fallback', () => {
    expect(open({ routerId: '203.0.113.9' as Ip }).routerId).toBe('203.0.113.9');
    expect(open().routerId).toBe('192.0.2.10');
    expect(open({}, { ...IPV6_ENDS, link: LINK }).routerId).toBe('192.0.2.10');
    const bare = { ...IPV6_ENDS, link: { name: 'eth0', ipv4: [], ipv6: [] } };
    expect(open({}, bare).routerId).toBe('192.0.2.99');
  });

  it('offers graceful restart only where configured, with F, N, 120 s and R as long as we have restarted', () => {
    expect(open().capabilities.gracefulRestart).toBeUndefined();
    expect(open({ gracefulRestart: true }).capabilities.gracefulRestart).toEqual({
      restarted: true,
      notification: true,
      restartTimeSeconds: 120,
      families: [
        { family: 'ipv4', forwardingPreserved: true },
        { family: 'ipv6', forwardingPreserved: true },
      ],
    });
    expect(open({ gracefulRestart: true }, ENDS, false).capabilities.gracefulRestart?.restarted).toBe(false);
  });

  it('offers IPv4 over IPv6 next hops on IPv6 sessions that carry IPv4 (RFC 8950)', () => {
    expect(open().capabilities.extendedNextHop).toBe(false);
    expect(open({}, { ...IPV6_ENDS, link: LINK }).capabilities.extendedNextHop).toBe(true);
    expect(open({ families: ['ipv6'] }, { ...IPV6_ENDS, link: LINK }).capabilities.extendedNextHop).toBe(false);
  });
});

describe('the peer’s OPEN against our configuration', () => {
  const ours = ourOpen(CONFIG, ENDS, false, 'full');
  const verdict = (config: object, theirs: Partial<Open>): string => {
    const judged = agree({ ...CONFIG, ...config }, ours, { ...THEIR_OPEN, ...theirs });
    if (judged.is === 'agreed') return 'agreed';
    const { code, subcode, data } = judged.notification;
    return `${code}/${subcode} ${Buffer.from(data).toString('hex')}`.trimEnd();
  };
  const families = (of: Capabilities['families']): Partial<Open> => {
    const { families: _, ...rest } = THEIR_OPEN.capabilities;
    return { capabilities: of === undefined ? rest : { ...rest, families: of } };
  };

  it.each([
    ['the AS that is configured', {}, {}, 'agreed'],
    ['another AS', {}, { as: 64_999 }, '2/2'],
    ['external: any AS but ours', { remoteAs: 'external' }, { as: 64_999 }, 'agreed'],
    ['external, and it is ours', { remoteAs: 'external' }, { as: 64_513 }, '2/2'],
    ['internal: ours', { remoteAs: 'internal' }, { as: 64_513 }, 'agreed'],
    ['internal, and it is another', { remoteAs: 'internal' }, { as: 64_999 }, '2/2'],
    // RFC 6286 §2.1
    ['our identifier within our AS', { remoteAs: 'internal' }, { as: 64_513, routerId: ours.routerId }, '2/3'],
    ['our identifier in another AS', {}, { routerId: ours.routerId }, 'agreed'],
    // RFC 4760 §8: no multiprotocol capability means IPv4 unicast
    ['no family named, we carry IPv4', {}, families(undefined), 'agreed'],
    ['one family in common', {}, families(['ipv6']), 'agreed'],
  ] as const)('%s: %s', (_, config, theirs, expected) => {
    expect(verdict(config, theirs)).toBe(expected);
  });

  it('no family in common: 2/7 with the capabilities that we need (RFC 5492 §5)', () => {
    const config = { ...CONFIG, families: ['ipv6'] as const };
    const judged = agree(config, ourOpen(config, ENDS, false, 'full'), { ...THEIR_OPEN, ...families(['ipv4']) });
    if (judged.is === 'agreed') throw new Error('agreed');
    // capability 1, 4 octets: AFI 2, reserved, SAFI 1
    expect(judged.notification).toEqual({ code: 2, subcode: 7, data: Uint8Array.from([1, 4, 0, 2, 0, 1]) });
  });

  it.each([
    [90_000, undefined, 90, 90_000, 30_000],
    [90_000, undefined, 30, 30_000, 10_000],
    [30_000, undefined, 180, 30_000, 10_000],
    [90_000, 5_000, 90, 90_000, 5_000],
    // configured for a longer hold time than the peer accepts
    [90_000, 30_000, 9, 9_000, 3_000],
    [0, undefined, 90, 0, 0],
    [90_000, 30_000, 0, 0, 0],
  ] as const)('hold %i ms, keepalive %s ms, theirs %i s: %i and %i ms', (holdTimeMs, keepalive, theirs, hold, keep) => {
    const config = { ...CONFIG, holdTimeMs, ...(keepalive === undefined ? {} : { keepaliveTimeMs: keepalive }) };
    const judged = agree(config, ours, { ...THEIR_OPEN, holdTimeSeconds: theirs });
    if (judged.is !== 'agreed') throw new Error(judged.text);
    expect(judged.times).toEqual({ holdTimeMs: hold, keepaliveTimeMs: keep });
  });
});

describe('the way to Established', () => {
  it('dials at once, with TTL 255, and sends OPEN when connected', () => {
    const stage = new Stage({ source: '192.0.2.10' as Ip, device: 'vrf-red', ttlSecurity: 1 });
    expect(stage.tick()).toEqual(['connect']);
    expect(stage.effects[0]).toEqual({
      do: 'tcp-connect',
      connection: 'tor#1.1',
      to: { address: '192.0.2.1', port: 179 },
      // RFC 5082 §3: one hop away, so nothing below 255 is accepted
      options: { source: '192.0.2.10', device: 'vrf-red', ttl: 255, minTtl: 255 },
    });
    expect(stage.opened()).toEqual(['OPEN']);
    expect(stage.open()).toEqual(['KEEPALIVE']);
    expect(stage.keepalive()).toEqual(['peer-up', 'End-of-RIB ipv4', 'End-of-RIB ipv6', 'peer-synced']);
  });

  it('takes any number of octets at a time', () => {
    const stage = new Stage();
    stage.tick();
    stage.opened();
    const stream = [...octetsOf(() => stage.open()), ...octetsOf(() => stage.keepalive())];
    for (const octet of stream) stage.data(Uint8Array.of(octet));
    expect(stage.peer.state).toBe('Established');

    /** What a helper of the stage would have given to the peer. */
    function octetsOf(give: () => void): Uint8Array {
      const { data } = stage;
      let given = new Uint8Array();
      stage.data = (bytes) => {
        given = Uint8Array.from(bytes);
        return [];
      };
      give();
      stage.data = data;
      return given;
    }
  });

  it('answers a wrong AS with 2/2 and waits', () => {
    const stage = new Stage();
    stage.tick();
    stage.opened();
    expect(stage.open({ as: 64_999, capabilities: { ...THEIR_OPEN.capabilities, fourOctetAs: 64_999 } })).toEqual([
      'NOTIFICATION 2/2',
      'close fin tor#1.1',
      'peer-failed',
    ]);
    expect(stage.peer.lastError).toMatchObject({ code: '2/2', text: expect.stringContaining('AS 64999') });
  });

  it('answers garbage with 1/1 and a second OPEN with 5/2 (RFC 6608)', () => {
    const garbage = new Stage();
    garbage.tick();
    garbage.opened();
    expect(garbage.data(new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n'))).toEqual([
      'NOTIFICATION 1/1',
      'close fin tor#1.1',
      'peer-failed',
    ]);
    const twice = new Stage();
    twice.tick();
    twice.opened();
    twice.open();
    expect(twice.open()[0]).toBe('NOTIFICATION 5/2 01');
  });

  it('an UPDATE before the OPEN is an FSM error that names it', () => {
    const stage = new Stage();
    stage.tick();
    stage.opened();
    const endOfRib = Buffer.from(`${'ff'.repeat(16)}00170200000000`, 'hex');
    expect(stage.data(endOfRib)[0]).toBe('NOTIFICATION 5/1 02');
  });

  it('stops reading a connection that it has given up', () => {
    const stage = new Stage();
    stage.tick();
    stage.opened();
    const twoBad = Buffer.concat([Buffer.from(`${'ff'.repeat(16)}001209`, 'hex'), Buffer.alloc(40)]);
    expect(stage.data(twoBad)).toEqual(['NOTIFICATION 1/2 0012', 'close fin tor#1.1', 'peer-failed']);
    expect(nextFrame(stage.peer.outbound.framer, 4096)).toBeUndefined();
    expect(stage.data(twoBad, 'tor#1.1')).toEqual([]);
  });

  it('DelayOpen: the peer’s OPEN is answered with ours and a KEEPALIVE (event 20)', () => {
    const stage = new Stage({ delayOpenMs: 10_000 });
    stage.tick();
    expect(stage.opened()).toEqual([]);
    expect(stage.open()).toEqual(['OPEN', 'KEEPALIVE']);
    const silent = new Stage({ delayOpenMs: 10_000 });
    silent.tick();
    silent.opened();
    expect(silent.tick(9_999)).toEqual([]);
    expect(silent.tick(1)).toEqual(['OPEN']);
  });

  it('a passive peer never dials', () => {
    const stage = new Stage({ passive: true });
    for (let i = 0; i < 100; i++) expect(stage.tick(10_000)).toEqual([]);
    expect(stage.peer.state).toBe('Active');
    expect(stage.accepted('in#1')).toEqual(['OPEN']);
  });
});

describe('a peer that refuses our capabilities (RFC 5492 §3)', () => {
  const refuse = (stage: Stage, subcode: number): void => {
    stage.tick(120_000);
    stage.opened();
    stage.notification({ code: 2, subcode, data: new Uint8Array() });
  };

  it('2/7: is offered families and the AS alone, then everything again', () => {
    const stage = new Stage();
    refuse(stage, 7);
    stage.tick(120_000);
    stage.opened();
    expect(sentOpen(stage).capabilities).toEqual({
      ...NO_CAPABILITIES,
      families: ['ipv4', 'ipv6'],
      fourOctetAs: 64_513,
    });
    stage.notification({ code: 2, subcode: 7, data: new Uint8Array() });
    stage.tick(120_000);
    stage.opened();
    expect(sentOpen(stage).capabilities.routeRefresh).toBe(true);
  });

  it('2/4: is offered an OPEN without optional parameters, where the session can do without', () => {
    const stage = new Stage();
    refuse(stage, 4);
    stage.tick(120_000);
    stage.opened();
    expect(sentOpen(stage)).toMatchObject({ as: 64_513, capabilities: NO_CAPABILITIES });
    stage.open({ capabilities: NO_CAPABILITIES });
    expect(stage.keepalive()).toEqual(['peer-up', 'End-of-RIB ipv4', 'peer-synced']);
  });

  it('2/7: graceful restart may be what was refused, so it is left out', () => {
    const stage = new Stage({ gracefulRestart: true });
    refuse(stage, 7);
    stage.tick(120_000);
    stage.opened();
    const { gracefulRestart, routeRefresh } = sentOpen(stage).capabilities;
    expect(routeRefresh).toBe(false);
    expect(gracefulRestart).toBeUndefined();
  });

  it.each([7, 4])('2/%i: a warning as long as less is offered, which is until the session ends', (subcode) => {
    const stage = new Stage();
    const warnings = () => viewPeer(stage.peer, false).warnings;
    stage.tick();
    stage.opened();
    expect(warnings()).toEqual([]);
    const refusal = { code: 2, subcode, data: new Uint8Array() };
    expect(stage.notification(refusal)).toContain('warning reduced-offer');
    expect(warnings()).toEqual([expect.stringContaining(`2/${subcode}`)]);
    stage.tick(120_000);
    stage.opened();
    stage.open();
    stage.keepalive();
    expect(stage.peer.state).toBe('Established');
    expect(warnings()).toEqual([expect.stringContaining(`2/${subcode}`)]);
    stage.closed();
    expect(warnings()).toEqual([]);
    stage.tick(120_000);
    stage.opened();
    expect(sentOpen(stage).capabilities.routeRefresh).toBe(true);
  });

  it('2/4: not with an AS that needs four octets', () => {
    const stage = new Stage({ localAs: 4_200_000_000 });
    refuse(stage, 4);
    stage.tick(120_000);
    stage.opened();
    expect(sentOpen(stage).capabilities.fourOctetAs).toBe(4_200_000_000);
  });
});
