// helm and kustomize for the tests of manifests/: found in PATH, else in our cache, where `node test/manifests/tools.ts` (called
// by `npm run setup`) builds them from Go modules. Tests that need one are skipped by name without it.

import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

const MODULES = {
  helm: 'helm.sh/helm/v3/cmd/helm@v3.22.0',
  kustomize: 'sigs.k8s.io/kustomize/kustomize/v5@v5.8.1',
} as const;
export type Tool = keyof typeof MODULES;

/** Its path, or undefined where there is none. */
export function find(tool: Tool): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), cacheFolder(tool)];
  return folders.map((folder) => join(folder, tool)).find(isProgram);
}

/** A folder for each version. */
function cacheFolder(tool: Tool): string {
  const { FAIRWAY_CACHE, XDG_CACHE_HOME } = process.env;
  const caches = FAIRWAY_CACHE || XDG_CACHE_HOME || join(homedir(), '.cache');
  return join(caches, 'fairway', `${tool}-${MODULES[tool].split('@')[1]}`);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Standard output of the tool; throws an Error with what it said on standard error. */
export function run(tool: Tool, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(find(tool) ?? tool, args, {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    // nothing of the user's: no plugins, no repositories, no cluster
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', HELM_CACHE_HOME: '/nonexistent', KUBECONFIG: '/dev/null' },
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

/** Builds what is missing, or says which tests will be skipped. Never fails for want of Go. */
function setUp(): void {
  for (const [tool, module] of Object.entries(MODULES) as [Tool, string][]) {
    const say = (text: string): boolean => process.stdout.write(`setup: ${tool}: ${text}\n`);
    const there = find(tool);
    if (there !== undefined) {
      say(there);
      continue;
    }
    try {
      execFileSync('go', ['version'], { stdio: 'ignore' });
    } catch {
      say(`missing, and no Go to build it: tests of manifests/ that need it will be skipped`);
      process.exitCode = 1;
      continue;
    }
    say(`building ${module} (a few minutes the first time)`);
    const folder = cacheFolder(tool);
    mkdirSync(folder, { recursive: true });
    const build = ['-n', '10', 'go', 'install', '-trimpath', '-ldflags', '-s -w', module];
    const { status } = spawnSync('nice', build, {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, GOBIN: folder, CGO_ENABLED: '0', GOFLAGS: '' },
    });
    if (status !== 0) {
      say('the build failed (see above): tests that need it will be skipped');
      process.exitCode = 1;
    }
  }
}

if (process.argv[1] === import.meta.filename) setUp();
