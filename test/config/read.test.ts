// The readers: API objects to our shapes, strict about types, with defaults, and a list of what nobody knows.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readResource } from '../../src/config/read.ts';
import { l2, legacyPeer, namespace, node, peer, pool, read } from './fixture.ts';

const invalid = (object: Parameters<typeof readResource>[0]) => {
  const done = readResource(object);
  return done !== undefined && 'invalid' in done ? done.invalid : expect.fail('it was read');
};

describe('readResource', () => {
  it('fills in the defaults of the schema', () => {
    expect(read(pool('a', { addresses: ['10.0.0.0/8'] }, { x: 'y' }))).toEqual({
      kind: 'IPAddressPool',
      value: { name: 'a', labels: { x: 'y' }, addresses: ['10.0.0.0/8'], autoAssign: true, avoidBuggyIPs: false },
      unknown: [],
    });
    expect(read(peer('a')).value).toMatchObject({ peerPort: 179, disableMP: false, namespace: 'metallb-system' });
    expect(read(peer('a')).value).not.toHaveProperty('holdTimeMs');
  });

  it('takes a null for the default where the schema has one, and nowhere else', () => {
    expect(read(pool('a', { addresses: ['10.0.0.0/8'], autoAssign: null })).value).toMatchObject({ autoAssign: true });
    expect(invalid(pool('a', { addresses: null })).message).toBe('spec.addresses: must be a list, not null');
    expect(invalid(peer('a', { nodeSelectors: null })).message).toBe('spec.nodeSelectors: must be a list, not null');
  });

  it('converts v1beta1', () => {
    const old = legacyPeer('a', { myASN: 1, peerASN: 2, peerAddress: '1.2.3.4' });
    expect(read(old).value).toMatchObject({ holdTimeMs: 0, keepaliveTimeMs: 0, peerPort: 179, vrf: '' });
    expect(read(old).value).not.toHaveProperty('connectTimeMs');
    const newer = legacyPeer('a', { myASN: 1, peerASN: 2, peerAddress: '1.2.3.4', vrf: 'red', connectTime: '1s' });
    expect(read(newer).unknown).toEqual(['spec.vrf', 'spec.connectTime']);
  });

  it('names what it does not know', () => {
    const object = {
      ...l2('a', {
        interface: ['eth0'],
        nodeSelectors: [{}, { matchLabel: { a: 'b' } }],
        preferredNodeSelectors: [{ weight: 1, preference: {}, x: 1 }],
      }),
      status: { anything: true },
      sepc: {},
    };
    expect(read(object).unknown).toEqual([
      'spec.nodeSelectors[1].matchLabel',
      'spec.preferredNodeSelectors[0].x',
      'spec.interface',
      'sepc',
    ]);
  });

  it.each([
    ['a list', pool('a', { addresses: '10.0.0.0/8' }), 'spec.addresses: must be a list, not a string'],
    ['an item', pool('a', { addresses: ['10.0.0.0/8', 5] }), 'spec.addresses[1]: must be a string, not a number'],
    ['a flag', pool('a', { addresses: [], autoAssign: 'yes' }), 'spec.autoAssign: must be true or false, not a string'],
    ['a missing field', pool('a', {}), 'spec.addresses: Required value'],
    ['the spec', { ...pool('a'), spec: [] }, 'spec: must be an object, not a list'],
    ['a missing spec', { ...pool('a'), spec: undefined }, 'spec.addresses: Required value'],
    [
      'a label',
      pool('a', { addresses: [] }, JSON.parse('{"a":1}')),
      'metadata.labels.a: must be a string, not a number',
    ],
    ['a label of a node', node('a', JSON.parse('{"a":true}')), 'metadata.labels.a: must be a string, not a boolean'],
    [
      'a selector',
      peer('a', { nodeSelectors: [{ matchLabels: { a: 1 } }] }),
      'spec.nodeSelectors[0].matchLabels.a: must be a string, not a number',
    ],
    [
      'a nested object',
      pool('a', { addresses: [], serviceAllocation: 3 }),
      'spec.serviceAllocation: must be an object, not a number',
    ],
    ['v1beta1 without an address', legacyPeer('a', { myASN: 1, peerASN: 2 }), 'spec.peerAddress: Required value'],
  ])('is strict about %s', (_, object, message) => {
    const field = message.slice(0, message.indexOf(':'));
    expect(invalid(object)).toEqual({ rule: 'schema', message, field, kind: object.kind, name: 'a' });
  });

  it('knows its kinds by group and kind', () => {
    const metadata = { name: 'a' };
    expect(readResource({ apiVersion: 'v1', kind: 'ConfigMap', metadata })).toBeUndefined();
    expect(readResource({ apiVersion: 'example.com/v1', kind: 'IPAddressPool', metadata })).toBeUndefined();
    expect(readResource({ apiVersion: 'metallb.io/v1', kind: 'Secret', metadata })).toBeUndefined();
    expect(readResource({ apiVersion: 'v1', kind: 'constructor', metadata })).toBeUndefined();
    expect(invalid({ apiVersion: 'metallb.io/v1alpha1', kind: 'BGPPeer', metadata }).message).toBe(
      'apiVersion: metallb.io/v1alpha1 is not served, BGPPeer has metallb.io/v1beta1, metallb.io/v1beta2',
    );
  });

  it('reads Nodes and Namespaces', () => {
    expect(read(node('n1', { a: 'b' })).value).toEqual({
      name: 'n1',
      labels: { 'kubernetes.io/hostname': 'n1', a: 'b' },
    });
    expect(read({ ...namespace('x'), metadata: { name: 'x' } }).value).toEqual({ name: 'x', labels: {} });
  });

  it('never throws, whatever the spec', () => {
    const kinds = ['IPAddressPool', 'L2Advertisement', 'BGPAdvertisement', 'BGPPeer', 'BFDProfile', 'Community'];
    const fields = ['addresses', 'nodeSelectors', 'holdTime', 'communities', 'serviceAllocation', 'peerPort', 'x'];
    const spec = fc.dictionary(fc.constantFrom(...fields), fc.jsonValue());
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.oneof(spec, fc.jsonValue()), (kind, value) => {
        const object = { apiVersion: 'metallb.io/v1beta1', kind, metadata: { name: 'a' }, spec: value };
        expect(readResource(object)).toBeDefined();
      }),
      { seed: 4271, numRuns: 500 },
    );
  });
});

describe('Secrets', () => {
  const secret = (fields: Readonly<Record<string, unknown>>) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's' },
    ...fields,
  });
  const password = (fields: Readonly<Record<string, unknown>>) => {
    const { kind, value } = read(secret(fields));
    return kind === 'Secret' ? value.data.get('password')?.reveal() : expect.fail(kind);
  };

  it('decodes data and takes stringData over it', () => {
    expect(password({ data: { password: 'aHVudGVyMg==' } })).toBe('hunter2');
    expect(password({ data: { password: 'w7w=' } })).toBe('ü');
    expect(password({ data: { password: 'aHVudGVyMg==' }, stringData: { password: 'other' } })).toBe('other');
  });

  it('has a type', () => {
    expect(read(secret({})).value).toMatchObject({ type: 'Opaque' });
    expect(read(secret({ type: 'kubernetes.io/basic-auth' })).value).toMatchObject({
      type: 'kubernetes.io/basic-auth',
    });
  });

  it('refuses what is no base64, without telling it', () => {
    for (const text of ['hunter2!', 'aHVudGVyMg', 'aHVudGVyMg=']) {
      expect(invalid(secret({ data: { password: text } }))).toMatchObject({
        message: 'data.password: must be base64',
        field: 'data.password',
      });
    }
  });

  it('prints as ***', () => {
    expect(JSON.stringify([...Object.values(read(secret({ stringData: { password: 'hunter2' } })))])).not.toContain(
      'hunter2',
    );
    expect(JSON.stringify(read(peer('a', { password: 'hunter2' })))).toContain('"password":"***"');
  });
});
