// The process as such: leaving on a signal, and dying loudly on a fault of our own. Used by the verbs that run until
// they are told to stop.

import { constants } from 'node:os';
import type { Log } from './log.ts';

/** sysexits.h EX_SOFTWARE: a bug. Kubernetes starts us again, and graceful restart keeps the routes meanwhile. */
const BUG = 70;

/** A terminal signals the whole process group, and npm or a shell passes the same signal on: one wish, not two. */
const ECHO_MS = 500;

/**
 * Calls `leave` at the first SIGTERM or SIGINT and ends with 0 once it is done, or after `limitMs`; a second signal ends
 * at once.
 */
export function leaveOnSignal(leave: (signal: string) => Promise<void>, limitMs: number): void {
  let leavingSince: number | undefined;
  const handle = (signal: 'SIGTERM' | 'SIGINT') => {
    if (leavingSince !== undefined) {
      if (performance.now() - leavingSince > ECHO_MS) process.exit(128 + constants.signals[signal]);
      return;
    }
    leavingSince = performance.now();
    setTimeout(() => process.exit(0), limitMs).unref();
    void leave(signal).then(() => process.exit(0));
  };
  process.on('SIGTERM', handle);
  process.on('SIGINT', handle);
}

/** An exception that nobody caught is a bug: said with what happened last, then the end. */
export function dieLoudly(log: Log, recent: () => readonly string[]): void {
  const die = (fault: unknown) => {
    const error = fault instanceof Error ? (fault.stack ?? fault.message) : String(fault);
    log.fatal({ op: 'crash', error, recent: recent() }, 'a bug: please report it with this line');
    process.exit(BUG);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
}
