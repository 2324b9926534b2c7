// Network namespaces that say whose they are: the owner's pid and its start time are in every name, so that what a
// killed test run left behind can be told from what a living one uses. Called by the lab, and by `npm test` at its end.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NAMED = '/run/netns';
const OURS = /^fairway-lab-(\d+)-(\d+)-/;

/** Prefix of everything that this process makes: namespaces, and folders below the system's temporary one. */
export const OWNER = `fairway-lab-${process.pid}-${startOf(process.pid)}`;

/** When a living process began, in clock ticks since boot (proc(5), field 22): with the pid, unique. */
export function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // the second field may hold spaces and parentheses: count from its end
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Runs `ip` with these lines as a batch, in a namespace where one is named. Throws with what ip says. */
export function ip(namespace: string | undefined, lines: readonly string[]): void {
  const where = namespace === undefined ? [] : ['-n', namespace];
  execFileSync('ip', [...where, '-batch', '-'], {
    input: `${lines.join('\n')}\n`,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
}

/** Standard output of a short command in a namespace. */
export function inside(namespace: string, command: readonly string[]): string {
  return execFileSync('nsenter', [`--net=${NAMED}/${namespace}`, ...command], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Ends what runs in a namespace of ours and removes it. */
function removeNamespace(name: string): void {
  for (const pid of execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // it ended by itself
    }
  }
  execFileSync('ip', ['netns', 'del', name]);
}

/**
 * Removes namespaces and folders of owners that are dead, or those whose name begins with `owner`. True when none is
 * left at all, neither of the living.
 */
export function sweep(owner?: string): boolean {
  const isLeft = (name: string): boolean => {
    const [, pid, start] = OURS.exec(name) ?? [];
    if (pid === undefined) return false;
    return owner === undefined ? startOf(Number(pid)) !== start : name === owner || name.startsWith(`${owner}-`);
  };
  if (process.getuid?.() !== 0) return true;
  for (const name of list(NAMED).filter(isLeft)) removeNamespace(name);
  for (const name of list(tmpdir()).filter(isLeft)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  return !list(NAMED).some((name) => OURS.test(name));
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
