// 200 stories of an hour each, and proof that they would notice: two stories are built to fail. More seeds:
// `npm run sim -- --seeds 2000`.

import { describe, expect, it } from 'vitest';
import type { SpeakerEffect } from '../../src/speaker.ts';
import { tell } from './story.ts';

const SEEDS = 200;
const BLOCK = 25;

describe('speakers and routers over bad wires', () => {
  for (let from = 1; from <= SEEDS; from += BLOCK) {
    it(`hold what they promise in stories ${from} to ${from + BLOCK - 1}`, () => {
      let steps = 0;
      for (let seed = from; seed < from + BLOCK; seed++) steps += tell(seed).world.steps;
      // an hour of four sessions is never quiet: fewer steps mean that nothing was told
      expect(steps).toBeGreaterThan(BLOCK * 1_000);
    });
  }

  it('tell the same story for the same seed', () => {
    const [a, b] = [tell(7), tell(7)];
    expect(a.world.steps).toBe(b.world.steps);
    expect(a.told).toEqual(b.told);
    expect(tell(8).world.steps).not.toBe(a.world.steps);
  });
});

describe('the invariants bite', () => {
  const isUpdate = (effect: SpeakerEffect): effect is Extract<SpeakerEffect, { do: 'tcp-send' }> =>
    'do' in effect && effect.do === 'tcp-send' && effect.bytes[18] === 2;

  it('when a withdrawal is lost, with the seed in the failure', () => {
    const loses = (effect: SpeakerEffect) => isUpdate(effect) && (effect.bytes[19] !== 0 || effect.bytes[20] !== 0);
    expect(() => tell(1, (_, effect) => (loses(effect) ? [] : [effect]))).toThrow(/seed 1,.*(unwanted|not wanted)/);
  });

  it('when an announcement is lost', () => {
    let updates = 0;
    const loses = (effect: SpeakerEffect) => isUpdate(effect) && ++updates % 3 === 0;
    expect(() => tell(2, (_, effect) => (loses(effect) ? [] : [effect]))).toThrow(/seed 2,/);
  });

  it('when something is asked of a connection that is not there', () => {
    const twice = (effect: SpeakerEffect) => 'do' in effect && effect.do === 'tcp-close';
    expect(() => tell(3, (_, effect) => (twice(effect) ? [effect, effect] : [effect]))).toThrow(
      /which it does not have/,
    );
  });

  it('when a KEEPALIVE is never sent', () => {
    const isKeepalive = (effect: SpeakerEffect) =>
      'do' in effect && effect.do === 'tcp-send' && effect.bytes[18] === 4 && effect.bytes.length === 19;
    let seen = 0;
    const drops = (effect: SpeakerEffect) => isKeepalive(effect) && ++seen > 20;
    expect(() => tell(4, (_, effect) => (drops(effect) ? [] : [effect]))).toThrow(
      /seed 4,.*(is Idle|is Connect|is Active|is Open)/,
    );
  });
});
