// What is measured comes before what else this machine does, as a CPU request does for a pod. Used by benches of threads that
// must be woken in time.

import { existsSync, writeFileSync } from 'node:fs';

/** For this process and all that it starts (sched(7), autogroups), until it ends. */
export function favour(): void {
  const file = '/proc/self/autogroup';
  if (!existsSync(file)) return;
  writeFileSync(file, '-15');
  process.on('exit', () => writeFileSync(file, '0'));
}
