// Our own Pod as the owner of what we make: it goes with the last Pod that made it. Called once by each process of a
// cluster.

import type { Owner } from '../config/configuration-state.ts';
import type { Api } from './api.ts';
import { ApiError } from './api-error.ts';
import type { Clock } from './clock.ts';
import { PODS } from './kind.ts';

const RETRY_MS = 5_000;

export interface PodOwnerOptions {
  readonly api: Api;
  readonly namespace: string;
  /** Undefined: we are in no Pod, and what we make has no owner. */
  readonly pod: string | undefined;
  /** It cannot be known: it is not there, or may not be read. */
  readonly unknown: (error: string) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Asked until there is an answer; undefined: no owner. */
export async function findPodOwner(options: PodOwnerOptions): Promise<Owner | undefined> {
  const { api, namespace, pod: name, unknown, clock, signal } = options;
  while (name !== undefined && !signal.aborted) {
    try {
      const { metadata } = await api.get({ kind: PODS, namespace, name }, { signal });
      return { apiVersion: 'v1', kind: 'Pod', name, uid: String(metadata['uid']) };
    } catch (fault) {
      if (!(fault instanceof ApiError)) throw fault;
      if (fault.status === 404 || fault.status === 403) {
        unknown(fault.message);
        return undefined;
      }
      await clock.sleep(RETRY_MS, signal);
    }
  }
  return undefined;
}
