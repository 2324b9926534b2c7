// `node test/sim/l2-run.ts --hours N [--from S]`: as many hours of a bad LAN as wanted; each failure is printed with its seed,
// and the exit code is 1 when there was one.

import { parseArgs } from 'node:util';
import { tellHour } from './l2-hour.ts';
import { Violation } from './world.ts';

const { values } = parseArgs({
  options: { hours: { type: 'string', default: '200' }, from: { type: 'string', default: '1' } },
});
const hours = Number(values.hours);
const from = Number(values.from);
if (!Number.isInteger(hours) || hours < 1 || !Number.isInteger(from)) {
  process.stderr.write('usage: node test/sim/l2-run.ts --hours N [--from S]\n');
  process.exit(2);
}

const began = performance.now();
let failures = 0;
for (let seed = from; seed < from + hours; seed++) {
  try {
    tellHour(seed);
  } catch (error) {
    failures++;
    const text = error instanceof Violation ? error.message : `seed ${seed}: ${String((error as Error).stack)}`;
    process.stdout.write(`${text}\n`);
  }
  const told = seed - from + 1;
  if (told % 100 === 0 || told === hours) {
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    process.stdout.write(`${told} of ${hours} hours, ${failures} failed, ${seconds} s\n`);
  }
}
process.exitCode = failures === 0 ? 0 : 1;
