// The Echo function of a BFD session: RFC 5880 §6.4, §6.8.5, §6.8.9, §6.8.13. This side sends every 50 ms and takes
// one every 40 ms; the peer loops one every 100 ms at most.

import { describe, expect, it } from 'vitest';
import { echoDiscriminator } from '../../src/bfd/echo.ts';
import { viewSession } from '../../src/bfd/view.ts';
import { Driven, MINE } from './bfd-driven.ts';

const ECHO = { transmitMs: 50, receiveMs: 40 };
const LOOPS = { requiredMinEchoRxMs: 100 };
const up = (parameters: { echo?: typeof ECHO } = { echo: ECHO }, told = LOOPS): Driven =>
  new Driven(parameters).pass(0).toUp(told).clear();

/** Control packets and echoes come back every 20 ms, each as if chance drew anew. */
function alive(driven: Driven, ms: number, { loops = true, told = LOOPS } = {}): Driven {
  for (let passed = 0; passed < ms; passed += 20) {
    driven.random = (passed * 0.137) % 1;
    const seen = driven.echoes.length;
    driven.pass(20);
    if (passed % 100 === 0) driven.hear({ ...told, state: 'Up' });
    if (loops) for (const { bytes } of driven.echoes.slice(seen)) driven.do({ on: 'echo', bytes });
  }
  return driven;
}

describe('echoes', () => {
  it('are offered and sent only where the profile says so', () => {
    const driven = alive(up({}), 1000);
    expect(driven.last.requiredMinEchoRxMs).toBe(0);
    expect(driven.echoes).toEqual([]);
    expect(alive(up(), 1000).last.requiredMinEchoRxMs).toBe(40);
  });

  it('go no faster than the peer loops them, 75 to 100 % of the interval', () => {
    const driven = alive(up(), 3000);
    const gaps = driven.echoes.slice(1).map(({ at }, i) => at - (driven.echoes[i]?.at ?? 0));
    expect(gaps.length).toBeGreaterThan(28);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(75);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(100);
    expect(viewSession(driven.session)).toMatchObject({ state: 'Up', echoIntervalMs: 100 });
    expect(driven.session.counters.echoesSent).toBe(driven.echoes.length);
    expect(driven.session.counters.echoesReceived).toBeGreaterThan(28);
  });

  it('carry our discriminator and another token each', () => {
    const driven = alive(up(), 500);
    expect(new Set(driven.echoes.map(({ bytes }) => echoDiscriminator(bytes)))).toEqual(new Set([MINE]));
    expect(new Set(driven.echoes.map(({ bytes }) => bytes.toString())).size).toBe(driven.echoes.length);
    expect(echoDiscriminator(new Uint8Array(24))).toBeUndefined();
  });

  it('are not sent while not Up, nor to a peer that loops none, and stop when it does no more', () => {
    expect(
      new Driven({ echo: ECHO })
        .pass(0)
        .hear({ ...LOOPS, state: 'Down' })
        .pass(900).echoes,
    ).toEqual([]);
    expect(
      alive(up({ echo: ECHO }, { requiredMinEchoRxMs: 0 }), 500, { told: { requiredMinEchoRxMs: 0 } }).echoes,
    ).toEqual([]);
    const driven = alive(up(), 500).hear({ state: 'Up', requiredMinEchoRxMs: 0 }).clear();
    alive(driven, 2000, { loops: false, told: { requiredMinEchoRxMs: 0 } });
    expect([driven.echoes, driven.reports]).toEqual([[], []]);
  });

  it('stop with AdminDown and with the profile, without a flap', () => {
    const driven = alive(up(), 500).do({ on: 'disable' }).clear().pass(2000);
    expect(driven.echoes).toEqual([]);
    const { echo: _, ...plain } = up().session.parameters;
    const without = up().do({ on: 'configure', parameters: plain });
    alive(without, 2000, { loops: false });
    expect([without.echoes, without.reports]).toEqual([[], []]);
    expect(without.last.requiredMinEchoRxMs).toBe(0);
  });
});

describe('an echo that does not come back', () => {
  it('after the multiplier times the interval is Down, diagnostic 2, a failure', () => {
    const driven = alive(up(), 1000);
    const last = driven.now;
    const returned = driven.session.timers.echoDetect - 300;
    expect(returned).toBeGreaterThan(last - 100);
    alive(driven, 400, { loops: false });
    expect(driven.reports).toMatchObject([
      { from: 'Up', to: 'Down', because: 'echo-failed', failure: true, diagnostic: 2 },
    ]);
    const down = driven.sent.find(({ packet }) => packet.state === 'Down');
    expect(down).toMatchObject({ at: returned + 300, packet: { diagnostic: 2 } });
  });

  it('fails nothing where none ever came back: the peer does not loop what it is sent', () => {
    const driven = alive(up(), 5000, { loops: false });
    expect(driven.reports).toEqual([]);
    expect(driven.echoes.length).toBeGreaterThan(40);
    expect(driven.session.echo.outstanding.length).toBeLessThanOrEqual(10);
  });

  it('is borne when only some are lost', () => {
    const driven = up();
    for (let turn = 0; turn < 20; turn++) {
      alive(driven, 120, { loops: false });
      alive(driven, 120);
    }
    expect(driven.reports).toEqual([]);
  });

  it('both times over at once is one Down, by the Detection Time', () => {
    const driven = up();
    driven.pass(0).now += 5000;
    driven.do({ on: 'tick' });
    expect(driven.reports).toMatchObject([{ because: 'detection-expired' }]);
  });

  it('a new pace has its own time from then on', () => {
    const driven = alive(up(), 500).hear({ state: 'Up', requiredMinEchoRxMs: 1000 });
    expect(driven.session.timers.echoDetect).toBe(driven.now + 3000);
  });
});

describe('what comes in on the echo port', () => {
  it('is counted and keeps nothing alive unless it is an echo under way, once', () => {
    const driven = up().pass(0);
    const [echo] = driven.echoes;
    const bytes = echo?.bytes ?? new Uint8Array();
    const forged = bytes.slice();
    forged[7] = (forged[7] ?? 0) ^ 1;
    const foreign = bytes.slice();
    foreign[0] = 0;
    const before = driven.session.timers.echoDetect;
    driven.now += 10;
    for (const other of [forged, foreign, bytes.slice(0, 7), new Uint8Array(), new Uint8Array(300)]) {
      driven.do({ on: 'echo', bytes: other });
    }
    expect(driven.session.timers.echoDetect).toBe(before);
    driven.do({ on: 'echo', bytes }).do({ on: 'echo', bytes });
    expect(before).toBe(Number.POSITIVE_INFINITY);
    expect(driven.session.timers.echoDetect).toBe(driven.now + 300);
    expect(driven.session.counters).toMatchObject({ echoesReceived: 1, drops: { echo: 6 } });
  });

  it('one that is older than the Detection Time is not under way any more', () => {
    const driven = alive(alive(up(), 200), 600, { loops: false });
    expect(driven.session.state).toBe('Down');
    expect(
      driven.do({ on: 'echo', bytes: driven.echoes.at(-1)?.bytes ?? new Uint8Array() }).session.counters.drops,
    ).toEqual({
      echo: 1,
    });
  });
});
