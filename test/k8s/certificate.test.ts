// The life of the webhooks' certificate, against an API server on loopback and a clock that is moved by years.

import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CertificateKeeper, whyRenew } from '../../src/k8s/certificate.ts';
import { type Issued, issueCa, issueServer } from '../../src/k8s/x509.ts';
import { Door } from './door.ts';
import type { Json } from './fake-api.ts';

const SECRETS = 'api/v1/secrets';
const WEBHOOKS = 'apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const DEFINITIONS = 'apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const [NAMESPACE, NAME, DNS_NAME] = ['metallb-system', 'metallb-webhook-cert', 'hook.metallb-system.svc'];
const YEAR_MS = 365.25 * 86_400_000;

let door: Door;
beforeEach(async () => {
  door = await new Door(SECRETS, WEBHOOKS, DEFINITIONS).open();
  const service = { name: 'hook', namespace: NAMESPACE };
  door.fake.put(WEBHOOKS, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'metallb-webhook-configuration' },
    webhooks: ['a', 'b'].map((name) => ({ name, clientConfig: { service }, failurePolicy: 'Fail' })),
  });
  door.fake.put(DEFINITIONS, {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'bgppeers.metallb.io' },
    spec: { group: 'metallb.io', conversion: { strategy: 'Webhook', webhook: { clientConfig: { service } } } },
  });
});
afterEach(() => door.close());

function keep(mayWrite = () => true) {
  const served: Issued[] = [];
  /** What the API server trusted at the moment of each. */
  const trusted: string[] = [];
  const said: string[] = [];
  const keeper = new CertificateKeeper({
    ...{ api: door.api, namespace: NAMESPACE, secret: NAME, dnsName: DNS_NAME, mayWrite, clock: door.clock },
    serve: (identity) => {
      served.push(identity);
      trusted.push(bundles()[0] ?? '');
    },
    tell: () => undefined,
    say: (_, text, error) => said.push(error === undefined ? text : `${text}: ${error}`),
  });
  door.run(keeper.run(door.signal));
  return { keeper, served, trusted, said };
}

function emptySecret(data: object = {}): void {
  door.fake.put(SECRETS, { metadata: { name: NAME, namespace: NAMESPACE }, data });
}

const decode = (base64: unknown) => Buffer.from(String(base64 ?? ''), 'base64').toString();

function secret(): Record<string, string> {
  const data = (door.fake.get(SECRETS, `${NAMESPACE}/${NAME}`)?.['data'] ?? {}) as Json;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, decode(value)]));
}

const configuration = (): Json => door.fake.get(WEBHOOKS, 'metallb-webhook-configuration') ?? {};

/** Of every webhook, and of the conversion. */
function bundles(): readonly string[] {
  const webhooks = configuration()['webhooks'] as { clientConfig: { caBundle?: string } }[];
  const definition: Json = door.fake.get(DEFINITIONS, 'bgppeers.metallb.io') ?? {};
  const { conversion } = definition['spec'] as { conversion: { webhook: { clientConfig: { caBundle?: string } } } };
  return [...webhooks, conversion.webhook].map(({ clientConfig }) => decode(clientConfig.caBundle));
}

const writes = () =>
  door.fake.seen.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`);

/** A client that trusts `ca` alone reaches a server with this identity. */
async function trusts(ca: string, { cert, key }: Issued): Promise<boolean> {
  const server = createServer({ cert, key });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const trusted = await new Promise<boolean>((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, servername: DNS_NAME, ca });
    socket.once('secureConnect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('secureConnect', () => socket.destroy());
  });
  server.close();
  return trusted;
}

describe('the certificate of the webhooks', () => {
  it('fills an empty Secret, is told to the API server, and only then served', async () => {
    emptySecret();
    const { served, trusted } = keep();
    const identity = await door.pass('served', () => served[0]);
    const { 'ca.crt': ca = '', 'tls.crt': cert, 'tls.key': key } = secret();
    expect(identity).toEqual({ cert, key });
    expect(bundles()).toEqual([ca, ca, ca]);
    expect(trusted).toEqual([ca]);
    expect(await trusts(ca, identity)).toBe(true);
    expect(writes()).toHaveLength(3);
    const [webhook] = configuration()['webhooks'] as Json[];
    expect(webhook).toMatchObject({ name: 'a', failurePolicy: 'Fail', clientConfig: { service: { name: 'hook' } } });
  });

  it('comes with its Secret where that is missing', async () => {
    const { served } = keep();
    await door.pass('served', () => served[0]);
    expect(Object.keys(secret())).toEqual(['ca.crt', 'ca.key', 'tls.crt', 'tls.key']);
  });

  it('that is there and good is served without a write', async () => {
    emptySecret();
    const first = keep();
    await door.pass('served', () => first.served[0]);
    await door.pass('settled', () => door.clock.sleeping.some((ms) => ms > 3_600_000));
    const before = writes().length;
    const second = keep();
    await door.pass('served again', () => second.served[0]);
    expect(writes()).toHaveLength(before);
  });

  it('is made anew under its CA 90 days before its end, and with a new CA when that ends too', async () => {
    const now = door.clock.date();
    const long = await issueCa(new Date(now.getTime() + YEAR_MS));
    const old = await issueServer(long, [DNS_NAME], now);
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    door.clock.skewMs = YEAR_MS + 86_400_000;
    emptySecret({
      'ca.crt': base64(long.cert),
      'ca.key': base64(long.key),
      'tls.crt': base64(old.cert),
      'tls.key': base64(old.key),
    });
    const { served } = keep();
    await door.pass('served', () => served[0]);
    expect(served[0]?.cert).toBe(old.cert);

    door.clock.skewMs = 9.8 * YEAR_MS;
    await door.pass('renewed', () => served[1], 3_600_000);
    expect(secret()['ca.crt']).toBe(long.cert);

    door.clock.skewMs = 10.8 * YEAR_MS;
    const newest = await door.pass('a new CA', () => served[2], 3_600_000);
    const bundle = secret()['ca.crt'] ?? '';
    expect(bundle.startsWith(long.cert)).toBe(false);
    expect(bundle.endsWith(long.cert)).toBe(true);
    // whoever serves the certificate of before is believed still
    expect(bundles()).toEqual([bundle, bundle, bundle]);
    expect(whyRenew(materialOf(secret()), DNS_NAME, door.clock.date())).toBeUndefined();
    expect(newest.cert).toBe(secret()['tls.crt']);
  });

  it('of two replicas that start at once is one and the same', async () => {
    emptySecret();
    const [a, b] = [keep(), keep()];
    await door.pass(
      'both settle on one',
      () => a.served.length > 0 && a.served.at(-1)?.cert === b.served.at(-1)?.cert,
      1_000,
    );
    const made = [...a.said, ...b.said].filter((text) => text.startsWith('the certificate of the webhooks is new'));
    expect(made).toHaveLength(1);
    const { 'ca.crt': ca = '' } = secret();
    await door.pass('one CA', () => bundles().every((bundle) => bundle === ca), 1_000);
    expect(await trusts(ca, a.served.at(-1) as Issued)).toBe(true);
  });

  it('is put back where somebody takes it away, and made again with its Secret', async () => {
    emptySecret();
    const { served } = keep();
    await door.pass('served', () => served[0]);
    door.fake.put(WEBHOOKS, { ...configuration(), webhooks: [{ name: 'c', clientConfig: {} }] });
    await door.pass('the bundle is back', () => bundles()[0] === secret()['ca.crt']);
    door.fake.remove(SECRETS, `${NAMESPACE}/${NAME}`);
    const again = await door.pass('served again', () => served[1]);
    expect(again.cert).toBe(secret()['tls.crt']);
  });

  it('is not written by who may not, and served all the same once it is there', async () => {
    emptySecret();
    let may = false;
    const { served, keeper } = keep(() => may);
    await door.pass('the Secret was read', () => door.clock.sleeping.includes(5_000));
    expect([writes(), served]).toEqual([[], []]);
    may = true;
    keeper.look();
    await door.pass('served', () => served[0]);
  });

  it('says once why it cannot be had, and goes on when it can', async () => {
    emptySecret();
    door.fake.fail(({ method }) => method === 'PATCH', { status: 403 }, 3);
    const { served, said } = keep();
    await door.pass('served', () => served[0], 1_000);
    expect(said.filter((text) => text.includes('not in place'))).toHaveLength(1);
    expect(said[0]).toContain('cannot patch secrets "metallb-webhook-cert" in namespace metallb-system: 403');
  });
});

function materialOf(data: Record<string, string>) {
  const { 'ca.crt': caCert = '', 'ca.key': caKey = '', 'tls.crt': cert = '', 'tls.key': key = '' } = data;
  return { caCert, caKey, cert, key };
}

describe('what is wrong with a certificate', async () => {
  const now = new Date('2026-06-01T00:00:00Z');
  const ca = await issueCa(now);
  const server = await issueServer(ca, [DNS_NAME], now);
  const good = { caCert: ca.cert, caKey: ca.key, cert: server.cert, key: server.key };
  const why = (change: object, at = now) => whyRenew({ ...good, ...change }, DNS_NAME, at);

  it('is found', async () => {
    const other = await issueCa(now);
    const stranger = await issueServer(undefined, [DNS_NAME], now);
    expect(why({})).toBeUndefined();
    expect(whyRenew(undefined, DNS_NAME, now)?.what).toBe('all');
    expect(why({ caCert: 'nonsense' })?.what).toBe('all');
    expect(why({ caKey: other.key })?.what).toBe('all');
    expect(why({ caCert: stranger.cert, caKey: stranger.key })?.what).toBe('all');
    expect(why({ caCert: other.cert, caKey: other.key })).toEqual({
      what: 'server',
      because: 'the old one is not of this CA',
    });
    expect(why({ key: other.key })?.what).toBe('server');
    expect(why({ cert: 'nonsense' })?.what).toBe('server');
    const { cert, key } = await issueServer(ca, ['elsewhere.svc'], now);
    expect(why({ cert, key })?.because).toBe(`the old one is not for ${DNS_NAME}`);
  });

  it('is its age too, 90 days before the end', () => {
    const end = new X509Certificate(server.cert).validToDate.getTime();
    expect(why({}, new Date(end - 91 * 86_400_000))).toBeUndefined();
    expect(why({}, new Date(end - 89 * 86_400_000))?.what).toBe('all');
    expect(why({}, new Date('2026-05-01T00:00:00Z'))?.what).toBe('all');
  });
});
