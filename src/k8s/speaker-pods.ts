// The speakers of a cluster by their Pods: ours, which find each other by what is here, and MetalLB's, to which we leave
// what they may answer for. Ours carry an annotation in their template; where MetalLB's own DaemonSet was given our image
// they do not, and are known by having the image that we have. Run by speaker-layer2 where the flags of MetalLB's
// memberlist are given.

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
  /** Of these, nodes whose speaker does not say that it is ready: it, or its node, may be gone. */
  readonly unready: ReadonlySet<string>;
  /** Nodes with a running speaker of MetalLB. */
  readonly metallb: ReadonlySet<string>;
}

export interface SpeakerPodsOptions {
  readonly api: Api;
  readonly namespace: string;
  /** MetalLB's `--ml-labels`. */
  readonly labelSelector: string;
  /** Our Pod; undefined outside of one. */
  readonly self: string | undefined;
  readonly tell: Tell;
  readonly changed: () => void;
  readonly clock?: Clock;
}

interface SpeakerPod {
  readonly name: string;
  /** Empty: not scheduled. */
  readonly node: string;
  readonly ips: readonly Ip[];
  readonly isMarked: boolean;
  /** Repositories of its images, without tag and digest: other versions of us are we. */
  readonly images: readonly string[];
  readonly phase: string;
  readonly isReady: boolean;
}

export class SpeakerPods {
  readonly #list: PodList<SpeakerPod>;
  readonly #self: string | undefined;
  #last: { readonly text: string; readonly speakers: Speakers } | undefined;

  constructor({ clock = systemClock, self, ...options }: SpeakerPodsOptions) {
    this.#self = self;
    this.#list = new PodList<SpeakerPod>({ ...options, read: readSpeakerPod, clock });
  }

  /** Undefined: not known yet. The same object while it says the same. */
  get speakers(): Speakers | undefined {
    const { pods } = this.#list;
    if (pods === undefined) return undefined;
    const text = JSON.stringify(pods);
    if (this.#last?.text !== text) this.#last = { text, speakers: speakersOf(pods, this.#self) };
    return this.#last.speakers;
  }

  run(signal: AbortSignal): Promise<void> {
    return this.#list.run(signal);
  }
}

function speakersOf(pods: readonly SpeakerPod[], self: string | undefined): Speakers {
  const own = pods.find(({ name }) => name === self)?.images ?? [];
  const isOurs = ({ isMarked, images }: SpeakerPod): boolean => isMarked || images.some((image) => own.includes(image));
  const present = pods.filter(({ node, phase }) => node !== '' && phase !== 'Succeeded' && phase !== 'Failed');
  const ours = new Map<string, readonly Ip[]>();
  // while a Pod is replaced there may be two of a node, with one address
  const unready = new Set<string>();
  for (const pod of present) {
    const { node, ips, isReady } = pod;
    if (!isOurs(pod) || ips.length === 0) continue;
    ours.set(node, [...new Set([...(ours.get(node) ?? []), ...ips])].sort());
    if (!isReady) unready.add(node);
  }
  // one that does not run yet answers for nothing; one on a node that went silent may still do so
  const theirs = present.filter((pod) => !isOurs(pod) && pod.phase === 'Running');
  return { ours, unready, metallb: new Set(theirs.map(({ node }) => node)) };
}

function readSpeakerPod({ metadata, spec, status }: ApiObject): SpeakerPod {
  const annotations = (metadata['annotations'] ?? {}) as Readonly<Record<string, unknown>>;
  const { nodeName, containers } = (spec ?? {}) as Readonly<Record<string, unknown>>;
  const { phase, podIPs, podIP, conditions } = (status ?? {}) as Readonly<Record<string, unknown>>;
  const listed = Array.isArray(podIPs) ? podIPs.map((each: { readonly ip?: unknown }) => each?.ip) : [podIP];
  return {
    name: metadata.name,
    node: typeof nodeName === 'string' ? nodeName : '',
    ips: listed.flatMap((each) => (typeof each === 'string' ? (parseIp(each) ?? []) : [])),
    isMarked: Object.hasOwn(annotations, OURS),
    images: objectsOf(containers).flatMap(({ image }) => (typeof image === 'string' ? repositoryOf(image) : [])),
    phase: typeof phase === 'string' ? phase : '',
    isReady: objectsOf(conditions).some(({ type, status: is }) => type === 'Ready' && is === 'True'),
  };
}

function objectsOf(list: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(list) ? list.filter((each) => typeof each === 'object' && each !== null) : [];
}

/** `registry:5000/fairway/speaker` of `registry:5000/fairway/speaker:0.1.0@sha256:…`. */
function repositoryOf(image: string): string {
  return image.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
}
