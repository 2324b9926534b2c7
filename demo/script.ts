// What `--once` plays, and what is promised of each act: a node is killed, another is drained, the API is cut. Between
// acts all is as it was. Each promise is held against what the clients saw. Called by cluster.ts.

import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../test/interop/process.ts';
import { answerers, judge, ms, tollSince, type Verdict } from './answers.ts';
import { now } from './client.ts';
import type { Stage } from './stage.ts';
import { KNOWN_MS, nodeOf, untilWhole, type View } from './watch.ts';

/** After an act, to see what becomes of it. */
const AFTER_MS = 4_000;
const CUT_MS = 6_000;
/** The controller that led has lost its Lease meanwhile, and for 15 s nobody else may take it. */
const CAUGHT_UP_MS = 25_000;

type Say = (text: string) => void;

export class Play {
  readonly #stage: Stage;
  readonly #views: readonly View[];
  readonly #say: Say;
  readonly #verdicts: Verdict[] = [];

  constructor(stage: Stage, views: readonly View[], say: Say) {
    this.#stage = stage;
    this.#views = views;
    this.#say = say;
  }

  async run(): Promise<readonly Verdict[]> {
    await this.#quiet();
    await this.#killed();
    await this.#drained();
    await this.#cut();
    return this.#verdicts;
  }

  async #quiet(): Promise<void> {
    const from = await this.#act('nothing happens', () => sleep(AFTER_MS));
    this.#judgeAll('nothing happens', from);
  }

  async #killed(): Promise<void> {
    const victim = this.#answering();
    await this.#kill(victim, 'a node is killed');
    await this.#back(victim);
  }

  async #kill(victim: string, act: string): Promise<void> {
    const from = await this.#act(`${victim} is killed: its power goes`, () => this.#stage.kill(victim));
    await sleep(Math.max(...this.#views.map(({ vip }) => vip.killed.ms)) + AFTER_MS);
    for (const view of this.#views) {
      const { name, killed } = view.vip;
      this.#judge(`${act}: ${name} is whole after ${ms(killed.ms)} (${killed.why})`, view, from, killed.ms);
    }
  }

  async #drained(): Promise<void> {
    const victim = this.#answering();
    const from = await this.#act(`${victim} is drained: its speaker leaves, then all the rest`, () =>
      this.#stage.drain(victim),
    );
    await sleep(AFTER_MS);
    this.#judgeAll('a node is drained', from);
    await this.#back(victim);
  }

  async #cut(): Promise<void> {
    const cut = await this.#act('the API is cut from all nodes', async () => {
      this.#stage.cutApi(true);
      await this.#stage.addService();
      await sleep(CUT_MS);
    });
    this.#judgeAll('the API is cut', cut);
    // who fails over asks nobody but the LAN
    const victim = this.#answering();
    await this.#kill(victim, 'a node is killed while the API is cut');
    const early = this.#stage.hopsOfService();
    const mended = await this.#act('a Service was made meanwhile, and nobody knows; the API is mended', async () => {
      this.#stage.cutApi(false);
    });
    const others = this.#stage.nodes.size - 1;
    await until('every node announces the new Service', () => this.#stage.hopsOfService().length === others, 60_000);
    const took = now() - mended;
    this.#say('every node announces that Service');
    await sleep(AFTER_MS);
    this.#judgeAll('the API is mended', mended);
    this.#verdicts.push({
      promise: `what changed meanwhile is done ${ms(CAUGHT_UP_MS)} after it was mended`,
      measured: early.length === 0 ? `after ${ms(took)}` : `known to ${early} while it was cut`,
      kept: early.length === 0 && took <= CAUGHT_UP_MS,
    });
    await this.#back(victim);
  }

  /** What happens, told of, and when it began. */
  async #act(text: string, work: () => Promise<void>): Promise<number> {
    this.#say(text);
    const from = now();
    await work();
    return from;
  }

  async #back(name: string): Promise<void> {
    this.#say(`${name} is brought back`);
    this.#stage.bringBack(name);
    await this.#stage.untilRouted(name);
    await untilWhole(this.#views, this.#stage.nodes.size);
    this.#say(`${name} answers again`);
  }

  /** A node that answers, of those that do the one whose loss hurts. */
  #answering(): string {
    const [pod] = answerers(this.#views.at(-1)?.ended(AFTER_MS) ?? []).keys();
    if (pod === undefined) throw new Error('nobody answers');
    return nodeOf(pod);
  }

  #judgeAll(act: string, from: number): void {
    for (const view of this.#views) this.#judge(`${act}: ${view.vip.name} loses nothing`, view, from, 0);
  }

  #judge(promise: string, view: View, from: number, mostMs: number): void {
    const known = now() - KNOWN_MS;
    const requests = view.since(from).filter(({ at }) => at < known);
    this.#verdicts.push(judge(promise, tollSince(requests, from), known - from, mostMs));
  }
}
