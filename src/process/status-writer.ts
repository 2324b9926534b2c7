// Writes the statuses of one kind that a speaker keeps, until none is missing: a window of them at a time waits in the
// queue, and what was given up is not asked for again. Called by speaker-status at each look.

import type { Owner } from '../config/configuration-state.ts';
import type { Target } from '../k8s/api.ts';
import type { Kind } from '../k8s/kind.ts';
import type { Watched } from '../k8s/watched.ts';
import type { Change, WriteQueue } from '../k8s/write.ts';
import type { Plan } from '../plan/plan.ts';
import {
  createStatusMemory,
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
  /** A write is done or given up. */
  readonly changed: () => void;
}

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #memory: StatusMemory = createStatusMemory();
  #handed = new Map<string, StatusWrite>();
  /** Given up; the same is not asked for again. */
  readonly #refused = new WeakSet<StatusWrite>();

  constructor(options: StatusWriterOptions) {
    this.#options = options;
  }

  /** Read, or not to be had: without statuses nobody knows what was announced before a start. */
  get isDecided(): boolean {
    const { synced, state } = this.#options.watched;
    return synced || state?.problem !== undefined;
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
    for (const write of [...missing, ...left]) this.#hand(write, handed, context);
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
    if (!isHanded && handed.size >= WINDOW) return;
    handed.set(key, isHanded ? before : write);
    if (isHanded) return;
    const done = () => this.#done(key, write);
    const failed = () => {
      this.#refused.add(write);
      done();
    };
    this.#options.queue.want({ target, rank: 'inform', change: changeOf(write, context), done, failed });
  }

  /** Somebody may have undone it already: then it is missing again, and asked for again. */
  #done(key: string, write: StatusWrite): void {
    if (this.#handed.get(key) === write) this.#handed.delete(key);
    this.#options.changed();
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
