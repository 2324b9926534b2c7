// A cluster that still has the ConfigMap of MetalLB up to v0.12: Services have addresses from its pools, and keep them while `fairway
// convert` makes custom resources of it and the ConfigMap goes.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { Manifest } from '../interop/manifests.ts';
import { throughout, until } from '../interop/process.ts';
import { SYSTEM } from './cluster.ts';
import { addressesOf, daemonsOf, restart, untilAddresses } from './fairway.ts';
import { clusterStories, useFairway } from './stories.ts';
import { loadBalancer } from './workload.ts';

const FAIRWAY = join(import.meta.dirname, '../../bin/fairway');
const config = `address-pools:
- {name: first, protocol: layer2, addresses: [203.0.113.8/30]}
- {name: Second_Pool, protocol: bgp, addresses: [198.51.100.0/30]}
`;
const configMap: Manifest = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'config', namespace: SYSTEM },
  data: { config },
};

clusterStories('the ConfigMap of MetalLB up to v0.12', [], () => {
  const cluster = useFairway(1, { speakers: false });
  afterAll(() => cluster.api.remove(configMap));

  it('gives addresses, and is replaced by resources without one being lost', async () => {
    const [one, two] = [loadBalancer('one'), loadBalancer('two')];
    const wish = { annotations: { 'metallb.io/address-pool': 'second-pool' } };
    await cluster.api.apply(configMap, one, { ...two, metadata: { ...two.metadata, ...wish } });
    await untilAddresses(cluster, one, '203.0.113.8');
    await untilAddresses(cluster, two, '198.51.100.0');
    const logs = async (): Promise<string> => (await daemonsOf(cluster, 'controller')).map((each) => each.log()).join();
    expect(await logs()).toContain('fairway convert');

    const resources = execFileSync(process.execPath, [FAIRWAY, 'convert', '-'], {
      input: JSON.stringify(configMap),
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const objects = parseAllDocuments(resources).map((document): Manifest => document.toJS());
    expect(objects.map(({ kind }) => kind)).toEqual([
      'IPAddressPool',
      'IPAddressPool',
      'BGPAdvertisement',
      'L2Advertisement',
    ]);
    const holds = async (): Promise<boolean> => {
      const addresses = [await addressesOf(cluster, one), await addressesOf(cluster, two)];
      return addresses.flat().join() === '203.0.113.8,198.51.100.0';
    };
    // one after the other, as slowly as a person would, and with another leader after the first
    for (const [at, object] of objects.entries()) {
      await cluster.api.apply(object);
      await throughout('both addresses stay', 500, holds);
      if (at > 0) continue;
      await restart(cluster, 'controller', 'SIGTERM');
      await throughout('both addresses stay', 2_000, holds);
    }
    await until('the ConfigMap counts no more', async () => (await logs()).includes('in force any more'));
    await cluster.api.remove(configMap);
    await throughout('both addresses stay', 1_000, holds);
  });
});
