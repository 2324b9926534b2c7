// What the flags of MetalLB's memberlist say to us: which Pods are speakers, where they hear each other, and by which
// Secret. There is no memberlist; liveness is BFD in the packet thread. Owned by speaker-process.

import type { Clock } from '../k8s/clock.ts';
import type { SpeakerPods, Speakers } from '../k8s/speaker-pods.ts';
import type { LivenessSource } from './layer2.ts';
import { type Rotation, readSecret, rotate, secretsOf } from './memberlist-secret.ts';

const LOOK_MS = 5_000;

export interface MemberlistOptions {
  readonly pods: SpeakerPods;
  readonly port: number;
  /** Of the file `secretkey`, which may come later; undefined: none, and whoever is on the LAN may speak as one of us. */
  readonly secretFolder: string | undefined;
  /** The Secret is another, or is to be used otherwise. */
  readonly changed: () => void;
  /** The file cannot be read: what was read last is used, and before that nobody is known. Undefined: it can again. */
  readonly tell: (error: string | undefined) => void;
  readonly clock: Clock;
}

export class Memberlist implements LivenessSource {
  readonly port: number;
  readonly #options: MemberlistOptions;
  #rotation: Rotation | undefined;
  #isLost = false;

  constructor(options: MemberlistOptions) {
    this.#options = options;
    this.port = options.port;
    if (options.secretFolder === undefined) this.#rotation = rotate(undefined, '', 0);
    else this.#look();
  }

  speakers(): Speakers | undefined {
    // who cannot prove himself takes nothing
    return this.#rotation === undefined ? undefined : this.#options.pods.speakers;
  }

  secrets(): readonly string[] {
    return this.#rotation === undefined ? [] : secretsOf(this.#rotation, this.#options.clock.now());
  }

  async run(signal: AbortSignal): Promise<void> {
    const { pods, clock, changed } = this.#options;
    void pods.run(signal);
    let said = this.secrets().join('\n');
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal);
      this.#look();
      const now = this.secrets().join('\n');
      if (now !== said && !signal.aborted) changed();
      said = now;
    }
  }

  #look(): void {
    const { secretFolder, tell, clock } = this.#options;
    if (secretFolder === undefined) return;
    try {
      this.#rotation = rotate(this.#rotation, readSecret(secretFolder), clock.now());
      if (this.#isLost) tell(undefined);
      this.#isLost = false;
    } catch (fault) {
      if (!this.#isLost) tell((fault as Error).message);
      this.#isLost = true;
    }
  }
}
