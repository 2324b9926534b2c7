// Who else writes the statuses of a speaker is not fought with: writes come in turn, and ever slower.

import { expect, it } from 'vitest';
import { SERVICE_BGP_STATUSES } from '../../src/k8s/kind.ts';
import type { Write } from '../../src/k8s/write.ts';
import type { ServicePlan } from '../../src/plan/plan.ts';
import { BGP_STATUS, type SeenStatus } from '../../src/plan/service-status.ts';
import { StatusWriter } from '../../src/process/status-writer.ts';
import { HandClock } from '../k8s/hand-clock.ts';
import { ip, prefix } from '../plan/cluster.ts';

const announced: ServicePlan = {
  ips: [ip('203.0.113.1')],
  bgp: { announced: [{ prefix: prefix('203.0.113.1/32'), peers: ['tor'] }] },
  layer2: { withheld: { reason: 'notOwner', message: '' } },
  candidacies: [],
};

function scene(seen: () => readonly SeenStatus[], reading: object = { synced: true }) {
  const clock = new HandClock();
  const wanted: Write[] = [];
  const changes = { count: 0 };
  const writer = new StatusWriter({
    ...{ of: BGP_STATUS, kind: SERVICE_BGP_STATUSES, node: 'n1', namespace: 'lb', clock },
    queue: { want: (write) => wanted.push(write), unwant: () => undefined },
    watched: { store: { map: () => new Map() }, synced: false, state: undefined, ...reading } as never,
    own: () => new Map([['app/web', seen()]]),
    changed: () => changes.count++,
  });
  /** One look; what is asked for is done at once. */
  const look = (): readonly string[] => {
    writer.write(new Map([['app/web', announced]]), undefined);
    return wanted.splice(0).map(({ target, change, done }) => {
      done?.();
      return `${change.do} ${target.name}`;
    });
  };
  return { clock, look, changes, writer };
}

it('an object under our name that is of no use goes before ours is made', () => {
  // SHA-256 of "n1 app/web" begins so
  const name = 'bgp-98a9011902f5601b';
  const wrong = { node: 'n9', serviceName: 'web', serviceNamespace: 'app', names: ['tor'] };
  const stray = { name, uid: 'u', service: 'app/web', node: 'n1', owners: [], status: wrong };
  let seen: readonly SeenStatus[] = [stray];
  const { look } = scene(() => seen);
  expect(look()).toEqual([`delete ${name}`]);
  seen = [];
  expect(look()).toEqual([`create ${name}`]);
  // of another name both at once
  seen = [{ ...stray, name: 'bgp-x7k2p' }];
  expect(scene(() => seen).look()).toEqual(['delete bgp-x7k2p', `create ${name}`]);
});

it('what somebody undoes each time is written ever more rarely, and without a pause again after a quiet minute', async () => {
  const { clock, look, changes } = scene(() => []);
  const times: number[] = [];
  const start = clock.now();
  for (let at = 0; at < 130_000; at += 100) {
    if (look().length > 0) times.push(at);
    await clock.advance(100);
  }
  const pauses = times.map((at, i) => at - (times[i - 1] ?? at));
  expect(pauses).toEqual([0, 100, 100, 100, 100, 100, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  // it asks to be looked at when a pause is over
  expect(changes.count).toBeGreaterThanOrEqual(times.length);
  await clock.advance(start + 200_000 - clock.now());
  expect([look().length, look().length]).toEqual([1, 1]);
});

it('what was announced before is waited for while the server is only busy, not where there is nothing to be read', () => {
  const decided = (reading: object): boolean => scene(() => [], reading).writer.isDecided;
  const busy = { is: 'waiting', problem: '429 Too Many Requests', denied: false };
  expect(decided({ state: busy })).toBe(false);
  expect(decided({ state: { ...busy, problem: '403 Forbidden', denied: true } })).toBe(true);
  expect(decided({ state: { ...busy, is: 'absent' } })).toBe(true);
  expect(decided({ synced: true, state: busy })).toBe(true);
});
