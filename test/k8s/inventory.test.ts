// Objects sorted into what the house works with: what keeps its identity, what is told, what one broken object costs.

import { describe, expect, it } from 'vitest';
import { takeInventory } from '../../src/k8s/inventory.ts';
import { type ManifestObject, readManifest } from '../../src/k8s/manifest.ts';

const options = { namespace: 'metallb-system', assumeClusterIps: true };
const objects = (text: string): readonly ManifestObject[] => {
  const { objects, faults } = readManifest('a.yaml', text);
  expect(faults).toEqual([]);
  return objects;
};
const pool = (name: string, spec = 'addresses: [192.0.2.0/24]', namespace = 'metallb-system') =>
  objects(`
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: ${name}, namespace: ${namespace}}
spec: {${spec}}
`);
const service = (name: string, spec = 'type: LoadBalancer') =>
  objects(`{apiVersion: v1, kind: Service, metadata: {name: ${name}, namespace: app}, spec: {${spec}}}`);
const slice = (name: string, of: string, address: string) =>
  objects(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}, namespace: app, labels: {kubernetes.io/service-name: ${of}}}
addressType: IPv4
endpoints: [{addresses: [${address}]}]
`);

describe('the inventory', () => {
  it('sorts objects and merges the slices of a Service', () => {
    const node = objects('{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {rack: a}}}');
    const all = [
      ...node,
      ...pool('p'),
      ...service('web'),
      ...slice('a', 'web', '10.0.0.1'),
      ...slice('b', 'web', '10.0.0.2'),
    ];
    const found = takeInventory(all, options);
    expect(found.resources.pools.map(({ name }) => name)).toEqual(['p']);
    expect(found.resources.nodes).toEqual([{ name: 'n1', labels: { rack: 'a' } }]);
    expect([...found.nodes.keys()]).toEqual(['n1']);
    expect(found.services.get('app/web')?.clusterFamilies).toEqual(['ipv4']);
    expect(found.endpoints.get('app/web')?.flatMap(({ addresses }) => addresses)).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(found.remarks).toEqual([]);
  });

  it('keeps the identity of what is made of the same objects', () => {
    const [p, web, other, a] = [pool('p'), service('web'), service('other'), slice('a', 'web', '10.0.0.1')];
    const before = takeInventory([...p, ...web, ...other, ...a], options);
    const changed = [...p, ...web, ...service('other', 'type: ClusterIP'), ...a, ...slice('b', 'other', '10.0.0.9')];
    const after = takeInventory(changed, options, before);
    expect(after.resources).toBe(before.resources);
    expect(after.nodes).toBe(before.nodes);
    expect(after.services.get('app/web')).toBe(before.services.get('app/web'));
    expect(after.endpoints.get('app/web')).toBe(before.endpoints.get('app/web'));
    expect(after.services.get('app/other')).not.toBe(before.services.get('app/other'));
    expect(takeInventory([...pool('q'), ...web], options, after).resources).not.toBe(before.resources);
  });

  it('tells of unknown fields, kinds and namespaces, with their lines', () => {
    const maps = objects('{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}');
    const found = takeInventory(
      [...pool('p', 'addresses: [192.0.2.0/24], colour: red'), ...maps, ...maps, ...pool('q', 'addresses: []', 'app')],
      options,
    );
    expect(found.remarks).toEqual([
      { file: 'a.yaml', line: 5, rule: 'unknown-field', text: 'IPAddressPool/p: unknown field spec.colour' },
      { file: 'a.yaml', line: 1, rule: 'unknown-kind', text: 'objects of kind ConfigMap (v1) are ignored' },
      {
        file: 'a.yaml',
        line: 2,
        rule: 'other-namespace',
        text: 'IPAddressPool/q is in namespace app, not metallb-system: ignored',
      },
    ]);
    expect(found.resources.pools.map(({ name }) => name)).toEqual(['p']);
  });

  it('has no whole configuration with one broken resource, but goes on with all else', () => {
    const found = takeInventory([...pool('p', 'addresses: 7'), ...service('web')], options);
    expect(found.invalid).toMatchObject({ kind: 'IPAddressPool', name: 'p', field: 'spec.addresses' });
    expect(found.remarks[0]).toMatchObject({ line: 5, rule: 'invalid' });
    expect([...found.services.keys()]).toEqual(['app/web']);
  });

  it('leaves a Service as it was when its change is none that an API server would take', () => {
    const before = takeInventory(service('web'), options);
    const after = takeInventory(service('web', 'type: LoadBalancer, ports: [{port: http}]'), options, before);
    expect(after.services.get('app/web')).toBe(before.services.get('app/web'));
    expect(after.invalid).toBeUndefined();
    expect(after.remarks).toHaveLength(1);
    expect(takeInventory(service('new', 'ports: 1'), options, after).services.size).toBe(0);
  });
});
