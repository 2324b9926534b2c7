// A process with so much processor time and no more, as a CPU limit is to a pod: by the kernel's cgroups, version 2 or 1.

import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';

const ROOT = '/sys/fs/cgroup';
const PERIOD_US = 100_000;

/** `msPerSecond` for all threads of a process, until the answer is called, once the process has ended. Undefined: not here. */
export function limit(pid: number, msPerSecond: number): (() => void) | undefined {
  const isV2 = existsSync(`${ROOT}/cgroup.controllers`);
  const folder = `${ROOT}/${isV2 ? '' : 'cpu/'}fairway-bench-${process.pid}`;
  const quota = (msPerSecond * PERIOD_US) / 1_000;
  try {
    mkdirSync(folder);
    if (isV2) writeFileSync(`${folder}/cpu.max`, `${quota} ${PERIOD_US}`);
    else {
      writeFileSync(`${folder}/cpu.cfs_period_us`, `${PERIOD_US}`);
      writeFileSync(`${folder}/cpu.cfs_quota_us`, `${quota}`);
    }
    writeFileSync(`${folder}/cgroup.procs`, `${pid}`);
  } catch {
    if (existsSync(folder)) rmdirSync(folder);
    return undefined;
  }
  return () => rmdirSync(folder);
}
