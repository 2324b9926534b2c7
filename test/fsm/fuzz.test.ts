// Anything may come in any order: a peer never throws, never speaks on a connection that it does not have, never stands
// still at one instant, and can always be left. Seeded: a failure names its seed.

import { describe, expect, it } from 'vitest';
import type { BfdSays } from '../../src/bgp/bfd-client.ts';
import { encodeKeepalive, encodeNotification, encodeRouteRefresh } from '../../src/bgp/message.ts';
import { encodeOpen } from '../../src/bgp/open.ts';
import { encodeEndOfRib } from '../../src/bgp/pack.ts';
import { isGone, type PeerEvent, peerDueAt, stepPeer } from '../../src/bgp/peer.ts';
import { connectionsOf, createPeer } from '../../src/bgp/peer-state.ts';
import type { Ip } from '../../src/net/address.ts';
import { type Chance, createChance } from '../sim/chance.ts';
import { CONFIG, LINK, routes, THEIR_OPEN } from './stage.ts';

const SEEDS = 400;
const EVENTS = 120;

/** 198.51.100.0/24, with ORIGIN, AS_PATH and NEXT_HOP. */
const UPDATE = Buffer.from(
  `${'ff'.repeat(16)}002f0200000014${'40010100'}${'4002060201' + '0000fc00'}${'400304c0000201'}${'18c63364'}`,
  'hex',
);

const STRICT_OPEN = { ...THEIR_OPEN, capabilities: { ...THEIR_OPEN.capabilities, bfdStrict: true } };

/** Mostly what the state waits for, so that the stories get somewhere; else anything, whole or broken. */
function message(chance: Chance, is: string | undefined): Uint8Array {
  if (chance.happens(0.7)) {
    if (is === 'OpenSent') return encodeOpen(chance.happens(0.3) ? STRICT_OPEN : THEIR_OPEN);
    return is === 'OpenConfirm' ? encodeKeepalive() : chance.pick([UPDATE, encodeKeepalive()]);
  }
  const bytes = chance.pick([
    () => encodeOpen({ ...THEIR_OPEN, routerId: `192.0.2.${chance.between(1, 250)}` as Ip }),
    () => encodeOpen({ ...THEIR_OPEN, holdTimeSeconds: chance.pick([0, 3, 90]) }),
    () => encodeKeepalive(),
    () => encodeKeepalive(),
    () =>
      encodeNotification({ code: chance.between(0, 9), subcode: chance.between(0, 12), data: new Uint8Array(3) }, 4096),
    () =>
      encodeRouteRefresh({ subtype: chance.pick(['request', 'begin', 'end']), family: chance.pick(['ipv4', 'ipv6']) }),
    () => encodeEndOfRib('ipv6'),
    () => UPDATE,
  ])();
  const sent = Uint8Array.from(bytes);
  if (chance.happens(0.15)) sent[chance.between(0, sent.length - 1)] = chance.between(0, 255);
  return chance.happens(0.1) ? sent.subarray(0, chance.between(1, sent.length)) : sent;
}

function bfdSays(chance: Chance): BfdSays {
  const down = { is: 'down', why: 'x', independent: chance.happens(0.5) } as const;
  return chance.pick<BfdSays>([
    ...([{ is: 'up' }, { is: 'up' }, { is: 'admin-down' }, { is: 'unknown' }] as const),
    ...[
      { ...down, failure: false },
      { ...down, failure: true },
      { ...down, failure: true, heldMs: 4_000 },
    ],
  ]);
}

/** Answers how often it was established, and how many UPDATEs it took. */
function run(seed: number): readonly [ups: number, updates: number] {
  const chance = createChance(seed);
  const gracefulRestart = chance.happens(0.5);
  const delayOpenMs = chance.pick([0, 0, 5_000]);
  const withBfd = chance.happens(0.5) ? { bfd: true as const } : {};
  const peer = createPeer({ ...CONFIG, gracefulRestart, delayOpenMs, keep: chance.happens(0.5), ...withBfd }, 1, 0);
  let now = 0;
  let accepted = 0;
  let ups = 0;
  /** Connections that the peer may speak on, and those that it has closed. */
  const open = new Map<string, 'dialled' | 'open'>();
  const closing = new Set<string>();

  const give = (event: PeerEvent): void => {
    const [, effects] = stepPeer(peer, event, { now, random: chance.next() });
    for (const effect of effects) {
      if ('report' in effect) {
        if (effect.report === 'peer-up') ups++;
        continue;
      }
      if (effect.do === 'tcp-connect') open.set(effect.connection, 'dialled');
      else if (effect.do === 'tcp-send') expect(open.get(effect.connection)).toBe('open');
      else if (effect.do === 'tcp-close') {
        expect(open.delete(effect.connection)).toBe(true);
        closing.add(effect.connection);
      } else throw new Error(effect.do);
    }
  };
  const ends = {
    local: { address: '192.0.2.10' as Ip, port: 1 },
    remote: { address: CONFIG.address ?? ('192.0.2.1' as Ip), port: 2 },
    link: LINK,
  };
  const some = (): string => chance.pick([...open.keys(), ...closing, 'nobody#1']);
  const close = (connection: string): void => {
    open.delete(connection);
    closing.delete(connection);
    give({ on: 'tcp-closed', connection, why: { because: 'fin' } });
  };
  const deeds: readonly (() => void)[] = [
    () => give({ on: 'tick' }),
    () => {
      const due = peerDueAt(peer);
      if (due === Number.POSITIVE_INFINITY) return;
      now = Math.max(now, due);
      give({ on: 'tick' });
      // whatever was due has been done: nothing may be due again at the same instant for ever
      for (let i = 0; i < 20 && peerDueAt(peer) <= now; i++) give({ on: 'tick' });
      expect(peerDueAt(peer)).toBeGreaterThan(now);
    },
    () => {
      const dialled = [...open].find(([, is]) => is === 'dialled')?.[0];
      if (dialled === undefined) return;
      open.set(dialled, 'open');
      give({ on: 'tcp-opened', connection: dialled, ...ends });
    },
    () => {
      const connection = `in#${++accepted}`;
      open.set(connection, 'open');
      give({ on: 'tcp-accepted', connection, ...ends });
    },
    () => {
      const connection = chance.happens(0.9) ? chance.pick([...open.keys(), 'nobody#1']) : some();
      const is = connectionsOf(peer).find(({ id }) => id === connection)?.fsm.is;
      if (open.get(connection) !== 'dialled') give({ on: 'tcp-data', connection, bytes: message(chance, is) });
    },
    () => close(some()),
    () => give({ on: 'tcp-drained', connection: some(), bytes: chance.between(1, 5_000), left: 0 }),
    () => give({ on: 'wanted', routes: routes([`198.51.100.${chance.between(1, 9)}/32`, '2001:db8::1/128']) }),
    () =>
      give({
        on: 'configure',
        config: { ...peer.config, port: chance.pick([179, 1179]), passive: chance.happens(0.3) },
      }),
    () => give({ on: 'bfd', says: bfdSays(chance) }),
  ];
  const likely = [9, 9, 9, 0, 1, 1, 2, 2, 2, 3, ...new Array<number>(12).fill(4), 5, 6, 6, 7, 8];
  for (let i = 0; i < EVENTS; i++) {
    now += chance.pick([0, 0, 1, 50, 1_000, 30_000]);
    deeds[chance.pick(likely)]?.();
  }
  give({ on: 'leave', how: chance.pick([{ by: 'graceful-restart' }, { by: 'cease', subcode: 2 }] as const) });
  for (const connection of [...open.keys(), ...closing]) close(connection);
  expect(isGone(peer)).toBe(true);
  return [ups, peer.messages.received.get('UPDATE') ?? 0];
}

describe('a peer that is told anything in any order', () => {
  it(`keeps its promises in ${SEEDS} seeded stories`, () => {
    let [ups, updates] = [0, 0];
    for (let seed = 1; seed <= SEEDS; seed++) {
      try {
        const [u, m] = run(seed);
        ups += u;
        updates += m;
      } catch (error) {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
      }
    }
    // they went deep enough to mean something
    expect(ups).toBeGreaterThan(SEEDS / 2);
    expect(updates).toBeGreaterThan(SEEDS / 2);
  });
});
