// A real Prometheus scrapes Fairway as manifests/overlays/prometheus lets it: HTTPS, a certificate that nobody signed, and the token of
// the ServiceAccount metrics-reader, out of the Secret that the overlay makes. Needs the programs prometheus and promtool.

import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { throughout, until } from '../interop/process.ts';
import type { KubeObject } from './api.ts';
import { MANIFESTS, placeOf, readManifests, SYSTEM } from './cluster.ts';
import type { Pod } from './container.ts';
import { ipPool, podsOf } from './fairway.ts';
import { clusterStories, useFairway } from './stories.ts';

/** Processes whose metrics are scraped, and how many Pods each has here. */
const PODS = { controller: 2, speaker: 1 } as const;
const PLACE = placeOf('n1');
const PORT = 9090;

interface Target {
  readonly labels: { readonly job: string };
  readonly health: string;
  readonly lastError: string;
}
type Found = readonly {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}[];

interface Rules extends KubeObject {
  readonly spec: {
    readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[];
  };
}

const [alerts] = readManifests(join(MANIFESTS, 'overlays/prometheus/rules.yaml')) as unknown as readonly Rules[];
const rules = (alerts?.spec.groups ?? []).flatMap((group) => group.rules);

const ipOf = (pod: Pod): string => (pod as Pod & { status: { podIP: string } }).status.podIP;

const absent = ['prometheus', 'promtool'].filter((program) => spawnSync(program, ['--version']).status !== 0);
const title = 'a real Prometheus';

clusterStories(absent.length === 0 ? title : `${title} (skipped: no ${absent.join(', no ')})`, [], () => {
  const cluster = useFairway(1);

  const token = async (): Promise<string> => {
    const metadata = { name: 'metrics-reader-token', namespace: SYSTEM };
    const read = async (): Promise<string | undefined> => {
      const { data } = await cluster.api.read<KubeObject & { data?: { token?: string } }>({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata,
      });
      return data?.token;
    };
    return Buffer.from(await until('the Secret has its token', read), 'base64').toString();
  };
  const ask = <T>(path: string): T => {
    const { data } = JSON.parse(cluster.curl(PLACE, `http://127.0.0.1:${PORT}/api/v1/${path}`));
    return data as T;
  };
  const query = (expression: string): Found =>
    ask<{ readonly result: Found }>(`query?query=${encodeURIComponent(expression)}`).result;

  beforeAll(async () => {
    await cluster.api.apply(...readManifests(join(MANIFESTS, 'overlays/prometheus/access.yaml')));
    const folder = cluster.lab.makeFolder('prometheus');
    mkdirSync(join(folder, 'data'));
    const job = (name: string, credentials: string, targets: readonly string[]) => ({
      ...{ job_name: name, scheme: 'https', honor_labels: true, tls_config: { insecure_skip_verify: true } },
      ...{ authorization: { credentials }, static_configs: [{ targets }] },
    });
    const mine = await token();
    const jobs = await Promise.all(
      Object.keys(PODS).map(async (component) => {
        const targets = (await podsOf(cluster, component)).map((pod) => `${ipOf(pod)}:9120`);
        return [job(component, mine, targets), job(`${component} as a stranger`, 'nonsense', targets)];
      }),
    );
    const config = { global: { scrape_interval: '1s', scrape_timeout: '1s' }, scrape_configs: jobs.flat() };
    writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config));
    cluster.lab.spawn('prometheus', PLACE, [
      ...['prometheus', `--config.file=${join(folder, 'prometheus.yml')}`],
      ...[`--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=127.0.0.1:${PORT}`],
    ]);
    await until(
      'Prometheus is ready',
      () => cluster.curl(PLACE, `http://127.0.0.1:${PORT}/-/ready`).length > 0,
      30_000,
    );
  });

  const targetsOf = (job: string): readonly Target[] =>
    ask<{ readonly activeTargets: readonly Target[] }>('targets').activeTargets.filter(
      ({ labels }) => labels.job === job,
    );

  it.each(Object.entries(PODS))('scrapes every %s with the token of the overlay', async (component, count) => {
    const areUp = (): boolean => {
      const targets = targetsOf(component);
      const failed = targets.find(({ health }) => health !== 'up');
      if (failed !== undefined) throw new Error(`${failed.health} ${failed.lastError}`);
      return targets.length === count;
    };
    await until(`${count} targets are up`, areUp, 20_000);
  });

  it.each(Object.entries(PODS))('is told by every %s that another token is none', async (component, count) => {
    const areRefused = (): boolean => {
      const targets = targetsOf(`${component} as a stranger`);
      return targets.length === count && targets.every(({ lastError }) => lastError.includes('401'));
    };
    await until('all refuse', areRefused, 20_000);
  });

  it('has what the alerts ask for', async () => {
    await cluster.api.apply(ipPool('scraped', ['203.0.113.0/28']));
    const value = (expression: string): string | undefined => query(expression)[0]?.value[1];
    await until(
      'the pool is known',
      () => value('max by (pool) (metallb_allocator_addresses_total{pool="scraped"})') === '16',
      20_000,
    );
    expect(value('max by (pool) (metallb_allocator_addresses_in_use_total{pool="scraped"})')).toBe('0');
    const everyProcess = PODS.controller + PODS.speaker;
    const values = (name: string) => query(name).map((series) => series.value[1]);
    await until('all know', () => values('metallb_k8s_client_config_loaded_bool').length === everyProcess, 20_000);
    expect(values('metallb_k8s_client_config_stale_bool')).toEqual(Array(everyProcess).fill('0'));
  });

  it('and no alert is raised: not about the controller that stands by either', async () => {
    expect(rules).toHaveLength(7);
    const firing = () => rules.filter(({ expr }) => query(expr).length > 0).map(({ alert }) => alert);
    await throughout('all are silent', 3_000, () => {
      if (firing().length > 0) throw new Error(firing().join());
      return true;
    });
  });

  it.each(Object.keys(PODS))('and promtool can read all of the %s’s metrics', async (component) => {
    const [pod] = await podsOf(cluster, component);
    if (pod === undefined) throw new Error('no pod');
    const url = `https://${ipOf(pod)}:9120/metrics`;
    const text = cluster.curl(PLACE, '-k', '-f', '-H', `Authorization: Bearer ${await token()}`, url);
    expect(text).toContain('\nmetallb_');
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
    // 1 is a text that can't be read; 3 has an opinion about names, which are MetalLB's
    expect([0, 3]).toContain(status);
    const opinions = `${stdout}${stderr}`.split('\n').filter(Boolean);
    expect(opinions.filter((line) => !/"_total" suffix/.test(line))).toEqual([]);
  });
});
