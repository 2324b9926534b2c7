// Where the programs of a real cluster are: in the folder that KUBEBUILDER_ASSETS names (envtest's convention; it holds
// etcd and kube-apiserver alone), else in our cache, where `node test/cluster/binaries.ts` (called by `npm run setup`)
// puts them, built from Go modules. Stories ask `lackingForCluster` and are skipped by name without them.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isExecutable } from '../interop/lacking.ts';

const MODULE = join(import.meta.dirname, 'kube');
const OLDEST_GO = [1, 26] as const;

export const PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-proxy'] as const;
/** Of Debian's packages: nftables, curl, openssl, util-linux. */
const TOOLS = ['nft', 'curl', 'openssl', 'setpriv'] as const;
export type KubeProgram = (typeof PROGRAMS)[number];

/** Our cache: a folder for each set of versions, so that an old one is never taken for a new one. */
function cacheFolder(): string {
  const { FAIRWAY_CACHE, XDG_CACHE_HOME } = process.env;
  const caches = FAIRWAY_CACHE || XDG_CACHE_HOME || join(homedir(), '.cache');
  const versions = createHash('sha256').update(readFileSync(join(MODULE, 'go.mod')));
  return join(caches, 'fairway', `kube-${versions.digest('hex').slice(0, 12)}`);
}

/** The file of a program, or undefined when it is in neither place. */
export function findBinary(program: KubeProgram): string | undefined {
  const { KUBEBUILDER_ASSETS } = process.env;
  const folders = [...(KUBEBUILDER_ASSETS ? [KUBEBUILDER_ASSETS] : []), cacheFolder()];
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

export function absentPrograms(): KubeProgram[] {
  return PROGRAMS.filter((program) => findBinary(program) === undefined);
}

/** What a cluster needs beside FRR and namespaces, and is not there, in words. */
export function lackingForCluster(): string[] {
  return [...absentPrograms(), ...TOOLS.filter((tool) => !isFound(tool))].map((program) => `no ${program}`);
}

function isFound(tool: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' }).status === 0;
}

/** Go's version as text, asked where the modules are (a newer toolchain may be chosen there), or why there is none. */
function findGo(): { readonly version: string } | { readonly missing: string } {
  try {
    const version = execFileSync('go', ['env', 'GOVERSION'], { cwd: MODULE, encoding: 'utf8' }).trim();
    const [major = 0, minor = 0] = version.replace(/^go/, '').split('.').map(Number);
    const isNew = major > OLDEST_GO[0] || (major === OLDEST_GO[0] && minor >= OLDEST_GO[1]);
    return isNew ? { version } : { missing: `${version} is older than ${OLDEST_GO.join('.')}` };
  } catch {
    return { missing: 'no Go' };
  }
}

/** Builds what is absent, or says which tests will be skipped and ends with 1. */
function setUp(): void {
  const say = (text: string): void => {
    process.stdout.write(`setup: ${text}\n`);
  };
  const absent = absentPrograms();
  if (absent.length === 0) {
    for (const program of PROGRAMS) say(`${program} ${findBinary(program)}`);
    return;
  }
  const go = findGo();
  if ('missing' in go) {
    say(`${absent.join(', ')} missing: tests on a real cluster will be skipped (${go.missing})`);
    process.exitCode = 1;
    return;
  }
  say(`building Kubernetes with ${go.version} (about five minutes the first time)`);
  const { status } = spawnSync(join(MODULE, 'build.sh'), [cacheFolder()], { stdio: 'inherit' });
  if (status === 0) return;
  say('the build failed (see above): tests on a real cluster will be skipped');
  process.exitCode = 1;
}

if (process.argv[1] === import.meta.filename) setUp();
