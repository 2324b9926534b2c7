// What clients see of the Service, all the time: a process a client, its requests of the last minutes, and, for people,
// a line a second that is drawn over the one before, with lines that stay for what happens. Called by cluster.ts.

import { join } from 'node:path';
import { Child } from '../src/cli/children.ts';
import { until } from '../test/interop/process.ts';
import { answerers, LEAST_A_SECOND, ms, outages, type Request } from './answers.ts';
import { EVERY_MS, now, PATIENCE_MS } from './client.ts';
import type { Stage, Vip } from './stage.ts';

const CLIENT = join(import.meta.dirname, 'client.ts');
const KEPT_MS = 300_000;
const SECOND = 1_000;
/** What became of a request is known by then: a lost one later than one that was made after it and answered. */
export const KNOWN_MS = PATIENCE_MS + 2 * EVERY_MS;
/** In so many requests every path of three is taken, but for one in 60,000 times. */
const SHAPE_MS = 3_000;

/** One client, and what it saw. */
export class View {
  readonly vip: Vip;
  readonly #child: Child;
  #requests: Request[] = [];
  /** Outages up to here were told of, or are no news. */
  #toldTo = 0;

  constructor(vip: Vip, namespace: string, failed: (why: string) => void) {
    this.vip = vip;
    const command = ['nsenter', `--net=/run/netns/${namespace}`, process.execPath, CLIENT, `http://${vip.address}/`];
    this.#child = new Child(
      `the client of ${vip.name}`,
      command,
      (line) => this.#requests.push(JSON.parse(line)),
      failed,
    );
  }

  /** Requests made since an instant that have ended by now; old ones are forgotten. */
  since(at: number): readonly Request[] {
    const oldest = now() - KEPT_MS;
    if ((this.#requests[0]?.at ?? oldest) < oldest) this.#requests = this.#requests.filter((each) => each.at >= oldest);
    return this.#requests.filter((each) => each.at >= at);
  }

  /** Requests that ended in the last so many milliseconds. */
  ended(withinMs: number): readonly Request[] {
    const from = now() - withinMs;
    return this.since(from - SECOND).filter(({ at, tookMs }) => at + tookMs >= from);
  }

  /** Who answered in the last second, as `n1 5, n2 5`. */
  summary(): string {
    const ended = this.ended(SECOND);
    const lost = lostOf(ended);
    const parts = [...answerers(ended)].map(([pod, count]) => `${nodeOf(pod)} ${count}`);
    return [...parts, ...(lost > 0 ? [`${lost} lost`] : []), ...(ended.length === 0 ? ['nothing'] : [])].join(', ');
  }

  /** Who answers these days, and whether all is answered: what a line has to change in to be worth another. */
  shape(): string {
    return [...answerers(this.ended(SHAPE_MS)).keys(), lostOf(this.ended(SECOND)) > 0].join();
  }

  /** Outages that are over and were not told of yet, in words. */
  news(): readonly string[] {
    const known = now() - KNOWN_MS;
    const over = outages(this.since(this.#toldTo).filter(({ at }) => at < known));
    this.#toldTo = over.at(-1)?.to ?? this.#toldTo;
    return over.map(
      ({ from, to, lost, asked, error }) =>
        `${this.vip.name} ${this.vip.address}: ${lost} of ${asked} requests lost in ${ms(to - from)} (${error})`,
    );
  }

  /** What was before is no news. */
  forget(): void {
    this.#toldTo = now();
  }

  end(): Promise<void> {
    return this.#child.end();
  }
}

/** Waits until all who should do answer and, for a while, nothing was lost: kube-proxy may be later than the router. */
export async function untilWhole(views: readonly View[], nodes: number): Promise<void> {
  const isWhole = (view: View): boolean => {
    const last = view.ended(SHAPE_MS);
    const wanted = view.vip.answeredBy === 'all' ? nodes : 1;
    const isOften = last.length >= (SHAPE_MS / SECOND) * LEAST_A_SECOND;
    if (isOften && lostOf(last) === 0 && answerers(last).size === wanted) return true;
    throw new Error(`${view.vip.name} ${view.vip.address}: ${view.summary()}`);
  };
  await until('all who should answer do', () => views.every(isWhole), 30_000);
}

const lostOf = (requests: readonly Request[]): number => requests.filter(({ from }) => from === undefined).length;

/** Each node has a pod that is called after it. */
export const nodeOf = (pod: string): string => pod.replace(/^web-/, '');

/** Where the demo writes: lines that stay, and the last one, which is drawn anew each second. */
export class Board {
  readonly #stage: Stage;
  readonly #views: readonly View[];
  readonly #began = now();
  readonly #timer: NodeJS.Timeout;
  /** What the last line looked like. */
  #last = '';
  /** Under the line, on a terminal. */
  hint = '';

  constructor(stage: Stage, views: readonly View[]) {
    this.#stage = stage;
    this.#views = views;
    this.#timer = setInterval(() => this.#draw(), SECOND);
  }

  /** A line that stays. */
  say(text: string): void {
    this.#wipe();
    process.stdout.write(`${this.#clock()}  ${text}\n`);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#wipe();
  }

  #draw(): void {
    for (const view of this.#views) for (const line of view.news()) this.say(line);
    const away = [
      ...[...this.#stage.nodes].filter(([, is]) => is !== 'up').map(([name, is]) => `${name} is ${is}`),
      ...(this.#stage.apiIsCut ? ['the API is cut'] : []),
    ];
    const line = [...this.#views.map((view) => `${view.vip.name}: ${view.summary()}`), ...away].join('  |  ');
    const shape = [...this.#views.map((view) => view.shape()), ...away].join();
    if (process.stdout.isTTY) {
      const width = (process.stdout.columns || 80) - 1;
      process.stdout.write(`\r\x1b[K${`${this.#clock()}  ${line}${this.hint}`.slice(0, width)}`);
    } else if (shape !== this.#last) process.stdout.write(`${this.#clock()}  ${line}\n`);
    this.#last = shape;
  }

  #wipe(): void {
    if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  }

  /** Minutes and seconds since the curtain rose. */
  #clock(): string {
    const seconds = Math.floor((now() - this.#began) / SECOND);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  }
}
