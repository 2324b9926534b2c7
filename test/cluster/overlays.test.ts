// The speaker as the overlays run it, in a real cluster with a router: without root and without any capability it announces all the same;
// with NET_BIND_SERVICE it listens where BGP is expected.

import { expect, it } from 'vitest';
import { startFrr } from '../interop/frr.ts';
import { node } from '../interop/lab.ts';
import type { Manifest } from '../interop/manifests.ts';
import { until } from '../interop/process.ts';
import { keyOf, kustomized } from '../manifests/objects.ts';
import { find } from '../manifests/tools.ts';
import { type Cluster, placeOf } from './cluster.ts';
import { daemonsOf } from './fairway.ts';
import { basics, ROUTER_AS, SPEAKER_AS, untilGateways, VIP, web } from './routing.ts';
import { clusterStories, useFairway } from './stories.ts';

const lacks = find('kustomize') === undefined ? ' (skipped: no kustomize)' : '';

/** An edit: each object as the overlay has it. */
function overlaid(overlay: string): (object: Manifest) => Manifest {
  if (lacks !== '') return (object) => object;
  const changed = new Map(kustomized(`overlays/${overlay}`).map((object) => [keyOf(object), object]));
  return (object) => (changed.get(keyOf(object)) as Manifest | undefined) ?? object;
}

const routed = (overlay: string): Cluster =>
  useFairway(1, {
    edit: overlaid(overlay),
    prepare: async ({ lab }) => {
      const peers = [{ address: node(1).ipv4, as: SPEAKER_AS, families: ['ipv4', 'ipv6'] as const }];
      await startFrr(lab, { as: ROUTER_AS, peers });
    },
  });

/** A field of /proc/PID/status of the one speaker. */
async function statusOf(cluster: Cluster, field: string): Promise<string> {
  const [speaker] = await daemonsOf(cluster, 'speaker');
  const status = cluster.lab.run(placeOf('n1'), ['cat', `/proc/${speaker?.pid}/status`]);
  return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';
}

clusterStories(`the overlay bgp-only${lacks}`, ['FRR'], () => {
  const cluster = routed('bgp-only');

  it.skipIf(lacks !== '')('announces as nobody, without a capability', async () => {
    await cluster.api.apply(...basics(), ...web('web', ['n1']));
    await untilGateways(cluster, VIP, node(1).ipv4);
    expect(await statusOf(cluster, 'Uid')).toMatch(/^65534\b/);
    for (const set of ['CapEff', 'CapPrm', 'CapBnd']) expect(await statusOf(cluster, set)).toBe('0'.repeat(16));
  });
});

clusterStories(`the overlay bgp-listen${lacks}`, ['FRR'], () => {
  const cluster = routed('bgp-listen');

  it.skipIf(lacks !== '')('listens on port 179 in both families, and announces', async () => {
    await cluster.api.apply(...basics(), ...web('web', ['n1']));
    await untilGateways(cluster, VIP, node(1).ipv4);
    const listening = (): boolean => {
      const sockets = cluster.lab.run(placeOf('n1'), ['ss', '-Hltn', 'sport = :179']);
      return sockets.includes('0.0.0.0:179') && sockets.includes('[::]:179');
    };
    await until('both sockets listen', listening);
    // CAP_NET_BIND_SERVICE is bit 10, CAP_NET_RAW bit 13
    expect(await statusOf(cluster, 'CapEff')).toBe('0000000000002400');
  });
});
