// Who leads: two replicas on one Lease over real HTTP, each with a clock of its own, and everything that may happen to
// the one that leads. The invariant of all stories: never two at a time.

import { afterEach, describe, expect, it } from 'vitest';
import { LEASES } from '../../src/k8s/kind.ts';
import { Lease, microTime } from '../../src/k8s/lease.ts';
import type { ApiReport } from '../../src/k8s/report.ts';
import { Door } from './door.ts';
import { type Json, type Seen, statusOf } from './fake-api.ts';

const LEASE_PATH = 'apis/coordination.k8s.io/v1/leases';

let door: Door;
const open = async (): Promise<Door> => {
  door = await new Door(LEASE_PATH).open();
  return door;
};
const ends: AbortController[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) end.abort();
  await door.close();
});

interface Replica {
  readonly lease: Lease;
  readonly reports: ApiReport[];
  readonly changes: boolean[];
  /** SIGTERM. */
  leave(): Promise<void>;
}

function replica(identity: string, clock = door.clock): Replica {
  const end = new AbortController();
  ends.push(end);
  const reports: ApiReport[] = [];
  const changes: boolean[] = [];
  const lease = new Lease({
    api: door.api,
    namespace: 'metallb-system',
    name: 'metallb-controller',
    identity,
    tell: (report) => reports.push(report),
    changed: () => changes.push(lease.leads()),
    clock,
  });
  const running = lease.run(end.signal);
  door.run(running);
  const leave = () => {
    end.abort();
    return running;
  };
  return { lease, reports, changes, leave };
}

const spec = () => door.fake.get(LEASE_PATH, 'metallb-system/metallb-controller')?.['spec'] as Json | undefined;
const writes = () => door.fake.seen.filter(({ method }) => method !== 'GET');
/** Time passes; at no instant do both lead. */
const watch = async (what: string, ask: () => boolean, ...replicas: readonly Replica[]) => {
  await door.pass(
    what,
    () => {
      expect(replicas.filter(({ lease }) => lease.leads()).length).toBeLessThanOrEqual(1);
      return ask();
    },
    100,
  );
};
/** A request has begun and ended: time may pass without it. */
const settle = () => door.pass('quiet', () => door.clock.sleeping.length > 0, 0);

describe('a lease', () => {
  it('is created, kept every 2 s, and read by nobody but those who wait', async () => {
    await open();
    const a = replica('a');
    await watch('a leads', () => a.lease.leads(), a);
    expect(spec()).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 });
    expect(spec()?.['renewTime']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    const [before, from] = [door.fake.seen.length, door.clock.now()];
    await watch('ten renewals', () => door.fake.seen.length === before + 10, a);
    expect(door.clock.now() - from).toBeGreaterThanOrEqual(19_000);
    expect(door.clock.now() - from).toBeLessThan(25_000);
    expect(door.fake.seen.slice(before).every(({ method }) => method === 'PUT')).toBe(true);
    expect(a.changes).toEqual([true]);
    expect(a.reports).toEqual([{ is: 'leading', identity: 'a' }]);
  });

  it('is taken within 2 s when its holder leaves', async () => {
    await open();
    const a = replica('a');
    await watch('a leads', () => a.lease.leads(), a);
    const b = replica('b');
    await watch('b looked', () => b.lease.holder === 'a', a, b);
    await a.leave();
    expect(a.lease.leads()).toBe(false);
    expect(spec()).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 });
    const from = door.clock.now();
    await watch('b leads', () => b.lease.leads(), a, b);
    expect(door.clock.now() - from).toBeLessThan(2_000);
    expect(spec()).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
    expect(a.reports.at(-1)).toMatchObject({ is: 'not-leading' });
  });

  it('is taken 15 s after the last renewal of one that was killed, whatever the clocks say', async () => {
    await open();
    const clock = door.clock;
    // an hour ahead of those who wait
    clock.skewMs = 3_600_000;
    const a = replica('a');
    await watch('a leads', () => a.lease.leads(), a);
    // what b sees is written by a clock that is far ahead; a's requests get no further
    door.fake.fail(({ body }) => JSON.stringify(body ?? '').includes('"a"'), 'hang', 1_000);
    clock.skewMs = 0;
    const b = replica('b');
    const from = clock.now();
    await watch('b leads', () => b.lease.leads(), a, b);
    expect(clock.now() - from).toBeGreaterThanOrEqual(15_000);
    expect(clock.now() - from).toBeLessThan(17_000);
    expect(a.lease.leads()).toBe(false);
  });

  it('is not believed in for more than 10 s without renewal, and is got back afterwards', async () => {
    await open();
    const a = replica('a');
    await watch('a leads', () => a.lease.leads(), a);
    await settle();
    const from = door.clock.now();
    door.fake.fail(() => true, { status: 500 }, 1_000);
    await watch('a stops', () => !a.lease.leads(), a);
    expect(door.clock.now() - from).toBeLessThanOrEqual(10_100);
    await watch('it is told', () => a.changes.length === 2, a);
    expect(a.changes).toEqual([true, false]);
    expect(a.reports.map(({ is }) => is)).toEqual(['leading', 'lease-failed', 'not-leading']);
    door.fake.mend();
    await watch('a leads again', () => a.lease.leads(), a);
    expect(spec()).toMatchObject({ holderIdentity: 'a', leaseTransitions: 0 });
  });

  it('is held through a single failure', async () => {
    await open();
    const a = replica('a');
    await watch('a leads', () => a.lease.leads(), a);
    door.fake.fail(({ method }) => method === 'PUT', { status: 503 });
    const before = writes().length;
    await watch('three renewals', () => writes().length >= before + 3, a);
    expect(a.changes).toEqual([true]);
  });

  it('is held by one of two who start together', async () => {
    await open();
    const [a, b] = [replica('a'), replica('b')];
    await watch('one leads', () => a.lease.leads() || b.lease.leads(), a, b);
    const from = door.clock.now();
    await watch('a minute', () => door.clock.now() - from > 60_000, a, b);
    expect([...a.changes, ...b.changes]).toEqual([true]);
  });

  it('is lost to one who took it by force', async () => {
    await open();
    const a = replica('a');
    await watch('a leads', () => a.lease.leads(), a);
    await settle();
    const { metadata } = door.fake.get(LEASE_PATH, 'metallb-system/metallb-controller') as Json;
    const theirs = { holderIdentity: 'thief', leaseDurationSeconds: 15, renewTime: microTime(new Date(0)) };
    const from = door.clock.now();
    door.fake.put(LEASE_PATH, { metadata, spec: theirs });
    await watch('a sees it', () => a.changes.length === 2, a);
    expect(door.clock.now() - from).toBeLessThanOrEqual(2_100);
    expect(a.lease.holder).toBe('thief');
    expect(spec()).toMatchObject(theirs);
  });

  it('that makes no sense is nobody’s', async () => {
    await open();
    const metadata = { name: 'metallb-controller', namespace: 'metallb-system' };
    door.fake.put(LEASE_PATH, {
      metadata,
      spec: { holderIdentity: 7, leaseDurationSeconds: 'x', leaseTransitions: -1 },
    });
    const a = replica('a');
    await watch('a leads', () => a.lease.leads(), a);
    expect(spec()).toMatchObject({ holderIdentity: 'a', leaseTransitions: 1 });
  });

  it('of the name that its holder had before is taken back at once', async () => {
    await open();
    const a = replica('a');
    await watch('a leads', () => a.lease.leads(), a);
    await a.leave();
    const again = replica('a');
    const from = door.clock.now();
    await watch('it leads', () => again.lease.leads(), again);
    expect(door.clock.now() - from).toBeLessThan(2_000);
  });

  it('is not needed where it is forbidden: one replica leads, with a warning; and is joined when it is allowed', async () => {
    await open();
    const text = 'leases is forbidden: User "system:serviceaccount:metallb-system:controller" cannot get resource';
    const forbidden = { status: 403, body: statusOf(403, 'Forbidden', text) };
    door.fake.fail(() => true, forbidden, 1_000);
    const a = replica('a');
    await settle();
    expect(a.lease.leads()).toBe(false);
    const from = door.clock.now();
    await watch('a leads alone', () => a.lease.leads(), a);
    // longer than an API server needs that just started
    expect(door.clock.now() - from).toBeGreaterThanOrEqual(15_000);
    expect(door.clock.now() - from).toBeLessThan(17_000);
    expect(a.reports.at(-1)).toMatchObject({
      is: 'leading-alone',
      text: expect.stringMatching(/controller has no right to get leases.*only one replica may run$/),
    });
    door.fake.mend();
    const mended = door.clock.now();
    const taken: (seen: Seen) => boolean = ({ method }) => method === 'POST';
    await watch('it is joined', () => door.fake.seen.some(taken), a);
    expect(door.clock.now() - mended).toBeLessThanOrEqual(2_100);
    expect(a.changes).toEqual([true]);
    expect(spec()).toMatchObject({ holderIdentity: 'a' });
  });

  it('is not led without by two, where an API server that just started forbids it for some seconds', async () => {
    await open();
    const forbidden = { status: 403, body: statusOf(403, 'Forbidden', 'User "x" cannot get resource') };
    door.fake.fail(() => true, forbidden, 1_000);
    const [a, b] = [replica('a'), replica('b')];
    const from = door.clock.now();
    await watch('ten seconds', () => door.clock.now() - from > 10_000, a, b);
    door.fake.mend();
    await watch('one leads', () => a.lease.leads() || b.lease.leads(), a, b);
    const then = door.clock.now();
    await watch('a minute', () => door.clock.now() - then > 60_000, a, b);
    expect([...a.reports, ...b.reports].filter(({ is }) => is === 'leading-alone')).toEqual([]);
  });

  it('ends the lead of all but one within 2 s of the moment it is allowed', async () => {
    await open();
    const forbidden = { status: 403, body: statusOf(403, 'Forbidden', 'User "x" cannot get resource') };
    door.fake.fail(() => true, forbidden, 1_000);
    const [a, b] = [replica('a'), replica('b')];
    await door.pass('both lead, as they were warned', () => a.lease.leads() && b.lease.leads(), 100);
    door.fake.mend();
    const from = door.clock.now();
    await door.pass('one of them stops', () => !(a.lease.leads() && b.lease.leads()), 100);
    expect(door.clock.now() - from).toBeLessThanOrEqual(2_100);
    const then = door.clock.now();
    await watch('a minute', () => door.clock.now() - then > 60_000, a, b);
    expect([...a.changes, ...b.changes].filter(Boolean)).toHaveLength(2);
  });

  it('that is forbidden goes on being so while the server is in trouble, and not when it gives another answer', async () => {
    await open();
    const forbidden = { status: 403, body: statusOf(403, 'Forbidden', 'User "x" cannot get resource') };
    door.fake.fail(() => true, forbidden, 1_000);
    const a = replica('a');
    await watch('a leads alone', () => a.lease.leads(), a);
    door.fake.mend();
    door.fake.fail(() => true, { status: 503 }, 1_000);
    const from = door.clock.now();
    await watch('ten seconds of trouble', () => door.clock.now() - from > 10_000, a);
    expect(a.changes).toEqual([true]);
    door.fake.mend();
    door.fake.fail(() => true, { status: 422 }, 1_000);
    await watch('a stops', () => !a.lease.leads(), a);
    expect(a.changes).toEqual([true, false]);
  });

  it('holds for the rest of 15 s from when its renewal was asked for', async () => {
    await open();
    const a = replica('a');
    expect(a.lease.restMs).toBe(0);
    await watch('a leads', () => a.lease.leads(), a);
    await settle();
    const rest = a.lease.restMs;
    expect(rest).toBeLessThanOrEqual(15_000);
    expect(rest).toBeGreaterThan(12_800);
    door.fake.fail(() => true, { status: 500 }, 1_000);
    await door.clock.advance(9_000 - (15_000 - rest));
    expect([a.lease.leads(), a.lease.restMs]).toEqual([true, 6_000]);
  });

  it('is not taken for forbidden when it was allowed before', async () => {
    await open();
    const a = replica('a');
    await watch('a leads', () => a.lease.leads(), a);
    door.fake.fail(() => true, { status: 403, body: statusOf(403, 'Forbidden', 'User "x" cannot') }, 1_000);
    await watch('a stops', () => a.changes.length === 2, a);
    const from = door.clock.now();
    await watch('a minute', () => door.clock.now() - from > 60_000, a);
    expect(a.lease.leads()).toBe(false);
  });

  it('has a kind that the API server serves', () => {
    expect(`${LEASES.path}/${LEASES.plural}`).toBe(LEASE_PATH);
  });
});
