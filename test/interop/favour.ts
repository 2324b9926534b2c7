// What is measured comes before what else this machine does, as a CPU request does for a pod. Called by stories and benches of
// threads that must be woken in time.

import { existsSync, writeFileSync } from 'node:fs';

const AUTOGROUP = '/proc/self/autogroup';

/** For this session of processes and all that it starts (sched(7), autogroups), until it ends or `unfavour`. */
export function favour(): void {
  if (!existsSync(AUTOGROUP)) return;
  writeFileSync(AUTOGROUP, '-15');
  process.once('exit', unfavour);
}

export function unfavour(): void {
  if (existsSync(AUTOGROUP)) writeFileSync(AUTOGROUP, '0');
}
