// Which peers have BFD beside them, over how many hops, and what the packet thread is asked for: the defaults are those
// that MetalLB's users have from FRR (300 ms, 300 ms, 3, echo 50 ms and off, minimum TTL 254).

import { describe, expect, it } from 'vitest';
import { parseBfdProfiles } from '../../src/config/bfd.ts';
import type { Peer } from '../../src/config/config.ts';
import type { BFDProfileResource } from '../../src/config/resource.ts';
import { Secret } from '../../src/net/secret.ts';
import { plan } from '../../src/plan/plan.ts';
import { bfdWanted } from '../../src/process/bfd.ts';
import { config, ip, labelled, node, peer, prefix, snapshot } from './cluster.ts';

const KEY = { name: 'key', type: 'kubernetes.io/basic-auth', data: new Map([['password', new Secret('geheim')]]) };

function profile(more: Partial<BFDProfileResource> = {}): Pick<ReturnType<typeof config>, 'bfdProfiles'> {
  const resource = { name: 'fast', echoMode: false, passiveMode: false, ...more };
  return { bfdProfiles: [...parseBfdProfiles([resource], { secrets: [KEY], namespace: 'metallb-system' }).values()] };
}

const sessionsOf = (peers: readonly Peer[], more: Partial<BFDProfileResource> = {}) =>
  plan(snapshot({ ...config([], peers), ...profile(more) }, [], { nodes: [node('n1')] }), 'n1').bfd;

const SUBNETS = ['192.0.2.0/24', '2001:db8::/64'].map(prefix);
const wantedFor = (address: string, of: Partial<Peer>, more: Partial<BFDProfileResource> = {}) =>
  bfdWanted(sessionsOf([peer('tor', address, { bfdProfile: 'fast', ...of })], more), SUBNETS).get('tor');

describe('a peer with a profile', () => {
  it('has a session with the defaults', () => {
    expect(wantedFor('192.0.2.1', {})).toEqual({
      ...{ hops: 'single', remote: '192.0.2.1', adminDown: false },
      parameters: {
        ...{ detectMult: 3, desiredMinTxMs: 300, requiredMinRxMs: 300, slowTxMs: 1_000 },
        ...{ passive: false, minTtl: 255, keys: [] },
      },
    });
  });

  it('has one with what the profile says, from its source address, in its VRF', () => {
    const given = {
      receiveInterval: 93,
      transmitInterval: 95,
      detectMultiplier: 5,
      minimumTtl: 253,
      passiveMode: true,
    };
    expect(wantedFor('198.51.100.1', { ebgpMultiHop: true, source: ip('192.0.2.9'), vrf: 'red' }, given)).toMatchObject(
      {
        ...{ hops: 'multi', local: '192.0.2.9', vrf: 'red' },
        parameters: { detectMult: 5, desiredMinTxMs: 95, requiredMinRxMs: 93, passive: true, minTtl: 253 },
      },
    );
  });

  it.each<[string, string, Partial<Peer>, 'single' | 'multi']>([
    ['eBGP', '192.0.2.1', {}, 'single'],
    ['eBGP over IPv6', '2001:db8::1', {}, 'single'],
    ['eBGP, wherever the router is', '198.51.100.1', {}, 'single'],
    ['eBGP multihop, even on a subnet', '192.0.2.1', { ebgpMultiHop: true }, 'multi'],
    ['eBGP over two hops', '198.51.100.1', { ttlSecurity: 2 }, 'multi'],
    ['eBGP over one', '192.0.2.1', { ttlSecurity: 1 }, 'single'],
    ['iBGP on a subnet', '192.0.2.1', { remote: 'internal' }, 'single'],
    ['iBGP beyond them', '198.51.100.1', { remote: 'internal' }, 'multi'],
    ['iBGP beyond them, over IPv6', '2001:db8:1::1', { remote: 'internal' }, 'multi'],
  ])('%s', (_, address, of, hops) => {
    expect(wantedFor(address, of)?.hops).toBe(hops);
    expect(wantedFor(address, of)?.parameters.minTtl).toBe(hops === 'single' ? 255 : 254);
  });

  it('with its own AS is iBGP', () => {
    expect(wantedFor('198.51.100.1', { remote: 64_513, myAsn: 64_513 })?.hops).toBe('multi');
  });

  it('sends echoes where the profile says so: IPv4, over one hop', () => {
    const echo = { echoMode: true, echoInterval: 97 };
    expect(wantedFor('192.0.2.1', {}, echo)?.parameters.echo).toEqual({ transmitMs: 97, receiveMs: 97 });
    expect(wantedFor('192.0.2.1', {}, { echoMode: true })?.parameters.echo?.transmitMs).toBe(50);
    expect(wantedFor('192.0.2.1', {}, { echoInterval: 97 })?.parameters.echo).toBeUndefined();
    expect(wantedFor('192.0.2.1', { ebgpMultiHop: true }, echo)?.parameters.echo).toBeUndefined();
    expect(wantedFor('2001:db8::1', {}, echo)?.parameters.echo).toBeUndefined();
  });

  it('signs with the key of the profile, which the plan does not print', () => {
    const authentication = { type: 'meticulous-keyed-sha1', keyID: 9, secretRef: 'key' } as const;
    const keys = wantedFor('192.0.2.1', {}, { authentication })?.parameters.keys;
    expect(keys).toEqual([{ type: 'meticulous-keyed-sha1', id: 9, secret: new TextEncoder().encode('geheim') }]);
    const sessions = sessionsOf([peer('tor', '192.0.2.1', { bfdProfile: 'fast' })], { authentication });
    expect(JSON.stringify([...sessions])).not.toContain('geheim');
  });
});

describe('no session', () => {
  it('for a peer without a profile, and for one of another node', () => {
    const elsewhere = { bfdProfile: 'fast', nodeSelectors: [labelled({ rack: 'b' })] };
    const peers = [peer('plain', '192.0.2.1', {}), peer('elsewhere', '192.0.2.2', elsewhere)];
    expect([...sessionsOf(peers).keys()]).toEqual([]);
  });
});
