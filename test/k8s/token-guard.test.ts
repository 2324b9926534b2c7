// Who may read the metrics, as an API server on loopback answers the two reviews.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { answerScrape, TokenGuard } from '../../src/k8s/token-guard.ts';
import { Door } from './door.ts';
import type { Json } from './fake-api.ts';

const TOKENS = 'apis/authentication.k8s.io/v1/tokenreviews';
const ACCESS = 'apis/authorization.k8s.io/v1/subjectaccessreviews';

let door: Door;
let failed: string[];
let guard: TokenGuard;
/** What the server would answer. */
let answers: { token: Json; access: Json };

beforeEach(async () => {
  door = await new Door(TOKENS, ACCESS).open();
  failed = [];
  answers = {
    token: { authenticated: true, user: { username: 'prometheus', uid: 'u', groups: ['g'], extra: { e: ['1'] } } },
    access: { allowed: true },
  };
  door.fake.fail(
    ({ path }) => path.endsWith('tokenreviews'),
    {
      status: 201,
      get body() {
        return { kind: 'TokenReview', metadata: {}, status: answers.token };
      },
    },
    99,
  );
  door.fake.fail(
    ({ path }) => path.endsWith('subjectaccessreviews'),
    {
      status: 201,
      get body() {
        return { kind: 'SubjectAccessReview', metadata: {}, status: answers.access };
      },
    },
    99,
  );
  guard = new TokenGuard({ api: door.api, path: '/metrics', failed: (text) => failed.push(text), clock: door.clock });
});
afterEach(() => door.close());

const asked = () => door.fake.seen.map(({ path, body }) => [path.split('/').at(-1), (body as Json)['spec']]);

describe('the guard of the metrics', () => {
  it('lets in whom the API server knows and allows, and asks about exactly that', async () => {
    expect(await guard.judge('Bearer abc')).toBe(200);
    expect(asked()).toEqual([
      ['tokenreviews', { token: 'abc' }],
      [
        'subjectaccessreviews',
        {
          ...{ user: 'prometheus', uid: 'u', groups: ['g'], extra: { e: ['1'] } },
          nonResourceAttributes: { path: '/metrics', verb: 'get' },
        },
      ],
    ]);
  });

  it('asks nobody where there is no token', async () => {
    for (const header of ['', 'Bearer', 'Bearer ', 'Basic YTpi', 'Bearer a b'])
      expect(await guard.judge(header)).toBe(401);
    expect(asked()).toEqual([]);
  });

  it('refuses a token that nobody knows, and one without the right', async () => {
    answers.token = { authenticated: false };
    expect(await guard.judge('Bearer wrong')).toBe(401);
    answers.token = { authenticated: true, user: { username: 'x' } };
    answers.access = { allowed: false };
    expect(await guard.judge('Bearer poor')).toBe(403);
  });

  it('believes an answer for a minute, a refusal for ten seconds', async () => {
    await guard.judge('Bearer abc');
    await guard.judge('Bearer abc');
    expect(asked()).toHaveLength(2);
    await door.clock.advance(61_000);
    answers.access = { allowed: false };
    expect(await guard.judge('Bearer abc')).toBe(403);
    answers.access = { allowed: true };
    expect(await guard.judge('Bearer abc')).toBe(403);
    await door.clock.advance(11_000);
    expect(await guard.judge('Bearer abc')).toBe(200);
  });

  it('says 500 where the reviews are not allowed, and why, once', async () => {
    door.fake.mend();
    door.fake.fail(({ path }) => path.endsWith('tokenreviews'), { status: 403 }, 9);
    expect(await guard.judge('Bearer abc')).toBe(500);
    expect(await guard.judge('Bearer abc')).toBe(500);
    expect(failed).toEqual([expect.stringContaining('cannot create tokenreviews.authentication.k8s.io: 403')]);
  });

  it('guards one path, for reading', async () => {
    const read = async () => ({ type: 'text/plain', body: 'up 1\n' });
    const scrape = (method: string, path: string, authorization = 'Bearer abc') =>
      answerScrape(guard, '/metrics', { method, path, authorization }, read);
    expect(await scrape('GET', '/metrics')).toEqual({ status: 200, type: 'text/plain', body: 'up 1\n' });
    expect((await scrape('GET', '/metrics', '')).status).toBe(401);
    expect((await scrape('GET', '/')).status).toBe(404);
    expect((await scrape('POST', '/metrics')).status).toBe(405);
  });
});
