// What makes a lab a story: hooks that set it up and clear it away, and skips with their reasons.

import { execFileSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import { Lab } from './lab.ts';
import { lacking, mayMakeNamespaces, type Program } from './lacking.ts';
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
