// Sessions that flap: what the owner of sessions adds to them.

import { describe, expect, it } from 'vitest';
import { PARAMETERS, sessions, stateOf, to, told, view } from './pair.ts';
import type { Host } from './world.ts';
import { port, World } from './world.ts';

/** One host with sessions to two others; `flap` kills the first of these for a moment. */
function flapping() {
  const world = new World(1);
  const a = world.host('a', port('eth0', 'lan', 1, '192.0.2.1/24'));
  const [b, c] = ['b', 'c'].map((name, i) => world.host(name, port('eth0', 'lan', i + 2, `192.0.2.${i + 2}/24`)));
  if (b === undefined || c === undefined) throw new Error('no hosts');
  const fast = { parameters: { ...PARAMETERS, slowTxMs: 100 } };
  const start = (host: Host) => world.start(host, sessions({ a: to('192.0.2.1', fast) }));
  world.start(a, sessions({ b: to('192.0.2.2', fast), c: to('192.0.2.3', fast) }));
  start(b);
  start(c);
  world.run(1_000);
  const flap = (host: Host = b) => {
    world.kill(host);
    world.run(300);
    start(host);
    world.run(700);
  };
  return { world, a, b, c, flap };
}

const holds = (a: Host) => told(a, 'bfd-state').flatMap((each) => ('heldMs' in each ? [each.heldMs] : []));

describe('a session that fails three times in a minute', () => {
  it('is held in Down, longer each time, 30 s at most; it is told and seen', () => {
    const { world, a, flap } = flapping();
    for (let i = 0; i < 2; i++) flap();
    expect([holds(a), stateOf(world, a, 'b')]).toEqual([[], 'Up']);
    flap();
    expect(stateOf(world, a, 'b')).toBe('Down');
    expect(view(world, a).sessions[0]).toMatchObject({ failures: 3, session: { held: true } });
    expect(view(world, a).sessions[0]?.heldUntilMs).toBeGreaterThan(world.now);
    for (let i = 0; i < 7; i++) {
      world.run(31_000);
      expect(stateOf(world, a, 'b')).toBe('Up');
      expect(view(world, a).sessions[0]).not.toHaveProperty('heldUntilMs');
      for (let j = 0; j < 3 && stateOf(world, a, 'b') === 'Up'; j++) flap();
    }
    expect(holds(a)).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000]);
    const ofC = told(a, 'bfd-state').filter((each) => 'failure' in each && each.session === 'c');
    expect(ofC.filter((each) => 'failure' in each && each.failure)).toEqual([]);
  });

  it('is not held when it fails more slowly than that', () => {
    const { world, a, flap } = flapping();
    for (let i = 0; i < 6; i++) {
      flap();
      world.run(30_000);
    }
    expect(holds(a)).toEqual([]);
  });

  it('is not held when no other is Up, and one that is held comes up when the last other fails', () => {
    const { world, a, c, flap } = flapping();
    world.kill(c);
    world.run(500);
    for (let i = 0; i < 6; i++) flap();
    expect([holds(a), stateOf(world, a, 'b')]).toEqual([[], 'Up']);
    const other = flapping();
    for (let i = 0; i < 3; i++) other.flap();
    expect(stateOf(other.world, other.a, 'b')).toBe('Down');
    other.world.kill(other.c);
    other.world.run(500);
    expect(stateOf(other.world, other.a, 'b')).toBe('Up');
  });
});
