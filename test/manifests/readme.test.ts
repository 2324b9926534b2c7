// What README.md tells to type in a cluster is what is there: its resources pass and announce, its files and links exist, its images
// are those of the manifests.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planManifest } from '../../src/cli/plan.ts';
import { readManifest } from '../../src/k8s/manifest.ts';
import { fairway, find, MANIFESTS, type Workload } from './objects.ts';

const ROOT = join(MANIFESTS, '..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
const chapter = /^## In a cluster\n([\s\S]*?)^## /m.exec(`${README}\n## `)?.[1] ?? '';
/** Here documents of its commands. */
const resources = [...chapter.matchAll(/<<Y\n([\s\S]*?)\nY\n/g)].map(([, text = '']) => text);

const SERVICE = `---
apiVersion: v1
kind: Node
metadata: {name: n1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: LoadBalancer, clusterIPs: [10.96.0.1], ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.244.0.5], conditions: {ready: true}}]
`;

describe('README’s chapter of the cluster', () => {
  it.each([
    ['kind', 0, 'layer2', '172.18.255.200/32'],
    ['bare metal', 1, 'bgp', '203.0.113.0/32'],
  ])('has resources for %s that announce a Service', (_, at, protocol, prefix) => {
    const manifest = readManifest('README.md', `${resources[at]}\n${SERVICE}`);
    const options = { json: true, settings: { ignoreExcludeLabel: false } };
    const outcome = planManifest(manifest, options, { bgpType: 'unset', namespace: 'metallb-system' });
    expect(outcome).not.toHaveProperty('findings');
    expect('report' in outcome && outcome.report.announcements).toMatchObject([{ protocol, prefix }]);
    expect(resources).toHaveLength(2);
  });

  it('builds and loads the images that the manifests name', () => {
    for (const [kind, name] of [
      ['Deployment', 'controller'],
      ['DaemonSet', 'speaker'],
    ] as const) {
      const image = find<Workload>(fairway(), kind, name).spec.template.spec.containers[0]?.image ?? '';
      expect(image.startsWith(`fairway/${name}:`)).toBe(true);
      expect(chapter).toContain(`kind load docker-image`);
      expect(chapter).toContain(image);
      expect(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')).toContain(`AS ${name}\n`);
    }
  });

  it('links to files that are there', () => {
    const links = [...README.matchAll(/\]\(([^)#]+)/g)].map(([, path = '']) => path);
    expect(links.length).toBeGreaterThan(10);
    expect(links.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});
