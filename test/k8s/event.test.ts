// Events about objects: what the API server gets for one happening, for its repetitions, and for very many.

import { describe, expect, it } from 'vitest';
import { ApiError } from '../../src/k8s/api-error.ts';
import { Events, type Happening } from '../../src/k8s/event.ts';
import { EVENTS } from '../../src/k8s/kind.ts';
import type { Write } from '../../src/k8s/write.ts';
import { HandClock } from './hand-clock.ts';

function recorder(instance = 'speaker-abc') {
  const clock = new HandClock();
  const wanted: Write[] = [];
  const events = new Events({
    queue: { want: (write) => wanted.push(write) },
    component: 'metallb-speaker',
    host: 'node-1',
    instance,
    clock,
  });
  return { clock, wanted, events };
}

const web = { apiVersion: 'v1', kind: 'Service', namespace: 'app', name: 'web', uid: 'u1' };
const assigned = (message = 'announcing', more: Partial<Happening> = {}): Happening => ({
  regarding: web,
  type: 'Normal',
  reason: 'nodeAssigned',
  message,
  ...more,
});

describe('events', () => {
  it('have names that two processes do not choose at the same moment', () => {
    const names = ['speaker-abc', 'speaker-xyz'].map((instance) => {
      const { events, wanted } = recorder(instance);
      events.emit(assigned());
      return wanted[0]?.target.name;
    });
    expect(new Set(names).size).toBe(2);
  });

  it('are core/v1 Events as kubectl describe reads them', () => {
    const { events, wanted } = recorder();
    events.emit(assigned());
    expect(wanted).toHaveLength(1);
    expect(wanted[0]).toMatchObject({
      target: { kind: EVENTS, namespace: 'app', name: expect.stringMatching(/^web\.[0-9a-f]{24}$/) },
      rank: 'inform',
      change: {
        do: 'create',
        object: {
          apiVersion: 'v1',
          kind: 'Event',
          metadata: { namespace: 'app', name: wanted[0]?.target.name },
          involvedObject: web,
          type: 'Normal',
          reason: 'nodeAssigned',
          message: 'announcing',
          count: 1,
          firstTimestamp: '2026-11-01T00:16:40Z',
          lastTimestamp: '2026-11-01T00:16:40Z',
          source: { component: 'metallb-speaker', host: 'node-1' },
          reportingComponent: 'metallb-speaker',
          reportingInstance: 'speaker-abc',
        },
      },
    });
  });

  it('wait for those before them when they are many, and say when they happened', async () => {
    const { events, wanted, clock } = recorder();
    const named = (i: number) => ({ ...web, name: `web-${i}`, uid: `u${i}` });
    for (let i = 0; i < 1_000; i++) events.emit(assigned('announcing', { regarding: named(i) }));
    expect(wanted).toHaveLength(200);
    await clock.advance(60_000);
    wanted[0]?.done?.();
    wanted[7]?.failed?.(new ApiError({ verb: 'create', kind: EVENTS }, 422, 'no'));
    expect(wanted).toHaveLength(202);
    expect(wanted[201]?.change).toMatchObject({
      object: { involvedObject: named(201), lastTimestamp: '2026-11-01T00:16:40Z' },
    });
    for (let at = 1; at < wanted.length; at++) if (at !== 7) wanted[at]?.done?.();
    expect(wanted.map(({ target }) => target.name.split('.')[0])).toEqual(
      Array.from({ length: 1_000 }, (_, i) => `web-${i}`),
    );
  });

  it('that happen again within 10 minutes are counted in the one that is there', async () => {
    const { events, wanted, clock } = recorder();
    events.emit(assigned());
    wanted[0]?.done?.();
    await clock.advance(599_000);
    events.emit(assigned());
    expect(wanted[1]?.target).toEqual(wanted[0]?.target);
    expect(wanted[1]?.change).toMatchObject({
      do: 'patch',
      patch: { count: 2, message: 'announcing', lastTimestamp: '2026-11-01T00:26:39Z' },
    });
    wanted[1]?.done?.();
    await clock.advance(601_000);
    events.emit(assigned());
    expect(wanted[2]?.target.name).not.toBe(wanted[0]?.target.name);
    expect(wanted[2]?.change).toMatchObject({ do: 'create', object: { count: 1 } });
  });

  it('that were not written yet are written with their count', () => {
    const { events, wanted } = recorder();
    events.emit(assigned());
    events.emit(assigned());
    expect(wanted[1]?.target).toEqual(wanted[0]?.target);
    // the first may be under way: then there is something to patch
    expect(wanted[1]?.change).toMatchObject({ do: 'create', object: { count: 2 }, patch: { count: 2 } });
  });

  it('that could not be written are forgotten', () => {
    const { events, wanted } = recorder();
    events.emit(assigned());
    wanted[0]?.done?.();
    events.emit(assigned());
    wanted[1]?.failed?.(new ApiError({ verb: 'patch', kind: EVENTS }, 404, 'gone'));
    events.emit(assigned());
    expect(wanted[2]?.change).toMatchObject({ do: 'create', object: { count: 1 } });
  });

  it('differ by object, type, reason and message', () => {
    const { events, wanted } = recorder();
    events.emit(assigned());
    events.emit(assigned('by layer2'));
    events.emit(assigned('announcing', { type: 'Warning' }));
    events.emit(assigned('announcing', { reason: 'other' }));
    events.emit(assigned('announcing', { regarding: { ...web, uid: 'u2' } }));
    expect(new Set(wanted.map(({ target }) => target.name)).size).toBe(5);
  });

  it('of one reason become one after ten messages', () => {
    const { events, wanted } = recorder();
    for (let i = 0; i < 30; i++) {
      events.emit(assigned(`message ${i}`));
      wanted.at(-1)?.done?.();
    }
    expect(new Set(wanted.map(({ target }) => target.name)).size).toBe(11);
    expect(wanted.at(-1)?.change).toMatchObject({
      do: 'patch',
      patch: { count: 20, message: '(combined from similar events): message 29' },
    });
    events.emit(assigned('message 3'));
    expect(wanted.at(-1)?.change).toMatchObject({ patch: { count: 2, message: 'message 3' } });
  });

  it('have names and messages that the API server takes', () => {
    const { events, wanted } = recorder();
    events.emit(assigned('x'.repeat(5_000), { regarding: { ...web, name: 'n'.repeat(253) } }));
    events.emit(assigned('about a node', { regarding: { apiVersion: 'v1', kind: 'Node', name: 'n' } }));
    expect(wanted[0]?.target.name.length).toBeLessThanOrEqual(253);
    expect(wanted[0]?.change).toMatchObject({ object: { message: 'x'.repeat(1_024) } });
    expect(wanted[1]?.target.namespace).toBe('default');
  });

  it('that are not taken are tried five times each; of more than 20,000 that wait the oldest go', () => {
    const { events, wanted } = recorder();
    for (let i = 0; i < 20_300; i++) events.emit(assigned('a', { regarding: { ...web, name: `s${i}` } }));
    expect(wanted).toHaveLength(200);
    expect(new Set(wanted.map(({ tries }) => tries))).toEqual(new Set([5]));
    wanted[0]?.done?.();
    expect(wanted.at(-1)?.target.name).toMatch(/^s300\./);
  });

  it('cost a bounded amount of memory', () => {
    const { events, wanted } = recorder();
    for (let i = 0; i < 10_000; i++) {
      events.emit(assigned('a', { regarding: { ...web, name: `s${i}` } }));
      // the last ones are still to be created when they are counted
      if (i < 9_990) wanted.at(-1)?.done?.();
    }
    events.emit(assigned('a', { regarding: { ...web, name: 's9999' } }));
    events.emit(assigned('a', { regarding: { ...web, name: 's0' } }));
    expect(wanted.slice(-2).map(({ change }) => (change.do === 'create' ? change.object['count'] : 0))).toEqual([2, 1]);
  });
});
