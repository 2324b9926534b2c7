// The alerts of overlays/prometheus, asked of a real Prometheus: promtool checks the expressions and plays series through them.
// Those of the chart are held against these in chart.test.ts. Skipped without promtool.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type AlertRules, find, MANIFESTS, objectsOf } from './objects.ts';

const hasPromtool = spawnSync('promtool', ['--version']).status === 0;

describe.skipIf(!hasPromtool)('alerts (need promtool)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fairway-alerts-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const text = readFileSync(join(MANIFESTS, 'overlays/prometheus/rules.yaml'), 'utf8');
  const { spec } = find<AlertRules>(objectsOf('rules', text), 'PrometheusRule', 'metallb');
  const rules = join(folder, 'rules.json');
  writeFileSync(rules, JSON.stringify(spec));

  const promtool = (...args: readonly string[]): string => {
    const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' });
    return `${status}\n${stdout}${stderr}`;
  };

  it('are understood', () => {
    expect(promtool('check', 'rules', rules)).toContain('SUCCESS: 7 rules found');
  });

  /** Names of the alerts that fire after five minutes of these series. */
  const firing = (series: Readonly<Record<string, string>>, expected: readonly string[]): string => {
    const file = join(folder, 'test.json');
    const test = {
      interval: '1m',
      input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
      promql_expr_test: [
        {
          expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
          eval_time: '5m',
          exp_samples: expected.map((name) => ({ labels: `{alertname="${name}"}`, value: 1 })),
        },
      ],
    };
    const whole = { rule_files: [rules], evaluation_interval: '1m', tests: [test] };
    writeFileSync(file, JSON.stringify(whole));
    return promtool('test', 'rules', file);
  };

  const pool = (used: number): Readonly<Record<string, string>> =>
    // both controllers report; one of them is a moment behind
    Object.fromEntries(
      ['one', 'two'].flatMap((pod, i) => [
        [`metallb_allocator_addresses_total{pool="a",pod="${pod}"}`, '100x5'],
        [`metallb_allocator_addresses_in_use_total{pool="a",pod="${pod}"}`, `${used - i}x5`],
      ]),
    );

  it.each<[string, Readonly<Record<string, string>>, readonly string[]]>([
    [
      'nothing',
      {
        'metallb_k8s_client_config_stale_bool{pod="s"}': '0x5',
        'metallb_k8s_client_config_loaded_bool{pod="s"}': '1x5',
        'metallb_bgp_session_up{pod="s",peer="10.0.0.1:179"}': '1x5',
        ...pool(75),
      },
      [],
    ],
    ['a refused configuration', { 'metallb_k8s_client_config_stale_bool{pod="s"}': '1x5' }, ['MetalLBStaleConfig']],
    ['no configuration', { 'metallb_k8s_client_config_loaded_bool{pod="s"}': '0x5' }, ['MetalLBConfigNotLoaded']],
    [
      'a session that is down',
      { 'metallb_bgp_session_up{pod="s",peer="10.0.0.1:179"}': '1 0x4' },
      ['MetalLBBGPSessionDown'],
    ],
    [
      'a session that was down for a moment',
      { 'metallb_bgp_session_up{pod="s",peer="10.0.0.1:179"}': '1 1 1 1 1 0' },
      [],
    ],
    ['a pool of which 76 % are used', pool(76), ['MetalLBAddressPoolUsage75Percent']],
    [
      'a pool of which 96 % are used',
      pool(96),
      ['MetalLBAddressPoolUsage75Percent', 'MetalLBAddressPoolUsage85Percent', 'MetalLBAddressPoolUsage95Percent'],
    ],
    [
      'a pool that is empty',
      pool(100),
      [
        'MetalLBAddressPoolExhausted',
        'MetalLBAddressPoolUsage75Percent',
        'MetalLBAddressPoolUsage85Percent',
        'MetalLBAddressPoolUsage95Percent',
      ],
    ],
  ])('tell of %s', (_, series, expected) => {
    expect(firing(series, expected)).toContain('SUCCESS');
  });
});
