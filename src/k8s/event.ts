// core/v1 Events about objects, as `kubectl describe` shows them. What happens again within 10 minutes is counted in the
// Event that is there, and so are many different messages for one reason: a Service that flaps makes no flood. They go
// through the write queue as what only informs, a few at a time. Used by controller and speaker, one for as long as one
// queue does not forget.

import { createHash } from 'node:crypto';
import type { Target } from './api.ts';
import { type Clock, systemClock } from './clock.ts';
import { EVENTS } from './kind.ts';
import type { JsonObject } from './merge-patch.ts';
import type { WriteQueue } from './write.ts';

/** An object as an Event refers to it. */
export interface Regarding {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly uid?: string;
}

export interface Happening {
  readonly regarding: Regarding;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

export interface EventOptions {
  readonly queue: Pick<WriteQueue, 'want'>;
  /** As MetalLB's users filter for it. */
  readonly component: 'metallb-controller' | 'metallb-speaker';
  /** The node, where one speaks. */
  readonly host?: string;
  /** Who we are among several of the component: the Pod's name. */
  readonly instance: string;
  readonly clock?: Clock;
}

const SERIES_MS = 10 * 60_000;
/** Different messages of one reason about one object, before they become one Event: client-go's figure. */
const MESSAGES = 10;
const LONGEST_MESSAGE = 1_024;
const COMBINED = '(combined from similar events): ';
/** Series that are remembered; the oldest is forgotten first. */
const REMEMBERED = 4_096;
/** So many are in the queue at a time: ten thousand that wait take a fifth of the memory before they are objects. */
const WINDOW = 200;
/** The oldest that waits goes when there are more: a server that takes none must not cost memory without end. */
const MOST_WAITING = 20_000;
/** A quarter of a minute: what was told later than that would be no news, and those behind it wait meanwhile. */
const TRIES = 5;

interface Series {
  readonly target: Target;
  readonly first: string;
  count: number;
  lastAt: number;
  /** The server has it. */
  created: boolean;
}

export class Events {
  readonly #options: Required<Omit<EventOptions, 'host'>> & Pick<EventOptions, 'host'>;
  /** By object, type, reason and message; or without message, once there were many. */
  readonly #series = new Map<string, Series>();
  /** By object, type and reason: the messages there were, and when. */
  readonly #messages = new Map<string, Map<string, number>>();
  /** Of those in the queue: the names. */
  readonly #handed = new Set<string>();
  /** The others, the oldest first. */
  readonly #waiting = new Set<{ readonly happening: Happening; readonly date: Date }>();
  /** Ours among the names of Events: eight hexadecimal digits. */
  readonly #mark: string;
  #minted = 0;

  constructor({ clock = systemClock, ...options }: EventOptions) {
    this.#options = { ...options, clock };
    this.#mark = createHash('sha256').update(options.instance).digest('hex').slice(0, 8);
  }

  emit(happening: Happening): void {
    this.#waiting.add({ happening, date: this.#options.clock.date() });
    this.#hand();
    const [oldest] = this.#waiting;
    if (this.#waiting.size > MOST_WAITING && oldest !== undefined) this.#waiting.delete(oldest);
  }

  #hand(): void {
    for (const next of this.#waiting) {
      if (this.#handed.size >= WINDOW) return;
      this.#waiting.delete(next);
      this.#put(next.happening, next.date);
    }
  }

  #put(happening: Happening, date: Date): void {
    const { regarding, type, reason } = happening;
    const now = this.#options.clock.now();
    const subject = JSON.stringify([regarding.kind, regarding.namespace, regarding.name, regarding.uid, type, reason]);
    const text = happening.message.slice(0, LONGEST_MESSAGE);
    const combined = this.#isOneOfMany(subject, text, now);
    const message = combined ? `${COMBINED}${text}`.slice(0, LONGEST_MESSAGE) : text;
    const key = combined ? subject : `${subject} ${text}`;
    const at = `${date.toISOString().slice(0, 19)}Z`;
    const known = this.#series.get(key);
    const series =
      known !== undefined && now - known.lastAt <= SERIES_MS
        ? known
        : { target: this.#targetFor(regarding, date), first: at, count: 0, lastAt: now, created: false };
    series.count++;
    series.lastAt = now;
    bounded(this.#series, key, series);
    this.#write(series, { ...happening, message }, at, () => this.#series.delete(key));
  }

  #isOneOfMany(subject: string, message: string, now: number): boolean {
    const messages = this.#messages.get(subject) ?? new Map<string, number>();
    for (const [text, at] of messages) if (now - at > SERIES_MS) messages.delete(text);
    const many = messages.size >= MESSAGES && !messages.has(message);
    if (!many) messages.set(message, now);
    bounded(this.#messages, subject, messages);
    return many;
  }

  #write(series: Series, happening: Happening, at: string, failed: () => void): void {
    const { target, count } = series;
    const patch = { count, message: happening.message, lastTimestamp: at };
    const change = series.created
      ? ({ do: 'patch', patch, again: () => patch } as const)
      : ({ do: 'create', object: this.#object(series, happening, at), patch } as const);
    const settle = (then: () => void) => () => {
      then();
      this.#handed.delete(target.name);
      this.#hand();
    };
    const created = () => {
      series.created = true;
    };
    this.#handed.add(target.name);
    const outcome = { done: settle(created), failed: settle(failed) };
    this.#options.queue.want({ target, rank: 'inform', change, tries: TRIES, ...outcome });
  }

  #object({ target, count, first }: Series, { regarding, type, reason, message }: Happening, at: string): JsonObject {
    const { component, host, instance } = this.#options;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { namespace: target.namespace, name: target.name },
      involvedObject: regarding,
      ...{ type, reason, message, count, firstTimestamp: first, lastTimestamp: at },
      source: { component, ...(host !== undefined && { host }) },
      reportingComponent: component,
      reportingInstance: instance,
    };
  }

  /** As client-go's: the object's name, and the time in hexadecimal nanoseconds; then who we are: others tell of it at the same moment. */
  #targetFor({ namespace = 'default', name }: Regarding, date: Date): Target {
    this.#minted = (this.#minted + 1) % 1_000_000;
    const stamp = BigInt(date.getTime()) * 1_000_000n + BigInt(this.#minted);
    return { kind: EVENTS, namespace, name: `${name.slice(0, 228)}.${stamp.toString(16)}${this.#mark}` };
  }
}

/** Sets, as the newest; the oldest goes when there are too many. */
function bounded<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > REMEMBERED && oldest !== undefined) map.delete(oldest);
}
