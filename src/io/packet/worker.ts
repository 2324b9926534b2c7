// The packet thread's side of its two ways: what main wants comes in, reports and views go out, and a fault takes the last
// events with it. Called by the thread's entry with the machine to drive; the other side is io/packet-thread.

import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { PacketLoop, type ThreadMachine } from './loop.ts';

/** What main gives the thread at its start. */
export interface ThreadStart {
  /** The descriptor that main writes to after each message. */
  readonly wake: number;
  /** Main's `performance.now()` is 0 at this instant of the monotonic clock, in ns. */
  readonly origin: bigint;
}

export type ToThread<Wanted> =
  | { readonly say: 'wanted'; readonly wanted: Wanted }
  | { readonly say: 'leave' }
  | { readonly say: 'view' }
  /** Answered by the same, if by nothing else. */
  | { readonly say: 'beat' }
  | { readonly say: 'end' };

export type FromThread<Report, View> =
  | { readonly say: 'reports'; readonly reports: readonly Report[] }
  | { readonly say: 'view'; readonly view: View }
  | { readonly say: 'beat' }
  | { readonly say: 'crash'; readonly recent: readonly string[] };

/** A machine to drive in a thread; instants in its reports and views are on main's clock. */
export interface ThreadParts<State, Wanted, Report extends { readonly report: string }, View>
  extends ThreadMachine<State, Wanted, Report> {
  readonly create: () => State;
  readonly view: (state: State, now: number) => View;
}

/** Runs for ever, until main says `end` or the machine throws. */
export function runPacketThread<State, Wanted, Report extends { readonly report: string }, View>(
  parts: ThreadParts<State, Wanted, Report, View>,
): void {
  const port = parentPort;
  if (port === null) throw new Error('this is the entry of a thread, not of a process');
  const { wake, origin }: ThreadStart = workerData;
  const say = (message: FromThread<Report, View>): void => port.postMessage(message);
  // each thread's performance.now() begins with it
  const ahead = Number(process.hrtime.bigint() - origin) / 1e6 - performance.now();
  const clock = () => performance.now() + ahead;
  let isRunning = true;
  let reports: Report[] = [];
  const loop = new PacketLoop<State, Wanted, Report>(parts, parts.create(), wake, {
    clock,
    report: (report) => reports.push(report),
    messages: () => {
      for (const message of messagesOf<Wanted>(port)) {
        if (message.say === 'end') isRunning = false;
        else if (message.say === 'view') say({ say: 'view', view: parts.view(loop.state, clock()) });
        else if (message.say === 'beat') say({ say: 'beat' });
        else loop.handle(message.say === 'wanted' ? { on: 'wanted', wanted: message.wanted } : { on: 'leave' });
      }
    },
  });
  const turn = () => {
    try {
      loop.turn();
    } catch (fault) {
      say({ say: 'crash', recent: loop.recent });
      throw fault;
    }
    if (reports.length > 0) say({ say: 'reports', reports });
    reports = [];
    if (isRunning) setImmediate(turn);
    else {
      loop.end();
      port.close();
    }
  };
  turn();
}

function* messagesOf<Wanted>(port: MessagePort): Generator<ToThread<Wanted>> {
  for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) yield next.message;
}
