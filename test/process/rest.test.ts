// The rest between two rounds of a controller.

import { expect, it } from 'vitest';
import { Rest } from '../../src/process/rest.ts';

it('a controller rests four times as long as a round took, and twenty times while many addresses wait to be written', () => {
  const rest = new Rest();
  expect(rest.leftMs(0)).toBeLessThanOrEqual(0);
  rest.begin(5, 1_000, 100);
  expect([rest.leftMs(1_000), rest.leftMs(1_019), rest.leftMs(1_020)]).toEqual([20, 1, 0]);
  rest.begin(5, 2_000, 101);
  expect(rest.leftMs(2_000)).toBe(100);
});
