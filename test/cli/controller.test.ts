// `fairway controller` as it is called: wrong calls end at once, with Go's codes and words.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const FAIRWAY = join(import.meta.dirname, '../../src/main.ts');

function call(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [FAIRWAY, 'controller', ...argv], {
    encoding: 'utf8',
    timeout: 20_000,
    env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...env },
  });
  return { status, stdout, stderr };
}

const KUBECONFIG = { KUBECONFIG: join(import.meta.dirname, 'legacy/no-such-kubeconfig') };

describe('fairway controller', () => {
  it('prints its flags', () => {
    for (const flag of ['-h', '--help']) {
      const { status, stderr } = call([flag]);
      expect(status).toBe(0);
      expect(stderr).toContain('Usage of controller:');
      expect(stderr).toContain('  -webhook-mode string');
    }
  });

  it('ends with 2 when a flag is wrong', () => {
    expect(call(['--colour=red'])).toMatchObject({ status: 2 });
    expect(call(['--colour=red']).stderr).toMatch(/^flag provided but not defined: -colour\nUsage of controller:/);
    expect(call(['--port', 'http'])).toMatchObject({ status: 2 });
    expect(call(['-log-level=loud']).stderr).toMatch(/^invalid value "loud" for flag -log-level: one of all, debug/);
    expect(call(['extra'])).toMatchObject({ status: 2 });
  });

  it('ends with 1 and one line when it cannot start', () => {
    const { status, stdout } = call([], KUBECONFIG);
    expect(status).toBe(1);
    const lines = stdout.trim().split('\n');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'error',
      op: 'startup',
      error: expect.stringContaining('cannot read the kubeconfig'),
    });
  });

  it('warns of a mode that it does not know, whose checks it cannot make', () => {
    const linesWith = (mode: string) =>
      call([], { ...KUBECONFIG, METALLB_BGP_TYPE: mode })
        .stdout.trim()
        .split('\n');
    const [first = '', ...others] = linesWith('FRR');
    expect(JSON.parse(first)).toMatchObject({
      level: 'warn',
      error: 'METALLB_BGP_TYPE is "FRR", not native, frr or frr-k8s',
    });
    expect(others).toHaveLength(1);
    for (const mode of ['', 'native', 'frr', 'frr-k8s']) expect(linesWith(mode)).toHaveLength(1);
  });
});
