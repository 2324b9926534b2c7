// Small clusters and what they come to: each file of cases/ holds manifests, as `fairway plan` reads them, and at its end
// the lines that are expected. `CASES=write npx vitest run test/plan/cases` writes those anew, to be reviewed as a diff.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type Outcome, planManifest } from '../../src/cli/plan.ts';
import { readManifest } from '../../src/k8s/manifest.ts';
import type { Announcement } from '../../src/plan/status.ts';

const folder = join(import.meta.dirname, 'cases');
const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
const EXPECTED = 'Expected';

/** The outcome in lines that can be read. */
function summary(outcome: Outcome): Readonly<Record<string, unknown>> {
  if ('findings' in outcome) return { findings: outcome.findings.map(({ rule, message }) => `${rule}: ${message}`) };
  const { services, announcements, withheld } = outcome.report;
  const silent = new Map<string, string[]>();
  for (const { service, node, protocol, prefix, reason } of withheld) {
    const key = `${service} ${protocol}${prefix === undefined ? '' : ` ${prefix}`} ${reason}`;
    silent.set(key, [...(silent.get(key) ?? []), node]);
  }
  return {
    services: services.map(({ service, ips, pool, reason, message }) =>
      reason === '' ? `${service} has ${ips.join(' and ')} of ${pool}` : `${service} has none, ${reason}: ${message}`,
    ),
    announcements: announcements.map(announcementLine),
    withheld: [...silent].map(([key, nodes]) => `${key} on ${nodes.join(', ')}`),
  };
}

function announcementLine(announcement: Announcement): string {
  const { node, protocol, prefix } = announcement;
  if (announcement.protocol === 'layer2') {
    const { interfaces, service } = announcement;
    return `${node} ${protocol} ${prefix} for ${service} on ${interfaces.join(', ') || 'all interfaces'}`;
  }
  const { peers, communities, localPref, services } = announcement;
  const attributes = [...communities, ...(localPref === undefined ? [] : [`localPref ${localPref}`])].join(' ');
  return `${node} ${protocol} ${prefix} to ${peers.join(', ')} for ${services.join(', ')}${attributes && ` with ${attributes}`}`;
}

describe('cases', () => {
  it('are there', () => {
    expect(files.length).toBeGreaterThan(10);
  });

  it.each(files)('%s', (name) => {
    const path = join(folder, name);
    const text = readFileSync(path, 'utf8');
    const { objects, faults } = readManifest(name, text);
    expect(faults).toEqual([]);
    const expected = objects.find(({ object }) => object.kind === EXPECTED)?.object;
    const cluster = { objects: objects.filter(({ object }) => object.kind !== EXPECTED), faults };
    const options = { json: true, settings: { ignoreExcludeLabel: false } };
    const got = summary(planManifest(cluster, options, { bgpType: 'frr', namespace: 'metallb-system' }));
    const document = { apiVersion: 'test', kind: EXPECTED, metadata: { name: 'outcome' }, ...got };
    if (process.env['CASES'] === 'write') {
      const manifests = text.split(/^---\n(?=apiVersion: test\n)/m)[0] ?? '';
      writeFileSync(path, `${manifests.trimEnd()}\n---\n${stringify(document, { lineWidth: 0 })}`);
    } else expect(document).toEqual(expected);
  });
});
