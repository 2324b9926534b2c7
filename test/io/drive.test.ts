// The loop around a machine: order of events, one timer, and input before timers.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Drive } from '../../src/io/drive.ts';
import { OFF } from '../../src/net/machine.ts';
import { until } from './sockets.ts';

type Event = { readonly on: 'go'; readonly dueIn: number } | { readonly on: 'input' };
interface State {
  due: number;
  readonly log: string[];
  readonly ticks: number[];
}

function driven(carry: (effect: string) => void = () => undefined) {
  const state: State = { due: OFF, log: [], ticks: [] };
  const drive: Drive<State, Event, string> = new Drive<State, Event, string>(
    {
      dueAt: (s) => s.due,
      step: (s, event, { now, random }) => {
        expect(random).toBeGreaterThanOrEqual(0);
        expect(random).toBeLessThan(1);
        s.log.push(event.on);
        if (event.on === 'go') s.due = now + event.dueIn;
        if (event.on === 'tick') {
          s.ticks.push(now - s.due);
          s.due = OFF;
        }
        return [s, event.on === 'go' ? ['asked'] : []];
      },
    },
    state,
    carry,
  );
  return { drive, state };
}

describe('drive', () => {
  it('wakes the machine when it is due, never before', async () => {
    const { drive, state } = driven();
    drive.handle({ on: 'go', dueIn: 20.4 });
    await until('a tick', () => (state.ticks.length > 0 ? true : undefined));
    expect(state.ticks[0]).toBeGreaterThanOrEqual(0);
    expect(state.log).toEqual(['go', 'tick']);
  });

  it('follows a timer that moves, both ways', async () => {
    const { drive, state } = driven();
    drive.handle({ on: 'go', dueIn: 60_000 });
    drive.handle({ on: 'go', dueIn: 5 });
    await until('the earlier one', () => (state.ticks.length === 1 ? true : undefined));
    drive.handle({ on: 'go', dueIn: 5 });
    drive.handle({ on: 'go', dueIn: 40 });
    await until('the later one', () => (state.ticks.length === 2 ? true : undefined));
    expect(state.ticks[1]).toBeGreaterThanOrEqual(0);
    drive.end();
  });

  it('handles an event that an effect brought about after the step, not within it', () => {
    const seen: string[] = [];
    const { drive, state } = driven((effect) => {
      seen.push(effect);
      drive.handle({ on: 'input' });
      seen.push(`after ${state.log.join()}`);
    });
    drive.handle({ on: 'go', dueIn: 60_000 });
    expect(seen).toEqual(['asked', 'after go']);
    expect(state.log).toEqual(['go', 'input']);
    drive.end();
  });

  it('lets input that has arrived come before a timer that is late', async () => {
    const { drive, state } = driven();
    const server = createServer((socket) => socket.on('data', () => drive.handle({ on: 'input' })));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
    const [accepted] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
    drive.handle({ on: 'go', dueIn: 5 });
    client.write('x'); // in the kernel now; nobody reads before this turn is over
    const busyUntil = performance.now() + 30;
    while (performance.now() < busyUntil);
    await until('the tick', () => (state.ticks.length === 1 ? true : undefined));
    expect(state.log).toEqual(['go', 'input', 'tick']);
    client.destroy();
    accepted[0].destroy();
    server.close();
  });

  it('does nothing after its end', async () => {
    const { drive, state } = driven();
    drive.handle({ on: 'go', dueIn: 1 });
    drive.end();
    drive.handle({ on: 'input' });
    await sleep(20);
    expect(state.log).toEqual(['go']);
  });

  it('remembers the last events, without what they carried', () => {
    const { drive } = driven();
    for (let i = 0; i < 100; i++) drive.handle({ on: 'input' });
    expect(drive.recent).toHaveLength(64);
    expect(drive.recent[0]).toMatch(/^\d+\.\d input$/);
    drive.end();
  });
});
