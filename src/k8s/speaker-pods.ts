// The speakers of a cluster by their Pods: ours, which find each other by what is here, and MetalLB's, to which we leave
// what they may answer for. Ours carry an annotation in their template. Run by speaker-process where the flags of
// MetalLB's memberlist are given.

import type { ApiObject } from '../config/resource.ts';
import { type Ip, parseIp } from '../net/address.ts';
import type { Api } from './api.ts';
import { type Clock, systemClock } from './clock.ts';
import { PodList } from './pods.ts';
import type { Tell } from './report.ts';

/** On each Pod of ours. */
export const OURS = 'fairway/speaker';

export interface Speakers {
  /** Addresses of our speakers by node. */
  readonly ours: ReadonlyMap<string, readonly Ip[]>;
  /** Nodes with a running speaker of MetalLB. */
  readonly metallb: ReadonlySet<string>;
}

export interface SpeakerPodsOptions {
  readonly api: Api;
  readonly namespace: string;
  /** MetalLB's `--ml-labels`. */
  readonly labelSelector: string;
  readonly tell: Tell;
  readonly changed: () => void;
  readonly clock?: Clock;
}

interface SpeakerPod {
  readonly name: string;
  /** Empty: not scheduled. */
  readonly node: string;
  readonly ips: readonly Ip[];
  readonly isOurs: boolean;
  readonly phase: string;
}

export class SpeakerPods {
  readonly #list: PodList<SpeakerPod>;
  #last: { readonly text: string; readonly speakers: Speakers } | undefined;

  constructor({ clock = systemClock, ...options }: SpeakerPodsOptions) {
    this.#list = new PodList<SpeakerPod>({ ...options, read: readSpeakerPod, clock });
  }

  /** Undefined: not known yet. The same object while it says the same. */
  get speakers(): Speakers | undefined {
    const { pods } = this.#list;
    if (pods === undefined) return undefined;
    const text = JSON.stringify(pods);
    if (this.#last?.text !== text) this.#last = { text, speakers: speakersOf(pods) };
    return this.#last.speakers;
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#list.run(signal);
  }
}

function speakersOf(pods: readonly SpeakerPod[]): Speakers {
  const present = pods.filter(({ node, phase }) => node !== '' && phase !== 'Succeeded' && phase !== 'Failed');
  const ours = new Map<string, readonly Ip[]>();
  // while a Pod is replaced there may be two of a node, with one address
  for (const { node, ips, isOurs } of present)
    if (isOurs && ips.length > 0) ours.set(node, [...new Set([...(ours.get(node) ?? []), ...ips])].sort());
  // one that does not run yet answers for nothing; one on a node that went silent may still do so
  const theirs = present.filter(({ isOurs, phase }) => !isOurs && phase === 'Running');
  return { ours, metallb: new Set(theirs.map(({ node }) => node)) };
}

function readSpeakerPod({ metadata, spec, status }: ApiObject): SpeakerPod {
  const annotations = (metadata['annotations'] ?? {}) as Readonly<Record<string, unknown>>;
  const { nodeName } = (spec ?? {}) as { readonly nodeName?: unknown };
  const { phase, podIPs, podIP } = (status ?? {}) as Readonly<Record<string, unknown>>;
  const listed = Array.isArray(podIPs) ? podIPs.map((each: { readonly ip?: unknown }) => each?.ip) : [podIP];
  return {
    name: metadata.name,
    node: typeof nodeName === 'string' ? nodeName : '',
    ips: listed.flatMap((each) => (typeof each === 'string' ? (parseIp(each) ?? []) : [])),
    isOurs: Object.hasOwn(annotations, OURS),
    phase: typeof phase === 'string' ? phase : '',
  };
}
