// Who asked the API server for what, from its audit log: how stories count writes, and tell which of two processes made
// them.

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from './cluster.ts';

export interface Asked {
  readonly verb: string;
  /** `services/status` */
  readonly resource: string;
  readonly name: string;
  readonly code: number;
  readonly pod: string;
}

interface AuditEvent {
  readonly verb: string;
  readonly user: { readonly extra?: Readonly<Record<string, readonly string[]>> };
  readonly objectRef?: { readonly resource: string; readonly subresource?: string; readonly name?: string };
  readonly responseStatus?: { readonly code: number };
}

const WRITES = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

export class Audit {
  readonly #file: string;
  #from: number;

  /** From now on. */
  constructor(cluster: Cluster) {
    this.#file = join(cluster.control.folder, 'audit.log');
    this.#from = statSync(this.#file).size;
  }

  /** All that our Pods asked since the beginning, watches that ended included. */
  asked(): Asked[] {
    const text = readFileSync(this.#file).subarray(this.#from).toString();
    // the last line may still be being written
    const lines = text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter(Boolean);
    return lines.map((line): Asked => {
      const { verb, user, objectRef, responseStatus }: AuditEvent = JSON.parse(line);
      const { resource = '', subresource, name = '' } = objectRef ?? {};
      return {
        ...{ verb, name, code: responseStatus?.code ?? 0 },
        resource: subresource === undefined ? resource : `${resource}/${subresource}`,
        pod: user.extra?.['authentication.kubernetes.io/pod-name']?.[0] ?? '',
      };
    });
  }

  /**
   * Changes of objects that users and processes see; reviews of tokens and the like are questions, and the Lease is a
   * heartbeat.
   */
  writes(): Asked[] {
    const isReview = (resource: string): boolean => resource.endsWith('reviews');
    return this.asked().filter(
      ({ verb, resource }) => WRITES.has(verb) && !isReview(resource) && resource !== 'leases',
    );
  }

  restart(): void {
    this.#from = statSync(this.#file).size;
  }
}

/** `3 × patch services/status` a line, most first: for a message that tells what was written. */
export function tally(asked: readonly Asked[]): string {
  const counts = new Map<string, number>();
  for (const { verb, resource } of asked)
    counts.set(`${verb} ${resource}`, (counts.get(`${verb} ${resource}`) ?? 0) + 1);
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([what, count]) => `${count} × ${what}`)
    .join('\n');
}
