// Controllers of another make, seen through watches and, where those are forbidden, by looking.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Rivals } from '../../src/k8s/rivals.ts';
import { Door } from './door.ts';
import type { Json } from './fake-api.ts';

const PODS = 'api/v1/pods';
const NAMESPACE = 'metallb-system';

let door: Door;
beforeEach(async () => {
  door = await new Door(PODS).open();
});
afterEach(() => door.close());

const OURS = { 'fairway/controller': 'v1' };
const BY_MANIFESTS = { app: 'metallb', component: 'controller' };
const byChart = (name: string) => ({
  ...{ 'app.kubernetes.io/component': 'controller', 'app.kubernetes.io/name': name },
});

interface PodLike {
  readonly labels?: Json;
  readonly annotations?: Json;
  readonly status?: Json;
  readonly deletionTimestamp?: string;
}

function pod(name: string, { status = { phase: 'Running' }, ...more }: PodLike = {}): void {
  door.fake.put(PODS, { metadata: { name, namespace: NAMESPACE, labels: BY_MANIFESTS, ...more }, status });
}

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
    pod('other-replica', { annotations: OURS });
    pod('metallb');
    pod('done', { status: { phase: 'Succeeded' } });
    const { rivals, changes } = look();
    expect(rivals.names).toBeUndefined();
    expect(await door.pass('known', () => rivals.names)).toEqual(['metallb']);
    expect(changes()).toBeGreaterThan(0);
    door.fake.remove(PODS, `${NAMESPACE}/metallb`);
    await door.pass('gone', () => rivals.names?.length === 0);
    pod('again');
    await door.pass('back', () => rivals.names?.join() === 'again');
  });

  it('are told of once for each change of who they are', async () => {
    pod('metallb');
    const { rivals, changes } = look();
    await door.pass('known', () => rivals.names);
    const before = changes();
    pod('metallb', { status: { phase: 'Running', conditions: [] } });
    pod('ours', { annotations: OURS });
    pod('second');
    await door.pass('the second', () => rivals.names?.join() === 'metallb,second');
    expect(changes()).toBe(before + 1);
  });

  it('are MetalLB’s by the chart too, whatever release and name it was given there and here', async () => {
    pod('me', { labels: byChart('lb'), annotations: OURS });
    pod('usual', { labels: byChart('metallb') });
    pod('renamed', { labels: byChart('lb') });
    const { rivals } = look();
    expect(await door.pass('known', () => rivals.names)).toEqual(['renamed', 'usual']);
  });

  it('are no controllers of other products that happen to live in the namespace', async () => {
    pod('me', { labels: byChart('metallb'), annotations: OURS });
    pod('ingress', { labels: byChart('ingress-nginx') });
    pod('certificates', { labels: byChart('cert-manager') });
    pod('nameless', { labels: { 'app.kubernetes.io/component': 'controller' } });
    pod('some', { labels: { app: 'some', component: 'controller' } });
    pod('bare', { labels: { component: 'controller' } });
    const { rivals } = look();
    expect(await door.pass('known', () => rivals.names)).toEqual([]);
  });

  describe('that are told to end', () => {
    /** Grace period included, as the API server writes it. */
    const in30s = () => new Date(door.clock.date().getTime() + 30_000).toISOString().replace(/\.\d+/, '');
    const READY = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
    const UNREADY = { phase: 'Running', conditions: [{ type: 'Ready', status: 'False' }] };

    it('are rivals until a minute after they must have ended: then their node is gone', async () => {
      pod('stuck', { deletionTimestamp: in30s(), status: READY });
      const { rivals, changes } = look();
      expect(await door.pass('known', () => rivals.names)).toEqual(['stuck']);
      const [from, before] = [door.clock.now(), changes()];
      await door.pass('that is told', () => changes() > before, 1_000);
      expect(rivals.names).toEqual([]);
      expect(door.clock.now() - from).toBeGreaterThanOrEqual(88_000);
      expect(door.clock.now() - from).toBeLessThan(98_000);
    });

    it('and are not ready, serve nothing any more', async () => {
      pod('dying', { deletionTimestamp: in30s(), status: UNREADY });
      pod('unready', { status: UNREADY });
      const { rivals } = look();
      expect(await door.pass('known', () => rivals.names)).toEqual(['unready']);
    });
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
