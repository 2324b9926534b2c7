// What a ConfigurationState should say, and the writes until it does.

import { describe, expect, it } from 'vitest';
import { readState, type SeenState, stateWrites, type WantedState } from '../../src/config/configuration-state.ts';

const POD = { apiVersion: 'v1', kind: 'Pod', name: 'controller-1', uid: 'u1' };
const WANTED: WantedState = {
  name: 'controller',
  namespace: 'metallb-system',
  labels: { 'metallb.io/component-type': 'controller' },
  owner: POD,
  conditionType: 'poolReconcilerValid',
  refused: undefined,
};
const CREATED: SeenState = { labels: WANTED.labels, owners: [POD], status: undefined };
const [T0, T1] = ['2026-01-01T00:00:00Z', '2026-01-01T00:01:00Z'];

/** As it stands once the status was written. */
function written(seen: SeenState, wanted: WantedState, now: string): SeenState {
  const [write] = stateWrites(seen, wanted, now).filter((each) => each.do === 'patch-status');
  const { status } = (write === undefined ? {} : 'patch' in write ? write.patch : {}) as { status?: object };
  const metadata = { name: 'controller', labels: seen.labels, ownerReferences: seen.owners };
  return readState({ apiVersion: 'metallb.io/v1beta1', kind: 'ConfigurationState', metadata, status });
}

describe('a ConfigurationState', () => {
  it('is created with labels and owner, and then says that all is well', () => {
    expect(stateWrites(undefined, WANTED, T0)).toEqual([
      {
        do: 'create',
        object: {
          apiVersion: 'metallb.io/v1beta1',
          kind: 'ConfigurationState',
          metadata: {
            name: 'controller',
            namespace: 'metallb-system',
            labels: { 'metallb.io/component-type': 'controller' },
            ownerReferences: [POD],
          },
        },
      },
    ]);
    const condition = { type: 'poolReconcilerValid', status: 'True', reason: 'Reconciled', message: '' };
    expect(stateWrites(CREATED, WANTED, T0)).toEqual([
      {
        do: 'patch-status',
        patch: {
          status: { result: 'Valid', errorSummary: '', conditions: [{ ...condition, lastTransitionTime: T0 }] },
        },
      },
    ]);
  });

  it('is written only when something changes', () => {
    expect(stateWrites(written(CREATED, WANTED, T0), WANTED, T1)).toEqual([]);
  });

  it('says what is wrong, line breaks included, with the time when it became so', () => {
    const refused = 'invalid community format: x\ninvalid community "x" in BGP advertisement';
    const bad = written(written(CREATED, WANTED, T0), { ...WANTED, refused }, T1);
    const message = `configuration error: ${refused}`;
    expect(bad.status).toEqual({
      result: 'Invalid',
      errorSummary: message,
      conditions: [
        { type: 'poolReconcilerValid', status: 'False', reason: 'ConfigurationError', message, lastTransitionTime: T1 },
      ],
    });
    const otherwise = written(bad, { ...WANTED, refused: 'another' }, '2026-01-01T00:02:00Z');
    expect(otherwise.status?.conditions[0]?.lastTransitionTime).toBe(T1);
    expect(written(otherwise, WANTED, T0).status?.result).toBe('Valid');
  });

  it('keeps the conditions and owners of others, and their faults count', () => {
    const theirs = {
      type: 'configReconcilerValid',
      status: 'False',
      reason: 'ConfigurationError',
      message: 'configuration error: theirs',
      lastTransitionTime: T0,
    } as const;
    const other = { ...POD, name: 'controller-0', uid: 'u0' };
    const seen: SeenState = {
      labels: { keep: 'me' },
      owners: [other],
      status: { result: 'Valid', errorSummary: '', conditions: [theirs] },
    };
    const [patch, status] = stateWrites(seen, { ...WANTED, refused: 'ours' }, T1);
    expect(patch).toEqual({
      do: 'patch',
      patch: { metadata: { labels: WANTED.labels, ownerReferences: [other, POD] } },
    });
    expect(status).toMatchObject({
      patch: {
        status: {
          result: 'Invalid',
          errorSummary: 'configuration error: theirs\nconfiguration error: ours',
          conditions: [theirs, { type: 'poolReconcilerValid' }],
        },
      },
    });
  });

  it('without a Pod has no owner, and wrong types in it are written anew', () => {
    const { owner: _, ...bare } = WANTED;
    const metadata = { name: 'controller', labels: { 'metallb.io/component-type': 'controller' } };
    const status = { result: 7, conditions: 'none' };
    const seen = readState({ apiVersion: 'metallb.io/v1beta1', kind: 'ConfigurationState', metadata, status });
    expect(stateWrites(seen, bare, T0).map((write) => write.do)).toEqual(['patch-status']);
  });
});
