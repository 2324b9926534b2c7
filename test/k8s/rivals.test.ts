// Controllers of another make, seen through watches and, where those are forbidden, by looking; and the Secret of the
// speakers.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureMemberlistSecret } from '../../src/k8s/memberlist.ts';
import { Rivals } from '../../src/k8s/rivals.ts';
import { Door } from './door.ts';
import type { Json } from './fake-api.ts';

const PODS = 'api/v1/pods';
const SECRETS = 'api/v1/secrets';
const DEPLOYMENTS = 'apis/apps/v1/deployments';
const NAMESPACE = 'metallb-system';

let door: Door;
beforeEach(async () => {
  door = await new Door(PODS, SECRETS, DEPLOYMENTS).open();
});
afterEach(() => door.close());

const pod = (name: string, annotations: Json = {}, status: Json = { phase: 'Running' }) =>
  door.fake.put(PODS, { metadata: { name, namespace: NAMESPACE, annotations }, status });
const OURS = { 'fairway/controller': 'v1' };

function look() {
  let changes = 0;
  const rivals = new Rivals({
    ...{ api: door.api, namespace: NAMESPACE, self: 'me', clock: door.clock },
    tell: (report) => door.reports.push(report),
    changed: () => {
      changes++;
    },
  });
  door.run(rivals.run(door.signal));
  return { rivals, changes: () => changes };
}

describe('rivals', () => {
  it('are Pods of a controller that are not ours and still run', async () => {
    pod('me');
    pod('other-replica', OURS);
    pod('metallb');
    pod('done', {}, { phase: 'Succeeded' });
    const { rivals, changes } = look();
    expect(rivals.names).toBeUndefined();
    expect(await door.pass('known', () => rivals.names)).toEqual(['metallb']);
    expect(changes()).toBeGreaterThan(0);
    door.fake.remove(PODS, `${NAMESPACE}/metallb`);
    await door.pass('gone', () => rivals.names?.length === 0);
    pod('again');
    await door.pass('back', () => rivals.names?.join() === 'again');
    const selectors = door.fake.seen.map(({ query }) => query.get('labelSelector'));
    expect(new Set(selectors)).toEqual(new Set(['component=controller', 'app.kubernetes.io/component=controller']));
  });

  it('are looked for every ten seconds where watching is forbidden', async () => {
    door.fake.fail(({ query }) => query.has('watch'), { status: 403 }, 99);
    pod('metallb');
    const { rivals } = look();
    expect(await door.pass('known', () => rivals.names)).toEqual(['metallb']);
    door.fake.remove(PODS, `${NAMESPACE}/metallb`);
    await door.pass('gone', () => rivals.names?.length === 0, 2_500);
    expect(door.reports).toEqual([]);
  });

  it('cannot be known where listing is forbidden too: that is said, and nothing waits', async () => {
    door.fake.fail(() => true, { status: 403 }, 99);
    const { rivals } = look();
    expect(await door.pass('known', () => rivals.names, 100)).toEqual([]);
    expect(door.told('reading-failed').length).toBeGreaterThan(0);
  });
});

describe('the Secret of the speakers', () => {
  const ensure = (deployment?: string) =>
    ensureMemberlistSecret({ api: door.api, namespace: NAMESPACE, name: 'memberlist', deployment });
  const made = () => door.fake.get(SECRETS, `${NAMESPACE}/memberlist`);

  it('is made once, with 16 random octets and the Deployment as its owner', async () => {
    door.fake.put(DEPLOYMENTS, { metadata: { name: 'controller', namespace: NAMESPACE, uid: 'd' } });
    expect(await ensure('controller')).toBe(true);
    const { secretkey = '' } = (made()?.['stringData'] ?? {}) as { secretkey?: string };
    expect(secretkey).toMatch(/^[A-Za-z0-9+/]{22}$/);
    expect(Buffer.from(secretkey, 'base64')).toHaveLength(16);
    const { ownerReferences } = (made()?.['metadata'] ?? {}) as Json;
    expect(ownerReferences).toEqual([{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'controller', uid: 'd' }]);
    const before = made();
    expect(await ensure('controller')).toBe(false);
    expect(made()).toBe(before);
  });

  it('is another replica’s where that was first', async () => {
    door.fake.fail(({ method }) => method === 'POST', { status: 409 });
    expect(await ensure()).toBe(false);
  });

  it('is not made without its owner', async () => {
    await expect(ensure('controller')).rejects.toThrow('cannot get deployments.apps "controller"');
    expect(made()).toBeUndefined();
  });
});
