// How a request to the API server failed: what was asked (verb, resource, namespace, name) and what came back, so that
// one line of log says all that is needed to mend it. Thrown by `api`, judged by reflector, write, lease and event.

import { type Kind, nameOfKind } from './kind.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';

/** What was asked, in the words of RBAC. */
export interface Asked {
  readonly verb: Verb;
  readonly kind: Kind;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
}

/** `status` 0: there was no answer. */
export class ApiError extends Error {
  readonly asked: Asked;
  readonly status: number;
  /** `metav1.Status`'s: `Expired`, `AlreadyExists` …; empty without one. */
  readonly reason: string;
  /** The server's wish (Retry-After), ms. */
  readonly retryAfterMs: number | undefined;
  /** Whom the server took us for, where it refused us (403) and said so. */
  readonly user: string | undefined;

  constructor(asked: Asked, status: number, text: string, more: { reason?: string; retryAfterMs?: number } = {}) {
    const user = status === 403 ? /User "([^"]*)"/.exec(text)?.[1] : undefined;
    super(sentence(asked, status, text, user));
    this.name = 'ApiError';
    this.asked = asked;
    this.status = status;
    this.reason = more.reason ?? '';
    this.retryAfterMs = more.retryAfterMs;
    this.user = user;
  }
}

/** A watch whose text is no JSON, or no event. */
export class GarbledWatch extends Error {}

/** The server no longer has, or never had, what a continue token or a resourceVersion refers to: list again. */
export function isExpired(fault: unknown): boolean {
  return fault instanceof ApiError && (fault.status === 410 || fault.reason === 'Expired');
}

/** Might well go through when it is asked again. */
export function isTransient(fault: unknown): boolean {
  return fault instanceof ApiError && ([0, 408, 429].includes(fault.status) || fault.status >= 500);
}

function sentence(asked: Asked, status: number, text: string, user: string | undefined): string {
  const { verb, kind, namespace, name, subresource } = asked;
  const resource = `${nameOfKind(kind)}${subresource === undefined ? '' : `/${subresource}`}`;
  const where = namespace === undefined ? (kind.namespaced ? ' in any namespace' : '') : ` in namespace ${namespace}`;
  const what = `${verb} ${resource}${name === undefined ? '' : ` "${name}"`}${where}`;
  if (status === 0) return `cannot ${what}: ${text}`;
  if (status === 403 && user !== undefined) return `${user} has no right to ${what}: grant it (RBAC)`;
  return `cannot ${what}: ${status} ${text}`;
}
