// The webhooks' answers to reviews as an API server sends them; the lists come from a map in place of the API.

import { describe, expect, it } from 'vitest';
import type { Page, Selection } from '../../src/k8s/api.ts';
import { ApiError } from '../../src/k8s/api-error.ts';
import { answerWebhook } from '../../src/k8s/webhook.ts';

const NAMESPACE = 'metallb-system';
const PREFIX = '/validate-metallb-io-';

type Lists = Readonly<Record<string, readonly object[]>>;

function contextWith(lists: Lists, bgpType: 'native' | 'frr' = 'frr') {
  const asked: string[] = [];
  const list = async ({ kind, namespace }: Selection, page: { limit: number; continue: string }): Promise<Page> => {
    asked.push(`${kind.plural} ${namespace ?? '*'}`);
    const all = lists[kind.plural] ?? [];
    // one object a page: who forgets to go on sees too little
    const at = Number(page.continue || 0);
    const next = at + 1 < all.length ? String(at + 1) : '';
    return { items: all.slice(at, at + 1), resourceVersion: '1', continue: next, size: 1 };
  };
  return { asked, context: { api: { list }, bgpType, namespace: NAMESPACE } };
}

const named = (name: string, spec: object, namespace = NAMESPACE) => ({ metadata: { name, namespace }, spec });
const whole = (kind: string, version: string, object: object) => ({
  apiVersion: `metallb.io/${version}`,
  kind,
  ...object,
});
const pool = (name: string, ...addresses: string[]) => named(name, { addresses });
const peer = (name: string, peerAddress: string, more: object = {}) =>
  named(name, { myASN: 64512, peerASN: 64513, peerAddress, ...more });

interface Answered {
  readonly allowed: boolean;
  readonly status: { readonly code: number; readonly message?: string; readonly reason?: string };
  readonly warnings?: readonly string[];
}

async function ask(path: string, operation: string, object: object, lists: Lists = {}): Promise<Answered> {
  const { context } = contextWith(lists);
  const side = operation === 'DELETE' ? { oldObject: object, object: null } : { object };
  const review = {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'u-1', operation, ...side },
  };
  const answer = await answerWebhook(context, `${PREFIX}${path}`, JSON.stringify(review));
  if (!('answer' in answer)) throw new Error(answer.text);
  const { response, ...envelope } = answer.answer as { response: Answered & { uid: string } };
  expect(envelope).toEqual({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' });
  expect(response.uid).toBe('u-1');
  return response;
}

const denied = (message: string) => ({
  uid: 'u-1',
  allowed: false,
  status: { code: 403, reason: 'Forbidden', message },
});
const ALLOWED = { uid: 'u-1', allowed: true, status: { code: 200 } };

describe('an IPAddressPool', () => {
  const path = 'v1beta1-ipaddresspool';
  const create = (object: object) => whole('IPAddressPool', 'v1beta1', object);

  it('that overlaps another one is refused when it is created and when it is changed', async () => {
    const lists = { ipaddresspools: [pool('a', '10.0.0.0/24'), pool('b', '10.0.1.0/24')] };
    const message = 'CIDR "10.0.0.128/25" in pool "c" overlaps with already defined CIDR "10.0.0.0/24"';
    expect(await ask(path, 'CREATE', create(pool('c', '10.0.0.128/25')), lists)).toEqual(denied(message));
    expect((await ask(path, 'UPDATE', create(pool('b', '10.0.0.0/25')), lists)).allowed).toBe(false);
    expect(await ask(path, 'UPDATE', create(pool('b', '10.0.2.0/24')), lists)).toEqual(ALLOWED);
  });

  it('in another namespace is refused', async () => {
    const elsewhere = create(named('c', { addresses: ['10.0.0.0/24'] }, 'default'));
    expect(await ask(path, 'CREATE', elsewhere)).toEqual(
      denied('resource must be created in metallb-system namespace'),
    );
  });

  it('that cannot be read is an error of the request', async () => {
    const { status } = await ask(path, 'CREATE', create(named('c', { addresses: 'all' })));
    expect(status.code).toBe(400);
    expect(status.message).toContain('spec.addresses');
  });

  it('may be mended although another one is broken, with a warning; nothing broken may be added', async () => {
    const lists = { ipaddresspools: [pool('a', '10.0.0.0/24'), pool('b', '10.0.0.0/24'), pool('z', '1.1.1.0/24')] };
    const message = 'CIDR "10.0.0.0/24" in pool "b" overlaps with already defined CIDR "10.0.0.0/24"';
    expect(await ask(path, 'UPDATE', create(pool('z', '1.1.2.0/24')), lists)).toEqual({
      ...ALLOWED,
      warnings: [`the configuration stays refused: ${message}`],
    });
    expect(await ask(path, 'CREATE', create(pool('y', '1.1.2.0/24')), lists)).toEqual(denied(message));
    expect(await ask(path, 'UPDATE', create(pool('b', '10.0.3.0/24')), lists)).toEqual(ALLOWED);
  });

  describe('beside others that are broken', () => {
    const overlap = 'CIDR "10.0.0.0/24" in pool "b" overlaps with already defined CIDR "10.0.0.0/24"';
    const garbage = 'parsing address pool zz: invalid CIDR "garbage" in pool "zz": invalid CIDR "garbage"';
    const pools = [pool('a', '10.0.0.0/24'), pool('b', '10.0.0.0/24'), pool('zz', '1.1.1.0/24')];
    const update = (name: string, address: string, among: readonly object[] = pools) =>
      ask(path, 'UPDATE', create(pool(name, address)), { ipaddresspools: among });

    it('may not be broken itself, though nobody would notice', async () => {
      expect(await update('zz', 'garbage')).toEqual(denied(garbage));
      expect(await update('zz', '10.0.0.128/25')).toEqual(
        denied('CIDR "10.0.0.128/25" in pool "zz" overlaps with already defined CIDR "10.0.0.0/24"'),
      );
      // with one that is left out for it overlaps with the first
      const three = [...pools.slice(0, 1), pool('b', '10.0.0.0/23'), pool('zz', '1.1.1.0/24')];
      expect(await update('zz', '10.0.1.0/24', three)).toEqual(
        denied('CIDR "10.0.1.0/24" in pool "zz" overlaps with already defined CIDR "10.0.0.0/23"'),
      );
    });

    it('may be mended, each of them, in any order', async () => {
      const broken = [...pools.slice(0, 2), pool('zz', 'garbage')];
      const stays = (message: string) => ({ ...ALLOWED, warnings: [`the configuration stays refused: ${message}`] });
      expect(await update('b', '10.0.5.0/24', broken)).toEqual(stays(garbage));
      expect(await update('a', '10.0.5.0/24', broken)).toEqual(stays(garbage));
      expect(await update('zz', '1.1.1.0/24', broken)).toEqual(stays(overlap));
      expect(await update('zz', '1.1.1.0/24')).toEqual(stays(overlap));
      // as wrong as it was
      expect(await update('zz', 'garbage', broken)).toEqual(stays(overlap));
      expect((await update('zz', 'rubbish', broken)).allowed).toBe(false);
    });
  });

  it('that is going, or has the spec that it had, is let through even where it cannot be read', async () => {
    const spec = { addresses: 'all' };
    const update = async (metadata: object, before: object) => {
      const object = create({ metadata: { name: 'a', namespace: NAMESPACE, ...metadata }, spec });
      const request = { uid: 'u-1', operation: 'UPDATE', object, oldObject: { ...object, spec: before } };
      const answer = await answerWebhook(contextWith({}).context, `${PREFIX}${path}`, JSON.stringify({ request }));
      return 'answer' in answer ? (answer.answer as { response: Answered }).response : undefined;
    };
    const going = { deletionTimestamp: '2026-11-25T00:00:00Z', finalizers: [] };
    expect(await update(going, { addresses: 'none' })).toEqual(ALLOWED);
    expect(await update({ labels: { a: 'b' } }, { addresses: 'all' })).toMatchObject({
      allowed: true,
      warnings: [expect.stringContaining('the configuration stays refused: ')],
    });
    expect((await update({}, { addresses: 'none' }))?.status.code).toBe(400);
  });
});

describe('a BGPPeer', () => {
  const path = 'v1beta2-bgppeer';
  const create = (object: object) => whole('BGPPeer', 'v1beta2', object);
  const nodes = [
    { metadata: { name: 'n1', labels: { rack: 'a' } } },
    { metadata: { name: 'n2', labels: { rack: 'b' } } },
  ];
  const onRack = (rack: string) => ({ nodeSelectors: [{ matchLabels: { rack } }] });

  it('with an address that is none is refused', async () => {
    const { status } = await ask(path, 'CREATE', create(peer('p', '1.1.1.400')));
    expect(status.message).toContain('invalid BGPPeer address');
  });

  it('twice with one address is refused where both meet on a node, and allowed where they do not', async () => {
    const lists = { bgppeers: [peer('a', '10.0.0.1', onRack('a'))], nodes };
    const again = await ask(path, 'CREATE', create(peer('b', '10.0.0.1', onRack('a'))), lists);
    expect(again.status.message).toBe(
      "peer 10.0.0.1 already exists, FRR mode doesn't support duplicate BGPPeers selecting the same node",
    );
    expect(await ask(path, 'CREATE', create(peer('b', '10.0.0.1', onRack('b'))), lists)).toEqual(ALLOWED);
  });

  it('may name a BFD profile and a Secret that come later', async () => {
    const early = create(peer('p', '10.0.0.1', { bfdProfile: 'later', passwordSecret: { name: 'later' } }));
    expect(await ask(path, 'CREATE', early)).toEqual(ALLOWED);
  });

  it('with disableMP is warned about before anything else', async () => {
    const object = create(named('p', { myASN: 1, peerASN: 2, peerAddress: 'x', disableMP: true }, 'default'));
    expect((await ask(path, 'CREATE', object)).warnings).toEqual([
      "disable mp is deprecated and has no effect since it's the default behavior now",
    ]);
  });
});

describe('the other kinds', () => {
  it('a BFDProfile that a peer names is not deleted', async () => {
    const profile = whole('BFDProfile', 'v1beta1', named('fast', {}));
    const lists = { bgppeers: [peer('p', '10.0.0.1', { bfdProfile: 'fast' })] };
    expect(await ask('v1beta1-bfdprofile', 'DELETE', profile, lists)).toEqual(
      denied('failed to delete BFDProfile fast, used by BGPPeer p'),
    );
    expect(await ask('v1beta1-bfdprofile', 'DELETE', profile)).toEqual(ALLOWED);
  });

  it('a BGPAdvertisement is held against its pools, a name of a community may come later', async () => {
    const lists = { ipaddresspools: [pool('a', '1.1.1.0/28')] };
    const short = whole('BGPAdvertisement', 'v1beta1', named('a', { aggregationLength: 26 }));
    expect((await ask('v1beta1-bgpadvertisement', 'CREATE', short, lists)).status.message).toContain(
      'invalid aggregation length 26: prefix 28 in this pool is more specific than the aggregation length for addresses 1.1.1.0/28',
    );
    const alias = whole('BGPAdvertisement', 'v1beta1', named('a', { communities: ['later'] }));
    expect(await ask('v1beta1-bgpadvertisement', 'CREATE', alias, lists)).toEqual(ALLOWED);
  });

  it('a Community has a value of its form, once', async () => {
    const community = (value: string) =>
      whole('Community', 'v1beta1', named('c', { communities: [{ name: 'x', value }] }));
    const { status } = await ask('v1beta1-community', 'CREATE', community('99999999:1'));
    expect(status.message).toContain('invalid community value: invalid section');
    const lists = { communities: [named('d', { communities: [{ name: 'x', value: '1111:2222' }] })] };
    const again = await ask('v1beta1-community', 'CREATE', community('1111:2222'), lists);
    expect(again.status.message).toContain('duplicate definition of community');
  });

  it('an L2Advertisement may name no pool twice', async () => {
    const twice = whole('L2Advertisement', 'v1beta1', named('l', { ipAddressPools: ['a', 'a'] }));
    expect((await ask('v1beta1-l2advertisement', 'CREATE', twice)).status.message).toContain('duplicate definition');
  });
});

describe('the door', () => {
  const review = (request: object) => JSON.stringify({ apiVersion: 'admission.k8s.io/v1', request });

  it('reads only the lists that the rule needs, in our namespace', async () => {
    const { context, asked } = contextWith({});
    const object = whole('BGPAdvertisement', 'v1beta1', named('a', {}));
    await answerWebhook(
      context,
      `${PREFIX}v1beta1-bgpadvertisement`,
      review({ uid: 'u', operation: 'CREATE', object }),
    );
    expect(asked.sort()).toEqual(['bgpadvertisements metallb-system', 'ipaddresspools metallb-system', 'nodes *']);
  });

  it('says so when the API does not answer', async () => {
    const asked = { verb: 'list', kind: { path: 'api/v1', plural: 'nodes', kind: 'Node', namespaced: false } } as const;
    const api = { list: () => Promise.reject(new ApiError(asked, 503, 'busy')) };
    const context = { api, bgpType: 'native', namespace: NAMESPACE } as const;
    const object = whole('BGPPeer', 'v1beta2', peer('p', '10.0.0.1'));
    const answer = await answerWebhook(
      context,
      `${PREFIX}v1beta2-bgppeer`,
      review({ uid: 'u', operation: 'CREATE', object }),
    );
    expect(answer).toMatchObject({
      answer: { response: { allowed: false, status: { code: 500, message: 'cannot list nodes: 503 busy' } } },
    });
  });

  it('answers nonsense with what is wrong about it', async () => {
    const { context } = contextWith({});
    const to = (path: string, body: string) => answerWebhook(context, path, body);
    expect(await to('/nowhere', '{}')).toEqual({ status: 404, text: 'no such webhook\n' });
    for (const path of [`${PREFIX}v1beta2-bgppeer`, '/convert']) {
      expect(await to(path, '{')).toMatchObject({ status: 400 });
      for (const body of ['null', '[]', '7', '{}', '{"request":{}}', '{"request":{"uid":7}}'])
        expect(await to(path, body)).toMatchObject({ status: 400 });
    }
    for (const request of [{}, { operation: 'CONNECT' }, { operation: 'CREATE', object: [] }, { operation: 'DELETE' }])
      expect(await to(`${PREFIX}v1beta2-bgppeer`, review({ uid: 'u', ...request }))).toMatchObject({
        answer: { response: { uid: 'u', allowed: false, status: { code: 400 } } },
      });
  });

  it.each([
    { apiVersion: 5 },
    { apiVersion: ['metallb.io/v1beta2'] },
    { kind: 5 },
    { kind: null },
    { apiVersion: null },
  ])('answers an object whose naming is no text: %j', async (naming) => {
    const { context } = contextWith({});
    const object = { ...whole('BGPPeer', 'v1beta2', peer('p', '10.0.0.1')), ...naming };
    const message = expect.stringContaining('texts as apiVersion and kind');
    for (const operation of ['CREATE', 'DELETE'])
      expect(
        await answerWebhook(
          context,
          `${PREFIX}v1beta2-bgppeer`,
          review({ uid: 'u', operation, object, oldObject: object }),
        ),
      ).toMatchObject({ answer: { response: { allowed: false, status: { code: 400, message } } } });
  });

  const TOO_DEEP = 'the body is more than 100 levels deep\n';
  it.each([101, 5_000, 100_000])('takes nothing that is %d levels deep', async (levels) => {
    const { context } = contextWith({});
    const deep = `${'{"a":'.repeat(levels - 5)}1${'}'.repeat(levels - 5)}`;
    const version = (number: number) => `"apiVersion":"metallb.io/v1beta${number}"`;
    const object = `{${version(2)},"kind":"BGPPeer","metadata":{"name":"x"},"spec":{"password":${deep}}}`;
    const bodies = {
      '/convert': `{"request":{"uid":"u","desiredAPIVersion":"metallb.io/v1beta1","objects":[${object}]}}`,
      [`${PREFIX}v1beta2-bgppeer`]: `{"request":{"uid":"u","operation":"CREATE","object":{"x":[${object}]}}}`,
    };
    for (const [path, body] of Object.entries(bodies))
      expect(await answerWebhook(context, path, body)).toMatchObject({ status: 400, text: TOO_DEEP });
  });

  it('takes what is a hundred levels deep', async () => {
    const { context } = contextWith({});
    const body = `{"request":{"uid":"u","x":${'['.repeat(98)}${']'.repeat(98)}}}`;
    expect(await answerWebhook(context, '/convert', body)).toMatchObject({ answer: { response: { uid: 'u' } } });
  });
});

describe('conversion', () => {
  const convert = async (desiredAPIVersion: string, ...objects: readonly unknown[]) => {
    const body = { apiVersion: 'apiextensions.k8s.io/v1beta1', kind: 'ConversionReview' };
    const request = { uid: 'c-1', desiredAPIVersion, objects };
    const answer = await answerWebhook(contextWith({}).context, '/convert', JSON.stringify({ ...body, request }));
    const { response, ...envelope } = (answer as { answer: { response: object } }).answer;
    expect(envelope).toEqual(body);
    return response as { uid: string; result: { status: string; message?: string }; convertedObjects: object[] };
  };
  const metadata = { name: 'p', namespace: NAMESPACE, uid: 'x', labels: { a: 'b' }, annotations: { c: 'd' } };

  it('to v1beta2 makes label selectors of node selectors, and absent times are 0s', async () => {
    const spec = {
      ...{ myASN: 1, peerASN: 2, peerAddress: '10.0.0.1', peerPort: 0, holdTime: '90s', ebgpMultiHop: true },
      nodeSelectors: [
        { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'k', operator: 'In', values: ['v'] }] },
        { matchLabels: {}, matchExpressions: [] },
      ],
    };
    const old = { apiVersion: 'metallb.io/v1beta1', kind: 'BGPPeer', metadata, spec, status: {} };
    const { result, convertedObjects } = await convert('metallb.io/v1beta2', old, old);
    expect(result).toEqual({ status: 'Success' });
    expect(convertedObjects).toHaveLength(2);
    expect(convertedObjects[0]).toEqual({
      apiVersion: 'metallb.io/v1beta2',
      kind: 'BGPPeer',
      metadata,
      spec: {
        ...{ myASN: 1, peerASN: 2, peerAddress: '10.0.0.1', holdTime: '90s', keepaliveTime: '0s', ebgpMultiHop: true },
        nodeSelectors: [
          { matchLabels: { a: 'b' }, matchExpressions: [{ key: 'k', operator: 'In', values: ['v'] }] },
          {},
        ],
      },
      status: {},
    });
  });

  it('to v1beta1 drops what that does not know, and fills in what it must have', async () => {
    const spec = {
      ...{ myASN: 1, dynamicASN: 'external', interface: 'eth0', vrf: 'red', enableGracefulRestart: true },
      ...{ passwordSecret: { name: 's' }, connectTime: '10s', localASN: 7, dualStackAddressFamily: true },
      nodeSelectors: [{}, { matchExpressions: [{ key: 'k', operator: 'Exists' }] }],
    };
    const object = { apiVersion: 'metallb.io/v1beta2', kind: 'BGPPeer', metadata, spec };
    const { convertedObjects } = await convert('metallb.io/v1beta1', object);
    expect(convertedObjects[0]).toEqual({
      apiVersion: 'metallb.io/v1beta1',
      kind: 'BGPPeer',
      metadata,
      spec: {
        ...{ myASN: 1, peerASN: 0, peerAddress: '', holdTime: '0s', keepaliveTime: '0s' },
        nodeSelectors: [
          { matchLabels: {}, matchExpressions: [] },
          { matchLabels: {}, matchExpressions: [{ key: 'k', operator: 'Exists', values: [] }] },
        ],
      },
    });
  });

  it('of anything else fails as a whole, and says why', async () => {
    const object = { apiVersion: 'metallb.io/v1beta3', kind: 'BGPPeer', metadata, spec: {} };
    expect(await convert('metallb.io/v1beta2', object)).toEqual({
      uid: 'c-1',
      convertedObjects: [],
      result: { status: 'Failure', message: 'cannot convert BGPPeer from metallb.io/v1beta3 to metallb.io/v1beta2' },
    });
    expect((await convert('metallb.io/v1beta2', 7)).result.status).toBe('Failure');
  });
});
