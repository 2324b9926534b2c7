// The webhooks' certificate over its whole life: a CA and a server certificate in a Secret that all replicas watch; made
// when it is missing or about to end, told to the API server (caBundle) before a server uses it, so that no call fails in
// between. Two replicas that do this at once are told apart by the Secret's version. Run by controller-process.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { ApiObject } from '../config/resource.ts';
import type { Api, Selection } from './api.ts';
import { ApiError } from './api-error.ts';
import { type Clock, systemClock } from './clock.ts';
import { CUSTOM_RESOURCE_DEFINITIONS, type Kind, SECRETS, VALIDATING_WEBHOOKS } from './kind.ts';
import { Reflector } from './reflector.ts';
import type { Tell } from './report.ts';
import { Store } from './store.ts';
import { type Issued, issueCa, issueServer } from './x509.ts';

const WEBHOOKS_NAME = 'metallb-webhook-configuration';
const CONVERTED_NAME = 'bgppeers.metallb.io';
const DAY_MS = 86_400_000;
/** So long before its end a certificate is made anew. */
const RENEW_MS = 90 * DAY_MS;
const CHECK_MS = DAY_MS / 2;
const RETRY_MS = 5_000;

export interface CertificateOptions {
  readonly api: Api;
  readonly namespace: string;
  /** The Secret; made where it is missing. */
  readonly secret: string;
  /** The name that the API server calls. */
  readonly dnsName: string;
  /** False: nothing is written, a certificate that is there is served all the same. */
  readonly mayWrite: () => boolean;
  /** To be served from now on; the API server knows its CA, or could not be told. */
  readonly serve: (identity: Issued) => void;
  readonly tell: Tell;
  readonly say: (level: 'info' | 'warn', text: string, error?: string) => void;
  readonly clock?: Clock;
}

/** Of the Secret. */
export interface KeyMaterial {
  readonly caCert: string;
  readonly caKey: string;
  readonly cert: string;
  readonly key: string;
}

/** An object that holds caBundles: what they are now, base64 as the API has it. */
interface Bundled {
  readonly bundles: readonly string[];
}

export class CertificateKeeper {
  readonly #options: Required<CertificateOptions>;
  readonly #secret: Store<KeyMaterial>;
  readonly #webhooks: Store<Bundled>;
  readonly #converted: Store<Bundled>;
  readonly #reflectors: readonly Reflector[];
  #wake = new AbortController();
  #served = '';
  #said = '';

  constructor({ clock = systemClock, ...options }: CertificateOptions) {
    this.#options = { ...options, clock };
    const { api, namespace, secret } = options;
    const changed = () => this.look();
    // a list that holds nothing changes nothing, and is news all the same
    const tell: Tell = (report) => {
      options.tell(report);
      this.look();
    };
    const store = <T extends object>({ kind, path }: Kind, read: (object: ApiObject) => T) =>
      new Store<T>({ kind, apiVersion: path.replace(/^apis?\//, ''), read, changed, unreadable: () => undefined });
    this.#secret = store(SECRETS, readMaterial);
    this.#webhooks = store(VALIDATING_WEBHOOKS, readWebhooks);
    this.#converted = store(CUSTOM_RESOURCE_DEFINITIONS, readConverted);
    const one = (kind: Kind, name: string): Selection => ({ kind, fieldSelector: `metadata.name=${name}` });
    this.#reflectors = [
      new Reflector({ api, tell, clock, store: this.#secret, selection: { ...one(SECRETS, secret), namespace } }),
      new Reflector({ api, tell, clock, store: this.#webhooks, selection: one(VALIDATING_WEBHOOKS, WEBHOOKS_NAME) }),
      new Reflector({
        ...{ api, tell, clock, store: this.#converted },
        selection: one(CUSTOM_RESOURCE_DEFINITIONS, CONVERTED_NAME),
      }),
    ];
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const reading = this.#reflectors.map((reflector) => reflector.run(signal));
    signal.addEventListener('abort', () => this.#wake.abort(), { once: true });
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const settled = await this.#round().catch((fault: unknown) => this.#failed(fault));
      if (!this.#wake.signal.aborted) await clock.sleep(settled ? CHECK_MS : RETRY_MS, this.#wake.signal);
    }
    await Promise.all(reading);
  }

  /** What stands between asking and doing may have changed: a lease, another controller. */
  look(): void {
    this.#wake.abort();
  }

  /** True: nothing is left to do until something changes. */
  async #round(): Promise<boolean> {
    if (this.#reflectors[0]?.state.synced !== true) return false;
    const { namespace, secret, mayWrite, serve } = this.#options;
    const material = this.#secret.get(`${namespace}/${secret}`);
    const why = whyRenew(material, this.#options.dnsName, this.#options.clock.date());
    if (why !== undefined) {
      if (!mayWrite()) return false;
      await this.#renew(material, why);
      // the answer to the write is in the store
      return false;
    }
    const known = this.#reflectors.every(({ state }) => state.synced || state.problem !== undefined);
    if (material === undefined || !known) return false;
    await this.#inject(material.caCert);
    const print = material.cert + material.key;
    if (print !== this.#served) serve({ cert: material.cert, key: material.key });
    this.#served = print;
    this.#said = '';
    return true;
  }

  async #renew(material: KeyMaterial | undefined, { what, because }: Renewal): Promise<void> {
    const { api, namespace, secret, dnsName, clock, say } = this.#options;
    const now = clock.date();
    // of what was judged: while keys are made another replica may come first
    const resourceVersion = this.#secret.resourceVersion(`${namespace}/${secret}`);
    const old = { cert: firstOf(material?.caCert ?? ''), key: material?.caKey ?? '' };
    const ca = what === 'server' ? old : await issueCa(now);
    const server = await issueServer(ca, [dnsName], now);
    // who holds a certificate of the old CA is believed until it has the new one
    const trusted = what === 'all' && endsAfter(old.cert, now) ? `${ca.cert}${old.cert}` : ca.cert;
    const data = {
      'ca.crt': encode(what === 'server' ? (material?.caCert ?? '') : trusted),
      'ca.key': encode(ca.key),
      'tls.crt': encode(server.cert),
      'tls.key': encode(server.key),
    };
    const target = { kind: SECRETS, namespace, name: secret };
    const object =
      resourceVersion === undefined
        ? await api.create(target, { ...SECRET_NAMING, metadata: { namespace, name: secret }, data })
        : await api.mergePatch(target, { metadata: { resourceVersion }, data });
    this.#secret.put(object);
    say('info', `the certificate of the webhooks is new: ${because}`);
  }

  /** Both objects carry the CA; one that is not there has no calls to make. */
  async #inject(caCert: string): Promise<void> {
    const bundle = encode(caCert);
    const { mayWrite } = this.#options;
    const lacks = (store: Store<Bundled>, name: string) =>
      store.get(name)?.bundles.some((each) => each !== bundle) === true && mayWrite();
    if (lacks(this.#webhooks, WEBHOOKS_NAME))
      await this.#put(VALIDATING_WEBHOOKS, WEBHOOKS_NAME, this.#webhooks, bundle);
    if (lacks(this.#converted, CONVERTED_NAME))
      await this.#put(CUSTOM_RESOURCE_DEFINITIONS, CONVERTED_NAME, this.#converted, bundle);
  }

  /** As a whole, onto the version that was read: lists of webhooks cannot be patched entry by entry. */
  async #put(kind: Kind, name: string, store: Store<Bundled>, bundle: string): Promise<void> {
    const { api, say } = this.#options;
    const live = await api.get({ kind, name });
    store.put(await api.put({ kind, name }, withBundle(live, bundle)));
    say('info', `${kind.kind} ${name} knows the certificate of the webhooks`);
  }

  /** Another replica was there first (409): its certificate is on its way. Anything else is said once, and tried again. */
  #failed(fault: unknown): false {
    if (!(fault instanceof ApiError)) throw fault;
    if (fault.status === 409 || fault.message === this.#said) return false;
    this.#said = fault.message;
    this.#options.say('warn', 'the certificate of the webhooks is not in place', fault.message);
    return false;
  }
}

interface Renewal {
  /** `server`: the CA is good, and stays. */
  readonly what: 'server' | 'all';
  readonly because: string;
}

/** Undefined: the material is good for `dnsName`, and for long enough. */
export function whyRenew(material: KeyMaterial | undefined, dnsName: string, now: Date): Renewal | undefined {
  const all = (because: string): Renewal => ({ what: 'all', because });
  if (material === undefined || material.cert === '') return all('there was none');
  const ca = parsed(firstOf(material.caCert), material.caKey);
  if (ca === undefined) return all('the CA in the Secret is of no use');
  if (!isGood(ca, now)) return all(`the CA ends at ${ca.validTo}`);
  // what we sign names this CA
  if (ca.subject !== 'O=metallb\nCN=cert' || !ca.ca) return all('the CA in the Secret is not one of ours');
  const server = parsed(material.cert, material.key);
  if (server === undefined) return { what: 'server', because: 'the one in the Secret is of no use' };
  if (!isGood(server, now)) return { what: 'server', because: `the old one ends at ${server.validTo}` };
  if (server.checkHost(dnsName) === undefined) return { what: 'server', because: `the old one is not for ${dnsName}` };
  if (!server.checkIssued(ca) || !server.verify(ca.publicKey))
    return { what: 'server', because: 'the old one is not of this CA' };
  return undefined;
}

/** Undefined: no certificate, no key, or not of each other. */
function parsed(cert: string, key: string): X509Certificate | undefined {
  try {
    const certificate = new X509Certificate(cert);
    return certificate.checkPrivateKey(createPrivateKey(key)) ? certificate : undefined;
  } catch {
    return undefined;
  }
}

function isGood({ validFromDate, validToDate }: X509Certificate, now: Date): boolean {
  return validFromDate <= now && validToDate.getTime() - now.getTime() > RENEW_MS;
}

/** Also of what is no certificate: it does not. */
function endsAfter(cert: string, now: Date): boolean {
  try {
    return new X509Certificate(cert).validToDate > now;
  } catch {
    return false;
  }
}

const SECRET_NAMING = { apiVersion: 'v1', kind: 'Secret' };

/** The newest CA comes first. */
function firstOf(bundle: string): string {
  return /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\n?/.exec(bundle)?.[0] ?? '';
}

function encode(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

type Json = Readonly<Record<string, unknown>>;

function asObject(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function readMaterial(object: ApiObject): KeyMaterial {
  const data = asObject(object['data']);
  const text = (name: string) => Buffer.from(String(data[name] ?? ''), 'base64').toString('utf8');
  return { caCert: text('ca.crt'), caKey: text('ca.key'), cert: text('tls.crt'), key: text('tls.key') };
}

function readWebhooks(object: ApiObject): Bundled {
  return { bundles: webhooksOf(object).map((webhook) => bundleOf(asObject(webhook['clientConfig']))) };
}

/** Of a definition that is not converted by a webhook: none. */
function readConverted(object: ApiObject): Bundled {
  const { strategy, webhook } = asObject(asObject(object['spec'])['conversion']);
  return { bundles: strategy === 'Webhook' ? [bundleOf(asObject(asObject(webhook)['clientConfig']))] : [] };
}

function webhooksOf(object: ApiObject): readonly Json[] {
  const { webhooks } = object;
  return Array.isArray(webhooks) ? webhooks.map(asObject) : [];
}

function bundleOf({ caBundle }: Json): string {
  return typeof caBundle === 'string' ? caBundle : '';
}

function withBundle(object: ApiObject, caBundle: string): ApiObject {
  const bundled = (webhook: Json) => ({ ...webhook, clientConfig: { ...asObject(webhook['clientConfig']), caBundle } });
  if (object.kind === 'ValidatingWebhookConfiguration') return { ...object, webhooks: webhooksOf(object).map(bundled) };
  const spec = asObject(object['spec']);
  const conversion = asObject(spec['conversion']);
  return {
    ...object,
    spec: { ...spec, conversion: { ...conversion, webhook: bundled(asObject(conversion['webhook'])) } },
  };
}
