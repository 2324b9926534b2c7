// Which session a datagram belongs to: RFC 5880 §6.3 and §6.8.6, RFC 5881 §3, RFC 5883 §3.

import { describe, expect, it } from 'vitest';
import type { Datagram, Path } from '../../src/bfd/demultiplex.ts';
import { demultiplex } from '../../src/bfd/demultiplex.ts';
import { type ControlPacket, encode, type SessionState } from '../../src/bfd/packet.ts';
import type { Ip } from '../../src/net/address.ts';

const ip = (text: string) => text as Ip;
const session = (localDiscriminator: number, path: Path) => ({ localDiscriminator, path });

const SESSIONS = new Map(
  [
    session(1, { hops: 'single', remote: ip('198.51.100.1'), local: ip('198.51.100.11'), link: 'eth0' }),
    session(2, { hops: 'single', remote: ip('fe80::1'), link: 'eth0' }),
    session(3, { hops: 'single', remote: ip('fe80::1'), link: 'eth1' }),
    session(4, { hops: 'multi', remote: ip('198.51.100.1') }),
    session(5, { hops: 'multi', remote: ip('2001:db8::9'), local: ip('2001:db8::11') }),
  ].map((each) => [each.localDiscriminator, each]),
);

const packet = (state: SessionState, yourDiscriminator: number): ControlPacket => ({
  diagnostic: 0,
  state,
  poll: false,
  final: false,
  controlPlaneIndependent: false,
  demand: false,
  detectMult: 3,
  myDiscriminator: 77,
  yourDiscriminator,
  desiredMinTxMs: 1000,
  requiredMinRxMs: 1000,
  requiredMinEchoRxMs: 0,
});

const NEAR: Omit<Datagram, 'bytes'> = {
  hops: 'single',
  from: ip('198.51.100.1'),
  to: ip('198.51.100.11'),
  link: 'eth0',
  ttl: 255,
};
const FAR: Omit<Datagram, 'bytes'> = { ...NEAR, hops: 'multi', link: 'eth7', ttl: 60 };

function goesTo(datagram: Omit<Datagram, 'bytes'>, state: SessionState, yourDiscriminator: number): number | string {
  const found = demultiplex({ ...datagram, bytes: encode(packet(state, yourDiscriminator)) }, SESSIONS);
  return 'drop' in found ? found.drop : found.to.localDiscriminator;
}

describe('by Your Discriminator', () => {
  it('alone, wherever it comes from and through whichever link (RFC 5880 section 6.3)', () => {
    expect(goesTo({ ...NEAR, from: ip('203.0.113.1'), link: 'eth9' }, 'Up', 1)).toBe(1);
    expect(goesTo(FAR, 'Down', 5)).toBe(5);
  });

  it('of nobody: dropped', () => {
    expect(goesTo(NEAR, 'Up', 6)).toBe('your-discriminator');
    expect(goesTo(NEAR, 'Up', 0xffffffff)).toBe('your-discriminator');
  });

  it('of a session of the other kind: dropped', () => {
    expect(goesTo(FAR, 'Up', 1)).toBe('your-discriminator');
    expect(goesTo(NEAR, 'Up', 4)).toBe('your-discriminator');
  });
});

describe('without it', () => {
  it.each(['Down', 'AdminDown'] as const)('%s: by the path', (state) => {
    expect(goesTo(NEAR, state, 0)).toBe(1);
    expect(goesTo({ ...NEAR, from: ip('fe80::1'), to: ip('fe80::b') }, state, 0)).toBe(2);
    expect(goesTo({ ...NEAR, from: ip('fe80::1'), to: ip('fe80::b'), link: 'eth1' }, state, 0)).toBe(3);
    expect(goesTo(FAR, state, 0)).toBe(4);
    expect(goesTo({ ...FAR, from: ip('2001:db8::9'), to: ip('2001:db8::11') }, state, 0)).toBe(5);
  });

  it('on a path of nobody: dropped', () => {
    expect(goesTo({ ...NEAR, from: ip('198.51.100.2') }, 'Down', 0)).toBe('no-session');
    expect(goesTo({ ...NEAR, to: ip('198.51.100.12') }, 'Down', 0)).toBe('no-session');
    expect(goesTo({ ...NEAR, link: 'eth1' }, 'Down', 0)).toBe('no-session');
    expect(goesTo({ ...FAR, from: ip('2001:db8::9'), to: ip('2001:db8::12') }, 'Down', 0)).toBe('no-session');
  });

  it.each(['Init', 'Up'] as const)('%s: dropped, whatever the path', (state) => {
    expect(goesTo(NEAR, state, 0)).toBe('zero-discriminator');
  });
});

it('what is no packet is for nobody', () => {
  expect(demultiplex({ ...NEAR, bytes: new Uint8Array(24) }, SESSIONS)).toEqual({ drop: 'version' });
});
