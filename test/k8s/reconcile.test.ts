// One round after another: what a change of the folder does to configuration, allocation and plan, and what it does not.

import { describe, expect, it } from 'vitest';
import type { FolderContent } from '../../src/k8s/directory.ts';
import { readManifest } from '../../src/k8s/manifest.ts';
import { type Kept, Reconciler } from '../../src/k8s/reconcile.ts';
import type { Ip } from '../../src/net/address.ts';

const options = {
  node: 'n1',
  namespace: 'metallb-system',
  bgpType: 'unset',
  settings: { ignoreExcludeLabel: false },
} as const;

/** Objects keep their identity while their text does, as the folder does it. */
const known = new Map<string, FolderContent['objects']>();
function folder(...texts: readonly string[]): FolderContent {
  const objects = texts.flatMap((text) => {
    const found = known.get(text) ?? readManifest('a.yaml', text).objects;
    known.set(text, found);
    return found;
  });
  return { complete: true, objects, faults: [] };
}

const pool = (spec = 'addresses: [192.0.2.0/30]', namespace = 'metallb-system') => `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: main, namespace: ${namespace}}
spec: {${spec}}
`;
const advertisement = `
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: all}
`;
const peer = `
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: tor}
spec: {myASN: 64513, peerASN: 64512, peerAddress: 198.51.100.1}
`;
const service = (name: string, spec = 'type: LoadBalancer') =>
  `{apiVersion: v1, kind: Service, metadata: {name: ${name}, namespace: app}, spec: {${spec}}}`;
const endpoints = (name: string) => `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}, namespace: app, labels: {kubernetes.io/service-name: ${name}}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}]
`;
const announced = (reconciler: Reconciler) => [...(reconciler.last?.plan.routes.get('tor')?.keys() ?? [])].sort();

describe('a round', () => {
  it('takes a bare node when there is none of that name, and the real one when it comes', () => {
    const reconciler = new Reconciler(options, new Map());
    const all = [pool(), advertisement, peer, service('web'), endpoints('web')];
    expect(reconciler.take(folder(...all)).configuration).toMatchObject({ bareNode: true, refused: undefined });
    expect(announced(reconciler)).toEqual(['192.0.2.0/32']);
    const excluded = '{node.kubernetes.io/exclude-from-external-load-balancers: ""}';
    const node = `{apiVersion: v1, kind: Node, metadata: {name: n1, labels: ${excluded}}}`;
    expect(reconciler.take(folder(...all, node)).configuration.bareNode).toBe(false);
    expect(announced(reconciler)).toEqual([]);
    expect(reconciler.last?.plan.services.get('app/web')?.bgp).toMatchObject({
      withheld: { reason: 'nodeLabeledExcludeBalancers' },
    });
  });

  it('keeps the old configuration whole while a new one is refused, and says why', () => {
    const reconciler = new Reconciler(options, new Map());
    const rest = [advertisement, peer, service('web'), endpoints('web')];
    const first = reconciler.take(folder(pool(), ...rest));
    for (const [broken, reason] of [
      [pool('addresses: [192.0.2.0/33]'), /192\.0\.2\.0\/33/],
      [pool('addresses: 7'), /addresses/],
    ] as const) {
      const round = reconciler.take(folder(broken, ...rest, service('later'), endpoints('later')));
      expect(round.configuration.config).toBe(first.configuration.config);
      expect(round.configuration.refused).toMatch(reason);
      expect(announced(reconciler)).toEqual(['192.0.2.0/32', '192.0.2.1/32']);
    }
    expect(reconciler.take(folder(pool(), ...rest)).configuration.refused).toBeUndefined();
  });

  it('has no configuration, gives nothing and forgets nothing, while the first one is refused', () => {
    const kept: Kept = new Map([['app/web', { ips: ['192.0.2.3' as Ip], pool: 'main' }]]);
    const reconciler = new Reconciler(options, kept);
    const rest = [advertisement, peer, service('web'), endpoints('web')];
    const round = reconciler.take(folder(pool('addresses: [x]'), ...rest));
    expect(round.configuration.config).toBeUndefined();
    expect(round.allocations.services.get('app/web')?.refusal?.reason).toBe('noConfiguration');
    expect(round.plan.peers).toEqual([]);
    expect(round.kept).toBe(kept);
    reconciler.take(folder(pool(), ...rest));
    expect(announced(reconciler)).toEqual(['192.0.2.3/32']);
  });

  it('gives Services what they had before the process started, whatever their order', () => {
    const first = new Reconciler(options, new Map());
    first.take(folder(pool(), service('b'), service('a')));
    const { kept } = first.take(folder(pool(), service('b'), service('a'), service('c')));
    expect(Object.fromEntries([...kept].map(([key, { ips }]) => [key, ips[0]]))).toEqual({
      'app/b': '192.0.2.0',
      'app/a': '192.0.2.1',
      'app/c': '192.0.2.2',
    });
    const second = new Reconciler(options, kept);
    const again = second.take(folder(pool(), service('new'), service('c'), service('a'), service('b')));
    expect(again.allocations.services.get('app/a')?.ips).toEqual(['192.0.2.1']);
    expect(again.allocations.services.get('app/b')?.ips).toEqual(['192.0.2.0']);
    expect(again.allocations.services.get('app/c')?.ips).toEqual(['192.0.2.2']);
    expect(again.allocations.services.get('app/new')?.ips).toEqual(['192.0.2.3']);
    // a later change of the Service keeps the address too
    const changed = second.take(folder(pool(), service('a', 'type: LoadBalancer, externalTrafficPolicy: Local')));
    expect(changed.allocations.services.get('app/a')?.ips).toEqual(['192.0.2.1']);
    expect([...changed.kept.keys()]).toEqual(['app/a']);
  });

  it('does not forget the address of a Service that only a broken file hides', () => {
    const kept: Kept = new Map([['app/web', { ips: ['192.0.2.3' as Ip] }]]);
    const reconciler = new Reconciler(options, kept);
    const fault = { file: 'b.yaml', line: 1, rule: 'yaml', text: 'x' };
    const round = reconciler.take({ ...folder(pool()), faults: [fault] });
    expect(round.kept).toEqual(kept);
    expect(reconciler.take(folder(pool(), service('web'))).allocations.services.get('app/web')?.ips).toEqual([
      '192.0.2.3',
    ]);
  });

  const typo = 'type: LoadBalancer, ports: [{port: "80"}]';
  const unreadable: readonly (readonly [string, FolderContent])[] = [
    ['an object', folder(pool(), service('other'), service('web', typo))],
    [
      'a file',
      { ...folder(pool(), service('other')), faults: [{ file: 'web.yaml', line: 1, rule: 'yaml', text: 'x' }] },
    ],
  ];
  it.each(unreadable)('gives what a Service had to nobody else while %s cannot be read', (_, content) => {
    const kept: Kept = new Map([['app/web', { ips: ['192.0.2.0' as Ip], pool: 'main' }]]);
    const reconciler = new Reconciler(options, kept);
    const addresses = (round: { readonly kept: Kept }) =>
      Object.fromEntries([...round.kept].map(([key, { ips }]) => [key, ips.join()]));
    const both = { 'app/web': '192.0.2.0', 'app/other': '192.0.2.1' };
    for (let round = 0; round < 2; round++) expect(addresses(reconciler.take(content))).toEqual(both);
    // asking for it by name does not help
    const thief = reconciler.take({
      ...content,
      objects: [
        ...content.objects,
        ...folder(service('thief', 'type: LoadBalancer, loadBalancerIP: 192.0.2.0')).objects,
      ],
    });
    expect(thief.allocations.services.get('app/thief')?.refusal).toMatchObject({ reason: 'requestedIPInUse' });
    expect(addresses(thief)).toEqual(both);
    const mended = reconciler.take(folder(pool(), service('third'), service('other'), service('web')));
    expect(addresses(mended)).toEqual({ ...both, 'app/third': '192.0.2.2' });
    // nothing is unreadable any more: who is not there gave it up
    const gone = reconciler.take(folder(pool(), service('third'), service('other'), service('fourth')));
    expect(addresses(gone)).toEqual({ 'app/third': '192.0.2.2', 'app/other': '192.0.2.1', 'app/fourth': '192.0.2.0' });
  });

  it('leaves an address that was shared with a hidden Service to the one that is seen', () => {
    const both = { ips: ['192.0.2.1' as Ip] };
    const kept: Kept = new Map([
      ['app/web', both],
      ['app/seen', both],
    ]);
    const fault = { file: 'web.yaml', line: 1, rule: 'yaml', text: 'x' };
    const round = new Reconciler(options, kept).take({ ...folder(pool(), service('seen')), faults: [fault] });
    expect(round.allocations.services.get('app/seen')?.ips).toEqual(['192.0.2.1']);
    expect([...round.kept.keys()].sort()).toEqual(['app/seen', 'app/web']);
  });

  it('keeps sessions and routes while the Node cannot be read', () => {
    const node = (labels: string) => `{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {${labels}}}}`;
    const selecting = peer.replace('spec: {', 'spec: {nodeSelectors: [{matchLabels: {rack: a}}], ');
    const rest = [pool(), advertisement, selecting, service('web'), endpoints('web')];
    const reconciler = new Reconciler(options, new Map());
    const first = reconciler.take(folder(...rest, node('rack: a')));
    expect(first.plan.peers).toHaveLength(1);
    for (let round = 0; round < 2; round++) {
      const now = reconciler.take(folder(...rest, node(`rack: a, tier: ${round}`)));
      expect(now.configuration).toMatchObject({ bareNode: false, refused: expect.stringContaining('tier') });
      expect(now.plan.peers).toEqual(first.plan.peers);
      expect(announced(reconciler)).toEqual(['192.0.2.0/32']);
    }
    expect(reconciler.take(folder(...rest, node('rack: b'))).plan.peers).toEqual([]);
  });

  it('keeps the endpoints of a slice that cannot be read, not those of one that lost its Service', () => {
    const slice = endpoints('web');
    const rest = [pool(), advertisement, peer, service('web')];
    const reconciler = new Reconciler(options, new Map());
    reconciler.take(folder(...rest, slice));
    for (let round = 0; round < 2; round++) {
      const now = reconciler.take(folder(...rest, slice.replace('[10.0.0.1]', `[10.0.0.1], nodeName: ${round}`)));
      expect(now.remarks).toEqual([
        expect.objectContaining({ rule: 'invalid', text: expect.stringContaining('nodeName') }),
      ]);
      expect(announced(reconciler)).toEqual(['192.0.2.0/32']);
    }
    reconciler.take(folder(...rest, slice.replace(/, labels: {.*?}/, '')));
    expect(announced(reconciler)).toEqual([]);
  });

  it('leaves a Service as it was while its change is none that an API server would take', () => {
    const reconciler = new Reconciler(options, new Map());
    const rest = [pool(), advertisement, peer, endpoints('web')];
    reconciler.take(folder(...rest, service('web')));
    const round = reconciler.take(folder(...rest, service('web', 'type: LoadBalancer, ports: [{port: http}]')));
    expect(announced(reconciler)).toEqual(['192.0.2.0/32']);
    expect(round.configuration.refused).toBeUndefined();
    expect(round.remarks).toEqual([
      expect.objectContaining({
        file: 'a.yaml',
        line: 1,
        rule: 'invalid',
        text: expect.stringContaining('Service/web'),
      }),
    ]);
  });

  it('tells of fields, kinds and namespaces that are not served, with their lines', () => {
    const map = '{apiVersion: v1, kind: ConfigMap, metadata: {name: one}}';
    const reconciler = new Reconciler(options, new Map());
    const round = reconciler.take(
      folder(pool('addresses: [192.0.2.0/30], colour: red'), map, `${map} `, pool('addresses: [x]', 'app')),
    );
    expect(round.configuration).toMatchObject({ refused: undefined });
    expect(round.remarks.map(({ line, rule, text }) => `${line} ${rule} ${text}`)).toEqual([
      '4 invalid IPAddressPool/main in namespace app: resource must be created in metallb-system namespace',
      '5 unknown-field IPAddressPool/main in namespace metallb-system: unknown field spec.colour',
      '1 ignored ignored: objects of kind ConfigMap (v1)',
    ]);
  });

  it('answers the same parts while nothing changed', () => {
    const reconciler = new Reconciler(options, new Map());
    const all = folder(pool(), advertisement, peer, service('web'), endpoints('web'));
    const first = reconciler.take(all);
    const second = reconciler.take(all);
    expect(second.plan).toBe(first.plan);
    expect(second.configuration.config).toBe(first.configuration.config);
    expect(second.allocations.services.get('app/web')).toBe(first.allocations.services.get('app/web'));
  });
});
