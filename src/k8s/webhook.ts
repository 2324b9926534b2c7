// What the API server asks before it stores one of our objects (AdmissionReview) and when it has one in another version
// than the one asked for (ConversionReview). Each review reads the lists that it needs from the API itself: a cache could
// be behind an object that was created a moment ago, and would have to be there first. Served by controller-process.
//
// Nobody is locked out of mending or deleting: of the deletions only that of a BFDProfile is asked about; an update is let
// through, with a warning, when it brings nothing that was not wrong before it. What is going (finalizers are taken off)
// and what has the spec that it had is let through even where it can't be read.

import { isDeepStrictEqual } from 'node:util';
import { convertPeer } from '../config/conversion.ts';
import { gather, readResource } from '../config/read.ts';
import type { ApiObject, BgpType, Resource } from '../config/resource.ts';
import { broughtBy, type Review, type WebhookKind, webhookCheck } from '../config/webhook.ts';
import type { Api } from './api.ts';
import { ApiError } from './api-error.ts';
import {
  apiVersionOf,
  BFD_PROFILES,
  BGP_ADVERTISEMENTS,
  BGP_PEERS,
  COMMUNITIES,
  IP_ADDRESS_POOLS,
  type Kind,
  L2_ADVERTISEMENTS,
  NODES,
} from './kind.ts';

export interface WebhookContext {
  readonly api: Pick<Api, 'list'>;
  readonly bgpType: BgpType;
  /** MetalLB's. */
  readonly namespace: string;
}

interface Webhook {
  readonly kind: WebhookKind;
  readonly own: Kind;
  /** Lists that are read, the own kind's among them where it is judged by its likes. */
  readonly lists: readonly Kind[];
}

const WEBHOOKS: Readonly<Record<string, Webhook>> = {
  '/validate-metallb-io-v1beta2-bgppeer': { kind: 'BGPPeer', own: BGP_PEERS, lists: [BGP_PEERS, NODES] },
  '/validate-metallb-io-v1beta1-bfdprofile': { kind: 'BFDProfile', own: BFD_PROFILES, lists: [BGP_PEERS] },
  '/validate-metallb-io-v1beta1-bgpadvertisement': {
    kind: 'BGPAdvertisement',
    own: BGP_ADVERTISEMENTS,
    lists: [BGP_ADVERTISEMENTS, IP_ADDRESS_POOLS, NODES],
  },
  '/validate-metallb-io-v1beta1-community': { kind: 'Community', own: COMMUNITIES, lists: [COMMUNITIES] },
  '/validate-metallb-io-v1beta1-ipaddresspool': {
    kind: 'IPAddressPool',
    own: IP_ADDRESS_POOLS,
    lists: [IP_ADDRESS_POOLS],
  },
  '/validate-metallb-io-v1beta1-l2advertisement': {
    kind: 'L2Advertisement',
    own: L2_ADVERTISEMENTS,
    lists: [L2_ADVERTISEMENTS, IP_ADDRESS_POOLS],
  },
};
const CONVERT = '/convert';
const PAGE = 500;
/** Lists and maps within each other; our kinds and what the API server keeps about them have a dozen. */
const DEEPEST = 100;

/** The object to be sent back (status 200), or why the request makes no sense. */
export type WebhookAnswer = { readonly answer: object } | { readonly status: 400 | 404; readonly text: string };

/** Answers one request; what cannot be decided is said in the answer and throws nothing. */
export async function answerWebhook(context: WebhookContext, path: string, body: string): Promise<WebhookAnswer> {
  const webhook = Object.hasOwn(WEBHOOKS, path) ? WEBHOOKS[path] : undefined;
  if (webhook === undefined && path !== CONVERT) return { status: 404, text: 'no such webhook\n' };
  let review: unknown;
  try {
    review = JSON.parse(body);
  } catch {
    return { status: 400, text: 'the body is no JSON\n' };
  }
  if (isDeeper(review, DEEPEST)) return { status: 400, text: `the body is more than ${DEEPEST} levels deep\n` };
  const { apiVersion, kind, request } = asObject(review);
  const { uid } = asObject(request);
  if (typeof uid !== 'string') return { status: 400, text: 'no review with a request.uid\n' };
  const given = asObject(request);
  const response = webhook === undefined ? convert(given) : await admit(context, webhook, given);
  return { answer: { apiVersion, kind, response: { uid, ...response } } };
}

interface Verdict {
  readonly allowed: boolean;
  readonly status: { readonly code: number; readonly message?: string; readonly reason?: string };
  readonly warnings?: readonly string[];
}

async function admit(context: WebhookContext, webhook: Webhook, request: Json): Promise<Verdict> {
  const operation = (['CREATE', 'UPDATE', 'DELETE'] as const).find((each) => each === request['operation']);
  if (operation === undefined)
    return refusedAs(400, `no operation that is reviewed: ${JSON.stringify(request['operation'])}`);
  const object = identify(operation === 'DELETE' ? request['oldObject'] : request['object'], webhook.own);
  if (object === undefined)
    return refusedAs(400, 'the request holds no object with a metadata.name, and texts as apiVersion and kind');
  if (operation === 'UPDATE' && object.metadata['deletionTimestamp'] !== undefined) return allowed([]);
  const candidate = readResource(object);
  const isAsBefore = operation === 'UPDATE' && isDeepStrictEqual(object.spec, asObject(request['oldObject'])['spec']);
  if (isAsBefore && candidate !== undefined && 'invalid' in candidate) return allowed(stays(candidate.invalid.message));
  if (candidate === undefined || 'invalid' in candidate)
    return refusedAs(400, candidate?.invalid.message ?? `${object.kind} is no kind that is reviewed here`);
  try {
    const lists = await Promise.all(webhook.lists.map((kind) => listed(context, kind)));
    const { namespace = '' } = object.metadata;
    const review = { operation, kind: webhook.kind, name: object.metadata.name, namespace };
    return judge(context, review, candidate, lists.flat());
  } catch (fault) {
    if (!(fault instanceof ApiError)) throw fault;
    return refusedAs(500, fault.message);
  }
}

function judge(context: WebhookContext, review: Review, candidate: Resource, listed: readonly Resource[]): Verdict {
  const { operation, kind, name } = review;
  const isItself = (each: Resource) => each.kind === candidate.kind && each.value.name === name;
  const others = listed.filter((each) => !isItself(each));
  const checked = webhookCheck(review, gather(operation === 'DELETE' ? listed : [...others, candidate]), context);
  if (!('invalid' in checked)) return allowed(checked.warnings);
  const update = { kind, before: listed.find(isItself), after: candidate, others };
  const brought = operation === 'UPDATE' ? broughtBy(update, context) : checked.invalid;
  if (brought === undefined) return allowed(stays(checked.invalid.message));
  return refusedAs(403, brought.message, 'Forbidden');
}

function stays(message: string): readonly string[] {
  return [`the configuration stays refused: ${message}`];
}

function allowed(warnings: readonly string[]): Verdict {
  return { allowed: true, status: { code: 200 }, ...(warnings.length > 0 && { warnings }) };
}

function refusedAs(code: number, message: string, reason?: string): Verdict {
  return { allowed: false, status: { code, message, ...(reason !== undefined && { reason }) } };
}

/** All of a kind that can be read; what cannot is not ours to judge here. */
async function listed({ api, namespace }: WebhookContext, kind: Kind): Promise<readonly Resource[]> {
  const selection = kind.namespaced ? { kind, namespace } : { kind };
  const resources: Resource[] = [];
  let next = '';
  do {
    const page = await api.list(selection, { limit: PAGE, continue: next });
    for (const item of page.items) {
      const object = identify(item, kind);
      const read = object && readResource(object);
      if (read !== undefined && !('invalid' in read)) resources.push(read);
    }
    next = page.continue;
  } while (next !== '');
  return resources;
}

/** `Success` with all objects in their order, or `Failure` with the reason. */
function convert({ desiredAPIVersion, objects }: Json): object {
  const failure = (message: string) => ({ result: { status: 'Failure', message }, convertedObjects: [] });
  if (typeof desiredAPIVersion !== 'string' || !Array.isArray(objects))
    return failure('a conversion needs desiredAPIVersion and objects');
  const convertedObjects: ApiObject[] = [];
  for (const object of objects as readonly unknown[]) {
    const { apiVersion, kind } = asObject(object);
    if (typeof apiVersion !== 'string' || typeof kind !== 'string')
      return failure('an object without apiVersion or kind');
    const converted = convertPeer(object as ApiObject, desiredAPIVersion);
    if ('error' in converted) return failure(converted.error);
    convertedObjects.push(converted.object);
  }
  return { result: { status: 'Success' }, convertedObjects };
}

type Json = Readonly<Record<string, unknown>>;

function asObject(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

/** Items of a list do not say what they are; an object of a review does. */
function identify(raw: unknown, kind: Kind): ApiObject | undefined {
  const object = asObject(raw);
  const metadata = asObject(object['metadata']);
  if (typeof metadata['name'] !== 'string') return undefined;
  const naming = { apiVersion: apiVersionOf(kind), kind: kind.kind, ...object };
  if (typeof naming.apiVersion !== 'string' || typeof naming.kind !== 'string') return undefined;
  return { ...naming, metadata: metadata as ApiObject['metadata'] };
}

/** Level by level: what is too deep for that is too deep for a stack. */
function isDeeper(json: unknown, most: number): boolean {
  const isNested = (value: unknown): value is object => typeof value === 'object' && value !== null;
  let level = [json].filter(isNested);
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === most) return true;
    level = level.flatMap((each) => Object.values(each).filter(isNested));
  }
  return false;
}
