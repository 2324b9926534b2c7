// What the demo of a cluster makes of its clients' requests, and what it says where it cannot run. That it runs is in
// test/cluster.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { answerers, judge, outages, type Request, tollSince } from '../../demo/answers.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

/** A request each 100 ms: who answered, `-`: nobody, `A`: n1 when it was asked again. */
function requests(pattern: string, start = 1_000): Request[] {
  return [...pattern].map((what, i) => {
    const at = start + 100 * i;
    if (what === '-') return { at, tookMs: 900, error: 'timeout' };
    if (what === 'A') return { at, tookMs: 4, from: 'web-1', again: true };
    return { at, tookMs: 2, from: `web-${what}` };
  });
}

describe('what became of requests', () => {
  it('an outage lasts from the first lost request to the first one after which none was lost', () => {
    expect(outages(requests('11---111111111111111111'))).toEqual([
      { from: 1_200, to: 1_500, lost: 3, asked: 3, error: 'timeout' },
    ]);
  });

  it('losses between answers of other nodes are one outage, losses far apart are two', () => {
    const [one, two, three] = outages(requests('12-1-222-1111111111112222222-2222222222222222222'));
    expect(one).toMatchObject({ from: 1_200, to: 1_900, lost: 3, asked: 7 });
    expect(two).toMatchObject({ from: 3_800, to: 3_900, lost: 1, asked: 1 });
    expect(three).toBeUndefined();
  });

  it('an outage that may go on is none yet', () => {
    expect(outages(requests('11----'))).toEqual([]);
    expect(outages(requests('11----111111111111111'))).toEqual([]);
  });

  it('requests become known out of order', () => {
    const shuffled = requests('11---111111111111111111').toReversed();
    expect(outages(shuffled)).toEqual(outages(shuffled.toReversed()));
  });

  it('the toll of an act counts from the act, to the first request after which none was lost', () => {
    expect(tollSince(requests('1111-2-2222'), 1_250)).toEqual({ asked: 8, lost: 2, again: 0, holeMs: 450 });
    expect(tollSince(requests('--11A111'), 1_200)).toEqual({ asked: 6, lost: 0, again: 1, holeMs: 0 });
  });

  it('what was lost at the end has no end', () => {
    expect(tollSince(requests('1111--'), 1_000).holeMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('who answered, by name', () => {
    expect([...answerers(requests('2-12A'))]).toEqual([
      ['web-1', 2],
      ['web-2', 2],
    ]);
  });
});

describe('a promise', () => {
  const verdict = (pattern: string, mostMs: number, spanMs = 1_000) =>
    judge('promise', tollSince(requests(pattern), 1_000), spanMs, mostMs);

  it('is kept when the hole is not longer, and broken when it is', () => {
    expect(verdict('1---111111', 400)).toMatchObject({
      kept: true,
      measured: '3 of 10 lost, the last ones after 400 ms',
    });
    expect(verdict('1---111111', 399).kept).toBe(false);
  });

  it('to lose nothing is broken by one request', () => {
    expect(verdict('1111111111', 0)).toMatchObject({ kept: true, measured: '0 of 10 lost' });
    expect(verdict('111111A111', 0)).toMatchObject({
      ...{ kept: true, measured: '0 of 10 lost, 1 asked again after a reset' },
    });
    expect(verdict('11111-1111', 0).kept).toBe(false);
    expect(verdict('111111111-', 5_000)).toMatchObject({
      kept: false,
      measured: '1 of 10 lost, the last ones after the end',
    });
  });

  it('that too few requests were made for is not kept', () => {
    expect(verdict('11111', 0).kept).toBe(true);
    expect(verdict('1111', 0)).toMatchObject({
      kept: false,
      measured: '0 of 4 lost, asked too seldom for a verdict',
    });
    expect(verdict('', 0).kept).toBe(false);
  });
});

describe('demo --cluster says why it cannot run', () => {
  /** What it prints, and its exit code, for a user of this id and with this cache. */
  function run(uid: number, cache: string, ...flags: string[]): { readonly code: number; readonly said: string } {
    const hook = `data:text/javascript,process.getuid=()=>${uid}`;
    const env = { ...process.env, FAIRWAY_CACHE: cache, KUBEBUILDER_ASSETS: '' };
    const command = ['--import', hook, MAIN, 'demo', '--cluster', ...flags];
    try {
      execFileSync(process.execPath, command, { encoding: 'utf8', env, stdio: ['ignore', 'pipe', 'pipe'] });
      return { code: 0, said: '' };
    } catch (fault) {
      const { status, stderr } = fault as { status: number; stderr: string };
      return { code: status, said: stderr };
    }
  }

  it('not root', () => {
    const { code, said } = run(1_000, '');
    expect(code).toBe(1);
    expect(said).toContain('must be run as root');
  });

  it('no Kubernetes: what can be built, how, and how long it takes', () => {
    const empty = mkdtempSync(join(tmpdir(), 'fairway-no-kube-'));
    try {
      const { code, said } = run(0, empty);
      expect(code).toBe(1);
      expect(said).toContain('etcd, kube-apiserver, kube-controller-manager, kube-proxy are not here');
      expect(said).toMatch(/about five minutes.*\n.*npm run setup/);
    } finally {
      rmSync(empty, { recursive: true });
    }
  });

  it('flags that exclude each other', () => {
    const { code, said } = run(0, '', '--frr');
    expect(code).toBe(2);
    expect(said).toContain("option '--cluster' cannot be used with option '--frr'");
  });
});
