// A BFD session under any events in any order, seeded: whatever a peer or an administrator does, what leaves is lawful,
// timers are instants, and the reports tell one unbroken story.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SESSION_STATES } from '../../src/bfd/packet.ts';
import { dueAt } from '../../src/bfd/session.ts';
import { Driven, MINE } from './bfd-driven.ts';

const interval = fc.constantFrom(0, 0.001, 10, 50, 300, 1000, 60_000, 4_294_967.295);
const wish = fc.constantFrom(10, 50, 300, 1000, 60_000);
const packet = fc.record({
  state: fc.constantFrom(...SESSION_STATES),
  diagnostic: fc.nat({ max: 31 }),
  poll: fc.boolean(),
  final: fc.boolean(),
  demand: fc.boolean(),
  detectMult: fc.constantFrom(1, 3, 255),
  myDiscriminator: fc.constantFrom(1, 2, 0xffffffff),
  yourDiscriminator: fc.constantFrom(0, MINE),
  desiredMinTxMs: interval,
  requiredMinRxMs: interval,
  requiredMinEchoRxMs: interval,
});
const parameters = fc.record({
  detectMult: fc.constantFrom(1, 2, 3, 255),
  desiredMinTxMs: wish,
  requiredMinRxMs: wish,
  passive: fc.boolean(),
  echo: fc.record({ transmitMs: wish, receiveMs: wish }),
});
const act: fc.Arbitrary<(driven: Driven) => Driven> = fc.oneof(
  { weight: 6, arbitrary: packet.map((told) => (driven: Driven) => driven.hear(told)) },
  { weight: 1, arbitrary: packet.map((told) => (driven: Driven) => driven.hear(told, { ttl: 1 })) },
  { weight: 3, arbitrary: fc.constantFrom(0, 1, 40, 300, 1200).map((ms) => (driven: Driven) => driven.pass(ms)) },
  { weight: 1, arbitrary: parameters.map((changes) => (driven: Driven) => driven.retune(changes)) },
  { weight: 1, arbitrary: fc.constantFrom('enable', 'disable').map((on) => (driven: Driven) => driven.do({ on })) },
);

describe('any events', () => {
  it('leave a lawful session', () => {
    const visited = new Set<string>();
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), fc.double({ min: 0, max: 0.9999, noNaN: true }), (acts, random) => {
        const driven = new Driven();
        driven.random = random;
        for (const one of acts) one(driven);
        const { session, sent, reports } = driven;
        for (const { packet: left } of sent) {
          expect(left.poll && left.final).toBe(false);
          expect(left.demand).toBe(false);
          expect(left.myDiscriminator).toBe(MINE);
          if (left.state !== 'Up') expect(left.desiredMinTxMs).toBeGreaterThanOrEqual(1000);
        }
        for (const at of Object.values(session.timers)) expect(Number.isNaN(at)).toBe(false);
        driven.pass(0);
        expect(dueAt(session)).toBeGreaterThan(driven.now);
        let state = 'Down';
        for (const report of reports) {
          expect(report.from).toBe(state);
          expect(report.to).not.toBe(state);
          if (report.failure) expect([report.from, report.to]).toEqual(['Up', 'Down']);
          state = report.to;
          visited.add(state);
        }
        expect(session.state).toBe(state);
        const ups = reports.filter(({ to }) => to === 'Up').length;
        const downs = reports.filter(({ from }) => from === 'Up').length;
        expect(session.counters).toMatchObject({ upEvents: ups, downEvents: downs });
      }),
      { seed: 5880, numRuns: 1000 },
    );
    expect(visited).toEqual(new Set(['Down', 'Init', 'Up', 'AdminDown']));
  });
});
