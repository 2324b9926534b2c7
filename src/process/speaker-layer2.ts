// Layer 2 of a speaker in a cluster: what the Pods of all speakers and their Secret say, the packet thread, and Events for
// who owns the Services. What of it is not of a cluster is `layer2`. Owned by speaker-process.

import type { Log } from '../io/log.ts';
import type { Api } from '../k8s/api.ts';
import type { Clock } from '../k8s/clock.ts';
import type { Events } from '../k8s/event.ts';
import type { Tell } from '../k8s/report.ts';
import { SpeakerPods } from '../k8s/speaker-pods.ts';
import type { LinksReport } from '../links.ts';
import type { Layer2Counts } from '../observe/layer2-metrics.ts';
import { asTold, LINGER_MS, type TellingMemory } from '../plan/ownership.ts';
import type { Plan, ServicePlan } from '../plan/plan.ts';
import type { Service, ServiceKey } from '../plan/snapshot.ts';
import { eventOf, Layer2, type Layer2Grounds, type Layer2Warning } from './layer2.ts';
import { howHeard } from './layer2-view.ts';
import type { Layer2Settings } from './layer2-wanted.ts';
import { Memberlist } from './memberlist.ts';
import type { PacketHalf } from './packet-half.ts';
import { regardingOf } from './speaker-status.ts';

/** MetalLB's flags of its memberlist, as far as they mean something here. */
export interface MemberlistFlags {
  /** Of the Pods of all speakers: a selector. */
  readonly labels: string;
  readonly port: number;
  /** Where the file `secretkey` is; absent: nobody has to prove who he is. */
  readonly secretFolder?: string;
}

export interface SpeakerLayer2Options {
  readonly node: string;
  readonly namespace: string;
  /** Ours; undefined outside of one. */
  readonly pod: string | undefined;
  readonly settings: Layer2Settings;
  /** Absent: speakers do not hear each other. */
  readonly memberlist?: MemberlistFlags | undefined;
  readonly packets: Pick<PacketHalf, 'wantLayer2' | 'look' | 'view'>;
  readonly api: Api;
  readonly events: Pick<Events, 'emit'>;
  readonly serviceOf: (key: ServiceKey) => Service | undefined;
  /** What is wanted may be another: `follow` is to be called. */
  readonly changed: () => void;
  /** What is served, or who has left, may be another. */
  readonly servedChanged: () => void;
  readonly tell: Tell;
  readonly log: Log;
  readonly clock: Clock;
}

/** From a report of the packet thread to a look at all of it. */
const LOOK_AFTER_MS = 500;
/**
 * From the start until it is known which addresses this node has again: it listens for a second, and others may go first.
 * At least so long, and at most so long while there are some that nobody is heard answering for.
 */
const SETTLE_MS = { least: 4_000, most: 15_000 } as const;
const LOOK_AGAIN_MS = 500;

export class SpeakerLayer2 {
  readonly #options: SpeakerLayer2Options;
  readonly #memberlist: Memberlist | undefined;
  readonly #layer2: Layer2;
  #looking: NodeJS.Timeout | undefined;
  #settling: NodeJS.Timeout | undefined;
  #isSettled = false;
  readonly #telling: TellingMemory = new Map();
  #lingering: NodeJS.Timeout | undefined;

  constructor(options: SpeakerLayer2Options) {
    this.#options = options;
    const { settings, memberlist, log, servedChanged } = options;
    this.#memberlist = memberlist && this.#findSpeakers(memberlist);
    this.#layer2 = new Layer2({
      settings,
      ...(this.#memberlist !== undefined && { liveness: this.#memberlist }),
      say: ({ level, fields, msg }) => log[level](fields, msg),
      changed: servedChanged,
      warn: (warning) => this.#warn(warning),
    });
  }

  /** The Services as they are served. */
  get services(): Plan['services'] {
    return this.#layer2.services;
  }

  /** As they are told to the API. */
  told(): Plan['services'] {
    const told = asTold(this.#telling, this.services, this.#options.clock.now());
    if (told !== this.services)
      this.#lingering ??= setTimeout(() => {
        this.#lingering = undefined;
        this.#options.servedChanged();
      }, LINGER_MS).unref();
    return told;
  }

  get counts(): Layer2Counts {
    return this.#layer2.counts;
  }

  /** Before that nobody can say what this node lost by its restart, or began to answer for. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => {
      clearTimeout(this.#looking);
      clearTimeout(this.#settling);
      clearTimeout(this.#lingering);
    });
    await this.#memberlist?.run(signal);
  }

  follow(grounds: Layer2Grounds): void {
    const wanted = this.#layer2.follow(grounds);
    this.#options.packets.wantLayer2(wanted);
    if (this.#isSettled || this.#settling !== undefined) return;
    if (wanted === undefined) this.#isSettled = grounds.config !== undefined;
    else this.#settle(SETTLE_MS.least, SETTLE_MS.most);
  }

  #settle(afterMs: number, leftMs: number): void {
    this.#settling = setTimeout(() => {
      const isWaiting = (plan: ServicePlan) =>
        'withheld' in plan.layer2 && plan.layer2.withheld.reason === 'notYetClaimed';
      this.#isSettled = leftMs <= afterMs || ![...this.services.values()].some(isWaiting);
      if (this.#isSettled) this.#options.servedChanged();
      else this.#settle(LOOK_AGAIN_MS, leftMs - afterMs);
    }, afterMs).unref();
  }

  /** The addresses are about to be handed over. */
  leave(): void {
    this.#layer2.leave();
  }

  /** A report of the packet thread. Who else is there is looked at some time after something changed, once. */
  hear(report: LinksReport): void {
    this.#layer2.take(report);
    if (this.#looking !== undefined || !report.report.startsWith('l2-')) return;
    this.#looking = setTimeout(async () => {
      this.#looking = undefined;
      await this.look();
      this.#options.servedChanged();
    }, LOOK_AFTER_MS);
    this.#looking.unref();
  }

  async look(): Promise<void> {
    const { packets } = this.#options;
    await packets.look();
    if (packets.view !== undefined) this.#layer2.look(packets.view);
  }

  /** What a node wrote of itself and can't take back: it is not heard, has no speaker, or never was one of ours. */
  isLeft(node: string): boolean {
    if (this.#memberlist === undefined) return true;
    const speakers = this.#memberlist.speakers();
    if (speakers === undefined) return false;
    const heard = howHeard(this.#options.packets.view, node);
    return !speakers.ours.has(node) || heard === 'silent' || (heard === 'unknown' && speakers.unready.has(node));
  }

  #findSpeakers({ labels: labelSelector, port, secretFolder }: MemberlistFlags): Memberlist {
    const { api, namespace, pod: self, changed, tell, log, clock } = this.#options;
    if (secretFolder === undefined)
      log.warn({ op: 'startup' }, 'no --ml-secret-key-path: whoever is on the LAN may speak as one of the speakers');
    return new Memberlist({
      ...{ port, secretFolder, changed, clock },
      pods: new SpeakerPods({ api, namespace, labelSelector, self, tell, changed, clock }),
      tell: (error) => {
        const op = 'readSecret';
        if (error === undefined) log.info({ op }, 'the Secret of the speakers can be read again');
        else log.warn({ op, error }, 'the Secret of the speakers cannot be read');
      },
    });
  }

  #warn(warning: Layer2Warning): void {
    const { events, node, serviceOf } = this.#options;
    const service = serviceOf(warning.service);
    if (service !== undefined)
      events.emit({ regarding: regardingOf(service), type: 'Warning', ...eventOf(warning, node) });
  }
}
