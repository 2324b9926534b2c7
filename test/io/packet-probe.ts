// The packet thread of tests: its machine does the effects that it is given and reports every event. It lives in a network
// namespace, which is a thread's own (setns(2)).

import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';
import type { ThreadEvent } from '../../src/io/packet/loop.ts';
import { runPacketThread } from '../../src/io/packet/worker.ts';
import { OFF, type Step, type Tick } from '../../src/net/machine.ts';
import type { PacketEffect, PacketEvent } from '../../src/net/packet-io.ts';

export interface ProbeWanted {
  readonly effects?: readonly PacketEffect[];
  /** Datagrams go back to where they came from, by the same socket. */
  readonly bounce?: boolean;
  /** Events of these kinds are counted only. */
  readonly quiet?: readonly PacketEvent['on'][];
  /** This effect again and again. */
  readonly repeat?: { readonly everyMs: number; readonly effect: PacketEffect };
  /** The thread does nothing for so long. */
  readonly stallMs?: number;
  /** The thread is stuck in a system call for so long. */
  readonly stuckS?: number;
  readonly fault?: string;
}

export type ProbeReport =
  | { readonly report: 'event'; readonly event: PacketEvent; readonly at: number }
  | { readonly report: 'left' };

export interface ProbeView {
  readonly counts: Readonly<Record<string, number>>;
  /** Between two datagrams, at most, in ms. */
  readonly longestGapMs: number;
  /** After the instant that was asked for, in ms: of each repetition. */
  readonly late: readonly number[];
  /** Events of the network between two ticks, at most. */
  readonly mostBetweenTicks: number;
}

interface State {
  wanted: ProbeWanted;
  readonly counts: Record<string, number>;
  dueAt: number;
  lastDatagramAt: number;
  longestGapMs: number;
  late: number[];
  sinceTick: number;
  mostBetweenTicks: number;
}

type Effect = PacketEffect | ProbeReport;

/** Called by an entry that names the namespace. */
export function probe(namespace: string): void {
  enterNamespace(namespace);
  runPacketThread<State, ProbeWanted, ProbeReport, ProbeView>({
    create: () => ({
      ...{ wanted: {}, counts: {}, dueAt: OFF, lastDatagramAt: OFF, longestGapMs: 0, late: [] },
      ...{ sinceTick: 0, mostBetweenTicks: 0 },
    }),
    step,
    dueAt: ({ dueAt }) => dueAt,
    view: ({ counts, longestGapMs, late, mostBetweenTicks }) => ({
      ...{ counts: { ...counts }, longestGapMs, late: [...late], mostBetweenTicks },
    }),
  });
}

/** For a Worker: a module that calls this function of that file with the namespace. */
export function entryIn(namespace: string, file: string, name: string): URL {
  const module = `import { ${name} } from ${JSON.stringify(file)}; ${name}(${JSON.stringify(namespace)});`;
  return new URL(`data:text/javascript,${encodeURIComponent(module)}`);
}

export function probeEntry(namespace: string): URL {
  return entryIn(namespace, import.meta.url, 'probe');
}

function step(state: State, event: ThreadEvent<ProbeWanted> | { on: 'tick' }, { now }: Tick): Step<State, Effect> {
  switch (event.on) {
    case 'wanted':
      return [state, want(state, event.wanted, now)];
    case 'leave':
      return [state, [{ report: 'left' }]];
    case 'tick': {
      const { repeat } = state.wanted;
      state.mostBetweenTicks = Math.max(state.mostBetweenTicks, state.sinceTick);
      state.sinceTick = 0;
      state.late.push(now - state.dueAt);
      state.dueAt += repeat?.everyMs ?? OFF;
      return [state, repeat === undefined ? [] : [repeat.effect]];
    }
    default:
      return [state, hear(state, event, now)];
  }
}

function want(state: State, wanted: ProbeWanted, now: number): readonly Effect[] {
  state.wanted = wanted;
  state.longestGapMs = 0;
  state.lastDatagramAt = OFF;
  state.late = [];
  state.sinceTick = 0;
  state.mostBetweenTicks = 0;
  state.dueAt = wanted.repeat === undefined ? OFF : now + wanted.repeat.everyMs;
  if (wanted.fault !== undefined) throw new Error(wanted.fault);
  for (const end = performance.now() + (wanted.stallMs ?? 0); performance.now() < end; );
  if (wanted.stuckS !== undefined) koffi.load(null).func('uint32_t sleep(uint32_t)')(wanted.stuckS);
  return wanted.effects ?? [];
}

function hear(state: State, event: PacketEvent, now: number): readonly Effect[] {
  state.sinceTick++;
  state.counts[event.on] = (state.counts[event.on] ?? 0) + 1;
  const effects: Effect[] = state.wanted.quiet?.includes(event.on) ? [] : [{ report: 'event', event, at: now }];
  if (event.on !== 'datagram') return effects;
  if (state.lastDatagramAt !== OFF) state.longestGapMs = Math.max(state.longestGapMs, now - state.lastDatagramAt);
  state.lastDatagramAt = now;
  const { socket, from: to, bytes } = event;
  return state.wanted.bounce ? [...effects, { do: 'udp-send', socket, to, bytes }] : effects;
}

/** For the thread that calls it, and what it opens from then on. */
export function enterNamespace(namespace: string): void {
  const path = `/run/netns/${namespace}`;
  const CLONE_NEWNET = 0x40000000;
  const fd = openSync(path, 'r');
  const failed = koffi.load(null).func('int setns(int, int)')(fd, CLONE_NEWNET) !== 0;
  closeSync(fd);
  if (failed) throw new Error(`cannot enter ${path}`);
}
