// The Secret that speakers prove themselves to each other with: made once, where it is missing, and owned by the
// controller's Deployment so that it goes with it. Called by controller-process when it begins to lead.

import { randomBytes } from 'node:crypto';
import type { Api } from './api.ts';
import { ApiError } from './api-error.ts';
import type { Clock } from './clock.ts';
import { DEPLOYMENTS, SECRETS } from './kind.ts';

export interface MemberlistOptions {
  readonly api: Api;
  readonly namespace: string;
  readonly name: string;
  /** Of the controller; undefined: the Secret has no owner. */
  readonly deployment: string | undefined;
}

const KEY_OCTETS = 16;
const RETRY_MS = 30_000;

/** True: it was made now. Throws ApiError. */
export async function ensureMemberlistSecret({
  api,
  namespace,
  name,
  deployment,
}: MemberlistOptions): Promise<boolean> {
  try {
    await api.get({ kind: SECRETS, namespace, name });
    return false;
  } catch (fault) {
    if (!(fault instanceof ApiError) || fault.status !== 404) throw fault;
  }
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
    // another replica was there first
    if (fault instanceof ApiError && fault.status === 409) return false;
    throw fault;
  }
}

export interface MemberlistKeeping extends MemberlistOptions {
  /** False: somebody else leads, and will see to it. */
  readonly isWanted: () => boolean;
  readonly say: (level: 'info' | 'warn', text: string, error?: string) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** As `ensureMemberlistSecret`, again and again until it is there. */
export async function keepMemberlistSecret(options: MemberlistKeeping): Promise<void> {
  const { isWanted, say, clock, signal } = options;
  while (isWanted() && !signal.aborted) {
    try {
      if (await ensureMemberlistSecret(options)) say('info', 'the memberlist Secret was made');
      return;
    } catch (fault) {
      if (!(fault instanceof ApiError)) throw fault;
      say('warn', 'the memberlist Secret cannot be made', fault.message);
      await clock.sleep(RETRY_MS, signal);
    }
  }
}

async function ownerOf(api: Api, namespace: string, name: string): Promise<object> {
  const { metadata } = await api.get({ kind: DEPLOYMENTS, namespace, name });
  return { apiVersion: 'apps/v1', kind: 'Deployment', name, uid: metadata['uid'] };
}
