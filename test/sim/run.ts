// `npm run sim -- --seeds N [--from S]`: as many stories as wanted; each failure is printed with its seed, and the exit
// code is 1 when there was one.

import { parseArgs } from 'node:util';
import { tell } from './story.ts';
import { Violation } from './world.ts';

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '200' }, from: { type: 'string', default: '1' } },
});
const seeds = Number(values.seeds);
const from = Number(values.from);
if (!Number.isInteger(seeds) || seeds < 1 || !Number.isInteger(from)) {
  process.stderr.write('usage: npm run sim -- --seeds N [--from S]\n');
  process.exit(2);
}

const began = performance.now();
let failures = 0;
for (let seed = from; seed < from + seeds; seed++) {
  try {
    tell(seed);
  } catch (error) {
    failures++;
    const text = error instanceof Violation ? error.message : `seed ${seed}: ${String((error as Error).stack)}`;
    process.stdout.write(`${text}\n`);
  }
  const told = seed - from + 1;
  if (told % 100 === 0 || told === seeds) {
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    process.stdout.write(`${told} of ${seeds} stories, ${failures} failed, ${seconds} s\n`);
  }
}
process.exitCode = failures === 0 ? 0 : 1;
