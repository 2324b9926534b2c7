// The Secret of the speakers: made where it is missing, by one who may, and again when it was deleted.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemberlistSecret } from '../../src/k8s/memberlist.ts';
import { Door } from './door.ts';
import type { Json } from './fake-api.ts';

const SECRETS = 'api/v1/secrets';
const DEPLOYMENTS = 'apis/apps/v1/deployments';
const NAMESPACE = 'metallb-system';
const KEY = `${NAMESPACE}/memberlist`;

let door: Door;
let leads: boolean;
let said: string[];
beforeEach(async () => {
  door = await new Door(SECRETS, DEPLOYMENTS).open();
  leads = true;
  said = [];
});
afterEach(() => door.close());

function keep(deployment?: string): MemberlistSecret {
  const secret = new MemberlistSecret({
    ...{ api: door.api, namespace: NAMESPACE, name: 'memberlist', deployment, clock: door.clock },
    isWanted: () => leads,
    say: (level, text, error = '') => said.push(`${level} ${text} ${error}`.trim()),
    tell: (report) => door.reports.push(report),
  });
  door.run(secret.run(door.signal));
  return secret;
}
const made = () => door.fake.get(SECRETS, KEY);
const isMade = () => door.pass('it is made', made, 100);
const posts = () => door.fake.seen.filter(({ method }) => method === 'POST').length;
const requests = () => door.fake.seen.filter(({ query }) => !query.has('watch')).length;
/** Everything that may happen has, and time passed. */
const later = async (ms: number) => {
  const end = door.clock.now() + ms;
  await door.pass('time passes', () => door.clock.now() >= end, ms / 10);
};

describe('the Secret of the speakers', () => {
  it('is made with 16 random octets and the Deployment as its owner', async () => {
    door.fake.put(DEPLOYMENTS, { metadata: { name: 'controller', namespace: NAMESPACE, uid: 'd' } });
    keep('controller');
    await isMade();
    const { secretkey = '' } = (made()?.['stringData'] ?? {}) as { secretkey?: string };
    expect(secretkey).toMatch(/^[A-Za-z0-9+/]{22}$/);
    expect(Buffer.from(secretkey, 'base64')).toHaveLength(16);
    const { ownerReferences } = (made()?.['metadata'] ?? {}) as Json;
    expect(ownerReferences).toEqual([{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'controller', uid: 'd' }]);
    await door.pass('it is told', () => said.length > 0);
    expect(said).toEqual(['info the memberlist Secret was made']);
  });

  it('that is there stays, and costs no further request', async () => {
    const before = door.fake.put(SECRETS, { metadata: { name: 'memberlist', namespace: NAMESPACE } });
    keep();
    await door.pass('it is watched', () => door.fake.seen.some(({ query }) => query.has('watch')), 100);
    const count = requests();
    await later(3_600_000);
    expect(made()).toBe(before);
    expect([posts(), requests()]).toEqual([0, count]);
  });

  it('is made again when it was deleted', async () => {
    keep();
    await isMade();
    const before = made()?.['stringData'];
    door.fake.remove(SECRETS, KEY);
    await isMade();
    expect(made()?.['stringData']).not.toEqual(before);
    expect(posts()).toBe(2);
  });

  it('is made by who leads, as soon as he does', async () => {
    leads = false;
    const secret = keep();
    await later(60_000);
    expect(made()).toBeUndefined();
    leads = true;
    secret.look();
    await door.pass('it is made', made);
  });

  it('is another replica’s where that was first', async () => {
    door.fake.fail(({ method }) => method === 'POST', { status: 409 });
    keep();
    await door.pass('it was tried', () => posts() === 1, 100);
    expect(said).toEqual([]);
  });

  it('is not made without its owner: that is said, and tried again', async () => {
    keep('controller');
    await door.pass('it is said', () => said.length > 0, 100);
    expect(said[0]).toContain('warn the memberlist Secret cannot be made cannot get deployments.apps "controller"');
    expect(made()).toBeUndefined();
    door.fake.put(DEPLOYMENTS, { metadata: { name: 'controller', namespace: NAMESPACE, uid: 'd' } });
    await door.pass('it is made', made, 1_000);
  });

  it('is made, too, where it may not be watched', async () => {
    door.fake.fail(({ method }) => method === 'GET', { status: 403 }, 10_000);
    keep();
    await isMade();
    door.fake.remove(SECRETS, KEY);
    const from = door.clock.now();
    await door.pass('it is made again', made, 10_000);
    expect(door.clock.now() - from).toBeLessThanOrEqual(620_000);
  });
});
