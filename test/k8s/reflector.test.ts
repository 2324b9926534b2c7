// A store that stays equal to what the server has, whatever becomes of the server: over real HTTP, time moved by hand.

import { afterEach, describe, expect, it } from 'vitest';
import { IP_ADDRESS_POOLS } from '../../src/k8s/kind.ts';
import { ageOf } from '../../src/k8s/reflector.ts';
import type { Service } from '../../src/plan/snapshot.ts';
import { Door, type Reflected, SERVICE_PATH, service } from './door.ts';
import { statusOf } from './fake-api.ts';

let door: Door;
const open = async (...served: readonly string[]): Promise<Door> => {
  door = await new Door(...served).open();
  return door;
};
afterEach(() => door.close());

interface Mapped {
  readonly store: { map(): ReadonlyMap<string, object> };
}

const names = ({ store }: Mapped): readonly string[] => [...store.map().keys()].sort();
const watches = () => door.fake.seen.filter(({ query }) => query.get('watch') !== null);
const lists = () => door.fake.seen.filter(({ method, query }) => method === 'GET' && query.get('watch') === null);
const watched = (more = 0, stepMs = 0) =>
  door.pass('a watch', () => door.fake.watching(SERVICE_PATH) > 0 && watches().length > more, stepMs);
const holds = (reflected: Mapped, ...keys: readonly string[]) =>
  door.pass(keys.join(' '), () => names(reflected).join() === keys.join(), 50);

describe('listing', () => {
  it('takes a streamed list and goes on in the same watch', async () => {
    await open();
    door.fake.put(SERVICE_PATH, service('a'));
    const reflected = door.reflect();
    await holds(reflected, 'app/a');
    door.fake.put(SERVICE_PATH, service('b'));
    door.fake.remove(SERVICE_PATH, 'app/a');
    await holds(reflected, 'app/b');
    expect(door.fake.seen).toHaveLength(1);
    const query = Object.fromEntries(door.fake.seen[0]?.query ?? []);
    expect(query).toMatchObject({
      watch: '1',
      sendInitialEvents: 'true',
      resourceVersionMatch: 'NotOlderThan',
      allowWatchBookmarks: 'true',
    });
    expect(Number(query['timeoutSeconds'])).toBe(450);
    expect(reflected.reflector.state).toMatchObject({ synced: true, is: 'watching', reconnects: 0, relists: 0 });
  });

  it.each([400, 422])('takes pages of 500 where a streamed list is refused with %i', async (status) => {
    await open();
    for (let i = 0; i < 1_100; i++) door.fake.put(SERVICE_PATH, service(`s${i}`));
    door.fake.fail(({ query }) => query.has('sendInitialEvents'), { status, body: statusOf(status, 'Invalid', 'no') });
    const reflected = door.reflect();
    await door.pass('all of them', () => reflected.store.size === 1_100);
    expect(lists().map(({ query }) => [query.get('limit'), query.has('continue')])).toEqual([
      ['500', false],
      ['500', true],
      ['500', true],
    ]);
    await watched();
    expect(watches().at(-1)?.query.get('resourceVersion')).toBe('1200');
    door.fake.put(SERVICE_PATH, service('new'));
    await door.pass('the new one', () => reflected.store.get('app/new') !== undefined);
  });

  it('asks for smaller pages where objects are large', async () => {
    await open();
    door.fake.streamsLists = false;
    const padded = { ...service('x'), spec: { type: 'LoadBalancer', padding: 'x'.repeat(10_000) } };
    for (let i = 0; i < 700; i++)
      door.fake.put(SERVICE_PATH, { ...padded, metadata: { name: `s${i}`, namespace: 'app' } });
    const { store } = door.reflect();
    await door.pass('all of them', () => store.size === 700);
    const limits = lists().map(({ query }) => Number(query.get('limit')));
    expect(limits[0]).toBe(500);
    expect(limits[1]).toBeGreaterThan(90);
    expect(limits[1]).toBeLessThan(110);
  });

  it('begins again when the token of a page has expired, and keeps nothing of the first try', async () => {
    await open();
    door.fake.streamsLists = false;
    for (let i = 0; i < 600; i++) door.fake.put(SERVICE_PATH, service(`s${i}`));
    door.fake.fail(({ query }) => query.has('continue'), {
      status: 410,
      body: statusOf(410, 'Expired', 'The provided continue parameter is too old'),
    });
    const { store, reflector } = door.reflect();
    await door.pass('all of them', () => store.size === 600, 50);
    expect(lists().map(({ query }) => query.has('continue'))).toEqual([false, true, false, true]);
    expect(reflector.state).toMatchObject({ relists: 0, problem: undefined });
    expect(door.told('reading-failed')).toEqual([]);
  });

  it.each([
    ['has no version', { kind: 'List', metadata: {}, items: [] }],
    ['is none', { kind: 'Status' }],
    ['is always too old', statusOf(410, 'Expired', 'always')],
  ])('does not spin when a list %s', async (_, body) => {
    await open();
    door.fake.streamsLists = false;
    const status = Number(body['code'] ?? 200);
    door.fake.fail(({ query }) => query.has('limit'), { status, body }, 1_000);
    const { reflector } = door.reflect();
    await door.pass('a wait', () => door.clock.sleeping.length > 0 && lists().length > 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(lists()).toHaveLength(2);
    expect(reflector.state.synced).toBe(false);
    door.fake.mend();
    await door.pass('synced', () => reflector.state.synced, 100);
  });

  it('uses pages once a streamed list broke off before its end', async () => {
    await open();
    door.fake.put(SERVICE_PATH, service('a'));
    const first = ({ query }: { query: URLSearchParams }) => query.has('sendInitialEvents');
    door.fake.fail(first, { status: 200, body: `${JSON.stringify({ type: 'ADDED', object: service('half') })}\n` });
    const reflected = door.reflect();
    await holds(reflected, 'app/a');
    expect(lists()).toHaveLength(1);
  });

  it('is synced with an empty list', async () => {
    await open();
    const { reflector } = door.reflect();
    await door.pass('synced', () => reflector.state.synced);
    expect(door.told('synced')).toHaveLength(1);
  });
});

describe('watching', () => {
  it('goes on from the last bookmark after the server ended the watch', async () => {
    await open();
    const { reflector } = door.reflect();
    await watched();
    door.fake.put('other', { metadata: { name: 'x' } });
    door.fake.bookmark();
    const at = door.clock.now();
    for (let minute = 1; minute <= 5; minute++) {
      await door.clock.advance(60_000);
      door.fake.bookmark();
      await door.pass('a bookmark', () => reflector.state.heardAt === door.clock.now());
    }
    door.fake.cut('end');
    await watched(1);
    expect(watches().at(-1)?.query.get('resourceVersion')).toBe('101');
    expect(door.clock.now() - at).toBe(300_000);
    await door.pass('it is counted', () => reflector.state.reconnects === 1);
    expect(door.reports.map(({ is }) => is)).toEqual(['synced']);
  });

  it('reconnects at once, then ever slower, and at once again after 10 s of good life', async () => {
    await open();
    const { reflector } = door.reflect();
    await watched();
    await door.clock.advance(60_000);
    const waits: number[] = [];
    for (let i = 1; i <= 10; i++) {
      const before = watches().length;
      door.fake.cut('reset');
      await door.pass('the end', () => door.fake.watching(SERVICE_PATH) === 0 || watches().length > before);
      const from = door.clock.now();
      await door.pass('the next', () => watches().length > before && door.fake.watching(SERVICE_PATH) > 0, 125);
      await door.pass('its answer', () => reflector.state.is === 'watching');
      waits.push(door.clock.now() - from);
    }
    // half of the interval and a half of the rest: chance is 0.5
    const wanted = [0, 375, 750, 1_500, 3_000, 6_000, 12_000, 22_500, 22_500, 22_500];
    for (const [i, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual((wanted[i] ?? 0) - 1);
      expect(wait).toBeLessThan((wanted[i] ?? 0) + 1_500);
    }
    await door.clock.advance(10_000);
    const before = watches().length;
    door.fake.cut('reset');
    await door.pass('at once', () => watches().length > before);
    expect(reflector.state.reconnects).toBeGreaterThanOrEqual(10);
    expect(lists()).toEqual([]);
  });

  it('lists again at 410, as an event or as a status', async () => {
    await open();
    door.fake.put(SERVICE_PATH, service('a'));
    const reflected = door.reflect();
    await holds(reflected, 'app/a');
    door.fake.remove(SERVICE_PATH, 'app/a', false);
    door.fake.put(SERVICE_PATH, service('b'));
    door.fake.compact();
    door.fake.cut('end');
    await holds(reflected, 'app/b');
    door.fake.fail(({ query }) => query.has('resourceVersion'), { status: 410, body: statusOf(410, 'Gone', 'old') });
    door.fake.remove(SERVICE_PATH, 'app/b', false);
    door.fake.put(SERVICE_PATH, service('c'));
    door.fake.cut('end');
    await holds(reflected, 'app/c');
    expect(reflected.reflector.state.relists).toBe(2);
    expect(door.told('reading-failed')).toEqual([]);
  });

  it('notices a connection that went silent, and lists when the next one is silent too', async () => {
    await open();
    door.fake.put(SERVICE_PATH, service('a'));
    const reflected = door.reflect();
    await holds(reflected, 'app/a');
    door.fake.silent = true;
    door.fake.put(SERVICE_PATH, service('b'));
    await door.clock.advance(89_000);
    expect(watches()).toHaveLength(1);
    await door.clock.advance(1_000);
    await watched(1);
    expect(door.fake.watching(SERVICE_PATH)).toBe(1);
    expect(names(reflected)).toEqual(['app/a']);
    expect(watches().at(-1)?.query.has('sendInitialEvents')).toBe(false);
    await door.clock.advance(90_000);
    door.fake.silent = false;
    await watched(2, 100);
    expect(watches().at(-1)?.query.get('sendInitialEvents')).toBe('true');
    await holds(reflected, 'app/a', 'app/b');
  });

  it('knows since when it may be behind: not while a watch is quiet, and from the moment that it ends', async () => {
    await open();
    door.fake.put(SERVICE_PATH, service('a'));
    const { reflector, ...reflected } = door.reflect();
    const age = () => ageOf(reflector.state, door.clock.now());
    expect(age()).toBeUndefined();
    await holds(reflected, 'app/a');
    await door.clock.advance(60_000);
    expect(age()).toBe(0);
    door.fake.fail(() => true, { status: 503 }, 1_000);
    door.fake.cut('reset');
    await door.pass('the end is seen', () => reflector.state.lostAt !== undefined);
    expect(age()).toBe(0);
    await door.clock.advance(2_000);
    expect(age()).toBe(2_000);
    door.fake.mend();
    await door.pass('a watch', () => door.fake.watching(SERVICE_PATH) > 0 && age() === 0, 100);
    // of what fell silent nobody knows more than what it said last
    door.fake.silent = true;
    const heardAt = reflector.state.heardAt ?? expect.fail('nothing was heard');
    await door.clock.advance(heardAt + 89_999 - door.clock.now());
    expect(age()).toBe(0);
    door.fake.fail(() => true, { status: 503 }, 1_000);
    await door.clock.advance(1);
    await door.pass('the silence is seen', () => age() === 90_000);
  });

  it.each([
    ['no JSON', 'this is <html>\n'],
    ['no event', '{"kind":"Status"}\n'],
    ['half an event', '{"type":"ADDED","obj'],
  ])('counts a watch that says %s, and goes on', async (_, text) => {
    await open();
    const reflected = door.reflect();
    await watched();
    door.fake.say(text);
    door.fake.cut('end');
    await watched(1);
    door.fake.put(SERVICE_PATH, service('a'));
    await holds(reflected, 'app/a');
    expect(reflected.reflector.state.garbled).toBe(1);
    expect(door.told('garbled')).toHaveLength(1);
    expect(reflected.reflector.state.relists).toBe(0);
  });

  it('puts events together however the network cuts them', async () => {
    await open();
    const reflected = door.reflect();
    await watched();
    const text = `${JSON.stringify({ type: 'ADDED', object: { ...service('ä€🌍'), metadata: { name: 'ä€🌍', namespace: 'app', uid: 'u' } } })}\n`;
    const bytes = Buffer.from(text);
    for (let i = 0; i < bytes.length; i += 7) {
      door.fake.say(bytes.subarray(i, i + 7));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await holds(reflected, 'app/ä€🌍');
  });
});

describe('a server in trouble', () => {
  it('waits as long as a 429 asks', async () => {
    await open();
    door.fake.fail(() => true, { status: 429, headers: { 'retry-after': '7' } });
    const { reflector } = door.reflect();
    await door.pass('the refusal', () => reflector.state.problem);
    await door.clock.advance(6_900);
    expect(watches()).toHaveLength(1);
    await door.clock.advance(100);
    await door.pass('synced', () => reflector.state.synced);
    expect(door.reports.map(({ is }) => is)).toEqual(['reading-failed', 'reading-again', 'synced']);
  });

  it('says a series of 500s once', async () => {
    await open();
    door.fake.fail(() => true, { status: 500, body: 'etcdserver: leader changed' }, 5);
    const { reflector } = door.reflect();
    await door.pass('synced', () => reflector.state.synced, 500);
    expect(door.reports.map(({ is }) => is)).toEqual(['reading-failed', 'reading-again', 'synced']);
    expect(door.reports[0]).toMatchObject({
      status: 500,
      text: 'cannot watch services in any namespace: 500 etcdserver: leader changed',
    });
  });

  it('survives a restart, and takes away what was deleted meanwhile', async () => {
    await open();
    for (const name of ['a', 'b', 'c']) door.fake.put(SERVICE_PATH, service(name));
    const reflected = door.reflect();
    await holds(reflected, 'app/a', 'app/b', 'app/c');
    const port = Number(new URL(door.url).port);
    await door.fake.close();
    await door.pass('trouble', () => door.told('reading-failed').length > 0, 100);
    expect(names(reflected)).toEqual(['app/a', 'app/b', 'app/c']);
    expect(reflected.reflector.state).toMatchObject({ synced: true, is: 'waiting' });
    door.fake.remove(SERVICE_PATH, 'app/b', false);
    door.fake.compact();
    await door.fake.listen(port);
    await holds(reflected, 'app/a', 'app/c');
    expect(door.told('reading-failed')).toHaveLength(1);
    expect(reflected.reflector.state.problem).toBeUndefined();
  });

  it('says once which right is missing, with verb, resource and ServiceAccount, and tries again', async () => {
    await open();
    const text =
      'services is forbidden: User "system:serviceaccount:metallb-system:speaker" cannot watch resource "services" in API group "" at the cluster scope';
    door.fake.fail(() => true, { status: 403, body: statusOf(403, 'Forbidden', text) }, 4);
    const { reflector } = door.reflect();
    await door.pass('synced', () => reflector.state.synced, 500);
    expect(door.reports[0]).toMatchObject({
      is: 'reading-failed',
      status: 403,
      text: 'system:serviceaccount:metallb-system:speaker has no right to watch services in any namespace: grant it (RBAC)',
    });
    expect(door.told('reading-failed')).toHaveLength(1);
  });

  it('waits for a definition that is not installed, and keeps what it had when one goes away', async () => {
    await open('api/v1/nodes');
    const POOLS = 'apis/metallb.io/v1beta1/ipaddresspools';
    const reflected = door.reflectAs(IP_ADDRESS_POOLS, ({ metadata: { name } }) => ({ name }));
    await door.pass('three tries', () => door.fake.seen.length > 3, 1_000);
    expect(door.reports).toEqual([{ is: 'not-served', kind: IP_ADDRESS_POOLS, kept: 0 }]);
    expect(reflected.reflector.state).toMatchObject({ is: 'absent', synced: false });
    door.fake.serve(POOLS);
    door.fake.put(POOLS, { metadata: { name: 'p', namespace: 'metallb-system' } });
    await holds(reflected, 'metallb-system/p');
    door.fake.withdraw(POOLS);
    await door.pass('it is missed', () => door.told('not-served').length === 2, 500);
    expect(door.told('not-served')[1]).toMatchObject({ kept: 1 });
    expect(names(reflected)).toEqual(['metallb-system/p']);
    expect(reflected.reflector.state).toMatchObject({ is: 'absent', synced: true });
    door.fake.serve(POOLS);
    door.fake.put(POOLS, { metadata: { name: 'q', namespace: 'metallb-system' } });
    await holds(reflected, 'metallb-system/p', 'metallb-system/q');
  });
});

describe('a list that lacks most of what was there', () => {
  const many = async (count: number): Promise<Reflected<Service>> => {
    await open();
    for (let i = 0; i < count; i++) door.fake.put(SERVICE_PATH, service(`s${i}`));
    const reflected = door.reflect();
    await door.pass('all of them', () => reflected.store.size === count);
    await door.clock.advance(60_000);
    return reflected;
  };
  const lose = (from: number, to: number) => {
    for (let i = from; i < to; i++) door.fake.remove(SERVICE_PATH, `app/s${i}`, false);
    door.fake.compact();
    door.fake.cut('end');
  };

  it('is believed when a second one says the same', async () => {
    const { store, reflector } = await many(20);
    lose(0, 20);
    door.fake.put(SERVICE_PATH, service('new'));
    await door.pass('doubt', () => door.told('relist-doubted').length > 0);
    expect(door.told('relist-doubted')[0]).toMatchObject({ known: 20, vanished: 20 });
    await door.pass('the new one', () => store.get('app/new') !== undefined);
    expect(store.map().size).toBe(21);
    await door.clock.advance(4_999);
    expect(store.map().size).toBe(21);
    await door.clock.advance(1);
    await door.pass('belief', () => store.map().size === 1, 10);
    expect(door.told('relist-settled')).toMatchObject([{ gone: 20, by: 'relist' }]);
    expect(reflector.state.relists).toBe(2);
  });

  it('is forgotten when a second one has them again', async () => {
    const { store } = await many(20);
    const before = store.map();
    lose(0, 20);
    await door.pass('doubt', () => door.told('relist-doubted').length > 0);
    door.fake.silent = true;
    for (let i = 0; i < 20; i++)
      door.fake.put(SERVICE_PATH, {
        ...service(`s${i}`),
        metadata: { name: `s${i}`, namespace: 'app', uid: `uid-${i + 1}` },
      });
    door.fake.silent = false;
    await door.clock.advance(5_000);
    await door.pass('the second', () => door.told('relist-settled').length > 0, 10);
    expect(door.told('relist-settled')).toMatchObject([{ gone: 0, by: 'relist' }]);
    expect(store.map()).toBe(before);
  });

  it('is believed after 10 s when there is no second one', async () => {
    const { store } = await many(20);
    lose(0, 15);
    await door.pass('doubt', () => door.told('relist-doubted').length > 0);
    door.fake.fail(() => true, { status: 503 }, 1_000);
    await door.clock.advance(9_999);
    expect(store.map().size).toBe(20);
    await door.clock.advance(1);
    expect(store.map().size).toBe(5);
    expect(door.told('relist-settled')).toMatchObject([{ gone: 15, by: 'time' }]);
  });

  it('is believed at once when it lacks fewer than 10, or no more than half', async () => {
    const { store } = await many(20);
    lose(0, 10);
    await door.pass('half of them', () => store.map().size === 10, 10);
    lose(10, 19);
    await door.pass('nine of ten', () => store.map().size === 1, 10);
    expect(door.told('relist-doubted')).toEqual([]);
  });
});
