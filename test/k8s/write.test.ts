// The write queue: one wish an object, addresses first, what informs paced, fences, conflicts, and servers that refuse.

import { afterEach, describe, expect, it } from 'vitest';
import type { ApiObject } from '../../src/config/resource.ts';
import type { Target } from '../../src/k8s/api.ts';
import { ApiError } from '../../src/k8s/api-error.ts';
import { EVENTS, SERVICES } from '../../src/k8s/kind.ts';
import { type Change, type Write, WriteQueue, type WriteQueueOptions } from '../../src/k8s/write.ts';
import { Door, SERVICE_PATH, service } from './door.ts';
import { type Json, statusOf } from './fake-api.ts';

const EVENT_PATH = 'api/v1/events';

let door: Door;
const ends = new Set<() => void>();
afterEach(async () => {
  for (const end of ends) end();
  await door.close();
});

interface Queue {
  readonly queue: WriteQueue;
  readonly written: ApiObject[];
}

async function open(options: Partial<WriteQueueOptions> = {}): Promise<Queue> {
  door = await new Door(SERVICE_PATH, EVENT_PATH).open();
  return start(options);
}

function start(options: Partial<WriteQueueOptions> = {}): Queue {
  const written: ApiObject[] = [];
  const queue = new WriteQueue({
    api: door.api,
    tell: (report) => door.reports.push(report),
    mayWrite: () => true,
    written: (_, object) => written.push(object),
    clock: door.clock,
    ...options,
  });
  door.run(queue.run(door.signal));
  return { queue, written };
}

const idle = async ({ queue }: Queue, stepMs = 0) => {
  let done = false;
  void queue.idle().then(() => {
    done = true;
  });
  await door.pass('an idle queue', () => done, stepMs);
};

const status = (ip: string): Json => ({ status: { loadBalancer: { ingress: [{ ip }] } } });
const ipOf = (object: Json | undefined) => JSON.stringify((object?.['status'] as Json | undefined)?.['loadBalancer']);
const assign = (name: string, ip: string, more: Partial<Extract<Change, { do: 'patch' }>> = {}): Write => ({
  target: { kind: SERVICES, namespace: 'app', name, subresource: 'status' },
  rank: 'first',
  change: { do: 'patch', patch: status(ip), again: () => status(ip), ...more },
});
const inform = (name: string): Write => ({
  target: { kind: EVENTS, namespace: 'app', name },
  rank: 'inform',
  change: { do: 'create', object: { metadata: { name } } },
});
const writesOf = (name: string) =>
  door.fake.seen.filter(({ method, path }) => method !== 'GET' && path.includes(`/${name}`)).length;
const requests = () => door.fake.seen.map(({ method, path }) => `${method} ${path.split('/').slice(5).join('/')}`);

describe('the write queue', () => {
  it('carries out the newest wish for each object, and hands back what the server made of it', async () => {
    await open();
    door.fake.put(SERVICE_PATH, service('a'));
    door.fake.put(SERVICE_PATH, service('b'));
    const queue = start();
    queue.queue.want(assign('a', '192.0.2.1'));
    queue.queue.want(assign('b', '192.0.2.2'));
    queue.queue.want(assign('a', '192.0.2.3'));
    await idle(queue);
    expect(requests()).toEqual(['PATCH services/a/status', 'PATCH services/b/status']);
    expect(queue.written.map((object) => ipOf(object)).sort()).toEqual([
      '{"ingress":[{"ip":"192.0.2.2"}]}',
      '{"ingress":[{"ip":"192.0.2.3"}]}',
    ]);
    expect(queue.queue.written).toBe(2);
  });

  it('does not carry out two wishes for one object at a time', async () => {
    door = await new Door().open();
    const calls: { readonly patch: object; readonly answer: (object: ApiObject) => void }[] = [];
    const never = () => Promise.reject(new Error('not asked for'));
    const mergePatch = (_: unknown, patch: object) =>
      new Promise<ApiObject>((answer) => {
        calls.push({ patch, answer });
      });
    const { queue } = start({ api: { mergePatch, get: never, create: never, put: never, delete: never } });
    queue.want(assign('a', '192.0.2.1'));
    queue.want(assign('b', '192.0.2.9'));
    await door.pass('both run', () => calls.length === 2);
    queue.want(assign('a', '192.0.2.2'));
    queue.want(assign('a', '192.0.2.3'));
    await door.clock.advance(1_000);
    expect(calls).toHaveLength(2);
    expect(queue.pending).toBe(3);
    calls[0]?.answer(service('a') as unknown as ApiObject);
    await door.pass('the next', () => calls.length === 3);
    expect(calls[2]?.patch).toEqual(status('192.0.2.3'));
    for (const { answer } of calls) answer(service('a') as unknown as ApiObject);
    await door.pass('the end', () => queue.pending === 0);
  });

  it('forgets a wish that is not one any more', async () => {
    const queue = await open();
    const write = assign('a', '192.0.2.1');
    queue.queue.want(write);
    queue.queue.unwant(write.target);
    await idle(queue);
    expect(requests()).toEqual([]);
  });

  it('lets all addresses go before anything that only informs, and paces that', async () => {
    const queue = await open({ informRate: 10, informBurst: 5, parallel: 1 });
    for (let i = 0; i < 20; i++) {
      door.fake.put(SERVICE_PATH, service(`s${i}`));
      queue.queue.want(inform(`e${i}`));
      queue.queue.want(assign(`s${i}`, `192.0.2.${i}`));
    }
    await door.pass('the burst', () => door.fake.seen.length >= 25);
    expect(
      requests()
        .slice(0, 20)
        .every((request) => request.startsWith('PATCH')),
    ).toBe(true);
    expect(
      requests()
        .slice(20)
        .every((request) => request.startsWith('POST')),
    ).toBe(true);
    expect(door.fake.seen).toHaveLength(25);
    const began = door.clock.now();
    await idle(queue, 10);
    expect(door.fake.seen).toHaveLength(40);
    // 15 more at 10 a second
    expect(door.clock.now() - began).toBeGreaterThanOrEqual(1_490);
    expect(door.clock.now() - began).toBeLessThan(1_900);
  });

  it('writes onto the version that was seen, and lets the caller decide again at a conflict', async () => {
    const queue = await open();
    const before = door.fake.put(SERVICE_PATH, service('a'));
    const version = String((before['metadata'] as Json)['resourceVersion']);
    door.fake.put(SERVICE_PATH, { ...service('a'), status: { loadBalancer: { ingress: [{ ip: '192.0.2.9' }] } } });
    const lives: string[] = [];
    const again = (live: ApiObject) => {
      lives.push(ipOf(live) ?? '');
      return status('192.0.2.10');
    };
    queue.queue.want(assign('a', '192.0.2.1', { onto: version, again }));
    await idle(queue);
    expect(requests()).toEqual(['PATCH services/a/status', 'GET services/a', 'PATCH services/a/status']);
    expect(lives).toEqual(['{"ingress":[{"ip":"192.0.2.9"}]}']);
    expect(door.fake.seen[2]?.body).toMatchObject({ metadata: { resourceVersion: '102' } });
    expect(ipOf(door.fake.get(SERVICE_PATH, 'app/a'))).toBe('{"ingress":[{"ip":"192.0.2.10"}]}');
  });

  it('does nothing when at a conflict there is nothing left to do', async () => {
    const queue = await open();
    door.fake.put(SERVICE_PATH, service('a'));
    queue.queue.want(assign('a', '192.0.2.1', { onto: '1', again: () => undefined }));
    await idle(queue);
    expect(requests()).toEqual(['PATCH services/a/status', 'GET services/a']);
    expect(queue.written).toEqual([]);
  });

  it('puts whole objects where patching is forbidden and updating is not, and remembers it', async () => {
    const queue = await open();
    const text = 'services "a" is forbidden: User "controller" cannot patch resource "services/status"';
    door.fake.fail(({ method }) => method === 'PATCH', { status: 403, body: statusOf(403, 'Forbidden', text) }, 9);
    door.fake.put(SERVICE_PATH, { ...service('a'), unknown: { to: 'us' } });
    door.fake.put(SERVICE_PATH, service('b'));
    queue.queue.want(assign('a', '192.0.2.1'));
    await idle(queue);
    queue.queue.want(assign('b', '192.0.2.2'));
    await idle(queue);
    expect(requests()).toEqual([
      'PATCH services/a/status',
      'GET services/a',
      'PUT services/a/status',
      'GET services/b',
      'PUT services/b/status',
    ]);
    expect(door.fake.seen[2]?.body).toMatchObject({ metadata: { resourceVersion: '101' }, unknown: { to: 'us' } });
    expect(ipOf(door.fake.get(SERVICE_PATH, 'app/b'))).toBe('{"ingress":[{"ip":"192.0.2.2"}]}');
    expect(door.told('put-instead')).toHaveLength(1);
    expect(door.told('write-failed')).toEqual([]);
  });

  it('says once which right is missing, and goes on trying slowly', async () => {
    const queue = await open();
    const text = 'services "a" is forbidden: User "controller" cannot patch resource "services/status"';
    door.fake.fail(({ method }) => method !== 'GET', { status: 403, body: statusOf(403, 'Forbidden', text) }, 8);
    door.fake.put(SERVICE_PATH, service('a'));
    queue.queue.want(assign('a', '192.0.2.1'));
    await door.pass('it goes through', () => ipOf(door.fake.get(SERVICE_PATH, 'app/a')), 500);
    expect(door.told('write-failed')).toMatchObject([
      { key: 'services/app/a/status', status: 403, text: expect.stringMatching(/^controller has no right to patch/) },
    ]);
  });

  it('waits as a whole while the server is in trouble, and loses nothing', async () => {
    const queue = await open();
    for (let i = 0; i < 10; i++) door.fake.put(SERVICE_PATH, service(`s${i}`));
    door.fake.fail(() => true, { status: 429, headers: { 'retry-after': '2' } }, 8);
    for (let i = 0; i < 10; i++) queue.queue.want(assign(`s${i}`, `192.0.2.${i}`));
    await door.pass('eight refusals', () => door.fake.seen.length === 8);
    await door.clock.advance(1_900);
    expect(door.fake.seen).toHaveLength(8);
    await door.clock.advance(200);
    await idle(queue, 10);
    expect(door.fake.seen).toHaveLength(18);
    expect(queue.written).toHaveLength(10);
  });

  it('waits no longer because eight requests failed together', async () => {
    door = await new Door().open();
    const refusals: (() => void)[] = [];
    const never = () => Promise.reject(new Error('not asked for'));
    const mergePatch = (target: Target) =>
      new Promise<ApiObject>((_, refuse) => {
        refusals.push(() => refuse(new ApiError({ verb: 'patch', ...target }, 503, 'busy')));
      });
    const { queue } = start({ api: { mergePatch, get: never, create: never, put: never, delete: never } });
    for (let i = 0; i < 8; i++) queue.want(assign(`s${i}`, `192.0.2.${i}`));
    await door.pass('all eight', () => refusals.length === 8);
    for (const refuse of refusals) refuse();
    await door.clock.advance(74);
    expect(refusals).toHaveLength(8);
    await door.clock.advance(1);
    await door.pass('all again', () => refusals.length === 16);
    for (const refuse of refusals) refuse();
  });

  it.each([
    [422, 'Invalid', 'services "a" is forbidden: ValidatingAdmissionPolicy \'p\' denied request: not today'],
    [403, 'Forbidden', 'admission webhook "p.example.com" denied the request: not today'],
    [401, 'Unauthorized', 'Unauthorized'],
    [400, 'BadRequest', 'not today'],
    [500, 'InternalError', 'failed calling webhook'],
  ])(
    'says once that it was refused with %d, and goes on trying until whatever refuses is mended',
    async (code, reason, text) => {
      const queue = await open();
      const failed: number[] = [];
      door.fake.fail(({ method }) => method !== 'GET', { status: code, body: statusOf(code, reason, text) }, 1_000);
      door.fake.put(SERVICE_PATH, service('a'));
      queue.queue.want({ ...assign('a', '192.0.2.1'), failed: ({ status }) => failed.push(status) });
      await door.pass('it was refused eight times', () => writesOf('a') >= 8, 500);
      expect(queue.queue.pending).toBe(1);
      door.fake.mend();
      const from = door.clock.now();
      await door.pass('it goes through', () => ipOf(door.fake.get(SERVICE_PATH, 'app/a')) !== undefined, 500);
      expect(door.clock.now() - from).toBeLessThanOrEqual(31_000);
      expect(door.told('write-failed')).toMatchObject([{ key: 'services/app/a/status', status: code }]);
      expect(failed).toEqual([]);
    },
  );

  it('passes over what is gone, and what its namespace takes along', async () => {
    const queue = await open();
    const text =
      'events "e" is forbidden: unable to create new content in namespace app because it is being terminated';
    door.fake.fail(({ path }) => path.includes('events'), { status: 403, body: statusOf(403, 'Forbidden', text) });
    const failed: number[] = [];
    const tellMe = { failed: ({ status }: { status: number }) => failed.push(status) };
    queue.queue.want({ ...assign('gone', '192.0.2.1'), ...tellMe });
    queue.queue.want({ ...inform('e'), ...tellMe });
    await idle(queue);
    expect(failed.sort()).toEqual([403, 404]);
    expect([queue.queue.pending, door.told('write-failed')]).toEqual([0, []]);
  });

  it('gives up what may be refused so many times, and tells of one a minute', async () => {
    const queue = await open();
    door.fake.fail(({ path }) => path.includes('events'), { status: 422 }, 1_000);
    const failed: number[] = [];
    for (let i = 0; i < 10; i++)
      queue.queue.want({ ...inform(`e${i}`), tries: 3, failed: ({ status }) => failed.push(status) });
    await door.pass('all were given up', () => failed.length === 10, 500);
    expect(door.fake.seen).toHaveLength(30);
    expect(queue.queue.pending).toBe(0);
    expect(door.told('write-failed')).toHaveLength(1);
  });

  it('creates, and patches what another created first', async () => {
    const queue = await open();
    door.fake.put(SERVICE_PATH, service('a'));
    const target = { kind: SERVICES, namespace: 'app', name: 'a' } as const;
    const again = () => ({ spec: { type: 'ClusterIP' } });
    queue.queue.want({ target, rank: 'first', change: { do: 'create', object: service('a'), again } });
    await idle(queue);
    expect(requests()).toEqual(['POST services', 'GET services/a', 'PATCH services/a']);
  });

  it('deletes the one that it means', async () => {
    const queue = await open();
    const { metadata } = door.fake.put(SERVICE_PATH, service('a')) as { metadata: { uid: string } };
    const target = { kind: SERVICES, namespace: 'app', name: 'a' } as const;
    queue.queue.want({ target, rank: 'first', change: { do: 'delete', uid: metadata.uid } });
    await idle(queue);
    expect(door.fake.get(SERVICE_PATH, 'app/a')).toBeUndefined();
  });
});

describe('the fence', () => {
  it('gives no request longer than the lease is held', async () => {
    door = await new Door().open();
    const limits: unknown[] = [];
    const never = () => Promise.reject(new Error('not asked for'));
    const mergePatch = (_: Target, __: object, options?: { timeoutMs?: number }) => {
      limits.push(options?.timeoutMs);
      return Promise.resolve(service('a') as unknown as ApiObject);
    };
    let restMs = 5_001;
    const api = { mergePatch, get: never, create: never, put: never, delete: never };
    const queue = start({ api, restMs: () => restMs });
    queue.queue.want(assign('a', '192.0.2.1'));
    await idle(queue);
    restMs = Number.POSITIVE_INFINITY;
    queue.queue.want(assign('b', '192.0.2.2'));
    await idle(queue);
    expect(limits).toEqual([5_001, 10_000]);
  });

  it('lets nothing through once it fell, not even the rest of what was begun', async () => {
    let may = true;
    const queue = await open({ mayWrite: () => may, parallel: 1 });
    for (let i = 0; i < 5; i++) door.fake.put(SERVICE_PATH, service(`s${i}`));
    const again = () => {
      may = false;
      return status('192.0.2.1');
    };
    queue.queue.want(assign('s0', '192.0.2.1'));
    queue.queue.want(assign('s1', '192.0.2.1', { onto: '1', again }));
    for (let i = 2; i < 5; i++) queue.queue.want(assign(`s${i}`, '192.0.2.1'));
    await idle(queue);
    expect(requests()).toEqual(['PATCH services/s0/status', 'PATCH services/s1/status', 'GET services/s1']);
    may = true;
    await idle(queue);
    expect(door.fake.seen).toHaveLength(3);
    queue.queue.want(assign('s4', '192.0.2.4'));
    await idle(queue);
    expect(ipOf(door.fake.get(SERVICE_PATH, 'app/s4'))).toBe('{"ingress":[{"ip":"192.0.2.4"}]}');
    expect(ipOf(door.fake.get(SERVICE_PATH, 'app/s3'))).toBeUndefined();
  });

  it('and what was wanted before it fell are forgotten together, also what was paced or refused', async () => {
    const queue = await open({ informRate: 1, informBurst: 1 });
    const text = 'services "a" is forbidden: User "controller" cannot patch resource "services/status"';
    door.fake.fail(({ method }) => method === 'PATCH', { status: 403, body: statusOf(403, 'Forbidden', text) });
    door.fake.fail(({ method }) => method === 'GET', { status: 403, body: statusOf(403, 'Forbidden', text) });
    queue.queue.want(assign('a', '192.0.2.1'));
    for (let i = 0; i < 5; i++) queue.queue.want(inform(`e${i}`));
    await door.pass('the first of each', () => door.told('write-failed').length === 1 && queue.queue.pending === 5);
    queue.queue.forget();
    expect(queue.queue.pending).toBe(0);
    await door.clock.advance(60_000);
    expect(door.fake.seen).toHaveLength(3);
  });

  it('is asked before a write that the server refused for now is asked again', async () => {
    let may = true;
    const queue = await open({ mayWrite: () => may });
    door.fake.put(SERVICE_PATH, service('a'));
    door.fake.fail(() => true, { status: 503 });
    queue.queue.want(assign('a', '192.0.2.1'));
    await door.pass('the refusal', () => door.fake.seen.length === 1 && door.clock.sleeping.some((ms) => ms < 1_000));
    may = false;
    await door.clock.advance(10_000);
    await idle(queue);
    expect(door.fake.seen).toHaveLength(1);
  });
});
