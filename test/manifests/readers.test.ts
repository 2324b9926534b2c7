// The CRDs and the readers of src/config know the same fields: what a user may write is read, and what is read may be written.

import { describe, expect, it } from 'vitest';
import { crdTexts } from '../../src/cli/crds.ts';
import { objectsOf } from './objects.ts';
import { compare, type Definition } from './readers.ts';

const definitions = crdTexts().flatMap((text) => objectsOf('crd', text)) as unknown as readonly Definition[];

describe('schemas and readers', () => {
  it('are compared for each kind of the configuration, in each version', () => {
    const compared = definitions.flatMap((crd) =>
      compare(crd).map(({ version, fields }) => [crd.spec.names.kind, version, fields] as const),
    );
    expect(compared.map(([kind, version]) => `${kind} ${version}`).toSorted()).toEqual([
      'BFDProfile v1beta1',
      'BGPAdvertisement v1beta1',
      'BGPPeer v1beta1',
      'BGPPeer v1beta2',
      'Community v1beta1',
      'IPAddressPool v1beta1',
      'L2Advertisement v1beta1',
    ]);
    for (const [, , fields] of compared) expect(fields).toBeGreaterThan(2);
  });

  it.each(definitions.map((crd) => [crd.spec.names.kind, crd] as const))('agree about %s', (_, crd) => {
    for (const { version, unread, undefined: missing } of compare(crd)) {
      expect({ version, unread, missing }).toEqual({ version, unread: [], missing: [] });
    }
  });

  it('are found to differ where they do', () => {
    const pool = definitions.find(({ spec }) => spec.names.kind === 'IPAddressPool');
    const text = JSON.stringify(pool).replace('"autoAssign"', '"autoAsign"');
    expect(compare(JSON.parse(text))).toMatchObject([{ unread: ['spec.autoAsign'], undefined: ['spec.autoAssign'] }]);
  });
});
