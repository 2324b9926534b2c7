// Waiting for descriptors: which are ready, for how long, and that a rest is cut short by those alone that are urgent.

import { afterEach, beforeEach, expect, it } from 'vitest';
import { clearWake, openWake, PollSet, wake } from '../../src/io/packet/kernel.ts';
import { closeSocket } from '../../src/io/syscall.ts';

let fds: number[];
let poll: PollSet;
beforeEach(() => {
  fds = [openWake(), openWake(), openWake()];
  poll = new PollSet();
  poll.watch(fds);
});
afterEach(() => {
  for (const fd of fds) closeSocket(fd);
});
const fd = (at: number): number => fds[at] ?? expect.fail();
const took = (act: () => void): number => {
  const began = performance.now();
  act();
  return performance.now() - began;
};

it('answers the places of those that are ready, at once', () => {
  wake(fd(0));
  wake(fd(2));
  let ready: readonly number[] = [];
  expect(took(() => (ready = poll.wait(900)))).toBeLessThan(850);
  expect(ready).toEqual([0, 2]);
  clearWake(fd(0));
  expect(poll.wait(0)).toEqual([2]);
});

it('waits no longer than it is told', () => {
  const ms = took(() => expect(poll.wait(30)).toEqual([]));
  expect(ms).toBeGreaterThan(29);
  expect(ms).toBeLessThan(850);
});

it('rests whatever comes, but for those from a place on', () => {
  wake(fd(0));
  expect(took(() => poll.rest(30, 1))).toBeGreaterThan(29);
  expect(took(() => poll.rest(30, 3))).toBeGreaterThan(29);
  wake(fd(2));
  expect(took(() => poll.rest(900, 1))).toBeLessThan(850);
  expect(poll.wait(0)).toEqual([0, 2]);
});
