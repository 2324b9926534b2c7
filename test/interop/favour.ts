// What is measured comes before what else this machine does, as a CPU request does for a pod. Called by stories and benches of
// threads that must be woken in time.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';

const AUTOGROUP = '/proc/self/autogroup';
/** Of `nice`; the processes of this one inherit it. */
const FAVOURED = -15;

/** For this process, or for its session of processes where the kernel groups by them (sched(7)), until it ends or `unfavour`. */
export function favour(): void {
  set(FAVOURED);
  process.once('exit', unfavour);
}

export function unfavour(): void {
  set(constants.priority.PRIORITY_NORMAL);
}

function set(nice: number): void {
  if (grouped()) writeFileSync(AUTOGROUP, String(nice));
  else setPriority(nice);
}

/** The kernel names no group of a process that belongs to the root's, whose weight can't be set. */
function grouped(): boolean {
  return existsSync(AUTOGROUP) && readFileSync(AUTOGROUP, 'utf8') !== '';
}
