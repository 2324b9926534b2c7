// Whether the kernel stops us because our cgroup has used up its share of processor time (cpu.max): then neither BFD nor
// layer 2 can keep its times. Looked at by speaker-process.

import { readFileSync } from 'node:fs';

/** Of the cgroup that a container sees as its root (cgroup v2), as the kernel's cgroup-v2.rst describes it. */
export const CPU_STAT = '/sys/fs/cgroup/cpu.stat';

/** Since the start of the cgroup, ms; undefined: nobody counts it, as outside of a container or without a limit. */
export function throttledMs(file = CPU_STAT): number | undefined {
  try {
    const micros = /^throttled_usec (\d+)$/m.exec(readFileSync(file, 'utf8'))?.[1];
    return micros === undefined ? undefined : Number(micros) / 1_000;
  } catch {
    return undefined;
  }
}
