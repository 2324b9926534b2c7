// What MetalLB's admission webhooks say to one object, or to all of them at once (`validate`). They see some lists of the
// cluster only, and never what depends on the order in which objects are created.

import { parseConfig } from './parse.ts';
import { gather } from './read.ts';
import type { BgpType, Invalid, Resource, Resources } from './resource.ts';

export type WebhookKind = Exclude<Resource['kind'], 'Secret' | 'Node' | 'Namespace'>;

/** The order is that of MetalLB's list of webhooks. */
export const WEBHOOK_KINDS: readonly WebhookKind[] = [
  'BGPPeer',
  'BFDProfile',
  'BGPAdvertisement',
  'Community',
  'IPAddressPool',
  'L2Advertisement',
];

export interface Review {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly kind: WebhookKind;
  readonly name: string;
  /** Of the object; MetalLB's own is in the options. */
  readonly namespace: string;
}

export interface WebhookOptions {
  readonly bgpType: BgpType;
  readonly namespace: string;
}

/** `resources` as they are once the operation is done: with the object on CREATE and UPDATE, and on DELETE as before. */
export function webhookCheck(
  review: Review,
  resources: Resources,
  options: WebhookOptions,
): { readonly warnings: readonly string[] } | { readonly invalid: Invalid } {
  const { operation, kind, name } = review;
  const peer = kind === 'BGPPeer' ? resources.peers.find((each) => each.name === name) : undefined;
  // said before all else, the namespace included
  if (operation === 'CREATE' && peer?.disableMP === true) {
    return { warnings: ["disable mp is deprecated and has no effect since it's the default behavior now"] };
  }
  const misplaced = operation === 'CREATE' ? namespaceCheck(review, options.namespace) : undefined;
  if (misplaced !== undefined) return { invalid: misplaced };
  const invalid =
    operation === 'DELETE' ? deletionCheck(kind, name, resources) : webhookParse(kind, resources, options);
  return invalid === undefined ? { warnings: [] } : { invalid };
}

/** An object before and after an update, and all that its webhook lists beside it. */
export interface Update {
  readonly kind: WebhookKind;
  /** Undefined: it could not be read. */
  readonly before: Resource | undefined;
  readonly after: Resource;
  readonly others: readonly Resource[];
}

/** More faults among the others are not looked behind. */
const MOST_FAULTS = 50;

/**
 * What an update brings into a configuration that is refused with and without it. What is wrong without the object is
 * another's, what the object had in the same words before is not news: both block no mending. Undefined: nothing.
 */
export function broughtBy({ kind, before, after, others }: Update, options: WebhookOptions): Invalid | undefined {
  const parse = (resources: readonly Resource[]) => webhookParse(kind, gather(resources), options);
  const news = (among: readonly Resource[]) => {
    const fault = parse([...among, after]);
    const wasSo = before !== undefined && fault?.message === parse([...among, before])?.message;
    return wasSo ? undefined : fault;
  };
  const broken: Resource[] = [];
  let sound = others;
  while (broken.length < MOST_FAULTS) {
    const fault = parse(sound);
    const at = sound.findIndex((each) => each.kind === fault?.kind && each.value.name === fault.name);
    const faulty = sound[at];
    if (faulty === undefined) break;
    broken.push(faulty);
    sound = sound.toSpliced(at, 1);
  }
  const context = sound.filter((each) => each.kind !== after.kind);
  const apart = broken.map((each) => [...context, each]).filter((each) => parse(each) === undefined);
  for (const among of [sound, ...apart]) {
    const fault = news(among);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Undefined: it is where MetalLB looks. */
export function namespaceCheck(object: Omit<Review, 'operation'>, namespace: string): Invalid | undefined {
  if (object.namespace === namespace) return undefined;
  return {
    rule: 'namespace',
    message: `resource must be created in ${namespace} namespace`,
    kind: object.kind,
    name: object.name,
    field: 'metadata.namespace',
  };
}

/** What the webhook of this kind says to these resources as a whole. */
export function webhookParse(kind: WebhookKind, resources: Resources, options: WebhookOptions): Invalid | undefined {
  if (kind === 'BFDProfile') return undefined;
  const parsed = parseConfig(blankTransient(listedFor(kind, resources)), options);
  return 'invalid' in parsed ? parsed.invalid : undefined;
}

function deletionCheck(kind: WebhookKind, name: string, { peers }: Resources): Invalid | undefined {
  const user = kind === 'BFDProfile' ? peers.find(({ bfdProfile }) => bfdProfile === name) : undefined;
  if (user === undefined) return undefined;
  return { rule: 'in-use', message: `failed to delete BFDProfile ${name}, used by BGPPeer ${user.name}`, kind, name };
}

/** Without what refers to objects that may be created later: BFD profiles, Secrets, and names of communities. */
export function blankTransient(resources: Resources): Resources {
  return {
    ...resources,
    peers: resources.peers.map((peer) => ({ ...peer, bfdProfile: '', passwordSecret: '' })),
    bgpAdvertisements: resources.bgpAdvertisements.map((advertisement) => ({
      ...advertisement,
      communities: advertisement.communities.filter((community) => community.includes(':')),
    })),
  };
}

const NOTHING: Resources = {
  pools: [],
  peers: [],
  bgpAdvertisements: [],
  l2Advertisements: [],
  bfdProfiles: [],
  communities: [],
  secrets: [],
  nodes: [],
  namespaces: [],
};

/** The lists that the webhook of a kind reads. */
function listedFor(kind: WebhookKind, resources: Resources): Resources {
  const { pools, peers, bgpAdvertisements, l2Advertisements, communities, nodes } = resources;
  switch (kind) {
    case 'IPAddressPool':
      return { ...NOTHING, pools };
    case 'L2Advertisement':
      return { ...NOTHING, pools, l2Advertisements };
    case 'BGPAdvertisement':
      return { ...NOTHING, pools, bgpAdvertisements, nodes };
    case 'Community':
      return { ...NOTHING, communities };
    case 'BGPPeer':
      return { ...NOTHING, peers, nodes };
    case 'BFDProfile':
      return NOTHING;
  }
}
