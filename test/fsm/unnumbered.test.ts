// Peers that are named by an interface: dialled once the neighbor there is known, accepted from it alone, and what becomes of a
// session when another router takes its place. And the next hops that such a session has.

import { describe, expect, it } from 'vitest';
import { NO_CAPABILITIES } from '../../src/bgp/capability.ts';
import { encodeKeepalive } from '../../src/bgp/message.ts';
import { BEFORE_OPEN, type Negotiated } from '../../src/bgp/negotiate.ts';
import { type Ends, nextHopFor } from '../../src/bgp/next-hop.ts';
import { encodeOpen } from '../../src/bgp/open.ts';
import type { PeerConfig } from '../../src/bgp/peer.ts';
import type { Ip } from '../../src/net/address.ts';
import type { NoNeighbor } from '../../src/net/neighbor.ts';
import { createSpeaker, dueAt, type SpeakerEffect, type SpeakerEvent, step, viewPeers } from '../../src/speaker.ts';
import { CONFIG, messagesOf } from './stage.ts';

const { address: _, ...REST } = CONFIG;
const TOR: PeerConfig = { ...REST, interface: 'eth0', bfd: true };
const [US, ROUTER, OTHER] = ['fe80::1' as Ip, 'fe80::a' as Ip, 'fe80::b' as Ip];
const LISTEN = [{ address: '::' as Ip, port: 179 }];

class Scene {
  readonly state = createSpeaker();
  now = 0;

  on(event: SpeakerEvent): readonly SpeakerEffect[] {
    return step(this.state, event, { now: this.now, random: 0.5 })[1];
  }

  plan(peers: readonly PeerConfig[], listen: typeof LISTEN = []) {
    return this.on({ on: 'plan', plan: { peers, routes: new Map() }, listen });
  }

  finds(address: Ip, link = 'eth0') {
    return this.on({ on: 'neighbor', link, neighbor: { is: 'known', address } });
  }

  misses(because: NoNeighbor) {
    return this.on({ on: 'neighbor', link: 'eth0', neighbor: { is: 'unknown', because } });
  }

  establish(connection: string, remote: Ip): void {
    const ends = { local: { address: US, port: 40_000 }, remote: { address: remote, port: 179 } };
    this.on({ on: 'tcp-opened', connection, ...ends });
    const capabilities = { ...NO_CAPABILITIES, fourOctetAs: 64_512, families: ['ipv4', 'ipv6'] as const };
    const open = { as: 64_512, holdTimeSeconds: 90, routerId: '192.0.2.1' as Ip, capabilities };
    this.on({ on: 'tcp-data', connection, bytes: encodeOpen(open) });
    this.on({ on: 'tcp-data', connection, bytes: encodeKeepalive() });
    expect(this.view.state).toBe('Established');
  }

  get view() {
    return viewPeers(this.state)[0] ?? expect.fail('no peer');
  }
}

const dialled = (effects: readonly SpeakerEffect[]) =>
  effects.flatMap((effect) => ('do' in effect && effect.do === 'tcp-connect' ? [effect] : []));
const to = (effects: readonly SpeakerEffect[]) => dialled(effects).map((effect) => effect.to.address);
const accepted = (effects: readonly SpeakerEffect[]) =>
  effects.flatMap((effect) => ('do' in effect && effect.do === 'tcp-listen' ? [effect.accept] : [])).at(-1);
const failures = (effects: readonly SpeakerEffect[]) =>
  effects.flatMap((effect) => ('report' in effect && effect.report === 'peer-failed' ? [effect.why] : []));

describe('a peer that is named by an interface', () => {
  it('is dialled once its neighbor is known, bound to the interface', () => {
    const scene = new Scene();
    expect(dialled(scene.plan([TOR]))).toEqual([]);
    expect(dueAt(scene.state)).toBe(Number.POSITIVE_INFINITY);
    expect(scene.view).toMatchObject({ state: 'Idle', address: undefined, waitsFor: 'noNeighborYet' });
    expect(dialled(scene.finds(ROUTER, 'eth1'))).toEqual([]);
    const [dial] = dialled(scene.finds(ROUTER));
    expect(dial).toMatchObject({ to: { address: ROUTER, port: 179 }, options: { device: 'eth0', ttl: 255 } });
    expect(scene.view).toMatchObject({ state: 'Connect', address: ROUTER, waitsFor: undefined });
  });

  it('is dialled at once where the neighbor was known before', () => {
    const scene = new Scene();
    scene.finds(ROUTER);
    expect(to(scene.plan([TOR]))).toEqual([ROUTER]);
  });

  it('says why it is not, each reason once', () => {
    const scene = new Scene();
    scene.plan([TOR]);
    expect(failures(scene.misses('interfaceAbsent'))).toEqual(['this node has no interface eth0']);
    expect(failures(scene.misses('interfaceAbsent'))).toEqual([]);
    expect(failures(scene.misses('interfaceDown'))).toHaveLength(1);
    expect(scene.view).toMatchObject({ waitsFor: 'interfaceDown', lastError: { code: 'interfaceDown' } });
  });

  it('is accepted from its neighbor alone, on the interface alone', () => {
    const scene = new Scene();
    expect(accepted(scene.plan([TOR], LISTEN))).toEqual([]);
    expect(accepted(scene.finds(ROUTER))).toEqual([expect.objectContaining({ from: ROUTER, link: 'eth0' })]);
    const come = (connection: string, from: Ip, name: string) => {
      const ends = { local: { address: US, port: 179 }, remote: { address: from, port: 5_000 } };
      return scene.on({ on: 'tcp-accepted', connection, ...ends, link: { name, ipv4: [], ipv6: [] } });
    };
    const isRefused = (effects: readonly SpeakerEffect[]) =>
      effects.some((effect) => 'report' in effect && effect.report === 'connection-refused');
    expect(isRefused(come('in#1', OTHER, 'eth0'))).toBe(true);
    expect(isRefused(come('in#2', ROUTER, 'eth1'))).toBe(true);
    expect(isRefused(come('in#3', ROUTER, 'eth0'))).toBe(false);
  });

  it('is another one at once while there is no session', () => {
    const scene = new Scene();
    scene.plan([TOR]);
    scene.finds(ROUTER);
    const effects = scene.finds(OTHER);
    expect(effects.some((effect) => 'do' in effect && effect.do === 'tcp-close')).toBe(true);
    expect(to(effects)).toEqual([OTHER]);
  });

  it('keeps its session when another one is found, until it ends; then that one is dialled', () => {
    const scene = new Scene();
    scene.plan([TOR], LISTEN);
    scene.finds(ROUTER);
    scene.establish('tor#1.1', ROUTER);
    expect(scene.finds(OTHER)).toEqual([]);
    expect(scene.view).toMatchObject({ state: 'Established', address: ROUTER });
    scene.now = 90_001;
    const effects = scene.on({ on: 'tick' });
    const told = effects.flatMap((effect) =>
      'do' in effect && effect.do === 'tcp-send' ? messagesOf(effect.bytes) : [],
    );
    expect(told).toContain('NOTIFICATION 4/0');
    expect(to(effects)).toEqual([OTHER]);
    expect(accepted(effects)).toEqual([expect.objectContaining({ from: OTHER })]);
  });

  it('keeps its session when its interface is gone, until it ends', () => {
    const scene = new Scene();
    scene.plan([TOR]);
    scene.finds(ROUTER);
    scene.establish('tor#1.1', ROUTER);
    scene.misses('interfaceAbsent');
    expect(scene.view.state).toBe('Established');
    scene.now = 90_001;
    const effects = scene.on({ on: 'tick' });
    expect([dialled(effects), failures(effects)]).toEqual([[], ['this node has no interface eth0']]);
    expect(scene.view).toMatchObject({
      ...{ state: 'Idle', waitsFor: 'interfaceAbsent', lastError: { code: 'interfaceAbsent' } },
    });
  });

  it('that moves to another interface ends its session and waits for the neighbor there', () => {
    const scene = new Scene();
    scene.plan([TOR]);
    scene.finds(ROUTER);
    scene.establish('tor#1.1', ROUTER);
    expect(dialled(scene.plan([{ ...TOR, interface: 'eth1' }]))).toEqual([]);
    expect(scene.view).toMatchObject({ state: 'Idle', address: undefined });
    expect(to(scene.finds(OTHER, 'eth1'))).toEqual([OTHER]);
  });

  it('that gets an address is dialled there, and back again', () => {
    const scene = new Scene();
    scene.plan([TOR]);
    scene.finds(ROUTER);
    expect(to(scene.plan([CONFIG]))).toEqual([CONFIG.address]);
    expect(to(scene.plan([TOR]))).toEqual([ROUTER]);
  });
});

describe('the next hop of a session over link-local addresses', () => {
  const negotiated: Negotiated = { ...BEFORE_OPEN, extendedNextHop: true, families: ['ipv4', 'ipv6'] };
  const ends = (ipv4: string[], ipv6: string[]): Ends => ({
    local: { address: US, port: 40_000 },
    remote: { address: ROUTER, port: 179 },
    link: { name: 'eth0', ipv4: ipv4 as Ip[], ipv6: ipv6 as Ip[], linkLocal: US },
  });
  const both = { nextHop: '2001:db8::10', linkLocalNextHop: US };

  it.each(['ipv4', 'ipv6'] as const)(
    'is for %s the global and the link-local address of the link (RFC 2545, 8950)',
    (family) => {
      expect(nextHopFor(family, ends(['192.0.2.10'], ['2001:db8::10']), negotiated)).toEqual(both);
    },
  );

  it.each(['ipv4', 'ipv6'] as const)(
    'is for %s the link-local address twice where the link has no other, as FRR says it',
    (family) => {
      expect(nextHopFor(family, ends([], []), negotiated)).toEqual({ nextHop: US, linkLocalNextHop: US });
    },
  );

  it('is for IPv4 an address of the link where the router has no extended next hop, or none', () => {
    const plain = { ...negotiated, extendedNextHop: false };
    expect(nextHopFor('ipv4', ends(['192.0.2.10'], []), plain)).toEqual({ nextHop: '192.0.2.10' });
    expect(nextHopFor('ipv4', ends([], ['2001:db8::10']), plain)).toBeUndefined();
  });
});
