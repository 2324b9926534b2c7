// The first half of a thousand simulated hours of a LAN on which things break, and proof that they would notice. More seeds:
// `node test/sim/l2-run.ts --hours N [--from S]`.

import { describe, expect, it } from 'vitest';
import { tellHour, tellHours } from './l2-hour.ts';

const BLOCK = 50;

describe('ownership on a bad LAN', () => {
  for (let from = 1; from <= 500; from += BLOCK) {
    it(`holds what it promises in hours ${from} to ${from + BLOCK - 1}`, () => {
      const { steps, moves } = tellHours(from, BLOCK);
      // an hour of three speakers is never quiet, and what breaks moves addresses
      expect(steps).toBeGreaterThan(BLOCK * 20_000);
      expect(moves).toBeGreaterThan(BLOCK);
    });
  }
});

describe('the hours bite', () => {
  const fails = (canary: Parameters<typeof tellHour>[1], why: RegExp) => {
    const messages: string[] = [];
    for (let seed = 1; seed <= 12; seed++) {
      try {
        tellHour(seed, canary);
      } catch (error) {
        messages.push(String(error));
      }
    }
    expect(messages.some((message) => why.test(message))).toBe(true);
    for (const message of messages) expect(message).toMatch(/seed \d+, [\d.]+ ms: /);
  };

  it('when nobody ever gives way', () => {
    fails((world) => {
      world.sabotage = (_, event) =>
        event.on !== 'told'
          ? [event]
          : [
              {
                ...event,
                statement: { ...event.statement, rows: event.statement.rows.map(({ claim: _, ...row }) => row) },
              },
            ];
    }, /answer for/);
  });

  it('when a dead owner is believed alive', () => {
    fails((world) => {
      world.sabotage = (_, event, { now, nodes }) =>
        event.on === 'tick' ? [{ on: 'tick', heard: new Map(nodes.map(({ station }) => [station, now])) }] : [event];
    }, /nobody answers/);
  });

  it('when what another owns is taken', () => {
    fails((world) => {
      world.sabotage = (node, event) =>
        node.at === 0 && (event.on === 'told' || (event.on === 'frame' && event.kind === 'answer')) ? [] : [event];
    }, /answer for|without a cause/);
  });
});
