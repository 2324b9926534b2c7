// What keeps real daemons from running here: programs that are absent, namespaces that may not be made. Asked by stories,
// which are skipped then, and by the demo, which says so.

import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';

const PROGRAMS = {
  FRR: '/usr/lib/frr/bgpd',
  BIRD: '/usr/sbin/bird',
  GoBGP: '/usr/bin/gobgpd',
  tcpdump: '/usr/bin/tcpdump',
} as const;

export type Program = keyof typeof PROGRAMS;

/** What keeps stories from running here, in words; empty when nothing does. */
export function lacking(...programs: readonly Program[]): string[] {
  const absent = programs.filter((program) => !isExecutable(PROGRAMS[program])).map((program) => `no ${program}`);
  return mayMakeNamespaces() ? absent : ['not permitted to make network namespaces', ...absent];
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

let permitted: boolean | undefined;
export function mayMakeNamespaces(): boolean {
  if (permitted === undefined) {
    try {
      execFileSync('unshare', ['--net', 'ip', 'link'], { stdio: 'ignore' });
      permitted = process.getuid?.() === 0;
    } catch {
      permitted = false;
    }
  }
  return permitted;
}
