// Who may read the metrics: a bearer token that the API server knows (TokenReview), of somebody who may GET the path
// (SubjectAccessReview on a non-resource URL). An answer is believed for a minute, so that a scrape costs no request.
// Used by controller and speaker for what they serve to the network.

import { createHash } from 'node:crypto';
import type { Api } from './api.ts';
import { ApiError } from './api-error.ts';
import { type Clock, systemClock } from './clock.ts';
import { ACCESS_REVIEWS, TOKEN_REVIEWS } from './kind.ts';

export interface GuardOptions {
  readonly api: Api;
  /** `/metrics`. */
  readonly path: string;
  /** The reviews are forbidden, or the API does not answer; told once, and again when it is another. */
  readonly failed: (text: string) => void;
  readonly clock?: Clock;
}

/** As an HTTP status. */
export type Verdict = 200 | 401 | 403 | 500;

/** By what it was: a token that was refused may be granted a right soon. */
const BELIEVED_MS: Readonly<Record<Verdict, number>> = { 200: 60_000, 401: 10_000, 403: 10_000, 500: 0 };
const MOST = 256;
const TIMEOUT_MS = 5_000;

export class TokenGuard {
  readonly #options: Required<GuardOptions>;
  /** By the token's hash. */
  readonly #known = new Map<string, { readonly verdict: Verdict; readonly until: number }>();
  #said = '';

  constructor({ clock = systemClock, ...options }: GuardOptions) {
    this.#options = { ...options, clock };
  }

  /** `authorization`: the header, empty where there is none. */
  async judge(authorization: string): Promise<Verdict> {
    const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    if (token === undefined) return 401;
    const now = this.#options.clock.now();
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(key);
    if (known !== undefined && now < known.until) return known.verdict;
    const verdict = await this.#ask(token);
    this.#known.delete(key);
    this.#known.set(key, { verdict, until: now + BELIEVED_MS[verdict] });
    const [oldest] = this.#known.keys();
    if (this.#known.size > MOST && oldest !== undefined) this.#known.delete(oldest);
    return verdict;
  }

  async #ask(token: string): Promise<Verdict> {
    const { api, path, failed } = this.#options;
    try {
      const options = { retries: 1, timeoutMs: TIMEOUT_MS };
      const asked = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } };
      const { authenticated, user } = statusOf(await api.create({ kind: TOKEN_REVIEWS }, asked, options));
      if (authenticated !== true) return 401;
      const { username, uid, groups, extra } = asObject(user);
      const nonResourceAttributes = { path, verb: 'get' };
      const spec = { user: username, uid, groups, extra, nonResourceAttributes };
      const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec };
      const { allowed } = statusOf(await api.create({ kind: ACCESS_REVIEWS }, review, options));
      this.#said = '';
      return allowed === true ? 200 : 403;
    } catch (fault) {
      if (!(fault instanceof ApiError)) throw fault;
      if (fault.message !== this.#said) failed(fault.message);
      this.#said = fault.message;
      return 500;
    }
  }
}

const WHY: Readonly<Record<Exclude<Verdict, 200>, string>> = {
  401: 'a bearer token of this cluster is needed\n',
  403: 'the token has no right to GET this path (RBAC: nonResourceURLs)\n',
  500: 'the API server cannot be asked who this is\n',
};

/** Answers a scrape of the guarded path; anything else is not there. */
export async function answerScrape(
  guard: TokenGuard,
  path: string,
  request: { readonly method: string; readonly path: string; readonly authorization: string },
  read: () => Promise<{ readonly type: string; readonly body: string }>,
): Promise<{ readonly status: number; readonly type: string; readonly body: string }> {
  const say = (status: number, body: string) => ({ status, type: 'text/plain; charset=utf-8', body });
  if (request.path !== path) return say(404, 'no such path\n');
  if (request.method !== 'GET' && request.method !== 'HEAD') return say(405, 'only GET and HEAD\n');
  const verdict = await guard.judge(request.authorization);
  return verdict === 200 ? { status: 200, ...(await read()) } : say(verdict, WHY[verdict]);
}

type Json = Readonly<Record<string, unknown>>;

function statusOf(object: Json): Json {
  return asObject(object['status']);
}

function asObject(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {};
}
