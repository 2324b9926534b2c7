// What it costs to know a large cluster: 10,000 Services and 10,000 EndpointSlices read from an API server (in a process
// of its own) into our words, by streamed lists and by pages. Heap that stays, and how long the loop was ever held.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Measurements, print } from './figures.ts';
import type { Reading } from './k8s-reader.ts';

const RUNS = 5;
const OBJECTS = 20_000;
const run = promisify(execFile);

/** True when every goal was met. */
export async function k8sCache(): Promise<boolean> {
  const measured = new Measurements();
  for (const mode of ['streams', 'pages']) {
    const server = spawn(process.execPath, [join(import.meta.dirname, 'k8s-server.ts'), mode], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      const [url] = (await once(createInterface(server.stdout), 'line')) as [string];
      for (let i = 0; i < RUNS; i++) {
        const command = ['--expose-gc', join(import.meta.dirname, 'k8s-reader.ts'), url];
        const { stdout } = await run(process.execPath, command, { timeout: 120_000 });
        const reading = JSON.parse(stdout) as Reading;
        if (reading.objects !== OBJECTS) throw new Error(`${mode}: ${reading.objects} objects instead of ${OBJECTS}`);
        for (const what of ['syncMs', 'heapMiB', 'rssMiB', 'blockMs', 'workMs'] as const)
          measured.add(what, mode, reading[what]);
      }
    } finally {
      server.stdin.end();
      server.kill();
    }
  }
  const row = (what: keyof Reading, text: string, unit: string, most?: number): boolean =>
    measured
      .of(what)
      .map((figures) =>
        print({
          what: `${text}, ${figures.who}`,
          unit,
          figures: [{ ...figures, who: 'fairway' }],
          ...(most !== undefined && { goal: { text: `< ${most} ${unit}`, met: (ours: number) => ours < most } }),
        }),
      )
      .every((met) => met);
  const size = '10,000 Services and 10,000 EndpointSlices';
  const met = [
    row('heapMiB', `heap that ${size} cost`, 'MiB', 40),
    row('workMs', `longest time that the loop was held by our own work (CPU), reading ${size}`, 'ms', 50),
    row('blockMs', `the same by the clock, with what else the machine did`, 'ms'),
    row('syncMs', `time to read ${size}`, 'ms'),
    row('rssMiB', `resident memory of a process with ${size}`, 'MiB'),
  ];
  return met.every((each) => each);
}
