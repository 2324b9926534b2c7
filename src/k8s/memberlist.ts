// The Secret that speakers prove themselves to each other with: made where it is missing, and owned by the controller's
// Deployment so that it goes with it. Watched, for without it no speaker starts and nobody else makes it. Run by
// controller-process.

import { randomBytes } from 'node:crypto';
import type { Api } from './api.ts';
import { ApiError } from './api-error.ts';
import type { Clock } from './clock.ts';
import { DEPLOYMENTS, SECRETS } from './kind.ts';
import type { Tell } from './report.ts';
import { Watched } from './watched.ts';

export interface MemberlistSecretOptions {
  readonly api: Api;
  readonly namespace: string;
  readonly name: string;
  /** Of the controller; undefined: the Secret has no owner. */
  readonly deployment: string | undefined;
  /** False: somebody else leads, and sees to it. */
  readonly isWanted: () => boolean;
  readonly say: (level: 'info' | 'warn', text: string, error?: string) => void;
  readonly tell: Tell;
  readonly clock: Clock;
}

const KEY_OCTETS = 16;
const RETRY_MS = 30_000;
/** Where it may not be watched: to make it is to find out whether it is there. */
const UNSEEN_MS = 10 * 60_000;

export class MemberlistSecret {
  readonly #options: MemberlistSecretOptions;
  readonly #watched: Watched<object>;
  #isForbidden = false;
  #wake = new AbortController();

  constructor(options: MemberlistSecretOptions) {
    this.#options = options;
    const { api, namespace, name, clock } = options;
    this.#watched = new Watched<object>({
      ...{ api, clock, selection: { kind: SECRETS, namespace, fieldSelector: `metadata.name=${name}` } },
      // what is in it is none of our business
      read: () => ({}),
      changed: () => this.look(),
      tell: (report) => {
        options.tell(report);
        if (report.is !== 'reading-failed' || report.status !== 403) return;
        this.#isForbidden = true;
        this.look();
      },
    });
  }

  /** It changed, or it is wanted now. */
  look(): void {
    this.#wake.abort();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { isWanted, clock } = this.#options;
    this.#watched.relist(signal);
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const { signal: woken } = this.#wake;
      const { synced, store } = this.#watched;
      const mayBeMissing = synced ? store.size === 0 : this.#isForbidden;
      const waitMs = mayBeMissing && isWanted() ? await this.#make(synced) : Number.POSITIVE_INFINITY;
      await clock.sleep(waitMs, AbortSignal.any([signal, woken]));
    }
  }

  /** In how many ms it should be tried again if nothing happens before. */
  async #make(synced: boolean): Promise<number> {
    const { say } = this.#options;
    try {
      if (await makeMemberlistSecret(this.#options)) say('info', 'the memberlist Secret was made');
      return synced ? RETRY_MS : UNSEEN_MS;
    } catch (fault) {
      if (!(fault instanceof ApiError)) throw fault;
      say('warn', 'the memberlist Secret cannot be made', fault.message);
      return RETRY_MS;
    }
  }
}

/** False: there is one. Throws ApiError. */
async function makeMemberlistSecret(options: MemberlistSecretOptions): Promise<boolean> {
  const { api, namespace, name, deployment } = options;
  const ownerReferences = deployment === undefined ? [] : [await ownerOf(api, namespace, deployment)];
  // as MetalLB writes it: base64 without padding, which the API has in base64 once more
  const secretkey = randomBytes(KEY_OCTETS).toString('base64').replace(/=+$/, '');
  const object = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace, name, ownerReferences },
    stringData: { secretkey },
  };
  try {
    await api.create({ kind: SECRETS, namespace }, object);
    return true;
  } catch (fault) {
    // another replica was there first, or it was there all the time
    if (fault instanceof ApiError && fault.status === 409) return false;
    throw fault;
  }
}

async function ownerOf(api: Api, namespace: string, name: string): Promise<object> {
  const { metadata } = await api.get({ kind: DEPLOYMENTS, namespace, name });
  return { apiVersion: 'apps/v1', kind: 'Deployment', name, uid: metadata['uid'] };
}
