// Single calls: what goes over the wire, what is asked again and what is not, and what an error says.

import { afterEach, describe, expect, it } from 'vitest';
import type { Target } from '../../src/k8s/api.ts';
import type { ApiError } from '../../src/k8s/api-error.ts';
import { LEASES, SERVICES } from '../../src/k8s/kind.ts';
import { Door, SERVICE_PATH, service } from './door.ts';
import { type Fault, statusOf } from './fake-api.ts';

let door: Door;
const open = async (): Promise<Door> => {
  door = await new Door().open();
  return door;
};
afterEach(() => door.close());

const web: Target = { kind: SERVICES, namespace: 'app', name: 'web' };

/** What a call comes to, while time passes. */
async function outcome<T>(call: Promise<T>): Promise<T | ApiError> {
  let done: { readonly value: T | ApiError } | undefined;
  void call.then(
    (value) => {
      done = { value };
    },
    (fault) => {
      done = { value: fault };
    },
  );
  const { value } = await door.pass('an outcome', () => done, 100);
  return value;
}

describe('calls', () => {
  it('go where Kubernetes has them, with the content type that each needs', async () => {
    await open();
    const { api } = door;
    door.fake.serve('apis/coordination.k8s.io/v1/leases');
    const { metadata } = await api.create({ kind: SERVICES, namespace: 'app' }, service('web'));
    await api.get(web);
    await api.mergePatch({ ...web, subresource: 'status' }, { status: { a: 1 } });
    await api.apply({ ...web, subresource: 'status' }, { status: {} }, 'fairway');
    await api.put(web, service('web'));
    await api.create({ kind: LEASES, namespace: 'x' }, { metadata: { name: 'l' } });
    await api.delete(web, String(metadata['uid']));
    const asked = door.fake.seen.map(({ method, path, query, headers }) =>
      [method, path, query.toString(), headers['content-type']].join(' '),
    );
    expect(asked).toEqual([
      'POST /api/v1/namespaces/app/services  application/json',
      'GET /api/v1/namespaces/app/services/web  ',
      'PATCH /api/v1/namespaces/app/services/web/status  application/merge-patch+json',
      'PATCH /api/v1/namespaces/app/services/web/status fieldManager=fairway&force=true application/apply-patch+yaml',
      'PUT /api/v1/namespaces/app/services/web  application/json',
      'POST /apis/coordination.k8s.io/v1/namespaces/x/leases  application/json',
      'DELETE /api/v1/namespaces/app/services/web  application/json',
    ]);
    // a socket may not be free yet when the next call begins
    expect(door.fake.connections).toBeLessThanOrEqual(2);
  });

  it('go to this server’s path, with names that cannot leave theirs', async () => {
    await open();
    await outcome(door.api.get({ kind: SERVICES, namespace: '../x', name: 'a/b?c' }));
    expect(door.fake.seen[0]?.path).toBe('/api/v1/namespaces/..%2Fx/services/a%2Fb%3Fc');
  });

  it.each<[string, Fault]>([
    ['a connection that is reset', 'reset'],
    ['408', { status: 408 }],
    ['429', { status: 429 }],
    ['500', { status: 500, body: 'boom' }],
    ['503', { status: 503 }],
    ['a 200 that is no JSON', { status: 200, body: '<html>' }],
  ])('are asked again after %s', async (_, fault) => {
    await open();
    door.fake.put(SERVICE_PATH, service('web'));
    door.fake.fail(() => true, fault, 2);
    expect(await outcome(door.api.get(web))).toMatchObject({ metadata: { name: 'web' } });
    expect(door.fake.seen).toHaveLength(3);
  });

  it('wait longer each time, and as long as Retry-After asks', async () => {
    await open();
    door.fake.put(SERVICE_PATH, service('web'));
    door.fake.fail(() => true, { status: 429, headers: { 'retry-after': '3' } });
    const began = door.clock.now();
    const call = door.api.get(web);
    await door.pass('it sleeps', () => door.clock.sleeping.length > 0);
    expect(door.clock.sleeping[0]).toBe(3_075);
    await door.clock.advance(3_075);
    await call;
    expect(door.clock.now() - began).toBe(3_075);
  });

  it('give up after four more tries, and say what was asked and what came back', async () => {
    await open();
    door.fake.fail(() => true, { status: 500, body: statusOf(500, 'InternalError', 'etcd is away') }, 9);
    const fault = await outcome(door.api.mergePatch({ ...web, subresource: 'status' }, {}));
    expect(fault).toMatchObject({ status: 500, reason: 'InternalError' });
    expect((fault as ApiError).message).toBe('cannot patch services/status "web" in namespace app: 500 etcd is away');
    expect(door.fake.seen).toHaveLength(5);
  });

  it.each([400, 401, 403, 404, 409, 410, 422])('are not asked again after %i', async (status) => {
    await open();
    door.fake.fail(() => true, { status, body: statusOf(status, 'Some', 'text') }, 9);
    expect(await outcome(door.api.get(web))).toMatchObject({ status });
    // a 401 may mean that the token was rotated: once more, at once
    expect(door.fake.seen).toHaveLength(status === 401 ? 2 : 1);
  });

  it.each<[string, Fault, number]>([
    ['500', { status: 500 }, 1],
    ['a reset', 'reset', 1],
    ['429', { status: 429 }, 2],
    ['503 with Retry-After', { status: 503, headers: { 'retry-after': '0' } }, 2],
  ])('that create are not asked twice when the first may have been carried out: %s', async (_, fault, requests) => {
    await open();
    door.fake.fail(() => true, fault);
    await outcome(door.api.create({ kind: SERVICES, namespace: 'app' }, service('web')));
    expect(door.fake.seen).toHaveLength(requests);
  });

  it('name the user whom the server refused', async () => {
    await open();
    const text = 'leases is forbidden: User "system:serviceaccount:metallb-system:controller" cannot get resource';
    door.fake.fail(() => true, { status: 403, body: statusOf(403, 'Forbidden', text) });
    const fault = await outcome(door.api.get({ kind: LEASES, namespace: 'metallb-system', name: 'l' }));
    expect(fault).toMatchObject({ user: 'system:serviceaccount:metallb-system:controller' });
    expect((fault as ApiError).message).toBe(
      'system:serviceaccount:metallb-system:controller has no right to get leases.coordination.k8s.io "l" in namespace metallb-system: grant it (RBAC)',
    );
  });

  it('end when they are told to, and after their time', async () => {
    await open();
    door.fake.fail(() => true, 'hang', 9);
    const stop = new AbortController();
    const call = outcome(door.api.get(web, { signal: stop.signal }));
    await door.pass('the request', () => door.fake.seen.length === 1);
    stop.abort();
    expect(await call).toMatchObject({ status: 0 });
    const late = await outcome(door.api.get(web, { retries: 0, timeoutMs: 30 }));
    expect((late as ApiError).message).toBe('cannot get services "web" in namespace app: no answer within 30 ms');
  });
});
