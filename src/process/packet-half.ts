// The packet thread of one process, from main's side: begun when there is something for it to do, told the whole of what
// plan and layer 2 want, its reports given to whom they concern, its last view kept for state and metrics. Owned by announcer.

import { isDeepStrictEqual } from 'node:util';
import type { BfdSays } from '../bgp/bfd-client.ts';
import { connectedSubnets } from '../io/link.ts';
import { PacketThread, threadEntry } from '../io/packet-thread.ts';
import type { Layer2Wanted, LinksWanted } from '../links/wanted.ts';
import type { LinksReport, LinksView } from '../links.ts';
import type { Prefix } from '../net/address.ts';
import type { Neighbor } from '../net/neighbor.ts';
import type { BfdSession } from '../plan/bfd.ts';
import { bfdSays, bfdWanted } from './bfd.ts';

/** Above the time that `links` gives itself to tell everybody. */
const LEAVE_WITHIN_MS = 3_500;
/** A view is not asked for again before it is this old; nobody waits longer for one. */
const VIEW_AGE_MS = 200;
const VIEW_WITHIN_MS = 1_000;
/** Subnets come and go; how often is looked. */
const LOOK_MS = 5_000;

type Thread = Pick<PacketThread<LinksWanted, LinksReport, LinksView>, 'want' | 'leave' | 'view' | 'end' | 'recent'>;

export interface PacketHalfOptions {
  /** What BFD says of the path to a peer. */
  readonly path: (peer: string, says: BfdSays) => void;
  /** Who is at the other end of a link that `wantNeighbors` named. */
  readonly neighbor?: (link: string, neighbor: Neighbor) => void;
  /** Every report, in order. */
  readonly report: (report: LinksReport) => void;
  /** The thread cannot be had: nothing that needs it works. */
  readonly failed: (error: string) => void;
  readonly begin?: (report: (report: LinksReport) => void) => Thread;
  readonly subnets?: () => readonly Prefix[];
}

export class PacketHalf {
  readonly #options: PacketHalfOptions;
  #sessions: ReadonlyMap<string, BfdSession> = new Map();
  #layer2: Layer2Wanted | undefined;
  /** Links whose neighbor is wanted, and what is known of it. */
  #links: readonly string[] = [];
  readonly #neighbors = new Map<string, Neighbor>();
  #thread: Thread | undefined;
  /** What the thread was told last. */
  #posted: LinksWanted | undefined;
  #isRefused = false;
  #said = '';
  #view: LinksView | undefined;
  #viewedAt = Number.NEGATIVE_INFINITY;
  #asked: Promise<void> | undefined;
  #looking: NodeJS.Timeout | undefined;
  #left: (() => void) | undefined;
  #isLeaving = false;

  constructor(options: PacketHalfOptions) {
    this.#options = options;
  }

  /** The thread's last events once it has died. */
  get recent(): readonly string[] {
    return this.#thread?.recent ?? [];
  }

  /** As it was at the last `look`; undefined while there is no thread. */
  get view(): LinksView | undefined {
    return this.#view;
  }

  wantSessions(sessions: ReadonlyMap<string, BfdSession>): void {
    if (sessions === this.#sessions) return;
    this.#sessions = sessions;
    this.#want();
  }

  /** On these links the neighbor is to be found, for peers that are named by them. */
  wantNeighbors(links: readonly string[]): void {
    if (JSON.stringify(links) === JSON.stringify(this.#links)) return;
    this.#links = links;
    for (const link of this.#neighbors.keys()) if (!links.includes(link)) this.#neighbors.delete(link);
    this.#want();
  }

  /** Undefined: no layer 2. */
  wantLayer2(layer2: Layer2Wanted | undefined): void {
    if (layer2 === this.#layer2) return;
    this.#layer2 = layer2;
    this.#want();
  }

  /** When the view was taken, on the clock of this process; undefined while there is none. */
  get viewedAt(): number | undefined {
    return this.#view === undefined ? undefined : this.#viewedAt;
  }

  /** Asks the thread for its view; what was known stays until it answers, be it later than anybody waits. */
  async look(): Promise<void> {
    const thread = this.#thread;
    if (thread === undefined || performance.now() - this.#viewedAt < VIEW_AGE_MS) return;
    this.#asked ??= this.#ask(thread);
    await within(this.#asked, VIEW_WITHIN_MS);
  }

  /** Addresses are handed over and BFD's peers told; then the thread is no more. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    clearInterval(this.#looking);
    const thread = this.#thread;
    if (thread === undefined) return;
    const left = new Promise<void>((resolve) => {
      this.#left = resolve;
    });
    thread.leave();
    await within(left, LEAVE_WITHIN_MS);
    await thread.end();
  }

  async #ask(thread: Thread): Promise<void> {
    try {
      this.#view = await thread.view();
      this.#viewedAt = performance.now();
    } catch {
      // it has ended, which is told where that is noticed
    } finally {
      this.#asked = undefined;
    }
  }

  #want(): void {
    if (this.#isLeaving) return;
    const subnets = this.#options.subnets ?? connectedSubnets;
    const sessions = bfdWanted(this.#sessions, subnets(), this.#neighbors);
    const links = this.#links;
    const wanted: LinksWanted = {
      ...{ sessions, ...(links.length > 0 && { neighbors: links }) },
      ...(this.#layer2 !== undefined && { layer2: this.#layer2 }),
    };
    if (this.#thread === undefined && (sessions.size + links.length > 0 || wanted.layer2 !== undefined)) this.#begin();
    this.#look([...this.#sessions.values()].some(({ hops }) => hops === 'nearest'));
    // a configuration that is read again comes to the same for the most part, and ten thousand addresses are long to copy
    if (this.#thread === undefined || isDeepStrictEqual(wanted, this.#posted)) return;
    this.#posted = wanted;
    this.#thread.want(wanted);
  }

  /** Whether a router is on a subnet of ours is looked at again and again. */
  #look(isAsked: boolean): void {
    clearInterval(this.#looking);
    if (!isAsked) return;
    const subnets = this.#options.subnets ?? connectedSubnets;
    this.#said = JSON.stringify(subnets());
    this.#looking = setInterval(() => {
      if (JSON.stringify(subnets()) !== this.#said) this.#want();
    }, LOOK_MS);
    this.#looking.unref();
  }

  #begin(): void {
    if (this.#isRefused) return;
    const { begin = beginThread, failed } = this.#options;
    try {
      this.#thread = begin((report) => this.#hear(report));
    } catch (fault) {
      // said once: what is missing on this machine is not there a second later either
      this.#isRefused = true;
      failed((fault as Error).message);
    }
  }

  #hear(report: LinksReport): void {
    const says = bfdSays(report);
    if (says !== undefined && 'session' in report && this.#sessions.has(report.session))
      this.#options.path(report.session, says);
    if (report.report === 'neighbor' && this.#links.includes(report.link)) {
      this.#neighbors.set(report.link, report.neighbor);
      this.#options.neighbor?.(report.link, report.neighbor);
      if ([...this.#sessions.values()].some(({ link }) => link === report.link)) this.#want();
    }
    this.#options.report(report);
    if (report.report === 'left') this.#left?.();
  }
}

function beginThread(report: (report: LinksReport) => void): Thread {
  return new PacketThread<LinksWanted, LinksReport, LinksView>(threadEntry('packets'), report);
}

/** Undefined: it took too long. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}
