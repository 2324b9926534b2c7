// Writes the statuses of one kind that a speaker keeps, until none is missing: a window of them at a time waits in the
// queue, and what was given up is not asked for again. Called by speaker-status at each look.

import type { Owner } from '../config/configuration-state.ts';
import type { Target } from '../k8s/api.ts';
import type { Clock } from '../k8s/clock.ts';
import type { Kind } from '../k8s/kind.ts';
import type { Watched } from '../k8s/watched.ts';
import type { Change, WriteQueue } from '../k8s/write.ts';
import type { Plan } from '../plan/plan.ts';
import {
  createStatusMemory,
  inTurn,
  readStatus,
  type SeenStatus,
  type StatusContext,
  type StatusKind,
  type StatusMemory,
  type StatusWrite,
  statusObject,
  statusWrites,
  strayStatuses,
} from '../plan/service-status.ts';
import type { ServiceKey } from '../plan/snapshot.ts';

/** Writes of statuses that wait in the queue at a time: all of ten thousand would cost memory, and none would be sooner. */
const WINDOW = 200;
/** Who writes one object again and again is not alone: so often without a pause, then with one that doubles, until it was quiet. */
const FREE = 6;
const [PAUSE_MS, LONGEST_PAUSE_MS, QUIET_MS] = [1_000, 30_000, 60_000];

export interface StatusWriterOptions {
  readonly of: StatusKind;
  readonly kind: Kind;
  readonly node: string;
  readonly namespace: string;
  readonly queue: Pick<WriteQueue, 'want' | 'unwant'>;
  readonly watched: Pick<Watched<SeenStatus>, 'store' | 'synced' | 'state'>;
  /** Of this node, by Service. */
  readonly own: () => ReadonlyMap<ServiceKey, readonly SeenStatus[]>;
  /** A node that answers for nothing any more: what it left behind goes. Absent: objects of others are not looked at. */
  readonly isLeft?: (node: string) => boolean;
  /** A write is done or given up, or one that had to wait may be made. */
  readonly changed: () => void;
  readonly clock: Clock;
}

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #memory: StatusMemory = createStatusMemory();
  #handed = new Map<string, StatusWrite>();
  /** Given up; the same is not asked for again. */
  readonly #refused = new WeakSet<StatusWrite>();
  /** Done within `QUIET_MS`, the oldest first. */
  readonly #recent = new Map<string, { readonly times: number; readonly at: number }>();
  #wakesAt = Number.POSITIVE_INFINITY;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** Read, or not to be had: without statuses nobody knows what was announced before a start. */
  get isDecided(): boolean {
    const { synced, state } = this.#options.watched;
    return synced || state?.is === 'absent' || state?.denied === true;
  }

  /** Was the Service announced by this node when it was read? */
  knew(service: ServiceKey): boolean {
    return (this.#options.own().get(service)?.length ?? 0) > 0;
  }

  /** Asks for what is missing. Nothing before all was read. */
  write(services: Plan['services'], owner: Owner | undefined): void {
    const { of, node, namespace, watched, queue, own, isLeft } = this.#options;
    if (!watched.synced) return;
    const context: StatusContext = { of, node, namespace, ...(owner !== undefined && { owner }) };
    const missing = statusWrites(this.#memory, services, own(), context);
    const left = isLeft === undefined ? [] : strayStatuses(services, watched.store.map().values(), context, isLeft);
    const handed = new Map<string, StatusWrite>();
    for (const write of inTurn([...missing, ...left])) this.#hand(write, handed, context);
    for (const [key, write] of this.#handed) if (!handed.has(key)) queue.unwant(this.#targetOf(write));
    this.#handed = handed;
  }

  #hand(write: StatusWrite, handed: Map<string, StatusWrite>, context: StatusContext): void {
    const target = this.#targetOf(write);
    const key = `${target.name} ${target.subresource ?? ''}`;
    if (this.#refused.has(write)) return;
    const before = this.#handed.get(key);
    const isHanded = before === write || (before?.do === 'delete' && write.do === 'delete' && before.uid === write.uid);
    // those that wait are looked at again when one of them is done
    if (!isHanded && (handed.size >= WINDOW || this.#waits(key))) return;
    handed.set(key, isHanded ? before : write);
    if (isHanded) return;
    const done = () => {
      this.#count(key);
      this.#done(key, write);
    };
    const failed = () => {
      this.#refused.add(write);
      this.#done(key, write);
    };
    this.#options.queue.want({ target, rank: 'inform', change: changeOf(write, context), done, failed });
  }

  /** Somebody may have undone it already: then it is missing again, and asked for again. */
  #done(key: string, write: StatusWrite): void {
    if (this.#handed.get(key) === write) this.#handed.delete(key);
    this.#options.changed();
  }

  #count(key: string): void {
    const now = this.#options.clock.now();
    for (const [old, { at }] of this.#recent) {
      if (at + QUIET_MS > now) break;
      this.#recent.delete(old);
    }
    const times = (this.#recent.get(key)?.times ?? 0) + 1;
    this.#recent.delete(key);
    this.#recent.set(key, { times, at: now });
  }

  /** It was written too often a moment ago; then it is asked about again when that is over. */
  #waits(key: string): boolean {
    const { clock, changed } = this.#options;
    const recent = this.#recent.get(key);
    if (recent === undefined || recent.times < FREE) return false;
    const until = recent.at + Math.min(LONGEST_PAUSE_MS, PAUSE_MS * 2 ** (recent.times - FREE));
    if (until <= clock.now()) return false;
    if (until < this.#wakesAt) {
      this.#wakesAt = until;
      void clock.sleep(until - clock.now()).then(() => {
        this.#wakesAt = Number.POSITIVE_INFINITY;
        changed();
      });
    }
    return true;
  }

  #targetOf(write: StatusWrite): Target {
    const subresource = write.do === 'patch-status' ? ({ subresource: 'status' } as const) : {};
    const { kind, namespace } = this.#options;
    return { kind, namespace, name: write.name, ...subresource };
  }
}

function changeOf(write: StatusWrite, context: StatusContext): Change {
  const { owner, of } = context;
  switch (write.do) {
    case 'create': {
      const object = statusObject(write, context);
      // under our name: somebody took its labels away
      return { do: 'create', object, again: () => ({ metadata: { labels: object.metadata.labels } }) };
    }
    case 'patch':
      return {
        do: 'patch',
        patch: write.patch,
        again: (live) => {
          const { owners } = readStatus(of, live);
          const isThere = owner === undefined || owners.some(({ uid }) => uid === owner.uid);
          return isThere ? undefined : { metadata: { ownerReferences: [...owners, owner] } };
        },
      };
    case 'patch-status':
      return { do: 'patch', patch: write.patch, again: () => write.patch };
    case 'delete':
      return { do: 'delete', uid: write.uid };
  }
}
