// What makes a lab a story: hooks that set it up and clear it away, and the reasons for which stories are skipped.

import { execFileSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import { Lab } from './lab.ts';
import { OWNER, sweep } from './namespace.ts';

/** A lab for all stories of one file; daemons end with each story, namespaces with the last. */
export function useLab(nodes: number): Lab {
  const lab = new Lab(nodes);
  const removeAtExit = (): void => {
    sweep(OWNER);
  };
  beforeAll(() => {
    sweep();
    process.once('exit', removeAtExit);
    lab.up();
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`${lab.logs()}\n`);
    await lab.stopAll();
  });
  afterAll(() => {
    lab.down();
    process.off('exit', removeAtExit);
  });
  return lab;
}

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

/** Stories that need programs, or kinds of links that not every kernel has: run, or skipped with the reason in their name. */
export function stories(
  title: string,
  programs: readonly Program[],
  tell: () => void,
  links: readonly string[] = [],
): void {
  const reasons = lacking(...programs);
  if (mayMakeNamespaces()) reasons.push(...links.filter(isMissing).map((kind) => `no links of type ${kind}`));
  const name = reasons.length === 0 ? title : `${title} (skipped: ${reasons.join(', ')})`;
  describe.skipIf(reasons.length > 0)(name, tell);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Does this kernel not know links of this kind? */
function isMissing(kind: string): boolean {
  try {
    // what a VRF demands, the others ignore or refuse: so each is asked in its own way
    const options = kind === 'vrf' ? ['table', '10'] : kind === 'vlan' ? ['id', '7'] : [];
    const under = kind === 'vlan' ? ['link', 'lo'] : [];
    execFileSync('unshare', ['--net', 'ip', 'link', 'add', ...under, 'name', 'probe', 'type', kind, ...options], {
      stdio: 'ignore',
    });
    return false;
  } catch {
    return true;
  }
}

let permitted: boolean | undefined;
function mayMakeNamespaces(): boolean {
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
